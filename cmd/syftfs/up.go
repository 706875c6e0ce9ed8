package main

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/openmined/syftfs/cmd/internal/daemon"
	"github.com/openmined/syftfs/cmd/internal/httpapi"
	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/spf13/cobra"
)

func (a *app) upCmd() *cobra.Command {
	var detach, verbose bool
	c := &cobra.Command{
		Use:   "up",
		Short: "Start the datasite: mount the tree, take jobs, run what is approved",
		Long: "up mounts the tree and serves it until Ctrl-C, `syftfs down` or an unmount. With --detach it goes on in the background, and the command\n" +
			"returns when the mount is usable. After a crash it recovers by itself: a dead mount is detached, changes that were not recorded are found.",
		Example: "  syftfs up\n  syftfs up --detach",
		Args:    exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := a.dir()
			if err != nil {
				return err
			}
			if detach {
				if err := daemon.Detach(c.Context(), dir); err != nil {
					return err
				}
				cl := newClient(dir)
				defer cl.Close()
				st, err := httpapi.Ask(c.Context(), cl, httpapi.Status, struct{}{})
				if err != nil {
					return err
				}
				return a.show(st, func(w io.Writer) {
					fmt.Fprintf(w, "Up: %s is mounted at %s (process %d). Stop it with: syftfs down\n", st.Email, st.Mount, st.PID)
				})
			}
			level := slog.LevelWarn
			if verbose {
				level = slog.LevelDebug
			}
			return daemon.Run(c.Context(), dir, daemon.RunOptions{
				Log: slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: level})),
				Ready: func(st service.State) {
					if !daemon.Detached() {
						a.ready(st)
					}
				},
			})
		},
	}
	c.Flags().BoolVar(&detach, "detach", false, "go on in the background")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "log what happens")
	return c
}

// ready tells that the mount is usable, of a datasite that stays in the foreground.
func (a *app) ready(st service.State) {
	_ = a.show(st, func(w io.Writer) { fmt.Fprintf(w, "Up: %s is mounted at %s. Ctrl-C stops it.\n", st.Email, st.Mount) })
}

func (a *app) downCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "down",
		Short:   "Stop the datasite; all data stays",
		Long:    "down asks the running datasite to end: running jobs are stopped and recorded, the mount is taken away, the journal is closed.",
		Example: "  syftfs down",
		Args:    exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := a.dir()
			if err != nil {
				return err
			}
			st, err := ask(c.Context(), a, httpapi.Status, struct{}{})
			if err != nil {
				return err
			}
			users := daemon.Users(st) // a mount that is detached hides them
			if _, err := ask(c.Context(), a, httpapi.Shutdown, struct{}{}); err != nil {
				return err
			}
			if len(users) > 0 && daemon.WaitStopped(c.Context(), dir, time.Second) != nil {
				fmt.Fprintf(a.err, "syftfs: still used by %s: end them, or they lose their open files in about %d seconds\n",
					clean(strings.Join(users, ", "), false), int(daemon.StopLimit.Seconds()))
			}
			if err := daemon.WaitStopped(c.Context(), dir, time.Minute); err != nil {
				return err
			}
			return a.show(map[string]string{"name": st.Name}, func(w io.Writer) { fmt.Fprintln(w, "Stopped; your data is kept in", st.Backing) })
		},
	}
}

func (a *app) statusCmd() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Tell how the datasite is", Example: "  syftfs status\n  syftfs status --json", Args: exactly(0),
		Long: "status shows where everything lies, what runs, what waits for you, and what is wrong. The same stands in .syft/status of the mount.",
		RunE: func(c *cobra.Command, _ []string) error {
			st, err := ask(c.Context(), a, httpapi.Status, struct{}{})
			if err != nil {
				return err
			}
			return a.show(st, func(w io.Writer) { fmt.Fprint(w, clean(st.Text(), true)) })
		},
	}
}
