package rulefile

import (
	"bytes"
	"errors"
	"fmt"
	iofs "io/fs"

	"github.com/openmined/syftfs/perm"
	"gopkg.in/yaml.v3"
)

// Render gives the text of a rule set, which parses to the same rules. It is an io/fs.ErrInvalid if there is none: of a
// broken file, or of rules that no file can hold.
func Render(rs perm.Ruleset) ([]byte, error) {
	if rs.Broken != nil {
		return nil, fmt.Errorf("rendering %s: it is broken: %w", rs.From.File, errors.Join(iofs.ErrInvalid, rs.Broken))
	}
	if rs.Kind != perm.KindPub && rs.Kind != perm.KindPerm {
		return nil, fmt.Errorf("rendering %s: unknown kind %d of rule file: %w", rs.From.File, rs.Kind, iofs.ErrInvalid)
	}
	top := &yaml.Node{Kind: yaml.SequenceNode}
	for _, r := range rs.Rules {
		if rs.Kind == perm.KindPub {
			top.Content = append(top.Content, pubNode(r))
		} else {
			top.Content = append(top.Content, permNode(r))
		}
	}
	if len(top.Content) == 0 {
		top.Style = yaml.FlowStyle
	}
	if rs.Kind == perm.KindPub {
		rules := top
		top = &yaml.Node{Kind: yaml.MappingNode}
		if rs.Terminal {
			pair(top, "terminal", plain("true"))
		}
		pair(top, "rules", rules)
	}
	text, err := encode(top)
	if err != nil {
		return nil, err
	}
	back, err := editor{kind: rs.Kind, name: rs.Kind.String()}.parse(text)
	if err != nil || !sameRules(back.Rules, rs.Rules) || back.Terminal != rs.Terminal {
		return nil, fmt.Errorf("rendering %s: no %s holds these rules: %w", rs.From.File, rs.Kind, errors.Join(iofs.ErrInvalid, err))
	}
	return text, nil
}

func pubNode(r perm.Rule) *yaml.Node {
	access := &yaml.Node{Kind: yaml.MappingNode}
	for l := perm.Admin; l >= perm.Read; l-- {
		if len(r.Grants[l]) > 0 {
			pair(access, l.String(), flow(r.Grants[l]...))
		}
	}
	if len(access.Content) == 0 {
		access.Style = yaml.FlowStyle
	}
	rule := &yaml.Node{Kind: yaml.MappingNode}
	pair(rule, "pattern", word(r.Pattern))
	pair(rule, "access", access)
	if r.Limits != (perm.Limits{}) {
		limits := &yaml.Node{Kind: yaml.MappingNode}
		setLimits(limits, r.Limits)
		pair(rule, "limits", limits)
	}
	return rule
}

// permNode makes a rule for the one user that a rule of syftperm.yaml has; for "*" without a right if it has none.
func permNode(r perm.Rule) *yaml.Node {
	var rights []string
	user := "*"
	for l := perm.Read; l <= perm.Admin; l++ {
		if users := r.Grants[l]; len(users) > 0 {
			rights, user = append(rights, l.String()), users[0]
		}
	}
	rule := &yaml.Node{Kind: yaml.MappingNode}
	pair(rule, "path", word(r.Pattern))
	pair(rule, "permissions", flow(rights...))
	pair(rule, "user", word(user))
	if r.Deny {
		pair(rule, "type", word("disallow"))
	}
	return rule
}

// flow is a list in brackets.
func flow(words ...string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, w := range words {
		n.Content = append(n.Content, word(w))
	}
	return n
}

// plain is a number or a bool, as written.
func plain(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: s} }

func encode(n *yaml.Node) ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	err := errors.Join(enc.Encode(n), enc.Close())
	return b.Bytes(), err
}
