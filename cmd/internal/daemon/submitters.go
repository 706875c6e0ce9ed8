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

// drafts are the stores of who submits jobs: one for each local scientist, and one of the site's owner for each peer. They seal whether or
// not a mount shows them.
type drafts struct {
	site    *site
	dir     *statedir.Dir
	carrier carrier // nil: nothing is carried to peers; set before the first of them is opened

	opening sync.Mutex // one at a time is opened; before mu

	mu    sync.Mutex // a leaf: guards what follows
	open  map[string]*submitter
	peers map[perm.User]*submitter
	moves map[datasite.Path]bool // in replicas, and not told yet
	wake  chan struct{}          // one slot; not nil once somebody follows the moves
	done  bool
	wg    sync.WaitGroup
}

// errStopping is what drafts are refused with once they were closed.
var errStopping = errors.New("the datasite is stopping")

// carrier is what a submitter to a peer needs to know of what carries the jobs there. It is asked while somebody waits: it must be quick.
type carrier interface {
	// Sent tells how far the file or folder at p is on its way.
	Sent(p datasite.Path) desk.Transit
	// Deletions reports whether the peer takes a proposal that takes files away.
	Deletions(peer perm.User) bool
	// Install is what the peer advertises as the source of syft_client; "" if nothing.
	Install(peer perm.User) string
}

// submitter is somebody who submits: the drafts, and jobs/ as that person sees it. The mounts that show it are told what moved.
type submitter struct {
	store     *draft.Store
	desk      *desk.Submitter
	view      *guard.View
	delivered *jobs.Delivered // nil: the jobs go to the owner of this datasite

	mu     sync.Mutex // guards mounts
	mounts map[string]func(rel string)
}

// answers is what is known of a submitter's jobs.
type answers interface {
	desk.Jobs
	Status(id jobs.ID) (jobs.Job, bool)
	Known() []string
}

// engineAnswers are the engine's, about the jobs of one local scientist.
type engineAnswers struct {
	*jobs.Engine
	who perm.User
}

// Status is Get for who does not ask why not.
func (e engineAnswers) Status(id jobs.ID) (jobs.Job, bool) {
	j, err := e.Get(id)
	return j, err == nil
}

// Known names every job of that scientist.
func (e engineAnswers) Known() []string {
	var names []string
	for _, j := range e.List() {
		if j.ID.Submitter == e.who {
			names = append(names, j.ID.Name)
		}
	}
	return names
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
	find := func() *submitter { return d.open[a.ID] }
	return d.once(find, func() (*submitter, error) {
		dir, err := d.dir.Sub(a.ID)
		if err != nil {
			return nil, err
		}
		return d.start(datasite.Identity{Subject: a.Email, Account: a.ID}, engineAnswers{d.site.engine, a.Email},
			draft.Config{State: dir, Owner: d.site.owner},
			desk.SubmitterConfig{Active: func() error {
				_, err := d.site.accounts.Subject(a.ID)
				return err
			}})
	}, func(s *submitter) { d.open = with(d.open, a.ID, s) })
}

// peersDir holds the drafts for peers; no account has that id.
const peersDir = "peers"

// ofPeer gives the submitter of the site's owner to a peer, opened if need be: jobs/ in the replica of that peer's datasite.
func (d *drafts) ofPeer(owner perm.User) (*submitter, error) {
	return d.once(func() *submitter { return d.peers[owner] }, func() (*submitter, error) {
		home, err := d.dir.Sub(peersDir)
		if err != nil {
			return nil, err
		}
		dir, err := home.Sub(string(owner)) // an address is safe as a folder's name
		if err != nil {
			return nil, err
		}
		delivered := jobs.NewDelivered(jobTree{d.site.view}, owner, d.site.owner)
		c := draft.Config{State: dir, Owner: owner}
		shown := desk.SubmitterConfig{Sent: func(datasite.Path) desk.Transit { return desk.Transit{State: "local"} }}
		if d.carrier != nil {
			shown.Sent = d.carrier.Sent
			c.Deletions = func() bool { return d.carrier.Deletions(owner) }
			c.Install = func() string { return d.carrier.Install(owner) }
		}
		s, err := d.start(datasite.Identity{Subject: d.site.owner}, delivered, c, shown)
		if err != nil {
			return nil, err
		}
		s.delivered = delivered
		return s, nil
	}, func(s *submitter) {
		d.peers = with(d.peers, owner, s)
		if d.wake == nil {
			d.wake = make(chan struct{}, 1)
			d.wg.Go(d.follow)
		}
	})
}

// toPeer gives the submitter to a peer if it is open; nil if not. It waits for nothing.
func (d *drafts) toPeer(owner perm.User) *submitter {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.peers[owner]
}

func with[K comparable](m map[K]*submitter, key K, s *submitter) map[K]*submitter {
	if m == nil {
		m = map[K]*submitter{}
	}
	m[key] = s
	return m
}

// once gives what find finds; if that is nothing it opens it. find and keep are called with mu held.
func (d *drafts) once(find func() *submitter, open func() (*submitter, error), keep func(*submitter)) (*submitter, error) {
	d.opening.Lock()
	defer d.opening.Unlock()
	d.mu.Lock()
	s, done := find(), d.done
	d.mu.Unlock()
	switch {
	case done:
		return nil, errStopping
	case s != nil:
		return s, nil
	}
	s, err := open()
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	keep(s)
	d.mu.Unlock()
	s.store.Start()
	return s, nil
}

// start builds a submitter: who submits, what is known of the jobs, and what differs in the drafts and in what is shown.
func (d *drafts) start(who datasite.Identity, known answers, c draft.Config, shown desk.SubmitterConfig) (*submitter, error) {
	site := d.site
	s := &submitter{mounts: map[string]func(string){}, view: site.gate.View(who, nil)}
	c.Submitter, c.Account, c.Place = who.Subject, who.Account, s.view
	c.Status, c.Known = known.Status, known.Known
	c.Changed = func(name string) { s.desk.DraftMoved(name) }
	c.Settle, c.BareSettle, c.Log = time.Duration(site.cfg.Jobs.Settle), time.Duration(site.cfg.Jobs.BareSettle), site.log
	var err error
	if s.store, err = draft.Open(c); err != nil {
		s.view.Close()
		return nil, err
	}
	shown.Drafts, shown.Jobs = s.store, known
	shown.Visible = func(ctx context.Context, p datasite.Path) bool {
		_, err := s.view.Stat(ctx, p)
		return err == nil
	}
	s.desk = desk.NewSubmitter(shown)
	s.desk.OnChange(s.changed)
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

// watch makes the mount at dir be told what moved; with a nil fn no more.
func (s *submitter) watch(dir string, fn func(rel string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fn == nil {
		delete(s.mounts, dir)
		return
	}
	s.mounts[dir] = fn
}

// moved tells the local submitter of a job that its status moved.
func (d *drafts) moved(id jobs.ID) {
	d.mu.Lock()
	all := make([]*submitter, 0, len(d.open))
	for _, s := range d.open {
		all = append(all, s)
	}
	d.mu.Unlock()
	for _, s := range all {
		s.desk.Moved(id) // each knows whether it is one of its own
	}
}

// delivered notes a change of a replica, of the tree there or of how far it is on its way. It may be called with the gate's locks held: it
// only notes, and another goroutine tells.
func (d *drafts) delivered(c datasite.Change) {
	for _, p := range []datasite.Path{c.Path, c.From} {
		if p.IsRoot() || p.Owner == d.site.owner {
			continue
		}
		d.mu.Lock()
		if d.wake != nil && d.peers[p.Owner] != nil {
			if d.moves == nil {
				d.moves = map[datasite.Path]bool{}
			}
			d.moves[p] = true
			d.poke()
		}
		d.mu.Unlock()
	}
}

// poke wakes follow; mu is held.
func (d *drafts) poke() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// follow tells the submitters to peers what was noted, until the end.
func (d *drafts) follow() {
	for range d.wake {
		d.mu.Lock()
		moves, done := d.moves, d.done
		d.moves = nil
		d.mu.Unlock()
		if done {
			return
		}
		told := map[jobs.ID]bool{}
		for p := range moves {
			s := d.toPeer(p.Owner)
			if id, ok := s.delivered.Moved(p); ok && !told[id] {
				told[id] = true
				s.desk.Moved(id)
			}
		}
	}
}

func (d *drafts) close() error {
	d.opening.Lock()
	defer d.opening.Unlock()
	d.mu.Lock()
	d.done = true
	if d.wake != nil {
		d.poke()
	}
	var all []*submitter
	for _, s := range d.open {
		all = append(all, s)
	}
	for _, s := range d.peers {
		all = append(all, s)
	}
	d.mu.Unlock()
	d.wg.Wait()
	var errs []error
	for _, s := range all {
		errs = append(errs, s.store.Close())
		s.view.Close()
	}
	return errors.Join(errs...)
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
