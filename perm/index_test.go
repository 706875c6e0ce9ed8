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

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
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

// TestReasons holds whole lists of reasons, the highest level, and where the decision comes from.
func TestReasons(t *testing.T) {
	d := newDisk()
	d.put("", pub("*.txt read bob@x.org", "w.bin write bob@x.org", "both/** read *"))
	d.put("pub", pub("** read *", "syft.pub.yaml write bob@x.org", "adm/syft.pub.yaml admin bob@x.org", "u/** create USER"))
	d.put("shut", terminal("nobody", "known read eve@x.org"))
	d.put("shut/in", pub("** read *"))
	d.put("bad", broken(perm.KindPub))
	d.put("bad/in", pub("** admin *"))
	d.put("bada", broken(perm.KindPerm))
	d.put("both", pub("** read eve@x.org"), broken(perm.KindPerm))
	d.put("a", old("** read,write bob@x.org", "nr write bob@x.org", "-no/** read *", "-nw write bob@x.org", "adm/** admin bob@x.org",
		"c/** create *", "eve read eve@x.org", "open read *"))
	d.put("a/deep", old("f write *"))
	d.put("pat", pub("[ read *"))
	d.put("twice", pub("** read *"), pub("** read *"))
	const P, A = "/alice@x.org/pub/syft.pub.yaml", "/alice@x.org/a/syftperm.yaml"

	tests := []struct {
		user  perm.User
		path  string // a trailing slash makes it a folder
		want  perm.Level
		allow bool
		level perm.Level
		by    string
		steps string // joined by "; "
	}{
		{alice, "x", perm.Admin, true, perm.Admin, "", "Owner of path"},
		{"bob@x.org", "x", perm.Read, false, 0, "/alice@x.org/syft.pub.yaml", "No matching rules found"},
		{"bob@x.org", "x.txt", perm.Read, true, perm.Read, "/alice@x.org/syft.pub.yaml:1",
			"Explicitly granted read in /alice@x.org/syft.pub.yaml; Pattern '*.txt' matched"},
		{"bob@x.org", "x.txt", perm.None, true, perm.Read, "/alice@x.org/syft.pub.yaml:1",
			"Explicitly granted read in /alice@x.org/syft.pub.yaml; Pattern '*.txt' matched"},
		{"bob@x.org", "x.txt", perm.Create, false, perm.Read, "/alice@x.org/syft.pub.yaml:1", "Pattern '*.txt' matched"},
		{"eve@x.org", "x.txt", perm.Read, false, 0, "/alice@x.org/syft.pub.yaml:1", "Pattern '*.txt' matched; User not in access list"},
		{"bob@x.org", "w.bin", perm.Create, true, perm.Write, "/alice@x.org/syft.pub.yaml:2",
			"Included via write permission in /alice@x.org/syft.pub.yaml; Pattern 'w.bin' matched"},
		{perm.Anonymous, "pub/a/b", perm.Read, true, perm.Read, P + ":1",
			"Explicitly granted read in " + P + "; Pattern '**' matched; Nearest-node: Inherited from parent directory (/alice@x.org/pub); Public access (*)"},
		{"", "pub/a", perm.Read, true, perm.Read, P + ":1", "Explicitly granted read in " + P + "; Pattern '**' matched; Public access (*)"},
		{"eve@x.org", "pub/", perm.Read, true, perm.Read, P + ":1", "Explicitly granted read in " + P + "; Pattern '**' matched; Public access (*)"},
		{"eve@x.org", "pub/a/", perm.Read, true, perm.Read, P + ":1", "Explicitly granted read in " + P + "; Pattern '**' matched; Public access (*)"},
		{"eve@x.org", "pub/u/x", perm.Read, true, perm.Create, P + ":4",
			"Included via create permission in " + P + "; Pattern 'u/**' matched; Nearest-node: Inherited from parent directory (/alice@x.org/pub)"},
		{perm.Anonymous, "pub/u/x", perm.Read, false, 0, P + ":4",
			"Pattern 'u/**' matched; Nearest-node: Inherited from parent directory (/alice@x.org/pub); User not in access list"},
		{"bob@x.org", "pub/syft.pub.yaml", perm.Write, false, perm.Read, P + ":2", "Pattern 'syft.pub.yaml' matched; Permission file: admin required"},
		{"bob@x.org", "pub/syft.pub.yaml", perm.Read, true, perm.Read, P + ":2", "Included via write permission in " + P + "; Pattern 'syft.pub.yaml' matched"},
		{"bob@x.org", "pub/adm/syft.pub.yaml", perm.Create, true, perm.Admin, P + ":3",
			"Included via admin permission in " + P + "; Pattern 'adm/syft.pub.yaml' matched; Nearest-node: Inherited from parent directory (/alice@x.org/pub); Permission file: admin required"},
		{"bob@x.org", "shut/x", perm.Read, false, 0, "/alice@x.org/shut/syft.pub.yaml", "No matching rules found; Blocked by terminal at /alice@x.org/shut"},
		{"bob@x.org", "shut/in/x", perm.Read, false, 0, "/alice@x.org/shut/syft.pub.yaml", "No matching rules found; Blocked by terminal at /alice@x.org/shut"},
		{"bob@x.org", "shut/nobody", perm.Read, false, 0, "/alice@x.org/shut/syft.pub.yaml:1",
			"Pattern 'nobody' matched; User not in access list; Blocked by terminal at /alice@x.org/shut"},
		{"bob@x.org", "shut/known", perm.Read, false, 0, "/alice@x.org/shut/syft.pub.yaml:2", "Pattern 'known' matched; User not in access list"},
		{"bob@x.org", "bad/in/x", perm.Read, false, 0, "/alice@x.org/bad/syft.pub.yaml", "Blocked by invalid permission file at /alice@x.org/bad/syft.pub.yaml; odd text"},
		{"bob@x.org", "bad/", perm.Read, false, 0, "/alice@x.org/bad/syft.pub.yaml", "Blocked by invalid permission file at /alice@x.org/bad/syft.pub.yaml; odd text"},
		{"bob@x.org", "bada/", perm.Read, false, 0, "/alice@x.org/bada/syftperm.yaml", "Blocked by invalid permission file at /alice@x.org/bada/syftperm.yaml; odd text"},
		{"bob@x.org", "pat/x", perm.Read, false, 0, "/alice@x.org/pat/syft.pub.yaml", "Blocked by invalid permission file at /alice@x.org/pat/syft.pub.yaml; pattern \"[\": the pattern is not a valid glob: check [...], {...} and \\"},
		{"bob@x.org", "twice/x", perm.Read, false, 0, "/alice@x.org/twice/syft.pub.yaml", "Blocked by invalid permission file at /alice@x.org/twice/syft.pub.yaml; two rule files of the same name"},
		{"eve@x.org", "both/x", perm.Read, true, perm.Read, "/alice@x.org/both/syft.pub.yaml:1",
			"Explicitly granted read in /alice@x.org/both/syft.pub.yaml; Pattern '**' matched"},
		{"bob@x.org", "a/f", perm.Write, true, perm.Write, A + ":1", "Explicitly granted write in " + A + "; Pattern '**' matched"},
		{"bob@x.org", "a/", perm.Read, false, 0, "/alice@x.org/syft.pub.yaml", "No matching rules found"},
		{"bob@x.org", "a/f", perm.Create, false, perm.Write, A + ":1", "Pattern '**' matched"},
		{"bob@x.org", "a/no/f", perm.Write, false, 0, A + ":1",
			"Pattern '**' matched; Nearest-node: Inherited from parent directory (/alice@x.org/a); write needs read; Disallowed in " + A + " by rule 3"},
		{"bob@x.org", "a/no/f", perm.Read, false, 0, A + ":3",
			"Pattern 'no/**' matched; Nearest-node: Inherited from parent directory (/alice@x.org/a); Disallowed in " + A + " by rule 3"},
		{"bob@x.org", "a/nw", perm.Write, false, perm.Read, A + ":4", "Pattern 'nw' matched; Disallowed in " + A + " by rule 4"},
		{"bob@x.org", "a/adm/f", perm.Read, true, perm.Admin, A + ":5",
			"Included via admin permission in " + A + "; Pattern 'adm/**' matched; Nearest-node: Inherited from parent directory (/alice@x.org/a)"},
		{"bob@x.org", "a/adm/syftperm.yaml", perm.Write, true, perm.Admin, A + ":5",
			"Included via admin permission in " + A + "; Pattern 'adm/**' matched; Nearest-node: Inherited from parent directory (/alice@x.org/a); Permission file: admin required"},
		{"bob@x.org", "a/syftperm.yaml", perm.Write, false, perm.Read, A + ":1", "Pattern '**' matched; Permission file: admin required"},
		{"eve@x.org", "a/c/f", perm.Create, false, 0, A + ":6",
			"Pattern 'c/**' matched; Nearest-node: Inherited from parent directory (/alice@x.org/a); create needs read"},
		{perm.Anonymous, "a/open", perm.Read, true, perm.Read, A + ":8", "Explicitly granted read in " + A + "; Pattern 'open' matched; Public access (*)"},
		{"dan@x.org", "a/eve", perm.Read, false, 0, A + ":1", "Pattern '**' matched; User not in access list"},
		{"dan@x.org", "a/.env", perm.Read, false, 0, A, "No matching rules found"},
		{"bob@x.org", "a/deep/f", perm.Write, true, perm.Write, "/alice@x.org/a/deep/syftperm.yaml:1",
			"Explicitly granted write in /alice@x.org/a/deep/syftperm.yaml; Pattern 'f' matched; Public access (*)"},
		{"bob@x.org", "a/deep/f", perm.Read, true, perm.Write, A + ":1",
			"Explicitly granted read in " + A + "; Pattern '**' matched; Nearest-node: Inherited from parent directory (/alice@x.org/a)"},
	}
	x := perm.NewIndex(d.load)
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s %s %s", tt.user, tt.want, tt.path), func(t *testing.T) {
			r := perm.Request{User: tt.user, Owner: alice, Path: strings.TrimSuffix(tt.path, "/"), IsDir: strings.HasSuffix(tt.path, "/"), Want: tt.want}
			got, err := x.Decide(r)
			if err != nil {
				t.Fatal(err)
			}
			if got.Allowed != tt.allow || got.Level != tt.level || got.By.String() != tt.by || got.Request != r || got.Owner != (tt.user == alice) {
				t.Errorf("allowed %v, level %v, by %q, owner %v", got.Allowed, got.Level, got.By, got.Owner)
			}
			var texts []string
			for _, s := range got.Steps {
				texts = append(texts, s.Text)
			}
			if diff := cmp.Diff(strings.Split(tt.steps, "; "), texts); diff != "" {
				t.Error(diff)
			}
			again, err := x.Decide(r)
			if diff := cmp.Diff(got, again, cmpopts.IgnoreUnexported(perm.Decision{})); diff != "" || err != nil {
				t.Errorf("the cached answer differs: %s, %v", diff, err)
			}
			if e := got.Explain(); !strings.HasSuffix(e, ".\n") && !strings.Contains(e, "\n  ") {
				t.Errorf("explanation %q", e)
			}
		})
	}
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

// TestReasonsAreNotMixedUp asks what differs in one thing only that the shared outcomes depend on.
func TestReasonsAreNotMixedUp(t *testing.T) {
	d := newDisk()
	lists := pub("** create ann@x.org")
	lists.Rules[0].Grants[perm.Write] = []string{"bob@x.org"}
	d.put("", lists)
	d.put("a", old("** write *", "-ann/** read bob@x.org", "-bob/** read bob@x.org", "-other/** write bob@x.org"))
	d.put("p", old("** read *", "bob read bob@x.org"))
	x := perm.NewIndex(d.load)
	const P = "/alice@x.org/syft.pub.yaml"
	for _, tt := range []struct {
		user  perm.User
		path  string
		want  perm.Level
		steps string
	}{
		{"bob@x.org", "syft.pub.yaml", perm.Read, "Included via write permission in " + P + "; Pattern '**' matched"},
		{"ann@x.org", "syft.pub.yaml", perm.Read, "Included via create permission in " + P + "; Pattern '**' matched"},
		{"bob@x.org", "f", perm.Read, "Included via write permission in " + P + "; Pattern '**' matched"},
		{"bob@x.org", "d/f", perm.Read, "Included via write permission in " + P + "; Pattern '**' matched; Nearest-node: Inherited from parent directory (/alice@x.org)"},
		{"bob@x.org", "a/f", perm.Write, "Pattern '**' matched; write needs read"},
		{"bob@x.org", "a/ann/f", perm.Write, "Pattern '**' matched; Nearest-node: Inherited from parent directory (/alice@x.org/a); write needs read; Disallowed in /alice@x.org/a/syftperm.yaml by rule 2"},
		{"bob@x.org", "a/bob/f", perm.Write, "Pattern '**' matched; Nearest-node: Inherited from parent directory (/alice@x.org/a); write needs read; Disallowed in /alice@x.org/a/syftperm.yaml by rule 3"},
		{"bob@x.org", "p/f", perm.Read, "Explicitly granted read in /alice@x.org/p/syftperm.yaml; Pattern '**' matched; Public access (*)"},
		{"bob@x.org", "p/bob", perm.Read, "Explicitly granted read in /alice@x.org/p/syftperm.yaml; Pattern 'bob' matched"},
	} {
		got, err := x.Decide(perm.Request{User: tt.user, Owner: alice, Path: tt.path, Want: tt.want})
		var texts []string
		for _, s := range got.Steps {
			texts = append(texts, s.Text)
		}
		if diff := cmp.Diff(tt.steps, strings.Join(texts, "; ")); diff != "" || err != nil {
			t.Errorf("%s %v %s: %v\n%s", tt.user, tt.want, tt.path, err, diff)
		}
	}
}
