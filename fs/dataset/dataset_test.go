package dataset

import (
	"context"
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/fs/backing"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
)

const (
	owner  perm.User = "owen@centre.example"
	rachel perm.User = "rachel@science.example"
	bob    perm.User = "bob@science.example"
)

var ctx = context.Background()

type world struct {
	t    *testing.T
	dir  string // of the backing tree
	host string // where the files to copy lie
	g    *guard.Guard
	view *guard.View
}

type fault func(op string) error

func (f fault) Before(op string) error { return f(op) }

func newWorld(t *testing.T, files map[string]string, o ...backing.Option) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), host: t.TempDir()}
	must(t, os.MkdirAll(filepath.Join(w.dir, string(owner)), 0o755))
	put(t, filepath.Join(w.dir, string(owner)), files)
	put(t, w.host, map[string]string{
		"mock.csv": "age,bmi\n40,22.5\n", "real.csv": "age,bmi\n41,27.1\n52,30.0\n", "README.md": "# Heart study\n",
		"mock/a.csv": "x\n1\n", "mock/sub/b.csv": "y\n1\n", "real/a.csv": "x\n2\n", "real/sub/b.csv": "y\n2\n",
	})
	tree, err := backing.Open(w.dir, o...)
	must(t, err)
	t.Cleanup(func() { must(t, tree.Close()) })
	w.g = guard.New(guard.Config{Owner: owner, Tree: tree, Rules: perm.NewIndex(rulefile.Loader(tree.FS()))})
	w.view = w.g.View(datasite.Identity{Subject: owner}, nil)
	return w
}

func put(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, body := range files {
		full := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(full), 0o755))
		must(t, os.WriteFile(full, []byte(body), 0o644))
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) from(name string) string { return filepath.Join(w.host, name) }

// tree lists the files of a folder of the datasite.
func (w *world) tree(rel string) map[string]string {
	w.t.Helper()
	out := map[string]string{}
	root := filepath.Join(w.dir, string(owner), rel)
	err := filepath.WalkDir(root, func(p string, e iofs.DirEntry, err error) error {
		if errors.Is(err, iofs.ErrNotExist) {
			return nil
		}
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		name, _ := filepath.Rel(root, p)
		out[name] = string(b)
		return err
	})
	must(w.t, err)
	return out
}

func (w *world) level(u perm.User, rel string) perm.Level {
	w.t.Helper()
	d, err := w.view.Explain(ctx, u, datasite.Path{Owner: owner, Rel: rel}, perm.Read)
	must(w.t, err)
	return d.Level
}

func TestCreate(t *testing.T) {
	w := newWorld(t, nil)
	made, err := Create(ctx, w.view, New{Name: "heart_study", Summary: "569 samples", Mock: w.from("mock.csv"), Private: w.from("real.csv"),
		Readme: w.from("README.md"), Tags: []string{"2026"}, Readers: []string{"Rachel@science.example", string(rachel)}, DataDir: "/home/owen/x"})
	must(t, err)
	if len(made.Notes) > 0 {
		t.Errorf("%q", made.Notes)
	}
	mock := w.tree("public/syft_datasets/heart_study")
	want := "uid: " + made.UID + "\ncreated_at: '" + instant(made.Created) + "'\nupdated_at: '" + instant(made.Created) + `'
name: heart_study
summary: 569 samples
tags:
- '2026'
location: null
mock_url: syft://owen@centre.example/public/syft_datasets/heart_study
private_url: syft://owen@centre.example/private/syft_datasets/heart_study
readme_url: syft://owen@centre.example/public/syft_datasets/heart_study/README.md
mock_files_urls:
- syft://owen@centre.example/public/syft_datasets/heart_study/mock.csv
`
	rule := func(u perm.User) string {
		return "rules:\n- access:\n    admin: []\n    read:\n    - " + string(u) + "\n    write: []\n  pattern: '**'\nterminal: false\n"
	}
	if d := cmp.Diff(map[string]string{"mock.csv": "age,bmi\n40,22.5\n", "README.md": "# Heart study\n", "dataset.yaml": want, "syft.pub.yaml": rule(rachel)}, mock); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]string{"real.csv": "age,bmi\n41,27.1\n52,30.0\n", "private_metadata.yaml": "uid: " + made.UID + "\ndata_dir: /home/owen/x\n",
		"syft.pub.yaml": rule(owner)}, w.tree("private/syft_datasets/heart_study")); d != "" {
		t.Error(d)
	}
	if w.level(rachel, "public/syft_datasets/heart_study/mock.csv") != perm.Read || w.level(bob, "public/syft_datasets/heart_study/mock.csv") != perm.None ||
		w.level(rachel, "private/syft_datasets/heart_study/real.csv") != perm.None {
		t.Error("wrong rights")
	}

	got, err := Describe(ctx, w.view, "heart_study")
	must(t, err)
	if d := cmp.Diff(made, got); d != "" {
		t.Error(d)
	}
	list, err := List(ctx, w.view)
	must(t, err)
	if d := cmp.Diff([]Dataset{got}, list); d != "" {
		t.Error(d)
	}
	theirs, err := List(ctx, w.g.View(datasite.Identity{Subject: rachel}, nil))
	must(t, err)
	if len(theirs) != 1 || theirs[0].Held || theirs[0].Name != "heart_study" {
		t.Errorf("%+v", theirs)
	}
	nothing, err := List(ctx, w.g.View(datasite.Identity{Subject: bob}, nil))
	must(t, err)
	if len(nothing) != 0 {
		t.Errorf("%+v", nothing)
	}
	before := w.tree("")
	if _, err := Create(ctx, w.view, New{Name: "heart_study", Mock: w.from("mock"), Private: w.from("real")}); !errors.Is(err, iofs.ErrExist) {
		t.Error(err)
	}
	if d := cmp.Diff(before, w.tree("")); d != "" {
		t.Error(d)
	}
}

func TestCreateOfFolders(t *testing.T) {
	w := newWorld(t, map[string]string{"syft.pub.yaml": "rules:\n- {pattern: '**', access: {read: ['*']}}\n"})
	d, err := Create(ctx, w.view, New{Name: "prices", Description: "# Prices", Mock: w.from("mock"), Private: w.from("real")})
	must(t, err)
	if diff := cmp.Diff([]string{"a.csv", "sub/b.csv"}, d.Files); diff != "" {
		t.Error(diff)
	}
	files := w.tree("")
	for name, want := range map[string]string{"public/syft_datasets/prices/sub/b.csv": "y\n1\n", "private/syft_datasets/prices/sub/b.csv": "y\n2\n", "public/syft_datasets/prices/README.md": "# Prices\n"} {
		if files[name] != want {
			t.Errorf("%s: %q", name, files[name])
		}
	}
	for _, rel := range []string{"public/syft_datasets/prices/a.csv", "private/syft_datasets/prices/a.csv"} {
		if l := w.level(rachel, rel); l != perm.None { // whatever the file above says
			t.Errorf("%s: %s", rel, l)
		}
	}
}

func TestCreateBelowATerminalFile(t *testing.T) {
	w := newWorld(t, map[string]string{"syft.pub.yaml": "terminal: true\nrules:\n- {pattern: '**', access: {read: ['*']}}\n"})
	_, err := Create(ctx, w.view, New{Name: "prices", Mock: w.from("mock"), Private: w.from("real"), Readers: []string{string(rachel)}})
	must(t, err)
	for rel, want := range map[string]perm.Level{"public/syft_datasets/prices/a.csv": perm.Read, "private/syft_datasets/prices/a.csv": perm.None} {
		if l := w.level(rachel, rel); l != want {
			t.Errorf("%s: %s", rel, l)
		}
		if l := w.level(bob, rel); l != perm.None {
			t.Errorf("%s: %s", rel, l)
		}
	}
	d, err := Describe(ctx, w.view, "prices")
	must(t, err)
	if diff := cmp.Diff([]string{string(rachel)}, d.Readers); diff != "" {
		t.Error(diff)
	}
}

func TestCreateRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(w *world, n *New)
		want error
		says string
	}{
		"no name":          {func(w *world, n *New) { n.Name = "" }, iofs.ErrInvalid, "name"},
		"a path":           {func(w *world, n *New) { n.Name = "../x" }, iofs.ErrInvalid, "letters"},
		"a blank":          {func(w *world, n *New) { n.Name = "a b" }, iofs.ErrInvalid, "letters"},
		"a dash first":     {func(w *world, n *New) { n.Name = "-x" }, iofs.ErrInvalid, "first"},
		"two lines":        {func(w *world, n *New) { n.Summary = "a\nb" }, iofs.ErrInvalid, "one line"},
		"not an address":   {func(w *world, n *New) { n.Readers = []string{"rachel"} }, perm.ErrAddress, "rachel"},
		"no mock":          {func(w *world, n *New) { n.Mock = "" }, iofs.ErrInvalid, "mock"},
		"mock not there":   {func(w *world, n *New) { n.Mock += "x" }, iofs.ErrNotExist, "mock"},
		"private relative": {func(w *world, n *New) { n.Private = "real" }, iofs.ErrInvalid, "whole path"},
		"empty folder":     {func(w *world, n *New) { n.Mock = w.t.TempDir() }, iofs.ErrInvalid, "no file"},
		"a link": {func(w *world, n *New) {
			must(w.t, os.Symlink("real.csv", w.from("link.csv")))
			n.Mock = w.from("link.csv")
		}, iofs.ErrInvalid, "neither"},
		"a link inside": {func(w *world, n *New) { must(w.t, os.Symlink("../real.csv", w.from("mock/link.csv"))) }, iofs.ErrInvalid, "neither"},
		"a pipe":        {func(w *world, n *New) { must(w.t, syscall.Mkfifo(w.from("mock/pipe"), 0o600)) }, iofs.ErrInvalid, "neither"},
		"the same file": {func(w *world, n *New) { n.Mock, n.Private = w.from("real.csv"), w.from("real.csv") }, ErrExposed, "same file"},
		"a copy inside": {func(w *world, n *New) { put(w.t, w.host, map[string]string{"mock/deep/c": "y\n2\n"}) }, ErrExposed, "deep/c"},
		"a rule file":   {func(w *world, n *New) { put(w.t, w.host, map[string]string{"mock/sub/syft.pub.yaml": "rules: []"}) }, iofs.ErrInvalid, "permission file"},
		"dataset.yaml":  {func(w *world, n *New) { put(w.t, w.host, map[string]string{"mock/dataset.yaml": ""}) }, iofs.ErrInvalid, "rename"},
		"odd name":      {func(w *world, n *New) { put(w.t, w.host, map[string]string{"real/a\nb": ""}) }, iofs.ErrInvalid, "control"},
		"readme kind":   {func(w *world, n *New) { n.Readme = w.from("mock.csv") }, iofs.ErrInvalid, ".md"},
		"readme twice": {func(w *world, n *New) {
			put(w.t, w.host, map[string]string{"mock/README.md": "x"})
			n.Readme = w.from("README.md")
		}, iofs.ErrInvalid, "README.md"},
		"private there": {func(w *world, n *New) {
			put(w.t, filepath.Join(w.dir, string(owner)), map[string]string{"private/syft_datasets/d/f": "kept"})
		}, iofs.ErrExist, "private/syft_datasets/d"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			n := New{Name: "d", Mock: w.from("mock"), Private: w.from("real")}
			c.edit(w, &n)
			before := w.tree("")
			_, err := Create(ctx, w.view, n)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %v and %q", err, c.want, c.says)
			}
			if d := cmp.Diff(before, w.tree("")); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestDifferences(t *testing.T) {
	for name, c := range map[string]struct {
		mock, private string
		want          []string
	}{
		"same":      {"a,b\n", "\ufeff\"a\", b\n1,2\n", nil},
		"order":     {"b,a\n", "a,b\n", []string{"same columns in another order"}},
		"lacks":     {"a\n", "a,b,c\n", []string{"The mock m.csv lacks columns that the private p.csv has: b, c."}},
		"both ways": {"a,x\n", "a,b\n", []string{"lacks columns that the private p.csv has: b.", "lacks columns that the mock m.csv has: x."}},
		"empty":     {"", "a\n", []string{"has: a."}},
		"many":      {"", "1,2,3,4,5,6,7,8,9,10,11,12\n", []string{"10 and 2 more."}},
	} {
		notes, err := differences(part{"m.csv": {body: []byte(c.mock)}}, part{"p.csv": {body: []byte(c.private)}})
		must(t, err)
		if len(notes) != len(c.want) {
			t.Errorf("%s: %q", name, notes)
			continue
		}
		for i := range notes {
			if !strings.Contains(notes[i], c.want[i]) {
				t.Errorf("%s: %q does not say %q", name, notes[i], c.want[i])
			}
		}
	}
}

var errFault = errors.New("fault")

// TestCrashes fails the steps of placing: there is never half a dataset.
func TestCrashes(t *testing.T) {
	for _, op := range []string{"place:copy", "place:sync", "place:rename"} {
		for nth := 1; nth <= 2; nth++ {
			left := 0
			f := fault(func(got string) error {
				if got == op {
					if left--; left == 0 {
						return errFault
					}
				}
				return nil
			})
			w := newWorld(t, nil, backing.WithFault(f))
			n := New{Name: "d", Mock: w.from("mock.csv"), Private: w.from("real.csv")}
			if left = nth; op == "place:copy" { // three files are copied for each part
				left = 1 + 3*(nth-1)
			}
			if _, err := Create(ctx, w.view, n); !errors.Is(err, errFault) {
				t.Fatalf("%s %d: %v", op, nth, err)
			}
			if got := w.tree("public"); len(got) > 0 {
				t.Errorf("%s %d: %v", op, nth, got)
			}
			if got := w.tree("private"); len(got) > 0 {
				t.Errorf("%s %d: %v", op, nth, got)
			}
			if _, err := Create(ctx, w.view, n); err != nil {
				t.Errorf("%s %d, again: %v", op, nth, err)
			}
		}
	}
}

func TestBrokenDatasets(t *testing.T) {
	w := newWorld(t, map[string]string{
		"public/syft_datasets/broken/dataset.yaml": "name: {", "public/syft_datasets/none/f": "", "public/syft_datasets/file": "",
		"public/syft_datasets/good/dataset.yaml": "name: good\n",
	})
	must(t, os.MkdirAll(filepath.Join(w.dir, string(rachel), "public/syft_datasets/hers"), 0o755))
	put(t, w.dir, map[string]string{string(rachel) + "/public/syft_datasets/hers/dataset.yaml": "name: hers\n"})
	list, err := List(ctx, w.view)
	must(t, err)
	if len(list) != 3 || list[0].Name != "broken" || !errors.Is(list[0].Err, ErrBroken) || list[1].Name != "good" || list[1].Err != nil || list[2].Owner != rachel {
		t.Errorf("%+v", list)
	}
	for _, name := range []string{"none", "nothing", "file"} {
		if _, err := Describe(ctx, w.view, name); !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Describe(ctx, w.view, "../x"); !errors.Is(err, datasite.ErrName) {
		t.Error(err)
	}
}

func TestPartIsAFileSystem(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"x": "12345"})
	p := part{"a/b/c": {body: []byte("c"), size: 1}, "a/d": {host: filepath.Join(dir, "x"), size: 5}, "e": {body: []byte("ee"), size: 2}}
	files := fstest.MapFS{}
	for _, name := range []string{"a/b/c", "a/d", "e"} {
		b, err := iofs.ReadFile(p, name)
		must(t, err)
		files[name] = &fstest.MapFile{Data: b}
	}
	if d := cmp.Diff(map[string]string{"a/b/c": "c", "a/d": "12345", "e": "ee"}, map[string]string{"a/b/c": string(files["a/b/c"].Data), "a/d": string(files["a/d"].Data), "e": string(files["e"].Data)}); d != "" {
		t.Error(d)
	}
	if _, err := p.Open("nothing"); !errors.Is(err, iofs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := p.Open("../x"); !errors.Is(err, iofs.ErrInvalid) {
		t.Error(err)
	}
	entries, err := iofs.ReadDir(p, "a")
	must(t, err)
	if len(entries) != 2 || !entries[0].IsDir() || entries[1].Type() != 0 {
		t.Errorf("%v", entries)
	}
}
