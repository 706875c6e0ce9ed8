package rulefile

import (
	"fmt"

	"github.com/openmined/syftfs/perm"
	"gopkg.in/yaml.v3"
)

// pub reads syft.pub.yaml. No document means no rules.
func (r *reader) pub(doc *yaml.Node, rs *perm.Ruleset) error {
	if doc == nil {
		return nil
	}
	top, err := r.mapping(doc, "")
	if err != nil {
		return err
	}
	for _, e := range top {
		switch e.key {
		case "terminal":
			if rs.Terminal, err = r.truth(e.value, e.key, false); err != nil {
				return err
			}
		case "rules":
			if rs.Rules, err = r.pubRules(e.value); err != nil {
				return err
			}
		default:
			r.warn(e.at, e.key, "the key is unknown and ignored", unknownKey(e.key, "terminal", "rules"))
		}
	}
	return nil
}

func (r *reader) pubRules(n *yaml.Node) ([]perm.Rule, error) {
	list, err := r.list(n, "rules")
	if err != nil {
		return nil, err
	}
	if len(list) > MaxRules {
		return nil, r.tooMany(n, "rules")
	}
	var rules []perm.Rule
	for i, n := range list {
		rule, err := r.pubRule(n, fmt.Sprintf("rules[%d]", i))
		if err != nil {
			return nil, err
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

func (r *reader) pubRule(n *yaml.Node, field string) (perm.Rule, error) {
	rule := perm.Rule{From: r.from(n)}
	if isNull(n) {
		return rule, r.fail(n, field, "the rule is empty", "give it pattern and access, or remove the -")
	}
	keys, err := r.mapping(n, field)
	if err != nil {
		return rule, err
	}
	s := spot{field: field, rule: n}
	for _, e := range keys {
		at := join(field, e.key)
		switch e.key {
		case "pattern":
			s.pattern = e.value
			if rule.Pattern, err = r.pattern(e.value, at, perm.KindPub); err != nil {
				return rule, err
			}
		case "access":
			if rule.Grants, err = r.access(e.value, at, &s); err != nil {
				return rule, err
			}
		case "limits":
			s.limits = e.at
			if rule.Limits, err = r.limits(e.value, at); err != nil {
				return rule, err
			}
		default:
			r.warn(e.at, at, "the key is unknown and ignored", unknownKey(e.key, "pattern", "access", "limits"))
		}
	}
	if rule.Pattern == "" {
		return rule, r.fail(n, field, "pattern is missing", `write pattern: '**' for everything, or whatever the rule is for`)
	}
	if rule.Grants == nil {
		return rule, r.fail(n, field, "access is missing", "write access: {} to grant nothing")
	}
	r.spot(s)
	return rule, nil
}

func (r *reader) pattern(n *yaml.Node, field string, kind perm.Kind) (string, error) {
	p, ok, err := r.text(n, field)
	if err != nil {
		return "", err
	}
	if !ok || p == "" {
		return "", r.fail(n, field, "it is empty", "write '**' for everything below this folder, or a name")
	}
	if err := perm.CheckPattern(kind, p); err != nil {
		return "", r.fail(n, field, fmt.Sprintf("%q: %v", clip(p), err), patternHint(kind, p))
	}
	if perm.Matchless(kind, p) {
		r.warn(n, field, fmt.Sprintf("%q matches nothing", clip(p)), "write it relative to this folder, without . or .. and without a slash at either end")
	}
	return p, nil
}

// access reads the lists of users. The map is never nil without an error.
func (r *reader) access(n *yaml.Node, field string, s *spot) (map[perm.Level][]string, error) {
	if isNull(n) {
		return nil, r.fail(n, field, "it is empty", "write {} to grant nothing, or the lists admin, write, create and read")
	}
	keys, err := r.mapping(n, field)
	if err != nil {
		return nil, err
	}
	grants := map[perm.Level][]string{}
	for _, e := range keys {
		at := join(field, e.key)
		level, err := perm.ParseLevel(e.key)
		if err != nil {
			r.warn(e.at, at, "the key is unknown and grants nothing", unknownKey(e.key, "admin", "write", "create", "read"))
			continue
		}
		users, err := r.users(e.value, at)
		if err != nil {
			return nil, err
		}
		s.lists[level] = e.at
		if len(users) > 0 {
			grants[level] = users
		}
	}
	return grants, nil
}

func (r *reader) users(n *yaml.Node, field string) ([]string, error) {
	list, err := r.list(n, field)
	if err != nil {
		return nil, err
	}
	var users []string
	for _, n := range list {
		u, ok, err := r.text(n, field)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		r.checkEntry(n, field, u)
		users = append(users, u)
	}
	return users, nil
}

func (r *reader) limits(n *yaml.Node, field string) (perm.Limits, error) {
	var l perm.Limits
	if isNull(n) {
		return l, nil
	}
	keys, err := r.mapping(n, field)
	if err != nil {
		return l, err
	}
	aliases := map[string]string{"max_file_size": "maxFileSize", "allow_dirs": "allowDirs", "allow_symlinks": "allowSymlinks"}
	seen := map[string]bool{}
	for _, e := range keys {
		at, key := join(field, e.key), e.key
		if full := aliases[key]; full != "" {
			r.warn(e.at, at, "it is another spelling of "+full, "write "+full)
			key = full
		}
		if seen[key] {
			return l, r.fail(e.at, at, "the key stands twice, in both its spellings", "keep "+key)
		}
		seen[key] = true
		switch key {
		case "maxFileSize":
			l.MaxFileSize, err = r.count(e.value, at)
		case "maxFiles":
			l.MaxFiles, err = r.count(e.value, at)
		case "allowDirs":
			var allow bool
			allow, err = r.truth(e.value, at, true)
			l.NoDirs = !allow
		case "allowSymlinks":
			l.AllowSymlinks, err = r.truth(e.value, at, false)
		default:
			r.warn(e.at, at, "the key is unknown and ignored", unknownKey(e.key, "maxFileSize", "maxFiles", "allowDirs", "allowSymlinks"))
		}
		if err != nil {
			return l, err
		}
	}
	return l, nil
}
