package perm

import (
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestCache(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCache[uint64](2)
		known := map[uint64]bool{}
		hash := func(n uint64) uint64 { return n%3<<56 | n%2 } // many alike
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			n := rapid.Uint64Range(0, 30).Draw(t, "n")
			got := c.get(hash(n), func(v *uint64) bool { return *v == n })
			if got != nil && (*got != n || !known[n]) {
				t.Fatalf("%d gives %d", n, *got)
			}
			if got != nil {
				continue
			}
			full := len(known)
			evicted := c.put(hash(n), &n)
			known[n] = true
			if evicted && full < cacheWays {
				t.Fatalf("evicted with %d in it", full)
			}
			if got := c.get(hash(n), func(v *uint64) bool { return *v == n }); got == nil || *got != n {
				t.Fatalf("%d is not there", n)
			}
		}
	})
}

func TestCacheTakesEachPlaceInTurn(t *testing.T) {
	c := newCache[int](1)
	for n := range 300 {
		if evicted := c.put(uint64(n)<<56, &n); evicted != (n >= cacheWays) {
			t.Fatalf("%d: evicted %v", n, evicted)
		}
		for back := range min(n+1, cacheWays) { // the latest are there
			want := n - back
			if c.get(uint64(want)<<56, func(v *int) bool { return *v == want }) == nil {
				t.Fatalf("%d is gone after %d", want, n)
			}
		}
	}
}

func TestCacheConcurrent(t *testing.T) {
	c := newCache[uint64](4)
	var all sync.WaitGroup
	for g := range uint64(4) {
		all.Go(func() {
			for i := range uint64(5000) {
				n := (i*7 + g) % 64
				if v := c.get(mix(n), func(v *uint64) bool { return *v == n }); v == nil {
					c.put(mix(n), &n)
				} else if *v != n {
					t.Errorf("%d for %d", *v, n)
				}
			}
		})
	}
	all.Wait()
}

// TestMemoryIsBounded asks more than is kept, and something that is too long to be kept.
func TestMemoryIsBounded(t *testing.T) {
	x := NewIndex(func(User, string) ([]Ruleset, error) {
		return []Ruleset{{Kind: KindPub, Terminal: true, Rules: []Rule{{Pattern: "**", Grants: map[Level][]string{Read: {"*"}}}}}}, nil
	})
	first := x.memory.Load()
	path := make([]byte, 0, 2*longestKey)
	for i := range 3 * firstSets * cacheWays {
		path = append(path[:0], byte('a'+i%26), byte('a'+i/26%26), byte('a'+i/676%26), byte('a'+i/17576))
		if d, err := x.Decide(Request{User: "bob@x.org", Owner: "alice@x.org", Path: string(path), Want: Read}); err != nil || !d.Allowed {
			t.Fatal(err)
		}
	}
	m := x.memory.Load()
	if m == first || len(m.answers.sets) != firstSets*growth {
		t.Errorf("%d sets", len(m.answers.sets))
	}
	for len(path) <= longestKey {
		path = append(path, "/name"...)
	}
	r := Request{User: "bob@x.org", Owner: "alice@x.org", Path: string(path), Want: Read}
	if d, err := x.Decide(r); err != nil || !d.Allowed {
		t.Fatal(err)
	}
	if m.answers.get(m.hash(x.Epoch("alice@x.org"), &r), func(a *answer) bool { return a.path == r.Path }) != nil {
		t.Error("an answer about a very long path is kept")
	}
	if full := newMemory(mostSets); full.keep(1, &answer{}) != nil {
		t.Error("the largest memory grows")
	}
}
