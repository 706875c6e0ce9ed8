package daemon

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/fs/statedir"
	"github.com/openmined/syftfs/jobs"
	"github.com/openmined/syftfs/jobs/desk"
	"github.com/openmined/syftfs/jobs/draft"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/account"
)

// drafts are the stores of the local scientists, one each. They seal whether or not a view of that person is mounted.
type drafts struct {
	site *site
	dir  *statedir.Dir

	mu   sync.Mutex // guards open and closed
	open map[string]*submitter
	done bool
}

// submitter is one local scientist: the drafts, and jobs/ as that person sees it. The mounts that show it are told what moved.
type submitter struct {
	store *draft.Store
	desk  *desk.Submitter
	view  *guard.View

	mu     sync.Mutex // guards mounts
	mounts map[string]func(rel string)
}

// openAll opens the drafts of every account that may submit.
func (d *drafts) openAll() error {
	for _, a := range d.site.accounts.List() {
		if a.Role != account.DataScientist || !a.IsVerified() || a.State != account.Active {
			continue
		}
		if _, err := d.of(a); err != nil {
			return err
		}
	}
	return nil
}

// of gives the submitter of an account, opened if need be.
func (d *drafts) of(a account.Account) (*submitter, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done {
		return nil, errors.New("the datasite is stopping")
	}
	if s := d.open[a.ID]; s != nil {
		return s, nil
	}
	dir, err := d.dir.Sub(a.ID)
	if err != nil {
		return nil, err
	}
	site := d.site
	s := &submitter{mounts: map[string]func(string){}}
	s.view = site.gate.View(datasite.Identity{Subject: a.Email, Account: a.ID}, nil)
	s.store, err = draft.Open(draft.Config{State: dir, Owner: site.owner, Submitter: a.Email, Account: a.ID, Place: s.view,
		Status: func(id jobs.ID) (jobs.Job, bool) {
			j, err := site.engine.Get(id)
			return j, err == nil
		},
		Known: func() []string { return site.jobsOf(a.Email) },
		Changed: func(name string) {
			s.desk.DraftMoved(name)
		},
		Settle: time.Duration(site.cfg.Jobs.Settle), BareSettle: time.Duration(site.cfg.Jobs.BareSettle), Log: site.log})
	if err != nil {
		return nil, err
	}
	s.desk = desk.NewSubmitter(desk.SubmitterConfig{Drafts: s.store, Jobs: site.engine,
		Visible: func(ctx context.Context, p datasite.Path) bool {
			_, err := s.view.Stat(ctx, p)
			return err == nil
		},
		Active: func() error {
			_, err := site.accounts.Subject(a.ID)
			return err
		}})
	s.desk.OnChange(s.changed)
	s.store.Start()
	d.open[a.ID] = s
	return s, nil
}

func (s *submitter) changed(rel string) {
	s.mu.Lock()
	tell := make([]func(string), 0, len(s.mounts))
	for _, fn := range s.mounts {
		tell = append(tell, fn)
	}
	s.mu.Unlock()
	for _, fn := range tell {
		fn(rel)
	}
}

func (s *submitter) watch(dir string, fn func(rel string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fn == nil {
		delete(s.mounts, dir)
		return
	}
	s.mounts[dir] = fn
}

// moved tells the submitter of a job that its status moved.
func (d *drafts) moved(id jobs.ID) {
	d.mu.Lock()
	all := make([]*submitter, 0, len(d.open))
	for _, s := range d.open {
		if s.store.Submitter() == id.Submitter {
			all = append(all, s)
		}
	}
	d.mu.Unlock()
	for _, s := range all {
		s.store.Moved(id)
		s.desk.Moved(id)
	}
}

func (d *drafts) close() error {
	d.mu.Lock()
	d.done = true
	all := make([]*submitter, 0, len(d.open))
	for _, s := range d.open {
		all = append(all, s)
	}
	d.mu.Unlock()
	var errs []error
	for _, s := range all {
		errs = append(errs, s.store.Close())
		s.view.Close()
	}
	return errors.Join(errs...)
}

// jobsOf names every job that u has here.
func (s *site) jobsOf(u perm.User) []string {
	var names []string
	for _, j := range s.engine.List() {
		if j.ID.Submitter == u {
			names = append(names, j.ID.Name)
		}
	}
	return names
}

// Admit makes the job folders and drafts of a local scientist.
func (s *site) Admit(ctx context.Context, u perm.User) error {
	if err := jobs.Admit(ctx, jobTree{s.view}, s.owner, u); err != nil {
		return err
	}
	a, err := s.accounts.Get(string(u))
	if err != nil {
		return err
	}
	_, err = s.drafts.of(a)
	return err
}
