package rulefile

import (
	"bytes"
	"cmp"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// splicer changes a text so that it says what its edited nodes say, and leaves every line alone that the edit does not
// concern. It gives up where it is not sure; what it gives is checked by parsing it.
type splicer struct {
	src   []byte
	lines []int                    // where each line begins
	was   map[*yaml.Node]yaml.Node // the nodes of the text as they were
	at    map[*yaml.Node]int       // where they begin, with anchor and tag
	cuts  []cut
}

// cut replaces a stretch of the text. Cuts never overlap.
type cut struct {
	from, to int
	text     string
}

// newSplicer is called before the nodes are edited.
func newSplicer(src []byte, doc *yaml.Node) *splicer {
	s := &splicer{src: src, lines: []int{0}, was: map[*yaml.Node]yaml.Node{}, at: map[*yaml.Node]int{}}
	for i, c := range src {
		if c == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	s.remember(doc, &mark{})
	return s
}

// mark is a place in the text, by line and column from 1 and by offset.
type mark struct{ line, column, offset int }

func (s *splicer) remember(n *yaml.Node, last *mark) {
	old := *n
	old.Content = slices.Clone(n.Content)
	s.was[n] = old
	// Nodes come in the order of the text, so that a long line is walked once.
	if line := min(max(old.Line, 1), len(s.lines)); line != last.line || old.Column < last.column {
		*last = mark{line, 1, s.lines[line-1]}
	}
	for ; last.column < old.Column; last.column++ {
		_, n := utf8.DecodeRune(s.src[last.offset:])
		last.offset += n
	}
	s.at[n] = last.offset
	for _, c := range n.Content {
		s.remember(c, last)
	}
}

// oddBreaks are line breaks of YAML other than \n and \r\n: lines are then counted otherwise than here.
var oddBreaks = regexp.MustCompile("\r[^\n]|\r$|[\u0085\u2028\u2029]")

// splice gives the new text; ok is false if it cannot.
func (s *splicer) splice(top *yaml.Node) (text []byte, ok bool) {
	if oddBreaks.Match(s.src) || !s.walk(top, nil) {
		return nil, false
	}
	slices.SortStableFunc(s.cuts, func(a, b cut) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
	var b bytes.Buffer
	done := 0
	for _, c := range s.cuts {
		if c.from < done || c.to > len(s.src) {
			return nil, false
		}
		b.Write(s.src[done:c.from])
		b.WriteString(c.text)
		done = c.to
	}
	b.Write(s.src[done:])
	return b.Bytes(), true
}

// changed reports whether a node says something else than it did.
func (s *splicer) changed(n *yaml.Node) bool {
	old, known := s.was[n]
	return !known || old.Kind != n.Kind || old.Value != n.Value || !slices.Equal(old.Content, n.Content) || slices.ContainsFunc(n.Content, s.changed)
}

// walk makes the cuts for a node of block style, or for the outermost of flow style. The key is that of which it is the value,
// nil for an element of a list and for the document.
func (s *splicer) walk(n, key *yaml.Node) bool {
	if !s.changed(n) {
		return true
	}
	old := s.was[n]
	switch {
	case old.Kind != n.Kind || len(old.Content) == 0:
		return s.fill(n, n, key)
	case s.inFlow(n):
		text, ok := s.flow(n)
		return ok && s.replace(n, text)
	case old.Anchor != "" || old.Style&yaml.TaggedStyle != 0:
		return false // its position is that of the anchor
	case old.Kind == yaml.SequenceNode:
		return s.walkList(n, key)
	}
	return s.walkMapping(n)
}

// walkList edits a list of "- " lines.
func (s *splicer) walkList(n, key *yaml.Node) bool {
	old := s.was[n].Content
	kept := 0
	for i, c := range old {
		switch {
		case kept < len(n.Content) && n.Content[kept] == c:
			kept++
			if !s.walk(c, nil) {
				return false
			}
		case len(old) == len(n.Content) && kept == i && !s.isOld(n.Content[i]):
			kept++ // it was an alias, and is a copy now
			if !s.fill(c, n.Content[i], nil) {
				return false
			}
		default:
			from, to, ok := s.item(n, c)
			if !ok {
				return false
			}
			s.cut(from, to, "")
		}
	}
	fresh := n.Content[kept:]
	if slices.ContainsFunc(fresh, s.isOld) {
		return false
	}
	first, last := old[0], old[len(old)-1]
	if len(n.Content) == 0 {
		return s.emptied(n, first, key)
	}
	return len(fresh) == 0 || s.insertBelow(last, s.was[n].Column-1, &yaml.Node{Kind: yaml.SequenceNode, Content: fresh})
}

// emptied writes [] where all elements of a list were removed.
func (s *splicer) emptied(n, first, key *yaml.Node) bool {
	if key == nil {
		from, _, ok := s.item(n, first)
		s.cut(from, from, "[]"+s.eol())
		return ok
	}
	at, ok := s.end(key)
	for ok && at < len(s.src) && s.src[at] == ' ' {
		at++
	}
	if !ok || at >= len(s.src) || s.src[at] != ':' {
		return false
	}
	s.cut(at+1, at+1, " []")
	return true
}

// walkMapping edits a mapping of "key: value" lines.
func (s *splicer) walkMapping(n *yaml.Node) bool {
	old := s.was[n].Content
	front := 0
	for front < len(n.Content) && n.Content[front] != old[0] {
		front += 2
	}
	if len(n.Content) < front+len(old) {
		return false
	}
	for i := 0; i+1 < len(old); i += 2 {
		key, value := n.Content[front+i], n.Content[front+i+1]
		switch {
		case key != old[i] || s.changed(key):
			return false
		case value == old[i+1]:
			if !s.walk(value, key) {
				return false
			}
		case !s.fill(old[i+1], value, key):
			return false
		}
	}
	indent := s.was[n].Column - 1
	if front > 0 {
		at := s.lineStart(old[0])
		if len(bytes.TrimSpace(s.src[at:s.start(old[0])])) > 0 {
			return false
		}
		text, ok := s.block(&yaml.Node{Kind: yaml.MappingNode, Content: n.Content[:front]}, indent)
		if !ok {
			return false
		}
		s.cut(at, at, text)
	}
	back := n.Content[front+len(old):]
	return len(back) == 0 || s.insertBelow(old[len(old)-1], indent, &yaml.Node{Kind: yaml.MappingNode, Content: back})
}

// fill writes n where the value or element old stands: behind it if both can be said in one line, else below its key.
func (s *splicer) fill(old, n, key *yaml.Node) bool {
	from := s.start(old)
	to, ok := s.end(old)
	if !ok {
		return false
	}
	oneLine := n.Kind == yaml.ScalarNode || n.Style&yaml.FlowStyle != 0 || len(n.Content) == 0 || n != old
	if oneLine {
		text, ok := s.inline(n)
		if from == 0 || s.src[from-1] == ':' || s.src[from-1] == '-' {
			text = " " + text
		}
		s.cut(from, to, text)
		return ok
	}
	indent := 0
	if key != nil {
		indent = s.was[key].Column - 1 + 2
	}
	end, ok := s.lineEnd(to)
	text, fine := s.block(n, indent)
	if !ok || !fine {
		return false
	}
	for from > 0 && s.src[from-1] == ' ' {
		from--
	}
	if (from == 0 || s.src[from-1] == '\n') && len(bytes.TrimSpace(s.src[to:end])) == 0 {
		s.cut(from, end, text)
		return true
	}
	s.cut(from, to, "")
	s.insertLine(end, text)
	return true
}

// insertBelow writes n behind the line on which the node last ends.
func (s *splicer) insertBelow(last *yaml.Node, indent int, n *yaml.Node) bool {
	to, ok := s.end(last)
	if !ok {
		return false
	}
	at, ok := s.lineEnd(to)
	text, fine := s.block(n, indent)
	if !ok || !fine {
		return false
	}
	s.insertLine(at, text)
	return true
}

// insertLine writes whole lines at the start of a line, or at the end of a text that has no line break there.
func (s *splicer) insertLine(at int, text string) {
	if at > 0 && s.src[at-1] != '\n' {
		text = s.eol() + text
	}
	s.cut(at, at, text)
}

// item gives the lines of an element of a list. The comment right above a rule goes with it, but not one at the top of the
// file; a comment above a single user stays.
func (s *splicer) item(list, n *yaml.Node) (from, to int, ok bool) {
	dash := s.was[list].Column - 1
	line := s.was[n].Line - 1
	blanks := strings.Repeat(" ", dash)
	for ; line >= 0; line-- {
		text := s.line(line)
		if rest, found := strings.CutPrefix(text, blanks+"-"); found && strings.TrimLeft(rest, " \t\r\n") != rest || text == blanks+"-" {
			break
		}
		if text = strings.TrimSpace(text); line != s.was[n].Line-1 && text != "" && text[0] != '#' {
			return 0, 0, false
		}
	}
	if line < 0 {
		return 0, 0, false
	}
	end, ok := s.end(n)
	if !ok {
		return 0, 0, false
	}
	to, ok = s.lineEnd(end)
	if s.was[n].Kind == yaml.MappingNode {
		above := line
		for above > 0 && strings.HasPrefix(s.line(above-1), blanks+"#") {
			above--
		}
		if above > 0 {
			line = above
		}
	}
	return s.lines[line], to, ok
}

func (s *splicer) line(i int) string {
	if i+1 < len(s.lines) {
		return string(s.src[s.lines[i]:s.lines[i+1]])
	}
	return string(s.src[s.lines[i]:])
}

func (s *splicer) isOld(n *yaml.Node) bool {
	_, known := s.was[n]
	return known
}

func (s *splicer) cut(from, to int, text string) { s.cuts = append(s.cuts, cut{from, to, text}) }

func (s *splicer) replace(n *yaml.Node, text string) bool {
	to, ok := s.end(n)
	s.cut(s.start(n), to, text)
	return ok
}

// start is where a node of the text begins, with its anchor and tag.
func (s *splicer) start(n *yaml.Node) int { return s.at[n] }

func (s *splicer) lineStart(n *yaml.Node) int {
	return s.lines[min(max(s.was[n].Line-1, 0), len(s.lines)-1)]
}

// lineEnd gives the start of the line after the one in which something ends at at; ok is false if something else stands
// behind it.
func (s *splicer) lineEnd(at int) (end int, ok bool) {
	end = len(s.src)
	if i := bytes.IndexByte(s.src[at:], '\n'); i >= 0 {
		end = at + i + 1
	}
	rest := s.src[at:end]
	behind := bytes.TrimSpace(rest)
	return end, len(behind) == 0 || behind[0] == '#' && (rest[0] == ' ' || rest[0] == '\t')
}

// eol is the line break that the text uses.
func (s *splicer) eol() string { return lineBreak(s.src) }

func lineBreak(src []byte) string {
	if i := bytes.IndexByte(src, '\n'); i > 0 && src[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}
