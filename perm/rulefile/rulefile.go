// Package rulefile reads the two permission languages, syft.pub.yaml and syftperm.yaml, into the rules of perm, and
// edits such files with comments and order kept; LANGUAGES.md describes both. It knows YAML and positions; it must not
// decide who may do what, nor remember anything. Whoever reads or writes rule files may import it.
package rulefile

import (
	"fmt"
	iofs "io/fs"
	"path"
	"strings"

	"github.com/openmined/syftfs/perm"
)

// Bounds on a rule file. One that is beyond a bound does not parse.
const (
	MaxSize  = 1 << 20 // bytes of text
	MaxRules = 10000
	MaxDepth = 255 // folders between the datasite and the file, the datasite included
)

// Problem is something in a rule file that its author should look at. Line and Column are 1-based, 0 when unknown.
type Problem struct {
	Line, Column int
	Field        string // "rules[2].access.read"; "" for the document
	Text         string
}

func (p Problem) String() string {
	s := p.Text
	if p.Field != "" {
		s = p.Field + ": " + s
	}
	if p.Line != 0 {
		s = fmt.Sprintf("line %d, column %d: %s", p.Line, p.Column, s)
	}
	return s
}

// Error says why a rule file does not parse. It is an io/fs.ErrInvalid.
type Error struct {
	File string // "/owner@x.org/dir/syft.pub.yaml"
	Problem
}

func (e *Error) Error() string { return e.File + ": " + e.Problem.String() }
func (e *Error) Unwrap() error { return iofs.ErrInvalid }

// IsRuleFile reports whether a path or a name is that of a rule file: by its exact base name.
func IsRuleFile(name string) bool {
	return kindOf(name) != 0
}

func kindOf(name string) perm.Kind {
	switch name[strings.LastIndexByte(name, '/')+1:] {
	case perm.FilePub:
		return perm.KindPub
	case perm.FilePerm:
		return perm.KindPerm
	}
	return 0
}

// Parse reads a rule file. The name is its full path as people see it, "/owner@x.org/dir/syft.pub.yaml"; the base name
// decides the language. Problems are warnings: the file loads, but somebody should look at it. With an error, an *Error,
// the Ruleset is filled in all the same, with Broken set.
func Parse(name string, src []byte) (perm.Ruleset, []Problem, error) {
	rs, err := place(name)
	if err != nil {
		return broken(rs, err)
	}
	r := &reader{file: name}
	doc, err := r.document(src)
	if err != nil {
		return broken(rs, err)
	}
	if rs.Kind == perm.KindPub {
		err = r.pub(doc, &rs)
	} else {
		err = r.perm(doc, &rs)
	}
	if err != nil {
		return broken(rs, err)
	}
	return rs, r.problems, nil
}

func broken(rs perm.Ruleset, err error) (perm.Ruleset, []Problem, error) {
	rs.Rules, rs.Terminal, rs.Broken = nil, false, err
	return rs, nil, err
}

// place fills in what the name tells.
func place(name string) (perm.Ruleset, error) {
	rs := perm.Ruleset{Kind: kindOf(name), From: perm.Source{File: name}}
	refuse := func(text string) (perm.Ruleset, error) {
		return rs, &Error{File: name, Problem: Problem{Text: text}}
	}
	if rs.Kind == 0 {
		return refuse("a rule file is called " + perm.FilePub + " or " + perm.FilePerm)
	}
	inside, ok := strings.CutPrefix(name, "/")
	_, below, deep := strings.Cut(inside, "/")
	if !ok || !deep || path.Clean(name) != name {
		return refuse("the name of a rule file is its path from the root, with its datasite")
	}
	if dir := path.Dir(below); dir != "." {
		rs.Dir = dir
	}
	if strings.Count(inside, "/") > MaxDepth {
		return refuse(fmt.Sprintf("it lies deeper than %d folders", MaxDepth))
	}
	return rs, nil
}
