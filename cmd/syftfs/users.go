package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/openmined/syftfs/cmd/internal/httpapi"
	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/spf13/cobra"
)

func (a *app) usersCmd() *cobra.Command {
	return group("users", "The people who have an account on this datasite",
		"  syftfs users create --name \"Dr. Rachel Science\" --email rachel@datascience.example\n  syftfs users verify rachel@datascience.example\n  syftfs users list",
		a.usersCreate(), a.usersList(),
		a.usersAct("verify", "Vouch for an account's address, and make its job folders",
			"verify says that the person behind the account is the person behind the address: from then on rules that name the address count for the account,\nand the person may submit jobs.", "verified", httpapi.UserVerify),
		a.usersAct("disable", "Take all rights from an account, at once", "disable ends every right of the account; its data and drafts stay.", "disabled", httpapi.UserDisable),
		a.usersAct("enable", "Give a disabled account its rights back", "enable undoes disable.", "enabled", httpapi.UserEnable))
}

func (a *app) usersCreate() *cobra.Command {
	var q service.NewUser
	var stdin bool
	c := &cobra.Command{
		Use: "create --email EMAIL --name NAME", Short: "Make an account",
		Long: "create makes an account. Without a password the person works in a view that you open; a password is only of use once sign-in over the network exists.\n" +
			"Roles: data_scientist (rights by the rules), guest (only what everybody may), admin (what you may in this datasite).",
		Example: "  syftfs users create --name \"Dr. Rachel Science\" --email rachel@datascience.example --institution \"Data Science Institute\"",
		Args:    exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			if q.Email == "" {
				return usage{fmt.Errorf("an account needs an address: syftfs users create --email EMAIL --name NAME")}
			}
			if stdin {
				line, err := bufio.NewReader(a.in).ReadString('\n')
				if err != nil && line == "" {
					return usage{fmt.Errorf("--password-stdin: no line on standard input")}
				}
				q.Password = strings.TrimRight(line, "\r\n")
			}
			u, err := ask(c.Context(), a, httpapi.UserCreate, q)
			if err != nil {
				return err
			}
			return a.show(u, func(w io.Writer) {
				fmt.Fprintln(w, clean(fmt.Sprintf("New user: %s (%s) as %s, verified by: %s", u.Name, u.Email, u.Role, u.Verified), false))
			})
		},
	}
	c.Flags().StringVar(&q.Email, "email", "", "e-mail address")
	c.Flags().StringVar(&q.Name, "name", "", "name of the person (default: the address)")
	c.Flags().StringVar(&q.Role, "role", "data_scientist", "data_scientist, guest or admin")
	c.Flags().StringVar(&q.Institution, "institution", "", "where the person works")
	c.Flags().StringVar(&q.Website, "website", "", "an http or https address")
	c.Flags().BoolVar(&stdin, "password-stdin", false, "read a password from one line of standard input")
	return c
}

func (a *app) usersAct(verb, short, long, done string, op httpapi.Op[service.Who, service.User]) *cobra.Command {
	return &cobra.Command{Use: verb + " EMAIL", Short: short, Long: long, Example: "  syftfs users " + verb + " rachel@datascience.example", Args: exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			u, err := ask(c.Context(), a, op, service.Who{Who: args[0]})
			if err != nil {
				return err
			}
			return a.show(u, func(w io.Writer) { fmt.Fprintf(w, "%s is %s.\n", u.Email, done) })
		}}
}

func (a *app) usersList() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "List the accounts", Example: "  syftfs users list --json", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			users, err := ask(c.Context(), a, httpapi.UserList, struct{}{})
			if err != nil {
				return err
			}
			return a.show(users, func(w io.Writer) {
				rows := [][]string{{"NAME", "EMAIL", "ROLE", "STATE", "VERIFIED"}}
				for _, u := range users {
					role := u.Role
					if u.Root {
						role += " (root)"
					}
					rows = append(rows, []string{u.Name, u.Email, role, u.State, u.Verified})
				}
				table(w, rows)
			})
		}}
}
