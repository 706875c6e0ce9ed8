package fusetree

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/openmined/syftfs/fs/datasite"
	"golang.org/x/sys/unix"
)

func rachel() mountSpec { return mountSpec{As: datasite.Identity{Subject: other}} }

func TestOwnerReadsAndWrites(t *testing.T) {
	s := serve(t)
	write(t, s.own(0, "a"), "hello")
	if got := read(t, s.stored("a")); got != "hello" {
		t.Errorf("stored: %q", got)
	}
	if err := os.MkdirAll(s.own(0, "d/e"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, s.own(0, "d/e/f"), "x")
	if err := os.Rename(s.own(0, "d"), s.own(0, "g")); err != nil {
		t.Fatal(err)
	}
	if got := read(t, s.own(0, "g/e/f")); got != "x" {
		t.Errorf("after the rename: %q", got)
	}
	if err := unix.Renameat2(unix.AT_FDCWD, s.own(0, "a"), unix.AT_FDCWD, s.own(0, "g/e/f"), unix.RENAME_EXCHANGE); err != nil {
		t.Fatal(err)
	}
	if a, f := read(t, s.own(0, "a")), read(t, s.own(0, "g/e/f")); a != "x" || f != "hello" {
		t.Errorf("after the exchange: %q, %q", a, f)
	}
	wantErrno(t, "rename onto what is there", unix.Renameat2(unix.AT_FDCWD, s.own(0, "a"), unix.AT_FDCWD, s.own(0, "g/e/f"), unix.RENAME_NOREPLACE), syscall.EEXIST)
	wantErrno(t, "rmdir", os.Remove(s.own(0, "g")), syscall.ENOTEMPTY)
	for _, p := range []string{s.own(0), s.own(0, "g"), s.at[0]} {
		d, err := os.Open(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Sync(); err != nil {
			t.Errorf("fsync of %s: %v", p, err)
		}
		d.Close()
	}
	if got, want := names(t, s.own(0)), []string{"a", "g"}; !slices.Equal(got, want) {
		t.Errorf("listing: %q, want %q", got, want)
	}
}

func TestNotOffered(t *testing.T) {
	s := serve(t)
	write(t, s.own(0, "a"), "")
	long := strings.Repeat("x", 256)
	create := func(name string) error {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o644)
		if err == nil {
			f.Close()
		}
		return err
	}
	tests := []struct {
		name string
		do   func() error
		want syscall.Errno
		why  string // part of what Refused is told; "" if nothing
	}{
		{"hard link", func() error { return os.Link(s.own(0, "a"), s.own(0, "b")) }, syscall.EPERM, "hard links"},
		{"pipe", func() error { return unix.Mkfifo(s.own(0, "p"), 0o644) }, syscall.EPERM, "only regular files"},
		{"chown", func() error { return os.Chown(s.own(0, "a"), os.Geteuid()+1, -1) }, syscall.EPERM, "belong to whoever runs it"},
		{"file at the top", func() error { return create(filepath.Join(s.at[0], "x")) }, syscall.EACCES, "one folder per datasite"},
		{"folder at the top", func() error { return os.Mkdir(filepath.Join(s.at[0], "x"), 0o755) }, syscall.EACCES, "one folder per datasite"},
		{"create a name that is not UTF-8", func() error { return create(s.own(0, "bad\xff")) }, syscall.EILSEQ, "not UTF-8"},
		{"mkdir with a name that is not UTF-8", func() error { return os.Mkdir(s.own(0, "bad\xff"), 0o755) }, syscall.EILSEQ, "not UTF-8"},
		{"rename to a name that is not UTF-8", func() error { return os.Rename(s.own(0, "a"), s.own(0, "\xff")) }, syscall.EILSEQ, "not UTF-8"},
		{"look for a name that is not UTF-8", func() error { _, err := os.Lstat(s.own(0, "bad\xff")); return err }, syscall.ENOENT, ""},
		{"a long name", func() error { return create(s.own(0, long)) }, syscall.ENAMETOOLONG, "name too long"},
		{"chown to the same", func() error { return os.Chown(s.own(0, "a"), os.Geteuid(), os.Getegid()) }, 0, ""},
		{"system attribute", func() error { return unix.Setxattr(s.own(0, "a"), "system.x", nil, 0) }, syscall.EOPNOTSUPP, ""}, // security.x is refused by the kernel itself, but to root
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.do()
			if tt.want == 0 && err != nil || tt.want != 0 && !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			told := s.refusals()
			if tt.why == "" && len(told) > 0 || tt.why != "" && !slices.ContainsFunc(told, func(r string) bool { return strings.Contains(r, tt.why) }) {
				t.Errorf("Refused was told %q, want %q", told, tt.why)
			}
		})
	}
	if got, want := names(t, s.stored()), []string{"a"}; !slices.Equal(got, want) {
		t.Errorf("the datasite holds %q, want %q", got, want)
	}
}

func TestReadOnly(t *testing.T) {
	s := serve(t, mountSpec{ReadOnly: true, Virtual: true})
	write(t, s.stored("a"), "x")
	if got := read(t, s.own(0, "a")); got != "x" {
		t.Errorf("read: %q", got)
	}
	wantErrno(t, "write", os.WriteFile(s.own(0, "a"), nil, 0o644), syscall.EROFS)
	wantErrno(t, "control write", os.WriteFile(filepath.Join(s.at[0], ".syft/control"), []byte("yes"), 0o644), syscall.EROFS)
	wantErrno(t, "mkdir", os.Mkdir(s.own(0, "d"), 0o755), syscall.EROFS)
	_, err := openTemp(s.own(0), unix.O_RDWR)
	wantErrno(t, "file without a name", err, syscall.EROFS)
	wantErrno(t, "chmod", os.Chmod(s.own(0, "a"), 0o600), syscall.EROFS)
	wantErrno(t, "access", unix.Access(s.own(0, "a"), unix.W_OK), syscall.EROFS)
}

func TestHidden(t *testing.T) {
	s := serve(t, mountSpec{}, rachel())
	if err := os.MkdirAll(s.own(0, "public/sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"secret", "public/open", "public/closed", "public/sub/open"} {
		write(t, s.own(0, f), f)
	}
	_, err := os.Lstat(s.own(1))
	wantErrno(t, "a datasite in which nothing is visible", err, syscall.ENOENT)
	if got := names(t, s.at[1]); len(got) != 0 {
		t.Errorf("before any rule: %q", got)
	}
	s.grant("read", "**/open")
	if got, want := names(t, s.own(1)), []string{"public"}; !slices.Equal(got, want) {
		t.Errorf("listing: %q, want %q", got, want)
	}
	if got, want := names(t, s.own(1, "public")), []string{"open", "sub"}; !slices.Equal(got, want) {
		t.Errorf("listing: %q, want %q", got, want)
	}
	if got := read(t, s.own(1, "public/sub/open")); got != "public/sub/open" {
		t.Errorf("read: %q", got)
	}
	for _, f := range []string{"secret", "public/closed", "nothing"} {
		_, err := os.Lstat(s.own(1, f))
		wantErrno(t, "lstat "+f, err, syscall.ENOENT)
		_, err = os.Open(s.own(1, f))
		wantErrno(t, "open "+f, err, syscall.ENOENT)
		wantErrno(t, "rename "+f, os.Rename(s.own(1, f), s.own(1, "x")), syscall.ENOENT)
	}
	wantErrno(t, "create over a hidden file", os.WriteFile(s.own(1, "secret"), nil, 0o644), syscall.EACCES)
	wantErrno(t, "write what may be read", os.WriteFile(s.own(1, "public/open"), nil, 0o644), syscall.EACCES)
	if told := s.refusals(); !slices.ContainsFunc(told, func(r string) bool {
		return strings.HasPrefix(r, "open "+string(owner)+"/public/open: ") && strings.Contains(r, "write is needed")
	}) {
		t.Errorf("Refused was told %q", told)
	}
	s.revoke()
	_, err = os.Lstat(s.own(1))
	wantErrno(t, "after the rules were taken away", err, syscall.ENOENT)
}

// TestRevokeOpenFile: a rule that changes in one mount refuses the very next read of a file that is open in another, also
// of bytes that the kernel holds.
func TestRevokeOpenFile(t *testing.T) {
	s := serve(t, mountSpec{}, rachel())
	body := strings.Repeat("0123456789abcdef", 4096)
	write(t, s.own(0, "f"), body)
	for round := range 3 {
		s.grant("read", "f")
		f, err := os.Open(s.own(1, "f"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f)
		if err != nil || string(got) != body {
			t.Fatalf("read before: %d bytes, %v", len(got), err)
		}
		if n, err := f.ReadAt(make([]byte, 100), 0); n != 100 || err != nil {
			t.Fatalf("read again: %d, %v", n, err)
		}
		s.revoke()
		n, err := f.ReadAt(make([]byte, 100), int64(100*round))
		if n != 0 {
			t.Errorf("%d bytes were read after the right was gone", n)
		}
		wantErrno(t, "read after", err, syscall.EACCES)
		_, err = os.Open(s.own(1, "f"))
		wantErrno(t, "open after", err, syscall.ENOENT)
		// Given back, the same handle reads again.
		s.grant("read", "f")
		if n, err := f.ReadAt(make([]byte, 100), 0); n != 100 || err != nil {
			t.Errorf("read when it was given back: %d, %v", n, err)
		}
		f.Close()
		s.revoke()
	}
}

func TestRevokeOpenWriter(t *testing.T) {
	s := serve(t, mountSpec{}, rachel())
	write(t, s.own(0, "f"), "before")
	s.grant("write", "f")
	f, err := os.OpenFile(s.own(1, "f"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("rachel"), 0); err != nil {
		t.Fatal(err)
	}
	s.grant("read", "f")
	_, err = f.WriteAt([]byte("again!"), 0)
	wantErrno(t, "write after", err, syscall.EACCES)
	if got := read(t, s.own(0, "f")); got != "rachel" {
		t.Errorf("the file holds %q", got)
	}
}

// TestMapping: a shared mapping stays possible in every view; what was mapped is dropped when the right goes.
func TestMapping(t *testing.T) {
	s := serve(t, mountSpec{}, rachel())
	write(t, s.own(0, "f"), strings.Repeat("x", 8192))
	s.grant("write", "f")
	f, err := os.OpenFile(s.own(1, "f"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := unix.Mmap(int(f.Fd()), 0, 8192, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	m[4096] = 'y'
	if err := unix.Msync(m, unix.MS_SYNC); err != nil {
		t.Error(err)
	}
	if err := unix.Munmap(m); err != nil {
		t.Error(err)
	}
	if got := read(t, s.own(0, "f"))[4096]; got != 'y' {
		t.Errorf("stored %q", got)
	}
}

// TestOtherMountSees: what is done in one mount is soon seen in the owner's, which believes what it was told for a minute.
func TestOtherMountSees(t *testing.T) {
	s := serve(t, mountSpec{}, rachel())
	if err := os.Mkdir(s.own(0, "in"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.grant("write", "in/**")
	_, err := os.Lstat(s.own(0, "in/new"))
	wantErrno(t, "absent", err, syscall.ENOENT)
	write(t, s.own(1, "in/new"), "one")
	eventually(t, "the new file appears", func() bool {
		b, err := os.ReadFile(s.own(0, "in/new"))
		return err == nil && string(b) == "one"
	})
	write(t, s.own(1, "in/new"), "two and more")
	eventually(t, "the new content appears", func() bool { return read(t, s.own(0, "in/new")) == "two and more" })
	if err := os.Rename(s.own(1, "in/new"), s.own(1, "in/old")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the old name is gone", func() bool {
		_, err := os.Lstat(s.own(0, "in/new"))
		return errors.Is(err, iofs.ErrNotExist)
	})
	eventually(t, "the new name is there", func() bool {
		b, err := os.ReadFile(s.own(0, "in/old"))
		return err == nil && string(b) == "two and more"
	})
	if err := os.Remove(s.own(1, "in/old")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the file is gone", func() bool { return len(names(t, s.own(0, "in"))) == 0 })
}

// TestReplaced: a file that takes another's name is another inode. Who has the old one open keeps it, whoever opens the
// name gets the new one; also when that is done in the real directory.
func TestReplaced(t *testing.T) {
	s := serve(t)
	write(t, s.own(0, "f"), "old")
	old, err := os.Open(s.own(0, "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	write(t, s.stored("tmp"), "new and longer")
	if err := os.Rename(s.stored("tmp"), s.stored("f")); err != nil {
		t.Fatal(err)
	}
	if got := s.ask("changed " + string(owner) + "/f"); got != "ok" {
		t.Fatal(got)
	}
	eventually(t, "the new file is seen", func() bool { return read(t, s.own(0, "f")) == "new and longer" })
	b := make([]byte, 10)
	if n, err := old.ReadAt(b, 0); string(b[:n]) != "old" || err != io.EOF {
		t.Errorf("the old handle reads %q, %v", b[:n], err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(old.Fd()), &st); err != nil || st.Nlink != 0 || st.Size != 3 {
		t.Errorf("the old handle: %d links, %d bytes, %v", st.Nlink, st.Size, err)
	}
}

// TestReplacedUnannounced: an open notices by itself that the name is another file now.
func TestReplacedUnannounced(t *testing.T) {
	s := serve(t)
	write(t, s.own(0, "f"), "old")
	if got := read(t, s.own(0, "f")); got != "old" {
		t.Fatal(got)
	}
	write(t, s.stored("tmp"), "new and longer")
	if err := os.Rename(s.stored("tmp"), s.stored("f")); err != nil {
		t.Fatal(err)
	}
	if got := read(t, s.own(0, "f")); got != "new and longer" {
		t.Errorf("read %q", got)
	}
	write(t, s.stored("f"), "changed in place")
	eventually(t, "what was changed in place is seen", func() bool { return read(t, s.own(0, "f")) == "changed in place" })
}

// TestHardLinksBelow: two names of one file in the real directory are two files in the mount.
func TestHardLinksBelow(t *testing.T) {
	s := serve(t)
	write(t, s.stored("a"), "x")
	if err := os.Link(s.stored("a"), s.stored("b")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, f := range []string{"a", "b"} {
			if got := read(t, s.own(0, f)); got != "x" {
				t.Errorf("%s: %q", f, got)
			}
		}
	}
	if err := os.Remove(s.own(0, "a")); err != nil {
		t.Fatal(err)
	}
	if got := read(t, s.own(0, "b")); got != "x" {
		t.Errorf("b: %q", got)
	}
}

// TestAppend: two mounts append to one file and lose nothing, whatever size each kernel believes in.
func TestAppend(t *testing.T) {
	s := serve(t, mountSpec{}, rachel())
	write(t, s.own(0, "log"), "")
	s.grant("write", "log")
	var files []*os.File
	for i := range 2 {
		f, err := os.OpenFile(s.own(i, "log"), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	var want string
	for i := range 20 {
		line := fmt.Sprintf("line %d\n", i)
		if _, err := files[i%2].WriteString(line); err != nil {
			t.Fatal(err)
		}
		want += line
	}
	for _, f := range files {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := read(t, s.stored("log")); got != want {
		t.Errorf("the file holds %q", got)
	}
	eventually(t, "the owner sees all", func() bool { return read(t, s.own(0, "log")) == want })
}

// TestTools drives the mount with the programs that people use.
func TestTools(t *testing.T) {
	s := serve(t, mountSpec{Virtual: true})
	script := `set -e
mkdir -p a/b
echo one > a/b/f
cp -r a c
mv c/b c/d
cat c/d/f
ln -s f c/d/l
cat c/d/l
rm -r a
ls c/d
test ! -e a
cd "$1/datasites/` + string(owner) + `/c" && pwd -P > /dev/null
tar cf - d | tar tf -
`
	cmd := exec.Command("sh", "-c", script, "sh", s.at[0])
	cmd.Dir = s.own(0)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got, want := string(out), "one\none\nf\nl\nd/\nd/f\nd/l\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestForget: what the kernel forgot is forgotten here.
func TestForget(t *testing.T) {
	s := serve(t)
	for i := range 50 {
		if err := os.MkdirAll(s.own(0, fmt.Sprint(i), "x"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(s.own(0)); err != nil && !errors.Is(err, syscall.EBUSY) {
		t.Fatal(err)
	}
	eventually(t, "the table is small again", func() bool { return len(s.ask("nodes")) == 1 })
}
