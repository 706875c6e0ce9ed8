// Package confine runs one command that finds a view in the place of the owner's mount, and the owner's other doors covered:
// the backing folder, the state with its tokens, the socket of the local API. It knows paths, bubblewrap and exit statuses; it
// must not know accounts, rules or mounts. Only the command line imports it.
package confine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// The exit statuses beside the command's own, as shells have them.
const (
	NotSetUp      = 125
	NotExecutable = 126
	NotFound      = 127
)

// ErrMachine is wrapped when this machine cannot confine a command.
var ErrMachine = errors.New("this machine cannot confine a command")

// Plan says what the command finds.
type Plan struct {
	View    string   // folder that shows the view
	Mount   string   // folder at which the command finds it
	Cover   []string // folders that are empty and read-only for the command; those that do not exist are left out
	Dir     string   // where the command starts, if that exists there; else Mount
	Env     []string // its whole environment
	Command []string // program and arguments

	In       io.Reader
	Out, Err io.Writer
}

// Run runs the command until it ends and gives its exit status, 128 and the number of the signal that ended it. An error means that it
// never ran. A signal from the terminal reaches the command by itself; it dies when this process does, and when the view is gone.
func Run(p Plan, gone <-chan struct{}) (int, error) {
	bwrap, err := exec.LookPath("bwrap")
	if err != nil {
		return NotSetUp, fmt.Errorf("bubblewrap is missing (apt-get install bubblewrap): %w: %w", ErrMachine, err)
	}
	program, status, err := Program(p.Command[0])
	if err != nil {
		return status, err
	}
	for _, dir := range []string{p.View, p.Mount} { // bubblewrap would make what is missing
		if st, err := os.Stat(dir); err != nil || !st.IsDir() {
			return NotSetUp, fmt.Errorf("the view cannot be shown: %s is not a folder (%v)", dir, err)
		}
	}
	filter, err := terminalFilter()
	if err != nil {
		return NotSetUp, err
	}
	filterOut, filterIn, err := os.Pipe()
	if err != nil {
		return NotSetUp, err
	}
	defer filterOut.Close()
	told, tell, err := os.Pipe()
	if err != nil {
		return NotSetUp, errors.Join(err, filterIn.Close())
	}
	defer told.Close()
	// The filter is far smaller than a pipe holds.
	if _, err := filterIn.Write(filter); err != nil {
		return NotSetUp, errors.Join(err, filterIn.Close(), tell.Close())
	}
	filterIn.Close()

	const filterFD, statusFD = 3, 4 // by their place in ExtraFiles
	cmd := exec.Command(bwrap, p.arguments(filterFD, statusFD, program)...)
	cmd.Env, cmd.Dir = p.Env, "/"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.In, p.Out, p.Err
	cmd.ExtraFiles = []*os.File{filterOut, tell}
	type end struct {
		code int
		said bool
	}
	ends := make(chan end, 1)
	go func() {
		var e end
		e.code, e.said = exitCode(told)
		ends <- e
	}()
	status, err = Wait(cmd, gone)
	tell.Close()
	e := <-ends
	switch {
	case err != nil:
		return NotSetUp, fmt.Errorf("%w: %w", ErrMachine, err)
	case e.said:
		return e.code, nil
	case status > 128: // one signal ended the command and bubblewrap
		return status, nil
	}
	return NotSetUp, fmt.Errorf("%w: bubblewrap ended before the command began (status %d): see `syftfs doctor`, or run it with --no-confine", ErrMachine, status)
}

// Wait runs cmd until it ends, and ends it when gone is closed. It gives the exit status, 128 and the number of the signal that ended it. An
// error means that it never ran.
func Wait(cmd *exec.Cmd, gone <-chan struct{}) (int, error) {
	if err := cmd.Start(); err != nil {
		return NotSetUp, err
	}
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-gone:
			_ = cmd.Process.Signal(syscall.SIGTERM) // its state, below, tells whether that worked
		case <-done:
		}
	})
	err := cmd.Wait()
	close(done)
	watch.Wait()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		return NotSetUp, err // its output could not be passed on
	}
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return cmd.ProcessState.ExitCode(), nil
}

// exitCode reads what bubblewrap tells of its child: it gives an exit code only of a command that began.
func exitCode(r io.Reader) (code int, ended bool) {
	dec := json.NewDecoder(r)
	for {
		var doc struct {
			ExitCode *int `json:"exit-code"`
		}
		if err := dec.Decode(&doc); err != nil {
			return code, ended
		}
		if doc.ExitCode != nil {
			code, ended = *doc.ExitCode, true
		}
	}
}

// Program finds the program of a command as a shell does, with the exit status for one that cannot be had.
func Program(name string) (path string, status int, err error) {
	path, err = exec.LookPath(name)
	switch {
	case err == nil:
		path, err = filepath.Abs(path)
		return path, 0, err
	case errors.Is(err, iofs.ErrPermission):
		return "", NotExecutable, fmt.Errorf("%s cannot be executed: %w", name, err)
	}
	return "", NotFound, fmt.Errorf("%s is not found: %w", name, err)
}

// arguments are those of bubblewrap. Its sandbox has a user namespace of its own in which the command has no capability, so that
// what is mounted here stays mounted: also in namespaces that the command makes, where these mounts are locked. It sees no process
// from outside, so that it can trace none.
func (p Plan) arguments(filterFD, statusFD int, program string) []string {
	args := []string{"--dev-bind", "/", "/", "--unshare-user", "--cap-drop", "ALL", "--unshare-pid", "--proc", "/proc", "--die-with-parent",
		"--seccomp", fmt.Sprint(filterFD), "--json-status-fd", fmt.Sprint(statusFD)}
	covers := p.covers()
	for _, dir := range covers {
		args = append(args, "--tmpfs", dir)
	}
	args = append(args, "--bind", p.View, p.Mount)
	for _, dir := range covers {
		args = append(args, "--remount-ro", dir)
	}
	args = append(args, "--chdir", p.start(), "--", program)
	return append(args, p.Command[1:]...)
}

// covers are the folders to cover that are there, by their real names, without those that lie in another one or in the view.
func (p Plan) covers() []string {
	var all []string
	for _, dir := range p.Cover {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			if st, err := os.Stat(real); err == nil && st.IsDir() && !in(real, p.Mount) {
				all = append(all, real)
			}
		}
	}
	slices.Sort(all) // a folder comes before what lies in it
	var kept []string
	for _, dir := range all {
		if !slices.ContainsFunc(kept, func(other string) bool { return in(dir, other) }) {
			kept = append(kept, dir)
		}
	}
	return kept
}

// in reports whether path is dir or lies in it.
func in(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// start is the working directory: the wanted one, if it is there for the command.
func (p Plan) start() string {
	if in(p.Dir, p.Mount) {
		if st, err := os.Stat(p.View + strings.TrimPrefix(p.Dir, p.Mount)); err != nil || !st.IsDir() {
			return p.Mount
		}
		return p.Dir
	}
	if slices.ContainsFunc(p.Cover, func(dir string) bool { return in(p.Dir, dir) }) {
		return p.Mount
	}
	return p.Dir
}
