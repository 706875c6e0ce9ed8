package perm

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// pathGlob is a pattern that is compared name by name.
type pathGlob struct {
	segments []segment
	deep     int  // how many segments are **
	personal bool // holds a template of the user
	hidden   bool // wildcards match names that begin with a dot, and a ** at the end also nothing: as syft.pub.yaml has it
}

// segment is a pattern for one name, or **.
type segment struct {
	deep bool
	toks []token
}

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
	spans   []span
}

// holds reports whether c is in the class, or not in a negated one; never for a slash, and only a negated one for what is not UTF-8.
func (s *class) holds(c rune, size int) bool {
	if c == '/' {
		return false
	}
	in := (c != utf8.RuneError || size > 1) && slices.ContainsFunc(s.spans, func(p span) bool { return p.lo <= c && c <= p.hi })
	return in != s.negated
}

// pathBuilder puts a pathGlob together.
type pathBuilder struct {
	pathGlob
	at  segment // the one being built
	lit []byte  // literal text at its end
}

func (b *pathBuilder) atStart() bool { return len(b.at.toks)+len(b.lit) == 0 && !b.at.deep }

func (b *pathBuilder) text(s string) { b.lit = append(b.lit, s...) }

func (b *pathBuilder) flush() {
	if len(b.lit) > 0 {
		b.at.toks = append(b.at.toks, token{piece: piece{text: string(b.lit)}})
		b.lit = b.lit[:0]
	}
}

func (b *pathBuilder) token(t token) {
	b.flush()
	b.at.toks = append(b.at.toks, t)
}

// star adds a "*", which several in a row are as good as.
func (b *pathBuilder) star() {
	if n := len(b.at.toks); n == 0 || len(b.lit) > 0 || b.at.toks[n-1].kind != tokenStar {
		b.token(token{kind: tokenStar})
	}
}

// all makes the segment a "**".
func (b *pathBuilder) all() {
	b.at.deep = true
	b.deep++
}

// slash ends a segment.
func (b *pathBuilder) slash() {
	b.flush()
	b.segments = append(b.segments, b.at)
	b.at = segment{}
}

func (b *pathBuilder) glob() *pathGlob {
	b.slash()
	g := b.pathGlob
	return &g
}

// match tells whether the pattern covers rel, which is not empty.
func (g *pathGlob) match(rel string, v *vars) bool {
	switch g.deep {
	case 0:
		rest, ok := g.matchFront(g.segments, rel, v)
		return ok && rest == ""
	case 1:
		return g.matchOneDeep(rel, v)
	}
	return g.matchDeep(strings.Split(rel, "/"), v)
}

// matchFront matches segments one to one and gives what is left of rel, without the slash.
func (g *pathGlob) matchFront(segments []segment, rel string, v *vars) (rest string, ok bool) {
	for i := range segments {
		if rel == "" {
			return "", false
		}
		name, after, _ := strings.Cut(rel, "/")
		if !g.matchName(&segments[i], name, v) {
			return "", false
		}
		rel = after
	}
	return rel, true
}

// matchOneDeep is the common case: what stands before the ** from the front, what stands behind from the back.
func (g *pathGlob) matchOneDeep(rel string, v *vars) bool {
	at := slices.IndexFunc(g.segments, func(s segment) bool { return s.deep })
	tail := g.segments[at+1:]
	middle, ok := g.matchFront(g.segments[:at], rel, v)
	if !ok {
		return false
	}
	for i := len(tail) - 1; i >= 0; i-- {
		if middle == "" {
			return false
		}
		cut := strings.LastIndexByte(middle, '/')
		if !g.matchName(&tail[i], middle[cut+1:], v) {
			return false
		}
		middle = middle[:max(cut, 0)]
	}
	if middle == "" {
		return g.hidden || len(tail) > 0 // a/** needs something below a in syftperm.yaml
	}
	return g.hidden || middle[0] != '.' && !strings.Contains(middle, "/.")
}

// matchDeep follows every way that several ** can share the names, one pattern segment at a time.
func (g *pathGlob) matchDeep(names []string, v *vars) bool {
	reached := make([]bool, len(names)+1) // reached[n]: the segments so far can match the first n names
	next := make([]bool, len(names)+1)
	reached[0] = true
	for i := range g.segments {
		s := &g.segments[i]
		clear(next)
		open := false // a ** goes on to take names
		for n := range reached {
			switch {
			case s.deep:
				open = open && (g.hidden || names[n-1][0] != '.')
				next[n] = open || reached[n] && (g.hidden || i+1 < len(g.segments))
				open = open || reached[n]
			case reached[n] && n < len(names):
				next[n+1] = g.matchName(s, names[n], v)
			}
		}
		reached, next = next, reached
	}
	return reached[len(names)]
}

// matchName compares one name with a segment that is not **.
func (g *pathGlob) matchName(s *segment, name string, v *vars) bool {
	if !g.hidden && name[0] == '.' && s.toks[0].kind != tokenText {
		return false
	}
	star, back := -1, 0 // the last * and where the name stood
	i := 0
	rest := name
	for {
		if i == len(s.toks) {
			if rest == "" {
				return true
			}
		} else if t := &s.toks[i]; t.kind == tokenStar {
			if i+1 == len(s.toks) {
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
