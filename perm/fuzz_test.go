package perm_test

import (
	"path"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/openmined/syftfs/perm"
)

// covered asks an index whether a pattern covers rel for u.
func covered(t *testing.T, kind perm.Kind, pattern, rel string, u perm.User, now time.Time) bool {
	t.Helper()
	x := perm.NewIndex(func(_ perm.User, dir string) ([]perm.Ruleset, error) {
		if dir != "" {
			return nil, nil
		}
		return []perm.Ruleset{{Kind: kind, Rules: []perm.Rule{{Pattern: pattern}}}}, nil
	})
	d, err := x.Decide(perm.Request{User: u, Owner: carol, Path: rel, Now: now})
	if err != nil || d.Allowed {
		t.Fatalf("%q on %q: %+v, %v", pattern, rel, d, err)
	}
	if strings.HasPrefix(d.Steps[0].Text, "Blocked by invalid") {
		t.Fatalf("%q is valid, and then it is not: %s", pattern, d.Steps[1].Text)
	}
	return d.Pattern != ""
}

// clean makes any text a path below a datasite.
func clean(s string) string {
	return strings.TrimPrefix(path.Clean("/"+strings.ReplaceAll(s, "\x00", "")), "/")
}

// slowIsQuick keeps the second implementation, which takes its time, to what it can do.
func slowIsQuick(pattern, rel string) bool {
	return len(pattern) < 80 && len(rel) < 80 && strings.Count(pattern, "*") <= 6 && strings.Count(pattern, ",") <= 6 &&
		utf8.ValidString(pattern) && utf8.ValidString(rel)
}

var templateInClass = regexp.MustCompile(`\[[^\]]*\{\{`)

func FuzzPubPattern(f *testing.F) {
	for _, p := range append(append([]string{`a\{b,c\}*`, "[a-c-e]*", "[!/]x", `[\]a-]`, "*{a,{b,c}}/**", "{**,a}/b", "**/a/**/b/**", "a*/**", "***", "{a*,}{b,}", "[z-a]*", "*[{,}]",
		"{,}*", "{{.Year}}{{.Date}}*", "{{sha2 .UserEmail 3}}?", "[x{{.UserEmail}}]"}, somePatterns...), pubSegments...) {
		f.Add(p, "a/b/f.txt", "bob@x.org")
		f.Add(p, "a", "ann@x.org")
		f.Add("a/"+p+"/b*", "a/bob@x.org/bé", "bob@x.org")
	}
	f.Add("*"+strings.Repeat("{a,b}", 9), strings.Repeat("ab", 500), "bob@x.org")
	f.Add(strings.Repeat("**/a*b*c*/", 50)+"z", strings.Repeat("abcabc/", 500)+"y", "bob@x.org")
	f.Add(strings.Repeat("*a", 100)+"?", strings.Repeat("a", 1000), "bob@x.org")
	f.Fuzz(func(t *testing.T, pattern, rel, user string) {
		u, err := perm.ParseUser(user)
		if err != nil || perm.CheckPattern(perm.KindPub, pattern) != nil {
			return
		}
		rel = clean(rel)
		got := covered(t, perm.KindPub, pattern, rel, u, someTimes[0])
		if got && perm.Matchless(perm.KindPub, pattern) {
			t.Fatalf("%q can match nothing, and matches %q", pattern, rel)
		}
		if perm.Score(pattern) != slowScore(pattern) {
			t.Fatalf("%q scores %d, not %d", pattern, perm.Score(pattern), slowScore(pattern))
		}
		if !slowIsQuick(pattern, rel) || templateInClass.MatchString(pattern) {
			return
		}
		if want := slowPub(pattern, rel, u, someTimes[0]); got != want {
			t.Fatalf("%q on %q for %s: %v, want %v", pattern, rel, u, got, want)
		}
	})
}

func FuzzPermPattern(f *testing.F) {
	for _, p := range append(append([]string{"**/a/**/b/**", "a/**/**", ".*/**", "**/.env", "?{useremail}*", "a**b/*?*"}, somePatterns...), permSegments...) {
		f.Add(p, "a/b/f.txt", "bob@x.org")
		f.Add(p, ".env", "ann@x.org")
		f.Add("a/"+p+"/*b", "a/bob@x.org/.b/ab", "bob@x.org")
	}
	f.Add(strings.Repeat("**/a*b*c*/", 50)+"z", strings.Repeat("abcabc/", 500)+"y", "bob@x.org")
	f.Fuzz(func(t *testing.T, pattern, rel, user string) {
		u, err := perm.ParseUser(user)
		if err != nil || perm.CheckPattern(perm.KindPerm, pattern) != nil {
			return
		}
		rel = clean(rel)
		got := covered(t, perm.KindPerm, pattern, rel, u, someTimes[0])
		if !slowIsQuick(pattern, rel) {
			return
		}
		if want := slowPerm(pattern, rel, u); got != want {
			t.Fatalf("%q on %q for %s: %v, want %v", pattern, rel, u, got, want)
		}
	})
}

// FuzzTemplate holds that what is put in is literal text, whoever asks.
func FuzzTemplate(f *testing.F) {
	for _, inside := range []string{".UserEmail", " upper .UserEmail ", "sha2 .UserHash 9", ".Year", "lower .Date", "sha2 .Month 0", ".UserEmail | upper", "if .Year", "sha2 .Year 256", "."} {
		f.Add(inside, "bob@x.org", "bob@x.org")
		f.Add(inside, "*", "2025")
	}
	f.Fuzz(func(t *testing.T, inside, user, rel string) {
		pattern := "{{" + inside + "}}"
		if strings.ContainsAny(inside, "{}") || perm.CheckPattern(perm.KindPub, pattern) != nil || !utf8.ValidString(user) {
			return
		}
		if !slowTemplate.MatchString(pattern) {
			t.Fatalf("%q is accepted", pattern)
		}
		u := perm.User(user)
		if slowNobody(u) || u == carol || !utf8.ValidString(rel) {
			return
		}
		parts, _ := slowText(pattern, u, someTimes[1])
		text := strings.Join(parts, "")
		rel = clean(rel)
		if got := covered(t, perm.KindPub, pattern, rel, u, someTimes[1]); got != (rel == text && rel != "") {
			t.Fatalf("%q for %q is %q; matches %q: %v", pattern, user, text, rel, got)
		}
		if exact := clean(text); exact == text && text != "" && !covered(t, perm.KindPub, pattern+"*", text+"x", u, someTimes[1]) && !strings.Contains(text, "/") {
			t.Fatalf("%q for %q does not match its own text", pattern, user)
		}
	})
}
