package fusetree

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/perm"
	"golang.org/x/sys/unix"
)

// offered is a change that comes from elsewhere; of "-", there is no file.
type offered struct {
	From          perm.User
	Path          datasite.Path
	Before, After string
}

func (s *served) apply(from perm.User, p datasite.Path, before, after string) string {
	s.t.Helper()
	b, err := json.Marshal(offered{from, p, before, after})
	if err != nil {
		s.t.Fatal(err)
	}
	return s.ask("apply " + base64.StdEncoding.EncodeToString(b))
}

// applyMain is the part of the server.
func applyMain(ctx context.Context, g *guard.Guard, text string) string {
	b, err := base64.StdEncoding.DecodeString(text)
	var o offered
	if err == nil {
		err = json.Unmarshal(b, &o)
	}
	if err != nil {
		return err.Error()
	}
	c := datasite.Change{Op: datasite.OpRemove, Path: o.Path}
	if o.Before != "-" {
		c.Before.Hash = sha256.Sum256([]byte(o.Before))
	}
	var body io.Reader
	if o.After != "-" {
		c.Op, body = datasite.OpWrite, strings.NewReader(o.After)
	}
	if err := g.Apply(ctx, o.From, c, body); err != nil {
		return strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return "ok"
}

// watcher is what a file manager has: inotify on folders.
type watcher struct {
	t    *testing.T
	f    *os.File
	dirs map[int32]string
	seen []string
}

func watch(t *testing.T, dirs ...string) *watcher {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	w := &watcher{t: t, f: os.NewFile(uintptr(fd), "inotify"), dirs: map[int32]string{}}
	t.Cleanup(func() { w.f.Close() })
	for _, d := range dirs {
		w.add(d)
	}
	return w
}

func (w *watcher) add(dir string) {
	w.t.Helper()
	wd, err := unix.InotifyAddWatch(int(w.f.Fd()), dir, unix.IN_CREATE|unix.IN_DELETE|unix.IN_MOVE|unix.IN_CLOSE_WRITE)
	if err != nil {
		w.t.Fatal(err)
	}
	w.dirs[int32(wd)] = filepath.Base(dir)
}

// until reads events until one is want.
func (w *watcher) until(want string) {
	w.t.Helper()
	fd := int(w.f.Fd())
	buf := make([]byte, 1<<16)
	for !slices.Contains(w.seen, want) {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(poll, 20_000); err == unix.EINTR {
			continue
		} else if n == 0 || err != nil {
			w.t.Fatalf("%s did not happen (%v), but %q", want, err, w.seen)
		}
		n, err := unix.Read(fd, buf)
		if err != nil {
			w.t.Fatal(err)
		}
		for b := buf[:n]; len(b) > 0; {
			e := (*unix.InotifyEvent)(unsafe.Pointer(&b[0]))
			name := strings.TrimRight(string(b[unix.SizeofInotifyEvent:unix.SizeofInotifyEvent+e.Len]), "\x00")
			b = b[unix.SizeofInotifyEvent+e.Len:]
			what := map[uint32]string{unix.IN_CREATE: "create", unix.IN_DELETE: "delete", unix.IN_MOVED_TO: "moved to", unix.IN_MOVED_FROM: "moved from",
				unix.IN_CLOSE_WRITE: "written"}[e.Mask&^unix.IN_ISDIR]
			w.seen = append(w.seen, what+" "+w.dirs[e.Wd]+"/"+name)
		}
	}
}

func mine(rel string) datasite.Path { return datasite.Path{Owner: owner, Rel: rel} }

// Whoever watches the mount sees what a peer sent as it sees the work of a neighbour; other mounts show it at once.
func TestAPeersChangeIsSeenByWatchers(t *testing.T) {
	s := serve(t, mountSpec{}, mountSpec{As: datasite.Identity{Subject: other}})
	s.grant("write", "shared/**")
	if err := os.Mkdir(s.own(0, "shared"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, s.own(0, "shared", "f"), "old")
	if got := read(t, s.own(1, "shared", "f")); got != "old" {
		t.Fatalf("the view shows %q", got)
	}
	w := watch(t, s.own(0, "shared"), s.at[0])
	if got := s.apply(other, mine("shared/f"), "old", "new!"); got != "ok" {
		t.Fatal(got)
	}
	w.until("moved to shared/f")
	for i := range s.at {
		if got := read(t, s.own(i, "shared", "f")); got != "new!" {
			t.Errorf("mount %d shows %q", i, got)
		}
	}
	if got := s.apply(other, mine("shared/new/deep/f"), "-", "first"); got != "ok" {
		t.Fatal(got)
	}
	w.until("create shared/new")
	w.add(s.own(0, "shared", "new", "deep"))
	if got := s.apply(other, mine("shared/new/deep/f"), "first", "-"); got != "ok" {
		t.Fatal(got)
	}
	w.until("delete deep/f")
	if got := s.apply(other, mine("shared/new/deep"), "-", "a file now"); got != "ok" {
		t.Fatal(got)
	}
	if got := read(t, s.own(1, "shared", "new", "deep")); got != "a file now" {
		t.Errorf("the view shows %q", got)
	}
	// The first delivery of a datasite appears at the top.
	if got := s.apply("pat@y.example", datasite.Path{Owner: "pat@y.example", Rel: "public/f"}, "-", "theirs"); got != "ok" {
		t.Fatal(got)
	}
	w.until("create " + filepath.Base(s.at[0]) + "/pat@y.example")
	if got := read(t, filepath.Join(s.at[0], "pat@y.example", "public", "f")); got != "theirs" {
		t.Errorf("the replica shows %q", got)
	}
	if got := names(t, s.own(0, "shared")); !slices.Equal(got, []string{"f", "new"}) {
		t.Errorf("shared holds %q", got)
	}
	if got := s.refusals(); len(got) > 0 {
		t.Errorf("refused %q", got)
	}
	for _, d := range []string{s.stored("shared"), s.stored("shared/new")} {
		if got := names(t, d); slices.ContainsFunc(got, func(n string) bool { return strings.HasPrefix(n, ".syftfs") }) {
			t.Errorf("%s holds %q", d, got)
		}
	}
}

// Many files in one go, with what the kernel remembers about their names.
func TestManyChangesOfPeers(t *testing.T) {
	s := serve(t)
	if err := os.Mkdir(s.own(0, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		name := "f" + strconv.Itoa(i)
		if _, err := os.Stat(s.own(0, "d", name)); !os.IsNotExist(err) {
			t.Fatal(err)
		}
		for v, before := 0, "-"; v < 3; v++ {
			after := fmt.Sprint("version ", v)
			if got := s.apply(owner, mine("d/"+name), before, after); got != "ok" {
				t.Fatal(got)
			}
			if got := read(t, s.own(0, "d", name)); got != after {
				t.Fatalf("%s shows %q, want %q", name, got, after)
			}
			before = after
		}
	}
}

func (s *served) helper() int {
	s.t.Helper()
	pid, err := strconv.Atoi(s.ask("helper"))
	if err != nil || pid == 0 {
		s.t.Fatalf("helper %d, %v", pid, err)
	}
	return pid
}

// A helper that is gone, or stuck, holds nothing up: the change is made directly, once.
func TestChangesWithoutAHelper(t *testing.T) {
	for name, signal := range map[string]syscall.Signal{"killed": syscall.SIGKILL, "stopped": syscall.SIGSTOP} {
		t.Run(name, func(t *testing.T) {
			s := &served{t: t, limit: 300 * time.Millisecond}
			s.mount()
			if got := s.apply(owner, mine("f"), "-", "one"); got != "ok" {
				t.Fatal(got)
			}
			if err := syscall.Kill(s.helper(), signal); err != nil {
				t.Fatal(err)
			}
			if got := s.apply(owner, mine("f"), "one", "two"); got != "ok" {
				t.Fatal(got)
			}
			eventually(t, "the mount shows the change", func() bool { return read(t, s.own(0, "f")) == "two" })
			if got := s.ask("helper"); got != "0" {
				t.Errorf("the helper is still %s", got)
			}
			if got := s.apply(owner, mine("f"), "two", "-"); got != "ok" {
				t.Fatal(got)
			}
			eventually(t, "the file is gone", func() bool { _, err := os.Stat(s.own(0, "f")); return os.IsNotExist(err) })
		})
	}
}

// Nobody but the helper finds a hidden name, and the helper may do nothing but what it was asked for.
func TestTheHelperIsHeldToWhatItWasAskedFor(t *testing.T) {
	p := newPlacer()
	s := &guard.Step{Call: guard.CallRename, Path: mine("d/f"), Name: ".hidden"}
	at := func(rel string) place { return place{gate: true, path: mine(rel)} }
	p.step.Store(s)
	for _, c := range []struct {
		name   string
		call   guard.Call
		at     place
		hidden string
		want   bool
	}{
		{"what it was asked for", guard.CallRename, at("d/f"), ".hidden", true},
		{"another call", guard.CallUnlink, at("d/f"), "", false},
		{"another name", guard.CallRename, at("d/g"), ".hidden", false},
		{"another hidden name", guard.CallRename, at("d/f"), ".other", false},
		{"of a provider", guard.CallRename, place{path: mine("d/f")}, ".hidden", false},
		{"as a provider shows it", guard.CallRename, place{gate: true, via: 7, path: mine("d/f")}, ".hidden", false},
	} {
		if got := p.asked(c.call, c.at, c.hidden) == s; got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
	if p.isHelper(0) || p.isHelper(1) {
		t.Error("there is no helper yet")
	}
	p.tid.Store(7)
	if !p.isHelper(7) || p.isHelper(8) {
		t.Error("the helper is not known")
	}
}

// A program that the server starts does not get the device of the mount.
func TestTheDeviceIsNotInherited(t *testing.T) {
	s := serve(t)
	if got := s.apply(owner, mine("f"), "-", "one"); got != "ok" {
		t.Fatal(got)
	}
	dir := fmt.Sprintf("/proc/%d/fd", s.helper())
	for _, n := range names(t, dir) {
		if to, err := os.Readlink(filepath.Join(dir, n)); err == nil && to == "/dev/fuse" {
			t.Errorf("descriptor %s of the helper is %s", n, to)
		}
	}
}
