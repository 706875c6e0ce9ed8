package sandbox

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// supervise runs the job to its end, by whatever cause, and collects. An error means that no job was started.
func (s *shim) supervise() (*outcome, error) {
	commands := make(chan string)
	go s.listen(commands)
	w := newWatch(s.plan)
	j, err := s.start()
	if err != nil {
		return nil, err
	}
	if err := s.report.Encode(report{Started: true}); err != nil {
		return nil, err
	}
	reason, why := "", ""
	var grace <-chan time.Time
	stop := func(r, note string, gently bool) {
		if reason != "" {
			return
		}
		reason, why = r, note
		if gently {
			terminate()
			grace = time.After(s.plan.Grace)
			return
		}
		killAll()
	}
	limit := time.NewTimer(s.plan.Limits.Timeout) // monotonic
	defer limit.Stop()
	tick := time.NewTimer(w.every)
	defer tick.Stop()
	res := &outcome{Code: -1}
	exited, owner := false, -1
	statuses := j.status
	for running := true; running || statuses != nil; {
		select {
		case st, ok := <-statuses:
			switch {
			case !ok:
				statuses = nil
			case st.ExitCode != nil:
				res.Code, exited = *st.ExitCode, true
			case st.ChildPid > 0:
				if owner = ownerOf(st.ChildPid); owner == 0 {
					stop(reasonSetup, "the job would be root outside", false)
				}
			}
		case <-j.waited:
			running = false
			killAll() // whoever holds a pipe must not hold us
		case <-limit.C:
			stop(reasonTimeout, "", true)
		case c, ok := <-commands:
			switch {
			case !ok:
				reason = "" // nobody is left to report to
				stop(reasonInterrupted, "", false)
				commands = nil
			case c == reasonCancelled:
				stop(c, "", true)
			default:
				stop(c, "", false)
			}
		case <-grace:
			killAll()
			grace = nil
		case <-tick.C:
			if over := w.look(); over != "" {
				stop(reasonMemory, over, false)
			}
			tick.Reset(w.every)
		}
	}
	if err := endAll(); err != nil {
		return nil, err
	}
	if err := s.report.Encode(report{Ended: true}); err != nil {
		return nil, err
	}
	if failed := <-j.failed; failed != "" {
		return nil, errors.New(failed)
	}
	res.Reason = reason
	if why != "" {
		res.Notes = append(res.Notes, why)
	}
	if owner <= 0 {
		return nil, errors.New("the job's uid outside could not be seen to be another one than 0")
	}
	if reason != "" {
		res.Code = -1
	} else if !exited {
		return nil, errors.New("bubblewrap could not make the sandbox; what it said is above")
	}
	if res.Reason == "" && res.Code != 0 && w.full {
		res.Reason = reasonProcesses
	}
	if s.plan.Test == nil && reason != reasonCancelled && reason != reasonInterrupted {
		s.collect(res)
	}
	return res, nil
}

// ownerOf is the real uid of a process as the shim sees it, which is as the daemon sees it; -1 if it cannot be seen.
func ownerOf(pid int) int {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return -1
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "Uid:"); ok {
			if f := strings.Fields(v); len(f) > 0 {
				if uid, err := strconv.Atoi(f[0]); err == nil {
					return uid
				}
			}
		}
	}
	return -1
}

// listen passes on what the daemon commands, a word a line, until it is gone.
func (s *shim) listen(to chan<- string) {
	defer close(to)
	for {
		line, err := s.control.ReadString('\n')
		if err != nil {
			return
		}
		to <- strings.TrimSpace(line)
	}
}

// killAll kills everything in the shim's process namespace but the shim.
func killAll() {
	_ = unix.Kill(-1, unix.SIGKILL) // ESRCH: nothing is left
}

// endAll kills what is left and waits until nothing is: every process of this namespace is a child of ours by then.
func endAll() error {
	killAll()
	for {
		var ws unix.WaitStatus
		_, err := unix.Wait4(-1, &ws, unix.WALL, nil)
		switch {
		case errors.Is(err, unix.EINTR), err == nil:
		case errors.Is(err, unix.ECHILD):
			return nil
		default:
			return fmt.Errorf("wait for the job's processes: %w", err)
		}
	}
}
