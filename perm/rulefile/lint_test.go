package rulefile_test

import (
	"fmt"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/perm/rulefile"
)

// pubRules writes a file with these patterns, in which every rule names somebody else.
func pubRules(patterns ...string) string {
	var b strings.Builder
	b.WriteString("rules:\n")
	for i, p := range patterns {
		fmt.Fprintf(&b, "- {pattern: '%s', access: {read: [u%d@x.org]}}\n", p, i)
	}
	return b.String()
}

func TestLint(t *testing.T) {
	one := func(pattern, access string) string {
		return "rules:\n- pattern: '" + pattern + "'\n  access: {" + access + "}\n"
	}
	old := func(rules ...string) string { return "- {" + strings.Join(rules, "}\n- {") + "}\n" }
	tests := []struct {
		name, src string
		want      []string // what stands in the problems, in order
	}{
		{"nothing to say", one("docs/**", "admin: [ann@x.org], write: ['*@x.org'], read: ['*']"), nil},
		{"empty", "", nil},
		{"nobody", "terminal: true\nrules: []\n", nil},
		{"templates for all", one("{{.UserEmail}}/**", "write: [USER]"), nil},
		{"a glob of users", one("{{.UserEmail}}/**", "write: ['*@x.org']"), nil},
		{"an error", "rules: 7\n", []string{"line 1, column 8: rules: it must be a list"}},
		{"a warning before an error", "ruless: 7\nterminal: 7\n", []string{"line 1, column 1: ruless: the key is unknown and ignored; did you mean rules?", "line 2, column 11: terminal: it must be true or false"}},
		{"warnings of Parse", one("/a", "read: [public, Bob@x.org]"), []string{"line 2, column 12: rules[0].pattern: \"/a\" matches nothing", "write \"*\" for everyone", "write bob@x.org"}},

		{"the same pattern twice", pubRules("a/*", "b", "a/*"), []string{"line 4, column 13: rules[2].pattern: the rule never decides: the one in line 2 has the same pattern; join the two"}},
		{"a longer pattern that is wider", pubRules("docs/*/**/*", "docs/*/**/*/**"), nil},
		{"wider, and tried first", pubRules("a*b?", "a***b?"), []string{`rules[1].pattern: the rule never decides: "a*b?" in line 2`}},
		{"narrower, but tried later", pubRules("[ab]**c", "aabc", "a/**", "a/*"), nil},
		{"all stars", pubRules("**", "************"), []string{`rules[1].pattern: the rule never decides: "**" in line 2 is tried first`}},
		{"the folder itself", pubRules("**/**", "**"), []string{"the Python client tries them the other way round"}},
		{"deep and deeper", pubRules("a/**/**/**", "a/**"), []string{`rules[0].pattern: the rule never decides: "a/**" in line 3`}},

		{"a class before a name", pubRules("test[0-9].txt", "test1.txt"), []string{`rules[0].pattern: here and on the SyftBox server it comes before "test1.txt" in line 3; the Python client tries them the other way round, and both match "test1.txt"`}},
		{"a name before a class", pubRules("b/[abc]", "b/c"), []string{`both match "b/c"`}},
		{"a class without the name", pubRules("test[0-9].txt", "testx.txt"), nil},
		{"everywhere before here", pubRules("*", "**/*.txt"), []string{`rules[1].pattern: here and on the SyftBox server it comes before "*" in line 2; the Python client tries them the other way round, and both match "x.txt"`}},
		{"the same access", "rules:\n- {pattern: '*', access: {read: ['*']}}\n- {pattern: '**/*.txt', access: {read: ['*']}}\n", nil},
		{"nothing in common", pubRules("**/*.txt", "*.csv", "a/**", "b/**"), nil},
		{"not sure", pubRules("test{0,1}*.txt", "test1*.txt"), nil},
		{"folders", pubRules("*/*.txt", "**/a/*"), []string{`both match "a/x.txt"`}},
		{"template and name", pubRules("{{.UserEmail}}/*", "*/f"), []string{"only the people in the lists"}},

		{"admin for everyone", one("**", "admin: ['*']"), []string{"line 3, column 12: rules[0].access.admin: \"*\" may change the rules"}},
		{"admin for whoever is signed in", one("**", "admin: [USER]"), []string{"\"USER\" may change the rules"}},
		{"create", one("in/**", "create: [bob@x.org]"), []string{"line 3, column 12: rules[0].access.create: the SyftBox server and the Python client ignore create lists"}},
		{"create beside write", one("in/**", "create: [bob@x.org], write: [bob@x.org]"), nil},
		{"limits for readers", one("**", "read: ['*']") + "  limits: {maxFileSize: 7}\n", []string{"line 4, column 3: rules[0].limits: limits do nothing here"}},
		{"limits for writers", one("**", "write: ['*']") + "  limits: {maxFileSize: 7}\n", nil},
		{"number of files", one("**", "write: ['*']") + "  limits: {maxFiles: 7}\n", []string{"rules[0].limits.maxFiles: it is read, but nothing enforces it"}},
		{"a place for few", one("{{.UserEmail}}/**", "write: [bob@x.org]"), []string{"line 2, column 12: rules[0].pattern: it has a place for whoever asks, but only the people in the lists"}},
		{"date", one("log/{{.Year}}/**", "read: ['*']"), []string{"changes at midnight UTC", "the Python client refuses a file with such a template"}},
		{"another template", one("{{ .UserEmail }}/**", "write: [USER]"), []string{"the Python client refuses"}},
		{"braces in a name", one("{a,b}.txt", "read: ['*']"), []string{"the braces are part of the name"}},
		{"braces in a glob", one("{a,b}*.txt", "read: ['*']"), nil},

		{"old: nothing to say", old("path: '**', permissions: [read], user: '*'", "path: '**', permissions: [write], user: bob@x.org"), nil},
		{"old: wildcards in user", old("path: '**', permissions: [read], user: '*@x.org'"), []string{"line 1, column 43: [0].user: \"*@x.org\" names nobody: there are no wildcards in user"}},
		{"old: admin for everyone", old("path: '**', permissions: [admin], user: '*'"), []string{"[0].user: everyone may change the rules"}},
		{"old: overridden", old("path: a, permissions: [read], user: bob@x.org", "path: a, permissions: [read, write], user: '*', type: disallow"), []string{"line 1, column 10: [0].path: the rule does nothing: the one in line 2 overrides it"}},
		{"old: all overridden", old("path: a/b, permissions: [read], user: bob@x.org", "path: '**', permissions: [read], user: bob@x.org, type: disallow"), []string{"[0].path: the rule does nothing"}},
		{"old: a dot file is not", old("path: a/.b, permissions: [read], user: '*'", "path: '**', permissions: [read], user: '*', type: disallow"), nil},
		{"old: others are not", old("path: a, permissions: [read], user: '*'", "path: a, permissions: [read], user: bob@x.org, type: disallow"), nil},
		{"old: other rights are not", old("path: a, permissions: [read, write], user: '*'", "path: a, permissions: [read], user: '*', type: disallow"), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name := pubName
			if strings.HasPrefix(tt.name, "old") {
				name = permName
			}
			got := rulefile.Lint(name, []byte(tt.src))
			if len(got) != len(tt.want) {
				t.Fatalf("%d problems, want %d: %v", len(got), len(tt.want), got)
			}
			for i, p := range got {
				if !strings.Contains(p.String(), tt.want[i]) {
					t.Errorf("problem %q does not hold %q", p, tt.want[i])
				}
				if p.Line <= 0 || p.Column <= 0 || p.Hint == "" || p.Severity == "" {
					t.Errorf("problem %+v", p)
				}
			}
		})
	}
}

func TestBothWarning(t *testing.T) {
	want := rulefile.Problem{
		Text: "/a@x.org/d holds both syft.pub.yaml and syftperm.yaml; the second is ignored",
		Hint: "carry what is still wanted over into syft.pub.yaml and remove syftperm.yaml", Severity: rulefile.SeverityWarning,
	}
	if diff := cmp.Diff(want, rulefile.BothWarning("/a@x.org/d")); diff != "" {
		t.Error(diff)
	}
}

// TestLintVectors holds that whatever is said about the documents of the vectors says where and what to do, and is an error
// only if Parse says so. With -v it shows what is said.
func TestLintVectors(t *testing.T) {
	said := map[string][]string{}
	for _, name := range vectorFiles(t) {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		cases, err := readVectors(src)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range cases {
			for file, text := range v.Files {
				_, _, err := rulefile.Parse(path.Clean("/"+file), []byte(text))
				for _, p := range rulefile.Lint(path.Clean("/"+file), []byte(text)) {
					if (p.Severity == rulefile.SeverityError) != (err != nil) || p.Line <= 0 || p.Hint == "" {
						t.Errorf("%s, %s: %+v", v.ID, file, p)
					}
					said[p.Text] = append(said[p.Text], v.ID)
				}
			}
		}
	}
	for text, ids := range said {
		t.Logf("%d x %s: %s", len(ids), text, ids[0])
	}
}
