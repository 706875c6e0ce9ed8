package perm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/openmined/syftfs/perm"
)

// TestHostileRules reads rule files that are made to take memory or time. What is beyond the bounds is a broken file; what is not is decided on.
func TestHostileRules(t *testing.T) {
	many := strings.Repeat("{a,b}", 9) // 512
	lots := func(n int, f func(i int) perm.Rule) []perm.Rule {
		rules := make([]perm.Rule, n)
		for i := range rules {
			rules[i] = f(i)
		}
		return rules
	}
	class := make([]rune, 0, 100000)
	for c := rune(0x4e00); len(class) < cap(class); c += 2 {
		class = append(class, c)
	}
	for name, tt := range map[string]struct {
		kind   perm.Kind
		rules  []perm.Rule
		broken bool
	}{
		"alternatives in every rule": {perm.KindPub, lots(2000, func(i int) perm.Rule { return perm.Rule{Pattern: fmt.Sprint("*", many, i)} }), true},
		"alternatives in every user": {perm.KindPub, lots(2000, func(i int) perm.Rule {
			return perm.Rule{Pattern: "**", Grants: map[perm.Level][]string{perm.Read: {fmt.Sprint("*", many, i)}}}
		}), true},
		"some alternatives":           {perm.KindPub, lots(20, func(i int) perm.Rule { return perm.Rule{Pattern: fmt.Sprint("*", many, i)} }), false},
		"alternatives of a long text": {perm.KindPub, lots(1, func(int) perm.Rule { return perm.Rule{Pattern: "*" + many + strings.Repeat("long", 100000)} }), true},
		"alternatives and templates":  {perm.KindPub, lots(1, func(int) perm.Rule { return perm.Rule{Pattern: "*{a,b}" + strings.Repeat("{{.Date}}", 50000)} }), false},
		"nothing but templates":       {perm.KindPub, lots(1, func(int) perm.Rule { return perm.Rule{Pattern: "*" + strings.Repeat("x{{.Date}}", 50000)} }), false},
		"nothing but stars":           {perm.KindPub, lots(1, func(int) perm.Rule { return perm.Rule{Pattern: strings.Repeat("*a", 100000) + "b"} }), false},
		"nothing but **":              {perm.KindPub, lots(1, func(int) perm.Rule { return perm.Rule{Pattern: strings.Repeat("**/a*a/", 50000) + "b"} }), false},
		"nothing but ** (syftperm)":   {perm.KindPerm, lots(1, func(int) perm.Rule { return perm.Rule{Pattern: strings.Repeat("**/a*a/", 50000) + "b"} }), false},
		"a class of many":             {perm.KindPub, lots(1, func(int) perm.Rule { return perm.Rule{Pattern: "*[" + string(class) + "]*z"} }), false},
		"nested alternatives": {perm.KindPub, lots(1, func(int) perm.Rule {
			return perm.Rule{Pattern: "*" + strings.Repeat("{x,", 900) + strings.Repeat("}", 900)}
		}), false},
		"deeply nested alternatives": {perm.KindPub, lots(1, func(int) perm.Rule {
			return perm.Rule{Pattern: "*" + strings.Repeat("{x,", 50000) + strings.Repeat("}", 50000)}
		}), true},
		"brackets that open and no end": {perm.KindPub, lots(1, func(int) perm.Rule { return perm.Rule{Pattern: strings.Repeat("[", 100000)} }), true},
	} {
		t.Run(name, func(t *testing.T) {
			x := perm.NewIndex(func(_ perm.User, dir string) ([]perm.Ruleset, error) {
				if dir != "" {
					return nil, nil
				}
				return []perm.Ruleset{{Kind: tt.kind, Rules: tt.rules}}, nil
			})
			for _, path := range []string{strings.Repeat("a", 255), strings.Repeat("aa/", 1000) + "a", strings.Repeat("一", 80)} {
				d, err := x.Decide(perm.Request{User: "bob@x.org", Owner: carol, Path: path, Want: perm.Read})
				if err != nil || d.Allowed {
					t.Fatal(err, d.Allowed)
				}
				if got := strings.HasPrefix(d.Steps[0].Text, "Blocked by invalid"); got != tt.broken {
					t.Errorf("broken %v: %v", got, d.Steps[:min(len(d.Steps), 2)])
				}
			}
		})
	}
}
