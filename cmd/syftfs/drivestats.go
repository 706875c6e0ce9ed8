package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/openmined/syftfs/sync/driveserver"
	"github.com/spf13/cobra"
)

func (d *localDrive) statsCmd() *cobra.Command {
	var reset bool
	c := &cobra.Command{Use: "stats", Short: "Tell what each account has asked and used", Args: exactly(0),
		Long: "stats shows requests by method, quota units as Google counts them, bytes of content and the kinds of answers, for each account; \"-\" is whoever had no\n" +
			"valid token. The calls inside a batch stand beside the batch. With --reset the counts begin anew after they were shown.",
		Example: "  syftfs drive stats\n  syftfs drive stats --reset --json",
		RunE: func(c *cobra.Command, _ []string) error {
			counts, err := tell[map[string]driveserver.Count](c.Context(), d, http.MethodGet, "stats", nil)
			if err != nil {
				return err
			}
			if reset {
				if _, err := tell[struct{}](c.Context(), d, http.MethodDelete, "stats", nil); err != nil {
					return err
				}
			}
			return d.show(counts, func(w io.Writer) { printCounts(w, counts) })
		}}
	c.Flags().BoolVar(&reset, "reset", false, "begin to count anew")
	return c
}

func printCounts(w io.Writer, counts map[string]driveserver.Count) {
	if len(counts) == 0 {
		fmt.Fprintln(w, "Nobody has asked anything.")
		return
	}
	accounts := slices.Sorted(maps.Keys(counts))
	rows := [][]string{{"ACCOUNT", "REQUESTS", "UNITS", "RECEIVED", "SENT", "ANSWERS"}}
	methods := [][]string{{"ACCOUNT", "METHOD", "REQUESTS", "IN BATCHES"}}
	for _, email := range accounts {
		n, who := counts[email], email
		if who == "" {
			who = "-"
		}
		var answers []string
		for _, status := range slices.Sorted(maps.Keys(n.Statuses)) {
			answers = append(answers, fmt.Sprintf("%d: %d", status, n.Statuses[status]))
		}
		rows = append(rows, []string{who, strconv.FormatInt(n.Total(), 10), strconv.FormatInt(n.Units, 10), size(n.Received), size(n.Sent), strings.Join(answers, ", ")})
		all := maps.Clone(n.Batched)
		if all == nil {
			all = map[string]int64{}
		}
		maps.Copy(all, n.Requests)
		for _, m := range slices.Sorted(maps.Keys(all)) {
			methods = append(methods, []string{who, m, strconv.FormatInt(n.Requests[m], 10), strconv.FormatInt(n.Batched[m], 10)})
		}
	}
	table(w, rows)
	fmt.Fprintln(w)
	table(w, methods)
}
