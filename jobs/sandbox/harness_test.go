package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openmined/syftfs/fs/statedir"
	"github.com/openmined/syftfs/integration/mountns"
	"github.com/openmined/syftfs/jobs"
	"github.com/openmined/syftfs/jobs/sandbox"
)

const (
	owner     = "do@lab.example"
	submitter = "ds@uni.example"
	inside    = "/syftbox/" + owner + "/app_data/job/inbox/" + submitter + "/try"
)

// forEachMeans runs a test once for every way in which limits are held here: with cgroups where they may be made, and without.
func forEachMeans(t *testing.T, test func(t *testing.T, cfg sandbox.Config)) {
	t.Helper()
	if os.Geteuid() == 0 {
		t.Run("cgroups", func(t *testing.T) { test(t, sandbox.Config{}) })
	}
	t.Run("no cgroups", func(t *testing.T) { test(t, sandbox.Config{NoCgroup: true}) })
}

// box is a sandbox and one job for it.
type box struct {
	t    *testing.T
	s    *sandbox.Sandbox
	spec jobs.Spec
	word string // in the command line of what the job starts with "$WORD"
}

func newBox(t *testing.T, cfg sandbox.Config, script string) *box {
	t.Helper()
	dir := t.TempDir()
	s, spec, err := build(dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	b := &box{t: t, s: s, spec: spec, word: "word" + strings.ReplaceAll(dir, "/", "-")}
	b.file("run.sh", "WORD='"+b.word+"'\n"+script+"\n")
	return b
}

func build(dir string, cfg sandbox.Config) (*sandbox.Sandbox, jobs.Spec, error) {
	st, err := statedir.Open(filepath.Join(dir, "state"), nil)
	if err != nil {
		return nil, jobs.Spec{}, err
	}
	cfg.State = st
	if cfg.Grace == 0 {
		cfg.Grace = 300 * time.Millisecond
	}
	s, err := sandbox.New(cfg)
	if err != nil {
		return nil, jobs.Spec{}, err
	}
	spec := jobs.Spec{ID: jobs.ID{Owner: owner, Submitter: submitter, Name: "try"}, Run: "r1",
		Work: filepath.Join(dir, "work"), Results: filepath.Join(dir, "results"), Stdout: filepath.Join(dir, "stdout"), Stderr: filepath.Join(dir, "stderr"),
		Limits: jobs.Limits{Timeout: 30 * time.Second}}
	return s, spec, errors.Join(os.MkdirAll(filepath.Join(spec.Work, "code"), 0o700), os.MkdirAll(spec.Results, 0o700))
}

func (b *box) file(name, body string) {
	b.t.Helper()
	p := filepath.Join(b.spec.Work, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o700), os.WriteFile(p, []byte(body), 0o600)); err != nil {
		b.t.Fatal(err)
	}
}

// dataset makes a dataset and grants it.
func (b *box) dataset(name, secret string) jobs.Bind {
	b.t.Helper()
	dir := filepath.Join(filepath.Dir(b.spec.Work), "data-"+name)
	d := jobs.Bind{Name: name, Public: filepath.Join(dir, "public"), Private: filepath.Join(dir, "private")}
	err := errors.Join(os.MkdirAll(d.Public, 0o700), os.MkdirAll(d.Private, 0o700),
		os.WriteFile(filepath.Join(d.Public, "dataset.yaml"), []byte("name: "+name+"\n"), 0o600),
		os.WriteFile(filepath.Join(d.Private, "data.csv"), []byte(secret+"\n"), 0o600),
		os.WriteFile(filepath.Join(d.Private, "syft.pub.yaml"), []byte("rules: []\n"), 0o600))
	if err != nil {
		b.t.Fatal(err)
	}
	b.spec.Datasets = append(b.spec.Datasets, d)
	return d
}

func (b *box) run() jobs.Outcome {
	b.t.Helper()
	return b.runIn(b.t.Context())
}

// runIn runs the job and fails the test when anything of it is left.
func (b *box) runIn(ctx context.Context) jobs.Outcome {
	b.t.Helper()
	out, err := b.s.Run(ctx, b.spec)
	if err != nil {
		b.t.Fatal(err)
	}
	if left := withWord(b.word); len(left) > 0 {
		b.t.Errorf("processes left: %v", left)
	}
	if entries, err := os.ReadDir(filepath.Join(filepath.Dir(b.spec.Work), "state", "running")); err != nil || len(entries) > 0 {
		b.t.Errorf("folders of the run left: %v %v", entries, err)
	}
	return out
}

// ends fails the test unless the job ended with code and reason.
func (b *box) ends(code int, reason string) jobs.Outcome {
	b.t.Helper()
	out := b.run()
	if out.Code != code || out.Reason != reason {
		b.t.Errorf("code %d, reason %q, want %d, %q; notes %q\nstdout: %s\nstderr: %s", out.Code, out.Reason, code, reason, out.Notes, b.stdout(), b.stderr())
	}
	return out
}

func (b *box) stdout() string { return read(b.t, b.spec.Stdout) }
func (b *box) stderr() string { return read(b.t, b.spec.Stderr) }

// results lists what was collected: path, kind and permissions, and for a file its content.
func (b *box) results() map[string]string {
	b.t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(b.spec.Results, func(p string, d iofs.DirEntry, err error) error {
		if err != nil || p == b.spec.Results {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil {
			return err
		}
		if int(st.Uid) != os.Geteuid() {
			b.t.Errorf("%s belongs to %d", p, st.Uid)
		}
		rel, err := filepath.Rel(b.spec.Results, p)
		switch {
		case err != nil:
			return err
		case d.IsDir():
			got[rel+"/"] = fmt.Sprintf("%04o", st.Mode&0o7777)
		default:
			got[rel] = fmt.Sprintf("%04o %s", st.Mode&0o7777, read(b.t, p))
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return got
}

func read(t *testing.T, path string) string {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// withWord lists the processes of this machine whose command line has word as an argument.
func withWord(word string) (left []string) {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range lines {
		body, err := os.ReadFile(p)
		if err == nil && slices.Contains(strings.Split(string(bytes.TrimRight(body, "\x00")), "\x00"), word) {
			left = append(left, p)
		}
	}
	return left
}

// until waits for ok, looking again and again.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: did not come about", what)
		}
	}
}

// own is this test binary at a place where another user can start it.
func own(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sandbox-own-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	body, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	p := filepath.Join(dir, "sandbox.test")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(p, body, 0o755)); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestUnprivileged runs all the others again as an ordinary user, when they are run by root.
func TestUnprivileged(t *testing.T) {
	if os.Geteuid() != 0 {
		return // then this is that run
	}
	t.Parallel()
	u, err := mountns.Unprivileged()
	if err != nil {
		t.Fatal(err)
	}
	p := own(t)
	tmp := filepath.Join(filepath.Dir(p), "tmp")
	if err := errors.Join(os.Mkdir(tmp, 0o700), os.Chown(tmp, int(u.UID), int(u.GID))); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), p, "-test.count=1", "-test.timeout=120s")
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "HOME="+tmp)
	cmd.Dir = tmp
	u.Drop(cmd)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("as %s: %v\n%s", u.Name, err, out)
	}
}
