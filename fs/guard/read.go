package guard

import (
	"context"
	"io"
	iofs "io/fs"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"golang.org/x/sys/unix"
)

const modeSymlink = iofs.ModeSymlink

// Stat tells about p itself, a link included.
func (v *View) Stat(ctx context.Context, p datasite.Path) (datasite.Entry, error) {
	a, err := v.actor("stat", p)
	if err != nil {
		return datasite.Entry{}, err
	}
	defer v.lockFor(a, p)()
	return v.stat("stat", a, p)
}

func (v *View) stat(op string, a actor, p datasite.Path) (datasite.Entry, error) {
	e, d, err := v.look(op, a, p)
	if err != nil {
		return datasite.Entry{}, err
	}
	return v.show(a, p, e, d)
}

// List gives what of folder p exists for the view's identity, sorted by name.
func (v *View) List(ctx context.Context, p datasite.Path) ([]datasite.Entry, error) {
	a, err := v.actor("list", p)
	if err != nil {
		return nil, err
	}
	defer v.lockFor(a, p)()
	e, _, err := v.look("list", a, p)
	if err != nil {
		return nil, err
	}
	if !e.Mode.IsDir() {
		return nil, pathError("list", p, unix.ENOTDIR)
	}
	all, err := v.g.tree.List(p)
	if err != nil {
		return nil, err
	}
	if v.own(a, p) {
		return all, nil
	}
	out := all[:0]
	for _, e := range all {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		c, err := p.Child(e.Name)
		if err != nil || p.IsRoot() && !e.Mode.IsDir() {
			continue // at the top: a file, or a folder that is no address
		}
		d, ok, err := v.visible(a, c, e.Mode)
		if err == nil && ok {
			e, err = v.show(a, c, e, d)
		}
		if err != nil { // what cannot be decided is hidden, and does not hide the rest
			v.g.cfg.Log.Warn("cannot decide, hidden", "path", c.String(), "err", err)
			continue
		}
		if ok {
			out = append(out, e)
		}
	}
	return out, nil
}

// Readlink gives the target of a link as it is stored. What it leads to is decided by itself.
func (v *View) Readlink(ctx context.Context, p datasite.Path) (target string, err error) {
	err = v.mayRead("readlink", p, func(actor, datasite.Entry, perm.Decision) (err error) {
		target, err = v.g.tree.Readlink(p)
		return err
	})
	return target, err
}

// mayRead runs do, with the locks held, if p may be read.
func (v *View) mayRead(op string, p datasite.Path, do func(actor, datasite.Entry, perm.Decision) error) error {
	a, err := v.actor(op, p)
	if err != nil {
		return err
	}
	defer v.lockFor(a, p)()
	e, d, err := v.look(op, a, p)
	if err != nil {
		return err
	}
	if !d.Allowed {
		return v.refuse(op, a, p, d)
	}
	return do(a, e, d)
}

// ReadFile reads a whole file as the view's identity.
func (v *View) ReadFile(ctx context.Context, p datasite.Path) ([]byte, error) {
	f, err := v.Open(ctx, p, unix.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(&ctxReader{ctx: ctx, f: f})
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	return body, nil
}

type ctxReader struct {
	ctx context.Context
	f   *File
	off int64
}

func (r *ctxReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.f.ReadAt(p, r.off)
	r.off += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}
