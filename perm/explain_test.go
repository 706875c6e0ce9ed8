package perm_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/perm"
)

func TestExplain(t *testing.T) {
	d := newDisk()
	rs := pub("*.csv read bob@x.org", "up/* write bob@x.org")
	rs.Rules[1].Limits.MaxFileSize = 1
	for i := range rs.Rules {
		rs.Rules[i].From.File = "/alice@x.org/syft.pub.yaml"
	}
	d.put("", rs)
	d.put("bad", broken(perm.KindPub))
	d.put("old", old("** write bob@x.org"))
	x := perm.NewIndex(d.load)
	for _, tt := range []struct {
		user, owner perm.User
		path        string
		want        perm.Level
		text        string
	}{
		{alice, alice, "f", perm.Write, "alice@x.org may write /alice@x.org/f.\n  Owner of path\n"},
		{"bob@x.org", alice, "a.csv", perm.Read, `bob@x.org may read /alice@x.org/a.csv.
  Explicitly granted read in /alice@x.org/syft.pub.yaml [/alice@x.org/syft.pub.yaml:1]
  Pattern '*.csv' matched [/alice@x.org/syft.pub.yaml:1]
  The highest level held here is read.
`},
		{"bob@x.org", alice, "a.csv", perm.Write, `bob@x.org may not write /alice@x.org/a.csv.
  Pattern '*.csv' matched [/alice@x.org/syft.pub.yaml:1]
  The highest level held here is read.
  It would take bob@x.org in the write list of the pattern '*.csv' in /alice@x.org/syft.pub.yaml.
`},
		{perm.Anonymous, alice, "a.csv", perm.Read, `anonymous may not read /alice@x.org/a.csv.
  Pattern '*.csv' matched [/alice@x.org/syft.pub.yaml:1]
  User not in access list [/alice@x.org/syft.pub.yaml:1]
  It would take "*" in the read list of the pattern '*.csv' in /alice@x.org/syft.pub.yaml.
`},
		{"bob@x.org", alice, "syft.pub.yaml", perm.Write, `bob@x.org may not write /alice@x.org/syft.pub.yaml.
  No matching rules found
  Permission file: admin required
  It would take a rule in /alice@x.org/syft.pub.yaml that matches this path and gives bob@x.org admin.
`},
		{"bob@x.org", alice, "up/f", perm.Create, `bob@x.org may not create /alice@x.org/up/f.
  Included via write permission in /alice@x.org/syft.pub.yaml [/alice@x.org/syft.pub.yaml:2]
  Pattern 'up/*' matched [/alice@x.org/syft.pub.yaml:2]
  Nearest-node: Inherited from parent directory (/alice@x.org)
  Blocked by max_file_size limit [/alice@x.org/syft.pub.yaml:2]
  The highest level held here is write.
  The rule grants it within its limits; whoever may edit /alice@x.org/syft.pub.yaml can raise them.
`},
		{"bob@x.org", alice, "bad/f", perm.Read, `bob@x.org may not read /alice@x.org/bad/f.
  Blocked by invalid permission file at /alice@x.org/bad/syft.pub.yaml
  odd text
  Until /alice@x.org/bad/syft.pub.yaml is repaired, only the owner gets in.
`},
		{"bob@x.org", alice, "old/f", perm.Read, `bob@x.org may not read /alice@x.org/old/f.
  Pattern '**' matched [/alice@x.org/old/syftperm.yaml:1]
  It would take a later rule in /alice@x.org/old/syftperm.yaml that allows bob@x.org read.
`},
		{"bob@x.org", "eve@x.org", "", perm.Read, `bob@x.org may not read /eve@x.org.
  No permission found
  It would take a syft.pub.yaml in its folder, or in one above, with a rule that names bob@x.org in its read list.
`},
	} {
		got, err := x.Decide(perm.Request{User: tt.user, Owner: tt.owner, Path: tt.path, Want: tt.want})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.text, got.Limit(perm.File{Size: 2}).Explain()); diff != "" {
			t.Error(diff)
		}
	}
}
