package remotetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/openmined/syftfs/sync/remote"
)

func inMemory(*testing.T) func(string) remote.Remote { return NewWorld(nil).Account }

func TestWorld(t *testing.T) { Run(t, inMemory) }

func TestWorldBehindDecorators(t *testing.T) {
	Run(t, func(t *testing.T) func(string) remote.Remote {
		open := inMemory(t)
		return func(email string) remote.Remote {
			return remote.WithRetry(remote.WithLimit(open(email), remote.Budget{Burst: 1 << 30}), remote.Policy{Clock: &idleClock{now: time.Unix(1e9, 0)}})
		}
	})
}

// idleClock is a clock that waits by moving on at once.
type idleClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *idleClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *idleClock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return ctx.Err()
}
