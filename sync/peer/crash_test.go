package peer

import (
	"errors"
	"strings"
	"testing"

	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/remote/remotetest"
)

// trio is three people and what they do, step by step. A step that fails is done again by a new process, as the program would: what was noted
// is carried out by a sweep, anything else is asked for once more.
type trio struct {
	t       testing.TB
	o, r, n *side
}

func newTrio(t testing.TB) *trio {
	w := newWorld()
	return &trio{t: t, o: newSide(t, w, owen), r: newSide(t, w, rachel), n: newSide(t, w, nina)}
}

func (x *trio) step(s *side, who perm.User, do func() error) {
	x.t.Helper()
	err := do()
	for try := 0; err != nil; try++ {
		x.t.Helper()
		if try > 10 {
			x.t.Fatalf("never ends: %v", err)
		}
		if who == "" && remote.Temporary(err) {
			err = do()
			continue
		}
		s.start()
		if p, ok := s.book.Get(who); ok && p.Queued || errors.Is(err, ErrState) {
			err = s.sweep()
		} else {
			err = do()
		}
	}
	for at := range tree(x.t, x.o.raw()) {
		if strings.Contains(at, "#"+rachel+"#inbox") && len(x.o.admitted) == 0 {
			x.t.Fatal("the acceptance was visible before she was admitted")
		}
	}
}

// tell is the whole story, or the part that rachel is in.
func (x *trio) tell(short bool) {
	ctx := x.t.Context()
	o, r, n := x.o, x.r, x.n
	x.step(r, owen, func() error { return r.book.Request(ctx, owen, false) })
	x.step(o, "", o.feed)
	o.expect("pending " + rachel)
	x.step(o, rachel, func() error { return o.book.Accept(ctx, rachel, false) })
	o.expect("accepted " + rachel)
	x.step(r, "", r.feed)
	r.expect("accepted " + owen)
	if short {
		r.drive.Script()
		return
	}
	x.step(o, rachel, func() error { return o.book.Block(ctx, rachel) })
	o.expect("blocked " + rachel)
	x.step(o, rachel, func() error { return o.book.Unblock(ctx, rachel) })
	o.expect("pending " + rachel)
	x.step(o, rachel, func() error { return o.book.Accept(ctx, rachel, false) })
	x.step(n, owen, func() error { return n.book.Request(ctx, owen, false) })
	x.step(o, "", o.feed)
	x.step(o, nina, func() error { return o.book.Reject(ctx, nina) })
	x.step(n, "", n.sweep)
	x.step(o, "", o.feed)
	for _, s := range []*side{o, r, n} {
		s.fault.at, s.fault.steps = 0, 0
		s.drive.Script()
		s.start()
		s.ok(s.sweep())
		s.ok(s.feed())
	}
	o.expect("rejected " + nina + ", accepted " + rachel)
	r.expect("accepted " + owen)
	n.expect("requested " + owen)
	for _, s := range []*side{o, r} {
		for _, u := range []string{owen, rachel} {
			if p, ok := s.book.Get(perm.User(u)); ok && (!p.Serve || !p.Propose || p.Queued || p.Note != "") {
				x.t.Fatalf("%+v", p)
			}
		}
	}
}

// trees describes all three Drives, or the two of the short story.
func (x *trio) trees(short bool) string {
	sides := []*side{x.o, x.r, x.n}
	if short {
		sides = sides[:2]
	}
	var all string
	for _, s := range sides {
		all += describe(tree(x.t, s.raw())) + content(x.t, s.raw(), peersFile)
	}
	return all
}

// TestCrashAtEveryStep fails every write of the state, on each side, and restarts; several in one run, as stories are long.
func TestCrashAtEveryStep(t *testing.T) {
	const further = 12
	calm := newTrio(t)
	calm.tell(false)
	want := calm.trees(false)
	ops := map[string]bool{}
	for who := range 3 {
		for n := 1; n <= further; n++ {
			x := newTrio(t)
			s := []*side{x.o, x.r, x.n}[who]
			s.fault.at, s.fault.further = n, further
			x.tell(false)
			if got := x.trees(false); got != want {
				t.Fatalf("side %d, step %d:\n%s\nwant\n%s", who, n, got, want)
			}
			for op := range s.fault.ops {
				ops[op] = true
			}
		}
	}
	for _, op := range []string{"note", "folder", "file", "pair", "done", "seen", "answered", "version", "announced", "adopt"} {
		if !ops["peer:"+op+":rename"] {
			t.Errorf("never came to %s, only %v", op, ops)
		}
	}
}

// TestEveryCallFails fails every call to Drive before, and every one that changes something after it was done; several in one run.
func TestEveryCallFails(t *testing.T) {
	const further = 15
	for who, short := range []bool{false, true} {
		calm := newTrio(t)
		calm.tell(short)
		want := calm.trees(short)
		for _, line := range []remotetest.Fault{{Stage: remotetest.Before, Count: 1}, {Stage: remotetest.After, Op: remote.OpPut, Count: 1}, {Stage: remotetest.After, Op: remote.OpGrant, Count: 1},
			{Stage: remotetest.After, Op: remote.OpUpdate, Count: 1}, {Stage: remotetest.After, Op: remote.OpRevoke, Count: 1}} {
			for first := range further {
				x := newTrio(t)
				s := []*side{x.o, x.r}[who]
				line.Skip = first
				script := []remotetest.Fault{line}
				for line.Skip = further - 1; len(script) < 10; {
					script = append(script, line)
				}
				s.drive.Script(script...)
				x.tell(short)
				if got := x.trees(short); got != want {
					t.Fatalf("side %d, %+v:\n%s\nwant\n%s", who, script, got, want)
				}
				if len(s.drive.Fired()) == 0 {
					break
				}
			}
		}
	}
}

// TestAnyWeather lets calls of all three fail by chance.
func TestAnyWeather(t *testing.T) {
	calm := newTrio(t)
	calm.tell(false)
	want := calm.trees(false)
	for seed := range uint64(12) {
		x := newTrio(t)
		stage := []remotetest.Stage{remotetest.Before, remotetest.Halfway, remotetest.After}[seed%3]
		for i, s := range []*side{x.o, x.r, x.n} {
			s.drive = remotetest.NewFaulty(s.raw(), 3*seed+uint64(i))
			s.cfg.Remote = s.drive
			s.drive.Script(remotetest.Fault{Chance: 0.15, Count: 8, Stage: stage, Kind: []remote.Kind{remote.Unavailable, remote.Throttled}[seed%2]})
			s.start()
		}
		x.tell(false)
		if got := x.trees(false); got != want {
			t.Fatalf("seed %d:\n%s\nwant\n%s", seed, got, want)
		}
	}
}
