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

// TestLimit: an account that is full may store nothing more, and another may.
func TestLimit(t *testing.T) {
	w := NewWorld(nil)
	c := &check{T: t, ctx: t.Context(), open: w.Account}
	o, r := c.open(owen), c.open(rachel)
	w.SetLimit(owen, 10)
	id := c.put(o, "", "ten", "0123456789")
	c.kind(o.Put(c.ctx, remote.Spec{ID: c.ids(o, 1)[0], Name: "one"}, remote.Bytes([]byte("x"))), remote.Full)
	c.kind(o.Update(c.ctx, id, remote.Edit{Body: new(remote.Bytes(make([]byte, 11)))}), remote.Full)
	c.put(r, "", "eleven", "01234567890")
	c.ok(o.Update(c.ctx, id, remote.Edit{Body: new(remote.Bytes(nil))}))
	c.put(o, "", "one", "x")
}
