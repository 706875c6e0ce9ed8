package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts plays the stories of scripts/, each in a home folder of its own, as whoever runs the tests. Beside the commands of testscript:
// until TEXT CMD... repeats a command until it says TEXT.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "scripts",
		Setup: func(e *testscript.Env) error {
			home := filepath.Join(e.WorkDir, "home")
			if err := os.MkdirAll(filepath.Join(home, ".run"), 0o700); err != nil {
				return err
			}
			e.Cd = home
			e.Setenv("HOME", home)
			e.Setenv("XDG_STATE_HOME", filepath.Join(home, ".state"))
			e.Setenv("XDG_RUNTIME_DIR", filepath.Join(home, ".run"))
			e.Setenv("PATH", binaries+":/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
			e.Setenv("LC_ALL", "C")
			e.Setenv("SYFTFS_BIN", binaries)
			e.Defer(func() { // whatever the story left running
				others, _ := filepath.Glob(filepath.Join(home, "*", ".state")) // the patterns are well formed; homes of other people in the story
				for _, state := range append(others, filepath.Join(home, ".state")) {
					at := filepath.Dir(state)
					env := append(slices.Clone(e.Vars), "HOME="+at, "XDG_STATE_HOME="+state, "XDG_RUNTIME_DIR="+filepath.Join(at, ".run"))
					names, _ := filepath.Glob(filepath.Join(state, "syftfs", "*"))
					for _, n := range names {
						cmd := exec.Command(filepath.Join(binaries, "syftfs"), "down", "--datasite", filepath.Base(n))
						cmd.Env = env
						_ = cmd.Run() // most stories have stopped it themselves
					}
					stop := exec.Command(filepath.Join(binaries, "syftfs"), "drive", "stop")
					stop.Env = env
					_ = stop.Run() // the same
				}
			})
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"until": until},
	})
}

// until TEXT CMD ARG... runs a command until its output holds TEXT.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until TEXT CMD ARG...")
	}
	deadline := time.After(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		// Not ts.Exec: it would keep every answer for the log of the story.
		path, err := lookPath(ts.Getenv("PATH"), args[1])
		if err != nil {
			ts.Fatalf("%v", err)
		}
		cmd := exec.Command(path, args[2:]...)
		cmd.Dir = ts.Getenv("HOME")
		for _, key := range []string{"HOME", "PATH", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "LC_ALL"} {
			cmd.Env = append(cmd.Env, key+"="+ts.Getenv(key))
		}
		said, err := cmd.CombinedOutput()
		if err == nil && strings.Contains(string(said), args[0]) {
			ts.Check(ts.Exec(args[1], args[2:]...)) // for the checks that follow
			return
		}
		select {
		case <-deadline:
			ts.Fatalf("it never said %q but %q (%v)", args[0], said, err)
		case <-tick.C:
		}
	}
}

// lookPath finds a command on the story's own PATH.
func lookPath(path, name string) (string, error) {
	for _, dir := range filepath.SplitList(path) {
		full := filepath.Join(dir, name)
		if info, err := os.Stat(full); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return full, nil
		}
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}
