package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/openmined/syftfs/fs/datasite"
)

// change is a lawful change of a proposal, with some fields replaced or added; later keys win.
func change(more string) string {
	return `{"path_in_datasite":"x/y","content":"abc","datasite_email":"owen@cancer-research.example","submitted_timestamp":1.5` + more + `}`
}

func proposal(changes ...string) string {
	return `{"sender_email":"rachel@datascience.example","proposed_file_changes":[` + strings.Join(changes, ",") + `]}`
}

func event(more string) string {
	return change(`,"id":"` + uuid + `","timestamp":2` + more)
}

func events(list ...string) string { return `{"events":[` + strings.Join(list, ",") + `]}` }

const abcHash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

var badPaths = map[string]error{
	`../x`: ErrPath, `a/../b`: ErrPath, `a/..`: ErrPath, `..`: ErrPath, `/etc/passwd`: ErrPath, ``: ErrPath, `.`: ErrPath, `a\\b`: ErrPath,
	`a\u0000b`: ErrPath, `a\nb`: ErrPath, `a\u001b[2J`: ErrPath, `a\u007f`: ErrPath, `a\u0085`: ErrPath,
	strings.Repeat("a", 256): ErrPath, strings.Repeat("a/", 500) + "b": ErrLimit, strings.Repeat("a/", 100_000) + "b": ErrLimit,
}

func TestProposalsRead(t *testing.T) {
	name := FileName{Kind: ProposalFile, At: 1768224000.5, ID: uuid}
	abc := Item{ID: derivedID(name.String(), 0), Op: datasite.OpWrite, Path: datasite.Path{Owner: owen, Rel: "x/y"}, After: mustHash(t, abcHash), Content: []byte("abc"), Submitted: 1.5}
	with := func(f func(*Item)) Item {
		it := abc
		f(&it)
		return it
	}
	for _, tt := range []struct {
		what, json string
		want       []Item
		err        error
		field      string
	}{
		{what: "only the required keys", json: proposal(`{"path_in_datasite":"x/y","content":"abc","datasite_email":"owen@cancer-research.example"}`),
			want: []Item{with(func(it *Item) { it.Submitted = name.At })}},
		{what: "unknown keys, id in braces and capitals, number without point", json: proposal(change(`,"id":"{` + strings.ToUpper(uuid) + `}","more":{"a":[1,{}]},"submitted_timestamp":12e0`)),
			want: []Item{with(func(it *Item) { it.ID = mustID(t, uuid); it.Submitted = 12 })}},
		{what: "new_hash null", json: proposal(change(`,"new_hash":null`)), want: []Item{abc}},
		{what: "right new_hash in capitals", json: proposal(change(`,"new_hash":"` + strings.ToUpper(abcHash) + `"`)), want: []Item{abc}},
		{what: "another content_type means text", json: proposal(change(`,"content_type":"other"`)), want: []Item{abc}},
		{what: "binary", json: proposal(change(`,"content_type":"binary","content":"YWJj"`)), want: []Item{abc}},
		{what: "path with // and /./", json: proposal(change(`,"path_in_datasite":"./x//./y"`)), want: []Item{abc}},
		{what: "equal keys: the last counts", json: proposal(change(`,"content":"first","content":"abc"`)), want: []Item{abc}},
		{what: "keys in capitals are other keys", json: proposal(change(`,"PATH_IN_DATASITE":"../x","Content":"y"`)), want: []Item{abc}},
		{what: "the whole list twice: the last counts", json: `{"sender_email":"rachel@datascience.example","proposed_file_changes":[5],"proposed_file_changes":[]}`, err: ErrFormat, field: "proposed_file_changes[0]"},
		{what: "in other letters", json: strings.ReplaceAll(proposal(change("")), "rachel@d", "Rachel@D"), want: []Item{abc}},
		{what: "far in the future", json: proposal(change(`,"submitted_timestamp":9e10`)), want: []Item{with(func(it *Item) { it.Submitted = 9e10 })}},
		{what: "not replicated", json: proposal(change(`,"path_in_datasite":"x/.venv/y"`)), want: []Item{with(func(it *Item) { it.Path.Rel = "x/.venv/y" })}},
		{what: "deletion", json: proposal(change(`,"content":null,"is_deleted":true,"old_hash":"` + abcHash + `"`)),
			want: []Item{with(func(it *Item) {
				it.Op, it.Before, it.After, it.Content = datasite.OpRemove, it.After, datasite.Hash{}, nil
			})}},
		{what: "the same change twice", json: proposal(change(""), change("")), want: []Item{abc}},
		{what: "nothing", json: proposal()},
		{what: "surrogates", json: proposal(change(`,"content":"\uD83E\uddec"`)), want: []Item{with(func(it *Item) { it.Content = []byte("🧬"); it.After = hashOf("🧬") })}},

		{what: "two changes of one path", json: proposal(change(""), change(`,"content":"abd"`)), err: ErrDuplicate, field: "proposed_file_changes[1].path_in_datasite"},
		{what: "two spellings of one path", json: proposal(change(""), change(`,"path_in_datasite":"x//y","content":"abd"`)), err: ErrDuplicate, field: "proposed_file_changes[1].path_in_datasite"},
		{what: "a file below a file", json: proposal(change(""), change(`,"path_in_datasite":"x/y/z"`)), err: ErrDuplicate, field: "proposed_file_changes[1].path_in_datasite"},
		{what: "a file above a file", json: proposal(change(""), change(`,"path_in_datasite":"x"`)), err: ErrDuplicate, field: "proposed_file_changes[1].path_in_datasite"},
		{what: "wrong new_hash", json: proposal(change(`,"new_hash":"` + strings.Repeat("0", 63) + `1"`)), err: ErrHash, field: "proposed_file_changes[0].new_hash"},
		{what: "new_hash that is none", json: proposal(change(`,"new_hash":"00"`)), err: ErrFormat, field: "proposed_file_changes[0].new_hash"},
		{what: "old_hash that is none", json: proposal(change(`,"old_hash":"x"`)), err: ErrFormat, field: "proposed_file_changes[0].old_hash"},
		{what: "base64 without padding", json: proposal(change(`,"content":"YWI","content_type":"binary"`)), err: ErrFormat, field: "proposed_file_changes[0].content"},
		{what: "no content", json: proposal(change(`,"content":null`)), err: ErrFormat, field: "proposed_file_changes[0].content"},
		{what: "half a surrogate pair", json: proposal(change(`,"content":"\ud800"`)), err: ErrFormat, field: "proposed_file_changes[0].content"},
		{what: "not UTF-8", json: proposal(change(",\"content\":\"\xff\"")), err: ErrFormat, field: "proposed_file_changes[0].content"},
		{what: "another owner", json: proposal(change(`,"datasite_email":"nina@statistics.example"`)), err: ErrForged, field: "proposed_file_changes[0].datasite_email"},
		{what: "an owner that climbs", json: proposal(change(`,"datasite_email":"../x"`)), err: ErrName, field: "proposed_file_changes[0].datasite_email"},
		{what: "another sender", json: strings.Replace(proposal(change("")), "rachel@datascience", "nina@statistics", 1), err: ErrForged, field: "sender_email"},
		{what: "no sender", json: `{"proposed_file_changes":[]}`, err: ErrFormat, field: "sender_email"},
		{what: "no changes", json: `{"sender_email":"rachel@datascience.example"}`, err: ErrFormat, field: "proposed_file_changes"},
		{what: "no path", json: proposal(`{"content":"abc","datasite_email":"owen@cancer-research.example"}`), err: ErrFormat, field: "proposed_file_changes[0].path_in_datasite"},
		{what: "no owner", json: proposal(`{"content":"abc","path_in_datasite":"x"}`), err: ErrFormat, field: "proposed_file_changes[0].datasite_email"},
		{what: "a number for a path", json: proposal(change(`,"path_in_datasite":5`)), err: ErrFormat, field: "proposed_file_changes[0].path_in_datasite"},
		{what: "text for a truth", json: proposal(change(`,"is_deleted":"yes"`)), err: ErrFormat, field: "proposed_file_changes[0].is_deleted"},
		{what: "time before 1970", json: proposal(change(`,"submitted_timestamp":-1`)), err: ErrFormat, field: "proposed_file_changes[0].submitted_timestamp"},
		{what: "endless time", json: proposal(change(`,"submitted_timestamp":1e999`)), err: ErrFormat, field: "proposed_file_changes[0].submitted_timestamp"},
		{what: "NaN", json: proposal(change(`,"submitted_timestamp":NaN`)), err: ErrFormat, field: "proposed_file_changes[0].submitted_timestamp"},
		{what: "id that is none", json: proposal(change(`,"id":"1"`)), err: ErrFormat, field: "proposed_file_changes[0].id"},
		{what: "nested too deeply", json: `{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, err: ErrLimit, field: ""},
		{what: "very deep", json: strings.Repeat(`{"x":`, 1_000_000), err: ErrLimit, field: ""},
		{what: "too many", json: proposal(change(""), change(""), change(""), change(""), change("")), err: ErrLimit, field: "proposed_file_changes[4]"},
		{what: "a list", json: `[]`, err: ErrFormat}, {what: "nothing at all", json: ``, err: ErrFormat},
		{what: "two documents", json: proposal() + proposal(), err: ErrFormat}, {what: "cut off", json: proposal(change(""))[:100], err: ErrFormat, field: "*"},
		{what: "byte order mark", json: "\ufeff" + proposal(), err: ErrFormat},
	} {
		t.Run(tt.what, func(t *testing.T) {
			c := Codec{Limits: Limits{Entries: 4}}
			got, err := c.DecodeProposal(bytes.NewReader(archive(t, file(memberName, tt.json))), name, rachel, owen)
			if tt.err != nil {
				checkError(t, err, tt.err, name.String(), tt.field)
				return
			}
			if err != nil || len(got.Items) != len(tt.want) {
				t.Fatalf("%+v, %v", got, err)
			}
			for i, want := range tt.want {
				if d := diff(want, got.Items[i]); d != "" {
					t.Errorf("item %d: %s", i, d)
				}
			}
		})
	}
	for bad, want := range badPaths {
		body := archive(t, file(memberName, proposal(change(""), change(`,"path_in_datasite":"`+bad+`"`))))
		_, err := Codec{}.DecodeProposal(bytes.NewReader(body), name, rachel, owen)
		checkError(t, err, want, name.String(), "proposed_file_changes[1].path_in_datasite")
	}
	if _, err := (Codec{}).DecodeProposal(strings.NewReader(""), FileName{Kind: EventsFile}, rachel, owen); !errors.Is(err, ErrName) {
		t.Errorf("the name of an event message: %v", err)
	}
}

// checkError wants kind in the named field of the named object; "*" and, for kinds of limit, "" stand for any field.
func checkError(t *testing.T, err, kind error, object, field string) {
	t.Helper()
	var e *Error
	if !errors.Is(err, kind) || !errors.As(err, &e) {
		t.Fatalf("%v, want %v", err, kind)
	}
	anyField := field == "*" || field == "" && kind == ErrLimit
	if e.Object != object || !anyField && e.Field != field {
		t.Fatalf("object %q, field %q, want %q and %q: %v", e.Object, e.Field, object, field, err)
	}
	if len(err.Error()) > 5000 || strings.ContainsAny(err.Error(), "\x00\x1b\n") {
		t.Fatalf("message %q", err)
	}
}

// TestEventsRead: an event that cannot be used is put aside with its reason; what Python cannot read either is refused whole.
func TestEventsRead(t *testing.T) {
	name := FileName{Kind: EventsFile, At: 1768224000.5, ID: uuid}
	read := func(json string) (Events, error) {
		return Codec{}.DecodeEvents(bytes.NewReader(archive(t, file(memberName, json))), name, owen)
	}
	put := map[string]struct {
		json, field string
		err         error
	}{
		"wrong hash":    {event(`,"new_hash":"` + strings.Repeat("0", 63) + `1"`), "new_hash", ErrHash},
		"another owner": {event(`,"datasite_email":"nina@statistics.example"`), "datasite_email", ErrForged},
		"no content":    {event(`,"content":null`), "content", ErrFormat},
		"bad base64":    {event(`,"content_type":"binary","content":"@"`), "content", ErrFormat},
		"bad id":        {event(`,"id":"x"`), "id", ErrFormat},
	}
	for bad, err := range badPaths {
		put[quote(bad)] = struct {
			json, field string
			err         error
		}{event(`,"path_in_datasite":"` + bad + `"`), "path_in_datasite", err}
	}
	for what, tt := range put {
		got, err := read(events(event(""), tt.json, event(`,"path_in_datasite":"z"`)))
		if err != nil || len(got.Items) != 2 || len(got.Refused) != 1 {
			t.Fatalf("%s: %+v, %v", what, got, err)
		}
		checkError(t, got.Refused[0], tt.err, name.String(), "events[1]."+tt.field)
	}
	for what, json := range map[string]string{
		"no id": events(change(`,"timestamp":2`)), "no time": events(change(`,"id":"` + uuid + `"`)), "a number": events("5"), "no events": "{}", "text": `"x"`,
		"no submitted time": events(`{"id":"` + uuid + `","path_in_datasite":"x","datasite_email":"owen@cancer-research.example","timestamp":1}`),
	} {
		if got, err := read(json); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	// A compacted outbox names a path more than once, and a file may give way to a folder.
	got, err := read(events(event(""), event(`,"content":"newer"`), event(`,"is_deleted":true,"content":null`), event(`,"path_in_datasite":"x/y/z"`)))
	if err != nil || len(got.Items) != 4 || len(got.Refused) != 0 || got.At != name.At || got.ID != mustID(t, uuid) {
		t.Fatalf("%+v, %v", got, err)
	}
	// What the message says of its own name does not count.
	got, err = read(`{"events":[],"message_filepath":{"id":"` + strings.ReplaceAll(uuid, "5", "6") + `","timestamp":9e10}}`)
	if err != nil || got.At != name.At || got.ID.String() != uuid {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestSnapshotsRead(t *testing.T) {
	const head = `{"version":1,"timestamp":5.5,"email":"owen@cancer-research.example",`
	full := FileName{Kind: CheckpointFile, At: 5.5}
	increment := FileName{Kind: IncrementFile, At: 5.5, Seq: 3}
	rolling := FileName{Kind: RollingFile, At: 4.5}
	for _, tt := range []struct {
		what, json string
		name       FileName
		err        error
		field      string
	}{
		{what: "newer", json: `{"version":2,"email":"owen@cancer-research.example"}`, name: full, err: ErrFormat, field: "version"},
		{what: "somebody else's", json: `{"email":"nina@statistics.example"}`, name: full, err: ErrForged, field: "email"},
		{what: "nobody's", json: `{"files":[]}`, name: full, err: ErrFormat, field: "email"},
		{what: "file without content", json: head + `"files":[{"path":"a","hash":"x"}]}`, name: full, err: ErrFormat, field: "files[0].content"},
		{what: "file without path", json: head + `"files":[{"content":"a","hash":"x"}]}`, name: full, err: ErrFormat, field: "files[0].path"},
		{what: "no number", json: head + `"events":[]}`, name: increment, err: ErrFormat, field: "sequence_number"},
		{what: "half a number", json: head + `"sequence_number":1.5}`, name: increment, err: ErrFormat, field: "sequence_number"},
		{what: "no base", json: head + `"events":[]}`, name: rolling, err: ErrFormat, field: "base_checkpoint_timestamp"},
	} {
		_, err := Codec{}.decode(bytes.NewReader(archive(t, file(memberName, tt.json))), tt.name, rachel, owen)
		t.Run(tt.what, func(t *testing.T) { checkError(t, err, tt.err, tt.name.String(), tt.field) })
	}
	files := head + `"last_event_timestamp":null,"files":[{"path":"a","hash":"wrong","content":"abc"},{"path":"../b","hash":"","content":""},{"path":"a","hash":"","content":"other"}]}`
	k, err := Codec{}.DecodeCheckpoint(bytes.NewReader(archive(t, file(memberName, files))), full, owen)
	if err != nil || len(k.Files) != 1 || k.Files[0].Hash != mustHash(t, abcHash) || len(k.Refused) != 2 {
		t.Fatalf("%+v, %v", k, err)
	}
	checkError(t, k.Refused[0], ErrPath, full.String(), "files[1].path")
	checkError(t, k.Refused[1], ErrDuplicate, full.String(), "files[2].path")
	for _, wrong := range []func() error{
		func() error { _, err := Codec{}.DecodeCheckpoint(nil, rolling, owen); return err },
		func() error { _, err := Codec{}.DecodeIncrement(nil, full, owen); return err },
		func() error { _, err := Codec{}.DecodeRolling(nil, full, owen); return err },
	} {
		if err := wrong(); !errors.Is(err, ErrName) {
			t.Errorf("a name of another kind: %v", err)
		}
	}
}
