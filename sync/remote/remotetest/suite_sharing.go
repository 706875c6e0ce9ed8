package remotetest

import (
	"errors"
	"slices"
	"sync"

	"github.com/openmined/syftfs/sync/remote"
)

func testReader(c *check) {
	o, r, stranger := c.open(owen), c.open(rachel), c.open(carol)
	top := c.folder(o, remote.Root, "SyftBox")
	f := c.folder(o, top, "syft_datasetcollection_d_0123456789ab")
	sub := c.folder(o, f, "sub")
	id := c.put(o, sub, "mock.csv", "a,b")
	for _, who := range []remote.Remote{r, stranger} {
		_, err := who.Stat(c.ctx, id, 0)
		c.kind(err, remote.NotFound)
	}
	c.ok(o.Grant(c.ctx, f, remote.Grant{Who: rachel, Role: remote.CanRead}))
	_, err := stranger.Stat(c.ctx, id, 0)
	c.kind(err, remote.NotFound)
	_, err = stranger.Get(c.ctx, id, 0)
	c.kind(err, remote.NotFound)

	if got := c.stat(r, id, remote.WithParent|remote.WithOwner); got.Owner != owen || got.Mine || got.Parent != sub {
		c.Errorf("as its reader sees it: %+v", got)
	}
	if got := c.stat(r, f, remote.WithParent); got.Parent != "" {
		c.Errorf("a reader sees the private folder above: %+v", got)
	}
	if got := c.content(r, id, 2); got != "b" {
		c.Errorf("content %q", got)
	}
	for _, q := range []remote.Query{{Parent: sub}, {Name: "mock.csv", Owner: owen}, {Name: "mock.csv", Whose: remote.Others}} {
		if got := c.list(r, q); !slices.Equal(got, []string{"mock.csv"}) {
			c.Errorf("%+v gives %q", q, got)
		}
	}
	if got := c.list(r, remote.Query{Whose: remote.Shared}); !slices.Equal(got, []string{"syft_datasetcollection_d_0123456789ab"}) {
		c.Errorf("shared with her: %q", got)
	}
	if got := c.list(r, remote.Query{Prefix: "syft_datasetcollection_", Folders: true, Whose: remote.Others}); len(got) != 1 {
		c.Errorf("collections of others: %q", got)
	}
	if got := c.list(stranger, remote.Query{}); len(got) != 0 {
		c.Errorf("a stranger finds %q", got)
	}

	c.kind(r.Update(c.ctx, id, remote.Edit{Name: "x"}), remote.Permission)
	c.kind(r.Update(c.ctx, id, remote.Edit{Body: new(remote.Bytes([]byte("x")))}), remote.Permission)
	c.kind(r.Delete(c.ctx, id), remote.Permission)
	c.kind(r.Grant(c.ctx, id, remote.Grant{Who: carol, Role: remote.CanRead}), remote.Permission)
	c.kind(r.Revoke(c.ctx, f, owen), remote.Permission)
	_, err = r.Grants(c.ctx, id)
	c.kind(err, remote.Permission)
	c.kind(r.Move(c.ctx, id, sub, c.folder(r, remote.Root, "mine")), remote.Permission)
	if got := c.content(o, id, 0); got != "a,b" {
		c.Errorf("content %q", got)
	}
}

func testWriter(c *check) {
	o, r := c.open(owen), c.open(rachel)
	inbox := c.folder(r, remote.Root, "syft_datasite#0.1.117#"+owen+"#inbox#"+rachel)
	c.ok(r.Grant(c.ctx, inbox, remote.Grant{Who: owen, Role: remote.CanWrite}))
	hers, his := c.put(r, inbox, "msgv2_1", "hers"), c.put(o, inbox, "msgv2_2", "his")
	for _, who := range []remote.Remote{o, r} {
		if got := c.list(who, remote.Query{Parent: inbox, Order: remote.NameDown}); !slices.Equal(got, []string{"msgv2_2", "msgv2_1"}) {
			c.Errorf("the folder has %q", got)
		}
		if a, b := c.stat(who, hers, remote.WithOwner), c.stat(who, his, remote.WithOwner); a.Owner != rachel || b.Owner != owen {
			c.Errorf("owned by %s and %s", a.Owner, b.Owner)
		}
	}
	c.ok(o.Update(c.ctx, hers, remote.Edit{Body: new(remote.Bytes([]byte("changed")))}))
	c.ok(r.Update(c.ctx, his, remote.Edit{Body: new(remote.Bytes([]byte("changed too")))}))
	if a, b := c.content(r, hers, 0), c.content(o, his, 0); a != "changed" || b != "changed too" {
		c.Errorf("content %q and %q", a, b)
	}
	c.kind(o.Delete(c.ctx, hers), remote.Permission)
	if got := c.list(o, remote.Query{Prefix: "syft_datasite#", Owner: rachel, Folders: true}); len(got) != 1 {
		c.Errorf("folders of her: %q", got)
	}
}

func testGrants(c *check) {
	o, r := c.open(owen), c.open(rachel)
	c.open(carol)
	f := c.folder(o, remote.Root, "f")
	id := c.put(o, f, "x", "x")
	grants := func(id remote.ID, want ...remote.Grant) {
		c.Helper()
		got, err := o.Grants(c.ctx, id)
		c.ok(err)
		slices.SortFunc(got, func(a, b remote.Grant) int { return -slices.Compare([]string{a.Who}, []string{b.Who}) })
		if !slices.Equal(got, want) {
			c.Errorf("grants %v, want %v", got, want)
		}
	}
	reader, writer := remote.Grant{Who: rachel, Role: remote.CanRead}, remote.Grant{Who: rachel, Role: remote.CanWrite}
	other := remote.Grant{Who: carol, Role: remote.CanRead}
	grants(f)
	c.ok(o.Grant(c.ctx, f))
	c.ok(o.Grant(c.ctx, f, reader))
	c.ok(o.Grant(c.ctx, f, reader))
	grants(f, reader)
	c.ok(o.Grant(c.ctx, f, writer, other))
	grants(f, writer, other)
	grants(id, writer, other)
	c.ok(r.Update(c.ctx, id, remote.Edit{Name: "y"}))
	c.ok(o.Grant(c.ctx, f, reader))
	grants(f, reader, other)
	c.kind(r.Update(c.ctx, id, remote.Edit{Name: "z"}), remote.Permission)
	c.kind(o.Revoke(c.ctx, id, rachel), remote.Permission)
	c.ok(o.Revoke(c.ctx, f, rachel))
	c.ok(o.Revoke(c.ctx, f, rachel))
	grants(f, other)
	_, err := r.Stat(c.ctx, id, 0)
	c.kind(err, remote.NotFound)
	c.kind(o.Grant(c.ctx, "nothing", reader), remote.NotFound)
	c.kind(o.Revoke(c.ctx, "nothing", rachel), remote.NotFound)
}

func testAnyone(c *check) {
	o, r := c.open(owen), c.open(rachel)
	id := c.put(o, remote.Root, "public", "for all")
	c.ok(o.Grant(c.ctx, id, remote.Grant{Who: remote.Anyone, Role: remote.CanRead}))
	if got := c.content(r, id, 0); got != "for all" {
		c.Errorf("content %q", got)
	}
	if got := c.list(r, remote.Query{}); len(got) != 0 {
		c.Errorf("found in a list: %q", got)
	}
	c.kind(r.Update(c.ctx, id, remote.Edit{Name: "x"}), remote.Permission)
	c.ok(o.Revoke(c.ctx, id, remote.Anyone))
	_, err := r.Stat(c.ctx, id, 0)
	c.kind(err, remote.NotFound)
}

// testArchive is how a data owner takes a message: moved by who does not own it, out of a folder of its owner.
func testArchive(c *check) {
	o, r := c.open(owen), c.open(rachel)
	inbox, archive := c.folder(r, remote.Root, "inbox"), c.folder(o, remote.Root, "archive")
	c.ok(r.Grant(c.ctx, inbox, remote.Grant{Who: owen, Role: remote.CanWrite}))
	id := c.put(r, inbox, "msgv2_1", "proposal")
	for range 2 {
		c.ok(o.Move(c.ctx, id, inbox, archive))
		if got := c.stat(o, id, remote.WithParent|remote.WithOwner); got.Parent != archive || got.Owner != rachel {
			c.Errorf("after the move: %+v", got)
		}
	}
	if got := c.stat(r, id, remote.WithParent|remote.WithOwner); got.Parent != "" || !got.Mine {
		c.Errorf("for its owner after the move: %+v", got)
	}
	if got := c.list(r, remote.Query{Parent: inbox}); len(got) != 0 {
		c.Errorf("still in the inbox: %q", got)
	}
	if got := c.content(o, id, 0); got != "proposal" {
		c.Errorf("content %q", got)
	}
	if got := c.content(r, id, 0); got != "proposal" {
		c.Errorf("content %q", got)
	}
}

func testMove(c *check) {
	o, r := c.open(owen), c.open(rachel)
	f, g := c.folder(o, remote.Root, "f"), c.folder(o, remote.Root, "g")
	c.ok(o.Grant(c.ctx, f, remote.Grant{Who: rachel, Role: remote.CanRead}))
	id := c.put(o, f, "x", "x")
	c.stat(r, id, 0)
	c.ok(o.Move(c.ctx, id, f, g))
	_, err := r.Stat(c.ctx, id, 0)
	c.kind(err, remote.NotFound)
	c.ok(o.Move(c.ctx, id, g, f))
	c.stat(r, id, 0)
	c.kind(o.Move(c.ctx, id, f, "nothing"), remote.NotFound)
	c.kind(o.Move(c.ctx, "nothing", f, g), remote.NotFound)
	if got := c.stat(o, id, remote.WithParent); got.Parent != f {
		c.Errorf("after moves that were refused: %+v", got)
	}
}

func testDelete(c *check) {
	o, r := c.open(owen), c.open(rachel)
	f := c.folder(r, remote.Root, "f")
	c.ok(r.Grant(c.ctx, f, remote.Grant{Who: owen, Role: remote.CanWrite}))
	theirs := c.put(r, f, "theirs", "")
	ids := []remote.ID{c.put(o, f, "a", ""), theirs, c.put(o, f, "b", ""), "nothing", c.put(o, f, "c", "")}
	c.ok(o.Delete(c.ctx))
	c.ok(o.Delete(c.ctx, ids[0]))
	c.kind(o.Delete(c.ctx, ids...), remote.Permission)
	if got := c.list(o, remote.Query{Parent: f}); !slices.Equal(got, []string{"theirs"}) {
		c.Errorf("left: %q", got)
	}
	_, err := o.Get(c.ctx, ids[0], 0)
	c.kind(err, remote.NotFound)
	c.exists(o, remote.Spec{ID: ids[0], Name: "again"})
}

func testDeleteFolder(c *check) {
	o, r := c.open(owen), c.open(rachel)
	f := c.folder(o, remote.Root, "f")
	sub := c.folder(o, f, "sub")
	c.ok(o.Grant(c.ctx, f, remote.Grant{Who: rachel, Role: remote.CanWrite}))
	mine, theirs := c.put(o, sub, "mine", ""), c.put(r, sub, "theirs", "kept")
	c.ok(o.Delete(c.ctx, f))
	for _, id := range []remote.ID{f, sub, mine} {
		_, err := o.Stat(c.ctx, id, 0)
		c.kind(err, remote.NotFound)
	}
	if got := c.content(r, theirs, 0); got != "kept" {
		c.Errorf("what another owns there: %q", got)
	}
}

func testFeed(c *check) {
	o := c.open(owen)
	before := c.put(o, remote.Root, "before", "")
	t := c.start(o)
	if got, next := c.since(o, t); len(got) != 0 || next == "" {
		c.Errorf("nothing happened: %v, %q", got, next)
	}
	f := c.folder(o, remote.Root, "f")
	a, b := c.put(o, f, "a", "1"), c.put(o, f, "b", "1")
	c.ok(o.Update(c.ctx, before, remote.Edit{Body: new(remote.Bytes([]byte("2")))}))
	c.ok(o.Delete(c.ctx, b))
	got, next := c.since(o, t)
	if len(got) != 4 || got[f].Gone || got[a].Gone || got[before].Gone || !got[b].Gone {
		c.Errorf("the feed: %v", got)
	}
	if x := got[a].Object; x.ID != a || x.Name != "a" || x.Parent != f || x.Owner != owen {
		c.Errorf("in the feed: %+v", x)
	}
	if again, _ := c.since(o, next); len(again) != 0 {
		c.Errorf("and after it: %v", again)
	}
	c.ok(o.Move(c.ctx, before, remote.Root, f))
	if got, _ := c.since(o, next); got[before].Object.Parent != f {
		c.Errorf("a move in the feed: %v", got)
	}
}

func testFeedOfShares(c *check) {
	o, r, stranger := c.open(owen), c.open(rachel), c.open(carol)
	hers, others := c.start(r), c.start(stranger)
	f := c.folder(o, remote.Root, "f")
	a := c.put(o, f, "a", "")
	got, hers := c.since(r, hers)
	if len(got) != 0 {
		c.Errorf("told of what she may not see: %v", got)
	}
	c.ok(o.Grant(c.ctx, f, remote.Grant{Who: rachel, Role: remote.CanRead}))
	got, hers = c.since(r, hers)
	if change, ok := got[f]; !ok || change.Gone || change.Object.Owner != owen {
		c.Errorf("a share in the feed: %v", got)
	}
	b := c.put(o, f, "b", "")
	got, hers = c.since(r, hers)
	if change, ok := got[b]; !ok || change.Gone || change.Object.Parent != f {
		c.Errorf("a file in a shared folder: %v", got)
	}
	c.ok(o.Revoke(c.ctx, f, rachel))
	got, hers = c.since(r, hers)
	if change, ok := got[f]; !ok || !change.Gone {
		c.Errorf("a share taken back: %v", got)
	}
	c.ok(o.Update(c.ctx, a, remote.Edit{Name: "secret"}))
	if got, _ = c.since(r, hers); len(got) != 0 {
		c.Errorf("told of what she may no longer see: %v", got)
	}
	if got, _ = c.since(stranger, others); len(got) != 0 {
		c.Errorf("a stranger is told %v", got)
	}
}

func testFeedToken(c *check) {
	_, err := c.open(owen).Since(c.ctx, "no token", 0)
	c.kind(err, remote.TokenLost)
}

// keptFolders is a FolderMemory of a test.
type keptFolders struct {
	mu sync.Mutex
	m  map[string]remote.ID
}

func (k *keptFolders) Folder(key string) (remote.ID, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	id, ok := k.m[key]
	return id, ok
}

func (k *keptFolders) KeepFolder(key string, id remote.ID) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.m[key] = id
	return nil
}

func testFolders(c *check) {
	o := c.open(owen)
	memory := &keptFolders{m: map[string]remote.ID{}}
	box := remote.Wanted{Name: "SyftBox"}
	folders := remote.NewFolders(o, o, memory)
	_, err := folders.Find(c.ctx, box)
	c.kind(err, remote.NotFound)
	id, err := folders.Ensure(c.ctx, box)
	c.ok(err)
	for _, again := range []*remote.Folders{folders, remote.NewFolders(o, o, memory), remote.NewFolders(o, o, &keptFolders{m: map[string]remote.ID{}})} {
		got, err := again.Ensure(c.ctx, box)
		c.ok(err)
		if got != id {
			c.Errorf("found %s, made %s", got, id)
		}
	}
	old := c.folder(o, id, "0.1.93#"+owen)
	fits := func(name string) bool { return name == "0.1.93#"+owen || name == "0.1.117#"+owen }
	log := remote.Wanted{Parent: id, Name: "0.1.117#" + owen, Prefix: "0.1.", Fits: fits}
	got, err := folders.Ensure(c.ctx, log)
	c.ok(err)
	if got != old {
		c.Errorf("a folder of another version was not taken")
	}
	c.folder(o, id, "0.1.117#"+owen)
	var twins *remote.TwinsError
	if _, err := remote.NewFolders(o, o, &keptFolders{m: map[string]remote.ID{}}).Ensure(c.ctx, log); !errors.As(err, &twins) || len(twins.Folders) != 2 {
		c.Errorf("two that fit: %v", err)
	}
	// Removed behind our back: made again, with another id.
	c.ok(o.Delete(c.ctx, id))
	c.ok(folders.Forget(c.ctx, box))
	anew, err := folders.Ensure(c.ctx, box)
	c.ok(err)
	if anew == id {
		c.Errorf("a folder that was removed is still named")
	}
	c.stat(o, anew, 0)
}
