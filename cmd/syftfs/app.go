package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/openmined/syftfs/cmd/internal/config"
	"github.com/openmined/syftfs/cmd/internal/httpapi"
	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/spf13/cobra"
)

// app is what all commands share: the common flags and where output goes.
type app struct {
	in       io.Reader
	out, err io.Writer
	person   bool // somebody sits at in, and can be asked
	json     bool
	datasite string
}

func newClient(dir string) *httpapi.Client {
	return httpapi.NewClient(filepath.Base(dir), config.Socket(dir))
}

// ask asks the running datasite one question.
func ask[Q, A any](ctx context.Context, a *app, op httpapi.Op[Q, A], q Q) (A, error) {
	c, err := a.client()
	if err != nil {
		var none A
		return none, err
	}
	defer c.Close()
	return httpapi.Ask(ctx, c, op, q)
}

// show prints data as JSON, or calls text.
func (a *app) show(data any, text func(w io.Writer)) error {
	if a.json {
		a.encode(map[string]any{"ok": true, "data": data, "warnings": []string{}})
		return nil
	}
	text(a.out)
	return nil
}

func (a *app) encode(v any) {
	enc := json.NewEncoder(a.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		fmt.Fprintln(a.err, "syftfs:", err)
	}
}

// table prints rows in columns; the first row is the head. Cells are made safe for a terminal.
func table(w io.Writer, rows [][]string) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, r := range rows {
		for i, c := range r {
			r[i] = clean(c, false)
		}
		fmt.Fprintln(t, strings.Join(r, "\t"))
	}
	t.Flush()
}

// clean makes text from a job, a peer or a file safe for a terminal; lines keeps newline and tab.
func clean(s string, lines bool) string { return service.Visible(s, lines) }

// group is a command that only holds others.
func group(use, short, example string, sub ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Example: example, Args: cobra.ArbitraryArgs, RunE: func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usage{fmt.Errorf("there is no command %q: see `%s --help`", c.CommandPath()+" "+args[0], c.CommandPath())}
		}
		return c.Help()
	}}
	c.AddCommand(sub...)
	return c
}

// between refuses fewer or more arguments, with the command's own usage line in the message.
func between(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return usage{fmt.Errorf("usage: %s", c.UseLine())}
		}
		return nil
	}
}

func exactly(n int) cobra.PositionalArgs { return between(n, n) }

func atLeast(n int) cobra.PositionalArgs { return between(n, math.MaxInt) }

func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}
