// Package account keeps the local people of a datasite: their roles, who vouched for their addresses, and the hashes of
// their passwords, in files that an editor can repair. It must not know paths or rules, and it does not sign anybody in:
// there is no door yet that asks for a password. The composition root and cmd/internal/service may import it.
package account

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"time"

	"github.com/openmined/syftfs/perm"
)

// Role is what a person is here.
type Role string

// The roles. Rights by rules have verified data scientists only; an admin has the owner's in the own datasite.
const (
	Admin         Role = "admin"
	DataScientist Role = "data_scientist"
	Guest         Role = "guest"
)

// State tells whether an account is in force.
type State string

// The states.
const (
	Active   State = "active"
	Disabled State = "disabled"
)

// Voucher is how it is known that the holder of an account is the holder of its address.
type Voucher string

// The vouchers. ByMail and ByDrive are known but nothing sets them yet.
const (
	ByNobody Voucher = "none"
	ByOwner  Voucher = "owner" // the root account
	ByAdmin  Voucher = "admin" // an admin made or verified it
	ByMail   Voucher = "mail"
	ByDrive  Voucher = "drive"
)

// Verified says by what, when and by whom an address was vouched for.
type Verified struct {
	By  Voucher   `json:"by"`
	At  time.Time `json:"at,omitzero"`
	Who perm.User `json:"who,omitempty"` // address of the admin
}

// Created says when and by whom an account was made.
type Created struct {
	At time.Time `json:"at"`
	By perm.User `json:"by"`
}

// Account is one person; a copy, safe to keep. It holds no secret.
type Account struct {
	ID                 string    `json:"id"` // "acc_" and 26 characters
	Email              perm.User `json:"email"`
	EmailDisplay       string    `json:"email_display"` // as it was typed
	Name               string    `json:"name"`
	Institution        string    `json:"institution"`
	Website            string    `json:"website"`
	Role               Role      `json:"role"`
	Root               bool      `json:"root"`
	State              State     `json:"state"`
	Verified           Verified  `json:"verified"`
	MustChangePassword bool      `json:"must_change_password"`
	PasswordChangedAt  time.Time `json:"password_changed_at,omitzero"`
	Created            Created   `json:"created"`
	UpdatedAt          time.Time `json:"updated_at"`
	Rev                int       `json:"rev"`

	PasswordSet bool `json:"-"` // told by the secrets
}

// IsVerified reports whether somebody vouched for the address.
func (a Account) IsVerified() bool { return a.Verified.By != ByNobody }

// kind is a sentinel that is a standard one too.
type kind struct {
	text string
	is   error
}

func (k *kind) Error() string { return k.text }
func (k *kind) Unwrap() error { return k.is }

// The refusals. Those of the second group come inside a *FieldError, which names the field.
var (
	ErrNotFound      error = &kind{"there is no such account", iofs.ErrNotExist}
	ErrRootProtected error = &kind{"the root account is the owner's: it can be neither disabled nor given another role", iofs.ErrPermission}
	ErrForbidden     error = &kind{"only the owner and active admins may do this", iofs.ErrPermission}
	ErrBusy                = errors.New("too many passwords are being worked on: try again in a moment")

	ErrEmailTaken   error = &kind{"another account has this address", iofs.ErrExist}
	ErrInvalidEmail error = &kind{"not an address that an account can have", iofs.ErrInvalid}
	ErrUnknownRole  error = &kind{"unknown role: use admin, data_scientist or guest", iofs.ErrInvalid}
	ErrWeakPassword error = &kind{"the password must have 8 to 1024 bytes", iofs.ErrInvalid}
	ErrInvalidField error = &kind{"not a possible value", iofs.ErrInvalid}

	// ErrBroken says that the files of the accounts cannot be used as they are.
	ErrBroken = errors.New("the files of the accounts are damaged")
)

// FieldError is a refused value: which field, and why.
type FieldError struct {
	Field  string // as in Account's JSON, or "password"
	Reason string // may be empty
	Err    error  // one of the sentinels
}

func (e *FieldError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("%s: %v", e.Field, e.Err)
	}
	return fmt.Sprintf("%s: %v: %s", e.Field, e.Err, e.Reason)
}

// Unwrap gives the sentinel.
func (e *FieldError) Unwrap() error { return e.Err }
