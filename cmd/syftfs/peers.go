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

func (a *app) peersCmd() *cobra.Command {
	c := group("peers", "The people elsewhere with whom you exchange over Drive",
		"  syftfs peers list\n  syftfs peers request owen@cancer-research.example\n  syftfs peers accept rachel@datascience.example --show",
		a.peersList(), a.peersRequest(), a.peersAccept(),
		a.peersAct("reject", "Refuse a peer that asks; it is told nothing",
			"reject refuses a request. Nothing is told to who asked, and its request is not shown again. The same: mv .syft/peers/pending/EMAIL .syft/peers/rejected/ in the mount.",
			"%s is rejected.", httpapi.PeerReject),
		a.peersAct("block", "End all exchange with an address, and keep it from asking",
			"block ends the exchange with an address, and requests of it are not shown any more, until `syftfs peers unblock`. What was delivered stays on both sides.",
			"%s is blocked.", httpapi.PeerBlock),
		a.peersAct("unblock", "Let an address ask again", "unblock undoes block. The address may ask; it is no accepted peer.", "%s may ask again.", httpapi.PeerUnblock),
		a.peersAct("remove", "End the exchange with a peer and forget it, or take a request back",
			"remove ends the exchange with a peer. What was delivered stays on both sides, and rules that name the address stay as they are. If its folders\n"+
				"are still on Drive it asks again. The same: rmdir .syft/peers/accepted/EMAIL in the mount.",
			"%s is no peer any more.", httpapi.PeerRemove))
	c.Long = "A peer is somebody at another machine, with syftfs or with syft-client, whose Drive account exchanges with yours. One side requests, the other accepts.\n" +
		"The same with files: mkdir .syft/peers/requested/EMAIL asks, mv .syft/peers/pending/EMAIL .syft/peers/accepted/ accepts."
	return c
}

func (a *app) peersList() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "List the peers, those who wait for an answer first", Example: "  syftfs peers list --json", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			peers, err := ask(c.Context(), a, httpapi.PeerList, struct{}{})
			if err != nil {
				return err
			}
			return a.show(peers, func(w io.Writer) {
				rows := [][]string{{"PEER", "STATE", "CLIENT", "ACCOUNT", "NOTE"}}
				for _, p := range peers {
					state := string(p.State)
					if p.Queued {
						state += " (queued)"
					}
					rows = append(rows, []string{p.Address, state, client(p), p.Account, strings.Join(stated(p.Note, p.Next), "; ")})
				}
				table(w, rows)
			})
		}}
}

// client tells what program a peer runs.
func client(p service.Peer) string {
	switch {
	case p.Version == "":
		return "not known"
	case p.Syftfs:
		return p.Version + ", syftfs"
	}
	return p.Version
}

// stated drops what is empty.
func stated(texts ...string) []string {
	var list []string
	for _, t := range texts {
		if t != "" {
			list = append(list, t)
		}
	}
	return list
}

const forceHelp = "exchange with it whatever version its client has"

func (a *app) peersRequest() *cobra.Command {
	var q service.PeerQuestion
	c := &cobra.Command{Use: "request EMAIL", Short: "Ask somebody elsewhere for exchange",
		Long: "request makes the folders through which you exchange with EMAIL and shares them with that account; its owner accepts or rejects. Write the address\n" +
			"as its owner does: on Drive, Owen@x.org and owen@x.org are two peers. The same: mkdir .syft/peers/requested/EMAIL in the mount.",
		Example: "  syftfs peers request owen@cancer-research.example", Args: exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			q.Address = args[0]
			done, err := ask(c.Context(), a, httpapi.PeerRequest, q)
			if err != nil {
				return err
			}
			text := "Asked %s; `syftfs peers list` shows the answer."
			if done.Peer.State == service.PeerAccepted {
				text = "%s is an accepted peer."
			}
			return a.wished(done, q.Address, text)
		}}
	c.Flags().BoolVar(&q.Force, "force", false, forceHelp)
	return c
}

// wished tells what became of a wish.
func (a *app) wished(done service.PeerDone, address, text string) error {
	return a.show(done, func(w io.Writer) {
		if done.Queued {
			fmt.Fprintf(w, "Noted for %s; it is done as soon as Drive can be reached.\n", clean(address, false))
			if done.Why != "" {
				fmt.Fprintln(w, "  Not yet:", clean(done.Why, false))
			}
			return
		}
		fmt.Fprintf(w, text+"\n", clean(address, false))
		if done.Peer.Note != "" {
			fmt.Fprintln(w, "  Note:", clean(done.Peer.Note, false))
		}
	})
}

func (a *app) peersAct(verb, short, long, text string, op httpapi.Op[service.PeerQuestion, service.PeerDone]) *cobra.Command {
	return &cobra.Command{Use: verb + " EMAIL", Short: short, Long: long, Example: "  syftfs peers " + verb + " rachel@datascience.example", Args: exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			done, err := ask(c.Context(), a, op, service.PeerQuestion{Address: args[0]})
			if err != nil {
				return err
			}
			return a.wished(done, args[0], text)
		}}
}

func (a *app) peersAccept() *cobra.Command {
	var q service.PeerQuestion
	var yes, show bool
	c := &cobra.Command{Use: "accept EMAIL", Short: "Accept a peer that asks, after seeing what that gives it",
		Long: "accept tells what EMAIL is given: the job folders that are made, the datasets whose mock part it may read, and the files of your datasite that the\n" +
			"rules let it read. On a terminal it then asks; elsewhere it needs --yes. --show only tells. The same: mv .syft/peers/pending/EMAIL .syft/peers/accepted/\n" +
			"in the mount, where pending/EMAIL/gives tells it.",
		Example: "  syftfs peers accept rachel@datascience.example\n  syftfs peers accept rachel@datascience.example --show\n  syftfs peers accept rachel@datascience.example --yes", Args: exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			q.Address = args[0]
			if show && yes {
				return usage{fmt.Errorf("--show only tells: leave out --yes")}
			}
			if !yes {
				gives, err := ask(c.Context(), a, httpapi.PeerGives, q)
				if err != nil {
					return err
				}
				if show {
					return a.show(gives, func(w io.Writer) { fmt.Fprint(w, clean(gives.Text, true)) })
				}
				if !a.json {
					fmt.Fprint(a.out, clean(gives.Text, true))
				}
				if err := a.confirm("Accept " + args[0]); err != nil {
					return err
				}
			}
			done, err := ask(c.Context(), a, httpapi.PeerAccept, q)
			if err != nil {
				return err
			}
			return a.wished(done, q.Address, "%s is an accepted peer.")
		}}
	c.Flags().BoolVar(&yes, "yes", false, "accept without asking")
	c.Flags().BoolVar(&show, "show", false, "only tell what it would be given")
	c.Flags().BoolVar(&q.Force, "force", false, forceHelp)
	return c
}

// confirm asks on a terminal. Where nobody can be asked, or who is asked does not say yes, it is refused.
func (a *app) confirm(what string) error {
	if a.json || !a.person {
		return &service.Error{Code: service.Unconfirmed, Message: "nothing was done: say --yes, since there is nobody to ask here"}
	}
	fmt.Fprintf(a.err, "%s? [y/N] ", clean(what, false))
	line, err := bufio.NewReader(a.in).ReadString('\n')
	if err != nil && line == "" {
		fmt.Fprintln(a.err)
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return &service.Error{Code: service.Unconfirmed, Message: "nothing was done"}
}
