package service

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"path/filepath"
	"strings"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/account"
)

// WhyQuestion is the question of `syftfs why USER LEVEL PATH`.
type WhyQuestion struct {
	User  string `json:"user"`
	Level string `json:"level"`
	Path  string `json:"path"` // owner@x.org/dir/file, or an absolute path below the mount or the backing folder
}

// WhyAnswer is the decision that the mount would make, with its reasons.
type WhyAnswer struct {
	User    string   `json:"user"`
	Level   string   `json:"level"`
	Path    string   `json:"path"`
	Allowed bool     `json:"allowed"`
	Held    string   `json:"held"` // the highest level held there
	Pattern string   `json:"pattern,omitempty"`
	File    string   `json:"file,omitempty"` // the rule file that decided
	Line    int      `json:"line,omitempty"`
	Reasons []string `json:"reasons"`
	Account string   `json:"account,omitempty"` // what the local account adds or takes away
	Text    string   `json:"text"`
}

// Why explains. The owner and administrators may ask about everybody.
func (s *Service) Why(ctx context.Context, c Caller, q WhyQuestion) (WhyAnswer, error) {
	if err := s.admin(c, "asking why"); err != nil {
		return WhyAnswer{}, err
	}
	level, err := perm.ParseLevel(q.Level)
	if err != nil {
		return WhyAnswer{}, &Error{Code: BadInput, Field: "level", Message: err.Error(), Err: err}
	}
	path, err := s.path(q.Path)
	if err != nil {
		return WhyAnswer{}, err
	}
	who, err := s.asker(q.User)
	if err != nil {
		return WhyAnswer{}, err
	}
	a := WhyAnswer{User: q.User, Level: level.String(), Path: path.String(), Account: who.note}
	if who.disabled {
		a.Held, a.Reasons = perm.None.String(), []string{who.note}
		a.Text = fmt.Sprintf("%s may not %s /%s.\n  The account is disabled: whatever the rules say, it may do nothing.\n", who.user, level, path)
		return a, nil
	}
	d, err := s.View.Explain(ctx, who.user, path, level)
	if err != nil {
		return WhyAnswer{}, Wrap(err)
	}
	a.Allowed, a.Held, a.Pattern, a.File, a.Line, a.Text = d.Allowed, d.Level.String(), d.Pattern, d.By.File, d.By.Line, d.Explain()
	for _, step := range d.Steps {
		a.Reasons = append(a.Reasons, step.Text)
	}
	return a, nil
}

// asked is about whom a question is.
type asked struct {
	user     perm.User // whom the rules see
	note     string    // a sentence, where the local account changes it
	disabled bool
}

// asker gives whom the rules see for what was typed.
func (s *Service) asker(typed string) (asked, error) {
	if typed == "*" || typed == "guest" {
		return asked{user: perm.Anonymous, note: "not signed in: only rules that name * count"}, nil
	}
	user, err := perm.ParseUser(typed)
	if err != nil {
		return asked{}, &Error{Code: BadEmail, Field: "user", Message: err.Error(), Err: err}
	}
	acc, err := s.Accounts.Get(string(user))
	if errors.Is(err, iofs.ErrNotExist) {
		return asked{user: user, note: "there is no local account with this address; the rules are as for a peer"}, nil
	}
	if err != nil {
		return asked{}, Wrap(err)
	}
	if acc.State != account.Active {
		return asked{user: user, disabled: true, note: "the account is disabled and may do nothing (`syftfs users enable " + string(user) + "`)"}, nil
	}
	subject, err := s.Accounts.Subject(acc.ID)
	if err != nil {
		return asked{}, Wrap(err)
	}
	a := asked{user: subject}
	switch {
	case subject == user:
	case subject != perm.Anonymous:
		a.note = "the account is an administrator and acts as the owner"
	case !acc.IsVerified():
		a.note = "the account is not verified: only rules that name * count (`syftfs users verify " + string(user) + "`)"
	default:
		a.note = "the account is a guest: only rules that name * count"
	}
	return a, nil
}

// path reads what a person types for a place in the tree.
func (s *Service) path(typed string) (datasite.Path, error) {
	state := s.Host.State()
	rel := typed
	if filepath.IsAbs(typed) {
		found := false
		for _, top := range append([]string{state.Mount, state.Backing}, s.viewDirs()...) {
			if below(filepath.Clean(typed), top) {
				rel, found = strings.TrimPrefix(filepath.Clean(typed), filepath.Clean(top)), true
				break
			}
		}
		// Answers and last-error write a place in the tree with a slash before the datasite.
		if p, err := datasite.Parse(typed); !found && err == nil {
			return p, nil
		}
		if !found {
			return datasite.Path{}, &Error{Code: BadInput, Field: "path",
				Message: fmt.Sprintf("%s is not below the mount %s: give a path there, or %s/...", typed, state.Mount, state.Email)}
		}
	}
	// The mount shows the tree once more under this name.
	if first, rest, _ := strings.Cut(strings.TrimLeft(rel, "/"), "/"); first == "datasites" {
		rel = rest
	}
	p, err := datasite.Parse(rel)
	if err != nil {
		return datasite.Path{}, &Error{Code: BadInput, Field: "path", Message: err.Error() + " (a path begins with a datasite: " + state.Email + "/...)", Err: err}
	}
	return p, nil
}

func (s *Service) viewDirs() []string {
	var dirs []string
	for _, v := range s.Views.List() {
		dirs = append(dirs, v.Dir)
	}
	return dirs
}
