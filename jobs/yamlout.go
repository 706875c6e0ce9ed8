package jobs

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The peers' client writes its YAML with a library whose choices (quoting, folding at 80 columns, escapes outside ASCII)
// are visible to whoever compares hashes. This writer makes the same bytes for the values that our files can hold.
const yamlWidth = 80

// yamlMap writes m as a document: block style, keys in order. Values: nil, bool, int, int64, float64, string, []string,
// []any, map[string][]string, map[string]any.
func yamlMap(m map[string]any) ([]byte, error) {
	w := &yamlWriter{}
	if len(m) == 0 {
		w.put("{}")
	} else if err := w.mapping(m, 0, true); err != nil {
		return nil, err
	}
	w.put("\n")
	return []byte(w.b.String()), nil
}

type yamlWriter struct {
	b      strings.Builder
	column int // characters since the last line break
}

func (w *yamlWriter) put(s string) {
	w.b.WriteString(s)
	if i := strings.LastIndexByte(s, '\n'); i >= 0 {
		w.column = utf8.RuneCountInString(s[i+1:])
		return
	}
	w.column += utf8.RuneCountInString(s)
}

func (w *yamlWriter) newline(indent int) { w.put("\n" + strings.Repeat(" ", indent)) }

// mapping writes the entries at column indent; inline: the first one stands where the writer is.
func (w *yamlWriter) mapping(m map[string]any, indent int, inline bool) error {
	for i, key := range slices.Sorted(maps.Keys(m)) {
		if i > 0 || !inline {
			w.newline(indent)
		}
		if key == "" || strings.ContainsRune(key, '\n') || utf8.RuneCountInString(key) > 122 {
			return fmt.Errorf("key %q cannot be written: it is empty, long or has a line break", key)
		}
		w.text(key, indent, false)
		w.put(":")
		if err := w.value(m[key], indent, true); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

func (w *yamlWriter) sequence(s []any, indent int, inline bool) error {
	for i, item := range s {
		if i > 0 || !inline {
			w.newline(indent)
		}
		w.put("-")
		if err := w.value(item, indent, false); err != nil {
			return err
		}
	}
	return nil
}

// value writes v behind a key or a dash that stands at column indent.
func (w *yamlWriter) value(v any, indent int, inMap bool) error {
	switch v := v.(type) {
	case nil:
		w.put(" null")
	case bool:
		w.put(" " + strconv.FormatBool(v))
	case int:
		w.put(" " + strconv.Itoa(v))
	case int64:
		w.put(" " + strconv.FormatInt(v, 10))
	case float64:
		w.put(" " + yamlFloat(v))
	case string:
		w.put(" ")
		w.text(v, indent+2, true)
	case []string:
		return w.value(anys(v), indent, inMap)
	case map[string][]string:
		m := make(map[string]any, len(v))
		for k, s := range v {
			m[k] = anys(s)
		}
		return w.value(m, indent, inMap)
	case []any:
		switch {
		case len(v) == 0:
			w.put(" []")
		case inMap: // a list below a key is not indented
			return w.sequence(v, indent, false)
		default:
			w.put(" ")
			return w.sequence(v, indent+2, true)
		}
	case map[string]any:
		switch {
		case len(v) == 0:
			w.put(" {}")
		case inMap:
			return w.mapping(v, indent+2, false)
		default:
			w.put(" ")
			return w.mapping(v, indent+2, true)
		}
	default:
		return fmt.Errorf("a value of type %T cannot be written", v)
	}
	return nil
}

func anys(s []string) []any {
	out := make([]any, len(s))
	for i, v := range s {
		out[i] = v
	}
	return out
}

func yamlFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return ".nan"
	case math.IsInf(f, 1):
		return ".inf"
	case math.IsInf(f, -1):
		return "-.inf"
	}
	if a := math.Abs(f); f != 0 && (a < 1e-4 || a >= 1e16) {
		s := strconv.FormatFloat(f, 'e', -1, 64)
		if !strings.Contains(s, ".") {
			s = strings.Replace(s, "e", ".0e", 1)
		}
		return s
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// text writes a string in the plainest style that reads back as this string. Continuation lines stand at column indent;
// a key is never folded.
func (w *yamlWriter) text(s string, indent int, fold bool) {
	plain, single := yamlStyles(s)
	switch {
	case plain && yamlTag(s) == tagStr:
		w.folded(s, indent, fold)
	case single:
		w.put("'")
		w.folded(strings.ReplaceAll(s, "'", "''"), indent, fold)
		w.put("'")
	default:
		w.double([]rune(s), indent, fold)
	}
}

// folded writes s as it is, except that a single blank beyond the width becomes a line break, and a line break is written as the format
// doubles it. The blank of a first or last position stays.
func (w *yamlWriter) folded(s string, indent int, fold bool) {
	for i := 0; i < len(s); {
		rest := s[i:]
		switch {
		case rest[0] == ' ':
			n := len(rest) - len(strings.TrimLeft(rest, " "))
			if n == 1 && w.column > yamlWidth && fold && i > 0 && i+1 < len(s) {
				w.newline(indent)
			} else {
				w.put(rest[:n])
			}
			i += n
		case rest[0] == '\n':
			n := len(rest) - len(strings.TrimLeft(rest, "\n"))
			w.put(strings.Repeat("\n", n))
			w.newline(indent)
			i += n
		default:
			n := strings.IndexAny(rest, " \n")
			if n < 0 {
				n = len(rest)
			}
			w.put(rest[:n])
			i += n
		}
	}
}

var yamlEscapes = map[rune]string{
	0: "0", '\a': "a", '\b': "b", '\t': "t", '\n': "n", '\v': "v", '\f': "f", '\r': "r", 0x1b: "e", '"': `"`, '\\': `\`,
	0x85: "N", 0xa0: "_", 0x2028: "L", 0x2029: "P",
}

// double writes s with escapes for everything outside printable ASCII. A line is broken before a blank or behind an escape, once what is
// not yet written would pass the width.
func (w *yamlWriter) double(s []rune, indent int, fold bool) {
	w.put(`"`)
	start := 0 // what lies between start and i is printable and not yet written
	for i := 0; i <= len(s); i++ {
		if i == len(s) || s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\' {
			if start < i {
				w.put(string(s[start:i]))
				start = i
			}
			if i < len(s) {
				w.put(yamlEscape(s[i]))
				start = i + 1
			}
		}
		if !fold || i == 0 || i >= len(s)-1 || (s[i] != ' ' && start < i) || w.column+i-start <= yamlWidth {
			continue
		}
		if start < i {
			w.put(string(s[start:i]))
			start = i
		}
		w.put(`\`)
		w.newline(indent)
		if s[start] == ' ' {
			w.put(`\`)
		}
	}
	w.put(`"`)
}

func yamlEscape(r rune) string {
	switch e, ok := yamlEscapes[r]; {
	case ok:
		return `\` + e
	case r <= 0xff:
		return fmt.Sprintf(`\x%02X`, r)
	case r <= 0xffff:
		return fmt.Sprintf(`\u%04X`, r)
	}
	return fmt.Sprintf(`\U%08X`, r)
}

// yamlStyles tells which styles can hold s in block context.
func yamlStyles(s string) (plain, single bool) {
	if s == "" {
		return true, true
	}
	plain, single = true, true
	if strings.HasPrefix(s, "---") || strings.HasPrefix(s, "...") || strings.ContainsRune("#,[]{}&*!|>'\"%@`", rune(s[0])) {
		plain = false
	}
	blank := func(i int) bool { return i >= len(s) || strings.IndexByte("\x00 \t\r\n", s[i]) >= 0 }
	if strings.IndexByte("?:-", s[0]) >= 0 && blank(1) {
		plain = false
	}
	if s[0] == ' ' || s[0] == '\n' || s[len(s)-1] == ' ' || s[len(s)-1] == '\n' || strings.Contains(s, "\n") {
		plain = false
	}
	if strings.Contains(s, "\n ") || strings.Contains(s, " \n") {
		single = false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c == ':' && i > 0 && blank(i+1), c == '#' && i > 0 && blank(i-1):
			plain = false
		case c != '\n' && (c < ' ' || c > '~'):
			return false, false
		}
	}
	return plain, single
}

// The tags of the core types, as both sides resolve plain scalars (YAML 1.1).
const (
	tagStr  = "!!str"
	tagNull = "!!null"
	tagBool = "!!bool"
	tagInt  = "!!int"
	tagNum  = "!!float"
	tagTime = "!!timestamp"
	tagSeq  = "!!seq"
	tagMap  = "!!map"
	tagOdd  = "!!merge" // "<<" and "=": no value of ours
)

var yamlPlain = []struct {
	tag string
	re  *regexp.Regexp
}{
	{tagNull, regexp.MustCompile(`^(~|null|Null|NULL|)$`)},
	{tagBool, regexp.MustCompile(`^(yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$`)},
	{tagInt, regexp.MustCompile(`^([-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(:[0-5]?[0-9])+)$`)},
	{tagNum, regexp.MustCompile(`^([-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+][0-9]+)?|\.[0-9][0-9_]*([eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$`)},
	{tagTime, regexp.MustCompile(`^([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(\.[0-9]*)?([ \t]*(Z|[-+][0-9]{1,2}(:[0-9]{2})?))?)$`)},
	{tagOdd, regexp.MustCompile(`^(<<|=)$`)},
}

// yamlTag is the type that a plain scalar has for the peers' client.
func yamlTag(s string) string {
	for _, p := range yamlPlain {
		if p.re.MatchString(s) {
			return p.tag
		}
	}
	return tagStr
}
