package main

import (
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/openmined/syftfs/cmd/internal/httpapi"
	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/spf13/cobra"
)

func (a *app) viewCmd() *cobra.Command {
	var q service.OpenView
	c := &cobra.Command{
		Use:   "view EMAIL DIR",
		Short: "Mount your datasite as somebody else sees it",
		Long: "view mounts your datasite at DIR as the account EMAIL sees it. Without --write it is a preview: read-only, and gone after --ttl.\n" +
			"With --write it is that person's place to work, until it is unmounted. (Running one confined command in a view, `view EMAIL -- CMD`, comes later.)",
		Example: "  syftfs view rachel@datascience.example ~/as-rachel\n  syftfs view rachel@datascience.example /srv/rachel --write\n  syftfs view --guest ~/as-guest\n  syftfs view list\n  syftfs view umount ~/as-rachel",
		Args: func(c *cobra.Command, args []string) error {
			if q.Guest && len(args) == 1 || !q.Guest && len(args) == 2 {
				return nil
			}
			return usage{fmt.Errorf("usage: syftfs view EMAIL DIR [--write], or syftfs view --guest DIR")}
		},
		RunE: func(c *cobra.Command, args []string) error {
			if !q.Guest {
				q.Email = args[0]
			}
			dir, err := filepath.Abs(args[len(args)-1])
			if err != nil {
				return err
			}
			q.Dir = dir
			v, err := ask(c.Context(), a, httpapi.ViewOpen, q)
			if err != nil {
				return err
			}
			return a.show(v, func(w io.Writer) {
				kind := "a place to work; unmount it with: syftfs view umount " + v.Dir
				if !v.Write {
					kind = "read-only, until " + v.Expires.Local().Format("15:04")
				}
				fmt.Fprintf(w, "%s shows the datasite as %s sees it: %s\n", v.Dir, v.Who(), kind)
			})
		},
	}
	c.Flags().BoolVar(&q.Write, "write", false, "a place to work: copy job folders into jobs/, write where the rules allow")
	c.Flags().BoolVar(&q.Guest, "guest", false, "as somebody who is not signed in")
	c.Flags().DurationVar(&q.TTL, "ttl", 0, fmt.Sprintf("how long a preview lives (default %s, at most %s)", service.DefaultTTL, service.MaxTTL))
	c.AddCommand(&cobra.Command{
		Use: "list", Short: "List the open views", Example: "  syftfs view list", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			views, err := ask(c.Context(), a, httpapi.ViewList, struct{}{})
			if err != nil {
				return err
			}
			return a.show(views, func(w io.Writer) {
				rows := [][]string{{"FOLDER", "AS", "WRITE", "UNTIL"}}
				for _, v := range views {
					until, write := "unmounted", "yes"
					if !v.Write {
						until, write = v.Expires.Local().Format(time.DateTime), "no"
					}
					rows = append(rows, []string{v.Dir, v.Who(), write, until})
				}
				table(w, rows)
			})
		},
	}, &cobra.Command{
		Use: "umount DIR", Short: "Take a view away", Example: "  syftfs view umount ~/as-rachel", Args: exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			if _, err := ask(c.Context(), a, httpapi.ViewClose, service.CloseView{Dir: dir}); err != nil {
				return err
			}
			return a.show(map[string]string{"dir": dir}, func(w io.Writer) { fmt.Fprintln(w, "Unmounted", dir) })
		},
	})
	return c
}

func (a *app) whyCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "why EMAIL LEVEL PATH",
		Short: "Tell why somebody may or may not read, create, write or administer a path",
		Long: "why makes the very decision that the mount would make, and tells it: the rule file and line that decided, which pattern matched, which list was\n" +
			"consulted. LEVEL is read, create, write or admin. PATH is owner@x.org/dir/file, or a path below the mount. EMAIL may be \"guest\".\n" +
			"Exit status: 0 allowed, 1 not allowed.",
		Example: "  syftfs why rachel@datascience.example read owen@cancer-research.example/private/x.csv\n  syftfs why guest read ~/SyftBox/owen@cancer-research.example/public/readme.txt",
		Args:    exactly(3),
		RunE: func(c *cobra.Command, args []string) error {
			q := service.WhyQuestion{User: args[0], Level: args[1], Path: args[2]}
			ans, err := ask(c.Context(), a, httpapi.Why, q)
			if err != nil {
				return err
			}
			err = a.show(ans, func(w io.Writer) {
				fmt.Fprintln(w, clean(ans.Text, true))
				if ans.Account != "" {
					fmt.Fprintln(w, "Account:", ans.Account)
				}
			})
			if err == nil && !ans.Allowed {
				err = exit(1)
			}
			return err
		},
	}
}
