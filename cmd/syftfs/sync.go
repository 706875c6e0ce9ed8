package main

import (
	"fmt"
	"io"

	"github.com/openmined/syftfs/cmd/internal/httpapi"
	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/spf13/cobra"
)

func (a *app) syncCmd() *cobra.Command {
	var q service.SyncQuestion
	c := &cobra.Command{
		Use: "sync", Short: "Exchange with peers now", Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage{fmt.Errorf("there is no command %q: see `%s --help`", c.CommandPath()+" "+args[0], c.CommandPath())}
			}
			return nil
		},
		Long: "sync begins a round of the exchange with your peers: what changed here is sent, what lies on Drive is fetched. That happens by itself, too, at every\n" +
			"change and every few seconds. With --wait it does one whole round, with everything that changed before, and tells how the exchange stands.",
		Example: "  syftfs sync\n  syftfs sync --wait",
		RunE: func(c *cobra.Command, _ []string) error {
			st, err := ask(c.Context(), a, httpapi.SyncNow, q)
			if err != nil {
				return err
			}
			return a.exchangeShown(st, map[bool]string{true: "Exchanged.", false: "A round has begun."}[q.Wait])
		},
	}
	c.Flags().BoolVar(&q.Wait, "wait", false, "until the round has ended")
	c.AddCommand(a.syncRelease(), a.syncConflicts())
	return c
}

func (a *app) exchangeShown(st service.ExchangeStatus, head string) error {
	return a.show(st, func(w io.Writer) {
		fmt.Fprintln(w, head)
		fmt.Fprint(w, clean(st.Text(), true))
	})
}

func (a *app) syncRelease() *cobra.Command {
	return &cobra.Command{Use: "release", Short: "Let the deletions go that the brake holds back",
		Long: "When many published files are deleted at once, nothing is sent any more, and `syftfs status` tells how many: perhaps a disk was not mounted. If they\n" +
			"were meant to go, release lets exactly these deletions go; else put the files back.",
		Example: "  syftfs sync release", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			st, err := ask(c.Context(), a, httpapi.SyncRelease, struct{}{})
			if err != nil {
				return err
			}
			return a.exchangeShown(st, "The deletions go to your peers now.")
		}}
}

func (a *app) syncConflicts() *cobra.Command {
	return &cobra.Command{Use: "conflicts", Short: "List the files that both sides changed",
		Long:    "Where both sides changed a file, both versions are kept: the other side's in the place of the file, yours beside it. The same stands in .syft/conflicts.",
		Example: "  syftfs sync conflicts", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			list, err := ask(c.Context(), a, httpapi.Conflicts, struct{}{})
			if err != nil {
				return err
			}
			return a.show(list, func(w io.Writer) { fmt.Fprint(w, clean(service.ConflictsText(list), true)) })
		}}
}

func (a *app) waitCmd() *cobra.Command {
	var q service.WaitQuestion
	c := &cobra.Command{Use: "wait PATH", Short: "Wait until a file or folder is there and delivered",
		Long: "wait waits until PATH is there, and then until it is settled: a file of yours was sent to everybody who may read it, a change in the datasite of a\n" +
			"peer was taken. With --exists being there is enough. PATH is owner@x.org/dir/file, or a path below the mount; of a job also what the mount shows in\n" +
			"jobs/. Exit status: 0 it is so, 75 not yet, after --timeout; 6 it cannot be without somebody's doing.",
		Example: "  syftfs wait ~/SyftBox/owen@cancer-research.example/jobs/analysis/outputs/result.json --timeout 1h\n  syftfs wait owen@cancer-research.example/public --exists", Args: exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			q.Path = a.placeToBe(args[0])
			if q.Timeout < 0 {
				return usage{fmt.Errorf("--timeout: a time to wait is not negative")}
			}
			done, err := ask(c.Context(), a, httpapi.Wait, q)
			if err != nil {
				return err
			}
			return a.show(done, func(w io.Writer) {
				state := done.FileState.String()
				if q.Exists || state == "" {
					state = "there"
				}
				fmt.Fprintf(w, "/%s is %s\n", clean(done.Path, false), clean(state, false))
			})
		}}
	c.Flags().BoolVar(&q.Exists, "exists", false, "only until it is there")
	c.Flags().DurationVar(&q.Timeout, "timeout", 0, "how long to wait at most (default: until Ctrl-C)")
	return c
}
