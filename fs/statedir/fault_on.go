//go:build faults

package statedir

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// FromEnv reads SYFTFS_FAULT, a comma separated list of "op=action": kill ends the process at that step as kill -9
// does, fail makes the step return an error once, stop suspends the process (SIGSTOP).
func FromEnv() Fault {
	f := &envFault{actions: map[string]string{}}
	for part := range strings.SplitSeq(os.Getenv("SYFTFS_FAULT"), ",") {
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
