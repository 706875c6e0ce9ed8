package perm

import (
	"errors"
	"strings"
	"unicode/utf8"
)

var errClass = errors.New("a character class [...] is not closed or empty")

// span is one character or range of a class.
type span struct{ lo, hi rune }

// tameClasses rewrites the character classes of a glob so that none matches a slash: the glob library lets a negated class,
// and a range around it, do so. Everything else in the pattern is left alone.
func tameClasses(pattern string) (string, error) {
	if !strings.Contains(pattern, "[") {
		return pattern, nil
	}
	var b strings.Builder
	for i := 0; i < len(pattern); {
		switch pattern[i] {
		case '\\':
			if i+1 >= len(pattern) {
				return "", errClass
			}
			b.WriteString(pattern[i : i+2])
			i += 2
		case '[':
			negated, spans, next, err := parseClass(pattern, i+1)
			if err != nil {
				return "", err
			}
			writeClass(&b, negated, spans)
			i = next
		default:
			b.WriteByte(pattern[i])
			i++
		}
	}
	return b.String(), nil
}

// parseClass reads a class from behind its "[" to behind its "]", as the glob library does: a "-" at either end, or right
// behind a range, is a character.
func parseClass(p string, i int) (negated bool, spans []span, next int, err error) {
	if i < len(p) && (p[i] == '!' || p[i] == '^') {
		negated = true
		i++
	}
	if i >= len(p) || p[i] == ']' {
		return false, nil, 0, errClass
	}
	take := func() (rune, bool) {
		if p[i] == '\\' {
			if i++; i >= len(p) {
				return 0, false
			}
		}
		r, n := utf8.DecodeRuneInString(p[i:])
		i += n
		return r, true
	}
	low := rune(-1) // the character that a "-" would make a range of
	for i < len(p) && p[i] != ']' {
		isRange := low >= 0 && p[i] == '-' && i+1 < len(p) && p[i+1] != ']'
		if isRange {
			i++
		}
		r, ok := take()
		if !ok {
			return false, nil, 0, errClass
		}
		if isRange {
			spans = append(spans, span{low, r})
			low = -1
			continue
		}
		spans = append(spans, span{r, r})
		low = r
	}
	if i >= len(p) {
		return false, nil, 0, errClass
	}
	return negated, spans, i + 1, nil
}

// noRune stands in a class that has nothing left: a name in a datasite never holds a NUL.
const noRune = 0

func writeClass(b *strings.Builder, negated bool, spans []span) {
	b.WriteByte('[')
	if negated {
		b.WriteString("^/")
	}
	wrote := negated
	for _, s := range spans {
		if s.lo > s.hi {
			continue // the library matches nothing by it; its low end stands as a character of its own
		}
		for _, part := range [2]span{{s.lo, min(s.hi, '/'-1)}, {max(s.lo, '/'+1), s.hi}} {
			if part.lo > part.hi {
				continue
			}
			writeClassRune(b, part.lo)
			if part.lo != part.hi {
				b.WriteByte('-')
				writeClassRune(b, part.hi)
			}
			wrote = true
		}
	}
	if !wrote {
		b.WriteRune(noRune)
	}
	b.WriteByte(']')
}

func writeClassRune(b *strings.Builder, r rune) {
	if r < utf8.RuneSelf && !isWord(byte(r)) {
		b.WriteByte('\\')
	}
	b.WriteRune(r)
}

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// escape makes inserted text literal in a glob, in and outside classes and alternatives.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if s[i] < utf8.RuneSelf && !isWord(s[i]) {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
