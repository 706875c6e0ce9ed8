package jobs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// A job's YAML comes from whoever may write there: it is small, flat and plain, or it is refused.
const (
	maxYAMLBytes = MaxConfigBytes
	maxYAMLDepth = 32
)

// FormatError says what is wrong with config.yaml or state.yaml, and where.
type FormatError struct {
	File   string
	Field  string // "" when the file as a whole cannot be read
	Line   int    // 1-based; 0 when no line is to blame
	Reason string
}

func (e *FormatError) Error() string {
	s := e.File
	if e.Line > 0 {
		s += fmt.Sprintf(" line %d", e.Line)
	}
	if e.Field != "" {
		s += ": " + e.Field
	}
	return s + ": " + e.Reason
}

// yamlFile is a read document: one map of plain values.
type yamlFile struct {
	name string
	keys map[string]*yaml.Node
	err  error // the first refusal; later getters do nothing
}

// parseYAML reads one document that is a map, without aliases, anchors, tags beyond the core ones, merge keys or
// duplicate keys, at most maxYAMLBytes long.
func parseYAML(name string, src []byte) (y *yamlFile, err error) {
	fail := func(line int, field, format string, args ...any) (*yamlFile, error) {
		return nil, &FormatError{File: name, Field: field, Line: line, Reason: fmt.Sprintf(format, args...)}
	}
	if len(src) > maxYAMLBytes {
		return fail(0, "", "has %d bytes, at most %d are read", len(src), maxYAMLBytes)
	}
	if !utf8.Valid(src) || bytes.IndexByte(src, 0) >= 0 {
		return fail(0, "", "is not UTF-8 text")
	}
	// The file comes from outside; a bug in the decoder must not end the program.
	defer func() {
		if r := recover(); r != nil {
			y, err = fail(0, "", "cannot be read: %v", r)
		}
	}()
	if depthOf(src) > 4*maxYAMLDepth {
		return fail(0, "", "is nested too deeply")
	}
	dec := yaml.NewDecoder(bytes.NewReader(src))
	var doc, next yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return fail(0, "", "is empty")
		}
		return fail(yamlErrorLine(err), "", "is not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := dec.Decode(&next); !errors.Is(err, io.EOF) {
		return fail(0, "", "holds more than one document, or something behind its end that is not YAML")
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return fail(doc.Line, "", "is not a map of keys to values")
	}
	top := doc.Content[0]
	y = &yamlFile{name: name, keys: map[string]*yaml.Node{}}
	if err := y.check(top, "", 0); err != nil {
		return nil, err
	}
	for i := 0; i < len(top.Content); i += 2 {
		y.keys[top.Content[i].Value] = top.Content[i+1]
	}
	return y, nil
}

// depthOf bounds the nesting from above before the decoder recurses: brackets, and indentation of block collections on one line.
func depthOf(src []byte) int {
	depth, deepest := 0, 0
	for line := range bytes.Lines(src) {
		block := 0
		for i, c := range line {
			switch c {
			case '[', '{':
				depth++
			case ']', '}':
				depth = max(depth-1, 0)
			case '-', '?', ':':
				if i+1 < len(line) && line[i+1] == ' ' {
					block++
				}
			}
			deepest = max(deepest, depth)
		}
		deepest = max(deepest, block)
	}
	return deepest
}

// yamlErrorLine finds the line in the decoder's text ("line 3: ..."); the text is shown either way.
func yamlErrorLine(err error) int {
	_, rest, ok := strings.Cut(err.Error(), "line ")
	if !ok {
		return 0
	}
	digits, _, _ := strings.Cut(rest, ":")
	n, convErr := strconv.Atoi(digits)
	if convErr != nil {
		return 0
	}
	return n
}

var coreTags = map[string]bool{tagStr: true, tagNull: true, tagBool: true, tagInt: true, tagNum: true, tagTime: true, tagSeq: true, tagMap: true}

// check refuses what no job file needs, anywhere in the document.
func (y *yamlFile) check(n *yaml.Node, field string, depth int) error {
	fail := func(reason string) error {
		return &FormatError{File: y.name, Field: field, Line: n.Line, Reason: reason}
	}
	switch {
	case depth > maxYAMLDepth:
		return fail("is nested too deeply")
	case n.Kind == yaml.AliasNode:
		return fail("uses an alias (*), which is not allowed")
	case n.Anchor != "":
		return fail("uses an anchor (&), which is not allowed")
	case n.Style&yaml.TaggedStyle != 0 && !coreTags[n.Tag]:
		return fail("uses the tag " + strconv.Quote(n.Tag) + ", which is not allowed")
	}
	switch n.Kind {
	case yaml.SequenceNode:
		for _, c := range n.Content {
			if err := y.check(c, field, depth+1); err != nil {
				return err
			}
		}
	case yaml.MappingNode:
		seen := map[string]bool{}
		for i := 0; i < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			inner := field
			if depth == 0 {
				inner = k.Value
			}
			if err := y.check(k, inner, depth+1); err != nil {
				return err
			}
			if k.Kind != yaml.ScalarNode || tagOf(k) != tagStr {
				return &FormatError{File: y.name, Field: inner, Line: k.Line, Reason: "has a key that is not text"}
			}
			if seen[k.Value] {
				return &FormatError{File: y.name, Field: k.Value, Line: k.Line, Reason: "the key stands there twice"}
			}
			seen[k.Value] = true
			if err := y.check(v, inner, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// tagOf is the type of a node as the peers' client sees it.
func tagOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return tagSeq
	case yaml.MappingNode:
		return tagMap
	}
	switch {
	case n.Style&yaml.TaggedStyle != 0:
		return n.Tag
	case n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return tagStr
	}
	return yamlTag(n.Value)
}
