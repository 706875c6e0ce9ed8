package posix

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// lockEnv makes the test binary another process that tries to lock the file that it names.
const lockEnv = "SYFTFS_TEST_LOCK"

// lockForAnother prints what a lock of the whole file for writing is answered, and ends as a process does.
func lockForAnother(name string) int {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		fmt.Print(err)
		return 1
	}
	defer f.Close()
	switch err := posixLock(f, unix.F_WRLCK); {
	case err == nil:
		fmt.Print("locked")
	case errors.Is(err, unix.EAGAIN):
		fmt.Print("EAGAIN")
	default:
		fmt.Print(err)
	}
	return 0
}

func posixLock(f *os.File, typ int16) error {
	return unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: typ})
}

// TestLocksOfOneProcess is why FcntlFlockLocksFile is left out where locks are local: on a plain folder it is as on a mount, where cases looks.
func TestLocksOfOneProcess(t *testing.T) { locksOfOneProcess(t, t.TempDir()) }

// locksOfOneProcess checks that POSIX locks are between processes: a second one of the same process is given, through
// whatever descriptor, while another process is refused until both are gone.
func locksOfOneProcess(t *testing.T, at string) {
	name := filepath.Join(at, "locked by a process")
	two := openTwice(t, name)
	another := func() string { return another(t, name) }
	if err := posixLock(two[0], unix.F_WRLCK); err != nil {
		t.Fatalf("lock: %v", err)
	}
	if got := another(); got != "EAGAIN" {
		t.Errorf("another process, locked for writing: %s, want EAGAIN", got)
	}
	if err := posixLock(two[1], unix.F_RDLCK); err != nil { // FcntlFlockLocksFile wants EAGAIN
		t.Errorf("lock again by the same process: %v", err)
	}
	if got := another(); got != "EAGAIN" {
		t.Errorf("another process, locked for reading: %s, want EAGAIN", got)
	}
	if err := posixLock(two[1], unix.F_UNLCK); err != nil {
		t.Fatalf("unlock: %v", err)
	}
	if got := another(); got != "locked" {
		t.Errorf("another process, unlocked: %s, want a lock", got)
	}
}

// openTwice opens one file twice, until the test ends.
func openTwice(t *testing.T, name string) (two [2]*os.File) {
	t.Helper()
	for i := range two {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		two[i] = f
	}
	return two
}

// another is what a process that is not this one gets when it locks the file for writing.
func another(t *testing.T, name string) string {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env, cmd.Dir = append(os.Environ(), lockEnv+"="+name, "GORACE=atexit_sleep_ms=0"), "/"
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("another process: %v, %s", err, out)
	}
	return string(out)
}

// sharedLocks checks what is different where locks are shared: a second lock of the same process is refused through another
// descriptor, as FcntlFlockLocksFile wants it, and programs on the backing tree are refused too. A close of one descriptor
// leaves the lock that was taken through the other, which natively it does not.
func sharedLocks(t *testing.T, tg target) {
	const file = "locked for everybody"
	name, stored := filepath.Join(tg.At, file), filepath.Join(tg.Stored, file)
	two := openTwice(t, name)
	refused := func(when string) {
		t.Helper()
		if err := posixLock(two[1], unix.F_RDLCK); err != unix.EAGAIN {
			t.Errorf("%s, another descriptor: got %v, want EAGAIN", when, err)
		}
		for _, at := range []string{name, stored} {
			if got := another(t, at); got != "EAGAIN" {
				t.Errorf("%s, another process, %s: %s, want EAGAIN", when, at, got)
			}
		}
	}
	if err := posixLock(two[0], unix.F_WRLCK); err != nil {
		t.Fatalf("lock: %v", err)
	}
	refused("locked")
	third, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := third.Close(); err != nil {
		t.Fatal(err)
	}
	refused("another descriptor closed")
	if err := posixLock(two[0], unix.F_UNLCK); err != nil {
		t.Fatalf("unlock: %v", err)
	}
	for _, at := range []string{name, stored} {
		if got := another(t, at); got != "locked" {
			t.Errorf("another process, unlocked, %s: %s, want a lock", at, got)
		}
	}
}

// locksOfOpenFiles checks that locks of two open files stand in each other's way, in one process too.
func locksOfOpenFiles(t *testing.T, at string) {
	name := filepath.Join(at, "locked by an open file")
	lock := func(typ int16) (*os.File, error) {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
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
	if err != unix.EAGAIN {
		t.Errorf("lock what is locked: got %v, want EAGAIN", err)
	}
	defer two.Close()
}
