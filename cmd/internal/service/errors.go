package service

import (
	"errors"
	iofs "io/fs"
	"net/http"
	"syscall"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/grant"
	"github.com/openmined/syftfs/jobs"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/account"
)

// Code is the kind of a refusal, as programs see it.
type Code string

// The codes of this version.
const (
	Unexpected   Code = "unexpected"
	NoAudit      Code = "audit_unavailable"
	BadInput     Code = "bad_input"
	BadEmail     Code = "invalid_email"
	UnknownRole  Code = "unknown_role"
	WeakPassword Code = "password_weak"
	Forbidden    Code = "forbidden"
	NotFound     Code = "not_found"
	Conflict     Code = "conflict"
	EmailTaken   Code = "email_taken"
	Protected    Code = "root_protected"
	Busy         Code = "busy"
	NotRunning   Code = "not_running"
	Unconfirmed  Code = "confirmation_required"
	Machine      Code = "unsupported_environment"
	NotYet       Code = "not_yet"
)

// table is the one table from a code to what the doors say: the exit status of a command and the status of HTTP.
var table = map[Code]struct{ exit, http int }{
	Unexpected:   {1, http.StatusInternalServerError},
	NoAudit:      {1, http.StatusInternalServerError},
	BadInput:     {2, http.StatusUnprocessableEntity},
	BadEmail:     {2, http.StatusUnprocessableEntity},
	UnknownRole:  {2, http.StatusUnprocessableEntity},
	WeakPassword: {2, http.StatusUnprocessableEntity},
	Forbidden:    {4, http.StatusForbidden},
	NotFound:     {5, http.StatusNotFound},
	Conflict:     {6, http.StatusConflict},
	EmailTaken:   {6, http.StatusConflict},
	Protected:    {6, http.StatusConflict},
	Busy:         {7, http.StatusServiceUnavailable},
	NotRunning:   {8, http.StatusServiceUnavailable},
	Unconfirmed:  {9, http.StatusConflict},
	Machine:      {10, http.StatusNotImplemented},
	NotYet:       {75, http.StatusAccepted},
}

// Exit is the exit status of a command that ended with c.
func (c Code) Exit() int {
	if t, ok := table[c]; ok {
		return t.exit
	}
	return 1
}

// HTTP is the status of an answer that says c.
func (c Code) HTTP() int {
	if t, ok := table[c]; ok {
		return t.http
	}
	return http.StatusInternalServerError
}

// Error is a refusal for people and programs. Message tells what to do next.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	Field   string `json:"field,omitempty"`
	Err     error  `json:"-"`
}

func (e *Error) Error() string { return e.Message }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Wrap gives err a code: its own if it has one, else by its kind, and the field that it names.
func Wrap(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	e := &Error{Code: Unexpected, Message: err.Error(), Err: err}
	for _, k := range kinds {
		if errors.Is(err, k.is) {
			e.Code = k.code
			break
		}
	}
	if f, ok := errors.AsType[*account.FieldError](err); ok {
		e.Field = f.Field
	}
	return e
}

// wrapped is Wrap that keeps nil a nil error.
func wrapped(err error) error {
	if err == nil {
		return nil
	}
	return Wrap(err)
}

// kinds maps sentinels of the parts to codes; the first that fits counts.
var kinds = []struct {
	is   error
	code Code
}{
	{account.ErrEmailTaken, EmailTaken},
	{account.ErrInvalidEmail, BadEmail},
	{account.ErrRootProtected, Protected},
	{account.ErrUnknownRole, UnknownRole},
	{account.ErrWeakPassword, WeakPassword},
	{account.ErrBusy, Busy},
	{perm.ErrAddress, BadEmail},
	{perm.ErrLevel, BadInput},
	{datasite.ErrName, BadInput},
	{datasite.ErrStale, Conflict},
	{jobs.ErrConflict, Conflict}, // before EINVAL, which it wraps
	{jobs.ErrAmbiguous, BadInput},
	{grant.ErrSideEffect, Conflict},
	{grant.ErrNoEffect, Conflict},
	{grant.ErrByHand, Conflict},
	{ErrPeer, Conflict},
	{iofs.ErrNotExist, NotFound},
	{iofs.ErrExist, Conflict},
	{iofs.ErrPermission, Forbidden},
	{iofs.ErrInvalid, BadInput},
	{syscall.EBUSY, Busy},
	{syscall.EROFS, Conflict},
	{syscall.EFBIG, BadInput},
	{syscall.EINVAL, BadInput},
	{syscall.ENOTDIR, BadInput},
	{syscall.EISDIR, BadInput},
	{syscall.ENAMETOOLONG, BadInput},
	{errors.ErrUnsupported, Machine},
}
