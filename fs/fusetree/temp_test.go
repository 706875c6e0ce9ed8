package fusetree

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"golang.org/x/sys/unix"
)

// openTemp opens a file without a name in dir, with more flags.
func openTemp(dir string, flags int) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_CLOEXEC|flags, 0o640)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "temporary"), nil
}

func TestFileWithoutAName(t *testing.T) {
	s := serve(t, mountSpec{Virtual: true}, rachel())
	if err := os.MkdirAll(s.own(0, "app/d"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.grant("write", "**")
	for _, dir := range []string{s.own(0), s.own(0, "app/d"), s.own(0, "jobs/shown/d")} {
		for _, flags := range []int{unix.O_RDWR, unix.O_RDWR | unix.O_EXCL, unix.O_RDWR | unix.O_APPEND} {
			t.Run(fmt.Sprintf("%s/%#x", filepath.Base(filepath.Dir(dir)), flags), func(t *testing.T) { useTemp(t, s, dir, flags) })
		}
	}
	s.refusals()
	for name, tt := range map[string]struct {
		dir  string
		want syscall.Errno
	}{
		"at the top":               {s.at[0], syscall.EACCES},
		"among jobs":               {s.own(0, "jobs"), syscall.EOPNOTSUPP},
		"among control files":      {filepath.Join(s.at[0], ".syft"), syscall.EOPNOTSUPP},
		"for somebody who may all": {s.own(1), syscall.EOPNOTSUPP},
	} {
		if f, err := openTemp(tt.dir, unix.O_RDWR); err != tt.want {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
			f.Close()
		}
	}
	// That is said for the folder, not for the mount.
	f, err := openTemp(s.own(0), unix.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

func useTemp(t *testing.T, s *served, dir string, flags int) {
	before := names(t, dir)
	f, err := openTemp(dir, flags)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := unix.Write(int(f.Fd()), []byte("temporary")); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(4); err != nil {
		t.Errorf("truncate: %v", err)
	}
	if err := f.Chmod(0o600); err != nil {
		t.Errorf("chmod: %v", err)
	}
	when := time.Unix(1_700_000_000, 0)
	if err := unix.Futimes(int(f.Fd()), []unix.Timeval{{Sec: when.Unix()}, {Sec: when.Unix()}}); err != nil {
		t.Errorf("utimes: %v", err)
	}
	if err := f.Sync(); err != nil {
		t.Errorf("fsync: %v", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	if st.Nlink != 0 || st.Mode != unix.S_IFREG|0o600 || st.Size != 4 || st.Mtim.Sec != when.Unix() {
		t.Errorf("stat: %+v", st)
	}
	b := make([]byte, 9)
	if n, err := unix.Pread(int(f.Fd()), b, 0); err != nil || string(b[:n]) != "temp" {
		t.Errorf("read %q, %v", b[:n], err)
	}
	link := unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.AT_FDCWD, filepath.Join(dir, "linked"), unix.AT_SYMLINK_FOLLOW)
	want := syscall.EPERM
	if flags&unix.O_EXCL != 0 {
		want = syscall.ENOENT // the kernel's own answer
	}
	if link != want {
		t.Errorf("link: got %v, want %v", link, want)
	}
	if got := names(t, dir); len(got) != len(before) {
		t.Errorf("the folder holds %q, held %q", got, before)
	}
	if err := f.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// What the kernel forgot is forgotten here, with and without names.
func TestForgetFileWithoutAName(t *testing.T) {
	s := serve(t)
	names(t, s.own(0))
	before := s.ask("nodes")
	var open []*os.File
	for range 50 {
		f, err := openTemp(s.own(0), unix.O_RDWR)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, f)
	}
	if got := s.ask("nodes"); got == before {
		t.Errorf("%s nodes with 50 more open files", got)
	}
	for _, f := range open {
		f.Close()
	}
	eventually(t, "they are forgotten", func() bool { return s.ask("nodes") == before })
}

// A number that the file had may be another file's at once: no lookup finds the old node by it.
func TestNodeWithoutANameIsNotFound(t *testing.T) {
	tab := newTable()
	site := tab.put(t, tab.root, string(owner), stored(1, unix.S_IFDIR), nil)
	n := tab.unnamed(stored(2, unix.S_IFREG))
	h := &handle{node: n}
	tab.opened(h)
	if w, err := tab.locate(n.id); err != syscall.ESTALE {
		t.Errorf("it lies at %v, %v", w.path, err)
	}
	if tab.openOf(n.id) != h {
		t.Error("it cannot be asked through its handle")
	}
	if f := tab.put(t, site, "f", stored(2, unix.S_IFREG), nil); f == n {
		t.Error("a file of the same number is the same node")
	}
	tab.forget(n.id, 1)
	if tab.openOf(n.id) != h {
		t.Error("it is forgotten while it is open")
	}
	tab.closed(h)
	if tab.byID[n.id] != nil {
		t.Error("it is not forgotten")
	}
	if w, err := tab.locate(site.id); err != nil || w.path != (datasite.Path{Owner: owner}) {
		t.Errorf("the folder lies at %v, %v", w.path, err)
	}
}
