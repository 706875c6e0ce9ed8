package grant

import (
	"context"
	"fmt"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
)

// Restrict makes readers the whole read list of exactly this pattern, relative to dir, in the rule file that governs dir;
// the rule, or the file, is made if it is missing. In syftperm.yaml, where rights add up, it first takes every right on the
// pattern from everyone, at the end of the file.
func (g *Granter) Restrict(ctx context.Context, dir datasite.Path, pattern string, readers []perm.User) error {
	_, err := g.onPattern(ctx, "restrict", dir, pattern, false, func(e *edit) error {
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
	_, err := g.onPattern(ctx, "share", dir, pattern, false, func(e *edit) error {
		if e.kind == perm.KindPerm {
			return e.sharePerm(user)
		}
		return e.apply(rulefile.Change{Level: perm.Read, Add: []perm.User{user}})
	})
	return err
}

// Unshare takes user from the read list of exactly this pattern, relative to dir, in the rule file that governs dir.
func (g *Granter) Unshare(ctx context.Context, dir datasite.Path, pattern string, user perm.User) error {
	_, err := g.onPattern(ctx, "unshare", dir, pattern, false, func(e *edit) error {
		return e.apply(rulefile.Change{Level: perm.Read, Remove: []perm.User{user}})
	})
	return err
}

// SetOptions are what Set changes beside lists.
type SetOptions struct {
	Limits   *perm.Limits // of the rule; nil leaves them
	Drop     bool         // removes the rules with the pattern; nothing is granted then
	Terminal *bool        // whether rule files below have no say; nil leaves it
}

// Set makes grants the whole access that the rules with exactly this pattern, relative to dir, give, in the rule file that
// governs dir; the rule, or the file, is made if it is missing. Without a pattern only Terminal is changed. Limits and
// Terminal are of syft.pub.yaml only, and Terminal of a file in dir itself. The rights of others change as the effects say.
func (g *Granter) Set(ctx context.Context, dir datasite.Path, pattern string, grants map[perm.Level][]perm.User, o SetOptions) (Edit, error) {
	return g.onPattern(ctx, "set", dir, pattern, true, func(e *edit) error { return e.set(grants, o) })
}

func (g *Granter) onPattern(ctx context.Context, op string, dir datasite.Path, pattern string, tell bool, change func(*edit) error) (Edit, error) {
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
	if pattern != "" || !tell {
		if e.pattern, err = joinPattern(e.kind, e.inside(dir), pattern); err != nil {
			return fail(err)
		}
	}
	if err := change(e); err != nil {
		return fail(err)
	}
	if err := e.lockout(); err != nil {
		return fail(err)
	}
	if tell {
		if err := e.tell(); err != nil {
			return fail(err)
		}
	}
	return e.write(op)
}
