// Package grant changes who may do what in the own datasite: it finds the rule file that decides on a path, edits it with
// comments and order kept, says what that changes, and writes it through the gate. It knows rules and the gate; it must not
// know mounts, jobs or peers, nor who asked. fs/dataset and the composition root import it; others declare the small
// interface that it fits.
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

// The refusals. Each comes with what to do instead.
var (
	// ErrSideEffect: the edit would also change what others may do, or what else its own user may do.
	ErrSideEffect = errors.New("this would change other rights, too")
	// ErrNoEffect: rules that the edit cannot change go on deciding otherwise.
	ErrNoEffect = errors.New("other rules keep this from taking effect")
	// ErrLockout: the caller would lose the right to change the file.
	ErrLockout = fmt.Errorf("you could not change these rules afterwards; say --allow-lockout if you mean it: %w", iofs.ErrPermission)
	// ErrByHand: the rule cannot be written by a tool.
	ErrByHand = errors.New("edit the rule file by hand")
)

// Edit is what was done. Changed false: there was nothing to do.
type Edit struct {
	File    datasite.Path // the rule file
	Pattern string        // the rule's, relative to the folder of File
	Made    bool          // File did not exist
	Changed bool
	Effects Effects         // on the files and folders that exist
	Also    datasite.Path   // another rule file that was changed, by Move
	Missed  []datasite.Path // what lies below and is decided otherwise by other rules, at most 100
	Partial bool            // there is more below than was looked at
}

// Options are what a Granter does only when it is told to.
type Options struct {
	AllowLockout bool // make edits after which the caller may not change the rule file any more
}

// Granter changes the rules of the own datasite with the rights of one view. Its methods may be called concurrently.
type Granter struct {
	view *guard.View
	opts Options
	turn chan struct{} // one slot: one edit at a time, so that none is lost; shared by all Granters made by As and With
}

// New makes a Granter that acts as the view's identity.
func New(view *guard.View) *Granter {
	return &Granter{view: view, turn: make(chan struct{}, 1)}
}

// As is a Granter with another identity, which takes turns with this one.
func (g *Granter) As(view *guard.View) *Granter {
	return &Granter{view: view, opts: g.opts, turn: g.turn}
}

// With is a Granter with other options, which takes turns with this one.
func (g *Granter) With(o Options) *Granter { return &Granter{view: g.view, opts: o, turn: g.turn} }

// Grant gives user at least the level on p: a file, or a folder and everything below it. The user is an address, Everyone,
// SignedIn or a glob of addresses such as "*@x.org". Nobody else's rights on what is there now change, nor any other right
// of user, or it is ErrSideEffect.
func (g *Granter) Grant(ctx context.Context, p datasite.Path, user perm.User, level perm.Level) (Edit, error) {
	const op = "grant"
	if level == perm.None || level > perm.Admin {
		return Edit{}, fmt.Errorf("%s %s: no such level: use read, create, write or admin: %w", op, p, iofs.ErrInvalid)
	}
	return g.onPath(ctx, op, p, user, aim{gives: true, level: level}, (*edit).give)
}

// Revoke takes every right on p, and below it, from user: RevokeTo with None.
func (g *Granter) Revoke(ctx context.Context, p datasite.Path, user perm.User) (Edit, error) {
	return g.RevokeTo(ctx, p, user, perm.None)
}

// RevokeTo takes from user every right on p, and below it, above the level keep. Nobody else's rights on what is there now
// change. A right held as one of many, by "*" or a glob, cannot be taken from one user: ErrNoEffect.
func (g *Granter) RevokeTo(ctx context.Context, p datasite.Path, user perm.User, keep perm.Level) (Edit, error) {
	const op = "revoke"
	if keep >= perm.Admin {
		return Edit{}, fmt.Errorf("%s %s: nothing is above admin: keep none, read, create or write: %w", op, p, iofs.ErrInvalid)
	}
	return g.onPath(ctx, op, p, user, aim{level: keep}, (*edit).take)
}

// aim is what an edit of the rights on a path is for.
type aim struct {
	who   entry
	gives bool
	level perm.Level // to be held at least, or, if it takes, at most
}

// onPath does change to the file that decides on p, checks what it leads to, and writes it.
func (g *Granter) onPath(ctx context.Context, op string, p datasite.Path, user perm.User, a aim, change func(*edit, aim) error) (Edit, error) {
	fail := func(err error) (Edit, error) { return Edit{}, fmt.Errorf("%s %s: %w", op, p, err) }
	who, err := parseEntry(user)
	if err != nil {
		return fail(err)
	}
	switch a.who = who; {
	case a.gives && a.level == perm.Admin && (who.user == perm.Anonymous || who.user == stranger):
		return fail(fmt.Errorf("admin for %s is never meant; name the people: %w", who, iofs.ErrInvalid))
	case !a.gives && who.user == p.Owner:
		return fail(fmt.Errorf("the owner's rights cannot be taken away: %w", iofs.ErrInvalid))
	}
	unlock, err := g.lock(ctx, p)
	if err != nil {
		return fail(err)
	}
	defer unlock()
	e, err := g.begin(ctx, p)
	if err != nil {
		return fail(err)
	}
	if err := e.canName(who); err != nil {
		return fail(err)
	}
	if err := e.look(who); err != nil {
		return fail(err)
	}
	if err := change(e, a); err != nil {
		return fail(err)
	}
	if err := e.check(a); err != nil {
		return fail(err)
	}
	return e.write(op)
}

// begin finds the rule file that decides on p, and the pattern for p in it.
func (g *Granter) begin(ctx context.Context, p datasite.Path) (*edit, error) {
	st, err := g.view.Stat(ctx, p)
	if err != nil {
		return nil, err
	}
	dir, isDir := p, st.Mode.IsDir()
	if !isDir {
		if dir = p.Parent(); datasite.IsRuleName(p.Base()) {
			return nil, fmt.Errorf("who may read or change a rule file is said for its folder: name %s: %w", dir, iofs.ErrInvalid)
		}
	}
	e, err := g.find(ctx, dir)
	if err != nil {
		return nil, err
	}
	e.target, e.isDir = p, isDir
	e.pattern, err = patternOf(e.kind, e.inside(p), isDir)
	return e, err
}

// give makes the aim's level part of the rule.
func (e *edit) give(a aim) error {
	if has, err := e.namedFor(a); err != nil || has {
		return err
	}
	if err := e.copyRule(); err != nil {
		return err
	}
	return e.apply(rulefile.Change{Level: a.level, Add: []perm.User{perm.User(a.who.text)}})
}

// take takes what is above the aim's level out of the rule.
func (e *edit) take(a aim) error {
	if most, err := e.most(e.before, a.who); err != nil || most <= a.level {
		return err
	}
	if e.kind == perm.KindPerm {
		return e.takePerm(a)
	}
	if err := e.copyRule(); err != nil {
		return err
	}
	held := false
	for l := a.level + 1; l <= perm.Admin; l++ {
		if i := e.rule(); i >= 0 {
			held = held || slices.Contains(e.rules[i].Grants[l], a.who.text)
		}
		if err := e.apply(rulefile.Change{Level: l, Remove: []perm.User{perm.User(a.who.text)}}); err != nil {
			return err
		}
	}
	if !held || a.level == perm.None {
		return nil
	}
	return e.apply(rulefile.Change{Level: a.level, Add: []perm.User{perm.User(a.who.text)}})
}

// lock waits for the turn of an edit in the datasite of p, which must be the own one.
func (g *Granter) lock(ctx context.Context, p datasite.Path) (unlock func(), err error) {
	if err := g.own(p); err != nil {
		return nil, err
	}
	select {
	case g.turn <- struct{}{}:
		return func() { <-g.turn }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// own refuses what lies in no datasite, or in another's.
func (g *Granter) own(p datasite.Path) error {
	if p.IsRoot() || p.Owner != g.view.Owner() {
		return fmt.Errorf("the rules of this datasite are for its owner to change: %w", iofs.ErrPermission)
	}
	return nil
}
