package fusetree

import (
	"bufio"
	"errors"
	iofs "io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/openmined/syftfs/fs/backing"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/integration/mountns"
)

// kill ends the server as a crash does.
func (s *served) kill() {
	s.t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	s.cmd.Wait() //nolint:errcheck // it was killed
	s.gone = true
}

func TestRecover(t *testing.T) {
	s := serve(t)
	write(t, s.own(0, "f"), "x")
	if err := Recover(s.at[0]); err != nil {
		t.Errorf("a live mount: %v", err)
	}
	if got := read(t, s.own(0, "f")); got != "x" {
		t.Errorf("after Recover of a live mount: %q", got)
	}
	s.kill()
	_, err := os.Lstat(s.own(0, "f"))
	wantErrno(t, "the dead mount", err, syscall.ENOTCONN)
	_, err = prepare(s.at[0], s.tree)
	if !errors.Is(err, syscall.ENOTCONN) || !strings.Contains(err.Error(), "fusermount3 -u -z") {
		t.Errorf("mounting over it: %v", err)
	}
	for range 2 { // the second time nothing is there
		if err := Recover(s.at[0]); err != nil {
			t.Fatal(err)
		}
	}
	if got := names(t, s.at[0]); len(got) != 0 {
		t.Errorf("the mount point holds %q", got)
	}
	s.start([]mountSpec{{Point: s.at[0], As: datasite.Identity{Subject: owner}}})
	if got := read(t, s.own(0, "f")); got != "x" {
		t.Errorf("mounted again: %q", got)
	}
}

func TestRecoverLeavesOthersAlone(t *testing.T) {
	dir := t.TempDir()
	if err := Recover(dir); err != nil {
		t.Errorf("an ordinary folder: %v", err)
	}
	if err := Recover(filepath.Join(dir, "missing/below")); err != nil {
		t.Errorf("what is not there: %v", err)
	}
	if err := Recover("/proc"); err != nil {
		t.Errorf("a mount of another kind: %v", err)
	}
}

// holder is a program that stands in the mount until it is told to go.
func holder(t *testing.T, dir string) (leave func()) {
	t.Helper()
	cmd := exec.Command("sh", "-c", "echo in; read x")
	cmd.Dir = dir
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "in\n" {
		t.Fatal(line, err)
	}
	left := false
	leave = func() {
		if !left {
			left = true
			in.Close()
			cmd.Wait() //nolint:errcheck // read fails at the end of its input
		}
	}
	t.Cleanup(leave)
	return leave
}

// TestBusyForEver: who stays in the mount until the time is over is named, and the mount is gone nevertheless.
func TestBusyForEver(t *testing.T) {
	s := serve(t)
	if err := os.Mkdir(s.own(0, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	leave := holder(t, s.own(0, "d"))
	got := s.ask("close 300ms")
	if !strings.Contains(got, "sh (pid ") || !strings.Contains(got, ErrInUse.Error()) {
		t.Errorf("close said %q", got)
	}
	if _, ok, err := onTop(s.at[0]); ok || err != nil {
		t.Errorf("still mounted: %v, %v", ok, err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("server: %v", err)
	}
	s.gone = true
	leave()
}

// TestBusyForAWhile: who leaves in time is waited for.
func TestBusyForAWhile(t *testing.T) {
	s := serve(t)
	if err := os.Mkdir(s.own(0, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	leave := holder(t, s.own(0, "d"))
	if _, err := s.in.Write([]byte("close 60s\n")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the mount is detached", func() bool {
		_, ok, err := onTop(s.at[0])
		return !ok && err == nil
	})
	leave()
	if line, err := s.out.ReadString('\n'); line != "closed\n" {
		t.Errorf("close said %q, %v", line, err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("server: %v", err)
	}
	s.gone = true
}

// TestUnmountedFromOutside: the server notices, and what was open is settled.
func TestUnmountedFromOutside(t *testing.T) {
	s := serve(t)
	write(t, s.own(0, "f"), "x")
	if err := unmount(s.at[0], false); err != nil {
		t.Fatal(err)
	}
	if got := s.ask("close 10s"); got != "closed" {
		t.Errorf("close said %q", got)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("server: %v", err)
	}
	s.gone = true
}

func TestMountPoint(t *testing.T) {
	s := serve(t)
	dir := t.TempDir()
	file, full, link, gone := filepath.Join(dir, "file"), filepath.Join(dir, "full"), filepath.Join(dir, "link"), filepath.Join(dir, "gone")
	write(t, file, "x")
	if err := os.MkdirAll(filepath.Join(full, "photos"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(full, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", gone); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, point string
		want        error
		says        string
	}{
		{"file", file, syscall.ENOTDIR, "it is a file"},
		{"not empty", full, syscall.ENOTEMPTY, `it holds "photos"`},
		{"link to what is not empty", link, syscall.ENOTEMPTY, full},
		{"link to nothing", gone, iofs.ErrNotExist, "is a link to something that does not exist"},
		{"live mount", s.at[0], syscall.EBUSY, "already mounted"},
		{"in the backing tree", filepath.Join(s.tree, "mnt"), nil, "beside each other"},
		{"the backing tree", s.tree, nil, "beside each other"},
		{"around the backing tree", s.dir, nil, "beside each other"},
		{"descriptor", "/dev/fd/3", nil, ""},
		{"system", "/proc/x", nil, "belongs to the system"},
		{"root", "/", nil, "belongs to the system"},
		{"none", "", nil, "no folder"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := prepare(tt.point, s.tree)
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %v and %q", err, tt.want, tt.says)
			}
		})
	}
	for _, point := range []string{filepath.Join(dir, "new"), filepath.Join(dir, "deep/down/new")} {
		got, err := prepare(point, s.tree)
		if err != nil {
			t.Fatal(err)
		}
		if fi, err := os.Stat(got); err != nil || !fi.IsDir() {
			t.Errorf("%s: %v, %v", point, fi, err)
		}
	}
}

// TestServeRefuses: a mount that cannot be made leaves nothing behind.
func TestServeRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "tree", string(owner)), 0o755); err != nil {
		t.Fatal(err)
	}
	tree, err := backing.Open(filepath.Join(dir, "tree"))
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	g := guard.New(guard.Config{Owner: owner, Tree: tree})
	full := filepath.Join(dir, "full")
	if err := os.MkdirAll(filepath.Join(full, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Serve(t.Context(), g, Options{Mountpoint: full, As: datasite.Identity{Subject: owner}}); !errors.Is(err, syscall.ENOTEMPTY) {
		t.Errorf("got %v", err)
	}
}

// TestUnprivileged: an ordinary account mounts, recovers and unmounts through fusermount3.
func TestUnprivileged(t *testing.T) {
	if os.Geteuid() != 0 {
		return // every other test is that already
	}
	u, err := mountns.Unprivileged()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	self := filepath.Join(dir, "fusetree.test")
	if err := os.WriteFile(self, b, 0o755); err != nil {
		t.Fatal(err)
	}
	tmp := filepath.Join(dir, "tmp")
	if err := os.Mkdir(tmp, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(tmp, int(u.UID), int(u.GID)); err != nil {
		t.Fatal(err)
	}
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(self, "-test.run=^(TestRecover|TestBusyForEver|TestBusyForAWhile|TestUnmountedFromOutside|TestRevokeOpenFile|TestOwnerReadsAndWrites|TestControlWrite)$", "-test.v")
	cmd.Env, cmd.Dir = append(os.Environ(), "TMPDIR="+tmp, "HOME="+tmp), "/"
	u.Drop(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
