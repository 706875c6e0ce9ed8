package daemon

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"

	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/jobs/desk"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/peer"
	"github.com/openmined/syftfs/sync/replica"
)

// peerBook is the address book as the service wants it.
type peerBook struct {
	*peer.Book
	wished chan struct{} // is filled when something is to be carried out
}

// List lists what is known.
func (b peerBook) List(ctx context.Context) ([]service.Peer, error) {
	all, err := b.Book.List(ctx)
	if err != nil {
		return nil, err
	}
	var list []service.Peer
	for _, p := range all {
		q := service.Peer{Address: string(p.User), State: service.PeerState(p.State), Queued: p.Queued, Serving: p.Serve, Version: p.Version.Client,
			Syftfs: p.Syftfs, Forced: p.Forced, Note: p.Note}
		if string(p.Address) != q.Address {
			q.Spelling = string(p.Address)
		}
		list = append(list, q)
	}
	return list, nil
}

// Note writes a wish down, and has it carried out.
func (b peerBook) Note(ctx context.Context, w service.PeerWish) error {
	err := wished(b.Book.Note(ctx, peer.Op(w.Op), w.Address, w.Force))
	if err == nil {
		poke(b.wished)
	}
	return err
}

// Settle carries a wish out.
func (b peerBook) Settle(ctx context.Context, w service.PeerWish) error {
	if w.Op == service.PeerOpRequest {
		return wished(b.Request(ctx, w.Address, w.Force))
	}
	u, err := perm.ParseUser(w.Address)
	if err != nil {
		return err
	}
	switch w.Op {
	case service.PeerOpAccept:
		err = b.Accept(ctx, u, w.Force)
	case service.PeerOpReject:
		err = b.Reject(ctx, u)
	case service.PeerOpBlock:
		err = b.Block(ctx, u)
	case service.PeerOpUnblock:
		err = b.Unblock(ctx, u)
	case service.PeerOpRemove:
		err = b.Remove(ctx, u)
	default:
		err = fmt.Errorf("no such wish for a peer: %q: %w", w.Op, iofs.ErrInvalid)
	}
	return wished(err)
}

// wished gives the errors of wishes the names that the service knows.
func wished(err error) error {
	switch {
	case errors.Is(err, peer.ErrNoPeer):
		return fmt.Errorf("%w: %w", iofs.ErrNotExist, err)
	case errors.Is(err, peer.ErrAsks), errors.Is(err, peer.ErrBlocked), errors.Is(err, peer.ErrState), errors.Is(err, peer.ErrVersion):
		return fmt.Errorf("%w: %w", service.ErrPeer, err)
	case errors.Is(err, peer.ErrQueued):
		return fmt.Errorf("%w: %w", service.ErrQueued, err)
	}
	return err
}

// Status tells how the exchange goes.
func (x *exchange) Status(ctx context.Context) (service.ExchangeStatus, error) {
	now, err := x.replica.Status(ctx)
	if err != nil {
		return service.ExchangeStatus{}, err
	}
	st := service.ExchangeStatus{Drive: x.site.cfg.Drive.At, Account: string(x.site.owner), Offline: now.Offline, Problem: now.Problem, Synced: now.Synced,
		Waiting: now.Waiting, Log: now.Log}
	for _, p := range now.Peers {
		st.Peers = append(st.Peers, service.PeerExchange{Address: string(p.User), Last: p.Last, Owed: p.Owed, Sending: p.Sending, Incoming: p.Incoming, Proposed: p.Proposed,
			Problem: p.Problem})
	}
	for _, a := range now.Aside {
		st.Aside = append(st.Aside, service.SetAside{Peer: string(a.Peer), Name: a.Name, Path: a.Path, Reason: a.Reason, At: a.At})
	}
	for _, w := range x.book.Warnings() {
		st.Aside = append(st.Aside, service.SetAside{Peer: w.Owner, Name: w.Name, Reason: w.Why})
	}
	for _, b := range now.Brakes {
		if st.Brake == nil {
			st.Brake = &service.Brake{Since: b.Since}
		}
		st.Brake.Deletions += b.Deletions
		st.Brake.Files += b.Files
	}
	return st, nil
}

// State tells where a file is on its way. What is known is about all peers together.
func (x *exchange) State(_ context.Context, p datasite.Path, _ perm.User) (service.FileState, error) {
	state, reason, err := x.replica.State(p)
	return service.FileState{State: string(state), Reason: reason}, err
}

// Conflicts lists the copies that were kept.
func (x *exchange) Conflicts(context.Context) ([]service.ConflictCopy, error) {
	all, err := x.replica.Conflicts()
	if err != nil {
		return nil, err
	}
	var list []service.ConflictCopy
	for _, c := range all {
		list = append(list, service.ConflictCopy{Path: c.Path.String(), Copy: c.Copy.String(), By: string(c.By), At: c.At})
	}
	return list, nil
}

// Sent tells how far a job is on its way, to who submitted it.
func (x *exchange) Sent(p datasite.Path) desk.Transit {
	state, reason, err := x.replica.State(p)
	if err != nil {
		return desk.Transit{State: string(replica.StateError), Reason: err.Error()}
	}
	t := desk.Transit{State: string(state), Reason: reason}
	if state == replica.StateQueued || state == replica.StateLocal {
		if st, err := x.replica.Status(context.Background()); err == nil {
			t.Offline = st.Offline
		}
	}
	return t
}

// Deletions reports whether a peer takes proposals that take files away: those that are this program do.
func (x *exchange) Deletions(u perm.User) bool {
	p, ok := x.book.Get(u)
	return ok && p.Syftfs
}

// Install is what a peer says that its jobs should install.
func (x *exchange) Install(u perm.User) string {
	p, _ := x.book.Get(u)
	return p.Version.InstallSource
}

// Drafts gives the drafts for a peer's datasite.
func (d *drafts) Drafts(owner perm.User) (service.Drafts, error) {
	s := d.toPeer(owner)
	if s == nil {
		return nil, fmt.Errorf("jobs for %s: %w", owner, iofs.ErrNotExist)
	}
	return s.store, nil
}

// sent is user.syft.state of a file.
func (s *site) sent(p datasite.Path) string {
	if s.exchange == nil {
		return string(replica.StateLocal)
	}
	state, _, err := s.exchange.replica.State(p)
	if err != nil {
		return string(replica.StateError)
	}
	return string(state)
}
