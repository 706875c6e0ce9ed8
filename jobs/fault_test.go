package jobs

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
)

// faults fails named steps: once each, or all of them when dead. It notes every step it saw.
type faults struct {
	mu   sync.Mutex
	fail map[string]error // by step; "" as a key fails nothing
	dead atomic.Bool
	seen []string
}

func (f *faults) Before(op string) error { return f.step(op) }

func (f *faults) step(op string) error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead.Load() {
		return fmt.Errorf("%s: dead: %w", op, errFault)
	}
	f.seen = append(f.seen, op)
	err := f.fail[op]
	if err != nil && strings.HasPrefix(err.Error(), "crash") {
		f.dead.Store(true) // nothing after it happens either
	}
	return err
}
