package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openmined/syftfs/integration/mountns"
	"golang.org/x/sys/unix"
)

const (
	owen   = "owen@cancer-research.example"
	rachel = "rachel@datascience.example"

	patience = 90 * time.Second // how long a test waits for what must come true
)

// binaries holds the built program and this test binary, where every user may execute them.
var binaries string

func TestMain(m *testing.M) {
	if os.Getenv(actorEnv) != "" {
		os.Exit(serveActor())
	}
	mountns.MainWith(m, build)
}

// build makes the program, with the fault seam, once for all tests.
func build() (func(), error) {
	dir, err := os.MkdirTemp("", "syftfs-integration-")
	if err != nil {
		return nil, err
	}
	if err := fill(dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	binaries = dir
	return func() { os.RemoveAll(dir) }, nil
}

func fill(dir string) error {
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	out, err := exec.Command("go", "build", "-tags", "faults", "-o", filepath.Join(dir, "syftfs"), "../cmd/syftfs").CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build: %w: %s", err, out)
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "actor"), self, 0o755)
}

// host is a person with an account on this machine: a home folder, a UNIX user, the built program.
type host struct {
	t       testing.TB
	home    string
	email   string // of the datasite here
	program string
	self    string
	user    *mountns.User // nil: whoever runs the tests
	faults  string        // SYFTFS_FAULT of the next start
	up      *exec.Cmd     // the running datasite
	said    *bytes.Buffer // what it said; valid after it ended
	done    chan error
}

// everyUser runs a story once as whoever runs the tests and, when that is root, once as an ordinary user.
func everyUser(t *testing.T, story func(t *testing.T, h *host)) {
	if os.Geteuid() != 0 {
		t.Run("user", func(t *testing.T) { story(t, newHost(t, nil)) })
		return
	}
	t.Run("root", func(t *testing.T) { story(t, newHost(t, nil)) })
	t.Run("user", func(t *testing.T) {
		u, err := mountns.Unprivileged()
		if err != nil {
			t.Fatal(err)
		}
		story(t, newHost(t, &u))
	})
}

func newHost(t testing.TB, user *mountns.User) *host {
	t.Helper()
	home, err := os.MkdirTemp("", "syftfs-home-")
	if err != nil {
		t.Fatal(err)
	}
	if user != nil {
		if err := os.Chown(home, int(user.UID), int(user.GID)); err != nil {
			t.Fatal(err)
		}
	}
	h := &host{t: t, home: home, email: owen, program: filepath.Join(binaries, "syftfs"), self: filepath.Join(binaries, "actor"), user: user}
	t.Cleanup(func() {
		h.kill()
		for _, m := range h.mounts() {
			if err := unix.Unmount(m, unix.MNT_DETACH); err != nil {
				if out, err := h.command("fusermount3", "-u", "-z", m).CombinedOutput(); err != nil {
					t.Errorf("%s is left mounted: %v: %s", m, err, out)
				}
			}
		}
		if len(h.mounts()) == 0 {
			os.RemoveAll(home)
		}
	})
	return h
}

// mounts lists the FUSE mounts below the home folder.
func (h *host) mounts() []string {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		h.t.Fatal(err)
	}
	var found []string
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], h.home+"/") {
			found = append(found, f[4])
		}
	}
	return found
}

func (h *host) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = h.home
	cmd.Env = append(os.Environ(), "HOME="+h.home, "XDG_STATE_HOME="+h.home+"/.state", "XDG_RUNTIME_DIR="+h.home+"/.run", "TMPDIR="+h.home, "LC_ALL=C",
		"PYTHONDONTWRITEBYTECODE=1", "SYFTFS_FAULT="+h.faults)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if h.user != nil {
		h.user.Drop(cmd)
	}
	return cmd
}

// path is a path in the home folder.
func (h *host) path(parts ...string) string {
	return filepath.Join(append([]string{h.home}, parts...)...)
}

// in is a path in somebody's datasite, in the owner's mount.
func (h *host) in(datasite string, parts ...string) string {
	return h.path(append([]string{"SyftBox", datasite}, parts...)...)
}

// site is a path in the own datasite, in the owner's mount.
func (h *host) site(parts ...string) string { return h.in(h.email, parts...) }

// backing is a path of the own datasite on the disk.
func (h *host) backing(parts ...string) string {
	return h.path(append([]string{"SyftBox_" + h.email, h.email}, parts...)...)
}

// view is a path in the own datasite, in the mount that view made of name.
func (h *host) view(name string, parts ...string) string {
	return h.path(append([]string{name, h.email}, parts...)...)
}

// run runs the program and gives what it said, both streams, and its exit status.
func (h *host) run(args ...string) (string, int) {
	h.t.Helper()
	out, err := h.command(h.program, args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		h.t.Fatalf("syftfs %s: %v", strings.Join(args, " "), err)
	}
	if exit != nil {
		return string(out), exit.ExitCode()
	}
	return string(out), 0
}

// ok runs the program, which must succeed.
func (h *host) ok(args ...string) string {
	h.t.Helper()
	out, code := h.run(args...)
	if code != 0 {
		h.t.Fatalf("syftfs %s: exit %d: %s%s", strings.Join(args, " "), code, out, h.trace())
	}
	return out
}

// ask runs the program with --json and reads its data.
func ask[T any](h *host, args ...string) T {
	h.t.Helper()
	cmd := h.command(h.program, append(args, "--json")...)
	out, err := cmd.Output()
	if err != nil {
		h.t.Fatalf("syftfs %s: %v: %s", strings.Join(args, " "), err, out)
	}
	var a struct {
		OK   bool
		Data T
	}
	if err := json.Unmarshal(out, &a); err != nil || !a.OK {
		h.t.Fatalf("syftfs %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return a.Data
}

// init makes the datasite.
func (h *host) init(args ...string) {
	h.t.Helper()
	if err := os.MkdirAll(h.path(".run"), 0o700); err != nil {
		h.t.Fatal(err)
	}
	if h.user != nil {
		if err := os.Chown(h.path(".run"), int(h.user.UID), int(h.user.GID)); err != nil {
			h.t.Fatal(err)
		}
	}
	h.ok(append([]string{"init", "--email", h.email}, args...)...)
}

// configure replaces lines of the configuration; edits is old, new, old, new ...
func (h *host) configure(edits ...string) {
	h.t.Helper()
	file := filepath.Join(h.state(), "config.yaml")
	b, err := os.ReadFile(file)
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(string(b), edits[i]) {
			h.t.Fatalf("the configuration has no %q: %s", edits[i], b)
		}
		b = []byte(strings.Replace(string(b), edits[i], edits[i+1], 1))
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) state() string {
	return h.path(".state", "syftfs", strings.Replace(h.email, "@", "-", 1))
}

// start starts the datasite and waits until it says that it is up.
func (h *host) start() {
	h.t.Helper()
	if line, err := h.tryStart(); err != nil {
		h.t.Fatalf("syftfs up: %v: %s", err, line)
	}
}

func (h *host) tryStart() (string, error) { return h.serve("Up:", "up", "-v") }

// serve starts a command that goes on, and waits until its first line begins with ready.
func (h *host) serve(ready string, args ...string) (string, error) {
	cmd := h.command(h.program, args...)
	h.said = &bytes.Buffer{}
	cmd.Stderr = h.said
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	line := make([]byte, 4096)
	n, rerr := out.Read(line)
	done := make(chan error, 1)
	h.up, h.done = cmd, done
	go func() {
		_, _ = io.Copy(io.Discard, out)
		done <- cmd.Wait()
	}()
	if rerr != nil || !bytes.HasPrefix(line[:n], []byte(ready)) {
		err := <-done
		h.up = nil
		return h.said.String(), fmt.Errorf("it did not come up: %w", errors.Join(err, rerr))
	}
	return string(line[:n]), nil
}

// kill ends what serves here as kill -9 does, if it runs.
func (h *host) kill() {
	if h.up == nil {
		return
	}
	if err := h.up.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		h.t.Errorf("kill: %v", err)
	}
	h.died()
}

// died waits until the datasite is gone, however it ended.
func (h *host) died() {
	h.t.Helper()
	select {
	case <-h.done:
	case <-time.After(patience):
		h.t.Fatalf("the datasite does not end")
	}
	h.up = nil
}

// stop ends the datasite with `syftfs down`.
func (h *host) stop() {
	h.t.Helper()
	h.end("down")
}

// end ends what serves here, by the command for that.
func (h *host) end(args ...string) {
	h.t.Helper()
	h.ok(args...)
	select {
	case err := <-h.done:
		if err != nil {
			h.t.Errorf("what was ended by syftfs %s ended with %v: %s", strings.Join(args, " "), err, h.said)
		}
	case <-time.After(patience):
		h.t.Fatalf("it does not end by syftfs %s", strings.Join(args, " "))
	}
	h.up = nil
}

// trace is what the datasite logged, once it has ended, for a failure's message.
func (h *host) trace() string {
	if h.up != nil || h.said == nil {
		return ""
	}
	return "\n" + h.said.String()
}

// until waits for what to give nil, and fails with its last error.
func (h *host) until(what string, cond func() error) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for {
		err := cond()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			h.t.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}

// job is what `job show --json` tells, as far as tests look.
type job struct {
	Name, Submitter, Status, Digest, Message string
	Revision                                 int
	ReturnCode                               *int `json:"return_code"`
	Notes                                    []string
	Held                                     []struct{ Path string }
	Files                                    []struct{ Path string }
}

func (h *host) job(name string) job { return ask[job](h, "job", "show", name) }

// untilJob waits until a job has this status, and fails at once when it ended with another.
func (h *host) untilJob(name, status string) job {
	h.t.Helper()
	var j job
	h.until("job "+name+" "+status, func() error {
		out, err := h.command(h.program, "job", "show", name, "--json").Output()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		var a struct{ Data job }
		if err := json.Unmarshal(out, &a); err != nil {
			return err
		}
		if j = a.Data; j.Status != status && slices.Contains([]string{"done", "failed", "rejected"}, j.Status) {
			logs, _ := h.run("job", "logs", name)
			h.t.Fatalf("job %s is %s, want %s: %s: %s", name, j.Status, status, j.Message, logs)
		}
		if j.Status != status {
			return fmt.Errorf("it is %s: %s", j.Status, j.Message)
		}
		return nil
	})
	return j
}

// untilReconciled waits until what follows the start is done: the comparison of the tree, unfinished releases, drafts, jobs.
func (h *host) untilReconciled() {
	h.t.Helper()
	h.until("the comparison at start", func() error {
		st := ask[struct {
			Reconciled bool
			Problems   []string
		}](h, "status")
		if !st.Reconciled || len(st.Problems) > 0 {
			return fmt.Errorf("status: %+v", st)
		}
		return nil
	})
}

// person makes a verified account and opens its view to work in, at ~/name.
func (h *host) person(email, name string) {
	h.t.Helper()
	h.ok("users", "create", "--email", email, "--name", name)
	h.ok("users", "verify", email)
	h.ok("view", email, h.path(name), "--write")
}
