package replica

import (
	"context"
	"fmt"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"go.etcd.io/bbolt"
)

// begin finds out from where the journal is read on. With a new store everything of ours is compared with what lies on Drive; of replicas
// only what is journaled from here on is proposed, as it is not known what their owners have.
func (r *Replica) begin() error {
	last, err := r.cfg.Journal.Last()
	if err != nil {
		return err
	}
	taken := last
	err = r.store.update("begin", func(tx *bbolt.Tx) error {
		seq, ok, err := get[uint64](tx, metaBucket, intakeKey)
		if err != nil {
			return err
		}
		if ok {
			taken = seq
			return nil
		}
		if err := put(tx, metaBucket, intakeKey, last); err != nil {
			return err
		}
		return put(tx, wantBucket, datasite.Path{Owner: r.cfg.Owner}.String(), want{Below: true})
	})
	if err != nil {
		return err
	}
	r.live.taken = taken
	return r.store.view(func(tx *bbolt.Tx) error {
		return each(tx, lanesBucket, "", func(_ string, m message) error {
			r.live.flies(m, m.Lane.owner(r.cfg.Owner))
			return nil
		})
	})
}

// watch reads the journal ahead, so that a change starts a round.
func (r *Replica) watch() {
	defer r.intake.Done()
	for {
		c, err := r.reader.Next(r.stopped)
		if err != nil {
			r.live.change(func() { r.live.failed = err })
			return
		}
		for full := true; full; {
			moved := r.live.changed()
			r.live.mu.Lock()
			full = len(r.live.fresh) >= maxFresh
			r.live.mu.Unlock()
			if full {
				select {
				case <-moved:
				case <-r.stopped.Done():
					return
				}
			}
		}
		r.live.change(func() {
			r.live.fresh = append(r.live.fresh, c)
			r.live.taken = max(r.live.taken, c.Seq)
		})
		r.Poke()
	}
}

// takeIn takes in every change that was journaled before the call.
func (r *Replica) takeIn(ctx context.Context) error {
	if err := r.cfg.Journal.Flush(ctx); err != nil {
		return err
	}
	last, err := r.cfg.Journal.Last()
	if err != nil {
		return err
	}
	for {
		moved := r.live.changed()
		var list []datasite.Change
		var taken uint64
		var failed error
		r.live.change(func() {
			list, r.live.fresh = r.live.fresh, nil
			taken, failed = r.live.taken, r.live.failed
		})
		if len(list) > 0 {
			if err := r.store.update("intake", func(tx *bbolt.Tx) error {
				if err := r.wanted(tx, list); err != nil {
					return err
				}
				return put(tx, metaBucket, intakeKey, list[len(list)-1].Seq)
			}); err != nil {
				r.live.change(func() { r.live.fresh = append(list, r.live.fresh...) })
				return err
			}
			// After a crash before this they come again: what was sent by then has not changed since.
			if err := r.reader.Done(list[len(list)-1].Seq); err != nil {
				return err
			}
			continue
		}
		switch {
		case taken >= last:
			return nil
		case failed != nil:
			return fmt.Errorf("read the journal: %w", failed)
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// wanted notes what the changes may have made different from what was sent.
func (r *Replica) wanted(tx *bbolt.Tx, changes []datasite.Change) error {
	for _, c := range changes {
		switch c.Op {
		case datasite.OpWrite:
			if err := r.want(tx, c.Path, want{}, c.Origin); err != nil {
				return err
			}
		case datasite.OpRemove, datasite.OpPlace, datasite.OpSubmit:
			if err := r.want(tx, c.Path, want{Below: true, Submit: c.Op == datasite.OpSubmit}, c.Origin); err != nil {
				return err
			}
		case datasite.OpRename:
			for _, p := range []datasite.Path{c.From, c.Path} {
				if err := r.want(tx, p, want{Below: true}, c.Origin); err != nil {
					return err
				}
			}
		}
		if c.Op == datasite.OpRemove || c.Op == datasite.OpRename {
			gone := c.Path
			if c.Op == datasite.OpRename {
				gone = c.From
			}
			if err := forgetCopies(tx, gone); err != nil {
				return err
			}
		}
	}
	return nil
}

// want notes one path.
func (r *Replica) want(tx *bbolt.Tx, p datasite.Path, w want, origin datasite.Origin) error {
	own := p.Owner == r.cfg.Owner
	if own {
		if err := r.wantData(tx, p, w.Below); err != nil {
			return err
		}
	}
	// What was applied for a peer is noted by whoever applied it, with the id that it came with.
	if origin == datasite.OriginPeer || p.IsRoot() || !p.Replicated() {
		return nil
	}
	if err := del(tx, refuseBucket, p.String()); err != nil {
		return err
	}
	old, _, err := get[want](tx, wantBucket, p.String())
	if err != nil {
		return err
	}
	old.Below = old.Below || w.Below
	old.Submit = old.Submit || w.Submit
	return put(tx, wantBucket, p.String(), old)
}

// wantData notes what collections have to know: files of datasets, folders that hold some, and rule files. Those in a folder that came are found
// when it is looked into.
func (r *Replica) wantData(tx *bbolt.Tx, p datasite.Path, whole bool) error {
	holds := whole && (at(p.Owner, datasite.PublicDatasetsDir).Under(p) || at(p.Owner, datasite.PrivateDatasetsDir).Under(p))
	if holds || ofData(p) {
		if err := put(tx, dataBucket, p.String(), true); err != nil {
			return err
		}
	}
	if !whole {
		return nil
	}
	return below(tx, baseBucket, p, func(q datasite.Path, _ known) error {
		if isRule(q) {
			return put(tx, dataBucket, q.String(), true)
		}
		return nil
	})
}

// ofData reports whether collections are told of changes of p.
func ofData(p datasite.Path) bool { return p.Area() == datasite.Datasets || isRule(p) }

func at(owner perm.User, rel string) datasite.Path { return datasite.Path{Owner: owner, Rel: rel} }

// forgetCopies forgets the conflict copies that were at p and below it.
func forgetCopies(tx *bbolt.Tx, p datasite.Path) error {
	var gone []string
	err := below(tx, copyBucket, p, func(q datasite.Path, _ Conflict) error {
		gone = append(gone, q.String())
		return nil
	})
	for _, key := range gone {
		if err == nil {
			err = del(tx, copyBucket, key)
		}
	}
	return err
}
