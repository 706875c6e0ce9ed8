package grant

import (
	"context"
	"errors"
	iofs "io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

// newWorld makes the owner's datasite with files, whose names are relative to it.
func newWorld(t *testing.T, files map[string]string) *world {
	t.Helper()
	w := openWorld(t, t.TempDir(), files, nil)
	t.Cleanup(func() { must(t, w.tree.Close()) })
	return w
}

func TestGrantMakesTheFile(t *testing.T) {
	w := newWorld(t, map[string]string{"data/a.csv": "a", "data/sub/b.csv": "b", "other": "o"})
	got, err := w.Grant(ctx, at("data"), bob, perm.Read)
	must(t, err)
	want := Edit{File: at("data/syft.pub.yaml"), Pattern: "**", Made: true, Changed: true, Effects: Effects{Paths: 4,
		Gains: []Effect{{Path: at("data"), IsDir: true, Reach: ReachWhole, Entry: "bob@x.org", After: perm.Read}}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, rel := range []string{"data", "data/a.csv", "data/sub/b.csv"} {
		w.levels(rel, map[perm.User]perm.Level{bob: perm.Read, alice: perm.None, perm.Anonymous: perm.None})
	}
	w.levels("other", map[perm.User]perm.Level{bob: perm.None})
	again, err := w.Grant(ctx, at("data"), bob, perm.Read)
	if err != nil || again.Changed {
		t.Errorf("again: %+v, %v", again, err)
	}
}

const comments = `# who may see what
rules:
# the team
- pattern: "**"
  access:
    read: [alice@x.org] # Alice
    write: [carol@x.org]
`

func TestGrantKeepsWhatOthersHave(t *testing.T) {
	w := newWorld(t, map[string]string{"syft.pub.yaml": comments, "data/a.csv": "a", "data/b.csv": "b", "x": ""})
	got, err := w.Grant(ctx, at("data/a.csv"), bob, perm.Read)
	must(t, err)
	if got.File != at("syft.pub.yaml") || got.Pattern != "data/a.csv" || !got.Changed || got.Made {
		t.Errorf("%+v", got)
	}
	w.levels("data/a.csv", map[perm.User]perm.Level{alice: perm.Read, bob: perm.Read, carol: perm.Write, perm.Anonymous: perm.None})
	w.levels("data/b.csv", map[perm.User]perm.Level{alice: perm.Read, bob: perm.None, carol: perm.Write})
	text := w.read("syft.pub.yaml")
	for _, comment := range []string{"# who may see what\n", "# the team\n", "# Alice\n"} {
		if !strings.Contains(text, comment) {
			t.Errorf("%q is gone from\n%s", comment, text)
		}
	}

	_, err = w.Grant(ctx, at("data"), Everyone, perm.Read)
	must(t, err)
	w.levels("data/b.csv", map[perm.User]perm.Level{alice: perm.Read, carol: perm.Write, perm.Anonymous: perm.Read})
	w.levels("x", map[perm.User]perm.Level{perm.Anonymous: perm.None})

	_, err = w.Revoke(ctx, at("data/a.csv"), bob)
	if err != nil {
		t.Errorf("revoke of what is held by name: %v", err)
	}
	w.levels("data/a.csv", map[perm.User]perm.Level{bob: perm.None, alice: perm.Read, carol: perm.Write})
}

func TestGrantRaises(t *testing.T) {
	w := newWorld(t, map[string]string{"syft.pub.yaml": comments, "d/f": ""})
	for _, l := range []perm.Level{perm.Create, perm.Write, perm.Admin} {
		_, err := w.Grant(ctx, at("d"), alice, l)
		must(t, err)
		w.levels("d/f", map[perm.User]perm.Level{alice: l, carol: perm.Write})
	}

}

func TestGrantToEveryone(t *testing.T) {
	for _, l := range []perm.Level{perm.Read, perm.Create, perm.Write} {
		for _, u := range []perm.User{Everyone, perm.Anonymous} {
			w := newWorld(t, map[string]string{"d/f": ""})
			_, err := w.Grant(ctx, at("d"), u, l)
			must(t, err)
			if got := w.level(alice, "d/f"); got != l {
				t.Errorf("%s: %s", l, got)
			}
			if text := w.read("d/syft.pub.yaml"); !strings.Contains(text, `["*"]`) && !strings.Contains(text, "['*']") {
				t.Errorf("%s", text)
			}
		}
	}
}

func TestGrantRefusals(t *testing.T) {
	files := map[string]string{
		"syft.pub.yaml": `rules:
- {pattern: "docs/**/*.key", access: {read: [alice@x.org]}}
- {pattern: "**/*.csv", access: {read: [carol@x.org]}}
- {pattern: "**", access: {read: [alice@x.org]}}
- {pattern: "small/**", access: {write: [alice@x.org]}, limits: {maxFileSize: 10}}
`,
		"docs/a.csv": "", "docs/b.txt": "", "keys/x.key": "", "docs/deep/x.key": "", "small/f": "",
		"broken/syft.pub.yaml": "rules: {", "broken/sub/f": "",
	}
	for name, c := range map[string]struct {
		p    datasite.Path
		user perm.User
		l    perm.Level
		want error
	}{
		"takes from carol":         {at("docs"), bob, perm.Read, ErrSideEffect},
		"broken file":              {at("broken/sub"), bob, perm.Read, iofs.ErrInvalid},
		"rule file":                {at("syft.pub.yaml"), bob, perm.Read, iofs.ErrInvalid},
		"no level":                 {at("docs"), bob, perm.None, iofs.ErrInvalid},
		"admin for all":            {at("docs"), Everyone, perm.Admin, iofs.ErrInvalid},
		"not an address":           {at("keys"), "bob", perm.Read, perm.ErrAddress},
		"not there":                {at("nothing"), bob, perm.Read, iofs.ErrNotExist},
		"the owner, as an address": {at("keys"), "Owner", perm.Read, perm.ErrAddress},
		"a replica":                {datasite.Path{Owner: bob, Rel: "f"}, bob, perm.Read, iofs.ErrPermission},
		"the root":                 {datasite.Path{}, bob, perm.Read, iofs.ErrPermission},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, files)
			_, err := w.Grant(ctx, c.p, c.user, c.l)
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			for name, body := range files {
				if w.read(name) != body {
					t.Errorf("%s was changed:\n%s", name, w.read(name))
				}
			}
		})
	}
}

func TestGrantTellsWhatItDoesNotReach(t *testing.T) {
	w := newWorld(t, map[string]string{
		"syft.pub.yaml":          "rules:\n- {pattern: docs/secret.txt, access: {read: [alice@x.org]}}\n- {pattern: '**', access: {read: [alice@x.org]}}\n",
		"docs/a.txt":             "",
		"docs/secret.txt":        "",
		"docs/own/f":             "",
		"docs/own/syft.pub.yaml": "rules:\n- {pattern: '**', access: {read: [carol@x.org]}}\n",
	})
	got, err := w.Grant(ctx, at("docs"), bob, perm.Read)
	must(t, err)
	if d := cmp.Diff([]datasite.Path{at("docs/own"), at("docs/own/f"), at("docs/secret.txt")}, got.Missed); d != "" {
		t.Error(d)
	}
	w.levels("docs/a.txt", map[perm.User]perm.Level{bob: perm.Read, alice: perm.Read})
	w.levels("docs/secret.txt", map[perm.User]perm.Level{bob: perm.None, alice: perm.Read})
}

func TestGrantOfOddNames(t *testing.T) {
	for _, name := range []string{"d[1]", "q*", "a?", "{a,b}", `back\slash`, "{{.UserEmail}}", "a]b", "über", "a{b", "[", "x[!a]"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, map[string]string{"syft.pub.yaml": "rules: []\n", name + "/f": "", name + "x/f": "", "d1/f": "", "qq/f": "", "ab/f": "", "a/f": "", name + "/" + name: ""})
			_, err := w.Grant(ctx, at(name), bob, perm.Read)
			must(t, err)
			w.levels(name+"/f", map[perm.User]perm.Level{bob: perm.Read, alice: perm.None})
			for _, rel := range []string{name + "x/f", "d1/f", "qq/f", "ab/f", "a/f"} {
				w.levels(rel, map[perm.User]perm.Level{bob: perm.None})
			}
			_, err = w.Grant(ctx, at(name+"/"+name), carol, perm.Write)
			must(t, err)
			w.levels(name+"/"+name, map[perm.User]perm.Level{bob: perm.Read, carol: perm.Write})
			w.levels(name+"/f", map[perm.User]perm.Level{bob: perm.Read, carol: perm.None})
		})
	}
}

func TestRevoke(t *testing.T) {
	w := newWorld(t, map[string]string{"syft.pub.yaml": comments, "d/f": "", "x": ""})
	_, err := w.Revoke(ctx, at("d"), alice)
	must(t, err)
	w.levels("d/f", map[perm.User]perm.Level{alice: perm.None, carol: perm.Write})
	w.levels("x", map[perm.User]perm.Level{alice: perm.Read, carol: perm.Write})
	got, err := w.Revoke(ctx, at("d"), bob)
	if err != nil || got.Changed {
		t.Errorf("%+v, %v", got, err)
	}
	w = newWorld(t, map[string]string{"syft.pub.yaml": "rules:\n- {pattern: '**', access: {read: ['*@x.org']}}\n", "d/f": ""})
	if _, err := w.Revoke(ctx, at("d"), alice); !errors.Is(err, ErrNoEffect) {
		t.Errorf("held by a pattern of addresses: %v", err)
	}
	w = newWorld(t, map[string]string{"syft.pub.yaml": "rules:\n- {pattern: '**', access: {read: ['*', alice@x.org]}}\n", "d/f": ""})
	_, err = w.Revoke(ctx, at("d"), Everyone)
	must(t, err)
	w.levels("d/f", map[perm.User]perm.Level{alice: perm.Read, bob: perm.None, perm.Anonymous: perm.None})
}

const old = `# the old language
- path: "**"
  permissions: read
  user: "*"
- path: "d/**"
  permissions: [read, write]
  user: carol@x.org
`

func TestOldLanguage(t *testing.T) {
	w := newWorld(t, map[string]string{"syftperm.yaml": old, "d/f": "", "x": ""})
	got, err := w.Grant(ctx, at("d"), bob, perm.Write)
	must(t, err)
	if got.File != at("syftperm.yaml") || got.Pattern != "d/**" || len(got.Missed) != 0 {
		t.Errorf("%+v", got)
	}
	if !strings.HasPrefix(w.read("syftperm.yaml"), old) || w.exists("d/syft.pub.yaml") || w.exists("syft.pub.yaml") {
		t.Errorf("%s", w.read("syftperm.yaml"))
	}
	w.levels("d/f", map[perm.User]perm.Level{alice: perm.Read, bob: perm.Write, carol: perm.Write, perm.Anonymous: perm.Read})

	_, err = w.Revoke(ctx, at("d"), bob) // who also reads as one of everyone
	must(t, err)
	w.levels("d/f", map[perm.User]perm.Level{alice: perm.Read, bob: perm.None, carol: perm.Write})
	w.levels("x", map[perm.User]perm.Level{bob: perm.Read})
	_, err = w.Grant(ctx, at("d"), bob, perm.Read)
	must(t, err)
	w.levels("d/f", map[perm.User]perm.Level{bob: perm.Read, alice: perm.Read})
}

func TestRestrictAndShare(t *testing.T) {
	review := "rules:\n- access:\n    admin: []\n    read:\n    - alice@x.org\n    write: []\n  pattern: '**'\nterminal: false\n"
	for name, c := range map[string]struct {
		files   map[string]string
		pattern string
	}{
		"the folder's own file": {map[string]string{"r/alice@x.org/syft.pub.yaml": review}, "job/outputs/**"},
		"a file above":          {map[string]string{"syft.pub.yaml": "rules:\n- {pattern: 'r/alice@x.org/**', access: {read: [alice@x.org]}}\n"}, "r/alice@x.org/job/outputs/**"},
		"the old language":      {map[string]string{"syftperm.yaml": "- {path: 'r/alice@x.org/**', permissions: read, user: alice@x.org}\n"}, "r/alice@x.org/job/outputs/**"},
		"a broad old one":       {map[string]string{"r/syftperm.yaml": "- {path: '**', permissions: admin, user: '*'}\n"}, "alice@x.org/job/outputs/**"},
	} {
		t.Run(name, func(t *testing.T) {
			c.files["r/alice@x.org/job/outputs/f"] = ""
			c.files["r/alice@x.org/job/state.yaml"] = ""
			w := newWorld(t, c.files)
			var file string
			for f := range c.files {
				if datasite.IsRuleName(filepath.Base(f)) {
					file = f
				}
			}
			dir := at("r/alice@x.org")
			const out = "r/alice@x.org/job/outputs/f"
			for range 2 {
				must(t, w.Restrict(ctx, dir, "job/outputs/**", []perm.User{owner}))
				w.levels(out, map[perm.User]perm.Level{alice: perm.None, bob: perm.None, perm.Anonymous: perm.None})
				if w.level(alice, "r/alice@x.org/job/state.yaml") < perm.Read {
					t.Error("the rest of the job is gone too")
				}
				for range 2 {
					must(t, w.Share(ctx, dir, "job/outputs/**", alice))
					w.levels(out, map[perm.User]perm.Level{alice: perm.Read, bob: perm.None})
				}
				must(t, w.Unshare(ctx, dir, "job/outputs/**", alice))
				must(t, w.Unshare(ctx, dir, "job/outputs/**", bob))
				w.levels(out, map[perm.User]perm.Level{alice: perm.None})
			}
			if text := w.read(file); !strings.Contains(text, c.pattern) {
				t.Errorf("no %s in\n%s", c.pattern, text)
			}
		})
	}
	t.Run("no file", func(t *testing.T) {
		w := newWorld(t, map[string]string{"r/f": ""})
		must(t, w.Restrict(ctx, at("r/new"), "*.txt", []perm.User{alice}))
		w.levels("r/new/a.txt", map[perm.User]perm.Level{alice: perm.Read, bob: perm.None})
	})
	t.Run("refused patterns", func(t *testing.T) {
		w := newWorld(t, map[string]string{"r/f": ""})
		for _, pattern := range []string{"", "/a", "../x", "a//b", "a/", "[", "{{.Nonsense}}", "a/./b"} {
			if err := w.Restrict(ctx, at("r"), pattern, nil); err == nil {
				t.Errorf("%q was written", pattern)
			}
		}
		if w.exists("r/syft.pub.yaml") {
			t.Error(w.read("r/syft.pub.yaml"))
		}
	})
}

func TestAnotherAdmin(t *testing.T) {
	w := newWorld(t, map[string]string{
		"syft.pub.yaml":          "rules:\n- {pattern: 'team/**', access: {admin: [alice@x.org]}}\n",
		"team/f":                 "",
		"team/own/syft.pub.yaml": "rules:\n- {pattern: '**', access: {admin: [alice@x.org], read: [bob@x.org]}}\n",
		"team/own/f":             "",
	})
	view := w.g.View(datasite.Identity{Subject: alice}, nil)
	a := w.As(view)
	_, err := a.Grant(ctx, at("team/own"), carol, perm.Read)
	must(t, err)
	w.levels("team/own/f", map[perm.User]perm.Level{alice: perm.Admin, bob: perm.Read, carol: perm.Read})
	if _, err := a.Revoke(ctx, at("team/own"), alice); !errors.Is(err, ErrLockout) || !errors.Is(err, iofs.ErrPermission) {
		t.Errorf("lockout: %v", err)
	}
	// The file that decides on team lies where she may not look: a new one in its place would take what it gives.
	if _, err := a.Grant(ctx, at("team"), carol, perm.Read); !errors.Is(err, iofs.ErrPermission) {
		t.Errorf("a file she cannot see: %v", err)
	}
	if w.exists("team/syft.pub.yaml") {
		t.Error(w.read("team/syft.pub.yaml"))
	}
	if _, err := w.As(w.g.View(datasite.Identity{Subject: bob}, nil)).Grant(ctx, at("team/own"), carol, perm.Write); !errors.Is(err, iofs.ErrPermission) {
		t.Errorf("a reader: %v", err)
	}
}

func TestConcurrentEdits(t *testing.T) {
	w := newWorld(t, map[string]string{"d/f": ""})
	var wg sync.WaitGroup
	var users []perm.User
	for _, n := range "abcdefghij" {
		users = append(users, perm.User(string(n)+"@x.org"))
	}
	for i, u := range users {
		g := w.Granter
		if i%2 == 0 {
			g = w.As(w.view)
		}
		wg.Go(func() {
			if _, err := g.Grant(ctx, at("d"), u, perm.Read); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, u := range users {
		w.levels("d/f", map[perm.User]perm.Level{u: perm.Read})
	}
}

func TestConcurrentMoves(t *testing.T) {
	files := map[string]string{"to/syft.pub.yaml": "rules:\n- {pattern: '**', access: {write: ['*']}}\n", "from/syft.pub.yaml": "rules:\n- {pattern: '**', access: {read: [alice@x.org]}}\n"}
	const names = "abcdef"
	for _, n := range names {
		files["from/"+string(n)] = ""
	}
	w := newWorld(t, files)
	var wg sync.WaitGroup
	for _, n := range names {
		wg.Go(func() {
			if _, err := w.Move(ctx, at("from/"+string(n)), at("to/"+string(n))); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			// Before or after it is moved: who asks with another identity takes turns, too.
			_, err := w.As(w.view).Grant(ctx, at("to/"+string(n)), bob, perm.Read)
			if err != nil && !errors.Is(err, iofs.ErrNotExist) {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, _, err := w.Diff(ctx, at("to/syft.pub.yaml"), nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, n := range names {
		w.levels("to/"+string(n), map[perm.User]perm.Level{alice: perm.Read, carol: perm.None, perm.Anonymous: perm.None})
	}
}

// A rule file that an admin of the folder above may not read decides below: nothing is said about what lies there.
func TestHiddenRuleFile(t *testing.T) {
	w := newWorld(t, map[string]string{
		"team/syft.pub.yaml":   "rules:\n- {pattern: '**', access: {admin: [alice@x.org]}}\n",
		"team/f":               "",
		"team/h/syft.pub.yaml": "rules:\n- {pattern: '*.csv', access: {read: [alice@x.org, carol@x.org]}}\n",
		"team/h/x.csv":         "",
	})
	a := w.As(w.g.View(datasite.Identity{Subject: alice}, nil))
	got, err := a.Grant(ctx, at("team"), bob, perm.Read)
	must(t, err)
	w.levels("team/f", map[perm.User]perm.Level{bob: perm.Read})
	w.levels("team/h/x.csv", map[perm.User]perm.Level{bob: perm.None, carol: perm.Read})
	if !got.Partial || !got.Effects.Truncated {
		t.Errorf("%+v", got)
	}
	for _, e := range got.Effects.Gains {
		if e.Path.Under(at("team/h")) || e.Reach == ReachWhole && e.Path == at("team") {
			t.Errorf("told: %v", e)
		}
	}
	if _, err := a.Move(ctx, at("team/h"), at("team/i")); !errors.Is(err, ErrByHand) && !errors.Is(err, iofs.ErrPermission) {
		t.Errorf("moved unseen: %v", err)
	}
}

func TestCancelled(t *testing.T) {
	w := newWorld(t, map[string]string{"d/f": ""})
	w.turn <- struct{}{}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if err := w.Share(gone, at("d"), "**", bob); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestGoverningAndReaders(t *testing.T) {
	w := newWorld(t, map[string]string{
		"a/syft.pub.yaml":     "rules:\n- {pattern: 'x/*', access: {read: [bob@x.org]}}\n- {pattern: '**', access: {read: [alice@x.org, '*@y.org'], write: [owner@x.org]}}\n",
		"a/x/f":               "",
		"end/syft.pub.yaml":   "terminal: true\nrules: []\n",
		"end/d/syft.pub.yaml": "rules:\n- {pattern: '**', access: {read: ['*']}}\n",
		"old/syftperm.yaml":   "- {path: '**', permissions: read, user: '*'}\n- {path: '**', permissions: read, user: carol@x.org, type: disallow}\n- {path: 'f', permissions: write, user: bob@x.org}\n",
		"old/f":               "",
		"none/f":              "",
	})
	for dir, want := range map[string]Governing{
		"a/x":   {at("a/syft.pub.yaml"), true, false},
		"end/d": {at("end/syft.pub.yaml"), true, true},
		"old":   {at("old/syftperm.yaml"), true, false},
		"none":  {at("none/syft.pub.yaml"), false, false},
		"new/x": {at("new/x/syft.pub.yaml"), false, false},
	} {
		if got, err := w.Governing(ctx, at(dir)); err != nil || got != want {
			t.Errorf("%s: %+v, %v", dir, got, err)
		}
	}
	for rel, want := range map[string][]string{"a/x/f": {"bob@x.org"}, "a/g": {"*@y.org", "alice@x.org"}, "end/d/f": nil, "old/f": {"*", "bob@x.org"}, "none/f": nil} {
		got, err := w.Readers(ctx, at(rel), false)
		must(t, err)
		if d := cmp.Diff(want, got); d != "" && len(want)+len(got) > 0 {
			t.Errorf("%s: %s", rel, d)
		}
	}
}
