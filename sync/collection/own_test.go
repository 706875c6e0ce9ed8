package collection

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
)

// study is the files of a dataset, below the datasite.
func study(name, value string) map[string]string {
	return map[string]string{
		"public/syft_datasets/" + name + "/dataset.yaml":           "name: " + name + "\n",
		"public/syft_datasets/" + name + "/mock.csv":               value,
		"public/syft_datasets/" + name + "/sub/extra.csv":          "x\n" + value,
		"public/syft_datasets/" + name + "/syft.pub.yaml":          "rules: []\n",
		"private/syft_datasets/" + name + "/real.csv":              "secret " + value,
		"private/syft_datasets/" + name + "/private_metadata.yaml": "uid: 1\ndata_dir: /old\n",
		"private/syft_datasets/" + name + "/syft.pub.yaml":         "rules: []\n",
	}
}

// sent is what of study travels.
func sent(name, value string) map[string]string {
	return map[string]string{"dataset.yaml": "name: " + name + "\n", "mock.csv": value, "extra.csv": "x\n" + value}
}

func kept(name, value string) map[string]string {
	return map[string]string{"real.csv": "secret " + value, "private_metadata.yaml": "uid: 1\ndata_dir: /old\n", "syft.pub.yaml": "rules: []\n"}
}

func (s *site) want(list ...folder) {
	s.t.Helper()
	if d := cmp.Diff(list, s.folders(), cmpopts.IgnoreUnexported(folder{}), cmpopts.EquateEmpty()); d != "" {
		s.t.Error(d)
	}
}

func public(name, value string, any bool, readers ...string) folder {
	f := sent(name, value)
	return folder{Name: named(wire.CollectionFolder, name, f), Any: any, Grants: readers, Files: f}
}

func backup(name, value string) folder {
	f := kept(name, value)
	return folder{Name: named(wire.PrivateFolder, name, f), Files: f}
}

func TestPublish(t *testing.T) {
	w := drive()
	o := newSite(t, w, owen, rachel)
	o.write(study("heart_1", "1"))
	o.permit("heart_1", rachel)
	o.sync()
	o.want(public("heart_1", "1", false, string(rachel)))
	if d := o.status("", "heart_1"); d.State != Shared || d.Files != 3 || len(d.Notes) > 0 || d.Backup {
		t.Errorf("%+v", d)
	}
	first := o.folders()[0].id

	o.write(map[string]string{"public/syft_datasets/heart_1/mock.csv": "2", "public/syft_datasets/heart_1/sub/extra.csv": "x\n2"})
	if d := o.status("", "heart_1"); d.State != Sending {
		t.Errorf("%+v", d)
	}
	o.sync()
	o.want(public("heart_1", "2", false, string(rachel)))
	if o.folders()[0].id == first {
		t.Error("it was changed in place")
	}

	o.permit("heart_1", rachel, nina)
	o.sync()
	o.want(public("heart_1", "2", false, string(nina), string(rachel)))
	o.permit("heart_1")
	o.sync()
	o.want(public("heart_1", "2", false))
	o.permit("heart_1", Everyone)
	o.sync()
	o.want(public("heart_1", "2", true, string(rachel)))
	o.book.list = peersOf(rachel, nina)
	must(t, o.c.Regrant(ctx))
	o.sync()
	o.want(public("heart_1", "2", true, string(nina), string(rachel)))
	o.book.list = peersOf(nina)
	must(t, o.c.Regrant(ctx))
	o.sync()
	o.want(public("heart_1", "2", true, string(nina)))

	o.erase("public/syft_datasets/heart_1")
	o.sync()
	o.want()
	if d := o.status("", "heart_1"); d.Name != "" {
		t.Errorf("%+v", d)
	}
}

func TestBackup(t *testing.T) {
	w := drive()
	o := newSite(t, w, owen, rachel)
	must(t, o.c.Backup(ctx, "d", true))
	o.write(study("d", "1"))
	o.permit("d", rachel)
	o.sync()
	o.want(public("d", "1", false, string(rachel)), backup("d", "1"))
	o.write(map[string]string{"private/syft_datasets/d/real.csv": "secret 2", "private/syft_datasets/d/deep/x": "1"})
	o.sync()
	o.want(public("d", "1", false, string(rachel)), backup("d", "2"))
	if d := o.status("", "d"); !d.Backup || len(d.Notes) != 1 || !strings.Contains(d.Notes[0], "deep/x") {
		t.Errorf("%+v", d)
	}
	// A backup is for the day when the files are gone.
	o.erase("private/syft_datasets/d")
	o.sync()
	o.want(public("d", "1", false, string(rachel)), backup("d", "2"))
	must(t, o.c.Restore(ctx, "d"))
	o.sync()
	want := kept("d", "2")
	want["private_metadata.yaml"] = "uid: 1\ndata_dir: /here/old\n"
	if d := cmp.Diff(want, o.tree.below(owen, "private/syft_datasets/d")); d != "" {
		t.Error(d)
	}
	o.write(nil)
	o.sync()
	o.want(public("d", "1", false, string(rachel)), backup("d", "2"))

	o.erase("public/syft_datasets/d")
	o.sync()
	o.want(backup("d", "2"))
	if d := o.status("", "d"); len(d.Notes) != 1 || !strings.Contains(d.Notes[0], "still on Drive") {
		t.Errorf("%+v", d)
	}
	must(t, o.c.Delete(ctx, "d", true))
	o.sync()
	o.want()
	must(t, o.c.Backup(ctx, "d", false))
	o.sync()
	if d := o.status("", "d"); d.Name != "" {
		t.Errorf("%+v", d)
	}
}

// TestBothWays changes readers on Drive, as syft-client does, and expects the rules to follow.
func TestBothWays(t *testing.T) {
	w := drive()
	o := newSite(t, w, owen, rachel)
	o.write(study("d", "1"))
	o.permit("d", rachel)
	o.sync()
	id := o.folders()[0].id

	must(t, o.acct.Grant(ctx, id, remote.Grant{Who: "Nina@statistics.example", Role: remote.CanRead}))
	o.sync()
	if d := cmp.Diff([]perm.User{nina, rachel}, o.rules.list("public/syft_datasets/d")); d != "" {
		t.Error(d)
	}
	must(t, o.acct.Revoke(ctx, id, string(rachel)))
	o.sync()
	if d := cmp.Diff([]perm.User{nina}, o.rules.list("public/syft_datasets/d")); d != "" {
		t.Error(d)
	}
	must(t, o.acct.Update(ctx, id, remote.Edit{Properties: map[string]string{wire.AnyProperty: wire.AnyValue}}))
	o.sync()
	if d := cmp.Diff([]perm.User{Everyone, nina}, o.rules.list("public/syft_datasets/d")); d != "" {
		t.Error(d)
	}
	o.want(public("d", "1", true, string(nina), string(rachel)))

	// Each side changed another reader: both count.
	must(t, o.acct.Revoke(ctx, id, "Nina@statistics.example"))
	must(t, o.acct.Update(ctx, id, remote.Edit{Properties: map[string]string{wire.AnyProperty: ""}}))
	o.permit("d", Everyone, nina, "bob@x.example")
	o.sync()
	if d := cmp.Diff([]perm.User{"bob@x.example"}, o.rules.list("public/syft_datasets/d")); d != "" {
		t.Error(d)
	}
	o.want(public("d", "1", false, "bob@x.example"))
}

// TestRulesThatCannotFollow: neither side is opened, and it is said; also over a new version.
func TestRulesThatCannotFollow(t *testing.T) {
	w := drive()
	o := newSite(t, w, owen, rachel)
	o.write(study("d", "1"))
	o.permit("d", Everyone)
	o.sync()
	must(t, o.acct.Revoke(ctx, o.folders()[0].id, string(rachel)))
	for range 2 {
		o.sync()
		o.sweep()
		o.want(public("d", "1", true))
		if d := o.status("", "d"); len(d.Notes) != 1 || !strings.Contains(d.Notes[0], "cannot follow") {
			t.Errorf("%+v", d)
		}
	}
	o.write(map[string]string{"public/syft_datasets/d/mock.csv": "2", "public/syft_datasets/d/sub/extra.csv": "x\n2"})
	o.sync()
	o.want(public("d", "2", true))
	o.rules.fixed = errors.New("by hand")
	must(t, o.acct.Grant(ctx, o.folders()[0].id, remote.Grant{Who: string(nina), Role: remote.CanRead}))
	o.sync()
	if d := o.status("", "d"); len(d.Notes) != 2 || !strings.Contains(strings.Join(d.Notes, ""), "by hand") {
		t.Errorf("%q", d.Notes)
	}
}

// TestPartialRights: who may read a part only gets nothing, as on Drive all is shared.
func TestPartialRights(t *testing.T) {
	w := drive()
	o := newSite(t, w, owen, rachel)
	o.write(study("d", "1"))
	o.rules.hidden["public/syft_datasets/d/sub/extra.csv"] = true
	o.permit("d", rachel)
	o.sync()
	o.want(public("d", "1", false))
	if d := o.status("", "d"); len(d.Notes) != 1 || !strings.Contains(d.Notes[0], "parts of it only") {
		t.Errorf("%q", d.Notes)
	}
}

func TestOddFiles(t *testing.T) {
	w := drive()
	o := newSite(t, w, owen)
	o.write(map[string]string{
		"public/syft_datasets/d/dataset.yaml": "name: d\n", "public/syft_datasets/d/.hidden": "h", "public/syft_datasets/d/a": "top", "public/syft_datasets/d/x/a": "deep",
		"public/syft_datasets/d/b\tc": "tab", "public/syft_datasets/d/.git/config": "", "public/syft_datasets/d/x/syft.pub.yaml": "", "public/syft_datasets/loose": "no dataset",
		"public/syft_datasets/nothing/f": "no dataset", "public/syft_datasets/odd\tname/dataset.yaml": "name: o\n",
	})
	o.sync()
	files := map[string]string{"dataset.yaml": "name: d\n", "a": "top"}
	o.want(folder{Name: named(wire.CollectionFolder, "d", files), Files: files})
	if d := o.status("", "d"); len(d.Notes) != 3 {
		t.Errorf("%q", d.Notes)
	}
	if d := o.status("", "odd\tname"); len(d.Notes) != 1 {
		t.Errorf("%+v", d)
	}
}

// TestAllGone: when everything is gone at once, nothing is deleted on Drive without a word.
func TestAllGone(t *testing.T) {
	w := drive()
	o := newSite(t, w, owen)
	o.write(study("a", "1"))
	o.write(study("b", "1"))
	o.sync()
	o.erase("public/syft_datasets")
	o.sync()
	o.want(public("a", "1", false), public("b", "1", false))
	if d := o.status("", "a"); len(d.Notes) != 1 || !strings.Contains(d.Notes[0], "Nothing was deleted") {
		t.Errorf("%+v", d)
	}
	must(t, o.c.Delete(ctx, "a", false))
	o.sync()
	o.want(public("b", "1", false))
	o.write(study("b", "1"))
	o.sync()
	o.want(public("b", "1", false))
	if d := o.status("", "b"); len(d.Notes) != 0 || d.State != Shared {
		t.Errorf("%+v", d)
	}
}

// TestFolders: a folder that came or went stands for what is in it.
func TestFolders(t *testing.T) {
	o := newSite(t, drive(), owen)
	at := func(rel string) []datasite.Path { return []datasite.Path{{Owner: owen, Rel: rel}} }
	o.sync()
	o.tree.put(owen, study("a", "1"))
	o.tree.put(owen, study("b", "1"))
	must(t, o.c.Local(ctx, at("public")))
	o.sync()
	o.want(public("a", "1", false), public("b", "1", false))
	must(t, o.c.Backup(ctx, "b", true))
	o.sync()
	o.tree.put(owen, map[string]string{"private/syft_datasets/b/real.csv": "secret 2"})
	must(t, o.c.Local(ctx, at("private/syft_datasets")))
	o.sync()
	o.want(public("a", "1", false), public("b", "1", false), backup("b", "2"))
	o.tree.remove(owen, "public/syft_datasets/a")
	must(t, o.c.Local(ctx, at("public/syft_datasets/a")))
	o.sync()
	o.want(public("b", "1", false), backup("b", "2"))
	o.tree.remove(owen, "public")
	must(t, o.c.Local(ctx, at("public/syft_datasets")))
	o.sync()
	o.want(backup("b", "2"))
	reads := o.tree.reads
	must(t, o.c.Local(ctx, []datasite.Path{{Owner: rachel, Rel: "public"}, {Owner: owen, Rel: "public/notes"}, {Owner: owen, Rel: "private/x"}}))
	o.sync()
	if o.tree.reads != reads {
		t.Error("what has to do with no dataset was looked at")
	}
}

// TestAdopt: what another program put on Drive is taken over if it is the same; else it stays, for nobody.
func TestAdopt(t *testing.T) {
	w := drive()
	o := newSite(t, w, owen, rachel)
	o.tree.put(owen, study("same", "1"))
	o.tree.put(owen, study("other", "1"))
	same, files := public("same", "1", false), sent("other", "0")
	id := o.make(same.Name, same.Files, rachel)
	o.make(named(wire.CollectionFolder, "other", files), files, nina)
	o.sync()
	all := o.folders()
	if len(all) != 3 {
		t.Fatalf("%+v", all)
	}
	for _, f := range all {
		switch {
		case f.Name == same.Name && (f.id != id || !cmp.Equal(f.Grants, []string{string(rachel)})),
			f.Name == public("other", "1", false).Name && !cmp.Equal(f.Grants, []string{string(nina)}),
			f.Name == named(wire.CollectionFolder, "other", files) && len(f.Grants) > 0:
			t.Errorf("%+v", f)
		}
	}
	if d := cmp.Diff([]perm.User{rachel}, o.rules.list("public/syft_datasets/same")); d != "" {
		t.Error(d)
	}
	if d := o.status("", "other"); len(d.Notes) != 1 || !strings.Contains(d.Notes[0], "Another collection") {
		t.Errorf("%+v", d)
	}
	o.sweep()
	if d := cmp.Diff(all, o.folders(), cmp.AllowUnexported(folder{})); d != "" {
		t.Error(d)
	}
}

// TestQuickerClient: a syft-client on the same tree makes the collection too, before we see it or after.
func TestQuickerClient(t *testing.T) {
	for _, before := range []bool{true, false} {
		o := newSite(t, drive(), owen, rachel)
		o.sync()
		f := public("d", "1", false)
		make := func() { o.make(f.Name, f.Files, nina) }
		if before {
			make()
		}
		o.write(study("d", "1"))
		o.permit("d", rachel)
		must(t, o.c.Sync(ctx))
		if !before {
			make()
		}
		o.sync()
		o.sync()
		o.want(public("d", "1", false, string(nina), string(rachel)))
		if d := o.status("", "d"); len(d.Notes) > 0 {
			t.Errorf("%+v", d)
		}
	}
}

// TestFlatCopies: what a syft-client lays beside a file when it restores is no news.
func TestFlatCopies(t *testing.T) {
	o := newSite(t, drive(), owen)
	o.write(study("d", "1"))
	o.write(map[string]string{"public/syft_datasets/d/extra.csv": "x\n1"})
	o.sync()
	o.want(public("d", "1", false))
	if d := o.status("", "d"); len(d.Notes) > 0 {
		t.Errorf("%+v", d)
	}
}

// TestDeletedOnDrive: a collection that somebody deleted there comes back.
func TestDeletedOnDrive(t *testing.T) {
	w := drive()
	o := newSite(t, w, owen, rachel)
	o.write(study("d", "1"))
	o.permit("d", rachel)
	o.sync()
	w.Trash(o.folders()[0].id, true)
	o.sync()
	o.want(public("d", "1", false, string(rachel)))
}

// TestLateWords: what the feed says late of a collection that is gone changes nothing.
func TestLateWords(t *testing.T) {
	w := drive()
	o := newSite(t, w, owen)
	o.write(study("d", "1"))
	o.sync()
	old, err := o.acct.Stat(ctx, o.folders()[0].id, remote.WithOwner|remote.WithTimes|remote.WithParent)
	must(t, err)
	o.erase("public/syft_datasets/d")
	o.sync()
	must(t, o.c.Noticed(ctx, []remote.Change{{ID: old.ID, Object: old}}))
	o.sync()
	o.want()
	if got := o.tree.below(owen, "public"); len(got) > 0 {
		t.Errorf("%v", got)
	}
}

// TestManyFiles sends and receives ten thousand files, with several at the same time.
func TestManyFiles(t *testing.T) {
	t.Parallel()
	w := drive()
	o, r := newSite(t, w, owen, rachel), newSite(t, w, rachel, owen)
	o.edit = func(c *Config) { c.Parallel = 8 }
	r.edit = o.edit
	o.restart()
	r.restart()
	files := map[string]string{"public/syft_datasets/d/dataset.yaml": "name: d\n"}
	for i := range 9_999 {
		files[fmt.Sprintf("public/syft_datasets/d/f%05d", i)] = fmt.Sprint(i)
	}
	o.write(files)
	o.permit("d", rachel)
	must(t, o.c.Sync(ctx))
	must(t, r.feed())
	must(t, r.c.Sync(ctx))
	if d := cmp.Diff(o.tree.below(owen, "public"), r.tree.below(owen, "public")); d != "" {
		t.Error("they differ")
	}
	if d := r.status(owen, "d"); d.State != Delivered || d.Files != 10_000 {
		t.Errorf("%+v", d)
	}
}
