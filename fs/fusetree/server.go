package fusetree

import (
	"context"
	"errors"
	iofs "io/fs"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/fs/virtual"
)

// keepFor is how long the owner's kernel may believe what it was told; what changes by another way is invalidated.
const keepFor = 60 * time.Second

// server answers the kernel. Each method is one question and ends in one call to the gate or to a provider; the errors of
// both become an errno in status. The cancel channels are not used but for locks: a signal to the caller (Go programs send themselves
// SIGURG all the time) must not turn a write that is being recorded into EINTR.
type server struct {
	fuse.RawFileSystem // ENOSYS for what is not offered

	view     *guard.View
	virtual  func(datasite.Path) map[string]virtual.Provider
	refused  func(op, p string, err error)
	log      *slog.Logger
	ctx      context.Context // ends when the connection has
	waits    context.Context // ends when the mount is to go: no lock is waited for any more
	endWaits context.CancelFunc
	nodes    *table
	handles  *handles
	notify   *notifier
	stands   standIns
	placer   *placer
	turns    atomic.Uint64 // moves when rights may have changed
	errnos   errnos
	started  time.Time
	uid, gid uint32
	euid     int
	readOnly bool
	caches   bool          // the kernel may believe us for keep: the owner's mount
	keep     time.Duration // entries, attributes, absent names
	locks    bool          // are asked of us; else they are the kernel's, between the programs that use this mount
	features Features

	again retries

	initOnce sync.Once
}

// retries remembers which callers were told ESTALE by their last request. The kernel then resolves the path anew, but only
// once: who loses the race against a rename a second time is told that the file is not there, which every program expects.
type retries struct {
	some atomic.Bool // something may be in told
	mu   sync.Mutex
	told map[uint32]struct{} // guarded by mu; thread ids
}

// maxRetries bounds the memory of callers that never came back.
const maxRetries = 1024

func (r *retries) once(tid uint32, err error) error {
	stale := errors.Is(err, syscall.ESTALE)
	if !stale && !r.some.Load() {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, before := r.told[tid]
	delete(r.told, tid)
	if stale && !before {
		if r.told == nil || len(r.told) >= maxRetries {
			r.told = map[uint32]struct{}{}
		}
		r.told[tid] = struct{}{}
	}
	r.some.Store(len(r.told) > 0)
	if stale && before {
		return syscall.ENOENT
	}
	return err
}

var (
	errTop   = refuse(syscall.EACCES, "this folder holds one folder per datasite; make files inside your own")
	errFixed = refuse(syscall.EPERM, "what lies in this folder is made by the program and cannot be changed here")
	errTaken = refuse(syscall.EPERM, "this name belongs to the program")
)

func (s *server) String() string { return "syftfs" }

func (s *server) Init(k *fuse.Server) { s.initOnce.Do(func() { s.notify.start(k) }) }

// status turns err into the answer for the kernel, says it in the log and, if somebody should be able to read why, to Refused.
func (s *server) status(op string, id uint64, name string, err error) fuse.Status {
	if err == nil {
		return fuse.OK
	}
	errno, level := s.errnos.answer(err)
	tell := s.refused != nil && refusal(err, errno)
	if loud := s.log.Enabled(s.ctx, level); loud || tell {
		p := s.nodes.shownAs(id, name)
		if loud {
			s.log.Log(s.ctx, level, "refused", "op", op, "path", p, "errno", errno.Error(), "err", err)
		}
		if tell {
			s.refused(op, p, err)
		}
	}
	return fuse.Status(errno)
}

// at runs do for where node id lies. If a rename came in between it is asked again where that is. A file that has no name any more is
// asked through one of its open handles, if orphan is not nil.
func (s *server) at(id uint64, do func(place) error, orphan func(*handle) error) (err error) {
	for range 3 {
		moves := s.nodes.moves.Load()
		var w place
		if w, err = s.nodes.locate(id); err == nil {
			err = do(w)
		}
		if !errors.Is(err, iofs.ErrNotExist) && !errors.Is(err, syscall.ESTALE) {
			return err
		}
		if s.nodes.moves.Load() == moves {
			break
		}
	}
	if orphan != nil {
		if h := s.nodes.openOf(id); h != nil {
			return orphan(h)
		}
	}
	return err
}

// still refuses what lies under a node's name if it is another file than the node's: the kernel looks the name up anew.
func (n *node) still(e datasite.Entry) error {
	if n.key.ino == 0 || n.key.ino == e.Stamp.Ino && n.key.dev == e.Stamp.Dev {
		return nil
	}
	return syscall.ESTALE
}

// vanished is the error about what was there when the kernel looked it up, or was of another kind then: it shall look again,
// which tells the truth.
func vanished(err error, kinds ...syscall.Errno) error {
	if errors.Is(err, iofs.ErrNotExist) || slices.ContainsFunc(kinds, func(e syscall.Errno) bool { return errors.Is(err, e) }) {
		return syscall.ESTALE
	}
	return err
}

// touched drops what the kernel holds of a stored file under its own name after it was changed under another.
func (s *server) touched(n *node, p datasite.Path) {
	if n.aside() {
		s.notify.path(p)
	}
}

func (s *server) touchedBelow(w place, p datasite.Path) {
	if w.via != 0 {
		s.notify.path(p)
	}
}
