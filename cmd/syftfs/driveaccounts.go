package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/openmined/syftfs/sync/driveserver"
	"github.com/spf13/cobra"
)

func (d *localDrive) accountsCmd() *cobra.Command {
	return group("accounts", "The accounts of the local drive",
		"  syftfs drive accounts add owen@lab.example --token owen.json\n  syftfs drive accounts list",
		d.accountsAdd(), d.accountsList(), d.accountsLimit(), d.accountsRemove())
}

func accountPath(email string) string { return "accounts/" + url.PathEscape(email) }

func (d *localDrive) noAccount(err error, email string) error {
	return d.missing(err, "account "+email, "accounts list")
}

func (d *localDrive) accountsAdd() *cobra.Command {
	var token string
	c := &cobra.Command{
		Use: "add EMAIL", Short: "Make an account",
		Long: "add makes an account with an empty Drive; what was shared with the address before is there. The sign-in code is what the consent page asks for: it is\n" +
			"shown only now. With --token the account is signed in at once, and FILE (made with mode 0600) is what syftfs and syft-client read.",
		Example: "  syftfs drive accounts add owen@lab.example --token owen.json\n  syftfs drive accounts add rachel@uni.example",
		Args:    exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			var f *newFile
			if token != "" { // before there is an account without it
				var err error
				if f, err = reserve(token); err != nil {
					return err
				}
				defer f.discard()
			}
			made, err := tell[driveserver.NewAccount](c.Context(), d, http.MethodPost, "accounts", map[string]string{"email": args[0]})
			if e, ok := errors.AsType[*service.Error](err); ok && e.Code == service.Conflict {
				return &service.Error{Code: service.EmailTaken, Message: fmt.Sprintf("%s has an account already: `%s` signs it in", args[0], d.again("token "+args[0]+" --token FILE")), Field: "email", Err: err}
			}
			if err != nil {
				return err
			}
			answer := struct {
				driveserver.NewAccount
				Token string `json:"token,omitempty"`
			}{made, token}
			if f != nil {
				raw, err := d.token(c.Context(), made.Email, formatSyft)
				if err == nil {
					err = f.keep(raw)
				}
				if err != nil {
					e := service.Wrap(err)
					return &service.Error{Code: e.Code, Message: fmt.Sprintf("the account was made, but %s was not written: %s; try again with `%s`", token, e.Message, d.again("token "+made.Email+" --token FILE")), Err: err}
				}
			}
			return d.show(answer, func(w io.Writer) {
				fmt.Fprintf(w, "New account: %s, sign-in code %s\n", clean(made.Email, false), made.SignIn)
				if token != "" {
					fmt.Fprintln(w, "Signed in: ", clean(token, false))
				}
			})
		},
	}
	c.Flags().StringVar(&token, "token", "", "sign it in, and write its token.json to this new file")
	return c
}

func (d *localDrive) accountsList() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "List the accounts", Example: "  syftfs drive accounts list", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			all, err := tell[[]driveserver.Account](c.Context(), d, http.MethodGet, "accounts", nil)
			if err != nil {
				return err
			}
			return d.show(append([]driveserver.Account{}, all...), func(w io.Writer) {
				rows := [][]string{{"EMAIL", "FILES", "SIZE", "LIMIT", "ADDED"}}
				for _, x := range all {
					limit := "none"
					if x.Limit > 0 {
						limit = size(x.Limit)
					}
					rows = append(rows, []string{x.Email, strconv.Itoa(x.Items), size(x.Usage), limit, x.Added.Local().Format(time.DateTime)})
				}
				table(w, rows)
			})
		}}
}

func (d *localDrive) accountsLimit() *cobra.Command {
	return &cobra.Command{Use: "limit EMAIL BYTES", Short: "Bound how much an account may store", Args: exactly(2),
		Long:    "limit sets how many bytes the files of an account may have together; 0 is no bound. What is there already stays.",
		Example: "  syftfs drive accounts limit owen@lab.example 1000000\n  syftfs drive accounts limit owen@lab.example 0",
		RunE: func(c *cobra.Command, args []string) error {
			n, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil || n < 0 {
				return usage{fmt.Errorf("%q is not a number of bytes: %s", args[1], c.UseLine())}
			}
			if _, err := tell[struct{}](c.Context(), d, http.MethodPatch, accountPath(args[0]), map[string]int64{"limit": n}); err != nil {
				return d.noAccount(err, args[0])
			}
			return d.show(map[string]any{"email": args[0], "limit": n}, func(w io.Writer) {
				if n == 0 {
					fmt.Fprintf(w, "%s may store without bound.\n", clean(args[0], false))
					return
				}
				fmt.Fprintf(w, "%s may store %s.\n", clean(args[0], false), size(n))
			})
		}}
}

func (d *localDrive) accountsRemove() *cobra.Command {
	var yes bool
	c := &cobra.Command{Use: "remove EMAIL", Short: "Delete an account and all its files", Args: exactly(1),
		Long:    "remove deletes an account for good, with everything that it owns, what was shared with it, and its sign-ins. An account with files needs --yes.",
		Example: "  syftfs drive accounts remove rachel@uni.example --yes",
		RunE: func(c *cobra.Command, args []string) error {
			all, err := tell[[]driveserver.Account](c.Context(), d, http.MethodGet, "accounts", nil)
			if err != nil {
				return err
			}
			for _, x := range all {
				if strings.EqualFold(x.Email, args[0]) && x.Items > 0 && !yes {
					return &service.Error{Code: service.Unconfirmed, Message: fmt.Sprintf("%s owns %d files and folders (%s), which would be gone for good: say --yes", x.Email, x.Items, size(x.Usage))}
				}
			}
			if _, err := tell[struct{}](c.Context(), d, http.MethodDelete, accountPath(args[0]), nil); err != nil {
				return d.noAccount(err, args[0])
			}
			return d.show(map[string]string{"email": args[0]}, func(w io.Writer) { fmt.Fprintln(w, "Removed", clean(args[0], false)) })
		}}
	c.Flags().BoolVar(&yes, "yes", false, "also with files")
	return c
}
