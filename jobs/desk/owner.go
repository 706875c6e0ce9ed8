package desk

import (
	"context"
	"errors"
	iofs "io/fs"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/virtual"
	"github.com/openmined/syftfs/jobs"
	"github.com/openmined/syftfs/jobs/release"
	"github.com/openmined/syftfs/perm"
)

// Intake gives the copy of a submission that is shown, approved and run; the engine fits it.
type Intake interface {
	Intake(id jobs.ID) (iofs.FS, error)
}

// Decider takes the owner's decision; the engine fits it.
type Decider interface {
	Approve(ctx context.Context, id jobs.ID, by datasite.Identity, a jobs.Approval) error
	Reject(ctx context.Context, id jobs.ID, by datasite.Identity, reason string) error
}

// Held gives the results that were not released yet, and releases entries of their top folder; jobs/release fits.
type Held interface {
	Held(id jobs.ID) ([]release.Item, error)
	FS(id jobs.ID) (iofs.FS, error) // fs.ErrNotExist, or empty, if nothing is held
	Release(ctx context.Context, id jobs.ID, names []string, by datasite.Identity) error
}

// OwnerConfig is what the owner's view is made of. Held, Now and Log may be nil.
type OwnerConfig struct {
	Owner  perm.User
	By     datasite.Identity // who decides through this mount; the owner if empty
	Jobs   Jobs
	Intake Intake
	Decide Decider
	Held   Held
	Tree   Tree
	Now    func() time.Time
	Log    *slog.Logger
}

// Owner is <owner>/jobs/ in the owner's mount: <submitter>/<job>/, one folder joined from what was submitted and what was
// answered. What is shown of the submission is the intake copy: what is read is what is approved.
type Owner struct {
	cfg OwnerConfig

	mu      sync.Mutex
	scratch map[jobs.ID]map[string]*scratch
	notify  func(rel string)
}

// NewOwner makes the owner's view.
func NewOwner(cfg OwnerConfig) *Owner {
	if cfg.By == (datasite.Identity{}) {
		cfg.By = datasite.Identity{Subject: cfg.Owner}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Owner{cfg: cfg, scratch: map[jobs.ID]map[string]*scratch{}}
}

// OnChange sets who is told the paths, relative to jobs/, that do not show what they showed before. Set it before serving.
func (o *Owner) OnChange(fn func(rel string)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.notify = fn
}

// Moved is called when a job's state moved: mounts are told which names came, went or read differently.
func (o *Owner) Moved(id jobs.ID) {
	if id.Owner != o.cfg.Owner {
		return
	}
	base := path.Join(string(id.Submitter), id.Name)
	o.tell(string(id.Submitter), base)
	for _, name := range []string{statusName, decisionName, jobs.StateFile, jobs.ConfigFile, jobs.RunFile, jobs.CodeDir, jobs.OutputsDir, logsName, heldName} {
		o.tell(path.Join(base, name))
	}
}

// tell calls the listener without a lock.
func (o *Owner) tell(rels ...string) {
	o.mu.Lock()
	fn := o.notify
	o.mu.Unlock()
	if fn == nil {
		return
	}
	for _, rel := range rels {
		fn(rel)
	}
}

// place is a path below jobs/, taken apart.
type place struct {
	id   jobs.ID
	sub  string // below the job's folder
	deep int    // how many segments there are: 0 jobs/, 1 a submitter, 2 a job, 3 and more below it
}

func (o *Owner) place(rel string) place {
	p := place{id: jobs.ID{Owner: o.cfg.Owner}}
	if rel == "" {
		return p
	}
	parts := strings.SplitN(rel, "/", 3)
	p.deep = len(parts)
	p.id.Submitter = perm.User(parts[0])
	if len(parts) > 1 {
		p.id.Name = parts[1]
	}
	if len(parts) > 2 {
		p.sub = parts[2]
	}
	return p
}

// Lookup tells about one name.
func (o *Owner) Lookup(ctx context.Context, rel string) (virtual.Entry, error) {
	p := o.place(rel)
	switch p.deep {
	case 0:
		return folder("", time.Time{}), nil
	case 1:
		for _, j := range o.cfg.Jobs.List() {
			if j.ID.Submitter == p.id.Submitter {
				return folder(rel, time.Time{}), nil
			}
		}
		return virtual.Entry{}, missing("lookup", rel)
	}
	j, err := o.job(p.id)
	if err != nil {
		return virtual.Entry{}, err
	}
	if p.deep == 2 {
		return jobFolder(j), nil
	}
	return o.item(ctx, j, p.sub)
}

func jobFolder(j jobs.Job) virtual.Entry {
	e := folder(j.ID.Name, j.State.ReceivedAt)
	if j.Status == jobs.Pending {
		e.Mode = 0o755 // an editor may save DECISION here
	}
	return e
}

// job gives one job; names that cannot be one are not there.
func (o *Owner) job(id jobs.ID) (jobs.Job, error) {
	j, err := o.cfg.Jobs.Get(id)
	if err != nil {
		return jobs.Job{}, err
	}
	if j.ID != id {
		return jobs.Job{}, missing("lookup", id.String())
	}
	return j, nil
}

// item is one name below a job's folder.
func (o *Owner) item(ctx context.Context, j jobs.Job, sub string) (virtual.Entry, error) {
	first, rest, _ := strings.Cut(sub, "/")
	switch first {
	case statusName, decisionName, jobs.StateFile:
		if rest != "" {
			return virtual.Entry{}, missing("lookup", sub)
		}
		mode, body, err := o.text(ctx, j, first)
		if err != nil {
			return virtual.Entry{}, err
		}
		return textEntry(first, mode, body, o.at(j)), nil
	case jobs.ConfigFile, jobs.RunFile, jobs.CodeDir:
		fsys, err := o.cfg.Intake.Intake(j.ID)
		if err != nil {
			return virtual.Entry{}, err
		}
		return lookupIn(fsys, sub)
	case heldName:
		fsys, err := o.held(j.ID)
		if err != nil {
			return virtual.Entry{}, err
		}
		if rest == "" {
			return folder(heldName, o.at(j)), nil
		}
		return lookupIn(fsys, rest)
	case jobs.OutputsDir:
		return o.outputs(ctx, j, rest)
	case logsName:
		return o.logs(ctx, j, rest)
	}
	if e, ok := o.scratchEntry(j.ID, sub); ok {
		return e, nil
	}
	return virtual.Entry{}, missing("lookup", sub)
}

// at is the time that the made files show: of the last thing that happened to the job.
func (o *Owner) at(j jobs.Job) time.Time {
	at := j.State.ReceivedAt
	for _, t := range []time.Time{j.State.ApprovedAt, j.State.RejectedAt, j.State.CompletedAt} {
		if t.After(at) {
			at = t
		}
	}
	return at
}

// outputs is a folder of ours over the stored one, so that results can be moved into it before it exists.
func (o *Owner) outputs(ctx context.Context, j jobs.Job, rest string) (virtual.Entry, error) {
	dir := j.ID.Review().Join(jobs.OutputsDir)
	if rest != "" {
		name, deeper, _ := strings.Cut(rest, "/")
		if deeper != "" {
			return virtual.Entry{}, missing("lookup", path.Join(jobs.OutputsDir, rest)) // the gate answers below a stored folder
		}
		p, err := dir.Child(name)
		if err != nil {
			return virtual.Entry{}, missing("lookup", path.Join(jobs.OutputsDir, rest))
		}
		if datasite.IsRuleName(name) {
			return virtual.Entry{}, missing("lookup", path.Join(jobs.OutputsDir, rest))
		}
		if _, err := o.cfg.Tree.Stat(ctx, p); err != nil {
			return virtual.Entry{}, err
		}
		return stored(name, p), nil
	}
	e, err := o.cfg.Tree.Stat(ctx, dir)
	if err == nil {
		out := folder(jobs.OutputsDir, e.Stamp.MTime)
		out.Mode = 0o755
		return out, nil
	}
	if !errors.Is(err, iofs.ErrNotExist) {
		return virtual.Entry{}, err
	}
	if _, err := o.held(j.ID); err != nil {
		return virtual.Entry{}, err
	}
	out := folder(jobs.OutputsDir, o.at(j))
	out.Mode = 0o755
	return out, nil
}

// logs is a folder of ours over the three files of the review folder.
func (o *Owner) logs(ctx context.Context, j jobs.Job, rest string) (virtual.Entry, error) {
	if rest != "" {
		if !slices.Contains(logFiles, rest) {
			return virtual.Entry{}, missing("lookup", path.Join(logsName, rest))
		}
		p := j.ID.Review().Join(rest)
		if _, err := o.cfg.Tree.Stat(ctx, p); err != nil {
			return virtual.Entry{}, err
		}
		return stored(rest, p), nil
	}
	for _, name := range logFiles {
		if _, err := o.cfg.Tree.Stat(ctx, j.ID.Review().Join(name)); err == nil {
			return folder(logsName, o.at(j)), nil
		}
	}
	return virtual.Entry{}, missing("lookup", logsName)
}

// held gives the results that wait for release, if there are any.
func (o *Owner) held(id jobs.ID) (iofs.FS, error) {
	if o.cfg.Held == nil {
		return nil, missing("lookup", heldName)
	}
	fsys, err := o.cfg.Held.FS(id)
	if err != nil {
		return nil, err
	}
	entries, err := iofs.ReadDir(fsys, ".")
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, missing("lookup", heldName)
	}
	return fsys, nil
}
