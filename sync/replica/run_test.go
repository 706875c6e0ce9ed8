package replica

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/remote/remotetest"
)

// TestRun: both run by themselves; a change arrives without anybody asking, and waiting for it ends.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, owen, rachel)
		o, r := w.people[owen], w.people[rachel]
		o.allow(perm.Write)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		for _, x := range []*person{o, r} {
			x.edit = func(c *Config) { c.Now = time.Now }
			x.restart(t)
			go func() { ended <- x.Run(ctx) }()
		}
		p := at(owen, "app_data/job/inbox/rachel@science.example/j")
		r.tree.place(t, p, map[string]string{"run.sh": "echo"})
		pass := func(d time.Duration) { // by the clock of the bubble
			if err := (remote.SystemClock{}).Sleep(ctx, d); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		if err := r.Wait(ctx, p); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 3*defaultPoll {
			t.Errorf("the answer came after %v", took)
		}
		o.has(t, p.Join("run.sh"), "echo")
		r.is(t, p, StateRemote)

		// Away for an hour: asked less and less often, then everything arrives.
		o.remote.Script(remotetest.Fault{})
		o.tree.write(t, at(owen, "late"), "x")
		pass(10 * time.Minute)
		before := len(o.remote.Fired())
		pass(50 * time.Minute)
		if n := len(o.remote.Fired()) - before; n > 15 {
			t.Errorf("%d requests in 50 minutes without a network", n)
		}
		o.remote.Script()
		if err := o.Wait(ctx, at(owen, "late")); err != nil {
			t.Fatal(err)
		}
		pass(2 * defaultPoll)
		r.has(t, at(owen, "late"), "x")

		cancel()
		for range 2 {
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("Run ended with %v", err)
			}
		}
		if err := o.Close(); err != nil {
			t.Fatal(err)
		}
		if err := o.Sync(context.Background()); !errors.Is(err, iofs.ErrClosed) {
			t.Errorf("Sync after Close: %v", err)
		}
		if err := o.Run(context.Background()); !errors.Is(err, iofs.ErrClosed) {
			t.Errorf("Run after Close: %v", err)
		}
		// What is not closed by now is closed while the clock of the bubble is there.
		for _, y := range w.people {
			if err := errors.Join(y.Close(), y.tree.j.Close()); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	w := newWorld(t, owen, rachel)
	o := w.people[owen]
	o.tree.write(t, at(owen, "a"), "x")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := o.Wait(ctx, at(owen, "a")); !errors.Is(err, context.Canceled) {
		t.Errorf("wait: %v", err)
	}
	if err := o.Sync(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("sync: %v", err)
	}
}

// TestFullDisk: what cannot be written now holds up nothing else, says why, and is taken later.
func TestFullDisk(t *testing.T) {
	w := newWorld(t, owen, rachel)
	o, r := w.people[owen], w.people[rachel]
	o.tree.write(t, at(owen, "large"), "x")
	o.light(t)
	o.tree.write(t, at(owen, "small"), "y")
	o.light(t)
	r.tree.apply = func(c datasite.Change) error {
		if c.Path.Base() == "large" {
			return &iofs.PathError{Op: "write", Path: c.Path.String(), Err: syscall.ENOSPC}
		}
		return nil
	}
	r.light(t)
	r.has(t, at(owen, "small"), "y")
	st, err := r.Status(context.Background())
	if err != nil || !strings.Contains(st.Peers[0].Problem, "no space left") || st.Peers[0].Incoming != 1 {
		t.Errorf("status %+v, %v", st, err)
	}
	clear(r.count)
	r.light(t)
	if r.count[remote.OpGet] != 0 {
		t.Error("it is fetched again at once")
	}
	r.tree.apply = nil
	w.clock.add(5 * time.Minute)
	r.light(t)
	r.has(t, at(owen, "large"), "x")
	if st, err = r.Status(context.Background()); err != nil || st.Peers[0].Problem != "" {
		t.Errorf("status %+v, %v", st, err)
	}
}

// TestStale: who changes the file while it is being decided on loses nothing.
func TestStale(t *testing.T) {
	w := newWorld(t, owen, rachel)
	o, r := w.people[owen], w.people[rachel]
	o.tree.write(t, at(owen, "a"), "1")
	o.light(t)
	r.light(t)
	o.tree.write(t, at(owen, "a"), "2")
	o.light(t)
	raced := false
	r.tree.apply = func(c datasite.Change) error {
		if !raced {
			raced = true
			r.tree.files[c.Path] = "rachel's"
		}
		return nil
	}
	r.light(t)
	r.has(t, at(owen, "a"), "2")
	if !r.tree.kept("rachel's") {
		t.Error("rachel's version is lost")
	}
}

// TestGoneFolder: a peer whose folder cannot be written holds up nobody.
func TestGoneFolder(t *testing.T) {
	w := newWorld(t, owen, rachel, sam)
	o, s := w.people[owen], w.people[sam]
	o.light(t)
	outbox := w.folder(t, owen, rachel, 4)
	if err := w.people[rachel].store.Revoke(context.Background(), outbox, string(owen)); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		o.tree.write(t, at(owen, "a"), fmt.Sprint(i))
		o.light(t)
		s.light(t)
		s.has(t, at(owen, "a"), fmt.Sprint(i))
	}
	st, err := o.Status(context.Background())
	if err != nil || st.Problem != "" || st.Peers[0].User != rachel || st.Peers[0].Problem == "" || st.Peers[1].Problem != "" {
		t.Errorf("status %+v, %v", st, err)
	}
	if err := w.people[rachel].store.Grant(context.Background(), outbox, remote.Grant{Who: string(owen), Role: remote.CanWrite}); err != nil {
		t.Fatal(err)
	}
	w.clock.add(5 * time.Minute)
	o.light(t)
	o.light(t)
	w.people[rachel].light(t)
	w.people[rachel].has(t, at(owen, "a"), "2")
}

// TestManyFiles: a first publication of many files takes few messages.
func TestManyFiles(t *testing.T) {
	w := newWorld(t, owen, rachel)
	o, r := w.people[owen], w.people[rachel]
	for i := range 2500 {
		o.tree.files[at(owen, fmt.Sprintf("d%d/f%d", i%50, i))] = fmt.Sprint(i)
	}
	o.tree.record(t, datasite.Change{Op: datasite.OpPlace, Path: at(owen, "d0")}) // the rest is found because the state is new
	o.light(t)
	if n := len(o.checks.logged); n != 3 {
		t.Errorf("%d messages in the log, want 3", n)
	}
	r.light(t)
	if n := len(r.tree.of(owen)); n != 2500 {
		t.Errorf("rachel has %d files", n)
	}
}

func TestFileInPlaceOfFolder(t *testing.T) {
	w := newWorld(t, owen, rachel)
	o, r := w.people[owen], w.people[rachel]
	o.allow(perm.Write)
	o.tree.write(t, at(owen, "x/deep/file"), "1")
	o.tree.write(t, at(owen, "y"), "1")
	o.light(t)
	r.light(t)
	r.tree.write(t, at(owen, "x/deep/mine"), "rachel's") // not known to owen
	r.tree.mu.Lock()
	r.tree.files[at(owen, "y2")] = "rachel's too"
	r.tree.mu.Unlock()
	o.tree.remove(t, at(owen, "x"))
	o.tree.write(t, at(owen, "x"), "now a file")
	o.tree.remove(t, at(owen, "y"))
	o.tree.write(t, at(owen, "y/z"), "now a folder")
	o.tree.write(t, at(owen, "y2/z"), "a folder")
	o.light(t)
	r.light(t)
	r.has(t, at(owen, "x"), "now a file")
	r.has(t, at(owen, "y/z"), "now a folder")
	r.has(t, at(owen, "y2/z"), "a folder")
	for _, s := range []string{"rachel's", "rachel's too"} {
		if !r.tree.kept(s) {
			t.Errorf("%q is lost", s)
		}
	}
	list, err := r.Conflicts()
	if err != nil || len(list) != 2 || slices.ContainsFunc(list, func(c Conflict) bool { return c.Copy.Parent().Rel != "" }) {
		t.Errorf("conflicts %+v, %v", list, err)
	}
}
