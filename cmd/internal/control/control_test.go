package control

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
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/openmined/syftfs/fs/backing"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/fs/virtual"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func now() time.Time { return noon }

type statuser struct {
	mu  sync.Mutex
	by  service.Caller
	st  service.Status
	err error
}

func (s *statuser) Status(_ context.Context, c service.Caller, _ struct{}) (service.Status, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.by = c
	return s.st, s.err
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// read opens a file and reads it in small pieces, as a program may.
func read(t testing.TB, f *Folder, name string) string {
	t.Helper()
	h, err := f.Open(context.Background(), name, os.O_RDONLY, 0)
	must(t, err)
	var b strings.Builder
	buf := make([]byte, 7)
	for off := int64(0); ; {
		n, err := h.ReadAt(buf, off)
		b.Write(buf[:n])
		off += int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
	}
	must(t, h.Close())
	return b.String()
}

func TestFolder(t *testing.T) {
	f := New("owen@lab.example (owner)", &statuser{}, &explainer{}, now)
	ctx := t.Context()
	e, err := f.Lookup(ctx, "")
	must(t, err)
	if e.Name != ".syft" || e.Kind != virtual.Dir || e.Mode != 0o500 {
		t.Errorf("%+v", e)
	}
	list, err := f.List(ctx, "")
	must(t, err)
	if len(list) != 3 || list[0].Name != "last-error" || list[1].Name != "status" || list[2].Name != "why" || list[2].Kind != virtual.Dir {
		t.Errorf("%+v", list)
	}
	for _, e := range list[:2] {
		if e.Kind != virtual.Text || e.Mode != 0o400 {
			t.Errorf("%+v", e)
		}
	}
	for _, name := range []string{"x", "status/x", "last-error/", "..", "STATUS"} {
		if _, err := f.Lookup(ctx, name); !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := f.Open(ctx, name, os.O_RDONLY, 0); !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := f.List(ctx, name); !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"status", "last-error"} {
		h, err := f.Open(ctx, name, os.O_RDONLY, 0)
		must(t, err)
		if _, err := h.WriteAt([]byte("x"), 0); err == nil {
			t.Errorf("%s can be written", name)
		}
		if err := h.Truncate(0); err == nil {
			t.Errorf("%s can be emptied", name)
		}
	}
}

func TestLastError(t *testing.T) {
	at := noon
	f := New("rachel@uni.example", nil, &explainer{}, func() time.Time { return at })
	const first = "nothing was refused since this was mounted\n"
	if got := read(t, f, "last-error"); got != first {
		t.Errorf("%q", got)
	}
	for _, err := range []error{iofs.ErrNotExist, fmt.Errorf("open x: %w", iofs.ErrNotExist), syscall.ENOENT, &iofs.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}} {
		f.Refused("open", "owen@lab.example/private/secret.csv", err)
		if got := read(t, f, "last-error"); got != first {
			t.Errorf("%v is told: %q", err, got)
		}
	}
	at = at.Add(time.Hour)
	f.Refused("create", "owen@lab.example/public/x", fmt.Errorf("rachel@uni.example may not create it.\n  Line 3 says so.\n: %w", iofs.ErrPermission))
	const want = "2026-07-01T13:00:00Z\ncreate owen@lab.example/public/x\nrachel@uni.example may not create it.\n  Line 3 says so.\n: permission denied\n"
	if got := read(t, f, "last-error"); got != want {
		t.Errorf("%q", got)
	}
	e, err := f.Lookup(t.Context(), "last-error")
	must(t, err)
	if e.Size != int64(len(want)) || !e.MTime.Equal(at) {
		t.Errorf("%+v", e)
	}
	f.Refused("open", "x", iofs.ErrNotExist) // and what was told stays
	if got := read(t, f, "last-error"); got != want {
		t.Errorf("%q", got)
	}
	// Who opened it reads one version, whatever happens meanwhile.
	h, err := f.Open(t.Context(), "last-error", os.O_RDONLY, 0)
	must(t, err)
	f.Refused("write", "y", syscall.EROFS)
	b := make([]byte, 1000)
	if n, _ := h.ReadAt(b, 0); string(b[:n]) != want {
		t.Errorf("%q", b[:n])
	}
}

// TestHostileName: a name can neither drive the terminal of who reads last-error, nor look like a line of ours.
func TestHostileName(t *testing.T) {
	f := New("owen@lab.example (owner)", &statuser{st: service.Status{State: service.State{Problems: []string{"x\x1b]0;y\a"}}}}, &explainer{}, now)
	f.Refused("create", "owen@lab.example/\x1b[2J\nread owen@lab.example/x is allowed\u202e", fmt.Errorf("\x1b[31mno\r%w", iofs.ErrPermission))
	for _, name := range []string{"last-error", "status"} {
		text := read(t, f, name)
		if strings.ContainsAny(text, "\x1b\r\a\u202e") {
			t.Errorf("%s: %q", name, text)
		}
		if name == "last-error" && strings.Count(text, "\n") != 3 {
			t.Errorf("%q", text)
		}
	}
}

func TestStatus(t *testing.T) {
	s := &statuser{st: service.Status{State: service.State{Email: "owen@lab.example", Name: "lab", Mount: "/home/owen/SyftBox", StateDir: "/home/owen/.state"}}}
	f := New("owen@lab.example (owner)", s, &explainer{}, now)
	text := read(t, f, "status")
	for _, want := range []string{"shows the tree to: owen@lab.example (owner)\n", "/home/owen/SyftBox", "/home/owen/.state"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %q", want, text)
		}
	}
	if !s.by.Root || s.by.Via != "mount" {
		t.Errorf("asked as %+v", s.by)
	}
	s.err = errors.New("broken")
	if _, err := f.Open(t.Context(), "status", os.O_RDONLY, 0); !errors.Is(err, s.err) {
		t.Errorf("%v", err)
	}
	// A view tells nothing about the machine.
	if got := read(t, New("rachel@uni.example", nil, &explainer{}, now), "status"); got != "this mount shows the tree to: rachel@uni.example\n" {
		t.Errorf("%q", got)
	}
}

// TestHiddenThingsRevealNothing: with a real gate, what a person does to something that they may not see leaves no trace in their
// last-error; what they see and may not do is explained.
func TestHiddenThingsRevealNothing(t *testing.T) {
	const owen, rachel = perm.User("owen@lab.example"), perm.User("rachel@uni.example")
	dir := t.TempDir()
	for name, body := range map[string]string{
		"private/secret.csv":   "1",
		"public/notes.txt":     "2",
		"public/syft.pub.yaml": "rules:\n- pattern: 'notes.txt'\n  access: {read: ['rachel@uni.example']}\n",
	} {
		full := filepath.Join(dir, string(owen), name)
		must(t, os.MkdirAll(filepath.Dir(full), 0o700))
		must(t, os.WriteFile(full, []byte(body), 0o600))
	}
	tree, err := backing.Open(dir)
	must(t, err)
	defer tree.Close()
	g := guard.New(guard.Config{Owner: owen, Tree: tree, Rules: perm.NewIndex(rulefile.Loader(tree.FS()))})
	view := g.View(datasite.Identity{Subject: rachel}, nil)
	at := func(rel string) datasite.Path { return datasite.Path{Owner: owen, Rel: rel} }
	ctx := t.Context()
	open := func(p datasite.Path, flags int) error {
		h, err := view.Open(ctx, p, flags, 0o600)
		if err == nil {
			return errors.Join(errors.New("opened"), h.Close())
		}
		return err
	}
	for _, c := range []struct {
		name string
		do   func() error
		told bool
	}{
		{"read what is hidden", func() error { return open(at("private/secret.csv"), os.O_RDONLY) }, false},
		{"read what is not there", func() error { return open(at("private/none.csv"), os.O_RDONLY) }, false},
		{"write what is hidden", func() error { return open(at("private/secret.csv"), os.O_WRONLY) }, false},
		{"remove what is hidden", func() error { return view.Remove(ctx, at("private/secret.csv")) }, false},
		{"look at what is hidden", func() error { _, err := view.Stat(ctx, at("private")); return err }, false},
		{"list what is hidden", func() error { _, err := view.List(ctx, at("private")); return err }, false},
		{"write what is seen", func() error { return open(at("public/notes.txt"), os.O_WRONLY) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := New(string(rachel), nil, &explainer{}, now)
			before := read(t, f, "last-error")
			err := c.do()
			if err == nil {
				t.Fatal("it was not refused")
			}
			f.Refused("open", "the path", err)
			after := read(t, f, "last-error")
			if told := after != before; told != c.told {
				t.Errorf("told: %v: %q (%v)", told, after, err)
			}
			if c.told && !strings.Contains(after, "public/syft.pub.yaml") {
				t.Errorf("it does not name the file that decides: %q", after)
			}
		})
	}
	// Making something is refused in a hidden folder exactly as in one that is not there.
	text := func(dir string) string {
		f := New(string(rachel), nil, &explainer{}, now)
		_, err := view.Mkdir(ctx, at(dir+"/new"), 0o700)
		if err == nil {
			t.Fatal("it was not refused")
		}
		f.Refused("mkdir", "the path", err)
		return strings.ReplaceAll(read(t, f, "last-error"), dir, "FOLDER")
	}
	if hidden, none := text("private"), text("nowhere"); hidden != none {
		t.Errorf("a hidden folder: %q, none: %q", hidden, none)
	}
}

func TestConcurrently(t *testing.T) {
	f := New("owen@lab.example (owner)", &statuser{}, &explainer{}, now)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 50 {
				f.Refused("open", fmt.Sprintf("path-%d-%d", i, j), iofs.ErrPermission)
				if got := read(t, f, "last-error"); !strings.HasSuffix(got, "permission denied\n") || strings.Count(got, "\n") != 3 {
					t.Errorf("half a text: %q", got)
				}
				read(t, f, "status")
				if _, err := f.List(context.Background(), ""); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestLink(t *testing.T) {
	l := Link{Name: "datasites", Target: ".", At: noon}
	e, err := l.Lookup(t.Context(), "")
	must(t, err)
	if e.Kind != virtual.Link || e.Target != "." || e.Name != "datasites" || !e.MTime.Equal(noon) {
		t.Errorf("%+v", e)
	}
	if _, err := l.Lookup(t.Context(), "x"); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if list, err := l.List(t.Context(), ""); len(list) != 0 || err != nil {
		t.Errorf("%v %v", list, err)
	}
	if _, err := l.Open(t.Context(), "", 0, 0); !errors.Is(err, iofs.ErrPermission) {
		t.Errorf("%v", err)
	}
}

// explainer knows one datasite with a folder and a file, and rachel.
type explainer struct{}

func (*explainer) People() []string      { return []string{"rachel@uni.example"} }
func (*explainer) Knows(who string) bool { return strings.HasSuffix(who, "@uni.example") }
func (*explainer) Look(_ context.Context, p datasite.Path) (bool, error) {
	switch p.String() {
	case "", "owen@lab.example", "owen@lab.example/dir":
		return true, nil
	case "owen@lab.example/dir/file":
		return false, nil
	}
	return false, iofs.ErrNotExist
}
func (*explainer) Names(_ context.Context, p datasite.Path) (map[string]bool, error) {
	switch p.String() {
	case "":
		return map[string]bool{"owen@lab.example": true}, nil
	case "owen@lab.example":
		return map[string]bool{"dir": true}, nil
	}
	return map[string]bool{"file": false}, nil
}
func (*explainer) Explain(_ context.Context, who string, p datasite.Path) (string, error) {
	return who + " and /" + p.String() + "\n\x1b[2J", nil
}

func TestWhy(t *testing.T) {
	ctx := t.Context()
	f := New("owner", &statuser{}, &explainer{}, time.Now)
	for rel, want := range map[string][]string{
		"why":                    {"rachel@uni.example"},
		"why/rachel@uni.example": {"owen@lab.example"},
		"why/rachel@uni.example/owen@lab.example":     {".why", "dir"},
		"why/rachel@uni.example/owen@lab.example/dir": {".why", "file"},
	} {
		entries, err := f.List(ctx, rel)
		if err != nil {
			t.Fatalf("%s: %v", rel, err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name)
			if _, err := f.Lookup(ctx, rel+"/"+e.Name); err != nil {
				t.Errorf("%s is listed, but %v", e.Name, err)
			}
		}
		if !slices.Equal(names, want) {
			t.Errorf("%s: %q, want %q", rel, names, want)
		}
	}
	for rel, want := range map[string]string{
		"why/rachel@uni.example/owen@lab.example/dir/file": "rachel@uni.example and /owen@lab.example/dir/file\n\u241b[2J",
		"why/rachel@uni.example/owen@lab.example/dir/.why": "rachel@uni.example and /owen@lab.example/dir\n\u241b[2J",
		"why/new@uni.example/owen@lab.example/.why":        "new@uni.example and /owen@lab.example\n\u241b[2J",
	} {
		h, err := f.Open(ctx, rel, 0, 0)
		if err != nil {
			t.Errorf("%s: %v", rel, err)
			continue
		}
		text := make([]byte, 200)
		n, err := h.ReadAt(text, 0)
		if err != io.EOF || string(text[:n]) != want {
			t.Errorf("%s: %q, %v", rel, text[:n], err)
		}
	}
	for _, rel := range []string{"whyever", "why/nobody@x.org", "why/rachel@uni.example/.why", "why/rachel@uni.example/owen@lab.example/gone", "why/rachel@uni.example/../x"} {
		if _, err := f.Lookup(ctx, rel); !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("%s: %v", rel, err)
		}
	}
}
