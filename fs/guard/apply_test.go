package guard

import (
	"crypto/sha256"
	"errors"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/fs/backing"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

func sum(s string) datasite.Hash { return sha256.Sum256([]byte(s)) }

// was is the hash of a content; of "-", no file.
func was(s string) datasite.Hash {
	if s == "-" {
		return datasite.Hash{}
	}
	return sum(s)
}

func (w *world) apply(from perm.User, p datasite.Path, before, after string) error {
	c := datasite.Change{Op: datasite.OpRemove, Path: p, Before: datasite.Known{Hash: was(before)}, After: datasite.Known{Hash: was(after)}}
	var body io.Reader
	if after != "-" {
		c.Op, body = datasite.OpWrite, strings.NewReader(after)
	}
	return w.g.Apply(w.t.Context(), from, c, body)
}

// outcome is the word for what Apply gave.
func applied(err error) string {
	switch {
	case errors.Is(err, datasite.ErrStale):
		return "stale"
	case errors.Is(err, iofs.ErrInvalid):
		return "invalid"
	}
	return errno(err)
}

func TestApply(t *testing.T) {
	theirs := func(rel string) datasite.Path { return datasite.Path{Owner: peer, Rel: rel} }
	for _, c := range []struct {
		name          string
		from          perm.User
		p             datasite.Path
		before, after string
		want          string
		recorded      []string // of the peer
	}{
		{"write by a writer", writer, at("shared/f"), "hello", "new", "ok", []string{"write shared/f"}},
		{"write by a creator", creator, at("shared/f"), "hello", "new", "EACCES", nil},
		{"write by a reader", reader, at("shared/f"), "hello", "new", "EACCES", nil},
		{"write by nobody", nobody, at("shared/f"), "hello", "new", "EACCES", nil},
		{"write by a user without a name", "", at("shared/f"), "hello", "new", "EACCES", nil},
		{"write by the owner", owner, at("secret/f"), "secret", "new", "ok", []string{"write secret/f"}},
		{"create by a creator", creator, at("shared/n"), "-", "new", "ok", []string{"write shared/n"}},
		{"create by a reader", reader, at("shared/n"), "-", "new", "EACCES", nil},
		{"create in missing folders", creator, at("shared/n/o/p"), "-", "new", "ok", []string{"mkdir shared/n", "mkdir shared/n/o", "write shared/n/o/p"}},
		{"create in missing folders where none may be made", writer, at("small/n/o"), "-", "x", "EPERM", nil},
		{"beyond the limit", writer, at("small/f"), "small", "more than ten bytes", "EFBIG", nil},
		{"within the limit", writer, at("small/f"), "small", "ten bytes", "ok", []string{"write small/f"}},
		{"hidden", writer, at("secret/f"), "secret", "new", "EACCES", nil},
		{"stale", writer, at("shared/f"), "other", "new", "stale", nil},
		{"made meanwhile", writer, at("shared/f"), "-", "new", "stale", nil},
		{"gone meanwhile", writer, at("shared/n"), "hello", "new", "stale", nil},
		{"no right and stale", reader, at("shared/f"), "other", "new", "EACCES", nil},
		{"there already, not recorded", creator, at("shared/f"), "other", "hello", "ok", []string{"write shared/f"}},
		{"remove by a writer", writer, at("shared/f"), "hello", "-", "ok", []string{"remove shared/f"}},
		{"remove by a creator", creator, at("shared/f"), "hello", "-", "EACCES", nil},
		{"remove what is gone", writer, at("shared/n"), "hello", "-", "ok", nil},
		{"remove what is gone with its folder", writer, at("shared/n/o"), "hello", "-", "ok", nil},
		{"remove what changed", writer, at("shared/f"), "other", "-", "stale", nil},
		{"remove a folder", writer, at("shared/full"), "-", "-", "EISDIR", nil},
		{"a folder in the place", writer, at("shared/full"), "-", "new", "EISDIR", nil},
		{"an empty folder in the place", writer, at("shared/d"), "-", "new", "ok", []string{"remove shared/d", "write shared/d"}},
		{"an empty folder in the place of what may only be created", creator, at("shared/d"), "-", "new", "EACCES", nil},
		{"a file in the place of a folder", writer, at("shared/f/n"), "-", "new", "ENOTDIR", nil},
		{"a link in the place", writer, at("shared/l"), "-", "new", "EEXIST", nil},
		{"through a link", owner, at("shared/l/n"), "-", "new", "ELOOP", nil},
		{"rules by a writer", writer, at("shared/sub/syft.pub.yaml"), files["shared/sub/syft.pub.yaml"], "rules: []", "EACCES", nil},
		{"rules by an admin", admin, at("shared/sub/syft.pub.yaml"), files["shared/sub/syft.pub.yaml"], "terminal: true\n" + files["shared/sub/syft.pub.yaml"], "ok", []string{"write shared/sub/syft.pub.yaml"}},
		{"a name of ours", owner, at("shared/.syftfs-x/f"), "-", "new", "EPERM", nil},
		{"the datasite", owner, at(""), "-", "new", "EISDIR", nil},
		{"the root", owner, datasite.Path{}, "-", "new", "invalid", nil},
		{"a replica, by its owner", peer, theirs("public/data"), "delivered", "again", "ok", []string{"write public/data"}},
		{"a replica, by anybody else", writer, theirs("public/data"), "delivered", "again", "EACCES", nil},
		{"a replica, by the owner of this machine", owner, theirs("public/data"), "delivered", "again", "EACCES", nil},
		{"jobs in a replica, by its owner", peer, theirs("app_data/job/review/r/state.yaml"), "-", "x", "ok",
			[]string{"mkdir app_data/job/review", "mkdir app_data/job/review/r", "write app_data/job/review/r/state.yaml"}},
		{"a replica that is not there yet", nobody, datasite.Path{Owner: nobody, Rel: "a/f"}, "-", "new", "ok", []string{"mkdir a", "write a/f"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			err := w.apply(c.from, c.p, c.before, c.after)
			if got := applied(err); got != c.want {
				t.Errorf("%v (%s), want %s", err, got, c.want)
			}
			for _, ch := range w.mem.changes {
				if ch.Origin != datasite.OriginPeer || ch.By.Subject != c.from || ch.At.IsZero() {
					t.Errorf("recorded as %+v", ch)
				}
			}
			if len(w.mem.changes) != w.mem.durable {
				t.Error("not durable")
			}
			if diff := cmp.Diff(c.recorded, w.mem.take()); diff != "" {
				t.Error(diff)
			}
			w.noTemps()
			if err != nil {
				return
			}
			got, rerr := os.ReadFile(filepath.Join(w.dir, string(c.p.Owner), c.p.Rel))
			if c.after == "-" && !errors.Is(rerr, iofs.ErrNotExist) || c.after != "-" && string(got) != c.after {
				t.Errorf("there is now %q, %v", got, rerr)
			}
			// Once is enough.
			must(t, w.apply(c.from, c.p, c.before, c.after))
			if got := w.mem.take(); got != nil {
				t.Errorf("done again: %q", got)
			}
		})
	}
}

func (w *world) noTemps() {
	w.t.Helper()
	must(w.t, filepath.WalkDir(w.dir, func(p string, e iofs.DirEntry, err error) error {
		if strings.Contains(p, ".syftfs-tmp") {
			w.t.Errorf("left behind: %s", p)
		}
		return err
	}))
}

func TestApplyRefusesOtherBytes(t *testing.T) {
	w := newWorld(t)
	c := datasite.Change{Op: datasite.OpWrite, Path: at("shared/f"), Before: datasite.Known{Hash: sum("hello")}, After: datasite.Known{Hash: sum("new")}}
	if err := w.g.Apply(t.Context(), writer, c, strings.NewReader("old")); !errors.Is(err, iofs.ErrInvalid) {
		t.Error(err)
	}
	c.After.Hash = datasite.Hash{} // not told
	must(t, w.g.Apply(t.Context(), writer, c, strings.NewReader("old")))
	if k := w.g.known(at("shared/f")); k.Hash != sum("old") {
		t.Errorf("known as %v", k.Hash)
	}
	w.noTemps()
}

// A program that has the file open for writing would go on writing into what nobody sees any more.
func TestApplyWaitsForWriters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f := w.open(owner, "shared/f", wr)
		if err := w.apply(writer, at("shared/f"), "hello", "new"); !errors.Is(err, datasite.ErrStale) {
			t.Errorf("while it is open: %v", err)
		}
		done := make(chan error)
		go func() { done <- w.apply(writer, at("shared/f"), "hello", "new") }()
		synctest.Wait()
		_, err := f.WriteAt([]byte("HELLO"), 0)
		must(t, err)
		must(t, f.Close())
		if err := <-done; !errors.Is(err, datasite.ErrStale) || w.disk("shared/f") != "HELLO" {
			t.Errorf("%v, %s", err, w.disk("shared/f"))
		}
		r := w.open(owner, "shared/f", rd)
		must(t, w.apply(writer, at("shared/f"), "HELLO", "new"))
		if s, err := read(r); s != "HELLO" || err != nil {
			t.Errorf("who reads goes on: %q, %v", s, err)
		}
		must(t, r.Close())
	})
}

// What a change of rules that came from elsewhere takes away is gone before the change is recorded.
func TestAppliedRulesAreInForceAtOnce(t *testing.T) {
	w := newWorld(t)
	f := w.open(reader, "shared/f", rd)
	w.kernels[owner].take()
	must(t, w.apply(owner, at("syft.pub.yaml"), files["syft.pub.yaml"], "rules: []"))
	if _, err := read(f); errno(err) != "EACCES" {
		t.Errorf("read after the right went: %v", err)
	}
	if err := w.apply(writer, at("shared/f"), "hello", "new"); errno(err) != "EACCES" {
		t.Errorf("apply after the right went: %v", err)
	}
	if got := w.kernels[owner].take(); got != "syft.pub.yaml *" {
		t.Errorf("the owner's kernel was told %q", got)
	}
	must(t, f.Close())
}

func TestKeep(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	for _, c := range []struct {
		name, copy, content, want string
		recorded                  []string
	}{
		{"kept", "shared/f-2", "hello", "ok", []string{"write shared/f-2"}},
		{"again", "shared/f-2", "hello", "ok", nil},
		{"moved on", "shared/f-3", "other", "stale", nil},
		{"in the way", "shared/g", "hello", "EEXIST", nil},
		{"a folder in the way", "shared/d", "hello", "EEXIST", nil},
		{"a link in the way", "shared/l", "hello", "EEXIST", nil},
	} {
		if got := applied(w.g.Keep(ctx, at("shared/f"), sum(c.content), at(c.copy))); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		for _, ch := range w.mem.changes {
			if ch.Origin != datasite.OriginLocal || ch.By != (datasite.Identity{Subject: owner}) || ch.After.Hash != sum("hello") {
				t.Errorf("recorded as %+v", ch)
			}
		}
		if diff := cmp.Diff(c.recorded, w.mem.take()); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
	if got := w.disk("shared/f-2"); got != "hello" {
		t.Errorf("kept %q", got)
	}
	if err := w.g.Keep(ctx, at("shared/n"), sum("x"), at("shared/n2")); applied(err) != "stale" {
		t.Errorf("of nothing: %v", err)
	}
	theirs := datasite.Path{Owner: peer, Rel: "public/data"}
	must(t, w.g.Keep(ctx, theirs, sum("delivered"), theirs.Parent().Join("data-2")))
	w.noTemps()
}

func TestSnapshotAndFiles(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	mkfifo(t, filepath.Join(w.dir, string(owner), "shared/pipe"))
	body, h, err := w.g.Snapshot(ctx, at("shared/f"))
	must(t, err)
	b, err := io.ReadAll(body)
	if string(b) != "hello" || err != nil || h != sum("hello") {
		t.Errorf("%q, %v, %v", b, h, err)
	}
	must(t, body.Close())
	for _, rel := range []string{"shared/n", "shared/d", "shared/l", "shared/pipe", "shared/f/n", "", "shared/l/f"} {
		if _, _, err := w.g.Snapshot(ctx, at(rel)); !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("%s: %v", rel, err)
		}
	}
	body, _, err = w.g.Snapshot(ctx, at("shared/f"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(w.dir, string(owner), "shared/f"), []byte("HELLO"), 0o644))
	if _, err := io.ReadAll(body); !errors.Is(err, datasite.ErrStale) {
		t.Errorf("of what changed: %v", err)
	}
	must(t, body.Close())

	list := func(p datasite.Path) (out []string) {
		must(t, w.g.Files(ctx, p, func(p datasite.Path) error { out = append(out, p.String()); return nil }))
		return out
	}
	if diff := cmp.Diff([]string{"owner@x.org/shared/full/x", "owner@x.org/shared/full/y/z"}, list(at("shared/full"))); diff != "" {
		t.Error(diff)
	}
	if got := list(at("shared/f")); len(got) != 1 || len(list(at("shared/n"))) != 0 || len(list(at("shared/pipe"))) != 0 {
		t.Errorf("%q", got)
	}
	if got := list(datasite.Path{}); len(got) != 13 {
		t.Errorf("of everything: %q", got)
	}
	if err := w.g.Files(ctx, at(""), func(datasite.Path) error { return errFault }); !errors.Is(err, errFault) {
		t.Error(err)
	}
}

func TestLevel(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		u    perm.User
		p    datasite.Path
		want perm.Level
	}{
		{owner, at("secret/f"), perm.Admin}, {admin, at("shared/f"), perm.Admin}, {writer, at("shared/gone"), perm.Write}, {creator, at("shared/gone"), perm.Create},
		{reader, at("shared/d"), perm.Read}, {nobody, at("shared/f"), perm.None}, {reader, at(""), perm.None}, {writer, at("shared/sub/syft.pub.yaml"), perm.Read},
		{peer, datasite.Path{Owner: peer, Rel: "public/data"}, perm.None},
	} {
		if got, err := w.g.Level(t.Context(), c.u, c.p); got != c.want || err != nil {
			t.Errorf("%s on %s: %v, %v; want %v", c.u, c.p, got, err, c.want)
		}
	}
}

// A step that fails leaves the one or the other, and the change, offered again, ends up recorded as the peer's, once.
func TestApplyFailsAtEachStep(t *testing.T) {
	for _, c := range []struct {
		step          string
		rel           string
		before, after string
		left          string
	}{
		{"apply:temp", "shared/f", "hello", "new", "hello"},
		{"apply:write", "shared/f", "hello", "new", "hello"},
		{"apply:sync", "shared/f", "hello", "new", "hello"},
		{"apply:rename", "shared/f", "hello", "new", "hello"},
		{"apply:sync-dir", "shared/f", "hello", "new", "new"},
		{"journal:commit", "shared/f", "hello", "new", "new"},
		{"apply:unlink", "shared/f", "hello", "-", "hello"},
		{"apply:sync-dir", "shared/f", "hello", "-", "-"},
		{"journal:commit", "shared/f", "hello", "-", "-"},
		{"apply:mkdir", "shared/m/n", "-", "new", "-"},
		{"apply:sync-dir", "shared/m/n", "-", "new", "-"},
		{"apply:rmdir", "shared/d", "-", "new", "-"},
		{"apply:sync-dir", "shared/d", "-", "new", "-"},
	} {
		t.Run(c.step+" "+c.rel+" "+c.after, func(t *testing.T) {
			fault := &faultOnce{at: c.step}
			w := newWorld(t, backing.WithFault(fault), backing.WithClock(later))
			reconcile(t, w)
			if c.step == "journal:commit" {
				w.mem.fail = errFault
			}
			if err := w.apply(writer, at(c.rel), c.before, c.after); !errors.Is(err, errFault) {
				t.Errorf("error %v", err)
			}
			w.mem.fail = nil
			if got := w.disk(c.rel); got != c.left && (c.left != "-" || !strings.Contains(got, "no such file") && !strings.Contains(got, "is a directory")) {
				t.Errorf("there is %q, want %q", got, c.left)
			}
			w.noTemps()
			w.mem.take()
			must(t, w.apply(writer, at(c.rel), c.before, c.after))
			last := w.mem.changes[len(w.mem.changes)-1]
			if last.Path != at(c.rel) || last.Origin != datasite.OriginPeer || last.By.Subject != writer {
				t.Errorf("recorded as %+v", last)
			}
			w.mem.take()
			must(t, w.apply(writer, at(c.rel), c.before, c.after))
			if got := append(w.mem.take(), reconcile(t, w)...); len(got) != 0 {
				t.Errorf("recorded again: %q", got)
			}
			w.knowsTheTree()
		})
	}
}

// faultOnce fails a step the first time.
type faultOnce struct {
	at   string
	done bool
}

func (f *faultOnce) Before(op string) error {
	if op != f.at || f.done {
		return nil
	}
	f.done = true
	return errFault
}

// A sender's change that was done, but not recorded when the process was killed, is found as recovery; offered again it is recorded as the
// sender's, once.
func TestApplyAfterRecovery(t *testing.T) {
	w := newWorld(t, backing.WithClock(later))
	reconcile(t, w)
	w.mem.fail = errFault
	if err := w.apply(writer, at("shared/f"), "hello", "new"); !errors.Is(err, errFault) {
		t.Fatal(err)
	}
	w.mem.fail = nil
	if got := reconcile(t, w); len(got) != 1 || got[0] != "write shared/f" {
		t.Errorf("found %q", got)
	}
	for _, want := range []int{1, 0} {
		must(t, w.apply(writer, at("shared/f"), "hello", "new"))
		if got := w.mem.take(); len(got) != want {
			t.Errorf("recorded %q", got)
		}
	}
}

// Somebody who works on the real directory comes between the decision and the rename: what they wrote stays.
func TestApplyComparesAtTheLastMoment(t *testing.T) {
	for name, meddle := range map[string]func(string) error{
		"written":  func(f string) error { return os.WriteFile(f, []byte("mine!"), 0o644) },
		"replaced": func(f string) error { must(t, os.WriteFile(f+"~", []byte("mine!"), 0o644)); return os.Rename(f+"~", f) },
	} {
		t.Run(name, func(t *testing.T) {
			m := &meddler{at: "apply:rename"}
			w := newWorld(t, backing.WithFault(m))
			m.do = func() error { return meddle(filepath.Join(w.dir, string(owner), "shared/f")) }
			if err := w.apply(writer, at("shared/f"), "hello", "new"); !errors.Is(err, datasite.ErrStale) {
				t.Errorf("error %v", err)
			}
			if got := w.disk("shared/f"); got != "mine!" {
				t.Errorf("there is %q", got)
			}
			w.noTemps()
			if got := w.mem.take(); got != nil {
				t.Errorf("recorded %q", got)
			}
		})
	}
}

type meddler struct {
	at string
	do func() error
}

func (m *meddler) Before(op string) error {
	if op == m.at {
		return m.do()
	}
	return nil
}

// The explanation in a replica says by whom and when something was delivered, or that it was not.
func TestExplainSaysWhenSomethingCame(t *testing.T) {
	w := newWorld(t)
	there := datasite.Path{Owner: peer, Rel: "public/data"}
	must(t, w.apply(peer, there, "delivered", "again"))
	e, err := w.tree.Stat(there)
	must(t, err)
	for _, c := range []struct {
		p    datasite.Path
		want string
	}{
		{there, "Delivered by peer@y.org"},
		{there, "It came at " + e.Stamp.CTime.UTC().Format(time.RFC3339)},
		{there.Parent().Join("other"), "Nothing was delivered by peer@y.org"},
	} {
		d, err := w.views[owner].Explain(t.Context(), owner, c.p, perm.Write)
		must(t, err)
		tr, err := w.views[owner].Trace(t.Context(), owner, c.p, perm.Write)
		must(t, err)
		for _, text := range []string{d.Explain(), tr.Decision.Explain()} {
			if !strings.Contains(text, c.want) {
				t.Errorf("%s is explained as:\n%s\nwithout %q", c.p, text, c.want)
			}
		}
	}
}

// A job of one's own is delivered where nothing of the peer's datasite is yet.
func TestAJobForAPeerWithoutAFolder(t *testing.T) {
	w := newWorld(t)
	p := datasite.Path{Owner: "new@y.org", Rel: datasite.JobInboxDir + "/" + string(owner) + "/job"}
	src := fstest.MapFS{"run.sh": {Data: []byte("echo")}}
	must(t, w.views[owner].Place(t.Context(), datasite.Change{Op: datasite.OpSubmit, Path: p}, src))
	var got []string
	must(t, w.g.Files(t.Context(), datasite.Path{Owner: p.Owner}, func(q datasite.Path) error { got = append(got, q.Rel); return nil }))
	if diff := cmp.Diff([]string{p.Rel + "/run.sh"}, got); diff != "" {
		t.Error(diff)
	}
	if last := w.mem.changes[len(w.mem.changes)-1]; last.Op != datasite.OpSubmit || last.Path != p || w.mem.durable != len(w.mem.changes) {
		t.Errorf("recorded as %+v", last)
	}
}
