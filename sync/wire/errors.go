package wire

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"strings"

	"github.com/openmined/syftfs/fs/datasite"
)

// The kinds of refusal; every error of this package wraps one of them, or that of the reader it was given.
var (
	// ErrName: no name that this format knows.
	ErrName = fmt.Errorf("not a name of this format: %w", iofs.ErrInvalid)
	// ErrFormat: the bytes do not say what they must.
	ErrFormat = fmt.Errorf("malformed: %w", iofs.ErrInvalid)
	// ErrLimit: larger, longer, deeper or more than is accepted.
	ErrLimit = errors.New("over the limit")
	// ErrPath: a path that can lie in no datasite, or cannot travel.
	ErrPath = fmt.Errorf("path cannot travel: %w", datasite.ErrName)
	// ErrDuplicate: one path with two contents.
	ErrDuplicate = fmt.Errorf("path given twice: %w", iofs.ErrExist)
	// ErrHash: the content is not what its hash says.
	ErrHash = errors.New("content does not fit its hash")
	// ErrForged: it speaks for another datasite or sender than the place it lay in.
	ErrForged = fmt.Errorf("not from whom it claims to be: %w", iofs.ErrPermission)
	// ErrEncrypted: the client that wrote it has encryption switched on, which is not supported.
	ErrEncrypted = errors.New("encrypted by a syft-client, which syftfs cannot read: encryption must be switched off there")
	// ErrUnsendable: a Python client could not cope with it, so it is never written.
	ErrUnsendable = errors.New("a syft-client could not take this")
	// ErrBinary: a full checkpoint has no way to hold content that is not UTF-8. It wraps ErrUnsendable.
	ErrBinary = fmt.Errorf("content is not text: %w", ErrUnsendable)
)

// Error says what is wrong with which field of which object.
type Error struct {
	Object string // what was read or written: a name on Drive, or a kind of object
	Field  string // like "events[3].path_in_datasite"; "" for the object as a whole
	Err    error
}

func (e *Error) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("%s: %v", e.Object, e.Err)
	}
	return fmt.Sprintf("%s: %s: %v", e.Object, e.Field, e.Err)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// inField puts field in front of what err says about its place.
func inField(field string, err error) *Error {
	inner, ok := err.(*Error)
	switch {
	case !ok:
		return &Error{Field: field, Err: err}
	case inner.Field == "":
		inner.Field = field
	case strings.HasPrefix(inner.Field, "["):
		inner.Field = field + inner.Field
	default:
		inner.Field = field + "." + inner.Field
	}
	return inner
}

// inObject names the object that err is about; nil stays nil.
func inObject(object string, err error) error {
	if err == nil {
		return nil
	}
	inner, ok := err.(*Error)
	if !ok {
		inner = &Error{Err: err}
	}
	inner.Object = object
	return inner
}

// formatf is an ErrFormat with its reason.
func formatf(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrFormat)
}

// unsendablef is an ErrUnsendable with its reason.
func unsendablef(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrUnsendable)
}

// quote shows foreign text in an error: escaped, and never much of it.
func quote(s string) string {
	const most = 120
	if len(s) > most {
		return fmt.Sprintf("%q...", s[:most])
	}
	return fmt.Sprintf("%q", s)
}
