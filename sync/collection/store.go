package collection

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// store is what is known about collections: one bbolt file, always synced, and a folder with what was fetched and not yet put in place.
// If it is lost, everything is compared again; nothing in it is unique but who was a reader on both sides.
type store struct {
	db    *bbolt.DB
	dir   string
	fault interface{ Before(op string) error }
}

// The buckets. The parts of a composed key are joined by NUL.
var (
	metaBucket  = []byte("meta")  // format, sweep, local
	markBucket  = []byte("marks") // key: mark
	ownBucket   = []byte("own")   // dataset: owned
	fileBucket  = []byte("files") // folder that is being filled, name: planned
	mineBucket  = []byte("mine")  // folder of ours on Drive that no record speaks of: offered
	otherBucket = []byte("other") // folder of somebody else's: offered
	gotBucket   = []byte("got")   // key of a peer's dataset: received
	givenBucket = []byte("given") // key of a peer's dataset, path in it: hashes of what was delivered
)

var buckets = [][]byte{metaBucket, markBucket, ownBucket, fileBucket, mineBucket, otherBucket, gotBucket, givenBucket}

// The keys of metaBucket.
const sweepKey = "sweep" // number of the wish that is open

const (
	storeFile   = "collections.db"
	incomingDir = "incoming"
	lockWait    = 250 * time.Millisecond
)

func openStore(dir string, fault interface{ Before(op string) error }) (*store, error) {
	if err := os.MkdirAll(filepath.Join(dir, incomingDir), 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, storeFile)
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		fresh := tx.Bucket(metaBucket) == nil
		for _, b := range buckets {
			if _, err := tx.CreateBucketIfNotExists(b); err != nil {
				return err
			}
		}
		if fresh { // nothing is known: everything is looked at
			if err := wish(tx); err != nil {
				return err
			}
		}
		return checkFormat(tx.Bucket(metaBucket))
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), db.Close())
	}
	return &store{db: db, dir: dir, fault: fault}, nil
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
	return s.fault.Before("collection:" + op)
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
		return fmt.Errorf("collections state: %s: %w", op, err)
	}
	return nil
}

// view reads one state.
func (s *store) view(fn func(tx *bbolt.Tx) error) error {
	if err := s.db.View(fn); err != nil {
		return fmt.Errorf("collections state: %w", err)
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

// all gives every record whose key begins with prefix, by what comes behind it.
func all[T any](tx *bbolt.Tx, bucket []byte, prefix string) (map[string]T, error) {
	out := map[string]T{}
	return out, each(tx, bucket, prefix, func(key string, v T) error {
		out[key[len(prefix):]] = v
		return nil
	})
}

// clearUnder removes every record whose key begins with prefix.
func clearUnder(tx *bbolt.Tx, bucket []byte, prefix string) error {
	c := tx.Bucket(bucket).Cursor()
	for k, _ := c.Seek([]byte(prefix)); k != nil && strings.HasPrefix(string(k), prefix); k, _ = c.Seek([]byte(prefix)) {
		if err := c.Delete(); err != nil {
			return err
		}
	}
	return nil
}
