package account

import (
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/openmined/syftfs/perm"
	"golang.org/x/text/unicode/norm"
)

// New is what an account is made of. Role "" means data_scientist, Password "" means none.
type New struct {
	Email       string
	Name        string
	Role        Role
	Institution string
	Website     string
	Password    string
}

// reserved are addresses that name nobody in other programs.
var reserved = map[perm.User]bool{"guest@syftbox.net": true, "guest@syft.org": true}

// check gives the account that n describes, with nothing yet that the store decides.
func (n New) check() (Account, error) {
	a := Account{EmailDisplay: strings.TrimSpace(n.Email), Name: strings.TrimSpace(n.Name), Role: n.Role,
		Institution: strings.TrimSpace(n.Institution), Website: strings.TrimSpace(n.Website)}
	if a.Role == "" {
		a.Role = DataScientist
	}
	var err error
	if a.Email, err = perm.ParseUser(n.Email); err != nil {
		return Account{}, &FieldError{"email", err.Error(), ErrInvalidEmail}
	}
	if reserved[a.Email] {
		return Account{}, &FieldError{"email", "it is reserved", ErrInvalidEmail}
	}
	if err := checkFields(a); err != nil {
		return Account{}, err
	}
	if n.Password != "" && (len(n.Password) < 8 || len(n.Password) > 1024 || !utf8.ValidString(n.Password)) {
		return Account{}, &FieldError{"password", "", ErrWeakPassword}
	}
	return a, nil
}

// checkFields judges what people type about an account.
func checkFields(a Account) error {
	switch a.Role {
	case Admin, DataScientist, Guest:
	default:
		return &FieldError{"role", fmt.Sprintf("%q", a.Role), ErrUnknownRole}
	}
	for _, f := range []struct {
		name, value string
		limit       int
	}{{"name", a.Name, 128}, {"institution", a.Institution, 256}, {"website", a.Website, 2048}, {"email_display", a.EmailDisplay, 1024}} {
		switch {
		case !utf8.ValidString(f.value) || strings.ContainsFunc(f.value, unicode.IsControl):
			return &FieldError{f.name, "it has control characters", ErrInvalidField}
		case utf8.RuneCountInString(f.value) > f.limit:
			return &FieldError{f.name, fmt.Sprintf("it is longer than %d characters", f.limit), ErrInvalidField}
		}
	}
	if strings.TrimSpace(a.Name) == "" {
		return &FieldError{"name", "it is empty", ErrInvalidField}
	}
	if a.Website != "" {
		u, err := url.Parse(a.Website)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return &FieldError{"website", "give a whole address, such as https://example.org", ErrInvalidField}
		}
	}
	return nil
}

// guessable reports whether a password is one of the first that anybody tries for this person.
func guessable(password string, a Account) bool {
	local, _, _ := strings.Cut(string(a.Email), "@")
	p := strings.ToLower(norm.NFC.String(password))
	if p == string(a.Email) || p == local || p == strings.ToLower(a.Name) {
		return true
	}
	for _, known := range []string{"changethis", "changeme", "password", "passw0rd", "letmein1", "welcome1", "qwertyuiop", "qwerty123",
		"iloveyou", "sunshine", "princess", "football", "baseball", "superman", "trustno1", "1q2w3e4r", "1qaz2wsx", "abcd1234", "abc12345",
		"admin123", "administrator", "openmined", "datascience"} {
		if p == known || strings.TrimRight(p, "0123456789!") == known {
			return true
		}
	}
	return onlyDigits(p) || strings.Count(p, p[:1]) == len(p)
}

func onlyDigits(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}
