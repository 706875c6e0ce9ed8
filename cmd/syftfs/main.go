// Syftfs mounts a tree of datasites in which permission files decide every open, and runs approved jobs on private data.
// This package is the command line: one file a subcommand, each of which asks a running datasite through the local API.
// It adds no meaning of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/openmined/syftfs/cmd/internal/config"
	"github.com/openmined/syftfs/cmd/internal/httpapi"
	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/openmined/syftfs/fs/fusetree"
	"github.com/openmined/syftfs/jobs/sandbox"
	"github.com/spf13/cobra"
)

func main() {
	// A run's own processes are this binary too: the shim outside the sandbox and the init inside it; and so is what makes the changes of
	// peers through the mount.
	for _, part := range []func([]string) (bool, int){sandbox.Main, fusetree.Main} {
		if handled, code := part(os.Args); handled {
			os.Exit(code)
		}
	}
	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() { // a second signal ends the process at once
		<-ctx.Done()
		stop()
	}()
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, person: terminal(os.Stdin)}
	return a.finish(a.root().ExecuteContext(ctx))
}

// exit is an error that only carries an exit status: what there was to say was said.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// usage is an error of how the command was typed.
type usage struct{ error }

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "syftfs",
		Short: "Private data in a folder that asks before it opens, and jobs that run only as approved",
		Long: "syftfs mounts ~/SyftBox: a folder per datasite (an e-mail address), where permission files (syft.pub.yaml, syftperm.yaml)\n" +
			"decide every open and every write. A scientist copies a job folder into your jobs/ folder; you read it, write your approval into its\n" +
			"DECISION file, and exactly the approved bytes run, confined, on private data.",
		Example:       "  syftfs demo                                  # see it all, on this machine, in under a minute\n  syftfs init --email you@example.org && syftfs up --detach\n  syftfs status",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage{fmt.Errorf("there is no command %q: `syftfs --help` lists them", args[0])}
			}
			return c.Help()
		},
	}
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print one JSON object instead of text")
	root.PersistentFlags().StringVar(&a.datasite, "datasite", "", "name of the datasite (default: the only one)")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage{fmt.Errorf("%w (see `%s --help`)", err, c.CommandPath())}
	})
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(a.initCmd(), a.upCmd(), a.downCmd(), a.statusCmd(), a.whyCmd(), a.whoCmd(), a.shareCmd(), a.unshareCmd(), a.permCmd(), a.viewCmd(), a.usersCmd(), a.datasetCmd(), a.jobCmd(), a.peersCmd(), a.syncCmd(), a.waitCmd(),
		a.authCmd(), a.driveCmd(), a.doctorCmd(), a.demoCmd())
	return root
}

// finish prints err the way the caller asked for and gives the exit status.
func (a *app) finish(err error) int {
	if err == nil {
		return 0
	}
	if e, ok := errors.AsType[exit](err); ok {
		return int(e)
	}
	var e *service.Error
	if u, ok := errors.AsType[usage](err); ok {
		e = &service.Error{Code: service.BadInput, Message: u.Error()}
	} else if errors.Is(err, config.ErrNone) {
		e = &service.Error{Code: service.NotRunning, Message: err.Error()}
	} else {
		e = service.Wrap(err)
	}
	if a.json {
		a.encode(map[string]any{"ok": false, "error": e})
	} else {
		fmt.Fprintln(a.err, "syftfs:", clean(strings.TrimSpace(e.Message), true))
	}
	if errors.Is(err, context.Canceled) {
		return interrupted
	}
	return e.Code.Exit()
}

// interrupted is the exit status of a command that a signal ended.
const interrupted = 130

// dir is the state folder of the datasite that --datasite names, or of the only one.
func (a *app) dir() (string, error) {
	if a.datasite != "" {
		if err := config.CheckName(a.datasite); err != nil {
			return "", usage{err}
		}
		return config.Find(a.datasite)
	}
	if names, err := config.Names(); err == nil && len(names) > 1 {
		_, err := config.Find("")
		return "", usage{err}
	}
	return config.Find("")
}

// client talks to the running datasite that --datasite names.
func (a *app) client() (*httpapi.Client, error) {
	dir, err := a.dir()
	if err != nil {
		return nil, err
	}
	return newClient(dir), nil
}
