package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/openmined/syftfs/cmd/internal/httpapi"
	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/spf13/cobra"
)

func (a *app) datasetCmd() *cobra.Command {
	return group("dataset", "Datasets: a mock part that people may see, and a private part that only approved jobs read",
		"  syftfs dataset create breast-cancer --mock mock.csv --private real.csv --readers rachel@datascience.example\n  syftfs dataset list",
		a.datasetCreate(), a.datasetList(), a.datasetShare(), a.datasetUnshare(), a.datasetDelete())
}

func (a *app) datasetCreate() *cobra.Command {
	var q service.NewDataset
	c := &cobra.Command{
		Use: "create NAME --mock PATH --private PATH", Short: "Make a dataset from a mock and a private part",
		Long: "create copies both parts into your datasite. The mock part is made-up data of the same shape, which --readers may see; the private part is seen by nobody,\n" +
			"and is bound read-only into the sandbox of a job for which you granted the dataset. A mock that equals the private part is refused.",
		Example: "  syftfs dataset create breast-cancer --mock mock.csv --private breast_cancer.csv --summary \"569 samples\" --readers rachel@datascience.example\n  syftfs dataset create prices --mock mock/ --private real/ --readers '*'",
		Args:    exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			q.Name = args[0]
			for flag, p := range map[string]*string{"--mock": &q.Mock, "--private": &q.Private, "--readme": &q.Readme} {
				if *p == "" {
					if flag == "--readme" {
						continue
					}
					return usage{fmt.Errorf("%s is missing: %s", flag, c.UseLine())}
				}
				abs, err := filepath.Abs(*p)
				if err != nil {
					return err
				}
				*p = abs
			}
			d, err := ask(c.Context(), a, httpapi.DatasetCreate, q)
			if err != nil {
				return err
			}
			return a.show(d, func(w io.Writer) {
				fmt.Fprintf(w, "Made dataset %s.\n  mock     %s (readers: %s)\n  private  %s (nobody)\n", d.Name, d.Mock, clean(readers(d.Readers), false), d.Private)
				for _, n := range d.Notes {
					fmt.Fprintln(w, "  note    ", clean(n, false))
				}
			})
		},
	}
	c.Flags().StringVar(&q.Mock, "mock", "", "file or folder with made-up data of the same shape")
	c.Flags().StringVar(&q.Private, "private", "", "file or folder with the real data")
	c.Flags().StringVar(&q.Readme, "readme", "", "a text file that describes the dataset")
	c.Flags().StringVar(&q.Summary, "summary", "", "one sentence about the dataset")
	c.Flags().StringSliceVar(&q.Readers, "readers", nil, "who may read the mock part: addresses, or * for everybody")
	return c
}

func readers(list []string) string {
	if len(list) == 0 {
		return "nobody"
	}
	return strings.Join(list, ", ")
}

func (a *app) datasetList() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "List the datasets", Example: "  syftfs dataset list --json", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			sets, err := ask(c.Context(), a, httpapi.DatasetList, struct{}{})
			if err != nil {
				return err
			}
			return a.show(sets, func(w io.Writer) {
				rows := [][]string{{"NAME", "SUMMARY", "READERS OF THE MOCK"}}
				for _, d := range sets {
					rows = append(rows, []string{d.Name, d.Summary, readers(d.Readers)})
				}
				table(w, rows)
			})
		}}
}
