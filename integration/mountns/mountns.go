// Package mountns puts a test binary into a mount namespace of its own, so that a test's mounts are seen by nobody else and
// vanish with it. Only tests import it; it knows nothing of this module.
package mountns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const inside = "SYFTFS_TEST_MOUNTNS"

// Main runs the tests of m. Started as root, it runs them in a child with a private mount namespace and a /dev/fuse
// that everybody may open, as on a usual machine. Started as anybody else it runs them as they are.
func Main(m *testing.M) { MainWith(m, nil) }

// MainWith is Main with a setup that runs before the tests, in the process that runs them; what it returns runs after them.
func MainWith(m *testing.M, setup func() (teardown func(), err error)) {
	if os.Geteuid() != 0 {
		os.Exit(run(m, setup))
	}
	if os.Getenv(inside) == "" {
		os.Exit(reexec())
	}
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "mountns:", err)
		os.Exit(1)
	}
	os.Exit(run(m, setup))
}

func run(m *testing.M, setup func() (func(), error)) int {
	if setup != nil {
		teardown, err := setup()
		if err != nil {
			fmt.Fprintln(os.Stderr, "mountns: setup:", err)
			return 1
		}
		if teardown != nil {
			defer teardown()
		}
	}
	return m.Run()
}

func reexec() int {
	runtime.LockOSThread() // Pdeathsig follows the thread
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mountns: cannot make a mount namespace:", err)
		return 1
	}
	return 0
}

func prepare() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make / private: %w", err)
	}
	dir, err := os.MkdirTemp("", "mountns-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	node := filepath.Join(dir, "fuse")
	if err := unix.Mknod(node, unix.S_IFCHR|0o666, int(unix.Mkdev(10, 229))); err != nil {
		return fmt.Errorf("make a /dev/fuse node: %w", err)
	}
	if err := os.Chmod(node, 0o666); err != nil {
		return err
	}
	if err := unix.Mount(node, "/dev/fuse", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind a 0666 node over /dev/fuse: %w", err)
	}
	return nil
}

// User is an ordinary account with an entry in the password file, for tests that are started as root and drop.
type User struct {
	Name     string
	UID, GID uint32
}

// Unprivileged gives an account other than root that has a password entry: "nobody", which every Debian has.
func Unprivileged() (User, error) {
	b, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return User{}, err
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) < 4 || f[0] != "nobody" {
			continue
		}
		uid, err1 := strconv.ParseUint(f[2], 10, 32)
		gid, err2 := strconv.ParseUint(f[3], 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return User{}, err
		}
		return User{f[0], uint32(uid), uint32(gid)}, nil
	}
	return User{}, errors.New("no account \"nobody\" in /etc/passwd")
}

// Drop makes cmd run as u, without any of root's groups.
func (u User) Drop(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: u.UID, Gid: u.GID, NoSetGroups: false, Groups: nil}
}
