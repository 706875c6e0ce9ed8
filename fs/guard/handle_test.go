package guard

import (
	"errors"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"golang.org/x/sys/unix"
)

const closedRules = "rules: []\n"

func read(f *File) (string, error) {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
	return string(b), err
}

func TestHandleAcrossARuleChange(t *testing.T) {
	w := newWorld(t)
	f := w.open(writer, "shared/f", rw)
	idle := w.open(writer, "shared/g", rw)
	if _, err := f.WriteAt([]byte("J"), 0); err != nil {
		t.Fatal(err)
	}
	w.rules("shared/syft.pub.yaml", closedRules)
	w.kernels[writer].take()
	_, err := f.WriteAt([]byte("!"), 0)
	if got := errno(err); got != "EACCES" {
		t.Errorf("write after the right went: %s", got)
	}
	if _, err = read(f); errno(err) != "EACCES" {
		t.Errorf("read after the right went: %v", err)
	}
	if err := f.Truncate(0); errno(err) != "EACCES" {
		t.Errorf("truncate after the right went: %v", err)
	}
	if _, err := f.CopyTo(idle, 0, 0, 1); errno(err) != "EACCES" {
		t.Errorf("copy after the right went: %v", err)
	}
	if got := w.kernels[writer].take(); got != "shared/f" {
		t.Errorf("the kernel was told %q", got)
	}
	if w.disk("shared/f") != "Jello" {
		t.Errorf("f holds %q", w.disk("shared/f"))
	}
	// What was written while the right was there is recorded, as the writer's.
	w.mem.take()
	must(t, f.Close())
	if got := w.mem.take(); len(got) != 1 || got[0] != "write shared/f" {
		t.Errorf("recorded %q", got)
	}
	// The right comes back: the handle works again.
	must(t, w.views[owner].Remove(t.Context(), at("shared/syft.pub.yaml")))
	if s, err := read(idle); s != "gg" || err != nil {
		t.Errorf("read %q, %v", s, err)
	}
	must(t, idle.Close())
}

// A handle is no window: of a file that was moved out of sight it tells neither size nor where it is.
func TestHandleOfWhatWasMovedOutOfSight(t *testing.T) {
	w := newWorld(t)
	f := w.open(reader, "shared/f", unix.O_RDONLY)
	must(t, w.views[owner].Rename(t.Context(), at("shared/f"), at("secret/codename"), 0))
	must(t, w.views[owner].Write(t.Context(), at("secret/codename"), []byte("much longer than before")))
	if e, err := f.Stat(); errno(err) != "EACCES" {
		t.Errorf("stat gives size %d, %v", e.Stamp.Size, err)
	}
	_, err := read(f)
	if errno(err) != "EACCES" || strings.Contains(err.Error(), "codename") || !strings.Contains(err.Error(), "shared/f") {
		t.Errorf("read: %v", err)
	}
	must(t, f.Close())
}

func TestHandleWhoseAccountChanges(t *testing.T) {
	w := newWorld(t)
	role := map[string]any{"acc": writer}
	w.g.cfg.Subjects = subjects(role)
	v := w.g.View(datasite.Identity{Account: "acc"}, nil)
	f, err := v.Open(t.Context(), at("shared/f"), rw, 0)
	must(t, err)
	role["acc"] = nobody
	w.g.Turn()
	if _, err := read(f); errno(err) != "EACCES" {
		t.Errorf("read as nobody: %v", err)
	}
	role["acc"] = errors.New("disabled")
	w.g.Turn()
	if _, err := v.Stat(t.Context(), at("shared/f")); errno(err) != "EACCES" {
		t.Errorf("stat when disabled: %v", err)
	}
	if _, err := read(f); errno(err) != "EACCES" {
		t.Errorf("read when disabled: %v", err)
	}
	role["acc"] = owner // an admin acts as the owner, under its own name
	if s, err := read(f); s != "hello" || err != nil {
		t.Errorf("read as admin: %q %v", s, err)
	}
	if _, ok := f.Passthrough(); ok {
		t.Error("the kernel may not write past the gate where the right can be taken away")
	}
	_, err = f.WriteAt([]byte("H"), 0)
	must(t, err)
	must(t, f.Close())
	c := w.mem.changes[len(w.mem.changes)-1]
	if c.By != (datasite.Identity{Subject: owner, Account: "acc"}) || w.mem.durable != len(w.mem.changes) {
		t.Errorf("recorded by %+v, durable %d of %d", c.By, w.mem.durable, len(w.mem.changes))
	}
}

type subjects map[string]any

func (s subjects) Subject(account string) (perm.User, error) {
	switch v := s[account].(type) {
	case perm.User:
		return v, nil
	case error:
		return "", v
	}
	return "", iofs.ErrNotExist
}

func TestTheMakerMayWriteUntilClosed(t *testing.T) {
	w := newWorld(t)
	f := w.open(creator, "shared/new", rw|creat)
	_, err := f.WriteAt([]byte("once"), 0)
	must(t, err)
	must(t, f.Flush(t.Context()))
	must(t, w.views[owner].Write(t.Context(), at("shared/sub/syft.pub.yaml"), []byte(closedRules))) // some change of rules
	_, err = f.WriteAt([]byte("ONCE"), 0)
	must(t, err)
	date := set("shared/new", Attr{MTime: ptr(time.Unix(1, 0)), Mode: ptr(iofs.FileMode(0o500))}) // as cp -p does
	must(t, date(t.Context(), w.views[creator]))
	if err := date(t.Context(), w.views[reader]); errno(err) != "EACCES" {
		t.Errorf("dated by somebody else: %v", err)
	}
	must(t, f.Close())
	if err := set("shared/new", Attr{MTime: ptr(time.Unix(2, 0))})(t.Context(), w.views[creator]); errno(err) != "EACCES" {
		t.Errorf("dated after it was closed: %v", err)
	}
	if _, err := w.views[creator].Open(t.Context(), at("shared/new"), wr, 0); errno(err) != "EACCES" {
		t.Errorf("a second open for writing: %v", err)
	}
	if w.disk("shared/new") != "ONCE" {
		t.Errorf("new holds %q", w.disk("shared/new"))
	}
}

func TestAnAdminCanSaveARuleFileInPlace(t *testing.T) {
	for name, flag := range map[string]int{"shared/sub/syft.pub.yaml": wr | trunc, "shared/d/syft.pub.yaml": wr | creat} {
		w := newWorld(t)
		f := w.open(admin, name, flag)
		text := files["shared/sub/syft.pub.yaml"]
		for i := range text { // byte by byte: most of the states in between are broken
			_, err := f.WriteAt([]byte{text[i]}, int64(i))
			must(t, err)
		}
		must(t, f.Close())
		if w.disk(name) != text {
			t.Errorf("%s holds %q", name, w.disk(name))
		}
		must(t, stat(name)(t.Context(), w.views[reader]))

		f = w.open(admin, name, wr|trunc)
		w.rules("shared/syft.pub.yaml", closedRules+"terminal: true\n") // by somebody else: that counts
		if _, err := f.WriteAt([]byte("x"), 0); errno(err) != "EACCES" {
			t.Errorf("write after the right went: %v", err)
		}
		must(t, f.Close())
	}
}

func TestHandlesFollowRenames(t *testing.T) {
	w := newWorld(t)
	in := w.open(reader, "shared/full/y/z", rd)
	over := w.open(reader, "shared/g", rd)
	mine := w.open(owner, "shared/full/y/z", rw)
	must(t, w.views[owner].Rename(t.Context(), at("shared/full"), at("secret/full"), 0))
	if in.Path() != at("secret/full/y/z") {
		t.Errorf("path %v", in.Path())
	}
	if _, err := read(in); errno(err) != "EACCES" {
		t.Errorf("read where it went out of sight: %v", err)
	}
	_, err := mine.WriteAt([]byte("Z"), 0)
	must(t, err)
	w.mem.take()
	must(t, mine.Close())
	if diff := cmp.Diff([]string{"write secret/full/y/z"}, w.mem.take()); diff != "" {
		t.Error(diff)
	}
	must(t, w.views[owner].Rename(t.Context(), at("secret/full"), at("shared/full"), 0))
	if s, err := read(in); s != "Z" || err != nil {
		t.Errorf("read where it came back: %q %v", s, err)
	}

	gone := w.open(owner, "shared/g", rw)
	must(t, w.views[owner].Rename(t.Context(), at("shared/f"), at("shared/g"), 0))
	if s, err := read(over); s != "gg" || err != nil {
		t.Errorf("the replaced file reads %q %v", s, err)
	}
	_, err = gone.WriteAt([]byte("GG"), 0)
	must(t, err)
	w.mem.take()
	must(t, gone.Close())
	if got := w.mem.take(); len(got) != 0 {
		t.Errorf("recorded for a file without a name: %q", got)
	}
	if w.disk("shared/g") != "hello" {
		t.Errorf("g holds %q", w.disk("shared/g"))
	}
	must(t, in.Close())
	must(t, over.Close())
}

func TestSettlingIsIdempotentAndNeverLosesAWrite(t *testing.T) {
	for _, u := range []perm.User{owner, writer} {
		t.Run(string(u), func(t *testing.T) {
			w := newWorld(t)
			f := w.open(u, "shared/f", rw)
			must(t, f.Flush(t.Context()))
			if got := w.mem.take(); len(got) != 0 {
				t.Errorf("nothing was written, recorded %q", got)
			}
			_, err := f.WriteAt([]byte("J"), 0)
			must(t, err)
			w.mem.fail = errors.New("no space")
			if err := f.Flush(t.Context()); err == nil {
				t.Error("a refused record is a failed close")
			}
			w.mem.fail = nil
			must(t, f.Flush(t.Context()))
			if w.mem.durable != map[perm.User]int{owner: 0, writer: 1}[u] {
				t.Errorf("durable: %d", w.mem.durable)
			}
			must(t, f.Flush(t.Context()))
			must(t, f.Close())
			if got := w.mem.take(); len(got) != 1 {
				t.Errorf("recorded %q", got)
			}
		})
	}
}

func TestPassthroughIsSettledByStamp(t *testing.T) {
	w := newWorld(t)
	if _, ok := w.open(writer, "shared/f", rw).Passthrough(); ok {
		t.Error("given to the writer")
	}
	if _, ok := w.open(owner, "shared/sub/syft.pub.yaml", rw).Passthrough(); ok {
		t.Error("given for writing rules")
	}
	f := w.open(owner, "shared/f", rw)
	fd, ok := f.Passthrough()
	if !ok {
		t.Fatal("not given to the owner")
	}
	if _, err := unix.Pwrite(fd, []byte("J"), 0); err != nil { // same size, perhaps within the clock's tick
		t.Fatal(err)
	}
	must(t, f.Flush(t.Context()))
	if got := w.mem.take(); len(got) != 1 || got[0] != "write shared/f" {
		t.Errorf("recorded %q", got)
	}
	must(t, f.Close())
}

func TestSyncIsDurable(t *testing.T) {
	w := newWorld(t)
	f := w.open(owner, "shared/new", wr|creat)
	_, err := f.WriteAt([]byte("x"), 0)
	must(t, err)
	must(t, f.Sync(t.Context(), true))
	if w.mem.durable != 1 {
		t.Errorf("durable: %d", w.mem.durable)
	}
	must(t, f.Close())
}

func TestHandleRights(t *testing.T) {
	w := newWorld(t)
	f := w.open(owner, "shared/f", wr)
	if _, err := read(f); errno(err) != "EBADF" {
		t.Errorf("read of a write-only handle: %v", err)
	}
	r := w.open(owner, "shared/f", rd)
	if _, err := r.WriteAt([]byte("x"), 0); errno(err) != "EBADF" {
		t.Errorf("write of a read-only handle: %v", err)
	}
	if err := r.Truncate(0); errno(err) != "EBADF" {
		t.Errorf("truncate of a read-only handle: %v", err)
	}
	g := w.open(owner, "shared/g", rw)
	n, err := r.CopyTo(g, 1, 0, 100)
	if n != 4 || err != nil || w.disk("shared/g") != "ello" {
		t.Errorf("copied %d, %v, %q", n, err, w.disk("shared/g"))
	}
	must(t, g.Close())
	if off, err := r.Seek(0, unix.SEEK_HOLE); off != 5 || err != nil {
		t.Errorf("hole at %d, %v", off, err)
	}
	must(t, f.Close())
	must(t, r.Close())
}

func TestAppendGoesToTheEndWhateverTheKernelBelieves(t *testing.T) {
	w := newWorld(t)
	f := w.open(owner, "shared/f", wr|app)
	_, err := f.WriteAt([]byte("!"), 2)
	must(t, err)
	if w.disk("shared/f") != "hello!" {
		t.Errorf("f holds %q", w.disk("shared/f"))
	}
	if got := w.kernels[owner].take(); got != "shared/f" {
		t.Errorf("own kernel told %q", got)
	}
	must(t, f.Close())
}

func TestOtherKernelsAreTold(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name string
		by   perm.User
		do   try
		own  string // what the writer's own kernel is told
		want string // what the others are told
	}{
		{"create", writer, open("shared/n1", wr|creat), "", "shared/n1 shared/n1"},
		{"write", writer, with("shared/f", wr, writeAt(1, 0)), "", "shared/f shared/f"},
		{"read", writer, open("shared/f", rd), "", ""},
		{"rename", writer, rename("shared/n1", "shared/n2", 0), "", "shared/n1 shared/n2"},
		{"remove", writer, remove("shared/n2"), "", "shared/n2"},
		{"mkdir", writer, mkdir("shared/n3"), "", "shared/n3"},
		{"chmod", writer, chmod("shared/f", 0o100), "", "shared/f"},
		{"refused", reader, remove("shared/f"), "", ""},
		{"rules by an admin", admin, chmod("shared/sub/syft.pub.yaml", 0o100), "*", "shared/sub/syft.pub.yaml *"},
		{"rules by the owner", owner, with("shared/sub/syft.pub.yaml", wr, writeAt(1, 0)), "", "shared/sub/syft.pub.yaml * shared/sub/syft.pub.yaml *"},
		{"whole file by the service", owner, write("shared/f", "x"), "shared/f", "shared/f"},
		{"folder renamed by the owner", owner, rename("shared/full", "shared/moved", 0), "", "shared/full shared/moved *"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, k := range w.kernels {
				k.take()
			}
			_ = c.do(t.Context(), w.views[c.by]) // what it answers is another test's
			for u, k := range w.kernels {
				got, want := k.take(), c.want
				if u == c.by {
					want = c.own
					if what, all := strings.CutSuffix(c.want, "*"); all {
						got = strings.TrimPrefix(got, what)
					}
				}
				if got != want {
					t.Errorf("%s is told %q, want %q", u, got, want)
				}
			}
		})
	}
	w.views[reader].Close()
	w.kernels[reader].take()
	must(t, w.views[owner].Remove(t.Context(), at("shared/f")))
	if got := w.kernels[reader].take(); got != "" {
		t.Errorf("a closed view is told %q", got)
	}
}

func TestRulesTakeEffectBeforeTheCallReturns(t *testing.T) {
	shut := func(t *testing.T, w *world) {
		t.Helper()
		if _, err := w.views[reader].Stat(t.Context(), at("shared/d/in")); errno(err) != "ENOENT" {
			t.Errorf("still visible: %v", err)
		}
	}
	for name, do := range map[string]func(t *testing.T, w *world){
		"created and written": func(t *testing.T, w *world) {
			f := w.open(owner, "shared/d/syft.pub.yaml", wr|creat)
			shut(t, w) // an empty file is private already
			_, err := f.WriteAt([]byte(closedRules), 0)
			must(t, err)
			shut(t, w)
			must(t, f.Close())
		},
		"renamed": func(t *testing.T, w *world) {
			must(t, w.views[owner].Write(t.Context(), at("shared/tmp"), []byte(closedRules)))
			must(t, w.views[owner].Rename(t.Context(), at("shared/tmp"), at("shared/d/syft.pub.yaml"), 0))
		},
		"with its folder": func(t *testing.T, w *world) {
			put(t, filepath.Join(w.dir, string(owner)), map[string]string{"secret/new/syft.pub.yaml": closedRules, "secret/new/in": "", "shared/e/": ""})
			must(t, w.views[owner].Rename(t.Context(), at("secret/new"), at("shared/d"), unix.RENAME_EXCHANGE))
		},
		"a link": func(t *testing.T, w *world) {
			must(t, os.WriteFile(filepath.Join(w.dir, "open"), []byte(files["shared/sub/syft.pub.yaml"]), 0o644))
			_, err := w.views[owner].Symlink(t.Context(), at("shared/d/syft.pub.yaml"), filepath.Join(w.dir, "open"))
			must(t, err)
		},
		"a folder": func(t *testing.T, w *world) {
			_, err := w.views[owner].Mkdir(t.Context(), at("shared/d/syft.pub.yaml"), 0o755)
			must(t, err)
		},
		"behind our back": func(t *testing.T, w *world) {
			must(t, os.WriteFile(filepath.Join(w.dir, string(owner), "shared/d/syft.pub.yaml"), []byte(closedRules), 0o644))
			w.g.Changed(at("shared/d/syft.pub.yaml"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			must(t, os.WriteFile(filepath.Join(w.dir, string(owner), "shared/d/in"), nil, 0o644))
			must(t, stat("shared/d/in")(t.Context(), w.views[reader]))
			do(t, w)
			shut(t, w)
		})
	}
}
