package guard

import (
	"context"
	"errors"
	iofs "io/fs"
	"os"

	"github.com/openmined/syftfs/fs/backing"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"golang.org/x/sys/unix"
)

// SetAttr changes mode, size and dates of p; with f, which may be nil, of the open file f wherever it lies. All rights are
// asked for before anything is changed.
func (v *View) SetAttr(ctx context.Context, p datasite.Path, f *File, at Attr) (e datasite.Entry, err error) {
	if f != nil && at.Size != nil {
		// By the handle: its right to write was decided when it was opened.
		if err := v.mayChown(p, at); err != nil {
			return e, err
		}
		if err := f.Truncate(*at.Size); err != nil {
			return e, err
		}
		at.Size, at.UID, at.GID = nil, nil, nil
	}
	if f != nil {
		p = f.Path()
		if at.Mode == nil && at.ATime == nil && at.MTime == nil {
			return f.Stat()
		}
		f.mu.Lock()
		gone := f.gone
		f.mu.Unlock()
		if s, err := f.b.Stat(); gone || err != nil || s.Links == 0 {
			return v.setGone(f, at)
		}
	}
	var n news
	err = v.locked("setattr", []lockReq{exclusive(p)}, &n, func(a actor) (err error) {
		e, err = v.setAttr(ctx, a, p, at, &n)
		return err
	})
	var d *Denied
	if f != nil && errors.As(err, &d) && d.Hidden {
		err = refuseHidden("setattr", actor{id: v.who}, p, perm.Write) // the file is in hand
	}
	return e, err
}

// needWrite is need for writing. Whoever made the file and has not closed it yet holds that, even without the right: the
// kernel does not say by which handle dates and bits are set.
func (v *View) needWrite(op string, a actor, p datasite.Path, dir bool) (perm.Decision, error) {
	d, err := v.need(op, a, p, dir, perm.Write)
	if err == nil || dir {
		return d, err
	}
	f := v.g.files.making(v, p)
	if f == nil || f.acc == unix.O_RDONLY {
		return d, err
	}
	f.mu.Lock()
	held, fresh := f.decision, f.fresh() && f.writeErr == nil
	f.mu.Unlock()
	if fresh {
		return held, nil
	}
	// Not by asking the handle: that takes the accounts' lock, and a path is locked here.
	if held, cerr := v.need(op, a, p, false, perm.Create); cerr == nil {
		return held, nil
	}
	return d, err
}

// setGone changes a file that has no name any more: nobody else can see it, so only the handle counts.
func (v *View) setGone(f *File, at Attr) (datasite.Entry, error) {
	if _, err := f.may("setattr", true); err != nil {
		return datasite.Entry{}, err
	}
	times, err := backing.Times(at.ATime, at.MTime)
	if err != nil {
		return datasite.Entry{}, pathError("utimens", f.Path(), unix.EINVAL)
	}
	m := at.Mode
	if !f.free {
		m = nil
	}
	if err := f.b.SetAttr(m, times); err != nil {
		return datasite.Entry{}, err
	}
	return f.Stat()
}

func (v *View) mayChown(p datasite.Path, at Attr) error {
	if at.UID == nil && at.GID == nil {
		return nil
	}
	uid, gid, err := v.g.tree.Owner(p)
	if err != nil {
		return err
	}
	// A mount may show everything as the person's who mounted it.
	if at.UID != nil && *at.UID != uid && *at.UID != uint32(os.Geteuid()) || at.GID != nil && *at.GID != gid && *at.GID != uint32(os.Getegid()) {
		return never("chown", p, unix.EPERM, "files belong to whoever runs this program")
	}
	return nil
}

func (v *View) setAttr(ctx context.Context, a actor, p datasite.Path, at Attr, n *news) (datasite.Entry, error) {
	before, read, err := v.look("setattr", a, p)
	if err != nil {
		return before, err
	}
	shown, err := v.show(a, p, before, read)
	if err != nil {
		return before, err
	}
	if err := v.mayChown(p, at); err != nil {
		return before, err
	}
	mode, err := v.mayChmod(a, p, before, shown, at.Mode)
	if err != nil {
		return before, err
	}
	dates := at.ATime != nil || at.MTime != nil
	if dates {
		if _, err := v.needWrite("utimens", a, p, before.Mode.IsDir()); err != nil {
			return before, err
		}
	}
	if at.Size != nil {
		if err := v.mayResize(a, p, before, *at.Size); err != nil {
			return before, err
		}
	}
	times, err := backing.Times(at.ATime, at.MTime)
	if err != nil {
		return before, pathError("utimens", p, unix.EINVAL)
	}

	if at.Size != nil {
		if err := v.g.tree.Truncate(p, *at.Size); err != nil {
			return before, err
		}
	}
	if mode != nil {
		if err := v.g.tree.Chmod(p, *mode); err != nil {
			return before, err
		}
	}
	if dates {
		if err := v.g.tree.Utimes(p, times); err != nil {
			return before, err
		}
	}
	if at.Size != nil || mode != nil || dates {
		n.add(p)
		v.g.rulesMoved(p, false, n)
		if err := v.recordAttr(ctx, a, p, before, at.Size != nil); err != nil {
			return before, err
		}
	}
	return v.outcome(a, p)
}

// recordAttr keeps what is known about the file true: new bytes are a change; new dates alone would look like one after a crash.
func (v *View) recordAttr(ctx context.Context, a actor, p datasite.Path, before datasite.Entry, bytes bool) error {
	if !before.Mode.IsRegular() {
		return nil
	}
	k := v.g.known(p)
	c := datasite.Change{Op: datasite.OpWrite, Path: p, Before: k}
	if bytes {
		e, err := v.g.tree.Stat(p)
		if err != nil {
			return err
		}
		c.After.Stamp = e.Stamp
		return v.record(ctx, a, c)
	}
	if !sameStamp(k.Stamp, before.Stamp) {
		return nil // not recorded as it was: whoever has it open settles it, or Reconcile does
	}
	after, err := v.g.carried(p, p, before)
	if err != nil {
		return err
	}
	c.After = after
	return v.record(ctx, a, c)
}

// mayChmod gives the mode to store, nil if there is nothing to do. The owner's is real; anybody else may set or clear the
// owner's execute bit of a file.
func (v *View) mayChmod(a actor, p datasite.Path, stored, shown datasite.Entry, want *iofs.FileMode) (*iofs.FileMode, error) {
	const op = "chmod"
	const all = iofs.ModePerm | iofs.ModeSetuid | iofs.ModeSetgid | iofs.ModeSticky
	if want == nil || *want&all == shown.Mode&all {
		return nil, nil
	}
	if _, err := v.needWrite(op, a, p, stored.Mode.IsDir()); err != nil {
		return nil, err
	}
	if v.own(a, p) {
		m := *want & all
		return &m, nil
	}
	if !stored.Mode.IsRegular() || (*want^shown.Mode)&all != 0o100 {
		return nil, never(op, p, unix.EPERM, "only the execute bit of a file can be changed by anybody but the owner")
	}
	m := stored.Mode&all&^0o100 | *want&0o100
	return &m, nil
}

func (v *View) mayResize(a actor, p datasite.Path, before datasite.Entry, size int64) error {
	const op = "truncate"
	d, err := v.needWrite(op, a, p, before.Mode.IsDir())
	if err != nil {
		return err
	}
	switch {
	case before.Mode.IsDir():
		return pathError(op, p, unix.EISDIR)
	case !before.Mode.IsRegular():
		return pathError(op, p, unix.EINVAL)
	}
	return limited(op, p, d, perm.File{Size: size})
}
