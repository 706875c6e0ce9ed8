package service

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"time"

	"github.com/openmined/syftfs/jobs"
)

// JobQuestion names a job: its name, or submitter/name where two submitters use the same.
type JobQuestion struct {
	Job string `json:"job"`
}

// HeldFile is a result that waits for release.
type HeldFile struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// JobFile is a file of a submission.
type JobFile struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Job is what anyone may be told about a job.
type Job struct {
	Name       string    `json:"name"`
	Submitter  string    `json:"submitter"`
	Status     string    `json:"status"`
	Revision   int       `json:"revision"`
	Digest     string    `json:"digest,omitempty"`
	Size       int64     `json:"size"`
	Received   time.Time `json:"received_at,omitzero"`
	ApprovedBy string    `json:"approved_by,omitempty"`
	ApprovedAt time.Time `json:"approved_at,omitzero"`
	Method     string    `json:"approval_method,omitempty"`
	Reason     string    `json:"review_reason,omitempty"`
	Completed  time.Time `json:"completed_at,omitzero"`
	ReturnCode *int      `json:"return_code"`
	Wanted     []string  `json:"dependencies,omitempty"`
	Offered    []string  `json:"datasets_offered"`
	Granted    []string  `json:"datasets_granted"`
	Message    string    `json:"message"`
	Notes      []string  `json:"notes,omitempty"`
}

// JobDetails is a job with its files and with what waits for release.
type JobDetails struct {
	Job
	Files []JobFile  `json:"files"`
	Held  []HeldFile `json:"held"`
}

func shown(j jobs.Job) Job {
	return Job{Name: j.ID.Name, Submitter: string(j.ID.Submitter), Status: string(j.Status), Revision: j.Revision, Digest: string(j.Digest), Size: j.Size,
		Received: j.State.ReceivedAt, ApprovedBy: j.State.ApprovedBy, ApprovedAt: j.State.ApprovedAt, Method: j.State.ApprovalMethod, Reason: j.State.ReviewReason,
		Completed: j.State.CompletedAt, ReturnCode: j.State.ReturnCode, Wanted: j.Config.Dependencies, Offered: j.Offered, Granted: j.Granted,
		Message: j.Message, Notes: j.Notes}
}

// JobList lists the jobs of this datasite, newest first.
func (s *Service) JobList(_ context.Context, c Caller, _ struct{}) ([]Job, error) {
	if err := s.admin(c, "listing jobs"); err != nil {
		return nil, err
	}
	list := []Job{}
	for _, j := range s.Engine.List() {
		list = append(list, shown(j))
	}
	return list, nil
}

// JobShow tells everything about one job.
func (s *Service) JobShow(_ context.Context, c Caller, q JobQuestion) (JobDetails, error) {
	j, err := s.job(c, "showing a job", q.Job)
	if err != nil {
		return JobDetails{}, err
	}
	items, err := s.Held.Held(j.ID)
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return JobDetails{}, Wrap(err)
	}
	d := JobDetails{Job: shown(j), Files: []JobFile{}, Held: []HeldFile{}}
	for _, f := range j.Files {
		d.Files = append(d.Files, JobFile{f.Path, f.Size, f.Hash.String()})
	}
	for _, it := range items {
		d.Held = append(d.Held, HeldFile{Path: it.Path, Size: it.Size, SHA256: it.Hash.String()})
	}
	return d, nil
}

func (s *Service) job(c Caller, op, name string) (jobs.Job, error) {
	if err := s.admin(c, op); err != nil {
		return jobs.Job{}, err
	}
	j, err := s.Engine.Find(name)
	if err != nil {
		return jobs.Job{}, Wrap(err)
	}
	return j, nil
}

// after is the job as it stands now.
func (s *Service) after(id jobs.ID) (Job, error) {
	j, err := s.Engine.Get(id)
	return shown(j), wrapped(err)
}

// Approval is the question of `syftfs job approve`.
type Approval struct {
	Job      string   `json:"job"`
	Digest   string   `json:"digest"` // of the bytes that the person saw, 12 or more digits
	Datasets []string `json:"datasets"`
	Reason   string   `json:"reason"`
}

// JobApprove approves exactly the bytes of one digest.
func (s *Service) JobApprove(ctx context.Context, c Caller, q Approval) (Job, error) {
	j, err := s.job(c, "approving a job", q.Job)
	if err != nil {
		return Job{}, err
	}
	if q.Digest == "" {
		return Job{}, &Error{Code: BadInput, Field: "digest",
			Message: fmt.Sprintf("say which bytes you approve: `syftfs job show %s` tells the digest, give 12 or more of its digits", j.ID.Name)}
	}
	return audited(s, c, Entry{Action: "job.approve", Target: j.ID.String() + " " + q.Digest}, func() (Job, error) {
		if err := s.Engine.Approve(ctx, j.ID, s.by(c), jobs.Approval{Digest: q.Digest, Datasets: q.Datasets, Reason: q.Reason, Method: "manual"}); err != nil {
			return Job{}, err
		}
		return s.after(j.ID)
	})
}

// Rejection is the question of `syftfs job reject`.
type Rejection struct {
	Job    string `json:"job"`
	Reason string `json:"reason"`
}

// JobReject rejects a job; its submitter reads the reason.
func (s *Service) JobReject(ctx context.Context, c Caller, q Rejection) (Job, error) {
	j, err := s.job(c, "rejecting a job", q.Job)
	if err != nil {
		return Job{}, err
	}
	return audited(s, c, Entry{Action: "job.reject", Target: j.ID.String()}, func() (Job, error) {
		if err := s.Engine.Reject(ctx, j.ID, s.by(c), q.Reason); err != nil {
			return Job{}, err
		}
		return s.after(j.ID)
	})
}

// JobCancel ends a job that is approved or running.
func (s *Service) JobCancel(ctx context.Context, c Caller, q JobQuestion) (Job, error) {
	j, err := s.job(c, "cancelling a job", q.Job)
	if err != nil {
		return Job{}, err
	}
	return audited(s, c, Entry{Action: "job.cancel", Target: j.ID.String()}, func() (Job, error) {
		if err := s.Engine.Cancel(ctx, j.ID, s.by(c)); err != nil {
			return Job{}, err
		}
		return s.after(j.ID)
	})
}

// JobRun tries approved jobs at once; an error tells what the machine lacks.
func (s *Service) JobRun(ctx context.Context, c Caller, _ struct{}) (struct{}, error) {
	if err := s.admin(c, "running jobs"); err != nil {
		return struct{}{}, err
	}
	if err := s.Runner.Ready(ctx); err != nil {
		return struct{}{}, &Error{Code: Machine, Message: "approved jobs wait: " + err.Error(), Err: err}
	}
	s.Engine.Kick()
	return struct{}{}, nil
}

// Release is the question of `syftfs job release`.
type Release struct {
	Job   string   `json:"job"`
	Names []string `json:"names"` // none: everything that is held
	Logs  bool     `json:"logs"`  // the logs too
}

// JobRelease lets held results go to their submitter.
func (s *Service) JobRelease(ctx context.Context, c Caller, q Release) (JobDetails, error) {
	j, err := s.job(c, "releasing results", q.Job)
	if err != nil {
		return JobDetails{}, err
	}
	names := q.Names
	if len(names) == 0 {
		names = nil // everything
	}
	return audited(s, c, Entry{Action: "job.release", Target: j.ID.String()}, func() (JobDetails, error) {
		// A run that failed has logs, and mostly no results.
		onlyLogs := func(err error) bool { return q.Logs && names == nil && errors.Is(err, iofs.ErrNotExist) }
		if err := s.Held.Release(ctx, j.ID, names, s.by(c)); err != nil && !onlyLogs(err) {
			return JobDetails{}, err
		}
		if q.Logs {
			if err := s.Held.ShareLogs(ctx, j.ID, s.by(c)); err != nil {
				return JobDetails{}, err
			}
		}
		return s.JobShow(ctx, c, JobQuestion{Job: j.ID.String()})
	})
}

// Log is both streams of a run.
type Log struct {
	Job        string `json:"job"`
	Stdout     string `json:"stdout"`
	Stderr     string `json:"stderr"`
	ReturnCode *int   `json:"return_code"`
}

// JobLogs gives what a job printed.
func (s *Service) JobLogs(_ context.Context, c Caller, q JobQuestion) (Log, error) {
	j, err := s.job(c, "reading logs", q.Job)
	if err != nil {
		return Log{}, err
	}
	l := Log{Job: j.ID.String(), ReturnCode: j.State.ReturnCode}
	for stream, to := range map[string]*string{"stdout": &l.Stdout, "stderr": &l.Stderr} {
		b, err := s.Engine.Log(j.ID, stream)
		if err != nil {
			return Log{}, Wrap(err)
		}
		*to = string(b)
	}
	return l, nil
}
