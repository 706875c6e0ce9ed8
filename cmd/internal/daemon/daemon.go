// Package daemon is the composition root: it builds every part of a running datasite, connects them, starts and stops them in
// order, and holds the adapters of a few lines between them. It decides nothing. Only the command imports it.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/openmined/syftfs/cmd/internal/config"
	"github.com/openmined/syftfs/cmd/internal/control"
	"github.com/openmined/syftfs/cmd/internal/httpapi"
	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/openmined/syftfs/fs/backing"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/fusetree"
	"github.com/openmined/syftfs/fs/grant"
	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/fs/statedir"
	"github.com/openmined/syftfs/jobs"
	"github.com/openmined/syftfs/jobs/desk"
	"github.com/openmined/syftfs/jobs/release"
	"github.com/openmined/syftfs/jobs/sandbox"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/account"
	"github.com/openmined/syftfs/perm/rulefile"
	"github.com/openmined/syftfs/sync/journal"
)

// RunOptions are for Run.
type RunOptions struct {
	Log   *slog.Logger
	Ready func(service.State) // called once, when the mount is usable
}

// StopLimit bounds each step of stopping.
const StopLimit = 20 * time.Second

// site is one running datasite. Fields are set before anything starts and not changed after; mu guards the rest.
type site struct {
	name     string
	dir      string
	cfg      config.Config
	owner    perm.User
	log      *slog.Logger
	state    *statedir.Dir
	accounts *account.Store
	tree     *backing.Tree
	journal  *watchedJournal
	folder   *control.Folder // .syft of the owner's mount
	gate     *guard.Guard
	view     *guard.View // the owner's, without a mount: for work that is the owner's
	granter  *grant.Granter
	held     *release.Store
	runner   *sandbox.Sandbox
	feed     *journal.Reader
	engine   *jobs.Engine
	desk     *desk.Owner
	drafts   *drafts
	views    *views
	exchange *exchange // nil: without a Drive
	audit    *service.Audit
	service  *service.Service
	mount    *fusetree.Mount
	started  time.Time
	stop     context.CancelFunc
	stopping <-chan struct{}

	mu         sync.Mutex
	reconciled bool
	recovered  int
	problems   []string
}

// Run serves the datasite with this state folder until ctx ends, Shutdown is asked for, or the mount is taken away from outside.
// Order of start: configuration, lock, accounts, backing, journal, rules and gate, the rest built, mount, API, ready, reconcile, drafts, exchange, jobs.
func Run(ctx context.Context, dir string, o RunOptions) (err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s := &site{name: filepath.Base(dir), dir: dir, log: o.Log, started: time.Now(), stop: stop, stopping: ctx.Done()}
	var closers closers
	announced := false
	defer func() {
		err = errors.Join(err, closers.close(s.log))
		if !announced {
			Announce(err)
		}
	}()
	if err := s.open(&closers); err != nil {
		return err
	}
	if err := s.build(&closers); err != nil {
		return err
	}
	if err := s.serve(ctx, &closers); err != nil {
		return err
	}
	announced = true
	Announce(nil)
	if o.Ready != nil {
		o.Ready(s.State())
	}
	return s.work(ctx, &closers)
}

// open takes the lock and opens what lies on disk.
func (s *site) open(c *closers) (err error) {
	if s.cfg, err = config.Load(s.dir); err != nil {
		return &service.Error{Code: service.BadInput, Message: err.Error(), Err: err}
	}
	if s.owner, err = perm.ParseUser(s.cfg.Email); err != nil {
		return &service.Error{Code: service.BadInput, Message: filepath.Join(s.dir, config.File) + ": email: " + err.Error(), Err: err}
	}
	for _, p := range []string{s.cfg.Mount, s.cfg.Backing} {
		if config.Overlap(p, s.dir) {
			return &service.Error{Code: service.BadInput,
				Message: fmt.Sprintf("%s: %s and the state folder %s lie in each other: choose another folder", filepath.Join(s.dir, config.File), p, s.dir)}
		}
	}
	if err := fusetree.Check(); err != nil {
		return &service.Error{Code: service.Machine, Message: err.Error(), Err: err}
	}
	if s.state, err = statedir.Open(s.dir, statedir.FromEnv()); err != nil {
		return err
	}
	lock, err := s.state.Lock()
	if errors.Is(err, statedir.ErrLocked) {
		return &service.Error{Code: service.Conflict,
			Message: fmt.Sprintf("datasite %s is up already: see `syftfs status`, stop it with `syftfs down`", s.name), Err: err}
	}
	if err != nil {
		return err
	}
	c.add("lock", func(context.Context) error { return lock.Close() })
	if err := s.state.Sweep(); err != nil {
		return err
	}
	if s.accounts, err = account.Open(s.state, s.owner); err != nil {
		return err
	}
	if err := checkPrivate(s.cfg.Backing); err != nil {
		return err
	}
	if s.tree, err = backing.Open(s.cfg.Backing, backing.WithFault(statedir.FromEnv())); err != nil {
		return err
	}
	c.add("backing", func(context.Context) error { return s.tree.Close() })
	j, err := journal.Open(s.state.Path("journal.db"), journal.Options{Fault: statedir.FromEnv()})
	if err != nil {
		return err
	}
	c.add("journal", func(context.Context) error { return j.Close() })
	s.journal = &watchedJournal{Journal: j, durable: s.cfg.Durability == "close", load: rulefile.Loader(s.tree.FS()), broken: map[datasite.Path]error{},
		moved: func(c datasite.Change) { s.drafts.delivered(c) },
		told:  func(p datasite.Path, problem error) { s.folder.Refused("rules", p.String(), problem) }}
	audit, err := s.state.Sub("audit")
	if err != nil {
		return err
	}
	if s.audit, err = service.OpenAudit(audit.Path("audit.jsonl"), time.Now); err != nil {
		return err
	}
	c.add("audit", func(context.Context) error { return s.audit.Close() })
	return nil
}

// build makes every part and connects it; nothing runs yet.
func (s *site) build(c *closers) (err error) {
	rules := perm.NewIndex(s.journal.load)
	s.gate = guard.New(guard.Config{Owner: s.owner, Tree: s.tree, Rules: rules, Recorder: s.journal, Memory: s.journal, Subjects: s.accounts, State: s.sent, Log: s.log})
	s.accounts.OnChange(func(_, _ account.Account) { s.gate.Turn() })
	s.view = s.gate.View(datasite.Identity{Subject: s.owner}, nil)
	s.granter = grant.New(s.view)
	sub := map[string]*statedir.Dir{}
	for _, name := range []string{"jobs", "held", "runs", "drafts"} {
		if sub[name], err = s.state.Sub(name); err != nil {
			return err
		}
	}
	if s.held, err = release.Open(sub["held"], jobTree{s.view}, s.granter, s.owner); err != nil {
		return err
	}
	if s.runner, err = sandbox.New(sandbox.Config{State: sub["runs"], Log: s.log, RequireCgroup: s.cfg.Limits.RequireCgroup}); err != nil {
		return err
	}
	if s.feed, err = s.journal.Reader("jobs"); err != nil {
		return err
	}
	l := s.cfg.Limits
	s.engine, err = jobs.New(jobs.EngineConfig{Owner: s.owner, State: sub["jobs"], Tree: jobTree{s.view}, Feed: s.feed, Rules: s.granter, Runner: s.runner,
		Holder: s.held, Datasets: datasets{s}, Log: s.log, Changed: s.jobMoved,
		Limits: jobs.Limits{Timeout: time.Duration(l.Timeout), Memory: l.Memory, Processes: l.Processes, ResultBytes: l.ResultBytes, ResultFiles: l.ResultFiles, LogBytes: l.LogBytes}})
	if err != nil {
		return err
	}
	s.drafts = &drafts{site: s, dir: sub["drafts"], open: map[string]*submitter{}}
	s.views = &views{site: s, open: map[string]*openView{}}
	if s.exchange, err = s.openExchange(); err != nil {
		return err
	}
	parts := service.Parts{Owner: s.owner, View: s.view, Accounts: s.accounts, Granter: s.granter, Engine: s.engine, Held: s.held,
		Runner: s.runner, Views: s.views, Host: s, HostPath: s.gate.HostPath, Audit: s.audit, Log: s.log, Now: time.Now,
		As: func(who datasite.Identity) *guard.View { return s.gate.View(who, nil) }}
	if x := s.exchange; x != nil {
		c.add("exchange", x.close) // after the mounts are gone, before the journal
		s.drafts.carrier = x
		parts.Peers, parts.Exchange, parts.Syncer, parts.Submitters = peerBook{x.book, x.wished}, x, x.replica, s.drafts
	}
	s.service = service.New(parts)
	s.desk = s.newDesk(service.Caller{Root: true, Via: "mount"})
	s.folder = control.New(string(s.owner)+" (owner)", s.service, service.NewExplainer(s.service, s.view, ""), time.Now)
	s.folder.WithExchange(s.service)
	return nil
}

// serve mounts the owner's tree and opens the API: from here on the datasite is usable.
func (s *site) serve(ctx context.Context, c *closers) (err error) {
	s.mount, err = s.mountAt(ctx, datasite.Identity{Subject: s.owner}, s.cfg.Mount, false, s.folder, s.desk, s.peerJobs)
	if err != nil {
		return &service.Error{Code: service.Machine, Message: err.Error(), Err: err}
	}
	stop := s.gate.Use(s.mount)
	c.add("changes through the mount", func(context.Context) error { stop(); return nil })
	s.desk.OnChange(func(rel string) { s.mount.InvalidateVirtual(datasite.Path{Owner: s.owner}, datasite.JobsDir, rel) })
	c.add("mount", s.mount.Close)
	c.add("views", s.views.close)
	c.add("drafts", func(context.Context) error { return s.drafts.close() })
	c.add("jobs", func(context.Context) error { return errors.Join(s.engine.Close(), s.feed.Close()) })
	if err := s.views.reopen(ctx); err != nil {
		return err
	}
	api, err := httpapi.Serve(config.Socket(s.dir), s.service)
	if err != nil {
		return err
	}
	c.add("api", api.Close)
	return nil
}

// work does what follows readiness: watch the tree, compare it with what was recorded, then let drafts seal and jobs run; and waits for the
// end.
func (s *site) work(ctx context.Context, c *closers) error {
	if s.cfg.Watch == "on" {
		s.watch(c)
	}
	if err := s.reconcile(ctx); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case <-s.mount.Done():
		return nil
	}
}

// watch begins to notice what others change in the backing folder, and returns when nothing is missed any more.
func (s *site) watch(c *closers) {
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		err := s.gate.Watch(ctx, guard.WatchOptions{Ready: func() { close(ready) }, Problem: func(err error) { s.problem("watching the files", err) }})
		if err != nil && ctx.Err() == nil {
			s.problem("watching the files ended", err)
		}
	}()
	c.add("watch", func(context.Context) error {
		cancel()
		<-ended
		return nil
	})
	select {
	case <-ready:
	case <-ended:
	}
}

func (s *site) reconcile(ctx context.Context) error {
	n, err := s.gate.Reconcile(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("compare the tree with the journal: %w", err)
	}
	if n > 0 {
		s.log.Info("changes found at start", "count", n)
	}
	if err := s.journal.checkAll(s.owner); err != nil {
		return err
	}
	if err := s.held.Recover(ctx); err != nil {
		s.problem("an unfinished release", err)
	}
	if err := s.drafts.openAll(); err != nil {
		return err
	}
	if s.exchange != nil {
		s.exchange.start()
	}
	if err := s.engine.Start(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	s.reconciled, s.recovered = true, n
	s.mu.Unlock()
	return nil
}

// problem keeps what status shows.
func (s *site) problem(what string, err error) {
	s.log.Error("problem", "op", what, "err", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problems = append(s.problems, what+": "+err.Error())
}

// State tells how the process is.
func (s *site) State() service.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := service.State{Name: s.name, Email: string(s.owner), Mount: s.cfg.Mount, Backing: s.cfg.Backing, StateDir: s.dir, Socket: config.Socket(s.dir),
		PID: os.Getpid(), Started: s.started, Reconciled: s.reconciled, Recovered: s.recovered, Problems: append([]string{}, s.problems...)}
	last, err := s.journal.Last()
	if err != nil {
		st.Problems = append(st.Problems, "journal: "+err.Error())
	}
	st.Changes = last
	if err := s.journal.Full(); err != nil {
		st.Problems = append(st.Problems, err.Error())
	}
	st.Problems = append(st.Problems, s.journal.problems()...)
	return st
}

// Shutdown ends Run.
func (s *site) Shutdown() { s.stop() }

// Stopping is closed when Run begins to end.
func (s *site) Stopping() <-chan struct{} { return s.stopping }

// jobMoved is told each change of a job, by the engine, without a lock.
func (s *site) jobMoved(id jobs.ID) {
	s.desk.Moved(id)
	s.drafts.moved(id)
}

// closers end what was started, last first, each within its time.
type closers []closer

type closer struct {
	name string
	end  func(context.Context) error
}

func (c *closers) add(name string, end func(context.Context) error) {
	*c = append(*c, closer{name, end})
}

func (c *closers) close(log *slog.Logger) error {
	var errs []error
	for i := len(*c) - 1; i >= 0; i-- {
		ctx, cancel := context.WithTimeout(context.Background(), StopLimit)
		if err := (*c)[i].end(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", (*c)[i].name, err))
		}
		cancel()
	}
	return errors.Join(errs...)
}
