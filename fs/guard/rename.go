package guard

import (
	"context"
	"errors"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"golang.org/x/sys/unix"
)

// maxFolderRename is how many entries of a folder are decided on for one rename by anybody but the owner.
const maxFolderRename = 10_000

// Rename moves a file or folder within a datasite. flags: 0, RENAME_NOREPLACE or RENAME_EXCHANGE. Nothing happens unless
// every right is held; a large folder is EXDEV for anybody but the owner, so that tools copy it.
func (v *View) Rename(ctx context.Context, from, to datasite.Path, flags uint) error {
	const op = "rename"
	var n news
	return v.locked(op, []lockReq{exclusive(from), exclusive(to)}, &n, func(a actor) error {
		m := move{v: v, a: a, from: from, to: to, exchange: flags == unix.RENAME_EXCHANGE}
		switch flags {
		case 0, unix.RENAME_NOREPLACE, unix.RENAME_EXCHANGE:
		default:
			return pathError(op, from, unix.EINVAL)
		}
		if err := m.decide(ctx, flags == unix.RENAME_NOREPLACE); err != nil || m.same {
			return err
		}
		if err := v.g.tree.Rename(from, to, flags); err != nil {
			return err
		}
		n.add(from, to)
		return m.done(ctx, &n)
	})
}

// move is one rename.
type move struct {
	v        *View
	a        actor
	from, to datasite.Path
	exchange bool
	src, dst datasite.Entry
	replaces bool // something is at to
	same     bool // both names are the same file: nothing to do
}

func (m *move) decide(ctx context.Context, noReplace bool) (err error) {
	const op = "rename"
	v, a := m.v, m.a
	if m.src, _, err = v.look(op, a, m.from); err != nil {
		return err
	}
	if m.from.Owner != m.to.Owner {
		return pathError(op, m.to, unix.EXDEV)
	}
	if _, err := v.need(op, a, m.from, m.src.Mode.IsDir(), perm.Write); err != nil {
		return err
	}
	if m.from.Rel == "" || m.to.Rel == "" {
		return pathError(op, m.from, unix.EBUSY)
	}
	var there presence
	if m.dst, there, err = v.there(a, m.to); err != nil {
		return err
	}
	if there == unseen && !m.exchange {
		return v.inTheWay(op, a, m.to)
	}
	m.replaces = there == seen
	want := perm.Create
	if m.replaces && !noReplace {
		want = perm.Write
	}
	d, err := v.need(op, a, m.to, m.src.Mode.IsDir(), want)
	if err != nil {
		return err
	}
	if m.replaces && m.dst.Mode.IsDir() != m.src.Mode.IsDir() && !noReplace {
		// What is there is governed as what it is, too: a folder by the rules in it.
		if _, err := v.need(op, a, m.to, m.dst.Mode.IsDir(), want); err != nil {
			return err
		}
	}
	switch {
	case m.replaces && noReplace:
		return pathError(op, m.to, unix.EEXIST)
	case m.exchange && !m.replaces:
		return pathError(op, m.to, unix.ENOENT)
	case m.replaces && m.src.Stamp.Dev == m.dst.Stamp.Dev && m.src.Stamp.Ino == m.dst.Stamp.Ino:
		m.same = true
		return nil
	case m.src.Mode.IsDir() && m.to.Under(m.from), m.exchange && m.dst.Mode.IsDir() && m.from.Under(m.to):
		return pathError(op, m.to, unix.EINVAL)
	case m.replaces && !m.exchange && m.dst.Mode.IsDir() && !m.src.Mode.IsDir():
		return pathError(op, m.to, unix.EISDIR)
	case m.replaces && !m.exchange && !m.dst.Mode.IsDir() && m.src.Mode.IsDir():
		return pathError(op, m.to, unix.ENOTDIR)
	}
	if err := free(op, m.to); err != nil {
		return err
	}
	if !m.replaces {
		if err := v.parentVisible(op, a, m.to); err != nil {
			return err
		}
	}
	if v.own(a, m.from) {
		return nil
	}
	left := maxFolderRename
	if err := m.fits(m.from, m.to, m.src, d); err != nil {
		return err
	}
	if err := m.below(ctx, m.from, m.to, m.src, &left); err != nil {
		return err
	}
	if !m.exchange {
		return nil
	}
	for _, p := range []datasite.Path{m.from, m.to} {
		for _, dir := range []bool{m.src.Mode.IsDir(), m.dst.Mode.IsDir()} {
			if _, err := v.need(op, a, p, dir, perm.Create); err != nil {
				return err
			}
			if _, err := v.need(op, a, p, dir, perm.Write); err != nil {
				return err
			}
		}
	}
	if d, err = v.need(op, a, m.from, m.dst.Mode.IsDir(), perm.Create); err != nil {
		return err
	}
	if err := m.fits(m.to, m.from, m.dst, d); err != nil {
		return err
	}
	return m.below(ctx, m.to, m.from, m.dst, &left)
}

// fits applies what the rule at the new path says about what comes there.
func (m *move) fits(from, to datasite.Path, e datasite.Entry, d perm.Decision) error {
	const op = "rename"
	f := perm.File{Dir: e.Mode.IsDir(), Symlink: e.Mode&modeSymlink != 0}
	if e.Mode.IsRegular() {
		f.Size = e.Stamp.Size
	}
	if err := limited(op, to, d, f); err != nil {
		return err
	}
	if datasite.IsRuleName(to.Base()) && !e.Mode.IsRegular() {
		return never(op, to, unix.EPERM, "a permission file is a regular file")
	}
	if f.Symlink {
		target, err := m.v.g.tree.Readlink(from)
		if err != nil {
			return err
		}
		if !staysInside(to, target) {
			return never(op, to, unix.EPERM, "a link must be relative and lead to something in the same datasite")
		}
	}
	return nil
}

// below asks for every entry below the folder from: write where it is, create where it comes.
func (m *move) below(ctx context.Context, from, to datasite.Path, e datasite.Entry, left *int) error {
	const op = "rename"
	if !e.Mode.IsDir() {
		return nil
	}
	list, err := m.v.g.tree.List(from)
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		if *left--; *left < 0 {
			return pathError(op, m.from, unix.EXDEV)
		}
		old, new := from.Join(e.Name), to.Join(e.Name)
		if _, err := m.v.need(op, m.a, old, e.Mode.IsDir(), perm.Write); err != nil {
			return m.cover(old, e, err)
		}
		d, err := m.v.need(op, m.a, new, e.Mode.IsDir(), perm.Create)
		if err != nil {
			return m.cover(old, e, err)
		}
		if err := m.fits(old, new, e, d); err != nil {
			return err
		}
		if err := m.below(ctx, old, new, e, left); err != nil {
			return err
		}
	}
	return nil
}

// cover keeps the name of a hidden entry out of the refusal that it causes.
func (m *move) cover(p datasite.Path, e datasite.Entry, err error) error {
	var d *Denied
	if _, ok, verr := m.v.visible(m.a, p, e.Mode); (verr != nil || !ok) && errors.As(err, &d) {
		return refuseHidden("rename", m.a, m.from, perm.Write)
	}
	return err
}

// done carries the handles along, makes the rules be read again, and records.
func (m *move) done(ctx context.Context, n *news) error {
	g := m.v.g
	if m.replaces && !m.exchange {
		g.files.gone(m.to)
	}
	g.files.moved(m.from, m.to, m.exchange)
	dir := m.src.Mode.IsDir() || m.replaces && m.dst.Mode.IsDir()
	g.changed(dir, m.from, m.to)
	g.rulesMoved(m.from, dir, n)
	g.rulesMoved(m.to, dir, n)
	if m.exchange {
		return errors.Join(m.swapped(ctx, m.to, m.dst, m.src), m.swapped(ctx, m.from, m.src, m.dst))
	}
	switch {
	case m.src.Mode.IsRegular(), m.src.Mode.IsDir():
		c := datasite.Change{Op: datasite.OpRename, From: m.from, Path: m.to, Before: g.known(m.to)}
		if m.src.Mode.IsRegular() {
			after, err := g.carried(m.from, m.to, m.src)
			if err != nil {
				return err
			}
			c.After = after
		}
		return m.v.record(ctx, m.a, c)
	case m.replaces && m.dst.Mode.IsRegular(): // a link took the place of a file
		return m.v.record(ctx, m.a, datasite.Change{Op: datasite.OpRemove, Path: m.to, Before: g.known(m.to)})
	}
	return nil
}

// swapped records that at p, where was lay, lies now since an exchange.
func (m *move) swapped(ctx context.Context, p datasite.Path, was, now datasite.Entry) error {
	e, err := m.v.g.tree.Stat(p)
	if err != nil {
		return err
	}
	c := datasite.Change{Path: p, Before: m.v.g.known(p)}
	if was.Mode.IsDir() && now.Mode.IsRegular() { // what was known below it is not there any more
		if err := m.v.record(ctx, m.a, datasite.Change{Op: datasite.OpRemove, Path: p, Before: c.Before}); err != nil {
			return err
		}
	}
	switch {
	case now.Mode.IsDir():
		c.Op, c.After = datasite.OpPlace, asPlaced(e)
	case now.Mode.IsRegular():
		c.Op, c.After = datasite.OpWrite, datasite.Known{Stamp: e.Stamp}
	default:
		c.Op = datasite.OpRemove
	}
	return m.v.record(ctx, m.a, c)
}

// carried is what is known about a file after it was given a new name or new dates: the hash stays if it was the hash of
// what lay there.
func (g *Guard) carried(from, to datasite.Path, before datasite.Entry) (datasite.Known, error) {
	e, err := g.tree.Stat(to)
	if err != nil {
		return datasite.Known{}, err
	}
	after := datasite.Known{Stamp: e.Stamp}
	if k := g.known(from); sameStamp(k.Stamp, before.Stamp) && !k.Stamp.Racy {
		after.Hash = k.Hash
	}
	return after, nil
}
