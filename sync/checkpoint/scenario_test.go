package checkpoint

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/remote/remotetest"
	"github.com/openmined/syftfs/sync/wire"
)

// The tests here are named after syft-client's own.

func (s *site) ok(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// log tells one message about changes.
func (s *site) tell(k *Keeper, changes files) {
	s.t.Helper()
	s.ok(k.Logged(s.t.Context(), s.change(changes)))
}

// on expects so many full checkpoints, increments and rolling states on Drive.
func (s *site) on(full, inc, roll int) {
	s.t.Helper()
	if got := s.count(); got != [3]int{full, inc, roll} {
		s.t.Fatalf("on Drive are %v full checkpoints, increments and rolling states, want %d %d %d", got, full, inc, roll)
	}
	s.check("now")
}

// newest decodes what is newest of a kind.
func (s *site) newest(kind wire.FileKind) (files, wire.Time, wire.FileName, []wire.Item) {
	s.t.Helper()
	folder := wire.CheckpointsFolder
	if kind == wire.RollingFile {
		folder = wire.RollingFolder
	}
	var o remote.Object
	var name wire.FileName
	for _, each := range s.names(folder) {
		if n, err := wire.ParseFile(each.Name); err == nil && n.Kind == kind && (o.ID == "" || n.Compare(name) > 0) {
			o, name = each, n
		}
	}
	got := files{}
	switch kind {
	case wire.CheckpointFile:
		c, err := wire.Codec{}.DecodeCheckpoint(s.read(o), name, owen.User())
		s.ok(err)
		for _, f := range c.Files {
			got[f.Path.Rel] = string(f.Content)
		}
		return got, c.Last, name, nil
	case wire.IncrementFile:
		c, err := wire.Codec{}.DecodeIncrement(s.read(o), name, owen.User())
		s.ok(err)
		apply(got, c.Items)
		return got, 0, name, c.Items
	}
	c, err := wire.Codec{}.DecodeRolling(s.read(o), name, owen.User())
	s.ok(err)
	apply(got, c.Items)
	return got, c.Last, name, c.Items
}

func TestCheckpointCreateAndRestore(t *testing.T) {
	s := newSite(t)
	k := s.keeper()
	s.tell(k, files{"a": "1", "b": "2"})
	full, err := k.Create(t.Context())
	s.ok(err)
	s.on(1, 0, 0)
	got, last, name, _ := s.newest(wire.CheckpointFile)
	if full.Files != 2 || name.At != full.At || last != s.last || !maps.Equal(got, s.tree) {
		t.Errorf("%+v, %v %v %v", full, got, last, name)
	}
	if st := k.Status(); st.Full != full.At || st.Covered != s.last || st.Rolling != 0 || st.Increments != 0 {
		t.Errorf("%+v", st)
	}
}

func TestCheckpointShouldCreate(t *testing.T) {
	s := newSite(t)
	k := s.keeper()
	should := func(n int, want bool) {
		t.Helper()
		if got, err := k.ShouldCreate(t.Context(), n); err != nil || got != want {
			t.Errorf("at %d: %v, %v", n, got, err)
		}
	}
	should(1, false)
	for i := range 5 {
		s.tell(k, files{fmt.Sprint(i): "x"})
	}
	k = s.keeper()
	should(3, true)
	should(5, true)
	should(10, false)
	should(0, false)
}

func TestCheckpointTryCreate(t *testing.T) {
	s := newSite(t)
	s.every = 3
	k := s.keeper()
	s.tell(k, files{"a": "1"})
	s.tell(k, files{"b": "1"})
	s.on(0, 0, 1)
	s.tell(k, files{"c": "1"})
	s.on(0, 1, 0)
}

func TestThresholdIsFifty(t *testing.T) {
	s := newSite(t)
	k := s.keeper()
	changes := files{}
	for i := range 49 {
		changes[fmt.Sprint(i)] = "x"
	}
	s.tell(k, changes)
	s.tell(k, files{"0": "again"})
	s.on(0, 0, 1)
	s.tell(k, files{"50": "x"})
	s.on(0, 1, 0)
}

func TestCheckpointRestoreOnSync(t *testing.T) {
	s := newSite(t)
	k := s.keeper()
	s.tell(k, files{"a": "1", "b": "2"})
	_, err := k.Create(t.Context())
	s.ok(err)
	r, err := s.keeper().Restore(t.Context())
	s.ok(err)
	if len(r.Items) != 2 || r.Last != s.last {
		t.Errorf("%+v", r)
	}
}

func TestCheckpointExcludesDatasets(t *testing.T) {
	s := newSite(t)
	k := s.keeper()
	s.tell(k, files{"a": "1", "b": "2"})
	s.tree["public/syft_datasets/census/mock.csv"] = "x"
	s.tree["private/syft_datasets/census/data.csv"] = "x"
	s.tree["code/.venv/bin/python"] = "\xff"
	full, err := k.Create(t.Context())
	s.ok(err)
	if got, _, _, _ := s.newest(wire.CheckpointFile); full.Files != 2 || len(got) != 2 {
		t.Errorf("%+v %v", full, got)
	}
}

func TestCompactWithExistingFullCheckpoint(t *testing.T) {
	s := newSite(t)
	s.every, s.merge = 3, 2
	k := s.keeper()
	s.tell(k, files{"a": "1", "b": "1"})
	_, err := k.Create(t.Context())
	s.ok(err)
	s.tell(k, files{"c": "1", "d": "1", "e": "1"})
	s.on(1, 1, 0)
	s.tell(k, files{"f": "1", "g": "1", "h": "1"})
	s.on(1, 0, 0)
	if got, last, _, _ := s.newest(wire.CheckpointFile); len(got) != 8 || last != s.last {
		t.Errorf("%v %v", got, last)
	}
	if st := k.Status(); st.Increments != 0 || st.Full == 0 {
		t.Errorf("%+v", st)
	}
}

func TestCompactWithNoExistingFullCheckpoint(t *testing.T) {
	s := newSite(t)
	s.every, s.merge = 2, 2
	k := s.keeper()
	s.tell(k, files{"a": "1", "b": "1"})
	s.tell(k, files{"c": "1", "d": "1"})
	s.on(1, 0, 0)
}

func TestIncrementalCheckpointDeduplication(t *testing.T) {
	s := newSite(t)
	s.every = 2
	k := s.keeper()
	for i := range 3 {
		s.tell(k, files{"a": fmt.Sprint(i)})
	}
	s.tell(k, files{"b": "1"})
	got, _, name, items := s.newest(wire.IncrementFile)
	if len(items) != 2 || got["a"] != "2" || name.Seq != 1 {
		t.Errorf("%v %v", items, name)
	}
}

func TestCompactWithFileOverwritesAndDeletions(t *testing.T) {
	s := newSite(t)
	s.every, s.merge = 2, 3
	k := s.keeper()
	s.tell(k, files{"a": "1", "b": "1"})
	s.tell(k, files{"a": "2", "c": "1"})
	s.on(0, 2, 0)
	s.tell(k, files{"b": "", "a": "3"})
	s.on(1, 0, 0)
	if got, _, _, _ := s.newest(wire.CheckpointFile); !maps.Equal(got, files{"a": "3", "c": "1"}) {
		t.Errorf("%v", got)
	}
}

func TestTryCreateCheckpointTriggersCompacting(t *testing.T) {
	s := newSite(t)
	s.every = 3
	k := s.keeper()
	for i := range 4 {
		s.tell(k, files{fmt.Sprint(i, "a"): "1", fmt.Sprint(i, "b"): "1", fmt.Sprint(i, "c"): "1"})
	}
	s.on(1, 0, 0)
	if got, _, _, _ := s.newest(wire.CheckpointFile); len(got) != 12 {
		t.Errorf("%v", got)
	}
}

func TestUploadReplacesExistingRollingState(t *testing.T) {
	s := newSite(t)
	k := s.keeper()
	s.tell(k, files{"a": "1"})
	first := s.names(wire.RollingFolder)
	s.tell(k, files{"b": "1"})
	second := s.names(wire.RollingFolder)
	if len(second) != 1 || first[0].ID != second[0].ID || first[0].Name != second[0].Name || first[0].SHA256 == second[0].SHA256 {
		t.Errorf("%v, then %v", first, second)
	}
}

func TestRollingStateCreatedAfterCheckpoint(t *testing.T) {
	s := newSite(t)
	k := s.keeper()
	s.tell(k, files{"a": "1", "b": "1"})
	_, err := k.Create(t.Context())
	s.ok(err)
	base := s.last
	s.tell(k, files{"c": "1"})
	s.tell(k, files{"d": "1"})
	s.on(1, 0, 1)
	o := s.names(wire.RollingFolder)[0]
	name, _ := wire.ParseFile(o.Name)
	r, err := wire.Codec{}.DecodeRolling(s.read(o), name, owen.User())
	s.ok(err)
	if len(r.Items) != 2 || r.Base != base || r.Last != s.last {
		t.Errorf("%+v", r)
	}
}

// TestFreshLoginUsesCheckpointAndRollingState: nothing of the log is read.
func TestFreshLoginUsesCheckpointAndRollingState(t *testing.T) {
	s := newSite(t)
	k := s.keeper()
	s.tell(k, files{"a": "1", "b": "1"})
	_, err := k.Create(t.Context())
	s.ok(err)
	s.tell(k, files{"c": "1"})
	s.mem = &memory{}
	s.faulty.Script(remotetest.Fault{Op: remote.OpPut}, remotetest.Fault{Op: remote.OpUpdate}, remotetest.Fault{Op: remote.OpDelete})
	k = s.keeper()
	r, err := k.Restore(t.Context())
	s.ok(err)
	if len(r.Items) != 3 || r.Last != s.last {
		t.Errorf("%+v", r)
	}
	s.ok(k.Logged(t.Context(), s.log[len(s.log)-1])) // known already: nothing is written
	if len(s.faulty.Fired()) != 0 {
		t.Errorf("%v", s.faulty.Fired())
	}
}

func TestRollingStateDeduplicatesByPath(t *testing.T) {
	s := newSite(t)
	k := s.keeper()
	s.tell(k, files{"a": "1"})
	s.tell(k, files{"a": "2"})
	if got, _, _, items := s.newest(wire.RollingFile); len(items) != 1 || got["a"] != "2" {
		t.Errorf("%v", items)
	}
	s.tell(k, files{"b": "1"})
	if _, _, _, items := s.newest(wire.RollingFile); len(items) != 2 || k.Status().Rolling != 2 {
		t.Errorf("%v", items)
	}
}

// TestBinary: a full checkpoint cannot hold what is no text; increments can, and are made one.
func TestBinary(t *testing.T) {
	s := small(t)
	k := s.keeper()
	s.tell(k, files{"bin": "\xff\x00", "a": "1", "b": "1"})
	if _, err := k.Create(t.Context()); !errors.Is(err, wire.ErrBinary) || !strings.Contains(err.Error(), "bin") {
		t.Fatal(err)
	}
	s.on(0, 1, 0)
	for i := range 4 {
		s.tell(k, files{fmt.Sprint(i): "x", "a": fmt.Sprint(i), "b": ""})
		s.check("in between")
		if i%2 == 0 {
			s.tree["b"] = "" // so that it can be removed again
			delete(s.tree, "b")
		}
	}
	if n := s.count(); n[0] != 0 || n[1] > 3 || n[1] < 1 {
		t.Errorf("on Drive %v", n)
	}
	s.tell(k, files{"bin": "text", "x": "1", "y": "1"})
	s.tell(k, files{"z": "1", "zz": "1", "zzz": "1"})
	s.tell(k, files{"z": "2", "zz": "2", "zzz": "2"})
	if n := s.count(); n[0] != 1 {
		t.Errorf("on Drive %v", n)
	}
	s.check("text again")
}

// TestTooLarge: what does not fit into one object is never claimed to be covered, and a full checkpoint ends the pause.
func TestTooLarge(t *testing.T) {
	s := newSite(t)
	s.codec.Limits = wire.Limits{Packed: 256 << 20, Unpacked: 100 << 10}
	k := s.keeper()
	chunk := strings.Repeat("x", 50<<10)
	s.tell(k, files{"a": chunk})
	s.tell(k, files{"b": chunk + "b"})
	s.on(0, 1, 1) // two together do not fit: the first became an increment
	s.tell(k, files{"huge": strings.Repeat("y", 120<<10)})
	if st := k.Status(); st.Paused == "" || st.Covered != s.log[1].At {
		t.Fatalf("%+v", st)
	}
	s.check("paused")
	s.tell(k, files{"c": "1"})
	s.check("still paused")
	k = s.keeper()
	s.tell(k, files{"d": "1"})
	s.check("after a restart")
	if _, err := k.Create(t.Context()); !errors.Is(err, wire.ErrLimit) {
		t.Fatal(err)
	}
	s.tell(k, files{"huge": "", "a": "1"})
	_, err := k.Create(t.Context())
	s.ok(err)
	s.tell(k, files{"e": "1"})
	s.on(1, 0, 1)
	if st := k.Status(); st.Paused != "" || st.Covered != s.last {
		t.Errorf("%+v", st)
	}
}

// TestTheSameMessageAgain changes nothing.
func TestTheSameMessageAgain(t *testing.T) {
	s := small(t)
	k := s.keeper()
	s.tell(k, files{"a": "1"})
	s.tell(k, files{"a": "2"})
	before := s.names(wire.RollingFolder)
	for _, e := range s.log {
		s.ok(k.Logged(t.Context(), e))
	}
	if after := s.names(wire.RollingFolder); fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("%v, then %v", before, after)
	}
}

func TestNothingYet(t *testing.T) {
	s := newSite(t)
	r, err := s.keeper().Restore(t.Context())
	s.ok(err)
	if len(r.Items) != 0 || r.Last != 0 || len(s.names(wire.CheckpointsFolder)) != 0 {
		t.Errorf("%+v", r)
	}
}

// TestFilesAndFoldersChangePlaces also when no change said that what was there is gone.
func TestFilesAndFoldersChangePlaces(t *testing.T) {
	o := newOverlay()
	put := func(rel, content string) {
		it := wire.Item{ID: wire.NewID(), Op: datasite.OpWrite, Path: at(rel), Content: []byte(content), Submitted: 1, Accepted: 1}
		if content == "" {
			it.Op, it.Content = datasite.OpRemove, nil
		} else {
			it.After = sum(content)
		}
		o.put(it)
	}
	for _, c := range [][2]string{{"a/b", "1"}, {"a/c/d", "1"}, {"a", "file"}, {"a/b", "2"}, {"x", "1"}, {"x/y", "1"}, {"x/y", ""}, {"x", "2"}, {"a/b", ""}} {
		put(c[0], c[1])
		if _, err := (wire.Codec{}).EncodeRolling(wire.Rolling{At: 1.5, Owner: owen.User(), Last: 1, Items: o.list()}); err != nil {
			t.Fatalf("after %v: %v", c, err)
		}
	}
	got := files{}
	apply(got, o.list())
	if !maps.Equal(got, files{"x": "2"}) || o.len() != 5 {
		t.Errorf("%v of %d", got, o.len())
	}
}
