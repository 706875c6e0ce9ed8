package remote_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/remote/remotetest"
)

func TestErrorsMatch(t *testing.T) {
	sentinels := []error{iofs.ErrNotExist, iofs.ErrExist, iofs.ErrPermission, iofs.ErrInvalid, syscall.EDQUOT}
	for _, test := range []struct {
		kind      remote.Kind
		same      error
		temporary bool
	}{
		{remote.Unavailable, nil, true},
		{remote.Throttled, nil, true},
		{remote.NotFound, iofs.ErrNotExist, false},
		{remote.Exists, iofs.ErrExist, false},
		{remote.Permission, iofs.ErrPermission, false},
		{remote.Unauthorized, nil, false},
		{remote.Full, syscall.EDQUOT, false},
		{remote.TokenLost, nil, false},
		{remote.Invalid, iofs.ErrInvalid, false},
	} {
		err := fmt.Errorf("outer: %w", &remote.Error{Op: remote.OpPut, Kind: test.kind, Name: "x", Reason: "why", Err: io.ErrUnexpectedEOF})
		for _, s := range sentinels {
			if errors.Is(err, s) != (s == test.same) {
				t.Errorf("%v: is %v is %v", test.kind, s, errors.Is(err, s))
			}
		}
		if !errors.Is(err, test.kind) || !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, remote.Kind(200)) {
			t.Errorf("%v does not match itself and its cause", err)
		}
		if remote.Temporary(err) != test.temporary {
			t.Errorf("%v: temporary is %v", test.kind, remote.Temporary(err))
		}
		if text := err.Error(); !strings.HasPrefix(text, "outer: put x: ") || !strings.Contains(text, "(why); ") {
			t.Errorf("%v does not say what and what next", text)
		}
	}
	if remote.Temporary(nil) || remote.Temporary(io.EOF) || remote.Temporary(&remote.Error{Kind: remote.Unavailable, Err: context.Canceled}) {
		t.Error("temporary what is not")
	}
	joined := errors.Join(&remote.Error{Kind: remote.Permission}, fmt.Errorf("x: %w", &remote.Error{Kind: remote.Throttled, RetryAfter: time.Minute}))
	if !remote.Temporary(joined) || remote.RetryAfter(joined) != time.Minute {
		t.Error("of joined errors one is temporary")
	}
}

// TestAllBeginsAgain: a page token that is lost costs a second look, and no object comes twice.
func TestAllBeginsAgain(t *testing.T) {
	w := remotetest.NewWorld(nil)
	r := w.Account(owen)
	ids, err := r.NewIDs(t.Context(), 25)
	if err != nil {
		t.Fatal(err)
	}
	for n, id := range ids {
		if err := r.Put(t.Context(), remote.Spec{ID: id, Name: fmt.Sprintf("%02d", n)}, remote.Bytes(nil)); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for o, err := range remote.All(t.Context(), r, remote.Query{PageSize: 10, Order: remote.NameUp}) {
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 15 {
			w.ForgetPages()
		}
		got = append(got, o.Name)
	}
	if len(got) != 25 || !slices.IsSorted(got) {
		t.Errorf("got %q", got)
	}
	for o, err := range remote.All(t.Context(), r, remote.Query{PageSize: 5}) {
		w.ForgetPages()
		if err != nil {
			if !errors.Is(err, remote.TokenLost) {
				t.Errorf("error %v", err)
			}
			break
		}
		_ = o
	}
}

func TestFetchChecks(t *testing.T) {
	r := remotetest.NewWorld(nil).Account(owen)
	ids, err := r.NewIDs(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Put(t.Context(), remote.Spec{ID: ids[0], Name: "x"}, remote.Bytes([]byte("content"))); err != nil {
		t.Fatal(err)
	}
	o, err := r.Stat(t.Context(), ids[0], remote.WithSum)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Update(t.Context(), o.ID, remote.Edit{Body: new(remote.Bytes([]byte("another")))}); err != nil {
		t.Fatal(err)
	}
	if err := remote.Fetch(t.Context(), r, o, 100, io.Discard); !errors.Is(err, remote.Unavailable) {
		t.Errorf("replaced content: %v", err)
	}
	o.SHA256 = ""
	if err := remote.Fetch(t.Context(), r, o, 100, io.Discard); !errors.Is(err, remote.Invalid) {
		t.Errorf("content without a sum: %v", err)
	}
}

// TestPool: a thousand ids cost one request, from many at once.
func TestPool(t *testing.T) {
	f, _ := faulty()
	requests := 0
	var mu sync.Mutex
	counted := remote.Around(f, func(ctx context.Context, c remote.Call, do func(context.Context) error) error {
		mu.Lock()
		defer mu.Unlock()
		requests++
		return do(ctx)
	})
	p := remote.NewPool(counted, 0)
	seen := map[remote.ID]bool{}
	var wg sync.WaitGroup
	var seenMu sync.Mutex
	for range 100 {
		wg.Go(func() {
			ids, err := p.NewIDs(t.Context(), 10)
			seenMu.Lock()
			defer seenMu.Unlock()
			if err != nil {
				t.Error(err)
			}
			for _, id := range ids {
				seen[id] = true
			}
		})
	}
	wg.Wait()
	if len(seen) != 1000 || requests != 1 {
		t.Errorf("%d ids with %d requests", len(seen), requests)
	}
	f.Script(remotetest.Fault{Count: 1})
	if _, err := p.NewIDs(t.Context(), 1); !errors.Is(err, remote.Unavailable) {
		t.Errorf("error %v", err)
	}
	if ids, err := p.NewIDs(t.Context(), 2500); err != nil || len(ids) != 2500 {
		t.Errorf("%d ids, %v", len(ids), err)
	}
}
