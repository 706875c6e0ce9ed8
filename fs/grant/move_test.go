package grant

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

// offices is a datasite with two departments, and files from one to move to the other.
func offices() map[string]string {
	return map[string]string{
		"syft.pub.yaml": `# the house
rules:
- pattern: "**" # all of it
  access: {read: [alice@x.org]}
- pattern: "docs/secret.txt"
  access: {read: [bob@x.org]}
- pattern: "docs/**"
  access: {read: ["*@x.org"], write: [carol@x.org]}
- pattern: "limited/**"
  access: {write: [bob@x.org]}
  limits: {maxFileSize: 100}
- pattern: "docs/deep/**"
  access: {admin: [dave@y.org]}
`,
		"docs/a.csv": "a", "docs/secret.txt": "s", "docs/deep/x": "x", "limited/f": "f",
		"open/syft.pub.yaml":        "# open to all\nrules:\n- {pattern: '**', access: {write: ['*']}}\n",
		"open/f":                    "",
		"shut/syft.pub.yaml":        "terminal: true\nrules: []\n",
		"shut/f":                    "",
		"own/syft.pub.yaml":         "rules:\n- {pattern: '**', access: {write: [bob@x.org]}}\n",
		"own/f":                     "",
		"old/syftperm.yaml":         "# the old language\n- {path: '**', permissions: [read, write], user: '*'}\n- {path: 'one', permissions: [read, create, write], user: alice@x.org}\n",
		"old/one":                   "",
		"old/sub/two":               "",
		"plain/syftperm.yaml":       "- {path: '**', permissions: read, user: '*'}\n- {path: 'p', permissions: [read, create, write], user: bob@x.org}\n- {path: 'p', permissions: admin, user: carol@x.org}\n",
		"plain/p":                   "",
		"greedy/syft.pub.yaml":      "rules:\n- {pattern: '**/a-name-that-is-very-long-indeed.txt', access: {read: ['*']}}\n",
		"greedy/f":                  "",
		"greedy/s/":                 "",
		"docs/q":                    "",
		"broken/syft.pub.yaml":      "rules: {",
		"broken/f":                  "",
		"both/syft.pub.yaml":        "rules:\n- {pattern: 'f', access: {write: [bob@x.org]}, limits: {maxFileSize: 1}}\n- {pattern: '**', access: {read: ['*']}}\n",
		"both/f":                    "",
		"personal/syft.pub.yaml":    "rules:\n- {pattern: '{{.UserEmail}}/**', access: {write: [USER]}}\n",
		"personal/bob@x.org/sub/f":  "",
		"hashed/syft.pub.yaml":      "rules:\n- {pattern: '{{.UserHash}}/**', access: {write: [USER]}}\n",
		"hashed/0123456789abcdef/f": "",
	}
}

func TestMove(t *testing.T) {
	for name, c := range map[string]struct {
		from, to string
		rules    []string // patterns that the rule file at the destination has afterwards; "-": not
		file     string
		err      error
	}{
		"under the same rule":        {"docs/a.csv", "docs/b.csv", []string{"-b.csv"}, "syft.pub.yaml", nil},
		"a rule goes along":          {"docs/secret.txt", "docs/told.txt", []string{"docs/told.txt", "-docs/secret.txt"}, "syft.pub.yaml", nil},
		"into a more open place":     {"docs/a.csv", "open/a.csv", []string{"a.csv"}, "open/syft.pub.yaml", nil},
		"secret into the open":       {"docs/secret.txt", "open/told", []string{"told"}, "open/syft.pub.yaml", nil},
		"where nobody may look":      {"docs/a.csv", "shut/a.csv", []string{"a.csv"}, "shut/syft.pub.yaml", nil},
		"a folder into the open":     {"docs", "open/docs", []string{"docs/**", "docs/secret.txt", "docs/deep/**"}, "open/syft.pub.yaml", nil},
		"a folder in the same file":  {"docs", "papers", []string{"papers/**", "papers/secret.txt", "papers/deep/**", "-docs/**"}, "syft.pub.yaml", nil},
		"limits":                     {"limited/f", "open/f2", []string{"f2"}, "open/syft.pub.yaml", nil},
		"a folder with limits":       {"limited", "open/limited", []string{"limited/**"}, "open/syft.pub.yaml", nil},
		"a folder with its own file": {"own", "open/own", []string{"-own"}, "open/syft.pub.yaml", nil},
		"its own file has no say":    {"own", "shut/own", []string{"own/**"}, "shut/syft.pub.yaml", nil},
		"old to old":                 {"old/one", "old/sub/one", []string{"sub/one", "-'one'"}, "old/syftperm.yaml", nil},
		"old to new":                 {"plain/p", "docs/p", []string{"docs/p"}, "syft.pub.yaml", nil},
		"new to old":                 {"docs/secret.txt", "old/told", []string{"told"}, "old/syftperm.yaml", nil},
		"a new file is made":         {"personal/bob@x.org/sub", "personal/sub", []string{"sub/**"}, "personal/syft.pub.yaml", nil},

		"write without create":   {"old/sub/two", "docs/two", nil, "", ErrByHand},
		"limits to old":          {"limited/f", "old/f", nil, "", ErrByHand},
		"a glob to old":          {"docs/a.csv", "old/a.csv", nil, "", ErrByHand},
		"a longer pattern":       {"docs/q", "greedy/s/a-name-that-is-very-long-indeed.txt", []string{"s/a-name-that-is-very-long-indeed.txt"}, "greedy/syft.pub.yaml", nil},
		"out of a broken folder": {"broken/f", "docs/f", nil, "", iofs.ErrInvalid},
		"into a broken folder":   {"docs/a.csv", "broken/a.csv", nil, "", iofs.ErrInvalid},
		"hashed addresses":       {"docs/a.csv", "hashed/0123456789abcdef/a", nil, "", ErrByHand},
		"exists":                 {"docs/a.csv", "open/f", nil, "", iofs.ErrExist},
		"not there":              {"nothing", "open/x", nil, "", iofs.ErrNotExist},
		"no such folder":         {"docs/a.csv", "nothing/a", nil, "", iofs.ErrNotExist},
		"a file is no folder":    {"docs/a.csv", "open/f/a", nil, "", iofs.ErrInvalid},
		"into itself":            {"docs", "docs/deep/docs", nil, "", iofs.ErrInvalid},
		"to where it is":         {"docs", "docs", nil, "", iofs.ErrInvalid},
		"a rule file":            {"own/syft.pub.yaml", "docs/x", nil, "", iofs.ErrInvalid},
		"to a rule file":         {"docs/a.csv", "docs/syft.pub.yaml", nil, "", iofs.ErrInvalid},
		"a datasite":             {"", "docs/x", nil, "", iofs.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, offices())
			was := w.state(people...)
			got, err := w.Move(ctx, at(c.from), at(c.to))
			if !errors.Is(err, c.err) {
				t.Fatalf("%v, want %v", err, c.err)
			}
			is := w.state(people...)
			if err != nil {
				if d := cmp.Diff(was, is, cmp.AllowUnexported(state{}, rights{})); d != "" {
					t.Errorf("after %v: %s", err, d)
				}
				return
			}
			if got.File != at(c.file) && got.Changed {
				t.Errorf("%+v", got)
			}
			if d := cmp.Diff(relocated(was, c.from, c.to), is.rights, cmp.AllowUnexported(rights{})); d != "" {
				t.Errorf("%s\n%s", d, is.texts[c.file])
			}
			for _, rule := range c.rules {
				rule, gone := strings.CutPrefix(rule, "-")
				if strings.Contains(is.texts[c.file], rule) == gone {
					t.Errorf("%s in, or not in\n%s", rule, is.texts[c.file])
				}
			}
			for file, before := range was.texts {
				for line := range strings.Lines(before) {
					if _, comment, ok := strings.Cut(line, "#"); ok && !strings.Contains(is.texts[file], comment) && is.texts[file] != "" {
						t.Errorf("%s lost %q", file, comment)
					}
				}
			}
		})
	}
}

// relocated are the rights of was, with what lay at from at to.
func relocated(was state, from, to string) map[string]map[perm.User]rights {
	out := map[string]map[perm.User]rights{}
	for p, r := range was.rights {
		if at(strings.TrimSuffix(p, "/")).Under(at(from)) {
			p = to + p[len(from):]
		}
		out[p] = r
	}
	return out
}

func TestMoveRemovesRulesElsewhere(t *testing.T) {
	w := newWorld(t, offices())
	got, err := w.Move(ctx, at("docs/secret.txt"), at("open/told"))
	must(t, err)
	if got.Also != at("syft.pub.yaml") || strings.Contains(w.read("syft.pub.yaml"), "secret") || !strings.Contains(w.read("syft.pub.yaml"), "# all of it") {
		t.Errorf("%+v\n%s", got, w.read("syft.pub.yaml"))
	}
}

// Every step fails once, by itself and with all that follow it. By itself it is taken back.
func TestMoveFails(t *testing.T) {
	for _, c := range [][2]string{{"docs/secret.txt", "docs/told"}, {"docs/secret.txt", "open/told"}, {"docs", "open/docs"}, {"own", "shut/own"}, {"plain/p", "docs/p"}} {
		for _, rest := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s to %s, %v", c[0], c[1], rest), func(t *testing.T) {
				files := offices()
				maps.DeleteFunc(files, func(name, _ string) bool { // what has no part in it
					top, _, below := strings.Cut(name, "/")
					return below && !strings.HasPrefix(c[0], top) && !strings.HasPrefix(c[1], top)
				})
				for n := 1; ; n++ {
					f := &faults{}
					w := openWorld(t, t.TempDir(), files, f, withFaults(f))
					was := w.state(alice, bob, carol, dave, perm.Anonymous)
					f.set(n, rest)
					_, err := w.Move(ctx, at(c[0]), at(c[1]))
					f.set(0, false)
					is := w.state(alice, bob, carol, dave, perm.Anonymous)
					must(t, w.tree.Close())
					if err == nil {
						if n < 6 {
							t.Errorf("only %d steps", n-1)
						}
						return
					}
					if !errors.Is(err, errFault) {
						t.Fatalf("%d: %v", n, err)
					}
					moved := relocated(was, c[0], c[1])
					for p, users := range is.rights {
						for u, r := range users {
							before, ok := was.rights[p]
							if !ok {
								before, ok = moved[p]
							}
							if ok && r.exceeds(before[u]) {
								t.Errorf("%d: %v: %s on %s: %v, was %v", n, err, u, p, r, before[u])
							}
						}
					}
					if is.rights[c[1]] != nil || is.rights[c[1]+"/"] != nil || rest {
						continue // nothing but tidying failed, or it could not be taken back
					}
					if d := cmp.Diff(was, is, cmp.AllowUnexported(state{}, rights{})); d != "" {
						t.Errorf("%d: %v: %s", n, err, d)
					}
				}
			})
		}
	}
}

func TestMoveByAnAdmin(t *testing.T) {
	files := map[string]string{
		"team/syft.pub.yaml":      "rules:\n- {pattern: '**', access: {admin: [alice@x.org], read: [bob@x.org]}}\n",
		"team/open/syft.pub.yaml": "rules:\n- {pattern: '**', access: {admin: [alice@x.org], read: ['*']}}\n",
		"team/f":                  "",
		"team/open/g":             "",
		"other/syft.pub.yaml":     "rules:\n- {pattern: '*', access: {write: [alice@x.org, carol@x.org]}}\n",
		"other/f":                 "",
	}
	w := newWorld(t, files)
	a := w.As(w.g.View(datasite.Identity{Subject: alice}, nil))
	_, err := a.Move(ctx, at("team/f"), at("team/open/f"))
	must(t, err)
	w.levels("team/open/f", map[perm.User]perm.Level{alice: perm.Admin, bob: perm.Read, carol: perm.None, perm.Anonymous: perm.None})
	for _, c := range [][2]string{{"team/open/g", "other/g"}, {"team/open/f", "f"}} {
		was := w.state(people...)
		if _, err := a.Move(ctx, at(c[0]), at(c[1])); !errors.Is(err, iofs.ErrPermission) && !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("%v: %v", c, err)
		}
		if d := cmp.Diff(was, w.state(people...), cmp.AllowUnexported(state{}, rights{})); d != "" {
			t.Errorf("%v: %s", c, d)
		}
	}
	b := w.As(w.g.View(datasite.Identity{Subject: bob}, nil))
	if _, err := b.Move(ctx, at("team/open/g"), at("team/open/h")); !errors.Is(err, iofs.ErrPermission) {
		t.Errorf("a reader: %v", err)
	}
}

func TestMoveTooMuch(t *testing.T) {
	files := map[string]string{"from/syft.pub.yaml": "rules:\n", "to/f": ""}
	for i := range maxMoveRules + 1 {
		name := fmt.Sprintf("d/f%d", i)
		files["from/"+name] = ""
		files["from/syft.pub.yaml"] += fmt.Sprintf("- {pattern: '%s', access: {read: ['u%s@x.org']}}\n", name, strings.Repeat("a", i%40)+string(rune('a'+i/40)))
	}
	w := newWorld(t, files)
	was := maps.Clone(files)
	if _, err := w.Move(ctx, at("from/d"), at("to/d")); !errors.Is(err, ErrByHand) {
		t.Errorf("%v", err)
	}
	if w.read("from/syft.pub.yaml") != was["from/syft.pub.yaml"] || w.exists("to/syft.pub.yaml") {
		t.Error("something was changed")
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := w.Move(gone, at("from/d"), at("to/d")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
