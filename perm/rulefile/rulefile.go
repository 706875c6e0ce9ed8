// Package rulefile reads the two permission languages, syft.pub.yaml and syftperm.yaml, into the rules of perm, and
// edits such files with comments and order kept; LANGUAGES.md describes both. It knows YAML and positions; it must not
// decide who may do what, nor remember anything. Whoever reads or writes rule files may import it.
package rulefile

import (
	"fmt"
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
// decides the language. Problems are warnings: the file loads, but somebody should look at it; Lint finds more. With an
// error, an *Error, the Ruleset is filled in all the same, with Broken set.
func Parse(name string, src []byte) (perm.Ruleset, []Problem, error) {
	r := &reader{file: name}
	rs, err := r.read(src)
	if err != nil {
		return rs, nil, err
	}
	return rs, r.problems, nil
}

// read gives a rule set with Broken set if there is an error.
func (r *reader) read(src []byte) (perm.Ruleset, error) {
	rs, err := place(r.file)
	if err != nil {
		rs.Broken = err
		return rs, err
	}
	doc, err := r.document(src)
	if err == nil && rs.Kind == perm.KindPub {
		err = r.pub(doc, &rs)
	} else if err == nil {
		err = r.perm(doc, &rs)
	}
	if err != nil {
		rs.Rules, rs.Terminal, rs.Broken = nil, false, err
	}
	return rs, err
}

// place fills in what the name tells.
func place(name string) (perm.Ruleset, error) {
	rs := perm.Ruleset{Kind: kindOf(name), From: perm.Source{File: name}}
	refuse := func(text, hint string) (perm.Ruleset, error) {
		return rs, &Error{File: name, Problem: Problem{Text: text, Hint: hint, Severity: SeverityError}}
	}
	if rs.Kind == 0 {
		return refuse("this is not the name of a rule file", "a rule file is called "+perm.FilePub+" or "+perm.FilePerm)
	}
	inside, ok := strings.CutPrefix(name, "/")
	_, below, deep := strings.Cut(inside, "/")
	if !ok || !deep || path.Clean(name) != name {
		return refuse("the name of a rule file is its path from the root, with its datasite", "give it as /owner@example.org/folder/"+rs.Kind.String())
	}
	if dir := path.Dir(below); dir != "." {
		rs.Dir = dir
	}
	if strings.Count(inside, "/") > MaxDepth {
		return refuse(fmt.Sprintf("it lies deeper than %d folders", MaxDepth), "move it, or what it is about, further up")
	}
	return rs, nil
}
