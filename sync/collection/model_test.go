package collection

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/remote/remotetest"
	"github.com/openmined/syftfs/sync/wire"
	"pgregory.net/rapid"
)

var errFault = errors.New("fault")

// settle lets both sites work, and restarts them as if they had crashed whenever that fails, until nothing is left to do.
func settle(t testing.TB, sites ...*site) {
	t.Helper()
	const most = 60
	for range most {
		quiet := true
		for _, s := range sites {
			if err := errors.Join(s.feed(), s.c.Sync(ctx)); err != nil {
				quiet = false
				s.restart()
			}
			marks, err := s.c.store.marks()
			must(t, err)
			quiet = quiet && len(marks) == 0
		}
		if quiet {
			return
		}
	}
	t.Fatal("it never comes to an end")
}

// agreed checks that both sides have what they must: own is the datasets of o, by name and value.
func agreed(t testing.TB, o, r *site, own map[string]string, backups map[string]string) {
	t.Helper()
	want := map[string]folder{}
	for name, value := range own {
		f := public(name, value, false)
		users := o.rules.list("public/syft_datasets/" + name)
		for _, u := range users {
			if u == Everyone {
				f.Any = true
				for _, p := range o.book.list {
					f.Grants = append(f.Grants, string(p.Address))
				}
			} else {
				f.Grants = append(f.Grants, string(u))
			}
		}
		slices.Sort(f.Grants)
		f.Grants = slices.Compact(f.Grants)
		want[f.Name] = f
	}
	for name, value := range backups {
		f := backup(name, value)
		want[f.Name] = f
	}
	got := map[string]folder{}
	for _, f := range o.folders() {
		f.id = ""
		if _, twice := got[f.Name]; twice {
			t.Errorf("%s is there twice", f.Name)
		}
		got[f.Name] = f
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(folder{}), cmp.Transformer("sorted", func(s []string) []string { return append([]string{}, s...) })); d != "" {
		t.Error(d)
	}
	if r == nil {
		return
	}
	for name, value := range own {
		f := want[public(name, value, false).Name]
		if !slices.Contains(f.Grants, string(r.me)) {
			continue
		}
		if d := cmp.Diff(sent(name, value), r.tree.below(o.me, "public/syft_datasets/"+name)); d != "" {
			t.Errorf("at %s: %s", r.me, d)
		}
	}
}

// story is what happens in the crash test, step by step.
var story = []func(o, r *site){
	func(o, r *site) {
		must(o.t, o.c.Backup(ctx, "a", true))
		o.tree.put(owen, study("a", "1"))
		must(o.t, o.rules.Restrict(ctx, o.c.mock("a"), []perm.User{rachel}))
		must(o.t, o.c.Sweep(ctx))
	},
	func(o, r *site) { o.write(study("a", "2")) },
	func(o, r *site) { o.permit("a", Everyone, nina) },
	func(o, r *site) {
		must(o.t, o.acct.Grant(ctx, o.folders()[0].id, remote.Grant{Who: "bob@x.example", Role: remote.CanRead}))
	},
	func(o, r *site) { o.write(study("a", "3")); o.permit("a", rachel) },
	func(o, r *site) { o.erase("public/syft_datasets/a"); must(o.t, o.c.Delete(ctx, "a", true)) },
}

// TestCrashes lets each step of the story crash at each of its points in turn, at one site or the other.
func TestCrashes(t *testing.T) {
	values := []string{"1", "2", "2", "2", "3", ""}
	for n := range story {
		for _, who := range []perm.User{owen, rachel} {
			t.Run(fmt.Sprint(n, " ", who), func(t *testing.T) {
				t.Parallel()
				points := 0
				for crashOnce(t, n, who, points, values[n]) {
					points++
				}
				if t.Logf("%d points", points); points < 2 {
					t.Error("hardly anything crashed")
				}
			})
		}
	}
}

// crashOnce plays the story to its step n, and lets who crash at the point number at of it; false if there is none.
func crashOnce(t *testing.T, n int, who perm.User, at int, value string) bool {
	_, o, r := pair(t)
	for _, step := range story[:n] {
		step(o, r)
		settle(t, o, r)
	}
	story[n](o, r)
	left, crashed := at, ""
	f := fault(func(op string) error {
		if left--; left == -1 {
			crashed = op
			return errFault
		}
		return nil
	})
	if o.fault = f; who == rachel {
		o.fault, r.fault = nil, f
	}
	settle(t, o, r)
	last := n == len(story)-1
	own, backups := map[string]string{"a": value}, map[string]string{"a": value}
	if last {
		own, backups = nil, nil
	}
	agreed(t, o, r, own, backups)
	if d := r.tree.below(owen, "public/syft_datasets/a"); last && !cmp.Equal(d, sent("a", "3")) {
		t.Errorf("what was delivered did not stay: %v", d)
	}
	if t.Failed() {
		t.Fatalf("after a crash at %q", crashed)
	}
	return crashed != ""
}

// TestRestoreCrashes lets the restore on a new machine crash at each of its points in turn.
func TestRestoreCrashes(t *testing.T) {
	t.Parallel()
	for at := 0; ; at++ {
		w := drive()
		o := newSite(t, w, owen, rachel)
		must(t, o.c.Backup(ctx, "a", true))
		o.write(study("a", "1"))
		o.permit("a", rachel)
		settle(t, o)
		n := newSite(t, w, owen, rachel)
		n.book.top = o.book.top
		left, crashed := at, ""
		n.fault = func(op string) error {
			if left--; left == -1 {
				crashed = op
				return errFault
			}
			return nil
		}
		settle(t, n)
		agreed(t, n, nil, map[string]string{"a": "1"}, map[string]string{"a": "1"})
		want := kept("a", "1")
		want["private_metadata.yaml"] = "uid: 1\ndata_dir: /here/old\n"
		if d := cmp.Diff(want, n.tree.below(owen, "private/syft_datasets/a")); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff(sent("a", "1"), n.tree.below(owen, "public/syft_datasets/a")); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]perm.User{rachel}, n.rules.list("public/syft_datasets/a")); d != "" {
			t.Error(d)
		}
		if t.Failed() {
			t.Fatalf("after a crash at %s", crashed)
		}
		if crashed == "" {
			break
		}
	}
}

// TestModel does random things to both sides, with a store that fails and lies and programs that crash, and expects them to agree in the
// end.
func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := drive()
		o, r := newSite(t, w, owen, rachel, nina), newSite(t, w, rachel, owen)
		seed := rapid.Uint64().Draw(rt, "seed")
		faults := []remotetest.Fault{
			{Chance: 0.05, Stage: remotetest.After}, {Chance: 0.05, Stage: remotetest.Halfway}, {Chance: 0.05, Kind: remote.Throttled},
		}
		var faulty []*remotetest.Faulty
		for i, s := range []*site{o, r} {
			f := remotetest.NewFaulty(s.acct, seed+uint64(i), faults...)
			faulty = append(faulty, f)
			s.rem = f
			s.restart()
		}
		own, backups := map[string]string{}, map[string]string{}
		names := rapid.SampledFrom([]string{"a", "b_1", "c d"})
		users := rapid.SampledFrom([]perm.User{rachel, nina, Everyone, "bob@x.example"})
		present := func() string {
			if len(own) == 0 {
				return ""
			}
			return rapid.SampledFrom(slices.Sorted(maps.Keys(own))).Draw(rt, "which")
		}
		crash := func(s *site) {
			left := rapid.IntRange(0, 20).Draw(rt, "crash")
			s.fault = func(string) error {
				if left--; left == -1 {
					return errFault
				}
				return nil
			}
			err := s.feed()
			if err == nil {
				err = s.c.Sync(ctx)
			}
			if s.fault = nil; err != nil {
				s.restart()
			}
		}
		value := 0
		rt.Repeat(map[string]func(*rapid.T){
			"write": func(*rapid.T) {
				name := names.Draw(rt, "name")
				value++
				own[name] = fmt.Sprint(value)
				if _, ok := backups[name]; ok {
					backups[name] = own[name]
				}
				o.write(study(name, own[name]))
			},
			"permit": func(*rapid.T) {
				if name := present(); name != "" {
					o.permit(name, rapid.SliceOfDistinct(users, rapid.ID).Draw(rt, "users")...)
				}
			},
			"grant on Drive": func(*rapid.T) {
				for _, f := range o.folders() {
					n, err := wire.ParseFolder(f.Name)
					must(t, err)
					if u := users.Draw(rt, "user"); u != Everyone && n.Kind == wire.CollectionFolder {
						must(t, o.acct.Grant(ctx, f.id, remote.Grant{Who: string(u), Role: remote.CanRead}))
					}
				}
			},
			"backup": func(*rapid.T) {
				if name := present(); name != "" {
					_, had := backups[name]
					must(t, o.c.Backup(ctx, name, !had))
					if backups[name] = own[name]; had {
						delete(backups, name)
					}
				}
			},
			"delete": func(*rapid.T) {
				if name := present(); name != "" {
					must(t, o.c.Delete(ctx, name, true))
					o.erase("public/syft_datasets/" + name)
					o.erase("private/syft_datasets/" + name)
					delete(own, name)
					delete(backups, name)
				}
			},
			"owner":       func(*rapid.T) { crash(o) },
			"scientist":   func(*rapid.T) { crash(r) },
			"owner looks": func(*rapid.T) { must(t, o.c.Sweep(ctx)) },
			"scientist looks": func(*rapid.T) {
				must(t, r.c.Sweep(ctx))
			},
		})
		for _, f := range faulty {
			f.Script()
		}
		settle(t, o, r)
		must(t, errors.Join(o.c.Sweep(ctx), r.c.Sweep(ctx)))
		settle(t, o, r)
		agreed(t, o, r, own, backups)
		if t.Failed() {
			rt.Fatalf("see above")
		}
	})
}
