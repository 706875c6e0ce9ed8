package daemon

import (
	"context"

	"github.com/openmined/syftfs/fs/statedir"
	"github.com/openmined/syftfs/sync/remote"
)

// stepped is a Remote whose writes are steps of the fault seam: remote:put, remote:move ... before each, the same with :done after it, when Drive
// has it and nothing here knows yet.
type stepped struct {
	remote.Remote
	fault statedir.Fault
}

// withSteps is r in a program with fault injection, and r itself in a released one.
func withSteps(r remote.Remote) remote.Remote {
	if f := statedir.FromEnv(); f != nil {
		return stepped{r, f}
	}
	return r
}

// around does it between its two steps. An error of the seam is as if Drive had not answered.
func (s stepped) around(op string, do func() error) error {
	if err := s.fault.Before("remote:" + op); err != nil {
		return &remote.Error{Op: op, Kind: remote.Unavailable, Err: err}
	}
	if err := do(); err != nil {
		return err
	}
	if err := s.fault.Before("remote:" + op + ":done"); err != nil {
		return &remote.Error{Op: op, Kind: remote.Unavailable, Err: err}
	}
	return nil
}

// Put makes an object.
func (s stepped) Put(ctx context.Context, spec remote.Spec, body remote.Body) error {
	return s.around("put", func() error { return s.Remote.Put(ctx, spec, body) })
}

// Update changes an object.
func (s stepped) Update(ctx context.Context, id remote.ID, e remote.Edit) error {
	return s.around("update", func() error { return s.Remote.Update(ctx, id, e) })
}

// Move takes an object to another folder.
func (s stepped) Move(ctx context.Context, id, from, to remote.ID) error {
	return s.around("move", func() error { return s.Remote.Move(ctx, id, from, to) })
}

// Delete removes objects.
func (s stepped) Delete(ctx context.Context, ids ...remote.ID) error {
	return s.around("delete", func() error { return s.Remote.Delete(ctx, ids...) })
}

// Grant lets others use an object.
func (s stepped) Grant(ctx context.Context, id remote.ID, grants ...remote.Grant) error {
	return s.around("grant", func() error { return s.Remote.Grant(ctx, id, grants...) })
}

// Revoke takes that back.
func (s stepped) Revoke(ctx context.Context, id remote.ID, who string) error {
	return s.around("revoke", func() error { return s.Remote.Revoke(ctx, id, who) })
}
