package grant

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
	"gopkg.in/yaml.v3"
)

// appendPerm puts one rule at the end of a syftperm.yaml, where it overrides those before it: one that allows or takes
// away the levels for user. rulefile.Edit does not write such rules, because it keeps to what a rule says by itself.
func (e *edit) appendPerm(deny bool, user perm.User, levels ...perm.Level) error {
	who, err := parseEntry(user)
	if err != nil {
		return err
	}
	if err := perm.CheckPattern(perm.KindPerm, e.pattern); err != nil {
		return err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(bytes.TrimPrefix(e.now, []byte("\ufeff")), &doc); err != nil {
		return err
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.SequenceNode {
		return fmt.Errorf("%s is not a list of rules: %w", e.file, ErrByHand)
	}
	rule := struct {
		Path        string   `yaml:"path"`
		Permissions []string `yaml:"permissions,flow"`
		User        string   `yaml:"user"`
		Type        string   `yaml:"type,omitempty"`
	}{Path: e.pattern, User: who.text}
	for _, l := range levels {
		rule.Permissions = append(rule.Permissions, l.String())
	}
	if deny {
		rule.Type = "disallow"
	}
	var n yaml.Node
	if err := n.Encode(rule); err != nil {
		return err
	}
	list := doc.Content[0]
	if len(list.Content) == 0 {
		list.Style &^= yaml.FlowStyle
	}
	list.Content = append(list.Content, &n)
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(&doc), enc.Close()); err != nil {
		return err
	}
	return e.put(b.Bytes())
}

// sharePerm gives user read on the pattern, behind a rule that takes it away if there is one.
func (e *edit) sharePerm(user perm.User) error {
	lastDeny := -1
	for i, r := range e.rules {
		if r.Pattern == e.pattern && r.Deny {
			lastDeny = i
		}
	}
	who, err := parseEntry(user)
	if err != nil {
		return err
	}
	for i, r := range e.rules {
		if i > lastDeny && r.Pattern == e.pattern && !r.Deny && slices.Contains(r.Grants[perm.Read], who.text) {
			return nil
		}
	}
	if lastDeny < 0 {
		return e.apply(rulefile.Change{Level: perm.Read, Add: []perm.User{user}})
	}
	return e.appendPerm(false, user, perm.Read)
}

// takePerm takes from the aim's user what is above its level: out of the rules that allow it, and, where that does not do, by a
// rule at the end. What the user had up to the level, and lost with admin, is given back.
func (e *edit) takePerm(a aim) error {
	user := perm.User(a.who.text)
	for l := a.level + 1; l <= perm.Admin; l++ {
		if err := e.apply(rulefile.Change{Level: l, Remove: []perm.User{user}}); err != nil {
			return err
		}
	}
	most, err := e.most(e.after(), a.who)
	if err != nil {
		return err
	}
	if most > a.level {
		var over []perm.Level
		for l := a.level + 1; l <= perm.Admin; l++ {
			over = append(over, l)
		}
		if err := e.appendPerm(true, user, over...); err != nil {
			return err
		}
	}
	after := e.after()
	for _, n := range e.survey.nodes {
		was, err := e.before.rights(a.who.user, n.path, n.isDir)
		if err != nil {
			return err
		}
		is, err := after.rights(a.who.user, n.path, n.isDir)
		if err != nil {
			return err
		}
		if keep := was.upTo(a.level); !n.rule && len(keep) > len(is.upTo(a.level)) {
			return e.appendPerm(false, user, keep...)
		}
	}
	return nil
}
