package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openmined/syftfs/jobs"
)

// Capabilities of the shim in its own user namespace, where it is not root: it mounts, reads what the job closed to
// itself, counts and ends processes. None of them means anything outside, and bubblewrap is started without them.
var shimCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SYS_PTRACE, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_KILL, unix.CAP_CHOWN}

// oomEvery is how often a memory cgroup is asked whether the kernel killed somebody in it.
const oomEvery = 100 * time.Millisecond

// late is how long after a limit or a cancel the shim may take until every process is gone, beyond the grace.
const late = 10 * time.Second

// errStart wraps what kept the shim or bubblewrap from starting.
type errStart struct{ err error }

func (e *errStart) Error() string { return e.err.Error() }
func (e *errStart) Unwrap() error { return e.err }

// run starts the shim and stays with it until it is gone, and with it every process of the job.
func (s *Sandbox) run(ctx context.Context, bwrap string, spec jobs.Spec, test *testPlan) (out jobs.Outcome, grouped bool, err error) {
	h, err := s.hold()
	if err != nil {
		return out, false, err
	}
	defer func() { err = errors.Join(err, h.release()) }()
	limits := withDefaults(spec.Limits)
	var cg cgroups
	if !s.cfg.NoCgroup {
		cg = newCgroups(strconv.Itoa(os.Getpid())+"-"+filepath.Base(h.path), limitsOf{limits.Memory, limits.Processes, s.cfg.CPUs})
		defer func() {
			if rerr := cg.remove(); rerr != nil {
				s.cfg.Log.Warn("cgroup not removed", "run", spec.Run, "err", rerr)
			}
		}()
	}
	if s.cfg.RequireCgroup && (!cg.has("memory") || !cg.has("pids")) {
		return out, false, errNoCgroup
	}
	p := s.plan(spec, limits, h, cg, test)
	p.Bwrap = bwrap
	out.Notes = p.notes(cg)

	logs, err := openLogs(spec, limits.LogBytes)
	if err != nil {
		return out, false, err
	}
	res, err := s.shim(ctx, p, cg, logs)
	var start *errStart
	var ds *datasetError
	switch {
	case errors.As(err, &ds) && test == nil:
		res = &outcome{Code: -1, Reason: reasonDataset, Notes: []string{err.Error()}}
		out.Notes = nil // nothing was held: nothing ran
	case errors.As(err, &start) && test == nil:
		res = &outcome{Code: -1, Reason: reasonSetup, Notes: []string{"sandbox: " + err.Error()}}
		logs.say("sandbox: " + err.Error())
	case err != nil:
		return out, false, errors.Join(err, logs.close())
	}
	out.Code, out.Reason, out.Dropped, out.Notes = res.Code, res.Reason, res.Dropped, append(out.Notes, res.Notes...)
	judge(&out, cg)
	for _, d := range out.Dropped {
		logs.say("--- NOT COLLECTED: " + d + " ---")
	}
	if err := logs.close(); err != nil {
		out.Notes = append(out.Notes, "logs: "+err.Error())
	}
	return out, cg.has("memory") && cg.has("pids"), nil
}

// judge adds what only the cgroups know: the kernel may have killed a part of a job whose rest went on.
func judge(out *jobs.Outcome, cg cgroups) {
	if out.Reason == "" || out.Reason == reasonProcesses {
		switch {
		case cg.killed() > 0:
			out.Reason = reasonMemory
		case out.Code != 0 && cg.full() > 0:
			out.Reason = reasonProcesses
		}
	}
	if out.Reason != "" && out.Code == 0 {
		out.Code = -1
	}
}

func (s *Sandbox) plan(spec jobs.Spec, limits jobs.Limits, h *held, cg cgroups, test *testPlan) plan {
	p := plan{
		Root: os.Geteuid() == 0, UID: os.Getuid(), GID: os.Getgid(), Mount: filepath.Join(h.path, "root"), Copies: filepath.Join(h.path, "copies"),
		Work: spec.Work, Results: spec.Results, Owner: string(spec.ID.Owner), Submitter: string(spec.ID.Submitter), Name: spec.ID.Name,
		Datasets: spec.Datasets, Limits: limits, Grace: s.cfg.Grace, CPUs: s.cfg.CPUs, Landlock: !s.cfg.NoLandlock,
		ByMemory: cg.has("memory"), ByProcesses: cg.has("pids"), ByCPU: cg.has("cpu"), Test: test,
	}
	if p.Root {
		p.UID, p.GID = s.cfg.UID, s.cfg.UID
	}
	if test != nil {
		p.Work, p.Results = filepath.Join(h.path, "work"), filepath.Join(h.path, "results")
	}
	p.Python, _, _ = Python()
	return p
}

// meansNoted is how many notes the means take; what happened follows them.
const meansNoted = 5

// notes say by which means the limits of a run are held.
func (p plan) notes(cg cgroups) []string {
	by := func(what, controller, else_ string) string {
		if cg.has(controller) {
			return what + ": " + cg.name()
		}
		return what + ": " + else_
	}
	n := []string{
		by("memory", "memory", "watched every 20 ms (no cgroup)"),
		by("processes", "pids", "limit of the user namespace (no cgroup)"),
		by("processors", "cpu", fmt.Sprintf("%d, fixed (no cgroup)", p.CPUs)),
	}
	if abi := landlockABI(); abi > 0 && p.Landlock {
		n = append(n, fmt.Sprintf("landlock: ABI %d", abi))
	} else {
		n = append(n, "landlock: not used")
	}
	if p.Python != "" {
		return append(n, "python: "+p.Python+", uv: stand-in")
	}
	return append(n, "python: none of 3.10 or newer on this machine")
}

// shim starts the shim and stays with it to its end. A datasetError or an errStart means that no job was started; any
// other error that something on our side broke.
func (s *Sandbox) shim(ctx context.Context, p plan, cg cgroups, logs *logs) (*outcome, error) {
	tasks, group, err := cg.files()
	files := tasks
	if group != nil {
		files = append(files, group)
	}
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	if err != nil {
		return nil, &errStart{err}
	}
	p.CgroupTasks, p.CgroupDir = len(tasks), group != nil
	ctlR, ctlW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ctlW.Close()
	repR, repW, err := os.Pipe()
	if err != nil {
		ctlR.Close()
		return nil, err
	}
	defer repR.Close()
	cmd := s.command(p)
	cmd.Stdout, cmd.Stderr = logs.out.w, logs.err.w
	cmd.ExtraFiles = append([]*os.File{ctlR, repW}, files...)
	ended := make(chan error, 1)
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // when this thread ends, so does the shim
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	err = <-started
	ctlR.Close()
	repW.Close()
	logs.started()
	if err != nil {
		return nil, &errStart{err}
	}
	reports := make(chan report, 1)
	go func() {
		defer close(reports)
		for dec := json.NewDecoder(repR); ; {
			var r report
			if dec.Decode(&r) != nil {
				return
			}
			reports <- r
		}
	}()
	body, err := json.Marshal(p)
	if err == nil {
		_, err = ctlW.Write(append(body, '\n'))
	}
	f := follower{s: s, proc: cmd.Process, plan: p, cg: cg, control: ctlW}
	res, serr := f.follow(ctx, reports)
	werr := <-ended
	if res != nil || serr != nil {
		return res, serr
	}
	err = fmt.Errorf("the sandbox's shim ended without a result: %w", errors.Join(err, werr, io.ErrUnexpectedEOF))
	if !f.started {
		return nil, &errStart{err}
	}
	// The job ran, and ended with the shim. What was collected may be half of it.
	res = &outcome{Code: -1, Reason: reasonInterrupted, Notes: []string{err.Error()}}
	if f.forced != "" {
		res.Reason = f.forced
	}
	dest, err := os.OpenRoot(p.Results)
	if err == nil {
		err = errors.Join(empty(dest), dest.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("remove half of the results: %w", err)
	}
	return res, nil
}

// follower stays with a started shim.
type follower struct {
	s       *Sandbox
	proc    *os.Process
	plan    plan
	cg      cgroups
	control io.Writer
	started bool   // the job was
	forced  string // we killed the shim, and why
}

// follow passes on cancellation and the kernel's word about memory, and takes the reports, until the shim is silent.
// No outcome and no error means that it did not come to its end.
func (f *follower) follow(ctx context.Context, reports <-chan report) (res *outcome, failed error) {
	oom := time.NewTicker(oomEvery)
	defer oom.Stop()
	cancelled := ctx.Done()
	// The shim keeps the limits by itself. This one is for a shim that cannot.
	last := time.NewTimer(f.plan.Limits.Timeout + f.plan.Grace + late)
	defer last.Stop()
	overdue := last.C
	for {
		select {
		case r, ok := <-reports:
			switch {
			case !ok:
				return res, failed
			case r.Dataset:
				failed = &datasetError{errors.New(r.Setup)}
			case r.Setup != "":
				failed = &errStart{errors.New(r.Setup)}
			case r.Started:
				f.started = true
			case r.Ended:
				overdue = nil // collecting takes the time it takes
			case r.Result != nil:
				res = r.Result
			}
		case <-cancelled:
			cancelled = nil
			f.tell(reasonCancelled)
			last.Reset(f.plan.Grace + late)
		case <-oom.C:
			if f.cg.killed() > 0 {
				f.tell(reasonMemory)
				oom.Stop()
			}
		case <-overdue:
			overdue = nil
			f.forced = reasonTimeout
			if ctx.Err() != nil {
				f.forced = reasonCancelled
			}
			_ = f.proc.Kill() // and with it, as the first process of its namespace, everything; gone already is as good
		}
	}
}

// tell commands the shim. One that is gone has reported or broken, and both show elsewhere.
func (f *follower) tell(word string) { _, _ = io.WriteString(f.control, word+"\n") }

func (s *Sandbox) command(p plan) *exec.Cmd {
	cmd := exec.Command(s.cfg.Self, argShim)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8"}
	cmd.Dir = "/"
	a := &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL,
		Setsid: true, // what is typed on the daemon's terminal is not for jobs
	}
	if !p.Root {
		a.Cloneflags |= unix.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: p.UID, HostID: p.UID, Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: p.GID, HostID: p.GID, Size: 1}}
		a.AmbientCaps = shimCaps
	}
	cmd.SysProcAttr = a
	return cmd
}
