// Package journal keeps ordered, durable changes in one bbolt file, with group commit, a cursor per named reader and the
// last-known state of each file. It does not know Drive, the mount or jobs: it orders and keeps, and never asks what a
// change means beyond which paths it makes, moves or removes. The composition root and, later, sync/replica may import it.
package journal

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

var (
	// ErrLocked is returned by Open when another process has the journal open.
	ErrLocked = errors.New("the journal is in use by another process; stop the other syftfs of this datasite first (syftfs down)")

	// ErrFull says that the disk is full and the reserve of the journal is in use. It wraps ENOSPC.
	ErrFull error = fullError{}

	// ErrCorrupt says that the file is not a journal, or a damaged one.
	ErrCorrupt = errors.New("the journal cannot be read; move the file away and start again: the files are kept, what happened since is found by comparing them")
)

type fullError struct{}

func (fullError) Error() string {
	return "the disk is full: free some space, then writing is possible again"
}
func (fullError) Unwrap() error { return syscall.ENOSPC }

const (
	groupDelay = time.Second   // the longest time that a queued change waits for its group
	groupSize  = 4096          // so many queued changes are committed at once
	queueSize  = 2 * groupSize // Append blocks beyond it
	lockWait   = 250 * time.Millisecond
)

// Options are for Open.
type Options struct {
	Fault   interface{ Before(op string) error } // may be nil; steps: journal:commit, journal:reserve
	Reserve int64                                // bytes of disk space kept for a full disk; 0 means 16 MiB
}

// Journal is the open journal. Fits guard.Recorder and guard.Memory. All methods may be called concurrently.
type Journal struct {
	path  string
	db    *bbolt.DB
	fault interface{ Before(op string) error }

	dirty chan struct{} // one slot: the queue is no longer empty
	now   chan struct{} // one slot: somebody waits for the queue
	quit  chan struct{} // closed by Close
	gone  chan struct{} // closed when the writer has ended
	once  sync.Once

	// mu is innermost: nothing else is locked and no disk is waited for while it is held for writing. Beginning a
	// read transaction under mu.RLock pairs it with the overlays.
	mu       sync.RWMutex
	room     *sync.Cond // on mu: the queue became shorter, or the journal failed or closed
	queued   *batch     // never nil; not yet in a transaction
	flying   *batch     // in a transaction, or nil
	closed   bool
	failed   error // of the newest transaction, nil after a good one
	closeErr error
	last     uint64 // newest committed sequence number
	readers  map[*Reader]struct{}

	reserve reserve
}

// Open opens or makes the journal at path, mode 0600. A file that another process has open is ErrLocked, within a second.
func Open(path string, o Options) (*Journal, error) {
	if o.Reserve == 0 {
		o.Reserve = 16 << 20
	}
	db, last, err := openFile(path)
	if err != nil {
		return nil, fmt.Errorf("open journal %s: %w", path, err)
	}
	j := &Journal{
		path: path, db: db, fault: o.Fault, last: last,
		dirty: make(chan struct{}, 1), now: make(chan struct{}, 1), quit: make(chan struct{}), gone: make(chan struct{}),
		queued: newBatch(), readers: map[*Reader]struct{}{},
		reserve: reserve{path: path + ".reserve", size: o.Reserve},
	}
	j.room = sync.NewCond(&j.mu)
	if err := j.fillReserve(); err != nil && !errors.Is(err, ErrFull) {
		return nil, errors.Join(fmt.Errorf("open journal %s: %w", path, err), db.Close())
	}
	go j.write()
	return j, nil
}

var (
	logBucket     = []byte("log")
	knownBucket   = []byte("known")
	cursorsBucket = []byte("cursors")
	metaBucket    = []byte("meta")
	formatKey     = []byte("format")
	format        = []byte{1}
)

// openFile opens the file and makes its buckets. A file that was cut short faults in the memory map; that is an error here.
func openFile(path string) (db *bbolt.DB, last uint64, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w (%v)", ErrCorrupt, r)
		}
	}()
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait, FreelistType: bbolt.FreelistMapType})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, 0, ErrLocked
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, 0, fmt.Errorf("%w (%w)", ErrCorrupt, err)
	case err != nil:
		return nil, 0, err
	}
	fresh := false
	err = db.View(func(tx *bbolt.Tx) error {
		m := tx.Bucket(metaBucket)
		if fresh = m == nil; !fresh && string(m.Get(formatKey)) != string(format) {
			return fmt.Errorf("the journal has format %v, this program reads %v: use the newer program", m.Get(formatKey), format)
		}
		last = lastSeq(tx)
		return nil
	})
	if err == nil && fresh {
		err = db.Update(func(tx *bbolt.Tx) error {
			for _, name := range [][]byte{logBucket, knownBucket, cursorsBucket, metaBucket} {
				if _, err := tx.CreateBucketIfNotExists(name); err != nil {
					return err
				}
			}
			return tx.Bucket(metaBucket).Put(formatKey, format)
		})
	}
	if err != nil {
		return nil, 0, errors.Join(err, db.Close())
	}
	return db, last, nil
}

// Append queues a change; it is durable within a second. It blocks while the queue is full, and fails only when the
// journal is closed, the change cannot be stored, or the queue is full and cannot be written.
func (j *Journal) Append(c datasite.Change) error {
	it, err := newItem(c)
	if err != nil {
		return fmt.Errorf("journal %s: append: %w", j.path, err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.backlog() >= queueSize && j.failed == nil && !j.closed {
		j.room.Wait()
	}
	if j.closed {
		return j.errClosed("append")
	}
	if j.backlog() >= queueSize {
		return fmt.Errorf("journal %s: append: %w", j.path, j.failed)
	}
	if len(j.queued.items) == 0 {
		poke(j.dirty)
	}
	j.queued.add(it)
	if len(j.queued.items) >= groupSize && j.failed == nil {
		poke(j.now)
	}
	return nil
}

// backlog is how many changes are not durable yet. mu is held.
func (j *Journal) backlog() int {
	n := len(j.queued.items)
	if j.flying != nil {
		n += len(j.flying.items)
	}
	return n
}

// Commit stores a change and gives its sequence number; on return it is durable, with everything queued before it, in
// order. An error says that it is not recorded, but for that of ctx, which only ends the waiting.
func (j *Journal) Commit(ctx context.Context, c datasite.Change) (uint64, error) {
	it, err := newItem(c)
	if err != nil {
		return 0, fmt.Errorf("journal %s: commit: %w", j.path, err)
	}
	it.waited = true
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return 0, j.errClosed("commit")
	}
	b := j.queued
	b.add(it)
	poke(j.now)
	j.mu.Unlock()
	if err := j.wait(ctx, b, "commit"); err != nil {
		return 0, err
	}
	return it.seq, nil
}

// Flush makes everything durable that was queued before the call.
func (j *Journal) Flush(ctx context.Context) error {
	j.mu.Lock()
	b := j.queued
	switch {
	case len(b.items) > 0:
		poke(j.now)
	case j.flying != nil:
		b = j.flying
	case j.closed && j.closeErr != nil:
		j.mu.Unlock()
		return fmt.Errorf("journal %s: flush: %w", j.path, j.closeErr)
	default:
		j.mu.Unlock()
		return nil
	}
	j.mu.Unlock()
	return j.wait(ctx, b, "flush")
}

func (j *Journal) wait(ctx context.Context, b *batch, op string) error {
	select {
	case <-b.done:
		if b.err != nil {
			return fmt.Errorf("journal %s: %s: %w", j.path, op, b.err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("journal %s: %s: %w", j.path, op, context.Cause(ctx))
	}
}

// Full is ErrFull while the reserve of disk space is in use: no file may be opened for writing or made, so that what is
// open can still be closed. It is nil again once the reserve is back, which is tried every second.
func (j *Journal) Full() error {
	j.reserve.mu.Lock()
	defer j.reserve.mu.Unlock()
	if j.reserve.spent {
		return ErrFull
	}
	return nil
}

// Last is the sequence number of the newest committed change, 0 if there is none.
func (j *Journal) Last() (uint64, error) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	return j.last, nil
}

// Close writes what is queued and closes the file. Waiting readers get an error that wraps fs.ErrClosed.
func (j *Journal) Close() error {
	j.once.Do(func() {
		j.mu.Lock()
		j.closed = true
		j.room.Broadcast()
		j.mu.Unlock()
		close(j.quit)
	})
	<-j.gone
	j.mu.RLock()
	defer j.mu.RUnlock()
	return j.closeErr
}

func (j *Journal) errClosed(op string) error {
	return fmt.Errorf("journal %s: %s: %w", j.path, op, iofs.ErrClosed)
}

func (j *Journal) step(op string) error {
	if j.fault == nil {
		return nil
	}
	return j.fault.Before(op)
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
