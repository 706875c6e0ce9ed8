package wire

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/openmined/syftfs/fs/datasite"
)

// TestUnsendable: what would stop a Python client for good is never written.
func TestUnsendable(t *testing.T) {
	for what, spoil := range map[string]func(*Proposal){
		"nothing":                  func(p *Proposal) { p.Items = nil },
		"deletion":                 func(p *Proposal) { p.Items[0] = remove("a") },
		"a path twice":             func(p *Proposal) { p.Items[1].Path = p.Items[0].Path },
		"a file below a file":      func(p *Proposal) { p.Items[1].Path.Rel = p.Items[0].Path.Rel + "/x" },
		"a file above a file":      func(p *Proposal) { p.Items[1].Path.Rel = "app_data" },
		"another owner's file":     func(p *Proposal) { p.Items[1].Path.Owner = nina },
		"the datasite itself":      func(p *Proposal) { p.Items[1].Path.Rel = "" },
		"climbing":                 func(p *Proposal) { p.Items[1].Path.Rel = "a/../b" },
		"absolute":                 func(p *Proposal) { p.Items[1].Path.Rel = "/a" },
		"not clean":                func(p *Proposal) { p.Items[1].Path.Rel = "a//b" },
		"private":                  func(p *Proposal) { p.Items[1].Path.Rel = "private/b" },
		"backslash":                func(p *Proposal) { p.Items[1].Path.Rel = `a\b` },
		"line break":               func(p *Proposal) { p.Items[1].Path.Rel = "a\nb" },
		"path that is not UTF-8":   func(p *Proposal) { p.Items[1].Path.Rel = "\xff" },
		"wrong hash":               func(p *Proposal) { p.Items[1].After = hashOf("other") },
		"no hash":                  func(p *Proposal) { p.Items[1].After = datasite.Hash{} },
		"change without id":        func(p *Proposal) { p.Items[1].ID = ID{} },
		"message without id":       func(p *Proposal) { p.ID = ID{} },
		"name without id":          func(p *Proposal) { p.UID = "" },
		"name in capitals":         func(p *Proposal) { p.UID = strings.ToUpper(uuid) },
		"no time":                  func(p *Proposal) { p.Submitted = 0 },
		"change without time":      func(p *Proposal) { p.Items[1].Submitted = 0 },
		"endless time":             func(p *Proposal) { p.Submitted = Time(inf()) },
		"time before 1970":         func(p *Proposal) { p.Items[1].Submitted = -1 },
		"a rename":                 func(p *Proposal) { p.Items[1].Op = datasite.OpRename },
		"no operation":             func(p *Proposal) { p.Items[1].Op = "" },
		"sender without address":   func(p *Proposal) { p.Sender = "rachel" },
		"anonymous sender":         func(p *Proposal) { p.Sender = "\x00anonymous" },
		"owner without address":    func(p *Proposal) { p.Owner = "o'neil@x.org" },
		"sender in capitals":       func(p *Proposal) { p.Sender = "Rachel@datascience.example" },
		"a deletion with a future": func(p *Proposal) { p.Items[1] = remove("a"); p.Items[1].After = hashOf("x") },
	} {
		p := exampleProposal()
		spoil(&p)
		for _, deletions := range []bool{false, true} {
			if what == "deletion" && deletions {
				continue
			}
			if b, err := (Codec{}).EncodeProposal(p, deletions); !errors.Is(err, ErrUnsendable) || b != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	deletes := exampleProposal()
	deletes.Items = []Item{remove("a"), write("a/b", "x")}
	if _, err := (Codec{}).EncodeProposal(deletes, true); err != nil {
		t.Errorf("a file that gives way to a folder, to a syftfs owner: %v", err)
	}

	accepted := func(items ...Item) []Item {
		for i := range items {
			items[i].Accepted = 1768224000.2
		}
		return items
	}
	message := func(items ...Item) Events { return Events{ID: ID{1}, At: 1768224000.3, Owner: owen, Items: items} }
	for what, e := range map[string]any{
		"no events":                 message(),
		"not accepted":              message(write("a", "x")),
		"folder before deletion":    message(accepted(write("a", "x"), write("a/b", "x"), remove("a"))...),
		"file in a folder's place":  message(accepted(write("a/b", "x"), write("a", "x"))...),
		"events without id":         Events{At: 1, Owner: owen, Items: accepted(write("a", "x"))},
		"events without time":       Events{ID: ID{1}, Owner: owen, Items: accepted(write("a", "x"))},
		"increment 0":               Increment{At: 1.5, Owner: owen},
		"increment without time":    Increment{Seq: 1, Owner: owen},
		"increment of nobody":       Increment{Seq: 1, At: 1.5},
		"rolling, base before 1970": Rolling{At: 1.5, Owner: owen, Base: -1},
		"rolling, endless last":     Rolling{At: 1.5, Owner: owen, Last: Time(inf())},
		"checkpoint, wrong hash":    Checkpoint{At: 1.5, Owner: owen, Files: []File{{Path: datasite.Path{Owner: owen, Rel: "a"}, Content: []byte("x")}}},
		"checkpoint, path twice":    Checkpoint{At: 1.5, Owner: owen, Files: []File{text("a", "x"), text("a", "x")}},
		"checkpoint, both":          Checkpoint{At: 1.5, Owner: owen, Files: []File{text("a", "x"), text("a/b", "x")}},
		"checkpoint, private":       Checkpoint{At: 1.5, Owner: owen, Files: []File{text("private/a", "x")}},
		"checkpoint, another's":     Checkpoint{At: 1.5, Owner: nina, Files: []File{text("a", "x")}},
	} {
		if b, err := (Codec{}).encode(e, true); !errors.Is(err, ErrUnsendable) || b != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := (Codec{}).EncodeCheckpoint(Checkpoint{At: 1.5, Owner: owen, Files: []File{text("a", "\xff")}}); !errors.Is(err, ErrBinary) {
		t.Errorf("binary in a checkpoint: %v", err)
	}
	if _, err := (Codec{}).EncodeEvents(message(accepted(write("a", "x"), write("a", "y"), remove("a"), write("a/b", "x"), remove("a/b"), write("a", "z"))...)); err != nil {
		t.Errorf("a history: %v", err)
	}
}

func inf() float64 { zero := 0.0; return 1 / zero }

func text(rel, content string) File {
	return File{Path: datasite.Path{Owner: owen, Rel: rel}, Hash: hashOf(content), Content: []byte(content)}
}

// TestLimitsWhenWriting: nothing is written that the same limits would not read.
func TestLimitsWhenWriting(t *testing.T) {
	p := exampleProposal()
	long := strings.Repeat("x", 100)
	p.Items = append(p.Items, write(long, base64.StdEncoding.EncodeToString(make([]byte, 100))))
	for what, l := range map[string]Limits{"unpacked": {Unpacked: 2048}, "packed": {Packed: 100}, "entries": {Entries: 2}, "path": {Path: 99}} {
		if _, err := (Codec{Limits: l}).EncodeProposal(p, false); !errors.Is(err, ErrLimit) {
			t.Errorf("%s: %v", what, err)
		}
	}
	e := Events{ID: ID{1}, At: 1.5, Owner: owen, Items: p.Items}
	for i := range e.Items {
		e.Items[i].Accepted = 1
	}
	if _, err := (Codec{Limits: Limits{Entries: 2}}).EncodeEvents(e); !errors.Is(err, ErrLimit) {
		t.Errorf("events: %v", err)
	}
	if _, err := (Codec{Limits: Limits{Entries: 1}}).EncodeCheckpoint(Checkpoint{At: 1, Owner: owen, Files: []File{text("a", ""), text("b", "")}}); !errors.Is(err, ErrLimit) {
		t.Errorf("files: %v", err)
	}
}
