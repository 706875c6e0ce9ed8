package rulefile_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
)

const (
	pubName  = "/alice@x.org/a b/syft.pub.yaml"
	permName = "/alice@x.org/syftperm.yaml"
)

func TestParsePub(t *testing.T) {
	const src = "\ufeffterminal: Yes\nrules:\n- pattern: 2024\n  access:\n    admin:\n    write: [~, bob@x.org, null]\n    read: ['*', USER, 7]\n" +
		"  limits: {maxFileSize: 0x10, max_files: 1, maxFiles: 3, allow_dirs: no, allowSymlinks: on}\n- access: {}\n  pattern: '**'\n  limits:\n"
	got, problems, err := rulefile.Parse(pubName, []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	want := perm.Ruleset{Dir: "a b", Kind: perm.KindPub, Terminal: true, From: perm.Source{File: pubName}, Rules: []perm.Rule{
		{
			Pattern: "2024", Grants: map[perm.Level][]string{perm.Write: {"bob@x.org"}, perm.Read: {"*", "USER", "7"}},
			Limits: perm.Limits{MaxFileSize: 16, MaxFiles: 3, NoDirs: true, AllowSymlinks: true}, From: perm.Source{File: pubName, Line: 3},
		},
		{Pattern: "**", Grants: map[perm.Level][]string{}, From: perm.Source{File: pubName, Line: 9}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var texts []string
	for _, p := range problems {
		texts = append(texts, p.String())
	}
	if diff := cmp.Diff([]string{
		`line 7, column 23: rules[0].access.read: it names nobody: "7": it has no @: not an e-mail address that can name a datasite; write the address of a person, in lower case`,
		`line 8, column 31: rules[0].limits.max_files: the key is unknown and ignored; did you mean maxFiles? The keys here are maxFileSize, maxFiles, allowDirs and allowSymlinks`,
		`line 8, column 58: rules[0].limits.allow_dirs: it is another spelling of allowDirs; write allowDirs`,
	}, texts); diff != "" {
		t.Error(diff)
	}
}

func TestParsePerm(t *testing.T) {
	const src = "- {path: '**', permissions: Read, user: '*'}\n- path: a/{useremail}\n  permissions: [WRITE, admin]\n  user: bob@x.org\n  type: disallow\n" +
		"- {path: b, permissions: [create], user: bob@x.org, allow: false}\n"
	got, problems, err := rulefile.Parse(permName, []byte(src))
	if err != nil || len(problems) != 0 {
		t.Fatal(err, problems)
	}
	from := func(line int) perm.Source { return perm.Source{File: permName, Line: line} }
	want := perm.Ruleset{Kind: perm.KindPerm, From: from(0), Rules: []perm.Rule{
		{Pattern: "**", Grants: map[perm.Level][]string{perm.Read: {"*"}}, From: from(1)},
		{Pattern: "a/{useremail}", Deny: true, Grants: map[perm.Level][]string{perm.Write: {"bob@x.org"}, perm.Admin: {"bob@x.org"}}, From: from(2)},
		{Pattern: "b", Deny: true, Grants: map[perm.Level][]string{perm.Create: {"bob@x.org"}}, From: from(6)},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestMergeKeys(t *testing.T) {
	const src = "base: &b {read: [bob@x.org], write: [carol@x.org]}\nmore: &m {write: [dan@x.org], admin: [eve@x.org]}\n" +
		"rules:\n- pattern: a\n  access: {<<: [*b, *m], read: ['*']}\n- pattern: b\n  access:\n    <<: *b\n"
	got, _, err := rulefile.Parse(pubName, []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	want := []map[perm.Level][]string{
		{perm.Read: {"*"}, perm.Write: {"carol@x.org"}, perm.Admin: {"eve@x.org"}},
		{perm.Read: {"bob@x.org"}, perm.Write: {"carol@x.org"}},
	}
	for i, r := range got.Rules {
		if diff := cmp.Diff(want[i], r.Grants); diff != "" {
			t.Error(diff)
		}
	}
}

func TestParseNames(t *testing.T) {
	deep := "/alice@x.org" + strings.Repeat("/d", rulefile.MaxDepth-1)
	for name, ok := range map[string]bool{
		"/alice@x.org/syft.pub.yaml": true, "/alice@x.org/a/syft.pub.yaml": true, deep + "/syft.pub.yaml": true,
		deep + "/d/syft.pub.yaml": false, "alice@x.org/syft.pub.yaml": false, "/syft.pub.yaml": false, "/alice@x.org/a/../syft.pub.yaml": false,
		"/alice@x.org//syft.pub.yaml": false, "/alice@x.org/my.syft.pub.yaml": false, "/alice@x.org/SYFT.PUB.YAML": false,
	} {
		if rs, _, err := rulefile.Parse(name, nil); (err == nil) != ok || (rs.Broken == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, is := range map[string]bool{
		"syft.pub.yaml": true, "a/syftperm.yaml": true, "SYFT.PUB.YAML": false, "mysyft.pub.yaml": false, "syft.pub.yaml.bak": false, "syft.pub.yaml/a": false, "": false,
	} {
		if rulefile.IsRuleFile(name) != is {
			t.Errorf("IsRuleFile(%q)", name)
		}
	}
}

func TestWarnings(t *testing.T) {
	src := func(user string) string { return "rules:\n- pattern: a\n  access: {read: [" + user + "]}\n" }
	for doc, want := range map[string]string{
		src("bob@x.org"): "", src("'*'"): "", src("USER"): "", src("'*@x.org'"): "",
		src("Bob@x.org"): "lower case", src("'*@X.org'"): "lower case", src("public"): `write "*"`, src("user"): "USER",
		src("bob"): "no @", src("'[bob@x.org'"): "names nobody", src("bob@bücher.example"): "write bob@xn--bcher-kva.example",
		"rules:\n- pattern: /a\n  access: {}\n":             "matches nothing",
		"rules:\n- pattern: a\n  acces: {}\n  access: {}\n": "key is unknown",
		"rules:\n- pattern: a\n  access: {reed: ['*']}\n":   "grants nothing",
		"version: 1\n": "key is unknown",
		"rules:\n- pattern: a\n  access: {}\n  limits: {x: 1}": "key is unknown",
	} {
		_, problems, err := rulefile.Parse(pubName, []byte(doc))
		if err != nil {
			t.Errorf("%q: %v", doc, err)
			continue
		}
		if want == "" && len(problems) > 0 || want != "" && (len(problems) != 1 || !strings.Contains(problems[0].String(), want)) {
			t.Errorf("%q: %v, want %q", doc, problems, want)
		}
	}
	for doc, want := range map[string]string{
		"- {path: a, permissions: read, user: '*@x.org'}": "names nobody", "- {path: a, permissions: read, user: Bob@x.org}": "write bob@x.org",
		"- {path: a/, permissions: read, user: '*'}": "matches nothing", "- {path: a, permissions: [], user: '*'}": "does nothing",
	} {
		if _, problems, err := rulefile.Parse(permName, []byte(doc)); err != nil || len(problems) != 1 || !strings.Contains(problems[0].String(), want) {
			t.Errorf("%q: %v, %v", doc, problems, err)
		}
	}
}

// seeds are the texts of all vectors, and some that are hard on a parser.
func seeds(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		cases, err := readVectors(src)
		if err != nil {
			f.Fatal(err)
		}
		for _, v := range cases {
			if v.Document != nil {
				f.Add([]byte(*v.Document))
			}
			for _, text := range v.Files {
				f.Add([]byte(text))
			}
		}
	}
	for _, s := range []string{"", "\ufeff", "rules: &r [*r]", "<<: *a", "rules:\n- &a {<<: *a}", "? ? ?", "%YAML 1.1\n---\n", "!!map {}", "a: !!set {b}", "\x00", "# c\n---\n...\n", commented,
		"rules:\r\n- pattern: docs/**\r\n  access: {read: [bob@x.org]}\r\n", "rules: [{pattern: docs/**, access: &a {read: [bob@x.org, ]}}, {pattern: b, access: *a}]",
		"--- {}\n", "rules:\n-\n  pattern: docs/**\n  access:\n    read:\n    # c\n    - bob@x.org", "- path: docs/**\n  permissions:\n  - read\n  user: bob@x.org\n",
		"rules:\n- pattern: \"a\\u0085\\n\"\n  access: {read: [\"\\ufeff\"]}\n"} {
		f.Add([]byte(s))
	}
}

// FuzzParse holds that nothing a peer writes makes trouble: an error says where and what to do and leaves a broken rule set,
// anything else compiles, and has a text that says the same.
func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		for _, name := range []string{pubName, permName} {
			rs, _, err := rulefile.Parse(name, src)
			if (err != nil) != (rs.Broken != nil) {
				t.Fatalf("error %v, broken %v", err, rs.Broken)
			}
			for _, p := range rulefile.Lint(name, src) {
				if p.Hint == "" || p.Line <= 0 || (p.Severity == rulefile.SeverityError) && err == nil {
					t.Fatalf("problem %+v of %q", p, src)
				}
			}
			x := perm.NewIndex(atTop(rs))
			d, derr := x.Decide(perm.Request{User: "bob@x.org", Owner: "alice@x.org", Path: "docs/a.txt", Want: perm.Read})
			if derr != nil {
				t.Fatal(derr)
			}
			if rs.Broken == nil && strings.Contains(d.Explain(), "invalid permission file") {
				t.Fatalf("it parses but does not compile: %+v", rs)
			}
			if rs.Broken != nil && d.Allowed {
				t.Fatal("a broken file grants")
			}
			text, rerr := rulefile.Render(rs)
			if (rerr != nil) != (err != nil) {
				t.Fatalf("parsed: %v, rendered: %v", err, rerr)
			}
			if err != nil {
				continue
			}
			back, _, err := rulefile.Parse(name, text)
			if err != nil || back.Terminal != rs.Terminal || !reflect.DeepEqual(unplaced(back), unplaced(rs)) {
				t.Fatalf("%v\n%q\n->\n%q", err, src, text)
			}
		}
	})
}

// unplaced gives the rules without their lines.
func unplaced(rs perm.Ruleset) []perm.Rule {
	var rules []perm.Rule
	for _, r := range rs.Rules {
		r.From = perm.Source{}
		rules = append(rules, r)
	}
	return rules
}

// FuzzEdit holds that an edit changes what it should and nothing else, or refuses.
func FuzzEdit(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		for _, kind := range []perm.Kind{perm.KindPub, perm.KindPerm} {
			name := "/alice@x.org/" + kind.String()
			before, _, parseErr := rulefile.Parse(name, src)
			edit := func(c rulefile.Change) (after perm.Ruleset, ok bool) {
				c.Kind, c.Pattern = kind, "docs/**"
				out, err := rulefile.Edit(src, c)
				if err != nil {
					return after, false
				}
				after, _, err = rulefile.Parse(name, out)
				if err != nil && len(after.Rules)+len(before.Rules) > 0 {
					t.Fatalf("the result does not parse: %v\n%s", err, out)
				}
				if parseErr == nil && (after.Terminal != before.Terminal || !reflect.DeepEqual(others(before), others(after))) {
					t.Fatalf("other rules changed:\n%s\n%s", src, out)
				}
				return after, true
			}
			if after, ok := edit(rulefile.Change{Drop: true}); ok && len(only(after)) > 0 {
				t.Fatalf("not dropped: %+v", after)
			}
			if after, ok := edit(rulefile.Change{Remove: []perm.User{"bob@x.org", "*"}}); ok && parseErr == nil && len(only(after)) > len(only(before)) {
				t.Fatalf("made by removing: %+v", after)
			}
			after, ok := edit(rulefile.Change{Level: perm.Read, Add: []perm.User{"new@x.org"}})
			if !ok {
				continue
			}
			x := perm.NewIndex(atTop(perm.Ruleset{Kind: kind, Rules: only(after)}))
			d, err := x.Decide(perm.Request{User: "new@x.org", Owner: "alice@x.org", Path: "docs/docs/f", Want: perm.Read})
			if err != nil || !d.Allowed {
				t.Fatalf("not granted: %v\n%s\n%+v", err, d.Explain(), after)
			}
		}
	})
}

func atTop(rs perm.Ruleset) func(perm.User, string) ([]perm.Ruleset, error) {
	return func(_ perm.User, dir string) ([]perm.Ruleset, error) {
		if dir != "" {
			return nil, nil
		}
		return []perm.Ruleset{rs}, nil
	}
}

func only(rs perm.Ruleset) []perm.Rule {
	var rules []perm.Rule
	for _, r := range rs.Rules {
		if r.Pattern == "docs/**" {
			rules = append(rules, r)
		}
	}
	return rules
}

func others(rs perm.Ruleset) []perm.Rule {
	var rules []perm.Rule
	for _, r := range rs.Rules {
		if r.Pattern != "docs/**" {
			r.From = perm.Source{}
			rules = append(rules, r)
		}
	}
	return rules
}
