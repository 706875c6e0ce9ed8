package replica

import (
	"context"
	"errors"
	"fmt"

	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
	"go.etcd.io/bbolt"
)

// send puts the planned messages: first that of the event log, then the others, so that what a peer was told is in the log. A lane
// that fails for good holds up no other.
func (r *Replica) send(ctx context.Context, peers []Peer) error {
	var list []message
	err := r.store.view(func(tx *bbolt.Tx) error {
		return each(tx, lanesBucket, "", func(_ string, m message) error {
			list = append(list, m)
			return nil
		})
	})
	if err != nil {
		return err
	}
	var errs []error
	for _, m := range list {
		if m.Lane == logLane {
			if err := r.sendOne(ctx, m, Peer{}); err != nil {
				errs = append(errs, err)
			}
		}
	}
	if m, waits, err := r.planned(logLane); err != nil || waits && !m.Put {
		return errors.Join(append(errs, err)...)
	}
	byUser := map[perm.User]Peer{}
	for _, p := range peers {
		byUser[p.User] = p
	}
	failures := 0
	for _, m := range list {
		if m.Lane == logLane || r.paused(m.Lane) {
			continue
		}
		err := r.sendOne(ctx, m, byUser[m.Lane.Peer])
		if err == nil {
			continue
		}
		errs = append(errs, err)
		if !remote.Temporary(err) {
			break
		}
		r.resend[m.Lane.String()] = r.cfg.Now().Add(r.cfg.Poll) // so that it holds up no other
		if failures++; failures == maxFailures {
			break
		}
	}
	return errors.Join(errs...)
}

// maxFailures is how many temporary failures in a round say that Drive is away.
const maxFailures = 2

// folderOf is where the messages of a lane go; "" if it is not known yet.
func (r *Replica) folderOf(ctx context.Context, l lane, peer Peer) (remote.ID, error) {
	switch {
	case l.Kind == wire.LogFolder:
		return r.cfg.Peers.Home(ctx, wire.LogFolder, "")
	case l.Kind == wire.OutboxFolder && peer.Serve:
		return peer.Outbox, nil
	case l.Kind == wire.InboxFolder && peer.Propose:
		return peer.TheirInbox, nil
	}
	return "", nil
}

func (r *Replica) sendOne(ctx context.Context, m message, peer Peer) error {
	key := m.Lane.String()
	folder, err := r.folderOf(ctx, m.Lane, peer)
	if err != nil {
		return err
	}
	if folder == "" {
		why := peer.Note
		if why == "" {
			why = "its folder on Drive is not known yet"
		}
		r.live.trouble(key, why)
		return nil
	}
	name, body := m.name(), r.bodies[m.Object]
	if body == nil && !m.Put {
		if body, err = r.encode(m, true); err != nil {
			return fmt.Errorf("send %s: %w", m.Lane, err)
		}
	}
	r.live.change(func() { r.live.uploading[key] = true })
	defer r.live.change(func() { delete(r.live.uploading, key) })
	if !m.Put {
		err = r.cfg.Remote.Put(ctx, remote.Spec{ID: m.Object, Name: name.String(), Parent: folder, Type: wire.BinaryMIME}, remote.Bytes(body))
	}
	switch {
	case err == nil, errors.Is(err, remote.Exists):
		r.live.trouble(key, "")
		delete(r.bodies, m.Object)
		return r.arrived(ctx, m)
	case remote.Temporary(err), ctx.Err() != nil:
		return fmt.Errorf("send %s: %w", m.Lane, err)
	case errors.Is(err, remote.Invalid):
		if rerr := r.redraw(ctx, m); rerr != nil {
			return fmt.Errorf("send %s: %w", m.Lane, errors.Join(err, rerr))
		}
	}
	return r.onlyPeer(m.Lane, fmt.Errorf("send %s: %w", m.Lane, err))
}

// onlyPeer is what err of a lane means for the round: nothing if it concerns only that peer, as when its folder is gone or no longer shared. Then
// it is noted, and the lane is tried again later.
func (r *Replica) onlyPeer(l lane, err error) error {
	if l == logLane || !(errors.Is(err, remote.NotFound) || errors.Is(err, remote.Permission) || errors.Is(err, remote.Invalid)) {
		return err
	}
	r.live.trouble(l.String(), err.Error())
	r.resend[l.String()] = r.cfg.Now().Add(r.cfg.Patience)
	r.cfg.Log.Warn("nothing can be sent to a peer", "op", "push", "peer", l.Peer, "err", err)
	return nil
}

// paused reports whether a lane is not to be tried yet.
func (r *Replica) paused(l lane) bool { return r.cfg.Now().Before(r.resend[l.String()]) }

// name is the message's name on Drive.
func (m message) name() wire.FileName {
	kind := wire.EventsFile
	if m.Lane.Kind == wire.InboxFolder {
		kind = wire.ProposalFile
	}
	return wire.FileName{Kind: kind, At: m.At, ID: m.ID.String()}
}

// redraw gives m another id for its object, if nothing has the one that it has: that may have been given to another account.
func (r *Replica) redraw(ctx context.Context, m message) error {
	if _, err := r.cfg.Remote.Stat(ctx, m.Object, 0); !errors.Is(err, remote.NotFound) {
		return err // it lies there: the next Put says so
	}
	ids, err := r.cfg.Remote.NewIDs(ctx, 1)
	if err != nil {
		return err
	}
	m.Object = ids[0]
	return r.store.update("redraw", func(tx *bbolt.Tx) error { return put(tx, lanesBucket, m.Lane.String(), m) })
}

// arrived ends a message that lies on Drive. That of the log is told to the checkpoints first.
func (r *Replica) arrived(ctx context.Context, m message) error {
	if m.Lane == logLane {
		if !m.Put {
			m.Put = true
			if err := r.store.update("put", func(tx *bbolt.Tx) error { return put(tx, lanesBucket, m.Lane.String(), m) }); err != nil {
				return err
			}
		}
		items, err := r.wireItems(m)
		if err != nil {
			return err
		}
		if err := r.cfg.Checkpoints.Logged(ctx, wire.Events{ID: m.ID, At: m.At, Owner: r.cfg.Owner, Items: items}); err != nil {
			return fmt.Errorf("keep the state for a new machine: %w", err)
		}
	}
	err := r.store.update("sent", func(tx *bbolt.Tx) error {
		for _, id := range m.Replaces {
			if err := put(tx, doomedBucket, string(id), true); err != nil {
				return err
			}
		}
		if m.Lane.Kind != wire.LogFolder {
			err := editExchange(tx, m.Lane.Peer, func(x *exchange) {
				x.Last = r.cfg.Now()
				if m.Lane.Kind == wire.OutboxFolder {
					if x.Outbox++; len(m.Replaces) > 0 {
						x.Outbox = 1
					}
				}
			})
			if err != nil {
				return err
			}
		}
		return del(tx, lanesBucket, m.Lane.String())
	})
	if err == nil {
		err = r.unspool(m)
		r.live.landed(m.Lane.String())
	}
	return err
}

// unspool removes the contents of a message that was sent; nothing else refers to them.
func (r *Replica) unspool(m message) error {
	var errs []error
	last := ""
	for _, it := range m.Items {
		if it.Spool != "" && it.Spool != last {
			last = it.Spool
			errs = append(errs, r.store.removeSpool(it.Spool))
		}
	}
	return errors.Join(errs...)
}
