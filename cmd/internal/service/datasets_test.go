package service

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func (w *world) file(name string) string { return filepath.Join(w.dir, "files", name) }

func TestDatasetCreate(t *testing.T) {
	w := newWorld(t)
	w.put(map[string]string{"files/mock.csv": "a,b\n1,2\n", "files/real.csv": "a,b\n3,4\n", "files/README.md": "# Prices\n"})
	made, err := w.DatasetCreate(ctx, root, NewDataset{Name: "prices", Summary: "two numbers", Mock: w.file("mock.csv"), Private: w.file("real.csv"),
		Readme: w.file("README.md"), Readers: []string{string(rachel)}})
	must(t, err)
	if made.Name != "prices" || made.Mock != "owen@lab.example/public/syft_datasets/prices" || made.Private != "owen@lab.example/private/syft_datasets/prices" ||
		!slices.Equal(made.Readers, []string{string(rachel)}) || !slices.Equal(made.Files, []string{"mock.csv"}) {
		t.Errorf("%+v", made)
	}
	list, err := w.DatasetList(ctx, root, struct{}{})
	must(t, err)
	if len(list) != 1 || list[0].Name != "prices" || list[0].Summary != "two numbers" || list[0].Error != "" {
		t.Errorf("%+v", list)
	}
	// Jobs and the peers' client look for the private folder where its description says.
	private := filepath.Join(w.host.state.Backing, "owen@lab.example/private/syft_datasets/prices")
	b, err := os.ReadFile(filepath.Join(private, "private_metadata.yaml"))
	must(t, err)
	if !strings.Contains(string(b), private) {
		t.Errorf("private_metadata.yaml does not name %s: %s", private, b)
	}
	st, err := w.Status(ctx, root, struct{}{})
	must(t, err)
	if st.Datasets != 1 {
		t.Errorf("%+v", st)
	}

	for _, c := range []struct {
		name  string
		q     NewDataset
		code  Code
		field string
	}{
		{"there already", NewDataset{Name: "prices", Mock: w.file("mock.csv"), Private: w.file("real.csv")}, Conflict, ""},
		{"name", NewDataset{Name: "../p", Mock: w.file("mock.csv"), Private: w.file("real.csv")}, BadInput, ""},
		{"no name", NewDataset{Mock: w.file("mock.csv"), Private: w.file("real.csv")}, BadInput, ""},
		{"reader", NewDataset{Name: "p2", Mock: w.file("mock.csv"), Private: w.file("real.csv"), Readers: []string{"rachel"}}, BadInput, ""},
		{"the same", NewDataset{Name: "p2", Mock: w.file("real.csv"), Private: w.file("real.csv")}, BadInput, ""},
		{"no mock", NewDataset{Name: "p2", Private: w.file("real.csv")}, BadInput, "mock"},
		{"relative", NewDataset{Name: "p2", Mock: w.file("mock.csv"), Private: "real.csv"}, BadInput, "private"},
		{"relative readme", NewDataset{Name: "p2", Mock: w.file("mock.csv"), Private: w.file("real.csv"), Readme: "README.md"}, BadInput, "readme"},
		{"not there", NewDataset{Name: "p2", Mock: w.file("none.csv"), Private: w.file("real.csv")}, NotFound, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := w.DatasetCreate(ctx, root, c.q)
			e := Wrap(err)
			if c.name == "reader" && e.Code == BadEmail {
				return // says the same, more exactly
			}
			wantCode(t, err, c.code, c.field)
		})
	}
	if list, err := w.DatasetList(ctx, root, struct{}{}); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestDatasetFromOurOwnPlaces: this process must not read through its own mount, and what lies in the tree is in it already.
func TestDatasetFromOurOwnPlaces(t *testing.T) {
	w := newWorld(t)
	view := filepath.Join(w.dir, "views", "as-rachel")
	w.views.open = []View{{Dir: view}}
	w.put(map[string]string{"files/mock.csv": "a\n1\n", "files/real.csv": "a\n2\n", "files/set/real.csv": "a\n2\n", "mount/f": "x", "views/as-rachel/f": "x",
		"backing/owen@lab.example/f": "x"})
	must(t, os.Symlink(w.host.state.Mount, w.file("link")))
	must(t, os.Symlink("../link/..", w.file("set/around")))
	must(t, os.Symlink(w.dir, w.file("top")))
	for _, c := range []struct{ name, path, text string }{
		{"the mount", w.host.state.Mount, "lies in the mount"},
		{"in the mount", w.host.state.Mount + "/owen@lab.example/f", "lies in the mount"},
		{"in the mount, untidy", w.dir + "/files/../mount/./f", "lies in the mount"},
		{"through a link", w.file("link/f"), "lies in the mount"},
		{"a link", w.file("link"), "lies in the mount"},
		{"past the mount through a link", w.file("set/around/f"), "lies in the mount"},
		{"through a link above it", w.file("top/mount/f"), "lies in the mount"},
		{"in the backing tree", w.host.state.Backing + "/owen@lab.example/f", "the datasite's own files"},
		{"in a view", view + "/f", "lies in the view"},
		{"holds the mount", w.dir, "holds the mount"},
		{"holds the mount, by a link", w.file("top"), "holds the mount"},
		{"holds everything", "/", "holds the mount"},
		{"holds a view", filepath.Dir(view), "holds the view"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, q := range []NewDataset{{Mock: c.path, Private: w.file("real.csv")}, {Mock: w.file("mock.csv"), Private: c.path},
				{Mock: w.file("mock.csv"), Private: w.file("real.csv"), Readme: c.path}} {
				q.Name = "d"
				field := map[string]string{q.Mock: "mock", q.Private: "private", q.Readme: "readme"}[c.path]
				_, err := w.DatasetCreate(ctx, root, q)
				wantCode(t, err, BadInput, field, c.text, c.path)
			}
		})
	}
	for name, path := range map[string]string{"beside": w.file("real.csv"), "through a link beside": w.file("top/files/real.csv"), "not there": w.file("x/y"), "a name like the mount's": w.host.state.Mount + "2",
		"a file as a folder": w.file("real.csv/x")} {
		if err := w.outside(path); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The mount of another name for the same place.
	must(t, os.Symlink(filepath.Join(w.dir, "views"), filepath.Join(w.dir, "v")))
	w.views.open = []View{{Dir: filepath.Join(w.dir, "v", "as-rachel")}}
	for _, path := range []string{filepath.Join(w.dir, "v/as-rachel/f"), filepath.Join(w.dir, "views/as-rachel/f")} {
		if err := w.outside(path); err == nil || !strings.Contains(err.Error(), "lies in the view") {
			t.Errorf("%s: %v", path, err)
		}
	}
	must(t, os.Symlink("loop", w.file("loop")))
	if err := w.outside(w.file("loop/x")); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("%v", err)
	}
}

// TestTheMountIsNotEvenLookedAt: a step of a path is compared before it is looked at.
func TestTheMountIsNotEvenLookedAt(t *testing.T) {
	w := newWorld(t)
	must(t, os.Symlink(w.host.state.Mount, w.file("link")))
	stop := errors.New("stop")
	var seen []string
	_, err := walk(w.file("link/f"), func(at string) error {
		seen = append(seen, at)
		if at == w.host.state.Mount {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || seen[len(seen)-1] != w.host.state.Mount {
		t.Errorf("%v, looked at %q", err, seen)
	}
}

func TestStatusText(t *testing.T) {
	w := newWorld(t)
	w.host.state.Reconciled, w.host.state.Problems = true, []string{"the disk is full"}
	w.views.open = []View{{Dir: "/srv/a", Email: string(rachel), Write: true}, {Dir: "/srv/b", Expires: w.clock.now()}}
	w.runner.missing = errors.New("bwrap is missing: apt-get install bubblewrap")
	st, err := w.Status(ctx, root, struct{}{})
	must(t, err)
	text := st.Text()
	for _, want := range []string{"owen@lab.example (lab)", w.host.state.Mount, w.host.state.Backing, "1 accounts, 0 datasets", "jobs       none", "/srv/a as rachel@uni.example, a place to work",
		"/srv/b as a guest, preview until", "jobs cannot run: bwrap is missing", "problem    the disk is full"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	w.runner.missing = nil
	if st, err = w.Status(ctx, root, struct{}{}); err != nil || !strings.Contains(st.Text(), "sandbox    ready") {
		t.Errorf("%v\n%s", err, st.Text())
	}
	if _, err := w.JobRun(ctx, root, struct{}{}); err != nil {
		t.Error(err)
	}
	w.runner.missing = errors.New("bwrap is missing")
	_, err = w.JobRun(ctx, root, struct{}{})
	wantCode(t, err, Machine, "", "approved jobs wait", "bwrap is missing")
}

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"plain é 日本": "plain é 日本", "\x1b[31m": "␛[31m", "a\tb\nc": "a␉b␊c", "\x7f\u009b": "␡�", "\u202egpj.exe": "�gpj.exe", "a\u200bb": "a�b",
		"\xff": "�", "\u2028": "�", "\x00": "␀",
	} {
		if got := Visible(in, false); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
	if got := Visible("a\tb\nc\r\x1b", true); got != "a\tb\nc␍␛" {
		t.Errorf("%q", got)
	}
}
