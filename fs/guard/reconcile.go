package guard

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"

	"github.com/openmined/syftfs/fs/datasite"
	"golang.org/x/sys/unix"
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
	own := datasite.Path{Owner: g.cfg.Owner}
	err = g.walk(ctx, own, func(p datasite.Path, e datasite.Entry) error {
		if !e.Mode.IsRegular() {
			return nil
		}
		same, err := g.asKnown(p, e)
		if err != nil || same {
			return err
		}
		ok, err := g.recover(ctx, p)
		if ok {
			changed++
		}
		return err
	})
	if err != nil || g.cfg.Memory == nil {
		return changed, err
	}
	// Memory may be in a transaction while it calls, so nothing is written before it is done.
	var gone []datasite.Path
	err = g.cfg.Memory.EachKnown(own, func(p datasite.Path, k datasite.Known) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if e, err := g.tree.Stat(p); absent(err) || err == nil && !e.Mode.IsRegular() {
			gone = append(gone, p)
		}
		return nil
	})
	if err != nil {
		return changed, err
	}
	for _, p := range gone {
		ok, err := g.recover(ctx, p)
		if ok {
			changed++
		}
		if err != nil {
			return changed, err
		}
	}
	return changed, nil
}

// asKnown reports whether the file is provably what was last recorded: by its stamp, or by its hash where the stamp is the
// same but proves nothing. Without a hash it counts as changed.
func (g *Guard) asKnown(p datasite.Path, e datasite.Entry) (bool, error) {
	if g.cfg.Memory == nil {
		return false, nil
	}
	k, ok := g.cfg.Memory.Known(p)
	switch {
	case !ok || !sameStamp(k.Stamp, e.Stamp):
		return false, nil
	case k.Stamp.Same(e.Stamp):
		return true, nil
	case k.Hash == (datasite.Hash{}):
		return false, nil
	}
	h, err := g.hash(p)
	if absent(err) {
		return false, nil
	}
	return err == nil && h == k.Hash, err
}

func (g *Guard) hash(p datasite.Path) (h datasite.Hash, err error) {
	f, err := g.tree.OpenFile(p, unix.O_RDONLY, 0)
	if err != nil {
		return h, err
	}
	sum := sha256.New()
	_, err = io.Copy(sum, io.NewSectionReader(f, 0, 1<<62))
	if err = errors.Join(err, f.Close()); err != nil {
		return h, err
	}
	return datasite.Hash(sum.Sum(nil)), nil
}

// recover records what is at p now, if it still differs once nobody else can change it through the gate.
func (g *Guard) recover(ctx context.Context, p datasite.Path) (bool, error) {
	var n news
	ok, err := func() (bool, error) {
		defer g.locks.lock(exclusive(p))()
		e, err := g.tree.Stat(p)
		if err != nil && !absent(err) {
			return false, err
		}
		c := datasite.Change{Op: datasite.OpRemove, Path: p, Before: g.known(p),
			By: datasite.Identity{Subject: g.cfg.Owner}, Origin: datasite.OriginRecovery, At: g.cfg.Now()}
		if err == nil && e.Mode.IsRegular() {
			if same, err := g.asKnown(p, e); err != nil || same {
				return false, err
			}
			c.Op, c.After = datasite.OpWrite, datasite.Known{Stamp: e.Stamp}
		} else if g.cfg.Memory != nil {
			if _, known := g.cfg.Memory.Known(p); !known {
				return false, nil
			}
		}
		n.add(p)
		g.changed(false, p)
		g.rulesMoved(p, false, &n)
		return true, g.write(ctx, c, false)
	}()
	g.tell(nil, n)
	return ok, err
}
