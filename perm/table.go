package perm

import (
	"hash/maphash"
	"sync/atomic"
)

const (
	tableWays = 4
	tableSets = 1 << 16
)

// table keeps decisions, a bounded number of them, readable without a lock. An entry is of one epoch, and epochs of all
// datasites are different numbers, so a rule change makes entries unreachable without touching them.
type table struct {
	seed maphash.Seed
	sets [][tableWays]atomic.Pointer[entry]
}

// entry never changes.
type entry struct {
	epoch uint64
	user  User
	path  string
	want  Level
	isDir bool
	day   int64 // the only day, since 1970 in UTC, on which it is true; anyDay for every day
	d     *Decision
}

const anyDay = -1 << 62

func newTable() *table {
	return &table{seed: maphash.MakeSeed(), sets: make([][tableWays]atomic.Pointer[entry], tableSets)}
}

func (t *table) hash(epoch uint64, r *Request) uint64 {
	h := maphash.String(t.seed, r.Path)
	h = h*31 + maphash.String(t.seed, string(r.User))
	h = h*31 + epoch<<8 + uint64(r.Want)<<1
	if r.IsDir {
		h++
	}
	h *= 0x9e3779b97f4a7c15
	return h ^ h>>32
}

func (t *table) get(h, epoch uint64, r *Request) *entry {
	set := &t.sets[h%tableSets]
	for i := range set {
		e := set[i].Load()
		if e != nil && e.epoch == epoch && e.want == r.Want && e.isDir == r.IsDir && e.path == r.Path && e.user == r.User {
			return e
		}
	}
	return nil
}

// put takes a free place, one of another epoch, one of the same question, or any.
func (t *table) put(h uint64, e *entry) {
	set := &t.sets[h%tableSets]
	at := int(h >> 60 % tableWays)
	for i := range set {
		old := set[i].Load()
		if old == nil || old.epoch != e.epoch || old.want == e.want && old.isDir == e.isDir && old.path == e.path && old.user == e.user {
			at = i
			break
		}
	}
	set[at].Store(e)
}
