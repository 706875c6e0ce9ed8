package perm

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"pgregory.net/rapid"
)

var bob = &vars{user: "bob@x.org", now: time.Date(2025, 3, 7, 23, 59, 59, 0, time.UTC)}

func TestPubPatterns(t *testing.T) {
	const email, hash = "bob@x.org", "b752a9a4f7b86f6b"
	if hexHash(email)[:16] != hash {
		t.Fatalf("the hash of %s begins with %s", email, hexHash(email)[:16])
	}
	tests := []struct {
		pattern string
		form    form
		yes, no []string
	}{
		{"a.txt", formExact, []string{"a.txt"}, []string{"", "b/a.txt", "a.txt/b", "A.txt"}},
		{"{a,b}.txt", formExact, []string{"{a,b}.txt"}, []string{"a.txt"}},
		{`a\b`, formExact, []string{`a\b`}, []string{"ab"}},
		{"**", formAll, []string{"", "a", "a/b", ".env", "a/.git/c"}, nil},
		{"**/*", formBelow, []string{"a", "a/b", ".env"}, []string{""}},
		{"*", formChild, []string{"a", ".env"}, []string{"", "a/b"}},
		{"d/*", formChild, []string{"d/a", "d/.a"}, []string{"", "d", "d/a/b", "e/a", "dd/a"}},
		{"*.txt", formChild, []string{"a.txt", ".txt"}, []string{"a", "d/a.txt", "txt"}},
		{"d/e/a*b", formChild, []string{"d/e/ab", "d/e/axb"}, []string{"d/e/a", "d/e/b", "d/e/a/b", "d/ab"}},
		{"aba*aba", formChild, []string{"abaaba", "abaXaba"}, []string{"aba", "ababa"}},
		{"docs/**", formUnder, []string{"docs", "docs/a", "docs/a/b"}, []string{"", "docs2", "docs2/a", "a/docs"}},
		{"**/a.txt", formSuffix, []string{"a.txt", "x/a.txt", "x/y/a.txt"}, []string{"", "xa.txt", "a.txt/x"}},
		{"**/x/y", formSuffix, []string{"x/y", "a/x/y"}, []string{"ax/y", "y", "x/y/z"}},
		{"**/node/**", formWithin, []string{"node", "a/node", "node/a", "a/node/b/c"}, []string{"", "nodes", "a/anode/b", "nodenode"}},
		{"**/*.md", formAnyChild, []string{"a.md", "x/y/.md"}, []string{"", "a", "a.md/b"}},
		{"a/**/z", formPath, []string{"a/z", "a/b/z", "a/b/c/z"}, []string{"a", "z", "az", "b/a/z"}},
		{"a/**/b/**/c", formPath, []string{"a/b/c", "a/x/b/y/b/c", "a/.x/b/.y/c"}, []string{"a/c/b", "b/c", "a/b", "a/b/c/d"}},
		{"**/a/**/b/*", formPath, []string{"a/b/c", ".x/a/y/b/b/c"}, []string{"a/b", "b/a/c"}},
		{"a/**/**", formPath, []string{"a", "a/b", "a/b/c"}, []string{"b/a", "ab"}},
		{"a*/**", formPath, []string{"a", "ab", "ab/c"}, []string{"b"}},
		{"x**y/*", formPath, []string{"xy/f", "x-1-y/f"}, []string{"x/1/y/f"}},
		{"f?.txt", formPath, []string{"f1.txt", "fé.txt"}, []string{"f.txt", "f12.txt", "f/.txt"}},
		{"{a,b{c,d}}*", formAny, []string{"a", "bc", "bdx"}, []string{"b", "c"}},
		{`a\*b*`, formPath, []string{"a*b", "a*bc"}, []string{"axb"}},
		{"[!a]x", formPath, []string{"bx", "éx"}, []string{"ax", "/x", "x"}},
		{"a[!b]c", formPath, []string{"axc"}, []string{"abc", "a/c"}},
		{"a[^b]c", formPath, []string{"axc"}, []string{"abc", "a/c"}},
		{"a[.-0]c", formPath, []string{"a.c", "a0c"}, []string{"a/c", "a1c"}},
		{"a[/]c*", formPath, nil, []string{"a/c", "ac"}},
		{"a[!/]c", formPath, []string{"abc"}, []string{"a/c"}},
		{`[\]a-]*`, formPath, []string{"]", "a", "-x"}, []string{"b", `\`}},
		{"[a-c-e]*", formPath, []string{"b", "-", "e"}, []string{"d"}},
		{"[z-a]*", formPath, []string{"z"}, []string{"a", "m"}},
		{"**/[!x]/f", formPath, []string{"a/f", "a/b/f"}, []string{"x/f", "f"}},

		{"/a", formNever, nil, []string{"a", "", "/a"}},
		{"a/", formNever, nil, []string{"a", "a/"}},
		{"a//b", formNever, nil, []string{"a/b", "a"}},
		{"./a", formNever, nil, []string{"a"}},
		{"a/../b*", formNever, nil, []string{"b"}},
		{"**/", formNever, nil, []string{"", "a"}},
		{"a/**/", formNever, nil, []string{"a", "a/b"}},
		{"/", formNever, nil, []string{""}},

		{"{{.UserEmail}}/**", formUnder, []string{email, email + "/a"}, []string{"eve@x.org/a", email + "x/a", ""}},
		{"in/{{ .UserEmail }}-{{.Year}}/*", formChild, []string{"in/bob@x.org-2025/a"}, []string{"in/bob@x.org-2024/a"}},
		{"{{.UserHash}}", formExact, []string{hash}, []string{email}},
		{"{{sha2 .UserEmail 8}}x*", formPath, []string{hash[:8] + "x"}, []string{hash + "x"}},
		{"{{sha2 .UserEmail 0}}", formExact, []string{hash}, nil},
		{"{{sha2 .UserEmail 255}}", formExact, []string{hexHash(email)}, nil},
		{"{{sha2 .UserEmail}}", formExact, []string{hexHash(email)}, nil},
		{"{{upper .UserEmail}}/f", formExact, []string{"BOB@X.ORG/f"}, []string{"bob@x.org/f"}},
		{"{{lower .UserEmail}}/f?", formPath, []string{"bob@x.org/f1"}, []string{"bobx@x.org/f1"}},
		{"{{.Year}}-{{.Month}}-{{.Date}}", formExact, []string{"2025-03-07"}, []string{"2025-3-7"}},
		{"**/{{.UserEmail}}", formSuffix, []string{email, "a/" + email}, []string{"a" + email}},
		{"**/{{.UserEmail}}/**", formWithin, []string{email, "a/" + email + "/b"}, []string{"a" + email}},
		{"{a,{{.UserEmail}}}*", formAny, []string{"a", email + "x"}, []string{"b"}},
		{"}}{{.Year}}", formExact, []string{"}}2025"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.pattern, func(t *testing.T) {
			g, err := compilePubGlob(tt.pattern)
			if err != nil {
				t.Fatal(err)
			}
			if g.form != tt.form {
				t.Errorf("form %d, want %d", g.form, tt.form)
			}
			for _, p := range tt.yes {
				if !g.match(p, bob) {
					t.Errorf("does not match %q", p)
				}
			}
			for _, p := range tt.no {
				if g.match(p, bob) {
					t.Errorf("matches %q", p)
				}
			}
			if Matchless(KindPub, tt.pattern) != (tt.form == formNever) {
				t.Error("Matchless")
			}
		})
	}
}

func TestInsertedTextIsLiteral(t *testing.T) {
	for _, id := range []User{"*@x.org", "?@x.org", "[a-z]@x.org", "{a,b}@x.org", `\a@x.org`, "**", "!a", "^-a", "a,b", "]-["} {
		v := &vars{user: id, now: bob.now}
		for _, pattern := range []string{"{{.UserEmail}}", "{{.UserEmail}}/**", "{{.UserEmail}}/*.t", "x{{.UserEmail}}?", "{a,{{.UserEmail}}}/**/f", "[!x{{.UserEmail}}]*"} {
			g, err := compilePubGlob(pattern)
			if err != nil {
				t.Fatal(err)
			}
			other := strings.ReplaceAll(strings.NewReplacer("{{.UserEmail}}", "bob@x.org", "/**", "/f", "*.t", "a.t", "?", "1", "{a,", "", "}", "").Replace(pattern), "[!x", "")
			if strings.HasPrefix(pattern, "[") {
				continue // below
			}
			if g.match(other, v) {
				t.Errorf("%q: %q matches %q", id, pattern, other)
			}
			if !g.match(strings.ReplaceAll(other, "bob@x.org", string(id)), v) {
				t.Errorf("%q: %q does not match its own %q", id, pattern, other)
			}
		}
		g, err := compilePubGlob("[x{{.UserEmail}}]")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range "abcdexyz*?[]{}\\!^-,@.org0/" {
			if g.match(string(c), v) != (c != '/' && strings.ContainsRune("x"+string(id), c)) {
				t.Errorf("%q: class and %q", id, c)
			}
		}
	}
	for _, id := range []User{"", Anonymous} {
		for _, pattern := range []string{"{{.UserEmail}}*", "{{.UserHash}}", "{{sha2 .UserEmail 8}}/**", "**/{{.UserEmail}}/*"} {
			g, err := compilePubGlob(pattern)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range []string{"", "a", string(id), hexHash(string(id))[:16], hexHash(string(id))[:8] + "/a"} {
				if g.match(p, &vars{user: id, now: bob.now}) {
					t.Errorf("nobody: %q matches %q", pattern, p)
				}
			}
		}
	}
}

func TestPatternsRefused(t *testing.T) {
	pub := []string{"", "[", "[]", "[a", "a[!]", "*{a", "*}", `*\`, "{{if}}/**", "{{.Password}}", "{{.UserEmail", "{{}}", "{{.UserEmail}}{{", "{{.UserEmail .Year}}",
		"{{upper}}", "{{upper .UserEmail 3}}", "{{sha2 .UserEmail 256}}", "{{sha2 .UserEmail -1}}", "{{sha2 8}}", "{{sha2 .UserEmail 8 8}}", "{{UserEmail}}",
		"{{- .UserEmail -}}", "{{{.UserEmail}}}", "{{.UserEmail | upper}}", `a\{{.UserEmail}}*`, "*" + strings.Repeat("{a,b}", 10)}
	for _, p := range pub {
		if p == "{{.UserEmail" { // no closing braces: not a template, and not a glob
			if CheckPattern(KindPub, p) != nil {
				t.Errorf("%q is a name", p)
			}
			continue
		}
		if err := CheckPattern(KindPub, p); err == nil {
			t.Errorf("%s: %q is accepted", FilePub, p)
		}
	}
	for _, p := range []string{"*{a,b}{c,d}", `a\\{{.UserEmail}}*`, "*" + strings.Repeat("{a,b}", 9)} {
		if err := CheckPattern(KindPub, p); err != nil {
			t.Errorf("%q: %v", p, err)
		}
	}
	for _, p := range []string{"", "/a", "..", "a/../b", "[a]", "{a,b}", "a}", `a\b`, "{UserEmail}", "**/{useremail}", "a**{useremail}"} {
		if err := CheckPattern(KindPerm, p); err == nil {
			t.Errorf("%s: %q is accepted", FilePerm, p)
		}
	}
	for _, p := range []string{"a/", "a//b", "./a", "."} {
		if err := CheckPattern(KindPerm, p); err != nil || !Matchless(KindPerm, p) {
			t.Errorf("%s: %q: %v", FilePerm, p, err)
		}
	}
}

// TestFormsAgree compares the compiled forms with the glob library, over small alphabets that make matches likely.
func TestFormsAgree(t *testing.T) {
	compiled := 0
	rapid.Check(t, func(t *rapid.T) {
		seg := rapid.SampledFrom([]string{"a", "b", "ab", "**", "**", "*", "a*", "*b", "a*b", ".a", "?", "[ab]", "[!a]", "a{b,}", "**b", "é*"})
		pattern := strings.Join(rapid.SliceOfN(seg, 1, 4).Draw(t, "pattern"), "/")
		name := rapid.SampledFrom([]string{"a", "b", "ab", "aab", ".a", "é", "abb"})
		rel := strings.Join(rapid.SliceOfN(name, 0, 5).Draw(t, "path"), "/")
		g, err := compilePubGlob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		want := pattern == rel
		if strings.ContainsAny(pattern, "*?[") {
			want = libraryMatches(t, pattern, rel)
		}
		if rel == "" {
			want = pattern == "**" // the folder of the file itself
		}
		if g.form != formGlob {
			compiled++
		}
		got := g.match(rel, bob)
		if got != want && !(want && strings.Contains(pattern, "[!") && strings.Contains(rel, "/")) {
			t.Fatalf("%q on %q, form %d: %v, the library says %v", pattern, rel, g.form, got, want)
		}
	})
	if compiled == 0 {
		t.Error("no pattern of a compiled form was drawn")
	}
}

// libraryMatches asks the glob library. That one forgets that a * or ** in front of "/**" at the end can be nothing.
func libraryMatches(t *rapid.T, pattern, rel string) bool {
	ok, err := doublestar.Match(pattern, rel)
	if err != nil {
		t.Fatal(err)
	}
	front, below := strings.CutSuffix(pattern, "/**")
	return ok || below && libraryMatches(t, front, rel)
}

// TestClassesAgree compares rewritten classes with the library's own reading, on everything but the slash.
func TestClassesAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		class := "[" + rapid.SampledFrom([]string{"", "!", "^"}).Draw(t, "negate") +
			strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "c", "z", "-", "\\-", "\\]", "/", ".", "0", "é", "!", "^", "[", "\\\\", ","}), 1, 6).Draw(t, "class"), "") + "]"
		if !doublestar.ValidatePattern(class) {
			return // not a class
		}
		tamed, err := tameClasses(class)
		if err != nil {
			t.Fatalf("%q is refused: %v", class, err)
		}
		for _, c := range []string{"a", "b", "c", "z", "-", "]", ".", "0", "1", "é", "!", "^", "[", "\\", ",", "+"} {
			want := doublestar.MatchUnvalidated(class, c) // Match calls some valid classes malformed when they do not match
			got, err := doublestar.Match(tamed, c)
			if got != want || err != nil {
				t.Fatalf("%q became %q: on %q %v; %v, %v", class, tamed, c, want, got, err)
			}
		}
		if ok, _ := doublestar.Match(tamed, "/"); ok {
			t.Fatalf("%q became %q and matches a slash", class, tamed)
		}
	})
}

func TestPermPatterns(t *testing.T) {
	tests := []struct {
		pattern string
		yes, no []string
	}{
		{"**", []string{"a", "a/b"}, []string{"", ".env", ".git/config", "a/.b", "a/.b/c"}},
		{"*", []string{"a"}, []string{"", ".env", "a/b"}},
		{".*", []string{".env", ".x"}, []string{"env", "a/.env"}},
		{"**/.*", []string{".env", "a/b/.env"}, []string{"a", ".git/.env"}},
		{".env", []string{".env"}, []string{"a/.env"}},
		{"a/**", []string{"a/b", "a/b/c"}, []string{"a", "a/.b", "ab/c"}},
		{"**/x", []string{"x", "a/x", "a/b/x"}, []string{".a/x", "ax", "x/a"}},
		{"a/**/z", []string{"a/z", "a/b/z", "a/b/c/z"}, []string{"a", "a/.b/z", "z"}},
		{"**/a/**/z", []string{"a/z", "b/a/z", "a/b/a/z", "a/a/z"}, []string{"z", "a", "a/.b/z"}},
		{"**/a/**", []string{"a/b", "b/a/c/d"}, []string{"a", "b/a", ".a/a/b", "b/.c/a/b"}},
		{"**/a/**/b/**/c", []string{"a/b/c", "x/a/b/a/b/c/c"}, []string{"a/b", "b/a/c", "a/.x/b/c", "a/b/.x/c"}},
		{"**/.x/**/b", []string{".x/b", "a/.x/a/b"}, []string{".y/.x/b", ".x/.x/b"}},
		{"a/**/**/b", []string{"a/b", "a/x/y/b"}, []string{"a", "a/.x/b"}},
		{"a/**/**", []string{"a/b", "a/x/y/b"}, []string{"a", "a/.x/b"}},
		{"?.md", []string{"a.md", "é.md"}, []string{".md", "..md", "ab.md"}},
		{"a?*b", []string{"axb", "axxb"}, []string{"ab", "a/b"}},
		{"x**y", []string{"xy", "x1y"}, []string{"x/y"}},
		{"a*b*c", []string{"abc", "aXbXc", "abbc"}, []string{"acb", "ab"}},
		{"{useremail}/**", []string{"bob@x.org/a"}, []string{"bob@x.org", "eve@x.org/a"}},
		{"to_{useremail}*", []string{"to_bob@x.org", "to_bob@x.org.txt"}, []string{"to_eve@x.org"}},
	}
	for _, tt := range tests {
		t.Run(tt.pattern, func(t *testing.T) {
			g, err := compilePermGlob(tt.pattern)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range tt.yes {
				if !g.match(p, bob) {
					t.Errorf("does not match %q", p)
				}
			}
			for _, p := range tt.no {
				if g.match(p, bob) {
					t.Errorf("matches %q", p)
				}
			}
		})
	}
}

// TestPermAgainstRegexp compares the matcher of syftperm.yaml with a regular expression built from the description.
func TestPermAgainstRegexp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		segs := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", ".a", "**", "**", "**", "**", "**", "*", "a*", "*b", "?", ".*", "*a*b"}), 1, 5).Draw(t, "pattern")
		rel := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "ab", "aab", ".a", "baab"}), 1, 6).Draw(t, "path"), "/")
		g, err := compilePermGlob(strings.Join(segs, "/"))
		if err != nil {
			t.Fatal(err)
		}
		re := permRegexp(segs)
		if got, want := g.match(rel, bob), regexp.MustCompile(re).MatchString(rel+"/"); got != want {
			t.Fatalf("%q on %q: %v, %s says %v", segs, rel, got, re, want)
		}
	})
}

// permRegexp matches a path with a slash behind every name.
func permRegexp(segs []string) string {
	re := "^"
	for i, s := range segs {
		switch {
		case s == "**" && i == len(segs)-1:
			re += `([^./][^/]*/)+`
		case s == "**":
			re += `([^./][^/]*/)*`
		default:
			if s[0] == '*' || s[0] == '?' {
				re += firstNotDot(s)
			} else {
				re += wild(s)
			}
			re += "/"
		}
	}
	return re + "$"
}

func wild(s string) string {
	return strings.NewReplacer(`\*`, `[^/]*`, `\?`, `[^/]`).Replace(regexp.QuoteMeta(s))
}

// firstNotDot is wild(s) for an s that begins with a wildcard, on names that do not begin with a dot.
func firstNotDot(s string) string {
	if s[0] == '?' {
		return `[^/.]` + wild(s[1:])
	}
	if rest := s[1:]; rest != "" && rest[0] != '.' {
		return `(?:[^/.][^/]*)?` + wild(rest)
	}
	return `[^/.][^/]*` + wild(s[1:])
}
