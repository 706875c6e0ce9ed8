package perm_test

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openmined/syftfs/perm"
)

const alice = perm.User("alice@x.org")

// disk is a set of rule files of alice, by folder.
type disk struct {
	mu    sync.Mutex
	dirs  map[string][]perm.Ruleset
	err   error
	loads int
}

func (d *disk) load(owner perm.User, dir string) ([]perm.Ruleset, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.loads++
	if d.err != nil || owner != alice {
		return nil, d.err
	}
	return d.dirs[dir], nil
}

func (d *disk) put(dir string, sets ...perm.Ruleset) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dirs[dir] = sets
}

func newDisk() *disk { return &disk{dirs: map[string][]perm.Ruleset{}} }

// pub makes a syft.pub.yaml with one rule per line, "pattern level user,user".
func pub(rules ...string) perm.Ruleset {
	rs := perm.Ruleset{Kind: perm.KindPub}
	for i, s := range rules {
		f := strings.Fields(s)
		r := perm.Rule{Pattern: f[0], Grants: map[perm.Level][]string{}, From: perm.Source{Line: i + 1}}
		if len(f) == 3 {
			level, err := perm.ParseLevel(f[1])
			if err != nil {
				panic(err)
			}
			r.Grants[level] = strings.Split(f[2], ",")
		}
		rs.Rules = append(rs.Rules, r)
	}
	return rs
}

func terminal(rules ...string) perm.Ruleset {
	rs := pub(rules...)
	rs.Terminal = true
	return rs
}

// old makes a syftperm.yaml with one rule per line, "path level,level user", a minus in front of the path to disallow.
func old(rules ...string) perm.Ruleset {
	rs := perm.Ruleset{Kind: perm.KindPerm}
	for i, s := range rules {
		f := strings.Fields(s)
		pattern, deny := strings.CutPrefix(f[0], "-")
		r := perm.Rule{Pattern: pattern, Deny: deny, Grants: map[perm.Level][]string{}, From: perm.Source{Line: i + 1}}
		for w := range strings.SplitSeq(f[1], ",") {
			level, err := perm.ParseLevel(w)
			if err != nil {
				panic(err)
			}
			r.Grants[level] = []string{f[2]}
		}
		rs.Rules = append(rs.Rules, r)
	}
	return rs
}

func broken(kind perm.Kind) perm.Ruleset {
	return perm.Ruleset{Kind: kind, Broken: errors.New("odd text")}
}

func TestMixedKinds(t *testing.T) {
	d := newDisk()
	d.put("", old("** read carol@x.org"))
	d.put("m", pub("** read bob@x.org"))
	d.put("m/leaf", old("** read dan@x.org"))
	d.put("m/leaf/low", old("** write dan@x.org"))
	d.put("t", terminal("** read bob@x.org"))
	d.put("t/leaf", old("** read carol@x.org"))
	x := perm.NewIndex(d.load)
	for _, tt := range []struct {
		user perm.User
		path string
		want perm.Level
	}{
		{"carol@x.org", "f", perm.Read}, {"carol@x.org", "n/f", perm.Read}, {"carol@x.org", "m/f", 0}, {"carol@x.org", "m/leaf/f", 0},
		{"bob@x.org", "m/f", perm.Read}, {"bob@x.org", "m/leaf/f", 0}, {"dan@x.org", "m/leaf/f", perm.Read}, {"dan@x.org", "m/f", 0},
		{"dan@x.org", "m/leaf/low/f", perm.Write}, {"carol@x.org", "t/leaf/f", 0}, {"bob@x.org", "t/leaf/f", perm.Read},
	} {
		got, err := x.Decide(perm.Request{User: tt.user, Owner: alice, Path: tt.path, Want: perm.Read})
		if err != nil || got.Level != tt.want || got.Allowed != (tt.want != 0) {
			t.Errorf("%s %s: %v, %v, want %v", tt.user, tt.path, got.Level, err, tt.want)
		}
	}
}

func TestOwner(t *testing.T) {
	d := newDisk()
	d.put("", broken(perm.KindPub))
	x := perm.NewIndex(d.load)
	for _, tt := range []struct {
		user, owner perm.User
		allow       bool
	}{
		{alice, alice, true}, {"alice@x.org.evil.org", alice, false}, {alice, "alice@x.org.evil.org", false}, {"", "", false},
		{perm.Anonymous, perm.Anonymous, false}, {"", alice, false}, {"Alice@x.org", alice, false},
	} {
		got, err := x.Decide(perm.Request{User: tt.user, Owner: tt.owner, Path: "f", Want: perm.Admin})
		if err != nil || got.Allowed != tt.allow || got.Owner != tt.allow {
			t.Errorf("%q in %q: %v, %v", tt.user, tt.owner, got.Allowed, err)
		}
	}
	if n := d.loads; n == 0 {
		t.Error("nothing was loaded")
	}
}

func TestUncleanRequests(t *testing.T) {
	d := newDisk()
	d.put("", pub("** admin *"))
	x := perm.NewIndex(d.load)
	for _, p := range []string{"/", "/a", "a/", "a//b", ".", "..", "a/.", "a/../b", "./a", "../eve@x.org/a", "a\x00b"} {
		for _, u := range []perm.User{alice, "bob@x.org"} {
			for range 2 {
				got, err := x.Decide(perm.Request{User: u, Owner: alice, Path: p, Want: perm.Read})
				if !errors.Is(err, iofs.ErrInvalid) || got.Allowed {
					t.Errorf("%s %q: %v, %v", u, p, got.Allowed, err)
				}
			}
		}
	}
	if got, err := x.Decide(perm.Request{User: "bob@x.org", Owner: alice, Path: "a", Want: perm.Admin + 1}); err == nil || got.Allowed {
		t.Errorf("a level that does not exist: %v, %v", got.Allowed, err)
	}
}

func TestChanges(t *testing.T) {
	d := newDisk()
	x := perm.NewIndex(d.load)
	level := func(path string) perm.Level {
		t.Helper()
		got, err := x.Decide(perm.Request{User: "bob@x.org", Owner: alice, Path: path, Want: perm.Read})
		if err != nil {
			t.Fatal(err)
		}
		return got.Level
	}
	last := x.Epoch(alice)
	expect := func(what string, want ...perm.Level) {
		t.Helper()
		if e := x.Epoch(alice); e <= last {
			t.Errorf("%s: the epoch did not move", what)
		} else {
			last = e
		}
		for range 2 {
			if got := []perm.Level{level("f"), level("d/f"), level("d/e/f")}; !slices.Equal(got, want) {
				t.Errorf("%s: levels %v, want %v", what, got, want)
			}
		}
		if x.Epoch(alice) != last {
			t.Errorf("%s: the epoch moved without a change", what)
		}
	}
	change := func(dir string, sets ...perm.Ruleset) {
		d.put(dir, sets...)
		x.Forget(alice, dir)
	}
	x.Turn(alice)
	expect("no file", 0, 0, 0)
	change("", pub("** read bob@x.org"))
	expect("top file", perm.Read, perm.Read, perm.Read)
	change("d/e", pub("** write bob@x.org"))
	expect("deep file", perm.Read, perm.Read, perm.Write)
	change("d", terminal("**"))
	expect("terminal above", perm.Read, 0, 0)
	change("d", broken(perm.KindPub))
	expect("broken above", perm.Read, 0, 0)
	change("d")
	expect("removed", perm.Read, perm.Read, perm.Write)
	d.put("d/e")
	d.put("d", pub("** admin bob@x.org"))
	x.Turn(alice)
	expect("not told", perm.Read, perm.Read, perm.Write)
	x.ForgetAll(alice)
	expect("told", perm.Read, perm.Admin, perm.Admin)

	before := x.Epoch(alice)
	x.Forget("eve@x.org", "")
	if x.Epoch(alice) != before || x.Epoch("eve@x.org") == before {
		t.Error("an epoch is shared between datasites")
	}
}

func TestLoadErrorsFailClosed(t *testing.T) {
	d := newDisk()
	d.put("", pub("** read *"))
	d.err = iofs.ErrPermission
	x := perm.NewIndex(d.load)
	r := perm.Request{User: "bob@x.org", Owner: alice, Path: "d/f", Want: perm.Read}
	for range 2 {
		got, err := x.Decide(r)
		if !errors.Is(err, iofs.ErrPermission) || got.Allowed || got.Level != 0 || got.Request != r {
			t.Fatalf("%v, %v", got, err)
		}
	}
	d.err = nil
	if got, err := x.Decide(r); err != nil || !got.Allowed {
		t.Errorf("the error is remembered: %v, %v", got.Allowed, err)
	}
	loads := d.loads
	d.err = iofs.ErrPermission
	r.Path = "d/g"
	if got, err := x.Decide(r); err != nil || !got.Allowed || d.loads != loads {
		t.Errorf("loaded again: %v", err)
	}
}

func TestDateTemplatesExpire(t *testing.T) {
	d := newDisk()
	d.put("", pub("{{.Year}}-{{.Month}}-{{.Date}}/** read *"))
	x := perm.NewIndex(d.load)
	east := time.FixedZone("east", 3*60*60)
	for _, tt := range []struct {
		now   string
		path  string
		allow bool
	}{
		{"2024-12-31T23:59:59Z", "2024-12-31/f", true}, {"2025-01-01T00:00:00Z", "2024-12-31/f", false}, {"2025-01-01T00:00:00Z", "2025-01-01/f", true},
		{"2024-12-31T23:59:59Z", "2024-12-31/f", true}, {"1969-12-31T23:59:59Z", "1969-12-31/f", true}, {"1970-01-01T00:00:00Z", "1969-12-31/f", false},
	} {
		now, err := time.Parse(time.RFC3339, tt.now)
		if err != nil {
			t.Fatal(err)
		}
		for _, now := range []time.Time{now, now.In(east), now} {
			got, err := x.Decide(perm.Request{User: "bob@x.org", Owner: alice, Path: tt.path, Want: perm.Read, Now: now})
			if err != nil || got.Allowed != tt.allow {
				t.Errorf("%s %s: %v, %v", now, tt.path, got.Allowed, err)
			}
		}
	}
	today := time.Now().UTC().Format("2006-01-02")
	if got, err := x.Decide(perm.Request{User: "bob@x.org", Owner: alice, Path: today + "/f", Want: perm.Read}); err != nil || !got.Allowed {
		if today == time.Now().UTC().Format("2006-01-02") {
			t.Errorf("the present is not used: %v", err)
		}
	}
}

func TestLimits(t *testing.T) {
	d := newDisk()
	rs := pub("free/** write bob@x.org", "** write bob@x.org")
	rs.Rules[0].Limits = perm.Limits{AllowSymlinks: true}
	rs.Rules[1].Limits = perm.Limits{MaxFileSize: 10, NoDirs: true}
	d.put("", rs)
	x := perm.NewIndex(d.load)
	for _, tt := range []struct {
		user  perm.User
		path  string
		want  perm.Level
		file  perm.File
		steps string
	}{
		{"bob@x.org", "f", perm.Write, perm.File{Size: 10}, ""},
		{"bob@x.org", "f", perm.Write, perm.File{Size: 11}, "Blocked by max_file_size limit"},
		{"bob@x.org", "f", perm.Create, perm.File{Size: 11, Dir: true}, "Blocked by max_file_size limit; Blocked by allow_dirs limit"},
		{"bob@x.org", "f", perm.Create, perm.File{Symlink: true}, "Blocked by allow_symlinks limit"},
		{"bob@x.org", "f", perm.Read, perm.File{Size: 11, Dir: true, Symlink: true}, ""},
		{"bob@x.org", "free/f", perm.Create, perm.File{Size: 1 << 40, Dir: true, Symlink: true}, ""},
		{alice, "f", perm.Write, perm.File{Size: 11, Dir: true, Symlink: true}, ""},
	} {
		whole, err := x.Decide(perm.Request{User: tt.user, Owner: alice, Path: tt.path, Want: tt.want})
		if err != nil || !whole.Allowed {
			t.Fatalf("%s %s: %v", tt.user, tt.path, err)
		}
		got := whole.Limit(tt.file)
		var added []string
		for _, s := range got.Steps[len(whole.Steps):] {
			added = append(added, s.Text)
		}
		if got.Allowed != (tt.steps == "") || strings.Join(added, "; ") != tt.steps {
			t.Errorf("%s %v %+v: %v %q", tt.path, tt.want, tt.file, got.Allowed, added)
		}
		if again, _ := x.Decide(whole.Request); !again.Allowed || len(again.Steps) != len(whole.Steps) {
			t.Errorf("%s: the outcome of a limit is remembered", tt.path)
		}
	}
	denied, err := x.Decide(perm.Request{User: "eve@x.org", Owner: alice, Path: "f", Want: perm.Write})
	if got := denied.Limit(perm.File{Size: 99}); err != nil || got.Allowed || len(got.Steps) != len(denied.Steps) {
		t.Error("a limit was looked at after a refusal")
	}
}

// TestConcurrent lets rules change while others ask; an answer may be that of before or after, never one that was true
// neither before nor after, and once Forget has returned never that of before.
func TestConcurrent(t *testing.T) {
	d := newDisk()
	x := perm.NewIndex(d.load)
	var floor atomic.Int64 // the rules are at least this recent
	name := func(n int64) string { return fmt.Sprintf("u%d@x.org", n) }
	put := func(n int64) {
		d.put("d", pub("** read "+name(n), "** read nobody@x.org"))
		x.Forget(alice, "d")
		floor.Store(n)
	}
	put(1)
	const rounds = 300
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for floor.Load() < rounds {
				low := floor.Load()
				got, err := x.Decide(perm.Request{User: perm.User(name(low)), Owner: alice, Path: "d/f", Want: perm.Read})
				if err != nil {
					t.Error(err)
					return
				}
				if !got.Allowed && floor.Load() == low {
					// The next rules may be in already, though not announced; then those must be what refuses.
					if next, _ := x.Decide(perm.Request{User: perm.User(name(low + 1)), Owner: alice, Path: "d/f", Want: perm.Read}); !next.Allowed && floor.Load() <= low+1 {
						t.Errorf("neither %d nor %d holds", low, low+1)
						return
					}
				}
			}
		})
	}
	for n := int64(2); n <= rounds; n++ {
		put(n)
		got, err := x.Decide(perm.Request{User: perm.User(name(n - 1)), Owner: alice, Path: "d/f", Want: perm.Read})
		if err != nil || got.Allowed {
			t.Errorf("round %d: an old rule still grants", n)
		}
	}
	readers.Wait()
}

// TestManyDatasites goes beyond what is remembered.
func TestManyDatasites(t *testing.T) {
	x := perm.NewIndex(func(owner perm.User, dir string) ([]perm.Ruleset, error) {
		return []perm.Ruleset{pub("** read bob@x.org")}, nil
	})
	seen := map[uint64]bool{}
	for n := range 3000 {
		owner := perm.User(fmt.Sprintf("o%d@x.org", n))
		if got, err := x.Decide(perm.Request{User: "bob@x.org", Owner: owner, Path: "f", Want: perm.Read}); err != nil || !got.Allowed {
			t.Fatal(owner, err)
		}
		e := x.Epoch(owner)
		if seen[e] {
			t.Fatalf("epoch %d twice", e)
		}
		seen[e] = true
	}
}
