package jobs

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"github.com/openmined/syftfs/fs/datasite"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// ErrName is wrapped by every refusal of CheckName; it wraps EINVAL.
var ErrName = fmt.Errorf("name cannot be used for a job: %w", syscall.EINVAL)

// ErrPath is wrapped by every refusal of CheckPath; it wraps EINVAL.
var ErrPath = fmt.Errorf("path cannot be part of a job: %w", syscall.EINVAL)

// Limits of a submission at intake, and at sealing.
const (
	MaxFiles       = 5000
	MaxBytes       = 200 << 20
	MaxLevels      = 32
	MaxPathBytes   = 1024
	MaxConfigBytes = 64 << 10
	MaxWaiting     = 50 // pending jobs of one submitter
	maxNameBytes   = 200
)

// CheckName refuses a name that a job may not have: it must be UTF-8 in composed form, 1 to 200 bytes, and free of everything that
// means something to a path, a shell, a terminal or a permission pattern.
func CheckName(name string) error {
	bad := func(reason string) error { return fmt.Errorf("%q %s: %w", name, reason, ErrName) }
	switch {
	case name == "":
		return bad("is empty")
	case len(name) > maxNameBytes:
		return bad(fmt.Sprintf("has %d bytes, at most %d are allowed", len(name), maxNameBytes))
	case !utf8.ValidString(name):
		return bad("is not UTF-8")
	case !norm.NFC.IsNormalString(name):
		return bad("is not in composed form (NFC)")
	}
	for _, r := range name {
		switch {
		case strings.ContainsRune(`/*?[]{}!\`, r):
			return bad(fmt.Sprintf("contains %q", r))
		case unicode.IsControl(r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r), unicode.Is(unicode.Bidi_Control, r):
			return bad("contains an invisible control character")
		}
	}
	first, _ := utf8.DecodeRuneInString(name)
	last, _ := utf8.DecodeLastRuneInString(name)
	switch {
	case first == '.' || first == '-' || unicode.IsSpace(first):
		return bad("begins with a dot, a dash or a blank")
	case last == '.' || unicode.IsSpace(last):
		return bad("ends with a dot or a blank")
	case datasite.Excluded(name) || IsRuleName(name):
		return bad("is a name that has a meaning of its own and never travels")
	}
	return nil
}

// Fold gives the form under which two job names of one submitter are duplicates.
func Fold(name string) string {
	return norm.NFC.String(strings.Map(cherokee, cases.Fold().String(norm.NFC.String(name))))
}

// cherokee undoes what the folding library does to Cherokee: it swaps the two cases, where Unicode folds to capitals.
func cherokee(r rune) rune {
	if unicode.Is(unicode.Cherokee, r) {
		return unicode.ToUpper(r)
	}
	return r
}

// IsRuleName reports whether name is the name of a rule file in any letter case.
func IsRuleName(name string) bool {
	return strings.EqualFold(name, datasite.PubFile) || strings.EqualFold(name, datasite.PermFile)
}

// CheckPath refuses a slash separated path that a file of a submission may not have, relative to the job's folder or to
// code/: it must be UTF-8 without control characters, at most 1,024 bytes and 32 levels, and must not climb.
func CheckPath(p string) error {
	bad := func(reason string) error { return fmt.Errorf("%q %s: %w", p, reason, ErrPath) }
	switch {
	case p == "":
		return bad("is empty")
	case len(p) > MaxPathBytes:
		return bad(fmt.Sprintf("has %d bytes, at most %d are allowed", len(p), MaxPathBytes))
	case !utf8.ValidString(p):
		return bad("is not UTF-8")
	case strings.ContainsFunc(p, unicode.IsControl):
		return bad("contains a control character")
	}
	levels := 0
	for part := range strings.SplitSeq(p, "/") {
		if err := datasite.CheckName(part); err != nil {
			return bad("has an empty, climbing or overlong part")
		}
		levels++
	}
	if levels > MaxLevels {
		return bad(fmt.Sprintf("has %d levels, at most %d are allowed", levels, MaxLevels))
	}
	return nil
}

// ErrKind is wrapped when a submission holds something that is neither a regular file nor a folder.
var ErrKind = errors.New("not a regular file")

// ErrTooBig is wrapped when a submission is beyond a limit.
var ErrTooBig = errors.New("submission is too big")
