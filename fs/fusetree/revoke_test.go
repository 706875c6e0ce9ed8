package fusetree

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"golang.org/x/sys/unix"
)

// mapping is a file of 4 pages that is mapped through a view.
type mapping struct {
	t *testing.T
	b []byte
}

const pages = 4

func mapFile(t *testing.T, f *os.File, prot int) mapping {
	t.Helper()
	b, err := unix.Mmap(int(f.Fd()), 0, pages*os.Getpagesize(), prot, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Munmap(b); err != nil {
			t.Error(err)
		}
	})
	return mapping{t, b}
}

// at gives the first byte of a page; ok is false if the kernel answers SIGBUS.
func (m mapping) at(page int) (c byte, ok bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			ok = false
		}
	}()
	return m.b[page*os.Getpagesize()], true
}

// put writes the first byte of a page.
func (m mapping) put(page int, c byte) (ok bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			ok = false
		}
	}()
	m.b[page*os.Getpagesize()] = c
	return true
}

func (m mapping) want(when string, page int, want byte) {
	m.t.Helper()
	if c, ok := m.at(page); !ok || c != want {
		m.t.Errorf("%s, page %d: %q, %v, want %q", when, page, c, ok, want)
	}
}

// wantGone waits until a page faults, and checks that all others do then.
func (m mapping) wantGone(when string) {
	m.t.Helper()
	eventually(m.t, when+": a mapped page is dropped", func() bool { _, ok := m.at(0); return !ok })
	for page := range pages {
		if _, ok := m.at(page); ok {
			m.t.Errorf("%s: page %d can still be read", when, page)
		}
	}
}

func body(c string) string { return strings.Repeat(c, pages*os.Getpagesize()) }

// TestRevokedMapping: pages that are mapped are dropped with the right, and come back with it.
func TestRevokedMapping(t *testing.T) {
	s := serve(t, mountSpec{}, rachel())
	write(t, s.own(0, "f"), body("x"))
	s.grant("read", "f")
	f := openFor(t, s.own(1, "f"), os.O_RDONLY)
	m := mapFile(t, f, unix.PROT_READ)
	for round := range 3 {
		m.want("before", 0, 'x')
		m.want("before", round, 'x')
		s.revoke()
		m.wantGone("after")
		_, err := f.ReadAt(make([]byte, 1), 0)
		wantErrno(t, "read after", err, syscall.EACCES)
		_, err = os.Lstat(s.own(1, "f"))
		wantErrno(t, "stat after", err, syscall.ENOENT)
		s.grant("read", "f") // what was absent a moment ago is there at once
		if _, err := os.Lstat(s.own(1, "f")); err != nil {
			t.Error(err)
		}
		m.want("given back", 3, 'x')
	}
}

// TestRevokedMappingOfWhatIsGone: a file that lost its name, or has another one, is still mapped and still forbidden.
func TestRevokedMappingOfWhatIsGone(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, s *served){
		"replaced": func(t *testing.T, s *served) {
			write(t, s.own(0, "new"), body("n"))
			if err := os.Rename(s.own(0, "new"), s.own(0, "f")); err != nil {
				t.Fatal(err)
			}
		},
		"removed": func(t *testing.T, s *served) {
			if err := os.Remove(s.own(0, "f")); err != nil {
				t.Fatal(err)
			}
		},
		"renamed": func(t *testing.T, s *served) {
			if err := os.Rename(s.own(0, "f"), s.own(0, "g")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, mountSpec{}, rachel())
			write(t, s.own(0, "f"), body("x"))
			s.grant("read", "*")
			m := mapFile(t, openFor(t, s.own(1, "f"), os.O_RDONLY), unix.PROT_READ)
			m.want("before", 0, 'x')
			lose(t, s)
			names(t, s.own(1)) // the kernel learns of it
			_, err := os.Lstat(s.own(1, "f"))
			if name != "replaced" {
				wantErrno(t, "the old name", err, syscall.ENOENT)
			}
			m.want("without its name", 0, 'x')
			s.revoke()
			m.wantGone("after")
		})
	}
}

// TestRevokedWritableMapping: what reached the gate before is kept; what was only in the kernel's pages when the right to write went is
// lost to whoever wrote it, never stored, and msync or fsync say so.
func TestRevokedWritableMapping(t *testing.T) {
	s := serve(t, mountSpec{}, rachel())
	write(t, s.own(0, "f"), body("x"))
	s.grant("write", "f")
	f := openFor(t, s.own(1, "f"), os.O_RDWR)
	m := mapFile(t, f, unix.PROT_READ|unix.PROT_WRITE)
	if !m.put(0, 'k') {
		t.Fatal("cannot write a mapping")
	}
	if err := unix.Msync(m.b, unix.MS_SYNC); err != nil {
		t.Fatal(err)
	}
	if !m.put(1, 'l') {
		t.Fatal("cannot write a mapping")
	}
	s.grant("read", "f")
	_, err := f.WriteAt([]byte("no"), 0)
	wantErrno(t, "write after", err, syscall.EACCES)
	m.put(2, 'l') // the page may be there; it does not get further
	if err := unix.Msync(m.b, unix.MS_SYNC); err == nil {
		t.Error("msync tells nothing of what was not stored")
	} else {
		t.Log(err)
	}
	eventually(t, "the pages are as the file is", func() bool { c, ok := m.at(1); return ok && c == 'x' })
	m.want("kept", 0, 'k')
	for _, at := range []string{s.own(0, "f"), s.stored("f")} {
		got := read(t, at)
		for page, want := range "kxxx" {
			if got[page*os.Getpagesize()] != byte(want) {
				t.Errorf("%s, page %d: %q, want %q", at, page, got[page*os.Getpagesize()], want)
			}
		}
	}
	if err := f.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	s.revoke()
	m.wantGone("all is gone")
	if m.put(0, 'z') {
		t.Error("a page was written after all rights were gone")
	}
}

// TestRevokedFolder: whoever is in the middle of a listing sees no name more of what went out of sight.
func TestRevokedFolder(t *testing.T) {
	s := serve(t, mountSpec{}, rachel())
	if err := os.Mkdir(s.own(0, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	const count = 400 // more than the kernel asks for at once
	long := strings.Repeat("n", 200)
	for i := range count {
		write(t, s.own(0, "d", fmt.Sprintf("%03d-%s", i, long)), "x")
	}
	rest := func(fd int) (names []string, err error) {
		buf := make([]byte, 4096)
		for {
			n, err := unix.ReadDirent(fd, buf)
			if err != nil || n <= 0 {
				return names, err
			}
			_, _, names = unix.ParseDirent(buf[:n], -1, names)
		}
	}
	begin := func() (fd int, first []string) {
		t.Helper()
		s.grant("read", "d/**")
		fd, err := unix.Open(s.own(1, "d"), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		buf := make([]byte, 4096)
		n, err := unix.ReadDirent(fd, buf)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, first = unix.ParseDirent(buf[:n], -1, nil); len(first) == 0 || len(first) >= count {
			t.Fatalf("%d names at first", len(first))
		}
		return fd, first
	}

	fd, _ := begin()
	s.revoke()
	more, err := rest(fd)
	wantErrno(t, "the rest of a listing", err, syscall.ENOENT)
	if len(more) > 0 {
		t.Errorf("%d names after the right was gone", len(more))
	}

	fd, first := begin()
	s.grant("read", "d/39*")
	if more, err = rest(fd); err != nil {
		t.Fatal(err)
	}
	if len(more) != 10 || slices.ContainsFunc(more, func(n string) bool { return !strings.HasPrefix(n, "39") }) {
		t.Errorf("%d names after %d, want the ten that can be seen: %q", len(more), len(first), more)
	}
}

// TestRenameAcrossRules: a handle follows its file, and may what is allowed there.
func TestRenameAcrossRules(t *testing.T) {
	s := serve(t, mountSpec{}, rachel())
	for _, d := range []string{"in", "out"} {
		if err := os.Mkdir(s.own(0, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, s.own(0, "in/f"), body("x"))
	s.grant("write", "in/**")
	f := openFor(t, s.own(1, "in/f"), os.O_RDWR)
	m := mapFile(t, f, unix.PROT_READ)
	m.want("before", 0, 'x')
	if err := os.Rename(s.own(0, "in/f"), s.own(0, "out/f")); err != nil {
		t.Fatal(err)
	}
	_, err := f.ReadAt(make([]byte, 1), 0)
	wantErrno(t, "read", err, syscall.EACCES)
	_, err = f.WriteAt([]byte("y"), 0)
	wantErrno(t, "write", err, syscall.EACCES)
	m.wantGone("moved out of sight")
	if err := os.Rename(s.own(0, "out/f"), s.own(0, "in/g")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("y"), 0); err != nil {
		t.Error(err)
	}
	m.want("moved back", 0, 'y')
}

// TestDateRule: what a rule grants for one day ends with it, also for who has the file open.
func TestDateRule(t *testing.T) {
	s := serve(t, mountSpec{}, rachel())
	today := time.Now().UTC()
	if today.Hour() == 23 && today.Minute() == 59 { // the day must not end by itself
		s.ask("later 12h")
		today = today.Add(12 * time.Hour)
	}
	day := today.Format("2006-01-02")
	if err := os.Mkdir(s.own(0, day), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, s.own(0, day, "f"), body("x"))
	s.grant("write", "{{.Year}}-{{.Month}}-{{.Date}}/**")
	name := s.own(1, day, "f")
	f := openFor(t, name, os.O_RDWR)
	m := mapFile(t, f, unix.PROT_READ)
	m.want("today", 0, 'x')
	if _, err := f.WriteAt([]byte("y"), 0); err != nil {
		t.Fatal(err)
	}
	s.ask("later 24h")
	_, err := f.ReadAt(make([]byte, 1), 0)
	wantErrno(t, "read tomorrow", err, syscall.EACCES)
	_, err = f.WriteAt([]byte("z"), 0)
	wantErrno(t, "write tomorrow", err, syscall.EACCES)
	_, err = os.Lstat(name)
	wantErrno(t, "stat tomorrow", err, syscall.ENOENT)
	m.wantGone("tomorrow")
}

// TestAttributesOfRights: what getfattr tells about rights, in the owner's mount and in views.
func TestAttributesOfRights(t *testing.T) {
	s := serve(t, mountSpec{Virtual: true}, mountSpec{As: rachel().As, Virtual: true})
	for _, d := range []string{"app", "secret"} {
		if err := os.Mkdir(s.own(0, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, s.own(0, "app/f"), "x")
	write(t, s.own(0, "f"), "x")
	write(t, s.own(0, "secret/f"), "x")
	write(t, filepath.Join(s.dir, "state", "draft"), "draft")
	s.grant("write", "{f,app/**}")
	get := func(name, attr string) (string, error) {
		buf := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(name, attr, buf)
		return string(buf[:max(n, 0)]), err
	}
	for _, tt := range []struct {
		name   string
		access string
		why    []string // in the text
		err    error
	}{
		{s.own(0, "f"), "admin", []string{"Owner of path", string(other) + ": write"}, nil},
		{s.own(0, "secret/f"), "admin", []string{"Owner of path", "Nobody else"}, nil},
		{s.own(0), "admin", []string{"Owner of path"}, nil},
		{s.own(0, "jobs/shown/f"), "admin", []string{"Owner of path"}, nil},
		{s.own(1, "f"), "write", []string{"Explicitly granted write", "Pattern '{f,app/**}' matched"}, nil},
		{s.own(1, "app"), "write", []string{"Pattern '{f,app/**}' matched"}, nil},
		{s.own(1, "jobs/shown/f"), "write", []string{"Pattern '{f,app/**}' matched"}, nil},
		{s.own(1), "", nil, syscall.EACCES}, // visible for what is below
		{s.own(1, "secret"), "", nil, syscall.ENOENT},
		{s.own(1, "secret/f"), "", nil, syscall.ENOENT},
		{s.own(1, "not there"), "", nil, syscall.ENOENT},
		{s.at[0], "", nil, syscall.ENODATA},
		{s.at[1], "", nil, syscall.ENODATA},
		{filepath.Join(s.at[1], ".syft"), "", nil, syscall.ENODATA},
		{filepath.Join(s.at[1], ".syft/control"), "", nil, syscall.ENODATA},
		{s.own(1, "jobs"), "", nil, syscall.ENODATA},
		{s.own(1, "jobs/draft"), "", nil, syscall.ENODATA},
	} {
		access, err := get(tt.name, "user.syft.access")
		if access != tt.access || err != tt.err {
			t.Errorf("%s: access %q, %v, want %q, %v", tt.name, access, err, tt.access, tt.err)
		}
		why, err := get(tt.name, "user.syft.why")
		if err != tt.err {
			t.Errorf("%s: why: %v, want %v", tt.name, err, tt.err)
		}
		for _, w := range tt.why {
			if !strings.Contains(why, w) {
				t.Errorf("%s: %q does not tell %q", tt.name, why, w)
			}
		}
		if tt.err != nil {
			continue
		}
		if n, err := unix.Llistxattr(tt.name, make([]byte, 1024)); n != 0 || err != nil {
			t.Errorf("%s: %d bytes of names, %v: tools would copy them", tt.name, n, err)
		}
		if n, err := unix.Lgetxattr(tt.name, "user.syft.why", nil); n != len(why) || err != nil {
			t.Errorf("%s: why has %d bytes, %v, want %d", tt.name, n, err, len(why))
		}
		if _, err := unix.Lgetxattr(tt.name, "user.syft.access", make([]byte, 1)); err != syscall.ERANGE {
			t.Errorf("%s: into too small a buffer: %v", tt.name, err)
		}
		wantErrno(t, "set", unix.Lsetxattr(tt.name, "user.syft.access", []byte("admin"), 0), syscall.EPERM)
		wantErrno(t, "remove", unix.Lremovexattr(tt.name, "user.syft.why"), syscall.EPERM)
	}
	s.revoke()
	_, err := get(s.own(1, "f"), "user.syft.access")
	wantErrno(t, "of what went out of sight", err, syscall.ENOENT)
}

// TestGrantIsSeenAtOnce: a name that was absent a moment ago is there, in a view and in that of an account of the owner's.
func TestGrantIsSeenAtOnce(t *testing.T) {
	s := serve(t, mountSpec{}, rachel(), mountSpec{As: datasite.Identity{Subject: owner, Account: string(other)}})
	write(t, s.own(0, "f"), "x")
	for range 20 {
		_, err := os.Lstat(s.own(1, "f"))
		wantErrno(t, "before", err, syscall.ENOENT)
		s.grant("read", "f")
		if got := names(t, s.own(1)); !slices.Equal(got, []string{"f"}) {
			t.Errorf("listed: %q", got)
		}
		if got := read(t, s.own(1, "f")); got != "x" {
			t.Errorf("read: %q", got)
		}
		if got := read(t, s.own(2, "f")); got != "x" {
			t.Errorf("read by an admin: %q", got)
		}
		s.revoke()
	}
}
