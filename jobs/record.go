package jobs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/openmined/syftfs/perm"
)

// The state of the engine:
//
//	jobs/<key>/record.json      where the job stands: the one file that decides, replaced atomically at each step
//	jobs/<key>/rev-<n>/files    the intake copy of the revision that the record names
//	jobs/<key>/rev-<n>/manifest.json
//	runs/<run>/                 work and results while it runs; stdout.txt and stderr.txt stay
const (
	recordFile   = "record.json"
	manifestFile = "manifest.json"
	filesDir     = "files"
)

// record is what is durable about a job.
type record struct {
	Submitter perm.User
	Name      string
	Status    Status
	Arrived   time.Time // first seen; received_at
	Revision  int       // of the intake copy; 0: there is none
	Digest    Digest
	Stamp     string // of the inbox folder when it was last judged; "" when its files could change without a trace
	AtIntake  bool   // rejected by the intake, not by a person: judged again when the folder changes
	Adopted   bool   // decided by another program before this one kept records: shown, never run, never rewritten
	Reason    string // review_reason
	Approved  *approval
	Rejected  *rejection
	Run       *run
	Completed time.Time
	Code      *int
	Stopped   string // why the run was ended, "" if it ended by itself
	Notes     []string
}

type approval struct {
	By       perm.User
	Account  string // who acted for By; "" for themselves
	At       time.Time
	Method   string
	Digest   Digest
	Datasets []string
}

type rejection struct {
	By      perm.User
	Account string
	At      time.Time
}

// The steps of a run, in order. What is written down is true of the disk.
const (
	stepClaimed   = "claimed"   // the job is taken; nothing runs yet
	stepStarted   = "started"   // the runner may have been called
	stepCollected = "collected" // it has ended and how is known; logs and results are complete in runs/<run>
	stepFinished  = "finished"  // held, and told in the review folder
)

type run struct {
	ID      string
	Step    string
	Claimed time.Time
	Started time.Time
	Code    int    // from stepCollected on
	Reason  string // from stepCollected on
	Hold    bool   // there may be results to hold
	Notes   []string
}

// job is a record with what is read again at each start. Values are replaced, never changed: whoever holds one may keep it.
type job struct {
	rec         record
	files       []File
	config      Config
	offered     []string
	preselected []string
	missing     []string // of a received job
	hindrance   string   // why an approved job does not run, or a run cannot be finished

	// undone records how the run of a running job ended, if that failed before; nil as a rule. A restart knows nothing of it.
	undone func(context.Context) error
}

func (r record) id(owner perm.User) ID { return ID{Owner: owner, Submitter: r.Submitter, Name: r.Name} }

// key is the name of the job's folder in state: names of jobs may be bad ones.
func key(id ID) string {
	h := sha256.Sum256([]byte(id.String()))
	return hex.EncodeToString(h[:16])
}

func (r record) state() State {
	s := State{Status: r.Status, ReceivedAt: r.Arrived, ReviewReason: r.Reason, CompletedAt: r.Completed, ReturnCode: r.Code}
	if r.Approved != nil {
		s.ApprovedBy, s.ApprovedAt, s.ApprovalMethod = string(r.Approved.By), r.Approved.At, r.Approved.Method
	}
	if r.Rejected != nil {
		s.RejectedBy, s.RejectedAt = string(r.Rejected.By), r.Rejected.At
	}
	return s
}

func (j *job) public(owner perm.User) Job {
	r := j.rec
	out := Job{
		ID: r.id(owner), Status: r.Status, Revision: r.Revision, Digest: r.Digest, Files: slices.Clone(j.files), Config: j.config,
		State: r.state(), Offered: slices.Clone(j.offered), Preselected: slices.Clone(j.preselected), Message: j.message(),
		Notes: slices.Clone(r.Notes),
	}
	for _, f := range j.files {
		out.Size += f.Size
	}
	if r.Approved != nil {
		out.Granted = slices.Clone(r.Approved.Datasets)
	}
	if r.Run != nil {
		out.Notes = append(out.Notes, r.Run.Notes...)
	}
	return out
}

// hindered: something outside the job keeps it from running, or from being finished.
func (j *job) hindered() bool {
	return j.hindrance != "" && (j.rec.Status == Approved || j.rec.Status == Running)
}

// message says why the job stands where it stands and what to do next.
func (j *job) message() string {
	r := j.rec
	switch {
	case r.Adopted:
		return "decided before this program kept records; it is only shown"
	case j.hindrance != "":
		return j.hindrance
	}
	switch r.Status {
	case Received:
		return fmt.Sprintf("waits for %s; it is rejected if that is not there by %s", some(j.missing), r.Arrived.Add(incompleteAfter).UTC().Format(time.RFC3339))
	case Pending:
		return "waits for the owner: read it, then approve or reject it"
	case Approved:
		return "approved; it runs when its turn comes"
	case Running:
		return "runs since " + r.Run.Claimed.UTC().Format(time.RFC3339)
	case Done:
		return "ended well; its results are held until the owner releases them"
	case Failed:
		if r.Stopped != "" {
			return "was ended: " + r.Stopped
		}
		if r.Code != nil {
			return fmt.Sprintf("ended with exit status %d; stderr says why", *r.Code)
		}
	case Rejected:
		return "rejected: " + r.Reason
	}
	return ""
}

// some shows the first names of a list.
func some(names []string) string {
	const few = 3
	quoted := make([]string, 0, few)
	for _, n := range names[:min(few, len(names))] {
		quoted = append(quoted, fmt.Sprintf("%q", n))
	}
	s := strings.Join(quoted, ", ")
	if n := len(names) - few; n > 0 {
		s += fmt.Sprintf(" and %d more", n)
	}
	return s
}

// load reads one record with what belongs to it, and removes what a crash left beside it.
func (e *Engine) load(k string) (*job, error) {
	var r record
	if err := e.jobs.ReadJSON(filepath.Join(k, recordFile), &r); err != nil {
		if errors.Is(err, iofs.ErrNotExist) { // made, and never recorded
			return nil, os.RemoveAll(e.jobs.Path(k))
		}
		return nil, err
	}
	if want := key(r.id(e.cfg.Owner)); want != k {
		return nil, fmt.Errorf("%s: is the record of another job", e.jobs.Path(k, recordFile))
	}
	j := &job{rec: r}
	keep := revision(r.Revision)
	entries, err := os.ReadDir(e.jobs.Path(k))
	if err != nil {
		return nil, err
	}
	for _, d := range entries {
		if d.IsDir() && d.Name() != keep {
			if err := os.RemoveAll(e.jobs.Path(k, d.Name())); err != nil {
				return nil, err
			}
		}
	}
	if r.Revision == 0 {
		return j, nil
	}
	b, err := e.jobs.Read(filepath.Join(k, keep, manifestFile))
	if err == nil {
		err = json.Unmarshal(b, &j.files)
	}
	var src []byte
	if err == nil {
		src, err = e.jobs.Read(filepath.Join(k, keep, filesDir, ConfigFile))
	}
	if err == nil {
		j.config, err = ParseConfig(src)
	}
	if err != nil { // the copy is damaged: a run would refuse it by its digest; the job stays listed
		e.log.Error("intake copy cannot be read", "job", r.id(e.cfg.Owner).String(), "err", err)
		j.hindrance = "its intake copy in state is damaged: reject it and ask the submitter to submit it again"
		return j, nil
	}
	return j, nil
}

func revision(n int) string { return fmt.Sprintf("rev-%d", n) }

// copyOf is the folder of the intake copy.
func (e *Engine) copyOf(r record) string {
	return e.jobs.Path(key(r.id(e.cfg.Owner)), revision(r.Revision), filesDir)
}
