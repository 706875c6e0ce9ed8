package service

import (
	"strings"
	"unicode"
)

// Visible makes every control and format character visible, so that text from a job or a peer cannot drive a terminal.
// lines keeps newline and tab.
func Visible(s string, lines bool) string {
	return strings.Map(func(r rune) rune {
		if lines && (r == '\n' || r == '\t') {
			return r
		}
		if r < 0x20 {
			return 0x2400 + r // the control pictures
		}
		if r == 0x7f {
			return 0x2421
		}
		if unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Cc, r) || r == 0x2028 || r == 0x2029 {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
