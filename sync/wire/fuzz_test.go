package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"

	"github.com/openmined/syftfs/fs/datasite"
)

// fuzzed has limits that keep fuzzing quick.
var fuzzed = Codec{Limits: Limits{Packed: 1 << 20, Unpacked: 1 << 20, Entries: 1000}}

// fuzzName is the name that an archive of the kind is read under.
var fuzzName = map[FileKind]FileName{
	ProposalFile:   {Kind: ProposalFile, At: 1768224000.5, ID: uuid},
	EventsFile:     {Kind: EventsFile, At: 1768224000.5, ID: uuid},
	CheckpointFile: {Kind: CheckpointFile, At: 1768224000.5},
	IncrementFile:  {Kind: IncrementFile, At: 1768224000.5, Seq: 1},
	RollingFile:    {Kind: RollingFile, At: 1768224000.5},
}

// checkRead: what is read is safe to use, and can be written again unless that is refused as unsendable.
func checkRead(t *testing.T, body []byte, kind FileKind) {
	got, err := fuzzed.decode(bytes.NewReader(body), fuzzName[kind], rachel, owen)
	if err != nil {
		var e *Error
		if !errors.As(err, &e) || e.Object == "" {
			t.Fatalf("error without object: %v", err)
		}
		return
	}
	var paths []datasite.Path
	var items []Item
	switch o := got.(type) {
	case Proposal:
		items = o.Items
	case Events:
		items = o.Items
	case Increment:
		items = o.Items
	case Rolling:
		items = o.Items
	case Checkpoint:
		for _, f := range o.Files {
			if hashOf(string(f.Content)) != f.Hash || !utf8.Valid(f.Content) {
				t.Fatalf("%+v", f)
			}
			paths = append(paths, f.Path)
		}
	}
	for _, it := range items {
		switch {
		case it.Op == datasite.OpWrite && hashOf(string(it.Content)) == it.After:
		case it.Op == datasite.OpRemove && it.Content == nil && it.After == datasite.Hash{}:
		default:
			t.Fatalf("%+v", it)
		}
		paths = append(paths, it.Path)
	}
	for _, p := range paths {
		if back, err := datasite.Parse(p.String()); err != nil || back != p || p.Owner != owen || p.Rel == "" {
			t.Fatalf("path %+v: %v", p, err)
		}
	}
	packed, err := fuzzed.encode(got, true)
	if err != nil {
		if !errors.Is(err, ErrUnsendable) && !errors.Is(err, ErrLimit) {
			t.Fatal(err)
		}
		return
	}
	if _, err := fuzzed.decode(bytes.NewReader(packed), fuzzName[kind], rachel, owen); err != nil {
		t.Fatalf("read, written and not read: %v", err)
	}
}

// seedArchives adds all vectors of one kind.
func seedArchives(f *testing.F, kinds ...string) {
	for _, e := range loadManifest(f).of(f, kinds...) {
		f.Add(readVector(f, e.File))
	}
	f.Add([]byte("SYC1"))
	f.Add(archive(f))
}

// seedMembers adds the members of all vectors of one kind, and some that are hostile.
func seedMembers(f *testing.F, more []string, kinds ...string) {
	for _, e := range loadManifest(f).of(f, kinds...) {
		_, body, _ := unpacked(f, readVector(f, e.File))
		f.Add(body)
	}
	for _, s := range more {
		f.Add([]byte(s))
	}
}

// FuzzUnpack: the container, whatever is in it.
func FuzzUnpack(f *testing.F) {
	seedArchives(f, archiveKinds...)
	f.Fuzz(func(t *testing.T, b []byte) {
		body, err := fuzzed.unpack(bytes.NewReader(b))
		if err != nil {
			return
		}
		packed, err := fuzzed.pack(body)
		if errors.Is(err, ErrLimit) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		again, err := fuzzed.unpack(bytes.NewReader(packed))
		if err != nil || !bytes.Equal(body, again) {
			t.Fatalf("%v", err)
		}
	})
}

func FuzzProposal(f *testing.F) {
	seedMembers(f, []string{proposal(change("")), proposal(change(`,"path_in_datasite":"../x"`)), proposal(change(`,"is_deleted":true`)), proposal(change(""), change(`,"path_in_datasite":"x/y/z"`))}, "proposal")
	f.Fuzz(func(t *testing.T, member []byte) {
		checkRead(t, archive(t, file(memberName, string(member))), ProposalFile)
	})
}

func FuzzEvents(f *testing.F) {
	seedMembers(f, []string{events(event("")), events(event(`,"path_in_datasite":"/x"`)), events(event(`,"content":null`))}, "event")
	f.Fuzz(func(t *testing.T, member []byte) {
		checkRead(t, archive(t, file(memberName, string(member))), EventsFile)
	})
}

func FuzzSnapshots(f *testing.F) {
	seedMembers(f, []string{`{"version":2}`}, "checkpoint", "incremental_checkpoint", "rolling_state")
	f.Fuzz(func(t *testing.T, member []byte) {
		for _, kind := range []FileKind{CheckpointFile, IncrementFile, RollingFile} {
			checkRead(t, archive(t, file(memberName, string(member))), kind)
		}
	})
}

func FuzzVersionFile(f *testing.F) {
	for _, e := range loadManifest(f).of(f, "version") {
		f.Add(readVector(f, e.File))
	}
	b, err := exampleVersion().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := DecodeVersion(bytes.NewReader(b))
		if err != nil {
			return
		}
		out, err := v.Encode()
		if err != nil {
			if !errors.Is(err, ErrUnsendable) {
				t.Fatal(err)
			}
			return
		}
		back, err := DecodeVersion(bytes.NewReader(out))
		if err != nil || back.Client != v.Client || back.Syftfs != v.Syftfs || back.InstallSource != v.InstallSource {
			t.Fatalf("%+v is %+v (%v)", v, back, err)
		}
	})
}

func FuzzPeersFile(f *testing.F) {
	for _, e := range loadManifest(f).of(f, "peers") {
		f.Add(readVector(f, e.File))
	}
	f.Add([]byte(`{"_meta":{"version":1},"a@x.org":{"state":5}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := DecodePeers(bytes.NewReader(b))
		if err != nil {
			return
		}
		out, err := p.Encode()
		if errors.Is(err, ErrLimit) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodePeers(bytes.NewReader(out))
		if err != nil {
			t.Fatalf("%s comes back as %s: %v", b, out, err)
		}
		if twice, err := again.Encode(); err != nil || !bytes.Equal(out, twice) {
			t.Fatalf("%s, then %s (%v)", out, twice, err)
		}
	})
}

func FuzzFileName(f *testing.F) {
	m := loadManifest(f)
	for _, e := range m.Entries {
		f.Add(e.Name)
	}
	for _, s := range []string{"msgv2_1.50_u.tar.gz", "msgv2_1e9_x.tar.gz", "incremental_checkpoint_1_1.5.tar.gz", "encryption_bundle_a@x.org_for_b@y.org.json"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseFile(s)
		if err != nil {
			if n != (FileName{}) || !errors.Is(err, ErrName) {
				t.Fatalf("%q: %+v, %v", s, n, err)
			}
			return
		}
		if back, err := ParseFile(n.String()); err != nil || back != n {
			t.Fatalf("%q is %+v, which is %q, which is %+v (%v)", s, n, n, back, err)
		}
	})
}

func FuzzFolderName(f *testing.F) {
	for _, e := range loadManifest(f).Entries {
		f.Add(e.Folder)
		f.Add(e.Name)
	}
	f.Add("syft_a_to_b@x.org_to_c@y.org_archive")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseFolder(s)
		if err != nil {
			if n != (FolderName{}) || !errors.Is(err, ErrName) {
				t.Fatalf("%q: %+v, %v", s, n, err)
			}
			return
		}
		if n.String() != s {
			t.Fatalf("%q is %+v, which is %q", s, n, n)
		}
	})
}

// FuzzJSON: whatever this package takes for JSON is JSON; and the other way round, but for what is not Unicode or too deep.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,-0.5e+7,"\u00e9\ud83e\uddec",null,true,false,{}]}`, `"\ud800"`, `01`, `[1,]`, `{"a" 1}`, "\"\x01\"", `1.`, `-`, ` [ ] `, `nul`, `"\x"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		err := document(b, 1000, func(s *scanner) error { return s.skip() })
		if err == nil && !json.Valid(b) {
			t.Fatalf("%q is no JSON", b)
		}
		if err != nil && json.Valid(b) && utf8.Valid(b) && !bytes.Contains(b, []byte(`\u`)) && !errors.Is(err, ErrLimit) {
			t.Fatalf("%q is JSON: %v", b, err)
		}
	})
}
