package drive_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/openmined/syftfs/sync/driveserver"
	"github.com/openmined/syftfs/sync/remote"
	"golang.org/x/oauth2"
	gdrive "google.golang.org/api/drive/v3"
	"google.golang.org/api/option"
)

// TestTrash: what somebody throws away in a browser is gone: from lists, by id and in the feed.
func TestTrash(t *testing.T) {
	p := startServer(t)
	d := p.client(owen, nil)
	ctx := t.Context()
	id := made(t, d, 1)[0]
	feed, err := d.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	access, err := p.IssueToken(owen)
	if err != nil {
		t.Fatal(err)
	}
	browser, err := gdrive.NewService(ctx, option.WithEndpoint(p.url+"/drive/v3/"), option.WithTokenSource(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: access.Access})))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := browser.Files.Update(string(id), &gdrive.File{Trashed: true}).Do(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Stat(ctx, id, 0); !errors.Is(err, remote.NotFound) {
		t.Errorf("stat: %v", err)
	}
	if found, err := remote.Collect(ctx, d, remote.Query{}); err != nil || len(found) != 0 {
		t.Errorf("listed: %v, %v", found, err)
	}
	changes, err := d.Since(ctx, feed, 0)
	if err != nil || len(changes.Items) != 1 || !changes.Items[0].Gone || changes.Items[0].ID != id {
		t.Errorf("in the feed: %v, %v", changes, err)
	}
}

// TestDamagedDownloads: content that is short or wrong without any sign of it is not believed.
func TestDamagedDownloads(t *testing.T) {
	p := startServer(t)
	d := p.client(owen, nil)
	id := made(t, d, 1)[0]
	o, err := d.Stat(t.Context(), id, remote.WithSum)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{driveserver.FaultShort, driveserver.FaultCorrupt, driveserver.FaultTruncate} {
		if _, err := p.AddFault(driveserver.Rule{Method: "files.download", Count: 1, Action: driveserver.Action{Kind: kind, Bytes: 3}}); err != nil {
			t.Fatal(err)
		}
		if err := remote.Fetch(t.Context(), d, o, 100, io.Discard); !errors.Is(err, remote.Unavailable) {
			t.Errorf("%s: %v", kind, err)
		}
		if err := remote.Fetch(t.Context(), d, o, 100, io.Discard); err != nil {
			t.Errorf("after %s: %v", kind, err)
		}
	}
}

// TestDeadPageToken: a list whose token dies in the middle is read again from its beginning, without doubles.
func TestDeadPageToken(t *testing.T) {
	p := startServer(t)
	d := p.client(owen, nil)
	made(t, d, 30)
	if _, err := p.AddFault(driveserver.Rule{Method: "files.list", Skip: 2, Count: 1, Action: driveserver.Action{Kind: driveserver.FaultDeadToken}}); err != nil {
		t.Fatal(err)
	}
	found, err := remote.Collect(t.Context(), d, remote.Query{PageSize: 10, Want: remote.WithSize})
	ids := map[remote.ID]bool{}
	for _, o := range found {
		ids[o.ID] = true
	}
	if err != nil || len(found) != 30 || len(ids) != 30 {
		t.Errorf("%d found, %d different, %v", len(found), len(ids), err)
	}
}

// TestLookalikes: a server that finds names by their words, without case, is not believed.
func TestLookalikes(t *testing.T) {
	p := startServer(t)
	d := p.client(owen, nil)
	ids, err := d.NewIDs(t.Context(), 4)
	if err != nil {
		t.Fatal(err)
	}
	for n, name := range []string{"syft_datasite#0.1.117#a@x.example#inbox#b", "syft_datasite#0.1.117#a@xy.example#inbox#b", "SYFT_DATASITE#0.1.117#a@x.example#inbox#b", "my syft_datasite#"} {
		if err := d.Put(t.Context(), remote.Spec{ID: ids[n], Name: name, Folder: true}, remote.Body{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		q    remote.Query
		want []remote.ID
	}{
		{remote.Query{Prefix: "syft_datasite#0.1.117#a@x."}, ids[:1]},
		{remote.Query{Prefix: "syft_datasite#"}, ids[:2]},
		{remote.Query{Name: "syft_datasite#0.1.117#a@x.example#inbox#b"}, ids[:1]},
	} {
		found, err := remote.Collect(t.Context(), d, test.q)
		var got []remote.ID
		for _, o := range found {
			got = append(got, o.ID)
		}
		slices.Sort(got)
		if err != nil || !slices.Equal(got, slices.Sorted(slices.Values(test.want))) {
			t.Errorf("%+v finds %v, want %v; %v", test.q, got, test.want, err)
		}
	}
}

// TestBrokenConnections: an answer that is cut off is Unavailable, and the client goes on.
func TestBrokenConnections(t *testing.T) {
	p := startServer(t)
	d := p.client(owen, nil)
	for n := range 3 {
		if _, err := p.AddFault(driveserver.Rule{Count: 1, Action: driveserver.Action{Kind: driveserver.FaultDropInside}}); err != nil {
			t.Fatal(err)
		}
		if _, err := d.List(t.Context(), remote.Query{}, ""); !errors.Is(err, remote.Unavailable) {
			t.Errorf("%d: %v", n, err)
		}
		if _, err := d.Whoami(t.Context()); err != nil {
			t.Error(err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(fmt.Errorf("stop"))
	if _, err := d.Whoami(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
