package perm

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"
)

var (
	errEmptyPattern = errors.New("the pattern is empty")
	errGlob         = errors.New("the pattern is not a valid glob: check [...], {...} and \\")
	errEscape       = errors.New("a \\ stands right before a template; what it means would depend on the text put in")
	errAlternatives = errors.New("the {...} of the pattern stand for more than 1,000 patterns, or for very long ones; write fewer alternatives")
)

// compileUserGlob compiles an entry such as "*@x.org"; templates mean nothing there.
func compileUserGlob(entry string) (*pubGlob, error) {
	pieces := []piece{{text: entry}}
	if err := checkGlob(pieces); err != nil {
		return nil, err
	}
	g := &pubGlob{}
	g.compileGlob(pieces)
	return g, nil
}

// matcher is a compiled pattern.
type matcher interface {
	// match tells whether the pattern covers rel, a clean path relative to the folder of the rule file, "" for that folder.
	match(rel string, v *vars) bool
	never() bool // matches nothing, whatever is asked
	usesDate() bool
	usesUser() bool // covers other paths for other users
	gate() gate
	written() int // the memory that writing out its {...} took, in bytes, about
}

func compile(kind Kind, pattern string) (matcher, error) {
	if kind == KindPerm {
		return compilePermGlob(pattern)
	}
	return compilePubGlob(pattern)
}

// CheckPattern tells what is wrong with a pattern for a rule file of that kind. A nil error does not mean that it can match
// anything: see Matchless.
func CheckPattern(kind Kind, pattern string) error {
	_, err := compile(kind, pattern)
	return err
}

// Matchless reports whether a pattern that loads can match nothing, because of a leading, trailing or doubled slash or a
// "." or ".." segment. Nobody should write one.
func Matchless(kind Kind, pattern string) bool {
	m, err := compile(kind, pattern)
	return err == nil && m.never()
}

// Score tells how specific a pattern of syft.pub.yaml is: of the rules of one file that match a path, the one with the
// highest score decides, the first among equals.
func Score(pattern string) int {
	switch pattern {
	case "**":
		return -100
	case "**/*":
		return -99
	}
	score := 2*len(pattern) + 10*strings.Count(pattern, "/")
	if strings.Contains(pattern, "{{") && strings.Contains(pattern, "}}") {
		score += 50
	}
	for i := range len(pattern) {
		switch pattern[i] {
		case '*':
			if score -= 10; i == 0 {
				score -= 10
			}
		case '?', '!', '[', '{':
			score -= 2
		}
	}
	return score
}

// pubGlob is a pattern of syft.pub.yaml.
type pubGlob struct {
	form       form
	lit        []piece // the literal part of the common forms
	head, tail string
	path       *pathGlob
	any        []*pubGlob
	size       int // of any, when it was written out
	dated      bool
	personal   bool // holds a template of the user
}

func (g *pubGlob) never() bool    { return g.form == formNever }
func (g *pubGlob) usesDate() bool { return g.dated }
func (g *pubGlob) usesUser() bool { return g.personal }
func (g *pubGlob) written() int   { return g.size }

func compilePubGlob(pattern string) (*pubGlob, error) {
	if pattern == "" {
		return nil, errEmptyPattern
	}
	pieces, err := splitTemplates(pattern)
	if err != nil {
		return nil, err
	}
	g := &pubGlob{}
	for _, p := range pieces {
		g.dated = g.dated || p.ofDate()
		g.personal = g.personal || p.ofUser()
	}
	isGlob := strings.ContainsAny(textOf(pieces), "*?[") // what is put in does not count
	if isGlob {
		if err := checkGlob(pieces); err != nil {
			return nil, err
		}
	}
	if isGlob {
		g.compileGlob(pieces)
		return g, nil
	}
	g.form, g.lit = formExact, pieces
	if hopeless(splitSegments(pieces)) {
		g.form = formNever
	}
	return g, nil
}

// checkGlob validates a glob, with a stand-in where templates insert text.
func checkGlob(pieces []piece) error {
	var b strings.Builder
	for i, p := range pieces {
		if p.of != noVariable {
			b.WriteString("x")
			continue
		}
		if slashes := len(p.text) - len(strings.TrimRight(p.text, `\`)); slashes%2 == 1 && i+1 < len(pieces) {
			return errEscape
		}
		b.WriteString(p.text)
	}
	if !doublestar.ValidatePattern(b.String()) {
		return errGlob
	}
	if _, err := tameClasses(b.String()); err != nil {
		return err
	}
	if n := alternativesOf(splitBraces(pieces)); n > maxAlternatives || written(n, b.Len()) > maxWritten {
		return errAlternatives
	}
	return nil
}

func (g *pubGlob) match(rel string, v *vars) bool {
	if g.personal && v.user.nobody() {
		return false // there is no text to put in
	}
	switch g.form {
	case formExact:
		rest, ok := cutLiteral(rel, g.lit, v)
		return ok && rest == ""
	case formAll:
		return true
	case formBelow:
		return rel != ""
	case formUnder:
		rest, ok := cutLiteral(rel, g.lit, v)
		return ok && (rest == "" || rest[0] == '/')
	case formSuffix:
		return endsWithSegments(rel, literal(g.lit, v))
	case formWithin:
		return hasSegments(rel, literal(g.lit, v))
	case formChild:
		if len(g.lit) > 0 {
			rest, ok := cutLiteral(rel, g.lit, v)
			if !ok || rest == "" || rest[0] != '/' {
				return false
			}
			rel = rest[1:]
		}
		return rel != "" && strings.IndexByte(rel, '/') < 0 && g.wraps(rel)
	case formAnyChild:
		rel = rel[strings.LastIndexByte(rel, '/')+1:]
		return rel != "" && g.wraps(rel)
	case formPath:
		return rel != "" && g.path.match(rel, v)
	case formAny:
		return rel != "" && slices.ContainsFunc(g.any, func(one *pubGlob) bool { return one.match(rel, v) })
	case formGlob:
		return g.matchGlob(rel, v)
	}
	return false
}

func (g *pubGlob) wraps(name string) bool {
	return len(name) >= len(g.head)+len(g.tail) && strings.HasPrefix(name, g.head) && strings.HasSuffix(name, g.tail)
}

// matchGlob asks the glob library, which takes U+FFFD in a pattern for any byte that is not UTF-8.
func (g *pubGlob) matchGlob(rel string, v *vars) bool {
	if rel == "" || !utf8.ValidString(rel) {
		return false
	}
	var b strings.Builder
	for _, p := range g.lit {
		if p.of == noVariable {
			b.WriteString(p.text)
		} else {
			b.WriteString(escape(p.value(v)))
		}
	}
	glob, err := tameClasses(b.String())
	if err != nil {
		return false
	}
	ok, err := doublestar.Match(glob, rel)
	return ok && err == nil
}

// literal is the text of pieces with the templates put in.
func literal(pieces []piece, v *vars) string {
	if len(pieces) == 1 {
		return pieces[0].value(v)
	}
	var b strings.Builder
	for _, p := range pieces {
		b.WriteString(p.value(v))
	}
	return b.String()
}

// cutLiteral takes the literal from the front of rel.
func cutLiteral(rel string, pieces []piece, v *vars) (rest string, ok bool) {
	for _, p := range pieces {
		if rel, ok = strings.CutPrefix(rel, p.value(v)); !ok {
			return "", false
		}
	}
	return rel, true
}

func endsWithSegments(rel, lit string) bool {
	if !strings.HasSuffix(rel, lit) {
		return false
	}
	before := len(rel) - len(lit)
	return before == 0 || rel[before-1] == '/'
}

// hasSegments reports whether lit stands in rel as whole segments.
func hasSegments(rel, lit string) bool {
	for from := 0; ; {
		i := strings.Index(rel[from:], lit)
		if i < 0 {
			return false
		}
		i += from
		end := i + len(lit)
		if (i == 0 || rel[i-1] == '/') && (end == len(rel) || rel[end] == '/') {
			return true
		}
		from = i + 1
	}
}

// wrongPattern names the rule in an error.
func wrongPattern(pattern string, err error) error {
	return fmt.Errorf("pattern %q: %w", clip(pattern), err)
}
