package driveserver

import (
	"fmt"

	"go.etcd.io/bbolt"
)

// txn is one change of the store: all of it or nothing. It is also a view, with its own changes in it.
type txn struct {
	s    *Server
	st   *state
	by   string // the account that acts, "" for the operator
	seq  int64
	now  int64 // as the server shows it
	real int64 // by the real clock

	items   map[string]*item // changed, nil when deleted
	touched []string         // in order, for the feed
	deep    map[string]bool  // touched with everything below
	writes  []func(*bbolt.Tx) error
	apply   []func(*state)
	after   []func() // once everything is applied and mu is free
}

// update runs fn as one transaction and makes what it changed durable before it returns. An error of fn changes nothing.
func (s *Server) update(by string, fn func(*txn) error) error {
	s.write.Lock()
	defer s.write.Unlock()
	tx := &txn{s: s, st: s.st, by: by, seq: s.st.seq + 1, now: millis(s.clock()), real: millis(s.cfg.Now()), items: map[string]*item{}, deep: map[string]bool{}}
	if err := fn(tx); err != nil {
		return err
	}
	return tx.commit()
}

func (tx *txn) item(id string) *item {
	if it, ok := tx.items[id]; ok {
		return it
	}
	return tx.st.items[id]
}

func (tx *txn) kids(id string) []string {
	var all []string
	for k := range tx.st.children[id] {
		if it := tx.item(k); it != nil && it.Parent == id {
			all = append(all, k)
		}
	}
	for k, it := range tx.items {
		if it != nil && it.Parent == id && !tx.st.children[id][k] {
			all = append(all, k)
		}
	}
	return all
}

// put stores a changed item, which must be a clone or new. deep says that the change also shows in everything below it.
func (tx *txn) put(it *item, deep bool) {
	it.Version++
	it.Seq, it.By = tx.seq, tx.by
	tx.set(it.ID, it, deep)
}

// remove deletes an item; its id is never used again.
func (tx *txn) remove(it *item) {
	tx.set(it.ID, nil, false)
	tx.keepID(it.ID, issued{Account: it.Owner, Space: it.Space, Used: true})
}

func (tx *txn) set(id string, it *item, deep bool) {
	if _, ok := tx.items[id]; !ok {
		tx.touched = append(tx.touched, id)
	}
	tx.items[id] = it
	tx.deep[id] = tx.deep[id] || deep
}

func (tx *txn) keepID(id string, v issued) {
	tx.save(bucketIDs, id, v, func(st *state) { st.ids[id] = v })
}

// save stores v under key, or deletes it when v is nil, and runs apply once that is durable.
func (tx *txn) save(bucket, key string, v any, apply func(*state)) {
	tx.writes = append(tx.writes, func(b *bbolt.Tx) error {
		if v == nil {
			return b.Bucket([]byte(bucket)).Delete([]byte(key))
		}
		return putJSON(b, bucket, key, v)
	})
	tx.apply = append(tx.apply, apply)
}

func (tx *txn) commit() error {
	tx.announce()
	for _, id := range tx.touched {
		if it := tx.items[id]; it != nil {
			tx.save(bucketItems, id, it, func(st *state) { st.setItem(id, it) })
		} else {
			tx.save(bucketItems, id, nil, func(st *state) { st.setItem(id, nil) })
		}
	}
	tx.save(bucketMeta, "seq", tx.seq, func(st *state) { st.seq = tx.seq })
	counts := tx.s.counters.dirty()
	for k, c := range counts {
		tx.save(bucketCounts, k, c, func(st *state) { st.counts[k] = c })
	}
	if err := tx.s.step("meta:commit"); err != nil {
		return err
	}
	err := tx.s.store.db.Update(func(b *bbolt.Tx) error {
		for _, w := range tx.writes {
			if err := w(b); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("local drive: commit: %w", err)
	}
	tx.s.counters.saved(counts)
	freed := tx.settle()
	tx.s.blobs.drop(freed)
	for _, fn := range tx.after {
		fn()
	}
	return tx.s.step("meta:done")
}

// settle brings the committed transaction into the state and returns the blobs that no item names any more.
func (tx *txn) settle() []string {
	tx.s.mu.Lock()
	defer tx.s.mu.Unlock()
	var maybe []string
	for _, id := range tx.touched {
		if old := tx.st.items[id]; old != nil {
			tx.st.remember(old, tx.real, tx.by, tx.s.faults.switches().longestLag())
			if old.Content != nil {
				maybe = append(maybe, old.Content.SHA256)
			}
		} else {
			tx.st.rememberBirth(id, tx.real, tx.by, tx.s.faults.switches().longestLag())
		}
	}
	for _, fn := range tx.apply {
		fn(tx.st)
	}
	var freed []string
	for _, sum := range maybe {
		if tx.st.refs[sum] == 0 {
			freed = append(freed, sum)
		}
	}
	return freed
}

// announce adds the changes to the feed of everybody who can see them now or could before.
func (tx *txn) announce() {
	type line struct{ account, item string }
	told := map[line]bool{}
	next := map[string]int{}
	tell := func(id string) {
		who := map[string]bool{}
		for _, v := range []view{tx.st, tx} {
			if it := v.item(id); it != nil {
				for a := range seers(v, it, tx.now) {
					who[a] = true
				}
			}
		}
		for a := range who {
			if told[line{a, id}] {
				continue
			}
			told[line{a, id}] = true
			next[a]++
			pos := len(tx.st.feeds[a]) + next[a]
			e := entry{Item: id, At: tx.now, Real: tx.real, By: tx.by}
			tx.save(bucketFeed, a+position(pos), e, func(st *state) { st.feeds[a] = append(st.feeds[a], e) })
		}
	}
	for _, id := range tx.touched {
		tell(id)
		if !tx.deep[id] || tx.s.faults.switches().FolderChangesOnly {
			continue
		}
		for _, v := range []view{tx.st, tx} {
			for _, d := range descendants(v, id) {
				tell(d)
			}
		}
	}
}

func (s *Server) step(op string) error {
	if s.cfg.Fault == nil {
		return nil
	}
	return s.cfg.Fault.Before(op)
}
