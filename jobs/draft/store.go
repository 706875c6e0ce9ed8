// Package draft is the submitter's side of a job: where the bytes of a draft are, when it is settled, sealing, revisions and
// receipts. It ends in one Place of one Submit change, made as the submitter; it does not know the mount, what the owner
// decides with, or how anything travels. The desk shows it, the service submits through it, the daemon builds it.
package draft

import (
	"context"
	"errors"
	iofs "io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/statedir"
	"github.com/openmined/syftfs/jobs"
	"github.com/openmined/syftfs/perm"
)

// Placer puts a sealed folder into the tree, as the submitter; the gate's view fits it.
type Placer interface {
	Place(ctx context.Context, c datasite.Change, src iofs.FS) error
}

// Config is what a Store is made of. Status, Known, Changed, Deletions, Install, Now and Log may be nil.
type Config struct {
	State     *statedir.Dir // of this store alone
	Owner     perm.User     // whose jobs/ it is
	Submitter perm.User
	Account   string // who acts, as in datasite.Identity
	Place     Placer

	// Status tells what is known of a submission. It is asked before every change, so it must be quick; it may ask anything
	// of the store but Submit.
	Status func(id jobs.ID) (jobs.Job, bool)
	// Known names every job of this submitter that the owner has, also those that were not submitted from here.
	Known func() []string
	// Changed is told the name in jobs/ whose status moved: sealed, refused, decided. It may ask anything
	// of the store but Submit.
	Changed func(name string)

	// Deletions reports whether the owner's side takes a revision that drops a file; nil: yes.
	Deletions func() bool
	// Install is what run.sh installs for syft_client, as the owner's side advertises it. "", and what a shell would read, is
	// "syft-client==0.1.117".
	Install func() string

	Settle     time.Duration // quiet time before a complete job folder is sealed; 2 s
	BareSettle time.Duration // the same for a bare folder or a single script; 5 s
	Now        func() time.Time
	Log        *slog.Logger
}

// Draft is what anyone may be told about a draft; a copy, safe to keep.
type Draft struct {
	ID       jobs.ID // Name is "" for what can never become a job: a held name, a file that is no script
	Name     string  // in jobs/: "analysis", or "analysis.py" for a script
	Script   bool    // a single file
	Held     bool    // by its leading dot or by user.syft.hold
	Open     int     // handles that may still write
	Waiting  bool    // something is new since the last examination
	Due      time.Time
	Problem  string // why it was not sealed, and what to do; "" if nothing is wrong
	Revision int    // of the last sealing; 0 if it never was
	Digest   jobs.Digest
	SealedAt time.Time
	Size     int64
	Files    int
	LeftOut  []string          // names that were not submitted
	Findings []string          // advice on the code
	Made     map[string][]byte // config.yaml and run.sh, if sealing made them
}

// Submitted reports whether a revision was sealed.
func (d Draft) Submitted() bool { return d.Revision > 0 }

// Store holds the drafts of one submitter for one datasite.
//
// Lock order: sealMu, then mu. mu is never held across Place, Status, Known or Changed.
type Store struct {
	cfg  Config
	wake chan struct{} // one slot: look again at what is due

	sealMu sync.Mutex // one sealing at a time

	mu      sync.Mutex
	present map[string]*draft // by name in jobs/; each has its content on disk
	gone    map[string]*draft // by job name: submitted, content removed; the receipt stays
	handles map[*File]struct{}
	stop    context.CancelFunc // not nil once started
	done    chan struct{}
}

// draft is one entry of jobs/. Everything in it is guarded by Store.mu.
type draft struct {
	dir     *statedir.Dir
	key     string // name of dir
	rec     record
	gen     uint64    // moves before every change of names or bytes: a snapshot with equal gen before and after is whole
	last    time.Time // of the last change or close
	dirty   bool      // not examined since the last change
	atOnce  bool      // renamed in jobs/: no settling
	decided bool      // remembered: a decision is never taken back
	marked  bool      // openMark is there
	torn    bool      // it was there at start, and nothing changed since
	short   bool      // something could not be written for want of room, and nothing was removed since
	used    usage     // not less than what is there, once counted
	counted bool
	problem string
	leftOut []string
	tries   int       // failed hand-overs in a row
	retry   time.Time // not before
}

// Open loads what is there. Nothing runs until Start; a sealing that a crash interrupted is taken up then.
func Open(cfg Config) (*Store, error) {
	if cfg.State == nil || cfg.Owner == "" || cfg.Submitter == "" || cfg.Place == nil {
		return nil, errors.New("draft: state, owner, submitter and placer are needed")
	}
	if cfg.Settle <= 0 {
		cfg.Settle = 2 * time.Second
	}
	if cfg.BareSettle <= 0 {
		cfg.BareSettle = 5 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{
		cfg:     cfg,
		wake:    make(chan struct{}, 1),
		present: map[string]*draft{},
		gone:    map[string]*draft{},
		handles: map[*File]struct{}{},
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	return s, nil
}

// Start begins to watch for settled drafts, until Close.
func (s *Store) Start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop, s.done = cancel, make(chan struct{})
	go s.watch(ctx, s.done)
}

// Close ends the watching and waits for a sealing under way. Files that are open stay usable.
func (s *Store) Close() error {
	s.mu.Lock()
	stop, done := s.stop, s.done
	s.mu.Unlock()
	if stop != nil {
		stop()
		<-done
	}
	return nil
}

// Owner is whose jobs/ it is; Submitter is who submits.
func (s *Store) Owner() perm.User { return s.cfg.Owner }

// Submitter is who submits here.
func (s *Store) Submitter() perm.User { return s.cfg.Submitter }

// Drafts lists what stands in jobs/, by name.
func (s *Store) Drafts() []Draft {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Draft, 0, len(s.present))
	for _, d := range s.present {
		out = append(out, s.tell(d))
	}
	slices.SortFunc(out, func(a, b Draft) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Draft gives what stands in jobs/ under name; fs.ErrNotExist if nothing does.
func (s *Store) Draft(name string) (Draft, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.present[name]
	if d == nil {
		return Draft{}, notExist("stat", name)
	}
	return s.tell(d), nil
}

// Hidden reports whether the job of this name was submitted from here and then deleted from jobs/.
func (s *Store) Hidden(job string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone[job] != nil
}

// Moved tells the store that the owner's side moved: what it remembers about the job is looked up again.
func (s *Store) Moved(id jobs.ID) {
	if id.Owner != s.cfg.Owner || id.Submitter != s.cfg.Submitter {
		return
	}
	if j, ok := s.status(id.Name); !ok || !j.Status.Decided() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.present {
		if d.job() == id.Name && d.submitted() {
			d.decided = true
		}
	}
}

// tell copies d; s.mu is held.
func (s *Store) tell(d *draft) Draft {
	t := Draft{
		ID:      s.id(d.job()),
		Name:    d.rec.Name,
		Script:  d.rec.Script,
		Held:    d.heldBack(),
		Open:    s.writers(d),
		Waiting: d.dirty,
		Problem: d.problem,
		LeftOut: slices.Clone(d.leftOut),
	}
	switch {
	case !d.dirty || d.job() == "":
	case d.torn, d.short && t.Open == 0:
		t.Problem = s.notNow(d).Error()
	case t.Open == 0 && !t.Held:
		t.Due = s.due(d)
	}
	if r := d.rec.Sealed; r != nil {
		t.Revision, t.Digest, t.SealedAt, t.Size, t.Files = r.Revision, r.Digest, r.At, r.Size, r.Files
		t.Findings = slices.Clone(r.Findings)
		t.Made = map[string][]byte{}
		for name, body := range r.Made {
			t.Made[name] = slices.Clone(body)
		}
		if !d.dirty && d.problem == "" {
			t.LeftOut = slices.Clone(r.LeftOut)
		}
	}
	return t
}

func (s *Store) id(job string) jobs.ID {
	return jobs.ID{Owner: s.cfg.Owner, Submitter: s.cfg.Submitter, Name: job}
}

// status asks the owner's side; no lock is held.
func (s *Store) status(job string) (jobs.Job, bool) {
	if s.cfg.Status == nil || job == "" {
		return jobs.Job{}, false
	}
	return s.cfg.Status(s.id(job))
}

func (s *Store) changed(name string) {
	if s.cfg.Changed != nil {
		s.cfg.Changed(name)
	}
}
