package remotetest

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/openmined/syftfs/sync/remote"
)

// TestFaultyWithRetry: behind WithRetry a store that fails and lies in every way keeps all promises.
func TestFaultyWithRetry(t *testing.T) {
	script := []Fault{
		{Op: remote.OpGet, Chance: 0.3, Stage: Halfway},
		{Op: remote.OpDelete, Chance: 0.3, Stage: Halfway},
		{Op: remote.OpGrant, Chance: 0.3, Stage: Halfway, Kind: remote.Throttled},
		{Op: remote.OpPut, Chance: 0.2, Stage: After},
		{Chance: 0.15, Stage: Before, Kind: remote.Throttled, RetryAfter: 3 * time.Second},
	}
	for seed := range uint64(3) {
		var mu sync.Mutex
		var all []*Faulty
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			Run(t, func(t *testing.T) func(string) remote.Remote {
				open := inMemory(t)
				return func(email string) remote.Remote {
					f := NewFaulty(open(email), seed, script...)
					mu.Lock()
					all = append(all, f)
					mu.Unlock()
					return remote.WithRetry(f, remote.Policy{Tries: 20, Clock: &idleClock{now: time.Unix(1e9, 0)}})
				}
			})
		})
		fired := 0
		for _, f := range all {
			fired += len(f.Fired())
		}
		if fired < 100 {
			t.Errorf("only %d faults fired", fired)
		}
	}
}

func TestFaultyStages(t *testing.T) {
	for _, test := range []struct {
		name   string
		fault  Fault
		done   bool
		isKind remote.Kind
	}{
		{"before", Fault{Op: remote.OpPut}, false, remote.Unavailable},
		{"halfway", Fault{Op: remote.OpPut, Stage: Halfway}, false, remote.Unavailable},
		{"after", Fault{Op: remote.OpPut, Stage: After}, true, remote.Unavailable},
		{"a lie", Fault{Op: remote.OpPut, Stage: After, Kind: remote.Permission}, true, remote.Permission},
		{"another call", Fault{Op: remote.OpMove}, true, 0},
		{"later", Fault{Op: remote.OpPut, Skip: 1}, true, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &check{T: t, ctx: t.Context()}
			inner := NewWorld(nil).Account(owen)
			f := NewFaulty(inner, 1, test.fault)
			id := c.ids(f, 1)[0]
			err := f.Put(c.ctx, remote.Spec{ID: id, Name: "x"}, remote.Bytes([]byte("body")))
			if test.isKind == 0 {
				c.ok(err)
			} else {
				c.kind(err, test.isKind)
			}
			_, err = inner.Stat(c.ctx, id, 0)
			if test.done != (err == nil) {
				t.Errorf("done is %v, want %v", err == nil, test.done)
			}
		})
	}
}

func TestFaultyHalf(t *testing.T) {
	c := &check{T: t, ctx: t.Context()}
	inner := NewWorld(nil).Account(owen)
	f := NewFaulty(inner, 1, Fault{Stage: Halfway})
	ids := []remote.ID{c.put(inner, "", "a", "0123456789"), c.put(inner, "", "b", "")}
	c.kind(f.Delete(c.ctx, slices.Clone(ids)[1], ids[0]), remote.Unavailable)
	if got := c.list(inner, remote.Query{}); !slices.Equal(got, []string{"a"}) {
		t.Errorf("half of a delete left %q", got)
	}
	body, err := f.Get(c.ctx, ids[0], 0)
	c.ok(err)
	got, err := io.ReadAll(body)
	c.kind(err, remote.Unavailable)
	if string(got) != "01234" {
		t.Errorf("half a body is %q", got)
	}
	_, err = f.List(c.ctx, remote.Query{}, "")
	c.kind(err, remote.Unavailable)
	if n := len(f.Fired()); n != 3 {
		t.Errorf("%d faults are told of", n)
	}
	f.Script()
	c.stat(f, ids[0], 0)
}

// TestFaultyIsDeterministic: the same seed, the same faults.
func TestFaultyIsDeterministic(t *testing.T) {
	run := func(seed uint64) (failed []bool) {
		f := NewFaulty(NewWorld(nil).Account(owen), seed, Fault{Chance: 0.5})
		for range 64 {
			_, err := f.Whoami(t.Context())
			failed = append(failed, errors.Is(err, remote.Unavailable))
		}
		return failed
	}
	if !slices.Equal(run(7), run(7)) || slices.Equal(run(7), run(8)) {
		t.Error("faults do not depend on the seed alone")
	}
}
