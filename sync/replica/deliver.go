package replica

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	iofs "io/fs"
	"slices"
	"strings"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/sync/wire"
	"go.etcd.io/bbolt"
)

// delivery is a message for one peer that is being made.
type delivery struct {
	peer  Peer
	items []sent
	paths []datasite.Path // that are dealt with: sent, or not to be sent after all
	had   map[datasite.Path]datasite.Hash
	spool *spool
}

// deliver plans for each peer, unless a message is on its way to it, one with what it is owed. It reports whether it planned one.
func (r *Replica) deliver(ctx context.Context, peers []Peer) (bool, error) {
	any := false
	for _, peer := range peers {
		l := lane{Kind: wire.OutboxFolder, Peer: peer.User}
		if !peer.Serve || peer.Outbox == "" || r.paused(l) {
			continue
		}
		for most := maxItems; most > 0; {
			planned, err := r.deliverTo(ctx, peer, l, most)
			if unsendable(err) && most > 1 {
				most /= 2 // until it is known which item it is
				continue
			}
			if err != nil {
				err = r.onlyPeer(l, err)
			}
			if err != nil {
				return any, err
			}
			any = any || planned
			break
		}
	}
	return any, nil
}

func (r *Replica) deliverTo(ctx context.Context, peer Peer, l lane, most int) (bool, error) {
	type debt struct {
		path datasite.Path
		owed owed
	}
	var debts []debt
	busy := false
	var logged message
	err := r.store.view(func(tx *bbolt.Tx) (err error) {
		if _, busy, err = get[message](tx, lanesBucket, l.String()); err != nil || busy {
			return err
		}
		if logged, _, err = get[message](tx, lanesBucket, logLane.String()); err != nil {
			return err
		}
		prefix := pair(peer.User, "")
		return each(tx, owedBucket, prefix, func(key string, o owed) error {
			p, err := datasite.Parse(strings.TrimPrefix(key, prefix))
			debts = append(debts, debt{p, o})
			return err
		})
	})
	if err != nil || busy || len(debts) == 0 {
		return false, err
	}
	d := &delivery{peer: peer, had: map[datasite.Path]datasite.Hash{}, spool: r.store.newSpool()}
	for _, debt := range debts {
		if len(d.items) >= most || d.spool.size >= maxBytes {
			break
		}
		if err := r.pay(ctx, d, debt.path, debt.owed, logged); err != nil {
			return false, errors.Join(err, d.spool.drop())
		}
	}
	slices.SortStableFunc(d.items, deletionsFirst)
	var m message
	var body []byte
	if len(d.items) > 0 {
		m, body, err = r.draft(ctx, l, peer.Outbox, d.items, true)
		if unsendable(err) && len(d.items) == 1 {
			r.cfg.Log.Warn("a file cannot be sent to a peer", "op", "push", "peer", peer.User, "path", d.items[0].Path, "err", err)
			d.items, err = nil, nil
		}
	}
	if err == nil {
		err = d.spool.keep()
	}
	if err != nil {
		return false, errors.Join(err, d.spool.drop())
	}
	if len(d.paths) == 0 {
		return false, d.spool.drop()
	}
	err = r.store.update("deliver", func(tx *bbolt.Tx) error {
		for _, p := range d.paths {
			if err := del(tx, owedBucket, pair(peer.User, p.String())); err != nil {
				return err
			}
		}
		if len(d.items) == 0 {
			return nil
		}
		for p, h := range d.had {
			key := pair(peer.User, p.String())
			err := error(nil)
			if h == (datasite.Hash{}) {
				err = del(tx, hadBucket, key)
			} else {
				err = put(tx, hadBucket, key, h)
			}
			if err != nil {
				return err
			}
		}
		return plan(tx, m)
	})
	if err != nil || len(d.items) == 0 {
		return false, errors.Join(err, d.spool.drop())
	}
	r.takesOff(m, body)
	return true, nil
}

// pay makes the item for one file, if there is to be one.
func (r *Replica) pay(ctx context.Context, d *delivery, p datasite.Path, o owed, logged message) error {
	var base known
	var had datasite.Hash
	err := r.store.view(func(tx *bbolt.Tx) (err error) {
		if base, _, err = get[known](tx, baseBucket, p.String()); err != nil {
			return err
		}
		had, _, err = get[datasite.Hash](tx, hadBucket, pair(d.peer.User, p.String()))
		return err
	})
	if err != nil {
		return err
	}
	sees, err := r.sees(ctx, d.peer, p)
	if err != nil {
		return err
	}
	var body []byte
	if sees && base.Hash != (datasite.Hash{}) {
		var current bool
		if body, current, err = r.published(ctx, p, base.Hash, logged); err != nil {
			return err
		}
		if !current {
			return nil // it changed again, and is published before it is delivered
		}
		if isRule(p) {
			if body, sees, err = r.shown(ctx, d.peer, p, body); err != nil {
				return err
			}
		}
	}
	d.paths = append(d.paths, p)
	it := sent{Op: datasite.OpRemove, Path: p.Rel, Before: had}
	switch {
	case !sees:
		d.notTaken(p, o)
		return nil
	case base.Hash != (datasite.Hash{}):
		it.Op, it.After, it.Spool = datasite.OpWrite, sha256.Sum256(body), d.spool.name
		if it.After == had && len(o.Answers) == 0 {
			return nil
		}
		if it.Offset, it.Size, _, err = d.spool.add(bytes.NewReader(body), maxContent); err != nil {
			return err
		}
	case had == (datasite.Hash{}) && !slices.ContainsFunc(o.Answers, func(a answer) bool { return !a.Refused }):
		d.notTaken(p, o) // it has nothing that came from here
		return nil
	}
	d.had[p] = it.After
	if len(o.Answers) == 0 {
		it.ID = wire.NewID()
		d.items = append(d.items, it)
	}
	for _, a := range o.Answers {
		it.ID, it.Submitted, it.Before = a.ID, a.Submitted, had
		if !a.Refused && a.After != it.After {
			it.Before = a.After // it was taken, and changed since
		}
		d.items = append(d.items, it)
	}
	return nil
}

// notTaken answers a peer that may not know what lies at p, or was never sent anything there: only that its changes were not taken. That has
// the form of a deletion of nothing, which only syftfs understands; a syft-client would delete what is there.
func (d *delivery) notTaken(p datasite.Path, o owed) {
	if !d.peer.Syftfs {
		return
	}
	for _, a := range o.Answers {
		if a.Refused {
			d.items = append(d.items, sent{ID: a.ID, Op: datasite.OpRemove, Path: p.Rel, Submitted: a.Submitted})
		}
	}
}

// published is the content that was published for p, if it still lies in the tree, or is in the message that is on its way to the log.
func (r *Replica) published(ctx context.Context, p datasite.Path, h datasite.Hash, logged message) (body []byte, current bool, err error) {
	for _, it := range logged.Items {
		if it.Path == p.Rel && it.After == h {
			body, err := r.store.content(it)
			return body, err == nil, err
		}
	}
	file, now, err := r.cfg.Tree.Snapshot(ctx, p)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if now == h {
		var b bytes.Buffer
		_, err = b.ReadFrom(file)
		body = b.Bytes()
		current = err == nil && sha256.Sum256(body) == h
	}
	return body, current, errors.Join(err, file.Close())
}
