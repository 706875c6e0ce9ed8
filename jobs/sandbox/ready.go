package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openmined/syftfs/fs/statedir"
	"github.com/openmined/syftfs/jobs"
)

// NotReady says what this machine lacks and what to do about it.
type NotReady struct {
	Missing string // a phrase
	Remedy  string // a sentence with a command, where there is one
	Err     error  // what was tried and failed; may be nil
}

func (e *NotReady) Error() string {
	s := "jobs cannot run here: " + e.Missing
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s + "; " + e.Remedy
}

func (e *NotReady) Unwrap() error { return e.Err }

var errNoCgroup = &NotReady{Missing: "limits.require_cgroup is set and no cgroup for memory and processes can be made here",
	Remedy: "run the daemon as a service with Delegate=yes, or set limits.require_cgroup: false"}

// Facts are what Ready found out.
type Facts struct {
	Bwrap, BwrapVersion   string
	Python, PythonVersion string
	Landlock              int      // ABI, 0 if the kernel has none
	Means                 []string // by which means limits are held, a sentence each; empty before the self-test ran
	Cgroups               bool     // memory and processes are held by cgroups
}

// retry is how long a failure is believed while the machine looks the same.
const retry = 5 * time.Second

// Ready says what is missing on this machine, as a *NotReady; nil when a job can run. The self-test runs once for
// every way the machine looks; after that only files are compared.
func (s *Sandbox) Ready(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	bwrap, look := s.look()
	if look == s.passed && look != "" {
		return nil
	}
	if look == s.failed && time.Now().Before(s.until) {
		return s.why
	}
	facts, err := s.probe(ctx, bwrap)
	if ctx.Err() != nil {
		return ctx.Err() // no verdict
	}
	s.facts = facts
	if err != nil {
		s.passed, s.failed, s.why, s.until = "", look, err, time.Now().Add(retry)
		s.cfg.Log.Warn("jobs cannot run here", "err", err)
		return err
	}
	s.passed, s.failed, s.why = look, "", nil
	s.cfg.Log.Info("sandbox ready", "version", facts.BwrapVersion, "notes", facts.Means)
	return nil
}

// Facts runs Ready and says what it found, as far as it came.
func (s *Sandbox) Facts(ctx context.Context) (Facts, error) {
	err := s.Ready(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.facts, err
}

// Switches of the machine that decide whether a person may make namespaces, and what they must not be.
var switches = []struct{ file, bad, remedy string }{
	{"/proc/sys/kernel/unprivileged_userns_clone", "0", "run: sysctl -w kernel.unprivileged_userns_clone=1"},
	{"/proc/sys/user/max_user_namespaces", "0", "run: sysctl -w user.max_user_namespaces=10000"},
	{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1",
		"install an AppArmor profile that allows userns to bwrap and to syftfs, or run: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"},
}

// look finds bubblewrap and describes the machine as far as it can change under us: programs and switches.
func (s *Sandbox) look() (bwrap, look string) {
	var b strings.Builder
	bwrap = s.cfg.Bwrap
	if bwrap == "" {
		if p, err := exec.LookPath("bwrap"); err == nil {
			bwrap = p
		}
	}
	for _, f := range []string{bwrap, s.cfg.Self} {
		var st unix.Stat_t
		err := unix.Stat(f, &st)
		fmt.Fprintln(&b, f, err, st.Ino, st.Size, st.Mtim, st.Ctim)
	}
	for _, w := range switches {
		v, err := os.ReadFile(w.file)
		fmt.Fprintln(&b, string(v), err)
	}
	return bwrap, b.String()
}

// probe looks for what is needed and runs the self-test. s.mu is held.
func (s *Sandbox) probe(ctx context.Context, bwrap string) (f Facts, err error) {
	f.Landlock = landlockABI()
	f.Python, f.PythonVersion, _ = Python()
	const install = "install bubblewrap 0.8.0 or newer: apt-get install bubblewrap"
	if bwrap == "" {
		return f, &NotReady{Missing: "bubblewrap is not installed", Remedy: install}
	}
	if f.Bwrap, err = filepath.EvalSymlinks(bwrap); err != nil {
		return f, &NotReady{Missing: "bubblewrap is not there", Remedy: install, Err: err}
	}
	out, err := exec.CommandContext(ctx, f.Bwrap, "--version").Output()
	if err != nil {
		return f, &NotReady{Missing: "bubblewrap does not run", Remedy: install, Err: err}
	}
	f.BwrapVersion = strings.TrimSpace(strings.TrimPrefix(string(out), "bubblewrap"))
	if !atLeast(f.BwrapVersion, 0, 8) {
		return f, &NotReady{Missing: "bubblewrap " + f.BwrapVersion + " is too old", Remedy: install}
	}
	if os.Geteuid() == 0 {
		if err := checkUID(s.cfg.UID); err != nil {
			return f, err
		}
	}
	f.Means, f.Cgroups, err = s.selfTest(ctx, f.Bwrap)
	return f, err
}

// switchedOff looks whether the machine is set to refuse namespaces; nil if it is not.
func switchedOff() *NotReady {
	for _, w := range switches {
		if v, err := os.ReadFile(w.file); err == nil && strings.TrimSpace(string(v)) == w.bad {
			return &NotReady{Missing: "user namespaces are switched off (" + w.file + ")", Remedy: w.remedy}
		}
	}
	return nil
}

// Namespaces tries whether this process may make a user namespace; nil if it may. Our own binary is started for it.
func Namespaces() *NotReady {
	cmd := exec.Command("/proc/self/exe", argHold)
	cmd.Env = []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if nr := switchedOff(); nr != nil {
		nr.Err = err
		return nr
	}
	return &NotReady{Missing: "user namespaces are refused", Remedy: allowNamespaces, Err: err}
}

const allowNamespaces = "allow user namespaces to this account (containers often forbid them; see user.max_user_namespaces and AppArmor), then try again"

// checkUID refuses a uid for jobs that somebody could log in with.
func checkUID(uid int) error {
	const remedy = "choose another uid for jobs, one that no account has"
	if uid <= 0 || uid >= 1<<32-1 {
		return &NotReady{Missing: fmt.Sprintf("uid %d cannot be used for jobs", uid), Remedy: remedy}
	}
	b, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return &NotReady{Missing: "the accounts of this machine cannot be read", Remedy: "make /etc/passwd readable", Err: err}
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) < 7 || f[2] != strconv.Itoa(uid) {
			continue
		}
		if shell := filepath.Base(f[6]); shell != "nologin" && shell != "false" {
			return &NotReady{Missing: fmt.Sprintf("uid %d is the login account %s", uid, f[0]), Remedy: remedy}
		}
	}
	return nil
}

func atLeast(version string, major, minor int) bool {
	var a, b int
	if n, _ := fmt.Sscanf(version, "%d.%d", &a, &b); n != 2 {
		return false
	}
	return a > major || a == major && b >= minor
}

// Limits of the self-test: small, so that it is quick.
const (
	testMemory    = 128 << 20
	testProcesses = 64
)

// selfTest runs the checks of selftest.go in this very sandbox. s.mu is held.
func (s *Sandbox) selfTest(ctx context.Context, bwrap string) (means []string, grouped bool, err error) {
	dir, err := os.MkdirTemp(s.cfg.State.Path(), "selftest-")
	if err != nil {
		return nil, false, err
	}
	defer func() {
		if rerr := os.RemoveAll(dir); err == nil {
			err = rerr
		}
	}()
	canary := filepath.Join(dir, "canary")
	data := filepath.Join(dir, "data")
	if err := errors.Join(os.WriteFile(canary, []byte("canary\n"), 0o644), os.Mkdir(data, 0o755)); err != nil {
		return nil, false, err
	}
	spec := jobs.Spec{
		ID:     jobs.ID{Owner: "owner@selftest.invalid", Submitter: "user@selftest.invalid", Name: "selftest"},
		Run:    "selftest",
		Stdout: filepath.Join(dir, "stdout"), Stderr: filepath.Join(dir, "stderr"),
		Datasets: []jobs.Bind{{Name: "probe", Private: data}},
		Limits:   jobs.Limits{Timeout: 20 * time.Second, Memory: testMemory, Processes: testProcesses, ResultBytes: 1 << 20, ResultFiles: 10},
	}
	test := &testPlan{Canary: canary, Processes: testProcesses, Memory: testMemory}
	p := plan{Owner: string(spec.ID.Owner)}
	test.ReadOnly = []string{"/", "/usr", "/env", "/etc", "/dev", p.private("probe"), insideSyftBox}
	out, grouped, err := s.run(ctx, bwrap, spec, test)
	if err == nil {
		return out.Notes[:meansNoted], grouped, judgeTest(out, spec)
	}
	var nr *NotReady
	if errors.As(err, &nr) {
		return nil, false, nr
	}
	if nr := switchedOff(); nr != nil {
		nr.Err = err
		return nil, false, nr
	}
	said, rerr := os.ReadFile(spec.Stderr)
	return nil, false, &NotReady{Missing: "the sandbox cannot be made", Err: errors.Join(err, rerr, saidError(said)),
		Remedy: allowNamespaces}
}

// judgeTest reads what the self-test found: it must have passed everything and then been stopped for memory.
func judgeTest(out jobs.Outcome, spec jobs.Spec) error {
	const remedy = "run syftfs doctor and report this; nothing runs until the self-test passes"
	said, err := os.ReadFile(spec.Stdout)
	if err != nil {
		return err
	}
	text := string(said)
	if !strings.HasSuffix(text, testPassed) || out.Reason == "" {
		serr, rerr := os.ReadFile(spec.Stderr)
		detail := errors.Join(saidError(said), saidError(serr), rerr)
		if strings.HasSuffix(text, testPassed) {
			return &NotReady{Missing: "the limit of memory does not hold", Remedy: remedy, Err: fmt.Errorf("exit code %d", out.Code)}
		}
		return &NotReady{Missing: "the sandbox does not confine", Remedy: remedy, Err: errors.Join(detail, fmt.Errorf("exit code %d %s", out.Code, out.Reason))}
	}
	if out.Reason != reasonMemory {
		return &NotReady{Missing: "the self-test did not end in time", Remedy: remedy, Err: errors.New(out.Reason)}
	}
	return nil
}

// saidError makes an error of what a program printed, nil if it printed nothing.
func saidError(b []byte) error {
	t := strings.TrimSpace(string(b))
	if t == "" {
		return nil
	}
	const most = 2000
	return errors.New(t[max(0, len(t)-most):])
}

// Probe finds out what a Sandbox of cfg would, without one: in a folder of its own that is removed again. For doctor.
func Probe(ctx context.Context, cfg Config) (f Facts, err error) {
	dir, err := os.MkdirTemp("", "syftfs-probe-")
	if err != nil {
		return f, fmt.Errorf("sandbox: %w", err)
	}
	defer func() {
		if rerr := os.RemoveAll(dir); err == nil {
			err = rerr
		}
	}()
	if cfg.State, err = statedir.Open(dir, nil); err != nil {
		return f, fmt.Errorf("sandbox: %w", err)
	}
	s, err := New(cfg)
	if err != nil {
		return f, err
	}
	return s.Facts(ctx)
}
