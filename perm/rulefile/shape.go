package rulefile

import (
	"strings"
	"unicode/utf8"
)

// shape is a pattern of syft.pub.yaml cut into segments, for comparing patterns with each other. What it does not understand
// it calls unsure, and nothing is then concluded.
type shape struct {
	pattern  string
	segments []segment
	unsure   bool // as the wider pattern of a comparison: only equal text counts
}

// segment is a run of tokens between slashes.
type segment struct {
	deep    bool // **
	unknown bool // this and everything behind it
	toks    []token
}

// token is what one part of a segment matches.
type token struct {
	kind tokenKind
	text string // literal: the character; class and inserted: as written
}

type tokenKind uint8

const (
	literal  tokenKind = iota
	anyRun             // *
	anyChar            // ?
	class              // [...]
	inserted           // a template
)

func shapeOf(pattern string) shape {
	const longest = 1000
	s := shape{pattern: pattern}
	if len(pattern) > longest {
		s.unsure, s.segments = true, []segment{{unknown: true}}
		return s
	}
	bare := template.ReplaceAllString(pattern, "")
	glob := strings.ContainsAny(bare, "*?[")
	if s.unsure = !glob || strings.ContainsAny(bare, `{\`); !glob {
		s.segments = splitShape(pattern, false)
		return s
	}
	s.segments = splitShape(pattern, true)
	for i := range s.segments {
		// What a wildcard right before ** matches is the glob library's affair.
		if i > 0 && s.segments[i].deep && s.segments[i-1].wild() {
			s.unsure = true
		}
	}
	return s
}

func splitShape(pattern string, glob bool) []segment {
	var segments []segment
	var seg segment
	flush := func() {
		if glob && len(seg.toks) == 1 && seg.toks[0].kind == anyRun && seg.toks[0].text == "**" {
			seg.deep = true
		}
		segments = append(segments, seg)
		seg = segment{}
	}
	for rest := pattern; rest != ""; {
		if at := template.FindStringIndex(rest); at != nil && at[0] == 0 {
			seg.toks = append(seg.toks, token{inserted, rest[:at[1]]})
			rest = rest[at[1]:]
			continue
		}
		_, n := utf8.DecodeRuneInString(rest)
		one := rest[:n]
		switch {
		case one == "/":
			flush()
		case glob && one == "*":
			if n := len(seg.toks); n > 0 && seg.toks[n-1].kind == anyRun {
				seg.toks[n-1].text += "*"
			} else {
				seg.toks = append(seg.toks, token{anyRun, one})
			}
		case glob && one == "?":
			seg.toks = append(seg.toks, token{anyChar, one})
		case glob && one == "[":
			end := strings.IndexByte(rest, ']')
			if end < 0 || strings.ContainsAny(rest[:end], `\/`) {
				return append(segments, segment{unknown: true})
			}
			seg.toks = append(seg.toks, token{class, rest[:end+1]})
			one = rest[:end+1]
		case glob && (one == "{" || one == `\`):
			return append(segments, segment{unknown: true})
		default:
			seg.toks = append(seg.toks, token{literal, one})
		}
		rest = rest[len(one):]
	}
	flush()
	return segments
}

func (s segment) wild() bool {
	for _, t := range s.toks {
		if t.kind == anyRun || t.kind == anyChar || t.kind == class {
			return true
		}
	}
	return s.deep || s.unknown
}

// covers reports whether s certainly matches every path that o matches. The other answer means nothing.
func (s shape) covers(o shape, w *work) bool {
	switch {
	case s.pattern == o.pattern || s.pattern == "**":
		return true
	case s.unsure || o.pattern == "**": // ** alone matches the folder itself
		return false
	}
	return coverSegments(s.segments, o.segments, w)
}

func coverSegments(p, q []segment, w *work) bool {
	switch {
	case !w.spend():
		return false
	case len(p) == 0:
		return len(q) == 0
	case p[0].deep:
		for n := 0; n <= len(q); n++ {
			if coverSegments(p[1:], q[n:], w) {
				return true
			}
		}
		return false
	case len(q) == 0 || q[0].deep || q[0].unknown:
		return false
	}
	return coverTokens(p[0].toks, q[0].toks, w) && coverSegments(p[1:], q[1:], w)
}

func coverTokens(p, q []token, w *work) bool {
	switch {
	case !w.spend():
		return false
	case len(p) == 0:
		return len(q) == 0
	case p[0].kind == anyRun:
		for n := 0; n <= len(q); n++ {
			if coverTokens(p[1:], q[n:], w) {
				return true
			}
		}
		return false
	case len(q) == 0:
		return false
	}
	one := p[0] == q[0] || p[0].kind == anyChar && (q[0].kind == literal || q[0].kind == class)
	return one && coverTokens(p[1:], q[1:], w)
}
