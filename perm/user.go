package perm

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// ErrAddress is wrapped by every refusal of ParseUser.
var ErrAddress = errors.New("not an e-mail address that can name a datasite")

const (
	maxAddress = 254
	maxLocal   = 64
	maxLabel   = 63
)

// ParseUser gives the canonical form of an address: trimmed, Unicode NFC, lower case, the domain as ASCII labels. Dots and
// "+" parts are kept. It accepts only what is safe as a folder name and inside a pattern; the error says what is wrong.
func ParseUser(s string) (User, error) {
	refuse := func(what string) (User, error) {
		return "", fmt.Errorf("%q: %s: %w", clip(s), what, ErrAddress)
	}
	if len(s) > 4*maxAddress { // longer than any spelling of a valid address; do not normalise it
		return refuse("it is too long")
	}
	addr := strings.ToLower(norm.NFC.String(strings.TrimSpace(s)))
	if addr == "" {
		return refuse("it is empty")
	}
	local, domain, found := strings.Cut(addr, "@")
	if !found {
		return refuse("it has no @")
	}
	if strings.Contains(domain, "@") {
		return refuse("it has more than one @")
	}
	if what := checkLocal(local); what != "" {
		return refuse(what)
	}
	domain, what := asciiDomain(domain)
	if what != "" {
		return refuse(what)
	}
	if addr = local + "@" + domain; len(addr) > maxAddress {
		return refuse("it is longer than 254 characters")
	}
	return User(addr), nil
}

// checkLocal returns what is wrong with the part before the @, or "".
func checkLocal(local string) string {
	switch {
	case local == "":
		return "nothing stands before the @"
	case len(local) > maxLocal:
		return "the part before the @ is longer than 64 characters"
	case local[0] == '.' || local[len(local)-1] == '.':
		return "the part before the @ begins or ends with a dot"
	case strings.Contains(local, ".."):
		return "the part before the @ has two dots in a row"
	}
	for _, r := range local {
		if !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || strings.ContainsRune("._%+-", r)) {
			return fmt.Sprintf("the part before the @ holds %q; letters, digits and . _ %% + - are allowed", r)
		}
	}
	return ""
}

// asciiDomain gives the domain as ASCII labels, or what is wrong with it.
func asciiDomain(domain string) (ascii, wrong string) {
	if domain == "" {
		return "", "nothing stands after the @"
	}
	// A plain domain needs no mapping; going through IDNA would refuse lawful names such as "a--b.org".
	if !isASCII(domain) || strings.Contains(domain, "xn--") {
		profile := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.Transitional(false), idna.StrictDomainName(true))
		mapped, err := profile.ToASCII(domain)
		if err != nil {
			return "", "the domain is not a valid international name"
		}
		domain = mapped
	}
	labels := strings.Split(domain, ".")
	if len(labels) < 2 {
		return "", "the domain has no dot"
	}
	for _, l := range labels {
		switch {
		case l == "":
			return "", "the domain has an empty part"
		case len(l) > maxLabel:
			return "", "a part of the domain is longer than 63 characters"
		case l[0] == '-' || l[len(l)-1] == '-':
			return "", "a part of the domain begins or ends with -"
		}
		for _, r := range l {
			if !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-') {
				return "", fmt.Sprintf("the domain holds %q; letters, digits, - and . are allowed", r)
			}
		}
	}
	last := labels[len(labels)-1]
	if strings.HasPrefix(last, "xn--") {
		return domain, ""
	}
	if len(last) < 2 || strings.ContainsAny(last, "0123456789-") {
		return "", "the domain must end with two or more letters, like .org"
	}
	return domain, ""
}

// String gives the address, and a word that is no address for Anonymous.
func (u User) String() string {
	if u == Anonymous {
		return "anonymous"
	}
	return string(u)
}

// nobody reports whether u is not signed in: Anonymous, or the empty id, which owns nothing.
func (u User) nobody() bool { return u == "" || u == Anonymous }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// clip keeps an error message readable.
func clip(s string) string {
	const limit = 100
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "..."
}
