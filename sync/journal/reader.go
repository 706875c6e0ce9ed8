package journal

import (
	"context"
	"errors"
	"fmt"

	"github.com/openmined/syftfs/fs/datasite"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Reader reads changes in order from its own durable cursor. Next is for one goroutine at a time.
type Reader struct {
	j     *Journal
	name  string
	wake  chan struct{} // one slot: something was committed, or the journal closed
	taken uint64        // the last change that Next gave
	ahead []datasite.Change
}

// Reader gives the reader of that name, which starts behind its durable cursor; a new one starts at the first change.
func (j *Journal) Reader(name string) (*Reader, error) {
	if name == "" || len(name) > 255 {
		return nil, fmt.Errorf("journal %s: reader %q: the name must have 1 to 255 bytes", j.path, name)
	}
	r := &Reader{j: j, name: name, wake: make(chan struct{}, 1)}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil, j.errClosed("reader")
	}
	err := j.db.View(func(tx *bbolt.Tx) (err error) {
		if v := tx.Bucket(cursorsBucket).Get([]byte(name)); v != nil {
			r.taken, err = parseSeq(v)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("journal %s: reader %s: %w", j.path, name, err)
	}
	j.readers[r] = struct{}{}
	return r, nil
}

// Next waits for the next change beyond what was taken.
func (r *Reader) Next(ctx context.Context) (datasite.Change, error) {
	for {
		if len(r.ahead) > 0 {
			c := r.ahead[0]
			r.ahead = r.ahead[1:]
			r.taken = c.Seq
			return c, nil
		}
		if err := r.fetch(); err != nil {
			return datasite.Change{}, err
		}
		if len(r.ahead) > 0 {
			continue
		}
		select {
		case <-r.wake:
		case <-ctx.Done():
			return datasite.Change{}, context.Cause(ctx)
		case <-r.j.gone:
			return datasite.Change{}, r.j.errClosed("next")
		}
	}
}

// fetch reads some changes ahead. What a group is just storing is not given before the journal counts it as committed: it could not be
// acknowledged, and if its last sync failed it is not sure to stay. Whoever waits is woken then.
func (r *Reader) fetch() error {
	const chunk = 128
	committed, err := r.j.Last()
	if err != nil {
		return err
	}
	err = r.j.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(logBucket).Cursor()
		for k, v := c.Seek(seqKey(r.taken + 1)); k != nil && len(r.ahead) < chunk; k, v = c.Next() {
			seq, err := parseSeq(k)
			if err != nil || seq > committed {
				return err
			}
			change, err := decode(v)
			if err != nil {
				return fmt.Errorf("change %d: %w", seq, err)
			}
			change.Seq = seq
			r.ahead = append(r.ahead, change)
		}
		return nil
	})
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return r.j.errClosed("next")
	}
	if err != nil {
		return fmt.Errorf("journal %s: reader %s: %w", r.j.path, r.name, err)
	}
	return nil
}

// Done moves the durable cursor to seq; a cursor never moves back. It returns when that is durable.
func (r *Reader) Done(seq uint64) error {
	j := r.j
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return j.errClosed("done")
	}
	if seq > j.last {
		last := j.last
		j.mu.Unlock()
		return fmt.Errorf("journal %s: reader %s: done %d, but the last change is %d", j.path, r.name, seq, last)
	}
	b := j.queued
	if b.cursors == nil {
		b.cursors = map[string]uint64{}
	}
	b.cursors[r.name] = max(seq, b.cursors[r.name])
	poke(j.now)
	j.mu.Unlock()
	return j.wait(context.Background(), b, "done")
}

// Close ends the reader; its cursor stays.
func (r *Reader) Close() error {
	r.j.mu.Lock()
	defer r.j.mu.Unlock()
	delete(r.j.readers, r)
	return nil
}
