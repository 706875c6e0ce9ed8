package remote_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/remote/remotetest"
)

// TestBudget: what a minute allows is spent in a minute, lists at 100 units.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := remote.WithLimit(remotetest.NewWorld(nil).Account(owen), remote.Budget{PerMinute: 600, Burst: 100})
		began := time.Now()
		for n := range 7 {
			if _, err := r.List(t.Context(), remote.Query{}, ""); err != nil {
				t.Fatal(err)
			}
			if took, want := time.Since(began), time.Duration(n)*10*time.Second; took != want {
				t.Errorf("list %d after %v, want %v", n, took, want)
			}
		}
		pass(t, 10*time.Second)
		began = time.Now()
		for range 20 {
			if _, err := r.Whoami(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("20 small calls took %v", took)
		}
	})
}

func TestBudgetAndDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := remote.WithRetry(remote.WithLimit(remotetest.NewWorld(nil).Account(owen), remote.Budget{PerMinute: 600, Burst: 100}), remote.Policy{})
		if _, err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := r.List(ctx, remote.Query{}, "")
		if !errors.Is(err, remote.Throttled) || !errors.Is(err, context.DeadlineExceeded) || remote.Temporary(err) {
			t.Errorf("error %v", err)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("it waited %v for what could not be", took)
		}
		if _, err := r.Start(t.Context()); err != nil || time.Since(began) != 0 {
			t.Errorf("%v after %v: what was not done has cost something", err, time.Since(began))
		}
	})
}

func TestUnits(t *testing.T) {
	for _, test := range []struct {
		call remote.Call
		want int
	}{
		{remote.Call{Op: remote.OpStat}, 5},
		{remote.Call{Op: remote.OpSince}, 100},
		{remote.Call{Op: remote.OpGet}, 200},
		{remote.Call{Op: remote.OpPut, Count: 1}, 50},
		{remote.Call{Op: remote.OpDelete, Count: 20}, 1000},
		{remote.Call{Op: remote.OpNewIDs}, 5},
	} {
		if got := test.call.Units(); got != test.want {
			t.Errorf("%+v costs %d, want %d", test.call, got, test.want)
		}
	}
}
