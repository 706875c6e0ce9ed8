package replica

import (
	"context"
	"errors"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"go.etcd.io/bbolt"
)

// Brake says when deletions are so many that nothing is sent before a person agrees.
type Brake struct {
	Count int     // so many deletions at once are too many; default 500
	Share float64 // or this part of the files that were published, of at least Least; default 0.5
	Least int     // fewer deletions than this never are; default 20
}

func (b Brake) filled() Brake {
	fill(&b.Count, 500)
	fill(&b.Least, 20)
	if b.Share <= 0 {
		b.Share = 0.5
	}
	return b
}

// pulls reports whether gone deletions among known files are too many.
func (b Brake) pulls(gone, known int) bool {
	return gone >= b.Least && (gone >= b.Count || float64(gone) >= b.Share*float64(known))
}

// braked reports whether nothing of owner's datasite is to be sent because so much of list is gone. It lets go by itself when the files
// are back.
func (r *Replica) braked(ctx context.Context, owner perm.User, list []wish) (stops bool, err error) {
	gone := 0
	if len(list) >= r.cfg.Brake.Least {
		for _, w := range list {
			k, err := r.baseOf(w.path)
			if err != nil {
				return false, err
			}
			if k.Hash == (datasite.Hash{}) {
				continue
			}
			there, err := r.there(ctx, w.path)
			if err != nil {
				return false, err
			}
			if !there {
				gone++
			}
		}
	}
	var was bool
	var released, files int
	err = r.store.view(func(tx *bbolt.Tx) (err error) {
		if released, _, err = get[int](tx, releasedBucket, owner.String()); err != nil {
			return err
		}
		_, was, err = get[Braked](tx, brakeBucket, owner.String())
		files = count(tx, baseBucket, owner.String()+"/")
		return err
	})
	stops = gone > released && r.cfg.Brake.pulls(gone, files)
	over := released > 0 && gone == 0
	if err != nil || stops == was && !over {
		return stops, err
	}
	err = r.store.update("brake", func(tx *bbolt.Tx) error {
		if over {
			if err := del(tx, releasedBucket, owner.String()); err != nil {
				return err
			}
		}
		if !stops {
			return del(tx, brakeBucket, owner.String())
		}
		return put(tx, brakeBucket, owner.String(), Braked{Owner: owner, Deletions: gone, Files: files, Since: r.cfg.Now()})
	})
	if stops {
		r.cfg.Log.Warn("nothing is sent: very many files are gone; release the brake if that is meant", "op", "push", "user", owner)
	}
	r.live.change(func() {})
	return stops, err
}

// Release lets the deletions go that the brakes hold back now, and no more than those.
func (r *Replica) Release(ctx context.Context) error {
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.give()
	err := r.store.update("release", func(tx *bbolt.Tx) error {
		var on []Braked
		err := each(tx, brakeBucket, "", func(_ string, b Braked) error {
			on = append(on, b)
			return nil
		})
		for _, b := range on {
			if err == nil {
				err = errors.Join(put(tx, releasedBucket, b.Owner.String(), b.Deletions), del(tx, brakeBucket, b.Owner.String()))
			}
		}
		return err
	})
	r.live.change(func() {})
	r.Poke()
	return err
}
