package rulefile_test

import (
	"errors"
	iofs "io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
)

func users(u ...perm.User) []perm.User { return u }

func list(u ...perm.User) *[]perm.User { return &u }

const commented = `# who may see what
terminal: true # final
rules:
  # drafts are for Bob
  - pattern: drafts/**
    access:
      read: [bob@x.org] # he asked
      write:
        # Carol writes
        - carol@x.org
        - dave@x.org # since May
  # the rest
  - pattern: '**'
    access: {}
`

func TestEditPub(t *testing.T) {
	yes, no := true, false
	tests := []struct {
		name   string
		src    string
		change rulefile.Change
		want   string
	}{
		{"from nothing", "", rulefile.Change{Pattern: "**", Level: perm.Read, Add: users("*")},
			"rules:\n  - pattern: '**'\n    access:\n      read: ['*']\n"},
		{"comments only", "# mine\n", rulefile.Change{Pattern: "a.txt", Level: perm.Write, Add: users("bob@x.org")},
			"# mine\nrules:\n  - pattern: a.txt\n    access:\n      write: [bob@x.org]\n"},
		{"null rules", "terminal: true\nrules:\n", rulefile.Change{Pattern: "a", Level: perm.Read, Add: users("USER")},
			"terminal: true\nrules:\n  - pattern: a\n    access:\n      read: [USER]\n"},
		{"empty mapping", "{}\n", rulefile.Change{Pattern: "a", Level: perm.Read, Add: users("bob@x.org")},
			"rules:\n  - pattern: a\n    access:\n      read: [bob@x.org]\n"},
		{"anonymous is everyone", "rules: []\n", rulefile.Change{Pattern: "a", Level: perm.Read, Add: users(perm.Anonymous)},
			"rules:\n  - pattern: a\n    access:\n      read: ['*']\n"},
		{"empty set makes a rule that grants nothing", "", rulefile.Change{Pattern: "secret", Level: perm.Read, Set: list()},
			"rules:\n  - pattern: secret\n    access:\n      read: []\n"},
		{"words that YAML would misread", "", rulefile.Change{Pattern: "yes", Level: perm.Read, Add: users("bob@x.org")},
			"rules:\n  - pattern: \"yes\"\n    access:\n      read: [bob@x.org]\n"},
		{"add keeps comments", commented, rulefile.Change{Pattern: "drafts/**", Level: perm.Read, Add: users("eve@x.org", "bob@x.org")},
			`# who may see what
terminal: true # final
rules:
  # drafts are for Bob
  - pattern: drafts/**
    access:
      read: [bob@x.org, eve@x.org] # he asked
      write:
        # Carol writes
        - carol@x.org
        - dave@x.org # since May
  # the rest
  - pattern: '**'
    access: {}
`},
		{"remove at every level", commented, rulefile.Change{Pattern: "drafts/**", Remove: users("bob@x.org", "dave@x.org")},
			`# who may see what
terminal: true # final
rules:
  # drafts are for Bob
  - pattern: drafts/**
    access:
      read: [] # he asked
      write:
        # Carol writes
        - carol@x.org
  # the rest
  - pattern: '**'
    access: {}
`},
		{"drop", commented, rulefile.Change{Pattern: "drafts/**", Drop: true},
			`# who may see what
terminal: true # final
rules:
  # the rest
  - pattern: '**'
    access: {}
`},
		{"set", "rules:\n- pattern: a\n  access: {read: [bob@x.org, eve@x.org]}\n",
			rulefile.Change{Pattern: "a", Level: perm.Read, Set: list("eve@x.org", "*@x.org")},
			"rules:\n- pattern: a\n  access: {read: [eve@x.org, '*@x.org']}\n"},
		{"set keeps the order of those that stay", "rules:\n- pattern: a\n  access: {read: [bob@x.org, eve@x.org]}\n",
			rulefile.Change{Pattern: "a", Level: perm.Read, Set: list("dan@x.org", "eve@x.org", "bob@x.org")},
			"rules:\n- pattern: a\n  access: {read: [bob@x.org, eve@x.org, dan@x.org]}\n"},
		{"nothing to remove", "rules: []   # odd\n", rulefile.Change{Pattern: "a", Level: perm.Read, Remove: users("bob@x.org")},
			"rules: []   # odd\n"},
		{"the other user of an alias is left alone", "rules:\n- pattern: a\n  access: &t {read: [bob@x.org]}\n- pattern: b\n  access: *t\n",
			rulefile.Change{Pattern: "b", Level: perm.Read, Add: users("eve@x.org")},
			"rules:\n- pattern: a\n  access: &t {read: [bob@x.org]}\n- pattern: b\n  access: {read: [bob@x.org, eve@x.org]}\n"},
		{"removing what cannot be written", "rules:\n- pattern: /a/\n  access: {read: [Bob]}\n", rulefile.Change{Pattern: "/a/", Remove: users("Bob")},
			"rules:\n- pattern: /a/\n  access: {read: []}\n"},
		{"a byte-order mark and the line breaks of Windows", "\ufeffrules:\r\n- pattern: a  # one\r\n  access:\r\n    read: [bob@x.org]\r\n",
			rulefile.Change{Pattern: "b", Level: perm.Write, Add: users("eve@x.org")},
			"\ufeffrules:\r\n- pattern: a  # one\r\n  access:\r\n    read: [bob@x.org]\r\n- pattern: b\r\n  access:\r\n    write: [eve@x.org]\r\n"},
		{"no line break at the end", "rules:\n    -   pattern:  a\n        access:   { read : [ 'bob@x.org' , \"eve@x.org\" ] }",
			rulefile.Change{Pattern: "a", Level: perm.Read, Remove: users("bob@x.org"), Add: users("dan@x.org")},
			"rules:\n    -   pattern:  a\n        access:   { read : [ \"eve@x.org\" , dan@x.org ] }"},
		{"a list over lines", "rules:\n- pattern: a\n  access:\n    read: [\n      bob@x.org,  # he asked\n      eve@x.org   # she did not\n    ]\n\n# end\n",
			rulefile.Change{Pattern: "a", Level: perm.Read, Add: users("dan@x.org")},
			"rules:\n- pattern: a\n  access:\n    read: [\n      bob@x.org,  # he asked\n      eve@x.org, dan@x.org   # she did not\n    ]\n\n# end\n"},
		{"all of a list of lines", "rules:\n- pattern: a\n  access:\n    read:   # for now\n    # friends\n    - bob@x.org # Bob\n\n    write: []\n",
			rulefile.Change{Pattern: "a", Remove: users("bob@x.org")},
			"rules:\n- pattern: a\n  access:\n    read: []   # for now\n    # friends\n\n    write: []\n"},
		{"another list", "rules:\n- access:\n    read:\n    - bob@x.org # Bob\n    # more later\n  pattern: a\n\n\n- pattern: b\n  access: {}\n",
			rulefile.Change{Pattern: "a", Level: perm.Admin, Add: users("eve@x.org")},
			"rules:\n- access:\n    read:\n    - bob@x.org # Bob\n    admin: [eve@x.org]\n    # more later\n  pattern: a\n\n\n- pattern: b\n  access: {}\n"},
		{"into an empty mapping", "rules:\n- pattern: a\n  access: {} # nobody yet\n- {pattern: b, access: {}}\n",
			rulefile.Change{Pattern: "a", Level: perm.Read, Add: users("eve@x.org")},
			"rules:\n- pattern: a\n  access: # nobody yet\n    read: [eve@x.org]\n- {pattern: b, access: {}}\n"},
		{"a rule in brackets", "rules: [{pattern: a, access: {read: [bob@x.org]}}, {pattern: b, access: {}}] # all\n",
			rulefile.Change{Pattern: "b", Level: perm.Read, Add: users("eve@x.org")},
			"rules: [{pattern: a, access: {read: [bob@x.org]}}, {pattern: b, access: {read: [eve@x.org]}}] # all\n"},
		{"dropped out of brackets", "rules: [{pattern: a, access: {read: [bob@x.org]}}, {pattern: b, access: {}}] # all\n",
			rulefile.Change{Pattern: "b", Drop: true}, "rules: [{pattern: a, access: {read: [bob@x.org]}}] # all\n"},
		{"null list", "rules:\n- pattern: a\n  access:\n    read:  # nobody\n", rulefile.Change{Pattern: "a", Level: perm.Read, Add: users("eve@x.org")},
			"rules:\n- pattern: a\n  access:\n    read: [eve@x.org]  # nobody\n"},
		{"the last rule dropped", "# ours\nrules:\n# Bob's\n- pattern: a\n  access: {}\n\n# end\n", rulefile.Change{Pattern: "a", Drop: true},
			"# ours\nrules: []\n\n# end\n"},
		{"terminal", "# ours\n\nrules: []\n", rulefile.Change{Terminal: &yes}, "# ours\n\nterminal: true\nrules: []\n"},
		{"terminal of nothing", "", rulefile.Change{Terminal: &yes}, "terminal: true\n"},
		{"not terminal", "terminal:   yes # final\nrules: []\n", rulefile.Change{Terminal: &no}, "terminal:   false # final\nrules: []\n"},
		{"terminal as it is", "terminal:   yes # final\nrules: []\n", rulefile.Change{Terminal: &yes}, "terminal:   yes # final\nrules: []\n"},
		{"limits", "rules:\n- pattern: a\n  access: {write: [bob@x.org]}\n- pattern: b\n  access: {}\n",
			rulefile.Change{Pattern: "a", Limits: &perm.Limits{MaxFileSize: 10, NoDirs: true}},
			"rules:\n- pattern: a\n  access: {write: [bob@x.org]}\n  limits:\n    maxFileSize: 10\n    allowDirs: false\n- pattern: b\n  access: {}\n"},
		{"other limits", "rules:\n- pattern: a\n  access: {}\n  limits:\n    max_file_size: 7 # bytes\n    allow_symlinks: on\n",
			rulefile.Change{Pattern: "a", Limits: &perm.Limits{MaxFiles: 3}},
			"rules:\n- pattern: a\n  access: {}\n  limits:\n    max_file_size: 0 # bytes\n    allow_symlinks: false\n    maxFiles: 3\n"},
		{"limits, a list and terminal at once", "rules: []\n", rulefile.Change{Pattern: "a", Level: perm.Write, Add: users("USER"), Limits: &perm.Limits{AllowSymlinks: true}, Terminal: &yes},
			"terminal: true\nrules:\n  - pattern: a\n    access:\n      write: [USER]\n    limits:\n      allowSymlinks: true\n"},
		{"text over several lines", "rules:\n# c\n- pattern: |-\n    a\n  access: {} # d\n", rulefile.Change{Pattern: "a", Level: perm.Read, Add: users("eve@x.org")},
			"rules:\n# c\n- pattern: |-\n    a\n  access: # d\n    read: [eve@x.org]\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := rulefile.Edit([]byte(tt.src), tt.change)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEditPerm(t *testing.T) {
	const src = "# old style\n- path: '**' # all\n  permissions: [read, Write]\n  user: bob@x.org\n- {path: s, permissions: read, user: '*', type: disallow}\n"
	tests := []struct {
		name   string
		src    string
		change rulefile.Change
		want   string
	}{
		{"from nothing", "", rulefile.Change{Pattern: "**", Level: perm.Read, Add: users("*")},
			"- path: '**'\n  permissions: [read]\n  user: '*'\n"},
		{"write comes with read", "[]\n", rulefile.Change{Pattern: "a", Level: perm.Write, Add: users("bob@x.org")},
			"- path: a\n  permissions: [read, write]\n  user: bob@x.org\n"},
		{"already there", src, rulefile.Change{Pattern: "**", Level: perm.Write, Add: users("bob@x.org")}, src},
		{"over a disallow", src, rulefile.Change{Pattern: "s", Level: perm.Read, Add: users("bob@x.org")},
			"# old style\n- path: '**' # all\n  permissions: [read, Write]\n  user: bob@x.org\n- {path: s, permissions: read, user: '*', type: disallow}\n- path: s\n  permissions: [read]\n  user: bob@x.org\n"},
		{"one right", src, rulefile.Change{Pattern: "**", Level: perm.Write, Remove: users("bob@x.org")},
			"# old style\n- path: '**' # all\n  permissions: [read]\n  user: bob@x.org\n- {path: s, permissions: read, user: '*', type: disallow}\n"},
		{"all rights", "- {path: a, permissions: admin, user: bob@x.org}\n", rulefile.Change{Pattern: "a", Remove: users("bob@x.org")}, "[]\n"},
		{"set", "- {path: a, permissions: read, user: bob@x.org}\n- {path: a, permissions: read, user: eve@x.org}\n",
			rulefile.Change{Pattern: "a", Level: perm.Read, Set: list("eve@x.org")}, "- {path: a, permissions: read, user: eve@x.org}\n"},
		{"appended", src, rulefile.Change{Append: []perm.Rule{
			{Pattern: "t", Deny: true, Grants: map[perm.Level][]string{perm.Read: {"bob@x.org"}, perm.Write: {"bob@x.org"}}},
			{Pattern: "u", Grants: map[perm.Level][]string{perm.Admin: {"*"}}},
		}}, src + "- path: t\n  permissions: [read, write]\n  user: bob@x.org\n  type: disallow\n- path: u\n  permissions: [admin]\n  user: '*'\n"},
		{"the last rule of a page", "# mine\n- path: a # here\n  permissions:\n  - read # r\n  - write\n  user: bob@x.org\n\n# end\n",
			rulefile.Change{Pattern: "a", Remove: users("bob@x.org")}, "# mine\n[]\n\n# end\n"},
		{"a right of a page", "# mine\n- path: a # here\n  permissions:\n  - read # r\n  - write\n  user: bob@x.org\n\n# end\n",
			rulefile.Change{Pattern: "a", Level: perm.Write, Remove: users("bob@x.org")}, "# mine\n- path: a # here\n  permissions:\n  - read # r\n  user: bob@x.org\n\n# end\n"},
		{"drop", src, rulefile.Change{Pattern: "s", Drop: true}, "# old style\n- path: '**' # all\n  permissions: [read, Write]\n  user: bob@x.org\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.change.Kind = perm.KindPerm
			got, err := rulefile.Edit([]byte(tt.src), tt.change)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEditRefuses(t *testing.T) {
	read := func(pattern string, u ...perm.User) rulefile.Change {
		return rulefile.Change{Pattern: pattern, Level: perm.Read, Add: u}
	}
	old := func(c rulefile.Change) rulefile.Change { c.Kind = perm.KindPerm; return c }
	tests := []struct {
		name   string
		src    string
		change rulefile.Change
		want   error
	}{
		{"leading slash", "", read("/a", "bob@x.org"), iofs.ErrInvalid},
		{"trailing slash", "", read("a/", "bob@x.org"), iofs.ErrInvalid},
		{"climbing", "", read("../a", "bob@x.org"), iofs.ErrInvalid},
		{"doubled slash", "", read("a//b", "bob@x.org"), iofs.ErrInvalid},
		{"bad glob", "", read("[a*", "bob@x.org"), iofs.ErrInvalid},
		{"bad template", "", read("{{.Password}}", "bob@x.org"), iofs.ErrInvalid},
		{"bad user", "", read("a", "bob"), iofs.ErrInvalid},
		{"bad user glob", "", read("a", "[bob"), iofs.ErrInvalid},
		{"capitals in a user glob", "", read("a", "*@X.org"), iofs.ErrInvalid},
		{"no level", "", rulefile.Change{Pattern: "a", Add: users("bob@x.org")}, iofs.ErrInvalid},
		{"no pattern", "", read("", "bob@x.org"), iofs.ErrInvalid},
		{"limits in the old language", "", old(rulefile.Change{Pattern: "a", Limits: &perm.Limits{}}), iofs.ErrInvalid},
		{"terminal in the old language", "", old(rulefile.Change{Terminal: new(bool)}), iofs.ErrInvalid},
		{"a negative limit", "", rulefile.Change{Pattern: "a", Limits: &perm.Limits{MaxFiles: -1}}, iofs.ErrInvalid},
		{"limits of nothing", "", rulefile.Change{Limits: &perm.Limits{MaxFiles: 1}}, iofs.ErrInvalid},
		{"append in the new language", "", rulefile.Change{Append: []perm.Rule{{Pattern: "a", Grants: map[perm.Level][]string{perm.Read: {"*"}}}}}, iofs.ErrInvalid},
		{"append without a user", "", old(rulefile.Change{Append: []perm.Rule{{Pattern: "a"}}}), iofs.ErrInvalid},
		{"append for a glob", "", old(rulefile.Change{Append: []perm.Rule{{Pattern: "a", Grants: map[perm.Level][]string{perm.Read: {"*@x.org"}}}}}), iofs.ErrInvalid},
		{"broken file", "rules: 7\n", read("a", "bob@x.org"), iofs.ErrInvalid},
		{"USER in the old language", "", old(read("a", "USER")), iofs.ErrInvalid},
		{"user glob in the old language", "", old(read("a", "*@x.org")), iofs.ErrInvalid},
		{"class in the old language", "", old(read("[a]", "bob@x.org")), iofs.ErrInvalid},
		{"anchored list", "rules:\n- pattern: a\n  access: &t {read: [bob@x.org]}\n- pattern: b\n  access: *t\n", read("a", "eve@x.org"), rulefile.ErrShared},
		{"merged list", "base: &t {read: [bob@x.org]}\nrules:\n- pattern: a\n  access: {<<: *t}\n", read("a", "eve@x.org"), rulefile.ErrShared},
		{"dropping what is shared", "rules:\n- pattern: a\n  access: &t {read: [bob@x.org]}\n- pattern: b\n  access: *t\n", rulefile.Change{Pattern: "a", Drop: true}, rulefile.ErrShared},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := rulefile.Edit([]byte(tt.src), tt.change)
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v; text %q", err, tt.want, got)
			}
		})
	}
}
