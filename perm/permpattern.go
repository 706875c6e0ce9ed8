package perm

import (
	"errors"
	"strings"
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
	path     *pathGlob
	hopeless bool
}

func (g *permGlob) never() bool    { return g.hopeless }
func (g *permGlob) usesDate() bool { return false }
func (g *permGlob) usesUser() bool { return g.path.personal }
func (g *permGlob) written() int   { return 0 }

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
	g := &permGlob{}
	b := pathBuilder{pathGlob: pathGlob{personal: strings.Contains(pattern, userEmail)}}
	for i, s := range strings.Split(pattern, "/") {
		if i > 0 {
			b.slash()
		}
		switch s {
		case "..":
			return nil, errPermUp
		case "", ".":
			g.hopeless = true
		case "**":
			b.all()
		default:
			b.permName(s)
		}
	}
	g.path = b.glob()
	return g, nil
}

// permName adds the parts of a segment that is not **.
func (b *pathBuilder) permName(s string) {
	for s != "" {
		n := 1
		switch {
		case s[0] == '*':
			b.star()
		case s[0] == '?':
			b.token(token{kind: tokenAny})
		case strings.HasPrefix(s, userEmail):
			b.token(token{piece: piece{of: varEmail}})
			n = len(userEmail)
		default:
			if n = strings.IndexAny(s, "*?{"); n < 0 {
				n = len(s)
			}
			b.text(s[:n])
		}
		s = s[n:]
	}
}

func (g *permGlob) gate() gate {
	if g.hopeless {
		return gate{slashes: anyDepth}
	}
	return g.path.gate()
}

func (g *permGlob) match(rel string, v *vars) bool {
	if rel == "" || g.hopeless || g.path.personal && v.user.nobody() {
		return false // the folder itself is not covered by its own file
	}
	return g.path.match(rel, v)
}
