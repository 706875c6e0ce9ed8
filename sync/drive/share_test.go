package drive_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/openmined/syftfs/sync/driveserver"
	"github.com/openmined/syftfs/sync/remote"
)

func made(t *testing.T, r remote.Remote, n int) []remote.ID {
	t.Helper()
	ids, err := r.NewIDs(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if err := r.Put(t.Context(), remote.Spec{ID: id, Name: "x"}, remote.Bytes([]byte("content"))); err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

// TestSharingRefused: a server that does not share silently with an address is asked to send a mail; one that does not know the
// person at all says so, and the others of the same call are served.
func TestSharingRefused(t *testing.T) {
	p := startServer(t)
	p.client(rachel, nil)
	var c counter
	d := p.client(owen, &c)
	id := made(t, d, 1)[0]
	c.take()
	refuse := driveserver.Rule{Method: "permissions.create", Count: 1, Action: driveserver.Action{Kind: driveserver.FaultError, Code: 400, Reason: "invalidSharingRequest"}}
	if _, err := p.AddFault(refuse); err != nil {
		t.Fatal(err)
	}
	if err := d.Grant(t.Context(), id, remote.Grant{Who: rachel, Role: remote.CanRead}); err != nil {
		t.Error(err)
	}
	c.want(t, "a grant that is refused at first", 3)
	if err := p.SetSwitches(driveserver.Switches{KnownGranteesOnly: true}); err != nil {
		t.Fatal(err)
	}
	err := d.Grant(t.Context(), id, remote.Grant{Who: "nobody@nowhere.example", Role: remote.CanRead}, remote.Grant{Who: rachel, Role: remote.CanWrite})
	var e *remote.Error
	if !errors.Is(err, remote.Invalid) || !errors.As(err, &e) || e.Name != "nobody@nowhere.example" {
		t.Errorf("an address that is none: %v", err)
	}
	grants, err := d.Grants(t.Context(), id)
	if err != nil || len(grants) != 1 || grants[0] != (remote.Grant{Who: rachel, Role: remote.CanWrite}) {
		t.Errorf("grants %v, %v", grants, err)
	}
}

// TestBatches: more than a batch holds, with parts that fail and whole answers that are lost.
func TestBatches(t *testing.T) {
	p := startServer(t)
	d := p.client(owen, nil)
	for _, r := range []driveserver.Rule{
		{Method: "files.delete", Probability: 0.2, Seed: 5, Action: driveserver.Action{Kind: driveserver.FaultError, Code: 503}},
		{Method: "files.delete", Probability: 0.2, Seed: 6, Action: driveserver.Action{Kind: driveserver.FaultErrorAfter, Code: 429}},
		{Method: "batch", Count: 2, Action: driveserver.Action{Kind: driveserver.FaultDropAfter}},
	} {
		if _, err := p.AddFault(r); err != nil {
			t.Fatal(err)
		}
	}
	ids := made(t, d, 230)
	if err := d.Delete(t.Context(), ids[:150]...); !remote.Temporary(err) {
		t.Errorf("a batch whose answer is lost: %v", err)
	}
	if err := remote.WithRetry(d, remote.Policy{Tries: 20, Clock: &idleClock{now: time.Now()}}).Delete(t.Context(), ids...); err != nil {
		t.Errorf("repeated: %v", err)
	}
	if left, err := remote.Collect(t.Context(), d, remote.Query{}); err != nil || len(left) != 0 {
		t.Errorf("%d are left, %v", len(left), err)
	}
	var grants []remote.Grant
	for n := range 130 {
		grants = append(grants, remote.Grant{Who: fmt.Sprintf("p%d@x.example", n), Role: remote.CanRead})
	}
	id := made(t, d, 1)[0]
	if err := d.Grant(t.Context(), id, grants...); err != nil {
		t.Error(err)
	}
	if got, err := d.Grants(t.Context(), id); err != nil || len(got) != len(grants) {
		t.Errorf("%d grants, %v", len(got), err)
	}
}
