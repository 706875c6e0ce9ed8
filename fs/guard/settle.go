package guard

import (
	"context"
	"errors"
	iofs "io/fs"

	"github.com/openmined/syftfs/fs/datasite"
	"golang.org/x/sys/unix"
)

// Flush is close(2): if the stamp moved the change is queued (the owner) or committed (anyone else). Idempotent.
func (f *File) Flush(ctx context.Context) error { return f.settle(ctx) }

// Sync is fsync(2): bytes and journal entry are durable on return. Of a file that this handle made also the name.
func (f *File) Sync(ctx context.Context, dataOnly bool) error {
	f.mu.Lock()
	p, name := f.path, f.created && !f.gone
	f.mu.Unlock()
	if err := f.b.Sync(dataOnly && !f.created); err != nil {
		return err
	}
	if name {
		if err := f.v.g.tree.SyncDir(p.Parent()); err != nil && !errors.Is(err, iofs.ErrNotExist) {
			return err
		}
	}
	if err := f.settle(ctx); err != nil {
		return err
	}
	return f.v.g.flush(ctx)
}

// SyncDir is fsync(2) of a folder: its names, and everything queued, are durable on return.
func (v *View) SyncDir(ctx context.Context, p datasite.Path) error {
	a, err := v.actor("sync", p)
	if err != nil {
		return err
	}
	if _, _, err := v.look("sync", a, p); err != nil {
		return err
	}
	if err := v.g.tree.SyncDir(p); err != nil {
		return err
	}
	return v.g.flush(ctx)
}

func (g *Guard) flush(ctx context.Context) error {
	if g.cfg.Recorder == nil {
		return nil
	}
	return g.cfg.Recorder.Flush(ctx)
}

// Close is the last close: settles once more if the stamp moved, and frees the descriptor.
func (f *File) Close() error {
	f.locks.Close()
	err := f.settle(context.Background())
	f.v.g.files.remove(f)
	return errors.Join(err, f.b.Close())
}

// settle records that the file changed, if it did since it was last settled. The path lock orders the records of one path
// as the operations were done.
func (f *File) settle(ctx context.Context) error {
	for {
		f.mu.Lock()
		p := f.path
		idle := f.gone || !f.dirty.Load() && !(f.passed && f.acc != unix.O_RDONLY)
		f.mu.Unlock()
		if idle {
			return nil
		}
		unlock := f.v.g.locks.lock(exclusive(p))
		if f.Path() != p { // renamed while waiting
			unlock()
			continue
		}
		var n news
		err := f.settleAt(ctx, p, &n)
		unlock()
		f.v.g.tell(f.v, n)
		return err
	}
}

func (f *File) settleAt(ctx context.Context, p datasite.Path, n *news) error {
	dirty := f.dirty.Swap(false)
	e, err := f.b.Stat()
	if err != nil {
		f.dirty.Store(dirty)
		return err
	}
	f.mu.Lock()
	moved := f.passed && (f.settled.Racy || !sameStamp(f.settled, e.Stamp))
	skip := f.gone || e.Links == 0 || !dirty && !moved
	who := f.who
	f.mu.Unlock()
	if skip {
		return nil
	}
	n.add(p)
	f.rulesMoved(p, n)
	c := datasite.Change{Op: datasite.OpWrite, Path: p, Before: f.v.g.known(p), After: datasite.Known{Stamp: e.Stamp}}
	if err := f.v.record(ctx, who, c); err != nil {
		f.dirty.Store(true)
		return err
	}
	f.mu.Lock()
	f.settled = e.Stamp
	f.mu.Unlock()
	return nil
}

// sameStamp compares without asking whether the comparison proves anything.
func sameStamp(a, b datasite.Stamp) bool {
	a.Racy, b.Racy = false, false
	return a.Same(b)
}
