package fusetree

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestProviderAtTheTop(t *testing.T) {
	s := serve(t, mountSpec{Virtual: true})
	top := s.at[0]
	if got, want := names(t, top), []string{".syft", "datasites", string(owner)}; !slices.Equal(got, want) {
		t.Errorf("the top holds %q, want %q", got, want)
	}
	if got, want := names(t, filepath.Join(top, ".syft")), []string{"control", "status", "sub"}; !slices.Equal(got, want) {
		t.Errorf(".syft holds %q, want %q", got, want)
	}
	if got := read(t, filepath.Join(top, ".syft/status")); got != "up\n" {
		t.Errorf("status: %q", got)
	}
	if got, err := os.Readlink(filepath.Join(top, "datasites")); got != "." || err != nil {
		t.Errorf("datasites: %q, %v", got, err)
	}
	write(t, s.own(0, "f"), "x")
	if got := read(t, filepath.Join(top, "datasites", string(owner), "f")); got != "x" {
		t.Errorf("through the link: %q", got)
	}
	fixed := []struct {
		name string
		do   func(p string) error
		want syscall.Errno
	}{
		{"create", func(p string) error { return os.WriteFile(p+"/new", nil, 0o644) }, syscall.EPERM},
		{"mkdir", func(p string) error { return os.Mkdir(p+"/new", 0o755) }, syscall.EPERM},
		{"mkdir over it", func(p string) error { return os.Mkdir(p, 0o755) }, syscall.EEXIST},
		{"symlink", func(p string) error { return os.Symlink("x", p+"/new") }, syscall.EPERM},
		{"unlink", func(p string) error { return unix.Unlink(p + "/status") }, syscall.EPERM},
		{"rmdir", func(p string) error { return unix.Rmdir(p) }, syscall.EPERM},
		{"rename inside", func(p string) error { return os.Rename(p+"/status", p+"/new") }, syscall.EPERM},
		{"rename of it", func(p string) error { return os.Rename(p, s.own(0, "x")) }, syscall.EPERM},
		{"rename out of it", func(p string) error { return os.Rename(p+"/status", s.own(0, "x")) }, syscall.EXDEV},
		{"rename into it", func(p string) error { return os.Rename(s.own(0, "f"), p+"/new") }, syscall.EXDEV},
		{"chmod", func(p string) error { return os.Chmod(p, 0o777) }, syscall.EPERM},
		{"write what can only be read", func(p string) error { return os.WriteFile(p+"/status", nil, 0o644) }, syscall.EACCES},
	}
	for _, tt := range fixed {
		wantErrno(t, tt.name, tt.do(filepath.Join(top, ".syft")), tt.want)
	}
}

// TestControlWrite: a control file says no in write(2), because shells ignore what close says; cutting it before is no error.
func TestControlWrite(t *testing.T) {
	s := serve(t, mountSpec{Virtual: true})
	p := filepath.Join(s.at[0], ".syft/control")
	for _, flags := range []int{os.O_WRONLY, os.O_WRONLY | os.O_TRUNC, os.O_RDWR, os.O_WRONLY | os.O_APPEND, os.O_WRONLY | os.O_CREATE | os.O_TRUNC} {
		f, err := os.OpenFile(p, flags, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("yes\n"); err != nil {
			t.Errorf("yes: %v", err)
		}
		_, err = f.WriteString("perhaps\n")
		wantErrno(t, "perhaps", err, syscall.EINVAL)
		if err := f.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	told := s.refusals()
	if len(told) != 5 || told[0] != "write .syft/control: only yes is understood" {
		t.Errorf("Refused was told %q", told)
	}
	if err := os.Truncate(p, 0); err != nil {
		t.Errorf("truncate: %v", err)
	}
	if out, err := exec.Command("sh", "-c", `echo no > "$1"`, "sh", p).CombinedOutput(); err == nil {
		t.Errorf("the shell did not notice: %s", out)
	}
	if out, err := exec.Command("sh", "-c", `echo yes > "$1" && cat "$1"`, "sh", p).CombinedOutput(); err != nil || string(out) != "write yes or no\n" {
		t.Errorf("yes by the shell: %q, %v", out, err)
	}
}

func TestProviderThatChanges(t *testing.T) {
	s := serve(t, mountSpec{Virtual: true})
	if err := os.MkdirAll(s.own(0, "app/d"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, s.own(0, "app/f"), "stored")
	write(t, s.own(0, "outside"), "outside")
	jobs := s.own(0, "jobs")
	if got, want := names(t, s.own(0)), []string{"app", "jobs", "outside"}; !slices.Equal(got, want) {
		t.Errorf("the datasite holds %q, want %q", got, want)
	}
	if out, err := exec.Command("cp", "-r", s.own(0, "app"), jobs+"/job").CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
	if got := read(t, filepath.Join(s.dir, "state/job/f")); got != "stored" {
		t.Errorf("kept: %q", got)
	}
	if err := os.Rename(jobs+"/job", jobs+"/job2"); err != nil {
		t.Fatal(err)
	}
	write(t, jobs+"/job2/g", strings.Repeat("y", 1000))
	if err := os.Truncate(jobs+"/job2/g", 10); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(jobs + "/job2/g"); err != nil || fi.Size() != 10 {
		t.Errorf("after truncate: %v, %v", fi, err)
	}
	f, err := os.OpenFile(jobs+"/job2/g", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if off, err := f.Seek(3, unix.SEEK_HOLE); off != 10 || err != nil {
		t.Errorf("SEEK_HOLE: %d, %v", off, err)
	}
	if _, err := f.Seek(10, unix.SEEK_DATA); !errors.Is(err, syscall.ENXIO) {
		t.Errorf("SEEK_DATA: %v", err)
	}
	if err := f.Sync(); err != nil {
		t.Error(err)
	}
	f.Close()
	wantErrno(t, "noreplace", unix.Renameat2(unix.AT_FDCWD, jobs+"/job2/g", unix.AT_FDCWD, jobs+"/job2/f", unix.RENAME_NOREPLACE), syscall.EEXIST)
	wantErrno(t, "exchange", unix.Renameat2(unix.AT_FDCWD, jobs+"/job2/g", unix.AT_FDCWD, jobs+"/job2/f", unix.RENAME_EXCHANGE), syscall.EINVAL)
	wantErrno(t, "rename out", os.Rename(jobs+"/job2", s.own(0, "out")), syscall.EXDEV)
	wantErrno(t, "rename in", os.Rename(s.own(0, "outside"), jobs+"/in"), syscall.EXDEV)
	wantErrno(t, "link", os.Symlink("x", jobs+"/l"), syscall.EPERM)
	if out, err := exec.Command("mv", s.own(0, "outside"), jobs+"/job2/moved").CombinedOutput(); err != nil {
		t.Errorf("mv copies instead: %v\n%s", err, out)
	}
	if got := read(t, jobs+"/job2/moved"); got != "outside" {
		t.Errorf("moved: %q", got)
	}
	value := make([]byte, 10)
	if n, err := unix.Getxattr(jobs+"/job2", "user.syft.hold", value); string(value[:max(n, 0)]) != "1" || err != nil {
		t.Errorf("attribute: %q, %v", value[:max(n, 0)], err)
	}
	wantErrno(t, "rmdir of what is not empty", unix.Rmdir(jobs+"/job2"), syscall.ENOTEMPTY)
	wantErrno(t, "unlink of a folder", unix.Unlink(jobs+"/job2"), syscall.EISDIR)
	if err := os.RemoveAll(jobs + "/job2"); err != nil {
		t.Fatal(err)
	}
	if got, want := names(t, jobs), []string{"shown"}; !slices.Equal(got, want) {
		t.Errorf("jobs holds %q, want %q", got, want)
	}
}

// TestShown: a stored folder that a provider shows is the same folder, with inode numbers of its own, and what is done
// to it in one place is seen in the other at once.
func TestShown(t *testing.T) {
	s := serve(t, mountSpec{Virtual: true})
	if err := os.MkdirAll(s.own(0, "app/d"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, s.own(0, "app/d/f"), "one")
	plain, shown := s.own(0, "app/d/f"), s.own(0, "jobs/shown/d/f")
	if got := read(t, shown); got != "one" {
		t.Errorf("shown: %q", got)
	}
	ino := func(p string) uint64 {
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil {
			t.Fatal(err)
		}
		return st.Ino
	}
	if a, b := ino(plain), ino(shown); a == b || b&ownIno == 0 {
		t.Errorf("inode numbers %x and %x", a, b)
	}
	if ino(s.own(0, "app")) == ino(s.own(0, "jobs/shown")) {
		t.Error("the shown folder has the stored one's number")
	}
	write(t, plain, "two, longer")
	if got := read(t, shown); got != "two, longer" {
		t.Errorf("shown after a change at its own place: %q", got)
	}
	write(t, shown, "three, longer still")
	eventually(t, "the change is seen at its own place", func() bool { return read(t, plain) == "three, longer still" })
	write(t, s.own(0, "jobs/shown/d/new"), "x")
	eventually(t, "the new file is seen at its own place", func() bool { return slices.Contains(names(t, s.own(0, "app/d")), "new") })
	if err := os.Rename(s.own(0, "jobs/shown/d/new"), s.own(0, "jobs/shown/moved")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the rename is seen at its own place", func() bool {
		_, err := os.Lstat(s.own(0, "app/d/new"))
		_, err2 := os.Lstat(s.own(0, "app/moved"))
		return os.IsNotExist(err) && err2 == nil
	})
	wantErrno(t, "out of the shown folder", os.Rename(s.own(0, "jobs/shown/moved"), s.own(0, "app/moved2")), syscall.EXDEV)
	if err := os.Remove(s.own(0, "jobs/shown/moved")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the removal is seen at its own place", func() bool {
		_, err := os.Lstat(s.own(0, "app/moved"))
		return os.IsNotExist(err)
	})
}

// TestProviderChangesItself: what a provider changes without us is there at once, and an open file's pages are dropped.
func TestProviderChangesItself(t *testing.T) {
	s := serve(t, mountSpec{Virtual: true})
	p, inside := s.own(0, "jobs/result"), filepath.Join(s.dir, "state/result")
	_, err := os.Lstat(p)
	wantErrno(t, "before", err, syscall.ENOENT)
	write(t, inside, "one")
	f, err := os.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil || string(b) != "one" {
		t.Fatalf("%q, %v", b, err)
	}
	write(t, inside, "2nd")
	if got := s.ask("virtual result"); got != "ok" {
		t.Fatal(got)
	}
	eventually(t, "the new bytes are read", func() bool {
		b := make([]byte, 3)
		_, err := f.ReadAt(b, 0)
		return err == nil && string(b) == "2nd"
	})
	if err := os.Remove(inside); err != nil {
		t.Fatal(err)
	}
	_, err = os.Lstat(p)
	wantErrno(t, "after", err, syscall.ENOENT)
}
