package rulefile

import (
	"fmt"
	iofs "io/fs"

	"github.com/openmined/syftfs/perm"
)

// Severity says what a problem does to the file.
type Severity string

// The severities.
const (
	SeverityError   Severity = "error"   // the file does not parse: its folder and all below is the owner's alone
	SeverityWarning Severity = "warning" // the file is in force, but may not mean what its author thinks
)

// Problem is something in a rule file that its author should look at. Line and Column are 1-based, 0 when unknown; a column
// counts characters.
type Problem struct {
	Line     int      `json:"line,omitempty"`
	Column   int      `json:"column,omitempty"`
	Field    string   `json:"field,omitempty"` // "rules[2].access.read"; "" for the document
	Text     string   `json:"text"`            // what is wrong
	Hint     string   `json:"hint,omitempty"`  // what to do instead; never empty in what this package gives
	Severity Severity `json:"severity"`
}

// String gives the problem in one line: where, what, and what to do.
func (p Problem) String() string {
	s := p.Text
	if p.Hint != "" {
		s += "; " + p.Hint
	}
	if p.Field != "" {
		s = p.Field + ": " + s
	}
	switch {
	case p.Line != 0 && p.Column != 0:
		s = fmt.Sprintf("line %d, column %d: %s", p.Line, p.Column, s)
	case p.Line != 0:
		s = fmt.Sprintf("line %d: %s", p.Line, s)
	}
	return s
}

// Error says why a rule file does not parse, and what to write instead. It is an io/fs.ErrInvalid.
type Error struct {
	File string // "/owner@x.org/dir/syft.pub.yaml"
	Problem
}

func (e *Error) Error() string { return e.File + ": " + e.Problem.String() }
func (e *Error) Unwrap() error { return iofs.ErrInvalid }

// BothWarning is the warning about a folder, "/owner@x.org/dir", that holds rule files of both languages: it stands in
// neither of them.
func BothWarning(dir string) Problem {
	return Problem{
		Text:     fmt.Sprintf("%s holds both %s and %s; the second is ignored", dir, perm.FilePub, perm.FilePerm),
		Hint:     "carry what is still wanted over into " + perm.FilePub + " and remove " + perm.FilePerm,
		Severity: SeverityWarning,
	}
}
