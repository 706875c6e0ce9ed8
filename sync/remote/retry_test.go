package remote_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/remote/remotetest"
)

const owen = "owen@centre.example"

func faulty(script ...remotetest.Fault) (*remotetest.Faulty, remote.Remote) {
	inner := remotetest.NewWorld(nil).Account(owen)
	return remotetest.NewFaulty(inner, 1, script...), inner
}

// pass lets the time of a bubble pass.
func pass(t *testing.T, d time.Duration) {
	t.Helper()
	if err := (remote.SystemClock{}).Sleep(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

func noChance() float64 { return 0 }

// TestBackOff: waits of 1, 2, 4 ... seconds and chance, bounded, with the clock of a bubble.
func TestBackOff(t *testing.T) {
	for _, test := range []struct {
		name   string
		policy remote.Policy
		fault  remotetest.Fault
		took   time.Duration
		failed remote.Kind // 0: it succeeds at last
	}{
		{"works", remote.Policy{}, remotetest.Fault{Op: remote.OpPut}, 0, 0},
		{"once", remote.Policy{}, remotetest.Fault{Count: 1}, time.Second, 0},
		{"four times", remote.Policy{}, remotetest.Fault{Count: 4}, 15 * time.Second, 0},
		{"chance", remote.Policy{Rand: func() float64 { return 0.5 }}, remotetest.Fault{Count: 2}, 4 * time.Second, 0},
		{"bounded", remote.Policy{Max: 3 * time.Second}, remotetest.Fault{Count: 5}, 12 * time.Second, 0},
		{"gives up", remote.Policy{Tries: 3}, remotetest.Fault{}, 3 * time.Second, remote.Unavailable},
		{"told when", remote.Policy{}, remotetest.Fault{Count: 1, Kind: remote.Throttled, RetryAfter: 20 * time.Second}, 20 * time.Second, 0},
		{"told, less than by itself", remote.Policy{}, remotetest.Fault{Count: 3, Kind: remote.Throttled, RetryAfter: time.Second}, 7 * time.Second, 0},
		{"told, too long", remote.Policy{}, remotetest.Fault{Count: 1, Kind: remote.Throttled, RetryAfter: time.Hour}, 0, remote.Throttled},
		{"not found", remote.Policy{}, remotetest.Fault{Kind: remote.NotFound}, 0, remote.NotFound},
		{"full", remote.Policy{}, remotetest.Fault{Kind: remote.Full, RetryAfter: time.Second}, 0, remote.Full},
		{"signed out", remote.Policy{}, remotetest.Fault{Kind: remote.Unauthorized}, 0, remote.Unauthorized},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, _ := faulty(test.fault)
				if test.policy.Rand == nil {
					test.policy.Rand = noChance
				}
				r := remote.WithRetry(f, test.policy)
				began := time.Now()
				_, err := r.Whoami(t.Context())
				if test.failed == 0 && err != nil || test.failed != 0 && !errors.Is(err, test.failed) {
					t.Errorf("error %v", err)
				}
				if took := time.Since(began); took != test.took {
					t.Errorf("took %v, want %v", took, test.took)
				}
			})
		})
	}
}

// TestThrottleHoldsAll: while the store wants to be left alone no call asks it, and a call that would wait too long fails at once.
func TestThrottleHoldsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := faulty(remotetest.Fault{Count: 1, Kind: remote.Throttled, RetryAfter: 90 * time.Second})
		r := remote.WithRetry(f, remote.Policy{Rand: noChance})
		ctx := t.Context()
		_, err := r.Whoami(ctx)
		if !errors.Is(err, remote.Throttled) || remote.RetryAfter(err) != 90*time.Second {
			t.Fatalf("error %v", err)
		}
		pass(t, 10*time.Second)
		if _, err := r.Start(ctx); !errors.Is(err, remote.Throttled) || remote.RetryAfter(err) != 80*time.Second {
			t.Fatalf("error %v", err)
		}
		if n := len(f.Fired()); n != 1 {
			t.Fatalf("the store was asked %d times", n)
		}
		pass(t, 40*time.Second)
		began := time.Now()
		if _, err := r.Start(ctx); err != nil || time.Since(began) != 40*time.Second {
			t.Fatalf("error %v after %v", err, time.Since(began))
		}
	})
}

func TestRetryEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := faulty(remotetest.Fault{})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		began := time.Now()
		_, err := remote.WithRetry(f, remote.Policy{Rand: noChance}).Whoami(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, remote.Unavailable) || time.Since(began) != 2*time.Second {
			t.Errorf("error %v after %v", err, time.Since(began))
		}
	})
}

// TestPutRepeated: a put whose answer was lost is done; one whose id was in use before is not.
func TestPutRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, inner := faulty(remotetest.Fault{Op: remote.OpPut, Stage: remotetest.After, Count: 1, Kind: remote.Throttled})
		r := remote.WithRetry(f, remote.Policy{})
		ids, err := r.NewIDs(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		spec := remote.Spec{ID: ids[0], Name: "x"}
		if err := r.Put(t.Context(), spec, remote.Bytes([]byte("x"))); err != nil {
			t.Errorf("lost answer: %v", err)
		}
		if err := r.Put(t.Context(), spec, remote.Bytes([]byte("x"))); !errors.Is(err, remote.Exists) {
			t.Errorf("used id: %v", err)
		}
		if found, err := remote.Collect(t.Context(), inner, remote.Query{}); err != nil || len(found) != 1 {
			t.Errorf("%d objects, %v", len(found), err)
		}
	})
}

// TestBodyResumed: a download that breaks off again and again goes on where it broke.
func TestBodyResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, inner := faulty()
		ids, err := inner.NewIDs(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.Repeat([]byte("0123456789"), 5000)
		if err := inner.Put(t.Context(), remote.Spec{ID: ids[0], Name: "x"}, remote.Bytes(want)); err != nil {
			t.Fatal(err)
		}
		f.Script(remotetest.Fault{Op: remote.OpGet, Count: 12, Stage: remotetest.Halfway})
		r := remote.WithRetry(f, remote.Policy{Tries: 3})
		body, err := r.Get(t.Context(), ids[0], 5)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(body)
		if err != nil || !bytes.Equal(got, want[5:]) {
			t.Errorf("%d bytes of %d, %v", len(got), len(want)-5, err)
		}
		if err := body.Close(); err != nil {
			t.Error(err)
		}
		f.Script(remotetest.Fault{Op: remote.OpGet, Count: 1, Stage: remotetest.Halfway}, remotetest.Fault{Op: remote.OpGet})
		if body, err = r.Get(t.Context(), ids[0], 0); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(body); !errors.Is(err, remote.Unavailable) || len(got) != len(want)/2 {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
}

// picky fails for some ids, each once, and for others for good.
type picky struct {
	remote.Remote
	moody, never map[remote.ID]bool
	calls        [][]remote.ID
	nameless     bool // its errors do not say which id they are about
}

func (p *picky) Delete(_ context.Context, ids ...remote.ID) error {
	p.calls = append(p.calls, ids)
	var errs []error
	for _, id := range ids {
		e := &remote.Error{Op: remote.OpDelete, ID: id}
		if p.nameless {
			e.ID = ""
		}
		switch {
		case p.moody[id]:
			delete(p.moody, id)
			e.Kind = remote.Unavailable
		case p.never[id]:
			e.Kind = remote.Permission
		default:
			continue
		}
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}

// TestOnlyWhatFailed: of several only those are repeated for which it helps, and those that failed for good are told.
func TestOnlyWhatFailed(t *testing.T) {
	for _, test := range []struct {
		nameless bool
		repeated []remote.ID
	}{
		{false, []remote.ID{"b", "d"}},
		{true, []remote.ID{"a", "b", "c", "d"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &picky{moody: map[remote.ID]bool{"b": true, "d": true}, never: map[remote.ID]bool{"c": true}, nameless: test.nameless}
			r := remote.WithRetry(p, remote.Policy{})
			err := r.Delete(t.Context(), "a", "b", "c", "d")
			if !errors.Is(err, remote.Permission) || remote.Temporary(err) {
				t.Errorf("error %v", err)
			}
			if len(p.calls) != 2 || !slices.Equal(p.calls[1], test.repeated) {
				t.Errorf("calls %v", p.calls)
			}
			if err := r.Delete(t.Context()); err != nil || len(p.calls) != 2 {
				t.Errorf("nothing to delete: %v, %v", err, p.calls)
			}
		})
	}
}
