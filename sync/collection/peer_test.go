package collection

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/remote/remotetest"
	"github.com/openmined/syftfs/sync/wire"
)

// pair is an owner and a scientist.
func pair(t *testing.T) (w *remotetest.World, o, r *site) {
	w = drive()
	return w, newSite(t, w, owen, rachel), newSite(t, w, rachel, owen)
}

func (s *site) has(owner perm.User, name string, files map[string]string) {
	s.t.Helper()
	got := s.tree.below(owner, "public/syft_datasets/"+name)
	if len(got) == 0 {
		got = nil
	}
	if d := cmp.Diff(files, got); d != "" {
		s.t.Error(d)
	}
}

func TestFollow(t *testing.T) {
	_, o, r := pair(t)
	o.write(study("d", "1"))
	o.sync()
	r.sync()
	r.has(owen, "d", nil)
	o.permit("d", rachel)
	o.sync()
	r.sync()
	r.has(owen, "d", sent("d", "1"))
	if d := r.status(owen, "d"); d.State != Delivered || d.Files != 3 || len(d.Notes) > 0 {
		t.Errorf("%+v", d)
	}

	// A new version replaces what was delivered; what is no part of it any more goes, unless it was changed here.
	o.write(map[string]string{"public/syft_datasets/d/mock.csv": "2", "public/syft_datasets/d/new": "n"})
	o.erase("public/syft_datasets/d/sub")
	o.sync()
	r.sync()
	r.has(owen, "d", map[string]string{"dataset.yaml": "name: d\n", "mock.csv": "2", "new": "n"})

	// Changed here around us: kept under another name.
	r.tree.put(owen, map[string]string{"public/syft_datasets/d/mock.csv": "mine", "public/syft_datasets/d/new": "mine too"})
	o.write(map[string]string{"public/syft_datasets/d/mock.csv": "3"})
	o.erase("public/syft_datasets/d/new")
	o.sync()
	r.sync()
	r.has(owen, "d", map[string]string{"dataset.yaml": "name: d\n", "mock.csv": "3", "mock (kept " + sum("mine").String()[:8] + ").csv": "mine", "new": "mine too"})
	if d := r.status(owen, "d"); d.State != Delivered || len(d.Notes) != 2 {
		t.Errorf("%+v", d)
	}

	// Taken away: the copies stay.
	o.permit("d")
	o.sync()
	r.sync()
	if d := r.status(owen, "d"); d.State != Withdrawn || r.tree.below(owen, "public")["syft_datasets/d/mock.csv"] != "3" {
		t.Errorf("%+v", d)
	}
	reads := r.tree.reads
	o.permit("d", rachel)
	o.sync()
	r.sync()
	if d := r.status(owen, "d"); d.State != Delivered || r.tree.reads != reads {
		t.Errorf("%+v", d)
	}
	o.erase("public/syft_datasets/d")
	o.sync()
	r.sync()
	if d := r.status(owen, "d"); d.State != Withdrawn {
		t.Errorf("%+v", d)
	}
}

// TestOnlyPeers: what people offer with whom we do not exchange is nothing, until we do.
func TestOnlyPeers(t *testing.T) {
	_, o, r := pair(t)
	r.book.list = nil
	o.write(study("d", "1"))
	o.permit("d", rachel)
	o.sync()
	r.sync()
	r.sweep()
	r.has(owen, "d", nil)
	r.book.list = peersOf(owen)
	must(t, r.c.Regrant(ctx))
	r.sync()
	r.has(owen, "d", sent("d", "1"))
	r.book.list = nil
	o.write(map[string]string{"public/syft_datasets/d/mock.csv": "2"})
	o.sync()
	r.sync()
	r.has(owen, "d", sent("d", "1"))
}

// TestSweepFindsAll: the feed says nothing at all.
func TestSweepFindsAll(t *testing.T) {
	_, o, r := pair(t)
	o.write(study("d", "1"))
	o.permit("d", rachel)
	must(t, o.c.Sync(ctx))
	r.sweep()
	r.has(owen, "d", sent("d", "1"))
	r.tree.reads = 0
	r.sweep()
	if r.tree.reads > 0 {
		t.Error("a sweep over what is here reads it")
	}
	o.permit("d")
	must(t, o.c.Sync(ctx))
	r.sweep()
	if d := r.status(owen, "d"); d.State != Withdrawn {
		t.Errorf("%+v", d)
	}
	must(t, o.acct.Grant(ctx, o.folders()[0].id, remote.Grant{Who: string(nina), Role: remote.CanRead}))
	o.sweep()
	if d := cmp.Diff([]perm.User{nina}, o.rules.list("public/syft_datasets/d")); d != "" {
		t.Error(d)
	}
}

// TestBadCollections are what somebody puts on Drive who means no good, or is broken.
func TestBadCollections(t *testing.T) {
	good := map[string]string{"dataset.yaml": "name: d\n", "a": "1"}
	with := func(more map[string]string) map[string]string {
		m := maps.Clone(good)
		maps.Copy(m, more)
		return m
	}
	for name, c := range map[string]struct {
		files   map[string]string
		name    string // "" is the right one
		version wire.Version
		limits  Limits
		want    map[string]string
		state   State
		notes   []string
	}{
		"good":       {files: good, want: good, state: Delivered},
		"wrong hash": {files: good, name: "syft_datasetcollection_d_000000000000", state: Refused, notes: []string{"not what its name says"}},
		"climbing":   {files: with(map[string]string{"..": "x", "../../../private/x": "x"}), want: good, state: Delivered, notes: []string{"none for a file", "none for a file"}},
		"absolute":   {files: with(map[string]string{"/etc/passwd": "x"}), want: good, state: Delivered, notes: []string{"none for a file"}},
		"slash":      {files: with(map[string]string{"x/y": "x"}), want: good, state: Delivered, notes: []string{"none for a file"}},
		"backslash":  {files: with(map[string]string{`..\x`: "x"}), want: good, state: Delivered, notes: []string{"none for a file"}},
		"control":    {files: with(map[string]string{"x\n\x1b[2J": "x"}), want: good, state: Delivered, notes: []string{`"x\n\x1b[2J"`}},
		"rule file":  {files: with(map[string]string{"syft.pub.yaml": "rules: []"}), want: good, state: Delivered, notes: []string{"rules do not come"}},
		"excluded":   {files: with(map[string]string{".DS_Store": "x"}), want: good, state: Delivered},
		"large file": {files: with(map[string]string{"big": "123456789"}), limits: Limits{File: 8}, state: Refused, notes: []string{`"big" in it has 9 bytes`}},
		"large":      {files: good, limits: Limits{Total: 8}, state: Refused, notes: []string{"more than 8 bytes"}},
		"many":       {files: with(map[string]string{"b": ""}), limits: Limits{Files: 2}, state: Refused, notes: []string{"more than 2 files"}},
		"empty":      {files: map[string]string{}, want: nil, state: Delivered},
		"folders of a successor": {files: with(map[string]string{"x%2Fy": "1", "..%2Fz": "2", "x": "3"}), version: wire.Version{Major: 0, Minor: 10}, want: with(map[string]string{"x": "3"}), state: Delivered,
			notes: []string{"none for a file", "its place is taken"}},
		"escapes of today": {files: with(map[string]string{"x%2Fy": "1"}), want: with(map[string]string{"x%2Fy": "1"}), state: Delivered},
	} {
		t.Run(name, func(t *testing.T) {
			_, o, r := pair(t)
			r.book.list[0].Version = c.version
			r.edit = func(cfg *Config) { cfg.Limits = c.limits }
			r.restart()
			if c.name == "" {
				c.name = named(wire.CollectionFolder, "d", c.files)
			}
			o.make(c.name, c.files, rachel)
			for range 2 {
				r.sync()
				r.sweep()
				r.has(owen, "d", c.want)
				d := r.status(owen, "d")
				if d.State != c.state || len(d.Notes) != len(c.notes) {
					t.Fatalf("%+v", d)
				}
				for i, n := range c.notes {
					if !strings.Contains(strings.Join(d.Notes, "\n"), n) {
						t.Errorf("%d: %q", i, d.Notes)
					}
				}
			}
			for p := range r.tree.files {
				if !p.Under(datasite.Path{Owner: owen, Rel: "public/syft_datasets/d"}) {
					t.Errorf("%s", p)
				}
			}
			if left, err := os.ReadDir(filepath.Join(r.dir, incomingDir)); err != nil || len(left) > 0 {
				t.Errorf("%v %v", left, err)
			}
		})
	}
}

// TestForeignFile: what somebody else put into the owner's folder is not taken.
func TestForeignFile(t *testing.T) {
	w, o, r := pair(t)
	n := newSite(t, w, nina)
	files := map[string]string{"dataset.yaml": "name: d\n"}
	id := o.make(named(wire.CollectionFolder, "d", files), files, rachel)
	must(t, o.acct.Grant(ctx, id, remote.Grant{Who: string(nina), Role: remote.CanWrite}))
	ids, err := n.acct.NewIDs(ctx, 1)
	must(t, err)
	must(t, n.acct.Put(ctx, remote.Spec{ID: ids[0], Name: "evil.csv", Parent: id}, remote.Bytes([]byte("x"))))
	r.sync()
	r.has(owen, "d", files)
	if d := r.status(owen, "d"); len(d.Notes) != 1 || !strings.Contains(d.Notes[0], "who does not own") {
		t.Errorf("%+v", d)
	}
}

// TestWhose: a collection is its owner's, whatever is said in it; nobody gets into another's datasite.
func TestWhose(t *testing.T) {
	w, _, r := pair(t)
	n := newSite(t, w, nina)
	r.book.list = peersOf(owen, nina)
	files := map[string]string{"dataset.yaml": "name: d\nmock_url: syft://owen@cancer-research.example/public/syft_datasets/d\n"}
	n.make(named(wire.CollectionFolder, "d", files), files, rachel)
	n.make(named(wire.PrivateFolder, "p", files), files, rachel)
	r.sync()
	r.sweep()
	r.has(owen, "d", nil)
	r.has(nina, "d", files)
	r.has(nina, "p", nil)
}

// TestManySets: nobody fills our state with offers.
func TestManySets(t *testing.T) {
	_, o, r := pair(t)
	r.edit = func(c *Config) { c.Limits.Sets = 2 }
	r.restart()
	files := map[string]string{"dataset.yaml": "name: d\n"}
	for _, tag := range []string{"a", "b", "c", "d"} {
		o.make(named(wire.CollectionFolder, tag, files), files, rachel)
	}
	for range 2 {
		r.sync()
		r.sweep()
	}
	st, err := r.c.Status(ctx)
	must(t, err)
	delivered := 0
	for _, d := range st.Datasets {
		if d.State == Delivered {
			delivered++
		} else if !strings.Contains(d.Problem, "more than 2") {
			t.Errorf("%+v", d)
		}
	}
	if delivered != 2 || len(st.Datasets) != 4 {
		t.Errorf("%+v", st)
	}
}

// TestTwins: of several files with one name the oldest counts, of several versions the newest.
func TestTwins(t *testing.T) {
	_, o, r := pair(t)
	files := map[string]string{"dataset.yaml": "name: d\n", "a": "1"}
	id := o.make(named(wire.CollectionFolder, "d", files), files, rachel)
	ids, err := o.acct.NewIDs(ctx, 1)
	must(t, err)
	must(t, o.acct.Put(ctx, remote.Spec{ID: ids[0], Name: "a", Parent: id}, remote.Bytes([]byte("2"))))
	r.sync()
	r.has(owen, "d", files)
	newer := map[string]string{"dataset.yaml": "name: d\n", "b": "1"}
	o.make(named(wire.CollectionFolder, "d", newer), newer, rachel)
	r.sync()
	r.has(owen, "d", newer)
	r.sweep()
	r.has(owen, "d", newer)
}

// TestLateFiles: a folder that is seen before its files is taken once they are there.
func TestLateFiles(t *testing.T) {
	_, o, r := pair(t)
	files := map[string]string{"dataset.yaml": "name: d\n", "a": "1"}
	id := o.make(named(wire.CollectionFolder, "d", files), nil, rachel)
	r.sync()
	if d := r.status(owen, "d"); d.State != Refused {
		t.Errorf("%+v", d)
	}
	ids, err := o.acct.NewIDs(ctx, 2)
	must(t, err)
	must(t, o.acct.Put(ctx, remote.Spec{ID: ids[0], Name: "a", Parent: id}, remote.Bytes([]byte("1"))))
	r.sync()
	must(t, o.acct.Put(ctx, remote.Spec{ID: ids[1], Name: "dataset.yaml", Parent: id}, remote.Bytes([]byte("name: d\n"))))
	r.sync()
	r.has(owen, "d", files)
	if d := r.status(owen, "d"); d.State != Delivered {
		t.Errorf("%+v", d)
	}
}

// TestResume: what was fetched of a large file is not fetched again, also after a restart.
func TestResume(t *testing.T) {
	_, o, r := pair(t)
	files := map[string]string{"dataset.yaml": "name: d\n", "large": strings.Repeat("0123456789abcdef", 4096)}
	o.make(named(wire.CollectionFolder, "d", files), files, rachel)
	f := remotetest.NewFaulty(r.acct, 1, remotetest.Fault{Op: remote.OpGet, Skip: 1, Count: 1, Stage: remotetest.Halfway})
	var froms []int64
	r.rem = watched{f, func(offset int64) { froms = append(froms, offset) }}
	r.restart()
	must(t, r.feed())
	if err := r.c.Sync(ctx); !errors.Is(err, remote.Unavailable) {
		t.Fatal(err)
	}
	if d := r.status(owen, "d"); d.State != Waiting || d.Problem == "" {
		t.Errorf("%+v", d)
	}
	r.has(owen, "d", nil)
	r.restart()
	must(t, r.c.Sync(ctx))
	r.has(owen, "d", files)
	if len(froms) != 3 || froms[2] == 0 {
		t.Errorf("%v", froms)
	}
}

// TestDamage: bytes that are not what was sent are fetched again.
func TestDamage(t *testing.T) {
	_, o, r := pair(t)
	files := map[string]string{"dataset.yaml": "name: d\n", "a": "right"}
	id := o.make(named(wire.CollectionFolder, "d", files), files, rachel)
	dir := filepath.Join(r.dir, incomingDir, stageName(id))
	must(t, os.MkdirAll(dir, 0o700))
	must(t, os.WriteFile(filepath.Join(dir, sum("right").String()), []byte("wron"), 0o600))
	must(t, r.feed())
	if err := r.c.Sync(ctx); !errors.Is(err, remote.Unavailable) {
		t.Fatal(err)
	}
	must(t, os.WriteFile(filepath.Join(dir, sum("right").String()), []byte("wrong"), 0o600))
	must(t, r.c.Sync(ctx))
	r.has(owen, "d", files)
}

// TestTreeRefuses: a file that cannot be put in place is told, the others are.
func TestTreeRefuses(t *testing.T) {
	_, o, r := pair(t)
	files := map[string]string{"dataset.yaml": "name: d\n", "a": "1"}
	o.make(named(wire.CollectionFolder, "d", files), files, rachel)
	stale := 2
	r.tree.before = func(c datasite.Change) error {
		if c.Path.Base() == "a" {
			return os.ErrPermission
		}
		if stale--; stale >= 0 {
			return datasite.ErrStale
		}
		return nil
	}
	r.sync()
	r.has(owen, "d", map[string]string{"dataset.yaml": "name: d\n"})
	if d := r.status(owen, "d"); d.State != Delivered || len(d.Notes) != 1 {
		t.Errorf("%+v", d)
	}
}

func readVectors(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	entries, err := os.ReadDir(filepath.Join("testdata", "vectors", dir))
	must(t, err)
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".drive.json") {
			b, err := os.ReadFile(filepath.Join("testdata", "vectors", dir, e.Name()))
			must(t, err)
			files[e.Name()] = string(b)
		}
	}
	return files
}

type driveFolder struct {
	Name          string
	AppProperties map[string]string
	Permissions   []struct{ Role, EmailAddress string }
}

func readFolder(t *testing.T, file string) driveFolder {
	t.Helper()
	var f driveFolder
	b, err := os.ReadFile(filepath.Join("testdata", "vectors", file))
	must(t, err)
	must(t, json.Unmarshal(b, &f))
	return f
}

func (f driveFolder) readers() (list []string) {
	for _, p := range f.Permissions {
		if p.Role == "reader" {
			list = append(list, p.EmailAddress)
		}
	}
	return list
}

var vectors = []struct {
	dir, name string
	kind      wire.FolderKind
}{{"1-users-list", "heart_study_2026", wire.CollectionFolder}, {"1-private", "heart_study_2026", wire.PrivateFolder}, {"2-any", "open set", wire.CollectionFolder}, {"3-nobody", "hidden", wire.CollectionFolder}}

// TestVectorsWrite: the datasets that the real client made give the same collections here.
func TestVectorsWrite(t *testing.T) {
	w := drive()
	o := newSite(t, w, owen, rachel)
	must(t, o.c.Backup(ctx, "heart_study_2026", true))
	o.permit("heart_study_2026", rachel)
	o.permit("open set", Everyone)
	o.permit("hidden")
	want := map[string]folder{}
	for _, v := range vectors {
		files := map[string]string{}
		for name, s := range readVectors(t, v.dir) {
			if name == "extra.csv" {
				name = "sub/extra.csv"
			}
			files[o.c.dir(v.name, v.kind).Join(name).Rel] = s
		}
		o.write(files)
		f := readFolder(t, v.dir+"/folder.drive.json")
		want[f.Name] = folder{Name: f.Name, Any: f.AppProperties[wire.AnyProperty] == wire.AnyValue, Grants: f.readers(), Files: readVectors(t, v.dir)}
	}
	o.sync()
	got := map[string]folder{}
	for _, f := range o.folders() {
		f.id = ""
		got[f.Name] = f
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(folder{})); d != "" {
		t.Error(d)
	}
	o.permit("hidden", nina)
	o.sync()
	for _, f := range o.folders() {
		if after := readFolder(t, "3-nobody/folder-after-share.drive.json"); f.Name == after.Name && !cmp.Equal(after.readers(), f.Grants) {
			t.Errorf("%+v", f)
		}
	}
}

type fileSum struct{ Path, SHA256 string }

func readSums(t *testing.T, file string) map[string]string {
	t.Helper()
	var list []fileSum
	b, err := os.ReadFile(filepath.Join("testdata", "vectors", file))
	must(t, err)
	must(t, json.Unmarshal(b, &list))
	m := map[string]string{}
	for _, f := range list {
		m[f.Path] = f.SHA256
	}
	return m
}

func sums(files map[string]string) map[string]string {
	m := map[string]string{}
	for name, s := range files {
		m[name] = sum(s).String()
	}
	return m
}

// TestVectorsRead: what the real client put on Drive arrives as it does at the real client: at a scientist's, and at the owner's on a new
// machine.
func TestVectorsRead(t *testing.T) {
	_, o, r := pair(t)
	o.edit = func(c *Config) { c.Rehome = nil }
	o.restart()
	for _, v := range vectors {
		f := readFolder(t, v.dir+"/folder.drive.json")
		var readers []perm.User
		for _, u := range f.readers() {
			readers = append(readers, perm.User(u))
		}
		id := o.make(f.Name, readVectors(t, v.dir), readers...)
		must(t, o.acct.Update(ctx, id, remote.Edit{Properties: f.AppProperties}))
	}
	before := o.folders()
	r.sync()
	if d := cmp.Diff(readSums(t, "received-by-ds.json"), sums(r.tree.below(owen, "public"))); d != "" {
		t.Error(d)
	}
	o.sync()
	got := map[string]string{}
	for _, part := range []string{"public", "private"} {
		for name, s := range sums(o.tree.below(owen, part)) {
			got[part+"/"+name] = s
		}
	}
	if d := cmp.Diff(readSums(t, "restored-by-do.json"), got); d != "" {
		t.Error(d)
	}
	for dir, want := range map[string][]perm.User{"public/syft_datasets/heart_study_2026": {rachel}, "private/syft_datasets/heart_study_2026": {owen}, "public/syft_datasets/open set": {Everyone, rachel}, "public/syft_datasets/hidden": nil} {
		if d := cmp.Diff(want, o.rules.list(dir)); d != "" {
			t.Errorf("%s: %s", dir, d)
		}
	}
	for range 2 {
		o.sweep()
		o.sync()
		if d := cmp.Diff(before, o.folders(), cmp.AllowUnexported(folder{})); d != "" {
			t.Error(d)
		}
	}
	if d := o.status("", "heart_study_2026"); d.State != Shared || !d.Backup || len(d.Notes) > 0 {
		t.Errorf("%+v", d)
	}
}
