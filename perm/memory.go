package perm

import (
	"hash/maphash"
	"sync/atomic"
)

// How much is remembered, over all datasites: cacheWays answers for each set, and a quarter as many outcomes and folders.
const (
	firstSets  = 1 << 9
	mostSets   = 1 << 15
	growth     = 8
	longestKey = 1 << 10 // the longest path that an answer is kept for, in bytes
)

// memory is what an index remembers. What is kept of an epoch is reached only with its number, which no other state of any
// datasite's rules has, so a rule change makes it unreachable without touching it.
type memory struct {
	seed     maphash.Seed
	answers  cache[answer]
	outcomes cache[outcome]
	folders  cache[folder]
	crowded  atomic.Int64 // answers that took the place of others
}

// answer is a decision without the request. It never changes.
type answer struct {
	epoch uint64
	user  User
	path  string
	day   int64 // the only day, since 1970 in UTC, on which it is true; anyDay for every day
	out   *outcome
	want  Level
	isDir bool
}

const anyDay = -1 << 62

func newMemory(sets int) *memory {
	return &memory{seed: maphash.MakeSeed(), answers: newCache[answer](sets), outcomes: newCache[outcome](sets / 4), folders: newCache[folder](sets / 4)}
}

// keep remembers an answer. It gives the memory to use from now on instead of a crowded one, or nil. That one begins empty.
func (m *memory) keep(hash uint64, a *answer) (larger *memory) {
	sets := len(m.answers.sets)
	if !m.answers.put(hash, a) || sets >= mostSets || m.crowded.Add(1) != int64(sets) {
		return nil
	}
	return newMemory(sets * growth)
}

func (m *memory) hash(epoch uint64, r *Request) uint64 {
	h := maphash.String(m.seed, r.Path)
	h = h*31 + maphash.String(m.seed, string(r.User))
	h += epoch<<8 + uint64(r.Want)<<1
	if r.IsDir {
		h++
	}
	return mix(h)
}

func (m *memory) folderHash(epoch uint64, dir string) uint64 {
	return mix(maphash.String(m.seed, dir) + epoch)
}
