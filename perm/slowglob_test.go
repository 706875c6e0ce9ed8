package perm_test

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openmined/syftfs/perm"
)

// The slow matcher: what permissions.md, sections 2.2, 2.3 and 3.2, says about patterns, read by recursion over runes. It
// shares nothing with the package.

// mark is one element of a pattern: a character, or what stands for characters.
type mark struct {
	kind byte // 'c' a character, '*', '?', '[' a class, '/', and of alternatives '{', ',' and '}'
	char rune
	in   func(rune) bool
}

var slowTemplate = regexp.MustCompile(`\{\{[ \t]*(?:(upper|lower|sha2)[ \t]+)?\.(UserEmail|UserHash|Year|Month|Date)(?:[ \t]+([0-9]+))?[ \t]*\}\}`)

func slowSum(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }

// slowInsert gives the text of one template.
func slowInsert(function, variable, digits string, u perm.User, now time.Time) string {
	now = now.UTC()
	text := map[string]string{
		"UserEmail": string(u), "UserHash": slowSum(string(u))[:16],
		"Year": now.Format("2006"), "Month": now.Format("01"), "Date": now.Format("02"),
	}[variable]
	switch function {
	case "upper":
		return strings.ToUpper(text)
	case "lower":
		return strings.ToLower(text)
	case "sha2":
		n := 64
		if digits != "" {
			n, _ = strconv.Atoi(digits)
			if n == 0 {
				n = 16
			}
		}
		return slowSum(text)[:min(n, 64)]
	}
	return text
}

// slowText cuts a pattern into text and inserted text, alternately.
func slowText(pattern string, u perm.User, now time.Time) (parts []string, personal bool) {
	at := 0
	for _, m := range slowTemplate.FindAllStringSubmatchIndex(pattern, -1) {
		group := func(i int) string {
			if m[2*i] < 0 {
				return ""
			}
			return pattern[m[2*i]:m[2*i+1]]
		}
		personal = personal || strings.HasPrefix(group(2), "User")
		parts = append(parts, pattern[at:m[0]], slowInsert(group(1), group(2), group(3), u, now))
		at = m[1]
	}
	return append(parts, pattern[at:]), personal
}

// slowPub tells whether a valid pattern of syft.pub.yaml covers rel for u.
func slowPub(pattern, rel string, u perm.User, now time.Time) bool {
	if rel == "" {
		return pattern == "**"
	}
	parts, personal := slowText(pattern, u, now)
	if personal && slowNobody(u) {
		return false
	}
	outside := ""
	for i := 0; i < len(parts); i += 2 {
		outside += parts[i]
	}
	if !strings.ContainsAny(outside, "*?[") {
		return strings.Join(parts, "") == rel
	}
	var marks []mark
	for i, p := range parts {
		if i%2 == 1 {
			marks = append(marks, slowChars(p)...)
		} else {
			marks = append(marks, slowMarks(p)...)
		}
	}
	for _, one := range slowAlternatives(marks) {
		if slowSegments(slowSplit(one), strings.Split(rel, "/")) {
			return true
		}
	}
	return false
}

func slowNobody(u perm.User) bool { return u == "" || u == perm.Anonymous }

func slowChars(s string) []mark {
	var out []mark
	for _, c := range s {
		out = append(out, mark{kind: 'c', char: c})
	}
	return out
}

// slowMarks reads the text of a glob.
func slowMarks(s string) []mark {
	var out []mark
	r := []rune(s)
	for i := 0; i < len(r); i++ {
		switch c := r[i]; c {
		case '\\':
			i++
			out = append(out, mark{kind: 'c', char: r[i]})
		case '[':
			end, in := slowClass(r, i+1)
			out = append(out, mark{kind: '[', in: in})
			i = end
		case '*', '?', '/', '{', '}', ',':
			out = append(out, mark{kind: byte(c), char: c})
		default:
			out = append(out, mark{kind: 'c', char: c})
		}
	}
	return out
}

// slowClass reads a class from behind its bracket, and gives the place of the closing one.
func slowClass(r []rune, i int) (end int, in func(rune) bool) {
	negated := r[i] == '!' || r[i] == '^'
	if negated {
		i++
	}
	var ranges [][2]rune
	for r[i] != ']' {
		char := func() rune {
			if r[i] == '\\' {
				i++
			}
			i++
			return r[i-1]
		}
		lo := char()
		hi := lo
		if r[i] == '-' && r[i+1] != ']' {
			i++
			hi = char()
		}
		ranges = append(ranges, [2]rune{lo, hi})
	}
	return i, func(c rune) bool {
		found := false
		for _, x := range ranges {
			found = found || c == x[0] || x[0] <= c && c <= x[1] // of a range that is the wrong way round the first counts
		}
		return c != '/' && found != negated
	}
}

// slowAlternatives writes out {x,y}. A comma outside is a character.
func slowAlternatives(p []mark) [][]mark {
	for i := range p {
		if p[i].kind != '{' {
			continue
		}
		depth, from := 0, i+1
		var choices [][]mark
		for j := i; ; j++ {
			switch {
			case p[j].kind == '{':
				depth++
			case p[j].kind == ',' && depth == 1:
				choices = append(choices, p[from:j])
				from = j + 1
			case p[j].kind == '}':
				depth--
			}
			if depth > 0 {
				continue
			}
			choices = append(choices, p[from:j])
			var all [][]mark
			for _, c := range choices {
				whole := append(append(append([]mark(nil), p[:i]...), c...), p[j+1:]...)
				all = append(all, slowAlternatives(whole)...)
			}
			return all
		}
	}
	return [][]mark{p}
}

func slowSplit(p []mark) [][]mark {
	segments := [][]mark{nil}
	for _, m := range p {
		if m.kind == '/' {
			segments = append(segments, nil)
			continue
		}
		segments[len(segments)-1] = append(segments[len(segments)-1], m)
	}
	return segments
}

func slowDeep(s []mark) bool { return len(s) == 2 && s[0].kind == '*' && s[1].kind == '*' }

// slowSegments matches segments of syft.pub.yaml with names.
func slowSegments(p [][]mark, names []string) bool {
	switch {
	case len(p) == 0:
		return len(names) == 0
	case slowDeep(p[0]):
		return slowSegments(p[1:], names) || len(names) > 0 && slowSegments(p, names[1:])
	}
	return len(names) > 0 && slowName(p[0], names[0]) && slowSegments(p[1:], names[1:])
}

func slowName(p []mark, name string) bool {
	if len(p) == 0 {
		return name == ""
	}
	if p[0].kind == '*' {
		if slowName(p[1:], name) {
			return true
		}
		if name == "" {
			return false
		}
		_, n := utf8.DecodeRuneInString(name)
		return slowName(p, name[n:])
	}
	if name == "" {
		return false
	}
	c, n := utf8.DecodeRuneInString(name)
	ok := p[0].kind == '?' || p[0].kind == '[' && p[0].in(c) || p[0].kind != '?' && p[0].kind != '[' && p[0].char == c
	return ok && slowName(p[1:], name[n:])
}

// slowPerm tells whether a valid path of syftperm.yaml covers rel for u.
func slowPerm(pattern, rel string, u perm.User) bool {
	if rel == "" || strings.Contains(pattern, "{useremail}") && slowNobody(u) {
		return false
	}
	var marks []mark
	for i, text := range strings.Split(pattern, "{useremail}") {
		if i > 0 {
			marks = append(marks, slowChars(string(u))...)
		}
		for _, c := range text {
			if c == '*' || c == '?' || c == '/' {
				marks = append(marks, mark{kind: byte(c)})
			} else {
				marks = append(marks, mark{kind: 'c', char: c})
			}
		}
	}
	return slowPermSegments(slowSplit(marks), strings.Split(rel, "/"))
}

func slowPermSegments(p [][]mark, names []string) bool {
	switch {
	case len(p) == 0:
		return len(names) == 0
	case slowDeep(p[0]) && len(p) == 1: // needs something below
		return len(names) > 0 && names[0][0] != '.' && (len(names) == 1 || slowPermSegments(p, names[1:]))
	case slowDeep(p[0]):
		return slowPermSegments(p[1:], names) || len(names) > 0 && names[0][0] != '.' && slowPermSegments(p, names[1:])
	case len(p[0]) == 0 || len(names) == 0:
		return false
	case names[0][0] == '.' && p[0][0].kind != 'c':
		return false
	}
	return slowName(p[0], names[0]) && slowPermSegments(p[1:], names[1:])
}

// slowScore is the table of section 2.5.
func slowScore(pattern string) int {
	if pattern == "**" {
		return -100
	}
	if pattern == "**/*" {
		return -99
	}
	n := 2*len(pattern) + 10*strings.Count(pattern, "/") - 10*strings.Count(pattern, "*")
	for _, c := range []string{"?", "!", "[", "{"} {
		n -= 2 * strings.Count(pattern, c)
	}
	if strings.HasPrefix(pattern, "*") {
		n -= 10
	}
	if strings.Contains(pattern, "{{") && strings.Contains(pattern, "}}") {
		n += 50
	}
	return n
}
