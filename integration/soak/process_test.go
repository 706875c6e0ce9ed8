//go:build long

package soak

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
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long is waited for what must come true.
const patience = time.Minute

// machine is a home folder in which the program runs.
type machine struct {
	t    testing.TB
	home string
	up   *exec.Cmd
	done chan error
	log  *os.File // everything that it said since it was first started
}

func newMachine(t testing.TB) *machine {
	t.Helper()
	home, err := os.MkdirTemp("", "syftfs-home-")
	if err == nil {
		err = os.Mkdir(filepath.Join(home, ".run"), 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, home: home}
	if m.log, err = os.Create(m.path("log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.remove)
	return m
}

// remove ends what runs here and removes the home folder; nothing is removed through a mount.
func (m *machine) remove() {
	m.kill()
	m.log.Close()
	mount := m.path("SyftBox")
	if err := unix.Unmount(mount, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		if out, err := m.command(context.Background(), "fusermount3", "-u", "-z", mount).CombinedOutput(); err != nil && mounted(m.t, mount) {
			m.t.Errorf("%s is left mounted: %v: %s", mount, err, out)
		}
	}
	switch {
	case m.t.Failed():
		m.t.Logf("kept for inspection: %s", m.home)
	case !mounted(m.t, mount):
		os.RemoveAll(m.home)
	}
}

func mounted(t testing.TB, dir string) bool {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(b), " "+dir+" ")
}

func (m *machine) path(parts ...string) string {
	return filepath.Join(append([]string{m.home}, parts...)...)
}

func (m *machine) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = m.home
	cmd.Env = append(os.Environ(), "HOME="+m.home, "XDG_STATE_HOME="+m.path(".state"), "XDG_RUNTIME_DIR="+m.path(".run"), "TMPDIR="+m.home, "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// run runs the program.
func (m *machine) run(args ...string) ([]byte, error) {
	return m.runUntil(context.Background(), args...)
}

// runUntil runs the program, at most until ctx ends.
func (m *machine) runUntil(ctx context.Context, args ...string) ([]byte, error) {
	cmd := m.command(ctx, program, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("syftfs %s: %w: %s%s", strings.Join(args, " "), err, out, errs.Bytes())
	}
	return out, nil
}

// ok runs the program, which must succeed.
func (m *machine) ok(args ...string) {
	m.t.Helper()
	if _, err := m.run(args...); err != nil {
		m.t.Fatal(err)
	}
}

// try runs the program with --json and reads its data.
func try[A any](m *machine, args ...string) (A, error) {
	var a struct {
		OK   bool
		Data A
	}
	out, err := m.run(append(args, "--json")...)
	if err == nil {
		err = json.Unmarshal(out, &a)
	}
	return a.Data, err
}

// ask is try, and must succeed.
func ask[A any](m *machine, args ...string) A {
	m.t.Helper()
	a, err := try[A](m, args...)
	if err != nil {
		m.t.Fatal(err)
	}
	return a
}

// start starts a command that goes on, and waits until its first line begins with ready.
func (m *machine) start(ready string, args ...string) {
	m.t.Helper()
	cmd := m.command(context.Background(), program, args...)
	cmd.Stderr = m.log
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		m.t.Fatal(err)
	}
	line := make([]byte, 4096)
	n, rerr := out.Read(line)
	done := make(chan error, 1)
	m.up, m.done = cmd, done
	go func() {
		_, _ = io.Copy(io.Discard, out)
		done <- cmd.Wait()
	}()
	if rerr != nil || !bytes.HasPrefix(line[:n], []byte(ready)) {
		m.t.Fatalf("syftfs %s does not come up: %q, %v: %s", strings.Join(args, " "), line[:n], rerr, m.said())
	}
}

// kill ends what runs here as kill -9 does.
func (m *machine) kill() {
	if m.up == nil {
		return
	}
	if err := m.up.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		m.t.Errorf("kill: %v", err)
	}
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case <-m.done:
		m.up = nil
	case <-limit.C:
		up := m.up
		m.up = nil
		m.t.Fatalf("syftfs in %s was killed and is not gone:\n%s", m.home, m.remains(up.Process.Pid))
	}
}

// remains lists the processes of this machine that are left, and what their threads wait for.
func (m *machine) remains(pid int) string {
	var b strings.Builder
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return err.Error()
	}
	for _, p := range all {
		env, _ := os.ReadFile(filepath.Join(p, "environ")) // one that has just ended has none
		if filepath.Base(p) != strconv.Itoa(pid) && !strings.Contains(string(env), "HOME="+m.home+"\x00") {
			continue
		}
		line, _ := os.ReadFile(filepath.Join(p, "cmdline"))
		fmt.Fprintf(&b, "%s %s\n", p, strings.ReplaceAll(string(line), "\x00", " "))
		threads, _ := filepath.Glob(filepath.Join(p, "task/*"))
		for _, thread := range threads {
			stat, _ := os.ReadFile(filepath.Join(thread, "stat"))
			wait, _ := os.ReadFile(filepath.Join(thread, "wchan"))
			stack, _ := os.ReadFile(filepath.Join(thread, "stack"))
			fmt.Fprintf(&b, "  %.60s: %s\n%s", stat, wait, stack)
		}
	}
	return b.String()
}

// said is the end of what it logged.
func (m *machine) said() string {
	b, err := os.ReadFile(m.path("log"))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-6000):])
}

// until waits for cond to give nil; its last error otherwise.
func until(cond func() error) error {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := cond()
		if err == nil {
			return nil
		}
		select {
		case <-limit.C:
			return err
		case <-tick.C:
		}
	}
}
