package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"go.etcd.io/bbolt"
)

// item is one queued change.
type item struct {
	change datasite.Change
	body   []byte
	waited bool   // somebody waits for exactly this one and is told when it fails
	seq    uint64 // set before the batch's done is closed
}

func newItem(c datasite.Change) (*item, error) {
	body, err := encode(c)
	if err != nil {
		return nil, err
	}
	return &item{change: c, body: body}, nil
}

// batch is what one transaction takes.
type batch struct {
	items   []*item
	cursors map[string]uint64
	over    *overlay // what items say about known
	last    uint64   // sequence number of the last item, set before it flies
	done    chan struct{}
	err     error // set before done is closed
}

func newBatch() *batch { return &batch{over: newOverlay(), done: make(chan struct{})} }

func (b *batch) add(it *item) {
	b.items = append(b.items, it)
	b.over.apply(it.change)
}

func (b *batch) empty() bool { return len(b.items) == 0 && len(b.cursors) == 0 }

// write is the writer's goroutine: the only one that begins a write transaction.
func (j *Journal) write() {
	defer close(j.gone)
	timer := time.NewTimer(groupDelay)
	timer.Stop()
	armed := false
	arm := func() {
		if !armed {
			timer.Reset(groupDelay)
			armed = true
		}
	}
	for {
		select {
		case <-j.dirty:
			arm()
			continue
		case <-timer.C:
			armed = false
		case <-j.now:
		case <-j.quit:
			err := j.group()
			j.end(errors.Join(err, j.db.Close()))
			return
		}
		if j.group() != nil || j.Full() != nil {
			arm() // again in a second
		}
	}
}

// end leaves nobody waiting.
func (j *Journal) end(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closeErr = err
	j.room.Broadcast()
	for r := range j.readers {
		poke(r.wake)
	}
	if !j.queued.empty() {
		j.queued.err = err
		close(j.queued.done)
		j.queued = newBatch()
	}
}

// group takes what is queued through one transaction. What fails is queued again at the front, but for changes whose
// callers are told.
func (j *Journal) group() error {
	j.mu.Lock()
	b := j.queued
	if b.empty() {
		j.mu.Unlock()
		if j.Full() != nil {
			return j.fillReserve() // tried again in a second
		}
		return nil
	}
	seq := j.last
	for _, it := range b.items {
		seq++
		it.seq = seq
	}
	b.last = seq
	j.queued, j.flying = newBatch(), b
	j.room.Broadcast()
	j.mu.Unlock()

	err := j.transact(b)
	if errors.Is(err, syscall.ENOSPC) {
		if rerr := j.spendReserve(); rerr != nil {
			err = errors.Join(ErrFull, err, rerr)
		} else if err = j.transact(b); errors.Is(err, syscall.ENOSPC) {
			err = errors.Join(ErrFull, err)
		}
	}
	stored := err == nil
	if err != nil {
		// When the last sync failed the transaction can be in force all the same. Then its changes must not be stored twice.
		if verr := j.db.View(func(tx *bbolt.Tx) error { stored = len(b.items) > 0 && lastSeq(tx) >= b.last; return nil }); verr != nil {
			err = errors.Join(err, verr)
		}
	}

	j.mu.Lock()
	defer j.mu.Unlock()
	j.flying, j.failed = nil, err
	if stored {
		j.last = b.last
		for r := range j.readers {
			poke(r.wake)
		}
	} else {
		j.requeue(b)
	}
	j.room.Broadcast()
	b.err = err
	close(b.done)
	return err
}

// requeue puts the changes of b that nobody waits for before those that were queued since. mu is held.
func (j *Journal) requeue(b *batch) {
	var items []*item
	for _, it := range b.items {
		if !it.waited {
			items = append(items, it)
		}
	}
	later := j.queued.items
	j.queued.items, j.queued.over = nil, newOverlay()
	for _, it := range append(items, later...) {
		j.queued.add(it)
	}
}

// transact stores b in one synced transaction.
func (j *Journal) transact(b *batch) error {
	tx, err := j.db.Begin(true)
	if err != nil {
		return err
	}
	defer tx.Rollback() // says that it is closed when it was committed
	log, known, cursors := tx.Bucket(logBucket), tx.Bucket(knownBucket), tx.Bucket(cursorsBucket)
	log.FillPercent = 0.95 // it only grows at its end
	for _, it := range b.items {
		if err := log.Put(seqKey(it.seq), it.body); err != nil {
			return err
		}
		if err := remember(known, it.change); err != nil {
			return err
		}
	}
	for name, seq := range b.cursors {
		if v := cursors.Get([]byte(name)); v != nil {
			old, err := parseSeq(v)
			if err != nil {
				return err
			}
			seq = max(seq, old)
		}
		if err := cursors.Put([]byte(name), seqKey(seq)); err != nil {
			return err
		}
	}
	if err := j.step("journal:commit"); err != nil {
		return err
	}
	return tx.Commit()
}

func seqKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

func parseSeq(b []byte) (uint64, error) {
	if len(b) != 8 {
		return 0, fmt.Errorf("sequence number of %d bytes: %w", len(b), ErrCorrupt)
	}
	return binary.BigEndian.Uint64(b), nil
}

// lastSeq is the newest sequence number that tx sees, 0 if there is none.
func lastSeq(tx *bbolt.Tx) uint64 {
	b := tx.Bucket(logBucket)
	if b == nil {
		return 0
	}
	k, _ := b.Cursor().Last()
	if len(k) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(k)
}
