package rulefile

import (
	"bytes"
	"errors"
	"fmt"
	iofs "io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/openmined/syftfs/perm"
	"gopkg.in/yaml.v3"
)

// Change is one edit of a rule file: of the first rule with exactly this pattern, or a new one at the end.
// Set is done first, then Remove, then Add. Without a pattern only Terminal and Append count.
type Change struct {
	Kind    perm.Kind // the language; 0 means syft.pub.yaml
	Pattern string    // as it stands, or is to stand, in the file
	Level   perm.Level
	// Users, as perm.ParseUser gives them; "*" or perm.Anonymous is everyone; in syft.pub.yaml also "USER" and globs such
	// as "*@x.org". In Remove anything that may stand in a file.
	Add, Remove []perm.User  // with Level None, Remove means every level
	Set         *[]perm.User // replaces the list of Level; an empty one grants nothing. It makes the rule if there is none
	Drop        bool         // removes every rule with this pattern; nothing else is then done to rules
	// syft.pub.yaml only:
	Limits   *perm.Limits // replaces the limits of the rule; it makes the rule, which then grants nothing, if there is none
	Terminal *bool        // sets or removes the mark of the file
	// syftperm.yaml only: rules to put at the very end, where they override those before, each for one user, by an address or
	// "*". Nothing else may be asked for with it.
	Append []perm.Rule
}

// ErrShared is wrapped when an edit cannot be made without changing another rule, because of anchors and aliases.
var ErrShared = errors.New("the rule shares its text with another one by an anchor or merge key; edit the file by hand")

// Edit applies c to the text of a rule file and gives the new text, with comments and order kept; src itself if nothing
// changes. Empty src, or nothing but comments, is a file without rules. A file that does not parse is not edited. In
// syftperm.yaml, where rights are independent bits, create and write are written together with read, and taking a right
// away means taking it out of rules that allow it: no disallow rule is written or removed, except by Append and Drop.
func Edit(src []byte, c Change) ([]byte, error) {
	if c.Kind == 0 {
		c.Kind = perm.KindPub
	}
	e := editor{kind: c.Kind, name: c.Kind.String()}
	if err := e.check(&c); err != nil {
		return nil, err
	}
	before, err := e.parse(src)
	if err != nil {
		return nil, err
	}
	want := before
	if e.pattern != "" {
		want.Rules = e.applied(before.Rules)
	}
	want.Rules = slices.Concat(want.Rules, e.last)
	if e.terminal != nil {
		want.Terminal = *e.terminal
	}
	if sameSet(want, before) {
		return src, nil
	}
	texts, err := e.rewrite(src)
	if err != nil {
		return nil, fmt.Errorf("editing %s: %w", e.name, err)
	}
	// That a text means what was asked for, and nothing else, is checked on the text itself.
	for _, out := range texts {
		if after, err := e.parse(out); err == nil && sameSet(after, want) {
			return out, nil
		}
	}
	return nil, fmt.Errorf("editing %s: pattern %q: %w", e.name, clip(c.Pattern), ErrShared)
}

// editor holds the change in the words of the file.
type editor struct {
	kind        perm.Kind
	name        string
	pattern     string
	level       perm.Level
	add, remove []string
	set         []string
	replace     bool // set is given
	drop        bool
	limits      *perm.Limits
	terminal    *bool
	last        []perm.Rule
}

func (e *editor) check(c *Change) error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("editing %s: %s: %w", e.name, fmt.Sprintf(format, args...), iofs.ErrInvalid)
	}
	if e.kind != perm.KindPub && e.kind != perm.KindPerm {
		return refuse("there is no such kind of rule file")
	}
	e.pattern, e.level, e.drop, e.replace = c.Pattern, c.Level, c.Drop, c.Set != nil
	e.limits, e.terminal = c.Limits, c.Terminal
	if e.kind == perm.KindPerm && (e.limits != nil || e.terminal != nil) {
		return refuse("%s has neither limits nor terminal", e.name)
	}
	if e.limits != nil && (e.limits.MaxFileSize < 0 || e.limits.MaxFiles < 0) {
		return refuse("a limit is 0, for none, or more")
	}
	if len(c.Append) > 0 {
		if c.Pattern != "" || e.drop || e.replace || len(c.Add)+len(c.Remove) > 0 || e.kind != perm.KindPerm {
			return refuse("rules can be appended to %s only, and by themselves", perm.FilePerm)
		}
		for _, r := range c.Append {
			if err := e.appended(r); err != nil {
				return refuse("%v", err)
			}
		}
		return nil
	}
	if e.pattern == "" && e.terminal != nil && !e.drop && !e.replace && e.limits == nil && len(c.Add)+len(c.Remove) == 0 {
		return nil
	}
	grants := !e.drop && (e.replace || len(c.Add) > 0)
	if c.Level > perm.Admin || c.Level == perm.None && grants {
		return refuse("a level is needed: read, create, write or admin")
	}
	if grants || e.limits != nil && !e.drop { // a pattern that exists may be taken away whatever it is
		if err := e.writable(c.Pattern); err != nil {
			return refuse("%v", err)
		}
	}
	for _, u := range c.Remove {
		e.remove = append(e.remove, everyone(u))
	}
	var set []perm.User
	if e.replace {
		set = *c.Set
	}
	for _, list := range []struct {
		from []perm.User
		to   *[]string
	}{{c.Add, &e.add}, {set, &e.set}} {
		for _, u := range list.from {
			entry, err := e.entry(u)
			if err != nil {
				return refuse("%v", err)
			}
			if !slices.Contains(*list.to, entry) {
				*list.to = append(*list.to, entry)
			}
		}
	}
	return nil
}

// writable refuses a pattern that nobody should write.
func (e *editor) writable(pattern string) error {
	if err := perm.CheckPattern(e.kind, pattern); err != nil {
		return fmt.Errorf("pattern %q: %w", clip(pattern), err)
	}
	if perm.Matchless(e.kind, pattern) {
		return fmt.Errorf("pattern %q would match nothing: write it relative to the folder of the file, without . or .. and without a slash at either end", clip(pattern))
	}
	return nil
}

// appended takes a rule to put at the end.
func (e *editor) appended(r perm.Rule) error {
	if err := e.writable(r.Pattern); err != nil {
		return err
	}
	out := perm.Rule{Pattern: r.Pattern, Deny: r.Deny, Grants: map[perm.Level][]string{}}
	var user string
	for l, users := range r.Grants {
		if len(users) != 1 || l < perm.Read || l > perm.Admin {
			return errors.New("a rule names one user and the rights read, create, write and admin")
		}
		entry, err := e.entry(perm.User(users[0]))
		if err != nil {
			return err
		}
		if user != "" && user != entry {
			return errors.New("a rule names one user")
		}
		user, out.Grants[l] = entry, []string{entry}
	}
	if user == "" || r.Limits != (perm.Limits{}) {
		return errors.New("a rule needs a right and a user, and has no limits")
	}
	e.last = append(e.last, out)
	return nil
}

func everyone(u perm.User) string {
	if u == perm.Anonymous {
		return "*"
	}
	return string(u)
}

// entry is what to write for u.
func (e *editor) entry(u perm.User) (string, error) {
	s := everyone(u)
	if s == "*" || s == "USER" && e.kind == perm.KindPub {
		return s, nil
	}
	if e.kind == perm.KindPub && strings.ContainsAny(s, "*?[") {
		if err := perm.CheckUser(s); err != nil {
			return "", fmt.Errorf("user %q: %w", clip(s), err)
		}
		if strings.ToLower(s) != s {
			return "", fmt.Errorf("user %q: addresses are in lower case", clip(s))
		}
		return s, nil
	}
	canonical, err := perm.ParseUser(s)
	return string(canonical), err
}

func (e editor) parse(src []byte) (perm.Ruleset, error) {
	rs := perm.Ruleset{Kind: e.kind, From: perm.Source{File: e.name}}
	r := &reader{file: e.name}
	doc, err := r.document(src)
	if err != nil || doc == nil {
		return rs, err
	}
	if e.kind == perm.KindPub {
		return rs, r.pub(doc, &rs)
	}
	return rs, r.perm(doc, &rs)
}

// rewrite edits the nodes of src and gives the texts that may come of it, the best first: one that leaves all other lines as
// they are, and one that is written anew.
func (e *editor) rewrite(src []byte) ([][]byte, error) {
	text := bytes.TrimPrefix(src, bom)
	mark := src[:len(src)-len(text)]
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	fresh := doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 || isNull(doc.Content[0])
	if fresh {
		top := &yaml.Node{Kind: yaml.MappingNode}
		if e.kind == perm.KindPerm {
			top.Kind = yaml.SequenceNode
		}
		doc = yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{top}}
	}
	s := newSplicer(text, &doc)
	top := doc.Content[0]
	if e.kind == perm.KindPub {
		e.editPub(top)
	} else {
		e.editPerm(top)
	}
	var texts [][]byte
	if !fresh {
		if spliced, ok := s.splice(top); ok {
			texts = append(texts, slices.Concat(mark, spliced))
		}
	}
	anew, err := encode(&doc)
	if err != nil {
		return nil, err
	}
	anew = bytes.ReplaceAll(anew, []byte("\n"), []byte(s.eol()))
	if fresh {
		anew = append(s.comments(), anew...)
	}
	return append(texts, slices.Concat(mark, anew)), nil
}

// comments keeps the comment lines of a text that holds nothing else but perhaps a null.
func (s *splicer) comments() []byte {
	var out []byte
	for line := range bytes.Lines(s.src) {
		if text := bytes.TrimSpace(line); len(text) == 0 || text[0] == '#' {
			out = append(append(out, bytes.TrimRight(line, "\r\n")...), s.eol()...)
		}
	}
	return out
}

// sameRules compares what rules say, not where they stand.
func sameRules(a, b []perm.Rule) bool {
	return slices.EqualFunc(a, b, func(a, b perm.Rule) bool {
		return a.Pattern == b.Pattern && a.Deny == b.Deny && a.Limits == b.Limits &&
			maps.EqualFunc(a.Grants, b.Grants, func(x, y []string) bool { return slices.Equal(x, y) })
	})
}

func sameSet(a, b perm.Ruleset) bool { return a.Terminal == b.Terminal && sameRules(a.Rules, b.Rules) }

// word is a text, quoted where another reader of YAML would take it for something else ("yes").
func word(s string) *yaml.Node {
	n := &yaml.Node{}
	if err := n.Encode(s); err != nil {
		n.SetString(s)
	}
	return n
}

// pair puts a key and its value at the end of a mapping.
func pair(m *yaml.Node, key string, value *yaml.Node) {
	m.Content = append(m.Content, word(key), value)
}

// held gives the place of a key's value, nil if the mapping does not have it itself.
func held(m *yaml.Node, key string) **yaml.Node {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if target(m.Content[i]).Value == key {
			return &m.Content[i+1]
		}
	}
	return nil
}

func target(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

// textAt gives the text of a key in a mapping, through aliases.
func textAt(m *yaml.Node, key string) string {
	if at := held(m, key); at != nil {
		return target(*at).Value
	}
	return ""
}

// owned replaces an alias by a copy of what it names, so that editing it leaves the original alone.
func owned(at **yaml.Node) *yaml.Node {
	if n := *at; n.Kind == yaml.AliasNode {
		*at = copied(target(n))
	}
	return *at
}

// copied is a deep copy without anchors. Aliases in it stay aliases, so it is no larger than the text.
func copied(n *yaml.Node) *yaml.Node {
	cp := *n
	cp.Anchor, cp.Content = "", make([]*yaml.Node, len(n.Content))
	for i, c := range n.Content {
		cp.Content[i] = copied(c)
	}
	return &cp
}

// asList makes a null, or an alias, a list of its own.
func asList(at **yaml.Node) *yaml.Node {
	n := owned(at)
	if isNull(n) {
		*n = yaml.Node{Kind: yaml.SequenceNode, HeadComment: n.HeadComment, LineComment: n.LineComment, FootComment: n.FootComment}
	}
	if len(n.Content) == 0 {
		n.Style &^= yaml.FlowStyle
	}
	return n
}
