package wire

import (
	"fmt"
	"strings"

	"github.com/openmined/syftfs/perm"
)

// Address is an e-mail address exactly as it is spelled on Drive. Names are compared by this spelling, as syft-client does;
// rules and folders of the tree use the canonical form, User.
type Address string

// Spell gives the spelling that a peer is known by on Drive. It must give an address of the same user.
type Spell func(perm.User) Address

// ParseAddress takes an address as Drive or a peer spells it. What is no canonical address in other letters is refused: so is
// everything that syft-client's own expression does not match, and everything that would break a name ("#", "/", "'").
func ParseAddress(s string) (Address, error) {
	u, err := perm.ParseUser(s)
	if err != nil {
		return "", fmt.Errorf("%w: %w", err, ErrName)
	}
	// ParseUser also trims, and maps international domains: such a spelling is not one that a folder could bear.
	if !strings.EqualFold(string(u), s) || !ascii(s) {
		return "", fmt.Errorf("%s is a spelling of %s that cannot be used on Drive: %w", quote(s), u, ErrName)
	}
	return Address(s), nil
}

// User is the canonical form. The Address must come from ParseAddress.
func (a Address) User() perm.User { return perm.User(strings.ToLower(string(a))) }

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// spelled is how u is written, checked.
func (c Codec) spelled(u perm.User) (Address, error) {
	a := Address(u)
	if c.Spell != nil {
		a = c.Spell(u)
	}
	a, err := ParseAddress(string(a))
	if err != nil {
		return "", unsendablef("%v", err)
	}
	if a.User() != u {
		return "", unsendablef("%s is not a spelling of %s", quote(string(a)), u)
	}
	return a, nil
}
