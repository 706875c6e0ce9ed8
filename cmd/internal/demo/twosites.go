package demo

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// twoSites is the story of two people who share nothing but a Drive: each has a datasite, a mount, a state and credentials of their own.
func (s *story) twoSites() []chapter {
	return []chapter{s.driveBegins, s.bothBegin, s.theyBecomePeers, s.mockArrives, s.rachelSubmits, s.owenDecides, s.resultsComeBack}
}

// driveAt is where the Drive of the story listens.
const driveAt = "127.0.0.1:0"

func (s *story) driveBegins(ctx context.Context) error {
	s.chapter("A Drive for both: the program's own server, in the place of Google's")
	if err := s.start(ctx, s.drive, "Serving", "drive", "serve", "--listen", driveAt); err != nil {
		return err
	}
	for _, p := range []*person{s.owen, s.rachel} {
		if _, err := s.drive.syftfs(ctx, "drive", "accounts", "add", p.email, "--token", filepath.Join(p.home, "token.json")); err != nil {
			return err
		}
	}
	where, err := s.drive.syftfs(ctx, "drive", "status")
	if err != nil {
		return err
	}
	for _, word := range strings.Fields(where) {
		if strings.HasPrefix(word, "http://127.0.0.1:") {
			s.driveURL = strings.TrimRight(word, ".,")
			return nil
		}
	}
	return fmt.Errorf("the Drive does not say where it is: %q", where)
}

func (s *story) bothBegin(ctx context.Context) error {
	s.chapter("Owen and Rachel open a datasite each, and Owen makes a dataset")
	for _, p := range []*person{s.owen, s.rachel} {
		if _, err := p.syftfs(ctx, "init", "--email", p.email, "--drive", "local:"+s.driveURL, "--token", "token.json"); err != nil {
			return err
		}
		if err := s.up(ctx, p); err != nil {
			return err
		}
	}
	return s.owenShares(ctx)
}

// peers is a folder of .syft/peers in a person's mount.
func (p *person) peers(parts ...string) string {
	return filepath.Join(append([]string{p.mount, ".syft", "peers"}, parts...)...)
}

func (s *story) theyBecomePeers(ctx context.Context) error {
	s.chapter("Rachel asks to be a peer, and Owen accepts when he has seen what that gives her")
	if _, err := s.rachel.run(ctx, "mkdir", s.rachel.peers("requested", owenEmail)); err != nil {
		return err
	}
	if err := s.owen.arrives(ctx, s.owen.peers("pending", rachelEmail, "gives"), "breast-cancer"); err != nil {
		return err
	}
	_, err := s.owen.run(ctx, "mv", s.owen.peers("pending", rachelEmail), s.owen.peers("accepted")+"/")
	return err
}

func (s *story) mockArrives(ctx context.Context) error {
	s.chapter("The mock, and what the rules let her read, arrive in Rachel's mount")
	mock := s.rachel.site("public/syft_datasets/breast-cancer/mock.csv")
	if err := s.rachel.arrives(ctx, mock, "mean_radius"); err != nil {
		return err
	}
	if err := s.rachel.arrives(ctx, s.rachel.site("protocols/staining.txt"), "Papanicolaou"); err != nil {
		return err
	}
	listing, err := s.rachel.run(ctx, "ls", s.rachel.site())
	if err != nil {
		return err
	}
	if strings.Contains(listing, "private") {
		return errors.New("the private folder is in Rachel's listing")
	}
	private := s.rachel.site("private/syft_datasets/breast-cancer/breast_cancer.csv")
	if err := s.rachel.refused(ctx, "No such file or directory", "cat", private); err != nil {
		return err
	}
	if err := s.rachel.refused(ctx, "Permission denied", "sh", "-c", `echo hello > "$1"`, "sh", s.rachel.site("public/hello.txt")); err != nil {
		return err
	}
	last, err := s.rachel.run(ctx, "cat", filepath.Join(s.rachel.mount, ".syft", "last-error"))
	if err != nil {
		return err
	}
	if !strings.Contains(last, owenEmail) {
		return fmt.Errorf("last-error does not say whose datasite it is: %q", last)
	}
	return s.owen.no(ctx, "why", rachelEmail, "read", owenEmail+"/private/syft_datasets/breast-cancer/breast_cancer.csv")
}
