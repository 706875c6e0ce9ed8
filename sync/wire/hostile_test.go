package wire

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/openmined/syftfs/fs/datasite"
)

// archive packs members as nobody lawful would.
func archive(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var raw bytes.Buffer
	w := tar.NewWriter(&raw)
	for _, h := range headers {
		content := h.PAXRecords["content"]
		h.PAXRecords = nil
		if h.Typeflag == 0 || h.Typeflag == tar.TypeReg {
			h.Size = int64(len(content))
		} else {
			content = ""
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return zipped(t, raw.Bytes())
}

func file(name, content string) tar.Header {
	return tar.Header{Name: name, Mode: 0o600, PAXRecords: map[string]string{"content": content}}
}

func zipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func plainTar(t testing.TB, packed []byte) []byte {
	t.Helper()
	whole, _, _ := unpacked(t, packed)
	return whole
}

// TestContainers: what Python's reader takes, and what it refuses, and what only we refuse.
func TestContainers(t *testing.T) {
	good := archive(t, file(memberName, "found"))
	small := Codec{Limits: Limits{Packed: 1 << 16, Unpacked: 1 << 16}}
	claimed := plainTar(t, good)[:512]
	copy(claimed[124:136], "20000000000\x00") // 2 GiB in octal
	copy(claimed[148:156], "        ")
	sum := 0
	for _, b := range claimed {
		sum += int(b)
	}
	copy(claimed[148:156], fmt.Sprintf("%06o\x00 ", sum))
	manyMembers := make([]tar.Header, 0, 80)
	for i := range 80 {
		manyMembers = append(manyMembers, file(fmt.Sprint(i), ""))
	}
	broken := bytes.Clone(good)
	broken[len(broken)-6] ^= 1
	lost := errors.New("connection lost")
	for _, tt := range []struct {
		what string
		in   []byte
		want string
		err  error
	}{
		{what: "one member", in: good, want: "found"},
		{what: "the member twice", in: archive(t, file(memberName, "first"), file(memberName, "second")), want: "second"},
		{what: "others around it", in: archive(t, file("a", ""), file(memberName, "found"), file("b", "x")), want: "found"},
		{what: "a folder beside it", in: archive(t, tar.Header{Typeflag: tar.TypeDir, Name: "d/", Mode: 0o755}, file(memberName, "found")), want: "found"},
		{what: "a pax header", in: archive(t, tar.Header{Name: memberName, Format: tar.FormatPAX, Uname: "é", PAXRecords: nil}), want: ""},
		{what: "bytes after the stream", in: append(bytes.Clone(good), "junk"...), want: "found"},
		{what: "many bytes after the stream", in: append(bytes.Clone(good), strings.Repeat("junk", 100)...), want: "found"},
		{what: "without padding and end", in: zipped(t, plainTar(t, good)[:1024]), want: "found"},
		{what: "without end, then junk", in: append(zipped(t, plainTar(t, good)[:1024]), "junk"...), want: "found"},
		{what: "two streams", in: append(zipped(t, plainTar(t, good)[:700]), zipped(t, plainTar(t, good)[700:])...), want: "found"},
		{what: "name with ./", in: archive(t, file("./"+memberName, "x")), err: ErrFormat},
		{what: "no member", in: archive(t), err: ErrFormat},
		{what: "no gzip", in: plainTar(t, good), err: ErrFormat},
		{what: "nothing", in: nil, err: ErrFormat},
		{what: "three bytes", in: []byte("SYC"), err: ErrFormat},
		{what: "cut short", in: good[:len(good)/2], err: ErrFormat},
		{what: "no check sum", in: good[:len(good)-8], err: ErrFormat},
		{what: "wrong check sum", in: broken, err: ErrFormat},
		{what: "no tar", in: zipped(t, []byte(strings.Repeat("x", 2000))), err: ErrFormat},
		{what: "a link in its place", in: archive(t, tar.Header{Typeflag: tar.TypeSymlink, Name: memberName, Linkname: "/etc/passwd"}), err: ErrFormat},
		{what: "a hard link", in: archive(t, file(memberName, "x"), tar.Header{Typeflag: tar.TypeLink, Name: "y", Linkname: memberName}), err: ErrFormat},
		{what: "a device", in: archive(t, tar.Header{Typeflag: tar.TypeChar, Name: "null"}, file(memberName, "x")), err: ErrFormat},
		{what: "a pipe", in: archive(t, tar.Header{Typeflag: tar.TypeFifo, Name: "p"}, file(memberName, "x")), err: ErrFormat},
		{what: "very many members", in: archive(t, manyMembers...), err: ErrLimit},
		{what: "gzip bomb in the member", in: archive(t, file(memberName, strings.Repeat("\x00", 1<<20))), err: ErrLimit},
		{what: "gzip bomb beside the member", in: archive(t, file("a", strings.Repeat("\x00", 1<<20)), file(memberName, "x")), err: ErrLimit},
		{what: "gzip bomb after the end", in: zipped(t, append(plainTar(t, good), make([]byte, 1<<20)...)), err: ErrLimit},
		{what: "2 GiB claimed", in: zipped(t, claimed), err: ErrLimit},
		{what: "more after the stream than may be packed", in: append(bytes.Clone(good), make([]byte, 1<<17)...), want: "found"},
		{what: "envelope", in: []byte("SYC2\x01...."), err: ErrEncrypted},
		{what: "older envelope", in: []byte("SYC1"), err: ErrEncrypted},
	} {
		t.Run(tt.what, func(t *testing.T) {
			got, err := small.unpack(bytes.NewReader(tt.in))
			if !errors.Is(err, tt.err) || tt.err == nil && (err != nil || string(got) != tt.want) {
				t.Fatalf("%q, %v", got, err)
			}
		})
	}
	for _, n := range []int{0, 2, 20, len(good) - 1} {
		_, err := small.unpack(io.MultiReader(bytes.NewReader(good[:n]), iotest.ErrReader(lost)))
		if !errors.Is(err, lost) || errors.Is(err, ErrFormat) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
	if got, err := small.unpack(iotest.OneByteReader(bytes.NewReader(good))); err != nil || string(got) != "found" {
		t.Errorf("byte by byte: %q, %v", got, err)
	}
	noise := make([]byte, 1<<17)
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		noise[i] = byte(x)
	}
	if _, err := (Codec{Limits: Limits{Packed: 1 << 16}}).unpack(bytes.NewReader(archive(t, file(memberName, string(noise))))); !errors.Is(err, ErrLimit) {
		t.Errorf("packed: %v", err)
	}
}

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

func TestVersionFileRead(t *testing.T) {
	const five = `"syft_client_version":"0.1.117","min_supported_syft_client_version":"0.1.93","protocol_version":"1.0.0","min_supported_protocol_version":"1.0.0"`
	for what, tt := range map[string]struct {
		json  string
		field string
		err   error
	}{
		"least":          {json: `{` + five + `}`},
		"unknown keys":   {json: `{` + five + `,"extra":{"a":1},"updated_at":5,"attestation_token":null}`},
		"odd version":    {json: `{` + strings.Replace(five, "0.1.117", "0.1.2b1", 1) + `}`},
		"offset":         {json: `{` + five + `,"updated_at":"2026-05-14T12:00:00+02:00"}`},
		"no time at all": {json: `{` + five + `,"updated_at":"yesterday"}`},
		"too few":        {json: `{"syft_client_version":"0.1.117"}`, field: "min_supported_protocol_version", err: ErrFormat},
		"a number":       {json: `{"syft_client_version":1}`, field: "syft_client_version", err: ErrFormat},
		"large":          {json: `{` + five + strings.Repeat(" ", maxVersionFile) + `}`, err: ErrLimit},
		"no JSON":        {json: `hello`, err: ErrFormat},
	} {
		_, err := DecodeVersion(strings.NewReader(tt.json))
		if tt.err == nil {
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
			continue
		}
		t.Run(what, func(t *testing.T) { checkError(t, err, tt.err, "SYFT_version.json", tt.field) })
	}
	for what, spoil := range map[string]func(*VersionInfo){
		"odd version": func(v *VersionInfo) { v.Client = "0.1.2b1" }, "no minimum": func(v *VersionInfo) { v.MinClient = "" },
		"odd protocol": func(v *VersionInfo) { v.Protocol = "1" }, "not UTF-8": func(v *VersionInfo) { v.InstallSource = "\xff" },
	} {
		v := exampleVersion()
		spoil(&v)
		if _, err := v.Encode(); !errors.Is(err, ErrUnsendable) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestPeersFileRead(t *testing.T) {
	const kept = `{
  "_meta": {
    "version": 1
  },
  "b@y.org": {
    "since": 1.50e0,
    "state": "paused",
    "list": [
      null,
      true,
      {}
    ]
  },
  "caf\u00e9": {
    "state": "accepted"
  },
  "A@x.org": {
    "name": "\ud83e\uddec \u007f \" / \\ \n \u0001"
  }
}`
	p, err := DecodePeers(strings.NewReader(kept))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for a, s := range p.All() {
		got = append(got, fmt.Sprintf("%s %q", a, s))
	}
	if want := `[b@y.org "paused" A@x.org ""]`; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
	if p.State("b@y.org") != "paused" || p.State("a@x.org") != "" {
		t.Error("states")
	}
	if b, err := p.Encode(); err != nil || string(b) != kept {
		t.Errorf("comes back as\n%s\n%v", b, err)
	}
	p.Set("b@y.org", Accepted)
	p.Set("c@z.org", Rejected)
	want := strings.Replace(kept, "paused", "accepted", 1)
	want = want[:len(want)-2] + ",\n  \"c@z.org\": {\n    \"state\": \"rejected\"\n  }\n}"
	if b, err := p.Encode(); err != nil || string(b) != want {
		t.Errorf("changed:\n%s\n%v", b, err)
	}
	for what, tt := range map[string]struct {
		json  string
		field string
		err   error
	}{
		"no object":     {json: `[]`, err: ErrFormat},
		"an odd entry":  {json: `{"a@x.org":"accepted"}`, field: "a@x.org", err: ErrFormat},
		"cut off":       {json: `{"a@x.org":{`, field: "*", err: ErrFormat},
		"empty":         {json: ``, err: ErrFormat},
		"too many":      {json: `{"a":{"b":[` + strings.Repeat("1,", maxNodes) + `1]}}`, field: "*", err: ErrLimit},
		"deep":          {json: strings.Repeat(`{"a":`, 1000), field: "*", err: ErrLimit},
		"large":         {json: strings.Repeat(" ", maxPeersFile+1), err: ErrLimit},
		"half a letter": {json: `{"\ud800":{}}`, err: ErrFormat},
	} {
		_, err := DecodePeers(strings.NewReader(tt.json))
		t.Run(what, func(t *testing.T) { checkError(t, err, tt.err, "SYFT_peers.json", tt.field) })
	}
	again, err := DecodePeers(strings.NewReader(`{"a@x.org":{"state":"rejected"},"b@x.org":{},"a@x.org":{"state":"accepted"}}`))
	if err != nil || again.State("a@x.org") != Accepted {
		t.Errorf("equal keys: %v %v", again, err)
	}
	var none Peers
	if b, err := none.Encode(); err != nil || string(b) != "{}" || none.State("a@x.org") != "" {
		t.Errorf("%s %v", b, err)
	}
}
