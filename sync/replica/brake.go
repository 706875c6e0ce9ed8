package replica

import (
	"context"

	"github.com/openmined/syftfs/fs/datasite"
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

// braked reports whether sending has to stop because so much of list is gone. It lets go by itself when the files are back.
func (r *Replica) braked(ctx context.Context, list []wish) (bool, error) {
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
	stops := false
	var on, was bool
	err := r.store.view(func(tx *bbolt.Tx) error {
		released, _, err := get[int](tx, metaBucket, releasedKey)
		if err != nil {
			return err
		}
		_, on, err = get[Braked](tx, metaBucket, brakeKey)
		files := count(tx, baseBucket, datasite.Path{Owner: r.cfg.Owner}.String()+"/")
		stops = r.cfg.Brake.pulls(gone, files) && gone > released
		was = released > 0
		return err
	})
	if err != nil || stops == on && !(was && gone == 0) {
		return stops, err
	}
	err = r.store.update("brake", func(tx *bbolt.Tx) error {
		if !stops {
			if gone == 0 {
				if err := del(tx, metaBucket, releasedKey); err != nil {
					return err
				}
			}
			return del(tx, metaBucket, brakeKey)
		}
		files := count(tx, baseBucket, datasite.Path{Owner: r.cfg.Owner}.String()+"/")
		return put(tx, metaBucket, brakeKey, Braked{Deletions: gone, Files: files, Since: r.cfg.Now()})
	})
	if stops {
		r.cfg.Log.Warn("nothing is sent: very many files are gone; release the brake if that is meant", "op", "push", "gone", gone)
	}
	r.live.change(func() {})
	return stops, err
}

// Release lets the deletions go that the brake holds back now, and no more than those.
func (r *Replica) Release(ctx context.Context) error {
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.give()
	err := r.store.update("release", func(tx *bbolt.Tx) error {
		b, ok, err := get[Braked](tx, metaBucket, brakeKey)
		if err != nil || !ok {
			return err
		}
		if err := put(tx, metaBucket, releasedKey, b.Deletions); err != nil {
			return err
		}
		return del(tx, metaBucket, brakeKey)
	})
	r.live.change(func() {})
	r.Poke()
	return err
}
