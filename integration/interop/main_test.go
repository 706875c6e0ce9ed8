//go:build interop

// Package interop plays whole stories between two people of whom at least one uses the unmodified Python syft-client, over our Drive server.
// It knows the built program and the released client from the outside only. Nobody imports it.
package interop

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/openmined/syftfs/integration/mountns"
)

const (
	owen   = "owen@cancer-research.example"
	rachel = "rachel@datascience.example"

	patience = 90 * time.Second // how long a test waits for what must come true
)

// tools is what the stories are played with.
var tools struct {
	dir    string // for the built program
	python string // a Python that has syft-client, uv beside it
	base   string // the installation that it was made from: uv finds its interpreter there
	cache  string // uv's cache, which holds what jobs install: nothing is fetched while tests run
}

func TestMain(m *testing.M) { mountns.MainWith(m, setUp) }

func setUp() (func(), error) {
	tools.python, tools.cache = os.Getenv("SYFTFS_INTEROP_PYTHON"), os.Getenv("UV_CACHE_DIR")
	if tools.python == "" || tools.cache == "" {
		return nil, errors.New("run `.ci/run interop`: it makes what SYFTFS_INTEROP_PYTHON and UV_CACHE_DIR must name")
	}
	base, err := exec.Command(tools.python, "-c", "import sys; print(sys.base_prefix, end='')").Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", tools.python, err)
	}
	tools.base = string(base)
	dir, err := os.MkdirTemp("", "syftfs-interop-")
	if err != nil {
		return nil, err
	}
	tools.dir = dir
	return func() { os.RemoveAll(dir) }, nil
}

// until waits for cond to give nil, and fails with its last error.
func until(t testing.TB, what string, cond func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := cond()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not after %v: %v", what, patience, err)
		case <-tick.C:
		}
	}
}

// write makes a file, and its folders, below dir and returns its path.
func write(t testing.TB, text string, dir string, name ...string) string {
	t.Helper()
	file := filepath.Join(append([]string{dir}, name...)...)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// holds is nil when a file has this content.
func holds(file, text string) error {
	got, err := os.ReadFile(file)
	if err == nil && string(got) != text {
		err = fmt.Errorf("%s holds %q", file, got)
	}
	return err
}

// gone is nil when there is no such file.
func gone(file string) error {
	_, err := os.Stat(file)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = errors.New(file + " is still there")
	}
	return err
}
