package guard

import (
	"context"
	iofs "io/fs"
	"path"
	"strings"

	"github.com/openmined/syftfs/fs/backing"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"golang.org/x/sys/unix"
)

// Mkdir makes a folder.
func (v *View) Mkdir(ctx context.Context, p datasite.Path, mode iofs.FileMode) (datasite.Entry, error) {
	const op = "mkdir"
	return v.make(op, p, func(a actor, n *news) error {
		d, err := v.mayMake(op, a, p, true)
		if err != nil {
			return err
		}
		if err := limited(op, p, d, perm.File{Dir: true}); err != nil {
			return err
		}
		if !d.Owner && datasite.IsRuleName(p.Base()) {
			return never(op, p, unix.EPERM, "a permission file is a regular file")
		}
		if err := v.g.tree.Mkdir(p, a.stored(mode, 0o700)); err != nil {
			return err
		}
		v.g.changed(false, p)
		v.g.rulesMoved(p, false, n)
		return v.record(ctx, a, datasite.Change{Op: datasite.OpMkdir, Path: p})
	})
}

// Symlink stores a link. The owner may store any target, others one that stays in the datasite. Links are not recorded:
// they are never replicated.
func (v *View) Symlink(ctx context.Context, p datasite.Path, target string) (datasite.Entry, error) {
	const op = "symlink"
	return v.make(op, p, func(a actor, n *news) error {
		d, err := v.mayMake(op, a, p, false)
		if err != nil {
			return err
		}
		if !d.Owner {
			if datasite.IsRuleName(p.Base()) {
				return never(op, p, unix.EPERM, "a permission file is a regular file")
			}
			if err := limited(op, p, d, perm.File{Symlink: true}); err != nil {
				return err
			}
			if !staysInside(p, target) {
				return never(op, p, unix.EPERM, "a link must be relative and lead to something in the same datasite")
			}
		}
		if err := v.g.tree.Symlink(p, target); err != nil {
			return err
		}
		v.g.changed(false, p)
		v.g.rulesMoved(p, false, n)
		return nil
	})
}

// staysInside reports whether a link at p leads to something in its datasite, by its text.
func staysInside(p datasite.Path, target string) bool {
	if target == "" || strings.HasPrefix(target, "/") {
		return false
	}
	// Joined by hand: path.Join would let "a/../.." start from a folder that itself may be a link, so ".." is only
	// counted from where the link lies, before any other name.
	depth := strings.Count(p.Rel, "/")
	down := false
	for part := range strings.SplitSeq(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if depth--; down || depth < 0 {
				return false
			}
		default:
			down = true
		}
	}
	return path.Clean(target) != "/"
}

// make runs do with the path locked and gives the entry that came to be.
func (v *View) make(op string, p datasite.Path, do func(a actor, n *news) error) (e datasite.Entry, err error) {
	var n news
	err = v.locked(op, []lockReq{exclusive(p)}, &n, func(a actor) error {
		n.add(p)
		if err := do(a, &n); err != nil {
			return err
		}
		e, err = v.outcome(a, p)
		return err
	})
	return e, err
}

// outcome tells what p is after an operation, also to those who may not see it any more because of what they did.
func (v *View) outcome(a actor, p datasite.Path) (datasite.Entry, error) {
	e, err := v.g.tree.Stat(p)
	if err != nil {
		return e, err
	}
	d, err := v.g.decide(a.id.Subject, p, e.Mode.IsDir(), perm.Read)
	if err != nil {
		return e, err
	}
	return v.show(a, p, e, d)
}

// locked resolves the actor, runs do with the locks held, and tells the news after they are dropped.
func (v *View) locked(op string, reqs []lockReq, n *news, do func(a actor) error) error {
	a, err := v.actor(op, reqs[0].path)
	if err != nil {
		return err
	}
	for _, r := range reqs {
		if r.path.IsRoot() {
			return pathError(op, r.path, unix.EBUSY)
		}
	}
	err = func() error {
		defer v.g.locks.lock(reqs...)()
		return do(a)
	}()
	v.g.tell(v, *n)
	return err
}

// mayMake decides whether something may be made at p, where nothing may be.
func (v *View) mayMake(op string, a actor, p datasite.Path, dir bool) (perm.Decision, error) {
	if p.Rel == "" && !v.own(a, p) {
		return perm.Decision{}, never(op, p, 0, "the top of the mount holds datasites only; make files inside your own")
	}
	e, there, err := v.there(a, p)
	if err != nil {
		return perm.Decision{}, err
	}
	if there == unseen {
		return perm.Decision{}, v.inTheWay(op, a, p)
	}
	d, err := v.need(op, a, p, dir || there == seen && e.Mode.IsDir(), perm.Create)
	if err != nil {
		return d, err
	}
	if there == seen {
		return d, pathError(op, p, unix.EEXIST)
	}
	if err := free(op, p); err != nil {
		return d, err
	}
	return d, v.parentVisible(op, a, p)
}

// free refuses to make what has one of our own names, which would not be seen and be swept away.
func free(op string, p datasite.Path) error {
	if p.Rel != "" && backing.Reserved(p.Base()) {
		return never(op, p, unix.EPERM, "names like this are kept for files on their way into the tree; choose another")
	}
	return nil
}

// Remove removes a file or a link.
func (v *View) Remove(ctx context.Context, p datasite.Path) error {
	return v.unlink(ctx, "remove", p, false)
}

// Rmdir removes a folder in which nothing is, not even something hidden.
func (v *View) Rmdir(ctx context.Context, p datasite.Path) error {
	return v.unlink(ctx, "rmdir", p, true)
}

func (v *View) unlink(ctx context.Context, op string, p datasite.Path, dir bool) error {
	var n news
	return v.locked(op, []lockReq{exclusive(p)}, &n, func(a actor) error {
		e, _, err := v.look(op, a, p)
		if err != nil {
			return err
		}
		if _, err := v.need(op, a, p, e.Mode.IsDir(), perm.Write); err != nil {
			return err
		}
		switch {
		case p.Rel == "":
			return pathError(op, p, unix.EBUSY)
		case dir && !e.Mode.IsDir():
			return pathError(op, p, unix.ENOTDIR)
		case !dir && e.Mode.IsDir():
			return pathError(op, p, unix.EISDIR)
		case dir:
			err = v.g.tree.Rmdir(p)
		default:
			err = v.g.tree.Remove(p)
		}
		if err != nil {
			return err
		}
		n.add(p)
		v.g.files.gone(p)
		v.g.changed(false, p)
		v.g.rulesMoved(p, false, &n)
		if !dir && !e.Mode.IsRegular() {
			return nil // as it was not recorded when it came
		}
		return v.record(ctx, a, datasite.Change{Op: datasite.OpRemove, Path: p, Before: v.g.known(p)})
	})
}
