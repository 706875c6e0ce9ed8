package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/statedir"
	"github.com/openmined/syftfs/perm"
)

// scan looks at every folder of the inbox, and at every job that is known.
func (e *Engine) scan(ctx context.Context) error {
	ids := map[ID]bool{}
	inbox := datasite.Path{Owner: e.cfg.Owner}.Join(datasite.JobInboxDir)
	people, err := e.cfg.Tree.List(ctx, inbox)
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return fmt.Errorf("scan of the inbox: %w", err)
	}
	for _, d := range people {
		if _, ok := submitter(d.Name); !ok || !d.Mode.IsDir() {
			continue
		}
		folders, err := e.cfg.Tree.List(ctx, inbox.Join(d.Name))
		if err != nil && !errors.Is(err, iofs.ErrNotExist) {
			return fmt.Errorf("scan of the inbox: %w", err)
		}
		for _, f := range folders {
			if id, ok := e.idOf(d.Name, f.Name); ok && f.Mode.IsDir() {
				ids[id] = true
			}
		}
	}
	e.mu.Lock()
	for id := range e.all {
		ids[id] = true
	}
	e.mu.Unlock()
	var errs []error
	for _, id := range sortedIDs(ids) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		errs = append(errs, e.look(ctx, id))
	}
	return errors.Join(errs...)
}

// submitter reads the name of a folder as an address; only the canonical spelling is one.
func submitter(name string) (perm.User, bool) {
	u, err := perm.ParseUser(name)
	return u, err == nil && string(u) == name && u != perm.Anonymous
}

// idOf names the job of a folder; false if a job cannot lie there, so that nothing may be answered beside it.
func (e *Engine) idOf(person, name string) (ID, bool) {
	u, ok := submitter(person)
	if !ok || datasite.CheckName(name) != nil || IsRuleName(name) || datasite.Excluded(name) {
		return ID{}, false
	}
	return ID{Owner: e.cfg.Owner, Submitter: u, Name: name}, true
}

// look compares one job with the tree and moves it on: intake before the decision, a note after it.
func (e *Engine) look(ctx context.Context, id ID) error {
	release, err := e.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	return e.lookNow(ctx, id)
}

// lookNow is look for a caller who has the turn.
func (e *Engine) lookNow(ctx context.Context, id ID) error {
	l, err := e.list(ctx, id)
	gone := errors.Is(err, iofs.ErrNotExist)
	if err != nil && !gone {
		return err
	}
	j := e.peek(id)
	switch {
	case j == nil && (gone || !l.isJob):
		return nil
	case j == nil:
		if j, err = e.arrived(ctx, id); err != nil {
			return err
		}
		if j.rec.Adopted {
			return e.save("intake", j)
		}
		err = e.intake(ctx, id, j, l)
	case j.rec.Adopted:
		return nil
	case gone && j.rec.Status == Received:
		return e.forget(id)
	case gone && j.rec.Status == Pending:
		err = e.note(j, "note", "the submission is not in the inbox any more; what the intake copied is what you see and approve")
	case gone:
	case j.rec.Status == Received || j.rec.Status == Pending || j.rec.AtIntake:
		err = e.intake(ctx, id, j, l)
	default:
		err = e.compare(ctx, id, j, l)
	}
	if err != nil {
		return err
	}
	return e.publish(ctx, id)
}

// arrived is the state of a job that is seen for the first time. One that another program decided and ended before this one kept records is
// adopted as it is: nothing in it is believed beyond that it need not be decided again.
func (e *Engine) arrived(ctx context.Context, id ID) (*job, error) {
	r := record{Submitter: id.Submitter, Name: id.Name, Status: Received, Arrived: e.now().UTC().Truncate(time.Microsecond)}
	src, err := e.read(ctx, id.Review().Join(StateFile), MaxConfigBytes+1)
	if errors.Is(err, iofs.ErrNotExist) {
		return &job{rec: r}, nil
	}
	if err != nil {
		return nil, err
	}
	s, err := ParseState(src)
	if err != nil || (s.Status != Done && s.Status != Failed && s.Status != Rejected) {
		return &job{rec: r}, nil // not readable, or not ended: it is decided anew
	}
	r.Adopted, r.Status, r.Reason, r.Completed, r.Code = true, s.Status, s.ReviewReason, s.CompletedAt, s.ReturnCode
	if !s.ReceivedAt.IsZero() {
		r.Arrived = s.ReceivedAt
	}
	if !s.ApprovedAt.IsZero() {
		r.Approved = &approval{By: perm.User(s.ApprovedBy), At: s.ApprovedAt, Method: s.ApprovalMethod}
	}
	if !s.RejectedAt.IsZero() {
		r.Rejected = &rejection{By: perm.User(s.RejectedBy), At: s.RejectedAt}
	}
	return &job{rec: r}, nil
}

// forget drops a job that went away before anything of it was copied.
func (e *Engine) forget(id ID) error {
	if err := os.RemoveAll(e.jobs.Path(key(id))); err != nil {
		return fmt.Errorf("job %s: %w", id, err)
	}
	e.mu.Lock()
	delete(e.all, id)
	e.mu.Unlock()
	e.told = append(e.told, id)
	return nil
}

// intake moves an undecided job to where its folder says: received, pending with a copy, or rejected.
func (e *Engine) intake(ctx context.Context, id ID, old *job, l listing) error {
	if old.rec.Stamp != "" && old.rec.Stamp == l.stamp && old.rec.Status != Received {
		return nil
	}
	j := *old
	j.rec.Stamp = l.stamp
	config, missing, err := e.judge(ctx, id, l)
	if err == nil && len(missing) == 0 && j.rec.Status != Pending && e.waiting(id.Submitter) >= MaxWaiting {
		err = refusal{fmt.Sprintf("%d jobs of %s wait for a decision already; submit it again when some are decided", MaxWaiting, id.Submitter)}
	}
	if err == nil && len(missing) == 0 {
		err = e.copyIn(ctx, id, &j, l, config)
	}
	var no refusal
	switch {
	case errors.As(err, &no):
		if j.rec.Status == Pending { // the copy that was reviewed stays: the sender's mistake takes nothing away
			return e.note(&j, "intake", "a later change in the inbox was not taken: "+no.reason)
		}
		e.turnAway(&j, config, no.reason)
	case err != nil:
		return err
	case len(missing) == 0:
		if err := e.datasetsOf(ctx, &j); err != nil {
			return err
		}
	case j.rec.Status == Pending:
		return e.note(&j, "intake", "a later change in the inbox is not complete and was not taken: "+some(missing)+" is missing")
	case !e.now().Before(j.rec.Arrived.Add(incompleteAfter)):
		e.turnAway(&j, config, "incomplete: "+some(missing)+" did not come")
	default:
		j.rec.Status, j.rec.AtIntake, j.rec.Rejected, j.rec.Reason = Received, false, nil, ""
		j.config, j.missing, j.rec.Stamp = config, missing, ""
		if old.rec.Status == Received && slices.Equal(old.missing, missing) && e.peek(id) != nil {
			return nil
		}
	}
	if same(old.rec, j.rec) && e.peek(id) != nil {
		e.remember(&j)
		return nil
	}
	if err := e.save("intake", &j); err != nil {
		return err
	}
	if old.rec.Revision != 0 && old.rec.Revision != j.rec.Revision {
		if err := os.RemoveAll(filepath.Dir(e.copyOf(old.rec))); err != nil {
			e.log.Warn("old intake copy not removed", "job", id.String(), "err", err)
		}
	}
	return nil
}

// same reports whether two records say the same but for stamps that prove nothing.
func same(a, b record) bool {
	if b.Stamp == "" {
		b.Stamp = a.Stamp
	}
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// turnAway rejects at intake. The reason may change with the folder; the time is that of the first rejection.
func (e *Engine) turnAway(j *job, c Config, reason string) {
	j.config, j.missing = c, nil
	j.rec.Status, j.rec.AtIntake, j.rec.Reason = Rejected, true, reason
	if j.rec.Rejected == nil {
		j.rec.Rejected = &rejection{By: e.cfg.Owner, At: e.now()}
	}
}

// copyIn copies the submission into state while hashing. The same digest as before changes nothing; another one is a new revision.
func (e *Engine) copyIn(ctx context.Context, id ID, j *job, l listing, c Config) error {
	k := key(id)
	if err := e.folder(k); err != nil {
		return fmt.Errorf("intake of %s: %w", id, err)
	}
	tmp, err := os.MkdirTemp(e.jobs.Path(k), "new-*")
	if err != nil {
		return fmt.Errorf("intake of %s: %w", id, err)
	}
	defer os.RemoveAll(tmp) // gone already when it was renamed
	var m manifest
	for _, p := range l.paths {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := e.copyFile(ctx, id, p, filepath.Join(tmp, filesDir), &m); err != nil {
			if errors.Is(err, ErrTooBig) {
				return refusal{err.Error()}
			}
			return fmt.Errorf("intake of %s: %w", id, err)
		}
	}
	files := m.sorted()
	digest := DigestOf(files)
	if j.rec.Status == Pending && digest == j.rec.Digest {
		return nil
	}
	// The files were judged by names; the configuration that counts is the one in the copy.
	src, err := os.ReadFile(filepath.Join(tmp, filesDir, ConfigFile))
	if err != nil {
		return fmt.Errorf("intake of %s: %w", id, err)
	}
	if again, err := ParseConfig(src); err != nil || again.Check(id) != nil || again.JobType != c.JobType || !slices.Equal(again.Files, c.Files) {
		return fmt.Errorf("intake of %s: %s changed while it was copied: %w", id, ConfigFile, datasite.ErrStale)
	}
	b, err := json.Marshal(files)
	if err == nil {
		err = os.WriteFile(filepath.Join(tmp, manifestFile), b, 0o600)
	}
	if err == nil {
		err = SyncTree(tmp)
	}
	if err == nil {
		err = e.jobs.Step("intake:copy")
	}
	if err != nil {
		return fmt.Errorf("intake of %s: %w", id, err)
	}
	n := j.rec.Revision + 1
	to := e.jobs.Path(k, revision(n))
	if err = os.RemoveAll(to); err == nil { // what a crash left before the record named it
		err = os.Rename(tmp, to)
	}
	if err == nil {
		err = statedir.SyncDir(e.jobs.Path(k))
	}
	if err != nil {
		return fmt.Errorf("intake of %s: %w", id, err)
	}
	j.files, j.config, j.missing = files, c, nil
	j.rec.Revision, j.rec.Digest = n, digest
	j.rec.Status, j.rec.AtIntake, j.rec.Rejected, j.rec.Reason = Pending, false, nil, ""
	j.rec.Notes = nil // they were about the revision before
	return nil
}

func (e *Engine) copyFile(ctx context.Context, id ID, p, dir string, m *manifest) error {
	src, err := e.cfg.Tree.OpenFile(ctx, id.Inbox().Join(p))
	if err != nil {
		return err
	}
	defer src.Close()
	to := filepath.Join(dir, filepath.FromSlash(p))
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = m.add(p, src, dst)
	if cerr := dst.Close(); err == nil {
		err = cerr
	}
	return err
}
