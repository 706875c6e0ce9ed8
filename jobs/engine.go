package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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
	Feed        Feed // Done is called while another goroutine waits in Next
	Rules       Rules
	Runner      Runner
	Holder      Holder
	Datasets    Datasets
	Limits      Limits // of one run
	Concurrency int    // runs at a time, 1 by default
	Log         *slog.Logger
	Now         func() time.Time
	Changed     func(ID) // called after each change of a job, without a lock; must return soon
}

// How long things wait.
const (
	incompleteAfter = 10 * time.Minute // a job whose files do not all come is rejected
	retryAfter      = time.Minute      // what failed for a reason outside the job is tried again
	closeWithin     = 30 * time.Second // an ended run is recorded, although everything stops
)

// Engine is the owner's side of all jobs of one datasite.
//
// Lock order: turn, then the locks of the tree, then mu. turn is held while a job moves from one state to another, so that its record, its
// copy and state.yaml change together; mu guards memory only and is never held across a call into another package.
type Engine struct {
	cfg  EngineConfig
	log  *slog.Logger
	now  func() time.Time
	jobs *statedir.Dir
	runs *statedir.Dir

	turn chan struct{} // one slot: full while somebody has the turn
	told []ID          // guarded by turn: changed, and not yet announced
	wake chan struct{} // one slot: the loop has something to do

	mu      sync.Mutex
	all     map[ID]*job             // guarded by mu; each *job is immutable
	dirty   map[ID]bool             // guarded by mu: to be compared with the tree
	rescan  bool                    // guarded by mu: everything is
	offers  bool                    // guarded by mu: rules or datasets changed
	seen    uint64                  // guarded by mu: the last change that was turned into the three above
	active  map[ID]func(error)      // guarded by mu: ends the run of a job, with its cause
	served  map[perm.User]time.Time // guarded by mu: when a submitter's last run began
	stop    context.CancelCauseFunc // guarded by mu: nil before Start
	ctx     context.Context         // of the runs; set by Start
	closing sync.WaitGroup
	cursor  uint64 // the loop's: what Feed.Done was told
}

var (
	errClosing   = errors.New("the engine is closing")
	errCancelled = errors.New("the owner cancelled the run")
)

// New reads the records of earlier runs; nothing runs before Start.
func New(cfg EngineConfig) (*Engine, error) {
	for _, need := range []struct {
		what string
		is   any
	}{{"State", cfg.State}, {"Tree", cfg.Tree}, {"Feed", cfg.Feed}, {"Rules", cfg.Rules}, {"Runner", cfg.Runner}, {"Holder", cfg.Holder}, {"Datasets", cfg.Datasets}} {
		if need.is == nil {
			return nil, fmt.Errorf("jobs: EngineConfig.%s is missing", need.what)
		}
	}
	e := &Engine{
		cfg: cfg, log: cfg.Log, now: cfg.Now, turn: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		all: map[ID]*job{}, dirty: map[ID]bool{}, active: map[ID]func(error){}, served: map[perm.User]time.Time{}, rescan: true,
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.now == nil {
		e.now = time.Now
	}
	if e.cfg.Concurrency < 1 {
		e.cfg.Concurrency = 1
	}
	var err error
	if err = cfg.State.Sweep(); err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	if e.jobs, err = cfg.State.Sub("jobs"); err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	if e.runs, err = cfg.State.Sub("runs"); err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	entries, err := os.ReadDir(e.jobs.Path())
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	for _, d := range entries {
		if !d.IsDir() {
			continue
		}
		j, err := e.load(d.Name())
		if err != nil {
			return nil, fmt.Errorf("jobs: %w", err)
		}
		if j != nil {
			e.all[j.rec.id(cfg.Owner)] = j
		}
	}
	return e, nil
}

// Start decides what a crash left, and then scans the inbox, follows the feed and runs approved jobs until Close or the end of ctx.
func (e *Engine) Start(ctx context.Context) error {
	e.mu.Lock()
	if e.stop != nil {
		e.mu.Unlock()
		return errors.New("jobs: the engine was started before")
	}
	ctx, stop := context.WithCancelCause(ctx)
	e.stop, e.ctx = stop, ctx
	e.mu.Unlock()
	if err := e.recover(ctx); err != nil {
		stop(err)
		return fmt.Errorf("jobs: what the last run of the program left: %w", err)
	}
	e.closing.Go(func() { e.follow(ctx) })
	e.closing.Go(func() { e.loop(ctx) })
	return nil
}

// Close ends running jobs, records them as interrupted, and waits.
func (e *Engine) Close() error {
	e.mu.Lock()
	stop := e.stop
	e.mu.Unlock()
	if stop != nil {
		stop(errClosing)
	}
	e.closing.Wait()
	return nil
}

// Kick tries again at once what waits for a repair: runs that the sandbox could not start, results that could not be put away.
func (e *Engine) Kick() {
	e.freshen()
	e.mu.Lock()
	e.rescan = true
	e.mu.Unlock()
	e.poke()
}

func (e *Engine) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// List gives all jobs, newest first.
func (e *Engine) List() []Job {
	e.mu.Lock()
	all := make([]*job, 0, len(e.all))
	for _, j := range e.all {
		all = append(all, j)
	}
	e.mu.Unlock()
	slices.SortFunc(all, func(a, b *job) int {
		return cmp.Or(b.rec.Arrived.Compare(a.rec.Arrived), cmp.Compare(a.rec.Submitter, b.rec.Submitter), cmp.Compare(a.rec.Name, b.rec.Name))
	})
	out := make([]Job, len(all))
	for i, j := range all {
		out[i] = j.public(e.cfg.Owner)
	}
	return out
}

// Get gives one job; fs.ErrNotExist if there is none.
func (e *Engine) Get(id ID) (Job, error) {
	j, err := e.find(id)
	if err != nil {
		return Job{}, err
	}
	return j.public(e.cfg.Owner), nil
}

func (e *Engine) find(id ID) (*job, error) {
	if j := e.peek(id); j != nil {
		return j, nil
	}
	return nil, fmt.Errorf("job %s: %w", id, iofs.ErrNotExist)
}

// peek is the job, or nil.
func (e *Engine) peek(id ID) *job {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.all[id]
}

// Find gives the job called name or submitter/name; ErrAmbiguous names all that fit.
func (e *Engine) Find(text string) (Job, error) {
	submitter, name, both := strings.Cut(text, "/")
	if !both {
		submitter, name = "", text
	}
	var fit []Job
	for _, j := range e.List() {
		if j.ID.Name == name && (!both || string(j.ID.Submitter) == submitter) {
			fit = append(fit, j)
		}
	}
	switch len(fit) {
	case 0:
		return Job{}, fmt.Errorf("job %q: %w", text, iofs.ErrNotExist)
	case 1:
		return fit[0], nil
	}
	names := make([]string, len(fit))
	for i, j := range fit {
		names[i] = j.ID.String()
	}
	return Job{}, fmt.Errorf("job %q: %w: write one of: %s", text, ErrAmbiguous, strings.Join(names, ", "))
}

// Intake is the copy that is shown, approved and run: config.yaml, run.sh and code/. It is replaced by the next revision.
func (e *Engine) Intake(id ID) (iofs.FS, error) {
	j, err := e.find(id)
	if err != nil {
		return nil, err
	}
	if j.rec.Revision == 0 {
		return nil, fmt.Errorf("job %s has no intake copy, because it is %s: %w", id, j.rec.Status, iofs.ErrNotExist)
	}
	return os.DirFS(e.copyOf(j.rec)), nil
}

// Log gives what a run wrote so far to "stdout" or "stderr".
func (e *Engine) Log(id ID, stream string) ([]byte, error) {
	j, err := e.find(id)
	if err != nil {
		return nil, err
	}
	if stream != "stdout" && stream != "stderr" {
		return nil, fmt.Errorf("job %s: there is no stream %q: %w", id, stream, iofs.ErrNotExist)
	}
	if j.rec.Run == nil {
		return nil, fmt.Errorf("job %s did not run yet: %w", id, iofs.ErrNotExist)
	}
	for _, name := range []string{stream + ".txt", stream + rawSuffix} {
		b, err := e.readLog(filepath.Join(j.rec.Run.ID, name))
		if !errors.Is(err, iofs.ErrNotExist) {
			return b, err
		}
	}
	return nil, nil
}

// take waits for the turn; the caller gives it back with the returned function, which announces what changed meanwhile.
func (e *Engine) take(ctx context.Context) (release func(), err error) {
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	return func() {
		told := e.told
		e.told = nil
		<-e.turn
		e.announce(told...)
	}, nil
}

func (e *Engine) announce(ids ...ID) {
	if e.cfg.Changed == nil {
		return
	}
	slices.SortFunc(ids, func(a, b ID) int { return cmp.Compare(a.String(), b.String()) })
	for _, id := range slices.Compact(ids) {
		e.cfg.Changed(id)
	}
}

// save makes j the job's state: on disk first, under the step's name, then in memory. The caller has the turn.
func (e *Engine) save(step string, j *job) error {
	id := j.rec.id(e.cfg.Owner)
	k := key(id)
	if err := e.folder(k); err != nil {
		return fmt.Errorf("job %s: %s: %w", id, step, err)
	}
	if err := e.jobs.WriteJSON(step, filepath.Join(k, recordFile), j.rec); err != nil {
		return fmt.Errorf("job %s: %s: %w", id, step, err)
	}
	e.remember(j)
	return nil
}

// folder makes the job's folder in state, durably.
func (e *Engine) folder(k string) error {
	switch err := os.Mkdir(e.jobs.Path(k), 0o700); {
	case errors.Is(err, iofs.ErrExist):
		return nil
	case err != nil:
		return err
	}
	return statedir.SyncDir(e.jobs.Path())
}

// remember changes what is only in memory. The caller has the turn.
func (e *Engine) remember(j *job) {
	id := j.rec.id(e.cfg.Owner)
	e.mu.Lock()
	e.all[id] = j
	e.mu.Unlock()
	e.told = append(e.told, id)
}
