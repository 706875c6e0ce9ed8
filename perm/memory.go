package perm

import "hash/maphash"

// How much is remembered, over all datasites: cacheWays for each set.
const (
	answerSets  = 1 << 15
	outcomeSets = 1 << 13
	folderSets  = 1 << 13
	maxCached   = 1 << 10 // the longest path that an answer is kept for, in bytes
)

// memory is what an index remembers. What is kept of an epoch is reached only with its number, which no other state of any
// datasite's rules has, so a rule change makes it unreachable without touching it.
type memory struct {
	seed     maphash.Seed
	answers  cache[answer]
	outcomes cache[outcome]
	folders  cache[folder]
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

func newMemory() *memory {
	return &memory{maphash.MakeSeed(), newCache[answer](answerSets), newCache[outcome](outcomeSets), newCache[folder](folderSets)}
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
