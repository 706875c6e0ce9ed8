// Package grant changes who may do what in the own datasite: it finds the rule file that decides on a path, edits it with
// comments and order kept, and writes it through the gate. It knows rules and the gate; it must not know mounts, jobs or
// peers, nor who asked. fs/dataset and the composition root import it; others declare the small interface that it fits.
package grant

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
)

// Everyone is the user of a grant to all, signed in or not.
const Everyone perm.User = "*"

// The refusals. Each comes with what to do instead.
var (
	// ErrSideEffect: the edit would also change what others may do.
	ErrSideEffect = errors.New("this would also change the rights of others")
	// ErrNoEffect: rules that the edit cannot change go on deciding otherwise.
	ErrNoEffect = errors.New("other rules keep this from taking effect")
	// ErrLockout: the caller would lose the right to change the file.
	ErrLockout = fmt.Errorf("you could not change these rules afterwards: %w", iofs.ErrPermission)
	// ErrByHand: the rule cannot be written by a tool.
	ErrByHand = errors.New("edit the rule file by hand")
)

// Edit is what was done. The zero Pattern with Changed false: there was nothing to do.
type Edit struct {
	File    datasite.Path // the rule file
	Pattern string        // the rule's, relative to the folder of File
	Made    bool          // File did not exist
	Changed bool
	Missed  []datasite.Path // what lies below and is decided otherwise by other rules, at most 100
	Partial bool            // there is more below than was looked at
}

// Granter changes the rules of the own datasite with the rights of one view. Its methods may be called concurrently.
type Granter struct {
	view *guard.View
	turn chan struct{} // one slot: one edit at a time, so that none is lost; shared by all Granters made by As
}

// New makes a Granter that acts as the view's identity.
func New(view *guard.View) *Granter {
	return &Granter{view: view, turn: make(chan struct{}, 1)}
}

// As is a Granter with another identity, which takes turns with this one.
func (g *Granter) As(view *guard.View) *Granter { return &Granter{view: view, turn: g.turn} }

// Grant gives user, or Everyone, at least the level on p: a file, or a folder and everything below it. Nobody else's rights
// on what is there now change, or it is ErrSideEffect.
func (g *Granter) Grant(ctx context.Context, p datasite.Path, user perm.User, level perm.Level) (Edit, error) {
	const op = "grant"
	switch {
	case level == perm.None || level > perm.Admin:
		return Edit{}, fmt.Errorf("%s %s: no such level: use read, create, write or admin: %w", op, p, iofs.ErrInvalid)
	case isEveryone(user) && level == perm.Admin:
		return Edit{}, fmt.Errorf("%s %s: admin for everyone is never meant; name the people: %w", op, p, iofs.ErrInvalid)
	}
	return g.onPath(ctx, op, p, user, func(e *edit) error {
		e.gives = true
		if has, err := e.namedFor(user, level); err != nil || has {
			return err
		}
		if err := e.copyRule(); err != nil {
			return err
		}
		return e.apply(rulefile.Change{Level: level, Add: []perm.User{user}})
	}, func(_, after perm.Level) bool { return after >= level })
}

// Revoke takes every right on p, and below it, from user. Nobody else's rights on what is there now change. A right held
// as one of everyone, or by a pattern of addresses, cannot be taken from one user: ErrNoEffect.
func (g *Granter) Revoke(ctx context.Context, p datasite.Path, user perm.User) (Edit, error) {
	return g.onPath(ctx, "revoke", p, user, func(e *edit) error {
		has, err := e.holds(user)
		if err != nil || !has {
			return err
		}
		if e.kind == perm.KindPerm {
			if err := e.apply(rulefile.Change{Level: perm.None, Remove: []perm.User{user}}); err != nil {
				return err
			}
			if has, err = e.holdsNow(user); err != nil || !has {
				return err
			}
			return e.appendPerm(true, user, perm.Read, perm.Create, perm.Write, perm.Admin)
		}
		if err := e.copyRule(); err != nil {
			return err
		}
		return e.apply(rulefile.Change{Level: perm.None, Remove: []perm.User{user}})
	}, func(_, after perm.Level) bool { return after == perm.None })
}

// onPath does change to the file that decides on p, checks what it leads to, and writes it.
func (g *Granter) onPath(ctx context.Context, op string, p datasite.Path, user perm.User, change func(*edit) error, want func(before, after perm.Level) bool) (Edit, error) {
	fail := func(err error) (Edit, error) { return Edit{}, fmt.Errorf("%s %s: %w", op, p, err) }
	if isEveryone(user) {
		user = Everyone
	} else {
		canonical, err := perm.ParseUser(string(user))
		if err != nil {
			return fail(err)
		}
		if user = canonical; user == p.Owner && op == "revoke" {
			return fail(fmt.Errorf("the owner's rights cannot be taken away: %w", iofs.ErrInvalid))
		}
	}
	unlock, err := g.lock(ctx, p)
	if err != nil {
		return fail(err)
	}
	defer unlock()
	st, err := g.view.Stat(ctx, p)
	if err != nil {
		return Edit{}, err
	}
	dir, isDir := p, st.Mode.IsDir()
	if !isDir {
		if dir = p.Parent(); datasite.IsRuleName(p.Base()) {
			return fail(fmt.Errorf("who may read or change a rule file is said for its folder: name %s: %w", dir, iofs.ErrInvalid))
		}
	}
	e, err := g.find(ctx, dir)
	if err != nil {
		return fail(err)
	}
	e.target, e.isDir = p, isDir
	if e.pattern, err = patternOf(e.kind, p.Rel[min(len(p.Rel), prefixLen(e.file.Parent())):], isDir); err != nil {
		return fail(err)
	}
	if err := change(e); err != nil {
		return fail(err)
	}
	if !e.changed() {
		return e.result(), nil
	}
	if err := e.check(user, want); err != nil {
		return fail(err)
	}
	return e.write(op)
}

// prefixLen is how much of the relative path of what lies in dir is dir's.
func prefixLen(dir datasite.Path) int {
	if dir.Rel == "" {
		return 0
	}
	return len(dir.Rel) + 1
}

// Restrict makes readers the whole read list of exactly this pattern, relative to dir, in the rule file that governs dir;
// the rule, or the file, is made if it is missing. In syftperm.yaml, where rights add up, it first takes every right on the
// pattern from everyone, at the end of the file.
func (g *Granter) Restrict(ctx context.Context, dir datasite.Path, pattern string, readers []perm.User) error {
	_, err := g.onPattern(ctx, "restrict", dir, pattern, func(e *edit) error {
		if e.kind == perm.KindPub {
			return e.apply(rulefile.Change{Level: perm.Read, Set: &readers})
		}
		if err := e.apply(rulefile.Change{Drop: true}); err != nil {
			return err
		}
		if err := e.appendPerm(true, Everyone, perm.Read, perm.Create, perm.Write, perm.Admin); err != nil {
			return err
		}
		for _, u := range readers {
			if err := e.appendPerm(false, u, perm.Read); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// Share adds user to the read list of exactly this pattern, relative to dir, in the rule file that governs dir. A rule that
// is missing is made, with user as its only reader.
func (g *Granter) Share(ctx context.Context, dir datasite.Path, pattern string, user perm.User) error {
	_, err := g.onPattern(ctx, "share", dir, pattern, func(e *edit) error {
		if e.kind == perm.KindPerm {
			return e.sharePerm(user)
		}
		return e.apply(rulefile.Change{Level: perm.Read, Add: []perm.User{user}})
	})
	return err
}

// Unshare takes user from the read list of exactly this pattern, relative to dir, in the rule file that governs dir.
func (g *Granter) Unshare(ctx context.Context, dir datasite.Path, pattern string, user perm.User) error {
	_, err := g.onPattern(ctx, "unshare", dir, pattern, func(e *edit) error {
		return e.apply(rulefile.Change{Level: perm.Read, Remove: []perm.User{user}})
	})
	return err
}

func (g *Granter) onPattern(ctx context.Context, op string, dir datasite.Path, pattern string, change func(*edit) error) (Edit, error) {
	fail := func(err error) (Edit, error) { return Edit{}, fmt.Errorf("%s %q in %s: %w", op, pattern, dir, err) }
	unlock, err := g.lock(ctx, dir)
	if err != nil {
		return fail(err)
	}
	defer unlock()
	e, err := g.find(ctx, dir)
	if err != nil {
		return fail(err)
	}
	e.target, e.isDir = dir, true
	if e.pattern, err = joinPattern(e.kind, dir.Rel[min(len(dir.Rel), prefixLen(e.file.Parent())):], pattern); err != nil {
		return fail(err)
	}
	if err := change(e); err != nil {
		return fail(err)
	}
	if !e.changed() {
		return e.result(), nil
	}
	if err := e.lockout(); err != nil {
		return fail(err)
	}
	return e.write(op)
}

// lock waits for the turn of an edit in the datasite of p, which must be the own one.
func (g *Granter) lock(ctx context.Context, p datasite.Path) (unlock func(), err error) {
	if p.IsRoot() || p.Owner != g.view.Owner() {
		return nil, fmt.Errorf("the rules of this datasite are for its owner to change: %w", iofs.ErrPermission)
	}
	select {
	case g.turn <- struct{}{}:
		return func() { <-g.turn }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func isEveryone(u perm.User) bool { return u == Everyone || u == perm.Anonymous }

// edit is one change of one rule file, until it is written.
type edit struct {
	ctx      context.Context
	view     *guard.View
	file     datasite.Path
	kind     perm.Kind
	rules    []perm.Rule // of the text in now
	terminal bool
	old      []byte
	now      []byte
	made     bool
	before   *simulation
	target   datasite.Path
	isDir    bool
	pattern  string
	gives    bool // a grant, not a revocation
	missed   []datasite.Path
	partial  bool
}

func (e *edit) changed() bool { return e.made && len(e.now) > 0 || string(e.old) != string(e.now) }

// rule is the index of the first rule with exactly the pattern, -1 if there is none.
func (e *edit) rule() int {
	return slices.IndexFunc(e.rules, func(r perm.Rule) bool { return r.Pattern == e.pattern })
}

// apply edits the text.
func (e *edit) apply(c rulefile.Change) error {
	c.Kind, c.Pattern = e.kind, e.pattern
	out, err := rulefile.Edit(e.now, c)
	if err != nil {
		return err
	}
	return e.take(out)
}

func (e *edit) take(text []byte) error {
	rs, _, err := rulefile.Parse("/"+e.file.String(), text)
	if err != nil {
		return err
	}
	e.now, e.rules = text, rs.Rules
	return nil
}

// copyRule makes a rule with the pattern of the edit that says what the rule that decides on the target says, so that the
// more specific rule takes nothing from anybody. In syftperm.yaml rights add up and nothing needs to be copied.
func (e *edit) copyRule() error {
	if e.kind == perm.KindPerm || e.rule() >= 0 {
		return nil
	}
	from, err := e.deciding()
	if err != nil || from == nil {
		return err
	}
	if from.Limits != (perm.Limits{}) {
		return fmt.Errorf("the rule for %q (line %d of %s) has limits, which a tool does not copy: add a rule for %q beside it: %w", from.Pattern, from.From.Line, e.file, e.pattern, ErrByHand)
	}
	for l := perm.Read; l <= perm.Admin; l++ {
		var users []perm.User
		for _, entry := range from.Grants[l] {
			u := perm.User(entry)
			if canonical, err := perm.ParseUser(entry); err == nil && canonical != u {
				continue // with capitals it matches nobody, and must not begin to
			}
			users = append(users, u)
		}
		if len(users) > 0 {
			if err := e.apply(rulefile.Change{Level: l, Set: &users}); err != nil {
				return err
			}
		}
	}
	return nil
}

// deciding is the rule that decides on the target as the file stands, nil if none does.
func (e *edit) deciding() (*perm.Rule, error) {
	d, err := e.before.decide(e.view.Owner(), e.target, e.isDir)
	if err != nil || d.By.Line == 0 || d.By.File != "/"+e.file.String() {
		return nil, err
	}
	i := slices.IndexFunc(e.rules, func(r perm.Rule) bool { return r.From.Line == d.By.Line && r.Pattern == d.Pattern })
	if i < 0 {
		return nil, nil
	}
	r := e.rules[i]
	return &r, nil
}

func (e *edit) result() Edit {
	return Edit{File: e.file, Pattern: e.pattern, Made: e.made && e.changed(), Changed: e.changed(), Missed: e.missed, Partial: e.partial}
}

// write puts the new text in place, unless somebody else changed the file meanwhile.
func (e *edit) write(op string) (Edit, error) {
	now, err := e.view.ReadFile(e.ctx, e.file)
	if err != nil && !(e.made && errors.Is(err, iofs.ErrNotExist)) {
		return Edit{}, err
	}
	if string(now) != string(e.old) {
		return Edit{}, fmt.Errorf("%s: %s was changed at the same moment; do it again: %w", op, e.file, datasite.ErrStale)
	}
	if err := e.view.Write(e.ctx, e.file, e.now); err != nil {
		return Edit{}, err
	}
	return e.result(), nil
}
