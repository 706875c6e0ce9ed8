package sandbox

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/openmined/syftfs/jobs"
)

// logs are the two streams of a run on their way into their files.
type logs struct{ out, err *stream }

type stream struct {
	file *os.File
	r, w *os.File
	done chan error // of the goroutine that drains r; close waits for it
	keep *capped
}

func openLogs(spec jobs.Spec, limit int64) (*logs, error) {
	out, err := openStream(spec.Stdout, limit)
	if err != nil {
		return nil, err
	}
	e, err := openStream(spec.Stderr, limit)
	if err != nil {
		out.w.Close()
		return nil, errors.Join(err, out.close())
	}
	return &logs{out, e}, nil
}

func openStream(path string, limit int64) (*stream, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		f.Close()
		return nil, err
	}
	// The more fits, the less a talkative job waits for us; a refusal leaves the usual size.
	_, _ = unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 1<<20)
	s := &stream{file: f, r: r, w: w, done: make(chan error, 1), keep: newCapped(f, limit)}
	go func() { s.done <- drain(r, s.keep) }()
	return s, nil
}

// started closes our copies of the writing ends: the streams end with the last process that has them.
func (l *logs) started() {
	l.out.w.Close()
	l.err.w.Close()
}

// say adds a line behind what the job wrote to its standard error. It waits for the end of the streams.
func (l *logs) say(line string) {
	l.started()
	l.err.end()
	l.err.keep.put([]byte(line + "\n"))
}

func (l *logs) close() error {
	l.started() // harmless the second time
	return errors.Join(l.out.close(), l.err.close())
}

// end waits for the end of the stream and writes its tail, once.
func (s *stream) end() {
	if s.done == nil {
		return
	}
	err := <-s.done
	s.done = nil
	if ferr := s.keep.finish(); err == nil {
		err = ferr
	}
	if s.keep.failed == nil {
		s.keep.failed = err
	}
}

func (s *stream) close() error {
	s.end()
	return errors.Join(s.keep.failed, s.file.Close(), s.r.Close())
}
