package grant

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"maps"
	"slices"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

// Bounds on what is looked at before an edit is made.
const (
	maxEntries = 2000
	maxUsers   = 100
	maxMissed  = 100
)

// stranger stands for whoever is signed in and not named; the domain is reserved and is nobody's.
const stranger perm.User = "stranger@syftfs.invalid"

// check compares what the edit leads to with what was: user gets what is wanted at the target, nobody else's rights on
// what is there change, and the caller keeps the right to change the file.
func (e *edit) check(user perm.User, want func(before, after perm.Level) bool) error {
	if err := e.lockout(); err != nil {
		return err
	}
	after := e.before.with(e.file, e.now)
	others := e.others(user)
	looked := 0
	return e.walk(e.target, e.isDir, &looked, func(p datasite.Path, isDir bool) error {
		was, err := e.before.level(user, p, isDir)
		if err != nil {
			return err
		}
		is, err := after.level(user, p, isDir)
		if err != nil {
			return err
		}
		if !want(was, is) {
			covered := e.kind == perm.KindPub || !isDir // in syftperm.yaml "dir/**" does not match dir
			switch {
			case p == e.target && covered:
				d, err := after.decide(user, p, isDir)
				if err != nil {
					return err
				}
				return fmt.Errorf("%s goes on deciding about %s: change that rule: %w", place(d), p, ErrNoEffect)
			case p == e.target:
			case len(e.missed) < maxMissed:
				e.missed = append(e.missed, p)
			default:
				e.partial = true
			}
		}
		for _, u := range others {
			was, err := e.before.level(u, p, isDir)
			if err != nil {
				return err
			}
			is, err := after.level(u, p, isDir)
			if err != nil {
				return err
			}
			if is < was && !(isEveryone(user) && !e.gives) || is > was && !(isEveryone(user) && e.gives) {
				return fmt.Errorf("%s for %s would become %s: name single files or folders instead, or edit %s by hand: %w", was, named(u)+" on "+p.String(), is, e.file, ErrSideEffect)
			}
		}
		return nil
	})
}

func named(u perm.User) string {
	switch u {
	case perm.Anonymous:
		return "everyone"
	case stranger:
		return "every signed-in user"
	}
	return string(u)
}

func place(d perm.Decision) string {
	if d.By.File == "" {
		return "another rule"
	}
	if d.By.Line == 0 {
		return d.By.File
	}
	return fmt.Sprintf("%s line %d", d.By.File, d.By.Line)
}

// others are the users, other than user, whose rights are compared.
func (e *edit) others(user perm.User) []perm.User {
	seen := map[perm.User]bool{perm.Anonymous: true, stranger: true}
	for _, r := range e.rules {
		for _, users := range r.Grants {
			for _, u := range users {
				if p, err := perm.ParseUser(u); err == nil && string(p) == u && len(seen) < maxUsers {
					seen[p] = true
				}
			}
		}
	}
	delete(seen, user)
	delete(seen, e.file.Owner)
	if isEveryone(user) {
		delete(seen, perm.Anonymous)
	}
	return slices.Sorted(maps.Keys(seen))
}

// walk calls fn for p and what lies below it. Rule files are left out: they follow their folder.
func (e *edit) walk(p datasite.Path, isDir bool, looked *int, fn func(datasite.Path, bool) error) error {
	if *looked++; *looked > maxEntries {
		e.partial = true
		return nil
	}
	if err := fn(p, isDir); err != nil || !isDir {
		return err
	}
	entries, err := e.view.List(e.ctx, p)
	if err != nil {
		if errors.Is(err, iofs.ErrNotExist) || errors.Is(err, iofs.ErrPermission) {
			return nil // gone meanwhile, or not the caller's to see
		}
		return err
	}
	for _, x := range entries {
		if *looked > maxEntries {
			break
		}
		if datasite.IsRuleName(x.Name) || x.Mode&iofs.ModeSymlink != 0 {
			continue
		}
		child, err := p.Child(x.Name)
		if err != nil {
			continue // a name that no rule can decide on
		}
		if err := e.walk(child, x.Mode.IsDir(), looked, fn); err != nil {
			return err
		}
	}
	return nil
}

// holds reports whether user holds anything at the target or below it, by the rules as they stand.
func (e *edit) holds(user perm.User) (bool, error) { return e.anyLevel(e.before, user) }

// holdsNow asks the same of the edited text.
func (e *edit) holdsNow(user perm.User) (bool, error) {
	return e.anyLevel(e.before.with(e.file, e.now), user)
}

func (e *edit) anyLevel(s *simulation, user perm.User) (found bool, err error) {
	looked, partial := 0, e.partial
	err = e.walk(e.target, e.isDir, &looked, func(p datasite.Path, isDir bool) error {
		l, err := s.level(user, p, isDir)
		found = found || l > perm.None
		return err
	})
	found = found || e.partial // somewhere that was not looked at, perhaps
	e.partial = partial
	return found, err
}

// namedFor reports whether user holds the level at the target and everywhere below it, and not only as one of everyone.
func (e *edit) namedFor(user perm.User, level perm.Level) (bool, error) {
	any, err := e.before.level(stranger, e.target, e.isDir)
	if err != nil || any >= level || e.rule() >= 0 {
		return false, err
	}
	all, looked, partial := true, 0, e.partial
	err = e.walk(e.target, e.isDir, &looked, func(p datasite.Path, isDir bool) error {
		l, err := e.before.level(user, p, isDir)
		all = all && l >= level
		return err
	})
	all = all && !e.partial
	e.partial = partial
	return all, err
}

// lockout refuses an edit after which the caller could not change the file any more.
func (e *edit) lockout() error {
	me := e.view.Identity().Subject
	if me == e.view.Owner() {
		return nil
	}
	admin := func(s *simulation) (bool, error) {
		d, err := s.index.Decide(perm.Request{User: me, Owner: e.file.Owner, Path: e.file.Rel, Want: perm.Admin})
		return d.Allowed, err
	}
	was, err := admin(e.before)
	if err != nil || !was {
		return err // then the gate refuses
	}
	if is, err := admin(e.before.with(e.file, e.now)); err != nil || is {
		return err
	}
	return fmt.Errorf("%s would not name you as admin: %w", e.file, ErrLockout)
}
