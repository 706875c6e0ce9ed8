package perm

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// vars are the values that templates may insert, of one request.
type vars struct {
	user User
	now  time.Time // UTC
	hash string    // of user, once it was asked for
}

func (v *vars) userHash() string {
	if v.hash == "" {
		v.hash = hexHash(string(v.user))
	}
	return v.hash
}

type variable uint8

const (
	noVariable variable = iota
	varEmail
	varHash
	varYear
	varMonth
	varDate
)

var variables = map[string]variable{"UserEmail": varEmail, "UserHash": varHash, "Year": varYear, "Month": varMonth, "Date": varDate}

type function uint8

const (
	asIs function = iota
	upper
	lower
	sha2
)

var functions = map[string]function{"upper": upper, "lower": lower, "sha2": sha2}

const hashDigits = 16 // of {{.UserHash}}, and of sha2 with 0

// piece is a stretch of literal text or one template.
type piece struct {
	text   string
	of     variable
	fn     function
	digits int // sha2 only
}

func (p piece) ofUser() bool { return p.of == varEmail || p.of == varHash }
func (p piece) ofDate() bool { return p.of >= varYear }

// value is the text to insert; it is literal, never glob syntax.
func (p piece) value(v *vars) string {
	var s string
	switch p.of {
	case noVariable:
		return p.text
	case varEmail:
		s = string(v.user)
	case varHash:
		s = v.userHash()[:hashDigits]
	case varYear:
		s = fmt.Sprintf("%04d", v.now.Year())
	case varMonth:
		s = fmt.Sprintf("%02d", int(v.now.Month()))
	case varDate:
		s = fmt.Sprintf("%02d", v.now.Day())
	}
	switch p.fn {
	case upper:
		return strings.ToUpper(s)
	case lower:
		return strings.ToLower(s)
	case sha2:
		return hexHash(s)[:p.digits]
	}
	return s
}

func hexHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

var errTemplate = errors.New("unknown template; allowed are {{.UserEmail}}, {{.UserHash}}, {{.Year}}, {{.Month}} and {{.Date}}, with upper, lower or sha2 before the variable")

// splitTemplates cuts a pattern of syft.pub.yaml into text and templates.
func splitTemplates(pattern string) ([]piece, error) {
	if !strings.Contains(pattern, "{{") || !strings.Contains(pattern, "}}") {
		return []piece{{text: pattern}}, nil
	}
	var pieces []piece
	for rest := pattern; rest != ""; {
		text, after, found := strings.Cut(rest, "{{")
		if text != "" {
			pieces = append(pieces, piece{text: text})
		}
		if !found {
			break
		}
		inside, behind, closed := strings.Cut(after, "}}")
		if !closed {
			return nil, errTemplate
		}
		p, err := parseTemplate(inside)
		if err != nil {
			return nil, err
		}
		pieces = append(pieces, p)
		rest = behind
	}
	return pieces, nil
}

// parseTemplate reads what stands between the braces: ".X", "f .X" or "sha2 .X n".
func parseTemplate(inside string) (piece, error) {
	words := strings.FieldsFunc(inside, func(r rune) bool { return r == ' ' || r == '\t' })
	var p piece
	if len(words) > 1 {
		if p.fn = functions[words[0]]; p.fn == asIs {
			return piece{}, errTemplate
		}
		words = words[1:]
	}
	if len(words) == 0 || !strings.HasPrefix(words[0], ".") {
		return piece{}, errTemplate
	}
	if p.of = variables[words[0][1:]]; p.of == noVariable {
		return piece{}, errTemplate
	}
	p.digits = 2 * sha256.Size
	switch {
	case len(words) == 1:
	case len(words) == 2 && p.fn == sha2:
		n, err := strconv.ParseUint(words[1], 10, 8)
		if err != nil {
			return piece{}, fmt.Errorf("sha2 takes a number from 0 to 255, not %q", clip(words[1]))
		}
		if p.digits = min(int(n), p.digits); n == 0 {
			p.digits = hashDigits
		}
	default:
		return piece{}, errTemplate
	}
	return p, nil
}
