package perm_test

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openmined/syftfs/perm"
)

func ask(tb testing.TB, x *perm.Index, r perm.Request) {
	if _, err := x.Decide(r); err != nil {
		tb.Fatal(err)
	}
}

// warm makes an index of the load that has answered all of these.
func warm(tb testing.TB, l *load, all []perm.Request) *perm.Index {
	x := perm.NewIndex(l.rules)
	for range 2 {
		for _, r := range all {
			ask(tb, x, r)
		}
	}
	return x
}

// visit asks in every folder, so that all rule files are loaded.
func (l *load) visit() []perm.Request {
	var all []perm.Request
	for i := 0; i < loadPaths; i += 20 {
		all = append(all, l.paths[i])
	}
	return all
}

// BenchmarkCached asks 1,000 paths for 50 users in random order.
func BenchmarkCached(b *testing.B) {
	l := newLoad()
	all := l.few()
	x := warm(b, l, all)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		ask(b, x, all[i])
		if i++; i == len(all) {
			i = 0
		}
	}
}

// BenchmarkUncached never asks the same within five million questions, so that every answer is worked out and stored.
func BenchmarkUncached(b *testing.B) {
	l := newLoad()
	x := warm(b, l, l.visit())
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		ask(b, x, l.nth(i))
		i++
	}
}

// BenchmarkTurned asks what was asked before in epochs since gone, so that folders are worked out anew as well; only the
// rule files are loaded.
func BenchmarkTurned(b *testing.B) {
	l := newLoad()
	x := warm(b, l, l.visit())
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		r := l.nth(i)
		x.Turn(r.Owner)
		ask(b, x, r)
		i++
	}
}

// BenchmarkReplace replaces a rule file by another while 100,000 answers are cached, and asks for something below it.
func BenchmarkReplace(b *testing.B) {
	l := newLoad()
	var all []perm.Request
	for i := range loadPaths {
		all = append(all, l.nth(i))
	}
	at := all[loadPaths/2]
	versions := [2][]perm.Ruleset{{l.file(at.Owner, "", 1)}, {l.file(at.Owner, "", 2)}}
	version := 0
	x := perm.NewIndex(func(owner perm.User, dir string) ([]perm.Ruleset, error) {
		if owner == at.Owner && dir == "" {
			return versions[version], nil
		}
		return l.rules(owner, dir)
	})
	for _, r := range all {
		ask(b, x, r)
	}
	b.ReportAllocs()
	for b.Loop() {
		version = 1 - version
		x.Forget(at.Owner, "")
		ask(b, x, at)
	}
}

// BenchmarkOwner asks for the owner, to whom no rule applies.
func BenchmarkOwner(b *testing.B) {
	l := newLoad()
	x := perm.NewIndex(l.rules)
	r := l.paths[loadPaths/2]
	r.User = r.Owner
	b.ReportAllocs()
	for b.Loop() {
		ask(b, x, r)
	}
}

// BenchmarkMemory tells what an index holds on to: all rule files, and the answers of BenchmarkCached ("MiB"), or as many of
// BenchmarkUncached as it keeps ("full-MiB").
func BenchmarkMemory(b *testing.B) {
	l := newLoad()
	few := l.few()
	for b.Loop() {
		before := heap()
		x := warm(b, l, l.visit())
		for _, r := range few {
			ask(b, x, r)
		}
		b.ReportMetric(float64(heap()-before)/(1<<20), "MiB")
		for i := range 1 << 20 {
			ask(b, x, l.nth(i))
		}
		b.ReportMetric(float64(heap()-before)/(1<<20), "full-MiB")
		runtime.KeepAlive(x)
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkParallel tells how much more all processors answer than one, cached and not.
func BenchmarkParallel(b *testing.B) {
	l := newLoad()
	all := l.few()
	for _, load := range []struct {
		name     string
		question func(i int) perm.Request
	}{
		{"cached", func(i int) perm.Request { return all[i%len(all)] }},
		{"uncached", l.nth},
	} {
		b.Run(load.name, func(b *testing.B) {
			x := warm(b, l, append(l.visit(), all...))
			b.ResetTimer()
			start := time.Now()
			for i := range b.N {
				ask(b, x, load.question(i))
			}
			alone := time.Since(start)
			var turn atomic.Int64
			start = time.Now()
			b.RunParallel(func(pb *testing.PB) {
				i := int(turn.Add(1)) * (loadPaths*loadUsers/8 + 1)
				for pb.Next() {
					ask(b, x, load.question(i))
					i++
				}
			})
			b.ReportMetric(alone.Seconds()/time.Since(start).Seconds(), "times-one")
		})
	}
}

// TestCachedAnswersDoNotAllocate holds the goal that can be tested without a clock.
func TestCachedAnswersDoNotAllocate(t *testing.T) {
	l := newLoad()
	x := perm.NewIndex(l.rules)
	r := l.paths[loadPaths/3]
	for _, u := range []perm.User{r.Owner, l.users[7], "eve@x.org", perm.Anonymous} {
		r.User = u
		if n := testing.AllocsPerRun(100, func() { ask(t, x, r) }); n != 0 {
			t.Errorf("%s: %v allocations", u, n)
		}
	}
}
