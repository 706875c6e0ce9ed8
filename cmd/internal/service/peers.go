package service

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"
	"strings"
	"time"

	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/account"
)

// PeerState is how this datasite stands to an address elsewhere.
type PeerState string

// The states, in the order in which they are shown.
const (
	PeerPending   PeerState = "pending"   // it asks
	PeerRequested PeerState = "requested" // it was asked and did not answer
	PeerAccepted  PeerState = "accepted"
	PeerRejected  PeerState = "rejected"
	PeerBlocked   PeerState = "blocked" // rejected, and nothing that it does is told any more
)

var peerStates = []PeerState{PeerPending, PeerRequested, PeerAccepted, PeerRejected, PeerBlocked}

// PeerOp is what can be wished for a peer.
type PeerOp string

// The wishes.
const (
	PeerOpRequest PeerOp = "request"
	PeerOpAccept  PeerOp = "accept"
	PeerOpReject  PeerOp = "reject"
	PeerOpBlock   PeerOp = "block"
	PeerOpUnblock PeerOp = "unblock"
	PeerOpRemove  PeerOp = "remove"
)

// PeerWish is a wish. Address is as it was typed: of a request, its spelling is what is used on Drive until the peer spells itself.
type PeerWish struct {
	Op      PeerOp
	Address string
	Force   bool // of request and accept: exchange whatever version its client has
}

// Peers is the address book of this datasite; the daemon fits it with sync/peer's. What is refused is fs.ErrNotExist (there is no such
// peer, or it does not ask), fs.ErrInvalid (no address) or ErrPeer.
type Peers interface {
	List(ctx context.Context) ([]Peer, error)     // what is known on this machine
	Note(ctx context.Context, w PeerWish) error   // write it down, durably, without asking Drive; it is carried out soon
	Settle(ctx context.Context, w PeerWish) error // Note, and carry it out; ErrQueued if that must wait
}

// Errors of wishes.
var (
	// ErrPeer: that cannot be done to a peer in its state.
	ErrPeer = errors.New("not possible for this peer")
	// ErrQueued: noted, and done as soon as Drive can be reached.
	ErrQueued = errors.New("noted; it is done as soon as Drive can be reached")
)

// Peer is what is told about an address elsewhere.
type Peer struct {
	Address  string    `json:"address"`
	Spelling string    `json:"spelling,omitempty"` // on Drive, if it is another one
	State    PeerState `json:"state"`
	Queued   bool      `json:"queued"`            // Drive does not show it yet
	Serving  bool      `json:"serving"`           // it gets what it may read, and what it proposes is taken
	Version  string    `json:"version,omitempty"` // of its client; "" is not known
	Syftfs   bool      `json:"syftfs"`            // its client is this program
	Forced   bool      `json:"forced,omitempty"`  // exchanged with whatever its version is
	Account  string    `json:"account,omitempty"` // the local account with this address: its role, or why it has no rights
	Note     string    `json:"note,omitempty"`    // what is not as it should be
	Next     string    `json:"next,omitempty"`    // what to do
}

// PeerQuestion names a peer.
type PeerQuestion struct {
	Address string `json:"address"`
	Force   bool   `json:"force"`   // of request and accept: exchange whatever version its client has
	NoWait  bool   `json:"no_wait"` // only note it: it is carried out soon, without waiting for Drive now
}

// PeerDone is what became of a wish.
type PeerDone struct {
	Peer   Peer       `json:"peer"`            // as it is now; of a peer that was forgotten only its address
	Queued bool       `json:"queued"`          // it is noted, and done as soon as Drive can be reached
	Why    string     `json:"why,omitempty"`   // why it was not done at once
	Gives  *PeerGives `json:"gives,omitempty"` // of an acceptance: what it gives
}

// noDrive refuses what needs a Drive.
func noDrive(what string) error {
	return &Error{Code: NotRunning, Message: what + " needs a Drive, and this datasite is signed in to none: run `syftfs auth google` or `syftfs auth local:URL`, and start it again"}
}

// PeerList lists the peers: those who wait for an answer first.
func (s *Service) PeerList(ctx context.Context, c Caller, _ struct{}) ([]Peer, error) {
	if err := s.admin(c, "listing peers"); err != nil {
		return nil, err
	}
	return s.peers(ctx)
}

func (s *Service) peers(ctx context.Context) ([]Peer, error) {
	if s.Peers == nil {
		return nil, noDrive("exchanging with peers")
	}
	known, err := s.Peers.List(ctx)
	if err != nil {
		return nil, Wrap(err)
	}
	list := []Peer{}
	for _, p := range known {
		if err := s.joined(&p); err != nil {
			return nil, err
		}
		p.Next = p.next()
		list = append(list, p)
	}
	slices.SortStableFunc(list, func(a, b Peer) int {
		if d := slices.Index(peerStates, a.State) - slices.Index(peerStates, b.State); d != 0 {
			return d
		}
		return strings.Compare(a.Address, b.Address)
	})
	return list, nil
}

// peer finds one; false if nothing is known about the address.
func (s *Service) peer(ctx context.Context, u perm.User) (Peer, bool, error) {
	list, err := s.peers(ctx)
	if err != nil {
		return Peer{}, false, err
	}
	for _, p := range list {
		if p.Address == string(u) {
			return p, true, nil
		}
	}
	return Peer{Address: string(u)}, false, nil
}

// joined adds the local account with the peer's address: an account lets a person in here, a peer lets data travel there.
func (s *Service) joined(p *Peer) error {
	acc, err := s.Accounts.Get(p.Address)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return Wrap(err)
	}
	p.Account = string(acc.Role)
	switch {
	case acc.State != account.Active:
		p.Account = "disabled"
		if p.State == PeerAccepted && p.Note == "" {
			p.Note = "its account here is disabled, but it is still exchanged with"
		}
	case !acc.IsVerified():
		p.Account = "unverified"
	}
	return nil
}

// next tells what can be done about a peer.
func (p Peer) next() string {
	switch {
	case p.Queued:
		return "waits for Drive"
	case p.State == PeerPending:
		return fmt.Sprintf("answer it: syftfs peers accept %s, or syftfs peers reject %[1]s", p.Address)
	case p.State == PeerRequested:
		return "waits for its answer"
	case p.State == PeerAccepted && p.Account == "disabled":
		return "end the exchange: syftfs peers remove " + p.Address
	case p.State == PeerBlocked:
		return "let it ask again: syftfs peers unblock " + p.Address
	}
	return ""
}

// PeerRequest asks somebody elsewhere for exchange.
func (s *Service) PeerRequest(ctx context.Context, c Caller, q PeerQuestion) (PeerDone, error) {
	return s.wish(ctx, c, PeerOpRequest, q)
}

// PeerAccept lets a peer that asks exchange with us, and gives it what acceptance gives.
func (s *Service) PeerAccept(ctx context.Context, c Caller, q PeerQuestion) (PeerDone, error) {
	return s.wish(ctx, c, PeerOpAccept, q)
}

// PeerReject refuses a peer that asks. It is told nothing.
func (s *Service) PeerReject(ctx context.Context, c Caller, q PeerQuestion) (PeerDone, error) {
	return s.wish(ctx, c, PeerOpReject, q)
}

// PeerBlock ends all exchange with an address and keeps it from asking.
func (s *Service) PeerBlock(ctx context.Context, c Caller, q PeerQuestion) (PeerDone, error) {
	return s.wish(ctx, c, PeerOpBlock, q)
}

// PeerUnblock lets an address ask again.
func (s *Service) PeerUnblock(ctx context.Context, c Caller, q PeerQuestion) (PeerDone, error) {
	return s.wish(ctx, c, PeerOpUnblock, q)
}

// PeerRemove ends the exchange with a peer and forgets it, or takes a request back. What was delivered stays on both sides.
func (s *Service) PeerRemove(ctx context.Context, c Caller, q PeerQuestion) (PeerDone, error) {
	return s.wish(ctx, c, PeerOpRemove, q)
}

func (s *Service) wish(ctx context.Context, c Caller, op PeerOp, q PeerQuestion) (PeerDone, error) {
	if err := s.admin(c, "to "+string(op)+" peers"); err != nil {
		return PeerDone{}, err
	}
	if s.Peers == nil {
		return PeerDone{}, noDrive("exchanging with peers")
	}
	u, err := s.elsewhere(q.Address)
	if err != nil {
		return PeerDone{}, err
	}
	if q.Force && op != PeerOpRequest && op != PeerOpAccept {
		return PeerDone{}, &Error{Code: BadInput, Field: "force", Message: "force is about asking and accepting: leave it out"}
	}
	var done PeerDone
	if op == PeerOpAccept {
		gives, err := s.gives(ctx, u)
		if err != nil {
			return PeerDone{}, err
		}
		done.Gives = &gives
	}
	return audited(s, c, Entry{Action: "peers." + string(op), Target: string(u)}, func() (PeerDone, error) {
		do := s.Peers.Settle
		if q.NoWait {
			do = s.Peers.Note
		}
		err := do(ctx, PeerWish{Op: op, Address: strings.TrimSpace(q.Address), Force: q.Force})
		if err != nil && !errors.Is(err, ErrQueued) {
			return PeerDone{}, refusedWish(op, u, err)
		}
		// Where things stand is asked even of a caller who waits no longer: the wish is noted.
		peer, known, perr := s.peer(context.WithoutCancel(ctx), u)
		if perr != nil {
			return PeerDone{}, perr
		}
		done.Peer = peer
		switch {
		case peer.Queued, err != nil && !known: // what will be forgotten is not listed any more
			done.Queued = true
		case err != nil && !op.reached(peer.State):
			return PeerDone{}, refusedWish(op, u, err) // given up: it can never be done
		}
		if done.Queued && err != nil {
			done.Why = err.Error()
		}
		return done, nil
	})
}

// reached reports whether a peer in state s is what was wished.
func (op PeerOp) reached(s PeerState) bool {
	switch op {
	case PeerOpRequest:
		return s == PeerRequested || s == PeerAccepted
	case PeerOpAccept:
		return s == PeerAccepted
	case PeerOpReject:
		return s == PeerRejected
	case PeerOpBlock:
		return s == PeerBlocked
	}
	return s == PeerPending // its request is still there
}

// refusedWish tells what to do about a wish that was refused.
func refusedWish(op PeerOp, u perm.User, err error) error {
	e := Wrap(err)
	told := &Error{Code: e.Code, Field: "address", Message: e.Message, Err: err}
	if errors.Is(err, iofs.ErrNotExist) {
		told.Message = fmt.Sprintf("%s is no peer that you can %s: `syftfs peers list` names them", u, op)
		if op == PeerOpAccept || op == PeerOpReject {
			told.Message = fmt.Sprintf("%s does not ask to exchange with you; ask it with `syftfs peers request %[1]s`", u)
		}
	}
	return told
}

// elsewhere reads the address of somebody else.
func (s *Service) elsewhere(typed string) (perm.User, error) {
	u, err := perm.ParseUser(typed)
	if err != nil {
		return "", &Error{Code: BadEmail, Field: "address", Message: err.Error(), Err: err}
	}
	if u == s.Owner {
		return "", &Error{Code: BadInput, Field: "address", Message: string(u) + " is your own address: a peer is somebody else"}
	}
	return u, nil
}

// Text is a peer for people; x is how the exchange with it goes, if that is known.
func (p Peer) Text(x *PeerExchange) string {
	var b strings.Builder
	row := rows(&b)
	row("peer", "%s", p.Address)
	if p.Spelling != "" {
		row("on Drive", "%s", p.Spelling)
	}
	row("state", "%s%s", p.State, map[bool]string{true: ", not on Drive yet"}[p.Queued])
	version := "not known"
	if p.Version != "" {
		version = "syft-client " + p.Version
	}
	if p.Syftfs {
		version += ", syftfs"
	}
	row("client", "%s", version)
	if p.Account != "" {
		row("account", "%s", p.Account)
	}
	if x != nil && p.State == PeerAccepted {
		row("exchange", "%s", x.summary())
	}
	if p.Note != "" {
		row("note", "%s", p.Note)
	}
	if x != nil && x.Problem != "" && x.Problem != p.Note {
		row("problem", "%s", x.Problem)
	}
	if p.Next != "" {
		row("next", "%s", p.Next)
	}
	return b.String()
}

// rows writes lines of a key and a value.
func rows(b *strings.Builder) func(key, format string, args ...any) {
	return func(key, format string, args ...any) {
		fmt.Fprintf(b, "%-10s %s\n", key, fmt.Sprintf(format, args...))
	}
}

// moment is how times of the last days are told.
func moment(t time.Time) string { return t.Local().Format("2 Jan 15:04:05") }
