package demo

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// oneMachine is the story of two people on one machine: Rachel works in a view of Owen's datasite.
func (s *story) oneMachine() []chapter {
	return []chapter{s.owenBegins, s.rachelLooks, s.rachelSubmits, s.owenDecides, s.resultsComeBack}
}

func (s *story) owenBegins(ctx context.Context) error {
	s.chapter("Owen opens his datasite and makes a dataset")
	if _, err := s.owen.syftfs(ctx, "init", "--email", owenEmail); err != nil {
		return err
	}
	if err := s.up(ctx, s.owen); err != nil {
		return err
	}
	if _, err := s.owen.syftfs(ctx, "users", "create", "--name", "Dr. Rachel Science", "--email", rachelEmail, "--institution", "Data Science Institute"); err != nil {
		return err
	}
	if _, err := s.owen.syftfs(ctx, "users", "verify", rachelEmail); err != nil {
		return err
	}
	return s.owenShares(ctx)
}

func (s *story) rachelLooks(ctx context.Context) error {
	s.chapter("Rachel looks around in her view of Owen's datasite")
	if _, err := s.owen.syftfs(ctx, "view", rachelEmail, s.rachel.mount, "--write"); err != nil {
		return err
	}
	listing, err := s.rachel.run(ctx, "ls", s.rachel.site())
	if err != nil {
		return err
	}
	if strings.Contains(listing, "private") {
		return errors.New("the private folder is in Rachel's listing")
	}
	if _, err := s.rachel.run(ctx, "head", "-n", "2", s.rachel.site("public/syft_datasets/breast-cancer/mock.csv")); err != nil {
		return err
	}
	if _, err := s.rachel.run(ctx, "cat", s.rachel.site("protocols/staining.txt")); err != nil {
		return err
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
	if !strings.Contains(last, "/"+owenEmail+"/public/syft.pub.yaml") || !strings.Contains(last, "line ") {
		return fmt.Errorf("last-error does not name the deciding file and line: %q", last)
	}
	s.note("On Owen's side the same decisions, explained:")
	for _, q := range [][]string{
		{"create", owenEmail + "/public/hello.txt"},
		{"read", owenEmail + "/private/syft_datasets/breast-cancer/breast_cancer.csv"},
	} {
		if err := s.owen.no(ctx, "why", rachelEmail, q[0], q[1]); err != nil {
			return err
		}
	}
	return nil
}
