package replica

import (
	"context"
	"errors"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
	"go.etcd.io/bbolt"
)

// wanted of each object in a folder of messages.
const objectFields = remote.WithParent | remote.WithOwner | remote.WithSize | remote.WithTimes | remote.WithSum

// follow asks the feed what happened since the last time: one request, whoever and however many the peers are. What lies in a folder of messages
// is noted together with the new position. Without a position everything is swept, which it reports.
func (r *Replica) follow(ctx context.Context) (swept bool, err error) {
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
			return false, err
		}
		if token == c.Next && len(c.Items) == 0 {
			return false, nil
		}
		if len(c.Items) > 0 {
			if err := errors.Join(r.cfg.Peers.Noticed(ctx, c.Items), r.cfg.Collections.Noticed(ctx, c.Items)); err != nil {
				return false, err
			}
		}
		peers, err := r.cfg.Peers.List(ctx)
		if err != nil {
			return false, err
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
			return false, err
		}
	}
	return false, nil
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
		for _, kind := range []wire.FolderKind{wire.InboxFolder, wire.OutboxFolder} {
			if o.Parent == p.from(kind) {
				return r.noteIn(tx, kind, p.User, o)
			}
		}
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
		for _, kind := range []wire.FolderKind{wire.InboxFolder, wire.OutboxFolder} {
			if p.from(kind) != "" {
				errs = append(errs, r.list(ctx, p, kind, listed))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	more, err := r.missing(ctx, peers, datasite.Path{Owner: r.cfg.Owner}) // rights may depend on the day
	if err != nil {
		return err
	}
	stale, err := r.staleConflicts(ctx)
	if err != nil {
		return err
	}
	return r.store.update("sweep", func(tx *bbolt.Tx) error {
		for _, c := range stale {
			if err := del(tx, copyBucket, c.Copy.String()); err != nil {
				return err
			}
		}
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
func (r *Replica) list(ctx context.Context, p Peer, kind wire.FolderKind, listed map[remote.ID]bool) error {
	folder := p.from(kind)
	objects, err := remote.Collect(ctx, r.cfg.Remote, remote.Query{Parent: folder, Files: true, Want: objectFields})
	if errors.Is(err, remote.NotFound) || errors.Is(err, remote.Permission) {
		r.live.trouble("list/"+string(p.User), err.Error())
		return nil
	}
	if err != nil {
		return err
	}
	r.live.trouble("list/"+string(p.User), "")
	return r.store.update("list", func(tx *bbolt.Tx) error {
		for _, o := range objects {
			listed[o.ID] = true
			if err := r.noteIn(tx, kind, p.User, o); err != nil {
				return err
			}
		}
		return editExchange(tx, p.User, func(x *exchange) { *x.listed(kind) = folder })
	})
}

// greet looks into the folders of peers that were not looked into yet, as the feed told of their messages before it was known what they are;
// and notes what a new peer is owed.
func (r *Replica) greet(ctx context.Context, peers []Peer) error {
	for _, p := range peers {
		var x exchange
		err := r.store.view(func(tx *bbolt.Tx) (err error) {
			x, _, err = get[exchange](tx, peerBucket, p.User.String())
			return err
		})
		for _, kind := range []wire.FolderKind{wire.InboxFolder, wire.OutboxFolder} {
			if err == nil && p.from(kind) != "" && *x.listed(kind) != p.from(kind) {
				err = r.list(ctx, p, kind, map[remote.ID]bool{})
			}
		}
		if err == nil && p.Serve != x.Served {
			err = r.serve(ctx, p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// serve notes that a peer is served from now on, and what it is owed; or no longer.
func (r *Replica) serve(ctx context.Context, p Peer) error {
	owe, err := r.missing(ctx, []Peer{p}, datasite.Path{Owner: r.cfg.Owner})
	if err != nil {
		return err
	}
	return r.store.update("serve", func(tx *bbolt.Tx) error {
		for _, o := range owe {
			if err := oweTo(tx, o.to, o.path); err != nil {
				return err
			}
		}
		return editExchange(tx, p.User, func(x *exchange) { x.Served = p.Serve })
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

// staleConflicts are those that were noted and whose copy is not there: it was not made in the end.
func (r *Replica) staleConflicts(ctx context.Context) ([]Conflict, error) {
	list, err := r.Conflicts()
	if err != nil {
		return nil, err
	}
	var stale []Conflict
	for _, c := range list {
		there, err := r.there(ctx, c.Copy)
		if err != nil {
			return nil, err
		}
		if !there {
			stale = append(stale, c)
		}
	}
	return stale, nil
}
