package replica

import (
	"context"
	"errors"
	"slices"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/wire"
	"go.etcd.io/bbolt"
)

var logLane = lane{Kind: wire.LogFolder}

// publish plans a message to the event log of what changed in the own datasite, and notes what peers are owed of it. It does nothing while the
// message before is on its way, so that what changes often is sent once when Drive is back. It reports whether it planned one.
func (r *Replica) publish(ctx context.Context, peers []Peer) (bool, error) {
	if _, busy, err := r.planned(logLane); err != nil || busy {
		return false, err
	}
	if err := r.expand(ctx, r.cfg.Owner); err != nil {
		return false, err
	}
	list, err := r.wishes(r.cfg.Owner)
	if err != nil || len(list) == 0 {
		return false, err
	}
	if braked, err := r.braked(ctx, r.cfg.Owner, list); err != nil || braked {
		return false, err
	}
	return r.publishSome(ctx, peers, list)
}

// publishSome plans as much of list as one message holds.
func (r *Replica) publishSome(ctx context.Context, peers []Peer, list []wish) (bool, error) {
	g, err := r.gather(ctx, list, false, func(p datasite.Path) (datasite.Hash, error) {
		k, err := r.baseOf(p)
		return k.Hash, err
	})
	if err != nil {
		return false, err
	}
	slices.SortStableFunc(g.items, deletionsFirst)
	var m message
	var body []byte
	if len(g.items) > 0 {
		folder, err := r.cfg.Peers.Home(ctx, wire.LogFolder, "")
		if err != nil {
			return false, g.drop(err)
		}
		m, body, err = r.draft(ctx, logLane, folder, g.items, true)
		switch {
		case err == nil:
		case !unsendable(err):
			return false, g.drop(err)
		case len(g.items) == 1:
			g.refused[at(r.cfg.Owner, g.items[0].Path)] = "it stays on this machine: " + err.Error()
			g.items = nil
		default: // the halves, until it is known which one it is
			n := min(len(list), len(g.items)) / 2
			if err := g.spool.drop(); err != nil {
				return false, err
			}
			return r.publishSome(ctx, peers, list[:max(n, 1)])
		}
	}
	owe, err := r.owing(ctx, peers, g.items)
	if err == nil {
		err = g.spool.keep()
	}
	if err != nil {
		return false, g.drop(err)
	}
	err = r.store.update("publish", func(tx *bbolt.Tx) error {
		for _, p := range g.same {
			if err := del(tx, wantBucket, p.String()); err != nil {
				return err
			}
		}
		if err := r.refuse(tx, g.refused, StateError); err != nil {
			return err
		}
		for _, it := range g.items {
			key := at(r.cfg.Owner, it.Path).String()
			if err := errors.Join(del(tx, wantBucket, key), del(tx, refuseBucket, key), setBase(tx, key, known{Hash: it.After})); err != nil {
				return err
			}
		}
		for _, o := range owe {
			if err := oweTo(tx, o.to, o.path); err != nil {
				return err
			}
		}
		if len(g.items) == 0 {
			return nil
		}
		return plan(tx, m)
	})
	if err != nil || len(g.items) == 0 {
		return false, g.drop(err)
	}
	r.takesOff(m, body)
	return true, nil
}

// unsendable reports whether err says that there can be no message of these items.
func unsendable(err error) bool {
	return errors.Is(err, wire.ErrUnsendable) || errors.Is(err, wire.ErrLimit)
}

// setBase notes what both sides agree on; a file that is gone needs no note if nothing orders what is told about it.
func setBase(tx *bbolt.Tx, key string, k known) error {
	if k.Hash == (datasite.Hash{}) && k.Order.IsZero() {
		return del(tx, baseBucket, key)
	}
	return put(tx, baseBucket, key, k)
}

// owing is a file that is owed to a peer.
type owing struct {
	to   perm.User
	path datasite.Path
}

// oweTo notes that to is to be sent p, and answered.
func oweTo(tx *bbolt.Tx, to perm.User, p datasite.Path, answers ...answer) error {
	o, _, err := get[owed](tx, owedBucket, pair(to, p.String()))
	if err != nil {
		return err
	}
	for _, a := range answers {
		o.Answers = append(slices.DeleteFunc(o.Answers, func(b answer) bool { return b.ID == a.ID }), a)
	}
	return put(tx, owedBucket, pair(to, p.String()), o)
}

// owing tells what of the items each peer is to be sent; and if one is a rule file, everything below it that a peer may see now and does
// not have: so a grant resends.
func (r *Replica) owing(ctx context.Context, peers []Peer, items []sent) ([]owing, error) {
	var list []owing
	var ruled []datasite.Path
	for _, it := range items {
		p := at(r.cfg.Owner, it.Path)
		if isRule(p) {
			ruled = append(ruled, p.Parent())
		}
		for _, peer := range peers {
			if !peer.Serve {
				continue
			}
			sees, err := r.sees(ctx, peer, p)
			if err != nil {
				return nil, err
			}
			if sees {
				list = append(list, owing{peer.User, p})
			}
		}
	}
	for _, dir := range ruled {
		more, err := r.missing(ctx, peers, dir)
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	return list, nil
}

// missing tells which published files at dir and below each peer may see and was not sent as they are.
func (r *Replica) missing(ctx context.Context, peers []Peer, dir datasite.Path) ([]owing, error) {
	var list []owing
	for _, peer := range peers {
		if !peer.Serve {
			continue
		}
		var lacks []datasite.Path
		err := r.store.view(func(tx *bbolt.Tx) error {
			return below(tx, baseBucket, dir, func(p datasite.Path, k known) error {
				had, _, err := get[datasite.Hash](tx, hadBucket, pair(peer.User, p.String()))
				if err == nil && had != k.Hash {
					lacks = append(lacks, p)
				}
				return err
			})
		})
		if err != nil {
			return nil, err
		}
		for _, p := range lacks {
			sees, err := r.sees(ctx, peer, p)
			if err != nil {
				return nil, err
			}
			if sees {
				list = append(list, owing{peer.User, p})
			}
		}
	}
	return list, nil
}

// sees reports whether changes of p are sent to peer at all. For a rule file that only may be, in part; what goes is decided when
// it is sent.
func (r *Replica) sees(ctx context.Context, peer Peer, p datasite.Path) (bool, error) {
	level, err := r.cfg.Rights.Level(ctx, peer.User, p)
	if err != nil {
		return false, err
	}
	if isRule(p) {
		return level == perm.Admin || peer.Syftfs, nil
	}
	return level >= perm.Read, nil
}
