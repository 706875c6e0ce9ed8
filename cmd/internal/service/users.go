package service

import (
	"context"
	"fmt"
	"time"

	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/account"
)

// NewUser is the question of `syftfs users create`.
type NewUser struct {
	Email       string `json:"email"`
	Name        string `json:"name"`
	Role        string `json:"role"`
	Institution string `json:"institution"`
	Website     string `json:"website"`
	Password    string `json:"password"`
}

// User is an account as others see it: no secret.
type User struct {
	ID          string    `json:"id"`
	Email       string    `json:"email"`
	Name        string    `json:"name"`
	Institution string    `json:"institution"`
	Website     string    `json:"website"`
	Role        string    `json:"role"`
	Root        bool      `json:"root"`
	State       string    `json:"state"`
	Verified    string    `json:"verified"` // none, owner, admin, ...
	VerifiedAt  time.Time `json:"verified_at,omitzero"`
	PasswordSet bool      `json:"password_set"`
	CreatedAt   time.Time `json:"created_at"`
	Rev         int       `json:"rev"`
}

func user(a account.Account) User {
	return User{ID: a.ID, Email: string(a.Email), Name: a.Name, Institution: a.Institution, Website: a.Website, Role: string(a.Role), Root: a.Root,
		State: string(a.State), Verified: string(a.Verified.By), VerifiedAt: a.Verified.At, PasswordSet: a.PasswordSet, CreatedAt: a.Created.At, Rev: a.Rev}
}

// UserCreate makes an account; a data scientist whom an admin made is verified, and gets job folders at once.
func (s *Service) UserCreate(ctx context.Context, c Caller, q NewUser) (User, error) {
	if err := s.admin(c, "creating users"); err != nil {
		return User{}, err
	}
	if q.Name == "" {
		q.Name = q.Email
	}
	acc, err := audited(s, c, Entry{Action: "users.create", Target: q.Email}, func() (account.Account, error) {
		return s.Accounts.Create(ctx, s.Owner, account.New{Email: q.Email, Name: q.Name, Role: account.Role(q.Role), Institution: q.Institution,
			Website: q.Website, Password: q.Password})
	})
	if err != nil {
		return User{}, err
	}
	return s.admit(ctx, acc)
}

// admit makes the job folders of whoever may submit, and tells of the account.
func (s *Service) admit(ctx context.Context, acc account.Account) (User, error) {
	if acc.Role != account.DataScientist || !acc.IsVerified() || acc.State != account.Active {
		return user(acc), nil
	}
	if err := s.Host.Admit(ctx, acc.Email); err != nil {
		e := Wrap(err)
		return User{}, &Error{Code: e.Code, Err: err,
			Message: fmt.Sprintf("the account of %s is kept, but its job folders could not be made: %s (repeat it with `syftfs users verify %[1]s`)", acc.Email, e.Message)}
	}
	return user(acc), nil
}

// Who is the question about one account: its address or id.
type Who struct {
	Who string `json:"who"`
}

// UserVerify vouches for an account's address.
func (s *Service) UserVerify(ctx context.Context, c Caller, q Who) (User, error) {
	return s.userAct(ctx, c, q, "verify", s.Accounts.Verify)
}

// UserDisable takes all rights from an account, at once.
func (s *Service) UserDisable(ctx context.Context, c Caller, q Who) (User, error) {
	return s.userAct(ctx, c, q, "disable", s.Accounts.Disable)
}

// UserEnable gives a disabled account its rights back.
func (s *Service) UserEnable(ctx context.Context, c Caller, q Who) (User, error) {
	return s.userAct(ctx, c, q, "enable", s.Accounts.Enable)
}

func (s *Service) userAct(ctx context.Context, c Caller, q Who, verb string, do func(context.Context, perm.User, string) (account.Account, error)) (User, error) {
	if err := s.admin(c, "to "+verb+" users"); err != nil {
		return User{}, err
	}
	acc, err := audited(s, c, Entry{Action: "users." + verb, Target: q.Who}, func() (account.Account, error) { return do(ctx, s.Owner, q.Who) })
	if err != nil {
		return User{}, err
	}
	return s.admit(ctx, acc)
}

// UserList lists the accounts, oldest first.
func (s *Service) UserList(_ context.Context, c Caller, _ struct{}) ([]User, error) {
	if err := s.admin(c, "listing users"); err != nil {
		return nil, err
	}
	users := []User{}
	for _, a := range s.Accounts.List() {
		users = append(users, user(a))
	}
	return users, nil
}
