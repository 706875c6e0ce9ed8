package rulefile_test

import (
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
)

func TestLoader(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		full := filepath.Join(root, "alice@x.org", name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	good := "rules:\n- pattern: '**'\n  access: {read: ['*']}\n"
	write("syft.pub.yaml", good)
	write("two/syft.pub.yaml", good)
	write("two/syftperm.yaml", "[]\n")
	write("plain/file", "x")
	write("bad/syft.pub.yaml", "rules: 7\n")
	write("large/syft.pub.yaml", "# "+strings.Repeat("x", rulefile.MaxSize))
	write("folder/syft.pub.yaml/x", "x")
	write("link/target", good)
	if err := os.Symlink("target", filepath.Join(root, "alice@x.org/link/syft.pub.yaml")); err != nil {
		t.Fatal(err)
	}
	write("dangling/x", "x")
	if err := os.Symlink("nowhere", filepath.Join(root, "alice@x.org/dangling/syftperm.yaml")); err != nil {
		t.Fatal(err)
	}
	write("pipe/x", "x")
	if err := syscall.Mkfifo(filepath.Join(root, "alice@x.org/pipe/syft.pub.yaml"), 0o644); err != nil {
		t.Fatal(err)
	}
	tree, err := os.OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, tt := range []struct {
		dir  string
		want string // kinds, with a ! for broken
	}{
		{"", "syft.pub.yaml"}, {"two", "syft.pub.yaml syftperm.yaml"}, {"plain", ""}, {"plain/file", ""}, {"plain/file/x", ""}, {"none", ""}, {"none/at/all", ""},
		{"bad", "!syft.pub.yaml"}, {"large", "!syft.pub.yaml"}, {"folder", "!syft.pub.yaml"}, {"link", "!syft.pub.yaml"}, {"dangling", "!syftperm.yaml"}, {"pipe", "!syft.pub.yaml"},
	} {
		t.Run(tt.dir, func(t *testing.T) {
			sets, err := rulefile.Loader(tree.FS())("alice@x.org", tt.dir)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, rs := range sets {
				s := rs.Kind.String()
				if rs.Broken != nil {
					s = "!" + s
					if !errors.Is(rs.Broken, iofs.ErrInvalid) {
						t.Error(rs.Broken)
					}
				}
				if rs.Dir != tt.dir || rs.From.File != "/"+filepath.Join("alice@x.org", tt.dir, rs.Kind.String()) {
					t.Errorf("%+v", rs)
				}
				got = append(got, s)
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	x := perm.NewIndex(rulefile.Loader(tree.FS()))
	for path, allow := range map[string]bool{"f": true, "plain/file": true, "bad/f": false, "link/f": false, "folder/syft.pub.yaml/x": false, "two/f": true} {
		d, err := x.Decide(perm.Request{User: "bob@x.org", Owner: "alice@x.org", Path: path, Want: perm.Read})
		if err != nil || d.Allowed != allow {
			t.Errorf("%s: %v, %v", path, d.Allowed, err)
		}
	}
}

// failing fails on one operation.
type failing struct {
	fstest.MapFS
	lstat, open, read error
}

func (f failing) Lstat(name string) (iofs.FileInfo, error) {
	if f.lstat != nil {
		return nil, f.lstat
	}
	return f.MapFS.Lstat(name)
}

func (f failing) Open(name string) (iofs.File, error) {
	if f.open != nil {
		return nil, f.open
	}
	file, err := f.MapFS.Open(name)
	return failingFile{file, f.read}, err
}

type failingFile struct {
	iofs.File
	read error
}

func (f failingFile) Read(p []byte) (int, error) {
	if f.read != nil {
		return 0, f.read
	}
	return f.File.Read(p)
}

func TestLoaderErrors(t *testing.T) {
	files := fstest.MapFS{"alice@x.org/syft.pub.yaml": &fstest.MapFile{Data: []byte("rules: []\n")}}
	for name, tt := range map[string]struct {
		fsys failing
		want error
		sets int
	}{
		"fine":            {failing{MapFS: files}, nil, 1},
		"lstat":           {failing{MapFS: files, lstat: syscall.EIO}, syscall.EIO, 0},
		"open":            {failing{MapFS: files, open: iofs.ErrPermission}, iofs.ErrPermission, 0},
		"read":            {failing{MapFS: files, read: syscall.EIO}, syscall.EIO, 0},
		"gone in between": {failing{MapFS: files, open: iofs.ErrNotExist}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			sets, err := rulefile.Loader(tt.fsys)("alice@x.org", "")
			if !errors.Is(err, tt.want) || len(sets) != tt.sets {
				t.Errorf("%v, %v", sets, err)
			}
		})
	}
}
