package guard

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	iofs "io/fs"

	"github.com/openmined/syftfs/fs/backing"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"golang.org/x/sys/unix"
)

// maxMoving is how often a file that changes while it is hashed is read again at once.
const maxMoving = 8

// Snapshot opens the bytes that a regular file has at one moment, with their hash. If they change before they are read, reading ends
// with datasite.ErrStale. What is no regular file, and no file, is fs.ErrNotExist. No right is asked: it is for what sends to peers,
// which asks what each may read.
func (g *Guard) Snapshot(ctx context.Context, p datasite.Path) (io.ReadCloser, datasite.Hash, error) {
	const op = "snapshot"
	for range maxMoving {
		f, e, err := g.regular(op, p)
		if err != nil {
			return nil, datasite.Hash{}, err
		}
		h, err := g.hashOpen(ctx, p, f, e)
		if err == nil {
			return &opened{r: io.NewSectionReader(f, 0, 1<<62), f: f, path: p, want: h, sum: sha256.New()}, h, nil
		}
		if err = errors.Join(err, f.Close()); !errors.Is(err, datasite.ErrStale) {
			return nil, h, err
		}
	}
	return nil, datasite.Hash{}, fmt.Errorf("%s %s: it is written all the time: %w", op, p, datasite.ErrStale)
}

// regular opens a regular file for reading. Nothing else is opened, because that may have effects.
func (g *Guard) regular(op string, p datasite.Path) (*backing.File, datasite.Entry, error) {
	e, err := g.tree.Stat(p)
	if absent(err) || err == nil && !e.Mode.IsRegular() {
		return nil, e, pathError(op, p, unix.ENOENT)
	}
	if err != nil {
		return nil, e, err
	}
	f, err := g.tree.OpenFile(p, unix.O_RDONLY, 0)
	if absent(err) || errors.Is(err, unix.EISDIR) || errors.Is(err, backing.ErrIrregular) || errors.Is(err, unix.ENXIO) {
		return nil, e, pathError(op, p, unix.ENOENT) // it was swapped since
	}
	if err != nil {
		return nil, e, err
	}
	if e, err = f.Stat(); err != nil {
		return nil, e, errors.Join(err, f.Close())
	}
	return f, e, nil
}

// hashOf is the hash of the regular file e at p.
func (g *Guard) hashOf(ctx context.Context, p datasite.Path, e datasite.Entry) (h datasite.Hash, err error) {
	f, now, err := g.regular("hash", p)
	if errors.Is(err, iofs.ErrNotExist) || err == nil && !sameStamp(now.Stamp, e.Stamp) {
		if f != nil {
			err = f.Close()
		}
		return h, errors.Join(fmt.Errorf("hash %s: %w", p, datasite.ErrStale), err)
	}
	if err != nil {
		return h, err
	}
	h, err = g.hashOpen(ctx, p, f, e)
	return h, errors.Join(err, f.Close())
}

// hashOpen is the hash of the open file, whose state was e; ErrStale if it changed meanwhile. What is provably as it was recorded is not read.
func (g *Guard) hashOpen(ctx context.Context, p datasite.Path, f *backing.File, e datasite.Entry) (h datasite.Hash, err error) {
	if k := g.known(p); k.Hash != (datasite.Hash{}) && k.Stamp.Same(e.Stamp) {
		return k.Hash, nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, &untilDone{ctx, io.NewSectionReader(f, 0, 1<<62)}); err != nil {
		return h, err
	}
	now, err := f.Stat()
	if err == nil && !sameStamp(now.Stamp, e.Stamp) {
		err = fmt.Errorf("hash %s: %w", p, datasite.ErrStale)
	}
	return datasite.Hash(sum.Sum(nil)), err
}

type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u *untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

// opened is an open file that must still have the bytes it was hashed with.
type opened struct {
	r    io.Reader
	f    *backing.File
	path datasite.Path
	want datasite.Hash
	sum  hash.Hash
}

func (s *opened) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.sum.Write(p[:n])
	if err == io.EOF && datasite.Hash(s.sum.Sum(nil)) != s.want {
		return n, fmt.Errorf("read %s: it changed while it was read: %w", s.path, datasite.ErrStale)
	}
	return n, err
}

func (s *opened) Close() error { return s.f.Close() }

// Files calls fn for under, if it is a regular file, or for every regular file below it, until fn fails. Nothing there is no error. No
// right is asked.
func (g *Guard) Files(ctx context.Context, under datasite.Path, fn func(datasite.Path) error) error {
	e, err := g.tree.Stat(under)
	switch {
	case absent(err):
		return nil
	case err != nil:
		return err
	case e.Mode.IsRegular():
		return fn(under)
	case !e.Mode.IsDir():
		return nil
	}
	return g.filesIn(ctx, under, fn)
}

func (g *Guard) filesIn(ctx context.Context, dir datasite.Path, fn func(datasite.Path) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	names, err := g.tree.Names(dir)
	if absent(err) {
		return nil // gone meanwhile
	}
	if err != nil {
		return err
	}
	for _, n := range names {
		p, err := dir.Child(n.Name)
		if err != nil {
			continue // at the top, what is no datasite
		}
		switch {
		case n.Type.IsDir():
			err = g.filesIn(ctx, p, fn)
		case n.Type.IsRegular() && !dir.IsRoot():
			err = fn(p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Level is the highest level that u holds on p, a file that may be gone, or a folder, in the own datasite. In a replica nobody has one.
func (g *Guard) Level(ctx context.Context, u perm.User, p datasite.Path) (perm.Level, error) {
	if p.Owner != g.cfg.Owner {
		return perm.None, nil
	}
	e, err := g.tree.Stat(p)
	if err != nil && !absent(err) {
		return perm.None, err
	}
	d, err := g.decide(u, p, p.Rel == "" || e.Mode.IsDir(), perm.Read)
	return d.Level, err
}
