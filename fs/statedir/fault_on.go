//go:build faults

package statedir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// The files in the folder of SYFTFS_FAULT=@FOLDER.
const (
	faultLog = "log" // every step that was asked for, a line each
	faultArm = "arm" // one op=action@count, for the step's count-th time from now; it is removed when it fires
)

// FromEnv reads SYFTFS_FAULT, a comma separated list of "op=action": kill ends the process at that step as kill -9
// does, fail makes the step return an error once, stop suspends the process (SIGSTOP). With "@FOLDER" instead, the
// steps are logged in that folder, and a step is armed there while the program runs.
func FromEnv() Fault {
	list := os.Getenv("SYFTFS_FAULT")
	if dir, ok := strings.CutPrefix(list, "@"); ok {
		return &armedFault{dir: dir}
	}
	f := &envFault{actions: map[string]string{}}
	for part := range strings.SplitSeq(list, ",") {
		if op, action, ok := strings.Cut(part, "="); ok {
			f.actions[op] = action
		}
	}
	return f
}

type envFault struct {
	mu      sync.Mutex
	actions map[string]string
}

var errInjected = errors.New("injected fault")

func (f *envFault) Before(op string) error {
	f.mu.Lock()
	action := f.actions[op]
	if action != "" {
		delete(f.actions, op)
	}
	f.mu.Unlock()
	return inject(op, action)
}

func inject(op, action string) error {
	switch action {
	case "kill":
		return unix.Kill(os.Getpid(), unix.SIGKILL)
	case "stop":
		return unix.Kill(os.Getpid(), unix.SIGSTOP)
	case "fail":
		return fmt.Errorf("%s: %w", op, errInjected)
	}
	return nil
}

// armedFault is a folder from which steps are armed. Each step is asked of one armedFault only, so that the lock is enough to count it.
type armedFault struct {
	mu  sync.Mutex
	dir string
}

func (f *armedFault) Before(op string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	log, err := os.OpenFile(filepath.Join(f.dir, faultLog), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = log.WriteString(op + "\n")
	if cerr := log.Close(); err != nil || cerr != nil {
		return errors.Join(err, cerr)
	}
	arm := filepath.Join(f.dir, faultArm)
	b, err := os.ReadFile(arm)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	action, ok := strings.CutPrefix(string(b), op+"=")
	if !ok {
		return nil
	}
	action, times, _ := strings.Cut(action, "@")
	n, err := strconv.Atoi(times)
	if err != nil {
		return fmt.Errorf("%s: %w", arm, err)
	}
	if n > 1 {
		return os.WriteFile(arm, fmt.Appendf(nil, "%s=%s@%d", op, action, n-1), 0o600)
	}
	if err := os.Remove(arm); err != nil {
		return err
	}
	return inject(op, action)
}
