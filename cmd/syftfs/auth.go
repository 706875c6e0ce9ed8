package main

import (
	"fmt"
	"io"

	"github.com/openmined/syftfs/cmd/internal/daemon"
	"github.com/spf13/cobra"
)

func (a *app) authCmd() *cobra.Command {
	var o daemon.SignInOptions
	c := &cobra.Command{
		Use:   "auth google|local:URL",
		Short: "Sign in to the Drive through which you exchange with peers",
		Long: "auth connects your datasite to Google Drive, or to a server that `syftfs drive serve` runs (local:http://HOST:PORT).\n" +
			"--token FILE takes a token.json that exists, of syft-client or of `syftfs drive accounts add`; it is copied, and the copy is renewed. --client-secret FILE\n" +
			"opens a sign-in in your browser, through the OAuth client of a \"Desktop app\" in Google's console.\n" +
			"The account must be the one of your datasite. A datasite that is up takes a new token at once, another Drive at its next start.",
		Example: "  syftfs auth google --client-secret client_secret.json\n  syftfs auth google --token ~/.syft/token.json\n  syftfs auth local:http://127.0.0.1:8753 --token owen.json",
		Args:    exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := a.dir()
			if err != nil {
				return err
			}
			o.Drive = args[0]
			o.Show = func(page string) {
				fmt.Fprintf(a.err, "Open this page in a browser on this machine, and agree:\n  %s\nWaiting; Ctrl-C gives up.\n", page)
			}
			done, err := daemon.SignIn(c.Context(), dir, o)
			if err != nil {
				return err
			}
			return a.show(done, func(w io.Writer) {
				fmt.Fprintf(w, "Signed in to %s as %s. The token is kept in %s.\n", done.Drive, clean(done.Account, false), done.Token)
			})
		},
	}
	c.Flags().StringVar(&o.Token, "token", "", "a token.json that exists")
	c.Flags().StringVar(&o.ClientSecret, "client-secret", "", "the client_secret.json of a Desktop app")
	return c
}
