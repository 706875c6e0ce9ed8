package remotetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/openmined/syftfs/sync/remote"
)

// Open makes a new, empty place for one test and gives what signs an account in, by its address, made at first use.
type Open func(t *testing.T) func(email string) remote.Remote

const (
	owen   = "owen@centre.example"
	rachel = "rachel@science.example"
	carol  = "carol@other.example"
)

// Run checks that what open gives keeps the promises of package remote. Each subtest opens its own place; they run in parallel.
func Run(t *testing.T, open Open) {
	tests := []struct {
		name string
		run  func(c *check)
	}{
		{"who am i", testWhoami},
		{"ids", testIDs},
		{"put twice", testPutTwice},
		{"put where nothing may be put", testPutRefused},
		{"content", testContent},
		{"broken body", testBrokenBody},
		{"update", testUpdate},
		{"properties", testProperties},
		{"fields", testFields},
		{"names", testNames},
		{"queries", testQueries},
		{"pages", testPages},
		{"reader", testReader},
		{"writer", testWriter},
		{"grants", testGrants},
		{"anyone", testAnyone},
		{"archive", testArchive},
		{"move", testMove},
		{"delete", testDelete},
		{"delete a folder", testDeleteFolder},
		{"feed", testFeed},
		{"feed of shares", testFeedOfShares},
		{"feed token", testFeedToken},
		{"at once", testAtOnce},
		{"cancelled", testCancelled},
		{"folders by name", testFolders},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(&check{T: t, ctx: t.Context(), open: open(t)})
		})
	}
}

// check is one test of the suite.
type check struct {
	*testing.T
	ctx  context.Context
	open func(email string) remote.Remote
}

func (c *check) ok(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// kind checks that err is an *Error of that kind which says what to do.
func (c *check) kind(err error, kind remote.Kind) {
	c.Helper()
	var e *remote.Error
	if !errors.Is(err, kind) || !errors.As(err, &e) {
		c.Fatalf("got %v, want: %v", err, kind)
	}
	if e.Op == "" || !bytes.Contains([]byte(e.Error()), []byte("; ")) {
		c.Fatalf("%q does not say what was done and what to do next", e)
	}
}

// exists checks that a put with a used id is refused as such. Behind WithRetry it may also say that it was done, after a failure
// in between, but not each time.
func (c *check) exists(r remote.Remote, s remote.Spec) {
	c.Helper()
	var err error
	for range 8 {
		if err = r.Put(c.ctx, s, remote.Bytes([]byte("another"))); err != nil {
			break
		}
	}
	c.kind(err, remote.Exists)
}

func (c *check) ids(r remote.Remote, n int) []remote.ID {
	c.Helper()
	ids, err := r.NewIDs(c.ctx, n)
	c.ok(err)
	if len(ids) != n {
		c.Fatalf("%d ids, want %d", len(ids), n)
	}
	return ids
}

func (c *check) put(r remote.Remote, parent remote.ID, name, content string) remote.ID {
	c.Helper()
	id := c.ids(r, 1)[0]
	c.ok(r.Put(c.ctx, remote.Spec{ID: id, Name: name, Parent: parent}, remote.Bytes([]byte(content))))
	return id
}

func (c *check) folder(r remote.Remote, parent remote.ID, name string) remote.ID {
	c.Helper()
	id := c.ids(r, 1)[0]
	c.ok(r.Put(c.ctx, remote.Spec{ID: id, Name: name, Parent: parent, Folder: true}, remote.Body{}))
	return id
}

func (c *check) stat(r remote.Remote, id remote.ID, want remote.Fields) remote.Object {
	c.Helper()
	o, err := r.Stat(c.ctx, id, want)
	c.ok(err)
	return o
}

func (c *check) content(r remote.Remote, id remote.ID, offset int64) string {
	c.Helper()
	body, err := r.Get(c.ctx, id, offset)
	c.ok(err)
	defer body.Close()
	b, err := io.ReadAll(body)
	c.ok(err)
	return string(b)
}

// list gives the names that q selects, in order.
func (c *check) list(r remote.Remote, q remote.Query) []string {
	c.Helper()
	found, err := remote.Collect(c.ctx, r, q)
	c.ok(err)
	names := []string{}
	for _, o := range found {
		names = append(names, o.Name)
	}
	return names
}

func (c *check) start(r remote.Remote) remote.Token {
	c.Helper()
	t, err := r.Start(c.ctx)
	c.ok(err)
	return t
}

// since reads the feed to its end: the last that was said of each object.
func (c *check) since(r remote.Remote, t remote.Token) (map[remote.ID]remote.Change, remote.Token) {
	c.Helper()
	last := map[remote.ID]remote.Change{}
	for {
		got, err := r.Since(c.ctx, t, remote.WithParent|remote.WithOwner)
		c.ok(err)
		for _, change := range got.Items {
			last[change.ID] = change
		}
		t = got.Next
		if !got.More {
			return last, t
		}
	}
}

func random(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return string(b)
}

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

// breaking is a body that fails in its middle.
func breaking(s string) remote.Body {
	b := remote.Bytes([]byte(s))
	open := b.Open
	b.Open = func() (io.ReadCloser, error) {
		r, err := open()
		return &broken{ReadCloser: r, left: b.Size / 2}, err
	}
	return b
}

var errBroken = errors.New("broken by the test")

type broken struct {
	io.ReadCloser
	left int64
}

func (b *broken) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("read: %w", errBroken)
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
