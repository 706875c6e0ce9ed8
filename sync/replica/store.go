package replica

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"go.etcd.io/bbolt"
)

// store is what is known about the exchange: one bbolt file, always synced, and a folder with the contents of planned messages. It holds
// nothing that is unique but those contents, which are in the tree or in a message too; if it is lost, everything is compared again.
type store struct {
	db    *bbolt.DB
	dir   string
	fault interface{ Before(op string) error }
}

// The buckets. A pair is an address, a NUL and the rest.
var (
	metaBucket   = []byte("meta")   // see below
	baseBucket   = []byte("base")   // path: known
	wantBucket   = []byte("want")   // path: want
	mineBucket   = []byte("mine")   // path: []mine
	owedBucket   = []byte("owed")   // peer, path: owed
	hadBucket    = []byte("had")    // peer, path: the hash that the peer was last sent
	lanesBucket  = []byte("lanes")  // lane: message
	lastBucket   = []byte("last")   // lane: time of its newest message
	lookBucket   = []byte("look")   // object: look
	seenBucket   = []byte("seen")   // object, or peer, name and sum: seen
	moveBucket   = []byte("move")   // object: move
	doomedBucket = []byte("doomed") // object of ours that a compacted message replaced
	asideBucket  = []byte("aside")  // time and object: Aside
	copyBucket   = []byte("copies") // path of a copy: Conflict
	refuseBucket = []byte("refuse") // path: refusal
	dataBucket   = []byte("data")   // path that collections were not told about
	peerBucket   = []byte("peers")  // peer: exchange
	brakeBucket  = []byte("brake")  // owner of a datasite: Braked

	releasedBucket = []byte("released") // owner of a datasite: so many deletions may go
)

var buckets = [][]byte{metaBucket, baseBucket, wantBucket, mineBucket, owedBucket, hadBucket, lanesBucket, lastBucket, lookBucket, seenBucket,
	moveBucket, doomedBucket, asideBucket, copyBucket, refuseBucket, dataBucket, peerBucket,
	brakeBucket, releasedBucket}

// The keys of metaBucket.
const (
	intakeKey   = "intake"   // number of the newest change of the journal that was taken in
	feedKey     = "feed"     // remote.Token
	restoredKey = "restored" // true: the state on Drive was looked at once
	sweptKey    = "swept"    // time of the last good sweep
)

const (
	storeFile = "replica.db"
	spoolDir  = "spool"
	lockWait  = 250 * time.Millisecond
)

func openStore(dir string, fault interface{ Before(op string) error }) (*store, error) {
	if err := os.MkdirAll(filepath.Join(dir, spoolDir), 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, storeFile)
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s := &store{db: db, dir: dir, fault: fault}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, b := range buckets {
			if _, err := tx.CreateBucketIfNotExists(b); err != nil {
				return err
			}
		}
		return checkFormat(tx.Bucket(metaBucket))
	})
	if err == nil {
		err = s.sweepSpool()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), db.Close())
	}
	return s, nil
}

var (
	formatKey   = []byte("format")
	storeFormat = []byte{1}
)

func checkFormat(meta *bbolt.Bucket) error {
	switch v := meta.Get(formatKey); {
	case v == nil:
		return meta.Put(formatKey, storeFormat)
	case string(v) != string(storeFormat):
		return fmt.Errorf("it has format %v, this program reads %v: use the newer program", v, storeFormat)
	}
	return nil
}

func (s *store) close() error { return s.db.Close() }

func (s *store) step(op string) error {
	if s.fault == nil {
		return nil
	}
	return s.fault.Before("replica:" + op)
}

// update is one durable transaction, named op; all of fn happens, or nothing.
func (s *store) update(op string, fn func(tx *bbolt.Tx) error) error {
	err := s.db.Update(func(tx *bbolt.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return s.step(op)
	})
	if err != nil {
		return &stateError{op, err}
	}
	return nil
}

// stateError says that our own state cannot be read or written, so that nothing can go on.
type stateError struct {
	op  string
	err error
}

func (e *stateError) Error() string { return fmt.Sprintf("replica state: %s: %v", e.op, e.err) }
func (e *stateError) Unwrap() error { return e.err }

// view reads one state.
func (s *store) view(fn func(tx *bbolt.Tx) error) error {
	if err := s.db.View(fn); err != nil {
		return &stateError{"read", err}
	}
	return nil
}

// get reads a record; ok is false if there is none.
func get[T any](tx *bbolt.Tx, bucket []byte, key string) (v T, ok bool, err error) {
	b := tx.Bucket(bucket).Get([]byte(key))
	if b == nil {
		return v, false, nil
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return v, false, fmt.Errorf("%s %q: %w", bucket, key, err)
	}
	return v, true, nil
}

func put[T any](tx *bbolt.Tx, bucket []byte, key string, v T) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%s %q: %w", bucket, key, err)
	}
	return tx.Bucket(bucket).Put([]byte(key), b)
}

func del(tx *bbolt.Tx, bucket []byte, key string) error { return tx.Bucket(bucket).Delete([]byte(key)) }

// each calls fn for every record whose key begins with prefix, in their order, until fn fails. fn must not change the bucket.
func each[T any](tx *bbolt.Tx, bucket []byte, prefix string, fn func(key string, v T) error) error {
	c := tx.Bucket(bucket).Cursor()
	for k, b := c.Seek([]byte(prefix)); k != nil && strings.HasPrefix(string(k), prefix); k, b = c.Next() {
		var v T
		if err := json.Unmarshal(b, &v); err != nil {
			return fmt.Errorf("%s %q: %w", bucket, k, err)
		}
		if err := fn(string(k), v); err != nil {
			return err
		}
	}
	return nil
}

// count is how many records begin with prefix.
func count(tx *bbolt.Tx, bucket []byte, prefix string) int {
	n := 0
	c := tx.Bucket(bucket).Cursor()
	for k, _ := c.Seek([]byte(prefix)); k != nil && strings.HasPrefix(string(k), prefix); k, _ = c.Next() {
		n++
	}
	return n
}

// below calls fn for every record at p and below it.
func below[T any](tx *bbolt.Tx, bucket []byte, p datasite.Path, fn func(p datasite.Path, v T) error) error {
	visit := func(key string, v T) error {
		q, err := datasite.Parse(key)
		if err != nil {
			return fmt.Errorf("%s: %w", bucket, err)
		}
		return fn(q, v)
	}
	if v, ok, err := get[T](tx, bucket, p.String()); err != nil {
		return err
	} else if ok {
		if err := visit(p.String(), v); err != nil {
			return err
		}
	}
	return each(tx, bucket, p.String()+"/", visit)
}

func pair(first fmt.Stringer, rest string) string { return first.String() + "\x00" + rest }
