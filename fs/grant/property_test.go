package grant

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"pgregory.net/rapid"
)

// somebody of x.org whom no rule names.
const ofX perm.User = "unnamed@x.org"

// people are all whose rights are compared.
var people = []perm.User{alice, bob, carol, dave, ofX, stranger, perm.Anonymous}

// standIns are who stands for the entries that the generated rules hold.
var standIns = map[string]perm.User{"*": perm.Anonymous, "USER": stranger, "*@x.org": ofX,
	string(alice): alice, string(bob): bob, string(carol): carol, string(dave): dave}

var (
	files    = []string{"f.csv", "a/f.csv", "a/g.txt", "a/.env", "a/b/f.csv", "a/b/bob@x.org", "c/f.csv", "c/[1]", "bob@x.org/f", "empty/"}
	folders  = []string{"", "a", "a/b", "c", "bob@x.org"}
	patterns = []string{"**", "*", "*.csv", "**/*.csv", "a/**", "b/**", "a/f.csv", "f.csv", "a/b/**", "g.txt", ".env", "a", "bob@x.org/**"}
	pub      = []string{"{{.UserEmail}}/**", "**/{{.UserEmail}}", "[ab]/*", "{f,g}.*"}
)

// drawRules is the text of a random rule file.
func drawRules(t *rapid.T, name string) string {
	var b strings.Builder
	levels := []string{"read", "create", "write", "admin"}
	if path.Base(name) == datasite.PermFile {
		for range rapid.IntRange(0, 4).Draw(t, "rules") {
			p := rapid.SampledFrom(append(patterns, "{useremail}/**")).Draw(t, "pattern")
			u := rapid.SampledFrom([]perm.User{"*", alice, bob, carol}).Draw(t, "user")
			bits := rapid.SliceOfNDistinct(rapid.SampledFrom(levels), 1, 3, rapid.ID).Draw(t, "bits")
			fmt.Fprintf(&b, "- {path: '%s', permissions: [%s], user: '%s'", p, strings.Join(bits, ", "), u)
			if rapid.IntRange(0, 3).Draw(t, "deny") == 0 {
				b.WriteString(", type: disallow")
			}
			b.WriteString("}\n")
		}
		if b.Len() == 0 {
			return "[]\n"
		}
		return b.String()
	}
	if rapid.IntRange(0, 9).Draw(t, "terminal") == 0 {
		b.WriteString("terminal: true\n")
	}
	b.WriteString("rules:\n")
	for range rapid.IntRange(0, 4).Draw(t, "rules") {
		p := rapid.SampledFrom(append(patterns, pub...)).Draw(t, "pattern")
		fmt.Fprintf(&b, "- pattern: '%s'\n  access:\n    write: []\n", p)
		for _, l := range levels {
			if l == "write" {
				continue
			}
			users := rapid.SliceOfNDistinct(rapid.SampledFrom(slices.Sorted(maps.Keys(standIns))), 0, 2, rapid.ID).Draw(t, l)
			if l == "admin" {
				users = slices.DeleteFunc(users, func(u string) bool { return !strings.Contains(u, "@") })
			}
			if len(users) > 0 {
				fmt.Fprintf(&b, "    %s: ['%s']\n", l, strings.Join(users, "', '"))
			}
		}
		if rapid.IntRange(0, 5).Draw(t, "limits") == 0 {
			b.WriteString("  limits: {maxFileSize: 10}\n")
		}
	}
	return b.String()
}

func drawName(t *rapid.T, dir string) string {
	return path.Join(dir, rapid.SampledFrom([]string{datasite.PubFile, datasite.PubFile, datasite.PermFile}).Draw(t, "kind"))
}

// drawWorld is a tree with random rules.
func drawWorld(t *rapid.T, f *faults) *world {
	tree := map[string]string{}
	for _, name := range files {
		tree[name] = ""
	}
	for _, dir := range folders {
		if rapid.Bool().Draw(t, "rules in "+dir) {
			name := drawName(t, dir)
			tree[name] = drawRules(t, name)
		}
	}
	dir, err := os.MkdirTemp("", "grant")
	must(t, err)
	var w *world
	t.Cleanup(func() {
		if w != nil {
			must(t, w.tree.Close())
		}
		must(t, os.RemoveAll(dir))
	})
	if f == nil {
		w = openWorld(t, dir, tree, nil)
	} else {
		w = openWorld(t, dir, tree, f, withFaults(f))
	}
	return w
}

// refused wants one of the refusals, and nothing changed.
func refused(t *rapid.T, w *world, was state, err error) {
	t.Helper()
	if !errors.Is(err, ErrSideEffect) && !errors.Is(err, ErrNoEffect) && !errors.Is(err, ErrByHand) {
		t.Fatalf("%v", err)
	}
	if d := cmp.Diff(was.texts, w.state().texts); d != "" {
		t.Fatalf("after %v: %s", err, d)
	}
}

// effectsHold compares effects with what changed.
func effectsHold(t *rapid.T, was, is state, e Effects, entries map[string]perm.User) {
	t.Helper()
	got, err := expand(was, e)
	must(t, err)
	want := brute(was, is, entries)
	for k, c := range got {
		if _, ok := want[k]; !ok {
			t.Fatalf("told, and not so: %s: %v\n%v", k, c, e)
		}
	}
	for k, c := range want {
		if got[k] != c {
			t.Fatalf("%s: told %v, want %v\n%v", k, got[k], c, e)
		}
	}
	for _, f := range append(slices.Clone(e.Gains), e.Losses...) {
		if f.Before == f.After && f.Note == "" {
			t.Fatalf("nothing changes by %v", f)
		}
	}
}

// counts are the entries that count at p: everybody, and whom the rule files above and below name, or the effects.
func counts(p datasite.Path, e Effects, states ...state) map[string]perm.User {
	out := map[string]perm.User{"*": perm.Anonymous, "USER": stranger}
	for text, u := range standIns {
		for _, s := range states {
			for file, body := range s.texts {
				if dir := at(file).Parent(); (dir.Under(p) || p.Under(dir)) && strings.Contains(body, "'"+text+"'") {
					out[text] = u
				}
			}
		}
		for _, f := range append(slices.Clone(e.Gains), e.Losses...) {
			if f.Entry == text {
				out[text] = u
			}
		}
	}
	return out
}

func TestGrantProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t, nil)
		p := strings.TrimSuffix(rapid.SampledFrom(append([]string{"", "a/", "a/b/", "c/", "bob@x.org/"}, files...)).Draw(t, "path"), "/")
		text := rapid.SampledFrom(slices.Sorted(maps.Keys(standIns))).Draw(t, "user")
		level := rapid.SampledFrom([]perm.Level{perm.Read, perm.Create, perm.Write}).Draw(t, "level")
		gives := rapid.Bool().Draw(t, "gives")
		was := w.state(people...)
		var e Edit
		var err error
		if gives {
			e, err = w.Grant(ctx, at(p), perm.User(text), level)
		} else {
			level = rapid.SampledFrom([]perm.Level{perm.None, perm.Read, perm.Create, perm.Write}).Draw(t, "keep")
			e, err = w.RevokeTo(ctx, at(p), perm.User(text), level)
		}
		if err != nil {
			refused(t, w, was, err)
			return
		}
		is := w.state(people...)
		who := entry{text, standIns[text]}
		for rel, before := range was.rights {
			if datasite.IsRuleName(path.Base(rel)) {
				continue
			}
			name := strings.TrimSuffix(rel, "/")
			under := at(name).Under(at(p))
			for _, u := range people {
				a, b := before[u], is.rights[rel][u]
				switch {
				case !under && a != b:
					t.Fatalf("%s on %s, outside: %v, was %v", u, rel, b, a)
				case !who.covers(entry{string(u), u}) && a != b:
					t.Fatalf("%s on %s, who was not named: %v, was %v", u, rel, b, a)
				case gives && (a.exceeds(b) || b.level > max(a.level, level)), !gives && (b.exceeds(a) || b.level < min(a.level, level) && !onlyBits(w, rel)):
					t.Fatalf("%s on %s: %v, was %v", u, rel, b, a)
				}
			}
			b := is.rights[rel][who.user]
			itself := name == p && strings.HasSuffix(rel, "/") && e.File.Base() == datasite.PermFile // its pattern is for what is in it
			if under && !itself && !slices.Contains(e.Missed, at(name)) && !onlyBits(w, rel) && (gives && !b.has(level) || !gives && b.level > level) {
				t.Fatalf("%s on %s is %v, and not told", text, rel, b)
			}
		}
		entries := counts(at(p), e.Effects, was, is)
		entries[text] = who.user
		effectsHold(t, was, is, e.Effects, entries)
	})
}

// onlyBits reports whether a syftperm.yaml decides there, where rights do not include each other and a folder is not covered by
// the pattern for what is in it.
func onlyBits(w *world, rel string) bool {
	d, err := w.view.Explain(ctx, alice, at(strings.TrimSuffix(rel, "/")), perm.Read)
	must(w.t, err)
	return strings.HasSuffix(d.By.File, datasite.PermFile) || d.By.File == ""
}

func TestDiffProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t, nil)
		dir := rapid.SampledFrom(folders).Draw(t, "dir")
		name := drawName(t, dir)
		var text []byte
		switch rapid.IntRange(0, 5).Draw(t, "text") {
		case 0:
		case 1:
			text = []byte("rules: {")
		default:
			text = []byte(drawRules(t, name))
		}
		was := w.state(people...)
		e, _, err := w.Diff(ctx, at(name), text)
		if broken := string(text) == "rules: {"; (err != nil) != broken {
			t.Fatalf("%v", err)
		}
		if d := cmp.Diff(was.texts, w.state().texts); d != "" {
			t.Fatal(d)
		}
		switch {
		case text != nil:
			must(t, w.view.Write(ctx, at(name), text))
		case w.exists(name):
			must(t, w.view.Remove(ctx, at(name)))
		}
		is := w.state(people...)
		e = without(e, at(name))
		entries := counts(at(dir), e, was, is)
		delete(is.rights, name) // made or gone
		delete(was.rights, name)
		effectsHold(t, was, is, e, entries)
	})
}

// without leaves out what is told of the rule file itself.
func without(e Effects, p datasite.Path) Effects {
	drop := func(f Effect) bool { return f.Path == p }
	e.Gains, e.Losses = slices.DeleteFunc(e.Gains, drop), slices.DeleteFunc(e.Losses, drop)
	return e
}

func TestMoveProperty(t *testing.T) {
	moved := 0
	rapid.Check(t, func(t *rapid.T) {
		f := &faults{}
		w := drawWorld(t, f)
		from := strings.TrimSuffix(rapid.SampledFrom(append([]string{"a/", "a/b/", "c/", "bob@x.org/"}, files...)).Draw(t, "from"), "/")
		to := path.Join(rapid.SampledFrom(folders).Draw(t, "folder"), rapid.SampledFrom([]string{"new", "new.csv", ".new", "carol@x.org", "[n]"}).Draw(t, "to"))
		if at(to).Under(at(from)) {
			return
		}
		was := w.state(people...)
		// Everybody may do at to what they could at from, and elsewhere nothing changes.
		holds := func(is state, step string, wider func(is, was rights) bool) {
			for rel, before := range was.rights {
				name := strings.TrimSuffix(rel, "/")
				if at(name).Under(at(from)) {
					if _, there := is.rights[rel]; !there {
						rel = at(to).Join(name[len(from):]).Rel + rel[len(name):]
					}
				}
				for u, r := range before {
					if now, ok := is.rights[rel]; ok && wider(now[u], r) {
						t.Fatalf("%s: %s on %s: %v, was %v", step, u, rel, now[u], r)
					}
				}
			}
		}
		exceeds := rights.exceeds
		if at := rapid.IntRange(0, 12).Draw(t, "fault"); at > 0 {
			rest := rapid.Bool().Draw(t, "rest")
			f.set(at, rest)
			_, err := w.Move(ctx, datasite.Path{Owner: owner, Rel: from}, datasite.Path{Owner: owner, Rel: to})
			f.set(0, false)
			if errors.Is(err, errFault) {
				holds(w.state(people...), fmt.Sprintf("failed at %d: %v", at, err), exceeds)
				return
			}
			if err != nil {
				refused(t, w, was, err)
				return
			}
		} else {
			m, err := w.prepare(ctx, datasite.Path{Owner: owner, Rel: from}, datasite.Path{Owner: owner, Rel: to})
			if err == nil {
				err = m.plan()
			}
			if err != nil {
				refused(t, w, was, err)
				return
			}
			for _, step := range []func() error{
				func() error { return m.dst.replace(ctx, "move", m.dst.old, m.tight) },
				func() error { return m.carry(ctx, m.from, m.to) },
				func() error { return m.dst.replace(ctx, "move", m.tight, m.loose) },
				func() error { return m.tidy("move") },
			} {
				must(t, step())
				holds(w.state(people...), "a step", exceeds)
			}
		}
		moved++
		holds(w.state(people...), "moved", func(is, was rights) bool { return is != was })
		if w.exists(from) || !w.exists(to) {
			t.Fatal("it was not moved")
		}
	})
	if moved == 0 {
		t.Error("everything was refused")
	}
}
