package wire

import (
	"fmt"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner reads JSON without building it: each object and array calls back for its members. It reads as pydantic does, where the standard
// library does not: keys are compared exactly, the last of equal keys wins as a whole, and what is not valid Unicode is refused.
type scanner struct {
	b     []byte
	at    int
	depth int // what may still be opened
}

func (s *scanner) bad(what string) error { return formatf("JSON, byte %d: %s", s.at, what) }

// document reads b as one value by read, with nothing but space around it.
func document(b []byte, depth int, read func(s *scanner) error) error {
	s := &scanner{b: b, depth: depth}
	if err := read(s); err != nil {
		return err
	}
	if s.space(); s.at != len(s.b) {
		return s.bad("something follows the value")
	}
	return nil
}

func (s *scanner) space() {
	for s.at < len(s.b) {
		switch s.b[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// peek is the first byte of the next token, 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.at == len(s.b) {
		return 0
	}
	return s.b[s.at]
}

func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

func (s *scanner) open(c byte, what string) error {
	if !s.take(c) {
		return s.bad("an " + what + " was expected")
	}
	if s.depth--; s.depth < 0 {
		return fmt.Errorf("JSON nested too deeply: %w", ErrLimit)
	}
	return nil
}

// object reads an object; member must read the value that belongs to key.
func (s *scanner) object(member func(key string) error) error {
	if err := s.open('{', "object"); err != nil {
		return err
	}
	defer func() { s.depth++ }()
	if s.take('}') {
		return nil
	}
	for {
		key, err := s.text()
		if err != nil {
			return err
		}
		if !s.take(':') {
			return s.bad("a colon was expected")
		}
		if err := member(key); err != nil {
			return inField(printableKey(key), err)
		}
		if s.take('}') {
			return nil
		}
		if !s.take(',') {
			return s.bad("a comma or the end of the object was expected")
		}
	}
}

// printableKey is how a key stands in the name of a field.
func printableKey(key string) string {
	if len(key) > 60 || !printable(key) {
		return quote(key)
	}
	return key
}

// array reads an array; item must read the value at index i.
func (s *scanner) array(item func(i int) error) error {
	if err := s.open('[', "array"); err != nil {
		return err
	}
	defer func() { s.depth++ }()
	if s.take(']') {
		return nil
	}
	for i := 0; ; i++ {
		if err := item(i); err != nil {
			return inField("["+strconv.Itoa(i)+"]", err)
		}
		if s.take(']') {
			return nil
		}
		if !s.take(',') {
			return s.bad("a comma or the end of the array was expected")
		}
	}
}

func (s *scanner) word(w string) bool {
	s.space()
	if len(s.b)-s.at < len(w) || string(s.b[s.at:s.at+len(w)]) != w {
		return false
	}
	s.at += len(w)
	return true
}

// null takes a null if there is one.
func (s *scanner) null() bool { return s.word("null") }

func (s *scanner) boolean() (bool, error) {
	switch {
	case s.word("true"):
		return true, nil
	case s.word("false"):
		return false, nil
	}
	return false, s.bad("true or false was expected")
}

// literal takes a number as it is written.
func (s *scanner) literal() ([]byte, error) {
	s.space()
	from := s.at
	one := func(set string) bool {
		if s.at < len(s.b) {
			for i := range len(set) {
				if s.b[s.at] == set[i] {
					s.at++
					return true
				}
			}
		}
		return false
	}
	many := func() bool {
		any := false
		for one("0123456789") {
			any = true
		}
		return any
	}
	one("-")
	ok := one("0")
	if !ok && many() {
		ok = true // no zero stands first
	}
	if ok && one(".") {
		ok = many()
	}
	if ok && one("eE") {
		one("+-")
		ok = many()
	}
	if !ok {
		return nil, s.bad("a number was expected")
	}
	return s.b[from:s.at], nil
}

func (s *scanner) number() (float64, error) {
	lit, err := s.literal()
	if err != nil {
		return 0, err
	}
	f, err := strconv.ParseFloat(string(lit), 64)
	if err != nil || math.IsInf(f, 0) {
		return 0, s.bad("a number that is too large")
	}
	return f, nil
}

// time reads a moment.
func (s *scanner) time() (Time, error) {
	f, err := s.number()
	if err != nil {
		return 0, err
	}
	return Time(f), Time(f).check()
}

// integer reads a whole number from 0 to most.
func (s *scanner) integer(most int) (int, error) {
	f, err := s.number()
	if err != nil {
		return 0, err
	}
	if f < 0 || f > float64(most) || f != math.Trunc(f) {
		return 0, formatf("%v is not a whole number from 0 to %d", f, most)
	}
	return int(f), nil
}

func (s *scanner) text() (string, error) {
	b, err := s.bytes()
	return string(b), err
}

// bytes reads a string as UTF-8. Without escapes in it, it is a part of the document.
func (s *scanner) bytes() ([]byte, error) {
	if !s.take('"') {
		return nil, s.bad("a string was expected")
	}
	from := s.at
	for s.at < len(s.b) {
		switch c := s.b[s.at]; {
		case c == '"':
			raw := s.b[from:s.at:s.at]
			s.at++
			if !utf8.Valid(raw) {
				return nil, s.bad("a string that is not UTF-8")
			}
			return raw, nil
		case c == '\\':
			return s.escaped(from)
		case c < 0x20:
			return nil, s.bad("a control character in a string")
		default:
			s.at++
		}
	}
	return nil, s.bad("a string without end")
}

// escaped reads the rest of a string that began at from and has its first escape here.
func (s *scanner) escaped(from int) ([]byte, error) {
	out := append(make([]byte, 0, s.at-from+64), s.b[from:s.at]...)
	for s.at < len(s.b) {
		c := s.b[s.at]
		s.at++
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				return nil, s.bad("a string that is not UTF-8")
			}
			return out, nil
		case c < 0x20:
			return nil, s.bad("a control character in a string")
		case c != '\\':
			out = append(out, c)
		default:
			r, err := s.escape()
			if err != nil {
				return nil, err
			}
			out = utf8.AppendRune(out, r)
		}
	}
	return nil, s.bad("a string without end")
}

// escape reads what follows a backslash.
func (s *scanner) escape() (rune, error) {
	if s.at == len(s.b) {
		return 0, s.bad("a string without end")
	}
	c := s.b[s.at]
	s.at++
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		r, err := s.unit()
		if err != nil || !utf16.IsSurrogate(r) {
			return r, err
		}
		if len(s.b)-s.at < 2 || s.b[s.at] != '\\' || s.b[s.at+1] != 'u' {
			return 0, s.bad("half of a surrogate pair")
		}
		s.at += 2
		low, err := s.unit()
		if err != nil {
			return 0, err
		}
		if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
			return 0, s.bad("half of a surrogate pair")
		}
		return r, nil
	}
	return 0, s.bad("an unknown escape")
}

func (s *scanner) unit() (rune, error) {
	if len(s.b)-s.at < 4 {
		return 0, s.bad("four hexadecimal digits were expected")
	}
	var r rune
	for _, c := range s.b[s.at : s.at+4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, s.bad("four hexadecimal digits were expected")
		}
	}
	s.at += 4
	return r, nil
}

// skip reads any value and forgets it.
func (s *scanner) skip() error {
	switch s.peek() {
	case '{':
		return s.object(func(string) error { return s.skip() })
	case '[':
		return s.array(func(int) error { return s.skip() })
	case '"':
		_, err := s.bytes()
		return err
	case 't', 'f':
		_, err := s.boolean()
		return err
	case 'n':
		if s.null() {
			return nil
		}
	}
	_, err := s.literal()
	return err
}
