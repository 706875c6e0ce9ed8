// Package perm holds users, levels and rules, and the single function that decides who may do what,
// with its reasons. It knows strings and rules only: no files, no YAML, no clock of its own, no FUSE.
// Everything may import it; it imports nothing of this module. Semantics: the permission languages
// described in perm/rulefile/LANGUAGES.md.
package perm

import "time"

// User is a canonical (lower-case) e-mail address, or Anonymous.
type User string

// Anonymous is whoever is not signed in, and every account without rights of its own. The value holds
// a byte that ParseUser refuses, so that nobody can type it.
const Anonymous User = "\x00anonymous"

// Level is a right; a higher one includes the lower ones (not in syftperm.yaml, where read, create and write are
// independent bits).
type Level uint8

// The levels, lowest first.
const (
	None Level = iota
	Read
	Create
	Write
	Admin
)

// Kind is the language of a rule file.
type Kind uint8

// The two rule languages.
const (
	KindPub  Kind = iota + 1 // syft.pub.yaml: the most specific pattern of the nearest file decides
	KindPerm                 // syftperm.yaml: rules add and take away rights from the top folder down
)

// Source says where a rule stands.
type Source struct {
	File string // "/owner@x.org/dir/syft.pub.yaml"; empty for "owner of the path" and "no rule"
	Line int    // 1-based; 0 when no single line decided
}

// Limits bound what a non-owner may make under a rule. The zero value is the default.
type Limits struct {
	MaxFileSize   int64 // bytes; 0 means no limit
	MaxFiles      int64 // read from rule files, but not enforced: nothing counts the files that a pattern covers
	NoDirs        bool  // allowDirs: false
	AllowSymlinks bool
}

// Rule is one rule of a rule file, in the order of the file.
type Rule struct {
	Pattern string
	Deny    bool               // syftperm.yaml only: takes the named bits away
	Grants  map[Level][]string // user entries as written
	Limits  Limits
	From    Source
}

// Ruleset is one rule file.
type Ruleset struct {
	Dir      string // folder of the file below the datasite, "" for its root
	Kind     Kind
	Terminal bool
	Rules    []Rule
	From     Source // the file itself
	Broken   error  // not nil: the folder and all below it is the owner's only
}

// File describes what is about to be made or changed; only limits look at it.
type File struct {
	Size    int64
	Dir     bool
	Symlink bool
}

// Request is one question.
type Request struct {
	User  User
	Owner User
	Path  string // below the datasite of Owner, cleaned, "" for its root
	IsDir bool   // the datasite itself is always taken for a folder
	Want  Level
	Now   time.Time
}

// Step is one reason, in the words of the permission reference, section 6.
type Step struct {
	Text string
	From Source
}

// Decision is the answer to a Request, with its reasons. What explains is what decided.
type Decision struct {
	Request Request
	Allowed bool
	Level   Level  // the highest level held on the path
	Pattern string // the pattern that matched, if one did
	By      Source // the rule, or the file, that decided
	Limits  Limits // checked by the caller through Decision.Limit
	Owner   bool   // the user owns the path: limits do not apply
	Steps   []Step

	ground *ground // nil if no rules were looked at
}
