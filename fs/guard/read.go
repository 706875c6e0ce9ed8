package guard

import (
	"context"
	"io"
	iofs "io/fs"
	"strings"

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
	if a.owner && p.Owner == v.g.cfg.Owner {
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
	err = v.mayRead("readlink", p, func() (err error) { target, err = v.g.tree.Readlink(p); return })
	return target, err
}

// mayRead runs do, with the locks held, if p may be read.
func (v *View) mayRead(op string, p datasite.Path, do func() error) error {
	a, err := v.actor(op, p)
	if err != nil {
		return err
	}
	defer v.lockFor(a, p)()
	_, d, err := v.look(op, a, p)
	if err != nil {
		return err
	}
	if !d.Allowed {
		return refuse(op, p, d)
	}
	return do()
}

// userAttr reports whether an extended attribute is one of the kind that people set; no other kind is offered.
func userAttr(name string) bool { return strings.HasPrefix(name, "user.") }

// Xattr gives an extended attribute; of other kinds than user.* there is none (ENODATA).
func (v *View) Xattr(ctx context.Context, p datasite.Path, name string) (value []byte, err error) {
	if !userAttr(name) || p.IsRoot() {
		return nil, pathError("getxattr", p, unix.ENODATA)
	}
	err = v.mayRead("getxattr", p, func() (err error) { value, err = v.g.tree.Xattr(p, name); return })
	return value, err
}

// Xattrs lists the extended attributes of kind user.*.
func (v *View) Xattrs(ctx context.Context, p datasite.Path) (names []string, err error) {
	if p.IsRoot() {
		return nil, nil
	}
	err = v.mayRead("listxattr", p, func() error {
		all, err := v.g.tree.Xattrs(p)
		for _, n := range all {
			if userAttr(n) {
				names = append(names, n)
			}
		}
		return err
	})
	return names, err
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

// Explain decides for user u what the mount would decide, with the reasons. The owner and admins of p may ask about
// anybody, others about themselves and about what exists for them.
func (v *View) Explain(ctx context.Context, u perm.User, p datasite.Path, want perm.Level) (perm.Decision, error) {
	const op = "explain"
	a, err := v.actor(op, p)
	if err != nil {
		return perm.Decision{}, err
	}
	defer v.lockFor(a, p)()
	e, serr := v.g.tree.Stat(p)
	if serr != nil && !absent(serr) {
		return perm.Decision{}, serr
	}
	dir := serr == nil && e.Mode.IsDir() || p.Rel == ""
	d, err := v.g.decide(u, p, dir, want)
	if err != nil || a.owner {
		return d, err
	}
	own, err := v.g.decide(a.id.Subject, p, dir, perm.Read)
	if err != nil {
		return perm.Decision{}, err
	}
	if p.Owner == v.g.cfg.Owner && own.Level == perm.Admin {
		return d, nil
	}
	if u != a.id.Subject {
		return perm.Decision{}, never(op, p, 0, "only the owner and admins of a path may ask about somebody else")
	}
	if serr != nil || !own.Allowed {
		if serr == nil {
			if _, ok, err := v.visible(a, p, e.Mode); err == nil && ok {
				return d, nil
			}
		}
		return perm.Decision{Request: d.Request, Steps: []perm.Step{{Text: noPermission}}}, nil
	}
	return d, nil
}
