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
	var drive daemon.SignInOptions
	c := &cobra.Command{
		Use:   "init --email YOU@EXAMPLE.ORG",
		Short: "Make a datasite for an e-mail address on this machine",
		Long: "init makes the folder that holds your files (~/SyftBox_<email>), the state folder and the configuration. Nothing is started.\n" +
			"Your address is the name of your datasite: rules and peers know you by it.\n" +
			"With --drive it is connected to the Drive through which you exchange with peers (see `syftfs auth --help`); without, everything stays on this machine.",
		Example: "  syftfs init --email owen@cancer-research.example\n  syftfs init --email owen@lab.example --name lab --mount ~/LabBox\n" +
			"  syftfs init --email owen@lab.example --drive local:http://127.0.0.1:8753 --token owen.json",
		Args: exactly(0),
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
			connects := drive.Drive != "" && drive.Drive != "none"
			if connects {
				if err := drive.Check(); err != nil {
					return err
				}
			}
			made, err := daemon.Init(o)
			if err != nil {
				return err
			}
			if connects {
				if _, err := daemon.SignIn(c.Context(), made.State, drive); err != nil {
					fmt.Fprintf(a.err, "syftfs: datasite %s was made, and is not connected to a Drive yet: run `syftfs auth %s` with --token or --client-secret\n", made.Name, drive.Drive)
					return err
				}
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
	c.Flags().StringVar(&drive.Drive, "drive", "", "the Drive to exchange through: google or local:http://HOST:PORT")
	c.Flags().StringVar(&drive.Token, "token", "", "with --drive: a token.json that exists")
	c.Flags().StringVar(&drive.ClientSecret, "client-secret", "", "with --drive: the client_secret.json of a Desktop app, for a sign-in in the browser")
	return c
}
