package dataset

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"gopkg.in/yaml.v3"
	"pgregory.net/rapid"
)

func read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestBytes reads what the peers' client wrote and writes the same bytes.
func TestBytes(t *testing.T) {
	for file, name := range map[string]string{"1-users-list": "heart_study_2026", "2-any": "open set", "3-nobody": "hidden"} {
		d := at("owen@cancer-research.example", name)
		want := read(t, file+"-dataset.yaml")
		if err := d.parse([]byte(want)); err != nil {
			t.Fatal(err)
		}
		if len(d.Notes) > 0 || len(d.Files) == 0 || d.Created.IsZero() {
			t.Errorf("%s: %+v", file, d)
		}
		if diff := cmp.Diff(want, string(d.description())); diff != "" {
			t.Errorf("%s: %s", file, diff)
		}
	}
	d := Dataset{UID: "37a885c6-79f0-4d2a-b8ed-9e9834981aac"}
	const dir = "/home/owen/SyftBox_owen@cancer-research.example/owen@cancer-research.example/private/syft_datasets/heart_study_2026"
	if diff := cmp.Diff(read(t, "1-private_metadata.yaml"), string(d.privateDescription(dir))); diff != "" {
		t.Error(diff)
	}
	for file, readers := range map[string][]perm.User{"1-local-public": {"rachel@datascience.example"}, "2-local-public": {"*"}, "1-local-private": {"owen@cancer-research.example"}} {
		if diff := cmp.Diff(read(t, file+"-syft.pub.yaml"), string(rules(readers))); diff != "" {
			t.Errorf("%s: %s", file, diff)
		}
	}
}

// TestQuoted compares with what the library of the peers' client writes, for texts behind a key and in a list.
func TestQuoted(t *testing.T) {
	var cases []struct{ In, Out string }
	if err := json.Unmarshal([]byte(read(t, "pyyaml.json")), &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if strings.ContainsAny(c.In, "\n") {
			continue // refused
		}
		var w writer
		w.text("summary", c.In)
		w.list("tags", []string{c.In})
		if d := cmp.Diff(c.Out, w.b.String()); d != "" {
			t.Errorf("%q: %s", c.In, d)
		}
	}
}

func TestQuotedReadsBack(t *testing.T) {
	runes := rapid.RuneFrom([]rune("ab :#'\"\\-?,[]{}&*!|>%@`=<~\t\u0085\u00e9\u2028\U0001F600109.eE+_xyYnN"))
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringOfN(runes, 0, 200, -1).Draw(t, "s")
		var got struct {
			Key  string
			List []string
		}
		var w writer
		w.text("key", s)
		w.list("list", []string{s})
		if err := yaml.Unmarshal([]byte(w.b.String()), &got); err != nil {
			t.Fatalf("%q: %v", w.b.String(), err)
		}
		if got.Key != s || got.List[0] != s {
			t.Fatalf("%q became %q and %q: %s", s, got.Key, got.List[0], w.b.String())
		}
	})
}

func TestParse(t *testing.T) {
	d := at("owen@x.example", "study")
	err := d.parse([]byte(`uid: 1
created_at: 2026-01-01T01:02:03Z
updated_at: 2026-01-02
name: Study
summary:
tags: [2026, yes]
mock_url: syft://owen@x.example/public/syft_datasets/study
readme_url: syft://owen@x.example/private/secret.md
mock_files_urls:
- syft://Owen@X.example/public/syft_datasets/study/a b?.csv
- syft://owen@x.example/public/syft_datasets/study/../../../private/f
- syft://owen@x.example/public/syft_datasets/study
- /etc/passwd
something_new: {}
`))
	if err != nil {
		t.Fatal(err)
	}
	if d.Name != "study" || d.UID != "1" || d.Summary != "" || !d.Created.Equal(time.Date(2026, 1, 1, 1, 2, 3, 0, time.UTC)) || d.Readme != (datasite.Path{}) {
		t.Errorf("%+v", d)
	}
	if diff := cmp.Diff([]string{"a b?.csv"}, d.Files); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"2026", "yes"}, d.Tags); diff != "" {
		t.Error(diff)
	}
	if len(d.Notes) != 5 {
		t.Errorf("%q", d.Notes)
	}
	for _, bad := range []string{"", "[]", "name: [a]", "x", "name: a\ncreated_at: soon", "name: a\ntags: {a: b}", "name: {"} {
		d := at("owen@x.example", "a")
		if err := d.parse([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"1-users-list", "2-any", "3-nobody"} {
		f.Add([]byte(read(f, name+"-dataset.yaml")))
	}
	f.Add([]byte("name: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		d := at("owen@x.example", "study")
		if d.parse(src) != nil {
			return
		}
		for _, rel := range d.Files {
			if p := d.Mock.Join(rel); !p.Under(d.Mock) || p == d.Mock {
				t.Fatalf("%q leads to %s", rel, p)
			}
		}
		if d.Readme != (datasite.Path{}) && !d.Readme.Under(d.Mock) {
			t.Fatalf("readme %s", d.Readme)
		}
	})
}
