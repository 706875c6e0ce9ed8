package main

import (
	"fmt"
	"io"
	"os"

	"github.com/openmined/syftfs/cmd/internal/daemon"
	"github.com/spf13/cobra"
)

func (a *app) initCmd() *cobra.Command {
	var o daemon.InitOptions
	c := &cobra.Command{
		Use:   "init --email YOU@EXAMPLE.ORG",
		Short: "Make a datasite for an e-mail address on this machine",
		Long: "init makes the folder that holds your files (~/SyftBox_<email>), the state folder and the configuration. Nothing is started.\n" +
			"Your address is the name of your datasite: rules and peers know you by it.",
		Example: "  syftfs init --email owen@cancer-research.example\n  syftfs init --email owen@lab.example --name lab --mount ~/LabBox",
		Args:    exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			o.Name = a.datasite
			if o.Email == "" {
				return usage{fmt.Errorf("say whose datasite it is: syftfs init --email YOU@EXAMPLE.ORG")}
			}
			home, err := os.UserHomeDir()
			if err != nil {
				return err
			}
			o.Home = home
			made, err := daemon.Init(o)
			if err != nil {
				return err
			}
			return a.show(made, func(w io.Writer) {
				fmt.Fprintf(w, "Made datasite %s (%s).\n  your files  %s\n  mount       %s\n  state       %s\nStart it with: syftfs up --detach\n",
					made.Email, made.Name, made.Backing, made.Mount, made.State)
			})
		},
	}
	c.Flags().StringVar(&o.Email, "email", "", "your e-mail address")
	c.Flags().StringVar(&a.datasite, "name", "", "name of the datasite (default: made from the address)")
	c.Flags().StringVar(&o.Mount, "mount", "", "where the tree is shown (default ~/SyftBox)")
	c.Flags().StringVar(&o.Backing, "backing", "", "folder that holds the files (default ~/SyftBox_<email>)")
	return c
}
