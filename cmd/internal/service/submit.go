package service

import (
	"context"
	"errors"
	iofs "io/fs"
	"syscall"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/jobs/draft"
	"github.com/openmined/syftfs/perm"
)

// Drafts are the jobs that are being copied for one peer; jobs/draft's Store fits.
type Drafts interface {
	Draft(name string) (draft.Draft, error)
	Submit(ctx context.Context, name string) error
}

// Submitters gives the drafts for a peer's datasite, as whoever owns this one; the daemon fits it. fs.ErrNotExist: jobs cannot be
// submitted there.
type Submitters interface {
	Drafts(owner perm.User) (Drafts, error)
}

// Submission is the question of `syftfs job submit`, whose files are copied already.
type Submission struct {
	Owner string `json:"owner"` // whose datasite it is for
	Name  string `json:"name"`  // in jobs/
}

// Submitted is a job that was sealed.
type Submitted struct {
	Owner    string   `json:"owner"`
	Name     string   `json:"name"` // of the job
	Digest   string   `json:"digest"`
	Revision int      `json:"revision"`
	Files    int      `json:"files"`
	Size     int64    `json:"size"`
	LeftOut  []string `json:"left_out"` // names that were not submitted
	Findings []string `json:"findings"` // advice on the code
}

// The kernel tells of the last close of a file a little after close(2) has returned.
const (
	closeLimit = 3 * time.Second
	closeAgain = 20 * time.Millisecond
)

// JobSubmit seals a draft at once.
func (s *Service) JobSubmit(ctx context.Context, c Caller, q Submission) (Submitted, error) {
	if err := s.admin(c, "submitting jobs"); err != nil {
		return Submitted{}, err
	}
	owner, err := s.elsewhere(q.Owner)
	if err != nil {
		e := Wrap(err)
		e.Field = "owner"
		if e.Code == BadInput {
			e.Message = "you need not submit a job to yourself: name the peer whose data it is for"
		}
		return Submitted{}, e
	}
	if err := datasite.CheckName(q.Name); err != nil {
		return Submitted{}, &Error{Code: BadInput, Field: "name", Message: err.Error(), Err: err}
	}
	if s.Submitters == nil {
		return Submitted{}, noDrive("submitting to somebody elsewhere")
	}
	drafts, err := s.Submitters.Drafts(owner)
	if errors.Is(err, iofs.ErrNotExist) {
		return Submitted{}, &Error{Code: NotFound, Field: "owner", Err: err,
			Message: string(owner) + " is no accepted peer: ask for exchange first, with `syftfs peers request " + string(owner) + "`"}
	}
	if err != nil {
		return Submitted{}, Wrap(err)
	}
	if _, err := drafts.Draft(q.Name); err != nil {
		return Submitted{}, Wrap(err)
	}
	return audited(s, c, Entry{Action: "job.submit", Target: string(owner) + " " + q.Name}, func() (Submitted, error) {
		if err := seal(ctx, drafts, q.Name); err != nil {
			return Submitted{}, err
		}
		d, err := drafts.Draft(q.Name)
		if err != nil {
			return Submitted{}, err
		}
		return Submitted{Owner: string(owner), Name: d.ID.Name, Digest: string(d.Digest), Revision: d.Revision, Files: d.Files, Size: d.Size,
			LeftOut: append([]string{}, d.LeftOut...), Findings: append([]string{}, d.Findings...)}, nil
	})
}

// seal submits, and for a little while waits for files that were just closed.
func seal(ctx context.Context, drafts Drafts, name string) error {
	limit := time.NewTimer(closeLimit)
	defer limit.Stop()
	again := time.NewTicker(closeAgain)
	defer again.Stop()
	for closed := false; ; {
		err := drafts.Submit(ctx, name)
		if !errors.Is(err, syscall.EBUSY) || closed {
			return err
		}
		d, derr := drafts.Draft(name)
		if derr != nil {
			return errors.Join(err, derr)
		}
		closed = d.Open == 0 // the last close was told after the try: once more
		select {
		case <-again.C:
		case <-limit.C:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// LeftOut reports whether a file or folder of this name has no part in what travels.
func LeftOut(name string) bool { return datasite.Excluded(name) }
