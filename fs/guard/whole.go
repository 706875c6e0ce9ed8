package guard

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	iofs "io/fs"
	"strings"

	"github.com/openmined/syftfs/fs/backing"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"golang.org/x/sys/unix"
)

// The kernel did not ask for what Write, Place and RemoveAll do, so the kernel of the view itself is told too.

// Write replaces or makes a whole file atomically: hidden temp, sync, rename, one committed change. Missing parents are made.
func (v *View) Write(ctx context.Context, p datasite.Path, body []byte) error {
	const op = "write"
	var n news
	err := v.lockedAll(op, p, &n, func(a actor) error {
		e, there, err := v.there(a, p)
		if err != nil {
			return err
		}
		if there == unseen {
			return v.inTheWay(op, a, p)
		}
		replaces := there == seen
		want, mode := perm.Create, a.stored(0o644, 0o600)
		if replaces {
			want, mode = perm.Write, e.Mode.Perm()
		}
		d, err := v.need(op, a, p, replaces && e.Mode.IsDir(), want)
		switch {
		case err != nil:
			return err
		case p.Rel == "" || replaces && e.Mode.IsDir():
			return pathError(op, p, unix.EISDIR)
		case replaces && !e.Mode.IsRegular():
			return never(op, p, unix.EPERM, "only a regular file can be replaced")
		}
		if err := free(op, p); err != nil {
			return err
		}
		if err := limited(op, p, d, perm.File{Size: int64(len(body))}); err != nil {
			return err
		}
		if err := v.makeParents(ctx, op, a, p, &n); err != nil {
			return err
		}
		before := v.g.known(p)
		now, err := v.g.tree.WriteFile(op, p, body, mode)
		// Also after an error: it may have come after the rename.
		n.add(p)
		v.g.changed(false, p)
		v.g.rulesMoved(p, false, &n)
		if err != nil {
			return err
		}
		v.g.files.gone(p)
		return v.commit(ctx, a, datasite.Change{Op: datasite.OpWrite, Path: p, Before: before,
			After: datasite.Known{Hash: sha256.Sum256(body), Stamp: now.Stamp}})
	})
	return err
}

// lockedAll is locked for what the view's own kernel is told too.
func (v *View) lockedAll(op string, p datasite.Path, n *news, do func(a actor) error) error {
	var none news
	err := v.locked(op, []lockReq{exclusive(p)}, &none, do)
	v.g.tell(nil, *n)
	return err
}

func (v *View) commit(ctx context.Context, a actor, c datasite.Change) error {
	if c.By == (datasite.Identity{}) {
		c.By = a.id
	}
	if c.Origin == "" {
		c.Origin = datasite.OriginLocal
	}
	if c.At.IsZero() {
		c.At = v.g.cfg.Now()
	}
	return v.g.write(ctx, c, true)
}

// makeParents makes the folders above p that are missing, after asking for all of them. p is locked, they are held shared:
// somebody else may make the same one meanwhile.
func (v *View) makeParents(ctx context.Context, op string, a actor, p datasite.Path, n *news) error {
	var missing []datasite.Path // innermost first
	for d := p.Parent(); !d.IsRoot(); d = d.Parent() {
		e, err := v.g.tree.Stat(d)
		if err == nil {
			if !e.Mode.IsDir() {
				return pathError(op, d, unix.ENOTDIR)
			}
			break
		}
		if !absent(err) {
			return err
		}
		if v.delivery(a, p) == nil { // decided on as a whole
			missing = append(missing, d)
			continue
		}
		dec, err := v.need(op, a, d, true, perm.Create)
		if err == nil {
			err = limited(op, d, dec, perm.File{Dir: true})
		}
		if err == nil && !dec.Owner && datasite.IsRuleName(d.Base()) {
			err = never(op, d, unix.EPERM, "a permission file is a regular file")
		}
		if err != nil {
			return err
		}
		missing = append(missing, d)
	}
	for i := len(missing) - 1; i >= 0; i-- {
		d := missing[i]
		err := v.g.tree.Mkdir(d, a.stored(0o755, 0o700))
		if errors.Is(err, iofs.ErrExist) {
			continue
		}
		if err == nil {
			err = v.g.tree.SyncDir(d.Parent())
		}
		if err != nil {
			return err
		}
		n.add(d)
		v.g.changed(false, d)
		v.g.rulesMoved(d, false, n)
		if d.Rel == "" {
			continue
		}
		if err := v.record(ctx, a, datasite.Change{Op: datasite.OpMkdir, Path: d}); err != nil {
			return err
		}
	}
	return nil
}

// delivery decides on what the owner's view may put into a peer's datasite without a rule: sealed jobs of one's own, in the
// place where that peer looks for them. The way in is jobs/, whose sealing ends here.
func (v *View) delivery(a actor, p datasite.Path) error {
	inbox := datasite.JobInboxDir + "/" + string(v.g.cfg.Owner) + "/"
	if !a.plain || p.Owner == v.g.cfg.Owner || p.IsRoot() || !strings.HasPrefix(p.Rel, inbox) {
		return errNoDelivery
	}
	return nil
}

var errNoDelivery = errors.New("not a job of one's own in a peer's inbox")

// Place puts a whole folder at c.Path: copied from src to a hidden staging folder at the root of the backing tree, synced,
// moved in by one rename (exchange if it exists, the old one removed after), recorded as one committed change c. Missing parents are made.
// By, Origin and At of c are filled in where they are not given, After.Stamp is that of the folder, with size -1. The steps are named
// place:copy, place:sync, place:rename, place:sync-dir and place:remove.
func (v *View) Place(ctx context.Context, c datasite.Change, src iofs.FS) error {
	const op = "place"
	p := c.Path
	a, err := v.actor(op, p)
	if err != nil {
		return err
	}
	if c.Op != datasite.OpSubmit && c.Op != datasite.OpPlace {
		return fmt.Errorf("%s %s: a folder is placed as %s or %s, not as %q: %w", op, p, datasite.OpPlace, datasite.OpSubmit, c.Op, iofs.ErrInvalid)
	}
	if err := v.mayPlace(ctx, a, c, nil); err != nil { // before the copying, for the sake of whoever waits
		return err
	}
	s, err := v.g.tree.Stage(ctx, op, src)
	if err != nil {
		return fmt.Errorf("%s %s: %w", op, p, err)
	}
	placed := false
	var n news
	err = v.lockedAll(op, p, &n, func(a actor) error {
		if err := v.mayPlace(ctx, a, c, s); err != nil {
			return err
		}
		if err := v.makeParents(ctx, op, a, p, &n); err != nil {
			return err
		}
		replaced, err := s.Into(op, p)
		if placed = err == nil || replaced; !placed {
			return err
		}
		n.add(p)
		if replaced {
			v.g.files.gone(p)
		}
		v.g.changed(true, p)
		v.g.rulesMoved(p, true, &n)
		if err != nil {
			return err
		}
		e, err := v.g.tree.Stat(p)
		if err != nil {
			return err
		}
		c.After.Stamp = asPlaced(e).Stamp
		return v.commit(ctx, a, c)
	})
	if err != nil && placed {
		return err // the old folder stays in the staging area until the next sweep
	}
	return errors.Join(err, v.discard(op, s))
}

// discard removes what was taken out. What cannot be removed now is swept at the next start, so that is no failure.
func (v *View) discard(op string, s *backing.Staged) error {
	if err := s.Discard(op); err != nil {
		v.g.cfg.Log.Warn("cannot remove a replaced folder yet", "op", op, "err", err)
	}
	return nil
}

// mayPlace decides on a folder as a whole: what is there is replaced (write on each entry), what comes is made (create on
// each). s is nil before the copying.
func (v *View) mayPlace(ctx context.Context, a actor, c datasite.Change, s *backing.Staged) error {
	const op = "place"
	p := c.Path
	if p.Rel == "" {
		return pathError(op, p, unix.EBUSY)
	}
	if c.Op == datasite.OpSubmit && v.delivery(a, p) == nil {
		return nil
	}
	e, found, err := v.there(a, p)
	if err != nil {
		return err
	}
	if found == unseen {
		return v.inTheWay(op, a, p)
	}
	there := found == seen
	want := perm.Create
	if there {
		want = perm.Write
	}
	d, err := v.need(op, a, p, true, want)
	if err != nil {
		return err
	}
	if there && !e.Mode.IsDir() {
		return pathError(op, p, unix.ENOTDIR)
	}
	if err := free(op, p); err != nil {
		return err
	}
	if v.own(a, p) {
		return nil
	}
	if err := limited(op, p, d, perm.File{Dir: true}); err != nil {
		return err
	}
	m := move{v: v, a: a, from: p, to: p}
	if there {
		left := maxFolderRename
		if err := m.below(ctx, p, p, e, &left); err != nil {
			return err
		}
	}
	if s == nil {
		return nil
	}
	return s.Walk(func(rel string, e datasite.Entry) error {
		q := p.Join(rel)
		d, err := v.need(op, a, q, e.Mode.IsDir(), perm.Create)
		if err != nil {
			return err
		}
		return m.fits(q, q, e, d)
	})
}

// RemoveAll removes p and everything below, as the owner only. It goes with one rename, to the staging area; each file of
// it is recorded as removed. The steps are named remove:rename, remove:sync-dir and remove:remove.
func (v *View) RemoveAll(ctx context.Context, p datasite.Path) error {
	const op = "remove"
	var s *backing.Staged
	var n news
	err := v.lockedAll(op, p, &n, func(a actor) error {
		if !v.own(a, p) {
			return never(op, p, 0, "only the owner can remove a folder with all that is in it at once")
		}
		e, _, err := v.look(op, a, p)
		if err != nil {
			return err
		}
		if _, err := v.need(op, a, p, e.Mode.IsDir(), perm.Write); err != nil {
			return err
		}
		if p.Rel == "" {
			return pathError(op, p, unix.EBUSY)
		}
		gone, err := v.g.filesBelow(ctx, p, e)
		if err != nil {
			return err
		}
		s, err = v.g.tree.TakeOut(op, p)
		if s == nil {
			return err
		}
		n.add(p)
		v.g.files.gone(p)
		v.g.changed(true, p)
		v.g.rulesMoved(p, e.Mode.IsDir(), &n)
		if err != nil {
			return err
		}
		for _, q := range gone {
			if err := v.record(ctx, a, datasite.Change{Op: datasite.OpRemove, Path: q, Before: v.g.known(q)}); err != nil {
				return err
			}
		}
		return v.commit(ctx, a, datasite.Change{Op: datasite.OpRemove, Path: p, Before: v.g.known(p)})
	})
	if err != nil || s == nil {
		return err
	}
	return v.discard(op, s)
}

// filesBelow lists the regular files strictly below p, and the folders after what they hold.
func (g *Guard) filesBelow(ctx context.Context, p datasite.Path, e datasite.Entry) (out []datasite.Path, err error) {
	if !e.Mode.IsDir() {
		return nil, nil
	}
	err = g.walk(ctx, p, func(q datasite.Path, e datasite.Entry) error {
		if e.Mode.IsRegular() {
			out = append(out, q)
		}
		return nil
	})
	return out, err
}

// walk visits everything below the folder p, a folder before what it holds. What goes away meanwhile is left out.
func (g *Guard) walk(ctx context.Context, p datasite.Path, fn func(datasite.Path, datasite.Entry) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	list, err := g.tree.List(p)
	if absent(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range list {
		q := p.Join(e.Name)
		if err := fn(q, e); err != nil {
			return err
		}
		if e.Mode.IsDir() {
			if err := g.walk(ctx, q, fn); err != nil {
				return err
			}
		}
	}
	return nil
}
