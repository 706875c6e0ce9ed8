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
		return r.failAt(Problem{Line: 1, Text: "it is empty", Hint: "write [] for no rules"})
	}
	if doc.Kind != yaml.SequenceNode {
		return r.fail(doc, "", "it must be a list of rules"+butIs(doc), "write every rule as \"- path: ...\", with permissions and user below it")
	}
	if len(doc.Content) > MaxRules {
		return r.tooMany(doc, "")
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
	if isNull(n) {
		return rule, r.fail(n, field, "the rule is empty", "give it path, permissions and user, or remove the -")
	}
	s := spot{field: field, rule: n}
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
			s.pattern = e.value
			rule.Pattern, err = r.permPath(e.value, at)
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
				err = r.fail(e.value, at, "it must be true or false, but nothing stands there", "write type: allow or type: disallow instead")
			} else if allow, err = r.truth(e.value, at, true); err == nil {
				rule.Deny = !allow
			}
		case "permission":
			err = r.fail(e.at, at, "the key has another name", "write permissions")
		default:
			err = r.fail(e.at, at, "the key is unknown", unknownKey(e.key, "path", "permissions", "user", "type"))
		}
		if err != nil {
			return rule, err
		}
	}
	switch {
	case typed != nil && flagged != nil:
		return rule, r.fail(flagged, join(field, "allow"), "it cannot stand beside type", "keep type and remove allow")
	case rule.Pattern == "":
		return rule, r.fail(n, field, "path is missing", "write path: '**' for everything below this folder, or whatever the rule is for")
	case !seen:
		return rule, r.fail(n, field, "permissions is missing", "write permissions: [read], or what else the rule is about")
	case user == "":
		return rule, r.fail(n, field, "user is missing", "write user: '*' for everyone, or an address")
	}
	rule.Grants = map[perm.Level][]string{}
	for _, l := range levels {
		rule.Grants[l] = []string{user}
	}
	r.spot(s)
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
			r.warn(n, field, "it names no right, so the rule does nothing", "write [read], or remove the rule")
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
			return nil, r.fail(w, field, "it must be a right, or a list of them"+butIs(w), rightHint(s))
		}
		levels = append(levels, level)
	}
	return levels, nil
}

func rightHint(word string) string {
	if best := nearest(word, "read", "create", "write", "admin"); best != "" {
		return "did you mean " + best + "? The rights are read, create, write and admin"
	}
	return "the rights are read, create, write and admin"
}

// plain gives a text that is not a number, a date or the like.
func (r *reader) plain(n *yaml.Node, field string) (string, error) {
	s, _, err := r.text(n, field)
	if err == nil && !isNull(n) && n.ShortTag() != "!!str" {
		err = r.fail(n, field, "it must be text"+butIs(n), "put it into quotes: "+quoted(s))
	}
	return s, err
}

func (r *reader) permPath(n *yaml.Node, field string) (string, error) {
	if _, err := r.plain(n, field); err != nil {
		return "", err
	}
	return r.pattern(n, field, perm.KindPerm)
}

func (r *reader) permUser(n *yaml.Node, field string) (string, error) {
	u, err := r.plain(n, field)
	if err != nil {
		return "", err
	}
	if u == "*" {
		return u, nil
	}
	local, domain, found := strings.Cut(u, "@")
	if !found || local == "" || domain == "" || strings.Contains(domain, "@") || strings.IndexFunc(u, unicode.IsSpace) >= 0 {
		hint := "write an address, or \"*\" for everyone"
		if u == "USER" {
			hint = "USER is a word of " + perm.FilePub + "; " + hint
		}
		return "", r.fail(n, field, "it must be an e-mail address or \"*\""+butIs(n), hint)
	}
	if strings.ContainsAny(u, "*?[]") {
		r.warn(n, field, fmt.Sprintf("%q names nobody: there are no wildcards in user", clip(u)), "write one rule for each address, or use "+perm.FilePub)
	} else {
		r.checkAddress(n, field, u)
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
	hint := "write allow or disallow"
	switch best := nearest(s, "allow", "disallow"); {
	case strings.EqualFold(s, "deny"):
		hint = "write disallow"
	case best != "":
		hint = "write " + best
	}
	return false, r.fail(n, field, "it must be allow or disallow"+butIs(n), hint)
}
