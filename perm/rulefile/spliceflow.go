package rulefile

import (
	"bytes"
	"strings"

	"gopkg.in/yaml.v3"
)

// inFlow reports whether a list or mapping of the text stands in brackets.
func (s *splicer) inFlow(n *yaml.Node) bool {
	at := s.value(n)
	return at < len(s.src) && (s.src[at] == '[' || s.src[at] == '{')
}

// value is where a node of the text begins, without its anchor and tag.
func (s *splicer) value(n *yaml.Node) int {
	at := s.start(n)
	if old := s.was[n]; old.Kind == yaml.AliasNode || old.Anchor == "" && old.Style&yaml.TaggedStyle == 0 {
		return at
	}
	for at < len(s.src) && (s.src[at] == '&' || s.src[at] == '!') {
		for at < len(s.src) && !isBlank(s.src[at]) {
			at++
		}
		for at < len(s.src) && isBlank(s.src[at]) {
			at++
		}
	}
	return at
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// end is where a node of the text ends; ok is false for what is hard to measure, such as text over several lines.
func (s *splicer) end(n *yaml.Node) (end int, ok bool) {
	old, known := s.was[n]
	at := s.value(n)
	if !known || at > len(s.src) {
		return 0, false
	}
	rest := s.src[at:]
	switch old.Kind {
	case yaml.AliasNode:
		name := "*" + old.Value
		return at + len(name), bytes.HasPrefix(rest, []byte(name))
	case yaml.ScalarNode:
		n, ok := scalarLength(rest, old)
		return at + n, ok
	}
	if !s.inFlow(n) {
		if len(old.Content) == 0 {
			return 0, false
		}
		return s.end(old.Content[len(old.Content)-1])
	}
	at++
	for _, c := range old.Content {
		to, ok := s.end(c)
		if !ok {
			return 0, false
		}
		at = max(at, to)
	}
	for at < len(s.src) {
		switch c := s.src[at]; {
		case c == ']' || c == '}':
			return at + 1, true
		case c == '#':
			i := bytes.IndexByte(s.src[at:], '\n')
			if i < 0 {
				return 0, false
			}
			at += i
		case !isBlank(c) && c != ',' && c != ':':
			return 0, false
		default:
			at++
		}
	}
	return 0, false
}

// scalarLength measures a scalar at the front of a text.
func scalarLength(text []byte, n yaml.Node) (int, bool) {
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		for i := 1; i < len(text); i++ {
			switch text[i] {
			case '\\':
				i++
			case '"':
				return i + 1, text[0] == '"'
			}
		}
	case n.Style&yaml.SingleQuotedStyle != 0:
		for i := 1; i < len(text); i++ {
			if text[i] == '\'' {
				if i++; i >= len(text) || text[i] != '\'' {
					return i, text[0] == '\''
				}
			}
		}
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0:
		return len(n.Value), bytes.HasPrefix(text, []byte(n.Value))
	}
	return 0, false
}

// flow gives the new text of a node, made of the old one wherever that is possible.
func (s *splicer) flow(n *yaml.Node) (string, bool) {
	old, known := s.was[n]
	if !known || old.Kind != n.Kind || old.Kind == yaml.ScalarNode && s.changed(n) {
		return s.inline(n)
	}
	from := s.start(n)
	to, ok := s.end(n)
	if !ok {
		return "", false
	}
	if !s.changed(n) {
		return string(s.src[from:to]), true
	}
	if !s.inFlow(n) {
		return "", false
	}
	step := 1
	if n.Kind == yaml.MappingNode {
		step = 2
	}
	spans := make([][2]int, 0, len(old.Content)/step) // of the old elements
	for i := 0; i < len(old.Content); i += step {
		end, ok := s.end(old.Content[i+step-1])
		if key, fine := s.end(old.Content[i]); fine {
			end = max(end, key)
		}
		if !ok {
			return "", false
		}
		spans = append(spans, [2]int{s.start(old.Content[i]), end})
	}
	open := s.value(n) + 1
	lead, tail := s.src[open:to-1], []byte(nil)
	between := ", "
	if len(spans) > 0 {
		lead, tail = s.src[open:spans[0][0]], s.src[spans[len(spans)-1][1]:to-1]
	}
	if len(spans) > 1 {
		if gap := s.src[spans[0][1]:spans[1][0]]; bytes.IndexByte(gap, '#') < 0 {
			between = string(gap)
		}
	}
	var b strings.Builder
	b.Write(s.src[from:open])
	if len(spans) == 0 && bytes.IndexByte(lead, '#') >= 0 {
		return "", false
	}
	if len(n.Content) > 0 && len(spans) > 0 {
		b.Write(lead)
	}
	lost := len(n.Content) == 0 && bytes.ContainsRune(s.src[open:to-1], '#')
	places := map[*yaml.Node]int{}
	for i, c := range old.Content {
		places[c] = i
	}
	before := -1 // the old element that was written last
	for i := 0; i < len(n.Content); i += step {
		j, known := places[n.Content[i]]
		if j /= step; !known {
			j = -1
		}
		switch {
		case i == 0:
		case j > 0 && j == before+1:
			b.Write(s.src[spans[j-1][1]:spans[j][0]])
		default:
			b.WriteString(between)
		}
		if j >= 0 {
			for k := before + 1; k < j; k++ { // what is left out must hold no comment
				lost = lost || bytes.IndexByte(s.src[spans[k][0]:spans[k+1][0]], '#') >= 0
			}
			before = j
		}
		text, ok := s.element(n.Content[i:i+step], old.Content, j*step)
		if !ok {
			return "", false
		}
		b.WriteString(text)
	}
	if before >= 0 && before+1 < len(spans) {
		lost = lost || bytes.IndexByte(s.src[spans[before][1]:spans[len(spans)-1][0]], '#') >= 0
	}
	if len(n.Content) > 0 {
		b.Write(tail)
	}
	b.WriteByte(s.src[to-1])
	return b.String(), !lost
}

// element gives the text of an element of a list, or of a key with its value; at is its index in the old content, if it was
// there.
func (s *splicer) element(parts, old []*yaml.Node, at int) (string, bool) {
	if len(parts) == 1 {
		return s.flow(parts[0])
	}
	key, value := parts[0], parts[1]
	if at < 0 {
		k, ok := s.inline(key)
		v, fine := s.inline(value)
		return k + ": " + v, ok && fine
	}
	text, ok := s.flow(value)
	head := string(s.src[s.start(key):s.start(old[at+1])])
	if strings.HasSuffix(head, ":") && text != "" {
		head += " "
	}
	return head + text, ok
}

// inline gives the text of a new node in one line.
func (s *splicer) inline(n *yaml.Node) (string, bool) {
	bare := uncommented(n)
	if bare.Kind != yaml.ScalarNode {
		bare.Style = yaml.FlowStyle
	}
	text, err := encode(&yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle, Content: []*yaml.Node{bare}})
	out, ok := strings.CutPrefix(strings.TrimSuffix(string(text), "]\n"), "[")
	return out, ok && err == nil && !strings.Contains(out, "\n")
}

// block gives the text of a new list or mapping as lines of its own.
func (s *splicer) block(n *yaml.Node, indent int) (string, bool) {
	text, err := encode(uncommented(n))
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		b.WriteString(strings.Repeat(" ", indent) + strings.TrimSuffix(line, "\n") + s.eol())
	}
	return b.String(), err == nil
}

// uncommented is a deep copy without comments.
func uncommented(n *yaml.Node) *yaml.Node {
	cp := *n
	cp.HeadComment, cp.LineComment, cp.FootComment = "", "", ""
	cp.Content = make([]*yaml.Node, len(n.Content))
	for i, c := range n.Content {
		cp.Content[i] = uncommented(c)
	}
	return &cp
}
