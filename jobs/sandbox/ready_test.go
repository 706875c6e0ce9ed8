package sandbox_test

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
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openmined/syftfs/jobs"
	"github.com/openmined/syftfs/jobs/sandbox"
)

func TestNotReady(t *testing.T) {
	old := filepath.Join(t.TempDir(), "old-bwrap")
	if err := os.WriteFile(old, []byte("#!/bin/sh\necho bubblewrap 0.4.1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name         string
		cfg          sandbox.Config
		root         bool
		says, remedy string
	}{
		{"no bubblewrap", sandbox.Config{Bwrap: "/nonexistent"}, false, "bubblewrap", "apt-get install bubblewrap"},
		{"old bubblewrap", sandbox.Config{Bwrap: old}, false, "0.4.1 is too old", "apt-get install bubblewrap"},
		{"something else", sandbox.Config{Bwrap: "/bin/false"}, false, "bubblewrap", "apt-get install bubblewrap"},
		{"no cgroup", sandbox.Config{NoCgroup: true, RequireCgroup: true}, false, "require_cgroup", "Delegate=yes"},
		{"root", sandbox.Config{UID: -1}, true, "uid -1", "another uid"},
	}
	for _, tt := range tests {
		if tt.root && os.Geteuid() != 0 {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			b := newBox(t, tt.cfg, "echo ran")
			_, err := b.s.Run(t.Context(), b.spec)
			var nr *sandbox.NotReady
			if !errors.As(err, &nr) {
				t.Fatalf("Run: %v", err)
			}
			if !strings.Contains(nr.Error(), tt.says) || !strings.Contains(nr.Remedy, tt.remedy) {
				t.Errorf("%v", nr)
			}
			if rerr := b.s.Ready(t.Context()); rerr == nil || rerr.Error() != err.Error() {
				t.Errorf("Ready: %v", rerr)
			}
			if _, err := os.Stat(b.spec.Stdout); err == nil {
				t.Error("something was begun")
			}
		})
	}
}

// TestBubblewrapComesAndGoes: what Ready believes follows the machine.
func TestBubblewrapComesAndGoes(t *testing.T) {
	real, err := exec.LookPath("bwrap")
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "bwrap")
	b := newBox(t, sandbox.Config{Bwrap: link}, "echo ran")
	if err := b.s.Ready(t.Context()); err == nil {
		t.Error("ready without bubblewrap")
	}
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	b.ends(0, "")
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if _, err := b.s.Run(t.Context(), b.spec); err == nil {
		t.Error("ran without bubblewrap")
	}
}

func TestImpossibleSpecs(t *testing.T) {
	tests := []struct {
		name   string
		change func(*jobs.Spec)
	}{
		{"name leads elsewhere", func(s *jobs.Spec) { s.ID.Name = "../x" }},
		{"no name", func(s *jobs.Spec) { s.ID.Name = "" }},
		{"submitter with a slash", func(s *jobs.Spec) { s.ID.Submitter = "a/b" }},
		{"dataset above", func(s *jobs.Spec) { s.Datasets = []jobs.Bind{{Name: "..", Private: "/"}} }},
		{"relative path", func(s *jobs.Spec) { s.Work = "work" }},
	}
	b := newBox(t, sandbox.Config{}, "echo ran")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			spec := b.spec
			tt.change(&spec)
			if out, err := b.s.Run(t.Context(), spec); err == nil {
				t.Errorf("ran: %+v", out)
			}
		})
	}
}

func TestNoUserNamespaces(t *testing.T) {
	// In a user namespace of its own, which may hold no other, as an ordinary user.
	uid, gid := os.Geteuid(), os.Getegid()
	if uid == 0 {
		return // the run as an ordinary user tries it
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), own(t), dir)
	cmd.Env = append(os.Environ(), playEnv+"=without namespaces")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}},
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SYS_RESOURCE, unix.CAP_DAC_OVERRIDE}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "max_user_namespaces") || !strings.Contains(string(out), "sysctl -w") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestDaemonKilled(t *testing.T) {
	dir := t.TempDir()
	word := "daemon" + strconv.Itoa(os.Getpid())
	cmd := exec.Command("/proc/self/exe", dir)
	cmd.Env = append(os.Environ(), playEnv+"="+word)
	var said strings.Builder
	cmd.Stdout = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	until(t, "the job runs", func() bool {
		select {
		case err := <-ended:
			t.Fatalf("the daemon ended: %v %s", err, said.String())
		default:
		}
		body, err := os.ReadFile(filepath.Join(dir, "stdout"))
		return err == nil && string(body) == "up\n" && len(withWord(word)) > 0
	})
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-ended
	until(t, "everything is gone", func() bool { return len(withWord(word)) == 0 })
	// The next one cleans up and runs.
	if _, _, err := build(dir, sandbox.Config{}); err != nil {
		t.Fatal(err)
	}
	until(t, "the run's folder is gone", func() bool {
		_, _, err := build(dir, sandbox.Config{}) // sweeps
		entries, rerr := os.ReadDir(filepath.Join(dir, "state", "running"))
		return err == nil && rerr == nil && len(entries) == 0
	})
}

// TestShimKilled: what ran is not said to have not run.
func TestShimKilled(t *testing.T) {
	b := newBox(t, sandbox.Config{}, `echo half > outputs/half; echo up; bash -c 'trap "" TERM; while :; do sleep 1000; done' $WORD`)
	go func() {
		for tick := time.NewTicker(5 * time.Millisecond); t.Context().Err() == nil; <-tick.C {
			if body, err := os.ReadFile(b.spec.Stdout); err != nil || string(body) != "up\n" {
				continue
			}
			for _, p := range withWord("//sandbox.shim") {
				stat, err := os.ReadFile(filepath.Join(filepath.Dir(p), "stat"))
				if err != nil {
					continue
				}
				var pid, parent int
				var name, state string
				if _, err := fmt.Sscan(string(stat), &pid, &name, &state, &parent); err == nil && parent == os.Getpid() {
					_ = unix.Kill(pid, unix.SIGKILL) // a child of ours, not waited for yet
					return
				}
			}
		}
	}()
	b.ends(-1, "interrupted")
	if got := b.results(); len(got) > 0 {
		t.Errorf("published: %v", got)
	}
}

// TestProgramInAClosedFolder: what runs as another uid inside need not be open to it outside.
func TestProgramInAClosedFolder(t *testing.T) {
	p := own(t)
	chmod(t, p, 0o700)
	chmod(t, filepath.Dir(p), 0o700)
	b := newBox(t, sandbox.Config{Self: p}, "echo ran")
	b.ends(0, "")
	if got := b.stdout(); got != "ran\n" {
		t.Errorf("%q", got)
	}
}

// play is what this binary does for TestDaemonKilled and TestNoUserNamespaces.
func play(part, dir string) error {
	s, spec, err := build(dir, sandbox.Config{})
	if err != nil {
		return err
	}
	if part == "without namespaces" {
		if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
			return err
		}
		err := s.Ready(context.Background())
		if err == nil {
			return errors.New("ready")
		}
		fmt.Println(err)
		return nil
	}
	script := "echo up; trap '' TERM; (setsid bash -c 'trap \"\" TERM HUP; while :; do sleep 1000; done' " + part + " &) ; while :; do sleep 1000; done\n"
	if err := os.WriteFile(filepath.Join(spec.Work, "run.sh"), []byte(script), 0o600); err != nil {
		return err
	}
	_, err = s.Run(context.Background(), spec)
	return err
}
