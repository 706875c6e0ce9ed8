package main

import (
	"fmt"
	"io"

	"github.com/openmined/syftfs/cmd/internal/httpapi"
	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/spf13/cobra"
)

func (a *app) datasetShare() *cobra.Command {
	return a.datasetReaders("share", "Let people read the mock part of a dataset",
		"share lets each EMAIL, or with any everybody, read the mock part of a dataset. Accepted peers among them receive it.", "", httpapi.DatasetShare)
}

func (a *app) datasetUnshare() *cobra.Command {
	return a.datasetReaders("unshare", "Take the mock part of a dataset away from people",
		"unshare takes the right to read the mock part from each EMAIL, or with any from everybody. Copies that were delivered stay with those who have them:\n"+
			"they cannot be called back.",
		"Copies that were delivered before stay with those who have them.", httpapi.DatasetUnshare)
}

func (a *app) datasetReaders(verb, short, long, note string, op httpapi.Op[service.DatasetSharing, service.Dataset]) *cobra.Command {
	return &cobra.Command{Use: verb + " NAME EMAIL|any...", Short: short, Long: long,
		Example: "  syftfs dataset " + verb + " breast-cancer rachel@datascience.example\n  syftfs dataset " + verb + " breast-cancer any", Args: atLeast(2),
		RunE: func(c *cobra.Command, args []string) error {
			d, err := ask(c.Context(), a, op, service.DatasetSharing{Name: args[0], Readers: args[1:]})
			if err != nil {
				return err
			}
			return a.show(d, func(w io.Writer) {
				fmt.Fprintf(w, "The mock part of %s may be read by: %s.\n", clean(d.Name, false), clean(readers(d.Readers), false))
				if note != "" {
					fmt.Fprintln(w, note)
				}
			})
		}}
}

func (a *app) datasetDelete() *cobra.Command {
	var q service.DatasetDeletion
	var yes bool
	c := &cobra.Command{Use: "delete NAME", Short: "Delete a dataset: its mock part, and with --private the real data too",
		Long: "delete deletes the mock part of a dataset, so that nobody sees it any more, and its peers' copies go where their programs follow that. The private\n" +
			"part stays where it is; with --private it is deleted too. On a terminal it asks; elsewhere it needs --yes.",
		Example: "  syftfs dataset delete breast-cancer\n  syftfs dataset delete breast-cancer --private --yes", Args: exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			q.Name = args[0]
			if !yes {
				what := "Delete the mock part of dataset " + q.Name
				if q.Private {
					what = "Delete dataset " + q.Name + " with its private part, which may be the only copy"
				}
				if err := a.confirm(what); err != nil {
					return err
				}
			}
			d, err := ask(c.Context(), a, httpapi.DatasetDelete, q)
			if err != nil {
				return err
			}
			return a.show(d, func(w io.Writer) {
				fmt.Fprintf(w, "Deleted dataset %s.\n", clean(d.Name, false))
				if d.Left != "" {
					fmt.Fprintln(w, "Its private part stays in", clean(d.Left, false))
				}
			})
		}}
	c.Flags().BoolVar(&q.Private, "private", false, "the private part too")
	c.Flags().BoolVar(&yes, "yes", false, "delete without asking")
	return c
}
