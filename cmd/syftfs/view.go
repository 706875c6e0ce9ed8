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
	var open bool
	c := &cobra.Command{
		Use:   "view EMAIL DIR, or view EMAIL -- COMMAND",
		Short: "See your datasite as somebody else sees it: a folder, or a command run in their place",
		Long: "view EMAIL DIR mounts your datasite at DIR as the account EMAIL sees it. Without --write it is a preview: read-only, and gone after --ttl.\n" +
			"With --write it is that person's place to work, until it is unmounted.\n\n" +
			"view EMAIL -- COMMAND runs one command for which the view stands in the place of your mount: what it reads, writes and is refused is what\n" +
			"that person would get. Your backing folder, the state with its tokens and the socket are empty folders for it, no process outside is to be\n" +
			"seen, and nothing that it does can take the view away. The view ends with the command. Exit status: the command's own; 125 it could not be set\n" +
			"up, 126 and 127 as in a shell.",
		Example: "  syftfs view rachel@datascience.example ~/as-rachel\n  syftfs view rachel@datascience.example /srv/rachel --write\n" +
			"  syftfs view rachel@datascience.example -- ls -lR ~/SyftBox\n  syftfs view rachel@datascience.example --write -- bash\n" +
			"  syftfs view --guest ~/as-guest\n  syftfs view list\n  syftfs view umount ~/as-rachel",
		Args: func(c *cobra.Command, args []string) error {
			who, rest, run := args, []string(nil), c.ArgsLenAtDash() >= 0
			if run {
				who, rest = args[:c.ArgsLenAtDash()], args[c.ArgsLenAtDash():]
			} else if n := len(args); n > 0 {
				who, rest = args[:n-1], args[n-1:]
			}
			if len(rest) > 0 && (q.Guest && len(who) == 0 || !q.Guest && len(who) == 1) {
				return nil
			}
			return usage{fmt.Errorf("usage: syftfs view EMAIL DIR [--write], or syftfs view EMAIL [--write] -- COMMAND ... (--guest in the place of EMAIL)")}
		},
		RunE: func(c *cobra.Command, args []string) error {
			if !q.Guest {
				q.Email = args[0]
			}
			if at := c.ArgsLenAtDash(); at >= 0 {
				return a.runInView(c.Context(), q, !open, args[at:])
			}
			if open {
				return usage{fmt.Errorf("--no-confine is about a command: syftfs view EMAIL --no-confine -- COMMAND")}
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
	c.Flags().BoolVar(&open, "no-confine", false, "of a command: only show it the folder; it is told where by SYFTFS_VIEW, and nothing keeps it there")
	c.Flags().DurationVar(&q.TTL, "ttl", 0, fmt.Sprintf("how long a preview, or a command's view, lives (default %s, at most %s)", service.DefaultTTL, service.MaxTTL))
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
