package grant

import (
	"context"
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
)

func TestShow(t *testing.T) {
	const top = "rules:\n- {pattern: '**', access: {read: ['*'], wriet: [bob@x.org]}}\n"
	const team = "terminal: true\nrules:\n- {pattern: '*.csv', access: {write: [bob@x.org]}}\n- {pattern: '**', access: {admin: [alice@x.org], read: ['*@x.org']}}\n"
	w := newWorld(t, map[string]string{
		"syft.pub.yaml": top, "f": "", "team/syft.pub.yaml": team, "team/a.csv": "", "team/sub/syft.pub.yaml": "rules: []\n", "team/sub/f": "",
		"broken/syft.pub.yaml": "rules: {", "broken/f": "",
	})
	got, err := w.Show(ctx, at("team/a.csv"))
	must(t, err)
	if got.File != at("team/syft.pub.yaml") || !got.Exists || got.Kind != perm.KindPub || string(got.Text) != team || !got.Terminal || got.IsDir || got.Broken != nil {
		t.Errorf("%+v", got)
	}
	if len(got.Rules) != 2 || got.Rules[0].Pattern != "*.csv" {
		t.Errorf("%+v", got.Rules)
	}
	if d := cmp.Diff([]perm.Holder{{Entry: "bob@x.org", Level: perm.Write, By: perm.Source{File: "/owner@x.org/team/syft.pub.yaml", Line: 3}, Pattern: "*.csv"}}, got.Holders); d != "" {
		t.Error(d)
	}
	roles := func(p string) (out []perm.FileRole) {
		s, err := w.Show(ctx, at(p))
		must(t, err)
		for _, f := range s.Files {
			out = append(out, f.Role)
		}
		return out
	}
	for p, want := range map[string][]perm.FileRole{
		"team/a.csv": {perm.RoleReplaced, perm.RoleDecides}, "team/sub/f": {perm.RoleReplaced, perm.RoleDecides, perm.RoleIgnored},
		"f": {perm.RoleDecides}, "broken/f": {perm.RoleReplaced, perm.RoleUnreadable}, "team/not there": {perm.RoleReplaced, perm.RoleDecides},
	} {
		if d := cmp.Diff(want, roles(p)); d != "" {
			t.Errorf("%s: %s", p, d)
		}
	}
	if got, err = w.Show(ctx, at("broken")); err != nil || got.Broken == nil || len(got.Problems) != 1 || string(got.Text) != "rules: {" || !got.IsDir {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err = w.Show(ctx, at("f")); err != nil || len(got.Problems) == 0 {
		t.Errorf("%+v, %v", got, err)
	}

	b := w.As(w.g.View(datasite.Identity{Subject: bob}, nil))
	if got, err = b.Show(ctx, at("team/a.csv")); err != nil || len(got.Holders) != 0 || string(got.Text) != team {
		t.Errorf("a writer: %+v, %v", got, err)
	}
	c := w.As(w.g.View(datasite.Identity{Subject: dave}, nil))
	if got, err = c.Show(ctx, at("team/a.csv")); err != nil || len(got.Holders)+len(got.Rules)+len(got.Files)+len(got.Text) != 0 {
		t.Errorf("who sees nothing: %+v, %v", got, err)
	}

	none := newWorld(t, map[string]string{"d/f": ""})
	if got, err = none.Show(ctx, at("d/f")); err != nil || got.Exists || got.File != at("d/syft.pub.yaml") {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := none.Show(ctx, datasite.Path{Owner: bob}); !errors.Is(err, iofs.ErrPermission) {
		t.Error(err)
	}
}

func TestLint(t *testing.T) {
	w := newWorld(t, map[string]string{
		"syft.pub.yaml":         "rules:\n- {pattern: '/docs', access: {}}\n- {pattern: '**', access: {}}\n",
		"a/syft.pub.yaml":       "rules: {",
		"a/b/syft.pub.yaml":     "rules: []\n",
		"c/syft.pub.yaml":       "terminal: true\nrules:\n- {pattern: '**', access: {read: [Bob@x.org]}}\n",
		"c/syftperm.yaml":       "[]\n",
		"c/d/syftperm.yaml":     "- {path: x, permissions: fly, user: '*'}\n",
		"c/d/f":                 "",
		"e/syft.pub.yaml":       "rules: []\n",
		"linked/f":              "",
		"folder/syft.pub.yaml/": "",
		"g/.syft.pub.yaml":      "not a rule file",
	})
	must(t, os.Symlink("../e/syft.pub.yaml", filepath.Join(w.dir, string(owner), "linked/syft.pub.yaml")))
	type found struct {
		File     string
		Severity rulefile.Severity
	}
	lint := func(p string) map[found]bool {
		got, err := w.Lint(ctx, at(p))
		must(t, err)
		out := map[found]bool{}
		for _, f := range got {
			if f.Text == "" || f.Hint == "" {
				t.Errorf("%+v does not say what to do", f)
			}
			out[found{f.File.Rel, f.Severity}] = true
		}
		return out
	}
	top := found{"syft.pub.yaml", rulefile.SeverityWarning}
	c1, c2 := found{"c/syft.pub.yaml", rulefile.SeverityWarning}, found{"c/syftperm.yaml", rulefile.SeverityWarning}
	d1, d2 := found{"c/d/syftperm.yaml", rulefile.SeverityError}, found{"c/d/syftperm.yaml", rulefile.SeverityWarning}
	a1, a2 := found{"a/syft.pub.yaml", rulefile.SeverityError}, found{"a/b/syft.pub.yaml", rulefile.SeverityWarning}
	all := map[found]bool{top: true, c1: true, c2: true, d1: true, d2: true, a1: true, a2: true,
		{"linked/syft.pub.yaml", rulefile.SeverityError}: true, {"folder/syft.pub.yaml", rulefile.SeverityError}: true}
	for p, want := range map[string]map[found]bool{
		"":                  all,
		"c":                 {c1: true, c2: true, d1: true, d2: true},
		"c/d":               {c1: true, d1: true, d2: true},
		"c/d/f":             {c1: true},
		"c/d/syftperm.yaml": {c1: true, d1: true, d2: true},
		"e":                 {},
		"a/b":               {a1: true, a2: true},
		"g":                 {top: true},
	} {
		if d := cmp.Diff(want, lint(p)); d != "" {
			t.Errorf("%s: %s", p, d)
		}
	}
	if _, err := w.Lint(ctx, at("nothing")); !errors.Is(err, iofs.ErrNotExist) {
		t.Error(err)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := w.Lint(gone, at("")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
