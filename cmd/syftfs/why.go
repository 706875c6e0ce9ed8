package main

import (
	"fmt"
	"io"

	"github.com/openmined/syftfs/cmd/internal/httpapi"
	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/spf13/cobra"
)

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
