package rulefile_test

import (
	"bytes"
	"errors"
	iofs "io/fs"
	"path"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
	"pgregory.net/rapid"
)

func TestProject(t *testing.T) {
	const src = `# Ann is on leave
terminal: true
rules:
- pattern: bob@x.org/**
  access: {admin: [ann@x.org, "?ob@x.org"], read: ["*", eve@x.org, "*@y.org"]}
  limits: {maxFileSize: 7, allowDirs: no}
- pattern: eve/**
  access: {write: [eve@x.org]}
- pattern: "{{.UserEmail}}/*"
  access: {create: [USER, "[bob@x.org", Bob@x.org, bob@x.org, bob@x.org]}
`
	for u, want := range map[perm.User]string{
		"bob@x.org": `terminal: true
rules:
  - pattern: bob@x.org/**
    access:
      admin: ['?ob@x.org']
      read: ['*']
    limits:
      maxFileSize: 7
      allowDirs: false
  - pattern: eve/**
    access: {}
  - pattern: '{{.UserEmail}}/*'
    access:
      create: [USER, bob@x.org]
`,
		perm.Anonymous: `terminal: true
rules:
  - pattern: bob@x.org/**
    access:
      read: ['*']
    limits:
      maxFileSize: 7
      allowDirs: false
  - pattern: eve/**
    access: {}
  - pattern: '{{.UserEmail}}/*'
    access: {}
`,
	} {
		project(t, pubName, src, u, want)
	}
	const old = `- {path: '**', permissions: [read, create], user: "*"}
- {path: s, permissions: [read, write], user: eve@x.org, type: disallow}
- {path: b, permissions: admin, user: bob@x.org, allow: true}
`
	project(t, permName, old, "bob@x.org", `- path: '**'
  permissions: [read, create]
  user: '*'
- path: s
  permissions: []
  user: '*'
  type: disallow
- path: b
  permissions: [admin]
  user: bob@x.org
`)
	project(t, permName, "[]", "bob@x.org", "[]\n")
	project(t, pubName, "", "bob@x.org", "rules: []\n")
}

func project(t *testing.T, name, src string, u perm.User, want string) {
	t.Helper()
	rs, _, err := rulefile.Parse(name, []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	text, err := rulefile.Render(rulefile.Project(rs, u))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("%s: %s", u, diff)
	}
}

func TestRenderRefuses(t *testing.T) {
	broken, _, _ := rulefile.Parse(pubName, []byte("rules: 7\n"))
	read := func(users ...string) map[perm.Level][]string { return map[perm.Level][]string{perm.Read: users} }
	for name, rs := range map[string]perm.Ruleset{
		"broken":             broken,
		"broken, projected":  rulefile.Project(broken, "bob@x.org"),
		"no kind":            {},
		"empty pattern":      {Kind: perm.KindPub, Rules: []perm.Rule{{Grants: read("*")}}},
		"deny":               {Kind: perm.KindPub, Rules: []perm.Rule{{Pattern: "a", Deny: true, Grants: read("*")}}},
		"two users":          {Kind: perm.KindPerm, Rules: []perm.Rule{{Pattern: "a", Grants: read("a@x.org", "b@x.org")}}},
		"limits":             {Kind: perm.KindPerm, Rules: []perm.Rule{{Pattern: "a", Grants: read("*"), Limits: perm.Limits{MaxFiles: 1}}}},
		"terminal":           {Kind: perm.KindPerm, Terminal: true},
		"a control sequence": {Kind: perm.KindPub, Rules: []perm.Rule{{Pattern: "a\xff", Grants: read("*")}}},
	} {
		if text, err := rulefile.Render(rs); !errors.Is(err, iofs.ErrInvalid) {
			t.Errorf("%s: %v, %q", name, err, text)
		}
	}
}

// forest is a datasite of made-up rule files: in the top folder, in d and in d/e.
type forest map[string]perm.Ruleset

func drawForest(rt *rapid.T, old bool) forest {
	pubPatterns := []string{"**", "d/**", "*.txt", "d/e/f.txt", "**/f.txt", "{{.UserEmail}}/**", "d/*", "syft.pub.yaml", "e/**", "f.txt"}
	permPatterns := []string{"**", "d/**", "*.txt", "d/e/f.txt", "**/f.txt", "{useremail}/**", "d/*", "syft.pub.yaml", "e/**", "f.txt"}
	entries := []string{"*", "USER", "ann@x.org", "bob@x.org", "*@x.org", "[ab]*", "*@y.org", "eve@y.org", "[", "Bob@x.org"}
	draw := func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "n") }
	f := forest{}
	for _, dir := range []string{"", "d", "d/e"} {
		kind := perm.KindPub
		switch draw(4) {
		case 0:
			continue
		case 1:
			if old {
				kind = perm.KindPerm
			}
		}
		rs := perm.Ruleset{Dir: dir, Kind: kind, From: perm.Source{File: "/" + path.Join("own@x.org", dir, kind.String())}}
		rs.Terminal = kind == perm.KindPub && draw(5) == 0
		for range draw(5) {
			r := perm.Rule{Pattern: pubPatterns[draw(len(pubPatterns))], Grants: map[perm.Level][]string{}}
			user := []string{"*", "ann@x.org", "bob@x.org", "eve@y.org"}[draw(4)]
			if kind == perm.KindPerm {
				r.Pattern, r.Deny = permPatterns[draw(len(permPatterns))], draw(3) == 0
			} else if draw(4) == 0 {
				r.Limits = perm.Limits{MaxFileSize: int64(draw(3)), NoDirs: draw(2) == 0}
			}
			for l := perm.Read; l <= perm.Admin; l++ {
				if draw(2) == 0 {
					continue
				}
				if kind == perm.KindPerm {
					r.Grants[l] = []string{user}
					continue
				}
				for range 1 + draw(3) {
					if e := entries[draw(len(entries))]; !slices.Contains(r.Grants[l], e) {
						r.Grants[l] = append(r.Grants[l], e)
					}
				}
			}
			rs.Rules = append(rs.Rules, r)
		}
		f[dir] = rs
	}
	return f
}

func (f forest) index() *perm.Index {
	return perm.NewIndex(func(_ perm.User, dir string) ([]perm.Ruleset, error) {
		if rs, ok := f[dir]; ok {
			return []perm.Ruleset{rs}, nil
		}
		return nil, nil
	})
}

// TestProjectionDecidesAlike sends the projections of a whole datasite through their text, and asks both for every path.
func TestProjectionDecidesAlike(t *testing.T) {
	users := []perm.User{"ann@x.org", "bob@x.org", "eve@y.org", perm.Anonymous}
	rapid.Check(t, func(rt *rapid.T) {
		whole := drawForest(rt, true)
		peer := rapid.SampledFrom(users).Draw(rt, "peer")
		sent := forest{}
		old := false
		for dir, rs := range whole {
			old = old || rs.Kind == perm.KindPerm
			text, err := rulefile.Render(rulefile.Project(rs, peer))
			if err != nil {
				rt.Fatal(err)
			}
			for _, u := range users {
				shared := slices.ContainsFunc(rs.Rules, func(r perm.Rule) bool { return r.Pattern == string(u) })
				if u != peer && !shared && bytes.Contains(text, []byte(u)) {
					rt.Fatalf("the projection for %s tells of %s:\n%s", peer, u, text)
				}
			}
			if sent[dir], _, err = rulefile.Parse(rs.From.File, text); err != nil {
				rt.Fatalf("%v\n%s", err, text)
			}
		}
		a, b := whole.index(), sent.index()
		for _, p := range []string{"", "f.txt", "x", "d", "d/f.txt", "d/e", "d/e/f.txt", "d/e/.h", "d/syft.pub.yaml", "d/e/syftperm.yaml", "bob@x.org/f.txt", "d/e/e/bob@x.org/q", "d/e/d/e/f.txt"} {
			for _, u := range users {
				for l := perm.Read; l <= perm.Admin; l++ {
					r := perm.Request{User: u, Owner: "own@x.org", Path: p, Want: l, IsDir: p == "" || p == "d" || p == "d/e"}
					was, err := a.Decide(r)
					now, err2 := b.Decide(r)
					if err != nil || err2 != nil {
						rt.Fatal(err, err2)
					}
					same := was.Allowed == now.Allowed && was.Level == now.Level && was.Limits == now.Limits && was.By.File == now.By.File
					if u == peer && !same {
						rt.Fatalf("%s: %s, projected: %s", peer, was.Explain(), now.Explain())
					}
					if u != peer && !old && now.Allowed && !was.Allowed {
						rt.Fatalf("the projection for %s gives %s more: %s, projected: %s", peer, u, was.Explain(), now.Explain())
					}
				}
			}
		}
	})
}

// TestLintIsSure asks for every small path whether a rule that Lint says never decides does.
func TestLintIsSure(t *testing.T) {
	var paths []string
	for _, a := range []string{"a", "b", "ab", ".a"} {
		paths = append(paths, a)
		for _, b := range []string{"a", "b", ".b", "aa"} {
			paths = append(paths, a+"/"+b, a+"/"+b+"/a", a+"/"+b+"/b/ab")
		}
	}
	segment := rapid.SampledFrom([]string{"a", "b", "*", "**", "a*", "*b", "?", "[ab]", "?*", "**a", "{a,b}", "{{.UserEmail}}", "a*a", "[!a]", `\a`})
	rapid.Check(t, func(rt *rapid.T) {
		var patterns []string
		for range rapid.IntRange(2, 5).Draw(rt, "rules") {
			p := segment.Draw(rt, "first")
			for range rapid.IntRange(0, 3).Draw(rt, "more") {
				p = path.Join(p, segment.Draw(rt, "next"))
			}
			patterns = append(patterns, p)
		}
		src := pubRules(patterns...)
		rs, _, err := rulefile.Parse("/alice@x.org/syft.pub.yaml", []byte(src))
		if err != nil {
			rt.Skip("not a pattern") // of this draw: rapid makes another
		}
		x := perm.NewIndex(atTop(rs))
		decides := map[int]string{}
		for _, p := range append(paths, "") {
			for _, u := range []perm.User{"a@x.org", "u0@x.org"} {
				d, err := x.Decide(perm.Request{User: u, Owner: "alice@x.org", Path: p, IsDir: p == "", Want: perm.Read})
				if err != nil {
					rt.Fatal(err)
				}
				decides[d.By.Line] = p
			}
		}
		for _, p := range rulefile.Lint("/alice@x.org/syft.pub.yaml", []byte(src)) {
			if by, ok := decides[p.Line]; ok && bytes.Contains([]byte(p.Text), []byte("never decides")) {
				rt.Fatalf("%v, but it does for %q\n%s", p, by, src)
			}
		}
	})
}
