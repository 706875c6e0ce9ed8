package drive_test

import (
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/openmined/syftfs/sync/remote"
)

// TestRequests: what each call costs, counted where the requests leave.
func TestRequests(t *testing.T) {
	p := startServer(t)
	p.client(rachel, nil)
	var c counter
	d := p.client(owen, &c)
	ctx := t.Context()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	c.want(t, "opening a client", 0)
	_, err := d.Whoami(ctx)
	ok(err)
	c.want(t, "whoami", 1)
	ids, err := d.NewIDs(ctx, 1000)
	ok(err)
	c.want(t, "a thousand ids", 1)
	next := func() remote.ID {
		id := ids[0]
		ids = ids[1:]
		return id
	}
	token, err := d.Start(ctx)
	ok(err)
	c.want(t, "the start of the feed", 1)

	folder, file, large := next(), next(), next()
	ok(d.Put(ctx, remote.Spec{ID: folder, Name: "outbox", Folder: true}, remote.Body{}))
	c.want(t, "a folder", 1)
	ok(d.Put(ctx, remote.Spec{ID: file, Name: "event", Parent: folder}, remote.Bytes(make([]byte, 5<<20))))
	c.want(t, "a file of 5 MiB", 1)
	ok(d.Put(ctx, remote.Spec{ID: large, Name: "mock", Parent: folder}, remote.Bytes(make([]byte, 20<<20))))
	c.want(t, "a file of 20 MiB", 2)
	ok(d.Update(ctx, file, remote.Edit{Body: new(remote.Bytes([]byte("state")))}))
	c.want(t, "new content", 1)
	_, err = d.Since(ctx, token, remote.WithParent|remote.WithOwner)
	ok(err)
	c.want(t, "the feed", 1)
	_, err = d.List(ctx, remote.Query{Parent: folder, Order: remote.NameDown}, "")
	ok(err)
	c.want(t, "a list", 1)
	_, err = d.Stat(ctx, file, remote.WithSum)
	ok(err)
	c.want(t, "stat", 1)
	body, err := d.Get(ctx, large, 0)
	ok(err)
	n, err := io.Copy(io.Discard, body)
	ok(err)
	ok(body.Close())
	c.want(t, fmt.Sprintf("a download of %d bytes", n), 1)

	ok(d.Grant(ctx, folder, remote.Grant{Who: rachel, Role: remote.CanWrite}))
	c.want(t, "sharing with one", 1)
	ok(d.Grant(ctx, folder, remote.Grant{Who: "a@x.example", Role: remote.CanRead}, remote.Grant{Who: "b@x.example", Role: remote.CanRead}))
	c.want(t, "sharing with several", 1)
	ok(d.Revoke(ctx, folder, rachel))
	c.want(t, "taking back what was shared from here", 1)
	archive := next()
	ok(d.Put(ctx, remote.Spec{ID: archive, Name: "archive", Folder: true}, remote.Body{}))
	c.take()
	ok(d.Move(ctx, file, folder, archive))
	c.want(t, "a move", 1)
	ok(d.Delete(ctx, file))
	c.want(t, "a delete", 1)
	var old []remote.ID
	for range 20 {
		old = append(old, next())
		ok(d.Put(ctx, remote.Spec{ID: old[len(old)-1], Name: "old"}, remote.Bytes(nil)))
	}
	c.take()
	ok(d.Delete(ctx, old...))
	if seen := c.take(); !slices.Equal(seen, []string{"POST /batch/drive/v3"}) {
		t.Errorf("twenty deletes take %q", seen)
	}
	if len(c.bare) > 0 {
		t.Errorf("without a choice of fields: %q", c.bare)
	}
}

// TestOneFileToOnePeer: publishing a changed file and receiving it, with the polls of both sides, is four requests.
func TestOneFileToOnePeer(t *testing.T) {
	p := startServer(t)
	var c counter
	o, r := p.client(owen, &c), p.client(rachel, &c)
	ctx := t.Context()
	ids, err := o.NewIDs(ctx, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Put(ctx, remote.Spec{ID: ids[0], Name: "outbox", Folder: true}, remote.Body{}); err != nil {
		t.Fatal(err)
	}
	if err := o.Grant(ctx, ids[0], remote.Grant{Who: rachel, Role: remote.CanRead}); err != nil {
		t.Fatal(err)
	}
	his, err := o.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	hers, err := r.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	c.take()
	if _, err := o.Since(ctx, his, 0); err != nil {
		t.Fatal(err)
	}
	if err := o.Put(ctx, remote.Spec{ID: ids[1], Name: "event", Parent: ids[0]}, remote.Bytes([]byte("event"))); err != nil {
		t.Fatal(err)
	}
	changes, err := r.Since(ctx, hers, remote.WithParent|remote.WithOwner|remote.WithSum)
	if err != nil || len(changes.Items) != 1 {
		t.Fatalf("changes %v, %v", changes, err)
	}
	if err := remote.Fetch(ctx, r, changes.Items[0].Object, 1000, io.Discard); err != nil {
		t.Fatal(err)
	}
	c.want(t, "one file to one peer", 4)
	if _, err := r.Since(ctx, changes.Next, 0); err != nil {
		t.Fatal(err)
	}
	c.want(t, "idle", 1)
}
