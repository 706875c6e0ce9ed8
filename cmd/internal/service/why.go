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
	User    string    `json:"user"`
	Level   string    `json:"level"`
	Path    string    `json:"path"`
	Allowed bool      `json:"allowed"`
	Held    string    `json:"held"` // the highest level held there
	Pattern string    `json:"pattern,omitempty"`
	File    string    `json:"file,omitempty"` // the rule file that decided
	Line    int       `json:"line,omitempty"`
	Reasons []string  `json:"reasons"`
	Account string    `json:"account,omitempty"` // what the local account adds or takes away
	Rules   []WhyRule `json:"rules,omitempty"`   // of the files that speak, in the order in which they are tried: which one decides, and what became of the others
	Files   []WhyFile `json:"files,omitempty"`   // every rule file on the way to the path, top first
	Remedy  *Remedy   `json:"remedy,omitempty"`  // the smallest grant that would turn a refusal into a permission

	Elsewhere *Elsewhere `json:"elsewhere,omitempty"` // of somebody who is not at this machine: whether there is exchange, and whether it has arrived
	Text      string     `json:"text"`
}

// WhyRule is a rule that was looked at.
type WhyRule struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Pattern string `json:"pattern"`
	Decides bool   `json:"decides"`
	Outcome string `json:"outcome"`
}

// WhyFile is a rule file on the way to a path.
type WhyFile struct {
	File string `json:"file"`
	Role string `json:"role"`
}

// Remedy is what would have to be granted, and the command that does it.
type Remedy struct {
	File    string `json:"file"`
	Exists  bool   `json:"exists"`
	Pattern string `json:"pattern,omitempty"`
	Entry   string `json:"entry,omitempty"`
	Level   string `json:"level,omitempty"`
	Command string `json:"command,omitempty"`
	Text    string `json:"text"`
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
	t, err := s.View.Trace(ctx, who.user, path, level)
	if err != nil {
		return WhyAnswer{}, Wrap(err)
	}
	a.explain(t, path)
	a.Elsewhere, err = s.abroad(ctx, who.user, path)
	return a, err
}

// explain fills in what a trace says. It is the decision itself: nothing is worked out again.
func (a *WhyAnswer) explain(t perm.Trace, path datasite.Path) {
	d := t.Decision
	a.Allowed, a.Held, a.Pattern, a.File, a.Line, a.Text = d.Allowed, d.Level.String(), d.Pattern, d.By.File, d.By.Line, d.Explain()
	for _, step := range d.Steps {
		a.Reasons = append(a.Reasons, step.Text)
	}
	if d.Owner {
		return // no rule was asked
	}
	for _, r := range t.Rules {
		a.Rules = append(a.Rules, WhyRule{File: r.From.File, Line: r.From.Line, Pattern: r.Pattern, Decides: r.Decides, Outcome: r.String()})
	}
	for _, f := range t.Files {
		a.Files = append(a.Files, WhyFile{File: f.From.File, Role: f.Role.String()})
	}
	r, grantable := d.Remedy()
	if r.Text == "" {
		return
	}
	a.Remedy = &Remedy{File: r.File, Exists: r.Exists, Text: r.Text}
	if grantable {
		a.Remedy.Pattern, a.Remedy.Entry, a.Remedy.Level = r.Pattern, r.Entry, r.Level.String()
		a.Remedy.Command = shareCommand(path, r.Entry, r.Level)
	}
}

// shareCommand is what a person types to grant a level.
func shareCommand(path datasite.Path, entry string, l perm.Level) string {
	if datasite.IsRuleName(path.Base()) {
		path = path.Parent() // rights on a rule file are those of its folder
	}
	if entry == "*" {
		entry = "any"
	}
	return fmt.Sprintf("syftfs share %s --with %s --%s", quote(path.String()), quote(entry), l)
}

// quote makes a word that a shell takes as it is.
func quote(s string) string {
	plain := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-@+:,=%", r))
	}
	if s != "" && !strings.ContainsFunc(s, plain) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// asked is about whom a question is.
type asked struct {
	user     perm.User // whom the rules see
	note     string    // a sentence, where the local account changes it
	disabled bool
}

// asker gives whom the rules see for what was typed.
func (s *Service) asker(typed string) (asked, error) {
	if typed == "*" || typed == Guest {
		return asked{user: perm.Anonymous, note: "not signed in: only rules that name * count"}, nil
	}
	user, err := perm.ParseUser(typed)
	if err != nil {
		return asked{}, &Error{Code: BadEmail, Field: "user", Message: err.Error(), Err: err}
	}
	acc, err := s.Accounts.Get(string(user))
	if errors.Is(err, iofs.ErrNotExist) {
		return asked{user: user, note: "there is no local account with this address"}, nil
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
