package account

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"maps"
	"time"

	"github.com/openmined/syftfs/perm"
)

// The files, and the version of their form.
const (
	siteFile     = "datasite.json"
	accountsFile = "accounts.json"
	secretsFile  = "secrets.json"
	fileVersion  = 1
)

type siteJSON struct {
	Version int       `json:"version"`
	ID      string    `json:"id"`
	Owner   perm.User `json:"owner"`
	UID     int       `json:"owner_uid"`
	Created time.Time `json:"created"`
}

type accountsJSON struct {
	Version  int       `json:"version"`
	Accounts []Account `json:"accounts"`
}

// secrets hold hashes only, by account id.
type secrets struct {
	Version   int               `json:"version"`
	Passwords map[string]string `json:"passwords"`
}

func (s secrets) with(id, hash string) secrets {
	p := maps.Clone(s.Passwords)
	if p == nil {
		p = map[string]string{}
	}
	p[id] = hash
	return secrets{fileVersion, p}
}

// load reads the three files. datasite.json is written last on first open, so that with it the others must be there, and
// without it there is nobody yet but the owner.
func (s *Store) load() error {
	var site siteJSON
	switch err := s.read(siteFile, &site, func() int { return site.Version }); {
	case errors.Is(err, iofs.ErrNotExist):
		return s.first()
	case err != nil:
		return err
	}
	s.site = Datasite{ID: site.ID, Owner: site.Owner, UID: site.UID, Created: site.Created}
	if site.ID == "" {
		return s.broken(siteFile, "the id is missing")
	}
	if site.Owner != s.owner {
		return fmt.Errorf("%s is the state of %s, not of %s: choose another --datasite name, or start with the owner's address", s.dir.Path(), site.Owner, s.owner)
	}
	return s.loadPeople()
}

// first makes the files of a new datasite, or goes on where an earlier attempt was cut off.
func (s *Store) first() error {
	missing := func(name string) bool {
		_, err := s.dir.Read(name)
		return errors.Is(err, iofs.ErrNotExist)
	}
	// They are written in this order, and no older list may be lost.
	if missing(accountsFile) {
		if !missing(accountsFile+".bak") || !missing(secretsFile) {
			return s.broken(accountsFile, "it is missing")
		}
		if err := s.writeAccounts([]Account{s.root()}); err != nil {
			return err
		}
	}
	if missing(secretsFile) && missing(secretsFile+".bak") {
		if err := s.writeSecrets(secrets{fileVersion, map[string]string{}}); err != nil {
			return err
		}
	}
	if err := s.loadPeople(); err != nil {
		return err
	}
	if len(s.all) > 1 {
		return s.broken(siteFile, "it is missing, but there are accounts")
	}
	site := s.newSite()
	err := s.dir.WriteJSON("datasite", siteFile, siteJSON{fileVersion, site.ID, site.Owner, site.UID, site.Created})
	if err != nil {
		return fmt.Errorf("write %s: %w", s.dir.Path(siteFile), err)
	}
	s.site = site
	return nil
}

func (s *Store) loadPeople() error {
	var file accountsJSON
	if err := s.read(accountsFile, &file, func() int { return file.Version }); err != nil {
		return err
	}
	if err := s.check(file.Accounts); err != nil {
		return err
	}
	var sec secrets
	if err := s.read(secretsFile, &sec, func() int { return sec.Version }); err != nil {
		return err
	}
	s.all, s.secrets = file.Accounts, sec
	return nil
}

// check refuses a list of accounts that contradicts itself.
func (s *Store) check(all []Account) error {
	roots, ids, emails := 0, map[string]bool{}, map[perm.User]bool{}
	for n, a := range all {
		bad := func(format string, args ...any) error {
			return s.broken(accountsFile, fmt.Sprintf("account %d (%s): ", n+1, a.Email)+fmt.Sprintf(format, args...))
		}
		if u, err := perm.ParseUser(string(a.Email)); err != nil || u != a.Email {
			return bad("%q is not an address in lower case", a.Email)
		}
		if a.ID == "" || ids[a.ID] || emails[a.Email] {
			return bad("its id or address stands twice, or is missing")
		}
		ids[a.ID], emails[a.Email] = true, true
		if err := checkFields(a); err != nil {
			return bad("%v", err)
		}
		if a.State != Active && a.State != Disabled {
			return bad("unknown state %q", a.State)
		}
		switch a.Verified.By {
		case ByNobody, ByAdmin, ByMail, ByDrive:
		case ByOwner:
			if !a.Root {
				return bad("verified by owner, but it is not root")
			}
		default:
			return bad("unknown verification %q", a.Verified.By)
		}
		if a.Root {
			roots++
			if a.Email != s.owner || a.Role != Admin || a.State != Active || a.Verified.By != ByOwner {
				return bad("the root account must be %s, admin, active, verified by owner", s.owner)
			}
		}
	}
	if roots != 1 {
		return s.broken(accountsFile, fmt.Sprintf("it has %d root accounts, not one", roots))
	}
	return nil
}

// read reads a JSON file without unknown fields; a missing one is fs.ErrNotExist and what to do.
func (s *Store) read(name string, v any, version func() int) error {
	b, err := s.dir.Read(name)
	if errors.Is(err, iofs.ErrNotExist) {
		return fmt.Errorf("%w: %s: %w", ErrBroken, s.remedy(name, "it is missing"), iofs.ErrNotExist)
	}
	if err != nil {
		return fmt.Errorf("read accounts: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		line := 1 + bytes.Count(b[:min(d.InputOffset(), int64(len(b)))], []byte("\n"))
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			line = 1 + bytes.Count(b[:min(syntax.Offset, int64(len(b)))], []byte("\n"))
		} else if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			line = 1 + bytes.Count(b[:min(wrong.Offset, int64(len(b)))], []byte("\n"))
		}
		return s.broken(name, fmt.Sprintf("line %d: %v", line, err))
	}
	if d.More() {
		return s.broken(name, "there is something after the end")
	}
	if version() != fileVersion {
		return s.broken(name, fmt.Sprintf("it has version %d, this program reads version %d", version(), fileVersion))
	}
	return nil
}

func (s *Store) broken(name, what string) error {
	return fmt.Errorf("%w: %s", ErrBroken, s.remedy(name, what))
}

func (s *Store) remedy(name, what string) string {
	full := s.dir.Path(name)
	text := fmt.Sprintf("%s: %s; repair it", full, what)
	if _, err := s.dir.Read(name + ".bak"); err == nil {
		text += fmt.Sprintf(", or put the version before back: cp %s.bak %s", full, full)
	}
	return text
}

func (s *Store) writeAccounts(all []Account) error {
	return s.write("accounts", accountsFile, accountsJSON{fileVersion, all})
}

func (s *Store) writeSecrets(sec secrets) error {
	return s.write("secrets", secretsFile, sec)
}

// write keeps the old file as .bak and replaces it.
func (s *Store) write(op, name string, v any) error {
	old, err := s.dir.Read(name)
	if err == nil {
		err = s.dir.Write(op+":bak", name+".bak", old)
	}
	if err == nil || errors.Is(err, iofs.ErrNotExist) {
		err = s.dir.WriteJSON(op, name, v)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", s.dir.Path(name), err)
	}
	return nil
}
