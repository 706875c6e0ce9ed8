package perm

import "strings"

// gate is what every path that a pattern covers has; most rules of a file are passed over by it alone. Zero bytes stand for
// anything: no path holds one.
type gate struct {
	first, last byte
	slashes     int8 // anyDepth for any number
}

const (
	anyDepth = -1
	deepest  = 127 // and more
)

// knock gives the marks of a path.
func knock(rel string) gate {
	if rel == "" {
		return gate{}
	}
	return gate{rel[0], rel[len(rel)-1], int8(min(strings.Count(rel, "/"), deepest))}
}

// lets reports whether a path with the marks k may pass.
func (g gate) lets(k gate) bool {
	return (g.first == 0 || g.first == k.first) && (g.last == 0 || g.last == k.last) && (g.slashes == anyDepth || g.slashes == k.slashes)
}

// depth gives a number of slashes as gates have it.
func depth(slashes int) int8 {
	if slashes >= deepest {
		return anyDepth
	}
	return int8(slashes)
}

// gate looks at the ends of a pattern.
func (g *pubGlob) gate() gate {
	open := gate{slashes: anyDepth}
	switch g.form {
	case formExact:
		open.first, open.last = firstByte(g.lit), lastByte(g.lit)
		open.slashes = literalDepth(g.lit, 0)
	case formUnder:
		open.first = firstByte(g.lit)
	case formSuffix:
		open.last = lastByte(g.lit)
	case formChild:
		open.last = lastByte([]piece{{text: g.tail}})
		if len(g.lit) > 0 {
			open.first = firstByte(g.lit)
			open.slashes = literalDepth(g.lit, 1)
		} else {
			open.first = firstByte([]piece{{text: g.head}})
			open.slashes = 0
		}
	case formAnyChild:
		open.last = lastByte([]piece{{text: g.tail}})
	case formPath:
		return g.path.gate()
	}
	return open
}

func (g *pathGlob) gate() gate {
	open := gate{slashes: anyDepth}
	last := len(g.chunks) - 1
	if c := g.chunks[0]; len(c) > 0 {
		open.first = firstByte(literals(c[0][:1]))
	}
	if c := g.chunks[last]; len(c) > 0 {
		s := c[len(c)-1]
		open.last = lastByte(literals(s[len(s)-1:]))
	}
	if last == 0 && !g.personal {
		open.slashes = depth(len(g.chunks[0]) - 1)
	}
	return open
}

// literals gives the pieces of tokens that are literal text or templates, nothing for others.
func literals(toks []token) []piece {
	if toks[0].kind != tokenText {
		return nil
	}
	return []piece{toks[0].piece}
}

func firstByte(lit []piece) byte {
	if len(lit) == 0 || lit[0].text == "" {
		return 0
	}
	return lit[0].text[0]
}

func lastByte(lit []piece) byte {
	if len(lit) == 0 || lit[len(lit)-1].text == "" {
		return 0
	}
	text := lit[len(lit)-1].text
	return text[len(text)-1]
}

// literalDepth gives the number of slashes of a literal and more, if no inserted text can bring one in.
func literalDepth(lit []piece, more int) int8 {
	for _, p := range lit {
		if p.of != noVariable {
			return anyDepth
		}
		more += strings.Count(p.text, "/")
	}
	return depth(more)
}
