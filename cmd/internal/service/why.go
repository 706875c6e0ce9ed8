package service

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
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
	user, note, err := s.asker(q.User)
	if err != nil {
		return WhyAnswer{}, err
	}
	d, err := s.View.Explain(ctx, user, path, level)
	if err != nil {
		return WhyAnswer{}, Wrap(err)
	}
	a := WhyAnswer{User: q.User, Level: level.String(), Path: path.String(), Allowed: d.Allowed, Held: d.Level.String(),
		Pattern: d.Pattern, File: d.By.File, Line: d.By.Line, Account: note, Text: d.Explain()}
	for _, step := range d.Steps {
		a.Reasons = append(a.Reasons, step.Text)
	}
	return a, nil
}

// asker gives the user that rules see for what was typed, with a sentence where the local account changes it.
func (s *Service) asker(typed string) (perm.User, string, error) {
	if typed == "*" || typed == "guest" {
		return perm.Anonymous, "not signed in: only rules that name * count", nil
	}
	user, err := perm.ParseUser(typed)
	if err != nil {
		return "", "", &Error{Code: BadEmail, Field: "user", Message: err.Error(), Err: err}
	}
	acc, err := s.Accounts.Get(string(user))
	if err != nil {
		if Wrap(err).Code == NotFound {
			return user, "there is no local account with this address; the rules are as for a peer", nil
		}
		return "", "", Wrap(err)
	}
	subject, err := s.Accounts.Subject(acc.ID)
	if err != nil {
		return "", "", Wrap(err)
	}
	switch subject {
	case user:
		return user, "", nil
	case perm.Anonymous:
		return subject, "the account is not verified, or a guest: only rules that name * count (`syftfs users verify " + string(user) + "`)", nil
	}
	return subject, "the account is an administrator and acts as the owner", nil
}

// path reads what a person types for a place in the tree.
func (s *Service) path(typed string) (datasite.Path, error) {
	state := s.Host.State()
	rel := typed
	if filepath.IsAbs(typed) {
		found := false
		for _, top := range append([]string{state.Mount, state.Backing}, s.viewDirs()...) {
			if r, err := filepath.Rel(top, filepath.Clean(typed)); err == nil && r != ".." && !strings.HasPrefix(r, "../") {
				rel, found = strings.TrimPrefix(r, "datasites/"), true
				break
			}
		}
		if !found {
			return datasite.Path{}, &Error{Code: BadInput, Field: "path",
				Message: fmt.Sprintf("%s is not below the mount %s: give a path there, or %s/...", typed, state.Mount, state.Email)}
		}
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
