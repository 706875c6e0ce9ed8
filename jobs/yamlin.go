package jobs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
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

var kindNames = map[string]string{
	tagStr: "text", tagNull: "null", tagBool: "true or false", tagInt: "a number", tagNum: "a number", tagTime: "a time",
	tagSeq: "a list", tagMap: "a map", tagOdd: "a merge key",
}

func (y *yamlFile) fail(n *yaml.Node, field, reason string) {
	if y.err != nil {
		return
	}
	e := &FormatError{File: y.name, Field: field, Reason: reason}
	if n != nil {
		e.Line = n.Line
	}
	y.err = e
}

// get finds a key whose value has one of the tags; nil, with the refusal noted, otherwise. A missing key is nil; so is null where it is allowed.
func (y *yamlFile) get(key string, required bool, tags ...string) *yaml.Node {
	n, ok := y.keys[key]
	if !ok {
		if required {
			y.fail(nil, key, "is missing")
		}
		return nil
	}
	got := tagOf(n)
	for _, t := range tags {
		if got == t {
			if got == tagNull {
				return nil
			}
			return n
		}
	}
	name := kindNames[got]
	if name == "" {
		name = got
	}
	y.fail(n, key, "is "+name+", but must be "+kindNames[tags[0]])
	return nil
}

func (y *yamlFile) text(key string, required bool) string {
	tags := []string{tagStr, tagNull}
	if required {
		tags = tags[:1]
	}
	n := y.get(key, required, tags...)
	if n == nil {
		return ""
	}
	return n.Value
}

// word is a text that must be one of words; the first is the default.
func (y *yamlFile) word(key string, required bool, words ...string) string {
	n := y.get(key, required, tagStr)
	if n == nil {
		return words[0]
	}
	for _, w := range words {
		if n.Value == w {
			return w
		}
	}
	y.fail(n, key, fmt.Sprintf("is %q, but must be one of: %s", n.Value, strings.Join(words, ", ")))
	return words[0]
}

func (y *yamlFile) flag(key string) bool {
	n := y.get(key, false, tagBool)
	return n != nil && yamlBool(n.Value)
}

func yamlBool(s string) bool {
	switch strings.ToLower(s) {
	case "yes", "true", "on":
		return true
	}
	return false
}

func (y *yamlFile) list(key string) []string {
	n := y.get(key, false, tagSeq)
	if n == nil {
		return nil
	}
	return y.texts(n, key)
}

func (y *yamlFile) texts(n *yaml.Node, field string) []string {
	out := make([]string, 0, len(n.Content))
	for _, c := range n.Content {
		if tagOf(c) != tagStr {
			y.fail(c, field, "has an entry that is not text")
			return nil
		}
		out = append(out, c.Value)
	}
	return out
}

// lists is a map of names to lists of text, or null.
func (y *yamlFile) lists(key string) map[string][]string {
	n := y.get(key, false, tagMap, tagNull)
	if n == nil {
		return nil
	}
	out := map[string][]string{}
	for i := 0; i < len(n.Content); i += 2 {
		if tagOf(n.Content[i+1]) != tagSeq {
			y.fail(n.Content[i+1], key, "must hold lists of names")
			return nil
		}
		out[n.Content[i].Value] = y.texts(n.Content[i+1], key)
	}
	return out
}

// time reads a time as text or as YAML's own, a date, or a number of seconds since 1970.
func (y *yamlFile) time(key string, required bool) time.Time {
	tags := []string{tagTime, tagStr, tagInt, tagNum, tagNull}
	if required {
		tags = tags[:4]
	}
	n := y.get(key, required, tags...)
	if n == nil {
		return time.Time{}
	}
	t, ok := parseTime(n.Value)
	if !ok || t.Year() < 1 || t.Year() > 9999 {
		y.fail(n, key, fmt.Sprintf("%q is not a time; write it as '2026-06-11T09:30:00.123456Z'", n.Value))
		return time.Time{}
	}
	return t
}

var timeLayouts = []string{
	"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07", "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00",
	"2006-01-02T15:04", "2006-01-02", "2006-1-2T15:04:05Z07:00", "2006-1-2T15:04:05",
}

func parseTime(s string) (time.Time, bool) {
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		if f > 2e10 || f < -2e10 { // beyond that the peers' client takes it for milliseconds
			f /= 1000
		}
		if f > 253402300799 || f < -62135596800 {
			return time.Time{}, false
		}
		return time.UnixMicro(int64(f * 1e6)).UTC(), true
	}
	date, clock, both := strings.Cut(strings.Replace(strings.Replace(s, "t", "T", 1), " ", "T", 1), "T")
	if both {
		date += "T" + strings.ToUpper(strings.TrimSpace(strings.ReplaceAll(clock, " ", "")))
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, date); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// any reads a free map; numbers keep their kind, times become text.
func (y *yamlFile) any(key string) map[string]any {
	n := y.get(key, false, tagMap)
	if n == nil {
		return nil
	}
	v, err := plainValue(n)
	if err != nil {
		y.fail(n, key, err.Error())
		return nil
	}
	m, _ := v.(map[string]any)
	return m
}

func plainValue(n *yaml.Node) (any, error) {
	switch tagOf(n) {
	case tagSeq:
		out := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			v, err := plainValue(c)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	case tagMap:
		out := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			v, err := plainValue(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			out[n.Content[i].Value] = v
		}
		return out, nil
	case tagNull:
		return nil, nil
	case tagBool:
		return yamlBool(n.Value), nil
	case tagInt:
		if i, err := strconv.ParseInt(strings.ReplaceAll(n.Value, "_", ""), 10, 64); err == nil && (n.Value == "0" || strings.TrimLeft(n.Value, "+-")[0] != '0') {
			return i, nil
		}
		return nil, fmt.Errorf("the number %q is written in a form that is not read", n.Value)
	case tagNum:
		if f, err := strconv.ParseFloat(strings.ReplaceAll(strings.TrimPrefix(n.Value, "+"), "_", ""), 64); err == nil {
			return f, nil
		}
		return nil, fmt.Errorf("the number %q is written in a form that is not read", n.Value)
	case tagStr, tagTime:
		return n.Value, nil
	}
	return nil, fmt.Errorf("%q cannot be read", n.Value)
}

// yamlTime is the form of every time that is written: UTC, six digits or none.
func yamlTime(t time.Time) string {
	t = t.UTC().Truncate(time.Microsecond)
	if t.Nanosecond() == 0 {
		return t.Format("2006-01-02T15:04:05Z")
	}
	return t.Format("2006-01-02T15:04:05.000000Z")
}
