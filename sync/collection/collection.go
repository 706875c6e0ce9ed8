// Package collection carries datasets over Drive: it uploads the own ones as collections, keeps who may read them the same on Drive and
// in the rules, restores them on a new machine, and brings those of peers into their replicas. It knows the format, the store and what
// lies in a dataset's two folders; it must not know the gate, the journal, dataset.yaml, or how peers are managed: it declares the few
// calls that it needs. sync/replica (through an interface), cmd/internal/service and the daemon use it.
package collection

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
)

// Config is what Collections are made of. Rehome, Log, Clock and Fault may be nil; numbers that are zero stand for their defaults.
type Config struct {
	Owner   perm.User // whose datasite this is
	Dir     string    // a folder of the state, for this package alone; made if it is missing
	Remote  remote.Remote
	Tree    Tree
	Rules   Rules
	Granter Granter
	Peers   Peers

	// Rehome gives private_metadata.yaml as it must read on this machine, for the dataset of that name. It is asked at a restore.
	Rehome func(dataset string, metadata []byte) ([]byte, error)

	Limits   Limits
	Parallel int // files that are sent or fetched at the same time; default 4

	Log   *slog.Logger
	Clock remote.Clock
	Fault interface{ Before(op string) error } // steps: collection:<name of a step or transaction>
}

// Limits bounds what is taken from one collection of somebody else's.
type Limits struct {
	Files int   // default 100,000
	File  int64 // bytes of one file; default 16 GiB
	Total int64 // bytes of all; default 64 GiB
	Sets  int   // collections of one peer; default 1,000
}

const (
	defaultParallel = 4
	defaultFiles    = 100_000
	defaultFile     = 16 << 30
	defaultTotal    = 64 << 30
	defaultSets     = 1_000
	firstWait       = 2 * time.Second
	maxWait         = time.Minute
)

func fill[N int | int64](n *N, def N) {
	if *n <= 0 {
		*n = def
	}
}

// Collections carries the datasets of one datasite and those that its peers share with it. What is to be done is noted durably at once;
// Sync does it, and after Start a goroutine calls that whenever there is something. Its methods may be called concurrently.
type Collections struct {
	cfg   Config
	store *store

	// turn has one slot: who took from it is the only one that works. It is held across calls into the tree and to Drive, so nobody who
	// answers a request of the mount may wait for it: Local, Noticed, Sweep and Status do not.
	turn chan struct{}
	poke chan struct{} // one slot: there is something to do

	urgent atomic.Bool // rights may have changed: an upload gives way to that

	stop     context.CancelFunc // of the goroutine, and of Sync
	stopped  context.Context
	running  sync.WaitGroup
	closing  sync.Once
	closeErr error

	live live
}

// New opens what is known. Nothing is asked of Drive yet.
func New(cfg Config) (*Collections, error) {
	fill(&cfg.Parallel, defaultParallel)
	fill(&cfg.Limits.Files, defaultFiles)
	fill(&cfg.Limits.File, defaultFile)
	fill(&cfg.Limits.Total, defaultTotal)
	fill(&cfg.Limits.Sets, defaultSets)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Clock == nil {
		cfg.Clock = remote.SystemClock{}
	}
	s, err := openStore(cfg.Dir, cfg.Fault)
	if err != nil {
		return nil, fmt.Errorf("open collections: %w", err)
	}
	c := &Collections{cfg: cfg, store: s, turn: make(chan struct{}, 1), poke: make(chan struct{}, 1)}
	c.stopped, c.stop = context.WithCancel(context.Background())
	c.live.troubles = map[key]string{}
	c.turn <- struct{}{}
	return c, nil
}

// Start begins the goroutine that works whenever there is something to do, and again, after growing waits, when it failed. It is called
// once.
func (c *Collections) Start() {
	c.running.Go(c.run)
	c.wake() // what was left from the last time
}

func (c *Collections) run() {
	var wait time.Duration
	for {
		if wait > 0 {
			if c.cfg.Clock.Sleep(c.stopped, wait) != nil {
				return
			}
		} else {
			select {
			case <-c.poke:
			case <-c.stopped.Done():
				return
			}
		}
		err := c.Sync(c.stopped)
		switch {
		case c.stopped.Err() != nil:
			return
		case err == nil:
			wait = 0
		default:
			wait = min(max(2*wait, firstWait), maxWait)
			wait = max(wait, remote.RetryAfter(err))
			c.cfg.Log.Warn("datasets are not all carried; trying again", "err", err, "wait", wait)
		}
	}
}

func (c *Collections) wake() {
	select {
	case c.poke <- struct{}{}:
	default:
	}
}

// Close stops what runs and waits for it. What was not done is done after the next start.
func (c *Collections) Close() error {
	c.closing.Do(func() {
		c.stop()
		c.running.Wait()
		<-c.turn // the Sync that runs has ended; the turn is never given again
		c.closeErr = c.store.close()
	})
	return c.closeErr
}

// maxRounds bounds how often one Sync begins anew because things changed under its hands.
const maxRounds = 8

// Sync does what is noted: at once, in the caller's goroutine. What failed stays noted, and the error joins one for each; the rest is
// done.
func (c *Collections) Sync(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.stopped, cancel)()
	select {
	case <-c.turn:
	case <-ctx.Done():
		return fmt.Errorf("collections: %w", context.Cause(ctx))
	case <-c.stopped.Done():
		return fmt.Errorf("collections: %w", iofs.ErrClosed)
	}
	defer func() { c.turn <- struct{}{} }()
	var err error
	for moved := 0; moved < maxRounds; {
		err = c.round(ctx)
		switch {
		case errors.Is(err, errYield):
		case errors.Is(err, errMoved):
			moved++
		case err != nil:
			return fmt.Errorf("collections: %w", err)
		default:
			return nil
		}
	}
	return fmt.Errorf("collections: %w", err)
}

// errMoved: something changed while it was carried; it is looked at again.
var errMoved = errors.New("it changed while it was sent; it is sent again")

// errYield: rights may have changed, which goes first.
var errYield = errors.New("something more urgent came")

// round does everything that is noted once. errYield and errMoved ask for another one at once.
func (c *Collections) round(ctx context.Context) error {
	c.urgent.Store(false)
	var errs, moved []error
	gen, due, err := c.store.sweepDue()
	if err != nil {
		return err
	}
	if due {
		err := c.sweep(ctx)
		if err == nil {
			err = c.store.swept(gen)
		}
		c.live.trouble(key{}, err)
		if err != nil {
			errs = append(errs, fmt.Errorf("look for them: %w", err))
		}
	}
	marks, err := c.store.marks()
	if err != nil {
		return err
	}
	failed := map[key]bool{}
	for _, pass := range []func(context.Context, noted) error{c.rights, c.carry} {
		for _, m := range marks {
			if err := context.Cause(ctx); err != nil {
				return errors.Join(append(errs, err)...)
			}
			if failed[m.Key] {
				continue
			}
			err := pass(ctx, m)
			if errors.Is(err, errYield) {
				return err
			}
			if err != nil {
				failed[m.Key] = true
				err = fmt.Errorf("dataset %s: %w", m.Key, err)
				if errors.Is(err, errMoved) {
					moved = append(moved, err)
				} else {
					errs = append(errs, err)
				}
			}
			c.live.trouble(m.Key, err)
		}
	}
	if len(errs) == 0 {
		return errors.Join(moved...)
	}
	return errors.Join(errs...)
}

func (c *Collections) step(op string) error { return c.store.step(op) }
