package perm

import (
	"errors"
	"fmt"
	"strconv"
)

// The base names of the two kinds of rule file. A file is one by its exact base name, in force or not.
const (
	FilePub  = "syft.pub.yaml"
	FilePerm = "syftperm.yaml"
)

// ErrLevel is wrapped by every refusal of ParseLevel.
var ErrLevel = errors.New("not a level; use read, create, write or admin")

var levelWords = [...]string{None: "none", Read: "read", Create: "create", Write: "write", Admin: "admin"}

// String gives the word that rule files use, "none" for None.
func (l Level) String() string {
	if int(l) < len(levelWords) {
		return levelWords[l]
	}
	return "level " + strconv.Itoa(int(l))
}

// ParseLevel reads read, create, write or admin, in lower case as rule files have them.
func ParseLevel(s string) (Level, error) {
	for l := Read; l <= Admin; l++ {
		if levelWords[l] == s {
			return l, nil
		}
	}
	return None, fmt.Errorf("%q: %w", clip(s), ErrLevel)
}

// String gives the base name of such a rule file.
func (k Kind) String() string {
	switch k {
	case KindPub:
		return FilePub
	case KindPerm:
		return FilePerm
	}
	return "kind " + strconv.Itoa(int(k))
}

// String gives "file:line", the file alone when no single line decided, and "" for the zero Source.
func (s Source) String() string {
	if s.Line == 0 {
		return s.File
	}
	return s.File + ":" + strconv.Itoa(s.Line)
}
