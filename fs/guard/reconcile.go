package guard

import (
	"context"
	"errors"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
)

// Reconcile compares the tree with Memory and records what differs with origin recovery. It sweeps the staging leftovers
// first. It runs beside the mount: what people change meanwhile is recorded by the one or the other, at worst by both.
func (g *Guard) Reconcile(ctx context.Context) (changed int, err error) {
	if _, err := g.tree.Sweep(ctx); err != nil {
		if ctx.Err() != nil {
			return 0, err
		}
		g.cfg.Log.Warn("cannot remove all leftovers", "op", "sweep", "err", err)
	}
	r := recovery{g: g, ctx: ctx}
	if err = r.all(); err == nil && r.changed > 0 {
		err = g.flush(ctx)
	}
	return r.changed, err
}

// recovery records what was done behind our back.
type recovery struct {
	g       *Guard
	ctx     context.Context
	changed int

	// beside is set while this program itself changes the tree: what it recorded with the same stamp is believed, and what it is about to
	// record is left to it.
	beside bool
	busy   func(datasite.Path) // told what was left; set with beside
}

// all compares the own datasite and the replicas.
func (r *recovery) all() error {
	// What is gone comes first: a removed path takes along what is known below it.
	if err := r.gone(datasite.Path{}); err != nil {
		return err
	}
	return r.folder(datasite.Path{}, time.Time{})
}

// gone records as removed what was known at under and below it and is not there, or is something else now.
func (r *recovery) gone(under datasite.Path) error {
	g := r.g
	if g.cfg.Memory == nil {
		return nil
	}
	var gone []datasite.Path // Memory may be in a transaction while it calls: nothing is written before it is done
	err := g.cfg.Memory.EachKnown(under, func(p datasite.Path, k datasite.Known) error {
		e, err := g.tree.Stat(p)
		if absent(err) || err == nil && !e.Mode.IsRegular() && !placed(e, k) {
			gone = append(gone, p)
		}
		return r.ctx.Err()
	})
	for _, p := range gone {
		if err == nil {
			err = r.path(p, time.Time{})
		}
	}
	return err
}

// wholeFolder is the size in the recorded stamp of a folder that was put in place as a whole. No file has it, and an
// inode number alone is used again soon after a file went.
const wholeFolder = -1

// asPlaced is what is recorded about such a folder.
func asPlaced(e datasite.Entry) datasite.Known {
	e.Stamp.Size = wholeFolder
	return datasite.Known{Stamp: e.Stamp}
}

// placed reports whether k was recorded when the folder e was put in place as a whole. Its files are not known one by one:
// they are what was placed as long as they are older than that rename.
func placed(e datasite.Entry, k datasite.Known) bool {
	return e.Mode.IsDir() && k.Stamp.Size == wholeFolder && k.Stamp.Dev == e.Stamp.Dev && k.Stamp.Ino == e.Stamp.Ino
}

// folder compares everything below p. whole is when the innermost folder around it was placed as a whole, if one was.
func (r *recovery) folder(p datasite.Path, whole time.Time) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	list, err := r.g.tree.List(p)
	if absent(err) {
		return nil // gone meanwhile
	}
	if err != nil {
		return err
	}
	for _, e := range list {
		q, err := p.Child(e.Name)
		switch {
		case err != nil, p.IsRoot() && !e.Mode.IsDir():
			continue // at the top, what is no datasite
		case e.Mode.IsDir():
			sub := whole
			if k := r.g.known(q); placed(e, k) {
				sub = k.Stamp.CTime
			}
			err = r.folder(q, sub)
		case e.Mode.IsRegular():
			var same bool
			if same, err = r.asKnown(q, e, whole); err == nil && !same {
				err = r.path(q, whole)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// asKnown reports whether the file is provably what was last recorded: by its stamp, or by its hash where the stamp is the
// same but proves nothing. Without a hash it counts as changed. A file that is not known by itself is if it came with a
// folder that was placed at the time whole.
func (r *recovery) asKnown(p datasite.Path, e datasite.Entry, whole time.Time) (bool, error) {
	if r.g.cfg.Memory == nil {
		return false, nil
	}
	k, ok := r.g.cfg.Memory.Known(p)
	switch {
	case !ok:
		return e.Stamp.CTime.Before(whole), nil
	case !sameStamp(k.Stamp, e.Stamp):
		return false, nil
	case r.beside, k.Stamp.Same(e.Stamp):
		return true, nil
	case k.Hash == (datasite.Hash{}):
		return false, nil
	}
	h, err := r.g.hashOf(r.ctx, p, e)
	if errors.Is(err, datasite.ErrStale) {
		return false, nil
	}
	return err == nil && h == k.Hash, err
}

// path records what is at p now, if it still differs once nobody else can change it through the gate.
func (r *recovery) path(p datasite.Path, whole time.Time) error {
	g := r.g
	var n news
	err := func() error {
		defer g.locks.lock(exclusive(p))()
		if r.beside && g.files.writing(p) {
			r.busy(p)
			return nil
		}
		e, err := g.tree.Stat(p)
		if err != nil && !absent(err) {
			return err
		}
		c := datasite.Change{Op: datasite.OpRemove, Path: p, Before: g.known(p),
			By: datasite.Identity{Subject: g.cfg.Owner}, Origin: datasite.OriginRecovery, At: g.cfg.Now()}
		switch {
		case err == nil && e.Mode.IsRegular():
			if same, err := r.asKnown(p, e, whole); err != nil || same {
				return err
			}
			c.Op, c.After = datasite.OpWrite, datasite.Known{Stamp: e.Stamp}
		case c.Before == (datasite.Known{}) || err == nil && placed(e, c.Before):
			return nil // somebody was quicker
		}
		n.add(p)
		g.changed(false, p)
		g.rulesMoved(p, false, &n)
		r.changed++
		return g.write(r.ctx, c, false)
	}()
	g.tell(nil, n)
	return err
}
