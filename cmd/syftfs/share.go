package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/openmined/syftfs/cmd/internal/httpapi"
	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/spf13/cobra"
)

// lockoutFlag lets an edit take the caller's own right to change the rules.
func lockoutFlag(c *cobra.Command, to *bool) {
	c.Flags().BoolVar(to, "allow-lockout", false, "do it even if the rules could not be changed by you afterwards")
}

// levelFlags gives a command --read, --create, --write and --admin, of which at most one may be given.
func levelFlags(c *cobra.Command, verb string) (level func() (string, error)) {
	given := map[string]*bool{}
	for _, l := range service.Levels {
		given[l] = c.Flags().Bool(l, false, verb+" "+l)
	}
	return func() (string, error) {
		var said []string
		for _, l := range service.Levels {
			if *given[l] {
				said = append(said, l)
			}
		}
		if len(said) > 1 {
			return "", usage{fmt.Errorf("--%s: say one of them; each includes the ones before", strings.Join(said, ", --"))}
		}
		return strings.Join(said, ""), nil
	}
}

func (a *app) shareCmd() *cobra.Command {
	var q service.Sharing
	c := &cobra.Command{
		Use:   "share PATH --with EMAIL --read",
		Short: "Let somebody read, create, write or administer a file or folder",
		Long: "share gives somebody a level on PATH: a file, or a folder and everything below it. It edits the rule file that decides there, keeps its comments\n" +
			"and order, tells what that changed, and refuses what would change the rights of anybody else.\n" +
			"--with takes an address, any (everybody, signed in or not), USER (whoever is signed in) or *@domain.",
		Example: "  syftfs share ~/SyftBox/owen@cancer-research.example/public --with any --read\n" +
			"  syftfs share owen@cancer-research.example/results --with rachel@datascience.example --write\n" +
			"  syftfs share owen@cancer-research.example/drop --with '*@datascience.example' --create",
		Args: exactly(1),
	}
	level := levelFlags(c, "let them")
	c.RunE = func(c *cobra.Command, args []string) error {
		var err error
		if q.Level, err = level(); err != nil {
			return err
		}
		if q.Level == "" {
			return usage{errors.New("say what to allow: --read, --create, --write or --admin")}
		}
		if q.With == "" {
			return usage{errors.New("say with whom: --with EMAIL, --with any or --with '*@domain'")}
		}
		q.Path = a.place(args[0])
		done, err := ask(c.Context(), a, httpapi.Share, q)
		if err != nil {
			return err
		}
		return a.edited(done, fmt.Sprintf("%s may %s already", q.With, q.Level))
	}
	c.Flags().StringVar(&q.With, "with", "", "whom: an address, any, USER or *@domain")
	lockoutFlag(c, &q.AllowLockout)
	return c
}

func (a *app) unshareCmd() *cobra.Command {
	var q service.Sharing
	c := &cobra.Command{
		Use:   "unshare PATH --with EMAIL",
		Short: "Take rights on a file or folder away from somebody",
		Long: "unshare takes every right on PATH, and on everything below it, from somebody; with --write (or --create, --admin) only that one and those above it.\n" +
			"A right held as one of everybody, or by a pattern of addresses, cannot be taken from one person: the rule must be changed. Copies that somebody made\n" +
			"while they could read stay theirs.",
		Example: "  syftfs unshare owen@cancer-research.example/results --with rachel@datascience.example\n  syftfs unshare owen@cancer-research.example/results --with rachel@datascience.example --write",
		Args:    exactly(1),
	}
	level := levelFlags(c, "take away (with all above it)")
	c.RunE = func(c *cobra.Command, args []string) error {
		if q.With == "" {
			return usage{errors.New("say from whom: --with EMAIL, --with any or --with '*@domain'")}
		}
		var err error
		if q.Level, err = level(); err != nil {
			return err
		}
		q.Path = a.place(args[0])
		done, err := ask(c.Context(), a, httpapi.Unshare, q)
		if err != nil {
			return err
		}
		return a.edited(done, q.With+" holds no such right there")
	}
	c.Flags().StringVar(&q.With, "with", "", "from whom: an address, any, USER or *@domain")
	lockoutFlag(c, &q.AllowLockout)
	return c
}

// place is a path as the service takes it: one that is there on this machine, whole; anything else as it was typed.
func (a *app) place(typed string) string {
	if filepath.IsAbs(typed) {
		return typed
	}
	if dir, err := filepath.Abs(typed); err == nil && there(dir) {
		return dir
	}
	return typed
}

// placeToBe is place for what need not be there yet: that it is on this machine shows in its first step.
func (a *app) placeToBe(typed string) string {
	first, _, _ := strings.Cut(filepath.Clean(typed), "/")
	if dir, err := filepath.Abs(typed); err == nil && a.place(first) != first {
		return dir
	}
	return a.place(typed)
}

// edited tells what a change of rules did.
func (a *app) edited(done service.Edited, nothing string) error {
	return a.show(done, func(w io.Writer) {
		if !done.Changed {
			fmt.Fprintf(w, "Nothing to do: %s.\n", clean(nothing, false))
			return
		}
		verb := "Changed "
		if done.Made {
			verb = "Made "
		}
		fmt.Fprintln(w, verb+clean(done.File, false))
		if done.Also != "" {
			fmt.Fprintln(w, "Changed "+clean(done.Also, false))
		}
		effects(w, done.Effects)
		for _, m := range done.Missed {
			fmt.Fprintln(w, "  not changed, because other rules decide there:", clean(m, false))
		}
		if done.Partial {
			fmt.Fprintln(w, "  and there is more below than was looked at")
		}
	})
}

// effects tells who gains and who loses.
func effects(w io.Writer, e service.Effects) {
	for _, list := range []struct {
		sign string
		all  []service.Effect
	}{{"+", e.Gains}, {"-", e.Losses}} {
		for _, x := range list.all {
			fmt.Fprintf(w, "  %s %s\n", list.sign, clean(x.Text, false))
		}
	}
	switch {
	case e.Truncated:
		fmt.Fprintf(w, "  There is more: %d files and folders were looked at.\n", e.Looked)
	case len(e.Gains)+len(e.Losses) == 0:
		fmt.Fprintln(w, "  Nobody gains or loses anything on what is there now.")
	}
}
