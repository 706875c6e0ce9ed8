package jobs

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/openmined/syftfs/fs/datasite"
)

// faults fails named steps, once or always, or everything from one step on, as a crash would. It notes every step it saw.
type faults struct {
	mu    sync.Mutex
	fail  map[string]error // always
	once  map[string]error
	crash string
	after int // how often the crash's step is passed first
	dead  atomic.Bool
	seen  []string
}

func (f *faults) Before(op string) error { return f.step(op) }

func (f *faults) step(op string) error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.crash == op {
		if f.after--; f.after < 0 {
			f.crash = ""
			f.dead.Store(true)
		}
	}
	if f.dead.Load() {
		return fmt.Errorf("%s: %w", op, errCrash)
	}
	f.seen = append(f.seen, op)
	if err := f.once[op]; err != nil {
		delete(f.once, op)
		return err
	}
	return f.fail[op]
}

func (f *faults) crashAt(op string, after int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.crash, f.after = op, after
}

func (f *faults) failAt(op string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.once = map[string]error{op: err}
}

// changingTree does something once, when a file is opened.
type changingTree struct {
	*dirTree
	at   string
	do   func()
	once sync.Once
}

func (c *changingTree) OpenFile(ctx context.Context, p datasite.Path) (io.ReadCloser, error) {
	f, err := c.dirTree.OpenFile(ctx, p)
	if p.String() == c.at {
		c.once.Do(c.do)
	}
	return f, err
}
