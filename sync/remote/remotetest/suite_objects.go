package remotetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openmined/syftfs/sync/remote"
)

func testWhoami(c *check) {
	for _, who := range []string{owen, rachel} {
		got, err := c.open(who).Whoami(c.ctx)
		c.ok(err)
		if got != who {
			c.Errorf("signed in as %s, want %s", got, who)
		}
	}
}

func testIDs(c *check) {
	o, r := c.open(owen), c.open(rachel)
	ids := c.ids(o, 2300)
	if n := len(slices.Compact(slices.Sorted(slices.Values(ids)))); n != len(ids) {
		c.Errorf("%d different ids of %d", n, len(ids))
	}
	c.ok(o.Put(c.ctx, remote.Spec{ID: ids[2299], Name: "last"}, remote.Bytes(nil)))
	c.kind(o.Put(c.ctx, remote.Spec{ID: "id-that-nobody-issued-000000000000", Name: "x"}, remote.Bytes(nil)), remote.Invalid)
	c.kind(r.Put(c.ctx, remote.Spec{ID: ids[0], Name: "x"}, remote.Bytes(nil)), remote.Invalid)
}

func testPutTwice(c *check) {
	o := c.open(owen)
	id := c.put(o, remote.Root, "one", "first")
	c.exists(o, remote.Spec{ID: id, Name: "two"})
	if got := c.content(o, id, 0); got != "first" {
		c.Errorf("content %q after a second put", got)
	}
	if got := c.list(o, remote.Query{Parent: remote.Root}); !slices.Equal(got, []string{"one"}) {
		c.Errorf("there are now %q", got)
	}
	f := c.folder(o, remote.Root, "folder")
	c.exists(o, remote.Spec{ID: f, Name: "folder", Folder: true})
}

func testPutRefused(c *check) {
	o, r := c.open(owen), c.open(rachel)
	private, file := c.folder(o, remote.Root, "private"), c.put(o, remote.Root, "file", "x")
	c.kind(r.Put(c.ctx, remote.Spec{ID: c.ids(r, 1)[0], Name: "x", Parent: private}, remote.Bytes(nil)), remote.NotFound)
	c.ok(o.Grant(c.ctx, private, remote.Grant{Who: rachel, Role: remote.CanRead}))
	c.kind(r.Put(c.ctx, remote.Spec{ID: c.ids(r, 1)[0], Name: "x", Parent: private}, remote.Bytes(nil)), remote.Permission)
	err := o.Put(c.ctx, remote.Spec{ID: c.ids(o, 1)[0], Name: "x", Parent: file}, remote.Bytes(nil))
	if err == nil || remote.Temporary(err) {
		c.Errorf("a put into a file: %v", err)
	}
}

func testContent(c *check) {
	o := c.open(owen)
	for _, size := range []int{0, 1, 70_000, 256 << 10, 6<<20 + 3} {
		want := random(size)
		id := c.put(o, remote.Root, fmt.Sprint(size), want)
		if got := c.stat(o, id, remote.WithSize|remote.WithSum); got.Size != int64(size) || got.SHA256 != sum(want) {
			c.Errorf("%d bytes: stored as %d, sum %s", size, got.Size, got.SHA256)
		}
		for _, offset := range []int{0, size / 2, size - 1, size, size + 10} {
			offset = max(0, offset)
			if got := c.content(o, id, int64(offset)); got != want[min(offset, size):] {
				c.Errorf("%d bytes from %d: %d other bytes", size, offset, len(got))
			}
		}
	}
	id := c.put(o, remote.Root, "sum", "abc")
	var b strings.Builder
	c.ok(remote.Fetch(c.ctx, o, c.stat(o, id, remote.WithSum), 3, &b))
	c.kind(remote.Fetch(c.ctx, o, c.stat(o, id, remote.WithSum), 2, io.Discard), remote.Invalid)
	_, err := o.Get(c.ctx, c.folder(o, remote.Root, "folder"), 0)
	c.kind(err, remote.Invalid)
	_, err = o.Get(c.ctx, "nothing", 0)
	c.kind(err, remote.NotFound)
	_, err = o.Stat(c.ctx, "nothing", 0)
	c.kind(err, remote.NotFound)
}

func testBrokenBody(c *check) {
	o := c.open(owen)
	for _, size := range []int{1000, 7 << 20} {
		want := random(size)
		s := remote.Spec{ID: c.ids(o, 1)[0], Name: fmt.Sprint(size)}
		if err := o.Put(c.ctx, s, breaking(want)); err == nil || !errors.Is(err, errBroken) {
			c.Fatalf("a put of a broken body: %v", err)
		}
		_, err := o.Stat(c.ctx, s.ID, 0)
		c.kind(err, remote.NotFound)
		lying := remote.Bytes([]byte(want))
		lying.Size++
		if err := o.Put(c.ctx, s, lying); err == nil {
			c.Fatal("a body that is too short was taken")
		}
		c.ok(o.Put(c.ctx, s, remote.Bytes([]byte(want))))
		if got := c.content(o, s.ID, 0); got != want {
			c.Error("other bytes after a put that was repeated")
		}
		if err := o.Update(c.ctx, s.ID, remote.Edit{Body: new(breaking(want[1:]))}); err == nil || !errors.Is(err, errBroken) {
			c.Fatalf("an update with a broken body: %v", err)
		}
		if got := c.content(o, s.ID, 0); got != want {
			c.Error("other bytes after an update that failed")
		}
	}
}

func testUpdate(c *check) {
	o := c.open(owen)
	when := time.Date(2026, 5, 4, 3, 2, 1, 123_456_789, time.FixedZone("", 3600))
	id := c.ids(o, 1)[0]
	c.ok(o.Put(c.ctx, remote.Spec{ID: id, Name: "a", Modified: when, Type: "text/plain"}, remote.Bytes([]byte("one"))))
	if got := c.stat(o, id, remote.WithTimes); !got.Modified.Equal(when.Truncate(time.Millisecond)) || got.Created.IsZero() {
		c.Errorf("times %v", got)
	}
	for _, size := range []int{0, 10, 6 << 20} {
		want := random(size)
		c.ok(o.Update(c.ctx, id, remote.Edit{Body: new(remote.Bytes([]byte(want))), Type: "text/plain"}))
		if got := c.content(o, id, 0); got != want {
			c.Errorf("%d bytes: other content", size)
		}
	}
	c.ok(o.Update(c.ctx, id, remote.Edit{Name: "b"}))
	c.ok(o.Update(c.ctx, id, remote.Edit{Modified: when.Add(time.Hour)}))
	if got := c.stat(o, id, remote.WithTimes|remote.WithSize); got.Name != "b" || got.Size != 6<<20 || !got.Modified.Equal(when.Add(time.Hour).Truncate(time.Millisecond)) {
		c.Errorf("after the updates: %v", got)
	}
	c.kind(o.Update(c.ctx, "nothing", remote.Edit{Name: "x"}), remote.NotFound)
	c.kind(c.open(rachel).Update(c.ctx, id, remote.Edit{Name: "x"}), remote.NotFound)
}

func testProperties(c *check) {
	o := c.open(owen)
	id := c.ids(o, 1)[0]
	c.ok(o.Put(c.ctx, remote.Spec{ID: id, Name: "f", Folder: true, Properties: map[string]string{"a": "1", "b": "2"}}, remote.Body{}))
	c.ok(o.Update(c.ctx, id, remote.Edit{Properties: map[string]string{"b": "", "syft_shared_with_any": "true"}}))
	got := c.stat(o, id, remote.WithProperties).Properties
	if len(got) != 2 || got["a"] != "1" || got["syft_shared_with_any"] != "true" {
		c.Errorf("properties %v", got)
	}
}

func testFields(c *check) {
	o := c.open(owen)
	id := c.ids(o, 1)[0]
	c.ok(o.Put(c.ctx, remote.Spec{ID: id, Name: "f", Properties: map[string]string{"a": "1"}}, remote.Bytes([]byte("x"))))
	full := c.stat(o, id, remote.WithParent|remote.WithOwner|remote.WithSize|remote.WithTimes|remote.WithSum|remote.WithProperties)
	if full.ID != id || full.Name != "f" || full.Folder || full.Parent == "" || full.Parent == remote.Root || full.Owner != owen || !full.Mine ||
		full.Size != 1 || full.Created.IsZero() || full.Modified.IsZero() || full.SHA256 != sum("x") || full.Properties["a"] != "1" {
		c.Errorf("all fields: %+v", full)
	}
	bare := c.stat(o, id, 0)
	if bare.ID != id || bare.Name != "f" || bare.Parent != "" || bare.Owner != "" || bare.Mine || bare.Size != 0 || !bare.Created.IsZero() ||
		!bare.Modified.IsZero() || bare.SHA256 != "" || bare.Properties != nil {
		c.Errorf("no fields: %+v", bare)
	}
}

func testNames(c *check) {
	o := c.open(owen)
	names := []string{`it's`, `back\slash`, `both\'`, "a/b", "..", "ä", "a\u0308", "tab\there", "name with 'x' in parents", "#a@x.example#", "SyftBox", "syftbox", " blank "}
	f := c.folder(o, remote.Root, "names")
	for _, name := range names {
		c.put(o, f, name, name)
	}
	for _, name := range names {
		if got := c.list(o, remote.Query{Parent: f, Name: name}); !slices.Equal(got, []string{name}) {
			c.Errorf("looking for %q finds %q", name, got)
		}
		if got := c.list(o, remote.Query{Parent: f, Prefix: name}); !slices.Equal(got, []string{name}) {
			c.Errorf("looking for %q as a prefix finds %q", name, got)
		}
	}
}

func testQueries(c *check) {
	o := c.open(owen)
	f, g := c.folder(o, remote.Root, "f"), c.folder(o, remote.Root, "g")
	c.folder(o, f, "syft_datasite#0.1.117#"+owen+"#inbox#"+rachel)
	c.folder(o, f, "syft_datasite#0.1.117#"+owen+"#outbox#"+rachel)
	c.folder(o, f, "syft_datasets")
	c.folder(o, f, "my syft_datasite#")
	c.put(o, f, "syft_datasite#file", "")
	c.put(o, g, "syft_datasite#elsewhere", "")
	for _, test := range []struct {
		name string
		q    remote.Query
		want string
	}{
		{"children", remote.Query{Parent: g}, "syft_datasite#elsewhere"},
		{"prefix", remote.Query{Prefix: "syft_datasite#0.1.117#" + owen + "#in"}, "syft_datasite#0.1.117#" + owen + "#inbox#" + rachel},
		{"prefix, any parent", remote.Query{Prefix: "syft_datasite#", Order: remote.NameDown, Files: true}, "syft_datasite#file|syft_datasite#elsewhere"},
		{"prefix, parent and folders", remote.Query{Parent: f, Prefix: "syft_datasite#", Folders: true, Order: remote.NameUp},
			"syft_datasite#0.1.117#" + owen + "#inbox#" + rachel + "|syft_datasite#0.1.117#" + owen + "#outbox#" + rachel},
		{"name", remote.Query{Name: "syft_datasets"}, "syft_datasets"},
		{"name in another folder", remote.Query{Parent: g, Name: "syft_datasets"}, ""},
		{"owner", remote.Query{Owner: owen, Name: "g"}, "g"},
		{"another owner", remote.Query{Owner: rachel}, ""},
		{"mine", remote.Query{Whose: remote.Mine, Name: "g"}, "g"},
		{"others", remote.Query{Whose: remote.Others}, ""},
	} {
		if got := strings.Join(c.list(o, test.q), "|"); got != test.want {
			c.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	_, err := o.List(c.ctx, remote.Query{Parent: "nothing"}, "")
	c.kind(err, remote.NotFound)
}

func testPages(c *check) {
	o := c.open(owen)
	token := c.start(o)
	f := c.folder(o, remote.Root, "many")
	const n = 1040
	ids := c.ids(o, n)
	var want []string
	var wg sync.WaitGroup
	errs := make(chan error, n)
	turns := make(chan struct{}, 16)
	for i, id := range ids {
		name := fmt.Sprintf("msgv2_%04d", i)
		want = append(want, name)
		wg.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			errs <- o.Put(c.ctx, remote.Spec{ID: id, Name: name, Parent: f}, remote.Bytes([]byte(name)))
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		c.ok(err)
	}
	for _, size := range []int{0, 100} {
		got := c.list(o, remote.Query{Parent: f, Order: remote.NameUp, PageSize: size})
		if !slices.Equal(got, want) {
			c.Errorf("pages of %d: %d names, want %d in order", size, len(got), n)
		}
	}
	slices.Reverse(want)
	if got := c.list(o, remote.Query{Parent: f, Prefix: "msgv2_", Order: remote.NameDown}); !slices.Equal(got, want) {
		c.Errorf("descending: %d names, want %d in order", len(got), n)
	}
	p, err := o.List(c.ctx, remote.Query{Parent: f, Order: remote.NameDown, PageSize: 10}, "")
	c.ok(err)
	if len(p.Objects) > 10 || p.Next == "" {
		c.Errorf("a page of 10 has %d, next %q", len(p.Objects), p.Next)
	}
	_, err = o.List(c.ctx, remote.Query{Parent: f, Order: remote.NameDown, PageSize: 10}, "no page at all")
	c.kind(err, remote.TokenLost)
	changes, _ := c.since(o, token)
	for _, id := range append(ids, f) {
		if change, ok := changes[id]; !ok || change.Gone {
			c.Fatalf("the feed does not tell of %s: %v", id, change)
		}
	}
}

func testAtOnce(c *check) {
	o := c.open(owen)
	ids := c.ids(o, 4)
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := map[remote.ID]int{}
	for range 6 {
		for _, id := range ids {
			wg.Go(func() {
				err := o.Put(c.ctx, remote.Spec{ID: id, Name: string(id)}, remote.Bytes([]byte(id)))
				if err != nil && !errors.Is(err, remote.Exists) {
					c.Errorf("put: %v", err)
				}
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					made[id]++
				}
			})
		}
	}
	wg.Wait()
	for _, id := range ids {
		if made[id] == 0 || c.content(o, id, 0) != string(id) { // behind WithRetry several may think that it was they
			c.Errorf("%s was made by %d", id, made[id])
		}
	}
	if n := len(c.list(o, remote.Query{Parent: remote.Root})); n != len(ids) {
		c.Errorf("%d objects, want %d", n, len(ids))
	}
}

func testCancelled(c *check) {
	o := c.open(owen)
	ids := c.ids(o, 1)
	id := c.put(o, remote.Root, "there", random(1<<20))
	token := c.start(o)
	ctx, cancel := context.WithCancel(c.ctx)
	body, err := o.Get(ctx, id, 0)
	c.ok(err)
	cancel()
	if _, err := io.Copy(io.Discard, body); err == nil {
		c.Log("the body was here before it was cancelled") // allowed: it was buffered
	}
	body.Close()
	for op, err := range map[string]error{
		remote.OpStat:   second(o.Stat(ctx, id, 0)),
		remote.OpGet:    second(o.Get(ctx, id, 0)),
		remote.OpList:   second(o.List(ctx, remote.Query{}, "")),
		remote.OpPut:    o.Put(ctx, remote.Spec{ID: ids[0], Name: "x"}, remote.Bytes([]byte("x"))),
		remote.OpUpdate: o.Update(ctx, id, remote.Edit{Name: "x"}),
		remote.OpMove:   o.Move(ctx, id, remote.Root, remote.Root),
		remote.OpDelete: o.Delete(ctx, id),
		remote.OpStart:  second(o.Start(ctx)),
		remote.OpSince:  second(o.Since(ctx, token, 0)),
		remote.OpGrant:  o.Grant(ctx, id, remote.Grant{Who: rachel, Role: remote.CanRead}),
		remote.OpRevoke: o.Revoke(ctx, id, rachel),
		remote.OpGrants: second(o.Grants(ctx, id)),
		remote.OpNewIDs: second(o.NewIDs(ctx, 1)),
		remote.OpWhoami: second(o.Whoami(ctx)),
	} {
		if !errors.Is(err, context.Canceled) {
			c.Errorf("%s, cancelled: %v", op, err)
		}
	}
	if got := c.list(o, remote.Query{Parent: remote.Root}); !slices.Equal(got, []string{"there"}) {
		c.Errorf("there are now %q", got)
	}
	// Cancelled while the body is sent.
	ctx, cancel = context.WithCancel(c.ctx)
	b := remote.Bytes([]byte(random(8 << 20)))
	open := b.Open
	b.Open = func() (io.ReadCloser, error) {
		r, err := open()
		return struct {
			io.Reader
			io.Closer
		}{io.MultiReader(io.LimitReader(r, 4<<20), callReader(cancel), r), r}, err
	}
	if err := o.Put(ctx, remote.Spec{ID: ids[0], Name: "x"}, b); !errors.Is(err, context.Canceled) {
		c.Errorf("a put that is cancelled in the middle: %v", err)
	}
	_, err = o.Stat(c.ctx, ids[0], 0)
	c.kind(err, remote.NotFound)
}

func second[T any](_ T, err error) error { return err }

// callReader calls itself when it is read, and is empty.
type callReader func()

func (f callReader) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}
