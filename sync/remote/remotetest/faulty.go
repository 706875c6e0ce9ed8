package remotetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/openmined/syftfs/sync/remote"
)

// Stage is when in a call a fault happens.
type Stage uint8

const (
	// Before: nothing was done.
	Before Stage = iota
	// Halfway: a body breaks off in its middle; of several ids or grants the first half is done; a page or a piece of the feed
	// is lost on its way. A call that has no middle fails as with Before.
	Halfway
	// After: all was done, and the call reports a failure nevertheless.
	After
)

// Fault is a line of the script.
type Fault struct {
	Op         string  // remote.OpPut and so on; "" is every call
	Skip       int     // so many matching calls go well first
	Count      int     // so many fail; 0 is no bound
	Chance     float64 // of failing for each; 0 is always
	Stage      Stage
	Kind       remote.Kind   // what the error says, whether true or not; 0 is Unavailable
	RetryAfter time.Duration // in the error
}

// Firing is a fault that happened.
type Firing struct {
	Call  remote.Call
	Stage Stage
}

// Faulty is a store that fails by its script. The first line that matches a call and has not fired Count times
// decides. With one caller at a time a run
// depends on the seed alone.
type Faulty struct {
	inner remote.Remote

	mu     sync.Mutex
	dice   *rand.Rand
	script []Fault
	calls  []int // matching calls so far, by line
	hits   []int // failures so far, by line
	fired  []Firing
}

var _ remote.Remote = (*Faulty)(nil)

// NewFaulty wraps r.
func NewFaulty(r remote.Remote, seed uint64, script ...Fault) *Faulty {
	f := &Faulty{inner: r, dice: rand.New(rand.NewPCG(seed, 0))}
	f.Script(script...)
	return f
}

// Script replaces the script; none is a store that works.
func (f *Faulty) Script(script ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script, f.calls, f.hits = script, make([]int, len(script)), make([]int, len(script))
}

// Fired lists what happened so far.
func (f *Faulty) Fired() []Firing {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.fired)
}

// fault is what happens to the call c; ok is false when it goes well.
func (f *Faulty) fault(c remote.Call) (Fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for n, line := range f.script {
		if line.Op != "" && line.Op != c.Op || line.Count > 0 && f.hits[n] == line.Count {
			continue
		}
		f.calls[n]++
		roll := 0.0
		if line.Chance > 0 {
			roll = f.dice.Float64()
		}
		if f.calls[n] <= line.Skip || line.Chance > 0 && roll >= line.Chance {
			return Fault{}, false
		}
		f.hits[n]++
		f.fired = append(f.fired, Firing{Call: c, Stage: line.Stage})
		return line, true
	}
	return Fault{}, false
}

var errScripted = errors.New("by the script of the test")

func (line Fault) err(c remote.Call) error {
	kind := line.Kind
	if kind == 0 {
		kind = remote.Unavailable
	}
	return &remote.Error{Op: c.Op, Kind: kind, ID: c.ID, Name: c.Name, RetryAfter: line.RetryAfter, Err: errScripted}
}

// play makes the call c: all of it by whole, half of it by half (nil: it has no middle).
func (f *Faulty) play(c remote.Call, whole, half func() error) error {
	line, ok := f.fault(c)
	if !ok {
		return whole()
	}
	do := half
	switch {
	case line.Stage == Before:
		return line.err(c)
	case line.Stage == After:
		do = whole
	}
	if do != nil {
		if err := do(); err != nil && line.Stage == After {
			return err // it really failed
		}
	}
	return line.err(c)
}

// answer is play for a call that gives something.
func answer[T any](f *Faulty, c remote.Call, call func() (T, error)) (T, error) {
	var got T
	whole := func() (err error) {
		got, err = call()
		return err
	}
	if err := f.play(c, whole, whole); err != nil {
		var none T
		return none, err
	}
	return got, nil
}

func (f *Faulty) Stat(ctx context.Context, id remote.ID, want remote.Fields) (remote.Object, error) {
	return answer(f, remote.Call{Op: remote.OpStat, ID: id}, func() (remote.Object, error) { return f.inner.Stat(ctx, id, want) })
}

func (f *Faulty) Get(ctx context.Context, id remote.ID, offset int64) (io.ReadCloser, error) {
	c := remote.Call{Op: remote.OpGet, ID: id}
	line, bad := f.fault(c)
	if bad && line.Stage == Before {
		return nil, line.err(c)
	}
	body, err := f.inner.Get(ctx, id, offset)
	if err != nil || !bad {
		return body, err
	}
	if line.Stage == After {
		body.Close()
		return nil, line.err(c)
	}
	o, err := f.inner.Stat(ctx, id, remote.WithSize)
	if err != nil {
		body.Close()
		return nil, err
	}
	return &cut{ReadCloser: body, left: max(0, o.Size-offset) / 2, err: line.err(c)}, nil
}

// cut is a body that breaks off after left bytes.
type cut struct {
	io.ReadCloser
	left int64
	err  error
}

func (c *cut) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, c.err
	}
	n, err := c.ReadCloser.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

func (f *Faulty) List(ctx context.Context, q remote.Query, page string) (remote.Page, error) {
	return answer(f, remote.Call{Op: remote.OpList, ID: q.Parent, Name: q.Name + q.Prefix}, func() (remote.Page, error) { return f.inner.List(ctx, q, page) })
}

// halfBody is b that breaks off in its middle.
func halfBody(b remote.Body) remote.Body {
	open := b.Open
	b.Open = func() (io.ReadCloser, error) {
		if open == nil {
			return nil, errScripted
		}
		r, err := open()
		return &cut{ReadCloser: r, left: b.Size / 2, err: errScripted}, err
	}
	return b
}

func (f *Faulty) Put(ctx context.Context, s remote.Spec, body remote.Body) error {
	half := func() error { return f.inner.Put(ctx, s, halfBody(body)) }
	if s.Folder {
		half = nil
	}
	return f.play(remote.Call{Op: remote.OpPut, ID: s.ID, Name: s.Name}, func() error { return f.inner.Put(ctx, s, body) }, half)
}

func (f *Faulty) Update(ctx context.Context, id remote.ID, e remote.Edit) error {
	var half func() error
	if e.Body != nil {
		half = func() error {
			broken := halfBody(*e.Body)
			e.Body = &broken
			return f.inner.Update(ctx, id, e)
		}
	}
	return f.play(remote.Call{Op: remote.OpUpdate, ID: id, Name: e.Name}, func() error { return f.inner.Update(ctx, id, e) }, half)
}

func (f *Faulty) Move(ctx context.Context, id, from, to remote.ID) error {
	return f.play(remote.Call{Op: remote.OpMove, ID: id}, func() error { return f.inner.Move(ctx, id, from, to) }, nil)
}

func (f *Faulty) Delete(ctx context.Context, ids ...remote.ID) error {
	c := remote.Call{Op: remote.OpDelete, Name: fmt.Sprint(ids)}
	return f.play(c, func() error { return f.inner.Delete(ctx, ids...) }, func() error { return f.inner.Delete(ctx, ids[:len(ids)/2]...) })
}

func (f *Faulty) Start(ctx context.Context) (remote.Token, error) {
	return answer(f, remote.Call{Op: remote.OpStart}, func() (remote.Token, error) { return f.inner.Start(ctx) })
}

func (f *Faulty) Since(ctx context.Context, t remote.Token, want remote.Fields) (remote.Changes, error) {
	return answer(f, remote.Call{Op: remote.OpSince}, func() (remote.Changes, error) { return f.inner.Since(ctx, t, want) })
}

func (f *Faulty) Grant(ctx context.Context, id remote.ID, grants ...remote.Grant) error {
	return f.play(remote.Call{Op: remote.OpGrant, ID: id}, func() error { return f.inner.Grant(ctx, id, grants...) },
		func() error { return f.inner.Grant(ctx, id, grants[:len(grants)/2]...) })
}

func (f *Faulty) Revoke(ctx context.Context, id remote.ID, who string) error {
	return f.play(remote.Call{Op: remote.OpRevoke, ID: id}, func() error { return f.inner.Revoke(ctx, id, who) }, nil)
}

func (f *Faulty) Grants(ctx context.Context, id remote.ID) ([]remote.Grant, error) {
	return answer(f, remote.Call{Op: remote.OpGrants, ID: id}, func() ([]remote.Grant, error) { return f.inner.Grants(ctx, id) })
}

func (f *Faulty) NewIDs(ctx context.Context, n int) ([]remote.ID, error) {
	return answer(f, remote.Call{Op: remote.OpNewIDs}, func() ([]remote.ID, error) { return f.inner.NewIDs(ctx, n) })
}

func (f *Faulty) Whoami(ctx context.Context) (string, error) {
	return answer(f, remote.Call{Op: remote.OpWhoami}, func() (string, error) { return f.inner.Whoami(ctx) })
}
