package rulefile

import (
	"fmt"
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
		if !e.makes() {
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
	if e.limits != nil {
		rules[at].Limits = *e.limits
	}
	return rules
}

// makes reports whether the change makes a rule if there is none with its pattern.
func (e *editor) makes() bool {
	return !e.drop && e.pattern != "" && (e.replace || len(e.add) > 0 || e.limits != nil)
}

// list gives the edited list of one level: those that stay in their old order, then the others.
func (e *editor) list(old []string, l perm.Level) []string {
	if e.level != l && e.level != perm.None {
		return old
	}
	wanted := map[string]bool{}
	base := old
	if e.replace && e.level == l {
		base = e.set
	}
	for _, u := range base {
		wanted[u] = !slices.Contains(e.remove, u)
	}
	fresh := slices.Clone(e.set)
	if e.level == l {
		for _, u := range e.add {
			wanted[u] = true
		}
		fresh = append(fresh, e.add...)
	}
	var out []string
	for _, u := range old {
		if wanted[u] {
			out = append(out, u)
		}
	}
	for _, u := range old {
		wanted[u] = false // it is there, or must not be
	}
	for _, u := range fresh {
		if wanted[u] {
			wanted[u] = false
			out = append(out, u)
		}
	}
	return out
}

// editPub does on the nodes what applied does on the rules.
func (e *editor) editPub(top *yaml.Node) {
	if len(top.Content) == 0 {
		top.Style &^= yaml.FlowStyle
	}
	if e.terminal != nil {
		setKey(top, 0, "terminal", *e.terminal, false)
	}
	at := held(top, "rules")
	if !e.makes() && (at == nil || isNull(target(*at))) {
		return
	}
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
	if i < 0 && !e.makes() {
		return
	}
	if i < 0 {
		rule := &yaml.Node{Kind: yaml.MappingNode}
		pair(rule, "pattern", word(e.pattern))
		pair(rule, "access", &yaml.Node{Kind: yaml.MappingNode})
		i = len(rules.Content)
		rules.Content = append(rules.Content, rule)
	}
	if e.limits != nil {
		rule := owned(&rules.Content[i])
		limitsAt := held(rule, "limits")
		if limitsAt == nil {
			pair(rule, "limits", &yaml.Node{Kind: yaml.MappingNode})
			limitsAt = held(rule, "limits")
		}
		limits := owned(limitsAt)
		if isNull(limits) {
			*limits = yaml.Node{Kind: yaml.MappingNode, HeadComment: limits.HeadComment, LineComment: limits.LineComment, FootComment: limits.FootComment}
		}
		setLimits(limits, *e.limits)
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
	// Entries that stay keep their nodes, and so their comments. They stand first in want.
	stays := 0
	n.Content = slices.DeleteFunc(n.Content, func(c *yaml.Node) bool {
		if stays < len(want) && target(c).Value == want[stays] {
			stays++
			return false
		}
		return true
	})
	for _, u := range want[stays:] {
		n.Content = append(n.Content, word(u))
	}
	if len(n.Content) == 0 || len(old) == 0 {
		n.Style |= yaml.FlowStyle
	}
}

// setLimits writes those limits that stand in the mapping or differ from their default.
func setLimits(m *yaml.Node, l perm.Limits) {
	setKey(m, len(m.Content), limitKey(m, "maxFileSize", "max_file_size"), l.MaxFileSize, 0)
	setKey(m, len(m.Content), "maxFiles", l.MaxFiles, 0)
	setKey(m, len(m.Content), limitKey(m, "allowDirs", "allow_dirs"), !l.NoDirs, true)
	setKey(m, len(m.Content), limitKey(m, "allowSymlinks", "allow_symlinks"), l.AllowSymlinks, false)
}

// limitKey gives the spelling in which the key stands in the mapping.
func limitKey(m *yaml.Node, key, other string) string {
	if held(m, other) != nil {
		return other
	}
	return key
}

// setKey sets a number or a bool of a mapping, and puts the pair at an index of the content if the key does not stand there
// and the value is not its default.
func setKey[T comparable](m *yaml.Node, at int, key string, value, otherwise T) {
	text := fmt.Sprint(value)
	if place := held(m, key); place != nil {
		var old T
		n := owned(place)
		if n.Decode(&old) != nil || old != value || isNull(n) {
			*n = yaml.Node{Kind: yaml.ScalarNode, Value: text, HeadComment: n.HeadComment, LineComment: n.LineComment, FootComment: n.FootComment, Line: n.Line, Column: n.Column}
		}
		return
	}
	if value != otherwise {
		m.Content = slices.Insert(m.Content, at, word(key), plain(text))
	}
}
