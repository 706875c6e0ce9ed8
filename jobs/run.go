package jobs

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/openmined/syftfs/perm"
)

// Why a run was ended by us; the rest of the list is the runner's.
const (
	reasonInterrupted = "interrupted"
	reasonCancelled   = "cancelled"
	reasonTimeout     = "timeout"
	reasonChanged     = "submission_changed"
	reasonDataset     = "dataset_unavailable"
)

// The parts of runs/<run>.
const (
	workDir    = "work"
	resultsDir = "results"
	rawSuffix  = ".raw" // a stream as the runner writes it
)

// failure ends a run before anything of the job was started.
type failure struct {
	reason string
	err    error
}

func (f failure) Error() string { return f.reason + ": " + f.err.Error() }
func (f failure) Unwrap() error { return f.err }

// run takes one approved job from its claim to its end.
func (e *Engine) run(ctx context.Context, id ID) {
	var out Outcome
	j, err := e.claim(ctx, id)
	switch {
	case j == nil && err == nil: // cancelled meanwhile
		return
	case j == nil:
		if ctx.Err() == nil {
			e.log.Warn("job not started", "job", id.String(), "err", err)
			e.hinder(ctx, "approved, but it could not be started: "+err.Error(), nil, id)
		}
		return
	case err == nil:
		out, err = e.execute(ctx, j)
	}
	var failed failure
	switch cause := context.Cause(ctx); {
	case err == nil && out.Reason == reasonCancelled && !errors.Is(cause, errCancelled):
		out.Reason = reasonInterrupted
	case err == nil:
	case errors.Is(cause, errCancelled):
		out, err = Outcome{Code: -1, Reason: reasonCancelled}, nil
	case errors.As(err, &failed):
		out, err = Outcome{Code: -1, Reason: failed.reason, Notes: []string{failed.err.Error()}}, nil
	}
	// From here on everything is recorded, even if all else stops.
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), closeWithin)
	defer done()
	record := func(ctx context.Context) error { return e.collected(ctx, id, out) }
	if err != nil { // nothing ran
		e.log.Warn("job not started", "job", id.String(), "err", err)
		record = func(ctx context.Context) error { return e.unclaim(ctx, id, err) }
	}
	if err := record(ctx); err != nil {
		e.log.Error("end of a run not recorded; it is tried again, and counts as interrupted after a restart", "job", id.String(), "err", err)
		e.hinder(ctx, "has ended, but that could not be recorded: "+err.Error(), record, id)
		return
	}
	e.settle(ctx, id)
}

// claim writes down that the job runs, takes the results and logs to come away from the submitter, and only then says running. With an
// error and a job, it is claimed and must be given back; with neither, there is nothing to run any more.
func (e *Engine) claim(ctx context.Context, id ID) (*job, error) {
	release, err := e.take(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	old := e.peek(id)
	if old == nil || old.rec.Status != Approved {
		return nil, nil
	}
	now := e.now()
	j := *old
	j.hindrance = ""
	j.rec.Status = Running
	j.rec.Run = &run{ID: runID(now), Step: stepClaimed, Claimed: now}
	if err := e.save("claim", &j); err != nil {
		return nil, err
	}
	if err := e.restrict(ctx, id); err != nil {
		return &j, fmt.Errorf("rules of its results: %w", err)
	}
	e.tell(ctx, id)
	return &j, nil
}

func runID(now time.Time) string {
	var b [4]byte
	rand.Read(b[:])
	return now.UTC().Format("20060102T150405") + "-" + hex.EncodeToString(b[:])
}

// restrict gives outputs and logs of a run to the owner alone, before there are any.
func (e *Engine) restrict(ctx context.Context, id ID) error {
	for _, pattern := range reviewPatterns(id.Name) {
		if err := e.cfg.Rules.Restrict(ctx, id.Review().Parent(), pattern, []perm.User{e.cfg.Owner}); err != nil {
			return err
		}
	}
	return e.cfg.State.Step("restricted")
}

func reviewPatterns(name string) []string {
	out := []string{name + "/" + OutputsDir + "/**"}
	for _, f := range []string{StdoutFile, StderrFile, CodeFile} {
		out = append(out, name+"/"+f)
	}
	return out
}

// unclaim gives a job back that did not run.
func (e *Engine) unclaim(ctx context.Context, id ID, why error) error {
	release, err := e.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	old := e.peek(id)
	j := *old
	j.undone, j.hindrance = nil, ""
	j.rec.Status, j.rec.Run = Approved, nil
	if !errors.Is(why, errClosing) {
		j.hindrance = "approved, but it could not be run: " + why.Error()
	}
	if err := e.save("unclaim", &j); err != nil {
		return err
	}
	e.tell(ctx, id)
	return os.RemoveAll(e.runs.Path(old.rec.Run.ID))
}

// execute runs the private copy. An error means that nothing of the job was started.
func (e *Engine) execute(ctx context.Context, j *job) (Outcome, error) {
	r := j.rec.Run
	id := j.rec.id(e.cfg.Owner)
	dir, err := e.runs.Sub(r.ID)
	if err != nil {
		return Outcome{}, err
	}
	spec := Spec{
		ID: id, Run: r.ID, Work: dir.Path(workDir), Results: dir.Path(resultsDir),
		Stdout: dir.Path("stdout" + rawSuffix), Stderr: dir.Path("stderr" + rawSuffix), Limits: e.cfg.Limits,
	}
	if spec.Datasets, err = e.binds(ctx, j); err != nil {
		return Outcome{}, err
	}
	if err := e.copyOut(ctx, j, spec.Work); err != nil {
		return Outcome{}, err
	}
	if err := os.Mkdir(spec.Results, 0o700); err != nil {
		return Outcome{}, err
	}
	if err := e.step(ctx, id, "started", func(j *job) { j.rec.Run.Step, j.rec.Run.Started = stepStarted, e.now() }); err != nil {
		return Outcome{}, err
	}
	if err := context.Cause(ctx); err != nil {
		return Outcome{}, err
	}
	return e.cfg.Runner.Run(ctx, spec)
}

// step records progress of a run.
func (e *Engine) step(ctx context.Context, id ID, name string, change func(*job)) error {
	release, err := e.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	j := *e.peek(id)
	r := *j.rec.Run
	j.rec.Run = &r
	change(&j)
	return e.save(name, &j)
}

// binds are the granted datasets, if the submitter may read them still and they are there.
func (e *Engine) binds(ctx context.Context, j *job) ([]Bind, error) {
	granted := j.rec.Approved.Datasets
	if len(granted) == 0 {
		return nil, nil
	}
	offered, err := e.cfg.Datasets.Offered(ctx, j.rec.Submitter)
	if err != nil {
		return nil, err
	}
	var out []Bind
	for _, name := range granted {
		if !slices.Contains(offered, name) {
			return nil, failure{reasonDataset, fmt.Errorf("%s may not read the dataset %q any more", j.rec.Submitter, name)}
		}
		b, err := e.cfg.Datasets.Bind(ctx, name)
		if errors.Is(err, iofs.ErrNotExist) {
			return nil, failure{reasonDataset, fmt.Errorf("dataset %q: %w", name, err)}
		}
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// copyOut makes the private copy of a run from the intake copy, and refuses bytes that are not the approved ones.
func (e *Engine) copyOut(ctx context.Context, j *job, to string) error {
	from := e.copyOf(j.rec)
	var m manifest
	for _, f := range j.files {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		mode := iofs.FileMode(0o644)
		if f.Path == RunFile {
			mode = 0o755
		}
		err := copyRegular(filepath.Join(from, filepath.FromSlash(f.Path)), filepath.Join(to, filepath.FromSlash(f.Path)), f.Path, mode, &m)
		if errors.Is(err, iofs.ErrNotExist) {
			return failure{reasonChanged, err}
		}
		if err != nil {
			return err
		}
	}
	if got := DigestOf(m.files); got != j.rec.Approved.Digest {
		return failure{reasonChanged, fmt.Errorf("the copy in state has the digest %s, but %s was approved", got, j.rec.Approved.Digest)}
	}
	return nil
}

func copyRegular(from, to, rel string, mode iofs.FileMode, m *manifest) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	err = m.add(rel, src, dst)
	if err == nil {
		err = dst.Chmod(mode) // whatever the umask is
	}
	if cerr := dst.Close(); err == nil {
		err = cerr
	}
	return err
}
