package remote

import (
	"context"
	"time"

	"golang.org/x/time/rate"
)

// Budget is what WithLimit may spend, in the quota units of Google Drive: 5 for one object's data, 100 for a page of a list
// or of the feed, 200 for a download, 50 for a change, 5 for anything else.
type Budget struct {
	PerMinute int   // units; 0 is 240,000, of the 325,000 that a user has
	Burst     int   // units that may be spent at once; 0 is a tenth of PerMinute
	Clock     Clock // nil is SystemClock
}

// Units is what a call costs.
func (c Call) Units() int {
	unit := 5
	switch c.Op {
	case OpList, OpSince, OpGrants:
		unit = 100
	case OpGet:
		unit = 200
	case OpPut, OpUpdate, OpMove, OpDelete, OpGrant, OpRevoke:
		unit = 50
	}
	return unit * max(1, c.Count)
}

// WithLimit is r with calls that wait until the budget allows them. A call whose context would end before that fails at
// once with the context's error; nothing is spent then.
func WithLimit(r Remote, b Budget) Remote {
	if b.PerMinute == 0 {
		b.PerMinute = 240_000
	}
	if b.Burst == 0 {
		b.Burst = max(1, b.PerMinute/10)
	}
	if b.Clock == nil {
		b.Clock = SystemClock{}
	}
	l := rate.NewLimiter(rate.Limit(float64(b.PerMinute)/60), b.Burst)
	return Around(r, func(ctx context.Context, c Call, do func(context.Context) error) error {
		now := b.Clock.Now()
		ticket := l.ReserveN(now, min(c.Units(), b.Burst))
		if wait := ticket.DelayFrom(now); wait > 0 {
			if err := sleepWithin(ctx, b.Clock, wait); err != nil {
				ticket.CancelAt(b.Clock.Now())
				return &Error{Op: c.Op, Kind: Throttled, ID: c.ID, Name: c.Name, RetryAfter: wait, Err: err,
					Remedy: "this program spares the quota; it goes on by itself"}
			}
		}
		return do(ctx)
	})
}

// sleepWithin is Sleep that does not begin what ctx would cut short.
func sleepWithin(ctx context.Context, c Clock, d time.Duration) error {
	if end, ok := ctx.Deadline(); ok && end.Before(c.Now().Add(d)) {
		return context.DeadlineExceeded
	}
	return c.Sleep(ctx, d)
}
