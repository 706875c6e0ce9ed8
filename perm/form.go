package perm

import (
	"slices"
	"strings"
)

// form is how a pattern is compared. The common ones are plain comparisons.
type form uint8

const (
	formNever    form = iota
	formExact         // lit
	formAll           // **
	formBelow         // **/*
	formUnder         // lit/**
	formSuffix        // **/lit
	formWithin        // **/lit/**
	formChild         // lit/head*tail, or head*tail
	formAnyChild      // **/head*tail
	formPath          // name by name
	formAny           // any of several
	formGlob          // the glob library's: a class that a template stands in
)

// compileGlob finds the form of a valid glob.
func (g *pubGlob) compileGlob(pieces []piece) {
	text := textOf(pieces)
	segments := splitSegments(pieces)
	switch {
	case hopeless(segments):
		g.form = formNever
	case !strings.ContainsAny(text, `?[{}\`) && g.plainForm(segments):
	case g.alternatives(pieces):
	case !g.pathForm(pieces):
		g.form, g.lit = formGlob, pieces
	}
}

// alternatives compiles a glob with {...}.
func (g *pubGlob) alternatives(pieces []piece) bool {
	all := splitBraces(pieces)
	if !slices.ContainsFunc(all, func(b brace) bool { return b.mark != 0 }) {
		return false
	}
	g.form = formAny
	g.size = written(alternativesOf(all), len(textOf(pieces)))
	for _, form := range writeOut(all) {
		one := &pubGlob{personal: g.personal, dated: g.dated}
		if one.compileGlob(form); one.form != formNever {
			g.any = append(g.any, one)
		}
	}
	if len(g.any) == 0 {
		g.form = formNever
	}
	return true
}

// splitSegments cuts pieces at the slashes of their text; inserted text is never cut.
func splitSegments(pieces []piece) [][]piece {
	segments := [][]piece{nil}
	for _, p := range pieces {
		if p.of != noVariable {
			last := len(segments) - 1
			segments[last] = append(segments[last], p)
			continue
		}
		for i, t := range strings.Split(p.text, "/") {
			if i > 0 {
				segments = append(segments, nil)
			}
			if t != "" {
				last := len(segments) - 1
				segments[last] = append(segments[last], piece{text: t})
			}
		}
	}
	return segments
}

// hopeless reports a pattern that no clean path can match.
func hopeless(segments [][]piece) bool {
	for _, s := range segments {
		if len(s) == 0 || isText(s, ".") || isText(s, "..") {
			return true
		}
	}
	return false
}

func isText(segment []piece, text string) bool {
	return len(segment) == 1 && segment[0].of == noVariable && segment[0].text == text
}

func isLiteral(segment []piece) bool {
	for _, p := range segment {
		if strings.Contains(p.text, "*") {
			return false
		}
	}
	return true
}

// plainForm finds the common form of a glob whose only special character is "*".
func (g *pubGlob) plainForm(segments [][]piece) bool {
	rest, anywhere, below := segments, false, false
	if len(rest) > 0 && isText(rest[0], "**") {
		rest, anywhere = rest[1:], true
	}
	if len(rest) > 0 && isText(rest[len(rest)-1], "**") {
		rest, below = rest[:len(rest)-1], true
	}
	if len(rest) == 0 {
		if anywhere && !below {
			g.form = formAll
		}
		return g.form == formAll
	}
	last, literals := rest[len(rest)-1], rest
	star := !isLiteral(last)
	if star {
		literals = rest[:len(rest)-1]
	}
	for _, s := range literals {
		if !isLiteral(s) {
			return false
		}
	}
	if star {
		if below || anywhere && len(literals) > 0 || len(last) != 1 || strings.Count(last[0].text, "*") != 1 {
			return false
		}
		g.head, g.tail, _ = strings.Cut(last[0].text, "*")
		switch {
		case anywhere && g.head == "" && g.tail == "":
			g.form = formBelow
		case anywhere:
			g.form = formAnyChild
		default:
			g.form = formChild
		}
	} else {
		switch {
		case anywhere && below:
			g.form = formWithin
		case anywhere:
			g.form = formSuffix
		case below:
			g.form = formUnder
		default: // one of several alternatives
			g.form = formExact
		}
	}
	g.lit = joinSegments(literals)
	return true
}

// pathForm compiles a glob whose {...} were written out. It gives up on a class that a template stands in.
func (g *pubGlob) pathForm(pieces []piece) bool {
	b := pathBuilder{pathGlob: pathGlob{personal: g.personal, hidden: true}}
	for k, piece := range pieces {
		if piece.of != noVariable {
			b.token(token{piece: piece})
			continue
		}
		for i := 0; i < len(piece.text); i++ {
			switch c := piece.text[i]; c {
			case '/':
				b.slash()
			case '*':
				rest := piece.text[i+1:]
				if b.atStart() && (rest == "*" && k+1 == len(pieces) || strings.HasPrefix(rest, "*/")) {
					b.all()
					i++
					continue
				}
				b.star()
			case '?':
				b.token(token{kind: tokenAny})
			case '[':
				negated, spans, next, err := parseClass(piece.text, i+1)
				if err != nil {
					return false
				}
				b.token(token{kind: tokenClass, class: newClass(negated, spans)})
				i = next - 1
			case '\\':
				if i++; i == len(piece.text) {
					return false
				}
				b.text(piece.text[i : i+1])
			default:
				b.text(piece.text[i : i+1])
			}
		}
	}
	g.form, g.path = formPath, b.glob()
	return true
}

// joinSegments puts segments together again.
func joinSegments(segments [][]piece) []piece {
	var all []piece
	for i, s := range segments {
		if i > 0 {
			all = append(all, piece{text: "/"})
		}
		all = append(all, s...)
	}
	return joinText(all)
}
