package service

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/grant"
	"github.com/openmined/syftfs/perm"
)

// Sharing is the question of `syftfs share` and `syftfs unshare`.
type Sharing struct {
	Path         string `json:"path"`
	With         string `json:"with"`  // an address, any (everybody), USER (whoever is signed in), *@domain
	Level        string `json:"level"` // to give; of unshare: the first level that is taken away, read if it is empty
	AllowLockout bool   `json:"allow_lockout"`
}

// Edited is what a change of rules did.
type Edited struct {
	File    string   `json:"file"` // the rule file that was changed, or would have been
	Pattern string   `json:"pattern,omitempty"`
	Made    bool     `json:"made"`    // the file is new
	Changed bool     `json:"changed"` // false: there was nothing to do
	Also    string   `json:"also,omitempty"`
	Effects Effects  `json:"effects"`
	Missed  []string `json:"missed"` // what lies below and goes on being decided by other rules
	Partial bool     `json:"partial"`
}

func toldEdit(e grant.Edit) Edited {
	a := Edited{File: "/" + e.File.String(), Pattern: e.Pattern, Made: e.Made, Changed: e.Changed, Effects: toldEffects(e.Effects), Missed: []string{}, Partial: e.Partial}
	if e.Also != (datasite.Path{}) {
		a.Also = "/" + e.Also.String()
	}
	for _, m := range e.Missed {
		a.Missed = append(a.Missed, "/"+m.String())
	}
	return a
}

// Share gives somebody a level on a file, or on a folder and everything below it.
func (s *Service) Share(ctx context.Context, c Caller, q Sharing) (Edited, error) {
	return s.sharing(c, "permissions.share", q, func(g *grant.Granter, p datasite.Path, u perm.User, level perm.Level) (grant.Edit, error) {
		return g.Grant(ctx, p, u, level)
	})
}

// Unshare takes a level, and all above it, from somebody.
func (s *Service) Unshare(ctx context.Context, c Caller, q Sharing) (Edited, error) {
	if q.Level == "" {
		q.Level = perm.Read.String()
	}
	return s.sharing(c, "permissions.unshare", q, func(g *grant.Granter, p datasite.Path, u perm.User, level perm.Level) (grant.Edit, error) {
		return g.RevokeTo(ctx, p, u, level-1)
	})
}

func (s *Service) sharing(c Caller, action string, q Sharing, do func(*grant.Granter, datasite.Path, perm.User, perm.Level) (grant.Edit, error)) (Edited, error) {
	if err := s.admin(c, "changing permissions"); err != nil {
		return Edited{}, err
	}
	level, err := perm.ParseLevel(q.Level)
	if err != nil {
		return Edited{}, &Error{Code: BadInput, Field: "level", Message: err.Error(), Err: err}
	}
	path, err := s.path(q.Path)
	if err != nil {
		return Edited{}, err
	}
	user, err := entry(q.With)
	if err != nil {
		return Edited{}, err
	}
	return s.edit(c, Entry{Action: action, Target: fmt.Sprintf("%s %s %s", path, user, level)}, func() (grant.Edit, error) {
		return do(s.granter(q.AllowLockout), path, user, level)
	})
}

// edit changes rules, with two lines in the audit log.
func (s *Service) edit(c Caller, e Entry, do func() (grant.Edit, error)) (Edited, error) {
	done, err := audited(s, c, e, do)
	if err != nil {
		return Edited{}, err
	}
	return toldEdit(done), nil
}

func (s *Service) granter(lockout bool) *grant.Granter {
	return s.Granter.With(grant.Options{AllowLockout: lockout})
}

// entry reads whom a grant is for: the words that people use, or what may stand in a rule.
func entry(typed string) (perm.User, error) {
	switch strings.ToLower(typed) {
	case "any", "anyone", "everyone", "public", "*":
		return grant.Everyone, nil
	case "user":
		return grant.SignedIn, nil
	}
	if strings.ContainsAny(typed, "*?[") {
		return perm.User(strings.ToLower(typed)), nil // the granter checks it
	}
	u, err := perm.ParseUser(typed)
	if err != nil {
		return "", &Error{Code: BadEmail, Field: "with", Message: err.Error() + " (give an address, any, USER or *@domain)", Err: err}
	}
	return u, nil
}

// Setting is the question of `syftfs perm set`: the whole access of one pattern.
type Setting struct {
	Dir          string              `json:"dir"`
	Pattern      string              `json:"pattern"`
	Grants       map[string][]string `json:"grants"` // by level: addresses, any, USER, *@domain
	Limits       *Limits             `json:"limits,omitempty"`
	Drop         bool                `json:"drop"` // remove the rule
	Terminal     *bool               `json:"terminal,omitempty"`
	AllowLockout bool                `json:"allow_lockout"`
}

// Limits bound what others than the owner may make under a rule.
type Limits struct {
	MaxFileSize   int64 `json:"max_file_size"` // bytes; 0 is no limit
	AllowDirs     bool  `json:"allow_dirs"`
	AllowSymlinks bool  `json:"allow_symlinks"`
}

// PermSet makes a rule say what is asked for.
func (s *Service) PermSet(ctx context.Context, c Caller, q Setting) (Edited, error) {
	if err := s.admin(c, "changing permissions"); err != nil {
		return Edited{}, err
	}
	dir, err := s.path(q.Dir)
	if err != nil {
		return Edited{}, err
	}
	grants := map[perm.Level][]perm.User{}
	for word, typed := range q.Grants {
		level, err := perm.ParseLevel(word)
		if err != nil {
			return Edited{}, &Error{Code: BadInput, Field: "grants", Message: err.Error(), Err: err}
		}
		for _, t := range typed {
			u, err := entry(t)
			if err != nil {
				return Edited{}, err
			}
			grants[level] = append(grants[level], u)
		}
	}
	o := grant.SetOptions{Drop: q.Drop, Terminal: q.Terminal}
	if l := q.Limits; l != nil {
		if l.MaxFileSize < 0 {
			return Edited{}, &Error{Code: BadInput, Field: "max_file_size", Message: "a size is 0 or more bytes"}
		}
		o.Limits = &perm.Limits{MaxFileSize: l.MaxFileSize, NoDirs: !l.AllowDirs, AllowSymlinks: l.AllowSymlinks}
	}
	return s.edit(c, Entry{Action: "permissions.set", Target: dir.String() + " " + q.Pattern}, func() (grant.Edit, error) {
		return s.granter(q.AllowLockout).Set(ctx, dir, q.Pattern, grants, o)
	})
}

// Moving is the question of `syftfs perm move`.
type Moving struct {
	From         string `json:"from"`
	To           string `json:"to"`
	AllowLockout bool   `json:"allow_lockout"`
}

// PermMove moves a file or folder and keeps what people may do with it.
func (s *Service) PermMove(ctx context.Context, c Caller, q Moving) (Edited, error) {
	if err := s.admin(c, "moving with permissions"); err != nil {
		return Edited{}, err
	}
	from, err := s.path(q.From)
	if err != nil {
		return Edited{}, err
	}
	to, err := s.path(q.To)
	if err != nil {
		return Edited{}, err
	}
	return s.edit(c, Entry{Action: "permissions.move", Target: from.String() + " " + to.String()}, func() (grant.Edit, error) {
		return s.granter(q.AllowLockout).Move(ctx, from, to)
	})
}

// Access is a question in the words of syft-perm: about one user and one path.
type Access struct {
	Path string `json:"path"`
	User string `json:"user"` // an address, public, USER, *@domain
}

// GrantAccess is syft-perm's grant_<level>_access.
func GrantAccess(s *Service, level string) func(context.Context, Caller, Access) (Edited, error) {
	return func(ctx context.Context, c Caller, q Access) (Edited, error) {
		return s.Share(ctx, c, Sharing{Path: q.Path, With: q.User, Level: level})
	}
}

// RevokeAccess is syft-perm's revoke_<level>_access: what is below the level stays.
func RevokeAccess(s *Service, level string) func(context.Context, Caller, Access) (Edited, error) {
	return func(ctx context.Context, c Caller, q Access) (Edited, error) {
		return s.Unshare(ctx, c, Sharing{Path: q.Path, With: q.User, Level: level})
	}
}

// HasAccess is syft-perm's has_<level>_access.
func HasAccess(s *Service, level string) func(context.Context, Caller, Access) (bool, error) {
	return func(ctx context.Context, c Caller, q Access) (bool, error) {
		a, err := s.Why(ctx, c, WhyQuestion{User: signedOut(q.User), Level: level, Path: q.Path})
		return a.Allowed, err
	}
}

// ExplainPermissions is syft-perm's explain_permissions: each level with its reasons, the highest first.
func (s *Service) ExplainPermissions(ctx context.Context, c Caller, q Access) ([]WhyAnswer, error) {
	if err := s.admin(c, "asking why"); err != nil {
		return nil, err
	}
	var all []WhyAnswer
	for _, level := range slices.Backward(Levels) {
		a, err := s.Why(ctx, c, WhyQuestion{User: signedOut(q.User), Level: level, Path: q.Path})
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

// signedOut is the one whom syft-perm calls public, in our words.
func signedOut(user string) string {
	if user == "public" {
		return Guest
	}
	return user
}
