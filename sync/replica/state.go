package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/wire"
	"go.etcd.io/bbolt"
)

// has reports whether a bucket has a record of p, or of something below it.
func has(tx *bbolt.Tx, bucket []byte, p datasite.Path) bool {
	key := []byte(p.String())
	if tx.Bucket(bucket).Get(key) != nil {
		return true
	}
	key = append(key, '/')
	k, _ := tx.Bucket(bucket).Cursor().Seek(key)
	return bytes.HasPrefix(k, key)
}

// hasPair is has for a bucket whose keys begin with an address.
func hasPair(tx *bbolt.Tx, bucket []byte, p datasite.Path) bool {
	c := tx.Bucket(bucket).Cursor()
	for k, _ := c.First(); k != nil; {
		who, _, _ := strings.Cut(string(k), "\x00")
		at := who + "\x00" + p.String()
		if tx.Bucket(bucket).Get([]byte(at)) != nil {
			return true
		}
		if next, _ := tx.Bucket(bucket).Cursor().Seek([]byte(at + "/")); strings.HasPrefix(string(next), at+"/") {
			return true
		}
		k, _ = c.Seek([]byte(who + "\x01"))
	}
	return false
}

// State tells where the file at p is on its way, and in StateRefused and StateError why; of a folder, what is least settled in it. It
// asks nothing but what is known here.
func (r *Replica) State(p datasite.Path) (s State, reason string, err error) {
	if !p.Replicated() {
		return StateLocal, "", nil
	}
	flying, uploading := r.live.carries(p)
	err = r.store.view(func(tx *bbolt.Tx) error {
		s, reason, err = r.stateOf(tx, p, flying, uploading)
		return err
	})
	return s, reason, err
}

func (r *Replica) stateOf(tx *bbolt.Tx, p datasite.Path, flying, uploading bool) (State, string, error) {
	refused, ok, err := get[refusal](tx, refuseBucket, p.String())
	if err != nil {
		return "", "", err
	}
	conflict := has(tx, copyBucket, p)
	err = each(tx, copyBucket, p.Owner.String()+"/", func(_ string, c Conflict) error {
		conflict = conflict || c.Path.Under(p)
		return nil
	})
	if err != nil {
		return "", "", err
	}
	wanted := has(tx, wantBucket, p)
	for dir := p.Parent(); !wanted && !dir.IsRoot(); dir = dir.Parent() {
		w, _, err := get[want](tx, wantBucket, dir.String())
		if err != nil {
			return "", "", err
		}
		wanted = w.Below
	}
	own := p.Owner == r.cfg.Owner
	switch {
	case uploading:
		return StateUploading, "", nil
	case conflict:
		return StateConflict, "", nil
	case ok:
		return refused.State, refused.Reason, nil
	case wanted, flying, own && hasPair(tx, owedBucket, p):
		return StateQueued, "", nil
	case has(tx, mineBucket, p):
		return StateProposed, "", nil
	case !has(tx, baseBucket, p):
		return StateLocal, "", nil
	case own:
		return StateSynced, "", nil
	}
	return StateRemote, "", nil
}

// Wait waits until p, with every change of it that was made before the call, is settled: sent to everybody who may read it, or answered
// by its owner. What will not be without somebody's doing is an error.
func (r *Replica) Wait(ctx context.Context, p datasite.Path) error {
	if err := r.cfg.Journal.Flush(ctx); err != nil {
		return err
	}
	last, err := r.cfg.Journal.Last()
	if err != nil {
		return err
	}
	r.Poke()
	for {
		moved := r.live.changed()
		var taken uint64
		err := r.store.view(func(tx *bbolt.Tx) (err error) {
			taken, _, err = get[uint64](tx, metaBucket, intakeKey)
			return err
		})
		if err != nil {
			return err
		}
		if taken >= last {
			s, reason, err := r.State(p)
			if err != nil {
				return err
			}
			switch s {
			case StateLocal, StateSynced, StateRemote:
				return nil
			case StateRefused, StateError, StateConflict:
				return &NotSentError{Path: p, State: s, Reason: reason}
			}
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("wait %s: %w", p, context.Cause(ctx))
		case <-r.stopped.Done():
			return fmt.Errorf("wait %s: %w", p, context.Cause(r.stopped))
		}
	}
}

// NotSentError says that a file does not get where it should without somebody's doing.
type NotSentError struct {
	Path   datasite.Path
	State  State
	Reason string
}

func (e *NotSentError) Error() string {
	why := e.Reason
	if e.State == StateConflict {
		why = "both sides changed it: compare it with the copy beside it, keep what is right in its place, and remove the copy"
	}
	return fmt.Sprintf("%s: %s: %s", e.Path, e.State, why)
}

// Conflicts lists the versions that are kept beside others, in the order of their paths, until somebody removes or renames them.
func (r *Replica) Conflicts() ([]Conflict, error) {
	var list []Conflict
	err := r.store.view(func(tx *bbolt.Tx) error {
		return each(tx, copyBucket, "", func(_ string, c Conflict) error {
			list = append(list, c)
			return nil
		})
	})
	return list, err
}

// Status tells what goes on.
func (r *Replica) Status(ctx context.Context) (Status, error) {
	peers, err := r.cfg.Peers.List(ctx)
	if err != nil {
		return Status{}, err
	}
	var s Status
	lanes := map[string]int{}
	trouble := map[string]string{}
	r.live.change(func() {
		s.Offline, s.Problem, s.Synced = r.live.offline, r.live.problem, r.live.synced
		for l, paths := range r.live.flying {
			lanes[l] = len(paths)
		}
		maps.Copy(trouble, r.live.troubles)
	})
	s.Log = lanes[logLane.String()]
	err = r.store.view(func(tx *bbolt.Tx) error {
		s.Waiting = count(tx, wantBucket, "")
		err := each(tx, brakeBucket, "", func(_ string, b Braked) error { s.Brakes = append(s.Brakes, b); return nil })
		if err != nil {
			return err
		}
		incoming := map[perm.User]int{}
		err = each(tx, lookBucket, "", func(_ string, l look) error { incoming[l.Peer]++; return nil })
		for _, p := range peers {
			x, _, xerr := get[exchange](tx, peerBucket, p.User.String())
			err = errors.Join(err, xerr)
			ps := PeerState{User: p.User, Last: x.Last, Owed: count(tx, owedBucket, pair(p.User, "")), Incoming: incoming[p.User],
				Proposed: count(tx, mineBucket, p.User.String()+"/"), Problem: p.Note}
			for _, l := range []lane{{wire.OutboxFolder, p.User}, {wire.InboxFolder, p.User}} {
				ps.Sending += lanes[l.String()]
				if why := trouble[l.String()]; why != "" {
					ps.Problem = why
				}
			}
			for _, key := range []string{"list/" + string(p.User), fromKey(p.User)} {
				if why := trouble[key]; why != "" {
					ps.Problem = why
				}
			}
			s.Peers = append(s.Peers, ps)
		}
		c := tx.Bucket(asideBucket).Cursor()
		for k, _ := c.Last(); k != nil && len(s.Aside) < 100; k, _ = c.Prev() {
			a, _, aerr := get[Aside](tx, asideBucket, string(k))
			err = errors.Join(err, aerr)
			s.Aside = append(s.Aside, a)
		}
		return err
	})
	slices.SortFunc(s.Peers, func(a, b PeerState) int { return strings.Compare(string(a.User), string(b.User)) })
	return s, err
}
