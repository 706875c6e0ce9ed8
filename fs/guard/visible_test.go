package guard

import (
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/fs/backing"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
)

// tree lists all that exists for v, with modes.
func (w *world) seenBy(v *View, p datasite.Path) map[string]string {
	w.t.Helper()
	out := map[string]string{}
	list, err := v.List(w.t.Context(), p)
	must(w.t, err)
	for _, e := range list {
		c, err := p.Child(e.Name)
		must(w.t, err)
		out[c.String()] = e.Mode.String()
		one, err := v.Stat(w.t.Context(), c)
		must(w.t, err)
		if one.Mode != e.Mode {
			w.t.Errorf("%s: listed as %v, stat says %v", c, e.Mode, one.Mode)
		}
		if e.Mode.IsDir() {
			for name, m := range w.seenBy(v, c) {
				out[name] = m
			}
		}
	}
	return out
}

func TestWhatExistsForWhom(t *testing.T) {
	w := newWorld(t)
	must(t, os.Chmod(filepath.Join(w.dir, string(owner), "shared/g"), 0o755))
	shared := func(dir, file, xfile, rules string) map[string]string {
		return map[string]string{
			"shared": dir, "shared/d": dir, "shared/full": dir, "shared/full/y": dir, "shared/sub": dir, "links": dir, "small": dir,
			"shared/f": file, "shared/full/x": file, "shared/full/y/z": file, "shared/sub/f": file, "small/f": file,
			"shared/g": xfile, "shared/sub/syft.pub.yaml": rules, "shared/l": "Lrwxrwxrwx",
		}
	}
	for u, want := range map[perm.User]map[string]string{
		admin:   shared("drwx------", "-rw-------", "-rwx------", "-rw-------"),
		writer:  shared("drwx------", "-rw-------", "-rwx------", "-r--------"),
		creator: shared("drwx------", "-r--------", "-r-x------", "-r--------"),
		reader:  shared("dr-x------", "-r--------", "-r-x------", "-r--------"),
		nobody:  {},
	} {
		t.Run(string(u), func(t *testing.T) {
			full := map[string]string{string(owner): "d--x--x--x"}
			for _, rel := range []string{"deep", "deep/a", "deep/a/b"} {
				full[at(rel).String()] = "d--x--x--x"
			}
			full[at("deep/a/b/open.txt").String()] = "-r--------"
			for rel, m := range want {
				full[at(rel).String()] = m
			}
			if diff := cmp.Diff(full, w.seenBy(w.views[u], datasite.Path{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTheOwnerSeesEverythingAndReplicasReadOnly(t *testing.T) {
	w := newWorld(t)
	must(t, os.WriteFile(filepath.Join(w.dir, "no address"), nil, 0o644))
	must(t, os.Mkdir(filepath.Join(w.dir, "no-address"), 0o755))
	seen := w.seenBy(w.views[owner], datasite.Path{})
	for name, want := range map[string]string{
		string(owner): "drwxr-xr-x", at("secret/f").String(): "-rw-r--r--",
		string(peer): "dr-xr-xr-x", string(peer) + "/public/data": "-r--r--r--",
		"no address": "", "no-address": "",
	} {
		if seen[name] != want {
			t.Errorf("%s is %q, want %q", name, seen[name], want)
		}
	}
	data := datasite.Path{Owner: peer, Rel: "public/data"}
	v, ctx := w.views[owner], t.Context()
	body, err := v.ReadFile(ctx, data)
	if string(body) != "delivered" || err != nil {
		t.Errorf("read %q, %v", body, err)
	}
	err = v.Write(ctx, data, nil)
	if errno(err) != "EACCES" || !strings.Contains(err.Error(), "that owner's to allow") {
		t.Errorf("write: %v", err)
	}
	if err := v.Rename(ctx, at("shared/f"), data, 0); errno(err) != "EXDEV" {
		t.Errorf("rename across: %v", err)
	}
	if err := v.RemoveAll(ctx, data); errno(err) != "EACCES" {
		t.Errorf("remove: %v", err)
	}
	if _, err := w.views[reader].Stat(ctx, data); errno(err) != "ENOENT" {
		t.Errorf("a replica in another view: %v", err)
	}
	if _, err := w.views[reader].Stat(ctx, datasite.Path{Owner: peer}); errno(err) != "ENOENT" {
		t.Errorf("a replica's top in another view: %v", err)
	}
	src := os.DirFS(filepath.Join(w.dir, string(owner), "shared/full"))
	job := datasite.Path{Owner: peer, Rel: "app_data/job/inbox/" + string(owner) + "/j"}
	must(t, v.Place(ctx, datasite.Change{Op: datasite.OpSubmit, Path: job}, src))
	if _, err := v.Stat(ctx, job.Join("y/z")); err != nil {
		t.Errorf("the submitted job: %v", err)
	}
	elsewhere := datasite.Path{Owner: peer, Rel: "app_data/job/inbox/" + string(reader) + "/j"}
	if err := v.Place(ctx, datasite.Change{Op: datasite.OpSubmit, Path: elsewhere}, src); errno(err) != "EACCES" {
		t.Errorf("a job in somebody else's name: %v", err)
	}
	if err := w.views[admin].Place(ctx, datasite.Change{Op: datasite.OpSubmit, Path: job}, src); errno(err) != "EACCES" {
		t.Errorf("a job by another view: %v", err)
	}
}

// Each step changes something and then says which of the folders exist for a stranger.
func TestVisibleFoldersFollowChanges(t *testing.T) {
	w := newWorld(t)
	o := w.views[owner]
	ctx := t.Context()
	const all = "deep deep/a deep/a/b"
	for _, s := range []struct {
		name string
		do   func() error
		want string
	}{
		{"at first", func() error { return nil }, all},
		{"the only visible file goes", func() error { return o.Remove(ctx, at("deep/a/b/open.txt")) }, ""},
		{"it comes back", func() error { return open("deep/a/b/open.txt", wr|creat)(ctx, o) }, all},
		{"its folder moves away", func() error { return o.Rename(ctx, at("deep/a"), at("deep/x"), 0) }, ""},
		{"and back", func() error { return o.Rename(ctx, at("deep/x"), at("deep/a"), 0) }, all},
		{"rules are added", func() error { return o.Write(ctx, at("deep/a/syft.pub.yaml"), []byte(closedRules)) }, ""},
		{"and opened below", func() error {
			return o.Write(ctx, at("deep/a/c/syft.pub.yaml"), []byte("rules: [{pattern: closed.txt, access: {read: ['*']}}]"))
		}, "deep deep/a deep/a/c"},
		{"the folder is removed", func() error { return o.RemoveAll(ctx, at("deep/a/c")) }, ""},
	} {
		must(t, s.do())
		var got []string
		for _, rel := range []string{"deep", "deep/a", "deep/a/b", "deep/a/c"} {
			if _, err := w.views[nobody].Stat(ctx, at(rel)); err == nil {
				got = append(got, rel)
			} else if errno(err) != "ENOENT" {
				t.Errorf("%s: %s: %v", s.name, rel, err)
			}
		}
		if strings.Join(got, " ") != s.want {
			t.Errorf("%s: visible %q, want %q", s.name, got, s.want)
		}
	}
}

func TestARuleWithADateHoldsForThatDay(t *testing.T) {
	now := time.Date(2026, 11, 24, 23, 59, 59, 0, time.UTC)
	dir := t.TempDir()
	put(t, filepath.Join(dir, string(owner)), map[string]string{
		"syft.pub.yaml":  "rules: [{pattern: 'd/{{.Year}}-{{.Month}}-{{.Date}}/f', access: {write: ['*']}}]",
		"d/2026-11-24/f": "yesterday's",
		"d/2026-11-25/f": "today's",
	})
	tree, err := backing.Open(dir)
	must(t, err)
	t.Cleanup(func() { must(t, tree.Close()) })
	g := New(Config{Owner: owner, Tree: tree, Rules: perm.NewIndex(rulefile.Loader(tree.FS())), Now: func() time.Time { return now }})
	k := &kernel{}
	v := g.View(datasite.Identity{Subject: perm.Anonymous}, k)
	exists := func(day string) string {
		_, err := v.Stat(t.Context(), at("d/2026-11-"+day))
		return errno(err)
	}
	if a, b := exists("24"), exists("25"); a != "ok" || b != "ENOENT" {
		t.Errorf("on the first day: %s, %s", a, b)
	}
	f, err := v.Open(t.Context(), at("d/2026-11-24/f"), rw, 0)
	must(t, err)
	if s, err := read(f); s != "yesterday's" || err != nil {
		t.Errorf("read %q, %v", s, err)
	}
	if got := k.take(); got != "" {
		t.Errorf("the kernel was told %q", got)
	}
	now = now.Add(time.Second)
	if _, err := read(f); errno(err) != "EACCES" {
		t.Errorf("read by a handle from before midnight: %v", err)
	}
	if _, err := f.WriteAt([]byte("x"), 0); errno(err) != "EACCES" {
		t.Errorf("write by a handle from before midnight: %v", err)
	}
	if got := k.take(); got != "d/2026-11-24/f" {
		t.Errorf("the kernel was told %q", got)
	}
	if a, b := exists("24"), exists("25"); a != "ENOENT" || b != "ok" {
		t.Errorf("on the second day: %s, %s", a, b)
	}
	must(t, f.Close())
	if got := k.take(); got != "" {
		t.Errorf("the kernel was told %q again", got)
	}
}

// A folder that this program itself may not look into hides nothing else. (Root may look into everything.)
func TestAFolderClosedOnTheDiskHidesNothingElse(t *testing.T) {
	w := newWorld(t)
	closed := filepath.Join(w.dir, string(owner), "deep/a/a-closed")
	must(t, os.Mkdir(closed, 0))
	t.Cleanup(func() { must(t, os.Chmod(closed, 0o700)) })
	for rel, want := range map[string]string{"deep": "ok", "deep/a": "ok", "deep/a/a-closed": "ENOENT", "deep/a/b/open.txt": "ok"} {
		if _, err := w.views[nobody].Stat(t.Context(), at(rel)); errno(err) != want {
			t.Errorf("%s: %v, want %s", rel, err, want)
		}
	}
	if seen := w.seenBy(w.views[nobody], at("deep/a")); len(seen) != 2 {
		t.Errorf("listed: %v", seen)
	}
}

// Whoever tries names that are not there does not fill the memory.
func TestNamesThatAreNotThereAreNotKept(t *testing.T) {
	w := newWorld(t)
	for i := range 100 {
		rel := "deep/none" + strings.Repeat("x", i)
		for _, do := range []try{mkdir(rel), stat(rel), open(rel, wr|creat), rmdir(rel)} {
			if err := do(t.Context(), w.views[nobody]); err == nil {
				t.Errorf("%s: allowed", rel)
			}
		}
		_, err := w.views[nobody].Explain(t.Context(), nobody, at(rel), perm.Write)
		must(t, err)
	}
	if n := len(w.views[nobody].seen.below); n > 10 {
		t.Errorf("%d folders are remembered", n)
	}
}

func TestIrregularFilesAreTheOwnersBusiness(t *testing.T) {
	w := newWorld(t)
	mkfifo(t, filepath.Join(w.dir, string(owner), "shared/pipe"))
	if _, err := w.views[admin].Stat(t.Context(), at("shared/pipe")); errno(err) != "ENOENT" {
		t.Errorf("admin: %v", err)
	}
	e, err := w.views[owner].Stat(t.Context(), at("shared/pipe"))
	must(t, err)
	if e.Mode&iofs.ModeNamedPipe == 0 {
		t.Errorf("mode %v", e.Mode)
	}
	if _, err := w.views[owner].Open(t.Context(), at("shared/pipe"), rd, 0); errno(err) != "EPERM" {
		t.Errorf("open: %v", err)
	}
	must(t, w.views[owner].Remove(t.Context(), at("shared/pipe")))
}

func TestRefusalsSayWhyToThoseWhoMayKnow(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name string
		by   perm.User
		do   try
		want []string
		not  []string
	}{
		{"visible", reader, open("shared/f", wr),
			[]string{"open owner@x.org/shared/f: not allowed for reader@x.org, write is needed", "/owner@x.org/syft.pub.yaml line 2", "Pattern 'shared/**' matched", "Ask owner@x.org",
				"It would take reader@x.org in the write list of the pattern 'shared/**' in /owner@x.org/syft.pub.yaml."}, nil},
		{"hidden", reader, open("secret/f", rd), []string{"open owner@x.org/secret/f: no such file or directory"}, []string{"syft.pub.yaml", "Pattern"}},
		{"created over hidden", reader, open("secret/f", wr|creat), []string{"No permission found"}, []string{"syft.pub.yaml", "Pattern", "It would take"}},
		{"created where nothing is", reader, open("secret/none", wr|creat), []string{"No permission found"}, []string{"syft.pub.yaml", "Pattern", "It would take"}},
		{"limit", writer, truncate("small/f", 11), []string{"Blocked by max_file_size limit"}, []string{"Ask"}},
		{"folder with something hidden in it", writer, rename("shared/part", "shared/new", 0), []string{"owner@x.org/shared/part: "}, []string{"in-there"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			put(t, filepath.Join(w.dir, string(owner)), map[string]string{
				"shared/part/in-there/f": "", "shared/part/in-there/syft.pub.yaml": closedRules})
			w.g.Changed(at("shared/part"))
			err := c.do(t.Context(), w.views[c.by])
			var d *Denied
			if !errors.As(err, &d) {
				t.Fatalf("not a Denied: %v", err)
			}
			for _, s := range c.want {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%q is not in: %v", s, err)
				}
			}
			for _, s := range c.not {
				if strings.Contains(err.Error(), s) {
					t.Errorf("%q is in: %v", s, err)
				}
			}
		})
	}
}

func TestWhoMayAskWhy(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		by, about perm.User
		path      string
		want      string // first step, or errno
	}{
		{owner, reader, "secret/f", "No matching rules found"},
		{owner, reader, "shared/f", "Explicitly granted read in /owner@x.org/syft.pub.yaml"},
		{admin, reader, "shared/f", "Explicitly granted read in /owner@x.org/syft.pub.yaml"},
		{admin, reader, "secret/f", "EACCES"},
		{reader, reader, "shared/f", "Explicitly granted read in /owner@x.org/syft.pub.yaml"},
		{reader, reader, "secret/f", noPermission},
		{reader, reader, "shared/none", "Explicitly granted read in /owner@x.org/syft.pub.yaml"}, // as the rules would have it
		{reader, reader, "secret/none", noPermission},
		{reader, writer, "shared/f", "EACCES"},
		{nobody, nobody, "deep/a", "No matching rules found"},
		{nobody, nobody, "deep/a/c", noPermission},
	} {
		d, err := w.views[c.by].Explain(t.Context(), c.about, at(c.path), perm.Read)
		got := errno(err)
		if err == nil {
			got = d.Steps[0].Text
		}
		if got != c.want {
			t.Errorf("%s about %s on %s: %q, want %q", c.by, c.about, c.path, got, c.want)
		}
	}
}
