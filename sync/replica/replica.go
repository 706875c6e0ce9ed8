// Package replica carries changes between the tree and Drive, in both roles at once: it publishes the own datasite to peers and takes
// their proposals, and it follows peers' datasites and proposes changes to them. It knows the journal, the format and the store; it must
// not know FUSE, the gate, how peers, checkpoints or datasets are managed, nor what a job is: it declares the few calls that it needs.
// The daemon and cmd/internal/service may import it.
package replica

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/journal"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
)

// Config is what a Replica is made of. Log, Fault and Now may be nil; durations and counts that are zero stand for their defaults.
type Config struct {
	Owner       perm.User // whose datasite is published
	Dir         string    // a folder of the state for what is known about the exchange; made if it is missing
	Journal     *journal.Journal
	Remote      remote.Remote // with retries, budget and pool of ids around it
	Codec       wire.Codec
	Tree        Tree
	Rights      Rights
	Peers       Peers
	Checkpoints Checkpoints
	Collections Collections
	Brake       Brake

	Poll     time.Duration // between two questions to the feed; default 5 s
	Sweep    time.Duration // between two slow sweeps over all folders; default 15 min
	Patience time.Duration // how long a proposal that does not fit waits for an earlier one that may be late; default 2 min
	Compact  int           // our messages in an outbox that are made one; default 20

	Log   *slog.Logger
	Now   func() time.Time
	Fault interface{ Before(op string) error } // steps: replica:<name of a transaction>, replica:spool
}

const (
	defaultPoll     = 5 * time.Second
	defaultSweep    = 15 * time.Minute
	defaultPatience = 2 * time.Minute
	defaultCompact  = 20
	maxBackoff      = 5 * time.Minute
)

// Replica is the background replicator. Its methods may be called concurrently.
type Replica struct {
	cfg    Config
	store  *store
	reader *journal.Reader

	// turn has one slot: who took from it is the only one that exchanges. It is held across calls into the tree and the store on Drive,
	// so nobody who answers a request of the mount may wait for it: Status, State and Wait do not.
	turn chan struct{}
	poke chan struct{} // one slot: a round is wanted now

	intake   sync.WaitGroup
	stop     context.CancelFunc // of everything that runs
	stopped  context.Context
	closing  sync.Once
	closeErr error

	bodies map[remote.ID][]byte // of messages that were just planned; for who has the turn

	later  map[remote.ID]pause  // messages that are not taken now; for who has the turn
	resend map[string]time.Time // lanes that fail for good, and when they are tried again; for who has the turn

	live live
}

// New opens what is known about the exchange and the reader "push" of the journal. Nothing is asked of Drive yet.
func New(cfg Config) (*Replica, error) {
	fill(&cfg.Poll, defaultPoll)
	fill(&cfg.Sweep, defaultSweep)
	fill(&cfg.Patience, defaultPatience)
	fill(&cfg.Compact, defaultCompact)
	cfg.Brake = cfg.Brake.filled()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s, err := openStore(cfg.Dir, cfg.Fault)
	if err != nil {
		return nil, fmt.Errorf("open replica: %w", err)
	}
	reader, err := cfg.Journal.Reader("push")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open replica: %w", err), s.close())
	}
	r := &Replica{cfg: cfg, store: s, reader: reader, turn: make(chan struct{}, 1), poke: make(chan struct{}, 1), bodies: map[remote.ID][]byte{}, later: map[remote.ID]pause{},
		resend: map[string]time.Time{}}
	r.stopped, r.stop = context.WithCancel(context.Background())
	r.live.init()
	if err := r.begin(); err != nil {
		return nil, errors.Join(fmt.Errorf("open replica: %w", err), reader.Close(), s.close())
	}
	r.turn <- struct{}{}
	r.intake.Add(1)
	go r.watch()
	return r, nil
}

func fill[N int | time.Duration](n *N, def N) {
	if *n <= 0 {
		*n = def
	}
}

// take waits for the turn.
func (r *Replica) take(ctx context.Context) error {
	select {
	case <-r.turn:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-r.stopped.Done():
		return iofs.ErrClosed
	}
}

// Poke asks for a round soon.
func (r *Replica) Poke() {
	select {
	case r.poke <- struct{}{}:
	default:
	}
}

func (r *Replica) give() { r.turn <- struct{}{} }

// Close stops what runs and waits for it. What was not sent is sent after the next start.
func (r *Replica) Close() error {
	r.closing.Do(func() {
		r.stop()
		<-r.turn // the round that runs has ended; the turn is never given again
		r.intake.Wait()
		r.closeErr = errors.Join(r.reader.Close(), r.store.close())
	})
	return r.closeErr
}
