package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// The place of a revocation is a home folder: its owner's mount and the view of somebody else, "rachel", belong to the same
// person on the machine, so that one actor can do both sides in a fixed order.

func (s spot) rules(text string) error {
	return os.WriteFile(filepath.Join(s.dir, "SyftBox", owen, "d", "syft.pub.yaml"), []byte(text), 0o644)
}

func (s spot) shut() error { return s.rules("rules: []\n") }

func (s spot) give(level string) error {
	return s.rules("rules:\n- pattern: '**'\n  access: {" + level + ": [" + rachel + "]}\n")
}

func (s spot) hers(name string) string { return filepath.Join(s.dir, "rachel", owen, "d", name) }

// found collects what calls are answered.
type found []string

func (f *found) add(what string, err error) {
	*f = append(*f, what+":"+answerOf(err))
}

func answerOf(err error) string {
	errno, ok := errors.AsType[unix.Errno](err)
	switch {
	case err == nil:
		return "ok"
	case ok:
		return unix.ErrnoName(errno)
	}
	return err.Error()
}

// after makes what is done when the right has gone, with a file that was opened while it was there.
func after(level string, flags int, do func(s spot, fd int, f *found)) operation {
	return operation{do: func(s spot) (string, error) {
		if err := s.give(level); err != nil {
			return "", err
		}
		var f found
		fd, err := unix.Open(s.hers("f"), flags|unix.O_CLOEXEC, 0)
		if err != nil {
			return "", err
		}
		defer unix.Close(fd)
		if _, err := unix.Pread(fd, make([]byte, 5), 0); err != nil && flags != wr {
			return "", err
		}
		do(s, fd, &f)
		return fmt.Sprint(f), nil
	}}
}

// fault touches mapped memory and gives the error of the fault, if there is one.
func fault(b []byte, write bool) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("SIGBUS")
		}
	}()
	if write {
		b[0] = 'X'
		return nil
	}
	if b[0] == 0 {
		return errors.New("zero")
	}
	return nil
}

// soon waits until touching mapped memory is refused: the kernel is told to drop its pages right after the change of the rules.
func soon(b []byte) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		if err := fault(b, false); err != nil {
			return err
		}
	}
	return nil
}

// revocations are what somebody is answered who opened, mapped or entered something before the right to it was taken away.
func revocations() []row {
	return []row{
		{name: "read", do: after("read", rd, func(s spot, fd int, f *found) {
			f.add("shut", s.shut())
			_, err := unix.Pread(fd, make([]byte, 5), 0)
			f.add("read", err)
			f.add("fstat", unix.Fstat(fd, new(unix.Stat_t)))
			f.add("stat", unix.Lstat(s.hers("f"), new(unix.Stat_t)))
			_, err = unix.Open(s.hers("f"), rd, 0)
			f.add("open", err)
			f.add("give", s.give("read"))
			_, err = unix.Pread(fd, make([]byte, 5), 0)
			f.add("read", err)
		}), want: "[shut:ok read:EACCES fstat:EACCES stat:ENOENT open:ENOENT give:ok read:ok]"},
		{name: "write", do: after("write", rw, func(s spot, fd int, f *found) {
			f.add("less", s.give("read"))
			_, err := unix.Pwrite(fd, []byte("X"), 0)
			f.add("write", err)
			f.add("ftruncate", unix.Ftruncate(fd, 0))
			f.add("fallocate", unix.Fallocate(fd, 0, 0, 100))
			_, err = unix.Pread(fd, make([]byte, 5), 0)
			f.add("read", err)
			f.add("shut", s.shut())
			_, err = unix.Pwrite(fd, []byte("X"), 0)
			f.add("write", err)
			_, err = unix.Pread(fd, make([]byte, 5), 0)
			f.add("read", err)
			f.add("fsync", unix.Fsync(fd))
		}), want: "[less:ok write:EACCES ftruncate:EACCES fallocate:EACCES read:ok shut:ok write:EACCES read:EACCES fsync:ok]"},
		{name: "a file that one made", do: after("create", rd, func(s spot, _ int, f *found) {
			fd, err := unix.Open(s.hers("made"), wr|creat|excl, 0o644)
			f.add("make", err)
			write := func() { _, err := unix.Pwrite(fd, []byte("X"), 0); f.add("write", err) }
			write()
			f.add("less", s.give("read"))
			write()
			f.add("give", s.give("create"))
			write()
			f.add("close", unix.Close(fd))
			_, err = unix.Open(s.hers("made"), wr, 0)
			f.add("open", err)
		}), want: "[make:ok write:ok less:ok write:EACCES give:ok write:ok close:ok open:EACCES]"},
		{name: "mapped to read", do: after("read", rd, func(s spot, fd int, f *found) {
			b, err := unix.Mmap(fd, 0, 5, unix.PROT_READ, unix.MAP_SHARED)
			f.add("map", err)
			f.add("touch", fault(b, false))
			f.add("shut", s.shut())
			f.add("touch", soon(b))
			f.add("give", s.give("read"))
			f.add("touch", fault(b, false))
			f.add("unmap", unix.Munmap(b))
		}), want: "[map:ok touch:ok shut:ok touch:SIGBUS give:ok touch:ok unmap:ok]"},
		{name: "mapped to write", do: after("write", rw, func(s spot, fd int, f *found) {
			b, err := unix.Mmap(fd, 0, 5, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			f.add("map", err)
			f.add("touch", fault(b, false))
			f.add("shut", s.shut())
			f.add("touch", soon(b))
			f.add("write", fault(b, true))
			f.add("sync", unix.Msync(b, unix.MS_SYNC))
			f.add("unmap", unix.Munmap(b))
		}), want: "[map:ok touch:ok shut:ok touch:SIGBUS write:SIGBUS sync:ok unmap:ok]"},
		{name: "an open folder", do: after("read", rd, func(s spot, fd int, f *found) {
			dir, err := unix.Open(s.hers(""), rd|unix.O_DIRECTORY, 0)
			f.add("open", err)
			f.add("shut", s.shut())
			_, err = unix.Openat(dir, "f", rd, 0)
			f.add("open in it", err)
			f.add("stat in it", unix.Fstatat(dir, "f", new(unix.Stat_t), 0))
			_, err = unix.ReadDirent(dir, make([]byte, 4096))
			f.add("list it", err)
			f.add("make in it", unix.Mkdirat(dir, "new", 0o755))
			f.add("close", unix.Close(dir))
		}), want: "[open:ok shut:ok open in it:ENOENT stat in it:ENOENT list it:ENOENT make in it:EACCES close:ok]"},
		{name: "names", do: after("read", rd, func(s spot, fd int, f *found) {
			list := func() string {
				d, err := os.ReadDir(s.hers(".."))
				return fmt.Sprint(slices.ContainsFunc(d, func(e os.DirEntry) bool { return e.Name() == "d" }), err)
			}
			before := list()
			f.add("shut", s.shut())
			between := list()
			f.add("give", s.give("read"))
			f.add("stat", unix.Lstat(s.hers("f"), new(unix.Stat_t)))
			f.add(before+" "+between+" "+list(), nil)
		}), want: "[shut:ok give:ok stat:ok true <nil> false <nil> true <nil>:ok]"},
		{name: "copying on", do: after("write", rw, func(s spot, fd int, f *found) {
			from, err := unix.Open(s.hers("g"), rd, 0)
			f.add("open", err)
			f.add("less", s.give("read"))
			_, err = unix.CopyFileRange(from, nil, fd, nil, 2, 0)
			f.add("copy", err)
			f.add("close", unix.Close(from))
		}), want: "[open:ok less:ok copy:EACCES close:ok]"},
	}
}
