package grant

import (
	"context"
	"io"
	iofs "io/fs"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/guard"
	"golang.org/x/sys/unix"
)

// viewFS reads files through a view, by the names that rulefile.Loader uses: the path with its datasite in front.
type viewFS struct {
	ctx  context.Context
	view *guard.View
}

func pathOf(op, name string) (datasite.Path, error) {
	p, err := datasite.Parse(name)
	if err != nil {
		return p, &iofs.PathError{Op: op, Path: name, Err: iofs.ErrInvalid}
	}
	return p, nil
}

func (v viewFS) Lstat(name string) (iofs.FileInfo, error) {
	p, err := pathOf("stat", name)
	if err != nil {
		return nil, err
	}
	e, err := v.view.Stat(v.ctx, p)
	if err != nil {
		return nil, err
	}
	return info{e}, nil
}

func (v viewFS) ReadLink(name string) (string, error) {
	p, err := pathOf("readlink", name)
	if err != nil {
		return "", err
	}
	return v.view.Readlink(v.ctx, p)
}

func (v viewFS) Open(name string) (iofs.File, error) {
	p, err := pathOf("open", name)
	if err != nil {
		return nil, err
	}
	f, err := v.view.Open(v.ctx, p, unix.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	return &opened{ctx: v.ctx, f: f}, nil
}

// opened is an open file of a view, read from the start.
type opened struct {
	ctx context.Context
	f   *guard.File
	off int64
}

func (o *opened) Stat() (iofs.FileInfo, error) {
	e, err := o.f.Stat()
	return info{e}, err
}

func (o *opened) Read(b []byte) (int, error) {
	if err := o.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := o.f.ReadAt(b, o.off)
	o.off += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

func (o *opened) Close() error { return o.f.Close() }

// info is an entry as io/fs wants it.
type info struct{ e datasite.Entry }

func (i info) Name() string        { return i.e.Name }
func (i info) Size() int64         { return i.e.Stamp.Size }
func (i info) Mode() iofs.FileMode { return i.e.Mode }
func (i info) ModTime() time.Time  { return i.e.Stamp.MTime }
func (i info) IsDir() bool         { return i.e.Mode.IsDir() }
func (i info) Sys() any            { return nil }
