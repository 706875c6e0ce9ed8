package perm

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
)

// pathGlob is a pattern that is compared name by name.
type pathGlob struct {
	chunks   [][]segment // what stands before, between and behind each **; the first and the last may be empty
	personal bool        // holds a template of the user
	hidden   bool        // wildcards match names that begin with a dot, and a ** at the end also nothing: as syft.pub.yaml has it
}

// segment is a pattern for one name.
type segment []token

type tokenKind uint8

const (
	tokenText tokenKind = iota // piece, literal
	tokenStar
	tokenAny
	tokenClass
)

// token is a part of a segment.
type token struct {
	kind tokenKind
	piece
	class *class
}

// class is [...].
type class struct {
	negated bool
	spans   []span // in order, apart from each other
}

func newClass(negated bool, spans []span) *class {
	spans = slices.DeleteFunc(spans, func(s span) bool { return s.lo > s.hi }) // its low end stands beside it
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.lo, b.lo) })
	c := &class{negated: negated}
	for _, s := range spans {
		if n := len(c.spans); n > 0 && s.lo <= c.spans[n-1].hi {
			c.spans[n-1].hi = max(c.spans[n-1].hi, s.hi)
			continue
		}
		c.spans = append(c.spans, s)
	}
	return c
}

// holds reports whether c is in the class, or not in a negated one; never for a slash, and only a negated one for what is not UTF-8.
func (s *class) holds(c rune, size int) bool {
	if c == '/' {
		return false
	}
	if c == utf8.RuneError && size <= 1 {
		return s.negated
	}
	_, in := slices.BinarySearchFunc(s.spans, c, func(p span, c rune) int {
		switch {
		case p.hi < c:
			return -1
		case p.lo > c:
			return 1
		}
		return 0
	})
	return in != s.negated
}

// pathBuilder puts a pathGlob together.
type pathBuilder struct {
	pathGlob
	chunk []segment // being built
	at    segment   // its last one, being built
	lit   []byte    // literal text at its end
	deep  bool      // it is a **
}

func (b *pathBuilder) atStart() bool { return len(b.at)+len(b.lit) == 0 && !b.deep }

func (b *pathBuilder) text(s string) { b.lit = append(b.lit, s...) }

func (b *pathBuilder) flush() {
	if len(b.lit) > 0 {
		b.at = append(b.at, token{piece: piece{text: string(b.lit)}})
		b.lit = b.lit[:0]
	}
}

func (b *pathBuilder) token(t token) {
	b.flush()
	b.at = append(b.at, t)
}

// star adds a "*", which several in a row are as good as.
func (b *pathBuilder) star() {
	if n := len(b.at); n == 0 || len(b.lit) > 0 || b.at[n-1].kind != tokenStar {
		b.token(token{kind: tokenStar})
	}
}

// all makes the segment a "**".
func (b *pathBuilder) all() { b.deep = true }

// slash ends a segment.
func (b *pathBuilder) slash() {
	b.flush()
	switch {
	case !b.deep:
		b.chunk = append(b.chunk, b.at)
	case len(b.chunk) > 0 || len(b.chunks) == 0: // else it follows another **, which is as good
		b.chunks = append(b.chunks, b.chunk)
		b.chunk = nil
	}
	b.at, b.deep = nil, false
}

func (b *pathBuilder) glob() *pathGlob {
	b.slash()
	g := b.pathGlob
	g.chunks = append(g.chunks, b.chunk)
	return &g
}

// match tells whether the pattern covers rel, which is not empty. What stands before the first ** is matched from the front, what
// stands behind the last from the back, and what stands between as early as possible: a later place could not help, as what is
// behind could as well be covered by the next **.
func (g *pathGlob) match(rel string, v *vars) bool {
	last := len(g.chunks) - 1
	middle, ok := g.front(g.chunks[0], rel, v)
	if !ok || last == 0 {
		return ok && middle == ""
	}
	if middle, ok = g.back(g.chunks[last], middle, v); !ok {
		return false
	}
	for _, chunk := range g.chunks[1:last] {
		if middle, ok = g.search(chunk, middle, v); !ok {
			return false
		}
	}
	if middle == "" {
		return g.hidden || len(g.chunks[last]) > 0 // a/** needs something below a in syftperm.yaml
	}
	return g.hidden || middle[0] != '.' && !strings.Contains(middle, "/.")
}

// front matches segments with the first names of rel and gives what is left of it, without the slash.
func (g *pathGlob) front(chunk []segment, rel string, v *vars) (rest string, ok bool) {
	for _, s := range chunk {
		if rel == "" {
			return "", false
		}
		name, after, _ := strings.Cut(rel, "/")
		if !g.matchName(s, name, v) {
			return "", false
		}
		rel = after
	}
	return rel, true
}

// back matches segments with the last names of rel and gives what is left of it, without the slash.
func (g *pathGlob) back(chunk []segment, rel string, v *vars) (rest string, ok bool) {
	for i := len(chunk) - 1; i >= 0; i-- {
		if rel == "" {
			return "", false
		}
		cut := strings.LastIndexByte(rel, '/')
		if !g.matchName(chunk[i], rel[cut+1:], v) {
			return "", false
		}
		rel = rel[:max(cut, 0)]
	}
	return rel, true
}

// search finds the first place in rel where segments match, and gives what is behind it.
func (g *pathGlob) search(chunk []segment, rel string, v *vars) (rest string, ok bool) {
	for rel != "" {
		if rest, ok = g.front(chunk, rel, v); ok {
			return rest, true
		}
		if !g.hidden && rel[0] == '.' {
			return "", false
		}
		_, rel, _ = strings.Cut(rel, "/")
	}
	return "", false
}

// matchName compares one name with a segment that is not **.
func (g *pathGlob) matchName(s segment, name string, v *vars) bool {
	if !g.hidden && name[0] == '.' && s[0].kind != tokenText {
		return false
	}
	star, back := -1, 0 // the last * and where the name stood
	i := 0
	rest := name
	for {
		if i == len(s) {
			if rest == "" {
				return true
			}
		} else if t := &s[i]; t.kind == tokenStar {
			if i+1 == len(s) {
				return true
			}
			star, back = i, len(name)-len(rest)
			i++
			continue
		} else if after, ok := t.cut(rest, v); ok {
			rest = after
			i++
			continue
		}
		if star < 0 || back >= len(name) {
			return false
		}
		_, n := utf8.DecodeRuneInString(name[back:])
		back += n
		rest, i = name[back:], star+1
	}
}

// cut takes what a token other than * matches from the front of a name.
func (t *token) cut(name string, v *vars) (rest string, ok bool) {
	if t.kind == tokenText {
		return strings.CutPrefix(name, t.piece.value(v))
	}
	if name == "" {
		return "", false
	}
	c, n := utf8.DecodeRuneInString(name)
	return name[n:], t.kind == tokenAny || t.class.holds(c, n)
}
