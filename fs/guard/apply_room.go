package guard

import (
	"context"
	"errors"
	iofs "io/fs"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"golang.org/x/sys/unix"
)

// makeRoom removes empty folders from the place of the file and makes the folders above it that are missing.
func (a *arrival) makeRoom(ctx context.Context, st state) error {
	if st.entry.Mode.IsDir() {
		if err := a.removeFolders(ctx); err != nil {
			return err
		}
	}
	var missing []datasite.Path // innermost first
	for d := a.c.Path.Parent(); !d.IsRoot(); d = d.Parent() {
		e, err := a.g.tree.Stat(d)
		if err == nil && !e.Mode.IsDir() {
			err = pathError(a.op, d, unix.ENOTDIR)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, iofs.ErrNotExist) {
			return err
		}
		if err := a.mayMakeFolder(d); err != nil {
			return err
		}
		missing = append(missing, d)
	}
	for i := len(missing) - 1; i >= 0; i-- {
		d := missing[i]
		err := a.g.do(ctx, &Step{Call: CallMkdir, Path: d, run: func() error { return a.makeFolder(ctx, d) }})
		a.tell()
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *arrival) mayMakeFolder(d datasite.Path) error {
	dec, err := a.may(d, true, perm.Create)
	if err == nil {
		err = limited(a.op, d, dec, perm.File{Dir: true})
	}
	if err == nil && !dec.Owner && datasite.IsRuleName(d.Base()) {
		err = never(a.op, d, unix.EPERM, "a permission file is a regular file")
	}
	return err
}

func (a *arrival) makeFolder(ctx context.Context, d datasite.Path) error {
	g := a.g
	defer g.locks.lock(exclusive(d))()
	if err := a.mayMakeFolder(d); err != nil {
		return err
	}
	done, err := g.tree.Step(a.op, "mkdir", d, func() error { return g.tree.Mkdir(d, 0o700) })
	if !done {
		if errors.Is(err, iofs.ErrExist) { // whatever it is: what is to be made in it tells
			return nil
		}
		return err
	}
	a.moved(d)
	if err != nil || d.Rel == "" {
		return err
	}
	return a.aside(ctx, datasite.Change{Op: datasite.OpMkdir, Path: d})
}

// aside records what had to be done for the sake of the change, which is committed after it.
func (a *arrival) aside(ctx context.Context, c datasite.Change) error {
	c.By, c.Origin, c.At = a.c.By, a.c.Origin, a.c.At
	return a.g.write(ctx, c, false)
}

// removeFolders removes the folder in the place of the file if nothing but folders is in it.
func (a *arrival) removeFolders(ctx context.Context) error {
	p := a.c.Path
	list := []datasite.Path{p}
	err := a.g.walk(ctx, p, func(q datasite.Path, e datasite.Entry) error {
		if !e.Mode.IsDir() {
			return pathError(a.op, p, unix.EISDIR)
		}
		list = append(list, q)
		return nil
	})
	if err != nil {
		return err
	}
	for i := len(list) - 1; i >= 0; i-- {
		d := list[i]
		err := a.g.do(ctx, &Step{Call: CallRmdir, Path: d, run: func() error { return a.removeFolder(ctx, d) }})
		a.tell()
		switch {
		case errors.Is(err, unix.ENOTEMPTY):
			return pathError(a.op, p, unix.EISDIR)
		case err != nil && !absent(err):
			return err
		}
	}
	return nil
}

func (a *arrival) removeFolder(ctx context.Context, d datasite.Path) error {
	g := a.g
	defer g.locks.lock(exclusive(d))()
	if _, err := a.may(d, true, perm.Write); err != nil {
		return err
	}
	before := g.known(d)
	done, err := g.tree.Step(a.op, "rmdir", d, func() error { return g.tree.Rmdir(d) })
	if !done {
		return err
	}
	a.moved(d)
	if err != nil {
		return err
	}
	return a.aside(ctx, datasite.Change{Op: datasite.OpRemove, Path: d, Before: before})
}
