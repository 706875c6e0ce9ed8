package jobs

import (
	"context"
	"errors"
	iofs "io/fs"
	"log/slog"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/statedir"
	"github.com/openmined/syftfs/perm"
)

// Rules sets who may read what in the tree; fs/grant fits.
type Rules interface {
	// Restrict makes readers the whole read list of exactly this pattern (relative to dir) in the rule file that governs dir.
	Restrict(ctx context.Context, dir datasite.Path, pattern string, readers []perm.User) error
}

// EngineConfig is what an Engine is made of. Limits, Concurrency, Log, Now and Changed may be zero.
type EngineConfig struct {
	Owner       perm.User
	State       *statedir.Dir // the engine's alone
	Tree        Tree
	Feed        Feed
	Rules       Rules
	Runner      Runner
	Holder      Holder
	Datasets    Datasets
	Limits      Limits // of one run
	Concurrency int    // runs at a time, 1 by default
	Log         *slog.Logger
	Now         func() time.Time
	Changed     func(ID) // called after each change of a job, without a lock; must return soon and may call the engine's reading methods
}

// Engine is the owner's side of all jobs of one datasite.
type Engine struct{ cfg EngineConfig }

// New reads the records of earlier runs; nothing runs before Start.
func New(cfg EngineConfig) (*Engine, error) { return nil, errors.ErrUnsupported }

// Start decides what a crash left, scans the inbox, and then follows the feed and runs approved jobs until Close or the end of ctx.
func (e *Engine) Start(ctx context.Context) error { return errors.ErrUnsupported }

// Close ends running jobs, records them as interrupted, and waits.
func (e *Engine) Close() error { return nil }

// Kick tries again at once what waits for a repair: runs that the sandbox could not start, results that could not be put away.
func (e *Engine) Kick() {}

// List gives all jobs, newest first.
func (e *Engine) List() []Job { return nil }

// Get gives one job; fs.ErrNotExist if there is none.
func (e *Engine) Get(id ID) (Job, error) { return Job{}, iofs.ErrNotExist }

// Find gives the job called name or submitter/name; ErrAmbiguous names all that fit.
func (e *Engine) Find(text string) (Job, error) { return Job{}, iofs.ErrNotExist }

// Approve records the owner's approval of exactly the bytes with that digest and queues the run.
// Errors: fs.ErrPermission, ErrDigest, ErrConflict, ErrDataset.
func (e *Engine) Approve(ctx context.Context, id ID, by datasite.Identity, a Approval) error {
	return errors.ErrUnsupported
}

// Reject records the owner's refusal of a job that is received or pending.
func (e *Engine) Reject(ctx context.Context, id ID, by datasite.Identity, reason string) error {
	return errors.ErrUnsupported
}

// Cancel takes an approved job back (rejected), or ends a running one (failed, reason "cancelled"; recorded when it has ended).
func (e *Engine) Cancel(ctx context.Context, id ID, by datasite.Identity) error {
	return errors.ErrUnsupported
}

// Intake is the copy that is shown, approved and run: config.yaml, run.sh and code/. It is replaced by the next revision.
func (e *Engine) Intake(id ID) (iofs.FS, error) { return nil, iofs.ErrNotExist }

// Log gives what a run wrote so far to "stdout" or "stderr".
func (e *Engine) Log(id ID, stream string) ([]byte, error) { return nil, iofs.ErrNotExist }
