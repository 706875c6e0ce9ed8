package peer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"

	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
)

// Op is what can be wished for a peer.
type Op string

// The wishes.
const (
	OpRequest Op = "request" // ask it for exchange
	OpAccept  Op = "accept"  // it asks: exchange with it, and admit it; for an accepted peer: admit it (again)
	OpReject  Op = "reject"  // it asks: no
	OpBlock   Op = "block"   // from any state: no exchange, and never tell of it again
	OpUnblock Op = "unblock" // it may ask again
	OpRemove  Op = "remove"  // forget it: no exchange; if its folders are still there it asks
)

// Note writes down what is wished for the peer with that address, durably, without asking Drive: Settle, Noticed and Sweep do it. force,
// of OpRequest and OpAccept, is to exchange whatever its version is. Refused are, beside addresses that cannot be used: ErrNoPeer,
// ErrAsks, ErrBlocked, ErrState, ErrVersion.
func (b *Book) Note(ctx context.Context, op Op, address string, force bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	a, err := wire.ParseAddress(address)
	if err == nil && a.User() == b.cfg.Me {
		err = fmt.Errorf("this is the own address: %w", iofs.ErrInvalid)
	}
	if err == nil {
		err = b.update("note", func(r *record) error { return b.noted(r, op, a, force) })
	}
	if err != nil {
		return fmt.Errorf("%s peer %q: %w", op, address, err)
	}
	return nil
}

// noted checks a wish and enters it.
func (b *Book) noted(r *record, op Op, a wire.Address, force bool) error {
	e := r.Peers[a.User()]
	state := State("")
	if e != nil {
		state = e.wanted()
	}
	if state == "" && op != OpRequest && op != OpBlock {
		return ErrNoPeer
	}
	if state == StateBlocked && op != OpUnblock && op != OpBlock && op != OpRemove {
		return ErrBlocked
	}
	bad := fmt.Errorf("it is %s; block or remove it: %w", state, ErrState)
	switch op {
	case OpRequest:
		if state == StatePending {
			return ErrAsks
		}
	case OpAccept:
		if state == StateRequested || state == StateRejected && len(e.Theirs) == 0 {
			return fmt.Errorf("it did not ask: %w", ErrNoPeer)
		}
		if c := e.Version.Info.Client; !force && !e.Force && Compare(b.cfg.Version.Client, c) == Incompatible {
			return fmt.Errorf("it runs syft-client %s, this side speaks %s; accept with force, or change one of them: %w", c, b.cfg.Version.Client, ErrVersion)
		}
	case OpReject:
		if state == StateAccepted || state == StateRequested {
			return bad
		}
	case OpUnblock:
		if state != StateBlocked {
			return fmt.Errorf("it is %s, not blocked: %w", state, ErrState)
		}
	case OpBlock, OpRemove:
	default:
		return fmt.Errorf("%q is nothing that can be wished: %w", op, iofs.ErrInvalid)
	}
	if e == nil {
		e = r.entry(a, b.cfg.Now())
	}
	switch op { // what holds at once, and needs no Drive
	case OpBlock:
		e.Blocked = true
	case OpUnblock, OpRemove:
		e.Blocked, e.Force = false, false
	}
	if force {
		e.Force = true
	}
	r.Wishes++
	e.Wish = wish{Op: op, Seq: r.Wishes}
	return nil
}

// Request asks the peer for exchange. Of several calls one counts. When Drive cannot be reached it is noted, and the error is ErrQueued too;
// so it is for all that follow.
func (b *Book) Request(ctx context.Context, address string, force bool) error {
	return b.do(ctx, OpRequest, address, force)
}

// Accept lets a peer that asks exchange with us, and admits it.
func (b *Book) Accept(ctx context.Context, user perm.User, force bool) error {
	return b.do(ctx, OpAccept, string(user), force)
}

// Reject refuses a peer that asks. Nothing is told to it.
func (b *Book) Reject(ctx context.Context, user perm.User) error {
	return b.do(ctx, OpReject, string(user), false)
}

// Block ends all exchange with an address and keeps it from asking.
func (b *Book) Block(ctx context.Context, user perm.User) error {
	return b.do(ctx, OpBlock, string(user), false)
}

// Unblock lets an address ask again.
func (b *Book) Unblock(ctx context.Context, user perm.User) error {
	return b.do(ctx, OpUnblock, string(user), false)
}

// Remove ends the exchange with a peer and forgets it. What was delivered stays on both sides, and so do rules that name it.
func (b *Book) Remove(ctx context.Context, user perm.User) error {
	return b.do(ctx, OpRemove, string(user), false)
}

func (b *Book) do(ctx context.Context, op Op, address string, force bool) error {
	if err := b.Note(ctx, op, address, force); err != nil {
		return err
	}
	a := wire.Address(address)
	err := b.take(ctx)
	if err == nil {
		err = b.settle(ctx, a.User())
		b.give()
	}
	if err == nil {
		return nil
	}
	if e, ok := b.get(a.User()); ok && e.Wish.Op != "" {
		err = fmt.Errorf("%w: %w", ErrQueued, err)
	}
	return fmt.Errorf("%s peer %q: %w", op, address, err)
}

// Settle carries out all that was noted, as far as it can be done.
func (b *Book) Settle(ctx context.Context) error {
	if err := b.take(ctx); err != nil {
		return err
	}
	defer b.give()
	return b.settleAll(ctx)
}

func (b *Book) settleAll(ctx context.Context) error {
	b.mu.Lock()
	var due []perm.User
	for u, e := range b.rec.Peers {
		if e.Wish.Op != "" {
			due = append(due, u)
		}
	}
	slices.SortFunc(due, func(x, y perm.User) int { return cmp.Compare(b.rec.Peers[x].Wish.Seq, b.rec.Peers[y].Wish.Seq) })
	b.mu.Unlock()
	var errs []error
	for _, u := range due {
		if err := b.settle(ctx, u); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", u, err))
			if ctx.Err() != nil {
				break
			}
		}
	}
	return errors.Join(errs...)
}

// settle carries out the wish for u, if there is one. A wish that can never be carried out is given up; any other stays noted.
func (b *Book) settle(ctx context.Context, u perm.User) error {
	e, ok := b.get(u)
	if !ok || e.Wish.Op == "" {
		return nil
	}
	err := b.carryOut(ctx, e)
	if err == nil {
		return nil
	}
	var hopeless *givenUp
	never := errors.As(err, &hopeless)
	if never {
		b.warn(remote.Object{Name: string(e.Address)}, fmt.Sprintf("%s is given up: %v", e.Wish.Op, err))
	}
	kept := b.edit("failed", e.Address, func(now *entry) {
		switch {
		case now.Wish.Seq != e.Wish.Seq:
		case never:
			now.Wish = wish{}
		default:
			now.Wish.Failed = err.Error()
		}
	})
	return errors.Join(err, kept)
}

// givenUp is why a wish can never be carried out, as it stands.
type givenUp struct{ err error }

func (g *givenUp) Error() string { return g.err.Error() }
func (g *givenUp) Unwrap() error { return g.err }

// carryOut does each step so that it may be done again.
func (b *Book) carryOut(ctx context.Context, e entry) error {
	if err := b.checkAccount(ctx); err != nil {
		return err
	}
	switch e.Wish.Op {
	case OpRequest:
		return b.request(ctx, e)
	case OpAccept:
		return b.accept(ctx, e)
	case OpReject:
		return b.conclude(ctx, e, wire.Rejected, func(*entry) {})
	case OpBlock:
		return b.part(ctx, e, wire.Rejected)
	}
	return b.part(ctx, e, removed)
}

func (b *Book) request(ctx context.Context, e entry) error {
	if err := b.publish(ctx, &e); err != nil {
		return err
	}
	state := wire.RequestedByMe
	if now, _ := b.get(e.Address.User()); e.Stored == wire.Accepted || len(now.Theirs) > 0 {
		state = wire.Accepted // it asked in the same moment, which answers us
	}
	return b.conclude(ctx, e, state, func(*entry) {})
}

func (b *Book) accept(ctx context.Context, e entry) error {
	if b.cfg.Admit != nil {
		if err := b.cfg.Admit.Admit(ctx, e.Address.User()); err != nil {
			return &givenUp{fmt.Errorf("give what acceptance gives: %w", err)}
		}
	}
	if err := b.publish(ctx, &e); err != nil {
		return err
	}
	return b.conclude(ctx, e, wire.Accepted, func(now *entry) { now.Given, now.Announced = true, StateAccepted })
}

// part ends an exchange. The version file is no longer shared, so that a Python owner passes over us; the folders stay shared, as it would
// stop for good without them.
func (b *Book) part(ctx context.Context, e entry, state wire.PeerState) error {
	if err := b.unshareVersion(ctx, e.Address); err != nil {
		return err
	}
	return b.conclude(ctx, e, state, func(now *entry) { now.Pair, now.Given, now.Announced = pair{}, false, StatePending })
}

// conclude writes the peers file, and then ends the wish unless another one was noted meanwhile.
func (b *Book) conclude(ctx context.Context, e entry, state wire.PeerState, also func(*entry)) error {
	if err := b.store(ctx, map[wire.Address]wire.PeerState{e.Address: state}); err != nil {
		return err
	}
	return b.edit("done", e.Address, func(now *entry) {
		now.Stored = state
		if now.Wish.Seq == e.Wish.Seq {
			now.Wish = wish{}
		}
		also(now)
	})
}
