package peer

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
)

// State is how we stand to a peer.
type State string

// The states.
const (
	StateRequested State = "requested" // we asked, no answer yet
	StatePending   State = "pending"   // it asks
	StateAccepted  State = "accepted"
	StateRejected  State = "rejected"
	StateBlocked   State = "blocked" // rejected, and nothing it does is told any more
)

// removed is what the peers file says of somebody who is no peer any more: a state that no client knows, so that all clients see a peer
// that they know nothing about.
const removed wire.PeerState = "removed"

// Peer is all that is known about somebody without asking Drive.
type Peer struct {
	User    perm.User
	Address wire.Address // as it is spelled on Drive
	State   State
	Queued  bool   // a wish of ours is not carried out yet; State is what it will be
	Note    string // why something is not so, for people; "" if all is well

	Serve   bool // accepted, and of a version that we exchange with: it gets our events, and its proposals are taken
	Follow  bool // the events of its datasite are taken
	Propose bool // changes in its datasite may be sent to it
	Syftfs  bool // its version file says syftfs

	Inbox, Outbox           remote.ID // of our datasite, on the peer's Drive and owned by it: its proposals to us, our events to it
	TheirInbox, TheirOutbox remote.ID // of its datasite, on our Drive: our proposals to it, its events to us

	Version wire.VersionInfo // zero if it cannot be read
	Compat  Compat
	Forced  bool // whatever its version is, it is exchanged with

	Admitted bool // what acceptance gives was given, by this machine
}

// state is what e is but for its wish; "" is no peer.
func (e *entry) state() State {
	switch {
	case e.Blocked:
		return StateBlocked
	case e.Stored == wire.Accepted:
		return StateAccepted
	case e.Stored == wire.Rejected:
		return StateRejected
	case e.Stored == wire.RequestedByMe:
		return StateRequested
	case len(e.Theirs) > 0:
		return StatePending
	}
	return ""
}

// wanted is the state that e will have once its wish is carried out.
func (e *entry) wanted() State {
	is := e.state()
	switch e.Wish.Op {
	case OpRequest:
		if is != StateAccepted {
			return StateRequested
		}
	case OpAccept:
		return StateAccepted
	case OpReject:
		return StateRejected
	case OpUnblock, OpRemove:
		c := *e
		c.Stored = removed
		return c.state()
	}
	return is
}

// List gives every peer by address, without asking Drive.
func (b *Book) List(ctx context.Context) ([]Peer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []Peer
	for u, e := range b.rec.Peers {
		if p := b.peer(u, e); p.State != "" {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(p, q Peer) int { return cmp.Compare(p.User, q.User) })
	return all, nil
}

// Get gives one peer; false if nothing is known about u.
func (b *Book) Get(u perm.User) (Peer, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.rec.Peers[u]
	if e == nil {
		return Peer{}, false
	}
	p := b.peer(u, e)
	return p, p.State != ""
}

// peer is called with mu held.
func (b *Book) peer(u perm.User, e *entry) Peer {
	p := Peer{User: u, Address: e.Address, State: e.wanted(), Queued: e.Wish.Op != "", Version: e.Version.Info, Syftfs: e.Version.Info.Syftfs != "",
		Compat: Compare(b.cfg.Version.Client, e.Version.Info.Client), Forced: e.Force, Admitted: e.Given, TheirInbox: e.Pair.Inbox, TheirOutbox: e.Pair.Outbox}
	var twins error
	p.Inbox, twins = b.serving(e, wire.InboxFolder)
	var err error
	if p.Outbox, err = b.serving(e, wire.OutboxFolder); twins == nil {
		twins = err
	}
	is := e.state()
	usable := p.Forced || p.Compat == Same || p.Compat == PatchDiffers
	p.Serve = is == StateAccepted && !(p.Queued && p.State != StateAccepted) && (p.Forced || usable && !(b.cfg.SkipPatch && p.Compat == PatchDiffers))
	p.Follow = (is == StateAccepted || is == StateRequested) && p.State == is
	p.Propose = p.Follow && is == StateAccepted && usable
	switch {
	case e.Wish.Failed != "":
		p.Note = "not done yet: " + e.Wish.Failed
	case twins != nil:
		p.Note = twins.Error()
	case is == StateAccepted || is == StatePending || is == StateRequested:
		p.Note = b.note(e, p)
	}
	return p
}

// serving gives the folder of our datasite on e's Drive that is in use, "" if there is none, and an error if it cannot be told which.
func (b *Book) serving(e *entry, kind wire.FolderKind) (remote.ID, error) {
	f := wire.FolderName{Kind: kind, Version: b.ours, Of: b.rec.Me, Peer: e.Address}
	names := make([]string, len(e.Theirs))
	for i, t := range e.Theirs {
		names[i] = t.Name
	}
	i, err := f.Find(names)
	if err != nil {
		return "", fmt.Errorf("%s has two folders for one thing on its Drive, so none is used: %w", e.Address, err)
	}
	if i < 0 {
		return "", nil
	}
	return e.Theirs[i].ID, nil
}
