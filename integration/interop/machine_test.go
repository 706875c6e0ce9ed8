//go:build interop

package interop

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// built is the program, made once.
var built = sync.OnceValues(func() (string, error) {
	file := filepath.Join(tools.dir, "syftfs")
	if out, err := exec.Command("go", "build", "-o", file, "../../cmd/syftfs").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return file, nil
})

// machine is a computer with the built program on it.
type machine struct {
	t       testing.TB
	home    string
	program string
}

func newMachine(t testing.TB) *machine {
	t.Helper()
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, home: t.TempDir(), program: program}
	if err := os.Mkdir(m.path(".run"), 0o700); err != nil {
		t.Fatal(err)
	}
	return m
}

// path is a path in the home folder.
func (m *machine) path(parts ...string) string {
	return filepath.Join(append([]string{m.home}, parts...)...)
}

func (m *machine) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = m.home
	cmd.Env = append(os.Environ(), "HOME="+m.home, "XDG_STATE_HOME="+m.path(".state"), "XDG_RUNTIME_DIR="+m.path(".run"), "TMPDIR="+m.home, "LC_ALL=C.UTF-8")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// ok runs the program, which must succeed, and gives what it said.
func (m *machine) ok(args ...string) string {
	m.t.Helper()
	out, err := m.command(m.program, args...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("syftfs %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// tell runs the program with --json and gives its data.
func tell[T any](m *machine, args ...string) (T, error) {
	var a struct {
		OK   bool
		Data T
	}
	out, err := m.command(m.program, append(args, "--json")...).Output()
	if err == nil {
		err = json.Unmarshal(out, &a)
	}
	if err == nil && !a.OK {
		err = errors.New("it says that it is not ok")
	}
	if err != nil {
		return a.Data, fmt.Errorf("syftfs %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return a.Data, nil
}
