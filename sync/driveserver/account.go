package driveserver

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"
)

// account is a person, or an address that somebody shared something with (a shadow, until it is added).
type account struct {
	ID      string `json:"id"` // also the permission id
	Email   string `json:"email"`
	Root    string `json:"root,omitempty"` // My Drive; "" for a shadow
	AppRoot string `json:"appRoot,omitempty"`
	SignIn  string `json:"signIn,omitempty"` // hash of the sign-in code
	Limit   int64  `json:"limit,omitempty"`  // bytes; 0 is no limit
	Key     []byte `json:"key,omitempty"`    // public key of a service account, PKIX
	Added   int64  `json:"added,omitempty"`
}

// name is what is shown for a person.
func (a *account) name() string {
	local, _, _ := strings.Cut(a.Email, "@")
	return local
}

// Account is an account as its operator sees it.
type Account struct {
	Email        string    `json:"email"`
	PermissionID string    `json:"permissionId"`
	Root         string    `json:"root"` // id of My Drive
	Added        time.Time `json:"added"`
	Items        int       `json:"items"` // owned, without the root folders
	Usage        int64     `json:"usage"` // bytes
	Limit        int64     `json:"limit,omitempty"`
}

// NewAccount is what AddAccount made. The sign-in code is shown only here: it is what the consent page asks for.
type NewAccount struct {
	Account
	SignIn string `json:"signIn"`
}

// AddAccount makes an account. One that exists is ErrExist; an address that things were shared with before keeps them.
func (s *Server) AddAccount(email string) (NewAccount, error) {
	if err := checkAddress(email); err != nil {
		return NewAccount{}, err
	}
	code := newSecret(10)
	var made *account
	err := s.update("", func(tx *txn) error {
		a := &account{ID: newPermissionID()}
		if old := tx.st.byMail(email); old != nil {
			if old.Root != "" {
				return fmt.Errorf("account %s: %w", email, iofs.ErrExist)
			}
			*a = *old
		}
		a.Email, a.Root, a.AppRoot, a.SignIn, a.Added = email, newRootID(), newFileID(), hashSecret(code), tx.real
		tx.saveAccount(a)
		for id, space := range map[string]string{a.Root: spaceDrive, a.AppRoot: spaceAppData} {
			tx.put(&item{ID: id, Owner: a.ID, Root: true, Space: space, Name: "My Drive", Mime: mimeFolder, Created: tx.now, Modified: tx.now, ModifiedBy: a.ID}, false)
		}
		made = a
		return nil
	})
	if err != nil {
		return NewAccount{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return NewAccount{Account: s.st.describe(made), SignIn: code}, nil
}

func (tx *txn) saveAccount(a *account) {
	tx.save(bucketAccounts, a.ID, a, func(st *state) {
		st.accounts[a.ID] = a
		st.mails[lower(a.Email)] = a.ID
	})
}

// shadow returns the account of an address and makes one without a Drive for an address nobody has.
func (tx *txn) shadow(email string) *account {
	if a := tx.st.byMail(email); a != nil {
		return a
	}
	a := &account{ID: newPermissionID(), Email: email}
	tx.saveAccount(a)
	return a
}

// Accounts are all accounts, by address.
func (s *Server) Accounts() []Account {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []Account
	for _, a := range s.st.accounts {
		if a.Root != "" {
			all = append(all, s.st.describe(a))
		}
	}
	slices.SortFunc(all, func(a, b Account) int { return strings.Compare(a.Email, b.Email) })
	return all
}

func (st *state) describe(a *account) Account {
	d := Account{Email: a.Email, PermissionID: a.ID, Root: a.Root, Added: time.UnixMilli(a.Added), Usage: st.usage[a.ID], Limit: a.Limit}
	for _, it := range st.items {
		if it.Owner == a.ID && !it.Root {
			d.Items++
		}
	}
	return d
}

// SetLimit sets how many bytes an account may own; 0 is no limit. No such account: ErrNotExist.
func (s *Server) SetLimit(email string, bytes int64) error {
	return s.changeAccount(email, func(a *account) { a.Limit = bytes })
}

func (s *Server) changeAccount(email string, change func(*account)) error {
	return s.update("", func(tx *txn) error {
		old, err := tx.st.realAccount(email)
		if err != nil {
			return err
		}
		a := *old
		change(&a)
		tx.saveAccount(&a)
		return nil
	})
}

func (st *state) realAccount(email string) (*account, error) {
	a := st.byMail(email)
	if a == nil || a.Root == "" {
		return nil, fmt.Errorf("account %s: %w", email, iofs.ErrNotExist)
	}
	return a, nil
}

// RemoveAccount deletes an account, everything that it owns, what was shared with it, and its tokens. What others own in its folders
// moves to their root folders. No such account: ErrNotExist.
func (s *Server) RemoveAccount(email string) error {
	return s.update("", func(tx *txn) error {
		a, err := tx.st.realAccount(email)
		if err != nil {
			return err
		}
		for hash, t := range tx.st.tokens {
			if t.Account == a.ID {
				tx.dropToken(hash)
			}
		}
		for id, x := range tx.st.sessions {
			if x.Account == a.ID {
				tx.dropSession(id)
			}
		}
		for id := range tx.st.items {
			it := tx.item(id)
			if it == nil || it.Root {
				continue
			}
			if it.Owner == a.ID {
				tx.deleteTree(it)
				continue
			}
			if _, ok := it.grantOf(a.ID); ok {
				c := it.clone()
				c.dropGrant(a.ID)
				tx.put(c, true)
			}
		}
		for _, root := range []string{a.Root, a.AppRoot} {
			for _, k := range tx.kids(root) {
				tx.sendHome(tx.item(k))
			}
			tx.remove(tx.item(root))
		}
		tx.save(bucketAccounts, a.ID, nil, func(st *state) {
			delete(st.accounts, a.ID)
			delete(st.mails, lower(a.Email))
		})
		return nil
	})
}

// signsIn tells whether code is the sign-in code of the account.
func (a *account) signsIn(code string) bool {
	return a.SignIn != "" && subtle.ConstantTimeCompare([]byte(a.SignIn), []byte(hashSecret(code))) == 1
}

// checkAddress refuses what cannot be an e-mail address.
func checkAddress(email string) error {
	local, domain, ok := strings.Cut(email, "@")
	bad := func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune(`@"'\<>(),;:`, r)
	}
	if !ok || local == "" || domain == "" || len(email) > 254 || strings.ContainsFunc(local, bad) || strings.ContainsFunc(domain, bad) {
		return fmt.Errorf("%q is not an e-mail address: %w", email, iofs.ErrInvalid)
	}
	return nil
}

func lower(s string) string { return strings.ToLower(s) }

func hashSecret(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

// secretFile reads a secret from path, mode 0600, and makes one if there is none.
func secretFile(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if err == nil && len(raw) >= 20 {
		return string(raw), nil
	}
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return "", err
	}
	secret := newSecret(32)
	return secret, writeFile(path, []byte(secret), 0o600)
}

// writeFile replaces a file atomically.
func writeFile(path string, body []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(body)
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
