package backing

import (
	"errors"
	"io"
	iofs "io/fs"
	"path"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"golang.org/x/sys/unix"
)

// FS is the tree as an io/fs file system over "owner/rel", for reading rule files. It follows no link, neither on the way
// nor at the end: Stat and Open of a link, a pipe or a device tell its own type, and reading from it is ErrIrregular.
// What no datasite may hold does not exist.
func (t *Tree) FS() iofs.FS { return treeFS{t} }

type treeFS struct{ t *Tree }

func fsPath(op, name string) (datasite.Path, error) {
	if !iofs.ValidPath(name) {
		return datasite.Path{}, &iofs.PathError{Op: op, Path: name, Err: iofs.ErrInvalid}
	}
	if name == "." {
		return datasite.Path{}, nil
	}
	p, err := datasite.Parse(name)
	if err != nil || p.String() != name {
		return datasite.Path{}, &iofs.PathError{Op: op, Path: name, Err: iofs.ErrNotExist}
	}
	return p, nil
}

func (s treeFS) Stat(name string) (iofs.FileInfo, error) {
	p, err := fsPath("stat", name)
	if err != nil {
		return nil, err
	}
	e, err := s.t.Stat(p)
	if errors.Is(err, unix.ELOOP) { // a link on the way: nothing lies below it
		return nil, &iofs.PathError{Op: "stat", Path: name, Err: iofs.ErrNotExist}
	}
	if err != nil {
		return nil, err
	}
	return info{e, path.Base(name)}, nil
}

func (s treeFS) Lstat(name string) (iofs.FileInfo, error) { return s.Stat(name) }

func (s treeFS) ReadLink(name string) (string, error) {
	p, err := fsPath("readlink", name)
	if err != nil {
		return "", err
	}
	return s.t.Readlink(p)
}

func (s treeFS) ReadDir(name string) ([]iofs.DirEntry, error) {
	p, err := fsPath("list", name)
	if err != nil {
		return nil, err
	}
	list, err := s.t.List(p)
	out := make([]iofs.DirEntry, len(list))
	for i, e := range list {
		out[i] = iofs.FileInfoToDirEntry(info{e, e.Name})
	}
	return out, err
}

func (s treeFS) Open(name string) (iofs.File, error) {
	p, err := fsPath("open", name)
	if err != nil {
		return nil, err
	}
	e, err := s.t.Stat(p)
	if err != nil {
		return nil, err
	}
	i := info{e, path.Base(name)}
	switch {
	case e.Mode.IsDir():
		return &dirFile{s: s, name: name, info: i}, nil
	case !e.Mode.IsRegular():
		return irregular{i}, nil
	}
	f, err := s.t.OpenFile(p, unix.O_RDONLY, 0)
	if errors.Is(err, ErrIrregular) || errors.Is(err, unix.ELOOP) { // swapped since
		i.e.Mode = iofs.ModeIrregular
		return irregular{i}, nil
	}
	if err != nil {
		return nil, err
	}
	return &readFile{f: f, name: i.name}, nil
}

type info struct {
	e    datasite.Entry
	name string
}

func (i info) Name() string        { return i.name }
func (i info) Size() int64         { return i.e.Stamp.Size }
func (i info) Mode() iofs.FileMode { return i.e.Mode }
func (i info) ModTime() time.Time  { return i.e.Stamp.MTime }
func (i info) IsDir() bool         { return i.e.Mode.IsDir() }
func (i info) Sys() any            { return i.e }

type irregular struct{ i info }

func (f irregular) Stat() (iofs.FileInfo, error) { return f.i, nil }
func (f irregular) Close() error                 { return nil }
func (f irregular) Read([]byte) (int, error) {
	return 0, &iofs.PathError{Op: "read", Path: f.i.name, Err: ErrIrregular}
}

type dirFile struct {
	s    treeFS
	name string
	info info
	rest []iofs.DirEntry
	read bool
}

func (d *dirFile) Stat() (iofs.FileInfo, error) { return d.info, nil }
func (d *dirFile) Close() error                 { return nil }
func (d *dirFile) Read([]byte) (int, error) {
	return 0, &iofs.PathError{Op: "read", Path: d.name, Err: unix.EISDIR}
}

func (d *dirFile) ReadDir(n int) ([]iofs.DirEntry, error) {
	if !d.read {
		all, err := d.s.ReadDir(d.name)
		if err != nil {
			return nil, err
		}
		d.rest, d.read = all, true
	}
	if n <= 0 {
		n = len(d.rest)
	} else if len(d.rest) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.rest))
	out := d.rest[:n]
	d.rest = d.rest[n:]
	return out, nil
}

type readFile struct {
	f    *File
	name string
	off  int64 // a file is read by one goroutine, as io.Reader demands
}

func (r *readFile) Stat() (iofs.FileInfo, error) {
	e, err := r.f.Stat()
	return info{e, r.name}, err
}

func (r *readFile) Read(p []byte) (int, error) {
	n, err := r.f.ReadAt(p, r.off)
	r.off += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

func (r *readFile) Close() error { return r.f.Close() }
