package replica

import (
	"context"
	"slices"
	"strings"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"go.etcd.io/bbolt"
)

// wish is a path with what is wanted of it.
type wish struct {
	path datasite.Path
	want want
}

// wishes gives what is wanted of owner's datasite, in the order of the paths.
func (r *Replica) wishes(owner perm.User) ([]wish, error) {
	var list []wish
	err := r.store.view(func(tx *bbolt.Tx) error {
		return below(tx, wantBucket, datasite.Path{Owner: owner}, func(p datasite.Path, w want) error {
			list = append(list, wish{p, w})
			return nil
		})
	})
	return list, err
}

// expand replaces what is wanted of whole folders of owner's datasite by what is wanted of the files that are there, or were known there.
// Jobs of ours in a peer's datasite stay whole.
func (r *Replica) expand(ctx context.Context, owner perm.User) error {
	list, err := r.wishes(owner)
	if err != nil {
		return err
	}
	whole := func(w wish) bool { return w.want.Submit && owner != r.cfg.Owner }
	list = slices.DeleteFunc(list, func(w wish) bool { return !w.want.Below || whole(w) })
	if len(list) == 0 {
		return nil
	}
	found := map[string]bool{}
	for _, w := range list {
		err := r.cfg.Tree.Files(ctx, w.path, func(p datasite.Path) error {
			found[p.String()] = true
			return ctx.Err()
		})
		if err != nil {
			return err
		}
	}
	return r.store.update("expand", func(tx *bbolt.Tx) error {
		for _, w := range list {
			err := below(tx, baseBucket, w.path, func(p datasite.Path, k known) error {
				if k.Hash != (datasite.Hash{}) {
					found[p.String()] = true
				}
				return nil
			})
			if err == nil {
				err = below(tx, mineBucket, w.path, func(p datasite.Path, _ []mine) error {
					found[p.String()] = true
					return nil
				})
			}
			if err == nil {
				err = del(tx, wantBucket, w.path.String())
			}
			if err == nil && w.want.ID != [16]byte{} {
				found[w.path.String()] = true
				w.want.Below, w.want.Submit = false, false
				err = put(tx, wantBucket, w.path.String(), w.want)
			}
			if err != nil {
				return err
			}
		}
		for key := range found {
			p, err := datasite.Parse(key)
			if err != nil {
				return err
			}
			if owner == r.cfg.Owner && ofData(p) {
				if err := put(tx, dataBucket, key, true); err != nil {
					return err
				}
			}
			if !p.Replicated() {
				continue
			}
			if _, ok, err := get[want](tx, wantBucket, key); err != nil || ok {
				if err != nil {
					return err
				}
				continue
			}
			if err := put(tx, wantBucket, key, want{}); err != nil {
				return err
			}
		}
		return nil
	})
}

// there reports whether a regular file lies at p.
func (r *Replica) there(ctx context.Context, p datasite.Path) (bool, error) {
	found := false
	err := r.cfg.Tree.Files(ctx, p, func(q datasite.Path) error {
		if q == p {
			found = true
		}
		return errEnough
	})
	if err == errEnough {
		err = nil
	}
	return found, err
}

// errEnough ends a walk.
var errEnough = stopError{}

type stopError struct{}

func (stopError) Error() string { return "enough" }

// deletionsFirst is the order of the items of a message: so a file can take the place of a folder and the other way round.
func deletionsFirst(a, b sent) int {
	if x, y := a.Op == datasite.OpRemove, b.Op == datasite.OpRemove; x != y {
		if x {
			return -1
		}
		return 1
	}
	return strings.Compare(a.Path, b.Path)
}

func cmpPath(a, b datasite.Path) int { return strings.Compare(a.String(), b.String()) }
