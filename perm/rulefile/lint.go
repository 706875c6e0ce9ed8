package rulefile

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/openmined/syftfs/perm"
	"gopkg.in/yaml.v3"
)

// Lint gives everything that can be said about a rule file by itself, in the order of its lines: what keeps it from
// parsing, or else Parse's warnings and what a careful reader would ask about. The name is as for Parse.
func Lint(name string, src []byte) []Problem {
	var spots []spot
	r := &reader{file: name, spots: &spots}
	rs, err := r.read(src)
	var broken *Error
	switch {
	case errors.As(err, &broken):
		r.problems = append(r.problems, broken.Problem)
	case rs.Kind == perm.KindPub:
		l := linter{r, rs.Rules, spots, maxWork}
		l.pub()
	default:
		l := linter{r, rs.Rules, spots, maxWork}
		l.perm()
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return r.problems
}

// linter looks at a file that parses. Rule i stands at spot i.
type linter struct {
	*reader
	rules []perm.Rule
	spots []spot
	work  work
}

// work is what may still be spent on comparing rules; when it is used up, nothing more is found.
type work int

const maxWork work = 2 << 20

func (w *work) spend() bool {
	*w--
	return *w >= 0
}

// atPattern warns about the pattern of a rule.
func (l *linter) atPattern(i int, text, hint string) {
	key := ".pattern"
	if strings.HasPrefix(l.spots[i].field, "[") {
		key = ".path"
	}
	l.warn(l.spots[i].pattern, l.spots[i].field+key, text, hint)
}

func (l *linter) atKey(n *yaml.Node, i int, key, text, hint string) {
	l.warn(n, l.spots[i].field+key, text, hint)
}

func (l *linter) pub() {
	for i := range l.rules {
		l.pubRule(i)
	}
	order := l.order()
	l.orders(l.shadowed(order))
}

// order gives the rules in the order in which they are tried, without those that match nothing.
func (l *linter) order() []int {
	var order []int
	for i, r := range l.rules {
		if !perm.Matchless(perm.KindPub, r.Pattern) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return perm.Score(l.rules[b].Pattern) - perm.Score(l.rules[a].Pattern) })
	return order
}

var template = regexp.MustCompile(`\{\{[ \t]*(?:(\w+)[ \t]+)?\.(\w+)(?:[ \t]+\d+)?[ \t]*\}\}`)

func (l *linter) pubRule(i int) {
	r, s := l.rules[i], l.spots[i]
	personal, dated, foreign := false, false, false
	for _, m := range template.FindAllStringSubmatch(r.Pattern, -1) {
		user := m[2] == "UserEmail" || m[2] == "UserHash"
		personal, dated, foreign = personal || user, dated || !user, foreign || m[0] != "{{.UserEmail}}"
	}
	if dated {
		l.atPattern(i, "what it matches changes at midnight UTC", "write the date itself if the rule is to stay as it is today")
	}
	if foreign {
		l.atPattern(i, "the Python client refuses a file with such a template: it knows {{.UserEmail}} only, written like this", "use {{.UserEmail}}, or write the text out, if that client is to read the file")
	}
	if bare := template.ReplaceAllString(r.Pattern, ""); strings.Contains(bare, "{") && !strings.ContainsAny(bare, "*?[") {
		l.atPattern(i, "the braces are part of the name, because nothing else makes this a pattern", "write one rule for each name, or put a * into the pattern")
	}
	if personal && len(r.Grants) > 0 && !l.shared(r) {
		l.atPattern(i, "it has a place for whoever asks, but only the people in the lists may use theirs", "write USER in the lists, or an address in place of the template")
	}
	for _, open := range []string{"*", "USER"} {
		if slices.Contains(r.Grants[perm.Admin], open) {
			l.atKey(s.lists[perm.Admin], i, ".access.admin", fmt.Sprintf("%q may change the rules, and so grant anything to anybody", open), "name the people who are to look after this folder")
			break
		}
	}
	if slices.ContainsFunc(r.Grants[perm.Create], func(e string) bool {
		return !slices.Contains(r.Grants[perm.Write], e) && !slices.Contains(r.Grants[perm.Admin], e)
	}) {
		l.atKey(s.lists[perm.Create], i, ".access.create", "the SyftBox server and the Python client ignore create lists", "name them in write, or at least in read, if the file is to work there")
	}
	if r.Limits == (perm.Limits{}) {
		return
	}
	if len(r.Grants[perm.Create])+len(r.Grants[perm.Write])+len(r.Grants[perm.Admin]) == 0 {
		l.atKey(s.limits, i, ".limits", "limits do nothing here: the rule lets nobody create or write", "remove them, or name somebody in create, write or admin")
	} else if r.Limits.MaxFiles > 0 {
		l.atKey(s.limits, i, ".limits.maxFiles", "it is read, but nothing enforces it", "do not rely on it; maxFileSize is enforced")
	}
}

// shared reports whether a rule names more than single addresses.
func (l *linter) shared(r perm.Rule) bool {
	for _, entries := range r.Grants {
		if slices.ContainsFunc(entries, func(e string) bool { return e == "USER" || strings.ContainsAny(e, "*?[") }) {
			return true
		}
	}
	return false
}

// shadowed warns about rules that never decide, because one that is tried before matches whatever they match. It gives the
// others.
func (l *linter) shadowed(order []int) (live []int) {
	first := map[string]int{} // by pattern
	var tried []shape         // of the rules before, by their place in order
	for n, j := range order {
		p := l.rules[j].Pattern
		tried = append(tried, shapeOf(p))
		by, found := first[p]
		if !found {
			first[p] = j
		}
		for k := 0; !found && k < n && l.work.spend(); k++ {
			if tried[k].covers(tried[n], &l.work) {
				by, found = order[k], true
			}
		}
		if !found {
			live = append(live, j)
			continue
		}
		if l.rules[by].Pattern == p {
			l.atPattern(j, fmt.Sprintf("the rule never decides: the one in line %d has the same pattern", l.rules[by].From.Line), "join the two")
			continue
		}
		l.atPattern(j, fmt.Sprintf("the rule never decides: %q in line %d is tried first and matches all that this one matches", clip(l.rules[by].Pattern), l.rules[by].From.Line), "remove it, or write its pattern so that it is longer and has fewer wildcards than the other")
	}
	return live
}

// orders warns about pairs of rules that other programs try in another order, if both match some path and do not say the
// same.
func (l *linter) orders(order []int) {
	const enough = 20 // warnings
	said := 0
	var w *witnesses
	for n, i := range order {
		for _, j := range order[n+1:] {
			if said == enough || !l.work.spend() {
				return
			}
			if !clientFirst(l.rules[j].Pattern, j, l.rules[i].Pattern, i) || sameAccess(l.rules[i], l.rules[j]) {
				continue
			}
			if w == nil {
				w = newWitnesses(l.rules, &l.work)
			}
			path, ok := w.find(i, j)
			if !ok {
				continue
			}
			said++
			l.atPattern(i, fmt.Sprintf("here and on the SyftBox server it comes before %q in line %d; the Python client tries them the other way round, and both match %q", clip(l.rules[j].Pattern), l.rules[j].From.Line, path),
				"write them so that both agree: more folders and fewer wildcards in the one that is to come first, or the same lists in both")
		}
	}
}

func sameAccess(a, b perm.Rule) bool {
	a.Pattern = b.Pattern
	return sameRules([]perm.Rule{a}, []perm.Rule{b})
}

// perm warns about rules of syftperm.yaml that a later rule of the file undoes.
func (l *linter) perm() {
	for i, r := range l.rules {
		if slices.Contains(r.Grants[perm.Admin], "*") && !r.Deny {
			l.atKey(l.spots[i].rule, i, ".user", "everyone may change the rules, and so grant anything to anybody", "name the people who are to look after this folder")
		}
		if len(r.Grants) == 0 {
			continue
		}
		for j := i + 1; j < len(l.rules) && l.work.spend(); j++ {
			if undoes(l.rules[j], r) {
				l.atPattern(i, fmt.Sprintf("the rule does nothing: the one in line %d overrides it wherever it applies", l.rules[j].From.Line), "remove it, or put it behind that one")
				break
			}
		}
	}
}

// undoes reports whether the later rule sets every right that the earlier one speaks of, wherever and for whomever it applies.
func undoes(later, earlier perm.Rule) bool {
	for l := range earlier.Grants {
		if len(later.Grants[l]) == 0 {
			return false
		}
	}
	if u := userOf(later); u != "*" && u != userOf(earlier) {
		return false
	}
	return later.Pattern == earlier.Pattern ||
		later.Pattern == "**" && !strings.HasPrefix(earlier.Pattern, ".") && !strings.Contains(earlier.Pattern, "/.") // ** matches no name with a dot in front
}
