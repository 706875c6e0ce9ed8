package perm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/openmined/syftfs/perm"
)

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
