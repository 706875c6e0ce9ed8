package main

import (
	"fmt"
	"io"
	"strconv"

	"github.com/openmined/syftfs/cmd/internal/httpapi"
	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/spf13/cobra"
)

func (a *app) whyCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "why EMAIL LEVEL PATH",
		Short: "Tell why somebody may or may not read, create, write or administer a path",
		Long: "why makes the very decision that the mount would make, and tells it: the rule file and line that decided, which pattern matched, which list was\n" +
			"consulted, what became of the other rules and files, and the smallest grant that would change it. LEVEL is read, create, write or admin. PATH is owner@x.org/dir/file, or a path below the mount. EMAIL may be \"guest\".\n" +
			"Exit status: 0 allowed, 1 not allowed.",
		Example: "  syftfs why rachel@datascience.example read owen@cancer-research.example/private/x.csv\n  syftfs why guest read ~/SyftBox/owen@cancer-research.example/public/readme.txt",
		Args:    exactly(3),
		RunE: func(c *cobra.Command, args []string) error {
			q := service.WhyQuestion{User: args[0], Level: args[1], Path: a.place(args[2])}
			ans, err := ask(c.Context(), a, httpapi.Why, q)
			if err != nil {
				return err
			}
			err = a.show(ans, func(w io.Writer) {
				fmt.Fprint(w, clean(ans.Text, true))
				if ans.Account != "" {
					fmt.Fprintln(w, "  Account:", clean(ans.Account, false))
				}
				if ans.Elsewhere != nil {
					fmt.Fprintln(w, "  Delivery:", clean(ans.Elsewhere.Text, false))
				}
				if ans.Remedy != nil && ans.Remedy.Command != "" {
					fmt.Fprintln(w, "  To grant it:", clean(ans.Remedy.Command, false))
				}
				others(w, ans)
			})
			if err == nil && !ans.Allowed {
				err = exit(1)
			}
			return err
		},
	}
}

// others tells what became of the rules and files that did not decide.
func others(w io.Writer, ans service.WhyAnswer) {
	rows := [][]string{}
	for _, r := range ans.Rules {
		if !r.Decides {
			rows = append(rows, []string{"    " + r.File + ":" + strconv.Itoa(r.Line), "'" + r.Pattern + "'", r.Outcome})
		}
	}
	for _, f := range ans.Files {
		if f.File != ans.File {
			rows = append(rows, []string{"    " + f.File, "", f.Role})
		}
	}
	if len(rows) > 0 {
		fmt.Fprintln(w, "  Also looked at:")
		table(w, rows)
	}
}

func (a *app) whoCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "who PATH",
		Short: "Tell who may do what with a path, and through which rule",
		Long: "who lists whom the rules name for PATH, with the level that each holds there and the line that gives it, and what your local accounts may do.\n" +
			"PATH is owner@x.org/dir/file, or a path below the mount.",
		Example: "  syftfs who ~/SyftBox/owen@cancer-research.example/public\n  syftfs who owen@cancer-research.example/public/readme.txt --json",
		Args:    exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			ans, err := ask(c.Context(), a, httpapi.Who, service.PathQuestion{Path: a.place(args[0])})
			if err != nil {
				return err
			}
			return a.show(ans, func(w io.Writer) {
				rows := [][]string{{"WHO", "MAY", "BY", "PATTERN"}, {ans.Owner, "everything", "owner of the path", ""}}
				for _, h := range ans.Holders {
					rows = append(rows, []string{spelled(h.Entry), h.Level, at(h.File, h.Line), h.Pattern})
				}
				table(w, rows)
				if len(ans.People) == 0 {
					return
				}
				fmt.Fprintln(w)
				rows = [][]string{{"ACCOUNT", "MAY", "BY", "NOTE"}}
				for _, p := range ans.People {
					rows = append(rows, []string{p.Email, p.Level, at(p.File, p.Line), p.Note})
				}
				table(w, rows)
			})
		},
	}
}

// spelled is an entry of a rule as people say it.
func spelled(entry string) string {
	switch entry {
	case "*":
		return "everybody (*)"
	case "USER":
		return "whoever is signed in (USER)"
	}
	return entry
}

func at(file string, line int) string {
	if line == 0 {
		return file
	}
	return file + ":" + strconv.Itoa(line)
}
