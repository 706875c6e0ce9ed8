package guard

import (
	"fmt"
	iofs "io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/openmined/syftfs/fs/backing"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// oracle decides over a copy of the tree as it was, without the gate.
type oracle struct {
	files fstest.MapFS
	rules *perm.Index
}

func newOracle(t *testing.T, dir string) oracle {
	t.Helper()
	o := oracle{files: fstest.MapFS{}}
	must(t, filepath.WalkDir(dir, func(p string, e iofs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, p)
		if err != nil || rel == "." || strings.HasPrefix(rel, ".syftfs") {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		f := &fstest.MapFile{Mode: info.Mode()}
		switch {
		case info.Mode().IsRegular():
			f.Data, err = os.ReadFile(p)
		case info.Mode()&modeSymlink != 0:
			var target string
			target, err = os.Readlink(p)
			f.Data = []byte(target)
		}
		o.files[filepath.ToSlash(rel)] = f
		return err
	}))
	o.rules = perm.NewIndex(rulefile.Loader(o.files))
	return o
}

func (o oracle) may(t *testing.T, u perm.User, name string, dir bool, want perm.Level) perm.Decision {
	t.Helper()
	site, rel, _ := strings.Cut(name, "/")
	d, err := o.rules.Decide(perm.Request{User: u, Owner: perm.User(site), Path: rel, IsDir: dir, Want: want})
	must(t, err)
	return d
}

// step is one random operation by one user.
type step struct {
	user     perm.User
	op       string
	from, to string
	n        int
}

func drawStep(rt *rapid.T) step {
	name := rapid.SampledFrom([]string{"a", "b", "c", "syft.pub.yaml", "syftperm.yaml"})
	place := rapid.Custom(func(rt *rapid.T) string {
		return strings.Join(rapid.SliceOfN(name, 1, 3).Draw(rt, "names"), "/")
	})
	return step{
		user: rapid.SampledFrom([]perm.User{admin, writer, creator, reader}).Draw(rt, "user"),
		op: rapid.SampledFrom([]string{"write", "open-write", "create", "truncate", "append", "mkdir", "remove", "rmdir", "rename", "rename",
			"exchange", "noreplace", "symlink", "chmod", "whole", "place", "removeall", "rules", "allocate"}).Draw(rt, "op"),
		from: place.Draw(rt, "from"), to: place.Draw(rt, "to"), n: rapid.IntRange(0, 20).Draw(rt, "n"),
	}
}

var ruleTexts = []string{
	"rules: [{pattern: '**', access: " + access + "}]",
	"rules: [{pattern: '*', access: " + access + "}]",
	"rules: [{pattern: 'a/**', access: " + access + "}, {pattern: '**/b', access: {write: ['*']}}]",
	"rules: [{pattern: '**', access: {write: ['writer@x.org', 'creator@x.org']}, limits: {maxFileSize: 8, allowDirs: false}}]",
	"{terminal: true, rules: [{pattern: 'a/**', access: {admin: ['writer@x.org']}}]}",
	"rules: [{pattern: '**', access: {create: ['*']}, limits: {allowSymlinks: true}}]",
	"broken: [",
	"",
}

var permTexts = []string{
	"[{path: '**', permissions: [read, write, create], user: '*'}]",
	"[{path: '**', permissions: [read, create], user: 'creator@x.org'}, {path: 'a', permissions: write, user: 'reader@x.org'}]",
	"[{path: '**', permissions: admin, user: 'admin@x.org'}, {path: 'b/**', permissions: [write], user: '*', type: disallow}]",
}

// do does the step; whether it is refused does not matter here.
func (s step) do(t *testing.T, w *world) error {
	v, ctx := w.views[s.user], t.Context()
	body := []byte(strings.Repeat("x", s.n))
	handle := func(flag int, use func(f *File) error) error {
		return with(s.from, flag, use)(ctx, v)
	}
	switch s.op {
	case "write":
		return handle(rw, func(f *File) error { _, err := f.WriteAt(body, 1); return err })
	case "open-write":
		return handle(wr|creat, func(f *File) error { _, err := f.WriteAt(body, 0); return err })
	case "create":
		return handle(wr|creat|excl, func(f *File) error { _, err := f.WriteAt(body, 0); return err })
	case "truncate":
		return handle(wr|trunc, func(f *File) error { return f.Truncate(int64(s.n)) })
	case "append":
		return handle(wr|app, func(f *File) error { _, err := f.WriteAt(body, 0); return err })
	case "allocate":
		return handle(wr, func(f *File) error { return f.Allocate(0, 0, int64(s.n+1)) })
	case "mkdir":
		return mkdir(s.from)(ctx, v)
	case "remove":
		return remove(s.from)(ctx, v)
	case "rmdir":
		return rmdir(s.from)(ctx, v)
	case "rename":
		return rename(s.from, s.to, 0)(ctx, v)
	case "exchange":
		return rename(s.from, s.to, unix.RENAME_EXCHANGE)(ctx, v)
	case "noreplace":
		return rename(s.from, s.to, unix.RENAME_NOREPLACE)(ctx, v)
	case "symlink":
		return symlink(s.from, s.to)(ctx, v)
	case "chmod":
		return chmod(s.from, 0o100)(ctx, v)
	case "whole":
		return v.Write(ctx, at(s.from), body)
	case "place":
		return place(s.from, "a", "b/syft.pub.yaml")(ctx, v)
	case "removeall":
		return v.RemoveAll(ctx, at(s.from))
	case "rules": // the owner changes the rules
		text := ruleTexts[s.n%len(ruleTexts)]
		name := datasite.PubFile
		if s.n%3 == 0 {
			name, text = datasite.PermFile, permTexts[s.n%len(permTexts)]
		}
		dir := at(s.from).Parent().Join(name)
		return w.views[owner].Write(ctx, dir, []byte(text))
	}
	return fmt.Errorf("no operation %q", s.op)
}

// No operation by anybody but the owner changes a name or a byte that the user has no right to change, by the rules as
// they were before it.
func TestNobodyChangesWhatTheyMayNot(t *testing.T) {
	allowed := 0
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		put(t, filepath.Join(dir, string(owner)), map[string]string{
			"syft.pub.yaml":    ruleTexts[rapid.IntRange(0, len(ruleTexts)-1).Draw(rt, "rules")],
			"a/b/c":            "abc",
			"a/a":              "aa",
			"a/syft.pub.yaml":  ruleTexts[rapid.IntRange(0, len(ruleTexts)-1).Draw(rt, "rules")],
			"b/syftperm.yaml":  permTexts[rapid.IntRange(0, len(permTexts)-1).Draw(rt, "rules")],
			"b/a":              "ba",
			"b/c/a":            "bca",
			"c/b/":             "",
			"b/l":              "-> a",
			"a/b/more/content": "12345678901234567890",
		})
		w := openWorld(t, dir, &memory{known: map[datasite.Path]datasite.Known{}})
		for range rapid.IntRange(1, 6).Draw(rt, "steps") {
			s := drawStep(rt)
			was := newOracle(t, dir)
			err := s.do(t, w)
			now := newOracle(t, dir)
			if s.op == "rules" {
				continue
			}
			names := slices.Sorted(maps.Keys(was.files))
			for name := range now.files {
				if was.files[name] == nil {
					names = append(names, name)
				}
			}
			for _, name := range names {
				old, new := was.files[name], now.files[name]
				if old != nil && new != nil && old.Mode == new.Mode && string(old.Data) == string(new.Data) {
					continue
				}
				if err != nil && old == nil && s.op != "place" && new.Mode.IsRegular() && len(new.Data) == 0 {
					err = nil // made, and then refused to grow
				}
				if err != nil {
					rt.Fatalf("%+v: refused with %v, but %s changed", s, err, name)
				}
				allowed++
				if old != nil {
					if d := was.may(t, s.user, name, old.Mode.IsDir(), perm.Write); !d.Allowed {
						rt.Fatalf("%+v: %s was changed without the right: %s", s, name, d.Explain())
					}
				}
				if old == nil {
					d := was.may(t, s.user, name, new.Mode.IsDir(), perm.Create)
					if !d.Allowed {
						rt.Fatalf("%+v: %s was made without the right: %s", s, name, d.Explain())
					}
					if d = d.Limit(perm.File{Size: int64(len(new.Data)), Dir: new.Mode.IsDir(), Symlink: new.Mode&modeSymlink != 0}); !d.Allowed && new.Mode&modeSymlink == 0 {
						rt.Fatalf("%+v: %s was made beyond the limit: %s", s, name, d.Explain())
					}
				} else if new != nil && len(new.Data) != len(old.Data) {
					if d := was.may(t, s.user, name, new.Mode.IsDir(), perm.Write).Limit(perm.File{Size: int64(len(new.Data))}); !d.Allowed {
						rt.Fatalf("%+v: %s was changed beyond the limit: %s", s, name, d.Explain())
					}
				}
			}
			// And nobody sees more than the rules say.
			for name, f := range now.files {
				p, perr := datasite.Parse(name)
				must(t, perr)
				if f.Mode.IsDir() {
					continue
				}
				_, err := w.views[s.user].Stat(t.Context(), p)
				if d := now.may(t, s.user, name, false, perm.Read); d.Allowed != (err == nil) {
					rt.Fatalf("%+v: after it, stat of %s is %v, the rules say %s", s, name, err, d.Explain())
				}
			}
		}
	})
	if allowed == 0 {
		t.Error("nothing was ever allowed: the test proves nothing")
	}
}

// Many people work at once; afterwards what is recorded is true of the tree, and nobody has waited for ever.
func TestManyAtOnce(t *testing.T) {
	w := newWorld(t, backing.WithClock(later))
	reconcile(t, w)
	names := []string{"shared/a", "shared/f", "shared/d/a", "shared/full", "shared/full/x", "shared/e", "shared/e/x"}
	var all sync.WaitGroup
	for i, u := range []perm.User{owner, admin, writer, owner} {
		all.Go(func() {
			ctx, v := t.Context(), w.views[u]
			for n := range 150 {
				a, b := names[(n*7+i*3)%len(names)], names[(n*5+i)%len(names)]
				for _, do := range []try{
					with(a, wr|creat, writeAt(n%7, 0)), rename(a, b, 0), open(b, rd), remove(a), mkdir(b), rmdir(a), write(a, "w"),
					rename(b, a, unix.RENAME_EXCHANGE), place(b, "x"), with(b, rw, writeAt(3, 1)),
				}[n%5*2 : n%5*2+2] {
					_ = do(ctx, v) // refusals are another test's
				}
				if n%50 == 49 {
					_ = w.views[owner].Write(ctx, at("shared/syft.pub.yaml"), []byte(ruleTexts[0]))
				}
			}
		})
	}
	all.Wait()
	w.knowsTheTree()
	placedIn := func(p datasite.Path) bool { // within one tick of the clock the placing does not cover its own files
		for d := p.Parent(); d.Rel != ""; d = d.Parent() {
			if w.mem.known[d].Stamp.Size == wholeFolder {
				return true
			}
		}
		return false
	}
	for _, found := range reconcile(t, w) {
		_, rel, _ := strings.Cut(found, " ")
		if !strings.HasPrefix(found, "write ") || !placedIn(at(rel)) {
			t.Errorf("not recorded, or not as it is: %q", found)
		}
	}
	w.knowsTheTree()
	if n := len(w.g.locks.table); n != 0 {
		t.Errorf("%d locks left", n)
	}
	if n := len(w.g.files.all); n != 0 {
		t.Errorf("%d handles left", n)
	}
}
