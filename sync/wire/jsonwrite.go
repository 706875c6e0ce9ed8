package wire

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// style is one of the ways in which Python clients lay out JSON.
type style struct {
	indent string // "" puts everything on one line, without spaces
	ascii  bool   // all else escaped, as Python's json module does
}

var (
	compact  = style{}                          // pydantic
	indented = style{indent: "  "}              // pydantic, indent=2
	plain    = style{indent: "  ", ascii: true} // json.dumps(indent=2)
)

// printer writes JSON, value by value. Text must be valid UTF-8, which its callers see to.
type printer struct {
	style
	b     []byte
	level int
	fresh bool // nothing stands yet in the object or array that is open
	named bool // a key was written, its value comes
}

// next makes room for a key, or for a value in an array.
func (p *printer) next() {
	if p.named {
		p.named = false
		return
	}
	if p.level == 0 {
		return
	}
	if !p.fresh {
		p.b = append(p.b, ',')
	}
	p.fresh = false
	p.line()
}

func (p *printer) line() {
	if p.indent == "" {
		return
	}
	p.b = append(p.b, '\n')
	for range p.level {
		p.b = append(p.b, p.indent...)
	}
}

func (p *printer) open(c byte) {
	p.next()
	p.b = append(p.b, c)
	p.level++
	p.fresh = true
}

func (p *printer) close(c byte) {
	p.level--
	if !p.fresh {
		p.line()
	}
	p.fresh = false
	p.b = append(p.b, c)
}

func (p *printer) key(k string) {
	p.next()
	p.string(k)
	p.b = append(p.b, ':')
	if p.indent != "" {
		p.b = append(p.b, ' ')
	}
	p.named = true
}

func (p *printer) literal(s string) {
	p.next()
	p.b = append(p.b, s...)
}

func (p *printer) text(s string) {
	p.next()
	p.string(s)
}

// textOrNull writes null for "".
func (p *printer) textOrNull(s string) {
	if s == "" {
		p.literal("null")
		return
	}
	p.text(s)
}

func (p *printer) boolean(v bool) { p.literal(strconv.FormatBool(v)) }

func (p *printer) integer(v int) { p.literal(strconv.Itoa(v)) }

func (p *printer) time(t Time) { p.literal(t.String()) }

// timeOrNull writes null for 0.
func (p *printer) timeOrNull(t Time) {
	if t == 0 {
		p.literal("null")
		return
	}
	p.time(t)
}

const hexDigits = "0123456789abcdef"

func (p *printer) string(s string) {
	p.b = append(p.b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && (c < 0x7f || !p.ascii) {
			i++
			continue
		}
		p.b = append(p.b, s[from:i]...)
		if c < utf8.RuneSelf {
			p.escape(c)
			i++
		} else {
			r, size := utf8.DecodeRuneInString(s[i:])
			if hi, lo := utf16.EncodeRune(r); hi != utf8.RuneError {
				p.unit(hi)
				p.unit(lo)
			} else {
				p.unit(r)
			}
			i += size
		}
		from = i
	}
	p.b = append(append(p.b, s[from:]...), '"')
}

func (p *printer) escape(c byte) {
	switch c {
	case '"', '\\':
		p.b = append(p.b, '\\', c)
	case '\b':
		p.b = append(p.b, `\b`...)
	case '\t':
		p.b = append(p.b, `\t`...)
	case '\n':
		p.b = append(p.b, `\n`...)
	case '\f':
		p.b = append(p.b, `\f`...)
	case '\r':
		p.b = append(p.b, `\r`...)
	default:
		p.unit(rune(c))
	}
}

func (p *printer) unit(r rune) {
	p.b = append(p.b, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}
