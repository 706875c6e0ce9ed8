package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
	"go.etcd.io/bbolt"
)

// compact makes one message of those that we put into an outbox, once there are many: of each file the newest version, and the answers to
// proposals, in their order. The old ones are removed when the new one lies there.
func (r *Replica) compact(ctx context.Context, peers []Peer) error {
	if err := r.removeDoomed(ctx); err != nil {
		return err
	}
	for _, p := range peers {
		l := lane{Kind: wire.OutboxFolder, Peer: p.User}
		if !p.Serve || p.Outbox == "" || r.paused(l) {
			continue
		}
		var x exchange
		busy := false
		err := r.store.view(func(tx *bbolt.Tx) (err error) {
			if _, busy, err = get[message](tx, lanesBucket, l.String()); err != nil {
				return err
			}
			x, _, err = get[exchange](tx, peerBucket, p.User.String())
			return err
		})
		if err != nil {
			return err
		}
		if busy || x.Outbox < r.cfg.Compact {
			continue
		}
		if err := r.compactOne(ctx, p, l); err != nil {
			if err = r.onlyPeer(l, fmt.Errorf("compact the outbox for %s: %w", p.User, err)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Replica) compactOne(ctx context.Context, p Peer, l lane) error {
	objects, err := remote.Collect(ctx, r.cfg.Remote, remote.Query{Parent: p.Outbox, Whose: remote.Mine, Files: true, Want: objectFields})
	if err != nil {
		return err
	}
	type old struct {
		object remote.Object
		name   wire.FileName
	}
	var list []old
	for _, o := range objects {
		if name, err := wire.ParseFile(o.Name); err == nil && name.Kind == wire.EventsFile {
			list = append(list, old{o, name})
		}
	}
	slices.SortFunc(list, func(a, b old) int { return a.name.Compare(b.name) })
	var events []wire.Item
	var replaces []remote.ID
	for _, o := range list {
		var body bytes.Buffer
		err := remote.Fetch(ctx, r.cfg.Remote, o.object, maxPacked, &body)
		if errors.Is(err, remote.NotFound) || errors.Is(err, remote.Invalid) {
			continue // a list still showed it; or it is not like what is written here
		}
		if err != nil {
			return err
		}
		e, err := r.cfg.Codec.DecodeEvents(&body, o.name, r.cfg.Owner)
		if err != nil || len(e.Refused) > 0 {
			continue // not like what is written here: it stays as it is
		}
		events = append(events, e.Items...)
		replaces = append(replaces, o.object.ID)
	}
	if len(replaces) < 2 {
		return r.counted(l, len(replaces))
	}
	m, sp, body, err := r.compacted(ctx, l, p, events, true)
	if unsendable(err) { // too large, or what is between the newest does not fit them
		m, sp, body, err = r.compacted(ctx, l, p, events, false)
	}
	if unsendable(err) {
		return r.counted(l, 0) // tried again after as many more
	}
	if err != nil {
		return err
	}
	m.Replaces = replaces
	if err := r.store.update("compact", func(tx *bbolt.Tx) error { return plan(tx, m) }); err != nil {
		return errors.Join(err, sp.drop())
	}
	r.takesOff(m, body)
	return nil
}

// answersFor is how long an answer is kept although its file changed since.
const answersFor = 30 * 24 * time.Hour

// compacted drafts the message that takes the place of events: with the newest of each file and, if answers is set, those that answer a proposal.
func (r *Replica) compacted(ctx context.Context, l lane, p Peer, events []wire.Item, answers bool) (message, *spool, []byte, error) {
	newest := map[datasite.Path]int{}
	for i, it := range events {
		if !onlyAnswers(it) {
			newest[it.Path] = i
		}
	}
	sp := r.store.newSpool()
	fail := func(err error) (message, *spool, []byte, error) {
		return message{}, nil, nil, errors.Join(err, sp.drop())
	}
	var items []sent
	young := wire.TimeOf(r.cfg.Now().Add(-answersFor))
	for i, it := range events {
		// What was accepted at another time than it was made is an answer.
		answer := answers && it.Submitted != it.Accepted && it.Accepted >= young
		if last, ok := newest[it.Path]; (!ok || last != i) && !answer {
			continue
		}
		s := sent{ID: it.ID, Op: it.Op, Path: it.Path.Rel, Before: it.Before, After: it.After, Submitted: it.Submitted, Accepted: it.Accepted}
		if it.Op == datasite.OpWrite {
			var err error
			if s.Offset, s.Size, _, err = sp.add(bytes.NewReader(it.Content), maxContent); err != nil {
				return fail(err)
			}
			s.Spool = sp.name
		}
		items = append(items, s)
	}
	m, body, err := r.draft(ctx, l, p.Outbox, items, true)
	if err == nil {
		err = sp.keep()
	}
	if err != nil {
		return fail(err)
	}
	return m, sp, body, nil
}

// counted notes how many of our messages lie in an outbox.
func (r *Replica) counted(l lane, n int) error {
	return r.store.update("counted", func(tx *bbolt.Tx) error {
		return editExchange(tx, l.Peer, func(x *exchange) { x.Outbox = n })
	})
}

// removeDoomed removes the messages that a compacted one replaced.
func (r *Replica) removeDoomed(ctx context.Context) error {
	var ids []remote.ID
	err := r.store.view(func(tx *bbolt.Tx) error {
		return each(tx, doomedBucket, "", func(key string, _ bool) error {
			ids = append(ids, remote.ID(key))
			return nil
		})
	})
	if err != nil || len(ids) == 0 {
		return err
	}
	if err := r.cfg.Remote.Delete(ctx, ids...); err != nil {
		return err
	}
	return r.store.update("removed", func(tx *bbolt.Tx) error {
		for _, id := range ids {
			if err := del(tx, doomedBucket, string(id)); err != nil {
				return err
			}
		}
		return nil
	})
}
