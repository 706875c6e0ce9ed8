package remote

import (
	"context"
	"io"
)

// Names of the calls, in Call and Error.
const (
	OpStat   = "stat"
	OpGet    = "get"
	OpList   = "list"
	OpPut    = "put"
	OpUpdate = "update"
	OpMove   = "move"
	OpDelete = "delete"
	OpStart  = "feed start"
	OpSince  = "feed"
	OpGrant  = "share"
	OpRevoke = "unshare"
	OpGrants = "list shares"
	OpNewIDs = "new ids"
	OpWhoami = "who am i"
)

// Call is a call that is about to be made.
type Call struct {
	Op    string
	ID    ID     // "" where there is none, or several
	Name  string // "" where it is not known
	Count int    // how many single calls it is to the store's accountant; at least 1
}

// Around is r with run around every call: run may wait, refuse, or call do, once or several times.
// For Get it is around the opening, not the reading.
func Around(r Remote, run func(ctx context.Context, c Call, do func(context.Context) error) error) Remote {
	return &around{inner: r, run: run}
}

type around struct {
	inner Remote
	run   func(context.Context, Call, func(context.Context) error) error
}

// through runs a call that answers something.
func through[T any](ctx context.Context, a *around, c Call, call func(context.Context) (T, error)) (T, error) {
	var answer T
	err := a.run(ctx, c, func(ctx context.Context) (err error) {
		answer, err = call(ctx)
		return err
	})
	return answer, err
}

func (a *around) Stat(ctx context.Context, id ID, want Fields) (Object, error) {
	return through(ctx, a, Call{Op: OpStat, ID: id, Count: 1}, func(ctx context.Context) (Object, error) { return a.inner.Stat(ctx, id, want) })
}

func (a *around) Get(ctx context.Context, id ID, offset int64) (io.ReadCloser, error) {
	return through(ctx, a, Call{Op: OpGet, ID: id, Count: 1}, func(ctx context.Context) (io.ReadCloser, error) { return a.inner.Get(ctx, id, offset) })
}

func (a *around) List(ctx context.Context, q Query, page string) (Page, error) {
	return through(ctx, a, Call{Op: OpList, ID: q.Parent, Name: q.Name + q.Prefix, Count: 1}, func(ctx context.Context) (Page, error) { return a.inner.List(ctx, q, page) })
}

func (a *around) Put(ctx context.Context, s Spec, body Body) error {
	return a.run(ctx, Call{Op: OpPut, ID: s.ID, Name: s.Name, Count: 1}, func(ctx context.Context) error { return a.inner.Put(ctx, s, body) })
}

func (a *around) Update(ctx context.Context, id ID, e Edit) error {
	return a.run(ctx, Call{Op: OpUpdate, ID: id, Name: e.Name, Count: 1}, func(ctx context.Context) error { return a.inner.Update(ctx, id, e) })
}

func (a *around) Move(ctx context.Context, id, from, to ID) error {
	return a.run(ctx, Call{Op: OpMove, ID: id, Count: 1}, func(ctx context.Context) error { return a.inner.Move(ctx, id, from, to) })
}

func (a *around) Delete(ctx context.Context, ids ...ID) error {
	if len(ids) == 0 {
		return nil
	}
	c := Call{Op: OpDelete, Count: len(ids)}
	if len(ids) == 1 {
		c.ID = ids[0]
	}
	return a.run(ctx, c, func(ctx context.Context) error { return a.inner.Delete(ctx, ids...) })
}

func (a *around) Start(ctx context.Context) (Token, error) {
	return through(ctx, a, Call{Op: OpStart, Count: 1}, a.inner.Start)
}

func (a *around) Since(ctx context.Context, t Token, want Fields) (Changes, error) {
	return through(ctx, a, Call{Op: OpSince, Count: 1}, func(ctx context.Context) (Changes, error) { return a.inner.Since(ctx, t, want) })
}

func (a *around) Grant(ctx context.Context, id ID, grants ...Grant) error {
	if len(grants) == 0 {
		return nil
	}
	return a.run(ctx, Call{Op: OpGrant, ID: id, Count: len(grants)}, func(ctx context.Context) error { return a.inner.Grant(ctx, id, grants...) })
}

func (a *around) Revoke(ctx context.Context, id ID, who string) error {
	return a.run(ctx, Call{Op: OpRevoke, ID: id, Count: 1}, func(ctx context.Context) error { return a.inner.Revoke(ctx, id, who) })
}

func (a *around) Grants(ctx context.Context, id ID) ([]Grant, error) {
	return through(ctx, a, Call{Op: OpGrants, ID: id, Count: 1}, func(ctx context.Context) ([]Grant, error) { return a.inner.Grants(ctx, id) })
}

func (a *around) NewIDs(ctx context.Context, n int) ([]ID, error) {
	return through(ctx, a, Call{Op: OpNewIDs, Count: (n + 999) / 1000}, func(ctx context.Context) ([]ID, error) { return a.inner.NewIDs(ctx, n) })
}

func (a *around) Whoami(ctx context.Context) (string, error) {
	return through(ctx, a, Call{Op: OpWhoami, Count: 1}, a.inner.Whoami)
}
