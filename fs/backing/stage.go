package backing

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"path"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"golang.org/x/sys/unix"
)

const copyBuffer = 1 << 18

// Staged is a folder in the hidden staging area at the root of the tree, on its way in or out.
type Staged struct {
	t    *Tree
	name string
}

// staging opens the staging area, and makes it if it is missing.
func (t *Tree) staging() (folder, error) {
	for {
		fd, err := open(t.root, stagingName, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
		if err != unix.ENOENT {
			return folder{fd, true}, err
		}
		if err := unix.Mkdirat(t.root, stagingName, 0o700); err != nil && err != unix.EEXIST {
			return folder{}, err
		}
	}
}

// Stage copies the whole of src into a new staged folder and syncs it. Only folders and regular files may be in src.
// Each file keeps its owner's execute bit and no other. Steps: op+":copy" before each file, op+":sync" at the end.
func (t *Tree) Stage(ctx context.Context, op string, src iofs.FS) (*Staged, error) {
	area, err := t.staging()
	if err != nil {
		return nil, fail("stage", datasite.Path{}, err)
	}
	defer area.close()
	s := &Staged{t, t.temp()}
	err = t.copyDir(ctx, op, src, ".", area.fd, s.name)
	if err == nil {
		err = t.step(op + ":sync")
	}
	if err == nil {
		err = area.sync()
	}
	if err != nil {
		return nil, errors.Join(err, s.Discard(op))
	}
	return s, nil
}

func (t *Tree) copyDir(ctx context.Context, op string, src iofs.FS, from string, at int, name string) error {
	if err := unix.Mkdirat(at, name, 0o755); err != nil {
		return &iofs.PathError{Op: "mkdir", Path: from, Err: err}
	}
	if err := chmodAt(at, name, 0o755); err != nil {
		return &iofs.PathError{Op: "chmod", Path: from, Err: err}
	}
	fd, err := open(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return &iofs.PathError{Op: "open", Path: from, Err: err}
	}
	dir := folder{fd, true}
	defer dir.close()
	entries, err := iofs.ReadDir(src, from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		child := path.Join(from, e.Name())
		if err := datasite.CheckName(e.Name()); err != nil || Reserved(e.Name()) {
			return fmt.Errorf("copy %s: %w", child, errors.Join(datasite.ErrName, err))
		}
		switch {
		case e.IsDir():
			err = t.copyDir(ctx, op, src, child, fd, e.Name())
		case e.Type().IsRegular():
			err = t.copyFile(ctx, op, src, child, fd, e.Name())
		default:
			err = &iofs.PathError{Op: "copy", Path: child, Err: ErrIrregular}
		}
		if err != nil {
			return err
		}
	}
	return dir.sync()
}

func (t *Tree) copyFile(ctx context.Context, op string, src iofs.FS, from string, at int, name string) error {
	if err := t.step(op + ":copy"); err != nil {
		return err
	}
	in, err := src.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return &iofs.PathError{Op: "copy", Path: from, Err: ErrIrregular}
	}
	fd, err := open(at, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return &iofs.PathError{Op: "copy", Path: from, Err: err}
	}
	out := &File{t: t, fd: fd}
	_, err = io.CopyBuffer(onlyWriter{io.NewOffsetWriter(out, 0)}, ctxReader{ctx, in}, make([]byte, copyBuffer))
	if err == nil {
		m := 0o644 | info.Mode()&0o100
		err = out.SetAttr(&m, nil)
	}
	if err == nil {
		err = out.Sync(false)
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return err
}

type onlyWriter struct{ io.Writer }

type ctxReader struct {
	ctx context.Context
	in  io.Reader
}

func (r ctxReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.in.Read(p)
}

// Into moves the staged folder to p with one rename, or exchanges it with what lies there: then s is the old one, which
// Discard removes. The parent must exist. Steps: op+":rename", op+":sync-dir"; an error from the second comes after the move.
func (s *Staged) Into(op string, p datasite.Path) (replaced bool, err error) {
	t := s.t
	area, err := t.staging()
	if err != nil {
		return false, fail("place", p, err)
	}
	defer area.close()
	dir, name, err := t.parent(p)
	if err != nil {
		return false, fail("place", p, err)
	}
	defer dir.close()
	if err := t.step(op + ":rename"); err != nil {
		return false, fail("place", p, err)
	}
	if err := nextTick(); err != nil {
		return false, fail("place", p, err)
	}
	rename := func(flags uint) error {
		return retry(func() error { return unix.Renameat2(area.fd, s.name, dir.fd, name, flags) })
	}
	for {
		if err = rename(unix.RENAME_NOREPLACE); err != unix.EEXIST {
			break
		}
		e, _, serr := t.statAt(dir.fd, name)
		if serr == nil && !e.Mode.IsDir() {
			return false, fail("place", p, unix.ENOTDIR)
		}
		if err = rename(unix.RENAME_EXCHANGE); err != unix.ENOENT {
			replaced = err == nil
			break
		}
	}
	if err != nil {
		return false, fail("place", p, err)
	}
	if err = t.step(op + ":sync-dir"); err == nil {
		err = errors.Join(dir.sync(), area.sync())
	}
	return replaced, fail("place", p, err)
}

// nextTick waits until the clock that stamps are taken from has moved on: at most 10 ms. A file that came with a placed folder is then
// provably older than the folder's rename.
func nextTick() error {
	var began, now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME, &began); err != nil {
		return err
	}
	for {
		if err := unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &now); err != nil {
			return err
		}
		if d := now.Nano() - began.Nano(); d > 0 || d < -int64(time.Second) { // far behind: the clock was set meanwhile
			return nil
		}
		time.Sleep(time.Millisecond)
	}
}

// TakeOut moves p, whatever it is, to the staging area with one rename, from where Discard removes it. Steps: op+":rename",
// op+":sync-dir"; after an error from the second the folder is out, and Staged is not nil.
func (t *Tree) TakeOut(op string, p datasite.Path) (*Staged, error) {
	if p.IsRoot() {
		return nil, fail("remove", p, unix.EBUSY)
	}
	area, err := t.staging()
	if err != nil {
		return nil, fail("remove", p, err)
	}
	defer area.close()
	dir, name, err := t.parent(p)
	if err != nil {
		return nil, fail("remove", p, err)
	}
	defer dir.close()
	if err := t.step(op + ":rename"); err != nil {
		return nil, fail("remove", p, err)
	}
	s := &Staged{t, t.temp()}
	err = retry(func() error { return unix.Renameat2(dir.fd, name, area.fd, s.name, unix.RENAME_NOREPLACE) })
	if err != nil {
		return nil, fail("remove", p, err)
	}
	if err = t.step(op + ":sync-dir"); err == nil {
		err = errors.Join(area.sync(), dir.sync())
	}
	return s, fail("remove", p, err)
}

// Discard removes the staged folder and all in it, step op+":remove". What it cannot remove the next Sweep tries again.
func (s *Staged) Discard(op string) error {
	if err := s.t.step(op + ":remove"); err != nil {
		return fail("discard", datasite.Path{}, err)
	}
	area, err := s.t.staging()
	if err != nil {
		return fail("discard", datasite.Path{}, err)
	}
	defer area.close()
	return fail("discard", datasite.Path{}, removeTree(area.fd, s.name))
}

// Walk visits all that was staged, a folder before what it holds, by its path below the staged folder.
func (s *Staged) Walk(fn func(rel string, e datasite.Entry) error) error {
	area, err := s.t.staging()
	if err != nil {
		return fail("stage", datasite.Path{}, err)
	}
	defer area.close()
	return s.t.walkAt(area.fd, s.name, "", fn)
}

func (t *Tree) walkAt(at int, name, rel string, fn func(string, datasite.Entry) error) error {
	fd, err := open(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return &iofs.PathError{Op: "stage", Path: rel, Err: err}
	}
	defer unix.Close(fd)
	names, err := readNames(fd)
	if err != nil {
		return &iofs.PathError{Op: "stage", Path: rel, Err: err}
	}
	for _, n := range names {
		e, _, err := t.statAt(fd, n.Name)
		if err != nil {
			return &iofs.PathError{Op: "stage", Path: path.Join(rel, n.Name), Err: err}
		}
		if err := fn(path.Join(rel, n.Name), e); err != nil {
			return err
		}
		if e.Mode.IsDir() {
			if err := t.walkAt(fd, n.Name, path.Join(rel, n.Name), fn); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeTree removes name in dir and everything below it, without following links. It is no error if it is not there.
func removeTree(dir int, name string) error {
	err := retry(func() error { return unix.Unlinkat(dir, name, 0) })
	if err == nil || err == unix.ENOENT {
		return nil
	}
	if err != unix.EISDIR && err != unix.EPERM {
		return err
	}
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW
	fd, oerr := open(dir, name, flags, 0)
	if oerr == unix.EACCES { // a folder that its own owner may not list
		if err := chmodAt(dir, name, 0o700); err != nil {
			return err
		}
		fd, oerr = open(dir, name, flags, 0)
	}
	if oerr != nil {
		return oerr
	}
	defer unix.Close(fd)
	names, err := readNames(fd)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		if err := retry(func() error { return unix.Fchmod(fd, 0o700) }); err != nil {
			return err
		}
	}
	for _, n := range names {
		if err := removeTree(fd, n.Name); err != nil {
			return err
		}
	}
	return retry(func() error { return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR) })
}

// Sweep removes what an earlier process left: the staged folders, and the temporary files anywhere in the tree. What
// this process is using stays. It returns how many it removed.
func (t *Tree) Sweep(ctx context.Context) (removed int, err error) {
	area, err := t.staging()
	if err != nil {
		return 0, fail("sweep", datasite.Path{}, err)
	}
	defer area.close()
	names, err := readNames(area.fd)
	if err != nil {
		return 0, fail("sweep", datasite.Path{}, err)
	}
	var errs []error
	for _, n := range names {
		if t.own(n.Name) {
			continue
		}
		if err := removeTree(area.fd, n.Name); err != nil {
			errs = append(errs, err)
			continue
		}
		removed++
	}
	fd, err := open(t.root, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return removed, fail("sweep", datasite.Path{}, err)
	}
	n, err := t.sweepDir(ctx, fd, true)
	return removed + n, fail("sweep", datasite.Path{}, errors.Join(append(errs, err)...))
}

// sweepDir sweeps the folder fd, which it closes, and all below.
func (t *Tree) sweepDir(ctx context.Context, fd int, top bool) (removed int, err error) {
	defer unix.Close(fd)
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	names, err := readNames(fd)
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, n := range names {
		switch {
		case n.Type.IsRegular() && isTemp(n.Name) && !t.own(n.Name):
			if err := retry(func() error { return unix.Unlinkat(fd, n.Name, 0) }); err != nil && err != unix.ENOENT {
				errs = append(errs, err)
				continue
			}
			removed++
		case n.Type.IsDir() && (!top || n.Name != stagingName):
			sub, err := open(fd, n.Name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
			if err == unix.ENOENT || err == unix.ENOTDIR || err == unix.EACCES {
				continue // gone meanwhile, or nothing that we could have written into
			}
			if err != nil {
				errs = append(errs, err)
				continue
			}
			k, err := t.sweepDir(ctx, sub, false)
			removed += k
			errs = append(errs, err)
		}
	}
	return removed, errors.Join(errs...)
}
