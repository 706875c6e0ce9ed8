package backing

import (
	"bytes"
	"context"
	"errors"
	iofs "io/fs"

	"github.com/openmined/syftfs/fs/datasite"
	"golang.org/x/sys/unix"
)

// WriteFile replaces or makes a whole file: hidden temp in the same folder, synced, renamed, folder synced. The steps are
// named op+":temp", ":write", ":sync", ":rename" and ":sync-dir". The new file has the bits of perm. An error from ":sync-dir" comes after
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
	temp, err := t.receive(context.Background(), op, dir, bytes.NewReader(body), perm)
	if err != nil {
		return e, err
	}
	if err = t.step(op + ":rename"); err == nil {
		err = retry(func() error { return unix.Renameat(dir.fd, temp, dir.fd, name) })
	}
	if err != nil {
		return e, errors.Join(err, unix.Unlinkat(dir.fd, temp, 0))
	}
	if e, _, err = t.statAt(dir.fd, name); err != nil {
		return e, err
	}
	if err = t.step(op + ":sync-dir"); err != nil {
		return e, err
	}
	return e, dir.sync()
}
