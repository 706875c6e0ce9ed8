package rulefile

import (
	"maps"
	"slices"

	"github.com/openmined/syftfs/perm"
	"gopkg.in/yaml.v3"
)

// applied gives the rules that the edit must lead to.
func (e *editor) applied(rules []perm.Rule) []perm.Rule {
	if e.drop {
		return slices.DeleteFunc(slices.Clone(rules), func(r perm.Rule) bool { return r.Pattern == e.pattern })
	}
	if e.kind == perm.KindPerm {
		return e.appliedPerm(rules)
	}
	rules = slices.Clone(rules)
	at := slices.IndexFunc(rules, func(r perm.Rule) bool { return r.Pattern == e.pattern })
	if at < 0 {
		if !e.replace && len(e.add) == 0 {
			return rules
		}
		at = len(rules)
		rules = append(rules, perm.Rule{Pattern: e.pattern})
	}
	grants := maps.Clone(rules[at].Grants)
	if grants == nil {
		grants = map[perm.Level][]string{}
	}
	for l := perm.Read; l <= perm.Admin; l++ {
		if grants[l] = e.list(grants[l], l); len(grants[l]) == 0 {
			delete(grants, l)
		}
	}
	rules[at].Grants = grants
	return rules
}

// list gives the edited list of one level.
func (e *editor) list(users []string, l perm.Level) []string {
	if e.level != l && e.level != perm.None {
		return users
	}
	if e.replace && e.level == l {
		users = e.set
	}
	users = slices.DeleteFunc(slices.Clone(users), func(u string) bool { return slices.Contains(e.remove, u) })
	if e.level == l {
		for _, u := range e.add {
			if !slices.Contains(users, u) {
				users = append(users, u)
			}
		}
	}
	return users
}

// editPub does on the nodes what applied does on the rules.
func (e *editor) editPub(top *yaml.Node) {
	if len(top.Content) == 0 {
		top.Style &^= yaml.FlowStyle
	}
	at := held(top, "rules")
	if at == nil {
		pair(top, "rules", &yaml.Node{Kind: yaml.SequenceNode})
		at = held(top, "rules")
	}
	rules := asList(at)
	isOurs := func(n *yaml.Node) bool { return textAt(target(n), "pattern") == e.pattern }
	if e.drop {
		rules.Content = slices.DeleteFunc(rules.Content, isOurs)
		return
	}
	i := slices.IndexFunc(rules.Content, isOurs)
	if i < 0 {
		rule := &yaml.Node{Kind: yaml.MappingNode}
		pair(rule, "pattern", word(e.pattern))
		pair(rule, "access", &yaml.Node{Kind: yaml.MappingNode})
		i = len(rules.Content)
		rules.Content = append(rules.Content, rule)
	}
	accessAt := held(owned(&rules.Content[i]), "access")
	if accessAt == nil {
		return // it is merged in; the check of the result refuses
	}
	access := owned(accessAt)
	if len(access.Content) == 0 {
		access.Style &^= yaml.FlowStyle
	}
	for l := perm.Read; l <= perm.Admin; l++ {
		if e.level != l && e.level != perm.None {
			continue
		}
		listAt := held(access, l.String())
		if listAt == nil {
			if e.level == perm.None {
				continue
			}
			pair(access, l.String(), &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle})
			listAt = held(access, l.String())
		}
		e.editList(owned(listAt), l)
	}
}

func (e *editor) editList(n *yaml.Node, l perm.Level) {
	if isNull(n) {
		*n = yaml.Node{Kind: yaml.SequenceNode, HeadComment: n.HeadComment, LineComment: n.LineComment, FootComment: n.FootComment}
	}
	var old []string
	for _, c := range n.Content {
		old = append(old, target(c).Value)
	}
	want := e.list(old, l)
	// Entries that stay keep their nodes, and so their comments.
	n.Content = slices.DeleteFunc(n.Content, func(c *yaml.Node) bool { return !slices.Contains(want, target(c).Value) })
	for _, u := range want {
		if !slices.ContainsFunc(n.Content, func(c *yaml.Node) bool { return target(c).Value == u }) {
			n.Content = append(n.Content, word(u))
		}
	}
	if len(n.Content) == 0 || len(old) == 0 {
		n.Style |= yaml.FlowStyle
	}
}
