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
	Tree     string // the backing tree
	Dir      string // holds the journal and the mount point
	Features fusetree.Features
}

// clientEnv makes the test binary run the cases against mounts that are already there, without a mount namespace of its own.
const clientEnv = "SYFTFS_TEST_CLIENT"

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(lockEnv) != "":
		os.Exit(lockForAnother(os.Getenv(lockEnv)))
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
	tree, err := backing.Open(sp.Tree)
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

// start serves the tree in the new folder tree from a process of its own, as user unless it is nil, and gives the owner's
// datasite in the mount.
func start(t *testing.T, tree string, as *mountns.User, f fusetree.Features) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{filepath.Join(tree, string(owner)), filepath.Join(dir, "mnt")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b, err := json.Marshal(spec{Tree: tree, Dir: dir, Features: f})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env, cmd.Dir, cmd.Stderr = append(os.Environ(), serveEnv+"="+string(b), "GORACE=atexit_sleep_ms=0"), "/", os.Stderr
	if as != nil {
		give(t, tree, as)
		give(t, dir, as)
		cmd.Path = copyOfSelf(t, as)
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

// copyOfSelf is the test binary where u may run it: go test builds it in a folder of root's.
func copyOfSelf(t *testing.T, u *mountns.User) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	name := filepath.Join(dir, "posix.test")
	if err := os.WriteFile(name, b, 0o755); err != nil {
		t.Fatal(err)
	}
	give(t, dir, u)
	return name
}

// notOffered are the only cases that are left out. Link and LinkUnlinkRename: there are no hard links, because one content
// would have two sets of rules; TestPosix checks the errno.
var notOffered = []string{"Link", "LinkUnlinkRename"}

// notLocal is left out too where locks are the kernel's own: it fails on every local file system, because it wants a process to be
// refused by a lock of its own. TestLocksOfOneProcess shows what is true instead. Where locks are shared it runs.
const notLocal = "FcntlFlockLocksFile"

// modes are the ways in which the same cases run.
func modes() map[string]fusetree.Features {
	return map[string]fusetree.Features{
		"best":   {},
		"shared": {SharedLocks: true},
		"plain": {
			NoKillPriv: true, NoReaddirplus: true, NoKeepCache: true, NoCaching: true,
			NoSymlinkCache: true, NoAtomicTrunc: true, NoDirectMmap: true,
		},
	}
}

// target is where the cases run.
type target struct {
	At     string // the owner's datasite in a mount
	Stored string // the same in the backing tree
	Large  string // as At, where the tree takes large attributes; "" if there is no file system for it
	Shared bool   // locks are shared with the backing tree
}

// serveTarget serves for u, or for whoever runs the test if it is nil.
func serveTarget(t *testing.T, u *mountns.User, f fusetree.Features) target {
	t.Helper()
	tree := t.TempDir()
	tg := target{At: start(t, tree, u, f), Stored: filepath.Join(tree, string(owner)), Shared: f.SharedLocks}
	if takesLarge(t, tree) {
		tg.Large = tg.At
	} else if tree = inMemory(t); takesLarge(t, tree) {
		tg.Large = start(t, tree, u, f)
	}
	return tg
}

func TestPosix(t *testing.T) {
	if text := os.Getenv(clientEnv); text != "" {
		var tg target
		if err := json.Unmarshal([]byte(text), &tg); err != nil {
			t.Fatal(err)
		}
		cases(t, tg)
		return
	}
	for name, f := range modes() {
		t.Run(name, func(t *testing.T) { cases(t, serveTarget(t, nil, f)) })
	}
}

// TestPosixUnprivileged runs the same as an ordinary account, through fusermount3. Started as an ordinary account TestPosix
// is that already.
func TestPosixUnprivileged(t *testing.T) {
	if os.Geteuid() != 0 {
		return
	}
	u, err := mountns.Unprivileged()
	if err != nil {
		t.Fatal(err)
	}
	self := copyOfSelf(t, &u)
	for _, name := range []string{"best", "shared"} {
		t.Run(name, func(t *testing.T) {
			b, err := json.Marshal(serveTarget(t, &u, modes()[name]))
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(self, "-test.run=^TestPosix$", "-test.v")
			cmd.Env, cmd.Dir = append(os.Environ(), clientEnv+"="+string(b)), "/"
			u.Drop(cmd)
			out, err := cmd.CombinedOutput()
			t.Logf("as %s:\n%s", u.Name, out)
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// cases runs each conformance case in a new folder of its own. None may be skipped: what a datasite offers, it offers.
func cases(t *testing.T, tg target) {
	leftOut := notOffered
	if !tg.Shared {
		leftOut = append(slices.Clone(notOffered), notLocal)
	}
	for _, name := range leftOut {
		if posixtest.All[name] == nil {
			t.Errorf("there is no case %s to leave out", name)
		}
	}
	for name, fn := range posixtest.All {
		if slices.Contains(leftOut, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			defer failIfSkipped(t)
			at := tg.At
			if name == "XAttrLarge" {
				if at = tg.Large; at == "" {
					noLargeAttributes(t, tg.At)
					return
				}
			}
			dir := filepath.Join(at, name)
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			fn(t, dir)
		})
	}
	t.Run("NoHardLinks", func(t *testing.T) { noHardLinks(t, tg.At) })
	t.Run("LocksOfOneProcess", func(t *testing.T) {
		if tg.Shared {
			sharedLocks(t, tg)
		} else {
			locksOfOneProcess(t, tg.At)
		}
	})
	t.Run("LocksOfOpenFiles", func(t *testing.T) { locksOfOpenFiles(t, tg.At) })
}

// failIfSkipped is deferred where a case may skip itself.
func failIfSkipped(tb testing.TB) {
	if tb.Skipped() {
		tb.Error("the case was skipped")
	}
}

// setLarge sets an attribute as large as that of XAttrLarge.
func setLarge(t *testing.T, dir string) error {
	t.Helper()
	name := filepath.Join(dir, "large")
	if err := os.WriteFile(name, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return unix.Setxattr(name, "user.large", make([]byte, 9<<10), 0)
}

func takesLarge(t *testing.T, dir string) bool { return setLarge(t, dir) == nil }

// inMemory is a new folder on a file system in memory. ext4 has no room for large attributes, that one has since Linux 6.6.
func inMemory(t *testing.T) string {
	t.Helper()
	outer, err := os.MkdirTemp("/dev/shm", "posix-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(outer); err != nil {
			t.Error(err)
		}
	})
	dir := filepath.Join(outer, "tree") // give opens the folder around it
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// noLargeAttributes is XAttrLarge where no file system has room: the mount must say so as a plain folder does.
func noLargeAttributes(t *testing.T, at string) {
	t.Helper()
	want := setLarge(t, t.TempDir())
	if got := setLarge(t, at); want == nil || got != want {
		t.Errorf("a large attribute: got %v, want %v", got, want)
	}
}

// noHardLinks checks what Link and LinkUnlinkRename would have met.
func noHardLinks(t *testing.T, at string) {
	file := filepath.Join(at, "linked")
	if err := os.WriteFile(file, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unix.Link(file, filepath.Join(at, "link")); err != syscall.EPERM {
		t.Errorf("link: got %v, want EPERM", err)
	}
}
