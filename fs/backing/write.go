package backing

import (
	"errors"
	iofs "io/fs"

	"github.com/openmined/syftfs/fs/datasite"
	"golang.org/x/sys/unix"
)

// WriteFile replaces or makes a whole file: hidden temp in the same folder, synced, renamed, folder synced. The steps are
// named op+":temp", ":write", ":rename" and ":sync-dir". The new file has the bits of perm. An error from ":sync-dir" comes after
// the file was replaced.
func (t *Tree) WriteFile(op string, p datasite.Path, body []byte, perm iofs.FileMode) (datasite.Entry, error) {
	dir, name, err := t.parent(p)
	if err != nil {
		return datasite.Entry{}, fail("write", p, err)
	}
	defer dir.close()
	e, err := t.replace(op, dir, name, body, perm)
	return e, fail("write", p, err)
}

func (t *Tree) replace(op string, dir folder, name string, body []byte, perm iofs.FileMode) (e datasite.Entry, err error) {
	if err = t.step(op + ":temp"); err != nil {
		return e, err
	}
	temp := t.temp()
	fd, err := open(dir.fd, temp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return e, err
	}
	placed := false
	defer func() {
		if !placed {
			err = errors.Join(err, unix.Unlinkat(dir.fd, temp, 0))
		}
	}()
	f := &File{t: t, fd: fd}
	if err = t.step(op + ":write"); err == nil {
		_, err = f.WriteAt(body, 0)
	}
	if err == nil {
		err = f.SetAttr(&perm, nil)
	}
	if err == nil {
		err = f.Sync(false)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = t.step(op + ":rename")
	}
	if err == nil {
		err = retry(func() error { return unix.Renameat(dir.fd, temp, dir.fd, name) })
	}
	if err != nil {
		return e, err
	}
	placed = true
	if e, _, err = t.statAt(dir.fd, name); err != nil {
		return e, err
	}
	if err = t.step(op + ":sync-dir"); err != nil {
		return e, err
	}
	return e, dir.sync()
}
