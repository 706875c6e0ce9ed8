package replica

import (
	"context"
	"errors"
	"time"

	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
	"go.etcd.io/bbolt"
)

// wanted of each object in a folder of messages.
const objectFields = remote.WithParent | remote.WithOwner | remote.WithSize | remote.WithTimes | remote.WithSum

// follow asks the feed what happened since the last time: one request, whoever and however many the peers are. What lies in a folder of messages
// is noted together with the new position. After the loss of a position everything is swept. It reports whether anything came.
func (r *Replica) follow(ctx context.Context) (news bool, err error) {
	var token remote.Token
	var ok bool
	err = r.store.view(func(tx *bbolt.Tx) (err error) {
		token, ok, err = get[remote.Token](tx, metaBucket, feedKey)
		return err
	})
	if err != nil {
		return false, err
	}
	if !ok {
		return true, r.restart(ctx)
	}
	for more := true; more; {
		c, err := r.cfg.Remote.Since(ctx, token, objectFields)
		if errors.Is(err, remote.TokenLost) {
			return true, r.restart(ctx)
		}
		if err != nil {
			return news, err
		}
		if len(c.Items) > 0 {
			news = true
			if err := errors.Join(r.cfg.Peers.Noticed(ctx, c.Items), r.cfg.Collections.Noticed(ctx, c.Items)); err != nil {
				return news, err
			}
		}
		if token == c.Next && len(c.Items) == 0 {
			return news, nil
		}
		peers, err := r.cfg.Peers.List(ctx)
		if err != nil {
			return news, err
		}
		token, more = c.Next, c.More
		err = r.store.update("feed", func(tx *bbolt.Tx) error {
			for _, item := range c.Items {
				if !item.Gone {
					if err := r.note(tx, peers, item.Object); err != nil {
						return err
					}
				}
			}
			return put(tx, metaBucket, feedKey, token)
		})
		if err != nil {
			return news, err
		}
	}
	return news, nil
}

// restart takes a new position in the feed, and then sweeps: what happens in between is in both.
func (r *Replica) restart(ctx context.Context) error {
	token, err := r.cfg.Remote.Start(ctx)
	if err != nil {
		return err
	}
	if err := r.sweep(ctx); err != nil {
		return err
	}
	return r.store.update("feed", func(tx *bbolt.Tx) error { return put(tx, metaBucket, feedKey, token) })
}

// note notes o if it is a message for us that was not dealt with.
func (r *Replica) note(tx *bbolt.Tx, peers []Peer, o remote.Object) error {
	if o.Folder || o.Parent == "" {
		return nil
	}
	for _, p := range peers {
		var kind wire.FolderKind
		switch {
		case p.Serve && o.Parent == p.Inbox:
			kind = wire.InboxFolder
		case p.Follow && o.Parent == p.TheirOutbox:
			kind = wire.OutboxFolder
		default:
			continue
		}
		return r.noteIn(tx, kind, p.User, o)
	}
	return nil
}

func (r *Replica) noteIn(tx *bbolt.Tx, kind wire.FolderKind, peer perm.User, o remote.Object) error {
	name, err := wire.ParseFile(o.Name)
	if err != nil || name.Kind != messageKind(kind) {
		return nil // not ours to judge
	}
	if _, done, err := get[seen](tx, seenBucket, string(o.ID)); err != nil || done {
		return err
	}
	old, ok, err := get[look](tx, lookBucket, string(o.ID))
	if err != nil {
		return err
	}
	if !ok {
		old.First = r.cfg.Now()
	}
	return put(tx, lookBucket, string(o.ID), look{Kind: kind, Peer: peer, Object: o, First: old.First})
}

// messageKind is what lies in a folder of messages to us.
func messageKind(folder wire.FolderKind) wire.FileKind {
	if folder == wire.InboxFolder {
		return wire.ProposalFile
	}
	return wire.EventsFile
}

// sweep lists every folder of messages, as the feed may be late, and has the others look everything up too. What was dealt with and does not
// lie there any more is forgotten after a while: lists lag.
func (r *Replica) sweep(ctx context.Context) error {
	if err := errors.Join(r.cfg.Peers.Sweep(ctx), r.cfg.Collections.Sweep(ctx)); err != nil {
		return err
	}
	peers, err := r.cfg.Peers.List(ctx)
	if err != nil {
		return err
	}
	listed := map[remote.ID]bool{}
	var errs []error
	for _, p := range peers {
		for _, f := range []struct {
			kind wire.FolderKind
			id   remote.ID
			on   bool
		}{{wire.InboxFolder, p.Inbox, p.Serve}, {wire.OutboxFolder, p.TheirOutbox, p.Follow}} {
			if !f.on || f.id == "" {
				continue
			}
			if err := r.list(ctx, f.kind, p.User, f.id, listed); err != nil {
				errs = append(errs, err)
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	more, err := r.missingAll(ctx, peers)
	if err != nil {
		return err
	}
	return r.store.update("sweep", func(tx *bbolt.Tx) error {
		if err := r.forgetSeen(tx, listed); err != nil {
			return err
		}
		for _, o := range more {
			if err := oweTo(tx, o.to, o.path); err != nil {
				return err
			}
		}
		return put(tx, metaBucket, sweptKey, r.cfg.Now())
	})
}

// list notes what lies in one folder. It never stops at an old name: names tell the time of the sender's clock, which may have stepped back.
func (r *Replica) list(ctx context.Context, kind wire.FolderKind, peer perm.User, folder remote.ID, listed map[remote.ID]bool) error {
	objects, err := remote.Collect(ctx, r.cfg.Remote, remote.Query{Parent: folder, Files: true, Want: objectFields})
	if errors.Is(err, remote.NotFound) {
		r.live.trouble("from/"+string(peer), err.Error())
		return nil
	}
	if err != nil {
		return err
	}
	return r.store.update("list", func(tx *bbolt.Tx) error {
		for _, o := range objects {
			listed[o.ID] = true
			if err := r.noteIn(tx, kind, peer, o); err != nil {
				return err
			}
		}
		return nil
	})
}

// seenFor is how long it is remembered that an object which is gone was dealt with.
const seenFor = 30 * 24 * time.Hour

func (r *Replica) forgetSeen(tx *bbolt.Tx, listed map[remote.ID]bool) error {
	var gone []string
	limit := r.cfg.Now().Add(-seenFor)
	err := each(tx, seenBucket, "", func(key string, s seen) error {
		if !listed[remote.ID(key)] && s.At.Before(limit) {
			gone = append(gone, key)
		}
		return nil
	})
	for _, key := range gone {
		if err == nil {
			err = del(tx, seenBucket, key)
		}
	}
	return err
}
