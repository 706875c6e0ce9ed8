package grant

import (
	"fmt"
	iofs "io/fs"
	"strings"

	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
)

// The users of a grant to many.
const (
	Everyone perm.User = "*"    // signed in or not
	SignedIn perm.User = "USER" // whoever is signed in; not in syftperm.yaml
)

// stranger stands for whoever is signed in and not named; the domain is reserved and is nobody's.
const stranger perm.User = "stranger@syftfs.invalid"

// nobody is the part of an address that stands for any. It is long, so that nobody has it.
const nobody = "syftfsnobody"

// entry is one or many, as a list of users spells them, and who stands for them when their rights are compared.
type entry struct {
	text string // an address, "*", "USER" or a glob
	user perm.User
}

// parseEntry reads the user of a grant.
func parseEntry(u perm.User) (entry, error) {
	switch {
	case u == Everyone || u == perm.Anonymous:
		return entry{string(Everyone), perm.Anonymous}, nil
	case u == SignedIn:
		return entry{string(SignedIn), stranger}, nil
	case isGlob(string(u)):
		glob := strings.ToLower(string(u)) // addresses are
		if err := perm.CheckUser(glob); err != nil {
			return entry{}, fmt.Errorf("user %q: %w", u, err)
		}
		who, ok := sample(glob)
		if !ok {
			return entry{}, fmt.Errorf("user %q stands for no address; write one such as *@x.org: %w", u, iofs.ErrInvalid)
		}
		return entry{glob, who}, nil
	}
	canonical, err := perm.ParseUser(string(u))
	return entry{string(canonical), canonical}, err
}

// asWritten is an entry of a rule file; false if it can name nobody.
func asWritten(text string) (entry, bool) {
	e, err := parseEntry(perm.User(text))
	return e, err == nil && e.text == text
}

// namesSomebody reports whether an entry of a syft.pub.yaml can name anybody, as far as can be told without looking.
func namesSomebody(text string) bool {
	if text == string(SignedIn) || isGlob(text) {
		return perm.CheckUser(text) == nil
	}
	u, err := perm.ParseUser(text)
	return err == nil && string(u) == text
}

// many reports whether the entry stands for more than one.
func (e entry) many() bool { return e.user == perm.Anonymous || e.user == stranger || isGlob(e.text) }

// covers reports whether whoever o stands for is among those that e names.
func (e entry) covers(o entry) bool {
	return len(named(perm.KindPub, []string{e.text}, o.user)) > 0
}

func (e entry) String() string {
	switch e.text {
	case string(Everyone):
		return "everyone"
	case string(SignedIn):
		return "every signed-in user"
	}
	return e.text
}

// named are the entries of a list that reach u.
func named(kind perm.Kind, list []string, u perm.User) []string {
	rs := perm.Ruleset{Kind: kind, Rules: []perm.Rule{{Grants: map[perm.Level][]string{perm.Read: list}}}}
	return rulefile.Project(rs, u).Rules[0].Grants[perm.Read]
}

// sample is an address that a glob matches and that nobody has.
func sample(glob string) (perm.User, bool) {
	stars := strings.Count(glob, "*")
	for _, whole := range []string{"", nobody + ".org", nobody + "@" + nobody + ".org", "@"} {
		for at := range max(stars, 1) { // the star that stands for more than a part
			u := perm.User(spell(glob, func(n int) string {
				if n == at && whole != "" {
					return whole
				}
				return nobody
			}))
			if p, err := perm.ParseUser(string(u)); err == nil && p == u && len(named(perm.KindPub, []string{glob}, u)) > 0 {
				return u, true
			}
		}
	}
	return "", false
}

// spell writes a text that the glob matches: the first of what is in braces and classes, star(n) for the star number n.
func spell(glob string, star func(n int) string) string {
	var b strings.Builder
	stars := 0
	for i := 0; i < len(glob); i++ {
		switch c := glob[i]; c {
		case '*':
			b.WriteString(star(stars))
			stars++
		case '?':
			b.WriteByte('q')
		case '\\':
			if i++; i < len(glob) {
				b.WriteByte(glob[i])
			}
		case '[':
			end := classEnd(glob, i)
			b.WriteString(inClass(glob[i:end]))
			i = end - 1
		case '{':
			first, end := alternative(glob, i)
			b.WriteString(spell(first, star))
			i = end - 1
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// classEnd is where the class that begins at i ends.
func classEnd(glob string, i int) int {
	for end := i + 2; end <= len(glob); end++ {
		if glob[end-1] == ']' && perm.CheckUser(glob[i:end]) == nil {
			return end
		}
	}
	return len(glob)
}

// inClass is a character of the class that an address may hold.
func inClass(class string) string {
	for _, c := range "qabcdefghijklmnoprstuvwxyz0123456789._%+-@" {
		if len(named(perm.KindPub, []string{class}, perm.User(c))) > 0 {
			return string(c)
		}
	}
	return ""
}

// alternative is the first of what stands in the braces that begin at i, and where they end.
func alternative(glob string, i int) (first string, end int) {
	depth, comma := 0, -1
	for end = i; end < len(glob); end++ {
		switch glob[end] {
		case '\\':
			end++
		case '{':
			depth++
		case ',':
			if depth == 1 && comma < 0 {
				comma = end
			}
		case '}':
			if depth--; depth == 0 {
				if comma < 0 {
					comma = end
				}
				return glob[i+1 : comma], end + 1
			}
		}
	}
	return "", len(glob)
}
