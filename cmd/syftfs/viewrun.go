package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/openmined/syftfs/cmd/internal/config"
	"github.com/openmined/syftfs/cmd/internal/confine"
	"github.com/openmined/syftfs/cmd/internal/httpapi"
	"github.com/openmined/syftfs/cmd/internal/service"
)

// viewEnv tells a command which folder is the view that it runs in.
const viewEnv = "SYFTFS_VIEW"

// runInView runs a command that sees the datasite as somebody else does. The view ends with it.
func (a *app) runInView(ctx context.Context, q service.OpenView, confined bool, command []string) error {
	if _, status, err := confine.Program(command[0]); err != nil {
		return a.refused(status, err)
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	defer c.Close()
	st, err := httpapi.Ask(ctx, c, httpapi.Status, struct{}{})
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "syftfs-view-")
	if err != nil {
		return err
	}
	defer os.Remove(dir) // the view is gone then; if not, the folder stays and so does what is in it
	q.Dir, q.Run = dir, true
	v, err := httpapi.Ask(ctx, c, httpapi.ViewOpen, q)
	if err != nil {
		return err
	}
	// The view lives as long as this question: it ends with us, however we end.
	holding, release := context.WithCancel(context.WithoutCancel(ctx))
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = httpapi.Ask(holding, c, httpapi.ViewHold, service.CloseView{Dir: dir})
	}()
	defer func() {
		_, err := httpapi.Ask(context.WithoutCancel(ctx), c, httpapi.ViewClose, service.CloseView{Dir: dir})
		if e, ok := errors.AsType[*service.Error](err); ok && e.Code != service.NotFound && e.Code != service.NotRunning {
			fmt.Fprintln(a.err, "syftfs:", e.Message)
		}
		release()
		<-gone
	}()

	may := "read-only"
	if q.Write {
		may = "with what they may write"
	}
	fmt.Fprintf(a.err, "syftfs: %s as %s sees it, %s, at most until %s\n", st.Email, v.Who(), may, v.Expires.Local().Format("15:04"))
	env := append(os.Environ(), viewEnv+"="+dir)
	if !confined {
		fmt.Fprintln(a.err, "syftfs: the view is at", dir, "(SYFTFS_VIEW). Nothing confines the command: this shows something, it keeps nothing back.")
		return a.runOpen(command, env, gone)
	}
	cover, err := a.covered(ctx, c, st)
	if err != nil {
		return err
	}
	plan := confine.Plan{View: dir, Mount: st.Mount, Cover: append(cover, dir), Env: append(inside(env), viewEnv+"="+st.Mount), Command: command,
		In: a.in, Out: a.out, Err: a.err}
	if plan.Dir, err = os.Getwd(); err != nil {
		plan.Dir = st.Mount
	}
	status, err := confine.Run(plan, gone)
	return a.ended(status, err, gone)
}

// covered lists what of the owner a confined command must not find: every state folder with its socket and tokens, what the session's
// services listen on, and the trees of all datasites, but for the mount that the view replaces.
func (a *app) covered(ctx context.Context, c *httpapi.Client, st service.Status) ([]string, error) {
	root, err := config.Root()
	if err != nil {
		return nil, err
	}
	cover := []string{root, st.StateDir, filepath.Dir(st.Socket), st.Backing}
	if run := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(run) {
		cover = append(cover, run)
	}
	names, err := config.Names()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		cfg, err := config.Load(filepath.Join(root, name))
		if err != nil {
			return nil, err
		}
		cover = append(cover, cfg.Backing)
		if cfg.Mount != st.Mount {
			cover = append(cover, cfg.Mount)
		}
	}
	views, err := httpapi.Ask(ctx, c, httpapi.ViewList, struct{}{})
	if err != nil {
		return nil, err
	}
	for _, v := range views {
		cover = append(cover, v.Dir)
	}
	return cover, nil
}

// inside is the environment without the ways to the session's services, which would act as the owner.
func inside(env []string) []string {
	var kept []string
	for _, e := range env {
		switch name, _, _ := strings.Cut(e, "="); name {
		case "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "SSH_AUTH_SOCK", "GPG_AGENT_INFO", "TMUX", "STY", viewEnv:
		default:
			kept = append(kept, e)
		}
	}
	return kept
}

func (a *app) runOpen(command, env []string, gone <-chan struct{}) error {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, a.in, a.out, a.err
	status, err := confine.Wait(cmd, gone)
	return a.ended(status, err, gone)
}

// refused says why a command did not run, with an exit status of its own.
func (a *app) refused(status int, err error) error {
	fmt.Fprintln(a.err, "syftfs:", clean(err.Error(), true))
	if errors.Is(err, confine.ErrMachine) {
		return exit(service.Machine.Exit())
	}
	return exit(status)
}

// ended gives a command's exit status to whoever asked for it.
func (a *app) ended(status int, err error, gone <-chan struct{}) error {
	if err != nil {
		return a.refused(status, err)
	}
	select {
	case <-gone:
		fmt.Fprintln(a.err, "syftfs: the view is gone (its time was over, or the datasite stopped), and the command with it")
	default:
	}
	if status == 0 {
		return nil
	}
	return exit(status)
}
