package dataset

import (
	"context"
	"fmt"
	iofs "io/fs"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/grant"
	"github.com/openmined/syftfs/fs/guard"
)

// Deleted tells what Delete did.
type Deleted struct {
	Mock, Private bool          // the part was there, and is gone
	Left          datasite.Path // the private part that stays; zero if there is none
}

// Delete removes a dataset from the own datasite: its mock part with everything that says who may read it, and with private also its
// private part, which may be the only copy: the caller has asked. fs.ErrNotExist if there is nothing to delete. After a failure it may be
// called again. Copies that others have stay with them.
func Delete(ctx context.Context, view *guard.View, name string, private bool) (Deleted, error) {
	var done Deleted
	fail := func(err error) (Deleted, error) { return done, fmt.Errorf("delete dataset %s: %w", name, err) }
	if err := datasite.CheckName(name); err != nil {
		return fail(err)
	}
	d := at(view.Owner(), name)
	g := grant.New(view)
	var err error
	if done.Mock, err = remove(ctx, view, g, d.Mock); err != nil {
		return fail(err)
	}
	if private {
		if done.Private, err = remove(ctx, view, g, d.Private); err != nil {
			return fail(err)
		}
	} else if _, err := view.Stat(ctx, d.Private); err == nil {
		done.Left = d.Private
	} else if !gone(err) {
		return fail(err)
	}
	if !done.Mock && !done.Private {
		if done.Left != (datasite.Path{}) {
			return fail(fmt.Errorf("only its private part is left, in %s; say that it is to be deleted, too: %w", done.Left, iofs.ErrNotExist))
		}
		return fail(iofs.ErrNotExist)
	}
	return done, nil
}

// remove removes a part, and then the rule in a file above that speaks of it alone: by then there is nothing that anybody could read.
func remove(ctx context.Context, view *guard.View, g *grant.Granter, dir datasite.Path) (was bool, err error) {
	switch st, err := view.Stat(ctx, dir); {
	case gone(err):
	case err != nil:
		return false, err
	case !st.Mode.IsDir():
		return false, fmt.Errorf("%s is no folder: %w", dir, iofs.ErrInvalid)
	default:
		was = true
	}
	if was {
		if err := view.RemoveAll(ctx, dir); err != nil {
			return false, err
		}
	}
	by, err := g.Governing(ctx, dir)
	if err == nil && by.Exists {
		_, err = g.Set(ctx, dir, wholePart, nil, grant.SetOptions{Drop: true})
	}
	if err != nil {
		err = fmt.Errorf("%s is removed, but not the rule for it: %w", dir, err)
	}
	return was, err
}
