package collection

import (
	"context"
	"errors"
	"slices"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/sync/wire"
	"go.etcd.io/bbolt"
)

// follow brings a dataset of a peer into its replica as it is offered, the newest version of several. What was delivered stays when it is
// offered no longer.
func (c *Collections) follow(ctx context.Context, k key) error {
	peers, err := c.peers(ctx)
	if err != nil {
		return err
	}
	peer, ok := peers[k.Owner]
	if !ok {
		return nil // no longer: the copies stay as they are
	}
	list, err := c.store.offers(otherBucket, func(f offered) bool { return f.Owner == k.Owner && f.Tag == k.Name && f.Kind == wire.CollectionFolder })
	if err != nil {
		return err
	}
	if list, err = c.alive(ctx, otherBucket, list); err != nil {
		return err
	}
	r, known, err := c.store.received(k)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		if known {
			r.Withdrawn, r.Refused, r.Why = r.Folder != "", "", ""
			return c.store.keepReceived("withdrawn", k, r, nil)
		}
		return nil
	}
	f := list[0]
	if r.Folder == f.ID && r.Hash == f.Hash {
		if !r.Withdrawn && r.Refused == "" {
			return nil
		}
		r.Withdrawn, r.Refused, r.Why = false, "", ""
		return c.store.keepReceived("offered", k, r, nil)
	}
	err = c.take(ctx, k, f, peer.Version, &r)
	var no *refusal
	if errors.As(err, &no) {
		r.Why = no.why
		c.cfg.Log.Warn("dataset refused", "path", k.String(), "err", err)
		return errors.Join(c.store.keepReceived("refused", k, r, nil), c.stage(f.ID).remove())
	}
	return err
}

// take fetches the collection f, checks it, and puts it in place.
func (c *Collections) take(ctx context.Context, k key, f offer, v wire.Version, r *received) error {
	l, err := c.contents(ctx, f, v)
	if err == nil && l.print == r.Refused {
		return nil // as it was refused
	}
	var no *refusal
	if errors.As(err, &no) {
		r.Refused = l.print
	}
	if err != nil {
		return err
	}
	target := datasite.Path{Owner: k.Owner, Rel: datasite.PublicDatasetsDir}.Join(k.Name)
	s := c.stage(f.ID)
	if err := s.fetch(ctx, l, target); err != nil {
		return err
	}
	if err := s.check(ctx, l, f.Hash, target); err != nil {
		r.Refused = l.print
		return err
	}
	p := placing{c: c, from: k.Owner, target: target}
	if p.given, err = c.store.given(k); err != nil {
		return err
	}
	if err := c.store.giving(k, p.given, l); err != nil {
		return err
	}
	if err := p.all(ctx, s, l); err != nil {
		return err
	}
	if err := p.rest(ctx); err != nil {
		return err
	}
	*r = received{Folder: f.ID, Hash: f.Hash, Files: len(p.done), At: c.cfg.Clock.Now(), Notes: append(l.notes, p.notes...)}
	if err := c.store.keepReceived("delivered", k, *r, p.done); err != nil {
		return err
	}
	return s.remove()
}

func (s *store) received(k key) (r received, ok bool, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		r, ok, err = get[received](tx, gotBucket, k.in())
		return err
	})
	return r, ok, err
}

// keepReceived writes what is known of a peer's dataset, and with given what lies in the replica.
func (s *store) keepReceived(op string, k key, r received, given map[string]datasite.Hash) error {
	return s.update(op, func(tx *bbolt.Tx) error {
		if given != nil {
			if err := clearUnder(tx, givenBucket, k.in()+"\x00"); err != nil {
				return err
			}
			for rel, h := range given {
				if err := put(tx, givenBucket, k.in()+"\x00"+rel, []datasite.Hash{h}); err != nil {
					return err
				}
			}
		}
		return put(tx, gotBucket, k.in(), r)
	})
}

// given is what lies in the replica of a dataset of a peer's, or may lie there after a crash.
func (s *store) given(k key) (given map[string][]datasite.Hash, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		given, err = all[[]datasite.Hash](tx, givenBucket, k.in()+"\x00")
		return err
	})
	return given, err
}

// giving writes down what is about to be put in place of l, beside what was given: after a crash it must not pass for somebody's work.
func (s *store) giving(k key, given map[string][]datasite.Hash, l listing) error {
	return s.update("giving", func(tx *bbolt.Tx) error {
		for _, it := range l.items {
			if it.Rel == "" || slices.Contains(given[it.Rel], it.Sum) {
				continue
			}
			given[it.Rel] = append(given[it.Rel], it.Sum)
			if err := put(tx, givenBucket, k.in()+"\x00"+it.Rel, given[it.Rel]); err != nil {
				return err
			}
		}
		return nil
	})
}
