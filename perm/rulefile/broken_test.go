package rulefile_test

import (
	"bytes"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
	"gopkg.in/yaml.v3"
)

// brokenCase is a case of testdata/broken/cases.yaml.
type brokenCase struct {
	Name, Kind, Text string
	Line             int // 0: not to be compared
	Field            string
	Says, Hint       string
}

// written gives the cases of the file.
func written(t *testing.T) []brokenCase {
	t.Helper()
	src, err := os.ReadFile("testdata/broken/cases.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var cases []brokenCase
	dec := yaml.NewDecoder(bytes.NewReader(src))
	dec.KnownFields(true)
	if err := dec.Decode(&cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

// made gives those that are too long, or not text enough, for the file.
func made() []brokenCase {
	many := strings.Repeat
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 12 {
		bomb += fmt.Sprintf("a%d: &a%d [%s*a%d]\n", i+1, i+1, many(fmt.Sprintf("*a%d, ", i), 9), i)
	}
	wide := "u: &u [" + many("a@x.org,", 1000) + "]\nl: &l {pattern: a, access: {read: *u, write: *u, create: *u, admin: *u}}\nrules: [" + many("*l,", 5000) + "]\n"
	stairs := "rules:\n- pattern: a\n  access: {}\n  note:\n"
	for i := range 300 {
		stairs += many(" ", i+3) + "a:\n"
	}
	chain := "m0: &m0 {read: [a@x.org]}\n"
	for i := range 200 {
		chain += fmt.Sprintf("m%d: &m%d {<<: *m%d}\n", i+1, i+1, i)
	}
	var both []brokenCase
	for _, kind := range []string{perm.FilePub, perm.FilePerm} {
		both = append(both,
			brokenCase{"2 MiB of comment", kind, many("# nothing to see here\n", 2<<20/22), 1, "", "larger than 1048576 bytes", "split"},
			brokenCase{"2 MiB of brackets", kind, many("[", 2<<20), 1, "", "larger than 1048576 bytes", "split"},
			brokenCase{"1 MiB of brackets", kind, many("[", 1<<20), 1, "", "exceeded max depth", "brackets"},
			brokenCase{"1 MiB of dashes", kind, many("- ", 1<<19), 1, "", "exceeded max depth", "brackets"},
			brokenCase{"300 levels of brackets", kind, "# deep\n" + many("[", 300) + many("]", 300), 2, "", "nested more than 64 levels", "close the brackets"},
			brokenCase{"not UTF-8", kind, "# fine\n# \xff\n", 2, "", "not UTF-8", "save it as UTF-8"},
			brokenCase{"UTF-16", kind, "\xff\xfer\x00u\x00l\x00e\x00s\x00:\x00", 1, "", "not UTF-8", "save it as UTF-8"},
			brokenCase{"a NUL", kind, "a\x00", 1, "", "control character U+0000", "remove it"},
		)
	}
	return append(both,
		brokenCase{"300 levels of indentation", perm.FilePub, stairs, 65, "", "nested more than 64 levels", "indentation"},
		brokenCase{"too many rules", perm.FilePub, "r: &r {pattern: a, access: {}}\nrules: [" + many("*r,", rulefile.MaxRules+1) + "]\n", 2, "rules", "more than 10000 rules", "patterns that cover more"},
		brokenCase{"too many old rules", perm.FilePerm, many("- {path: a, permissions: read, user: '*'}\n", rulefile.MaxRules+1), 1, "", "more than 10000 rules", "patterns that cover more"},
		brokenCase{"billions of values by aliases", perm.FilePub, bomb + "rules:\n- pattern: a\n  access:\n    read: *a12\n", 0, "rules[0].access.read", "must be text", "quotes"},
		brokenCase{"millions of entries by aliases", perm.FilePub, wide, 0, "", "more than a million values", "fewer aliases"},
		brokenCase{"a chain of merges", perm.FilePub, chain + "rules:\n- pattern: a\n  access: *m200\n", 0, "rules[0].access", "merge keys", "write the keys out"},
		brokenCase{"a number of 100,000 digits", perm.FilePub, "rules:\n- pattern: a\n  access: {}\n  limits: {maxFileSize: " + many("9", 100_000) + "}\n", 4, "rules[0].limits.maxFileSize", "whole number", "digits"},
		brokenCase{"a key of 1,000 letters twice", perm.FilePub, many(many("k", 1000)+": 1\n", 2), 2, "", "twice", "keep one"},
		brokenCase{"100,000 keys and a wrong one", perm.FilePub, keys(50_000) + "terminal: 7\n", 50_001, "terminal", "true or false", "without quotes"},
	)
}

func keys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "k%d: 1\n", i)
	}
	return b.String()
}

// TestBroken holds for every broken file that its refusal says where and what to do, and that meanwhile the folder and
// everything below it is the owner's, whatever other files say.
func TestBroken(t *testing.T) {
	cases := append(written(t), made()...)
	if len(cases) < 64 {
		t.Fatalf("only %d cases", len(cases))
	}
	seen := map[string]bool{}
	for _, c := range cases {
		name := c.Kind + "/" + c.Name
		if seen[name] {
			t.Errorf("two cases are called %s", name)
		}
		seen[name] = true
		t.Run(name, func(t *testing.T) {
			file := "/alice@x.org/d/" + c.Kind
			rs, problems, err := rulefile.Parse(file, []byte(c.Text))
			var e *rulefile.Error
			if !errors.As(err, &e) || !errors.Is(err, iofs.ErrInvalid) {
				t.Fatalf("error %v", err)
			}
			if e.File != file || e.Line <= 0 || c.Line != 0 && e.Line != c.Line || c.Field != "" && e.Field != c.Field || e.Severity != rulefile.SeverityError {
				t.Errorf("file %s, line %d, field %q, %s: %v", e.File, e.Line, e.Field, e.Severity, err)
			}
			if e.Text == "" || e.Hint == "" || !strings.Contains(e.Text, c.Says) || !strings.Contains(e.Hint, c.Hint) {
				t.Errorf("text %q, hint %q", e.Text, e.Hint)
			}
			if m := err.Error(); len(m) > 600 || !strings.Contains(m, e.Text) || !strings.Contains(m, e.Hint) {
				t.Errorf("message %q", m)
			}
			if rs.Broken != err || rs.Kind.String() != c.Kind || rs.Dir != "d" || rs.From.File != file || len(rs.Rules) != 0 || rs.Terminal || len(problems) != 0 {
				t.Errorf("rule set %+v, problems %v", rs, problems)
			}
			if lint := rulefile.Lint(file, []byte(c.Text)); !slices.Contains(lint, e.Problem) {
				t.Errorf("lint says %d things, but not the error", len(lint))
			}
			if _, err := rulefile.Edit([]byte(c.Text), rulefile.Change{Kind: rs.Kind, Pattern: "a", Level: perm.Read, Add: []perm.User{"bob@x.org"}}); err == nil && strings.TrimLeft(c.Text, "# nothig\n~") != "" {
				t.Error("it was edited")
			}
			ownerOnly(t, rs)
		})
	}
	t.Logf("%d cases", len(cases))
}

// ownerOnly asks for everybody around a folder d with the rule set, where all other files grant everything to everyone.
func ownerOnly(t *testing.T, rs perm.Ruleset) {
	t.Helper()
	open := func(dir string, kind perm.Kind) perm.Ruleset {
		text := "rules: [{pattern: '**', access: {admin: ['*']}}]\n"
		if kind == perm.KindPerm {
			text = "- {path: '**', permissions: admin, user: '*'}\n"
		}
		set, _, err := rulefile.Parse(path.Join("/alice@x.org", dir, kind.String()), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	x := perm.NewIndex(func(_ perm.User, dir string) ([]perm.Ruleset, error) {
		switch dir {
		case "":
			return []perm.Ruleset{open(dir, perm.KindPub)}, nil
		case "d":
			return []perm.Ruleset{rs}, nil
		case "d/pub":
			return []perm.Ruleset{open(dir, perm.KindPub)}, nil
		case "d/old":
			return []perm.Ruleset{open(dir, perm.KindPerm)}, nil
		}
		return nil, nil
	})
	ask := func(u perm.User, p string, dir bool, l perm.Level) perm.Decision {
		d, err := x.Decide(perm.Request{User: u, Owner: "alice@x.org", Path: p, IsDir: dir, Want: l})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for _, p := range []string{"d", "d/f", "d/.f", "d/" + rs.Kind.String(), "d/e", "d/e/f", "d/pub", "d/pub/f", "d/old/f", "d/pub/" + perm.FilePub} {
		for l := perm.None; l <= perm.Admin; l++ {
			for _, u := range []perm.User{"bob@x.org", perm.Anonymous} {
				dir := p == "d" || p == "d/pub"
				if d := ask(u, p, dir, l); d.Allowed || d.Level != perm.None || !strings.Contains(d.Explain(), "Blocked by invalid permission file at /alice@x.org/d/") {
					t.Errorf("%s, %s: %s", u, p, d.Explain())
				}
			}
			if d := ask("alice@x.org", p, false, l); !d.Allowed {
				t.Errorf("the owner, %s: %s", p, d.Explain())
			}
		}
	}
	if d := ask("bob@x.org", "f", false, perm.Write); !d.Allowed {
		t.Errorf("beside it: %s", d.Explain())
	}
}
