package grant

import (
	"errors"
	"testing"

	"github.com/openmined/syftfs/perm"
)

func TestSample(t *testing.T) {
	for glob, want := range map[string]perm.User{
		"*@x.org":         nobody + "@x.org",
		"*":               nobody + "@" + nobody + ".org",
		"*.org":           nobody + "@" + nobody + ".org.org",
		"*@*.edu":         nobody + "@" + nobody + ".edu",
		"*@*":             nobody + "@" + nobody + ".org",
		"a?c@x.org":       "aqc@x.org",
		"[xyz]*@x.org":    "x" + nobody + "@x.org",
		"[!q]@x.org":      "a@x.org",
		"*@{a,b}.org":     nobody + "@a.org",
		`\a*@x.org`:       "a" + nobody + "@x.org",
		"team-*@x.org":    "team-" + nobody + "@x.org",
		"*@x.*":           nobody + "@x." + nobody,
		"alice*":          "alice" + nobody + "@" + nobody + ".org",
		"[a-c]@[[:x]].de": "",
		"*@X.org":         "",
		"no*body":         "no" + nobody + "@" + nobody + ".orgbody",
		"? ?":             "",
	} {
		t.Run(glob, func(t *testing.T) {
			got, ok := sample(glob)
			if got != want || ok != (want != "") {
				t.Errorf("%q, %v, want %q", got, ok, want)
			}
			if ok && len(named(perm.KindPub, []string{glob}, got)) == 0 {
				t.Errorf("%q does not match", got)
			}
		})
	}
}

func TestParseEntry(t *testing.T) {
	for in, want := range map[perm.User]entry{
		"*":            {"*", perm.Anonymous},
		perm.Anonymous: {"*", perm.Anonymous},
		"USER":         {"USER", stranger},
		"Bob@X.org":    {"bob@x.org", bob},
		"*@X.org":      {"*@x.org", nobody + "@x.org"},
	} {
		if got, err := parseEntry(in); err != nil || got != want {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
	for _, in := range []perm.User{"", "bob", "[", "{*", "*@[", "? ?", "USERS"} {
		if got, err := parseEntry(in); err == nil {
			t.Errorf("%q: %v", in, got)
		}
	}
	if _, err := parseEntry("bob"); !errors.Is(err, perm.ErrAddress) {
		t.Error(err)
	}
}

func TestCovers(t *testing.T) {
	all := map[string]entry{}
	for _, text := range []string{"*", "USER", "*@x.org", "*@*.org", "bob@x.org", "dave@y.org"} {
		e, ok := asWritten(text)
		if !ok {
			t.Fatal(text)
		}
		all[text] = e
	}
	for text, want := range map[string][]string{
		"*":         {"*", "USER", "*@x.org", "*@*.org", "bob@x.org", "dave@y.org"},
		"USER":      {"USER", "*@x.org", "*@*.org", "bob@x.org", "dave@y.org"},
		"*@*.org":   {"*@x.org", "*@*.org", "bob@x.org", "dave@y.org"},
		"*@x.org":   {"*@x.org", "bob@x.org"},
		"bob@x.org": {"bob@x.org"},
	} {
		covered := map[string]bool{}
		for _, o := range want {
			covered[o] = true
		}
		for o, other := range all {
			if all[text].covers(other) != covered[o] {
				t.Errorf("%s covers %s: %v", text, o, !covered[o])
			}
		}
	}
}

func FuzzSample(f *testing.F) {
	for _, glob := range []string{"*@x.org", "[a-z]*", "{a,b{c,d}}@*", `\`, "[", "{", "[]]", "a{,b}?"} {
		f.Add(glob)
	}
	f.Fuzz(func(t *testing.T, glob string) {
		if perm.CheckUser(glob) != nil || len(glob) > 100 {
			return
		}
		if u, ok := sample(glob); ok {
			if p, err := perm.ParseUser(string(u)); err != nil || p != u {
				t.Errorf("%q: %q is no address", glob, u)
			}
		}
	})
}
