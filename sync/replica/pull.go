package replica

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
	"go.etcd.io/bbolt"
)

// pull deals with the messages that were noted, of each folder the oldest first. A message that cannot be taken now holds up no other.
func (r *Replica) pull(ctx context.Context, peers []Peer) error {
	var list []look
	err := r.store.view(func(tx *bbolt.Tx) error {
		return each(tx, lookBucket, "", func(_ string, l look) error {
			list = append(list, l)
			return nil
		})
	})
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b look) int {
		return cmp.Or(cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Kind, b.Kind), a.Object.Created.Compare(b.Object.Created),
			cmp.Compare(messageTime(a), messageTime(b)), strings.Compare(a.Object.Name, b.Object.Name))
	})
	byUser := map[perm.User]Peer{}
	for _, p := range peers {
		byUser[p.User] = p
	}
	var errs []error
	for _, l := range list {
		p, ok := byUser[l.Peer]
		if !ok || p.from(l.Kind) == "" {
			continue
		}
		err := r.takeMessage(ctx, p, l)
		if err == nil {
			continue
		}
		err = fmt.Errorf("take %s of %s: %w", l.Object.Name, l.Peer, err)
		if state := (*stateError)(nil); ctx.Err() != nil || errors.As(err, &state) {
			return errors.Join(append(errs, err)...)
		}
		if remote.Temporary(err) {
			errs = append(errs, err)
			r.later[l.Object.ID] = pause{until: r.cfg.Now().Add(r.cfg.Poll)}
			if len(errs) == maxFailures {
				return errors.Join(errs...)
			}
			continue
		}
		// Something is wrong here, as a full disk, or with this one: the others go on, and it is tried again later.
		r.later[l.Object.ID] = pause{r.cfg.Now().Add(r.cfg.Patience), err.Error()}
		r.cfg.Log.Warn("a message cannot be taken now", "op", "pull", "peer", l.Peer, "err", err)
	}
	troubles := map[perm.User]string{}
	for _, l := range list {
		if why := r.later[l.Object.ID].why; why != "" {
			troubles[l.Peer] = why
		}
	}
	for _, p := range peers {
		r.live.trouble(fromKey(p.User), troubles[p.User])
	}
	return errors.Join(errs...)
}

// pause is why a message is not taken now.
type pause struct {
	until time.Time
	why   string // "": it waits for an earlier one, or for Drive
}

// fromKey is what the trouble of taking a peer's messages is noted under.
func fromKey(u perm.User) string { return "from/" + string(u) }

func messageTime(l look) wire.Time {
	name, err := wire.ParseFile(l.Object.Name)
	if err != nil {
		return 0
	}
	return name.At
}

// takeMessage deals with one message. An error says that it is to be tried again.
func (r *Replica) takeMessage(ctx context.Context, p Peer, l look) error {
	if r.cfg.Now().Before(r.later[l.Object.ID].until) {
		return nil
	}
	delete(r.later, l.Object.ID)
	if done, err := r.applied(l); err != nil {
		return err
	} else if done {
		return r.finish("doubled", p, l, nil)
	}
	if from, err := wire.ParseAddress(l.Object.Owner); err != nil || from.User() != p.User {
		return r.setAside(p, l, fmt.Errorf("it was put there by %q, not by %s: %w", l.Object.Owner, p.User, wire.ErrForged))
	}
	most := r.cfg.Codec.Limits.Packed
	if most <= 0 {
		most = maxPacked
	}
	if l.Object.Size > most {
		return r.setAside(p, l, fmt.Errorf("it has %d bytes, at most %d are taken: %w", l.Object.Size, most, wire.ErrLimit))
	}
	var body bytes.Buffer
	err := remote.Fetch(ctx, r.cfg.Remote, l.Object, most, &body)
	switch {
	case err == nil:
	case errors.Is(err, remote.NotFound): // taken back, or made one with others; a list still showed it
		return r.store.update("gone", func(tx *bbolt.Tx) error { return del(tx, lookBucket, string(l.Object.ID)) })
	case errors.Is(err, remote.Invalid), errors.Is(err, remote.Permission):
		return r.setAside(p, l, err)
	default:
		return err
	}
	name, err := wire.ParseFile(l.Object.Name)
	if err != nil {
		return r.setAside(p, l, err)
	}
	if l.Kind == wire.InboxFolder {
		proposal, err := r.cfg.Codec.DecodeProposal(&body, name, p.User, r.cfg.Owner)
		if err != nil {
			return r.setAside(p, l, err)
		}
		return r.takeProposal(ctx, p, l, proposal)
	}
	events, err := r.cfg.Codec.DecodeEvents(&body, name, p.User)
	if err != nil {
		return r.setAside(p, l, err)
	}
	return r.takeEvents(ctx, p, l, events)
}

// maxPacked is how large a message may be, in bytes, unless the codec says otherwise.
const maxPacked = 256 << 20

// twinKey knows a message by its name and bytes: a sender that repeats a lost request makes a second object of it.
func twinKey(l look) string { return pair(l.Peer, l.Object.Name+"\x00"+l.Object.SHA256) }

// applied reports whether the message, or its twin, was dealt with.
func (r *Replica) applied(l look) (done bool, err error) {
	err = r.store.view(func(tx *bbolt.Tx) error {
		for _, key := range []string{string(l.Object.ID), twinKey(l)} {
			if _, ok, err := get[seen](tx, seenBucket, key); err != nil || ok {
				done = ok
				return err
			}
		}
		return nil
	})
	return done, err
}

// finish ends a message in one transaction with what fn notes about it. A proposal is to be moved to the archive; what lies in an outbox
// is left to its owner.
func (r *Replica) finish(op string, p Peer, l look, fn func(tx *bbolt.Tx) error) error {
	err := r.store.update(op, func(tx *bbolt.Tx) error {
		if fn != nil {
			if err := fn(tx); err != nil {
				return err
			}
		}
		for _, key := range []string{string(l.Object.ID), twinKey(l)} {
			if err := put(tx, seenBucket, key, seen{At: r.cfg.Now()}); err != nil {
				return err
			}
		}
		if err := editExchange(tx, p.User, func(x *exchange) { x.Last = r.cfg.Now() }); err != nil {
			return err
		}
		if l.Kind == wire.InboxFolder {
			if err := put(tx, moveBucket, string(l.Object.ID), move{Peer: p.User, From: l.Object.Parent}); err != nil {
				return err
			}
		}
		return del(tx, lookBucket, string(l.Object.ID))
	})
	if err == nil && l.Kind == wire.InboxFolder {
		clear(r.later) // one of them may have waited for this
	}
	r.live.change(func() {})
	return err
}

// setAside ends a message that cannot be taken; it is never tried again.
func (r *Replica) setAside(p Peer, l look, why error) error {
	r.cfg.Log.Warn("a message is set aside", "op", "pull", "peer", p.User, "err", why)
	return r.finish("aside", p, l, func(tx *bbolt.Tx) error {
		return r.aside(tx, Aside{Peer: p.User, Name: l.Object.Name, Reason: why.Error()})
	})
}

// maxAside bounds what is remembered of messages that were set aside.
const maxAside = 1000

// aside notes what was not taken, and forgets the oldest notes.
func (r *Replica) aside(tx *bbolt.Tx, a Aside) error {
	b := tx.Bucket(asideBucket)
	n, err := b.NextSequence()
	if err != nil {
		return err
	}
	a.At = r.cfg.Now()
	if n > maxAside {
		if err := del(tx, asideBucket, asideKey(n-maxAside)); err != nil {
			return err
		}
	}
	return put(tx, asideBucket, asideKey(n), a)
}

func asideKey(n uint64) string { return fmt.Sprintf("%020d", n) }

// archive moves the proposals that were dealt with out of the inboxes.
func (r *Replica) archive(ctx context.Context) error {
	type job struct {
		id remote.ID
		m  move
	}
	var jobs []job
	err := r.store.view(func(tx *bbolt.Tx) error {
		return each(tx, moveBucket, "", func(key string, m move) error {
			jobs = append(jobs, job{remote.ID(key), m})
			return nil
		})
	})
	if err != nil {
		return err
	}
	var errs []error
	for _, j := range jobs {
		to, err := r.cfg.Peers.Home(ctx, wire.ArchiveFolder, j.m.Peer)
		if err == nil {
			err = r.cfg.Remote.Move(ctx, j.id, j.m.From, to)
		}
		if err != nil && !errors.Is(err, remote.NotFound) && !errors.Is(err, remote.Permission) {
			errs = append(errs, fmt.Errorf("archive a proposal of %s: %w", j.m.Peer, err))
			continue
		}
		if err != nil {
			r.cfg.Log.Warn("a proposal cannot be archived", "op", "pull", "peer", j.m.Peer, "err", err)
		}
		errs = append(errs, r.store.update("archived", func(tx *bbolt.Tx) error { return del(tx, moveBucket, string(j.id)) }))
	}
	return errors.Join(errs...)
}

// refusedByTree reports whether err of Apply is about what was offered, so that trying again cannot help.
func refusedByTree(err error) bool {
	for _, kind := range []error{iofs.ErrPermission, iofs.ErrInvalid, iofs.ErrExist, iofs.ErrNotExist, datasite.ErrName, syscall.EISDIR, syscall.ENOTDIR,
		syscall.ENAMETOOLONG, syscall.EFBIG, syscall.ENOTEMPTY, syscall.ELOOP, syscall.EPERM} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// apply puts one offered version into the tree, whose file was last seen with the hash ours.
func (r *Replica) apply(ctx context.Context, from perm.User, it wire.Item, ours datasite.Hash) error {
	c := datasite.Change{Op: it.Op, Path: it.Path, Before: datasite.Known{Hash: ours}, After: datasite.Known{Hash: it.After},
		By: datasite.Identity{Subject: from}, Origin: datasite.OriginPeer, At: r.cfg.Now()}
	var body io.Reader
	if it.Op == datasite.OpWrite {
		body = bytes.NewReader(it.Content)
	}
	return r.cfg.Tree.Apply(ctx, from, c, body)
}

// staleTries is how often a decision is taken again because the tree moved on.
const staleTries = 5
