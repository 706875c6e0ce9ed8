package service

import (
	"errors"
	iofs "io/fs"
	"net/http"
)

// Code is the kind of a refusal, as programs see it.
type Code string

// The codes of this version.
const (
	Unexpected  Code = "unexpected"
	BadInput    Code = "bad_input"
	BadEmail    Code = "invalid_email"
	Forbidden   Code = "forbidden"
	NotFound    Code = "not_found"
	Conflict    Code = "conflict"
	EmailTaken  Code = "email_taken"
	Protected   Code = "root_protected"
	NotRunning  Code = "not_running"
	Unconfirmed Code = "confirmation_required"
	Machine     Code = "unsupported_environment"
	NotYet      Code = "not_yet"
)

// table is the one table from a code to what the doors say: the exit status of a command and the status of HTTP.
var table = map[Code]struct{ exit, http int }{
	Unexpected:  {1, http.StatusInternalServerError},
	BadInput:    {2, http.StatusUnprocessableEntity},
	BadEmail:    {2, http.StatusUnprocessableEntity},
	Forbidden:   {4, http.StatusForbidden},
	NotFound:    {5, http.StatusNotFound},
	Conflict:    {6, http.StatusConflict},
	EmailTaken:  {6, http.StatusConflict},
	Protected:   {6, http.StatusConflict},
	NotRunning:  {8, http.StatusServiceUnavailable},
	Unconfirmed: {9, http.StatusConflict},
	Machine:     {10, http.StatusNotImplemented},
	NotYet:      {75, http.StatusAccepted},
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

// Wrap gives err a code: its own if it has one, else by its kind.
func Wrap(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	for _, k := range kinds {
		if errors.Is(err, k.is) {
			return &Error{Code: k.code, Message: err.Error(), Err: err}
		}
	}
	return &Error{Code: Unexpected, Message: err.Error(), Err: err}
}

// kinds maps sentinels of the parts to codes; the first that fits counts.
var kinds = append(partKinds, []kind{
	{iofs.ErrNotExist, NotFound},
	{iofs.ErrExist, Conflict},
	{iofs.ErrPermission, Forbidden},
	{iofs.ErrInvalid, BadInput},
	{errors.ErrUnsupported, Machine},
}...)

type kind struct {
	is   error
	code Code
}
