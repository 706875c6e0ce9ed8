package draft

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"syscall"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/jobs"
)

// Submit seals the draft at once; name is the one in jobs/, or the job's. A hold is lifted. The error says what is missing.
func (s *Store) Submit(ctx context.Context, name string) error {
	s.mu.Lock()
	d := s.present[name]
	if d == nil {
		for _, other := range s.present {
			if other.job() == name && name != "" {
				d = other
			}
		}
	}
	if d == nil {
		s.mu.Unlock()
		return notExist("submit", name)
	}
	entry := d.rec.Name
	s.mu.Unlock()
	if err := s.undecided(entry); err != nil {
		return err
	}
	if err := s.Hold(entry, false); err != nil {
		return err
	}
	s.mu.Lock()
	d.torn, d.short = false, false // whoever submits it says that it is whole
	err := s.mark(d)
	s.mu.Unlock()
	if err != nil {
		return failed("submit", name, err)
	}
	return s.seal(ctx, d)
}

// notNow says why d cannot be examined yet; s.mu is held.
func (s *Store) notNow(d *draft) error {
	name := d.rec.Name
	switch {
	case s.present[name] != d:
		return notExist("seal", name)
	case d.job() == "" && d.heldBack():
		return refuse(syscall.EINVAL, "%s is held back by its leading dot; rename it to submit it", name)
	case d.job() == "":
		return refuse(syscall.EINVAL, "%s is neither a folder nor a .py or .sh file, so it is not submitted; put it into a folder", name)
	case d.heldBack():
		return refuse(syscall.EBUSY, "%s is held back by user.syft.hold", name)
	case s.writers(d) > 0:
		return refuse(syscall.EBUSY, "%s is still being written; wait until the copy has ended", name)
	case d.short:
		return refuse(syscall.EFBIG, "not all of %s could be written, because it is larger than a job may be (%d MiB, %d files), too much stands in jobs/ or the disk is full: remove what it does not need and copy the rest again, or submit it as it is with: syftfs job submit", name, jobs.MaxBytes>>20, jobs.MaxFiles)
	case d.torn:
		return refuse(syscall.EBUSY, "syftfs ended while %s was being written, so it may not be whole: copy it again, or submit it as it is with: syftfs job submit", name)
	}
	return nil
}

// errMoved: the draft changed while it was read. It is due again later.
var errMoved = errors.New("the draft changed while it was sealed")

// seal examines d and hands it over if it is whole and new. nil: the owner has (or is about to see) these bytes.
func (s *Store) seal(ctx context.Context, d *draft) error {
	s.sealMu.Lock()
	defer s.sealMu.Unlock()
	s.mu.Lock()
	if err := s.notNow(d); err != nil {
		s.mu.Unlock()
		return err
	}
	a := &attempt{s: s, d: d, gen: d.gen, rec: d.rec, host: d.host(""), complete: isComplete(d)}
	s.mu.Unlock()

	placed, err := a.run(ctx)

	s.mu.Lock()
	name := d.rec.Name
	switch {
	case errors.Is(err, errMoved):
		s.mu.Unlock()
		return refuse(syscall.EBUSY, "%s is still being written; wait until the copy has ended", name)
	case a.late:
		// It is whole, only the way is closed: nothing is asked of the person but patience.
		d.tries++
		d.retry = s.cfg.Now().Add(backoff(d.tries))
		d.problem = err.Error()
	case err != nil:
		a.end()
		d.problem = err.Error()
	default:
		a.end()
		d.problem = ""
	}
	if a.snap != nil {
		d.leftOut = a.snap.leftOut
	}
	s.mu.Unlock()
	if placed {
		s.cfg.Log.Info("job submitted", "op", "submit", "user", s.cfg.Submitter, "job", a.job)
	}
	s.changed(name)
	return err
}

// backoff is the pause before the next hand-over after n failed ones.
func backoff(n int) time.Duration { return min(time.Second<<min(n, 9), 5*time.Minute) }

// attempt is one examination of a draft.
type attempt struct {
	s        *Store
	d        *draft
	gen      uint64
	rec      record // as it was
	host     string
	complete bool
	job      string
	snap     *snapshot
	late     bool // the error is of the hand-over, not of the draft
}

// end marks the draft examined if nothing changed since; Store.mu is held.
func (a *attempt) end() {
	if a.d.gen == a.gen {
		a.d.dirty, a.d.atOnce = false, false
		a.d.tries, a.d.retry = 0, time.Time{}
	}
}

// still fails with errMoved unless the draft is what it was when the attempt began; Store.mu is held.
func (a *attempt) still() error {
	if a.d.gen != a.gen || a.s.writers(a.d) > 0 || a.s.present[a.d.rec.Name] != a.d {
		return errMoved
	}
	return nil
}

func (a *attempt) run(ctx context.Context) (placed bool, err error) {
	s := a.s
	a.job = jobOf(a.rec.Name, a.rec.Script)
	now, known := s.status(a.job)
	submitted := a.rec.Sealed != nil || a.rec.Stage != nil
	switch {
	case known && !submitted:
		return false, refuse(syscall.EEXIST, "a job named %q was submitted from elsewhere; rename this one", a.job)
	case known && now.Status.Decided():
		s.mu.Lock()
		a.d.decided = true
		s.mu.Unlock()
	}
	snap, err := survey(a.host, a.rec.Name, a.rec.Script, a.complete)
	if err != nil {
		return false, a.orMoved(err)
	}
	a.snap = snap

	// First without a copy: most examinations after a start, or after copying the same thing again, find nothing new.
	if submitted {
		if err := snap.read(a.host, nil); err != nil {
			return false, a.orMoved(err)
		}
		if a.rec.Sealed != nil && snap.source() == a.rec.Sealed.Source && a.rec.Stage == nil {
			return false, a.orMoved(nil)
		}
		if g := a.rec.Stage; g != nil && snap.source() == g.Source && known && now.Digest == g.Digest {
			return false, a.receipt(*g) // it arrived; only the receipt is missing
		}
	}
	if submitted && known && now.Status.Decided() {
		return false, a.orMoved(refuse(syscall.EROFS,
			"%s was decided by the owner before this change was complete; the change was not submitted: copy the folder under a new name", a.job))
	}
	return a.hand(ctx, now)
}

// orMoved gives errMoved if the draft changed meanwhile, else err.
func (a *attempt) orMoved(err error) error {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	if m := a.still(); m != nil {
		return m
	}
	return err
}

// hand copies the draft, makes the stored form and puts it into the tree, in the place of what now says is there.
func (a *attempt) hand(ctx context.Context, now jobs.Job) (placed bool, err error) {
	s := a.s
	staging, err := s.cfg.State.Sub(stagingDir)
	if err != nil {
		return false, a.delayed(err)
	}
	dir, err := os.MkdirTemp(staging.Path(), "job-*")
	if err != nil {
		return false, a.delayed(err)
	}
	defer func() {
		if rerr := os.RemoveAll(dir); rerr != nil {
			s.cfg.Log.Warn("removing a staged job", "op", "seal", "job", a.job, "err", rerr)
		}
	}()
	f := form{dir: dir, id: s.id(a.job), snap: a.snap, install: s.install(), at: a.rec.Submitted}
	if f.at.IsZero() {
		f.at = s.cfg.Now().UTC().Truncate(time.Microsecond)
	}
	if err := a.snap.read(a.host, f.place); err != nil {
		return false, a.orMoved(err)
	}
	if err := f.make(ctx); err != nil {
		return false, a.orMoved(err)
	}
	if gone := f.dropped(now.Files); len(gone) > 0 && s.cfg.Deletions != nil && !s.cfg.Deletions() {
		return false, a.orMoved(refuse(syscall.EPERM,
			"this version leaves out %s, which was submitted before, and the program of %s cannot take files away again: put that back, or copy the folder under a new name", some(gone), s.cfg.Owner))
	}
	g := f.receipt
	g.Source, g.At, g.LeftOut = a.snap.source(), s.cfg.Now().UTC(), a.snap.leftOut
	if err := a.stage(&g, f.at); err != nil {
		if errors.Is(err, errMoved) {
			return false, err
		}
		return false, a.delayed(err)
	}
	err = s.cfg.State.Step("seal:place")
	if err == nil {
		err = s.cfg.Place.Place(ctx, datasite.Change{
			Op:     datasite.OpSubmit,
			Path:   s.id(a.job).Inbox(),
			By:     datasite.Identity{Subject: s.cfg.Submitter, Account: s.cfg.Account},
			Origin: datasite.OriginLocal,
			At:     g.At,
		}, os.DirFS(dir))
	}
	if err != nil {
		return false, a.delayed(err)
	}
	return true, a.receipt(g)
}

// install is what run.sh installs for syft_client.
func (s *Store) install() string {
	const usual = "syft-client==0.1.117"
	if s.cfg.Install == nil {
		return usual
	}
	if from := s.cfg.Install(); jobs.CheckDependency(from) == nil {
		return from
	}
	return usual
}

// delayed is an error that goes away without the person.
func (a *attempt) delayed(err error) error {
	a.late = true
	if errors.Is(err, iofs.ErrPermission) {
		return refuse(err, "%s does not let you submit jobs yet; it is tried again until your account or peer is accepted", a.s.cfg.Owner)
	}
	return refuse(err, "handing it over failed and is tried again: %v", err)
}

// stage makes it durable that g is about to be handed over: from here on it may be, and whoever comes after a crash knows which bytes.
func (a *attempt) stage(g *receipt, at time.Time) error {
	s := a.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := a.still(); err != nil {
		return err
	}
	old := a.d.rec
	switch stage, sealed := old.Stage, old.Sealed; {
	case stage != nil && stage.Source == g.Source && stage.Digest == g.Digest:
		g.Revision = stage.Revision
	case stage != nil:
		g.Revision = stage.Revision + 1
	case sealed != nil:
		g.Revision = sealed.Revision + 1
	default:
		g.Revision = 1
	}
	if err := s.cfg.State.Step("seal:stage"); err != nil {
		return err
	}
	kept := *g
	a.d.rec.Stage, a.d.rec.Submitted = &kept, at
	if err := a.d.save(); err != nil {
		a.d.rec = old
		return err
	}
	return nil
}

// receipt makes it durable that g was handed over.
func (a *attempt) receipt(g receipt) error {
	s := a.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.cfg.State.Step("seal:receipt"); err != nil {
		return a.delayed(fmt.Errorf("receipt: %w", err))
	}
	old := a.d.rec
	a.d.rec.Sealed, a.d.rec.Stage = &g, nil
	if err := a.d.save(); err != nil {
		a.d.rec = old
		return a.delayed(fmt.Errorf("receipt: %w", err))
	}
	return nil
}
