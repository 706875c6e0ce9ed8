package account

import (
	"context"
	"fmt"
	iofs "io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/openmined/syftfs/fs/statedir"
	"github.com/openmined/syftfs/perm"
)

// Store is the accounts of one datasite. It fits guard.Subjects. All methods may be called concurrently; one process at a
// time has it open, which the lock of the state folder sees to.
type Store struct {
	dir   *statedir.Dir
	owner perm.User
	site  Datasite
	now   func() time.Time
	turns chan struct{} // one slot for each password that is being worked on

	// mu guards what follows, and the files. Nothing else is locked while it is held, but for what hooks never see.
	mu      sync.RWMutex
	all     []Account // oldest first
	secrets secrets
	hooks   []func(before, after Account)
}

// Datasite is what was fixed when the datasite was made.
type Datasite struct {
	ID      string    // random, not derived from a name
	Owner   perm.User // whose datasite it is
	UID     int       // of the owner's UNIX account
	Created time.Time
}

// Open reads the accounts in dir. On first open it makes the root account, which is the owner's. It refuses files that
// cannot be read or contradict each other (ErrBroken), and another owner.
func Open(dir *statedir.Dir, owner perm.User) (*Store, error) {
	return open(dir, owner, time.Now)
}

func open(dir *statedir.Dir, owner perm.User, now func() time.Time) (*Store, error) {
	if u, err := perm.ParseUser(string(owner)); err != nil || u != owner {
		return nil, fmt.Errorf("accounts: owner %q: %w", owner, perm.ErrAddress)
	}
	s := &Store{dir: dir, owner: owner, turns: make(chan struct{}, hashAtOnce)}
	s.now = func() time.Time { return now().UTC().Truncate(time.Second) }
	if err := s.load(); err != nil {
		return nil, err
	}
	return s, nil
}

// Datasite tells what was fixed when the datasite was made.
func (s *Store) Datasite() Datasite { return s.site }

// OnChange has fn called after each change to an account, with before zero for a new one. It is called in the goroutine
// that made the change, with nothing locked.
func (s *Store) OnChange(fn func(before, after Account)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks = append(s.hooks, fn)
}

// List gives all accounts, oldest first.
func (s *Store) List() []Account {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]Account, len(s.all))
	for i, a := range s.all {
		out[i] = s.told(a)
	}
	return out
}

// Get finds an account by its address, in any spelling, or its id.
func (s *Store) Get(who string) (Account, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	i, err := s.index(who)
	if err != nil {
		return Account{}, err
	}
	return s.told(s.all[i]), nil
}

// Subject tells as whom an account acts now: an admin as the owner, a verified data scientist as the own address, anybody
// else as perm.Anonymous. An account that is disabled or not there is an error that wraps fs.ErrPermission.
func (s *Store) Subject(account string) (perm.User, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	i, err := s.index(account)
	if err != nil {
		return "", fmt.Errorf("account %q is not known here: %w", account, iofs.ErrPermission)
	}
	a := s.all[i]
	switch {
	case a.State != Active:
		return "", fmt.Errorf("account %s is disabled; an admin can enable it (syftfs users enable): %w", a.Email, iofs.ErrPermission)
	case !a.IsVerified():
		return perm.Anonymous, nil
	case a.Role == Admin:
		return s.owner, nil
	case a.Role == DataScientist:
		return a.Email, nil
	}
	return perm.Anonymous, nil
}

// Create makes an account, vouched for by the admin who makes it: by is the owner or an active admin. A password that is
// easily guessed is taken and must be changed. Refusals: ErrForbidden, and as *FieldError ErrEmailTaken, ErrInvalidEmail,
// ErrUnknownRole, ErrInvalidField, ErrWeakPassword.
func (s *Store) Create(ctx context.Context, by perm.User, n New) (Account, error) {
	a, err := n.check()
	if err != nil {
		return Account{}, fmt.Errorf("make account: %w", err)
	}
	if err := s.may(by); err != nil {
		return Account{}, fmt.Errorf("make account %s: %w", a.Email, err)
	}
	hash := ""
	if n.Password != "" {
		if hash, err = s.hash(ctx, n.Password); err != nil { // not under mu: it takes long
			return Account{}, fmt.Errorf("make account %s: %w", a.Email, err)
		}
	}
	now := s.now()
	a.ID, a.State, a.Rev = newID("acc_", now), Active, 1
	a.Created, a.UpdatedAt = Created{At: now, By: by}, now
	a.Verified = Verified{By: ByAdmin, At: now, Who: by}
	if hash != "" {
		a.PasswordChangedAt, a.MustChangePassword = now, guessable(n.Password, a)
	}
	if a, err = s.add(by, a, hash); err != nil {
		return Account{}, fmt.Errorf("make account %s: %w", a.Email, err)
	}
	s.tell(Account{}, a)
	return a, nil
}

func (s *Store) add(by perm.User, a Account, hash string) (Account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.mayLocked(by); err != nil { // by may have been disabled since
		return a, err
	}
	for _, other := range s.all {
		if other.Email == a.Email {
			return a, &FieldError{"email", "", ErrEmailTaken}
		}
	}
	if hash != "" {
		sec := s.secrets.with(a.ID, hash) // first: a hash without an account is harmless
		if err := s.writeSecrets(sec); err != nil {
			return a, err
		}
		s.secrets = sec
	}
	all := append(slices.Clone(s.all), a)
	if err := s.writeAccounts(all); err != nil {
		return a, err
	}
	s.all = all
	return s.told(a), nil
}

// Verify has by vouch that the holder of the account is the holder of its address. It changes nothing if somebody has.
func (s *Store) Verify(ctx context.Context, by perm.User, who string) (Account, error) {
	return s.change(ctx, "verify", by, who, func(a *Account) error {
		if !a.IsVerified() {
			a.Verified = Verified{By: ByAdmin, At: s.now(), Who: by}
		}
		return nil
	})
}

// Disable takes an account out of force, at once. The root account is ErrRootProtected.
func (s *Store) Disable(ctx context.Context, by perm.User, who string) (Account, error) {
	return s.change(ctx, "disable", by, who, func(a *Account) error {
		if a.Root {
			return ErrRootProtected
		}
		a.State = Disabled
		return nil
	})
}

// Enable puts a disabled account in force again.
func (s *Store) Enable(ctx context.Context, by perm.User, who string) (Account, error) {
	return s.change(ctx, "enable", by, who, func(a *Account) error {
		a.State = Active
		return nil
	})
}

// change does edit to one account; if it changes nothing, nothing is written or told.
func (s *Store) change(ctx context.Context, op string, by perm.User, who string, edit func(*Account) error) (Account, error) {
	before, after, err := func() (before, after Account, err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if err := ctx.Err(); err != nil {
			return before, after, err
		}
		if err := s.mayLocked(by); err != nil { // before existence: who may not is told nothing
			return before, after, err
		}
		i, err := s.index(who)
		if err != nil {
			return before, after, err
		}
		before, after = s.all[i], s.all[i]
		if err := edit(&after); err != nil || after == before {
			return before, before, err
		}
		after.UpdatedAt = s.now()
		after.Rev++
		all := slices.Clone(s.all)
		all[i] = after
		if err := s.writeAccounts(all); err != nil {
			return before, after, err
		}
		s.all = all
		return before, after, nil
	}()
	if err != nil {
		return Account{}, fmt.Errorf("%s account %s: %w", op, who, err)
	}
	before, after = s.toldNow(before), s.toldNow(after)
	if before != after {
		s.tell(before, after)
	}
	return after, nil
}

// may reports whether by manages accounts: the owner, or an active, verified admin.
func (s *Store) may(by perm.User) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mayLocked(by)
}

func (s *Store) mayLocked(by perm.User) error {
	for _, a := range s.all {
		if a.Email == by && a.Role == Admin && a.State == Active && a.IsVerified() {
			return nil
		}
	}
	return ErrForbidden
}

// index finds an account by address or id. mu is held.
func (s *Store) index(who string) (int, error) {
	email, err := perm.ParseUser(who)
	for i, a := range s.all {
		if a.ID == who || err == nil && a.Email == email {
			return i, nil
		}
	}
	return 0, fmt.Errorf("%q: %w", who, ErrNotFound)
}

// told adds what the secrets tell. mu is held.
func (s *Store) told(a Account) Account {
	a.PasswordSet = s.secrets.Passwords[a.ID] != ""
	return a
}

func (s *Store) toldNow(a Account) Account {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.told(a)
}

func (s *Store) tell(before, after Account) {
	s.mu.RLock()
	hooks := slices.Clone(s.hooks)
	s.mu.RUnlock()
	for _, fn := range hooks {
		fn(before, after)
	}
}

// root is the account that a new datasite starts with.
func (s *Store) root() Account {
	now := s.now()
	return Account{ID: newID("acc_", now), Email: s.owner, EmailDisplay: string(s.owner), Name: string(s.owner), Role: Admin, Root: true,
		State: Active, Verified: Verified{By: ByOwner, At: now}, Created: Created{At: now, By: s.owner}, UpdatedAt: now, Rev: 1}
}

func (s *Store) newSite() Datasite {
	now := s.now()
	return Datasite{ID: newID("ds_", now), Owner: s.owner, UID: os.Getuid(), Created: now}
}
