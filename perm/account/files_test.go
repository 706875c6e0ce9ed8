package account

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openmined/syftfs/fs/statedir"
)

func TestOpenRefusesDamage(t *testing.T) {
	remove := func(names ...string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			for _, n := range names {
				if err := os.Remove(filepath.Join(path, n)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	replace := func(name, old, new string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			full := filepath.Join(path, name)
			b, err := os.ReadFile(full)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(b), old) {
				t.Fatalf("%s has no %q:\n%s", name, old, b)
			}
			if err := os.WriteFile(full, []byte(strings.Replace(string(b), old, new, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	edit := func(fn func([]Account) []Account) func(*testing.T, string) {
		return func(t *testing.T, path string) { editAccounts(t, path, fn) }
	}
	for name, c := range map[string]struct {
		damage func(*testing.T, string)
		says   []string
	}{
		"accounts missing":        {remove(accountsFile), []string{accountsFile, "missing", "cp "}},
		"secrets missing":         {remove(secretsFile), []string{secretsFile, "missing"}},
		"site missing":            {remove(siteFile), []string{siteFile, "missing"}},
		"site, accounts missing":  {remove(siteFile, accountsFile), []string{accountsFile, "missing", "cp "}},
		"site, secrets missing":   {remove(siteFile, secretsFile), []string{siteFile, "missing"}},
		"cut short":               {replace(accountsFile, "]\n}", ""), []string{accountsFile, "line", "cp "}},
		"not JSON":                {replace(accountsFile, "\"role\": \"admin\"", "\"role\" \"admin\""), []string{accountsFile, "line 11"}},
		"unknown field":           {replace(accountsFile, "\"institution\"", "\"institute\""), []string{accountsFile, "institute"}},
		"wrong type":              {replace(accountsFile, "\"root\": true", "\"root\": \"yes\""), []string{accountsFile, "line"}},
		"next version":            {replace(accountsFile, "\"version\": 1", "\"version\": 2"), []string{accountsFile, "version 2"}},
		"more behind":             {replace(secretsFile, "\n}\n", "\n}\n{}"), []string{secretsFile, "after the end"}},
		"unknown role":            {replace(accountsFile, "data_scientist", "data_owner"), []string{accountsFile, "data_owner"}},
		"unknown state":           {replace(accountsFile, "\"state\": \"active\"", "\"state\": \"asleep\""), []string{"asleep"}},
		"unknown verification":    {replace(accountsFile, "\"by\": \"admin\"", "\"by\": \"me\""), []string{"verification"}},
		"verified by owner":       {replace(accountsFile, "\"by\": \"admin\"", "\"by\": \"owner\""), []string{"not root"}},
		"upper case":              {replace(accountsFile, "\"email\": \"rachel", "\"email\": \"Rachel"), []string{"lower case"}},
		"a pattern as an address": {replace(accountsFile, "\"email\": \"rachel", "\"email\": \"*"), []string{"address"}},
		"two roots":               {edit(func(all []Account) []Account { all[1].Root = true; return all }), []string{"root"}},
		"no root":                 {edit(func(all []Account) []Account { return all[1:] }), []string{"0 root accounts"}},
		"root disabled":           {edit(func(all []Account) []Account { all[0].State = Disabled; return all }), []string{"root account must be"}},
		"nobody":                  {edit(func([]Account) []Account { return nil }), []string{"0 root accounts"}},
		"an address twice":        {edit(func(all []Account) []Account { b := all[1]; b.ID += "x"; return append(all, b) }), []string{"twice"}},
		"an id twice":             {edit(func(all []Account) []Account { b := all[1]; b.Email = "b@c.example"; return append(all, b) }), []string{"twice"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, path := newStore(t)
			create(t, s, New{Email: string(rachel)})
			c.damage(t, path)
			_, err := openAt(path, nil)
			if !errors.Is(err, ErrBroken) {
				t.Fatal(err)
			}
			for _, want := range append(c.says, path) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}

func TestOpenRefusesAnotherOwner(t *testing.T) {
	_, path := newStore(t)
	dir, err := statedir.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, rachel); err == nil || !strings.Contains(err.Error(), string(owner)) {
		t.Error(err)
	}
	if _, err := Open(dir, "Owen@centre.example"); err == nil {
		t.Error("an address that is not canonical")
	}
}

// failAt fails one named step, once.
type failAt struct {
	op  string
	hit bool
}

var errFault = errors.New("fault")

func (f *failAt) Before(op string) error {
	if op == f.op && !f.hit {
		f.hit = true
		return errFault
	}
	return nil
}

// TestCrashes fails each step of writing and starts again from what is left.
func TestCrashes(t *testing.T) {
	for _, op := range []string{"accounts:rename", "secrets:rename", "datasite:rename"} {
		t.Run("first open, "+op, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state")
			f := &failAt{op: op}
			if _, err := openAt(path, f); !errors.Is(err, errFault) {
				t.Fatal(err)
			}
			if s := reopen(t, path, nil); len(s.List()) != 1 {
				t.Fatalf("%+v", s.List())
			}
		})
	}
	for _, op := range []string{"accounts:bak:rename", "accounts:rename", "secrets:bak:rename", "secrets:rename"} {
		t.Run("create, "+op, func(t *testing.T) {
			ctx := context.Background()
			_, path := newStore(t)
			s := reopen(t, path, &failAt{op: op})
			told := 0
			s.OnChange(func(Account, Account) { told++ })
			n := New{Email: string(rachel), Name: "R", Password: "correct horse battery"}
			if _, err := s.Create(ctx, owner, n); !errors.Is(err, errFault) {
				t.Fatal(err)
			}
			if len(s.List()) != 1 || told != 0 || len(reopen(t, path, nil).List()) != 1 {
				t.Fatal("half an account")
			}
			if a, err := s.Create(ctx, owner, n); err != nil || !a.PasswordSet {
				t.Fatal(err)
			}
			if a, err := reopen(t, path, nil).Get(string(rachel)); err != nil || !a.PasswordSet {
				t.Fatal(err)
			}
		})
	}
}
