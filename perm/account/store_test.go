package account

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/fs/statedir"
	"github.com/openmined/syftfs/perm"
)

const (
	owner  perm.User = "owen@centre.example"
	rachel perm.User = "rachel@science.example"
)

var start = time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)

func newStore(t *testing.T) (*Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state")
	return reopen(t, path, nil), path
}

func reopen(t *testing.T, path string, fault statedir.Fault) *Store {
	t.Helper()
	s, err := openAt(path, fault)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openAt(path string, fault statedir.Fault) (*Store, error) {
	dir, err := statedir.Open(path, fault)
	if err != nil {
		return nil, err
	}
	return open(dir, owner, func() time.Time { return start })
}

func create(t *testing.T, s *Store, n New) Account {
	t.Helper()
	if n.Name == "" {
		n.Name = "Somebody"
	}
	a, err := s.Create(context.Background(), owner, n)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestFirstOpen(t *testing.T) {
	s, path := newStore(t)
	all := s.List()
	if len(all) != 1 || !all[0].Root || all[0].Email != owner || all[0].Role != Admin || all[0].Verified.By != ByOwner || all[0].PasswordSet {
		t.Fatalf("%+v", all)
	}
	if site := s.Datasite(); len(site.ID) != 29 || site.Owner != owner || site.UID != os.Getuid() || !site.Created.Equal(start) {
		t.Errorf("%+v", site)
	}
	if len(all[0].ID) != 30 || !strings.HasPrefix(all[0].ID, "acc_") {
		t.Errorf("id %q", all[0].ID)
	}
	again := reopen(t, path, nil)
	if d := cmp.Diff(all, again.List()); d != "" {
		t.Error(d)
	}
	if again.Datasite() != s.Datasite() {
		t.Error("another datasite")
	}
	for _, name := range []string{accountsFile, secretsFile, siteFile} {
		info, err := os.Stat(filepath.Join(path, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
}

func TestCreate(t *testing.T) {
	s, path := newStore(t)
	a := create(t, s, New{Email: " Rachel@Science.Example ", Name: " Dr. Rachel Science ", Institution: "Institute", Website: "https://science.example/r"})
	want := Account{ID: a.ID, Email: rachel, EmailDisplay: "Rachel@Science.Example", Name: "Dr. Rachel Science", Institution: "Institute",
		Website: "https://science.example/r", Role: DataScientist, State: Active, Verified: Verified{ByAdmin, start, owner},
		Created: Created{start, owner}, UpdatedAt: start, Rev: 1}
	if d := cmp.Diff(want, a); d != "" {
		t.Error(d)
	}
	for _, who := range []string{"RACHEL@science.example", a.ID} {
		if got, err := reopen(t, path, nil).Get(who); err != nil || got != a {
			t.Errorf("Get(%q) = %+v, %v", who, got, err)
		}
	}
	if _, err := s.Get("nobody@science.example"); !errors.Is(err, ErrNotFound) || !errors.Is(err, iofs.ErrNotExist) {
		t.Error(err)
	}
}

func TestCreateRefuses(t *testing.T) {
	s, _ := newStore(t)
	create(t, s, New{Email: string(rachel)})
	good := New{Email: "new@science.example", Name: "New"}
	with := func(edit func(*New)) New {
		n := good
		edit(&n)
		return n
	}
	for name, c := range map[string]struct {
		n     New
		field string
		want  error
	}{
		"taken":           {with(func(n *New) { n.Email = "RACHEL@science.example" }), "email", ErrEmailTaken},
		"owner's address": {with(func(n *New) { n.Email = string(owner) }), "email", ErrEmailTaken},
		"reserved":        {with(func(n *New) { n.Email = "guest@syft.org" }), "email", ErrInvalidEmail},
		"reserved too":    {with(func(n *New) { n.Email = "Guest@SyftBox.net" }), "email", ErrInvalidEmail},
		"no domain":       {with(func(n *New) { n.Email = "syft" }), "email", ErrInvalidEmail},
		"no local part":   {with(func(n *New) { n.Email = "syft.com" }), "email", ErrInvalidEmail},
		"no label":        {with(func(n *New) { n.Email = "syft@.com" }), "email", ErrInvalidEmail},
		"star":            {with(func(n *New) { n.Email = "*@x.com" }), "email", ErrInvalidEmail},
		"mark":            {with(func(n *New) { n.Email = "?@x.com" }), "email", ErrInvalidEmail},
		"slash":           {with(func(n *New) { n.Email = "a/b@x.com" }), "email", ErrInvalidEmail},
		"quote":           {with(func(n *New) { n.Email = "o'neil@x.com" }), "email", ErrInvalidEmail},
		"anonymous":       {with(func(n *New) { n.Email = string(perm.Anonymous) }), "email", ErrInvalidEmail},
		"data owner":      {with(func(n *New) { n.Role = "data_owner" }), "role", ErrUnknownRole},
		"no name":         {with(func(n *New) { n.Name = " " }), "name", ErrInvalidField},
		"long name":       {with(func(n *New) { n.Name = strings.Repeat("x", 129) }), "name", ErrInvalidField},
		"control":         {with(func(n *New) { n.Institution = "a\x1bb" }), "institution", ErrInvalidField},
		"website":         {with(func(n *New) { n.Website = "javascript:alert(1)" }), "website", ErrInvalidField},
		"short password":  {with(func(n *New) { n.Password = "1234567" }), "password", ErrWeakPassword},
		"long password":   {with(func(n *New) { n.Password = strings.Repeat("x", 1025) }), "password", ErrWeakPassword},
	} {
		_, err := s.Create(context.Background(), owner, c.n)
		var field *FieldError
		if !errors.Is(err, c.want) || !errors.As(err, &field) || field.Field != c.field {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(s.List()); n != 2 {
		t.Errorf("%d accounts", n)
	}
}

func TestWhoMay(t *testing.T) {
	ctx := context.Background()
	s, _ := newStore(t)
	admin := create(t, s, New{Email: "admin@centre.example", Role: Admin})
	create(t, s, New{Email: string(rachel)})
	for _, by := range []perm.User{rachel, "nobody@centre.example", "", perm.Anonymous} {
		if _, err := s.Create(ctx, by, New{Email: "x@y.example", Name: "X"}); !errors.Is(err, ErrForbidden) || !errors.Is(err, iofs.ErrPermission) {
			t.Errorf("%q: %v", by, err)
		}
		for _, who := range []string{string(rachel), "unknown@y.example"} { // the same answer for both
			if _, err := s.Disable(ctx, by, who); !errors.Is(err, ErrForbidden) {
				t.Errorf("%q: %v", by, err)
			}
		}
	}
	if a, err := s.Create(ctx, admin.Email, New{Email: "x@y.example", Name: "X"}); err != nil || a.Created.By != admin.Email || a.Verified.Who != admin.Email {
		t.Errorf("%+v, %v", a, err)
	}
	for _, by := range []perm.User{admin.Email, owner} {
		if _, err := s.Disable(ctx, by, string(owner)); !errors.Is(err, ErrRootProtected) {
			t.Error(err)
		}
	}
	if _, err := s.Disable(ctx, owner, admin.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(ctx, admin.Email, New{Email: "z@y.example", Name: "Z"}); !errors.Is(err, ErrForbidden) {
		t.Errorf("a disabled admin: %v", err)
	}
}

func TestSubject(t *testing.T) {
	ctx := context.Background()
	s, path := newStore(t)
	create(t, s, New{Email: "admin@centre.example", Role: Admin})
	create(t, s, New{Email: string(rachel)})
	create(t, s, New{Email: "guest@centre.example", Role: Guest})
	create(t, s, New{Email: "gone@centre.example"})
	create(t, s, New{Email: "self@centre.example"})
	if _, err := s.Disable(ctx, owner, "gone@centre.example"); err != nil {
		t.Fatal(err)
	}
	unverify(t, path, "self@centre.example")
	s = reopen(t, path, nil)
	for account, want := range map[string]perm.User{
		string(owner): owner, "admin@centre.example": owner, string(rachel): rachel, "Rachel@Science.example": rachel,
		"guest@centre.example": perm.Anonymous, "self@centre.example": perm.Anonymous,
	} {
		if got, err := s.Subject(account); err != nil || got != want {
			t.Errorf("%s: %q, %v", account, got, err)
		}
	}
	for _, account := range []string{"gone@centre.example", "nobody@centre.example", "", "*", string(perm.Anonymous)} {
		if got, err := s.Subject(account); !errors.Is(err, iofs.ErrPermission) || got != "" {
			t.Errorf("%q: %q, %v", account, got, err)
		}
	}

	a, err := s.Verify(ctx, owner, "self@centre.example")
	if err != nil || a.Verified != (Verified{ByAdmin, start, owner}) || a.Rev != 2 {
		t.Fatalf("%+v, %v", a, err)
	}
	if again, err := s.Verify(ctx, owner, a.ID); err != nil || again != a {
		t.Errorf("a second time: %+v, %v", again, err)
	}
	if got, err := s.Subject("self@centre.example"); err != nil || got != "self@centre.example" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := s.Enable(ctx, owner, "gone@centre.example"); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Subject("gone@centre.example"); err != nil || got != "gone@centre.example" {
		t.Errorf("%q, %v", got, err)
	}
}

// unverify makes the account one that registered itself.
func unverify(t *testing.T, path, email string) {
	t.Helper()
	editAccounts(t, path, func(all []Account) []Account {
		i := slices.IndexFunc(all, func(a Account) bool { return string(a.Email) == email })
		all[i].Verified = Verified{By: ByNobody}
		return all
	})
}

func editAccounts(t *testing.T, path string, edit func([]Account) []Account) {
	t.Helper()
	name := filepath.Join(path, accountsFile)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var file accountsJSON
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	file.Accounts = edit(file.Accounts)
	if b, err = json.Marshal(file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOnChange(t *testing.T) {
	ctx := context.Background()
	s, _ := newStore(t)
	var got []string
	s.OnChange(func(before, after Account) {
		got = append(got, string(before.State)+">"+string(after.State))
		if _, err := s.Get(string(after.Email)); err != nil { // nothing is locked
			t.Error(err)
		}
	})
	create(t, s, New{Email: string(rachel)})
	for _, op := range []func(context.Context, perm.User, string) (Account, error){s.Enable, s.Disable, s.Disable, s.Enable, s.Verify} {
		if _, err := op(ctx, owner, string(rachel)); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{">active", "active>disabled", "disabled>active"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestPassword(t *testing.T) {
	s, path := newStore(t)
	a := create(t, s, New{Email: string(rachel), Password: "gr\u00fcne Wiese 17"})
	if !a.PasswordSet || a.MustChangePassword || !a.PasswordChangedAt.Equal(start) {
		t.Errorf("%+v", a)
	}
	weak := create(t, s, New{Email: "weak@science.example", Password: "changethis"})
	if !weak.MustChangePassword {
		t.Errorf("%+v", weak)
	}
	b, err := os.ReadFile(filepath.Join(path, secretsFile))
	if err != nil {
		t.Fatal(err)
	}
	var sec secrets
	if err := json.Unmarshal(b, &sec); err != nil {
		t.Fatal(err)
	}
	form := sec.Passwords[a.ID]
	parts := strings.Split(form, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != "v=19" || parts[3] != "m=65536,t=3,p=4" {
		t.Fatalf("%q", form)
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil || len(salt) != saltLength {
		t.Fatalf("salt: %v", err)
	}
	if phc("gru\u0308ne Wiese 17", salt) != form { // the same letters, composed otherwise
		t.Error("the hash depends on how the letters are composed")
	}
	accounts, err := os.ReadFile(filepath.Join(path, accountsFile))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(accounts), "argon2") || strings.Contains(string(b), "Wiese") {
		t.Error("a secret lies where it must not")
	}
	if got, err := reopen(t, path, nil).Get(a.ID); err != nil || !got.PasswordSet {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestGuessable(t *testing.T) {
	a := Account{Email: rachel, Name: "Rachel Science"}
	for p, want := range map[string]bool{"changethis": true, "Password123": true, "12345678": true, "aaaaaaaa": true, "rachel@science.example": true,
		"RACHEL SCIENCE": true, "correct horse battery": false, "Tr0ub4dor&3": false} {
		if guessable(p, a) != want {
			t.Errorf("%q: %v", p, !want)
		}
	}
}

func TestHashWaitsForItsTurn(t *testing.T) {
	s, _ := newStore(t)
	for range hashAtOnce {
		s.turns <- struct{}{}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.hash(ctx, "some password"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestConcurrentCreate(t *testing.T) {
	s, path := newStore(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	made, taken := 0, 0
	for range 8 {
		wg.Go(func() {
			_, err := s.Create(context.Background(), owner, New{Email: string(rachel), Name: "R"})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				made++
			case errors.Is(err, ErrEmailTaken):
				taken++
			}
		})
	}
	wg.Wait()
	if made != 1 || taken != 7 || len(reopen(t, path, nil).List()) != 2 {
		t.Errorf("%d made, %d taken", made, taken)
	}
}
