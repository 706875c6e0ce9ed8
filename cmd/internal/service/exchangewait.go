package service

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"strings"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/jobs"
	"github.com/openmined/syftfs/perm"
)

// WaitQuestion is the question of `syftfs wait`.
type WaitQuestion struct {
	Path    string        `json:"path"`
	Exists  bool          `json:"exists"`  // only until it is there
	Timeout time.Duration `json:"timeout"` // 0: as long as the caller waits
}

// Waited is what was waited for.
type Waited struct {
	Path string `json:"path"`
	FileState
}

// lookAgain is how often is looked whether something is there.
const lookAgain = 200 * time.Millisecond

// Wait waits until a path is there, and then until it is settled: sent to everybody who may read it, or answered by its owner. Over time it
// is NotYet.
func (s *Service) Wait(ctx context.Context, c Caller, q WaitQuestion) (Waited, error) {
	if err := s.admin(c, "waiting"); err != nil {
		return Waited{}, err
	}
	typed, err := s.path(q.Path)
	if err != nil {
		return Waited{}, err
	}
	p, err := s.stored(typed)
	if err != nil {
		return Waited{}, err
	}
	if q.Timeout < 0 {
		return Waited{}, &Error{Code: BadInput, Field: "timeout", Message: "a time to wait is not negative"}
	}
	if !q.Exists && (s.Exchange == nil || s.Syncer == nil) {
		return Waited{}, noDrive("waiting until something is sent")
	}
	limited := ctx
	if q.Timeout > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, q.Timeout)
		defer cancel()
	}
	there, err := s.await(limited, p, q.Exists)
	a := Waited{Path: typed.String()}
	if s.Exchange != nil {
		var serr error
		if a.FileState, serr = s.Exchange.State(ctx, p, ""); serr != nil {
			return Waited{}, Wrap(errors.Join(err, serr))
		}
	}
	switch {
	case err == nil:
		return a, nil
	case errors.Is(limited.Err(), context.DeadlineExceeded):
		at := "it is not there"
		if there {
			at = "it is " + a.FileState.String()
		}
		return Waited{}, &Error{Code: NotYet, Message: fmt.Sprintf("not yet: /%s: %s", a.Path, at), Err: err}
	case ctx.Err() == nil && a.stuck():
		return Waited{}, &Error{Code: Conflict, Field: "path", Message: err.Error(), Err: err}
	}
	return Waited{}, Wrap(err)
}

// await waits; there tells whether p was seen.
func (s *Service) await(ctx context.Context, p datasite.Path, exists bool) (there bool, err error) {
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	for {
		_, err := s.View.Stat(ctx, p)
		if err == nil {
			break
		}
		if !errors.Is(err, iofs.ErrNotExist) {
			return false, err
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return false, fmt.Errorf("wait %s: %w", p, context.Cause(ctx))
		case <-s.Host.Stopping():
			return false, &Error{Code: NotRunning, Message: "the datasite is stopping"}
		}
	}
	if exists {
		return true, nil
	}
	return true, s.Syncer.Wait(ctx, p)
}

// stored is where what a mount shows in jobs/ is kept.
func (s *Service) stored(p datasite.Path) (datasite.Path, error) {
	rel, in := strings.CutPrefix(p.Rel, datasite.JobsDir+"/")
	if !in {
		return p, nil
	}
	id := jobs.ID{Owner: p.Owner, Submitter: s.Owner}
	if p.Owner == s.Owner {
		who, rest, _ := strings.Cut(rel, "/")
		u, err := perm.ParseUser(who)
		if err != nil || rest == "" {
			return p, &Error{Code: BadInput, Field: "path", Message: "name a job: " + string(p.Owner) + "/jobs/SUBMITTER/JOB"}
		}
		id.Submitter, rel = u, rest
	} else {
		rel = strings.TrimPrefix(rel, string(s.Owner)+"/")
	}
	name, rest, _ := strings.Cut(rel, "/")
	id.Name = name
	top, below, _ := strings.Cut(rest, "/")
	switch top {
	case jobs.OutputsDir, jobs.StateFile:
		return id.Review().Join(rest), nil
	case "logs":
		if below == "" {
			return id.Review(), nil
		}
		return id.Review().Join(below), nil
	case "status", "held", "DECISION":
		return p, &Error{Code: BadInput, Field: "path", Message: rest + " is shown by this machine alone: wait for the job, or for something in outputs/"}
	}
	return id.Inbox().Join(rest), nil
}
