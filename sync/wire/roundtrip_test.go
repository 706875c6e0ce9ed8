package wire

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/openmined/syftfs/fs/datasite"
	"pgregory.net/rapid"
)

// drawItems gives changes that can be done one after the other: each below a folder of its own.
func drawItems(t *rapid.T, deletions bool) []Item {
	var items []Item
	for i := range rapid.IntRange(1, 6).Draw(t, "n") {
		name := rapid.StringMatching(`[a-zé–概🧬"'&<> ._-]{1,12}`).Draw(t, "name")
		rel := string(rune('a'+i)) + "/x" + name
		var it Item
		if deletions && rapid.Bool().Draw(t, "deleted") {
			it = remove(rel)
		} else {
			content := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "content")
			it = write(rel, content)
			if rapid.Bool().Draw(t, "known") {
				it.Before = hashOf("before")
			}
		}
		it.Submitted = drawTime(t, "submitted")
		items = append(items, it)
	}
	return items
}

func accept(items []Item, at Time) []Item {
	for i := range items {
		items[i].Accepted = at
	}
	return items
}

// TestRoundTrip: what is written reads back the same, whatever the text, the bytes and the times.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := drawTime(t, "at")
		id := derivedID("message", rapid.Int().Draw(t, "id"))
		k := Checkpoint{At: at, Owner: owen, Last: Time(rapid.IntRange(0, 1).Draw(t, "last")) * at}
		for _, it := range drawItems(t, false) {
			k.Files = append(k.Files, text(it.Path.Rel, string(bytes.ToValidUTF8(it.Content, nil))))
		}
		for name, o := range map[FileName]any{
			{Kind: ProposalFile, At: at, ID: id.String()}: Proposal{ID: id, UID: id.String(), Submitted: at, Sender: rachel, Owner: owen, Items: drawItems(t, true)},
			{Kind: EventsFile, At: at, ID: id.String()}:   Events{ID: id, At: at, Owner: owen, Items: accept(drawItems(t, true), at)},
			{Kind: IncrementFile, At: at, Seq: 7}:         Increment{Seq: 7, At: at, Owner: owen, Items: accept(drawItems(t, true), at)},
			{Kind: RollingFile, At: at}:                   Rolling{At: at, Owner: owen, Base: k.Last, Last: at, Items: accept(drawItems(t, true), at)},
			{Kind: CheckpointFile, At: at}:                k,
		} {
			packed, err := Codec{}.encode(o, true)
			if err != nil {
				t.Fatal(err)
			}
			back, err := Codec{}.decode(bytes.NewReader(packed), name, rachel, owen)
			if err != nil {
				t.Fatal(err)
			}
			if d := diff(o, back); d != "" {
				t.Fatalf("-written +read\n%s", d)
			}
			if n, ok := back.(interface{ Name() FileName }); !ok || n.Name() != name {
				t.Fatalf("the name of %+v", back)
			}
		}
	})
}

// TestTextAsInJSON: strings are written so that any reader of JSON finds them, and read as any reader does.
func TestTextAsInJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		for _, st := range []style{compact, indented, plain} {
			p := printer{style: st}
			p.text(s)
			var back string
			if err := json.Unmarshal(p.b, &back); err != nil || back != s {
				t.Fatalf("%q is written %s (%v)", s, p.b, err)
			}
			checkText(t, p.b, s)
			if st.ascii && slices.ContainsFunc(p.b, func(c byte) bool { return c > 0x7e }) {
				t.Fatalf("%q is written %s", s, p.b)
			}
		}
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		checkText(t, b, s)
	})
}

func checkText(t *rapid.T, b []byte, want string) {
	err := document(b, 1, func(sc *scanner) error {
		got, err := sc.text()
		if got != want {
			t.Fatalf("%s reads as %q, want %q", b, got, want)
		}
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", b, err)
	}
}

// TestShape: a sequence of changes is refused exactly if a tree of files and folders could not follow it.
func TestShape(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newShape(0)
		files := map[string]bool{}
		for range rapid.IntRange(1, 30).Draw(t, "n") {
			rel := rapid.StringMatching(`[ab](/[ab]){0,3}`).Draw(t, "rel")
			if rapid.Bool().Draw(t, "remove") {
				delete(files, rel)
				s.remove(rel)
				continue
			}
			bad := false
			for f := range files {
				bad = bad || strings.HasPrefix(f, rel+"/") || strings.HasPrefix(rel, f+"/")
			}
			if err := s.apply(datasite.OpWrite, rel); (err != nil) != bad {
				t.Fatalf("%s among %v: %v", rel, files, err)
			}
			if bad {
				return // nothing follows a refusal
			}
			files[rel] = true
		}
	})
}
