package driveserver

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Buckets of the database. Values are JSON.
const (
	bucketMeta     = "meta"
	bucketAccounts = "accounts"
	bucketItems    = "items"
	bucketIDs      = "ids"
	bucketFeed     = "feed" // account id, then the position in eight bytes
	bucketSessions = "sessions"
	bucketTokens   = "tokens"
	bucketClients  = "clients"
	bucketOutbox   = "outbox"
	bucketCounts   = "counts"
)

const schemaVersion = 1

// store is the database. It is written by one transaction at a time; everything is read from the state.
type store struct{ db *bbolt.DB }

// errSchema says that the store was written by a newer program.
var errSchema = errors.New("the store was written by a newer version of this program; use that one")

// openStore opens or makes the database and reads all of it.
func openStore(path string) (*store, *state, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 250 * time.Millisecond, FreelistType: bbolt.FreelistMapType})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, nil, ErrInUse
	}
	if err != nil {
		return nil, nil, err
	}
	s := &store{db: db}
	st := newState()
	if err := errors.Join(s.migrate(), db.View(func(tx *bbolt.Tx) error { return readState(tx, st) })); err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return s, st, nil
}

func (s *store) close() error { return s.db.Close() }

// migrate makes the buckets and brings the store forward to schemaVersion.
func (s *store) migrate() error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		for _, name := range []string{bucketMeta, bucketAccounts, bucketItems, bucketIDs, bucketFeed, bucketSessions, bucketTokens, bucketClients, bucketOutbox, bucketCounts} {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		meta := tx.Bucket([]byte(bucketMeta))
		var have int
		if raw := meta.Get([]byte("schema")); raw != nil {
			if err := json.Unmarshal(raw, &have); err != nil {
				return fmt.Errorf("schema: %w", err)
			}
		}
		if have > schemaVersion {
			return errSchema
		}
		if have == 0 {
			key := make([]byte, 32)
			if _, err := rand.Read(key); err != nil {
				return err
			}
			if err := putJSON(tx, bucketMeta, "pageKey", key); err != nil {
				return err
			}
		}
		return putJSON(tx, bucketMeta, "schema", schemaVersion)
	})
}

func readState(tx *bbolt.Tx, st *state) error {
	meta := tx.Bucket([]byte(bucketMeta))
	st.sw = &Switches{}
	for key, into := range map[string]any{"seq": &st.seq, "pageKey": &st.pageKey, "switches": st.sw} {
		if raw := meta.Get([]byte(key)); raw != nil {
			if err := json.Unmarshal(raw, into); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
		}
	}
	return errors.Join(
		each(tx, bucketAccounts, func(k string, v *account) { st.accounts[k] = v; st.mails[lower(v.Email)] = k }),
		each(tx, bucketItems, func(k string, v *item) { st.setItem(k, v) }),
		each(tx, bucketIDs, func(k string, v *issued) { st.ids[k] = *v }),
		each(tx, bucketFeed, func(k string, v *entry) { u := k[:len(k)-8]; st.feeds[u] = append(st.feeds[u], *v) }),
		each(tx, bucketSessions, func(k string, v *session) { st.sessions[k] = v }),
		each(tx, bucketTokens, func(k string, v *token) { st.tokens[k] = v }),
		each(tx, bucketClients, func(k string, v *Client) { st.clients[k] = v }),
		each(tx, bucketOutbox, func(_ string, v *Mail) { st.outbox = append(st.outbox, *v) }),
		each(tx, bucketCounts, func(k string, v *Count) { st.counts[k] = *v }),
	)
}

func each[T any](tx *bbolt.Tx, bucket string, fn func(key string, v *T)) error {
	return tx.Bucket([]byte(bucket)).ForEach(func(k, raw []byte) error {
		v := new(T)
		if err := json.Unmarshal(raw, v); err != nil {
			return fmt.Errorf("%s %q: %w", bucket, k, err)
		}
		fn(string(k), v)
		return nil
	})
}

func putJSON(tx *bbolt.Tx, bucket, key string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return tx.Bucket([]byte(bucket)).Put([]byte(key), raw)
}

func position(n int) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	return string(b[:])
}
