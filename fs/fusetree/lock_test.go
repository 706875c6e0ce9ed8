package fusetree

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"golang.org/x/sys/unix"
)

// lockEnv makes the test binary a program that opens the file that it names, or uses descriptor 3 if that is "-", and locks it as it
// is told on its standard input: "KIND TYPE [wait]". It answers each line with what it got.
const lockEnv = "SYFTFS_TEST_LOCK"

func lockMain(name string) error {
	f := os.NewFile(3, "inherited")
	if name != "-" {
		var err error
		if f, err = os.OpenFile(name, os.O_RDWR, 0); err != nil {
			return err
		}
	}
	fmt.Println("open")
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		w := strings.Fields(in.Text())
		fmt.Println(answer(lock(f, w[0], w[1], len(w) > 2)))
	}
	return errors.Join(in.Err(), f.Close())
}

// lock locks f: kind is flock, posix or ofd, typ is ex, sh or un.
func lock(f *os.File, kind, typ string, wait bool) error {
	if kind == "flock" {
		how := map[string]int{"ex": unix.LOCK_EX, "sh": unix.LOCK_SH, "un": unix.LOCK_UN}[typ]
		if !wait {
			how |= unix.LOCK_NB
		}
		return unix.Flock(int(f.Fd()), how)
	}
	cmd := map[string]int{"posix": unix.F_SETLK, "ofd": unix.F_OFD_SETLK}[kind]
	if wait {
		cmd++ // F_SETLKW, F_OFD_SETLKW
	}
	return unix.FcntlFlock(f.Fd(), cmd, &unix.Flock_t{Type: map[string]int16{"ex": unix.F_WRLCK, "sh": unix.F_RDLCK, "un": unix.F_UNLCK}[typ]})
}

func answer(err error) string {
	var e syscall.Errno
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &e):
		return unix.ErrnoName(e)
	}
	return err.Error()
}

// locker is a running program of lockMain.
type locker struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startLocker(t *testing.T, name string, inherit ...*os.File) *locker {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env, cmd.Dir, cmd.Stderr, cmd.ExtraFiles = append(os.Environ(), lockEnv+"="+name, "GORACE=atexit_sleep_ms=0"), "/", os.Stderr, inherit
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
	l := &locker{t, cmd, in, bufio.NewReader(out)}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			in.Close()
			cmd.Wait()
		}
	})
	if got := l.hear(); got != "open" {
		t.Fatalf("a program that locks: %s", got)
	}
	return l
}

func (l *locker) tell(line string) {
	l.t.Helper()
	if _, err := l.in.Write([]byte(line + "\n")); err != nil {
		l.t.Fatal(err)
	}
}

func (l *locker) hear() string {
	l.t.Helper()
	line, err := l.out.ReadString('\n')
	if err != nil {
		l.t.Fatalf("a program that locks is gone: %v", err)
	}
	return strings.TrimSpace(line)
}

func (l *locker) want(line, want string) {
	l.t.Helper()
	l.tell(line)
	if got := l.hear(); got != want {
		l.t.Errorf("%s: got %s, want %s", line, got, want)
	}
}

// waits tells it to wait for a lock, and returns when it does.
func (s *served) waits(l *locker, line string) {
	s.t.Helper()
	before, err := strconv.Atoi(s.ask("waiting"))
	if err != nil {
		s.t.Fatal(err)
	}
	l.tell(line + " wait")
	eventually(s.t, "a program that waits for a lock", func() bool { return s.ask("waiting") == strconv.Itoa(before+1) })
}

// kill ends the program as nothing can prevent it, and returns when it is gone.
func (l *locker) kill() {
	l.t.Helper()
	if err := l.cmd.Process.Kill(); err != nil {
		l.t.Fatal(err)
	}
	if err := l.cmd.Wait(); err == nil {
		l.t.Error("a program that was killed ended well")
	}
}

const reader = perm.User("sam@science.example")

func sam() mountSpec { return mountSpec{As: datasite.Identity{Subject: reader}} }

// shareLocked gives Rachel the right to write f, which is new, and Sam another one.
func (s *served) shareLocked(level string) {
	s.t.Helper()
	write(s.t, s.own(0, "f"), "hello")
	access := fmt.Sprintf("write: [%s], %s: [%s]", other, level, reader)
	if level == "write" {
		access = fmt.Sprintf("write: [%s, %s]", other, reader)
	}
	write(s.t, s.own(0, "syft.pub.yaml"), fmt.Sprintf("rules:\n- {pattern: \"**\", access: {%s}}\n", access))
}

func openFor(t *testing.T, name string, flag int) *os.File {
	t.Helper()
	f, err := os.OpenFile(name, flag, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func wantLock(t *testing.T, what string, f *os.File, kind, typ, want string) {
	t.Helper()
	if got := answer(lock(f, kind, typ, false)); got != want {
		t.Errorf("%s, %s %s: got %s, want %s", what, kind, typ, got, want)
	}
}

// TestLocksExclude: the owner's mount with shared locks, two views and a program on the backing tree, each against each.
func TestLocksExclude(t *testing.T) {
	s := serve(t, mountSpec{Features: Features{SharedLocks: true}}, rachel(), sam())
	s.shareLocked("admin")
	all := map[string]*os.File{
		"owner": openFor(t, s.own(0, "f"), os.O_RDWR), "Rachel": openFor(t, s.own(1, "f"), os.O_RDWR),
		"Sam": openFor(t, s.own(2, "f"), os.O_RDWR), "backing tree": openFor(t, s.stored("f"), os.O_RDWR),
	}
	for _, kind := range []string{"flock", "posix", "ofd"} {
		for holder, h := range all {
			for asker, a := range all {
				if holder == asker {
					continue
				}
				what := holder + " before " + asker
				wantLock(t, what, h, kind, "ex", "ok")
				wantLock(t, what, a, kind, "ex", "EAGAIN")
				wantLock(t, what, a, kind, "sh", "EAGAIN")
				wantLock(t, what, h, kind, "sh", "ok")
				wantLock(t, what, a, kind, "sh", "ok")
				wantLock(t, what, h, kind, "ex", "EAGAIN")
				if kind == "flock" { // which gives up what it had when it is refused more
					wantLock(t, what, h, kind, "sh", "ok")
				}
				wantLock(t, what, h, kind, "un", "ok")
				wantLock(t, what, a, kind, "ex", "ok")
				wantLock(t, what, a, kind, "un", "ok")
			}
		}
	}
}

// TestLocksOfTheOwnersMount are the kernel's: nothing of them reaches us or anybody else.
func TestLocksOfTheOwnersMount(t *testing.T) {
	s := serve(t, mountSpec{}, rachel())
	s.shareLocked("read")
	mine, below, hers := openFor(t, s.own(0, "f"), os.O_RDWR), openFor(t, s.stored("f"), os.O_RDWR), openFor(t, s.own(1, "f"), os.O_RDWR)
	another := startLocker(t, s.own(0, "f"))
	for _, kind := range []string{"flock", "posix"} {
		wantLock(t, "owner", mine, kind, "ex", "ok")
		another.want(kind+" sh", "EAGAIN")
		wantLock(t, "backing tree", below, kind, "ex", "ok")
		wantLock(t, "Rachel, against the backing tree", hers, kind, "ex", "EAGAIN")
		wantLock(t, "backing tree", below, kind, "un", "ok")
		wantLock(t, "owner", mine, kind, "un", "ok")
	}
}

func TestLockRights(t *testing.T) {
	s := serve(t, mountSpec{}, rachel(), sam())
	s.shareLocked("read")
	s.refusals()
	for _, tt := range []struct {
		name      string
		mount     int
		file      string
		flag      int
		exclusive string
	}{
		{"a writer who opened to read", 1, "f", os.O_RDONLY, "ok"},
		{"a writer who opened to write", 1, "f", os.O_WRONLY, "ok"},
		{"a reader", 2, "f", os.O_RDONLY, "EACCES"},
		{"a writer, a rule file", 1, "syft.pub.yaml", os.O_RDONLY, "EACCES"},
	} {
		f := openFor(t, s.own(tt.mount, tt.file), tt.flag)
		wantLock(t, tt.name, f, "flock", "sh", "ok")
		wantLock(t, tt.name, f, "flock", "ex", tt.exclusive)
		wantLock(t, tt.name, f, "flock", "un", "ok")
		said := s.refusals()
		if tt.exclusive == "ok" && len(said) > 0 || tt.exclusive != "ok" && (len(said) != 1 || !strings.Contains(said[0], "syft.pub.yaml line")) {
			t.Errorf("%s: refusals %q", tt.name, said)
		}
	}
}

func TestLockHolderIsKilled(t *testing.T) {
	s := serve(t, mountSpec{}, rachel(), sam())
	s.shareLocked("write")
	for _, kind := range []string{"flock", "posix", "ofd"} {
		holder, waiter := startLocker(t, s.own(1, "f")), startLocker(t, s.own(2, "f"))
		holder.want(kind+" ex", "ok")
		s.waits(waiter, kind+" ex")
		holder.kill()
		if got := waiter.hear(); got != "ok" {
			t.Errorf("%s: %s", kind, got)
		}
		waiter.want(kind+" un", "ok")
	}
}

func TestLockWaiterIsKilled(t *testing.T) {
	s := serve(t, mountSpec{}, rachel())
	s.shareLocked("read")
	for _, kind := range []string{"flock", "posix", "ofd"} {
		holder := openFor(t, s.stored("f"), os.O_RDWR)
		wantLock(t, "backing tree", holder, kind, "ex", "ok")
		waiter := startLocker(t, s.own(1, "f"))
		s.waits(waiter, kind+" ex")
		waiter.kill() // returns though the lock is not given up
		if got := s.ask("waiting"); got != "0" {
			t.Errorf("%s: %s requests wait for somebody who is gone", kind, got)
		}
		if err := holder.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLockInterrupted: a signal with a handler ends the wait only for who wants that; the lock is waited for again.
func TestLockInterrupted(t *testing.T) {
	s := serve(t, mountSpec{}, rachel())
	s.shareLocked("read")
	holder := openFor(t, s.stored("f"), os.O_RDWR)
	wantLock(t, "backing tree", holder, "flock", "ex", "ok")
	waiter := startLocker(t, s.own(1, "f"))
	s.waits(waiter, "flock ex")
	tasks, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(waiter.cmd.Process.Pid), "task"))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks { // as the Go runtime does to itself all the time
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Tgkill(waiter.cmd.Process.Pid, tid, unix.SIGURG); err != nil && err != unix.ESRCH {
			t.Fatal(err)
		}
	}
	wantLock(t, "backing tree", holder, "flock", "un", "ok")
	if got := waiter.hear(); got != "ok" {
		t.Errorf("after a signal: %s", got)
	}
}

// TestLockOfAnotherProcess: who inherits an open file does not inherit POSIX locks, and a close ends those of its process only.
func TestLockOfAnotherProcess(t *testing.T) {
	s := serve(t, mountSpec{}, rachel())
	s.shareLocked("read")
	below := openFor(t, s.stored("f"), os.O_RDWR)
	mine := openFor(t, s.own(1, "f"), os.O_RDWR)
	child := startLocker(t, "-", mine)
	wantLock(t, "parent", mine, "posix", "ex", "ok")
	child.want("posix ex", "EAGAIN")
	dup, err := unix.FcntlInt(mine.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Close(dup); err != nil { // any close gives up a process's locks
		t.Fatal(err)
	}
	child.want("posix ex", "ok")
	wantLock(t, "parent", mine, "posix", "sh", "EAGAIN")
	if err := mine.Close(); err != nil {
		t.Fatal(err)
	}
	wantLock(t, "backing tree", below, "posix", "ex", "EAGAIN")
	child.kill()
	eventually(t, "the lock of a program that is gone is given up", func() bool { return lock(below, "ofd", "ex", false) == nil })
}

func TestLockGetsBack(t *testing.T) {
	s := serve(t, mountSpec{}, rachel(), sam())
	s.shareLocked("write")
	a, b := openFor(t, s.own(1, "f"), os.O_RDWR), openFor(t, s.own(2, "f"), os.O_RDWR)
	if err := unix.FcntlFlock(a.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Start: 3, Len: 4}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ ask, want unix.Flock_t }{
		{unix.Flock_t{Type: unix.F_RDLCK}, unix.Flock_t{Type: unix.F_WRLCK, Start: 3, Len: 4}},
		{unix.Flock_t{Type: unix.F_RDLCK, Len: 3}, unix.Flock_t{Type: unix.F_UNLCK, Len: 3}},
	} {
		got := tt.ask
		if err := unix.FcntlFlock(b.Fd(), unix.F_GETLK, &got); err != nil {
			t.Fatal(err)
		}
		if got.Type != tt.want.Type || got.Start != tt.want.Start || got.Len != tt.want.Len {
			t.Errorf("%+v: got %+v, want %+v", tt.ask, got, tt.want)
		}
	}
}

func TestLockRightIsTakenAway(t *testing.T) {
	s := serve(t, mountSpec{}, rachel(), sam())
	s.shareLocked("write")
	below := openFor(t, s.stored("f"), os.O_RDWR)
	hers := openFor(t, s.own(1, "f"), os.O_RDONLY)
	waiter := startLocker(t, s.own(2, "f"))
	wantLock(t, "Rachel", hers, "flock", "ex", "ok")
	s.waits(waiter, "flock ex")
	s.grant("read", "**") // Rachel may read, Sam nothing
	if got := waiter.hear(); got != "EACCES" {
		t.Errorf("who waited: %s", got)
	}
	wantLock(t, "backing tree, before her next operation", below, "flock", "sh", "EAGAIN")
	if _, err := hers.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
	wantLock(t, "backing tree", below, "flock", "ex", "ok")
	wantLock(t, "backing tree", below, "flock", "sh", "ok")
	wantLock(t, "Rachel", hers, "flock", "ex", "EACCES")
	wantLock(t, "Rachel", hers, "flock", "sh", "ok")
}

func TestUnmountWhileSomebodyWaits(t *testing.T) {
	s := serve(t, mountSpec{}, rachel())
	s.shareLocked("read")
	holder := openFor(t, s.stored("f"), os.O_RDWR)
	wantLock(t, "backing tree", holder, "flock", "ex", "ok")
	waiter := startLocker(t, s.own(1, "f"))
	s.waits(waiter, "flock ex")
	waiter.in.Close() // it ends after the answer
	got := s.ask("close 20s")
	if s.gone = true; got != "closed" {
		t.Errorf("close: %s", got)
	}
	if got := waiter.hear(); got != "ENOLCK" {
		t.Errorf("who waited: %s, want ENOLCK", got)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestLocksOfVirtualFiles(t *testing.T) {
	s := serve(t, mountSpec{Features: Features{SharedLocks: true}, Virtual: true}, mountSpec{As: rachel().As, Virtual: true})
	s.shareLocked("write")
	write(t, filepath.Join(s.dir, "state", "draft"), "draft")
	for _, name := range []string{filepath.Join(s.at[0], ".syft/control"), filepath.Join(s.at[1], ".syft/control"), s.own(0, "jobs/draft"), s.own(1, "jobs/draft")} {
		for _, kind := range []string{"flock", "posix"} {
			a, b, waiter := openFor(t, name, os.O_RDWR), openFor(t, name, os.O_RDWR), startLocker(t, name)
			wantLock(t, name, a, kind, "ex", "ok")
			wantLock(t, name, b, kind, "sh", "EAGAIN")
			s.waits(waiter, kind+" ex")
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
			if got := waiter.hear(); got != "ok" {
				t.Errorf("%s, %s: %s", name, kind, got)
			}
			waiter.kill()
			if err := lock(b, kind, "ex", true); err != nil {
				t.Errorf("%s, %s: %v", name, kind, err)
			}
		}
	}
}
