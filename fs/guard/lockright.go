package guard

import (
	"context"
	"errors"

	"github.com/openmined/syftfs/perm"
	"golang.org/x/sys/unix"
)

// SetLock takes, changes or gives up a lock of the open file, or with wait waits for it until ctx ends; the error is then ctx's
// cause. A shared lock needs the right to read, an exclusive one the right to write, whatever the file was opened for: who can only read
// must not hold up those who write. EAGAIN if it is in somebody's way.
func (f *File) SetLock(ctx context.Context, k Lock, wait bool) error {
	var may func() error
	if k.Type != unix.F_UNLCK {
		may = func() error { return f.mayLock(k.Type == unix.F_WRLCK) }
	}
	err := f.locks.use(&f.v.g.lockers, f.b.Descriptor())
	if err == nil {
		err = f.locks.Set(ctx, k, wait, may)
	}
	return f.lockError(err)
}

// TestLock tells what would be in the way of k. It needs what the handle was opened with.
func (f *File) TestLock(k Lock) (Lock, error) {
	if _, err := f.may("lock", f.acc == unix.O_WRONLY); err != nil {
		return k, err
	}
	err := f.locks.use(&f.v.g.lockers, f.b.Descriptor())
	if err == nil {
		k, err = f.locks.Test(k)
	}
	return k, f.lockError(err)
}

// ReleaseLocks gives up a holder's POSIX locks of this open file, as close(2) does in that process.
func (f *File) ReleaseLocks(holder uint64) { f.locks.Release(holder) }

func (f *File) lockError(err error) error {
	var d *Denied
	if err == nil || errors.As(err, &d) {
		return err
	}
	return pathError("lock", f.Path(), err)
}

func (f *File) mayLock(exclusive bool) error {
	const op = "lock"
	// The handle's own right first: that also takes away what it may not hold any more.
	if _, err := f.may(op, f.acc == unix.O_WRONLY || exclusive && f.acc == unix.O_RDWR); err != nil || f.free {
		return err
	}
	a, err := f.v.actor(op, f.Path()) // takes the accounts' lock, which comes before ours
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err = f.need(op, a, f.lockLevel(exclusive))
	return err
}

func (f *File) lockLevel(exclusive bool) perm.Level {
	switch {
	case !exclusive:
		return perm.Read
	case f.created:
		return perm.Create
	}
	return perm.Write
}

// keepLocks takes away the locks that a may not hold any more, all of them if err says that a may do nothing. It is called with mu held
// whenever the handle's rights were asked anew.
func (f *File) keepLocks(op string, a actor, err error) {
	some, exclusive := f.locks.kinds()
	if !some {
		return
	}
	if err == nil {
		_, err = f.need(op, a, f.lockLevel(false))
	}
	if err != nil {
		f.locks.drop(true)
		return
	}
	if exclusive {
		if _, err := f.need(op, a, f.lockLevel(true)); err != nil {
			f.locks.drop(false)
		}
	}
}
