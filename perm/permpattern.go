package perm

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

const userEmail = "{useremail}"

var (
	errPermSpecial  = errors.New("[ ] { } and \\ cannot be used here, except as {useremail}")
	errPermUp       = errors.New("the path holds a \"..\"")
	errPermAbsolute = errors.New("the path begins with a slash; write it relative to the folder of this file")
	errPermEmail    = errors.New("{useremail} stands after a **")
)

// permGlob is a path of syftperm.yaml. Wildcards do not match a name that begins with a dot.
type permGlob struct {
	segments []permSegment
	deep     int // how many segments are **
	hopeless bool
	personal bool
}

type permSegment struct {
	deep bool    // **
	wild bool    // holds a wildcard
	toks []piece // text "*" and "?" with wild are the wildcards; everything else is literal
}

func (g *permGlob) never() bool    { return g.hopeless }
func (g *permGlob) usesDate() bool { return false }
func (g *permGlob) usesUser() bool { return g.personal }

func compilePermGlob(pattern string) (*permGlob, error) {
	switch {
	case pattern == "":
		return nil, errEmptyPattern
	case pattern[0] == '/':
		return nil, errPermAbsolute
	case strings.ContainsAny(strings.ReplaceAll(pattern, userEmail, ""), `[]{}\`):
		return nil, errPermSpecial
	}
	if at := strings.LastIndex(pattern, userEmail); at >= 0 && strings.Contains(pattern[:at], "**") {
		return nil, errPermEmail
	}
	g := &permGlob{personal: strings.Contains(pattern, userEmail)}
	for s := range strings.SplitSeq(pattern, "/") {
		switch s {
		case "..":
			return nil, errPermUp
		case "", ".":
			g.hopeless = true
		case "**":
			g.deep++
			g.segments = append(g.segments, permSegment{deep: true})
		default:
			g.segments = append(g.segments, parsePermSegment(s))
		}
	}
	return g, nil
}

func parsePermSegment(s string) permSegment {
	var seg permSegment
	for s != "" {
		switch {
		case s[0] == '*' || s[0] == '?':
			seg.wild = true
			if n := len(seg.toks); s[0] == '?' || n == 0 || !seg.toks[n-1].isStar() { // "**" glued to something is "*"
				seg.toks = append(seg.toks, piece{text: s[:1], of: noVariable, fn: wildcard})
			}
			s = s[1:]
		case strings.HasPrefix(s, userEmail):
			seg.toks = append(seg.toks, piece{of: varEmail})
			s = s[len(userEmail):]
		default:
			n := strings.IndexAny(s, "*?{")
			if n < 0 {
				n = len(s)
			}
			seg.toks = append(seg.toks, piece{text: s[:n]})
			s = s[n:]
		}
	}
	return seg
}

// wildcard marks the pieces "*" and "?" of a syftperm.yaml path.
const wildcard function = 255

func (p piece) isStar() bool { return p.fn == wildcard && p.text == "*" }
func (p piece) isAny() bool  { return p.fn == wildcard && p.text == "?" }

func (g *permGlob) match(rel string, v *vars) bool {
	if rel == "" || g.hopeless || g.personal && v.user.nobody() {
		return false // the folder itself is not covered by its own file
	}
	switch {
	case g.deep == 0:
		rest, ok := g.matchFront(g.segments, rel, v)
		return ok && rest == ""
	case g.deep == 1:
		return g.matchOneDeep(rel, v)
	}
	return g.matchDeep(strings.Split(rel, "/"), v)
}

// matchFront matches segments one to one and gives what is left of rel, without the slash.
func (g *permGlob) matchFront(segments []permSegment, rel string, v *vars) (rest string, ok bool) {
	for i := range segments {
		if rel == "" {
			return "", false
		}
		name, after, _ := strings.Cut(rel, "/")
		if !segments[i].match(name, v) {
			return "", false
		}
		rel = after
	}
	return rel, true
}

// matchOneDeep is the common case: what stands before the ** from the front, what stands behind from the back.
func (g *permGlob) matchOneDeep(rel string, v *vars) bool {
	at := slices.IndexFunc(g.segments, func(s permSegment) bool { return s.deep })
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
		if !tail[i].match(middle[cut+1:], v) {
			return false
		}
		middle = middle[:max(cut, 0)]
	}
	if middle == "" {
		return len(tail) > 0 // a/** needs something below a
	}
	return middle[0] != '.' && !strings.Contains(middle, "/.")
}

// matchDeep follows every way that several ** can share the names, one pattern segment at a time.
func (g *permGlob) matchDeep(names []string, v *vars) bool {
	reached := make([]bool, len(names)+1) // reached[n]: the segments so far can match the first n names
	next := make([]bool, len(names)+1)
	reached[0] = true
	for i, s := range g.segments {
		clear(next)
		for n, ok := range reached {
			if !ok {
				continue
			}
			if !s.deep {
				if n < len(names) && s.match(names[n], v) {
					next[n+1] = true
				}
				continue
			}
			if i+1 < len(g.segments) {
				next[n] = true
			}
			for k := n; k < len(names) && names[k][0] != '.'; k++ {
				next[k+1] = true
			}
		}
		reached, next = next, reached
	}
	return reached[len(names)]
}

// match compares one name with a segment that is not **.
func (s *permSegment) match(name string, v *vars) bool {
	if s.wild && s.toks[0].fn == wildcard && name[0] == '.' {
		return false
	}
	star, back := -1, 0 // the last * and where the name stood
	i := 0
	rest := name
	for {
		if i < len(s.toks) {
			t := s.toks[i]
			switch {
			case t.isStar():
				star, back = i, len(name)-len(rest)
				i++
				continue
			case t.isAny():
				if rest != "" {
					_, n := utf8.DecodeRuneInString(rest)
					rest = rest[n:]
					i++
					continue
				}
			default:
				if after, ok := strings.CutPrefix(rest, t.value(v)); ok {
					rest = after
					i++
					continue
				}
			}
		} else if rest == "" {
			return true
		}
		if star < 0 || back >= len(name) {
			return false
		}
		_, n := utf8.DecodeRuneInString(name[back:])
		back += n
		rest, i = name[back:], star+1
	}
}
