package guard

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/openmined/syftfs/fs/backing"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"golang.org/x/sys/unix"
)

// File is an open file with the decision it was opened under and the rule epoch and the day (UTC) of that decision. When one
// of them has moved, the next read or write asks again; EACCES if the right is gone.
type File struct {
	v       *View
	b       *backing.File
	acc     int  // O_RDONLY, O_WRONLY or O_RDWR
	appends bool // O_APPEND
	created bool // by this handle: it may write until closed
	free    bool // the owner's own: nothing can take the right away

	dirty atomic.Bool // changed through this handle since it was last settled
	locks Locks       // that this handle holds

	mu       sync.Mutex
	path     datasite.Path  // these below guarded by mu; follows renames
	gone     bool           // nothing of this file lies at path any more, or ever did (OpenTemp)
	seen     datasite.Path  // the last path at which every right of the handle was there
	stale    bool           // ask again whatever the epoch
	passed   bool           // the kernel writes by itself: only the stamp tells
	who      actor          // as whom, at the last check
	decision perm.Decision  // of the right to write, or else to read
	moment   moment         // of the decision
	readErr  error          // why reading is refused now
	writeErr error          // why writing is refused now
	settled  datasite.Stamp // when it was last recorded, or opened
}

// Path is where the file lies now, or lay last; of a file that never had a name, the folder.
func (f *File) Path() datasite.Path {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.path
}

// Passthrough gives the descriptor to register with the kernel, if reads and writes may go past the gate: only where the
// right cannot be taken away, and not for writing a rule file. From then on the stamp alone tells about changes.
func (f *File) Passthrough() (fd int, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.free || f.acc != unix.O_RDONLY && datasite.IsRuleName(f.path.Base()) {
		return -1, false
	}
	f.passed = true
	return f.b.Descriptor(), true
}

// Stat tells about the open file as the view's identity sees it. An open handle suffices while its right lasts: the size
// and times of what was moved where the identity may not look are as private as its bytes.
func (f *File) Stat() (datasite.Entry, error) {
	_, err := f.may("stat", f.acc == unix.O_WRONLY)
	if err != nil && f.acc == unix.O_RDWR { // who made it may write it without the right to read
		_, err = f.may("stat", true)
	}
	if err != nil {
		return datasite.Entry{}, err
	}
	e, err := f.b.Stat()
	if err != nil {
		return e, err
	}
	f.mu.Lock()
	p, who, d := f.path, f.who, f.decision
	f.mu.Unlock()
	e.Name = p.Base()
	return f.v.show(who, p, e, d)
}

// may decides whether the handle may still read, or write, and gives the decision whose limits hold.
func (f *File) may(op string, write bool) (perm.Decision, error) {
	if write && f.acc == unix.O_RDONLY || !write && f.acc == unix.O_WRONLY {
		return perm.Decision{}, pathError(op, f.Path(), unix.EBADF)
	}
	if f.free {
		return perm.Decision{Allowed: true, Level: perm.Admin, Owner: true}, nil
	}
	d, lost, err := f.check(op, write)
	if lost.Owner != "" && f.v.k != nil {
		f.v.k.Invalidate(lost) // what the kernel keeps of it must go, in this mount too
	}
	return d, err
}

func (f *File) check(op string, write bool) (d perm.Decision, lost datasite.Path, err error) {
	f.mu.Lock()
	fresh := f.fresh()
	p := f.path
	f.mu.Unlock()
	var a actor
	if !fresh {
		a, err = f.v.actor(op, p) // takes the accounts' lock, which comes before ours
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !fresh {
		had := f.readErr == nil && f.writeErr == nil
		f.ask(op, a, err)
		f.keepLocks(op, a, err)
		if had && (f.readErr != nil || f.writeErr != nil) {
			lost = f.path
		}
	}
	if write {
		return f.decision, lost, f.writeErr
	}
	return f.decision, lost, f.readErr
}

// fresh reports whether what was decided last is still true; mu is held.
func (f *File) fresh() bool {
	return !f.stale && f.moment == f.v.g.moment(f.path.Owner)
}

// ask decides anew at the current path, as a or not at all; mu is held.
func (f *File) ask(op string, a actor, err error) {
	now := f.v.g.moment(f.path.Owner) // before the decision: a change in between makes the handle ask again
	if err != nil {
		f.readErr, f.writeErr = err, err
		f.stale = true // the account may come back without a change of rules
		return
	}
	f.stale, f.moment = false, now
	f.readErr, f.writeErr = nil, nil
	if f.acc != unix.O_WRONLY {
		f.decision, f.readErr = f.need(op, a, perm.Read)
	}
	if f.acc != unix.O_RDONLY {
		want := perm.Write
		if f.created {
			want = perm.Create
		}
		f.decision, f.writeErr = f.need(op, a, want)
	}
	if f.readErr == nil && f.writeErr == nil { // else what was written stays that of who wrote it
		f.who, f.seen = a, f.path
	}
}

// need decides on the current path; mu is held. Whoever holds nothing there is told of the name that they saw, not of where the
// file went.
func (f *File) need(op string, a actor, want perm.Level) (perm.Decision, error) {
	d, err := f.v.need(op, a, f.path, false, want)
	if no := (*Denied)(nil); errors.As(err, &no) && no.Decision.Level == perm.None {
		no.Path = f.seen
	}
	return d, err
}

// ReadAt reads as io.ReaderAt does.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if _, err := f.may("read", false); err != nil {
		return 0, err
	}
	return f.b.ReadAt(p, off)
}

// WriteAt writes as io.WriterAt does; with O_APPEND at the end, wherever off is. Beyond the limit of the rule nothing
// is written (EFBIG).
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	d, err := f.may("write", true)
	if err != nil {
		return 0, err
	}
	n, at, err := f.writeAt(d, p, off)
	if n > 0 {
		f.wrote()
	}
	if n > 0 && at != off && f.v.k != nil {
		f.v.k.Invalidate(f.Path()) // the kernel believes that the bytes are at off
	}
	return n, err
}

func (f *File) writeAt(d perm.Decision, p []byte, off int64) (n int, at int64, err error) {
	limit := !d.Owner && d.Limits.MaxFileSize > 0
	if f.appends && limit { // what the size will be is only known while nobody else appends
		defer f.v.g.locks.lock(exclusive(f.Path()))()
	}
	at = off
	if f.appends || limit {
		e, err := f.b.Stat()
		if err != nil {
			return 0, off, err
		}
		if f.appends {
			at = e.Stamp.Size
		}
		if limit {
			size := max(e.Stamp.Size, at+int64(len(p)))
			if err := limited("write", f.Path(), d, perm.File{Size: size}); err != nil {
				return 0, off, err
			}
		}
	}
	n, err = f.b.WriteAt(p, off)
	return n, at, err
}

// wrote is called after the bytes changed, with no lock held.
func (f *File) wrote() {
	f.dirty.Store(true)
	f.mu.Lock()
	p, gone := f.path, f.gone
	f.mu.Unlock()
	if gone {
		return
	}
	var n news
	n.add(p)
	f.rulesMoved(p, &n)
	f.v.g.tell(f.v, n)
}

// rulesMoved is Guard.rulesMoved for what this handle did to p. It does not lose its own right by that: an admin who
// saves a rule file in place empties it first, and must be able to fill it.
func (f *File) rulesMoved(p datasite.Path, n *news) {
	before, after := f.v.g.rulesMoved(p, false, n)
	f.mu.Lock()
	defer f.mu.Unlock()
	if before != after && f.moment.epoch == before {
		f.moment.epoch = after
	}
}

// resize refuses what would leave the file beyond the limit.
func (f *File) resize(op string, size func(now int64) int64) error {
	d, err := f.may(op, true)
	if err != nil || d.Owner || d.Limits.MaxFileSize <= 0 {
		return err
	}
	e, err := f.b.Stat()
	if err != nil {
		return err
	}
	return limited(op, f.Path(), d, perm.File{Size: size(e.Stamp.Size)})
}

// Truncate sets the size in bytes.
func (f *File) Truncate(size int64) error {
	if err := f.resize("truncate", func(int64) int64 { return size }); err != nil {
		return err
	}
	err := f.b.Truncate(size)
	f.wrote()
	return err
}

// Allocate is fallocate(2). Space beyond the end counts towards the limit even when the size stays.
func (f *File) Allocate(mode uint32, off, length int64) error {
	err := f.resize("allocate", func(now int64) int64 {
		switch {
		case mode&(unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_COLLAPSE_RANGE) != 0:
			return now
		case mode&unix.FALLOC_FL_INSERT_RANGE != 0:
			return now + length
		}
		return max(now, off+length)
	})
	if err != nil {
		return err
	}
	err = f.b.Allocate(mode, off, length)
	f.wrote()
	return err
}

// Seek finds data or a hole; whence is SEEK_DATA or SEEK_HOLE.
func (f *File) Seek(off int64, whence int) (int64, error) {
	if _, err := f.may("seek", false); err != nil {
		return 0, err
	}
	if whence != unix.SEEK_DATA && whence != unix.SEEK_HOLE {
		return 0, pathError("seek", f.Path(), unix.EINVAL)
	}
	return f.b.Seek(off, whence)
}

// CopyTo copies up to length bytes into dst inside the kernel.
func (f *File) CopyTo(dst *File, offIn, offOut int64, length int) (int, error) {
	if _, err := f.may("copy", false); err != nil {
		return 0, err
	}
	if dst.appends {
		return 0, pathError("copy", dst.Path(), unix.EBADF)
	}
	e, err := f.b.Stat()
	if err != nil {
		return 0, err
	}
	length = int(max(0, min(int64(length), e.Stamp.Size-offIn))) // no more will be copied, so no more counts
	err = dst.resize("copy", func(now int64) int64 { return max(now, offOut+int64(length)) })
	if err != nil || length == 0 {
		return 0, err
	}
	n, err := f.b.CopyTo(dst.b, offIn, offOut, length)
	if n > 0 {
		dst.wrote()
	}
	return n, err
}
