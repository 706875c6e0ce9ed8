package guard

import (
	"testing"

	"os"

	"github.com/openmined/syftfs/fs/backing"
	"github.com/openmined/syftfs/fs/datasite"
	"golang.org/x/sys/unix"
)

func TestSmoke(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(dir+"/a@x.org", 0o755); err != nil {
		t.Fatal(err)
	}
	tree, err := backing.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	g := New(Config{Owner: "a@x.org", Tree: tree})
	v := g.View(datasite.Identity{Subject: "a@x.org"}, nil)
	ctx := t.Context()
	p := datasite.Path{Owner: "a@x.org", Rel: "d/f"}
	if _, err := v.Mkdir(ctx, p.Parent(), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := v.Open(ctx, p, unix.O_RDWR|unix.O_CREAT, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("hello"), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(ctx, false); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := v.ReadFile(ctx, p)
	if err != nil || string(b) != "hello" {
		t.Fatal(string(b), err)
	}
	l, err := v.List(ctx, p.Parent())
	t.Log(l, err)
	l, err = v.List(ctx, datasite.Path{})
	t.Log(l, err)
	if err := v.Rename(ctx, p.Parent(), p.Parent().Parent().Join("e"), 0); err != nil {
		t.Fatal(err)
	}
	if err := v.Write(ctx, datasite.Path{Owner: "a@x.org", Rel: "q/r/s"}, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := v.Place(ctx, datasite.Change{Op: datasite.OpPlace, Path: datasite.Path{Owner: "a@x.org", Rel: "q/r"}}, os.DirFS(dir+"/a@x.org/e")); err != nil {
		t.Fatal(err)
	}
	if err := v.RemoveAll(ctx, datasite.Path{Owner: "a@x.org", Rel: "e"}); err != nil {
		t.Fatal(err)
	}
	v2 := g.View(datasite.Identity{Subject: "b@x.org"}, nil)
	l, err = v2.List(ctx, datasite.Path{})
	t.Log(l, err)
	_, err = v2.Stat(ctx, p)
	t.Log(err)
	n, err := g.Reconcile(ctx)
	t.Log(n, err)
}
