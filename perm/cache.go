package perm

import (
	mathbits "math/bits"
	"sync/atomic"
)

const cacheWays = 7 // with the tags, a set is as long as a line of a processor's cache

// cache keeps a bounded number of values that never change, by hash, readable without a lock. It may forget any of them at
// any time, and costs the same however many are in it.
type cache[E any] struct {
	sets []cacheSet[E] // a power of two of them
}

type cacheSet[E any] struct {
	// tags holds a byte of the hash of each value, from the lowest up, 0 where there is none; the highest byte counts
	// evictions. It only spares looking at values: whoever finds one compares the whole question.
	tags   atomic.Uint64
	values [cacheWays]atomic.Pointer[E]
}

const (
	everyByte = 0x0101010101010101
	topOfByte = 0x8080808080808080
)

func newCache[E any](sets int) cache[E] { return cache[E]{make([]cacheSet[E], sets)} }

func (c *cache[E]) set(hash uint64) (set *cacheSet[E], tag uint64) {
	return &c.sets[hash&uint64(len(c.sets)-1)], max(hash>>56, 1)
}

// get gives a value of that hash for which is holds, or nil.
func (c *cache[E]) get(hash uint64, is func(*E) bool) *E {
	set, tag := c.set(hash)
	differ := set.tags.Load() ^ tag*everyByte
	// A byte of 0 sets its top bit here; now and then so does another one.
	for same := (differ - everyByte) &^ differ & topOfByte; same != 0; same &= same - 1 {
		i := mathbits.TrailingZeros64(same) / 8
		if i == cacheWays {
			break
		}
		if v := set.values[i].Load(); v != nil && is(v) {
			return v
		}
	}
	return nil
}

// put takes a free place, or else that of each in turn; it tells whether it took one that was not free.
func (c *cache[E]) put(hash uint64, v *E) (evicted bool) {
	set, tag := c.set(hash)
	for {
		old := set.tags.Load()
		count := old >> (8 * cacheWays)
		at := int(count % cacheWays)
		free := (old - everyByte) &^ old & topOfByte
		i := mathbits.TrailingZeros64(free) / 8
		if evicted = i >= cacheWays; !evicted {
			at = i
		} else {
			count = (count + 1) % (256 / cacheWays * cacheWays)
		}
		tags := old&^(0xff<<(8*at)|0xff<<(8*cacheWays)) | tag<<(8*at) | count<<(8*cacheWays)
		if set.tags.CompareAndSwap(old, tags) {
			set.values[at].Store(v)
			return evicted
		}
	}
}

// mix spreads the bits of a hash.
func mix(h uint64) uint64 {
	h ^= h >> 32
	h *= 0x9e3779b97f4a7c15
	return h ^ h>>29
}
