package backing

import (
	"context"
	"errors"
	"io"
	iofs "io/fs"

	"github.com/openmined/syftfs/fs/datasite"
	"golang.org/x/sys/unix"
)

// ErrMoved says that what was to be replaced is not what lies there any more. Nothing was done.
var ErrMoved = errors.New("the file was changed meanwhile")

// Incoming is a whole file on its way into a folder of the tree, durable under a hidden name beside its future one. Into or Discard ends it.
type Incoming struct {
	t    *Tree
	at   datasite.Path // the future one
	name string
}

// Receive copies body to a hidden file in the folder of p and syncs it. The steps are named op+":temp", ":write" and ":sync".
func (t *Tree) Receive(ctx context.Context, op string, p datasite.Path, body io.Reader, perm iofs.FileMode) (*Incoming, error) {
	dir, _, err := t.parent(p)
	if err != nil {
		return nil, fail(op, p, err)
	}
	defer dir.close()
	name, err := t.receive(ctx, op, dir, body, perm)
	if err != nil {
		return nil, fail(op, p, err)
	}
	return &Incoming{t, p, name}, nil
}

// receive gives the hidden name in dir.
func (t *Tree) receive(ctx context.Context, op string, dir folder, body io.Reader, perm iofs.FileMode) (name string, err error) {
	if err := t.step(op + ":temp"); err != nil {
		return "", err
	}
	temp := t.temp()
	fd, err := open(dir.fd, temp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return "", err
	}
	f := &File{t: t, fd: fd}
	if err = t.step(op + ":write"); err == nil {
		_, err = io.CopyBuffer(onlyWriter{io.NewOffsetWriter(f, 0)}, ctxReader{ctx, body}, make([]byte, copyBuffer))
	}
	if err == nil {
		err = f.SetAttr(&perm, nil)
	}
	if err == nil {
		err = t.step(op + ":sync")
	}
	if err == nil {
		err = f.Sync(false)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return "", errors.Join(err, unix.Unlinkat(dir.fd, temp, 0))
	}
	return temp, nil
}

// Name is the hidden name in the folder.
func (in *Incoming) Name() string { return in.name }

func (in *Incoming) with(op string, call func(dir folder, name string) error) error {
	dir, name, err := in.t.parent(in.at)
	if err != nil {
		return fail(op, in.at, err)
	}
	defer dir.close()
	return fail(op, in.at, call(dir, name))
}

// Stat tells about the hidden file.
func (in *Incoming) Stat() (e datasite.Entry, err error) {
	err = in.with("stat", func(dir folder, _ string) (err error) {
		e, _, err = in.t.statAt(dir.fd, in.name)
		return err
	})
	return e, err
}

// Into gives the file its name. If old is nil nothing may be there (fs.ErrExist); else what has that stamp is replaced, and it is
// ErrMoved if something else is there. The steps are named op+":rename" and ":sync-dir"; placed tells whether it has its name in
// spite of an error.
func (in *Incoming) Into(op string, old *datasite.Stamp) (placed bool, err error) {
	err = in.with(op, func(dir folder, name string) error {
		if err := in.t.step(op + ":rename"); err != nil {
			return err
		}
		flags := uint(unix.RENAME_NOREPLACE)
		if old != nil {
			flags = unix.RENAME_EXCHANGE
		}
		rename := func() error { return unix.Renameat2(dir.fd, in.name, dir.fd, name, flags) }
		err := retry(rename)
		if err == unix.ENOENT && old != nil {
			return ErrMoved
		}
		if err != nil {
			return err
		}
		if old != nil {
			e, _, err := in.t.statAt(dir.fd, in.name)
			// Not the ctime, which the rename itself moves.
			if s := e.Stamp; err != nil || s.Dev != old.Dev || s.Ino != old.Ino || s.Size != old.Size || !s.MTime.Equal(old.MTime) {
				return errors.Join(ErrMoved, err, retry(rename))
			}
		}
		placed = true
		if err := in.t.step(op + ":sync-dir"); err != nil {
			return err
		}
		return dir.sync()
	})
	if placed && old != nil {
		err = errors.Join(err, in.Discard()) // the old one, which has the hidden name now
	}
	return placed, err
}

// Discard removes what has the hidden name. What cannot be removed the next Sweep tries again.
func (in *Incoming) Discard() error {
	err := in.with("discard", func(dir folder, _ string) error {
		return retry(func() error { return unix.Unlinkat(dir.fd, in.name, 0) })
	})
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	return err
}

// Step makes a change with do and its folder durable after it, as the steps op+":"+what and op+":sync-dir". done tells whether do was
// done in spite of an error.
func (t *Tree) Step(op, what string, p datasite.Path, do func() error) (done bool, err error) {
	if err := t.step(op + ":" + what); err != nil {
		return false, fail(op, p, err)
	}
	if err := do(); err != nil {
		return false, err
	}
	if err := t.step(op + ":sync-dir"); err != nil {
		return true, fail(op, p, err)
	}
	return true, t.SyncDir(p.Parent())
}
