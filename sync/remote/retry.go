package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Policy says how WithRetry repeats. The zero Policy is a good one.
type Policy struct {
	Tries    int            // calls made in all for one; 0 is 7
	First    time.Duration  // the wait after the first failure, doubled each time, plus up to a First of chance; 0 is 1 s
	Max      time.Duration  // no wait without Retry-After is longer, but for the chance; 0 is 32 s
	Patience time.Duration  // a Retry-After longer than this is returned to the caller; 0 is 1 minute
	Clock    Clock          // nil is SystemClock
	Rand     func() float64 // in [0,1); nil is the process's random source
}

func (p Policy) filled() Policy {
	if p.Tries == 0 {
		p.Tries = 7
	}
	if p.First == 0 {
		p.First = time.Second
	}
	if p.Max == 0 {
		p.Max = 32 * time.Second
	}
	if p.Patience == 0 {
		p.Patience = time.Minute
	}
	if p.Clock == nil {
		p.Clock = SystemClock{}
	}
	if p.Rand == nil {
		p.Rand = rand.Float64
	}
	return p
}

// WithRetry is r with every call repeated while its failure is Temporary, up to the policy's tries, with growing waits.
// Retry-After is honoured, for all calls together: while it lasts none is made. A Put that finds, after a failure of
// its own, that the object exists has succeeded. A body that breaks off while it is read is opened again where it broke.
// Put it outside WithLimit, so that repeated calls are paid for.
func WithRetry(r Remote, p Policy) Remote {
	t := &retry{policy: p.filled()}
	return &retrying{Remote: Around(r, t.run), inner: r, retry: t}
}

type retry struct {
	policy Policy

	mu    sync.Mutex // innermost
	until time.Time  // no call before this
	why   error      // what was answered when until was set
}

// held is how long calls have to wait now, and because of which error.
func (t *retry) held() (time.Duration, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.until.Sub(t.policy.Clock.Now()), t.why
}

func (t *retry) hold(d time.Duration, why error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if until := t.policy.Clock.Now().Add(d); until.After(t.until) {
		t.until, t.why = until, why
	}
}

// wait waits before the call number n+1 of one, after last; n is 0 before the first.
func (t *retry) wait(ctx context.Context, c Call, n int, last error) error {
	p := t.policy
	var pause time.Duration
	if n > 0 {
		pause = p.Max
		if shift := n - 1; shift < 30 && p.First<<shift < p.Max {
			pause = p.First << shift
		}
	}
	hold, why := t.held()
	if hold > p.Patience {
		return &Error{Op: c.Op, Kind: Throttled, ID: c.ID, Name: c.Name, RetryAfter: hold, Err: why}
	}
	pause = max(pause, hold)
	if pause <= 0 {
		return nil
	}
	pause += time.Duration(p.Rand() * float64(p.First))
	if err := p.Clock.Sleep(ctx, pause); err != nil {
		if last != nil {
			return fmt.Errorf("%w while waiting to repeat: %w", err, last)
		}
		return fmt.Errorf("%s: %w while waiting for the store: %w", c.Op, err, why)
	}
	return nil
}

func (t *retry) run(ctx context.Context, c Call, do func(context.Context) error) error {
	var last error
	for n := 0; ; n++ {
		if err := t.wait(ctx, c, n, last); err != nil {
			return err
		}
		err := do(ctx)
		if err == nil || n > 0 && c.Op == OpPut && errors.Is(err, Exists) {
			return nil
		}
		if !Temporary(err) {
			return err
		}
		if after := RetryAfter(err); after > 0 {
			t.hold(after, err)
		}
		if end := ctx.Err(); end != nil {
			return fmt.Errorf("%w, and no time to repeat: %w", end, err)
		}
		if n+1 == t.policy.Tries {
			return err
		}
		last = err
	}
}

// retrying does better than repeating where a call is more than one thing.
type retrying struct {
	Remote // every call repeated as a whole
	inner  Remote
	retry  *retry
}

func (r *retrying) Get(ctx context.Context, id ID, offset int64) (io.ReadCloser, error) {
	body, err := r.Remote.Get(ctx, id, offset)
	if err != nil {
		return nil, err
	}
	return &resuming{ctx: ctx, from: r, id: id, at: offset, body: body}, nil
}

// Delete repeats only what failed.
func (r *retrying) Delete(ctx context.Context, ids ...ID) error {
	return several(ctx, r, Call{Op: OpDelete}, ids, func(e *Error) ID { return e.ID }, func(id ID) ID { return id }, r.inner.Delete)
}

// Grant repeats only what failed.
func (r *retrying) Grant(ctx context.Context, id ID, grants ...Grant) error {
	return several(ctx, r, Call{Op: OpGrant, ID: id}, grants, func(e *Error) string { return e.Name }, func(g Grant) string { return g.Who },
		func(ctx context.Context, left ...Grant) error { return r.inner.Grant(ctx, id, left...) })
}

// several makes a call for several things until each is done or failed for good. Which of them an error is about, of those that
// were joined, is told by its key.
func several[T any, K comparable](ctx context.Context, r *retrying, c Call, left []T, ofError func(*Error) K, of func(T) K, call func(context.Context, ...T) error) error {
	if len(left) == 0 {
		return nil
	}
	var final []error
	err := r.retry.run(ctx, c, func(ctx context.Context) error {
		err := call(ctx, left...)
		joined, ok := err.(interface{ Unwrap() []error })
		if !ok {
			return err
		}
		again := map[K]bool{}
		var temporary []error
		for _, err := range joined.Unwrap() {
			var e *Error
			if !errors.As(err, &e) || !Temporary(err) {
				final = append(final, err)
				continue
			}
			again[ofError(e)] = true
			temporary = append(temporary, err)
		}
		failed := slices.DeleteFunc(slices.Clone(left), func(t T) bool { return !again[of(t)] })
		if len(failed) == len(temporary) { // else it is not clear which they are, and all are repeated
			left = failed
		}
		return errors.Join(temporary...)
	})
	return errors.Join(append(final, err)...)
}

// resuming reads a body that is opened again where it broke off. breaks counts those without a byte in between.
type resuming struct {
	ctx    context.Context
	from   *retrying
	id     ID
	at     int64
	body   io.ReadCloser
	breaks int
}

func (s *resuming) Read(p []byte) (int, error) {
	n, err := s.body.Read(p)
	s.at += int64(n)
	if n > 0 {
		s.breaks = 0
		if err == io.EOF {
			return n, err
		}
		return n, nil // a real error comes again with the next Read
	}
	if err == nil || !Temporary(err) {
		return 0, err
	}
	s.breaks++
	if s.breaks == s.from.retry.policy.Tries {
		return 0, err
	}
	if werr := s.from.retry.wait(s.ctx, Call{Op: OpGet, ID: s.id}, s.breaks, err); werr != nil {
		return 0, werr
	}
	body, err := s.from.Remote.Get(s.ctx, s.id, s.at)
	if err != nil {
		return 0, err
	}
	s.body.Close() // it broke; its error is known
	s.body = body
	return 0, nil
}

func (s *resuming) Close() error { return s.body.Close() }
