// Package jobs says what a job folder is (formats, names, digest), which states it may be in, and holds the owner's engine
// that moves it: intake, review, queue, run. Local state decides; state.yaml is output and never believed. It declares what it
// needs (Tree, Feed, Runner, Holder, Datasets) and does not know the mount, the sandbox or Drive.
package jobs

import (
	"context"
	"io"
	iofs "io/fs"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

// ID names a job: the datasite, the submitter (from the path, never from the file) and the folder's name.
type ID struct {
	Owner     perm.User
	Submitter perm.User
	Name      string
}

// Inbox is the stored folder of what was submitted.
func (id ID) Inbox() datasite.Path {
	return datasite.Path{Owner: id.Owner}.Join(datasite.JobInboxDir, string(id.Submitter), id.Name)
}

// Review is the stored folder of what the owner answers.
func (id ID) Review() datasite.Path {
	return datasite.Path{Owner: id.Owner}.Join(datasite.JobReviewDir, string(id.Submitter), id.Name)
}

func (id ID) String() string { return string(id.Submitter) + "/" + id.Name }

// Status is where a job stands.
type Status string

// The states of a job, as state.yaml spells them. Draft exists at the submitter only and is never written to state.yaml.
const (
	Draft    Status = "draft"
	Received Status = "received"
	Pending  Status = "pending"
	Approved Status = "approved"
	Rejected Status = "rejected"
	Running  Status = "running"
	Done     Status = "done"
	Failed   Status = "failed"
)

// Decided reports whether the owner has decided: the submitter can change nothing any more.
func (s Status) Decided() bool {
	return s == Approved || s == Rejected || s == Running || s == Done || s == Failed
}

// Digest fixes every path and byte of a submission: "sha256:" and 64 hexadecimal digits.
type Digest string

// File is one regular file of a submission.
type File struct {
	Path string
	Size int64
	Hash datasite.Hash
}

// Job is what anyone may be told about a job; a copy, safe to keep.
type Job struct {
	ID          ID
	Status      Status
	Revision    int
	Digest      Digest // of the intake copy
	Size        int64
	Files       []File
	Config      Config
	State       State
	Offered     []string // datasets that may be ticked at approval
	Preselected []string // of these, what an approval without a choice grants
	Granted     []string // datasets of the approval
	Message     string   // why it stands here and what to do next, one sentence
	Notes       []string // e.g. "changed after approval; the run keeps the approved files"
}

// Approval is the owner's decision for one digest.
type Approval struct {
	Digest   string   // 12 or more hexadecimal digits, with or without "sha256:"
	Datasets []string // nil: the preselected ones
	Reason   string
	Method   string // "manual" or "auto"
}

// Limits bound one run; zero fields mean the default.
type Limits struct {
	Timeout     time.Duration // 300 s
	Memory      int64         // bytes, 4 GiB
	Processes   int64         // 256
	ResultBytes int64         // 1 GiB
	ResultFiles int64         // 10,000
	LogBytes    int64         // a stream, 10 MiB
}

// Bind is a granted dataset: where its parts lie on this machine.
type Bind struct {
	Name    string
	Public  string // host folder: mock part and dataset.yaml
	Private string // host folder: the private part
}

// Spec is one run: everything the sandbox needs, nothing else.
type Spec struct {
	ID       ID
	Run      string // id of the run
	Work     string // host folder with the private copy of the submission, thrown away after
	Results  string // host folder, empty: what was collected is put here, regular files and folders only
	Stdout   string // host files for the streams, capped at Limits.LogBytes each
	Stderr   string
	Datasets []Bind
	Limits   Limits
}

// Outcome is how a run ended.
type Outcome struct {
	Code    int      // exit status 0-255, 128+n for signal n, -1 when we ended it
	Reason  string   // "" or one of timeout memory processes output_quota interrupted cancelled sandbox_setup ...
	Dropped []string // what was not collected, a line each, already written to the end of Stderr
	Notes   []string // which limits were held by which means
}

// Runner runs one spec confined. Another one than this machine's sandbox may lie beside it.
type Runner interface {
	// Ready says what is missing on this machine, with the remedy; nil when a job can run. Cheap to call repeatedly.
	Ready(ctx context.Context) error
	// Run runs spec to its end, or to the end of ctx (then Reason is "cancelled"). An error means that nothing ran.
	Run(ctx context.Context, spec Spec) (Outcome, error)
}

// Tree is the owner's view of the own datasite.
type Tree interface {
	List(ctx context.Context, p datasite.Path) ([]datasite.Entry, error)
	Stat(ctx context.Context, p datasite.Path) (datasite.Entry, error)
	OpenFile(ctx context.Context, p datasite.Path) (io.ReadCloser, error) // a regular file; links are not followed
	Write(ctx context.Context, p datasite.Path, body []byte) error        // a whole file, atomically; parents are made
	Place(ctx context.Context, c datasite.Change, src iofs.FS) error      // a whole folder, by one rename
	Remove(ctx context.Context, p datasite.Path) error                    // a file or an empty folder
	RemoveAll(ctx context.Context, p datasite.Path) error
}

// Feed gives the changes of the tree from a durable cursor; a journal reader fits.
type Feed interface {
	Next(ctx context.Context) (datasite.Change, error)
	Done(seq uint64) error
}

// Holder takes the collected results of a run; jobs/release fits. Hold moves dir away and is repeatable.
type Holder interface {
	Hold(ctx context.Context, id ID, run, dir string) error
}

// Datasets says which datasets exist and who may be granted what.
type Datasets interface {
	// Offered lists the names of datasets whose mock part u may read now.
	Offered(ctx context.Context, u perm.User) ([]string, error)
	// Bind says where a dataset lies on this machine; fs.ErrNotExist if there is none.
	Bind(ctx context.Context, name string) (Bind, error)
}
