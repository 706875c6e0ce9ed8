package rulefile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/openmined/syftfs/perm"
	"gopkg.in/yaml.v3"
)

// unknownKey words the hint for a key that is none of known.
func unknownKey(key string, known ...string) string {
	all := strings.Join(known[:len(known)-1], ", ") + " and " + known[len(known)-1]
	if best := nearest(key, known...); best != "" {
		return fmt.Sprintf("did you mean %s? The keys here are %s", best, all)
	}
	return "remove it; the keys here are " + all
}

// nearest gives the known word that word was probably meant to be, or "".
func nearest(word string, known ...string) string {
	const longest = 40
	if len(word) > longest {
		return ""
	}
	word = strings.ToLower(strings.Trim(word, " _-"))
	best, least := "", 1+max(1, len(word)/3)
	for _, k := range known {
		if d := distance(word, strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance counts the letters to insert, remove, replace or swap with a neighbour to make b of a.
func distance(a, b string) int {
	before, row := []int(nil), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			differs := 1
			if a[i-1] == b[j-1] {
				differs = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+differs)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}

// checkEntry warns about an entry of syft.pub.yaml that names nobody.
func (r *reader) checkEntry(n *yaml.Node, field, entry string) {
	names := func(why, hint string) { r.warn(n, field, fmt.Sprintf("%q names nobody: %s", clip(entry), why), hint) }
	switch {
	case entry == "*" || entry == "USER":
	case strings.EqualFold(entry, "public"):
		names("it is not a special word", `write "*" for everyone`)
	case strings.EqualFold(entry, "user"):
		names("the special word is in capitals", "write USER for whoever is signed in")
	case perm.CheckUser(entry) != nil:
		names(perm.CheckUser(entry).Error(), "write an address, or a pattern like *@example.org")
	case strings.ContainsAny(entry, "*?["):
		if strings.ToLower(entry) != entry {
			names("addresses are in lower case", "write "+quoted(strings.ToLower(entry)))
		}
	default:
		r.checkAddress(n, field, entry)
	}
}

// checkAddress warns about an address that is not in the form in which people sign in.
func (r *reader) checkAddress(n *yaml.Node, field, entry string) {
	u, err := perm.ParseUser(entry)
	switch {
	case err != nil:
		r.warn(n, field, "it names nobody: "+err.Error(), "write the address of a person, in lower case")
	case string(u) == entry:
	case strings.EqualFold(string(u), entry):
		r.warn(n, field, fmt.Sprintf("%q names nobody: addresses are in lower case", clip(entry)), "write "+string(u))
	default:
		r.warn(n, field, fmt.Sprintf("%q names nobody: it is not the form in which people sign in", clip(entry)), "write "+string(u))
	}
}

// patternHint tells what to write instead of a pattern that is refused.
func patternHint(kind perm.Kind, p string) string {
	if kind == perm.KindPub {
		if strings.Contains(p, "{{") {
			return "use {{.UserEmail}}, {{.UserHash}}, {{.Year}}, {{.Month}} or {{.Date}}, with upper, lower or sha2 before the variable if need be, and close every [ and {"
		}
		return `close every [ and {, and write \[ or \{ for the character itself`
	}
	switch {
	case p[0] == '/':
		return "write " + quoted(strings.TrimLeft(p, "/")) + " if that is meant below this folder"
	case slices.Contains(strings.Split(p, "/"), ".."):
		return "put the rule into a " + perm.FilePerm + " of the folder that it is for"
	case strings.Contains(p, "**") && strings.Contains(p, "{useremail}"):
		return "put {useremail} before the **"
	}
	return "write one rule for each name, or use * and ?; for the address of whoever asks write {useremail}"
}

// quoted is a text in quotes that YAML reads as it stands.
func quoted(s string) string {
	return "'" + strings.ReplaceAll(clip(s), "'", "''") + "'"
}
