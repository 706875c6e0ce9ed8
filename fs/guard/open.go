package guard

import (
	"context"
	"errors"
	iofs "io/fs"
	"sync"

	"github.com/openmined/syftfs/fs/backing"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"golang.org/x/sys/unix"
)

// Open opens or makes a regular file. Of flag the access mode, O_CREAT, O_EXCL, O_TRUNC and O_APPEND count. mode is for a
// file that is made: the owner's is stored, of anybody else's only the owner's execute bit.
func (v *View) Open(ctx context.Context, p datasite.Path, flag int, mode iofs.FileMode) (*File, error) {
	const op = "open"
	a, err := v.actor(op, p)
	if err != nil {
		return nil, err
	}
	if p.IsRoot() {
		return nil, pathError(op, p, unix.EISDIR)
	}
	var n news
	f, err := func() (*File, error) {
		// Also for the owner: a rename must find the handle, or come before it.
		defer v.g.locks.lock(lockReq{p, flag&(unix.O_CREAT|unix.O_TRUNC) != 0})()
		return v.open(a, p, flag, mode, &n)
	}()
	v.g.tell(v, n)
	return f, err
}

func (v *View) open(a actor, p datasite.Path, flag int, mode iofs.FileMode, n *news) (*File, error) {
	const op = "open"
	now := v.g.moment(p.Owner) // before the decision: a change in between makes the handle ask again
	e, err := v.g.tree.Stat(p)
	if absent(err) {
		if flag&unix.O_CREAT != 0 {
			return v.create(a, p, now, flag, mode, n)
		}
		if !a.owner {
			err = hidden(op, p)
		}
	}
	if err != nil {
		return nil, err
	}
	read, ok, err := v.visible(a, p, e.Mode)
	if err != nil {
		return nil, err
	}
	if !ok {
		if flag&unix.O_CREAT != 0 {
			return nil, v.inTheWay(op, a, p)
		}
		return nil, hidden(op, p)
	}
	if flag&unix.O_CREAT != 0 && flag&unix.O_EXCL != 0 {
		if _, err := v.need(op, a, p, e.Mode.IsDir(), perm.Create); err != nil {
			return nil, err
		}
		return nil, pathError(op, p, unix.EEXIST)
	}
	acc := flag & unix.O_ACCMODE
	decision := read
	if acc != unix.O_RDONLY || flag&unix.O_TRUNC != 0 {
		if decision, err = v.need(op, a, p, e.Mode.IsDir(), perm.Write); err != nil {
			return nil, err
		}
	}
	switch {
	case e.Mode.IsDir():
		return nil, pathError(op, p, unix.EISDIR)
	case e.Mode&modeSymlink != 0:
		return nil, pathError(op, p, unix.ELOOP)
	case !e.Mode.IsRegular():
		return nil, never(op, p, unix.EPERM, "only regular files can be opened")
	}
	if acc != unix.O_RDONLY || flag&unix.O_TRUNC != 0 {
		if err := v.g.room(op, p); err != nil {
			return nil, err
		}
	}
	b, err := v.g.tree.OpenFile(p, flag&(unix.O_ACCMODE|unix.O_APPEND), 0)
	if err != nil {
		return nil, err
	}
	f, err := v.newFile(a, p, now, b, flag, decision)
	if err == nil && flag&unix.O_TRUNC != 0 {
		if acc == unix.O_RDONLY {
			err = v.g.tree.Truncate(p, 0)
		} else {
			err = b.Truncate(0)
		}
		f.dirty.Store(true)
		f.rulesMoved(p, n)
		n.add(p)
	}
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	v.g.files.add(f)
	return f, nil
}

// create makes the file; the path lock is held, so that only somebody who works on the real directory can come first.
func (v *View) create(a actor, p datasite.Path, now moment, flag int, mode iofs.FileMode, n *news) (*File, error) {
	const op = "open"
	d, err := v.need(op, a, p, false, perm.Create)
	if err != nil {
		return nil, err
	}
	if err := v.parentVisible(op, a, p); err != nil {
		return nil, err
	}
	if p.Rel == "" {
		return nil, never(op, p, 0, "the top of the mount holds datasites only")
	}
	if err := free(op, p); err != nil {
		return nil, err
	}
	if err := limited(op, p, d, perm.File{}); err != nil {
		return nil, err
	}
	if err := v.g.room(op, p); err != nil {
		return nil, err
	}
	b, err := v.g.tree.OpenFile(p, flag&(unix.O_ACCMODE|unix.O_APPEND)|unix.O_CREAT|unix.O_EXCL, a.stored(mode, 0o600))
	if err != nil {
		return nil, err
	}
	v.g.changed(false, p)
	n.add(p)
	f, err := v.newFile(a, p, now, b, flag, d)
	if err != nil {
		v.g.rulesMoved(p, false, n)
		return nil, errors.Join(err, b.Close())
	}
	f.rulesMoved(p, n)
	f.created = true
	f.dirty.Store(true)
	v.g.files.add(f)
	return f, nil
}

// stored is the mode that something new is stored with.
func (a actor) stored(mode, others iofs.FileMode) iofs.FileMode {
	if a.owner {
		return mode & (iofs.ModePerm | iofs.ModeSetuid | iofs.ModeSetgid | iofs.ModeSticky)
	}
	return others | mode&0o100
}

func (v *View) newFile(a actor, p datasite.Path, now moment, b *backing.File, flag int, d perm.Decision) (*File, error) {
	e, err := b.Stat()
	if err != nil {
		return nil, err
	}
	f := &File{
		v: v, b: b, acc: flag & unix.O_ACCMODE, appends: flag&unix.O_APPEND != 0,
		free: a.plain && v.own(a, p),
		path: p, seen: p, who: a, decision: d, moment: now, settled: e.Stamp,
	}
	return f, nil
}

// openFiles are all open handles, so that a rename or a removal can find those that it concerns.
type openFiles struct {
	mu  sync.Mutex
	all map[*File]struct{} // guarded by mu

	left chan struct{} // guarded by mu; closed when one is closed, nil if nobody waits for that
}

func (o *openFiles) add(f *File) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil {
		o.all = map[*File]struct{}{}
	}
	o.all[f] = struct{}{}
}

func (o *openFiles) remove(f *File) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.all, f)
	if o.left != nil {
		close(o.left)
		o.left = nil
	}
}

func (o *openFiles) each(fn func(*File)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for f := range o.all {
		f.mu.Lock()
		fn(f)
		f.mu.Unlock()
	}
}

// making is an open handle through which v made the file at p; nil if there is none.
func (o *openFiles) making(v *View, p datasite.Path) (found *File) {
	o.each(func(f *File) {
		if f.v == v && f.created && !f.gone && f.path == p {
			found = f
		}
	})
	return found
}

// recheck makes every handle ask again before its next read or write.
func (o *openFiles) recheck() { o.each(func(f *File) { f.stale = true }) }

// gone marks the handles of what lay at p or below: the name is somebody else's from now on, or nobody's.
func (o *openFiles) gone(p datasite.Path) {
	o.each(func(f *File) {
		if !f.gone && f.path.Under(p) {
			f.gone = true
		}
	})
}

// moved gives the handles at or below from their new path, where they must ask again; with swap also the other way round.
func (o *openFiles) moved(from, to datasite.Path, swap bool) {
	o.each(func(f *File) {
		switch {
		case f.gone:
		case f.path.Under(from):
			f.path, f.stale = rebase(f.path, from, to), true
		case swap && f.path.Under(to):
			f.path, f.stale = rebase(f.path, to, from), true
		}
	})
}

func rebase(p, from, to datasite.Path) datasite.Path {
	return datasite.Path{Owner: to.Owner, Rel: to.Rel + p.Rel[len(from.Rel):]}
}
