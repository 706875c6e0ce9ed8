package wire

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

// The vectors were written by the real syft-client 0.1.117; see testdata/README.md.
const vectors = "testdata/vectors"

const (
	owen   = perm.User("owen@cancer-research.example")
	rachel = perm.User("rachel@datascience.example")
	nina   = perm.User("nina@statistics.example")
)

type manifest struct {
	Entries []entry `json:"entries"`
}

type entry struct {
	File      string                  `json:"file"`
	Kind      string                  `json:"kind"`
	Name      string                  `json:"drive_name"`
	Folder    string                  `json:"drive_folder"`
	Owner     string                  `json:"drive_owner"`
	Never     bool                    `json:"never_emitted_by_client"`
	Decoded   json.RawMessage         `json:"decoded"`
	Hash12    string                  `json:"hash12"`
	Hashed    []struct{ Name string } `json:"files"`
	Container struct {
		Gzip struct{ Flags, XFL, OS byte }
		Tar  struct {
			Size    int
			Members []string
		}
	} `json:"container"`
}

// decoded is the manifest's form of what is in an archive.
type decoded struct {
	ID       string `json:"id"`
	Sender   string `json:"sender_email"`
	Filename struct {
		Submitted float64 `json:"submitted_timestamp"`
		UID       string  `json:"uid"`
	} `json:"message_filename"`
	Filepath struct {
		ID        string  `json:"id"`
		Timestamp float64 `json:"timestamp"`
	} `json:"message_filepath"`
	Changes []decodedItem `json:"changes"`
	Events  []decodedItem `json:"events"`
	Files   []struct {
		Path    string `json:"path"`
		Hash    string `json:"hash"`
		Content string `json:"content_base64"`
	} `json:"files"`
	Timestamp float64 `json:"timestamp"`
	Email     string  `json:"email"`
	Base      float64 `json:"base_checkpoint_timestamp"`
	Last      float64 `json:"last_event_timestamp"`
	Seq       int     `json:"sequence_number"`
}

type decodedItem struct {
	ID        string  `json:"id"`
	Path      string  `json:"path_in_datasite"`
	Datasite  string  `json:"datasite_email"`
	Old       string  `json:"old_hash"`
	New       string  `json:"new_hash"`
	Deleted   bool    `json:"is_deleted"`
	Submitted float64 `json:"submitted_timestamp"`
	Timestamp float64 `json:"timestamp"`
	Content   string  `json:"content_base64"`
}

func loadManifest(t testing.TB) manifest {
	t.Helper()
	var m manifest
	if err := json.Unmarshal(readVector(t, "MANIFEST.json"), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func readVector(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(vectors, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// of gives the entries of these kinds, at least one of each.
func (m manifest) of(t testing.TB, kinds ...string) (out []entry) {
	t.Helper()
	for _, kind := range kinds {
		n := len(out)
		for _, e := range m.Entries {
			if e.Kind == kind {
				out = append(out, e)
			}
		}
		if len(out) == n {
			t.Fatalf("no vector of kind %s", kind)
		}
	}
	return out
}

func (e entry) decoded(t testing.TB) (d decoded) {
	t.Helper()
	if err := json.Unmarshal(e.Decoded, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func (e entry) fileName(t testing.TB) FileName {
	t.Helper()
	n, err := ParseFile(e.Name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func mustHash(t testing.TB, s string) (h datasite.Hash) {
	t.Helper()
	if err := h.UnmarshalText([]byte(s)); err != nil {
		t.Fatal(err)
	}
	return h
}

func mustID(t testing.TB, s string) ID {
	t.Helper()
	id, err := ParseID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func mustBase64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func toItems(t testing.TB, in []decodedItem) []Item {
	t.Helper()
	var out []Item
	for _, d := range in {
		it := Item{ID: mustID(t, d.ID), Op: datasite.OpWrite, Path: datasite.Path{Owner: perm.User(d.Datasite), Rel: d.Path},
			Before: mustHash(t, d.Old), After: mustHash(t, d.New), Content: mustBase64(t, d.Content), Submitted: Time(d.Submitted), Accepted: Time(d.Timestamp)}
		if d.Deleted {
			it.Op, it.Content = datasite.OpRemove, nil
		}
		out = append(out, it)
	}
	return out
}

// object is what the manifest says is in e, as the decoder should give it.
func (e entry) object(t testing.TB) any {
	t.Helper()
	d := e.decoded(t)
	switch e.Kind {
	case "proposal":
		return Proposal{ID: mustID(t, d.ID), UID: d.Filename.UID, Submitted: Time(d.Filename.Submitted), Sender: perm.User(d.Sender), Owner: owen, Items: toItems(t, d.Changes)}
	case "event":
		return Events{ID: mustID(t, d.Filepath.ID), At: Time(d.Filepath.Timestamp), Owner: owen, Items: toItems(t, d.Events)}
	case "incremental_checkpoint":
		return Increment{Seq: d.Seq, At: Time(d.Timestamp), Owner: perm.User(d.Email), Items: toItems(t, d.Events)}
	case "rolling_state":
		return Rolling{At: Time(d.Timestamp), Owner: perm.User(d.Email), Base: Time(d.Base), Last: Time(d.Last), Items: toItems(t, d.Events)}
	case "checkpoint":
		k := Checkpoint{At: Time(d.Timestamp), Owner: perm.User(d.Email), Last: Time(d.Last)}
		for _, f := range d.Files {
			k.Files = append(k.Files, File{Path: datasite.Path{Owner: k.Owner, Rel: f.Path}, Hash: mustHash(t, f.Hash), Content: mustBase64(t, f.Content)})
		}
		return k
	}
	t.Fatalf("%s is no archive", e.Kind)
	return nil
}

var archiveKinds = []string{"proposal", "event", "incremental_checkpoint", "rolling_state", "checkpoint"}

// decode reads an archive of any kind.
func (c Codec) decode(r io.Reader, name FileName, sender, owner perm.User) (any, error) {
	switch name.Kind {
	case ProposalFile:
		return c.DecodeProposal(r, name, sender, owner)
	case EventsFile:
		return c.DecodeEvents(r, name, owner)
	case IncrementFile:
		return c.DecodeIncrement(r, name, owner)
	case RollingFile:
		return c.DecodeRolling(r, name, owner)
	}
	return c.DecodeCheckpoint(r, name, owner)
}

// encode writes what decode gives.
func (c Codec) encode(o any, deletions bool) ([]byte, error) {
	switch o := o.(type) {
	case Proposal:
		return c.EncodeProposal(o, deletions)
	case Events:
		return c.EncodeEvents(o)
	case Increment:
		return c.EncodeIncrement(o)
	case Rolling:
		return c.EncodeRolling(o)
	case Checkpoint:
		return c.EncodeCheckpoint(o)
	}
	panic("not an archive")
}

// unpacked gives the tar archive in packed, and its member.
func unpacked(t testing.TB, packed []byte) (whole, body []byte, head *tar.Header) {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	if whole, err = io.ReadAll(zip); err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(bytes.NewReader(whole))
	if head, err = archive.Next(); err != nil {
		t.Fatal(err)
	}
	if body, err = io.ReadAll(archive); err != nil {
		t.Fatal(err)
	}
	return whole, body, head
}

// private reports whether an entry is one of the messages with private files, which we never write.
func (e entry) private() bool { return strings.Contains(e.File, "80-private-dataset") }

// exampleVersion is a version file as we write it.
func exampleVersion() VersionInfo {
	return VersionInfo{Client: "0.1.117", MinClient: MinClient, Protocol: Protocol, MinProtocol: MinProtocol, InstallSource: "syft-client==0.1.117",
		Updated: time.Date(2026, 1, 1, 0, 0, 4, 123457000, time.UTC), Syftfs: "0.1.0"}
}

func hashOf(s string) datasite.Hash { return sha256.Sum256([]byte(s)) }

// diff compares items, empty and no content being the same.
func diff(want, got any) string { return cmp.Diff(want, got, cmp.Comparer(bytes.Equal)) }
