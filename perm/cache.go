package perm

import "sync/atomic"

const cacheWays = 4

// cache keeps a bounded number of values that never change, by hash, readable without a lock. It may forget any of them at
// any time, and costs the same however many are in it.
type cache[E any] struct {
	sets []cacheSet[E] // a power of two of them
}

type cacheSet[E any] [cacheWays]cacheSlot[E]

type cacheSlot[E any] struct {
	hash  atomic.Uint64 // a hint, which spares looking at value: whoever finds one compares the whole question
	value atomic.Pointer[E]
}

// newCache makes a cache for up to size values, a power of two and more than cacheWays.
func newCache[E any](size int) cache[E] { return cache[E]{make([]cacheSet[E], size/cacheWays)} }

// get gives the value of that hash for which is holds, or nil.
func (c *cache[E]) get(hash uint64, is func(*E) bool) *E {
	set := &c.sets[hash&uint64(len(c.sets)-1)]
	for i := range set {
		if set[i].hash.Load() != hash {
			continue
		}
		if v := set[i].value.Load(); v != nil && is(v) {
			return v
		}
	}
	return nil
}

// put takes the place of the same hash, a free one, or any.
func (c *cache[E]) put(hash uint64, v *E) {
	set := &c.sets[hash&uint64(len(c.sets)-1)]
	at := &set[hash>>62]
	for i := range set {
		if h := set[i].hash.Load(); h == hash || h == 0 {
			at = &set[i]
			break
		}
	}
	at.hash.Store(hash)
	at.value.Store(v)
}

// mix spreads the bits of a hash.
func mix(h uint64) uint64 {
	h ^= h >> 32
	h *= 0x9e3779b97f4a7c15
	return h ^ h>>29
}
