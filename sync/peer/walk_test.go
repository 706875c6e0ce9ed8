package peer

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/remote/remotetest"
)

// TestWalk does anything in any order on two sides, with calls that fail and processes that end, and checks after each step what must always
// hold; in the end a new machine sees what the old one sees.
func TestWalk(t *testing.T) {
	for seed := range uint64(15) {
		dice := rand.New(rand.NewPCG(seed, 7))
		w := newWorld()
		sides := []*side{newSide(t, w, owen), newSide(t, w, rachel)}
		others := []perm.User{rachel, owen}
		ctx := t.Context()
		var story []string
		for range 30 {
			i := dice.IntN(2)
			s, u := sides[i], others[i]
			ops := map[string]func() error{
				"request": func() error { return s.book.Request(ctx, string(u), false) },
				"accept":  func() error { return s.book.Accept(ctx, u, false) },
				"reject":  func() error { return s.book.Reject(ctx, u) },
				"block":   func() error { return s.book.Block(ctx, u) },
				"unblock": func() error { return s.book.Unblock(ctx, u) },
				"remove":  func() error { return s.book.Remove(ctx, u) },
				"feed":    s.feed, "sweep": s.sweep,
				"restart": func() error { s.start(); return nil },
			}
			names := []string{"request", "request", "accept", "accept", "reject", "block", "unblock", "remove", "feed", "feed", "feed", "sweep", "restart"}
			name := names[dice.IntN(len(names))]
			s.drive.Script()
			if dice.IntN(4) == 0 {
				s.drive.Script(remotetest.Fault{Chance: 0.3, Stage: []remotetest.Stage{remotetest.Before, remotetest.After}[dice.IntN(2)], Kind: remote.Throttled})
			}
			err := ops[name]()
			story = append(story, fmt.Sprintf("%d %s", i, name))
			for j, s := range sides {
				p, ok := s.book.Get(others[j])
				switch {
				case !ok:
				case p.Serve && (p.State != StateAccepted || s.book.rec.Peers[others[j]].Blocked),
					p.Propose && !p.Follow,
					p.Follow && p.State != StateAccepted && p.State != StateRequested,
					p.State == StatePending && p.Inbox == "" && p.Outbox == "":
					t.Fatalf("%v (%v): %+v", story, err, p)
				}
				if j == 0 && ok && p.State == StateAccepted && len(s.admitted) == 0 && !p.Queued && !strings.Contains(strings.Join(story, " "), "0 request") {
					t.Fatalf("%v: accepted and never admitted", story)
				}
			}
		}
		for range 2 {
			for _, s := range sides {
				s.drive.Script()
				s.ok(s.sweep())
				s.ok(s.feed())
			}
		}
		for i, s := range sides {
			old := strings.ReplaceAll(s.states(), "blocked", "rejected")
			if p, ok := s.book.Get(others[i]); ok && p.Queued {
				t.Fatalf("%v: %+v", story, p)
			}
			s.dir = t.TempDir() + "/other"
			s.start()
			s.ok(s.sweep())
			if got := s.states(); got != old {
				t.Fatalf("%v: a new machine of %s sees %q, the old one %q", story, s.cfg.Me, got, old)
			}
		}
	}
}
