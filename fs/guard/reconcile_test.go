package guard

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	iofs "io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/fs/backing"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
	"golang.org/x/sys/unix"
)

// later is a clock by which nothing on the disk is recent, so that every stamp proves something.
func later() time.Time { return time.Now().Add(time.Hour) }

func reconcile(t *testing.T, w *world) []string {
	t.Helper()
	w.mem.take()
	n, err := w.g.Reconcile(t.Context())
	must(t, err)
	got := w.mem.take()
	if n != len(got) {
		t.Errorf("says %d changes, recorded %q", n, got)
	}
	slices.Sort(got)
	return got
}

func TestReconcileRecordsWhatWasDoneBehindOurBack(t *testing.T) {
	w := newWorld(t, backing.WithClock(later))
	site := filepath.Join(w.dir, string(owner))
	if got := reconcile(t, w); len(got) != 13 {
		t.Errorf("of a new tree: %q", got)
	}
	if got := reconcile(t, w); len(got) != 0 {
		t.Errorf("a second time: %q", got)
	}
	must(t, os.WriteFile(filepath.Join(site, "shared/f"), []byte("HELLO"), 0o644)) // same size
	must(t, os.Remove(filepath.Join(site, "shared/g")))
	must(t, os.WriteFile(filepath.Join(site, "shared/new"), nil, 0o644))
	must(t, os.RemoveAll(filepath.Join(site, "shared/full")))
	must(t, os.WriteFile(filepath.Join(site, "shared/full"), nil, 0o644)) // a file where a folder was
	must(t, os.Remove(filepath.Join(site, "shared/sub/f")))
	must(t, os.Mkdir(filepath.Join(site, "shared/sub/f"), 0o755)) // and the other way round
	must(t, os.WriteFile(filepath.Join(site, "shared/sub/f/in"), nil, 0o644))
	must(t, os.Symlink("f", filepath.Join(site, "shared/link")))
	must(t, os.WriteFile(filepath.Join(site, "shared/sub/syft.pub.yaml"), []byte(closedRules), 0o644))
	w.kernels[reader].take()
	want := []string{"remove shared/full/x", "remove shared/full/y/z", "remove shared/g", "remove shared/sub/f",
		"write shared/f", "write shared/full", "write shared/new", "write shared/sub/f/in", "write shared/sub/syft.pub.yaml"}
	if diff := cmp.Diff(want, reconcile(t, w)); diff != "" {
		t.Error(diff)
	}
	if told := w.kernels[reader].take(); !strings.Contains(told, "shared/f ") || !strings.Contains(told, "*") {
		t.Errorf("the kernels are told %q", told)
	}
	if got := reconcile(t, w); len(got) != 0 {
		t.Errorf("a second time: %q", got)
	}
}

func TestReconcileBelievesNoRacyStamp(t *testing.T) {
	w := newWorld(t, backing.WithClock(func() time.Time { return time.Time{} })) // every stamp is racy
	if got := reconcile(t, w); len(got) != 13 {
		t.Errorf("of a new tree: %q", got)
	}
	if got := reconcile(t, w); len(got) != 13 {
		t.Errorf("racy, no hash: %q", got)
	}
	must(t, w.views[owner].Write(t.Context(), at("shared/f"), []byte("known by hash")))
	if got := reconcile(t, w); len(got) != 12 || slices.Contains(got, "write shared/f") {
		t.Errorf("racy, same hash: %q", got)
	}
	p := at("shared/f")
	k := w.mem.known[p]
	k.Hash[0]++
	w.mem.known[p] = k
	if got := reconcile(t, w); !slices.Contains(got, "write shared/f") {
		t.Errorf("racy, another hash: %q", got)
	}
}

// Whatever is done through the gate is known afterwards: nothing is found by Reconcile.
func TestReconcileFindsNothingAfterTheGate(t *testing.T) {
	w := newWorld(t, backing.WithClock(later))
	reconcile(t, w)
	ctx, o := t.Context(), w.views[owner]
	for _, do := range []try{
		with("shared/f", wr, writeAt(3, 0)), open("shared/n", wr|creat), truncate("shared/f", 1), chmod("shared/g", 0o111),
		set("shared/g", Attr{MTime: ptr(time.Unix(1, 0))}), setxattr("shared/g", "user.x"), rename("shared/g", "shared/g2", 0),
		rename("shared/f", "shared/g2", 0), rename("shared/full", "shared/moved", 0), rename("shared/moved", "shared/sub", unix.RENAME_EXCHANGE),
		rename("shared/n", "shared/g2", unix.RENAME_EXCHANGE), mkdir("shared/made"), rmdir("shared/made"), write("shared/w/w", "w"),
		symlink("shared/l2", "w"), rename("shared/l2", "shared/w/w", 0), remove("shared/n"), place("shared/placed", "a", "b/c"), place("shared/sub", "a"),
		func(ctx context.Context, v *View) error { return v.RemoveAll(ctx, at("deep")) },
	} {
		must(t, do(ctx, o))
	}
	if got := reconcile(t, w); len(got) != 0 {
		t.Errorf("found %q", got)
	}
	must(t, os.WriteFile(filepath.Join(w.dir, string(owner), "shared/placed/b/c"), []byte("PLACED"), 0o644))
	must(t, os.WriteFile(filepath.Join(w.dir, string(owner), "shared/placed/b/new"), nil, 0o644))
	if diff := cmp.Diff([]string{"write shared/placed/b/c", "write shared/placed/b/new"}, reconcile(t, w)); diff != "" {
		t.Errorf("below a placed folder: %s", diff)
	}
}

var errFault = errors.New("fault of the test")

type faultAt string

func (f faultAt) Before(op string) error {
	if op == string(f) {
		return errFault
	}
	return nil
}

func TestFailedStepsLeaveTheOneOrTheOther(t *testing.T) {
	src := fstest.MapFS{"a": {Data: []byte("new")}}
	for step, want := range map[string]string{
		"write:temp": "old", "write:write": "old", "write:rename": "old", "write:sync-dir": "new",
		"place:copy": "old", "place:sync": "old", "place:rename": "old", "place:sync-dir": "new", "place:remove": "new",
		"remove:rename": "old", "remove:sync-dir": "", "remove:remove": "",
	} {
		t.Run(step, func(t *testing.T) {
			w := newWorld(t, backing.WithFault(faultAt(step)))
			put(t, filepath.Join(w.dir, string(owner)), map[string]string{"job/a": "old"})
			v, ctx := w.views[owner], t.Context()
			var err error
			switch op, _, _ := strings.Cut(step, ":"); op {
			case "write":
				err = v.Write(ctx, at("job/a"), []byte("new"))
			case "place":
				err = v.Place(ctx, datasite.Change{Op: datasite.OpPlace, Path: at("job")}, src)
			case "remove":
				err = v.RemoveAll(ctx, at("job"))
			}
			if strings.HasSuffix(step, ":remove") { // swept later: no failure
				must(t, err)
			} else if !errors.Is(err, errFault) {
				t.Errorf("error %v", err)
			}
			got := w.disk("job/a")
			if want == "" && strings.Contains(got, "no such file") {
				got = ""
			}
			if got != want {
				t.Errorf("job/a holds %q, want %q", got, want)
			}
			if recorded := len(w.mem.take()) > 0; recorded != (err == nil) {
				t.Errorf("recorded %v, error %v", recorded, err)
			}
		})
	}
}

// killAt ends the process at a step as kill -9 does.
type killAt string

func (k killAt) Before(op string) error {
	if op == string(k) {
		return unix.Kill(os.Getpid(), unix.SIGKILL)
	}
	return nil
}

// log is a journal that a killed process leaves behind.
type log struct {
	*memory
	f *os.File
}

func (l log) Append(c datasite.Change) error {
	if err := json.NewEncoder(l.f).Encode(c); err != nil {
		return err
	}
	return l.memory.Append(c)
}

func (l log) Commit(_ context.Context, c datasite.Change) (uint64, error) { return 0, l.Append(c) }

const (
	crashEnv = "SYFTFS_TEST_CRASH"
	crashDir = "SYFTFS_TEST_CRASH_DIR"
)

func TestMain(m *testing.M) {
	if step := os.Getenv(crashEnv); step != "" {
		if err := crash(step, os.Getenv(crashDir)); err != nil {
			os.Stderr.WriteString(err.Error())
		}
		os.Exit(1) // it should not have lived so long
	}
	os.Exit(m.Run())
}

// crash is what the killed process does.
func crash(step, dir string) error {
	tree, err := backing.Open(dir, backing.WithFault(killAt(step)))
	if err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	l := log{&memory{known: map[datasite.Path]datasite.Known{}}, f}
	g := New(Config{Owner: owner, Tree: tree, Rules: perm.NewIndex(rulefile.Loader(tree.FS())), Recorder: l, Memory: l})
	v, ctx := g.View(datasite.Identity{Subject: owner}, nil), context.Background()
	if _, err := g.Reconcile(ctx); err != nil {
		return err
	}
	src := fstest.MapFS{"a": {Data: []byte("new")}, "b/c": {Data: []byte("new")}}
	if strings.HasPrefix(step, "apply:") {
		old, mid := datasite.Known{Hash: sum("old")}, datasite.Known{Hash: sum("mid")}
		return errors.Join(
			g.Apply(ctx, owner, datasite.Change{Op: datasite.OpWrite, Path: at("job/a"), Before: old, After: mid}, strings.NewReader("mid")),
			g.Apply(ctx, owner, datasite.Change{Op: datasite.OpRemove, Path: at("job/k"), Before: old}, nil))
	}
	return errors.Join(
		v.Write(ctx, at("job/a"), []byte("mid")),
		v.Place(ctx, datasite.Change{Op: datasite.OpPlace, Path: at("job")}, src),
		v.RemoveAll(ctx, at("secret")))
}

func TestKilledAtEachStep(t *testing.T) {
	old := map[string]string{"a": "old", "k": "old"}
	mid := map[string]string{"a": "mid", "k": "old"}
	placed := map[string]string{"a": "new", "b/c": "new"}
	for _, c := range []struct {
		step   string
		job    map[string]string
		secret bool // still there
	}{
		{"write:temp", old, true}, {"write:write", old, true}, {"write:rename", old, true}, {"write:sync-dir", mid, true},
		{"place:copy", mid, true}, {"place:sync", mid, true}, {"place:rename", mid, true}, {"place:sync-dir", placed, true}, {"place:remove", placed, true},
		{"apply:temp", old, true}, {"apply:write", old, true}, {"apply:sync", old, true}, {"apply:rename", old, true}, {"apply:sync-dir", mid, true},
		{"apply:unlink", mid, true},
		{"remove:rename", placed, true}, {"remove:sync-dir", placed, false}, {"remove:remove", placed, false},
	} {
		t.Run(c.step, func(t *testing.T) {
			t.Parallel()
			dir := makeTree(t)
			put(t, filepath.Join(dir, string(owner)), map[string]string{"job/a": "old", "job/k": "old"})
			cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
			cmd.Env = append(os.Environ(), crashEnv+"="+c.step, crashDir+"="+dir)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("not killed: %v %s", err, out)
			}
			mem := &memory{known: map[datasite.Path]datasite.Known{}}
			f, err := os.Open(filepath.Join(dir, "log"))
			must(t, err)
			defer f.Close()
			for lines := bufio.NewScanner(f); lines.Scan(); {
				var ch datasite.Change
				must(t, json.Unmarshal(lines.Bytes(), &ch))
				must(t, mem.add(ch))
			}
			w := openWorld(t, dir, mem, backing.WithClock(later))
			reconcile(t, w)
			if got := reconcile(t, w); len(got) != 0 {
				t.Errorf("reconciled twice: %q", got)
			}
			got := map[string]string{}
			must(t, filepath.WalkDir(dir, func(p string, e iofs.DirEntry, err error) error {
				if strings.Contains(p, ".syftfs-tmp") {
					t.Errorf("left behind: %s", p)
				}
				if rel, ok := strings.CutPrefix(p, filepath.Join(dir, string(owner), "job")+"/"); ok && !e.IsDir() {
					got[rel] = w.disk("job/" + rel)
				}
				return err
			}))
			if diff := cmp.Diff(c.job, got); diff != "" {
				t.Error(diff)
			}
			if _, err := w.views[owner].Stat(t.Context(), at("secret/f")); (err == nil) != c.secret {
				t.Errorf("secret/f: %v", err)
			}
			w.knowsTheTree()
		})
	}
}

// knowsTheTree checks that what is recorded is true of the tree, and complete but for what came with a placed folder.
func (w *world) knowsTheTree() {
	w.t.Helper()
	for p, k := range w.mem.known {
		e, err := w.tree.Stat(p)
		if err != nil {
			w.t.Errorf("known, but not there: %v", err)
		} else if e.Mode.IsRegular() && !sameStamp(e.Stamp, k.Stamp) {
			w.t.Errorf("%s is not as it is known", p)
		}
	}
}
