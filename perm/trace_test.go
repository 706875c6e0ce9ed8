package perm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/perm"
)

func traceWorld() *perm.Index {
	d := newDisk()
	d.put("", pub("** read *", "*.csv read bob@x.org", "d/*.csv write bob@x.org,*@y.edu"))
	d.put("t", terminal("** create USER", "in/** read eve@x.org"), old("** read *"))
	d.put("t/in", pub("** read *"))
	d.put("a", old("** read *", "-x/** read bob@x.org"))
	d.put("a/b", old("** write ann@x.org", "x/** write bob@x.org"))
	d.put("bad", broken(perm.KindPub))
	d.put("bad/in", old("** read *"))
	return perm.NewIndex(d.load)
}

func TestTrace(t *testing.T) {
	x := traceWorld()
	for _, tt := range []struct {
		path  string // a trailing slash makes it a folder
		want  perm.Level
		files string
		rules []string
	}{
		{"d/f.csv", perm.Admin, "/syft.pub.yaml decides", []string{
			"'d/*.csv' decides, and gives write", "'*.csv' does not match", "'**' gives read, but another rule decides"}},
		{"f.csv", perm.Read, "/syft.pub.yaml decides", []string{
			"'d/*.csv' does not match", "'*.csv' decides, and gives read", "'**' gives read, but another rule decides"}},
		{"t/in/f", perm.Read, "/syft.pub.yaml replaced by a deeper file; /t/syft.pub.yaml decides; /t/syftperm.yaml ignored beside syft.pub.yaml; /t/in/syft.pub.yaml below a terminal file",
			[]string{"'in/**' decides, and does not name the user", "'**' gives create, but another rule decides"}},
		{"a/b/x/f", perm.Read, "/syft.pub.yaml replaced by a deeper file; /a/syftperm.yaml adds to it; /a/b/syftperm.yaml decides", []string{
			"'**' decides, and gives read", "'x/**' does not match", "'**' matches, and does not name the user", "'x/**' gives write, but another rule decides"}},
		{"a/x/f", perm.Read, "/syft.pub.yaml replaced by a deeper file; /a/syftperm.yaml decides", []string{
			"'**' gives read, but another rule decides", "'x/**' decides, and takes away read"}},
		{"a/", perm.Read, "/syft.pub.yaml decides; /a/syftperm.yaml covers only what is in it", []string{
			"'d/*.csv' does not match", "'*.csv' does not match", "'**' decides, and gives read"}},
		{"bad/in/f", perm.Read, "/syft.pub.yaml replaced by a deeper file; /bad/syft.pub.yaml unreadable; /bad/in/syftperm.yaml below an unreadable file", nil},
	} {
		t.Run(tt.path, func(t *testing.T) {
			r := perm.Request{User: "bob@x.org", Owner: alice, Path: strings.TrimSuffix(tt.path, "/"), IsDir: strings.HasSuffix(tt.path, "/"), Want: tt.want}
			got, err := x.Trace(r)
			if err != nil {
				t.Fatal(err)
			}
			var files, rules []string
			for _, f := range got.Files {
				files = append(files, strings.TrimPrefix(f.From.File, "/alice@x.org")+" "+f.Role.String())
			}
			for _, rule := range got.Rules {
				rules = append(rules, fmt.Sprintf("'%s' %s", rule.Pattern, rule))
			}
			if diff := cmp.Diff(tt.files, strings.Join(files, "; ")); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.rules, rules); diff != "" {
				t.Error(diff)
			}
		})
	}
	got, err := x.Trace(perm.Request{User: "bob@x.org", Owner: alice, Path: "d/f.csv", Want: perm.Read})
	if err != nil {
		t.Fatal(err)
	}
	want := perm.TracedRule{From: perm.Source{File: "/alice@x.org/syft.pub.yaml", Line: 3}, Pattern: "d/*.csv", Matched: true, Names: true, Decides: true,
		Level: perm.Write, Grants: map[perm.Level][]string{perm.Write: {"bob@x.org", "*@y.edu"}}, Score: 14}
	if diff := cmp.Diff(want, got.Rules[0]); diff != "" {
		t.Error(diff)
	}
	own, err := x.Trace(perm.Request{User: alice, Owner: alice, Path: "d/f.csv", Want: perm.Read})
	if err != nil || !own.Decision.Owner || len(own.Rules) != 3 || own.Rules[0].Decides || !own.Rules[0].Matched {
		t.Errorf("%+v, %v", own, err)
	}
	if _, err := x.Trace(perm.Request{User: alice, Owner: alice, Path: "a//b"}); err == nil {
		t.Error("a path that is not clean is traced")
	}
	if perm.FileRole(99).String() != "role 99" {
		t.Error("an unknown role")
	}
}

func TestHolders(t *testing.T) {
	d := newDisk()
	d.put("", pub("** read *", "*.csv read USER,bob@x.org", "in/{{.UserEmail}}/** write USER", "f.txt read ann@x.org,Bob@X.org,alice@x.org,*@y.edu"))
	d.put("hash", pub("{{.UserHash}}/** write USER", "{{.UserHash}}.md read bob@x.org", "none admin ann@x.org"))
	d.put("lists", perm.Ruleset{Kind: perm.KindPub, Rules: []perm.Rule{{Pattern: "**", From: perm.Source{Line: 2}, Grants: map[perm.Level][]string{
		perm.Read: {"bob@x.org", "*"}, perm.Create: {"USER"}, perm.Write: {"*@y.edu", "ann@x.org"}, perm.Admin: {"bob@x.org"}}}}})
	d.put("none", pub("**"))
	d.put("a", old("** read *", "** write bob@x.org", "-secret read ann@x.org", "other admin eve@x.org", "{useremail}/** admin *"))
	d.put("bad", broken(perm.KindPerm))
	x := perm.NewIndex(d.load)
	for _, tt := range []struct{ path, holders string }{
		{"f", "* read '**'"},
		{"f.csv", "USER read '*.csv'; bob@x.org read '*.csv'"},
		{"f.txt", "*@y.edu read 'f.txt'; ann@x.org read 'f.txt'"},
		{"in/bob@x.org/f", "bob@x.org write 'in/{{.UserEmail}}/**'; * read '**'"},
		{"in/other/f", "* read '**'"},
		{"lists/f", "bob@x.org admin '**'; *@y.edu write '**'; ann@x.org write '**'; USER create '**'; * read '**'"},
		{"lists/syft.pub.yaml", "bob@x.org admin '**'; * read '**'; *@y.edu read '**'; USER read '**'; ann@x.org read '**'"},
		{"none/f", ""},
		{"hash/b752a9a4f7b86f6b/f", "bob@x.org write '{{.UserHash}}/**'"},
		{"hash/b752a9a4f7b86f6b.md", "bob@x.org read '{{.UserHash}}.md'"},
		{"hash/0752a9a4f7b86f6b/f", ""},
		{"bad/f", ""},
		{"a/f", "bob@x.org write '**'; * read '**'"},
		{"a/secret", "bob@x.org write '**'; * read '**'; ann@x.org none 'secret'"},
		{"a/other", "eve@x.org admin 'other'; bob@x.org write '**'; * read '**'"},
		{"a/dan@x.org/f", "dan@x.org admin '{useremail}/**'; bob@x.org write '**'; * read '**'"},
		{"a/.env", ""},
	} {
		got, err := x.Holders(perm.Request{User: "ignored@x.org", Owner: alice, Path: tt.path, Want: perm.Write})
		if err != nil {
			t.Fatal(err)
		}
		var words []string
		for _, h := range got {
			words = append(words, fmt.Sprintf("%s %s '%s'", h.Entry, h.Level, h.Pattern))
			if h.By.File == "" || h.By.Line == 0 {
				t.Errorf("%s: %+v", tt.path, h)
			}
		}
		if diff := cmp.Diff(tt.holders, strings.Join(words, "; ")); diff != "" {
			t.Errorf("%s: %s", tt.path, diff)
		}
	}
	if _, err := x.Holders(perm.Request{Owner: alice, Path: "../f"}); err == nil {
		t.Error("a path that is not clean has holders")
	}
}

func TestRemedy(t *testing.T) {
	d := newDisk()
	rs := pub("*.csv read bob@x.org", "up/* write bob@x.org")
	rs.Rules[1].Limits.MaxFileSize = 1
	d.put("", rs)
	d.put("old", old("** read bob@x.org"))
	d.put("bad", broken(perm.KindPub))
	x := perm.NewIndex(d.load)
	const top = "/alice@x.org/syft.pub.yaml"
	for _, tt := range []struct {
		user, owner perm.User
		path        string
		want        perm.Level
		ok          bool
		remedy      perm.Remedy // but for the text
	}{
		{alice, alice, "f", perm.Write, false, perm.Remedy{}},
		{"bob@x.org", alice, "a.csv", perm.Read, false, perm.Remedy{}},
		{"bob@x.org", alice, "a.csv", perm.Write, true, perm.Remedy{File: top, Exists: true, Kind: perm.KindPub, Pattern: "*.csv", Entry: "bob@x.org", Level: perm.Write}},
		{perm.Anonymous, alice, "a.csv", perm.None, true, perm.Remedy{File: top, Exists: true, Kind: perm.KindPub, Pattern: "*.csv", Entry: "*", Level: perm.Read}},
		{"bob@x.org", alice, "d/syft.pub.yaml", perm.Create, true, perm.Remedy{File: top, Exists: true, Kind: perm.KindPub, Entry: "bob@x.org", Level: perm.Admin}},
		{"bob@x.org", alice, "old/f", perm.Write, true, perm.Remedy{File: "/alice@x.org/old/syftperm.yaml", Exists: true, Kind: perm.KindPerm, Entry: "bob@x.org", Level: perm.Write}},
		{"bob@x.org", alice, "bad/f", perm.Write, false, perm.Remedy{File: "/alice@x.org/bad/syft.pub.yaml", Exists: true, Kind: perm.KindPub, Entry: "bob@x.org", Level: perm.Write}},
		{"bob@x.org", alice, "up/f", perm.Create, false, perm.Remedy{File: top, Exists: true, Kind: perm.KindPub, Pattern: "up/*", Entry: "bob@x.org", Level: perm.Create}},
		{"bob@x.org", "eve@x.org", "d/f", perm.Read, true, perm.Remedy{File: "/eve@x.org/d/syft.pub.yaml", Kind: perm.KindPub, Entry: "bob@x.org", Level: perm.Read}},
		{"bob@x.org", "eve@x.org", "f", perm.Read, true, perm.Remedy{File: "/eve@x.org/syft.pub.yaml", Kind: perm.KindPub, Entry: "bob@x.org", Level: perm.Read}},
		{"bob@x.org", "eve@x.org", "", perm.Read, true, perm.Remedy{File: "/eve@x.org/syft.pub.yaml", Kind: perm.KindPub, Entry: "bob@x.org", Level: perm.Read}},
	} {
		d, err := x.Decide(perm.Request{User: tt.user, Owner: tt.owner, Path: tt.path, Want: tt.want})
		if err != nil {
			t.Fatal(err)
		}
		got, ok := d.Limit(perm.File{Size: 2}).Remedy()
		if (got.Text == "") != (tt.remedy == perm.Remedy{}) {
			t.Errorf("%s %s: text %q", tt.user, tt.path, got.Text)
		}
		got.Text = ""
		if diff := cmp.Diff(tt.remedy, got); diff != "" || ok != tt.ok {
			t.Errorf("%s %v %s: %v\n%s", tt.user, tt.want, tt.path, ok, diff)
		}
	}
	if r, ok := (perm.Decision{Request: perm.Request{Owner: alice}, Steps: []perm.Step{{Text: "No permission found"}}}).Remedy(); ok || r.Text != "" {
		t.Errorf("a refusal that no rule made has a remedy: %+v", r)
	}
}
