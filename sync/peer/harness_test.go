package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openmined/syftfs/fs/statedir"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/remote/remotetest"
	"github.com/openmined/syftfs/sync/wire"
)

const (
	owen   = "owen@cancer-research.example"
	rachel = "rachel@datascience.example"
	nina   = "nina@statistics.example"
)

var errCrash = errors.New("crash")

// crasher is a fault seam that fails the step with number at, and each one that many further; 0 fails none.
type crasher struct {
	steps, at, further int
	ops                map[string]bool
}

func (c *crasher) Before(op string) error {
	if c.ops == nil {
		c.ops = map[string]bool{}
	}
	c.ops[op] = true
	if c.steps++; c.at > 0 && c.steps == c.at {
		c.at += c.further
		return fmt.Errorf("%s: %w", op, errCrash)
	}
	return nil
}

// side is one person's machine.
type side struct {
	t     testing.TB
	world *remotetest.World
	cfg   Config
	dir   string
	fault crasher
	drive *remotetest.Faulty
	token remote.Token
	book  *Book

	admitted  []perm.User
	refuse    error // of Admit
	announced []string
	deaf      bool // Announce fails
}

func newSide(t testing.TB, w *remotetest.World, who string, change ...func(*Config)) *side {
	t.Helper()
	s := &side{t: t, world: w, dir: t.TempDir() + "/state"}
	s.drive = remotetest.NewFaulty(w.Account(who), 1)
	s.cfg = Config{Remote: s.drive, Me: perm.User(strings.ToLower(who)), Admit: s, Now: clock,
		Version: wire.VersionInfo{Client: "0.1.117", MinClient: wire.MinClient, Protocol: wire.Protocol, MinProtocol: wire.MinProtocol, Syftfs: "0.5.0"},
		Announce: func(_ context.Context, p Peer) error {
			if s.deaf {
				return errCrash
			}
			s.announced = append(s.announced, string(p.State)+" "+string(p.User))
			return nil
		}}
	for _, f := range change {
		f(&s.cfg)
	}
	var err error
	if s.token, err = w.Account(who).Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.start()
	return s
}

func clock() time.Time { return time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC) }

func newWorld() *remotetest.World { return remotetest.NewWorld(clock) }

// Admit makes side its own Admitter.
func (s *side) Admit(_ context.Context, u perm.User) error {
	if s.refuse != nil {
		return s.refuse
	}
	s.admitted = append(s.admitted, u)
	return nil
}

// start is a process that starts with the state that is there.
func (s *side) start() {
	s.t.Helper()
	dir, err := statedir.Open(s.dir, &s.fault)
	if err == nil {
		s.cfg.State = dir
		s.book, err = New(s.cfg)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// feed tells the book what happened since the last time.
func (s *side) feed() error {
	c, err := s.drive.Since(s.t.Context(), s.token, remote.WithParent|remote.WithOwner)
	if err != nil {
		return err
	}
	if err := s.book.Noticed(s.t.Context(), c.Items); err != nil {
		return err
	}
	s.token = c.Next
	return nil
}

func (s *side) sweep() error { return s.book.Sweep(s.t.Context()) }

func (s *side) ok(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// states is what List says, in one line.
func (s *side) states() string {
	s.t.Helper()
	all, err := s.book.List(s.t.Context())
	s.ok(err)
	var line []string
	for _, p := range all {
		line = append(line, string(p.State)+" "+string(p.User))
	}
	return strings.Join(line, ", ")
}

func (s *side) expect(want string) {
	s.t.Helper()
	if got := s.states(); got != want {
		s.t.Fatalf("%s has %q, want %q", s.cfg.Me, got, want)
	}
}

func (s *side) peer(u string) Peer {
	s.t.Helper()
	p, ok := s.book.Get(perm.User(u))
	if !ok {
		s.t.Fatalf("%s does not know %s", s.cfg.Me, u)
	}
	return p
}

// raw is the account without faults.
func (s *side) raw() remote.Remote { return s.world.Account(string(s.cfg.Me)) }

// tree describes all that an account owns: path, and with whom it is shared.
func tree(t testing.TB, r remote.Remote) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	var walk func(parent remote.ID, path string)
	walk = func(parent remote.ID, path string) {
		objects, err := remote.Collect(t.Context(), r, remote.Query{Parent: parent, Whose: remote.Mine})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			grants, err := r.Grants(t.Context(), o.ID)
			if err != nil {
				t.Fatal(err)
			}
			var who []string
			for _, g := range grants {
				who = append(who, string(g.Role)+" "+g.Who)
			}
			name := path + "/" + o.Name
			if all[name] != nil {
				t.Fatalf("there are two of %s", name)
			}
			all[name] = append([]string{}, who...)
			if o.Folder {
				walk(o.ID, name)
			}
		}
	}
	walk(remote.Root, "")
	return all
}

func describe(tree map[string][]string) string {
	var b strings.Builder
	for _, p := range slices.Sorted(maps.Keys(tree)) {
		fmt.Fprintf(&b, "%s %v\n", p, tree[p])
	}
	return b.String()
}

// content reads the one file of that name that the account owns.
func content(t testing.TB, r remote.Remote, name string) string {
	t.Helper()
	all, err := remote.Collect(t.Context(), r, remote.Query{Name: name, Whose: remote.Mine, Want: remote.WithSum | remote.WithSize})
	if err != nil || len(all) != 1 {
		t.Fatalf("%d of %s, %v", len(all), name, err)
	}
	var b bytes.Buffer
	if err := remote.Fetch(t.Context(), r, all[0], 1<<20, &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// make puts an object by hand, shared with nobody.
func make1(t testing.TB, r remote.Remote, parent remote.ID, name string, body []byte) remote.ID {
	t.Helper()
	ids, err := r.NewIDs(t.Context(), 1)
	if err == nil {
		err = r.Put(t.Context(), remote.Spec{ID: ids[0], Parent: parent, Name: name, Folder: body == nil}, remote.Bytes(body))
	}
	if err != nil {
		t.Fatal(err)
	}
	return ids[0]
}

func grant(t testing.TB, r remote.Remote, id remote.ID, who string, role remote.Role) {
	t.Helper()
	if err := r.Grant(t.Context(), id, remote.Grant{Who: who, Role: role}); err != nil {
		t.Fatal(err)
	}
}
