package dataset

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/grant"
	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/perm"
)

// Share lets users (addresses, or "*" or "any" for everybody) read the mock part of a dataset in the own datasite. Nobody else's rights
// change. On an error the users before it were added.
func Share(ctx context.Context, view *guard.View, name string, users ...string) (Dataset, error) {
	return reshare(ctx, view, "share", name, users, (*Sharing).Share)
}

// Unshare takes the right to read the mock part, and every other right on it, from users. Copies that they have stay with them. Who reads
// it as one of many, by "*", goes on doing so: grant.ErrNoEffect.
func Unshare(ctx context.Context, view *guard.View, name string, users ...string) (Dataset, error) {
	return reshare(ctx, view, "unshare", name, users, (*Sharing).Unshare)
}

func reshare(ctx context.Context, view *guard.View, op, name string, users []string, change func(*Sharing, context.Context, datasite.Path, perm.User) error) (Dataset, error) {
	d, err := Describe(ctx, view, name)
	if err != nil && !errors.Is(err, ErrBroken) {
		return d, fmt.Errorf("%s: %w", op, err)
	}
	d = at(view.Owner(), name)
	readers, err := readersOf(users)
	if err != nil {
		return d, fmt.Errorf("%s dataset %s: %w", op, name, err)
	}
	s := NewSharing(view)
	for _, u := range readers {
		if err := change(s, ctx, d.Mock, u); err != nil {
			return d, fmt.Errorf("%s dataset %s: %w", op, name, err)
		}
	}
	return Describe(ctx, view, name)
}

// Sharing answers and changes who may read parts of datasets in the own datasite, as the view's identity. It is what a package that
// carries datasets to other machines needs of the rules.
type Sharing struct {
	view *guard.View
	g    *grant.Granter
}

// NewSharing makes one; its methods may be called concurrently.
func NewSharing(view *guard.View) *Sharing { return &Sharing{view: view, g: grant.New(view)} }

// Level is the highest level that u holds on p.
func (s *Sharing) Level(ctx context.Context, u perm.User, p datasite.Path) (perm.Level, error) {
	d, err := s.view.Explain(ctx, u, p, perm.Read)
	return d.Level, err
}

// Readers lists whom the rules let read the file p, as they spell them: addresses, "*", "USER", patterns of addresses.
func (s *Sharing) Readers(ctx context.Context, p datasite.Path) ([]string, error) {
	return s.g.Readers(ctx, p, false)
}

// Share lets user, an address or grant.Everyone, read all in dir, the folder of a part.
func (s *Sharing) Share(ctx context.Context, dir datasite.Path, user perm.User) error {
	_, err := s.g.Grant(ctx, dir, user, perm.Read)
	return err
}

// Unshare takes every right on dir from user.
func (s *Sharing) Unshare(ctx context.Context, dir datasite.Path, user perm.User) error {
	_, err := s.g.Revoke(ctx, dir, user)
	return err
}

// Restrict makes readers those who may read what is or will be in dir, and takes it from everybody else. dir need not exist.
func (s *Sharing) Restrict(ctx context.Context, dir datasite.Path, readers []perm.User) error {
	fresh, err := takesRules(ctx, s.g, dir)
	if err != nil {
		return err
	}
	if fresh {
		return s.view.Write(ctx, dir.Join(datasite.PubFile), rules(readers))
	}
	return s.g.Restrict(ctx, dir, wholePart, readers)
}

// wholePart is the pattern of everything in a part's folder.
const wholePart = "**"

// takesRules reports whether a new rule file in dir would decide there: it has none, and no file above it forbids one.
func takesRules(ctx context.Context, g *grant.Granter, dir datasite.Path) (bool, error) {
	by, err := g.Governing(ctx, dir)
	return !by.Exists || by.File.Parent() != dir && !by.Terminal, err
}

// everyone is how the peers' client spells everybody in a list of users.
const everyone = "any"

func isEveryone(s string) bool {
	s = strings.TrimSpace(s)
	return s == string(grant.Everyone) || s == everyone
}
