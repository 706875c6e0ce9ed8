package driveserver

import (
	"errors"
	"slices"
	"strings"
	"time"
)

// The grammar of q, by rank: or, and, not, a term. Terms know which operators and values each field takes, so that what parses can be
// evaluated without errors.

const (
	maxQueryLength = 30 << 10
	maxQueryDepth  = 64
)

var errQuery = errors.New("bad query")

// node is a part of a query.
type node interface{ match(*matcher, *item) bool }

type (
	andNode []node
	orNode  []node
	notNode struct{ node }

	// fieldNode compares a text or true and false: field op value.
	fieldNode struct{ field, op, value string }
	// timeNode compares a time in milliseconds.
	timeNode struct {
		field, op string
		at        int64
	}
	// inNode is 'value' in collection.
	inNode struct{ value, collection string }
	// hasNode is properties has {key=… and value=…}.
	hasNode struct{ field, key, value string }
)

// operators of each field; inNode and hasNode have their own syntax.
var operators = map[string][]string{
	"name": {"contains", "=", "!="}, "fullText": {"contains"}, "mimeType": {"contains", "=", "!="},
	"createdTime": timeOperators, "modifiedTime": timeOperators, "viewedByMeTime": timeOperators,
	"trashed": {"=", "!="}, "starred": {"=", "!="}, "sharedWithMe": {"=", "!="},
	"visibility": {"=", "!="}, "shortcutDetails.targetId": {"=", "!="},
}

var (
	timeOperators = []string{"<=", "<", "=", "!=", ">", ">="}
	visibilities  = []string{"anyoneCanFind", "anyoneWithLink", "domainCanFind", "domainWithLink", "limited"}
	collections   = []string{"parents", "owners", "writers", "readers"}
)

// parseQuery reads q; nil means everything.
func parseQuery(q string) (node, error) {
	if len(q) > maxQueryLength {
		return nil, errQuery
	}
	tokens, err := lex(q)
	if err != nil || len(tokens) == 0 {
		return nil, err
	}
	p := &queryParser{tokens: tokens}
	n, err := p.or(0)
	if err == nil && len(p.tokens) > 0 {
		err = errQuery
	}
	if err != nil {
		return nil, err
	}
	return n, nil
}

// lexeme is a word, an operator, or a quoted text.
type lexeme struct {
	text   string
	quoted bool
}

func lex(q string) ([]lexeme, error) {
	var out []lexeme
	for {
		q = strings.TrimLeft(q, " \t\r\n")
		if q == "" {
			return out, nil
		}
		switch c := q[0]; {
		case c == '\'':
			text, rest, err := unquote(q[1:])
			if err != nil {
				return nil, err
			}
			out, q = append(out, lexeme{text, true}), rest
		case strings.IndexByte("(){}", c) >= 0:
			out, q = append(out, lexeme{text: q[:1]}), q[1:]
		case strings.IndexByte("=!<>", c) >= 0:
			n := 1
			if len(q) > 1 && q[1] == '=' && c != '=' {
				n = 2
			}
			out, q = append(out, lexeme{text: q[:n]}), q[n:]
		default:
			n := strings.IndexFunc(q, func(r rune) bool {
				return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_')
			})
			if n == 0 {
				return nil, errQuery
			}
			if n < 0 {
				n = len(q)
			}
			out, q = append(out, lexeme{text: q[:n]}), q[n:]
		}
	}
}

// unquote reads up to the closing quote; a backslash takes the next character as it is.
func unquote(q string) (text, rest string, err error) {
	var b strings.Builder
	for i := 0; i < len(q); i++ {
		switch q[i] {
		case '\'':
			return b.String(), q[i+1:], nil
		case '\\':
			if i++; i == len(q) {
				return "", "", errQuery
			}
		}
		b.WriteByte(q[i])
	}
	return "", "", errQuery
}

type queryParser struct{ tokens []lexeme }

// word takes the next lexeme if it is this keyword or sign.
func (p *queryParser) word(w string) bool {
	if len(p.tokens) == 0 || p.tokens[0].quoted || !strings.EqualFold(p.tokens[0].text, w) {
		return false
	}
	p.tokens = p.tokens[1:]
	return true
}

func (p *queryParser) next() (lexeme, error) {
	if len(p.tokens) == 0 {
		return lexeme{}, errQuery
	}
	t := p.tokens[0]
	p.tokens = p.tokens[1:]
	return t, nil
}

func (p *queryParser) text() (string, error) {
	t, err := p.next()
	if err != nil || !t.quoted {
		return "", errQuery
	}
	return t.text, nil
}

func (p *queryParser) or(depth int) (node, error) {
	first, err := p.and(depth)
	all := orNode{first}
	for err == nil && p.word("or") {
		var n node
		n, err = p.and(depth)
		all = append(all, n)
	}
	if err != nil {
		return nil, err
	}
	if len(all) == 1 {
		return first, nil
	}
	return all, nil
}

func (p *queryParser) and(depth int) (node, error) {
	first, err := p.not(depth)
	all := andNode{first}
	for err == nil && p.word("and") {
		var n node
		n, err = p.not(depth)
		all = append(all, n)
	}
	if err != nil {
		return nil, err
	}
	if len(all) == 1 {
		return first, nil
	}
	return all, nil
}

func (p *queryParser) not(depth int) (node, error) {
	if depth > maxQueryDepth {
		return nil, errQuery
	}
	if p.word("not") {
		n, err := p.not(depth + 1)
		return notNode{n}, err
	}
	if p.word("(") {
		n, err := p.or(depth + 1)
		if err == nil && !p.word(")") {
			err = errQuery
		}
		return n, err
	}
	return p.term()
}

func (p *queryParser) term() (node, error) {
	t, err := p.next()
	if err != nil {
		return nil, err
	}
	if t.quoted {
		return p.member(t.text)
	}
	field := t.text
	if field == "properties" || field == "appProperties" {
		return p.has(field)
	}
	allowed, ok := operators[field]
	if !ok {
		return nil, errQuery
	}
	op, err := p.next()
	if err != nil || op.quoted {
		return nil, errQuery
	}
	name := lower(op.text)
	if !slices.Contains(allowed, name) {
		return nil, errQuery
	}
	value, err := p.next()
	if err != nil {
		return nil, err
	}
	return comparison(field, name, value)
}

// comparison checks the value of a field and makes its node.
func comparison(field, op string, v lexeme) (node, error) {
	switch field {
	case "trashed", "starred", "sharedWithMe":
		text := lower(v.text)
		if text != "true" && text != "false" {
			return nil, errQuery
		}
		return fieldNode{field, op, text}, nil
	}
	if !v.quoted {
		return nil, errQuery
	}
	switch field {
	case "createdTime", "modifiedTime", "viewedByMeTime":
		at, err := queryTime(v.text)
		if err != nil {
			return nil, err
		}
		return timeNode{field, op, at}, nil
	case "visibility":
		if !slices.Contains(visibilities, v.text) {
			return nil, errQuery
		}
	}
	return fieldNode{field, op, v.text}, nil
}

// queryTime takes RFC 3339, without a zone (UTC), and a bare date.
func queryTime(s string) (int64, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UnixMilli(), nil
		}
	}
	return 0, errQuery
}

func (p *queryParser) member(value string) (node, error) {
	if !p.word("in") {
		return nil, errQuery
	}
	t, err := p.next()
	if err != nil || t.quoted || !slices.Contains(collections, t.text) {
		return nil, errQuery
	}
	return inNode{value, t.text}, nil
}

func (p *queryParser) has(field string) (node, error) {
	n := hasNode{field: field}
	var err error
	if !p.word("has") || !p.word("{") || !p.word("key") || !p.word("=") {
		return nil, errQuery
	}
	if n.key, err = p.text(); err != nil {
		return nil, err
	}
	if !p.word("and") || !p.word("value") || !p.word("=") {
		return nil, errQuery
	}
	if n.value, err = p.text(); err != nil {
		return nil, err
	}
	if !p.word("}") {
		return nil, errQuery
	}
	return n, nil
}
