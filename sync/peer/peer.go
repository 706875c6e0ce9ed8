// Package peer knows whom this account exchanges with over Drive: who was asked, who asks, who is accepted, rejected or blocked, what
// client each of them runs, and where the folders of both sides are. It must not know messages, the tree, rule files or jobs: what an
// acceptance gives is done by an Admitter. The daemon and cmd/internal/service may import it, and sync/replica, which it fits.
package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/openmined/syftfs/fs/statedir"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
)

// Admitter gives an accepted peer what acceptance gives: job folders and rules, datasets that are for any peer. It is called before the
// acceptance is visible to the peer, again after a crash, and must not call the Book, except Get, List and Spell.
type Admitter interface {
	Admit(ctx context.Context, user perm.User) error
}

// Config is what a Book is made of. Log, Now, Admit, Announce and OnChange may be nil.
type Config struct {
	Remote remote.Remote // with retries, budget and pool of ids around it
	Me     perm.User
	State  *statedir.Dir // a folder of the state for this package alone; its fault seam is told peer:<step>
	// Version is what our version file says. Client is also the version in the names of our folders; Updated is not used.
	Version wire.VersionInfo

	Admit Admitter
	// Announce is told that a peer asks (StatePending), or that one accepted our request (StateAccepted), until it returns nil: then it is
	// never told again. Like Admit it must not wait for the Book.
	Announce func(ctx context.Context, p Peer) error
	// OnChange is told that List may give something else now. It must return at once, and not call the Book.
	OnChange func()

	SkipPatch  bool // as a Python owner does by default: no exchange with a peer whose client differs in the patch number
	MaxPending int  // so many requests are kept that nobody answered, further ones are not; default 100

	Now func() time.Time
	Log *slog.Logger
}

const defaultMaxPending = 100

// Errors of wishes; those of Drive come as they are.
var (
	// ErrQueued: noted, and done when Drive can be reached. It comes with the error that keeps it from being done now.
	ErrQueued = errors.New("noted; it is done as soon as Drive can be reached")
	// ErrNoPeer: nothing is known about that address, or it does not ask.
	ErrNoPeer = errors.New("no such peer")
	// ErrAsks: it asks already: to accept is what is left to do.
	ErrAsks = errors.New("asks already: accept it")
	// ErrBlocked: it is blocked.
	ErrBlocked = errors.New("blocked: unblock it first")
	// ErrState: that cannot be done to a peer in this state.
	ErrState = errors.New("not possible for this peer")
	// ErrVersion: its client is too different from ours.
	ErrVersion = errors.New("its client does not go with ours")
)

// Book is the address book of this account. Its methods may be called concurrently.
type Book struct {
	cfg     Config
	ours    wire.Version
	folders *remote.Folders

	// For who has the turn.
	checked  bool               // the account is the right one
	hopeless map[perm.User]bool // whom nothing can be shared with, until the next sweep
	looked   map[perm.User]bool // whose version file was looked for in vain; until the next sweep

	// turn has one slot: who took from it is the only one that talks to Drive and calls Admit and Announce.
	turn chan struct{}

	// mu guards what follows. It is held while the state is written, never while Drive or a callback is called.
	mu        sync.Mutex
	rec       record
	warnings  []Warning
	logged    map[Warning]bool
	strangers map[perm.User]remote.ID // version files of those who are no peers, as they may ask a moment later
	dropped   int                     // requests that were not kept
}

// New opens what is known. Nothing is asked of Drive yet.
func New(cfg Config) (*Book, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxPending <= 0 {
		cfg.MaxPending = defaultMaxPending
	}
	b := &Book{cfg: cfg, turn: make(chan struct{}, 1), strangers: map[perm.User]remote.ID{}, logged: map[Warning]bool{},
		hopeless: map[perm.User]bool{}, looked: map[perm.User]bool{}}
	var err error
	if b.ours, err = wire.ParseVersion(cfg.Version.Client); err != nil {
		return nil, fmt.Errorf("open peers: the version to advertise: %w", err)
	}
	if _, err := cfg.Version.Encode(); err != nil {
		return nil, fmt.Errorf("open peers: the version to advertise: %w", err)
	}
	if _, err := wire.ParseAddress(string(cfg.Me)); err != nil {
		return nil, fmt.Errorf("open peers: own address: %w", err)
	}
	if err := b.load(); err != nil {
		return nil, fmt.Errorf("open peers: %w", err)
	}
	b.folders = remote.NewFolders(cfg.Remote, cfg.Remote, memory{b})
	b.turn <- struct{}{}
	return b, nil
}

// take waits for the turn.
func (b *Book) take(ctx context.Context) error {
	select {
	case <-b.turn:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (b *Book) give() { b.turn <- struct{}{} }

// Spell is how u is written on Drive: as its own client writes itself, else as it was typed, else the canonical form. It fits wire.Codec.
func (b *Book) Spell(u perm.User) wire.Address {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.spell(u)
}

func (b *Book) spell(u perm.User) wire.Address {
	if u == b.cfg.Me {
		return b.rec.Me
	}
	if e := b.rec.Peers[u]; e != nil {
		return e.Address
	}
	return wire.Address(u)
}
