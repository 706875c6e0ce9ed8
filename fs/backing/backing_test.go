package backing

import (
	"bytes"
	"errors"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"golang.org/x/sys/unix"
)

const alice = perm.User("alice@x.org")

func at(rel string) datasite.Path { return datasite.Path{Owner: alice, Rel: rel} }

// newTree makes a backing tree with one datasite and gives the folder of that datasite.
func newTree(t *testing.T, o ...Option) (*Tree, string) {
	t.Helper()
	dir := t.TempDir()
	site := filepath.Join(dir, string(alice))
	must(t, os.Mkdir(site, 0o755))
	tree, err := Open(dir, o...)
	must(t, err)
	t.Cleanup(func() { must(t, tree.Close()) })
	return tree, site
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func TestPathsThatNobodyParsedAreRefused(t *testing.T) {
	tree, site := newTree(t)
	must(t, os.WriteFile(filepath.Join(site, "f"), nil, 0o600))
	for name, c := range map[string]struct {
		p    datasite.Path
		want error
	}{
		"climbs inside the tree":  {datasite.Path{Owner: "bob@x.org", Rel: "../alice@x.org/f"}, datasite.ErrName},
		"dot":                     {at("."), datasite.ErrName},
		"doubled slash":           {at("a//b"), datasite.ErrName},
		"absolute":                {at("/f"), datasite.ErrName},
		"NUL":                     {at("a\x00b"), datasite.ErrName},
		"owner with a slash":      {datasite.Path{Owner: "a/b", Rel: "f"}, datasite.ErrName},
		"owner is dots":           {datasite.Path{Owner: "..", Rel: "f"}, datasite.ErrName},
		"a root with a path":      {datasite.Path{Rel: "f"}, datasite.ErrName},
		"staging":                 {datasite.Path{Owner: stagingName}, iofs.ErrNotExist},
		"below staging":           {datasite.Path{Owner: stagingName, Rel: "x"}, iofs.ErrNotExist},
		"a temporary name":        {at("d/" + tempPrefix + "1"), iofs.ErrNotExist},
		"in a temporary folder":   {at(tempPrefix + "1/f"), iofs.ErrNotExist},
		"ordinary file, no error": {at("f"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tree.Stat(c.p)
			wants(t, err, c.want)
			if c.want == nil {
				return
			}
			_, err = tree.OpenFile(c.p, unix.O_WRONLY|unix.O_CREAT, 0o600)
			wants(t, err, c.want)
			wants(t, tree.Mkdir(c.p, 0o700), c.want)
			wants(t, tree.Rename(at("f"), c.p, 0), c.want)
		})
	}
}

func TestLinksAreNeverFollowed(t *testing.T) {
	tree, site := newTree(t)
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret")
	must(t, os.WriteFile(secret, []byte("secret"), 0o644))
	must(t, os.Symlink(outside, filepath.Join(site, "dir")))
	must(t, os.Symlink(secret, filepath.Join(site, "file")))
	must(t, os.Symlink(outside, filepath.Join(filepath.Dir(site), "bob@x.org")))

	for name, try := range map[string]func() error{
		"open":            func() error { _, err := tree.OpenFile(at("file"), unix.O_RDONLY, 0); return err },
		"open through":    func() error { _, err := tree.OpenFile(at("dir/secret"), unix.O_RDONLY, 0); return err },
		"create through":  func() error { _, err := tree.OpenFile(at("dir/new"), unix.O_CREAT|unix.O_RDWR, 0o600); return err },
		"stat through":    func() error { _, err := tree.Stat(at("dir/secret")); return err },
		"list":            func() error { _, err := tree.List(at("dir")); return err },
		"other datasite":  func() error { _, err := tree.Stat(datasite.Path{Owner: "bob@x.org", Rel: "secret"}); return err },
		"truncate":        func() error { return tree.Truncate(at("file"), 0) },
		"chmod":           func() error { return tree.Chmod(at("file"), 0o600) },
		"remove through":  func() error { return tree.Remove(at("dir/secret")) },
		"write through":   func() error { _, err := tree.WriteFile("write", at("dir/secret"), nil, 0o600); return err },
		"getxattr":        func() error { _, err := tree.Xattr(at("file"), "user.x"); return err },
		"mkdir through":   func() error { return tree.Mkdir(at("dir/d"), 0o700) },
		"rename through":  func() error { return tree.Rename(at("dir/secret"), at("x"), 0) },
		"take out":        func() error { _, err := tree.TakeOut("remove", at("dir/secret")); return err },
		"symlink through": func() error { return tree.Symlink(at("dir/l"), "x") },
		"temp through":    func() error { _, err := tree.OpenTemp(at("dir"), unix.O_RDWR, 0o600); return err },
		"FS":              func() error { _, err := iofs.ReadFile(tree.FS(), string(alice)+"/file"); return err },
		"FS through":      func() error { _, err := iofs.ReadFile(tree.FS(), string(alice)+"/dir/secret"); return err },
	} {
		if err := try(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	must(t, tree.Utimes(at("file"), &[2]unix.Timespec{{Sec: 1}, {Sec: 1}}))
	info, err := os.Stat(secret)
	must(t, err)
	if info.Mode().Perm() != 0o644 || info.Size() != 6 || info.ModTime().Unix() == 1 {
		t.Errorf("the file outside was touched: %v %v", info.Mode(), info.ModTime())
	}
	target, err := tree.Readlink(at("file"))
	must(t, err)
	if target != secret {
		t.Errorf("target %q", target)
	}
}

func TestReplacingALinkLeavesWhatItLedTo(t *testing.T) {
	tree, site := newTree(t)
	victim := filepath.Join(t.TempDir(), "victim")
	must(t, os.WriteFile(victim, []byte("old"), 0o600))
	must(t, os.Symlink(victim, filepath.Join(site, "l")))
	_, err := tree.WriteFile("write", at("l"), []byte("new"), 0o600)
	must(t, err)
	body, err := os.ReadFile(victim)
	must(t, err)
	if string(body) != "old" {
		t.Fatalf("the link was followed: %q", body)
	}
}

func TestPipesDoNotBlock(t *testing.T) {
	tree, site := newTree(t)
	must(t, unix.Mkfifo(filepath.Join(site, "pipe"), 0o600))
	_, err := tree.OpenFile(at("pipe"), unix.O_RDONLY, 0)
	wants(t, err, ErrIrregular)
	if _, err = tree.OpenFile(at("pipe"), unix.O_WRONLY, 0); err == nil {
		t.Fatal("opened a pipe for writing")
	}
	f, err := tree.FS().Open(string(alice) + "/pipe")
	must(t, err)
	info, err := f.Stat()
	must(t, err)
	if info.Mode()&iofs.ModeNamedPipe == 0 {
		t.Errorf("mode %v", info.Mode())
	}
	_, err = f.Read(make([]byte, 1))
	wants(t, err, ErrIrregular)
}

func TestListLeavesOutWhatADatasiteCannotHold(t *testing.T) {
	tree, site := newTree(t)
	for _, n := range []string{"b", "a", "bad\xff", tempPrefix + "x", ".hidden"} {
		must(t, os.WriteFile(filepath.Join(site, n), nil, 0o600))
	}
	must(t, os.Mkdir(filepath.Join(filepath.Dir(site), stagingName), 0o700))
	list, err := tree.List(at(""))
	must(t, err)
	var names []string
	for _, e := range list {
		names = append(names, e.Name)
	}
	if diff := cmp.Diff([]string{".hidden", "a", "b"}, names); diff != "" {
		t.Error(diff)
	}
	top, err := tree.List(datasite.Path{})
	must(t, err)
	if len(top) != 1 || top[0].Name != string(alice) {
		t.Errorf("top: %v", top)
	}
}

func TestPathsLongerThanPathMax(t *testing.T) {
	tree, _ := newTree(t)
	p := at("")
	for range 40 {
		p = p.Join(strings.Repeat("d", 200))
		must(t, tree.Mkdir(p, 0o700))
	}
	p = p.Join("f")
	_, err := tree.WriteFile("write", p, []byte("deep"), 0o600)
	must(t, err)
	body, err := iofs.ReadFile(tree.FS(), p.String())
	must(t, err)
	if string(body) != "deep" {
		t.Errorf("body %q", body)
	}
	must(t, tree.Rename(p, at("up"), 0))
}

func TestBitsAreStoredWhateverTheUmask(t *testing.T) {
	tree, site := newTree(t)
	f, err := tree.OpenFile(at("f"), unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, 0o666)
	must(t, err)
	must(t, f.Close())
	must(t, tree.Mkdir(at("d"), 0o777))
	for name, want := range map[string]iofs.FileMode{"f": 0o666, "d": 0o777} {
		info, err := os.Stat(filepath.Join(site, name))
		must(t, err)
		if info.Mode().Perm() != want {
			t.Errorf("%s: %v", name, info.Mode())
		}
	}
}

func TestStampIsRacyUntilTheClockMovedOn(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		ctime time.Time
		racy  bool
	}{
		"just now":                      {now, true},
		"half a tick ago":               {now.Add(-granularity / 2), true},
		"in the future":                 {now.Add(time.Hour), true},
		"longer ago":                    {now.Add(-2 * granularity), false},
		"whole seconds, just now":       {now.Add(-time.Second).Truncate(time.Second), true},
		"whole seconds, long ago":       {now.Add(-4 * time.Second).Truncate(time.Second), false},
		"mtime in the future, ctime no": {now.Add(-time.Minute), false},
	} {
		t.Run(name, func(t *testing.T) {
			ts, err := unix.TimeToTimespec(c.ctime)
			must(t, err)
			future, err := unix.TimeToTimespec(now.Add(time.Hour))
			must(t, err)
			if got := stamp(&unix.Stat_t{Ctim: ts, Mtim: future}, now).Racy; got != c.racy && c.ctime.Nanosecond() != 0 {
				t.Errorf("racy %v", got)
			}
		})
	}
}

func TestRenameFlags(t *testing.T) {
	tree, site := newTree(t)
	must(t, os.WriteFile(filepath.Join(site, "a"), []byte("a"), 0o600))
	must(t, os.WriteFile(filepath.Join(site, "b"), []byte("b"), 0o600))
	wants(t, tree.Rename(at("a"), at("b"), unix.RENAME_NOREPLACE), iofs.ErrExist)
	must(t, tree.Rename(at("a"), at("b"), unix.RENAME_EXCHANGE))
	body, err := os.ReadFile(filepath.Join(site, "a"))
	must(t, err)
	if string(body) != "b" {
		t.Errorf("a holds %q", body)
	}
}

func TestXattrs(t *testing.T) {
	tree, site := newTree(t)
	must(t, os.WriteFile(filepath.Join(site, "f"), nil, 0o600))
	big := bytes.Repeat([]byte("v"), 2000)
	must(t, tree.SetXattr(at("f"), "user.a", big, 0))
	must(t, tree.SetXattr(at("f"), "user.b", []byte("2"), unix.XATTR_CREATE))
	wants(t, tree.SetXattr(at("f"), "user.b", nil, unix.XATTR_CREATE), iofs.ErrExist)
	v, err := tree.Xattr(at("f"), "user.a")
	must(t, err)
	if !bytes.Equal(v, big) {
		t.Errorf("value of %d bytes", len(v))
	}
	names, err := tree.Xattrs(at("f"))
	must(t, err)
	if diff := cmp.Diff([]string{"user.a", "user.b"}, names); diff != "" {
		t.Error(diff)
	}
	must(t, tree.RemoveXattr(at("f"), "user.a"))
	_, err = tree.Xattr(at("f"), "user.a")
	wants(t, err, unix.ENODATA)
}

func TestFSIsAFileSystem(t *testing.T) {
	tree, site := newTree(t)
	must(t, os.MkdirAll(filepath.Join(site, "d/e"), 0o755))
	must(t, os.WriteFile(filepath.Join(site, "d/e/f"), []byte("x"), 0o644))
	must(t, os.WriteFile(filepath.Join(site, "empty"), nil, 0o644))
	must(t, fstest.TestFS(tree.FS(), string(alice)+"/d/e/f", string(alice)+"/empty"))
}

func TestFileAfterClose(t *testing.T) {
	tree, _ := newTree(t)
	f, err := tree.OpenFile(at("f"), unix.O_CREAT|unix.O_RDWR, 0o600)
	must(t, err)
	_, err = f.WriteAt([]byte("abc"), 1)
	must(t, err)
	n, err := f.ReadAt(make([]byte, 10), 0)
	if n != 4 || err != io.EOF {
		t.Errorf("read %d, %v", n, err)
	}
	must(t, f.Close())
	_, err = f.ReadAt(make([]byte, 1), 0)
	wants(t, err, iofs.ErrClosed)
	wants(t, f.Close(), iofs.ErrClosed)
}

// What a link leads to is not below it: for whoever reads rule files, nothing is there.
func TestFSHasNothingBelowALink(t *testing.T) {
	tree, site := newTree(t)
	must(t, os.Symlink(t.TempDir(), filepath.Join(site, "l")))
	_, err := iofs.Lstat(tree.FS(), string(alice)+"/l/syft.pub.yaml")
	wants(t, err, iofs.ErrNotExist)
	info, err := iofs.Lstat(tree.FS(), string(alice)+"/l")
	must(t, err)
	if info.Mode().Type() != iofs.ModeSymlink {
		t.Errorf("the link itself is shown as %v", info.Mode())
	}
}
