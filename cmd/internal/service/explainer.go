package service

import (
	"context"
	"fmt"
	iofs "io/fs"
	"strings"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/perm"
)

// Explainer answers the questions of a mount about permissions: the owner's about everybody, any other about itself.
type Explainer struct {
	s    *Service
	view *guard.View // as which it looks and asks
	self string      // "" is the owner's: about everybody
}

// NewExplainer answers the view of an account or, with self "guest", of whoever is not signed in, about itself: what it may know. With self ""
// it answers the owner.
func NewExplainer(s *Service, view *guard.View, self string) *Explainer {
	return &Explainer{s: s, view: view, self: self}
}

// People are those about whom can be asked by name.
func (e *Explainer) People() []string {
	if e.self != "" {
		return []string{e.self}
	}
	return e.s.knownPeople()
}

// Knows reports whether can be asked about somebody: of the owner, also about addresses that are not those of an account.
func (e *Explainer) Knows(who string) bool {
	if e.self != "" {
		return who == e.self
	}
	_, err := perm.ParseUser(who)
	return err == nil || who == Guest
}

// Look reports whether p is a folder; what does not exist for whoever asks is fs.ErrNotExist.
func (e *Explainer) Look(ctx context.Context, p datasite.Path) (dir bool, err error) {
	if p.IsRoot() {
		return true, nil
	}
	if p.Owner != e.s.Owner {
		return false, iofs.ErrNotExist // what was delivered has no rules of ours
	}
	entry, err := e.view.Stat(ctx, p)
	return err == nil && entry.Mode.IsDir(), err
}

// Names lists what is in a folder, and which of it are folders.
func (e *Explainer) Names(ctx context.Context, p datasite.Path) (map[string]bool, error) {
	if p.IsRoot() {
		return map[string]bool{string(e.s.Owner): true}, nil
	}
	entries, err := e.view.List(ctx, p)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, entry := range entries {
		names[entry.Name] = entry.Mode.IsDir()
	}
	return names, nil
}

// Explain tells what who may do with p, for each level, the highest first.
func (e *Explainer) Explain(ctx context.Context, who string, p datasite.Path) (string, error) {
	if !e.Knows(who) {
		return "", iofs.ErrNotExist
	}
	var text strings.Builder
	fmt.Fprintf(&text, "/%s\n", p)
	ask := func(level perm.Level) (string, error) {
		a, err := e.s.Why(ctx, Caller{Root: true, Via: "mount"}, WhyQuestion{User: who, Level: level.String(), Path: p.String()})
		if a.Elsewhere != nil && level == perm.Read {
			a.Text += a.Elsewhere.Text + "\n"
		}
		return a.Text, err
	}
	if e.self != "" {
		ask = func(level perm.Level) (string, error) {
			subject, err := e.subject()
			if err != nil {
				return "", err
			}
			d, err := e.view.Explain(ctx, subject, p, level)
			return d.Explain(), err
		}
	}
	for level := perm.Admin; level >= perm.Read; level-- {
		said, err := ask(level)
		if err != nil {
			return "", err
		}
		text.WriteString(said)
	}
	return text.String(), nil
}

// subject is whom the rules see in the view now: an account's role may have changed since it was opened.
func (e *Explainer) subject() (perm.User, error) {
	who := e.view.Identity()
	if who.Account == "" {
		return who.Subject, nil
	}
	return e.s.Accounts.Subject(who.Account)
}
