package dataset

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// The peers' client writes its YAML with a library whose choices are visible to whoever compares hashes of files: plain
// where that reads back as the text, else single quotes, double quotes with escapes outside ASCII; folded at 80 columns.
// For the single-line texts in our files this writes the same bytes.
const width = 80

// quoted gives s as a value that begins in that column; continuation lines are indented by two.
func quoted(s string, column int) string {
	f := &folder{column: column}
	switch {
	case isPlain(s):
		f.words(s)
	case isPrintable(s):
		f.put("'")
		f.words(strings.ReplaceAll(s, "'", "''"))
		f.put("'")
	default:
		f.double([]rune(s))
	}
	return f.b.String()
}

// isPrintable reports whether single quotes can hold s: one line of printable ASCII.
func isPrintable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// implicit are plain scalars that YAML 1.1 takes for something else than a text.
var implicit = regexp.MustCompile(`^(?:` +
	`|~|null|Null|NULL|<<|=` +
	`|yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF` +
	`|[-+]?0b[01_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+` +
	`|[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*` +
	`|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)` +
	`|\d{4}-\d\d-\d\d|\d{4}-\d\d?-\d\d?(?:[Tt]|[ \t]+)\d\d?:\d\d:\d\d(?:\.\d*)?(?:[ \t]*(?:Z|[-+]\d\d?(?::\d\d)?))?` +
	`)$`)

func isPlain(s string) bool {
	switch {
	case !isPrintable(s), implicit.MatchString(s):
		return false
	case strings.HasPrefix(s, " ") || strings.HasSuffix(s, " "), strings.HasPrefix(s, "---"), strings.HasPrefix(s, "..."):
		return false
	case strings.ContainsRune("#,[]{}&*!|>'\"%@`", rune(s[0])):
		return false
	case strings.ContainsRune("?:-", rune(s[0])) && (len(s) == 1 || s[1] == ' '):
		return false
	}
	return !strings.Contains(s, ": ") && !strings.HasSuffix(s, ":") && !strings.Contains(s, " #")
}

// folder writes a text and knows its column.
type folder struct {
	b      strings.Builder
	column int
}

func (f *folder) put(s string) {
	f.b.WriteString(s)
	f.column += utf8.RuneCountInString(s)
}

func (f *folder) newline() {
	f.b.WriteString("\n  ")
	f.column = 2
}

// words writes printable ASCII; a single blank beyond the width becomes a line break.
func (f *folder) words(s string) {
	for i := 0; i < len(s); {
		n := strings.IndexByte(s[i:], ' ')
		if n != 0 {
			if n < 0 {
				n = len(s) - i
			}
			f.put(s[i : i+n])
			i += n
			continue
		}
		n = len(s) - i - len(strings.TrimLeft(s[i:], " "))
		if n == 1 && f.column > width && i > 0 && i+1 < len(s) {
			f.newline()
		} else {
			f.put(s[i : i+n])
		}
		i += n
	}
}

var escapes = map[rune]string{0: "0", '\a': "a", '\b': "b", '\t': "t", '\n': "n", '\v': "v", '\f': "f", '\r': "r", 0x1b: "e", '"': `"`, '\\': `\`,
	0x85: "N", 0xa0: "_", 0x2028: "L", 0x2029: "P"}

func escape(r rune) string {
	switch e, ok := escapes[r]; {
	case ok:
		return `\` + e
	case r <= 0xff:
		return fmt.Sprintf(`\x%02X`, r)
	case r <= 0xffff:
		return fmt.Sprintf(`\u%04X`, r)
	}
	return fmt.Sprintf(`\U%08X`, r)
}

// double writes s in double quotes. The line is broken before a blank, or behind an escape, as soon as what is not yet
// written would pass the width.
func (f *folder) double(s []rune) {
	f.put(`"`)
	from := 0 // s[from:i] is printable and not yet written
	flush := func(i int) {
		if from < i {
			f.put(string(s[from:i]))
			from = i
		}
	}
	for i := 0; i <= len(s); i++ {
		if i == len(s) || s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\' {
			flush(i)
			if i < len(s) {
				f.put(escape(s[i]))
				from = i + 1
			}
		}
		if i == 0 || i >= len(s)-1 || s[i] != ' ' && from < i || f.column+i-from <= width {
			continue
		}
		flush(i)
		f.put(`\`)
		f.newline()
		if s[from] == ' ' {
			f.put(`\`)
		}
	}
	f.put(`"`)
}
