package guard

import (
	"context"
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func flock(typ int16) Lock { return Lock{Flock: true, Type: typ} }

func posix(who uint64, typ int16, start, length int64) Lock {
	return Lock{Holder: who, Type: typ, Start: start, Len: length}
}

// outside opens the file as a program does that works on the real directory.
func (w *world) outside(rel string) *os.File {
	w.t.Helper()
	f, err := os.OpenFile(filepath.Join(w.dir, string(owner), rel), os.O_RDWR, 0)
	must(w.t, err)
	w.t.Cleanup(func() { f.Close() })
	return f
}

// locked reports whether another program could not lock the file exclusively now.
func locked(t *testing.T, f *os.File, flock bool) bool {
	t.Helper()
	try := func(take bool) error {
		if flock {
			return unix.Flock(int(f.Fd()), map[bool]int{true: unix.LOCK_EX | unix.LOCK_NB, false: unix.LOCK_UN}[take])
		}
		return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: map[bool]int16{true: unix.F_WRLCK, false: unix.F_UNLCK}[take]})
	}
	err := try(true)
	if err == nil {
		must(t, try(false))
		return false
	}
	if err != unix.EAGAIN {
		t.Fatal(err)
	}
	return true
}

func want(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

func TestLocksNeedTheirRight(t *testing.T) {
	for _, tt := range []struct {
		who       perm.User
		rel       string
		flag      int
		shared    error
		exclusive error
	}{
		{owner, "shared/f", unix.O_RDONLY, nil, nil},
		{owner, "shared/sub/syft.pub.yaml", unix.O_RDONLY, nil, nil},
		{admin, "shared/f", unix.O_RDONLY, nil, nil},
		{admin, "shared/sub/syft.pub.yaml", unix.O_RDONLY, nil, nil},
		{writer, "shared/f", unix.O_RDONLY, nil, nil},
		{writer, "shared/f", unix.O_WRONLY, nil, nil},
		{writer, "shared/f", unix.O_RDWR, nil, nil},
		{writer, "shared/sub/syft.pub.yaml", unix.O_RDONLY, nil, iofs.ErrPermission},
		{creator, "shared/f", unix.O_RDONLY, nil, iofs.ErrPermission},
		{creator, "shared/new", unix.O_RDWR | unix.O_CREAT, nil, nil}, // until it is closed
		{reader, "shared/f", unix.O_RDONLY, nil, iofs.ErrPermission},
	} {
		t.Run(string(tt.who)+" "+tt.rel, func(t *testing.T) {
			w := newWorld(t)
			f := w.open(tt.who, tt.rel, tt.flag)
			want(t, "shared", f.SetLock(t.Context(), flock(unix.F_RDLCK), false), tt.shared)
			err := f.SetLock(t.Context(), flock(unix.F_WRLCK), false)
			want(t, "exclusive", err, tt.exclusive)
			if d := (*Denied)(nil); tt.exclusive != nil && (!errors.As(err, &d) || len(d.Decision.Steps) == 0) {
				t.Errorf("no reason in %v", err)
			}
			must(t, f.SetLock(t.Context(), flock(unix.F_UNLCK), false))
			must(t, f.Close())
			want(t, "closed", f.SetLock(t.Context(), flock(unix.F_RDLCK), false), iofs.ErrClosed)
		})
	}
}

func TestLocksAreHeldOnTheFileBelow(t *testing.T) {
	w := newWorld(t)
	out := w.outside("shared/f")
	a, b := w.open(writer, "shared/f", unix.O_RDWR), w.open(admin, "shared/f", unix.O_RDWR)
	for _, kind := range []struct {
		name  string
		flock bool
		k     func(typ int16) Lock
	}{
		{"flock", true, flock},
		{"posix", false, func(typ int16) Lock { return posix(7, typ, 0, 0) }},
	} {
		t.Run(kind.name, func(t *testing.T) {
			set := func(f *File, typ int16) error { return f.SetLock(t.Context(), kind.k(typ), false) }
			must(t, set(a, unix.F_RDLCK))
			must(t, set(b, unix.F_RDLCK))
			want(t, "exclusive beside shared", set(a, unix.F_WRLCK), unix.EAGAIN)
			must(t, set(b, unix.F_UNLCK))
			must(t, set(a, unix.F_WRLCK))
			want(t, "shared beside exclusive", set(b, unix.F_RDLCK), unix.EAGAIN)
			if !locked(t, out, kind.flock) {
				t.Error("a program on the real directory got the lock too")
			}
			must(t, set(a, unix.F_UNLCK))
			if locked(t, out, kind.flock) {
				t.Error("the lock was not given up")
			}
		})
	}
	must(t, a.SetLock(t.Context(), flock(unix.F_WRLCK), false))
	must(t, a.SetLock(t.Context(), posix(1, unix.F_WRLCK, 0, 1), false))
	must(t, a.Close())
	if locked(t, out, true) || locked(t, out, false) {
		t.Error("a closed file holds a lock")
	}
	must(t, b.Close())
}

func TestHoldersOfOneOpenFile(t *testing.T) {
	w := newWorld(t)
	out := w.outside("shared/f")
	f, g := w.open(writer, "shared/f", unix.O_RDWR), w.open(writer, "shared/f", unix.O_RDWR)
	defer f.Close()
	defer g.Close()
	set := func(f *File, k Lock) error { return f.SetLock(t.Context(), k, false) }
	must(t, set(f, posix(1, unix.F_WRLCK, 0, 10)))
	want(t, "another holder, the same bytes", set(f, posix(2, unix.F_RDLCK, 5, 1)), unix.EAGAIN)
	must(t, set(f, posix(2, unix.F_WRLCK, 10, 0)))
	want(t, "the same holder through another open file", set(g, posix(1, unix.F_RDLCK, 0, 1)), unix.EAGAIN)
	k, err := f.TestLock(posix(3, unix.F_WRLCK, 0, 0))
	if err != nil || k.Type != unix.F_WRLCK || k.Start != 0 || k.Len != 10 {
		t.Errorf("test: %+v, %v", k, err)
	}
	f.ReleaseLocks(1)
	must(t, set(f, posix(2, unix.F_RDLCK, 5, 1)))
	g.ReleaseLocks(2) // of that open file there is none
	if !locked(t, out, false) {
		t.Error("a release of another open file took the locks")
	}
	f.ReleaseLocks(2)
	if locked(t, out, false) {
		t.Error("the last release left a lock")
	}
	if k, err := f.TestLock(posix(3, unix.F_WRLCK, 0, 0)); err != nil || k.Type != unix.F_UNLCK {
		t.Errorf("test: %+v, %v", k, err)
	}
	must(t, set(f, posix(9, unix.F_UNLCK, 0, 0)))
}

func TestLocksGoWithTheRight(t *testing.T) {
	const writes = "rules:\n- {pattern: \"**\", access: {write: [writer@x.org], read: [reader@x.org]}}\n"
	const reads = "rules:\n- {pattern: \"**\", access: {read: [writer@x.org, reader@x.org]}}\n"
	for name, tt := range map[string]struct {
		rules      string
		next       func(*File) error // the operation that finds out
		wantShared bool              // kept
	}{
		"write is gone, a read":     {reads, func(f *File) error { _, err := f.ReadAt(make([]byte, 1), 0); return err }, true},
		"write is gone, a write":    {reads, func(f *File) error { _, err := f.WriteAt([]byte("x"), 0); return err }, true},
		"all is gone, a read":       {"rules: []\n", func(f *File) error { _, err := f.ReadAt(make([]byte, 1), 0); return err }, false},
		"all is gone, another lock": {"rules: []\n", func(f *File) error { return f.SetLock(t.Context(), flock(unix.F_RDLCK), false) }, false},
	} {
		for _, flag := range []int{unix.O_RDONLY, unix.O_RDWR} {
			if flag == unix.O_RDONLY && strings.HasSuffix(name, "a write") {
				continue
			}
			t.Run(name, func(t *testing.T) {
				w := newWorld(t)
				w.rules("secret/syft.pub.yaml", writes)
				out := w.outside("secret/f")
				f := w.open(writer, "secret/f", flag)
				defer f.Close()
				must(t, f.SetLock(t.Context(), flock(unix.F_WRLCK), false))
				must(t, f.SetLock(t.Context(), posix(1, unix.F_RDLCK, 0, 1), false))
				if flag == unix.O_RDWR {
					must(t, f.SetLock(t.Context(), posix(1, unix.F_WRLCK, 5, 1), false))
				}
				w.rules("secret/syft.pub.yaml", tt.rules)
				if !locked(t, out, true) {
					t.Error("the lock is gone before the next operation")
				}
				if err := tt.next(f); err != nil && !errors.Is(err, iofs.ErrPermission) {
					t.Error(err)
				}
				if locked(t, out, true) {
					t.Error("who may not write holds an exclusive lock")
				}
				one := func(start int64) error {
					return unix.FcntlFlock(out.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Start: start, Len: 1})
				}
				must(t, one(5))
				if err := one(0); (err == unix.EAGAIN) != tt.wantShared {
					t.Errorf("the shared lock is kept: %v, want %v", err == unix.EAGAIN, tt.wantShared)
				}
				want(t, "exclusive again", f.SetLock(t.Context(), flock(unix.F_WRLCK), false), iofs.ErrPermission)
			})
		}
	}
}

func TestWaitForALock(t *testing.T) {
	var g Guard // only its queue
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	must(t, os.WriteFile(name, nil, 0o644))
	open := func(t *testing.T) *Locks {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		must(t, err)
		l, err := NewLocks(&g.lockers, int(f.Fd()))
		must(t, err)
		t.Cleanup(func() {
			l.Close()
			f.Close()
		})
		return l
	}
	// wait begins to wait, and gives what the wait ends with. Nobody waits before it is on the list.
	wait := func(t *testing.T, ctx context.Context, l *Locks, k Lock, may func() error) <-chan error {
		t.Helper()
		got := make(chan error, 1)
		tried := make(chan struct{}, 1)
		go func() {
			got <- l.Set(ctx, k, true, func() error {
				select {
				case tried <- struct{}{}:
				default:
				}
				if may != nil {
					return may()
				}
				return nil
			})
		}()
		<-tried
		return got
	}
	for name, k := range map[string]Lock{"flock": flock(unix.F_WRLCK), "posix": posix(1, unix.F_WRLCK, 0, 0)} {
		free := k
		free.Type = unix.F_UNLCK
		t.Run(name+" is given up", func(t *testing.T) {
			a, b := open(t), open(t)
			must(t, a.Set(t.Context(), k, false, nil))
			got := wait(t, t.Context(), b, k, nil)
			must(t, a.Set(t.Context(), free, false, nil))
			must(t, <-got)
		})
		t.Run(name+" is closed", func(t *testing.T) {
			a, b := open(t), open(t)
			must(t, a.Set(t.Context(), k, false, nil))
			got := wait(t, t.Context(), b, k, nil)
			a.Close()
			must(t, <-got)
		})
		t.Run(name+" the waiter is closed", func(t *testing.T) {
			a, b := open(t), open(t)
			must(t, a.Set(t.Context(), k, false, nil))
			got := wait(t, t.Context(), b, k, nil)
			b.Close()
			want(t, "wait", <-got, iofs.ErrClosed)
		})
		t.Run(name+" the waiter is interrupted", func(t *testing.T) {
			a, b := open(t), open(t)
			must(t, a.Set(t.Context(), k, false, nil))
			ctx, cancel := context.WithCancelCause(t.Context())
			got := wait(t, ctx, b, k, nil)
			cancel(syscall.ENOLCK)
			want(t, "wait", <-got, syscall.ENOLCK)
		})
		t.Run(name+" the waiter loses the right", func(t *testing.T) {
			a, b := open(t), open(t)
			must(t, a.Set(t.Context(), k, false, nil))
			tries := 0
			got := wait(t, t.Context(), b, k, func() error {
				if tries++; tries > 1 {
					return iofs.ErrPermission
				}
				return nil
			})
			want(t, "wait", <-got, iofs.ErrPermission)
		})
		t.Run(name+" is held by a program that tells nobody", func(t *testing.T) {
			f, err := os.OpenFile(filepath.Join(dir, "f"), os.O_RDWR, 0)
			must(t, err)
			must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
			must(t, unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}))
			got := wait(t, t.Context(), open(t), k, nil)
			must(t, f.Close())
			must(t, <-got)
		})
	}
	if len(g.lockers.bells) != 0 {
		t.Errorf("%d files are still waited for", len(g.lockers.bells))
	}
}

func TestLocksOfAFileThatMovedAway(t *testing.T) {
	w := newWorld(t)
	f := w.open(writer, "shared/f", unix.O_RDWR)
	defer f.Close()
	must(t, f.SetLock(t.Context(), flock(unix.F_WRLCK), false))
	must(t, w.views[owner].Rename(t.Context(), at("shared/f"), at("secret/moved"), 0))
	_, err := f.TestLock(posix(1, unix.F_WRLCK, 0, 0))
	want(t, "test", err, iofs.ErrPermission)
	if locked(t, w.outside("secret/moved"), true) {
		t.Error("the lock stayed on a file that its holder cannot see")
	}
	if d := (*Denied)(nil); !errors.As(err, &d) || d.Path != (datasite.Path{Owner: owner, Rel: "shared/f"}) {
		t.Errorf("tells where the file went: %v", err)
	}
}

// TestSpans compares with a map of bytes.
func TestSpans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const size = 20
		var all spans
		var bytes [size]bool
		for range rapid.IntRange(0, 20).Draw(t, "steps") {
			k := posix(1, 0, rapid.Int64Range(0, size-1).Draw(t, "start"), rapid.Int64Range(0, size).Draw(t, "len"))
			add := rapid.Bool().Draw(t, "add")
			all = all.without(k.span())
			if add {
				all = append(all, k.span())
			}
			for i := k.Start; i < size && i < k.span().end; i++ {
				bytes[i] = add
			}
		}
		for i := range int64(size) {
			n := 0
			for _, s := range all {
				if s.start <= i && i < s.end {
					n++
				}
			}
			if want := map[bool]int{true: 1}[bytes[i]]; n != want {
				t.Fatalf("byte %d is in %d spans, want %d: %v", i, n, want, all)
			}
		}
	})
}
