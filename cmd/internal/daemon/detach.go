package daemon

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/openmined/syftfs/fs/fusetree"
	"github.com/openmined/syftfs/fs/statedir"
)

// readyFD is the descriptor on which a detached process says that it is ready, or why not.
const (
	readyFD  = 3
	readyEnv = "SYFTFS_READY_FD"
	readyOK  = "ready"
	logFile  = "daemon.log"
)

// Detached reports whether this process was started by DetachCommand.
func Detached() bool { return os.Getenv(readyEnv) != "" }

// Detach starts `syftfs up` for the datasite with this state folder in a session of its own, and returns when it is ready. What it
// says goes to daemon.log in the state folder.
func Detach(ctx context.Context, stateDir string) error {
	return DetachCommand(ctx, filepath.Join(stateDir, logFile), "up", "--datasite", filepath.Base(stateDir))
}

// DetachCommand starts this program with args in a session of its own, and returns when that process says with Announce that it is ready,
// or its error. What it prints is added to the file at logPath.
func DetachCommand(ctx context.Context, logPath string, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(logPath, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := exec.Command(self, args...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), readyEnv+"=1")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{w} // descriptor 3
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return err
	}
	ended := make(chan string, 1)
	go func() {
		line, err := bufio.NewReader(r).ReadString('\n')
		if err != nil && line == "" {
			line = "it ended without a word: see " + log.Name()
		}
		ended <- strings.TrimSpace(line)
	}()
	select {
	case <-ctx.Done():
		return errors.Join(ctx.Err(), cmd.Process.Signal(os.Interrupt))
	case line := <-ended:
		if line == readyOK {
			return cmd.Process.Release()
		}
		werr := cmd.Wait()
		code, text, ok := strings.Cut(line, " ")
		if !ok {
			return errors.Join(errors.New(line), werr)
		}
		return &service.Error{Code: service.Code(code), Message: text, Err: werr}
	}
}

// Announce tells the process that called DetachCommand, if one did, that this one is ready (err is nil) or why it will not be.
func Announce(err error) {
	if !Detached() {
		return
	}
	f := os.NewFile(readyFD, "ready")
	if f == nil {
		return
	}
	defer f.Close()
	line := readyOK
	if err != nil {
		e := service.Wrap(err)
		line = string(e.Code) + " " + strings.ReplaceAll(e.Message, "\n", " ")
	}
	// Whoever started us may be gone; there is nobody else to tell.
	_, _ = io.WriteString(f, line+"\n")
}

// Users names the programs that use the mounts of a datasite, as far as this account may see: "vim (pid 12)".
func Users(st service.Status) []string {
	who := fusetree.Users(st.Mount)
	for _, v := range st.Views {
		who = append(who, fusetree.Users(v.Dir)...)
	}
	slices.Sort(who)
	return slices.Compact(who)
}

// WaitStopped waits until no process holds the datasite's lock.
func WaitStopped(ctx context.Context, stateDir string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	dir, err := statedir.Open(stateDir, nil)
	if err != nil {
		return err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		lock, err := dir.Lock()
		if err == nil {
			return lock.Close()
		}
		if !errors.Is(err, statedir.ErrLocked) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it was asked to stop but still runs: %w; a file of the mount may be open (see %s)", ctx.Err(), filepath.Join(stateDir, logFile))
		case <-tick.C:
		}
	}
}
