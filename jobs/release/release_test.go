package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/statedir"
	"github.com/openmined/syftfs/jobs"
	"github.com/openmined/syftfs/perm"
	"golang.org/x/sys/unix"
)

const (
	owen   = perm.User("owen@centre.example")
	rachel = perm.User("rachel@science.example")
)

var (
	id      = jobs.ID{Owner: owen, Submitter: rachel, Name: "analysis"}
	byOwner = datasite.Identity{Subject: owen}
	errSpot = errors.New("injected fault")
)

// hold is a store over folders, whose steps can fail.
type hold struct {
	t *testing.T
	*Store
	state string
	tree  *folderTree
	rules *readers
	fault *once
}

func newHold(t *testing.T) *hold {
	h := &hold{t: t, state: filepath.Join(t.TempDir(), "held"), fault: &once{}}
	h.rules = &readers{lists: map[string][]perm.User{}, fault: h.fault}
	h.tree = &folderTree{root: t.TempDir(), fault: h.fault}
	h.open()
	return h
}

// open makes the store anew, as a start of the program does.
func (h *hold) open() {
	h.t.Helper()
	dir, err := statedir.Open(h.state, h.fault)
	if err != nil {
		h.t.Fatal(err)
	}
	if h.Store, err = Open(dir, h.tree, h.rules, owen); err != nil {
		h.t.Fatal(err)
	}
}

// results makes a folder as the sandbox leaves it.
func (h *hold) results(files map[string]string) string {
	h.t.Helper()
	dir := filepath.Join(h.t.TempDir(), "results")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		h.t.Fatal(err)
	}
	for n, body := range files {
		p := filepath.Join(dir, n)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(body), 0o644)); err != nil {
			h.t.Fatal(err)
		}
	}
	return dir
}

func (h *hold) hold(files map[string]string) {
	h.t.Helper()
	if err := h.Hold(h.t.Context(), id, "run1", h.results(files)); err != nil {
		h.t.Fatal(err)
	}
}

// held lists "path=content" of what is held, as Held and FS agree on it.
func (h *hold) held() []string {
	h.t.Helper()
	items, err := h.Held(id)
	if err != nil {
		h.t.Fatal(err)
	}
	var listed []string
	for _, i := range items {
		listed = append(listed, i.Path)
	}
	fsys, err := h.FS(id)
	if err != nil {
		h.t.Fatal(err)
	}
	var there, out []string
	err = iofs.WalkDir(fsys, ".", func(p string, d iofs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := iofs.ReadFile(fsys, p)
		there, out = append(there, p), append(out, p+"="+string(b))
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	slices.Sort(there)
	if diff := cmp.Diff(listed, there); diff != "" {
		h.t.Errorf("listed and there: %s", diff)
	}
	slices.Sort(out)
	return out
}

// outputs lists what lies in the tree's outputs/.
func (h *hold) outputs() []string {
	h.t.Helper()
	var out []string
	top := h.tree.host(id.Review().Join("outputs"))
	err := filepath.WalkDir(top, func(p string, d iofs.DirEntry, err error) error {
		if errors.Is(err, iofs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		rel, _ := filepath.Rel(top, p)
		out = append(out, rel+"="+string(b))
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

const outputsRule = "owen@centre.example/app_data/job/review/rachel@science.example analysis/outputs/**"

func TestHoldAndReleaseAll(t *testing.T) {
	h := newHold(t)
	if items, err := h.Held(id); err != nil || len(items) != 0 {
		t.Errorf("held before: %v %v", items, err)
	}
	if _, err := h.FS(id); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("FS before: %v", err)
	}
	h.hold(map[string]string{"a.csv": "1", "d/b.csv": "2", "d/e/c.csv": "3"})
	want := []string{"a.csv=1", "d/b.csv=2", "d/e/c.csv=3"}
	if diff := cmp.Diff(want, h.held()); diff != "" {
		t.Error(diff)
	}
	if len(h.outputs()) != 0 || len(h.rules.lists) != 0 {
		t.Errorf("before the release: %v, %v", h.outputs(), h.rules.lists)
	}
	h.open() // it is durable
	if err := h.Release(t.Context(), id, nil, byOwner); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, h.outputs()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string][]perm.User{outputsRule: {rachel}}, h.rules.lists); diff != "" {
		t.Error(diff)
	}
	if left := h.held(); len(left) != 0 {
		t.Errorf("still held: %v", left)
	}
	if h.tree.placed != 1 {
		t.Errorf("%d folders placed, want one", h.tree.placed)
	}
	if err := h.Release(t.Context(), id, nil, byOwner); err != nil {
		t.Errorf("again: %v", err)
	}
	if rel := h.Releases(id); len(rel) != 1 || !rel[0].Done || !slices.Equal(rel[0].Names, []string{"a.csv", "d"}) || rel[0].By != byOwner {
		t.Errorf("releases %+v", rel)
	}
}

func TestReleaseSome(t *testing.T) {
	h := newHold(t)
	h.hold(map[string]string{"a.csv": "1", "b.csv": "2", "d/x": "3", "e/y": "4"})
	steps := []struct {
		names   []string
		outputs []string
		held    []string
	}{
		{[]string{"b.csv"}, []string{"b.csv=2"}, []string{"a.csv=1", "d/x=3", "e/y=4"}},
		{[]string{"d"}, []string{"b.csv=2", "d/x=3"}, []string{"a.csv=1", "e/y=4"}},
		{[]string{"a.csv"}, []string{"a.csv=1", "b.csv=2", "d/x=3"}, []string{"e/y=4"}},
		{nil, []string{"a.csv=1", "b.csv=2", "d/x=3", "e/y=4"}, nil},
	}
	for _, s := range steps {
		if err := h.Release(t.Context(), id, s.names, byOwner); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s.outputs, h.outputs()); diff != "" {
			t.Errorf("%v: outputs %s", s.names, diff)
		}
		if diff := cmp.Diff(s.held, h.held()); diff != "" {
			t.Errorf("%v: held %s", s.names, diff)
		}
	}
}

func TestReleaseRefuses(t *testing.T) {
	h := newHold(t)
	if err := h.Release(t.Context(), id, nil, byOwner); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("nothing held: %v", err)
	}
	h.hold(map[string]string{"a.csv": "1", "d/b.csv": "2", "taken.csv": "3"})
	if err := h.tree.Write(t.Context(), id.Review().Join("outputs", "taken.csv"), []byte("the owner's own")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		names []string
		by    datasite.Identity
		want  error
	}{
		"the submitter":       {nil, datasite.Identity{Subject: rachel}, iofs.ErrPermission},
		"nobody":              {nil, datasite.Identity{}, iofs.ErrPermission},
		"a missing name":      {[]string{"a.csv", "x"}, byOwner, iofs.ErrNotExist},
		"a path":              {[]string{"d/b.csv"}, byOwner, iofs.ErrNotExist},
		"a climbing path":     {[]string{"../record.json"}, byOwner, iofs.ErrNotExist},
		"a name that is used": {[]string{"taken.csv"}, byOwner, iofs.ErrExist},
		"all, one is used":    {nil, byOwner, iofs.ErrExist},
	} {
		t.Run(name, func(t *testing.T) {
			if err := h.Release(t.Context(), id, c.names, c.by); !errors.Is(err, c.want) {
				t.Errorf("got %v", err)
			}
			if err := h.ShareLogs(t.Context(), id, datasite.Identity{Subject: rachel}); !errors.Is(err, iofs.ErrPermission) {
				t.Errorf("logs: %v", err)
			}
			if diff := cmp.Diff([]string{"taken.csv=the owner's own"}, h.outputs()); diff != "" || len(h.held()) != 3 || len(h.rules.lists) != 0 || len(h.Releases(id)) != 0 {
				t.Errorf("%s, held %v, rules %v, releases %v", diff, h.held(), h.rules.lists, h.Releases(id))
			}
		})
	}
}

func TestShareLogs(t *testing.T) {
	h := newHold(t)
	if err := h.ShareLogs(t.Context(), id, byOwner); err != nil { // it failed before there were results
		t.Fatal(err)
	}
	dir := "owen@centre.example/app_data/job/review/rachel@science.example analysis/"
	want := map[string][]perm.User{dir + "stdout.txt": {rachel}, dir + "stderr.txt": {rachel}, dir + "returncode.txt": {rachel}}
	if diff := cmp.Diff(want, h.rules.lists); diff != "" {
		t.Error(diff)
	}
	h.open()
	if _, err := h.FS(id); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("held: %v", err)
	}
	if rel := h.Releases(id); len(rel) != 1 || !rel[0].Done {
		t.Errorf("releases %+v", rel)
	}
}

// What must never be released is thrown away when it is held, and nothing outside is read.
func TestHoldDropsWhatMustNotGo(t *testing.T) {
	h := newHold(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("canary"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := h.results(map[string]string{"ok.csv": "1", "syft.pub.yaml": "rules", "d/Syft.Pub.YAML": "rules", "d/SYFTPERM.yaml": "rules", "d/e/x": "2", "syftperm.yaml/x": "3"})
	if err := errors.Join(os.Symlink(secret, dir+"/link.csv"), os.Symlink(filepath.Dir(secret), dir+"/d/linked"), os.Symlink("nowhere", dir+"/dangling"),
		unix.Mkfifo(dir+"/fifo", 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := h.Hold(t.Context(), id, "run1", dir); err != nil {
		t.Fatal(err)
	}
	want := []string{"d/e/x=2", "ok.csv=1"}
	if diff := cmp.Diff(want, h.held()); diff != "" {
		t.Error(diff)
	}
	if err := h.Release(t.Context(), id, nil, byOwner); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, h.outputs()); diff != "" {
		t.Error(diff)
	}
	if b, err := os.ReadFile(secret); err != nil || string(b) != "canary" {
		t.Errorf("the target: %q %v", b, err)
	}
}

func TestHoldRefuses(t *testing.T) {
	h := newHold(t)
	for _, run := range []string{"", ".", "..", "a/b", ".x", recordFile} {
		if err := h.Hold(t.Context(), id, run, h.results(nil)); !errors.Is(err, iofs.ErrInvalid) {
			t.Errorf("run %q: %v", run, err)
		}
	}
	if err := h.Hold(t.Context(), id, "run1", filepath.Join(t.TempDir(), "none")); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
}

// Each step of holding fails once; repeating it, in the same program or after a restart, ends the same.
func TestHoldIsRepeatable(t *testing.T) {
	for _, step := range []string{"hold:move", "hold:record", "hold:record:rename"} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restart %v", step, restart), func(t *testing.T) {
				h := newHold(t)
				dir := h.results(map[string]string{"a": "1"})
				h.fault.op = step
				if err := h.Hold(t.Context(), id, "run1", dir); !errors.Is(err, errSpot) {
					t.Fatalf("got %v", err)
				}
				if restart {
					h.open()
				}
				for range 2 {
					if err := h.Hold(t.Context(), id, "run1", dir); err != nil {
						t.Fatal(err)
					}
				}
				if diff := cmp.Diff([]string{"a=1"}, h.held()); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// Each step of a release fails once, with a crash behind it: Recover, or asking again, ends it, and until then nobody reads too early.
func TestReleaseIsRepeated(t *testing.T) {
	for _, step := range []string{"release:record", "release:record:rename", "release:place", "place", "release:share", "share", "release:done", "release:done:rename"} {
		for _, again := range []string{"recover", "ask", "ask for all"} {
			for _, first := range []bool{true, false} { // as one folder, or entry by entry
				t.Run(fmt.Sprintf("%s, %s, first %v", step, again, first), func(t *testing.T) {
					h := newHold(t)
					h.hold(map[string]string{"a.csv": "1", "d/b.csv": "2", "z": "9"})
					var want []string
					if !first {
						if err := h.tree.Write(t.Context(), id.Review().Join("outputs", "own.txt"), []byte("x")); err != nil {
							t.Fatal(err)
						}
						want = []string{"own.txt=x"}
					}
					names := []string{"a.csv", "d"}
					h.fault.op = step
					if err := h.Release(t.Context(), id, names, byOwner); !errors.Is(err, errSpot) {
						t.Fatalf("got %v", err)
					}
					h.open()
					done := append([]string{"a.csv=1", "d/b.csv=2"}, want...)
					switch again {
					case "recover":
						if err := h.Recover(t.Context()); err != nil {
							t.Fatal(err)
						}
						if strings.HasPrefix(step, "release:record") { // it was never written down
							if diff := cmp.Diff(want, h.outputs()); diff != "" || len(h.rules.lists) != 0 || len(h.held()) != 3 {
								t.Errorf("%s, rules %v, held %v", diff, h.rules.lists, h.held())
							}
							return
						}
					case "ask":
						if err := h.Release(t.Context(), id, names, byOwner); err != nil {
							t.Fatal(err)
						}
					case "ask for all":
						if err := h.Release(t.Context(), id, nil, byOwner); err != nil {
							t.Fatal(err)
						}
						done = append(done, "z=9")
					}
					if diff := cmp.Diff(done, h.outputs()); diff != "" {
						t.Error(diff)
					}
					if again != "ask for all" {
						if diff := cmp.Diff([]string{"z=9"}, h.held()); diff != "" {
							t.Error(diff)
						}
					}
					if diff := cmp.Diff([]perm.User{rachel}, slices.Compact(h.rules.lists[outputsRule])); diff != "" {
						t.Error(diff)
					}
					// Nothing is left to do: what the owner removes afterwards does not come back.
					if err := h.tree.RemoveAll(t.Context(), id.Review().Join("outputs")); err != nil {
						t.Fatal(err)
					}
					if err := h.Recover(t.Context()); err != nil || len(h.outputs()) != 0 {
						t.Errorf("recover: %v, outputs %v", err, h.outputs())
					}
				})
			}
		}
	}
}

func TestLogsAreRepeated(t *testing.T) {
	for _, step := range []string{"release:logs", "release:share", "share", "release:done"} {
		t.Run(step, func(t *testing.T) {
			h := newHold(t)
			h.hold(map[string]string{"a": "1"})
			h.fault.op = step
			if err := h.ShareLogs(t.Context(), id, byOwner); !errors.Is(err, errSpot) {
				t.Fatalf("got %v", err)
			}
			h.open()
			if err := h.Recover(t.Context()); err != nil {
				t.Fatal(err)
			}
			want := 3
			if step == "release:logs" {
				want = 0
			}
			if len(h.rules.lists) != want {
				t.Errorf("rules %v", h.rules.lists)
			}
		})
	}
}

// once fails one named step, once.
type once struct{ op string }

func (o *once) Before(op string) error {
	if o.op != op {
		return nil
	}
	o.op = ""
	return fmt.Errorf("%s: %w", op, errSpot)
}

type readers struct {
	fault *once
	lists map[string][]perm.User
}

func (r *readers) Share(ctx context.Context, dir datasite.Path, pattern string, u perm.User) error {
	r.lists[dir.String()+" "+pattern] = append(r.lists[dir.String()+" "+pattern], u)
	if r.fault == nil {
		return nil
	}
	return r.fault.Before("share") // done, but told otherwise
}

// folderTree is a jobs.Tree on a folder.
type folderTree struct {
	root   string
	fault  *once
	placed int
}

func (f *folderTree) host(p datasite.Path) string { return filepath.Join(f.root, p.String()) }

func of(info iofs.FileInfo) datasite.Entry {
	return datasite.Entry{Name: info.Name(), Mode: info.Mode(), Stamp: datasite.Stamp{Size: info.Size(), MTime: info.ModTime()}}
}

func (f *folderTree) List(ctx context.Context, p datasite.Path) ([]datasite.Entry, error) {
	entries, err := os.ReadDir(f.host(p))
	out := make([]datasite.Entry, len(entries))
	for i, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		out[i] = of(info)
	}
	return out, err
}

func (f *folderTree) Stat(ctx context.Context, p datasite.Path) (datasite.Entry, error) {
	info, err := os.Lstat(f.host(p))
	if err != nil {
		return datasite.Entry{}, err
	}
	return of(info), nil
}

func (f *folderTree) OpenFile(ctx context.Context, p datasite.Path) (io.ReadCloser, error) {
	return os.OpenFile(f.host(p), os.O_RDONLY|unix.O_NOFOLLOW, 0)
}

func (f *folderTree) Write(ctx context.Context, p datasite.Path, body []byte) error {
	return errors.Join(os.MkdirAll(filepath.Dir(f.host(p)), 0o755), os.WriteFile(f.host(p), body, 0o644))
}

// Place replaces the folder as a whole.
func (f *folderTree) Place(ctx context.Context, c datasite.Change, src iofs.FS) error {
	if c.Op != datasite.OpPlace || c.By != byOwner {
		return fmt.Errorf("test: placed as %+v", c)
	}
	f.placed++
	if err := errors.Join(os.RemoveAll(f.host(c.Path)), os.MkdirAll(filepath.Dir(f.host(c.Path)), 0o755), os.CopyFS(f.host(c.Path), src)); err != nil {
		return err
	}
	return f.fault.Before("place") // done, but told otherwise
}

func (f *folderTree) Remove(ctx context.Context, p datasite.Path) error { return os.Remove(f.host(p)) }
func (f *folderTree) RemoveAll(ctx context.Context, p datasite.Path) error {
	return os.RemoveAll(f.host(p))
}
