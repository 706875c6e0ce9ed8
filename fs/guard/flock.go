package guard

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Lock is a lock of an open file, or the wish for one.
type Lock struct {
	Flock  bool   // as flock(2) makes it: of the open file, all of it. Else a POSIX lock
	Holder uint64 // whose POSIX lock, as the kernel numbers them: a process, or an open file (F_OFD_SETLK)
	Type   int16  // unix.F_RDLCK (shared), F_WRLCK (exclusive) or F_UNLCK
	Start  int64  // the first byte of a POSIX lock
	Len    int64  // in bytes; 0 is to the end, wherever that will be
	PID    int    // who holds it, where Test can tell
}

// Whoever waits is woken by a lock that is given up through the same gate, and looks by itself after these pauses: a program
// that works on the real file tells nobody.
const (
	firstLook = 2 * time.Millisecond
	lastLook  = 100 * time.Millisecond
)

// LockQueue wakes those who wait for a lock of a file when another lock of it is given up. The zero value is ready.
type LockQueue struct {
	mu    sync.Mutex
	bells map[fileID]*bell // guarded by mu; of the files that somebody waits for
}

type fileID struct{ dev, ino uint64 }

type bell struct {
	rung    chan struct{}
	waiting int // guarded by LockQueue.mu
}

// listen gives what is closed at the next ring, and what to call when it is not listened to any more.
func (q *LockQueue) listen(id fileID) (rung <-chan struct{}, leave func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := q.bells[id]
	if b == nil {
		if q.bells == nil {
			q.bells = map[fileID]*bell{}
		}
		b = &bell{rung: make(chan struct{})}
		q.bells[id] = b
	}
	b.waiting++
	return b.rung, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if b.waiting--; b.waiting == 0 && q.bells[id] == b {
			delete(q.bells, id)
		}
	}
}

func (q *LockQueue) ring(id fileID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if b := q.bells[id]; b != nil {
		delete(q.bells, id)
		close(b.rung)
	}
}

// Locks are the locks of one open file. They are held on the file that lies below, so that they stand in the way of programs
// that work on that and of everybody who opened it through any gate. A POSIX lock belongs to its holder and to the open file:
// two holders who share the open file exclude each other, and so do two open files of one holder.
//
// The zero value has no file: every lock of it is refused until there is one.
type Locks struct {
	mu      sync.Mutex
	queue   *LockQueue         // these guarded by mu
	fd      int                // of the open file
	id      fileID             // of what is open
	open    bool               // fd is there, and was not given up
	closed  bool               // for good
	flock   int16              // the type of the flock that is held
	holders map[uint64]*holder // those who took POSIX locks and did not give everything back by Release
}

// holder has an open file description of its own, because locks of one description never stand in each other's way.
type holder struct {
	fd        int
	own       bool  // fd is the open file's, lent to the first who asks
	exclusive spans // what of its locks excludes readers
}

// NewLocks gives the locks of an open file. fd goes on being the caller's, who closes it after Close.
func NewLocks(q *LockQueue, fd int) (*Locks, error) {
	l := &Locks{}
	return l, l.use(q, fd)
}

// use is the file of the zero value. It does nothing if there is one.
func (l *Locks) use(q *LockQueue, fd int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open || l.closed {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	l.queue, l.fd, l.id, l.open, l.flock = q, fd, fileID{st.Dev, st.Ino}, true, unix.F_UNLCK
	return nil
}

// Set takes, changes or gives up a lock. What is in the way is EAGAIN, or with wait waited for until ctx ends; the error is then its
// cause. may, which may be nil, is asked before each try: a right can be taken away while its holder waits.
func (l *Locks) Set(ctx context.Context, k Lock, wait bool, may func() error) error {
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		rung, leave := l.listen(wait)
		err := l.set(k, may)
		if !wait || !errors.Is(err, unix.EAGAIN) {
			leave()
			return err
		}
		look := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-rung:
			err = nil
		case <-look.C:
			err = nil
		}
		look.Stop()
		leave()
		if err != nil {
			return err
		}
	}
}

// listen comes before the try that may fail, so that no bell is missed in between.
func (l *Locks) listen(wait bool) (<-chan struct{}, func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !wait || !l.open {
		return nil, func() {}
	}
	return l.queue.listen(l.id)
}

func (l *Locks) set(k Lock, may func() error) error {
	if may != nil {
		if err := may(); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.open {
		return iofs.ErrClosed
	}
	if k.Flock {
		return l.setFlock(k.Type)
	}
	return l.setPosix(k)
}

// setFlock gives up what is held before it takes another kind, as flock(2) does; mu is held.
func (l *Locks) setFlock(typ int16) error {
	how := map[int16]int{unix.F_RDLCK: unix.LOCK_SH, unix.F_WRLCK: unix.LOCK_EX, unix.F_UNLCK: unix.LOCK_UN}[typ]
	if how == 0 {
		return unix.EINVAL
	}
	err := again(func() error { return unix.Flock(l.fd, how|unix.LOCK_NB) })
	before := l.flock
	switch {
	case err == nil:
		l.flock = typ
	case errors.Is(err, unix.EAGAIN):
		l.flock = unix.F_UNLCK
	}
	if before != unix.F_UNLCK && l.flock != unix.F_WRLCK { // less than before, which others may have waited for
		l.queue.ring(l.id)
	}
	return err
}

// setPosix; mu is held.
func (l *Locks) setPosix(k Lock) error {
	h := l.holders[k.Holder]
	if h == nil && k.Type == unix.F_UNLCK {
		return nil
	}
	if h == nil {
		var err error
		if h, err = l.admit(k.Holder); err != nil {
			return err
		}
	}
	err := again(func() error { return unix.FcntlFlock(uintptr(h.fd), unix.F_OFD_SETLK, k.native()) })
	if err != nil {
		return err
	}
	h.exclusive = h.exclusive.without(k.span())
	if k.Type == unix.F_WRLCK {
		h.exclusive = append(h.exclusive, k.span())
		return nil
	}
	l.queue.ring(l.id)
	return nil
}

// admit gives a new holder a description; mu is held.
func (l *Locks) admit(who uint64) (*holder, error) {
	h := &holder{fd: l.fd, own: true}
	for _, o := range l.holders {
		if o.own {
			h.own = false
		}
	}
	if !h.own {
		flags, err := unix.FcntlInt(uintptr(l.fd), unix.F_GETFL, 0)
		if err == nil {
			err = again(func() (err error) {
				h.fd, err = unix.Open("/proc/self/fd/"+strconv.Itoa(l.fd), flags&unix.O_ACCMODE|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
				return err
			})
		}
		if err != nil {
			return nil, fmt.Errorf("%w: another holder of the same open file: %v", unix.ENOLCK, err)
		}
	}
	if l.holders == nil {
		l.holders = map[uint64]*holder{}
	}
	l.holders[who] = h
	return h, nil
}

// Test tells what would be in the way of k, by whatever holder; Type is F_UNLCK if nothing is. Nobody can ask about an flock.
func (l *Locks) Test(k Lock) (Lock, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !l.open:
		return k, iofs.ErrClosed
	case k.Flock:
		return k, unix.EINVAL
	}
	h := l.holders[k.Holder]
	if h == nil {
		var err error
		if h, err = l.admit(k.Holder); err != nil {
			return k, err
		}
	}
	n := k.native()
	err := again(func() error { return unix.FcntlFlock(uintptr(h.fd), unix.F_OFD_GETLK, n) })
	if err != nil {
		return k, err
	}
	return Lock{Holder: k.Holder, Type: n.Type, Start: n.Start, Len: n.Len, PID: max(int(n.Pid), 0)}, nil
}

// Release gives up the POSIX locks of a holder, as close(2) does in that process.
func (l *Locks) Release(who uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.holders[who]; h != nil {
		h.end()
		delete(l.holders, who)
		l.queue.ring(l.id)
	}
}

// Close gives up everything, and ends those who wait.
func (l *Locks) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if !l.open {
		return
	}
	if l.flock != unix.F_UNLCK {
		_ = unix.Flock(l.fd, unix.LOCK_UN) // closing the file gives it up too
	}
	for _, h := range l.holders {
		h.end()
	}
	l.holders, l.open = nil, false
	l.queue.ring(l.id)
}

// end gives up all that h holds: explicitly, because a child that is just being started may have the description too.
func (h *holder) end() {
	h.unlock(span{end: toEnd})
	if !h.own {
		unix.Close(h.fd)
	}
}

func (h *holder) unlock(s span) {
	k := Lock{Type: unix.F_UNLCK, Start: s.start, Len: s.end - s.start}
	if s.end == toEnd {
		k.Len = 0
	}
	_ = again(func() error { return unix.FcntlFlock(uintptr(h.fd), unix.F_OFD_SETLK, k.native()) }) // closing the file gives it up too
}

// kinds reports whether anything is held, and whether any of it is exclusive.
func (l *Locks) kinds() (some, exclusive bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	some, exclusive = len(l.holders) > 0, false
	if l.open {
		some, exclusive = some || l.flock != unix.F_UNLCK, l.flock == unix.F_WRLCK
	}
	for _, h := range l.holders {
		exclusive = exclusive || len(h.exclusive) > 0
	}
	return some, exclusive
}

// drop takes locks away from their holders: with all every one, else what is exclusive.
func (l *Locks) drop(all bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.open {
		return
	}
	if all || l.flock == unix.F_WRLCK {
		_ = l.setFlock(unix.F_UNLCK) // cannot fail: it waits for nobody
	}
	for _, h := range l.holders {
		if all {
			h.unlock(span{end: toEnd})
		}
		for _, s := range h.exclusive {
			h.unlock(s)
		}
		h.exclusive = nil
	}
	l.queue.ring(l.id)
}

// again repeats a call that a signal to this program broke off.
func again(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

func (k Lock) native() *unix.Flock_t {
	return &unix.Flock_t{Type: k.Type, Start: k.Start, Len: k.Len}
}

// span is a range of bytes, end not included.
type span struct{ start, end int64 }

const toEnd = 1<<63 - 1 // where a lock ends that has no end

func (k Lock) span() span {
	if k.Len == 0 || k.Start > toEnd-k.Len {
		return span{k.Start, toEnd}
	}
	return span{k.Start, k.Start + k.Len}
}

// spans do not overlap, and are in no order.
type spans []span

func (all spans) without(cut span) spans {
	var rest spans
	all = slices.DeleteFunc(all, func(s span) bool {
		if s.end <= cut.start || cut.end <= s.start {
			return false
		}
		if s.start < cut.start {
			rest = append(rest, span{s.start, cut.start})
		}
		if cut.end < s.end {
			rest = append(rest, span{cut.end, s.end})
		}
		return true
	})
	return append(all, rest...)
}
