package rulefile

import (
	"maps"
	"slices"
	"strings"

	"github.com/openmined/syftfs/perm"
	"gopkg.in/yaml.v3"
)

// rights are the bits to write for the level: create and write mean nothing without read.
func (e *editor) rights() []perm.Level {
	if e.level == perm.Create || e.level == perm.Write {
		return []perm.Level{perm.Read, e.level}
	}
	return []perm.Level{e.level}
}

// loses reports whether a rule for user is to lose the level.
func (e *editor) loses(user string) bool {
	if e.replace && !slices.Contains(e.set, user) {
		return true
	}
	return slices.Contains(e.remove, user)
}

// gains gives the users to add, each once.
func (e *editor) gains() []string {
	users := slices.DeleteFunc(slices.Clone(e.set), func(u string) bool { return slices.Contains(e.remove, u) })
	for _, u := range e.add {
		if !slices.Contains(users, u) {
			users = append(users, u)
		}
	}
	return users
}

func userOf(r perm.Rule) string {
	for _, users := range r.Grants {
		return users[0]
	}
	return ""
}

// left gives what stays of a rule's rights, and whether any was taken.
func (e *editor) left(r perm.Rule) (grants map[perm.Level][]string, taken bool) {
	if r.Pattern != e.pattern || r.Deny || !e.loses(userOf(r)) {
		return r.Grants, false
	}
	grants = maps.Clone(r.Grants)
	for l := range r.Grants {
		if e.level == perm.None || e.level == l {
			delete(grants, l)
			taken = true
		}
	}
	return grants, taken
}

func (e *editor) appliedPerm(rules []perm.Rule) []perm.Rule {
	var out []perm.Rule
	for _, r := range rules {
		grants, taken := e.left(r)
		if taken && len(grants) == 0 {
			continue
		}
		r.Grants = grants
		out = append(out, r)
	}
	for _, u := range e.missing(out) {
		out = append(out, e.newPermRule(u))
	}
	return out
}

// missing gives the users for whom a rule must be added: those for whom the last rule with this very path and user that
// speaks of a right does not allow it.
func (e *editor) missing(rules []perm.Rule) []string {
	return slices.DeleteFunc(e.gains(), func(u string) bool {
		for _, l := range e.rights() {
			allowed := false
			for _, r := range rules {
				if _, speaks := r.Grants[l]; speaks && r.Pattern == e.pattern && (userOf(r) == u || r.Deny && userOf(r) == "*") {
					allowed = !r.Deny
				}
			}
			if !allowed {
				return false
			}
		}
		return true
	})
}

// editPerm does on the nodes what appliedPerm does on the rules.
func (e *editor) editPerm(top *yaml.Node) {
	if len(top.Content) == 0 {
		top.Style &^= yaml.FlowStyle
	}
	r := &reader{file: e.name}
	var kept []perm.Rule
	var content []*yaml.Node
	for i := range top.Content {
		rule, err := r.permRule(target(top.Content[i]), "")
		if err != nil {
			return // it parsed a moment ago
		}
		if e.drop {
			if rule.Pattern != e.pattern {
				content = append(content, top.Content[i])
			}
			continue
		}
		grants, taken := e.left(rule)
		if taken && len(grants) == 0 {
			continue
		}
		if taken {
			e.takeRight(owned(&top.Content[i]))
		}
		rule.Grants = grants
		kept = append(kept, rule)
		content = append(content, top.Content[i])
	}
	if !e.drop {
		for _, u := range e.missing(kept) {
			content = append(content, permNode(e.newPermRule(u)))
		}
	}
	for _, r := range e.last {
		content = append(content, permNode(r))
	}
	top.Content = content
	if len(content) == 0 {
		top.Style |= yaml.FlowStyle
	}
}

// takeRight removes the level from the list of a rule that keeps others.
func (e *editor) takeRight(rule *yaml.Node) {
	at := held(rule, "permissions")
	if at == nil {
		return
	}
	list := owned(at)
	list.Content = slices.DeleteFunc(list.Content, func(n *yaml.Node) bool {
		return strings.ToLower(target(n).Value) == e.level.String()
	})
}

func (e *editor) newPermRule(user string) perm.Rule {
	r := perm.Rule{Pattern: e.pattern, Grants: map[perm.Level][]string{}}
	for _, l := range e.rights() {
		r.Grants[l] = []string{user}
	}
	return r
}
