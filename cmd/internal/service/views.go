package service

import (
	"context"
	"path/filepath"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

// The life of a view.
const (
	DefaultTTL = time.Hour
	MaxTTL     = 12 * time.Hour
)

// ViewOptions say how a view is mounted.
type ViewOptions struct {
	Dir   string
	Email perm.User
	Write bool          // a place to work: no time limit
	TTL   time.Duration // of a preview
	Run   bool          // for one command: the folder goes with the view
}

// View is an open view.
type View struct {
	Dir     string    `json:"dir"`
	Email   string    `json:"email"`
	Write   bool      `json:"write"`
	Expires time.Time `json:"expires,omitzero"` // zero: until it is unmounted
}

// Lasting reports whether the view is a place to work, which a start after a crash mounts again.
func (v View) Lasting() bool { return v.Write && v.Expires.IsZero() }

// Who tells in words whose view it is.
func (v View) Who() string {
	if v.Email == "" {
		return "a guest"
	}
	return v.Email
}

// OpenView is the question of `syftfs view EMAIL DIR`.
type OpenView struct {
	Email string        `json:"email"`
	Guest bool          `json:"guest"`
	Dir   string        `json:"dir"` // absolute
	Write bool          `json:"write"`
	TTL   time.Duration `json:"ttl"`
	Run   bool          `json:"run"` // for one command: it ends after TTL even with Write
}

// ViewOpen mounts the own datasite as another account sees it.
func (s *Service) ViewOpen(ctx context.Context, c Caller, q OpenView) (View, error) {
	if err := s.admin(c, "opening a view"); err != nil {
		return View{}, err
	}
	if !filepath.IsAbs(q.Dir) {
		return View{}, &Error{Code: BadInput, Field: "dir", Message: "the view's folder must be an absolute path"}
	}
	switch {
	case q.Write && q.TTL != 0 && !q.Run:
		return View{}, &Error{Code: BadInput, Field: "ttl", Message: "a place to work stays until it is unmounted: leave out --ttl, or --write"}
	case q.TTL < 0 || q.TTL > MaxTTL:
		return View{}, &Error{Code: BadInput, Field: "ttl", Message: "such a view lives at most 12h"}
	case q.Guest && q.Email != "":
		return View{}, &Error{Code: BadInput, Field: "email", Message: "a view is a guest's or an account's: give an address or --guest, not both"}
	}
	o := ViewOptions{Dir: filepath.Clean(q.Dir), Write: q.Write, TTL: q.TTL, Run: q.Run}
	if (!q.Write || q.Run) && o.TTL == 0 {
		o.TTL = DefaultTTL
	}
	who := datasite.Identity{Subject: perm.Anonymous}
	if !q.Guest {
		acc, err := s.Accounts.Get(q.Email)
		if err != nil {
			return View{}, Wrap(err)
		}
		if acc.Root {
			return View{}, &Error{Code: Forbidden, Message: "the owner's own mount is the owner's view; there is no second one"}
		}
		subject, err := s.Accounts.Subject(acc.ID)
		if err != nil {
			return View{}, Wrap(err)
		}
		who = datasite.Identity{Subject: subject, Account: acc.ID}
		o.Email = acc.Email
	} else if q.Write {
		return View{}, &Error{Code: BadInput, Field: "write", Message: "guests may not write: leave out --write"}
	}
	as := "guest"
	if o.Email != "" {
		as = string(o.Email)
	}
	return audited(s, c, Entry{Action: "view.open", Target: o.Dir, As: as}, func() (View, error) { return s.Views.Open(ctx, who, o) })
}

// ViewList lists the open views.
func (s *Service) ViewList(_ context.Context, c Caller, _ struct{}) ([]View, error) {
	if err := s.admin(c, "listing views"); err != nil {
		return nil, err
	}
	return s.Views.List(), nil
}

// ViewHold answers when the view is gone or about to go. It takes the view away when whoever asks is gone: what a command was run for ends
// with it, also when it was killed.
func (s *Service) ViewHold(ctx context.Context, c Caller, q CloseView) (struct{}, error) {
	if err := s.admin(c, "holding a view"); err != nil {
		return struct{}{}, err
	}
	gone, err := s.Views.Gone(filepath.Clean(q.Dir))
	if err != nil {
		return struct{}{}, Wrap(err)
	}
	select {
	case <-gone: // its time was over
		return struct{}{}, nil
	case <-s.Host.Stopping(): // every view is taken away then
		return struct{}{}, nil
	case <-ctx.Done():
		return s.ViewClose(context.WithoutCancel(ctx), c, q)
	}
}

// CloseView is the question of `syftfs view umount DIR`.
type CloseView struct {
	Dir string `json:"dir"`
}

// ViewClose unmounts a view.
func (s *Service) ViewClose(ctx context.Context, c Caller, q CloseView) (struct{}, error) {
	if err := s.admin(c, "closing a view"); err != nil {
		return struct{}{}, err
	}
	dir := filepath.Clean(q.Dir)
	err := s.Views.Close(ctx, dir)
	// It takes away and gives nothing: it is never refused for want of a log.
	s.ended(c, Entry{Action: "view.close", Target: dir}, err)
	return struct{}{}, wrapped(err)
}
