package remote

import (
	"context"
	"errors"
	iofs "io/fs"
	"strings"
	"syscall"
	"time"
)

// Kind is what went wrong, as far as a caller has to tell it apart. It is an error, so that errors.Is(err, remote.Full) asks for it.
type Kind uint8

const (
	// Unavailable: the store did not answer, or not properly. Repeat later.
	Unavailable Kind = iota + 1
	// Throttled: too much was asked in a short time. Repeat after RetryAfter.
	Throttled
	// NotFound: no such object, or none that the account may see. Permanent. Is fs.ErrNotExist.
	NotFound
	// Exists: the id is in use, which for a Put means done. Permanent. Is fs.ErrExist.
	Exists
	// Permission: visible, but not allowed. Permanent. Is fs.ErrPermission.
	Permission
	// Unauthorized: nobody is signed in any more. Permanent until a person signs in.
	Unauthorized
	// Full: storage or another quota is used up; not a matter of seconds. Is EDQUOT.
	Full
	// TokenLost: the page or feed token is not known any more. Begin again without it.
	TokenLost
	// Invalid: what was asked makes no sense to the store, or what answers is no such store. Permanent. Is fs.ErrInvalid.
	Invalid
)

var kinds = [...]struct {
	name, remedy string
	same         error
}{
	Unavailable:  {"the store does not answer", "it is tried again by itself; check the network if this goes on", nil},
	Throttled:    {"the store wants fewer requests", "it is tried again by itself, later", nil},
	NotFound:     {"not found in the store", "it was removed, or is not shared with this account: ask its owner", iofs.ErrNotExist},
	Exists:       {"exists already", "nothing has to be done", iofs.ErrExist},
	Permission:   {"the store does not allow it", "ask the owner to share it with this account", iofs.ErrPermission},
	Unauthorized: {"not signed in", "sign in again: syftfs auth google, or for a local drive: syftfs drive accounts", nil},
	Full:         {"a quota of the store is used up", "free some space there or wait, then it goes on", syscall.EDQUOT},
	TokenLost:    {"the position in a list is not known any more", "it is listed again from the beginning", nil},
	Invalid:      {"the store cannot do that", "check the address of the store and the version of this program", iofs.ErrInvalid},
}

func (k Kind) Error() string {
	if int(k) >= len(kinds) || k == 0 {
		return "the store failed"
	}
	return kinds[k].name
}

// Error is a call that failed.
type Error struct {
	Op         string // as in Call
	Kind       Kind
	ID         ID            // of what, if it has one yet
	Name       string        // of what, if known
	Reason     string        // the store's own word for it, for the log
	Remedy     string        // what to do next; "" is the usual remedy of the kind
	RetryAfter time.Duration // wait at least so long; 0 where the store did not say
	Err        error         // the cause, or nil
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	switch {
	case e.Name != "":
		b.WriteString(" " + e.Name)
	case e.ID != "":
		b.WriteString(" " + string(e.ID))
	}
	b.WriteString(": " + e.Kind.Error())
	if e.Reason != "" {
		b.WriteString(" (" + e.Reason + ")")
	}
	remedy := e.Remedy
	if remedy == "" && int(e.Kind) < len(kinds) {
		remedy = kinds[e.Kind].remedy
	}
	if remedy != "" {
		b.WriteString("; " + remedy)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Is matches the kind and the sentinel of the standard library that means the same.
func (e *Error) Is(target error) bool {
	if k, ok := target.(Kind); ok {
		return k == e.Kind
	}
	return int(e.Kind) < len(kinds) && kinds[e.Kind].same != nil && kinds[e.Kind].same == target
}

func (e *Error) Unwrap() error { return e.Err }

// each calls fn for every *Error in err, also where several were joined.
func each(err error, fn func(*Error)) {
	switch x := err.(type) {
	case nil:
	case *Error:
		fn(x)
	case interface{ Unwrap() []error }:
		for _, e := range x.Unwrap() {
			each(e, fn)
		}
	default:
		each(errors.Unwrap(err), fn)
	}
}

// Temporary says whether the same call may succeed later without anybody doing anything: it, or one of those that were
// joined, is Unavailable or Throttled. The end of the context is not.
func Temporary(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	yes := false
	each(err, func(e *Error) { yes = yes || e.Kind == Unavailable || e.Kind == Throttled })
	return yes
}

// RetryAfter is the longest time that the store asked to wait in err, 0 if it did not.
func RetryAfter(err error) time.Duration {
	var longest time.Duration
	each(err, func(e *Error) { longest = max(longest, e.RetryAfter) })
	return longest
}
