package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// initPlan is what /.init is told on its command line; nothing in it is a secret.
type initPlan struct {
	Processes int64
	Rules     []rule // Landlock; none: not wanted
	CountAll  bool   // refuse memory that the watchdog cannot count
	Pin       int    // run on so many processors only; 0: on all
	Failed    int    // descriptor for the reason why nothing was started; closed by a successful exec
	Command   []string
}

// initMain is the first process of a job: it gives up what is left to give up and becomes the command.
func initMain(args []string) error {
	runtime.LockOSThread() // everything below binds one thread, the one that becomes the job
	if len(args) != 1 {
		return errors.New("this part is started by the sandbox only")
	}
	var p initPlan
	if err := json.Unmarshal([]byte(args[0]), &p); err != nil || len(p.Command) == 0 {
		return errors.New("this part is started by the sandbox only")
	}
	err := becomeJob(p)
	if p.Failed > 2 {
		_, werr := unix.Write(p.Failed, []byte(err.Error()))
		return errors.Join(err, werr)
	}
	return err
}

func becomeJob(p initPlan) error {
	// All descriptors but the first three close when the job starts; the filter below must not hinder that.
	if err := unix.CloseRange(3, 1<<31-1, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("close descriptors: %w", err)
	}
	if p.Pin > 0 {
		if err := pin(p.Pin); err != nil {
			return err
		}
	}
	// The first to go when the machine itself runs out of memory, and the last to get a processor.
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0); err != nil {
		return fmt.Errorf("be the first to go when memory runs out: %w", err)
	}
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, 5); err != nil {
		return fmt.Errorf("lower the priority: %w", err)
	}
	if err := limits(p.Processes); err != nil {
		return err
	}
	if len(p.Rules) > 0 {
		if err := landlock(p.Rules); err != nil {
			return err
		}
	}
	if err := confineCalls(p.CountAll, p.Pin > 0); err != nil {
		return err
	}
	return fmt.Errorf("start %s: %w", p.Command[0], syscall.Exec(p.Command[0], p.Command, os.Environ()))
}

func limits(processes int64) error {
	// NPROC counts the processes of this user namespace only (Linux >= 5.14), which is this job's alone.
	for _, l := range []struct {
		name string
		what int
		n    uint64
	}{
		{"processes", unix.RLIMIT_NPROC, uint64(processes)},
		{"open files", syscall.RLIMIT_NOFILE, openFiles},
		{"core files", syscall.RLIMIT_CORE, 0},
		{"message queues", unix.RLIMIT_MSGQUEUE, 0},
		{"locked memory", unix.RLIMIT_MEMLOCK, 8 << 20},
		{"pending signals", unix.RLIMIT_SIGPENDING, 4096},
	} {
		var old syscall.Rlimit
		if err := syscall.Getrlimit(l.what, &old); err != nil {
			return fmt.Errorf("limit %s: %w", l.name, err)
		}
		n := min(l.n, old.Max)
		if err := syscall.Setrlimit(l.what, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
			return fmt.Errorf("limit %s to %d: %w", l.name, n, err)
		}
	}
	return nil
}

// pin lets the calling thread, and what it starts, run on the last n processors that it may use.
func pin(n int) error {
	var have, want unix.CPUSet
	if err := unix.SchedGetaffinity(0, &have); err != nil {
		return fmt.Errorf("processors: %w", err)
	}
	for cpu := len(have)*strconv.IntSize - 1; cpu >= 0 && want.Count() < n; cpu-- {
		if have.IsSet(cpu) {
			want.Set(cpu)
		}
	}
	if err := unix.SchedSetaffinity(0, &want); err != nil {
		return fmt.Errorf("use %d processors: %w", n, err)
	}
	return nil
}
