package backing

import (
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/fs/datasite"
	"golang.org/x/sys/unix"
)

var errFault = errors.New("fault of the test")

// faultAt fails one named step.
type faultAt string

func (f faultAt) Before(op string) error {
	if op == string(f) {
		return errFault
	}
	return nil
}

// snapshot gives every path below dir with its content; a folder ends in a slash.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	must(t, filepath.WalkDir(dir, func(p string, e iofs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, p)
		if err != nil || rel == "." {
			return err
		}
		if e.IsDir() {
			out[rel+"/"] = ""
			return nil
		}
		body, err := os.ReadFile(p)
		out[rel] = string(body)
		return err
	}))
	return out
}

func TestWriteFileAtEachStep(t *testing.T) {
	for _, step := range []string{"w:temp", "w:write", "w:rename", "w:sync-dir", ""} {
		t.Run(step, func(t *testing.T) {
			tree, site := newTree(t, WithFault(faultAt(step)))
			must(t, os.WriteFile(filepath.Join(site, "f"), []byte("old"), 0o600))
			_, err := tree.WriteFile("w", at("f"), []byte("new"), 0o640)
			want := "old"
			if step == "" || step == "w:sync-dir" {
				want = "new"
			}
			if step != "" {
				wants(t, err, errFault)
			} else {
				must(t, err)
			}
			if diff := cmp.Diff(map[string]string{"f": want}, snapshot(t, site)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestStageAndPlace(t *testing.T) {
	src := fstest.MapFS{
		"run.sh":    {Data: []byte("echo"), Mode: 0o755},
		"code/a.py": {Data: []byte("a"), Mode: 0o600},
		"empty":     {Mode: iofs.ModeDir | 0o700},
	}
	tree, site := newTree(t)
	must(t, os.MkdirAll(filepath.Join(site, "job", "locked"), 0o755))
	must(t, os.WriteFile(filepath.Join(site, "job", "locked", "old"), nil, 0o600))
	must(t, os.Chmod(filepath.Join(site, "job", "locked"), 0o500))
	for _, replaced := range []bool{true, true, false} {
		if !replaced {
			must(t, os.RemoveAll(filepath.Join(site, "job")))
		}
		s, err := tree.Stage(t.Context(), "place", src)
		must(t, err)
		var seen []string
		must(t, s.Walk(func(rel string, e datasite.Entry) error { seen = append(seen, rel); return nil }))
		if diff := cmp.Diff([]string{"code", "code/a.py", "empty", "run.sh"}, seen); diff != "" {
			t.Error(diff)
		}
		did, err := s.Into("place", at("job"))
		must(t, err)
		if did != replaced {
			t.Errorf("replaced %v, want %v", did, replaced)
		}
		must(t, s.Discard("place"))
	}
	want := map[string]string{"job/": "", "job/run.sh": "echo", "job/code/": "", "job/code/a.py": "a", "job/empty/": ""}
	if diff := cmp.Diff(want, snapshot(t, site)); diff != "" {
		t.Error(diff)
	}
	info, err := os.Stat(filepath.Join(site, "job", "run.sh"))
	must(t, err)
	if info.Mode().Perm() != 0o744 {
		t.Errorf("run.sh is %v", info.Mode())
	}
	if left := snapshot(t, filepath.Join(filepath.Dir(site), stagingName)); len(left) != 0 {
		t.Errorf("left in staging: %v", left)
	}
}

func TestStageRefuses(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "ok"), nil, 0o600))
	for name, make := range map[string]func(string) error{
		"a link":          func(d string) error { return os.Symlink("/etc/passwd", filepath.Join(d, "l")) },
		"a pipe":          func(d string) error { return unix.Mkfifo(filepath.Join(d, "p"), 0o600) },
		"our own names":   func(d string) error { return os.WriteFile(filepath.Join(d, tempPrefix+"x"), nil, 0o600) },
		"a name not UTF8": func(d string) error { return os.WriteFile(filepath.Join(d, "\xff"), nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			tree, site := newTree(t)
			src := t.TempDir()
			must(t, make(src))
			if _, err := tree.Stage(t.Context(), "place", os.DirFS(src)); err == nil {
				t.Fatal("no error")
			}
			if left := snapshot(t, filepath.Join(filepath.Dir(site), stagingName)); len(left) != 0 {
				t.Errorf("left in staging: %v", left)
			}
		})
	}
}

func TestPlaceOnAFile(t *testing.T) {
	tree, site := newTree(t)
	must(t, os.WriteFile(filepath.Join(site, "job"), []byte("mine"), 0o600))
	s, err := tree.Stage(t.Context(), "place", fstest.MapFS{"a": {}})
	must(t, err)
	_, err = s.Into("place", at("job"))
	wants(t, err, unix.ENOTDIR)
	must(t, s.Discard("place"))
}

func TestSweepRemovesWhatACrashLeft(t *testing.T) {
	tree, site := newTree(t)
	staging := filepath.Join(filepath.Dir(site), stagingName)
	must(t, os.MkdirAll(filepath.Join(staging, tempPrefix+"OLD-1-x", "d"), 0o755))
	must(t, os.MkdirAll(filepath.Join(site, "d"), 0o755))
	must(t, os.WriteFile(filepath.Join(site, "d", tempPrefix+"OLD-2-y"), nil, 0o600))
	must(t, os.WriteFile(filepath.Join(site, "d", "keep"), nil, 0o600))
	live := filepath.Join(site, tree.temp())
	must(t, os.WriteFile(live, nil, 0o600))
	s, err := tree.Stage(t.Context(), "place", fstest.MapFS{"a": {}})
	must(t, err)

	n, err := tree.Sweep(t.Context())
	must(t, err)
	if n != 2 {
		t.Errorf("removed %d", n)
	}
	got := snapshot(t, site)
	if diff := cmp.Diff(map[string]string{"d/": "", "d/keep": "", filepath.Base(live): ""}, got); diff != "" {
		t.Error(diff)
	}
	_, err = s.Into("place", at("job"))
	must(t, err)
	other, err := Open(filepath.Dir(site))
	must(t, err)
	defer other.Close()
	_, err = other.Sweep(t.Context())
	must(t, err)
	for name := range snapshot(t, filepath.Dir(site)) {
		if strings.Contains(name, tempPrefix) {
			t.Errorf("left: %s", name)
		}
	}
}

func TestTakeOutAtEachStep(t *testing.T) {
	for step, there := range map[string]bool{"remove:rename": true, "remove:sync-dir": false, "remove:remove": false, "": false} {
		t.Run(step, func(t *testing.T) {
			tree, site := newTree(t, WithFault(faultAt(step)))
			must(t, os.MkdirAll(filepath.Join(site, "d", "e"), 0o755))
			s, err := tree.TakeOut("remove", at("d"))
			if err == nil {
				err = s.Discard("remove")
			}
			if step == "" {
				must(t, err)
			} else {
				wants(t, err, errFault)
			}
			if _, err := os.Stat(filepath.Join(site, "d")); (err == nil) != there {
				t.Errorf("there: %v", err)
			}
			if (s != nil) == there {
				t.Errorf("staged: %v", s)
			}
		})
	}
}
