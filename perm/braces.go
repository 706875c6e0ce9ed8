package perm

import (
	"slices"
	"strings"
)

// maxAlternatives bounds the patterns that one with {...} stands for. They are written out when a file is read; maxWritten
// bounds the memory that this takes, in bytes, about.
const (
	maxAlternatives = 1000
	maxWritten      = 16 << 20
)

// written is the memory that a glob of that length takes when it is written out, 0 if there is nothing to write out.
func written(alternatives, length int) int {
	const each = 200
	if alternatives == 1 {
		return 0
	}
	return alternatives * (each + length)
}

// brace is a part of a glob: text or a template, or one of "{", "," and "}" that make alternatives.
type brace struct {
	piece
	mark byte // 0 for a piece
}

// splitBraces finds the alternatives of a valid glob. Braces in classes and behind a "\" are text, and so is a comma outside
// of braces.
func splitBraces(pieces []piece) []brace {
	var out []brace
	depth, inClass := 0, false // a class may go on behind a template
	for _, p := range pieces {
		if p.of != noVariable {
			out = append(out, brace{piece: p})
			continue
		}
		from := 0
		text := func(to int) {
			if from < to {
				out = append(out, brace{piece: piece{text: p.text[from:to]}})
			}
			from = to
		}
		for i := 0; i < len(p.text); i++ {
			c := p.text[i]
			switch {
			case c == '\\':
				i++
			case inClass:
				inClass = c != ']'
			case c == '[':
				if _, _, next, err := parseClass(p.text, i+1); err == nil {
					i = next - 1
				} else {
					inClass = true
				}
			case c == '{' || depth > 0 && (c == ',' || c == '}'):
				if c == '{' {
					depth++
				} else if c == '}' {
					depth--
				}
				text(i)
				from = i + 1
				out = append(out, brace{mark: c})
			}
		}
		text(len(p.text))
	}
	return out
}

// alternativesOf counts the patterns that a glob stands for, up to a little over maxAlternatives.
func alternativesOf(all []brace) int {
	type level struct{ sum, product int } // of the alternatives so far; of this one
	stack := []level{{product: 1}}
	for _, b := range all {
		top := &stack[len(stack)-1]
		switch b.mark {
		case '{':
			stack = append(stack, level{product: 1})
		case ',':
			top.sum = min(top.sum+top.product, maxAlternatives+1)
			top.product = 1
		case '}':
			n := top.sum + top.product
			stack = stack[:len(stack)-1]
			outer := &stack[len(stack)-1]
			outer.product = min(outer.product*n, maxAlternatives+1)
		}
	}
	return stack[0].product
}

// writeOut gives the patterns that a glob stands for, in order.
func writeOut(all []brace) [][]piece {
	type level struct{ done, open [][]piece } // alternatives that have ended; all forms of the one that goes on
	stack := []level{{open: [][]piece{nil}}}
	for _, b := range all {
		top := &stack[len(stack)-1]
		switch b.mark {
		case 0:
			for i := range top.open {
				top.open[i] = append(top.open[i], b.piece)
			}
		case '{':
			stack = append(stack, level{open: [][]piece{nil}})
		case ',':
			top.done, top.open = append(top.done, top.open...), [][]piece{nil}
		case '}':
			ends := append(top.done, top.open...)
			stack = stack[:len(stack)-1]
			outer := &stack[len(stack)-1]
			var open [][]piece
			for _, begin := range outer.open {
				for _, end := range ends {
					open = append(open, slices.Concat(begin, end)) // which nothing else refers to
				}
			}
			outer.open = open
		}
	}
	forms := stack[0].open
	for i := range forms {
		forms[i] = joinText(forms[i])
	}
	return forms
}

// textOf is the text outside of templates.
func textOf(pieces []piece) string {
	var b strings.Builder
	for _, p := range pieces {
		b.WriteString(p.text)
	}
	return b.String()
}

// joinText makes one piece of neighbouring text.
func joinText(pieces []piece) []piece {
	var out []piece
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			out = append(out, piece{text: text.String()})
			text.Reset()
		}
	}
	for _, p := range pieces {
		if p.of == noVariable {
			text.WriteString(p.text)
			continue
		}
		flush()
		out = append(out, p)
	}
	flush()
	return out
}
