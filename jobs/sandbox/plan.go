package sandbox

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/openmined/syftfs/jobs"
)

// Why we ended or refused a run, as Outcome.Reason spells it.
const (
	reasonTimeout     = "timeout"
	reasonMemory      = "memory"
	reasonProcesses   = "processes"
	reasonQuota       = "output_quota"
	reasonInterrupted = "interrupted"
	reasonCancelled   = "cancelled"
	reasonSetup       = "sandbox_setup"
	reasonCollect     = "collect_failed"
	reasonDataset     = "dataset_unavailable"
)

// Bounds that jobs.Limits has no field for.
const (
	openFiles      = 1024
	maxResultFile  = 512 << 20
	maxResultDepth = 32
	scratchTmp     = 512 << 20
	scratchShm     = 64 << 20
	scratchHome    = 64 << 20
	workSlack      = 512 << 20 // what a job may write beside its own files in its working copy
	scratchFiles   = 100_000   // names in each scratch folder
)

// plan is what the daemon tells the shim: one line of JSON.
type plan struct {
	Root     bool // the daemon is root: no user namespace for the shim, and the job gets another uid
	UID, GID int  // of the job, outside
	Mount    string
	Copies   string // folder for private copies of datasets, "" unless Root
	Bwrap    string
	Python   string // inside, "" if there is none

	Work, Results          string
	Owner, Submitter, Name string
	Datasets               []jobs.Bind
	Limits                 jobs.Limits
	Grace                  time.Duration
	CPUs                   int

	Landlock    bool
	CgroupTasks int  // descriptors of v1 "tasks" files that follow the two of the shim
	CgroupDir   bool // then one descriptor of a v2 group
	ByMemory    bool // memory is held by a cgroup, else the watchdog
	ByProcesses bool // the same for processes, else a limit of the user namespace
	ByCPU       bool // the same for processors, else affinity

	Test *testPlan // instead of a job
}

// testPlan is what the self-test has to know about the outside.
type testPlan struct {
	Canary    string   // a file that exists outside and must not be readable inside
	ReadOnly  []string // folders inside that must refuse writing
	Processes int64
	Memory    int64
}

// report is one line of JSON from the shim to the daemon.
type report struct {
	Setup   string   `json:",omitempty"` // could not start: why
	Dataset bool     `json:",omitempty"` // the reason is a dataset
	Started bool     `json:",omitempty"`
	Ended   bool     `json:",omitempty"` // every process of the job is gone
	Result  *outcome `json:",omitempty"`
}

type outcome struct {
	Code    int
	Reason  string
	Dropped []string
	Notes   []string
}

// withDefaults fills the zero fields.
func withDefaults(l jobs.Limits) jobs.Limits {
	def := func(p *int64, v int64) {
		if *p <= 0 {
			*p = v
		}
	}
	if l.Timeout <= 0 {
		l.Timeout = 300 * time.Second
	}
	def(&l.Memory, 4<<30)
	def(&l.Processes, 256)
	def(&l.ResultBytes, 1<<30)
	def(&l.ResultFiles, 10_000)
	def(&l.LogBytes, 10<<20)
	return l
}

// check refuses a spec whose names could lead anywhere else.
func check(s jobs.Spec) error {
	for _, n := range []string{string(s.ID.Owner), string(s.ID.Submitter), s.ID.Name} {
		if err := checkName(n); err != nil {
			return err
		}
	}
	for _, d := range s.Datasets {
		if err := checkName(d.Name); err != nil {
			return fmt.Errorf("dataset: %w", err)
		}
		for _, p := range []string{d.Public, d.Private} {
			if p != "" && !filepath.IsAbs(p) {
				return fmt.Errorf("dataset %s: %q is not an absolute path", d.Name, p)
			}
		}
	}
	for _, p := range []string{s.Work, s.Results, s.Stdout, s.Stderr} {
		if !filepath.IsAbs(p) {
			return fmt.Errorf("%q is not an absolute path", p)
		}
	}
	return nil
}

func checkName(n string) error {
	if n == "" || n == "." || n == ".." || strings.ContainsRune(n, '/') || !utf8.ValidString(n) || strings.ContainsFunc(n, unicode.IsControl) {
		return fmt.Errorf("%q cannot be the name of a folder", n)
	}
	return nil
}

// Where things are inside.
const (
	insideSyftBox = "/syftbox"
	insideEnv     = "/env"
	insideCompat  = "/env/compat"
	insideInit    = "/.init"
	insideHome    = "/home/job"
)

// work is the job's working directory inside.
func (p plan) work() string {
	return path.Join(insideSyftBox, p.Owner, "app_data/job/inbox", p.Submitter, p.Name)
}

func (p plan) public(dataset string) string {
	return path.Join(insideSyftBox, p.Owner, "public/syft_datasets", dataset)
}

func (p plan) private(dataset string) string {
	return path.Join(insideSyftBox, p.Owner, "private/syft_datasets", dataset)
}

// environment is the whole environment of a job, in order.
func (p plan) environment() [][2]string {
	return [][2]string{
		{"PATH", "/env/bin:/usr/local/bin:/usr/bin:/bin"}, {"HOME", insideHome}, {"TMPDIR", "/tmp"}, {"LANG", "C.UTF-8"}, {"TZ", "UTC"},
		{"SYFTBOX_FOLDER", insideSyftBox}, {"SYFTBOX_EMAIL", p.Owner}, {"SYFT_IS_IN_JOB", "true"}, {"PYTHONUNBUFFERED", "1"},
		{"UV_OFFLINE", "1"}, {"PIP_NO_INDEX", "1"}, {"PYTHONPATH", insideCompat},
	}
}
