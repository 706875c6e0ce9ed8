package rulefile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/openmined/syftfs/perm"
	"gopkg.in/yaml.v3"
)

// maxVisits bounds the work on a document: aliases make a small text stand for a large one. A text of MaxSize without
// aliases stays far below it.
const maxVisits = 1 << 20

// reader walks one document.
type reader struct {
	file     string
	problems []Problem
	visits   int
	spots    *[]spot // where the rules stand, for whoever wants to know
}

func (r *reader) fail(n *yaml.Node, field, text, hint string) error {
	p := Problem{Field: clip(field), Text: text, Hint: hint, Severity: SeverityError}
	if n != nil {
		p.Line, p.Column = n.Line, n.Column
	}
	return &Error{File: r.file, Problem: p}
}

func (r *reader) warn(n *yaml.Node, field, text, hint string) {
	const enough = 1000 // a file full of the same mistake need not say it more often
	if len(r.problems) < enough {
		r.problems = append(r.problems, Problem{Line: n.Line, Column: n.Column, Field: clip(field), Text: text, Hint: hint, Severity: SeverityWarning})
	}
}

func (r *reader) tooMany(n *yaml.Node, field string) error {
	return r.fail(n, field, fmt.Sprintf("there are more than %d rules", MaxRules), "use patterns that cover more, or put rules into the folders that they are for")
}

func (r *reader) from(n *yaml.Node) perm.Source { return perm.Source{File: r.file, Line: n.Line} }

// resolve follows aliases.
func (r *reader) resolve(n *yaml.Node, field string) (*yaml.Node, error) {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		if r.visits++; r.visits > maxVisits {
			break
		}
		n = n.Alias
	}
	if r.visits++; r.visits > maxVisits {
		return nil, r.fail(n, field, "its aliases stand for more than a million values", "write out what is needed, with fewer aliases")
	}
	return n, nil
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// list gives the elements of a list, none for null, with aliases followed.
func (r *reader) list(n *yaml.Node, field string) ([]*yaml.Node, error) {
	if isNull(n) {
		return nil, nil
	}
	if n.Kind != yaml.SequenceNode {
		return nil, r.fail(n, field, "it must be a list"+butIs(n), listHint(n))
	}
	out := make([]*yaml.Node, len(n.Content))
	for i, e := range n.Content {
		var err error
		if out[i], err = r.resolve(e, field); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// entry is one key of a mapping, with its value.
type entry struct {
	key   string
	at    *yaml.Node // the key
	value *yaml.Node
}

// mapping gives the keys of a mapping in order. A key that stands twice is an error. Merge keys (<<) are followed; what is
// written out wins over what is merged, and an earlier merged mapping over a later one.
func (r *reader) mapping(n *yaml.Node, field string) ([]entry, error) {
	return r.merge(n, field, 0)
}

func (r *reader) merge(n *yaml.Node, field string, depth int) ([]entry, error) {
	const deepest = 100 // an alias can stand inside what it names
	if depth > deepest {
		return nil, r.fail(n, field, "its merge keys are nested too deeply", "write the keys out instead of merging them with <<")
	}
	if n.Kind != yaml.MappingNode {
		return nil, r.fail(n, field, "it must be a mapping of keys to values"+butIs(n), "write \"key: value\" lines, or {}")
	}
	var out []entry
	seen := map[string]bool{}
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, err := r.resolve(n.Content[i], field)
		if err != nil {
			return nil, err
		}
		v, err := r.resolve(n.Content[i+1], field)
		if err != nil {
			return nil, err
		}
		if k.Kind != yaml.ScalarNode {
			return nil, r.fail(k, field, "a key must be a word"+butIs(k), "write a word before the colon, and put text that begins with [, { or ? into quotes")
		}
		if seen[k.Value] {
			return nil, r.fail(k, join(field, k.Value), "the key stands twice", "keep one of them")
		}
		seen[k.Value] = true
		if k.ShortTag() != "!!merge" {
			out = append(out, entry{k.Value, k, v})
			continue
		}
		merged = append(merged, v)
		if v.Kind == yaml.SequenceNode {
			if merged, err = r.list(v, field); err != nil {
				return nil, err
			}
		}
	}
	for _, m := range merged {
		more, err := r.merge(m, field, depth+1)
		if err != nil {
			return nil, err
		}
		for _, e := range more {
			if !seen[e.key] {
				seen[e.key] = true
				out = append(out, e)
			}
		}
	}
	return out, nil
}

// text gives a scalar as it is written; ok is false for null. Numbers and the like count as their text.
func (r *reader) text(n *yaml.Node, field string) (s string, ok bool, err error) {
	if isNull(n) {
		return "", false, nil
	}
	if n.Kind != yaml.ScalarNode || !slices.Contains([]string{"!!str", "!!int", "!!float", "!!bool", "!!timestamp", "!!merge"}, n.ShortTag()) {
		return "", false, r.fail(n, field, "it must be text"+butIs(n), "write a plain word, or put it into quotes")
	}
	return n.Value, true, nil
}

// truth gives a bool; null is otherwise. Only plain words count.
func (r *reader) truth(n *yaml.Node, field string, otherwise bool) (bool, error) {
	if isNull(n) {
		return otherwise, nil
	}
	if n.Kind == yaml.ScalarNode && n.Style == 0 {
		switch n.Value {
		case "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON":
			return true, nil
		case "n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF":
			return false, nil
		}
	}
	return false, r.fail(n, field, "it must be true or false"+butIs(n), "write true or false, without quotes")
}

// count gives a whole number that is not negative; null is 0.
func (r *reader) count(n *yaml.Node, field string) (int64, error) {
	if isNull(n) {
		return 0, nil
	}
	var v int64
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || n.Decode(&v) != nil || v < 0 {
		return 0, r.fail(n, field, "it must be a whole number, 0 or more"+butIs(n), "write digits only, like 1048576; 0 is no limit")
	}
	return v, nil
}

// butIs says what stands there instead of what should.
func butIs(n *yaml.Node) string {
	switch {
	case isNull(n):
		return ", but nothing stands there"
	case n.Kind == yaml.SequenceNode:
		return ", not a list"
	case n.Kind == yaml.MappingNode:
		return ", not a mapping"
	case n.Kind == yaml.ScalarNode:
		return fmt.Sprintf(", not %q", clip(n.Value))
	}
	return ""
}

// listHint shows how to make a list of what stands there.
func listHint(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode && n.Value != "" && len(n.Value) < 50 && !strings.ContainsAny(n.Value, "\n'\"") {
		return "write ['" + n.Value + "'], in brackets, or one \"- \" line for each"
	}
	return "write it in brackets, or as one \"- \" line for each"
}

func join(field, key string) string {
	if field == "" {
		return key
	}
	return field + "." + key
}

func clip(s string) string {
	const limit = 100
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "..."
}
