// Package sandbox runs one job confined on this machine: bubblewrap, with a shim of ours around it and an init of ours
// inside it, limits, and a self-test that must pass before anything runs. It knows processes, mounts and the kernel's
// walls, not what a job means, who approved it or where results go from here. The daemon, doctor and main import it.
//
//	daemon ── shim            own process and mount namespace (and user namespace, unless root); tmpfs; watches, collects
//	            └ bubblewrap  the job's namespaces, without any right; as root, under a uid of its own
//	                 └ /.init limits, Landlock, seccomp, then bash run.sh
//
// There is no way to run a job outside of it.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openmined/syftfs/fs/statedir"
	"github.com/openmined/syftfs/jobs"
)

// Config says what a Sandbox is made of. Only State is required.
type Config struct {
	State *statedir.Dir // a folder of its own, for mount points and private copies
	Log   *slog.Logger
	Self  string        // our own binary, whose main calls Main; os.Executable when empty
	Bwrap string        // bubblewrap; looked up on PATH when empty
	UID   int           // of jobs, when we are root; 64200 when 0. Never a login account.
	Grace time.Duration // between SIGTERM and SIGKILL at the limit of time; 5 s when 0
	CPUs  int           // how many a job may use; 2 when 0

	NoCgroup      bool // hold limits without cgroups even where they could be made
	NoLandlock    bool
	RequireCgroup bool // refuse to run where memory and processes are not held by a cgroup
}

// Sandbox is a jobs.Runner on this machine. Safe for concurrent use; nothing of it goes on between calls.
type Sandbox struct {
	cfg    Config
	mounts *statedir.Dir // one empty folder per run, removed after it

	mu     sync.Mutex
	passed string // what the machine looked like when the self-test passed last
	failed string // the same for the last failure,
	why    error  // its reason,
	until  time.Time
	facts  Facts
}

var _ jobs.Runner = (*Sandbox)(nil)

// New makes a Sandbox and removes what a killed one left. It checks nothing of the machine: Ready does.
func New(cfg Config) (*Sandbox, error) {
	if cfg.State == nil {
		return nil, errors.New("sandbox: no state folder")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Self == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("sandbox: find our own program: %w", err)
		}
		cfg.Self = self
	}
	if cfg.UID == 0 {
		cfg.UID = 64200
	}
	if cfg.Grace <= 0 {
		cfg.Grace = 5 * time.Second
	}
	if cfg.CPUs <= 0 {
		cfg.CPUs = 2
	}
	dir, err := cfg.State.Sub("running")
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	s := &Sandbox{cfg: cfg, mounts: dir}
	if err := s.sweep(); err != nil {
		return nil, fmt.Errorf("sandbox: remove what an earlier run left: %w", err)
	}
	return s, nil
}

// Run runs spec to its end. An error means that nothing ran: the machine cannot (the error is Ready's), or the spec names
// something impossible.
func (s *Sandbox) Run(ctx context.Context, spec jobs.Spec) (jobs.Outcome, error) {
	if err := check(spec); err != nil {
		return jobs.Outcome{}, fmt.Errorf("sandbox: %w", err)
	}
	facts, err := s.Facts(ctx)
	if err != nil {
		return jobs.Outcome{}, err
	}
	if err := ctx.Err(); err != nil {
		return jobs.Outcome{}, err
	}
	out, _, err := s.run(ctx, facts.Bwrap, spec, nil)
	if err != nil {
		return jobs.Outcome{}, fmt.Errorf("sandbox: %w", err)
	}
	s.cfg.Log.Info("job ended", "job", spec.ID.String(), "run", spec.Run, "code", out.Code, "reason", out.Reason, "notes", out.Notes)
	return out, nil
}

// held is the folder of one run below State, locked as long as the run lasts.
type held struct {
	path string
	lock *os.File
}

func (s *Sandbox) hold() (*held, error) {
	p, err := os.MkdirTemp(s.mounts.Path(), "")
	if err != nil {
		return nil, err
	}
	h := &held{path: p}
	if h.lock, err = os.Open(p); err == nil {
		err = unix.Flock(int(h.lock.Fd()), unix.LOCK_EX)
	}
	for _, d := range []string{"root", "copies", "work", "results"} {
		if err == nil {
			err = os.Mkdir(filepath.Join(p, d), 0o700)
		}
	}
	if err != nil {
		return nil, errors.Join(err, h.release())
	}
	return h, nil
}

func (h *held) release() error {
	err := os.RemoveAll(h.path)
	if h.lock != nil {
		err = errors.Join(err, h.lock.Close())
	}
	return err
}

// sweep removes folders of runs that nobody holds any more.
func (s *Sandbox) sweep() error {
	if !s.cfg.NoCgroup {
		sweepCgroups()
	}
	entries, err := os.ReadDir(s.mounts.Path())
	if err != nil {
		return err
	}
	for _, e := range entries {
		p := s.mounts.Path(e.Name())
		f, err := os.Open(p)
		if err != nil {
			continue // gone meanwhile
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			err = os.RemoveAll(p)
		}
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
