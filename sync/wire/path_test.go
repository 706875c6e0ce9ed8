package wire

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

func TestCheckPath(t *testing.T) {
	long := strings.Repeat("a", 200)
	for rel, ok := range map[string]bool{
		"a": true, "public/é/ü – 概要.txt": true, ".hidden/.env": true, "a b/c'd/\"e\"": true, "shared/syft.pub.yaml": true, "a\u2028b": true,
		"private/a": false, "public/syft_datasets/d/mock.csv": false, "a/.git/config": false, "": false,
		"a\\b": false, "a\nb": false, "a\x7fb": false, "a\u0085b": false, strings.Repeat("a", 256): false,
		strings.Join([]string{long, long, long, long, long, long}, "/"): false,
		strings.Repeat("a/", 63) + "b":                                  true, strings.Repeat("a/", 64) + "b": false,
	} {
		err := Codec{}.CheckPath(datasite.Path{Owner: owen, Rel: rel})
		if (err == nil) != ok || err != nil && !errors.Is(err, ErrPath) && !errors.Is(err, ErrLimit) {
			t.Errorf("%q: %v", rel, err)
		}
	}
}

// TestSpelling: on Drive a peer is written as Google writes it, in the tree it is canonical, job folders included.
func TestSpelling(t *testing.T) {
	c := Codec{Spell: func(u perm.User) Address {
		if u == rachel {
			return "Rachel@DataScience.example"
		}
		return Address(u)
	}}
	p := exampleProposal()
	packed, err := c.EncodeProposal(p, false)
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := unpacked(t, packed)
	for _, want := range []string{`"sender_email": "Rachel@DataScience.example"`, `"path_in_datasite": "app_data/job/inbox/Rachel@DataScience.example/j/run.sh"`, `"datasite_email": "owen@cancer-research.example"`} {
		if !strings.Contains(string(body), want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	back, err := c.DecodeProposal(strings.NewReader(string(packed)), p.Name(), rachel, owen)
	if err != nil || back.Items[0].Path != p.Items[0].Path || back.Sender != rachel {
		t.Fatalf("%+v %v", back, err)
	}
	for what, spell := range map[string]Spell{
		"another person": func(perm.User) Address { return "nina@statistics.example" },
		"no address":     func(perm.User) Address { return "rachel" },
	} {
		if _, err := (Codec{Spell: spell}).EncodeProposal(p, false); !errors.Is(err, ErrUnsendable) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for rel, want := range map[string]string{
		"app_data/job/review/RACHEL@datascience.example/j/state.yaml": "app_data/job/review/rachel@datascience.example/j/state.yaml",
		"app_data/job/inbox/Notes/x":                                  "app_data/job/inbox/Notes/x",
		"public/RACHEL@datascience.example/x":                         "public/RACHEL@datascience.example/x",
	} {
		got, err := c.decodePath(owen, rel)
		if err != nil || got.Rel != want {
			t.Errorf("%q is %q (%v)", rel, got.Rel, err)
		}
	}
}

// exampleProposal is one that everybody can take.
func exampleProposal() Proposal {
	return Proposal{ID: ID{1}, UID: uuid, Submitted: 1768224000.123457, Sender: rachel, Owner: owen, Items: []Item{
		write("app_data/job/inbox/rachel@datascience.example/j/run.sh", "echo\n"),
		write("app_data/job/inbox/rachel@datascience.example/j/code/main.py", "pass\n"),
	}}
}

func write(rel, content string) Item {
	return Item{ID: derivedID(rel, 0), Op: datasite.OpWrite, Path: datasite.Path{Owner: owen, Rel: rel}, After: hashOf(content), Content: []byte(content), Submitted: 1768224000.111111}
}

func remove(rel string) Item {
	return Item{ID: derivedID(rel, 1), Op: datasite.OpRemove, Path: datasite.Path{Owner: owen, Rel: rel}, Before: hashOf("x"), Submitted: 1768224000.111111}
}

func TestErrorText(t *testing.T) {
	p := exampleProposal()
	p.Items[1].Path.Rel = "a\x1b]0;x\\"
	_, err := Codec{}.EncodeProposal(p, false)
	if got, want := fmt.Sprint(err), `proposal: proposed_file_changes[1].path_in_datasite: `; !strings.HasPrefix(got, want) || strings.Contains(got, "\x1b") {
		t.Fatalf("%q", got)
	}
	var e *Error
	if !errors.As(err, &e) || e.Object != "proposal" || e.Field != "proposed_file_changes[1].path_in_datasite" {
		t.Fatalf("%+v", e)
	}
}
