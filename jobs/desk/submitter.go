package desk

import (
	"context"
	"errors"
	iofs "io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/virtual"
	"github.com/openmined/syftfs/jobs"
	"github.com/openmined/syftfs/jobs/draft"
)

// SubmitterConfig is what the submitter's view is made of. Jobs may be nil: then nothing is known of the owner's side.
type SubmitterConfig struct {
	Drafts *draft.Store
	Jobs   Jobs
	// Visible reports whether the stored path exists and the submitter may read it now.
	Visible func(ctx context.Context, p datasite.Path) bool
	// Sent tells how far the file or folder at a stored path is on its way to an owner elsewhere; quick. nil: the owner is on this machine.
	Sent func(p datasite.Path) Transit
	// Active says why the submitter may not work here any more; nil: may. Without it nothing ends that right.
	Active func() error
}

// Submitter is <owner>/jobs/ as who submits there sees it: drafts and submissions as they were copied, with what became of
// them beside. A job that was submitted from elsewhere shows as it is stored.
type Submitter struct {
	cfg SubmitterConfig

	mu     sync.Mutex
	notify func(rel string)
}

// NewSubmitter makes the submitter's view.
func NewSubmitter(cfg SubmitterConfig) *Submitter {
	if cfg.Visible == nil {
		cfg.Visible = func(context.Context, datasite.Path) bool { return false }
	}
	return &Submitter{cfg: cfg}
}

// OnChange sets who is told the paths, relative to jobs/, that do not show what they showed before. Set it before serving.
func (s *Submitter) OnChange(fn func(rel string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notify = fn
}

// Moved is called when a job's state moved at the owner, or on the way there; an id without a name stands for all of them.
func (s *Submitter) Moved(id jobs.ID) {
	if id.Owner != s.cfg.Drafts.Owner() || id.Submitter != s.cfg.Drafts.Submitter() {
		return
	}
	s.cfg.Drafts.Moved(id)
	s.tell(id.Name)
}

// DraftMoved is called when a draft was sealed, or refused: draft.Config.Changed.
func (s *Submitter) DraftMoved(name string) {
	d, err := s.cfg.Drafts.Draft(name)
	if err == nil && d.ID.Name != "" {
		name = d.ID.Name
	}
	s.tell(name)
}

func (s *Submitter) tell(job string) {
	s.mu.Lock()
	fn := s.notify
	s.mu.Unlock()
	if fn == nil {
		return
	}
	fn(job)
	if job == "" {
		return // that is all of it
	}
	for _, name := range []string{statusName, jobs.StateFile, jobs.ConfigFile, jobs.RunFile, jobs.CodeDir, jobs.OutputsDir, logsName} {
		fn(path.Join(job, name))
	}
}

// thing is what a first segment below jobs/ stands for.
type thing struct {
	id     jobs.ID
	draft  *draft.Draft // nil: submitted from elsewhere
	file   bool         // the entry is the script itself
	beside bool         // the folder beside a script: everything in it is made or stored
	job    jobs.Job     // what is known of the owner's side
	known  bool
}

// find gives what name stands for.
func (s *Submitter) find(name string) (thing, error) {
	d, err := s.cfg.Drafts.Draft(name)
	if err == nil {
		return s.drafted(d), nil
	}
	if !errors.Is(err, iofs.ErrNotExist) {
		return thing{}, err
	}
	for _, ext := range []string{".py", ".sh"} {
		if d, err := s.cfg.Drafts.Draft(name + ext); err == nil && d.Script && d.ID.Name == name {
			t := s.drafted(d)
			t.file, t.beside = false, true
			return t, nil
		}
	}
	t := thing{id: jobs.ID{Owner: s.cfg.Drafts.Owner(), Submitter: s.cfg.Drafts.Submitter(), Name: name}}
	if s.cfg.Drafts.Hidden(name) {
		return thing{}, missing("lookup", name)
	}
	if t.job, t.known = s.job(t.id); !t.known {
		return thing{}, missing("lookup", name)
	}
	return t, nil
}

// drafted is a draft with what became of it. A job of its name that was submitted from elsewhere while it was a draft is another one.
func (s *Submitter) drafted(d draft.Draft) thing {
	t := thing{id: d.ID, draft: &d, file: d.Script}
	if d.Submitted() {
		t.job, t.known = s.job(d.ID)
	}
	return t
}

func (s *Submitter) job(id jobs.ID) (jobs.Job, bool) {
	if s.cfg.Jobs == nil || id.Name == "" {
		return jobs.Job{}, false
	}
	j, err := s.cfg.Jobs.Get(id)
	return j, err == nil && j.ID == id
}

// own reports the link of the submitter's own address to jobs/ itself.
func (s *Submitter) own(rel string) bool { return rel == string(s.cfg.Drafts.Submitter()) }

func (s *Submitter) link() virtual.Entry {
	return virtual.Entry{Name: string(s.cfg.Drafts.Submitter()), Kind: virtual.Link, Mode: 0o777, Target: "."}
}

// Lookup tells about one name.
func (s *Submitter) Lookup(ctx context.Context, rel string) (virtual.Entry, error) {
	if rel == "" {
		e := folder("", time.Time{})
		e.Mode = 0o755
		return e, nil
	}
	if s.own(rel) {
		return s.link(), nil
	}
	name, sub, _ := strings.Cut(rel, "/")
	t, err := s.find(name)
	if err != nil {
		return virtual.Entry{}, err
	}
	if sub == "" {
		return s.top(name, t)
	}
	if t.file {
		return virtual.Entry{}, &iofs.PathError{Op: "lookup", Path: rel, Err: syscall.ENOTDIR}
	}
	return s.item(ctx, t, sub)
}

// top is the entry of a draft or a job itself.
func (s *Submitter) top(name string, t thing) (virtual.Entry, error) {
	if t.draft == nil || t.beside {
		return folder(name, s.at(t)), nil
	}
	i, err := s.cfg.Drafts.Stat(name)
	if err != nil {
		return virtual.Entry{}, err
	}
	return s.plain(t, i), nil
}

// plain shows a file or folder of a draft; what was decided cannot be written any more.
func (s *Submitter) plain(t thing, i draft.Info) virtual.Entry {
	e := virtual.Entry{Name: i.Name, Kind: virtual.Plain, Mode: i.Mode, Size: i.Size, MTime: i.MTime}
	if i.Dir {
		e.Kind, e.Size = virtual.Dir, 0
	}
	if t.known && t.job.Status.Decided() {
		e.Mode &^= 0o222
	}
	return e
}

// at is the time that the made files show.
func (s *Submitter) at(t thing) time.Time {
	at := t.job.State.ReceivedAt
	if t.draft != nil && t.draft.SealedAt.After(at) {
		at = t.draft.SealedAt
	}
	for _, more := range []time.Time{t.job.State.ApprovedAt, t.job.State.RejectedAt, t.job.State.CompletedAt} {
		if more.After(at) {
			at = more
		}
	}
	return at
}

// answer is what the owner's side shows in a job's folder: status, state.yaml, outputs/, logs/.
func (s *Submitter) answer(ctx context.Context, t thing, sub string) (virtual.Entry, bool) {
	if sub != statusName && (t.id.Name == "" || t.draft != nil && !t.draft.Submitted()) {
		return virtual.Entry{}, false // nothing was asked, so nothing is answered
	}
	switch sub {
	case statusName:
		return textEntry(statusName, 0o444, s.status(t), s.at(t)), true
	case jobs.StateFile, jobs.OutputsDir:
		p := t.id.Review().Join(sub)
		if s.cfg.Visible(ctx, p) {
			return stored(sub, p), true
		}
	case logsName:
		for _, name := range logFiles {
			if s.cfg.Visible(ctx, t.id.Review().Join(name)) {
				return folder(logsName, s.at(t)), true
			}
		}
	}
	if name, ok := strings.CutPrefix(sub, logsName+"/"); ok && slices.Contains(logFiles, name) {
		if p := t.id.Review().Join(name); s.cfg.Visible(ctx, p) {
			return stored(name, p), true
		}
	}
	return virtual.Entry{}, false
}

// status is the text of the file status.
func (s *Submitter) status(t thing) []byte {
	return submitterStatus(t.id, t.draft, t.job, t.known, s.way(t))
}

// replaced reports whether sub lies below a folder of the owner's answer that took the place of what was copied along.
func (s *Submitter) replaced(ctx context.Context, t thing, sub string) bool {
	first, _, deep := strings.Cut(sub, "/")
	if !deep || first != jobs.OutputsDir && first != logsName {
		return false
	}
	_, ok := s.answer(ctx, t, first)
	return ok
}

// item is one name below a job's folder.
func (s *Submitter) item(ctx context.Context, t thing, sub string) (virtual.Entry, error) {
	if e, ok := s.answer(ctx, t, sub); ok {
		return e, nil
	}
	if s.replaced(ctx, t, sub) {
		return virtual.Entry{}, missing("lookup", sub)
	}
	switch {
	case t.draft == nil:
		if sub == jobs.ConfigFile || sub == jobs.RunFile || sub == jobs.CodeDir {
			if p := t.id.Inbox().Join(sub); s.cfg.Visible(ctx, p) {
				return stored(sub, p), nil
			}
		}
		return virtual.Entry{}, missing("lookup", sub)
	case t.beside && sub == t.draft.Name:
		i, err := s.cfg.Drafts.Stat(t.draft.Name)
		if err != nil {
			return virtual.Entry{}, err
		}
		e := s.plain(t, i)
		e.Mode &^= 0o222
		return e, nil
	case !t.beside:
		i, err := s.cfg.Drafts.Stat(path.Join(t.draft.Name, sub))
		if err == nil {
			return s.plain(t, i), nil
		}
		if !errors.Is(err, iofs.ErrNotExist) {
			return virtual.Entry{}, err
		}
	}
	if body, ok := t.draft.Made[sub]; ok {
		return s.made(t, sub, body), nil
	}
	return virtual.Entry{}, missing("lookup", sub)
}

func (s *Submitter) made(t thing, name string, body []byte) virtual.Entry {
	e := virtual.Entry{Name: name, Kind: virtual.Plain, Mode: 0o644, Size: int64(len(body)), MTime: t.draft.SealedAt}
	if name == jobs.RunFile {
		e.Mode = 0o755
	}
	if t.beside || t.known && t.job.Status.Decided() {
		e.Mode &^= 0o222
	}
	return e
}

// List lists a folder.
func (s *Submitter) List(ctx context.Context, rel string) ([]virtual.Entry, error) {
	if rel == "" {
		return s.listTop()
	}
	name, sub, _ := strings.Cut(rel, "/")
	t, err := s.find(name)
	if err != nil {
		return nil, err
	}
	switch {
	case t.file:
		return nil, &iofs.PathError{Op: "readdir", Path: rel, Err: syscall.ENOTDIR}
	case sub == "":
		return s.listJob(ctx, t)
	case sub == logsName:
		if _, ok := s.answer(ctx, t, logsName); ok {
			var out []virtual.Entry
			for _, file := range logFiles {
				if e, ok := s.answer(ctx, t, path.Join(logsName, file)); ok {
					out = append(out, e)
				}
			}
			return out, nil
		}
	}
	if s.replaced(ctx, t, sub) || t.draft == nil || t.beside {
		return nil, missing("readdir", rel)
	}
	infos, err := s.cfg.Drafts.ReadDir(rel)
	if err != nil {
		return nil, err
	}
	out := make([]virtual.Entry, 0, len(infos))
	for _, i := range infos {
		out = append(out, s.plain(t, i))
	}
	return out, nil
}

func (s *Submitter) listTop() ([]virtual.Entry, error) {
	out := []virtual.Entry{s.link()}
	seen := map[string]bool{}
	for _, d := range s.cfg.Drafts.Drafts() {
		t := s.drafted(d)
		e, err := s.top(d.Name, t)
		if errors.Is(err, iofs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, e)
		seen[d.Name] = true
		if d.Script && d.ID.Name != "" {
			out = append(out, folder(d.ID.Name, s.at(t)))
			seen[d.ID.Name] = true
		}
	}
	if s.cfg.Jobs != nil {
		for _, j := range s.cfg.Jobs.List() {
			if j.ID.Owner != s.cfg.Drafts.Owner() || j.ID.Submitter != s.cfg.Drafts.Submitter() || seen[j.ID.Name] ||
				s.cfg.Drafts.Hidden(j.ID.Name) || datasite.CheckName(j.ID.Name) != nil {
				continue
			}
			seen[j.ID.Name] = true
			out = append(out, folder(j.ID.Name, s.at(thing{job: j})))
		}
	}
	slices.SortFunc(out, byName)
	return out, nil
}

func (s *Submitter) listJob(ctx context.Context, t thing) ([]virtual.Entry, error) {
	byNames := map[string]virtual.Entry{}
	if t.draft != nil && !t.beside {
		infos, err := s.cfg.Drafts.ReadDir(t.draft.Name)
		if err != nil {
			return nil, err
		}
		for _, i := range infos {
			byNames[i.Name] = s.plain(t, i)
		}
	}
	names := []string{jobs.ConfigFile, jobs.RunFile, jobs.CodeDir, statusName, jobs.StateFile, jobs.OutputsDir, logsName}
	if t.beside {
		names = append(names, t.draft.Name)
	}
	for _, name := range names {
		e, err := s.item(ctx, t, name)
		if errors.Is(err, iofs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		byNames[name] = e
	}
	out := make([]virtual.Entry, 0, len(byNames))
	for _, e := range byNames {
		out = append(out, e)
	}
	slices.SortFunc(out, byName)
	return out, nil
}
