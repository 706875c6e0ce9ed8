package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/remote/remotetest"
	"github.com/openmined/syftfs/sync/wire"
)

func TestOffline(t *testing.T) {
	w := newWorld(t, owen, rachel)
	o, r := w.people[owen], w.people[rachel]
	o.sync(t)
	o.remote.Script(remotetest.Fault{})
	for i := range 5 {
		o.tree.write(t, at(owen, "a"), fmt.Sprint("version ", i))
		o.tree.write(t, at(owen, fmt.Sprint("b", i)), "x")
		if err := o.exchange(context.Background(), false); !remote.Temporary(err) {
			t.Fatalf("offline: %v", err)
		}
	}
	o.is(t, at(owen, "a"), StateQueued)
	st, err := o.Status(context.Background())
	if err != nil || st.Offline.IsZero() || st.Problem == "" || st.Waiting != 6 {
		t.Errorf("status %+v, %v", st, err)
	}
	o.restart(t)
	o.remote.Script()
	o.light(t)
	r.light(t)
	if got := r.tree.of(owen); len(got) != 6 || got["a"] != "version 4" {
		t.Errorf("after the network is back: %v", got)
	}
	if n := len(o.checks.logged); n != 1 {
		t.Errorf("%d messages in the log, want 1: what changed often is sent once", n)
	}
	if st, err = o.Status(context.Background()); err != nil || !st.Offline.IsZero() || st.Problem != "" {
		t.Errorf("status %+v, %v", st, err)
	}
}

// TestLostReplies: what was stored although an error came is not stored twice.
func TestLostReplies(t *testing.T) {
	w := newWorld(t, owen, rachel)
	o, r := w.people[owen], w.people[rachel]
	o.sync(t)
	o.tree.write(t, at(owen, "a"), "1")
	o.remote.Script(remotetest.Fault{Op: remote.OpPut, Stage: remotetest.After, Count: 2})
	for range 3 {
		_ = o.exchange(context.Background(), false)
		o.restart(t)
		o.tree.write(t, at(owen, "a"), "2")
	}
	o.light(t)
	r.light(t)
	r.has(t, at(owen, "a"), "2")
	log, err := o.peers.Home(context.Background(), wire.LogFolder, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []remote.ID{log, w.folder(t, owen, rachel, wire.OutboxFolder)} {
		list := messages(t, o.store, folder)
		if len(list) != 2 {
			t.Errorf("%d messages, want 2", len(list))
		}
		var times []string
		for _, m := range list {
			times = append(times, strings.Split(m.Name, "_")[1])
		}
		slices.Sort(times)
		if len(slices.Compact(times)) != len(list) {
			t.Errorf("two messages of one time: %v", times)
		}
	}
}

func TestDoubled(t *testing.T) {
	w := newWorld(t, owen, rachel)
	o, r := w.people[owen], w.people[rachel]
	o.allow(perm.Write)
	inbox := w.folder(t, owen, rachel, wire.InboxFolder)
	name, body := proposal(t, w, rachel, at(owen, "a"), datasite.Hash{}, "one")
	drop(t, r.store, inbox, name, body)
	o.sync(t)
	o.tree.write(t, at(owen, "a"), "two")
	drop(t, r.store, inbox, name, body) // its sender did not hear that it was stored
	o.sync(t)
	o.has(t, at(owen, "a"), "two")
	st, err := o.Status(context.Background())
	if err != nil || len(st.Aside) != 0 || len(messages(t, r.store, inbox)) != 0 {
		t.Errorf("aside: %+v, %v", st.Aside, err)
	}
}

// lateFeed gives changes late, twice, or not in their order.
type lateFeed struct {
	remote.Remote
	held []remote.Change
	turn int
}

func (f *lateFeed) Since(ctx context.Context, tok remote.Token, want remote.Fields) (remote.Changes, error) {
	c, err := f.Remote.Since(ctx, tok, want)
	if err != nil {
		return c, err
	}
	f.turn++
	var now []remote.Change
	for i, item := range c.Items {
		if (i+f.turn)%3 == 0 {
			f.held = append(f.held, item)
			continue
		}
		now = append(now, item)
		if (i+f.turn)%3 == 1 {
			now = append(now, item)
		}
	}
	if f.turn%4 == 0 {
		now, f.held = append(now, f.held...), nil
	}
	slices.Reverse(now)
	c.Items = now
	return c, nil
}

func TestLateFeed(t *testing.T) {
	w := newWorld(t, owen, rachel)
	o, r := w.people[owen], w.people[rachel]
	o.allow(perm.Write)
	for _, x := range []*person{o, r} {
		x.sync(t)
		f := &lateFeed{Remote: x.remote}
		x.edit = func(c *Config) { c.Remote = f }
		x.restart(t)
	}
	for i := range 40 {
		o.tree.write(t, at(owen, fmt.Sprint("o", i%5)), fmt.Sprint("o", i))
		o.light(t)
		r.tree.write(t, at(owen, "r"), fmt.Sprint("r", i))
		r.light(t)
		w.clock.add(10 * time.Second)
	}
	for range 10 { // no sweep: the feed alone brings it
		w.clock.add(30 * time.Second)
		o.light(t)
		r.light(t)
	}
	a, b := o.tree.of(owen), r.tree.of(owen)
	if len(a) != 6 || a["r"] != "r39" || fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("owen has %v, rachel has %v", a, b)
	}
	if list, err := r.Conflicts(); err != nil || len(list) != 0 {
		t.Errorf("conflicts: %v, %v", list, err)
	}
}

func TestClockOff(t *testing.T) {
	for _, off := range []time.Duration{-48 * time.Hour, 48 * time.Hour} {
		w := newWorld(t, owen, rachel)
		o, r := w.people[owen], w.people[rachel]
		o.allow(perm.Write)
		o.tree.write(t, at(owen, "a"), "1")
		o.light(t)
		r.light(t)
		o.clock = newClock()
		o.clock.add(off)
		o.restart(t)
		for i := range 3 {
			o.tree.write(t, at(owen, "a"), fmt.Sprint("later ", i))
			o.light(t)
			r.light(t)
			r.has(t, at(owen, "a"), fmt.Sprint("later ", i))
			r.tree.write(t, at(owen, "b"), fmt.Sprint("b", i))
			r.light(t)
			o.light(t)
			o.has(t, at(owen, "b"), fmt.Sprint("b", i))
		}
		last := wire.Time(0)
		for _, e := range o.checks.logged {
			if e.At <= last {
				t.Errorf("clock off by %v: a message of %v after one of %v", off, e.At, last)
			}
			last = e.At
			for _, it := range e.Items {
				if it.Accepted > e.At {
					t.Errorf("a change of %v in a message of %v", it.Accepted, e.At)
				}
			}
		}
		// A state that was lost asks Drive what the newest was.
		o.checks.state = Restored{}
		o.checks.logged = nil
		o.dir = t.TempDir()
		o.restart(t)
		o.tree.write(t, at(owen, "a"), "last")
		o.light(t)
		if n := len(o.checks.logged); n == 0 || o.checks.logged[n-1].At <= last {
			t.Errorf("clock off by %v: after the loss of the state the times are not later", off)
		}
		r.light(t)
		r.has(t, at(owen, "a"), "last")
	}
}

func TestBrake(t *testing.T) {
	w := newWorld(t, owen, rachel)
	o, r := w.people[owen], w.people[rachel]
	for i := range 60 {
		o.tree.write(t, at(owen, fmt.Sprintf("d/%d", i)), "x")
	}
	o.tree.write(t, at(owen, "other"), "x")
	o.light(t)
	r.light(t)
	o.tree.remove(t, at(owen, "d/1"))
	o.light(t)
	if st, err := o.Status(context.Background()); err != nil || len(st.Brakes) != 0 {
		t.Fatalf("one deletion: %+v, %v", st, err)
	}
	kept := map[string]string{}
	for rel, s := range o.tree.of(owen) {
		kept[rel] = s
	}
	o.tree.remove(t, at(owen, "d"))
	o.tree.write(t, at(owen, "other"), "y")
	o.light(t)
	r.light(t)
	st, err := o.Status(context.Background())
	if err != nil || len(st.Brakes) != 1 || st.Brakes[0] != (Braked{owen, 59, 60, st.Brakes[0].Since}) {
		t.Fatalf("brake: %+v, %v", st.Brakes, err)
	}
	if n := len(r.tree.of(owen)); n != 60 {
		t.Errorf("rachel has %d files", n)
	}
	r.has(t, at(owen, "other"), "x")
	// What is sent of another datasite does not release it.
	o.tree.write(t, at(rachel, "to rachel"), "x")
	o.light(t)
	o.is(t, at(rachel, "to rachel"), StateProposed)
	// It survives a restart, and lets go when the files are back.
	o.restart(t)
	o.light(t)
	if st, err = o.Status(context.Background()); err != nil || len(st.Brakes) != 1 {
		t.Fatalf("brake after a restart: %+v, %v", st.Brakes, err)
	}
	for rel := range kept {
		if strings.HasPrefix(rel, "d/") {
			o.tree.write(t, at(owen, rel), "x")
		}
	}
	o.light(t)
	r.light(t)
	r.has(t, at(owen, "other"), "y")
	if st, err = o.Status(context.Background()); err != nil || len(st.Brakes) != 0 {
		t.Fatalf("brake after the files are back: %+v, %v", st.Brakes, err)
	}
	o.tree.remove(t, at(owen, "d"))
	o.light(t)
	if err := o.Release(context.Background()); err != nil {
		t.Fatal(err)
	}
	o.light(t)
	r.light(t)
	if got := r.tree.of(owen); len(got) != 1 {
		t.Errorf("after the release: %d files", len(got))
	}
}

func TestCompaction(t *testing.T) {
	w := newWorld(t, owen, rachel)
	o, r := w.people[owen], w.people[rachel]
	outbox := w.folder(t, owen, rachel, wire.OutboxFolder)
	r.sync(t)
	for i := range 19 {
		o.tree.write(t, at(owen, fmt.Sprint("f", i%4)), fmt.Sprint("content ", i))
		o.light(t)
	}
	o.tree.remove(t, at(owen, "f0"))
	if n := len(messages(t, o.store, outbox)); n != 19 {
		t.Fatalf("%d messages before, want 19", n)
	}
	o.remote.Script(remotetest.Fault{Op: remote.OpDelete, Stage: remotetest.Halfway, Count: 1})
	_ = o.exchange(context.Background(), false)
	o.light(t)
	if n := len(messages(t, o.store, outbox)); n != 1 {
		t.Fatalf("%d messages after, want 1", n)
	}
	r.light(t)
	want := map[string]string{"f1": "content 17", "f2": "content 18", "f3": "content 15"}
	if got := r.tree.of(owen); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("rachel has %v, want %v", got, want)
	}
	r.sync(t)
	applied := r.tree.applied
	if err := o.counted(lane{Kind: wire.OutboxFolder, Peer: rachel}, 100); err != nil {
		t.Fatal(err)
	}
	drop(t, o.store, outbox, "some other file", nil)
	o.tree.write(t, at(owen, "f1"), "new")
	o.light(t)
	if n := len(messages(t, o.store, outbox)); n != 2 {
		t.Fatalf("%d files, want a message and the other file", n)
	}
	r.light(t)
	r.has(t, at(owen, "f1"), "new")
	if r.tree.applied != applied+1 {
		t.Errorf("%d changes were applied, want 1", r.tree.applied-applied)
	}
}

func TestRestore(t *testing.T) {
	w := newWorld(t, owen, rachel)
	o, r := w.people[owen], w.people[rachel]
	o.tree.write(t, at(owen, "a"), "1")
	o.tree.write(t, at(owen, "b"), "1")
	o.light(t)
	o.tree.write(t, at(owen, "c"), "1")
	o.tree.remove(t, at(owen, "b"))
	o.light(t)
	r.light(t)
	// A new machine; on its disk "a" is newer.
	first := o.checks.logged[0]
	logged := o.checks.logged
	o.dir = t.TempDir()
	o.tree.mu.Lock()
	clear(o.tree.files)
	o.tree.mu.Unlock()
	o.tree.write(t, at(owen, "a"), "2")
	o.checks.state, o.checks.logged = Restored{Items: first.Items, Last: first.At}, nil
	o.restart(t)
	o.light(t)
	if got := o.tree.of(owen); len(got) != 2 || got["a"] != "2" || got["c"] != "1" {
		t.Errorf("restored: %v", got)
	}
	if len(o.checks.logged) != 2 || o.checks.logged[0].ID != logged[1].ID || len(o.checks.logged[1].Items) != 1 || o.checks.logged[1].Items[0].Before != sum("1") {
		t.Errorf("told to the checkpoints: %+v", o.checks.logged)
	}
	r.light(t)
	if got := r.tree.of(owen); len(got) != 2 || got["a"] != "2" {
		t.Errorf("rachel has %v", got)
	}
	clear(o.count)
	o.restart(t)
	o.light(t)
	if o.count[remote.OpGet]+o.count[remote.OpList] != 0 {
		t.Errorf("a restart asks %v", o.count)
	}
}

func TestPythonPeer(t *testing.T) {
	w := newWorld(t, owen, rachel)
	o, r := w.people[owen], w.people[rachel]
	o.allow(perm.Write)
	r.peers.edit(owen, func(p *Peer) { p.Syftfs = false })
	o.tree.write(t, at(owen, "a"), "1")
	o.light(t)
	r.light(t)
	r.tree.remove(t, at(owen, "a"))
	r.tree.write(t, at(owen, "a/below"), "3")
	r.tree.write(t, at(owen, "b"), "2")
	r.light(t)
	list := messages(t, r.store, w.folder(t, owen, rachel, wire.InboxFolder))
	if len(list) != 1 {
		t.Fatalf("%d proposals", len(list))
	}
	name, err := wire.ParseFile(list[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	p, err := wire.Codec{}.DecodeProposal(strings.NewReader(string(fetch(t, r.store, list[0]))), name, rachel, owen)
	if err != nil || len(p.Items) != 1 || p.Items[0].Path != at(owen, "b") {
		t.Errorf("proposed: %+v, %v", p, err)
	}
	r.is(t, at(owen, "a"), StateError)
	r.is(t, at(owen, "a/below"), StateError)
	r.is(t, at(owen, "b"), StateProposed)
}

func TestPeerWithoutFolder(t *testing.T) {
	w := newWorld(t, owen, rachel, sam)
	o, s := w.people[owen], w.people[sam]
	o.peers.edit(rachel, func(p *Peer) { p.Outbox, p.Note = "", "rachel removed the folder" })
	o.tree.write(t, at(owen, "a"), "1")
	o.light(t)
	s.light(t)
	s.has(t, at(owen, "a"), "1")
	o.is(t, at(owen, "a"), StateQueued)
	st, err := o.Status(context.Background())
	if err != nil || st.Peers[0].User != rachel || st.Peers[0].Owed != 1 || st.Peers[0].Problem == "" || st.Peers[1].Owed != 0 {
		t.Errorf("status %+v, %v", st, err)
	}
}

// TestCrash fails each named step at each of its occurrences in a story, kills the program there, and starts it again.
func TestCrash(t *testing.T) {
	story := func(t *testing.T, who perm.User, op string, skip int) (seen map[string]int) {
		w := newWorld(t, owen, rachel)
		o, r := w.people[owen], w.people[rachel]
		o.allow(perm.Write)
		o.edit = func(c *Config) { c.Compact = 3 }
		o.restart(t)
		x := w.people[who]
		x.faults.op, x.faults.skip, x.faults.seen = op, skip, nil
		step := func(y *person) {
			err := y.exchange(context.Background(), false)
			if err == nil {
				return
			}
			if y != x || !errors.Is(err, errFault) {
				t.Fatal(err)
			}
			y.restart(t)
			if err := y.exchange(context.Background(), false); err != nil {
				t.Fatal(err)
			}
		}
		job := at(owen, "app_data/job/inbox/rachel@science.example/j")
		o.tree.write(t, at(owen, "a"), "1")
		step(o)
		step(r)
		r.tree.place(t, job, map[string]string{"run.sh": "echo", "code/x.py": "x"})
		r.tree.write(t, at(owen, "a"), "rachel's")
		o.tree.write(t, at(owen, "a"), "owen's")
		o.tree.write(t, at(owen, "b"), "2")
		step(r)
		step(o)
		step(r)
		w.clock.add(3 * time.Minute)
		step(o)
		o.tree.remove(t, at(owen, "b"))
		step(o)
		step(r)
		for range 2 {
			step(o)
			step(r)
		}
		seen = x.faults.seen
		if a, b := o.tree.of(owen), r.tree.of(owen); len(a) != 3 || a["a"] != "owen's" || fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("owen has %v, rachel has %v", a, b)
		}
		if !r.tree.kept("rachel's") {
			t.Error("rachel's version is lost")
		}
		if list, err := r.Conflicts(); err != nil || len(list) != 1 {
			t.Errorf("conflicts: %v, %v", list, err)
		}
		ids := map[wire.ID]int{}
		for _, e := range o.checks.logged {
			ids[e.ID]++
		}
		log, _ := o.peers.Home(context.Background(), wire.LogFolder, "")
		if n := len(messages(t, o.store, log)); n != len(ids) {
			t.Errorf("%d messages in the log, %d were told to the checkpoints", n, len(ids))
		}
		for _, y := range []*person{o, r} {
			st, err := y.Status(context.Background())
			if err != nil || st.Waiting+st.Log > 0 || st.Peers[0].Owed+st.Peers[0].Sending+st.Peers[0].Incoming+st.Peers[0].Proposed > 0 {
				t.Errorf("%s: %+v, %v", y.me, st, err)
			}
		}
		return seen
	}
	points := 0
	for _, who := range []perm.User{owen, rachel} {
		for op, n := range story(t, who, "", 0) {
			for skip := range min(n, 3) { // later ones are the same again
				points++
				t.Run(fmt.Sprintf("%s/%s/%d", who, op, skip), func(t *testing.T) { story(t, who, op, skip) })
			}
		}
	}
	if points < 40 {
		t.Errorf("only %d points were tried", points)
	}
}
