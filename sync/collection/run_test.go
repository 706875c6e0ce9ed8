package collection

import (
	"context"
	"errors"
	iofs "io/fs"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/remote/remotetest"
	"go.etcd.io/bbolt"
)

// TestRun lets the goroutine work: at once, and after growing waits when Drive is away.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newSite(t, drive(), owen, rachel)
		f := remotetest.NewFaulty(o.acct, 1, remotetest.Fault{Op: remote.OpPut, Count: 3, Kind: remote.Throttled, RetryAfter: 10 * time.Minute}, remotetest.Fault{Op: remote.OpGrant, Count: 2})
		o.rem = f
		o.restart()
		o.c.Start()
		begun := time.Now()
		o.write(study("d", "1"))
		o.permit("d", rachel)
		synctest.Wait()
		if d := o.status("", "d"); d.State != Sending || d.Problem == "" {
			t.Errorf("%+v", d)
		}
		for o.status("", "d").State != Shared {
			<-time.After(time.Second)
			synctest.Wait()
		}
		if took := time.Since(begun); took < 30*time.Minute || took > 40*time.Minute {
			t.Errorf("it took %v", took)
		}
		o.want(public("d", "1", false, string(rachel)))
		must(t, o.c.Close())
		if err := o.c.Sync(ctx); !errors.Is(err, iofs.ErrClosed) && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// TestClose ends a Sync that runs.
func TestClose(t *testing.T) {
	o := newSite(t, drive(), owen)
	begun := make(chan struct{})
	o.rem = remote.Around(o.acct, func(ctx context.Context, c remote.Call, do func(context.Context) error) error {
		if c.Op == remote.OpPut {
			close(begun)
			<-ctx.Done()
			return context.Cause(ctx)
		}
		return do(ctx)
	})
	o.restart()
	o.write(study("d", "1"))
	ended := make(chan error, 1)
	go func() { ended <- o.c.Sync(ctx) }()
	<-begun
	must(t, o.c.Close())
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	o.rem = o.acct
	o.open()
	o.sync()
	o.want(public("d", "1", false))
}

// TestRightsGoFirst: a right that is taken away does not wait for the end of an upload.
func TestRightsGoFirst(t *testing.T) {
	o := newSite(t, drive(), owen, rachel)
	o.write(study("a", "1"))
	o.permit("a", rachel)
	o.sync()
	var log []string
	o.rem = remote.Around(o.acct, func(ctx context.Context, c remote.Call, do func(context.Context) error) error {
		if c.Op == remote.OpPut || c.Op == remote.OpRevoke {
			log = append(log, c.Op)
		}
		if c.Op == remote.OpPut && len(log) == 2 {
			o.permit("a")
		}
		return do(ctx)
	})
	o.restart()
	o.write(study("b", "1"))
	must(t, o.c.Sync(ctx))
	if at := slices.Index(log, remote.OpRevoke); at != 2 || len(log) != 1+4+1 && len(log) != 1+5 {
		t.Errorf("%q", log)
	}
	if len(o.folders()) != 2 || len(o.folders()[0].Grants) > 0 {
		t.Errorf("%+v", o.folders())
	}
}

// TestContentMovesOn: what changes while it is sent is sent again, and nothing half stays.
func TestContentMovesOn(t *testing.T) {
	o := newSite(t, drive(), owen, rachel)
	puts := 0
	o.rem = remote.Around(o.acct, func(ctx context.Context, c remote.Call, do func(context.Context) error) error {
		if c.Op == remote.OpPut {
			if puts++; puts == 2 {
				o.write(study("d", "2"))
			}
		}
		return do(ctx)
	})
	o.restart()
	o.write(study("d", "1"))
	o.permit("d", rachel)
	o.sync()
	o.want(public("d", "2", false, string(rachel)))
}

// TestNoSuchPerson: who cannot be shared with is told, is no reason to take the right away, and holds up nobody.
func TestNoSuchPerson(t *testing.T) {
	o := newSite(t, drive(), owen, rachel)
	refuse := true
	o.rem = granting{o.acct, &refuse}
	o.restart()
	o.write(study("d", "1"))
	o.permit("d", nina, rachel)
	for range 2 {
		o.sync()
		o.sweep()
		o.want(public("d", "1", false, string(rachel)))
		if d := o.status("", "d"); len(d.Notes) != 1 || !strings.Contains(d.Notes[0], "could not be shared with nina") {
			t.Errorf("%+v", d)
		}
	}
	if l := o.rules.list("public/syft_datasets/d"); !slices.Equal(l, []perm.User{nina, rachel}) {
		t.Errorf("%v", l)
	}
	refuse = false
	o.sweep()
	o.want(public("d", "1", false, string(nina), string(rachel)))
	if d := o.status("", "d"); len(d.Notes) > 0 {
		t.Errorf("%+v", d)
	}
}

// granting refuses to share with nina.
type granting struct {
	remote.Remote
	refuse *bool
}

func (g granting) Grant(ctx context.Context, id remote.ID, grants ...remote.Grant) error {
	for _, to := range grants {
		if *g.refuse && to.Who == string(nina) {
			return &remote.Error{Op: remote.OpGrant, Kind: remote.Invalid, Name: to.Who, Reason: "invalidSharingRequest"}
		}
	}
	return g.Remote.Grant(ctx, id, grants...)
}

// TestIdle: where nothing changed nothing is asked of Drive, and a sweep costs the same however often it is made.
func TestIdle(t *testing.T) {
	_, o, r := pair(t)
	o.write(study("a", "1"))
	o.write(study("b", "1"))
	o.permit("a", rachel)
	o.sync()
	r.sync()
	calls := map[*site]int{}
	for _, s := range []*site{o, r} {
		s.rem = remote.Around(s.acct, func(ctx context.Context, c remote.Call, do func(context.Context) error) error {
			calls[s]++
			return do(ctx)
		})
		s.restart()
		must(t, s.c.Sync(ctx))
	}
	if len(calls) > 0 {
		t.Errorf("%d, %d", calls[o], calls[r])
	}
	o.sweep()
	r.sweep()
	if calls[o] != 3+2*2 || calls[r] != 3 {
		t.Errorf("%d, %d", calls[o], calls[r])
	}
}

// TestFormat: a state of a newer program is not touched.
func TestFormat(t *testing.T) {
	dir := t.TempDir()
	s, err := openStore(dir, nil)
	must(t, err)
	must(t, s.update("test", func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Put(formatKey, []byte{9}) }))
	must(t, s.close())
	if _, err := New(Config{Owner: owen, Dir: dir}); err == nil || !strings.Contains(err.Error(), "newer program") {
		t.Error(err)
	}
}
