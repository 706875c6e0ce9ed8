package driveserver

import (
	"errors"
	"strings"
)

// mask is a parsed `fields` parameter: the names wanted, with what is wanted below each. A nil mask below a name is everything. The name
// "*" stands for every name at its level.
type mask map[string]mask

const (
	maxFieldsLength = 8 << 10
	maxFieldsDepth  = 16
)

var errFields = errors.New("bad field selection")

// parseMask reads a selector: items separated by commas, each a path of names with an optional selector in parentheses.
func parseMask(s string) (mask, error) {
	if len(s) > maxFieldsLength {
		return nil, errFields
	}
	p := maskParser{rest: s}
	m, err := p.selector(0)
	if err == nil && p.rest != "" {
		err = errFields
	}
	return m, err
}

type maskParser struct{ rest string }

func (p *maskParser) selector(depth int) (mask, error) {
	if depth > maxFieldsDepth {
		return nil, errFields
	}
	m := mask{}
	for {
		if err := p.item(m, depth); err != nil {
			return nil, err
		}
		if !p.take(',') {
			return m, nil
		}
	}
}

// item reads one path and puts it into m.
func (p *maskParser) item(m mask, depth int) error {
	var path []string
	for {
		name := p.name()
		if name == "" || len(path) > maxFieldsDepth {
			return errFields
		}
		path = append(path, name)
		if !p.take('/') {
			break
		}
	}
	var below mask
	if p.take('(') {
		var err error
		if below, err = p.selector(depth + 1); err != nil {
			return err
		}
		if !p.take(')') {
			return errFields
		}
	}
	for i := len(path) - 1; i > 0; i-- {
		below = mask{path[i]: below}
	}
	m.add(path[0], below)
	return nil
}

// add merges a selection into the mask.
func (m mask) add(name string, below mask) {
	old, ok := m[name]
	switch {
	case !ok:
		m[name] = below
	case old == nil || below == nil:
		m[name] = nil
	default:
		for k, v := range below {
			old.add(k, v)
		}
	}
}

func (p *maskParser) blank() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

func (p *maskParser) take(c byte) bool {
	p.blank()
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	p.blank()
	return true
}

func (p *maskParser) name() string {
	p.blank()
	if strings.HasPrefix(p.rest, "*") {
		p.rest = p.rest[1:]
		return "*"
	}
	n := strings.IndexFunc(p.rest, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-')
	})
	if n < 0 {
		n = len(p.rest)
	}
	name := p.rest[:n]
	p.rest = p.rest[n:]
	return name
}

// wants tells whether a name is selected, and what below it.
func (m mask) wants(name string) (below mask, ok bool) {
	if m == nil {
		return nil, true
	}
	if below, ok = m[name]; ok {
		return below, true
	}
	below, ok = m["*"]
	return below, ok
}

// filter is v with only what the mask selects, through arrays.
func (m mask) filter(v any) any {
	if m == nil {
		return v
	}
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, value := range v {
			if below, ok := m.wants(name); ok {
				out[name] = below.filter(value)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = m.filter(v[i])
		}
		return out
	}
	return v
}

// check returns the first name that the schema does not know.
func (m mask) check(s *schema) (unknown string) {
	for name, below := range m {
		if name == "*" {
			// What is below "*" must be known to at least one resource at this level: too rare to be judged.
			continue
		}
		next, ok := s.lookup(name)
		if !ok {
			return name
		}
		if below != nil {
			if next == nil {
				return name
			}
			if bad := below.check(next); bad != "" {
				return bad
			}
		}
	}
	return ""
}
