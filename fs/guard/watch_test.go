package guard

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openmined/syftfs/fs/backing"
	"github.com/openmined/syftfs/fs/datasite"
	"golang.org/x/sys/unix"
)

// watch starts Watch on a tree that was compared before, and gives when it is ready.
func (w *world) watch() {
	w.t.Helper()
	if _, err := w.g.Reconcile(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.mem.take()
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- w.g.Watch(ctx, WatchOptions{Ready: func() { close(ready) }, Problem: func(err error) { w.t.Error(err) }})
	}()
	<-ready
	w.t.Cleanup(func() {
		cancel()
		must(w.t, <-done)
	})
}

// settled waits until what is known is what is there, and gives what was recorded by then.
func (w *world) settled(want ...string) {
	w.t.Helper()
	var got []string
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(20 * time.Second); ; {
		got = append(got, w.mem.take()...)
		slices.Sort(got)
		have := slices.Compact(slices.Clone(got)) // slow writers are recorded more than once
		if slices.Equal(have, want) {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			w.t.Fatalf("recorded %q, want %q", got, want)
		}
	}
}

func TestWatch(t *testing.T) {
	site := func(w *world, rel string) string { return filepath.Join(w.dir, string(owner), rel) }
	for _, c := range []struct {
		name string
		do   func(w *world) error
		want []string
	}{
		{"a new file", func(w *world) error { return os.WriteFile(site(w, "shared/n"), []byte("new"), 0o644) }, []string{"write shared/n"}},
		{"a change in place", func(w *world) error { return os.WriteFile(site(w, "shared/f"), []byte("HELLO"), 0o644) }, []string{"write shared/f"}},
		{"a file removed", func(w *world) error { return os.Remove(site(w, "shared/f")) }, []string{"remove shared/f"}},
		{"a rename", func(w *world) error { return os.Rename(site(w, "shared/f"), site(w, "shared/h")) }, []string{"remove shared/f", "write shared/h"}},
		{"an editor's save", func(w *world) error {
			return errors.Join(os.WriteFile(site(w, "shared/.f.swp"), []byte("edited"), 0o644), os.Rename(site(w, "shared/.f.swp"), site(w, "shared/f")))
		}, []string{"write shared/f"}},
		{"an editor's save with a backup", func(w *world) error {
			return errors.Join(os.Rename(site(w, "shared/f"), site(w, "shared/f~")), os.WriteFile(site(w, "shared/f"), []byte("edited"), 0o644))
		}, []string{"write shared/f", "write shared/f~"}},
		{"folders with files at once", func(w *world) error {
			return errors.Join(os.MkdirAll(site(w, "new/a/b/c"), 0o755), os.WriteFile(site(w, "new/f"), nil, 0o644),
				os.WriteFile(site(w, "new/a/b/c/f"), nil, 0o644))
		}, []string{"write new/a/b/c/f", "write new/f"}},
		{"a folder that goes", func(w *world) error { return os.RemoveAll(site(w, "shared/full")) },
			[]string{"remove shared/full/x", "remove shared/full/y/z"}},
		{"a folder that moves", func(w *world) error {
			return errors.Join(os.Rename(site(w, "shared/full"), site(w, "moved")), os.WriteFile(site(w, "moved/y/n"), nil, 0o644))
		}, []string{"remove shared/full/x", "remove shared/full/y/z", "write moved/x", "write moved/y/n", "write moved/y/z"}},
		{"a folder that moves away", func(w *world) error { return os.Rename(site(w, "shared/full"), filepath.Join(t.TempDir(), "x")) },
			[]string{"remove shared/full/x", "remove shared/full/y/z"}},
		{"a replica", func(w *world) error {
			return os.WriteFile(filepath.Join(w.dir, string(peer), "public/data"), []byte("again"), 0o644)
		}, []string{"write public/data"}},
		{"a new replica", func(w *world) error {
			must(w.t, os.MkdirAll(filepath.Join(w.dir, "new@y.org/public"), 0o755))
			return os.WriteFile(filepath.Join(w.dir, "new@y.org/public/f"), nil, 0o644)
		}, []string{"write public/f"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, backing.WithClock(later))
			w.watch()
			must(t, c.do(w))
			w.settled(c.want...)
			for _, ch := range w.mem.changes {
				if ch.Origin != datasite.OriginRecovery {
					t.Errorf("recorded as %+v", ch)
				}
			}
			for _, p := range c.want {
				_, rel, _ := strings.Cut(p, " ")
				if told := w.kernels[owner].all(); !slices.Contains(told, rel) {
					t.Errorf("the owner's kernel was told %q, not %s", told, rel)
				}
			}
			if got := reconcile(t, w); len(got) != 0 {
				t.Errorf("not recorded: %q", got)
			}
		})
	}
}

func (k *kernel) all() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.told)
}

// What this program does is not recorded twice. Something by another comes last, so that it is known when all was noticed.
func TestWatchLeavesOurOwnChangesAlone(t *testing.T) {
	w := newWorld(t)
	w.watch()
	ctx, o := t.Context(), w.views[owner]
	f := w.open(owner, "shared/f", wr)
	for range 3 {
		_, err := f.WriteAt([]byte("mine!"), 0)
		must(t, err)
	}
	for _, do := range []try{
		open("shared/n", wr|creat), truncate("shared/g", 1), rename("shared/n", "shared/n2", 0), rename("shared/full", "shared/moved", 0),
		mkdir("shared/made"), rmdir("shared/made"), write("shared/w/w", "w"), place("shared/placed", "a", "b/c"),
		func(ctx context.Context, v *View) error { return v.RemoveAll(ctx, at("deep")) },
	} {
		must(t, do(ctx, o))
	}
	must(t, w.apply(writer, at("shared/w/w"), "w", "theirs"))
	ours := w.mem.take()
	if len(ours) < 9 {
		t.Errorf("recorded %q", ours)
	}
	must(t, os.WriteFile(filepath.Join(w.dir, string(owner), "secret/end"), nil, 0o644))
	w.settled("write secret/end")
	must(t, f.Close())
	if got := w.mem.take(); !slices.Equal(got, []string{"write shared/f"}) {
		t.Errorf("the close recorded %q", got)
	}
	must(t, os.WriteFile(filepath.Join(w.dir, string(owner), "secret/end2"), nil, 0o644))
	w.settled("write secret/end2")
}

// What another program does to a file that one of ours has open is found when that closes it.
func TestWatchComparesAtTheLastClose(t *testing.T) {
	w := newWorld(t, backing.WithClock(later))
	w.watch()
	f := w.open(owner, "shared/f", wr)
	must(t, os.WriteFile(filepath.Join(w.dir, string(owner), "shared/f"), []byte("HELLO"), 0o644))
	must(t, os.WriteFile(filepath.Join(w.dir, string(owner), "secret/end"), nil, 0o644))
	w.settled("write secret/end")
	must(t, f.Close())
	w.settled("write shared/f")
}

// A rule file is in force before it is recorded, also one that goes with its folder.
func TestWatchedRulesAreInForce(t *testing.T) {
	w := newWorld(t, backing.WithClock(later))
	w.watch()
	site := filepath.Join(w.dir, string(owner))
	may := func(want bool) {
		t.Helper()
		f := w.views[reader]
		for end := time.After(20 * time.Second); ; {
			h, err := f.Open(t.Context(), at("shared/f"), unix.O_RDONLY, 0)
			if err == nil {
				must(t, h.Close())
			}
			if (err == nil) == want {
				return
			}
			select {
			case <-end:
				t.Fatalf("open: %v, want %t", err, want)
			default:
			}
		}
	}
	may(true)
	must(t, os.WriteFile(filepath.Join(site, "shared/syft.pub.yaml"), []byte("rules:\n- {pattern: f, access: {}}\n"), 0o644))
	may(false)
	must(t, os.Remove(filepath.Join(site, "shared/syft.pub.yaml")))
	may(true)
	must(t, os.MkdirAll(filepath.Join(site, "aside"), 0o755))
	must(t, os.WriteFile(filepath.Join(site, "aside/syft.pub.yaml"), []byte("rules:\n- {pattern: f, access: {}}\n"), 0o644))
	must(t, os.WriteFile(filepath.Join(site, "aside/f"), nil, 0o644))
	must(t, os.Rename(filepath.Join(site, "shared"), filepath.Join(site, "old")))
	must(t, os.Rename(filepath.Join(site, "aside"), filepath.Join(site, "shared")))
	may(false)
}
