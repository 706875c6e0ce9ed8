package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/wire"
	"go.etcd.io/bbolt"
)

// verdict is what became of one proposed change.
type verdict struct {
	item    wire.Item
	taken   bool
	refused string // why not
}

func (v verdict) answer() answer {
	return answer{ID: v.item.ID, Submitted: v.item.Submitted, After: v.item.After, Refused: !v.taken}
}

// takeProposal takes what a peer proposes for the own datasite, change by change, as that peer. One that does not fit what is here
// may come before one that was made earlier, so the message waits for a while.
func (r *Replica) takeProposal(ctx context.Context, p Peer, l look, proposal wire.Proposal) error {
	items := slices.Clone(proposal.Items)
	slices.SortStableFunc(items, func(a, b wire.Item) int {
		return deletionsFirst(sent{Op: a.Op, Path: a.Path.Rel}, sent{Op: b.Op, Path: b.Path.Rel})
	})
	if until := l.First.Add(r.cfg.Patience); r.cfg.Now().Before(until) {
		fits, err := r.fits(ctx, p.User, items)
		if err != nil {
			return err
		}
		if !fits {
			r.later[l.Object.ID] = pause{until: until}
			return nil
		}
	}
	verdicts := make([]verdict, 0, len(items))
	for _, it := range items {
		v, err := r.judge(ctx, p, it)
		if err != nil {
			return err
		}
		verdicts = append(verdicts, v)
	}
	return r.finish("proposal", p, l, func(tx *bbolt.Tx) error {
		for _, v := range verdicts {
			if err := r.answer(tx, p, l, v); err != nil {
				return err
			}
		}
		return nil
	})
}

// fits reports whether every change that u may make was made from what is here, or is here already.
func (r *Replica) fits(ctx context.Context, u perm.User, items []wire.Item) (bool, error) {
	for _, it := range items {
		if !it.Path.Replicated() {
			continue
		}
		may, err := r.mayWrite(ctx, u, it.Path)
		if err != nil {
			return false, err
		}
		if !may {
			continue
		}
		ours, err := r.hashOf(ctx, it.Path)
		if err != nil {
			if refusedByTree(err) {
				continue // said when it is applied
			}
			return false, err
		}
		if ours != it.Before && ours != it.After {
			return false, nil
		}
	}
	return true, nil
}

// judge decides on one change and does it. An error says that the message is to be tried again.
func (r *Replica) judge(ctx context.Context, p Peer, it wire.Item) (verdict, error) {
	v := verdict{item: it}
	if !it.Path.Replicated() {
		v.refused = "what lies there is not exchanged"
		return v, nil
	}
	// Before anything is compared: who has no right must not learn what lies there.
	if may, err := r.mayWrite(ctx, p.User, it.Path); err != nil || !may {
		v.refused = "it is not allowed"
		return v, err
	}
	for range staleTries {
		ours, err := r.hashOf(ctx, it.Path)
		if err == nil {
			switch Resolve(Versions{Ours: ours, Theirs: it.After, Past: []datasite.Hash{it.Before}, Settle: true}) {
			case Keep:
				if v.taken = ours == it.After; !v.taken {
					v.refused = "it was made from another version of the file than is here"
				}
				return v, nil
			default:
				err = r.apply(ctx, p.User, it, ours)
			}
		}
		switch {
		case err == nil:
			v.taken = true
			return v, nil
		case errors.Is(err, datasite.ErrStale):
		case refusedByTree(err):
			v.refused = err.Error()
			return v, nil
		default:
			return v, err
		}
	}
	return v, fmt.Errorf("%s is changed all the time: %w", it.Path, datasite.ErrStale)
}

// mayWrite reports whether u might have put a file at path.
func (r *Replica) mayWrite(ctx context.Context, u perm.User, path datasite.Path) (bool, error) {
	level, err := r.cfg.Rights.Level(ctx, u, path)
	if isRule(path) {
		return level == perm.Admin, err
	}
	return level >= perm.Create, err
}

// answer notes what follows from a verdict: what was taken is published with its own id, and the sender is told in any case.
func (r *Replica) answer(tx *bbolt.Tx, p Peer, l look, v verdict) error {
	key := v.item.Path.String()
	if !v.taken {
		if err := r.aside(tx, Aside{Peer: p.User, Name: l.Object.Name, Path: key, Reason: v.refused}); err != nil {
			return err
		}
		if !v.item.Path.Replicated() {
			return nil
		}
		if err := oweTo(tx, p.User, v.item.Path, v.answer()); err != nil {
			return err
		}
	}
	w, _, err := get[want](tx, wantBucket, key)
	if err != nil {
		return err
	}
	if v.taken {
		w.ID, w.After, w.Submitted = v.item.ID, v.item.After, v.item.Submitted
	}
	if err := put(tx, wantBucket, key, w); err != nil || !v.taken {
		return err
	}
	return oweTo(tx, p.User, v.item.Path, v.answer())
}
