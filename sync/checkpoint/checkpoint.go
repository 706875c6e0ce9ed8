// Package checkpoint keeps the state of the own datasite on Drive, so that a new machine need not read the whole event log: the rolling
// state, increments, full checkpoints; when to roll, promote and merge, and how to restore in order. It must not know peers, the journal,
// nor how files get to disk. The daemon and cmd/internal/service may import it, and sync/replica, which it fits.
package checkpoint

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
)

// Folders gives folders of our own: wire.LogFolder, CheckpointsFolder, RollingFolder. Ensure makes one that is missing, for Find that is
// remote.NotFound.
type Folders interface {
	Ensure(ctx context.Context, kind wire.FolderKind) (remote.ID, error)
	Find(ctx context.Context, kind wire.FolderKind) (remote.ID, error)
}

// State keeps one record, durably and atomically; one that was never written is fs.ErrNotExist. *statedir.Dir fits it.
type State interface {
	ReadJSON(name string, v any) error
	WriteJSON(op, name string, v any) error
}

// Tree is the own datasite on disk; what replica asks of it fits.
type Tree interface {
	// Snapshot opens the bytes that a file has at one moment, with their hash; fs.ErrNotExist if there is no regular file.
	Snapshot(ctx context.Context, p datasite.Path) (io.ReadCloser, datasite.Hash, error)
	// Files calls fn for every regular file below under.
	Files(ctx context.Context, under datasite.Path, fn func(datasite.Path) error) error
}

// Config is what a Keeper is made of. Log and Now may be nil; counts that are zero stand for syft-client's.
type Config struct {
	Remote  remote.Remote // with retries, budget and pool of ids around it
	Folders Folders
	State   State
	Tree    Tree
	Codec   wire.Codec
	Owner   wire.Address // whose datasite it is, in any spelling

	Every int // so many changed paths in the rolling state become an increment; default 50
	Merge int // so many increments become a full checkpoint; default 4

	Now func() time.Time
	Log *slog.Logger
}

const (
	defaultEvery = 50
	defaultMerge = 4
)

// Restored is a state of the own datasite. It converts to the type of the same name in replica.
type Restored struct {
	Items []wire.Item
	Last  wire.Time // messages of the log with a later time in their name are not in it; 0: none is
}

// Keeper keeps the state on Drive. Its methods may be called concurrently.
type Keeper struct {
	cfg Config

	// turn has one slot: who took from it is the only one that reads and writes what follows. It is held across calls to Drive.
	turn  chan struct{}
	rec   record
	begun bool
	roll  *overlay // what the rolling state holds

	mu     sync.Mutex // innermost
	status Status
}

// Status is what is known without asking Drive.
type Status struct {
	Rolling    int       // changed paths in the rolling state
	Increments int       // on Drive
	Full       wire.Time // when the newest full checkpoint was made; 0: there is none
	Covered    wire.Time // a new machine has everything up to this message without reading the log
	Paused     string    // why nothing newer can be written, "" normally; Create ends it
}

// Status gives it at once.
func (k *Keeper) Status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.status
}

// New opens what is known. Nothing is asked of Drive yet.
func New(cfg Config) (*Keeper, error) {
	if cfg.Every <= 0 {
		cfg.Every = defaultEvery
	}
	if cfg.Merge <= 1 {
		cfg.Merge = defaultMerge
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	k := &Keeper{cfg: cfg, turn: make(chan struct{}, 1), roll: newOverlay()}
	if _, err := wire.ParseAddress(string(cfg.Owner)); err != nil {
		return nil, fmt.Errorf("open checkpoints: %w", err)
	}
	if err := k.load(); err != nil {
		return nil, fmt.Errorf("open checkpoints: %w", err)
	}
	k.turn <- struct{}{}
	return k, nil
}

func (k *Keeper) take(ctx context.Context) error {
	select {
	case <-k.turn:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (k *Keeper) give() { k.turn <- struct{}{} }
