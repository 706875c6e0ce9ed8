package rulefile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// maxNesting bounds how deep lists and mappings lie in each other. A rule file needs six levels.
const maxNesting = 64

var bom = []byte("\ufeff")

const yamlHint = "check indentation (blanks, no tabs), brackets and quotes around there; text with * & ! { [ # or a colon needs quotes"

// document gives the top node of the only document in src, nil for an empty one or null.
func (r *reader) document(src []byte) (*yaml.Node, error) {
	if len(src) > MaxSize {
		return nil, r.failAt(Problem{Line: 1, Text: fmt.Sprintf("it is larger than %d bytes", MaxSize), Hint: "split the rules over the folders that they are for, or use patterns"})
	}
	src = bytes.TrimPrefix(src, bom)
	if p, bad := unreadable(src); bad {
		return nil, r.failAt(p)
	}
	dec := yaml.NewDecoder(bytes.NewReader(src))
	doc, err := next(dec)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err != nil {
		return nil, r.failAt(yamlProblem(src, err))
	}
	if second, err := next(dec); !errors.Is(err, io.EOF) {
		p := Problem{Line: second.Line, Column: second.Column, Text: "it holds more than one document", Hint: "only one is allowed: put all rules into it and remove the --- line"}
		if err != nil {
			p.Line, p.Column = yamlProblem(src, err).Line, 0
		}
		return nil, r.failAt(p)
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, nil
	}
	if n := tooDeep(doc, maxNesting); n != nil {
		return nil, r.fail(n, "", fmt.Sprintf("it is nested more than %d levels deep", maxNesting), "close the brackets before this place, or take the extra indentation away")
	}
	top, err := r.resolve(doc.Content[0], "")
	if err != nil || isNull(top) {
		return nil, err
	}
	return top, nil
}

func (r *reader) failAt(p Problem) error {
	p.Severity = SeverityError
	return &Error{File: r.file, Problem: p}
}

// next reads one document. The library is known to panic on some malformed texts, and rule files come from peers.
func next(dec *yaml.Decoder) (doc *yaml.Node, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the text cannot be read: %v", p)
		}
	}()
	doc = &yaml.Node{}
	return doc, dec.Decode(doc)
}

// unreadable finds the first character that YAML does not allow.
func unreadable(src []byte) (Problem, bool) {
	for i := 0; i < len(src); {
		c, n := utf8.DecodeRune(src[i:])
		switch {
		case c == utf8.RuneError && n == 1:
			return at(src, i, "it is not UTF-8 text", "save it as UTF-8; addresses and patterns need nothing else"), true
		case c >= ' ' && c <= '~' || c == '\t' || c == '\n' || c == '\r' || c == 0x85 || c >= 0xa0 && c != 0xfffe && c != 0xffff:
		default:
			return at(src, i, fmt.Sprintf("it holds the control character %U", c), "remove it"), true
		}
		i += n
	}
	return Problem{}, false
}

// at is a problem at an offset of the text.
func at(src []byte, offset int, text, hint string) Problem {
	before := src[:offset]
	start := bytes.LastIndexByte(before, '\n') + 1
	return Problem{Line: bytes.Count(before, []byte("\n")) + 1, Column: utf8.RuneCount(before[start:]) + 1, Text: text, Hint: hint}
}

var (
	yamlLine   = regexp.MustCompile(`^line (\d+): `)
	yamlAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
)

// yamlProblem puts an error of the library into our form.
func yamlProblem(src []byte, err error) Problem {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlAnchor.FindStringSubmatch(text); m != nil { // the library does not say where
		if i := bytes.Index(src, []byte("*"+m[1])); i >= 0 {
			return at(src, i, text, "name an anchor that stands above, or put text that begins with * into quotes")
		}
	}
	p := Problem{Line: 1, Hint: yamlHint}
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		p.Line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
	}
	p.Text = "it is not valid YAML: " + clip(text)
	p.Line = min(p.Line, bytes.Count(src, []byte("\n"))+1)
	if line, ok := firstBad(src); ok {
		p.Line = line
	}
	return p
}

// firstBad gives the line behind the longest run of whole lines that is valid by itself. The library mostly names the line on
// which the enclosing list or mapping begins. It gives up on a text that takes too much work.
func firstBad(src []byte) (line int, ok bool) {
	const enough = 1 << 20 // bytes parsed
	end, done := len(src), 0
	for {
		end = bytes.LastIndexByte(src[:max(end-1, 0)], '\n') + 1
		if end == 0 {
			return 1, true
		}
		if done += end; done > enough {
			return 0, false
		}
		if _, err := next(yaml.NewDecoder(bytes.NewReader(src[:end]))); err == nil || errors.Is(err, io.EOF) {
			return bytes.Count(src[:end], []byte("\n")) + 1, true
		}
	}
}

// tooDeep finds a node that lies deeper than is allowed. Aliases are not followed: those that matter are counted where they are used.
func tooDeep(n *yaml.Node, left int) *yaml.Node {
	if left < 0 {
		return n
	}
	for _, c := range n.Content {
		if deep := tooDeep(c, left-1); deep != nil {
			return deep
		}
	}
	return nil
}
