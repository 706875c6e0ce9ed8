package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/openmined/syftfs/cmd/internal/demo"
	"github.com/openmined/syftfs/cmd/internal/doctor"
	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/spf13/cobra"
)

func (a *app) doctorCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Tell what this machine lacks, and how to get it",
		Long: "doctor looks at this machine (mounting, sandbox, limits) and at your datasite's folders. Exit status: 0 when everything works, also with less than it could;\n" +
			"10 when something is missing.",
		Example: "  syftfs doctor\n  syftfs doctor --json",
		Args:    exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := a.dir()
			if err != nil {
				if a.datasite != "" {
					return err
				}
				dir = "" // no datasite, or several: look at the machine alone
			}
			found := doctor.Run(c.Context(), doctor.Options{Dir: dir})
			if err := a.show(found, func(w io.Writer) { printFindings(w, found, false) }); err != nil {
				return err
			}
			if doctor.Worst(found) == doctor.Missing {
				return exit(service.Machine.Exit())
			}
			return nil
		},
	}
}

// printFindings prints what doctor found; with onlyMissing, what stands in the way.
func printFindings(w io.Writer, found []doctor.Finding, onlyMissing bool) {
	for _, f := range found {
		if onlyMissing && f.State != doctor.Missing {
			continue
		}
		fmt.Fprintf(w, "%-8s  %-14s  %s\n", f.State, f.Name, clean(f.Detail, false))
		if f.Remedy != "" {
			fmt.Fprintf(w, "%-8s  %-14s  -> %s\n", "", "", clean(f.Remedy, false))
		}
	}
}

func (a *app) demoCmd() *cobra.Command {
	var keep, one bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Play the main job on this machine, with real data, in real mounts",
		Long: "demo lets two people work together in under a minute: Owen holds 569 real samples, Rachel sees 60 made-up ones; she writes an analysis and submits it\n" +
			"with cp; he reads it, approves it by writing into a file, and releases its result with mv. Each has a datasite, a mount and credentials of their own, and\n" +
			"they share nothing but a Drive: the program's own server, in the place of Google's. Nothing is faked, and nothing is left behind.",
		Example: "  syftfs demo\n  syftfs demo --one-machine\n  syftfs demo --keep     # leave everything mounted until Ctrl-C",
		Args:    exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			if found := doctor.Run(c.Context(), doctor.Options{}); doctor.Worst(found) == doctor.Missing {
				printFindings(a.err, found, true)
				return &service.Error{Code: service.Machine, Message: "this machine lacks what the demo needs (see above; `syftfs doctor` tells everything)"}
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			story := a.out
			if a.json {
				story = a.err // the one object is what stands on standard output
			}
			err = demo.Run(c.Context(), demo.Options{Self: self, Out: story, Keep: keep, One: one})
			if err != nil && c.Context().Err() != nil && errors.Is(err, c.Context().Err()) {
				fmt.Fprintln(a.err, "syftfs: interrupted; everything was taken away")
				return exit(interrupted)
			}
			if err != nil {
				return err
			}
			return a.show(struct{}{}, func(io.Writer) {})
		},
	}
	c.Flags().BoolVar(&one, "one-machine", false, "the story on one machine: Rachel is a local account and works in a view, without a Drive")
	c.Flags().BoolVar(&keep, "keep", false, "leave everything mounted, and say how to look around, until Ctrl-C")
	return c
}
