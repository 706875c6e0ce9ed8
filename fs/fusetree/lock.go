package fusetree

import (
	"context"
	"errors"
	"os"
	"strconv"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/openmined/syftfs/fs/guard"
	"golang.org/x/sys/unix"
)

// errEnding is told instead of EINTR, which the kernel takes for a signal and programs for a reason to try again.
var errEnding = refuse(syscall.ENOLCK, "the mount is being taken away, so nothing is waited for in it any more")

// GetLk tells who is in the way of a POSIX lock.
func (s *server) GetLk(_ <-chan struct{}, in *fuse.LkIn, out *fuse.LkOut) fuse.Status {
	h, err := s.lockable(in.Fh)
	if err != nil {
		return s.status("lock", in.NodeId, "", err)
	}
	got, err := lockOf(in), error(nil)
	if h.file != nil {
		got, err = h.file.TestLock(got)
	} else {
		got, err = h.stand.locks.Test(got)
	}
	if err == nil {
		out.Lk.FromFlockT(&syscall.Flock_t{Type: got.Type, Start: got.Start, Len: got.Len, Pid: int32(got.PID)})
	}
	return s.status("lock", in.NodeId, "", err)
}

// SetLk takes or gives up a lock at once or not at all.
func (s *server) SetLk(_ <-chan struct{}, in *fuse.LkIn) fuse.Status {
	return s.status("lock", in.NodeId, "", s.setLock(s.ctx, in, false))
}

// SetLkw waits for a lock until the caller is interrupted or the mount is taken away. Here the cancel channel is used: a
// wait may last for ever, and the kernel starts it again after a signal that nobody minds.
func (s *server) SetLkw(cancel <-chan struct{}, in *fuse.LkIn) fuse.Status {
	ctx, end := context.WithCancelCause(&fuse.Context{Caller: in.Caller, Cancel: cancel})
	defer end(nil)
	defer context.AfterFunc(s.waits, func() { end(errEnding) })()
	return s.status("lock", in.NodeId, "", s.setLock(ctx, in, true))
}

func (s *server) setLock(ctx context.Context, in *fuse.LkIn, wait bool) error {
	h, err := s.lockable(in.Fh)
	switch {
	case err != nil:
		return err
	case h.file != nil:
		return h.file.SetLock(ctx, lockOf(in), wait)
	}
	return h.stand.locks.Set(ctx, lockOf(in), wait, nil)
}

func lockOf(in *fuse.LkIn) guard.Lock {
	var n syscall.Flock_t
	in.Lk.ToFlockT(&n)
	return guard.Lock{Flock: in.LkFlags&fuse.FUSE_LK_FLOCK != 0, Holder: in.Owner, Type: n.Type, Start: n.Start, Len: n.Len}
}

// lockable gives the handle of an open file, with something below it that can be locked.
func (s *server) lockable(fh uint64) (*handle, error) {
	h := s.handles.get(fh)
	if h == nil || h.dir != nil {
		return nil, syscall.EBADF
	}
	if h.file != nil {
		return h, nil
	}
	return h, s.stands.under(h)
}

// unlock gives up what a process holds of an open file that it closes. Of one that was opened to read only the kernel does not tell each
// close, which would cost a request for each file that anybody reads: shared POSIX locks of it end with the last.
func (s *server) unlock(h *handle, holder uint64) {
	switch {
	case !s.locks:
	case h.file != nil:
		h.file.ReleaseLocks(holder)
	default:
		s.stands.release(h, holder)
	}
}

// standIns carry the locks of what providers show. There need not be a file below that, so a nameless one in memory stands for each.
type standIns struct {
	queue guard.LockQueue

	mu  sync.Mutex
	all map[*node]*standIn // guarded by mu
}

type standIn struct {
	f     *os.File
	users int // handles with a description of it; guarded by standIns.mu
}

// stand is a handle's own open description of its node's standIn.
type stand struct {
	f     *os.File
	locks *guard.Locks
}

// under puts a stand under h unless it has one.
func (x *standIns) under(h *handle) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if h.stand != nil {
		return nil
	}
	in := x.all[h.node]
	if in == nil {
		fd, err := unix.MemfdCreate("locks", unix.MFD_CLOEXEC)
		if err != nil {
			return err
		}
		in = &standIn{f: os.NewFile(uintptr(fd), "locks")}
	}
	f, err := os.OpenFile("/proc/self/fd/"+strconv.Itoa(int(in.f.Fd())), os.O_RDWR, 0)
	if err == nil {
		st := &stand{f: f}
		if st.locks, err = guard.NewLocks(&x.queue, int(f.Fd())); err == nil {
			h.stand = st
			in.users++
			if x.all == nil {
				x.all = map[*node]*standIn{}
			}
			x.all[h.node] = in
			return nil
		}
		err = errors.Join(err, f.Close())
	}
	if in.users == 0 {
		err = errors.Join(err, in.f.Close())
	}
	return err
}

func (x *standIns) release(h *handle, holder uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if h.stand != nil {
		h.stand.locks.Release(holder)
	}
}

// close takes the stand of a handle away, and the node's standIn with the last.
func (x *standIns) close(h *handle) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if h.stand == nil {
		return nil
	}
	h.stand.locks.Close()
	err := h.stand.f.Close()
	in := x.all[h.node]
	if in.users--; in.users == 0 {
		delete(x.all, h.node)
		err = errors.Join(err, in.f.Close())
	}
	return err
}
