package guard

import (
	iofs "io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"pgregory.net/rapid"
)

// sight is what exists for one user, worked out from the definition: every name of the tree is decided on, every folder is looked
// through. It knows nothing of the gate.
type sight struct {
	t     *testing.T
	o     oracle
	u     perm.User
	names []string // everything in the datasite, relative to the top of the tree
}

func (s sight) exists(name string) bool {
	f := s.o.files[name]
	switch {
	case f == nil:
		return false
	case s.u == owner:
		return true
	case f.Mode.Type()&^(iofs.ModeDir|iofs.ModeSymlink) != 0:
		return false
	}
	for _, want := range []perm.Level{perm.Read, perm.Create, perm.Write, perm.Admin} {
		if s.o.may(s.t, s.u, name, f.Mode.IsDir(), want).Allowed {
			return true
		}
	}
	return f.Mode.IsDir() && slices.ContainsFunc(s.names, func(below string) bool { return path.Dir(below) == name && s.exists(below) })
}

func (s sight) list(name string) (out []string) {
	for _, below := range s.names {
		if path.Dir(below) == name && s.exists(below) {
			out = append(out, path.Base(below))
		}
	}
	return out
}

func (s sight) mode(name string) iofs.FileMode {
	f := s.o.files[name]
	may := func(want perm.Level) bool { return s.o.may(s.t, s.u, name, f.Mode.IsDir(), want).Allowed }
	switch {
	case s.u == owner || f.Mode&modeSymlink != 0:
		return f.Mode
	case f.Mode.IsDir() && !may(perm.Read):
		return iofs.ModeDir | 0o111
	case f.Mode.IsDir():
		m := iofs.ModeDir | 0o500
		own := s.u != perm.Anonymous && s.o.may(s.t, s.u, name+"/"+string(s.u), false, perm.Create).Allowed
		if may(perm.Create) || may(perm.Write) || own || s.o.may(s.t, s.u, name+"/any name", false, perm.Create).Allowed {
			m |= 0o200
		}
		return m
	case may(perm.Write):
		return 0o600 | f.Mode&0o100
	}
	return 0o400 | f.Mode&0o100
}

// open is what opening a file with some right is answered.
func (s sight) open(name string, want perm.Level) string {
	f := s.o.files[name]
	switch {
	case !s.exists(name):
		return "ENOENT"
	case !s.o.may(s.t, s.u, name, f.Mode.IsDir(), want).Allowed && s.u != owner && (want > perm.Read || !f.Mode.IsDir()):
		return "EACCES"
	case f.Mode.IsDir():
		return "EISDIR"
	case f.Mode&modeSymlink != 0:
		return "ELOOP"
	}
	return "ok"
}

// make is what making a file under a name is answered that is free for the user, or where something is.
func (s sight) make(name string) string {
	may := s.o.may(s.t, s.u, name, s.exists(name) && s.o.files[name].Mode.IsDir(), perm.Create).Allowed
	switch {
	case !may || !s.exists(name) && s.o.files[name] != nil:
		return "EACCES"
	case s.exists(name):
		return "EEXIST"
	}
	return "ok"
}

var sightRules = append([]string{
	"rules: [{pattern: 'a/b/**', access: {read: ['reader@x.org']}}, {pattern: '**/c', access: {create: ['*']}}]",
	"rules: [{pattern: '{{.UserEmail}}/**', access: {write: [USER]}}, {pattern: '**/b', access: {read: ['*@x.org']}}]",
	"{terminal: true, rules: [{pattern: '**/l', access: {read: ['*']}}, {pattern: 'a', access: {create: ['creator@x.org']}}]}",
	"rules: [{pattern: '*/*', access: {write: ['writer@x.org'], read: ['reader@x.org']}}]",
}, ruleTexts...)

var sightPerms = append([]string{
	"[{path: '**', permissions: read, user: '*'}, {path: '*/b', permissions: read, user: 'reader@x.org', type: disallow}]",
	"[{path: '{useremail}/**', permissions: [read, write], user: '*'}, {path: 'a/**', permissions: [create, write], user: '*'}]",
	"[{path: '**/c', permissions: [read, create], user: 'creator@x.org'}]",
}, permTexts...)

// What a view lists, tells about, opens and lets be made is what the definition says, of random trees under random rules, and again
// after the rules and the tree have changed.
func TestAViewIsWhatTheDefinitionSays(t *testing.T) {
	users := []perm.User{owner, admin, writer, creator, reader, nobody, perm.Anonymous}
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		name := rapid.SampledFrom([]string{"a", "b", "c", ".d", "reader@x.org"})
		place := rapid.Custom(func(rt *rapid.T) string {
			return strings.Join(rapid.SliceOfN(name, 1, 4).Draw(rt, "names"), "/")
		})
		layOut(rt, t, filepath.Join(dir, string(owner)), place)
		w := openWorld(t, dir, &memory{known: map[datasite.Path]datasite.Known{}})
		views := map[perm.User]*View{}
		for _, u := range users {
			views[u] = w.g.View(datasite.Identity{Subject: u}, nil)
		}
		for round := range 3 {
			o := newOracle(t, dir)
			for _, u := range users {
				s := sight{t: t, o: o, u: u}
				for name := range o.files {
					s.names = append(s.names, name)
				}
				slices.Sort(s.names)
				w.compare(rt, views[u], s)
			}
			if round == 2 {
				break
			}
			for range 2 {
				w.alter(rt, place)
			}
		}
	})
}

// layOut makes a random tree with random rules in it.
func layOut(rt *rapid.T, t *testing.T, dir string, place *rapid.Generator[string]) {
	must(t, os.MkdirAll(dir, 0o755))
	for range rapid.IntRange(1, 8).Draw(rt, "files") {
		p := filepath.Join(dir, place.Draw(rt, "file"))
		if os.MkdirAll(filepath.Dir(p), 0o755) != nil {
			continue // below a file
		}
		switch rapid.IntRange(0, 5).Draw(rt, "kind") {
		case 0:
			_ = os.Mkdir(p, 0o755)
		case 1:
			_ = os.Symlink("nowhere", p) // the copy that the definition works on follows links
		case 2:
			_ = os.WriteFile(p, []byte("x"), 0o755)
		default:
			_ = os.WriteFile(p, []byte("x"), 0o644)
		}
	}
	for range rapid.IntRange(0, 4).Draw(rt, "rules") {
		p := filepath.Join(dir, filepath.Dir(place.Draw(rt, "rules")))
		if os.MkdirAll(p, 0o755) == nil {
			file, text := drawRules(rt)
			must(t, os.WriteFile(filepath.Join(p, file), []byte(text), 0o644))
		}
	}
}

func drawRules(rt *rapid.T) (file, text string) {
	if rapid.Bool().Draw(rt, "syftperm.yaml") {
		return datasite.PermFile, rapid.SampledFrom(sightPerms).Draw(rt, "text")
	}
	return datasite.PubFile, rapid.SampledFrom(sightRules).Draw(rt, "text")
}

// alter changes the tree as its owner.
func (w *world) alter(rt *rapid.T, place *rapid.Generator[string]) {
	v, ctx := w.views[owner], w.t.Context()
	save := func(p datasite.Path, text string) { // in place, which waits for no disk
		_ = with(p.Rel, wr|creat|trunc, func(f *File) error { _, err := f.WriteAt([]byte(text), 0); return err })(ctx, v) // it may be below a file
	}
	a, b := at(place.Draw(rt, "at")), at(place.Draw(rt, "to"))
	switch rapid.IntRange(0, 5).Draw(rt, "change") {
	case 0, 1:
		file, text := drawRules(rt)
		save(a.Parent().Join(file), text)
	case 2:
		_ = v.RemoveAll(ctx, a)
	case 3:
		_ = v.Rename(ctx, a, b, 0)
	case 4:
		save(a, "x")
	case 5: // by somebody who works on the real directory
		file, text := drawRules(rt)
		p := a.Parent().Join(file)
		_ = os.WriteFile(w.g.HostPath(p), []byte(text), 0o644)
		w.g.Changed(p)
	}
}

func (w *world) compare(rt *rapid.T, v *View, s sight) {
	ctx := w.t.Context()
	for _, name := range append(slices.Clone(s.names), string(owner)+"/none", string(owner)+"/a/none") {
		if !strings.HasPrefix(name, string(owner)) {
			continue
		}
		p, err := datasite.Parse(name)
		must(w.t, err)
		e, err := v.Stat(ctx, p)
		if got := err == nil; got != s.exists(name) || err != nil && errno(err) != "ENOENT" && s.u != owner {
			rt.Fatalf("%s: stat of %s: %v, it exists: %v", s.u, name, err, s.exists(name))
		}
		if ok, err := v.Visible(ctx, p); err != nil || ok != s.exists(name) {
			rt.Fatalf("%s: %s is visible: %v, %v", s.u, name, ok, err)
		}
		if err == nil && e.Mode != s.mode(name) {
			rt.Fatalf("%s: %s has mode %v, want %v", s.u, name, e.Mode, s.mode(name))
		}
		if f := s.o.files[name]; f != nil && f.Mode.IsDir() {
			var got []string
			l, lerr := v.List(ctx, p)
			for _, e := range l {
				got = append(got, e.Name)
			}
			if diff := cmp.Diff(s.list(name), got); diff != "" || (lerr == nil) != s.exists(name) {
				rt.Fatalf("%s: list of %s: %v\n%s", s.u, name, lerr, diff)
			}
		}
		if s.o.files[name] != nil {
			for flag, want := range map[int]perm.Level{rd: perm.Read, wr: perm.Write} {
				f, err := v.Open(ctx, p, flag, 0)
				if err == nil {
					must(w.t, f.Close())
				}
				if got := errno(err); got != s.open(name, want) {
					rt.Fatalf("%s: open %s to %s: %s (%v), want %s", s.u, name, want, got, err, s.open(name, want))
				}
			}
		}
		if s.u != owner && p.Rel != "" && s.make(name) != "ok" {
			f, err := v.Open(ctx, p, wr|creat|excl, 0)
			if err == nil {
				must(w.t, f.Close())
			}
			if got := errno(err); got != s.make(name) {
				rt.Fatalf("%s: make %s: %s (%v), want %s", s.u, name, got, err, s.make(name))
			}
		}
	}
}
