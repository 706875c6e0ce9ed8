//go:build long

package soak

import (
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// people are the owners of the datasites. All are peers of each other.
var people = []string{"owen@cancer-research.example", "rachel@datascience.example", "rowan@elsewhere.example"}

// site is one person's machine with a datasite.
type site struct {
	*machine
	who   string
	kills int
}

func newSite(t testing.TB, d *drive, who string) *site {
	t.Helper()
	s := &site{machine: newMachine(t), who: who}
	token, err := os.ReadFile(d.path(who + ".json"))
	if err == nil {
		err = os.WriteFile(s.path("token.json"), token, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.ok("init", "--email", who, "--drive", "local:"+d.url, "--token", "token.json")
	file := filepath.Join(s.state(), "config.yaml")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, e := range [][2]string{{"settle: 2s", "settle: 300ms"}, {"bare_settle: 5s", "bare_settle: 600ms"}} {
		text = strings.Replace(text, e[0], e[1], 1)
	}
	var lines []string
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 0 && (f[0] == "poll:" || f[0] == "patience:") {
			continue
		}
		lines = append(lines, line)
		if strings.TrimSpace(line) == "drive:" {
			lines = append(lines, "    poll: 200ms\n    patience: 2s\n")
		}
	}
	if err := os.WriteFile(file, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	s.open()
	return s
}

func (s *site) state() string {
	return s.path(".state", "syftfs", strings.Replace(s.who, "@", "-", 1))
}

func (s *site) open() { s.t.Helper(); s.start("Up:", "up", "-v") }

// in is a path in somebody's datasite: in the mount while it is there, else where the files lie.
func (s *site) in(owner, rel string) string {
	if s.up == nil {
		return s.backing(owner, rel)
	}
	return s.path("SyftBox", owner, rel)
}

// backing is the same in the plain folder.
func (s *site) backing(owner, rel string) string { return s.path("SyftBox_"+s.who, owner, rel) }

// befriend makes all peers of each other; of two the later in people is asked, and so takes jobs.
func befriend(t testing.TB, sites []*site) {
	t.Helper()
	for i, a := range sites {
		for _, b := range sites[i+1:] {
			a.ok("peers", "request", b.who)
			if err := until(func() error { _, err := b.run("peers", "accept", a.who, "--yes"); return err }); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, a := range sites {
		for _, b := range sites {
			if a == b {
				continue
			}
			if err := until(func() error { _, err := os.Stat(a.in(b.who, "jobs")); return err }); err != nil {
				t.Fatalf("%s has no place for jobs of %s: %v", a.who, b.who, err)
			}
		}
	}
}

// files gives what lies in a datasite on the disk, by path, without what jobs are made of.
func (s *site) files(owner, under string) map[string]string {
	s.t.Helper()
	root := s.backing(owner, "")
	found := map[string]string{}
	err := filepath.WalkDir(s.backing(owner, under), func(path string, e iofs.DirEntry, err error) error {
		rel, rerr := filepath.Rel(root, path)
		switch {
		case os.IsNotExist(err): // it went meanwhile
			return nil
		case err != nil || rerr != nil:
			return fmt.Errorf("%w %w", err, rerr)
		case e.IsDir() && (rel == "app_data" || rel != "." && strings.HasPrefix(e.Name(), ".")):
			return filepath.SkipDir
		case e.IsDir() || strings.HasPrefix(e.Name(), "."):
			return nil
		}
		b, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil
		}
		found[rel] = string(b)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}

// stateOf is user.syft.state of a file.
func (s *site) stateOf(owner, rel string) string {
	b := make([]byte, 256)
	n, err := unix.Getxattr(s.in(owner, rel), "user.syft.state", b)
	if err != nil {
		return err.Error()
	}
	return string(b[:n])
}

// status is what `status` tells, as far as it matters here.
type status struct {
	Reconciled bool
	Problems   []string
	Exchange   struct {
		Offline, Problem, Synced string
		Waiting, Log, Conflicts  int
		Brake                    *struct{ Deletions int }
		Peers                    []struct {
			Address, Problem                  string
			Owed, Sending, Incoming, Proposed int
		}
		Aside []struct{ Peer, Name, Path, Reason string }
	}
}

// idle is nil when nothing waits.
func (s *site) idle() error {
	st, err := try[status](s.machine, "status")
	if err != nil {
		return err
	}
	x := st.Exchange
	busy := !st.Reconciled || x.Offline != "" || x.Problem != "" || x.Waiting > 0 || x.Log > 0
	for _, p := range x.Peers {
		busy = busy || p.Owed+p.Sending+p.Incoming+p.Proposed > 0
	}
	if busy {
		return fmt.Errorf("%s: reconciled %v, problems %q, exchange %+v", s.who, st.Reconciled, st.Problems, x)
	}
	return nil
}
