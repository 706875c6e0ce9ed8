package rulefile

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/openmined/syftfs/perm"
	"gopkg.in/yaml.v3"
)

// perm reads syftperm.yaml.
func (r *reader) perm(doc *yaml.Node, rs *perm.Ruleset) error {
	if doc == nil {
		return r.fail(nil, "", "it is empty; write [] for no rules")
	}
	if doc.Kind != yaml.SequenceNode {
		return r.fail(doc, "", "it must be a list of rules")
	}
	if len(doc.Content) > MaxRules {
		return r.fail(doc, "", "there are more than %d rules", MaxRules)
	}
	list, err := r.list(doc, "")
	if err != nil {
		return err
	}
	for i, n := range list {
		rule, err := r.permRule(n, fmt.Sprintf("[%d]", i))
		if err != nil {
			return err
		}
		rs.Rules = append(rs.Rules, rule)
	}
	return nil
}

func (r *reader) permRule(n *yaml.Node, field string) (perm.Rule, error) {
	rule := perm.Rule{From: r.from(n)}
	keys, err := r.mapping(n, field)
	if err != nil {
		return rule, err
	}
	var levels []perm.Level
	var user string
	var typed, flagged *yaml.Node
	seen := false
	for _, e := range keys {
		at := join(field, e.key)
		switch e.key {
		case "path":
			rule.Pattern, err = r.pattern(e.value, at, perm.KindPerm)
		case "permissions":
			seen = true
			levels, err = r.levels(e.value, at)
		case "user":
			user, err = r.permUser(e.value, at)
		case "type":
			typed = e.at
			rule.Deny, err = r.disallow(e.value, at)
		case "allow":
			flagged = e.at
			var allow bool
			if isNull(e.value) {
				err = r.fail(e.value, at, "it must be true or false")
			} else if allow, err = r.truth(e.value, at, true); err == nil {
				rule.Deny = !allow
			}
		case "permission":
			err = r.fail(e.at, at, "the key is called permissions")
		default:
			err = r.fail(e.at, clip(at), "unknown key; the keys are path, permissions, user and type")
		}
		if err != nil {
			return rule, err
		}
	}
	switch {
	case typed != nil && flagged != nil:
		return rule, r.fail(flagged, join(field, "allow"), "it cannot stand beside type; keep type")
	case rule.Pattern == "":
		return rule, r.fail(n, field, "path is missing")
	case !seen:
		return rule, r.fail(n, field, "permissions is missing")
	case user == "":
		return rule, r.fail(n, field, "user is missing")
	}
	rule.Grants = map[perm.Level][]string{}
	for _, l := range levels {
		rule.Grants[l] = []string{user}
	}
	return rule, nil
}

func (r *reader) levels(n *yaml.Node, field string) ([]perm.Level, error) {
	words := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		var err error
		if words, err = r.list(n, field); err != nil {
			return nil, err
		}
		if len(words) == 0 {
			r.warn(n, field, "it names no right, so the rule does nothing")
		}
	}
	var levels []perm.Level
	for _, w := range words {
		s, _, err := r.text(w, field)
		if err != nil {
			return nil, err
		}
		level, err := perm.ParseLevel(strings.ToLower(s))
		if err != nil {
			return nil, r.fail(w, field, "%v", err)
		}
		levels = append(levels, level)
	}
	return levels, nil
}

func (r *reader) permUser(n *yaml.Node, field string) (string, error) {
	u, _, err := r.text(n, field)
	if err != nil {
		return "", err
	}
	if u == "*" {
		return u, nil
	}
	local, domain, found := strings.Cut(u, "@")
	if !found || local == "" || domain == "" || strings.Contains(domain, "@") || strings.IndexFunc(u, unicode.IsSpace) >= 0 {
		return "", r.fail(n, field, "%q: it must be an e-mail address or \"*\"", clip(u))
	}
	if canonical, err := perm.ParseUser(u); err != nil {
		r.warn(n, field, "names nobody: %v", err)
	} else if string(canonical) != u {
		r.warn(n, field, "%q names nobody; write %s", clip(u), canonical)
	}
	return u, nil
}

func (r *reader) disallow(n *yaml.Node, field string) (bool, error) {
	s, _, err := r.text(n, field)
	if err != nil {
		return false, err
	}
	switch s {
	case "allow":
		return false, nil
	case "disallow":
		return true, nil
	}
	return false, r.fail(n, field, "%q: it must be allow or disallow", clip(s))
}
