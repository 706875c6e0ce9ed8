// Package posix runs conformance tests against real mounts of this program. It knows the mount and what it is built on.
// Nobody imports it.
package posix

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/posixtest"
	"github.com/openmined/syftfs/fs/backing"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/fusetree"
	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/integration/mountns"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
	"github.com/openmined/syftfs/sync/journal"
	"golang.org/x/sys/unix"
)

const owner = perm.User("owen@centre.example")

// serveEnv makes the test binary the server of a mount, because a process must not use a mount that it serves.
const serveEnv = "SYFTFS_TEST_SERVE"

// spec is what a server serves.
type spec struct {
	Dir      string // holds the backing tree, the journal and the mount point
	Features fusetree.Features
}

// clientEnv makes the test binary run the cases against a mount that is already there, without a mount namespace of its own.
const clientEnv = "SYFTFS_TEST_CLIENT"

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(serveEnv) != "":
		if err := serve(os.Getenv(serveEnv)); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
	case os.Getenv(clientEnv) != "":
		os.Exit(m.Run())
	default:
		mountns.Main(m)
	}
}

func serve(text string) error {
	var sp spec
	if err := json.Unmarshal([]byte(text), &sp); err != nil {
		return err
	}
	tree, err := backing.Open(filepath.Join(sp.Dir, "tree"))
	if err != nil {
		return err
	}
	j, err := journal.Open(filepath.Join(sp.Dir, "journal"), journal.Options{})
	if err != nil {
		return err
	}
	g := guard.New(guard.Config{Owner: owner, Tree: tree, Rules: perm.NewIndex(rulefile.Loader(tree.FS())), Recorder: j, Memory: j})
	m, err := fusetree.Serve(context.Background(), g, fusetree.Options{
		Mountpoint: filepath.Join(sp.Dir, "mnt"), As: datasite.Identity{Subject: owner}, Features: sp.Features,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil { // until the test closes it
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := m.Close(ctx); err != nil {
		return err
	}
	if err := j.Close(); err != nil {
		return err
	}
	return tree.Close()
}

// start serves a new tree from a process of its own, as user unless it is the zero one, and gives the owner's datasite in the mount.
func start(t *testing.T, as *mountns.User, f fusetree.Features) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{filepath.Join(dir, "tree", string(owner)), filepath.Join(dir, "mnt")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b, err := json.Marshal(spec{Dir: dir, Features: f})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env, cmd.Dir, cmd.Stderr = append(os.Environ(), serveEnv+"="+string(b), "GORACE=atexit_sleep_ms=0"), "/", os.Stderr
	if as != nil {
		give(t, dir, as)
		cmd.Path = copyOfSelf(t, dir)
		as.Drop(cmd)
	}
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
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("server: %v", err)
		}
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the server did not start: %q, %v", line, err)
	}
	return filepath.Join(dir, "mnt", string(owner))
}

// give makes dir and all in it u's, and lets u come to it.
func give(t *testing.T, dir string, u *mountns.User) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, int(u.UID), int(u.GID))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil {
		t.Fatal(err)
	}
}

// copyOfSelf is the test binary where an ordinary account may run it: go test builds it in a folder of root's.
func copyOfSelf(t *testing.T, dir string) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "posix.test")
	if err := os.WriteFile(name, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

// notOffered are the cases for what a datasite does not have; TestPosix checks with which errno that is said. The locks of
// FcntlFlockLocksFile are those of one process, which never stand in each other's way where the kernel keeps them.
var notOffered = []string{"Link", "LinkUnlinkRename", "Tmpfile", "FcntlFlockLocksFile"}

// modes are the ways in which the same cases run.
func modes() map[string]fusetree.Features {
	return map[string]fusetree.Features{
		"best": {},
		"plain": {
			NoKillPriv: true, NoReaddirplus: true, NoKeepCache: true, NoCaching: true,
			NoSymlinkCache: true, NoAtomicTrunc: true, NoDirectMmap: true,
		},
	}
}

func TestPosix(t *testing.T) {
	if at := os.Getenv(clientEnv); at != "" {
		cases(t, at)
		return
	}
	for name, f := range modes() {
		t.Run(name, func(t *testing.T) {
			at := start(t, nil, f)
			cases(t, at)
			refusals(t, at)
		})
	}
}

// TestPosixUnprivileged runs the same as an ordinary account, through fusermount3. Started as an ordinary account TestPosix
// is that already.
func TestPosixUnprivileged(t *testing.T) {
	if os.Getenv(clientEnv) != "" || os.Geteuid() != 0 {
		return
	}
	u, err := mountns.Unprivileged()
	if err != nil {
		t.Fatal(err)
	}
	at := start(t, &u, fusetree.Features{})
	cmd := exec.Command(filepath.Join(at, "../../posix.test"), "-test.run=^TestPosix$", "-test.v")
	cmd.Env, cmd.Dir = append(os.Environ(), clientEnv+"="+at), "/"
	u.Drop(cmd)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// cases runs each conformance case in a new folder of its own.
func cases(t *testing.T, at string) {
	for name, fn := range posixtest.All {
		if slices.Contains(notOffered, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(at, name)
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if name == "XAttrLarge" && !largeAttributes(t, at, dir) {
				return
			}
			fn(t, dir)
		})
	}
}

// largeAttributes reports whether the file system below has room for what XAttrLarge sets. If not, the mount must say so
// with the same errno.
func largeAttributes(t *testing.T, at, dir string) bool {
	t.Helper()
	set := func(name string) error {
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		return unix.Setxattr(name, "user.large", make([]byte, 9<<10), 0)
	}
	native := set(filepath.Join(at, "../../tree", string(owner), "large"))
	if native == nil {
		return true
	}
	if got := set(filepath.Join(dir, "large")); got != native {
		t.Errorf("a large attribute: got %v, want %v", got, native)
	}
	return false
}

// refusals checks what the cases that are left out would have met.
func refusals(t *testing.T, at string) {
	file := filepath.Join(at, "file")
	if err := os.WriteFile(file, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unix.Link(file, filepath.Join(at, "link")); err != syscall.EPERM {
		t.Errorf("link: got %v, want EPERM", err)
	}
	locks(t, file)
	if fd, err := unix.Open(at, unix.O_TMPFILE|unix.O_RDWR, 0o600); err != syscall.EOPNOTSUPP {
		t.Errorf("O_TMPFILE: got %d, %v, want EOPNOTSUPP", fd, err)
	}
}

// locks checks that locks of two open files stand in each other's way.
func locks(t *testing.T, name string) {
	t.Helper()
	lock := func(typ int16) (*os.File, error) {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		return f, unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: typ})
	}
	one, err := lock(unix.F_WRLCK)
	if err != nil {
		t.Errorf("lock: %v", err)
	}
	defer one.Close()
	two, err := lock(unix.F_RDLCK)
	if err != syscall.EAGAIN {
		t.Errorf("lock what is locked: got %v, want EAGAIN", err)
	}
	defer two.Close()
}
