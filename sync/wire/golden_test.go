package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestDecodeGolden: what the real client wrote reads as the manifest says.
func TestDecodeGolden(t *testing.T) {
	for _, e := range loadManifest(t).of(t, archiveKinds...) {
		t.Run(e.File, func(t *testing.T) {
			got, err := Codec{}.decode(bytes.NewReader(readVector(t, e.File)), e.fileName(t), rachel, owen)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(e.object(t), got, cmp.Comparer(bytes.Equal)); diff != "" {
				t.Fatalf("-manifest +decoded\n%s", diff)
			}
		})
	}
}

// TestEncodeGolden: from the manifest alone we write the member byte for byte as the real client did, in a container like its own.
func TestEncodeGolden(t *testing.T) {
	for _, e := range loadManifest(t).of(t, archiveKinds...) {
		t.Run(e.File, func(t *testing.T) {
			packed, err := Codec{}.encode(e.object(t), true)
			if e.private() {
				if !errors.Is(err, ErrUnsendable) || !errors.Is(err, ErrPath) {
					t.Fatalf("private files were sent: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			whole, body, head := unpacked(t, packed)
			wantWhole, want, wantHead := unpacked(t, readVector(t, e.File))
			if diff := cmp.Diff(string(want), string(body)); diff != "" {
				t.Fatalf("-real +ours\n%s", diff)
			}
			if diff := cmp.Diff(wantHead, head); diff != "" {
				t.Fatalf("tar header: -real +ours\n%s", diff)
			}
			if len(whole) != len(wantWhole) || len(whole) != e.Container.Tar.Size {
				t.Fatalf("tar of %d bytes, want %d", len(whole), len(wantWhole))
			}
			if z := e.Container.Gzip; packed[3] != z.Flags || packed[8] != z.XFL || packed[9] != z.OS {
				t.Fatalf("gzip header % x", packed[:10])
			}
			again, err := Codec{}.encode(e.object(t), true)
			if err != nil || !bytes.Equal(packed, again) {
				t.Fatalf("the same object gives other bytes (%v)", err)
			}
		})
	}
}

// TestNamesGolden: each name that the real clients gave parses and renders again.
func TestNamesGolden(t *testing.T) {
	m := loadManifest(t)
	kinds := map[string]FileKind{"proposal": ProposalFile, "event": EventsFile, "incremental_checkpoint": IncrementFile, "rolling_state": RollingFile,
		"checkpoint": CheckpointFile, "peers": PeersFile, "version": VersionFile, "bundle": BundleFile,
		"encrypted-proposal": ProposalFile, "encrypted-event": EventsFile, "encrypted-rolling_state": RollingFile, "encrypted-checkpoint": CheckpointFile}
	for kind, want := range kinds {
		for _, e := range m.of(t, kind) {
			got, err := ParseFile(e.Name)
			if err != nil || got.Kind != want || got.String() != e.Name {
				t.Errorf("%s is %+v, which is %q (%v)", e.Name, got, got, err)
			}
			if e.Folder == "" {
				continue
			}
			if f, err := ParseFolder(e.Folder); err != nil || f.String() != e.Folder {
				t.Errorf("folder %s is %+v (%v)", e.Folder, f, err)
			}
		}
	}
	for _, e := range m.of(t, "folder") {
		f, err := ParseFolder(e.Name)
		if err != nil || f.String() != e.Name {
			t.Errorf("folder %s is %+v, which is %q (%v)", e.Name, f, f, err)
		}
		if f.Owner() != "" && string(f.Owner()) != e.Owner {
			t.Errorf("folder %s should be %s's, it is %s's", e.Name, f.Owner(), e.Owner)
		}
	}
}

// TestDriveTrees: everything that a whole story of the real clients left on Drive is a name that we know.
func TestDriveTrees(t *testing.T) {
	seen := map[FolderKind]int{}
	for _, tree := range []string{"drive-tree-messages.json", "drive-tree-datasets.json"} {
		var rows []struct {
			Path, Owner, MimeType string
			Permissions           []string
		}
		if err := json.Unmarshal(readVector(t, tree), &rows); err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			segments := strings.Split(row.Path, "/")[1:]
			name := segments[len(segments)-1]
			if row.MimeType != FolderMIME {
				if _, err := ParseFile(name); err != nil && !strings.Contains(row.Path, "collection_") {
					t.Errorf("file %s: %v", row.Path, err)
				}
				continue
			}
			f, err := ParseFolder(name)
			if err != nil || f.String() != name {
				t.Errorf("folder %s is %+v (%v)", row.Path, f, err)
			}
			seen[f.Kind]++
			for _, p := range row.Permissions {
				if role, _, _ := strings.Cut(p, " "); role != "owner" && role != f.Kind.SharedAs() {
					t.Errorf("folder %s is shared as %q, we say %q", row.Path, role, f.Kind.SharedAs())
				}
			}
		}
	}
	for _, kind := range []FolderKind{TopFolder, LogFolder, InboxFolder, OutboxFolder, ArchiveFolder, RollingFolder, CollectionFolder, PrivateFolder} {
		if seen[kind] == 0 {
			t.Errorf("no folder of kind %d", kind)
		}
	}
}

// TestEncryptedGolden: what a client with encryption on wrote is recognised.
func TestEncryptedGolden(t *testing.T) {
	for _, e := range loadManifest(t).of(t, "encrypted-proposal", "encrypted-event", "encrypted-rolling_state", "encrypted-checkpoint") {
		body := readVector(t, e.File)
		_, err := Codec{}.decode(bytes.NewReader(body), e.fileName(t), rachel, owen)
		if !errors.Is(err, ErrEncrypted) || !strings.Contains(err.Error(), "SYC2") {
			t.Errorf("%s: %v", e.File, err)
		}
	}
	if g, ok := Envelope([]byte("SYC1\x01")); !ok || g != "SYC1" {
		t.Errorf("the older generation is %q, %t", g, ok)
	}
}

func TestCollectionHashGolden(t *testing.T) {
	for _, e := range loadManifest(t).of(t, "collection-hash") {
		dir := strings.TrimSuffix(e.File, "folder.drive.json")
		h := NewCollectionHash()
		for _, f := range e.Hashed {
			if err := h.Add(f.Name, bytes.NewReader(readVector(t, dir+f.Name))); err != nil {
				t.Fatal(err)
			}
		}
		if h.Sum() != e.Hash12 {
			t.Errorf("%s: %s, want %s", dir, h.Sum(), e.Hash12)
		}
	}
}

func TestVersionGolden(t *testing.T) {
	for _, e := range loadManifest(t).of(t, "version") {
		body := readVector(t, e.File)
		v, err := DecodeVersion(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		var want map[string]string
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339Nano, want["updated_at"])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(VersionInfo{Client: "0.1.117", MinClient: "0.1.93", Protocol: "1.0.0", MinProtocol: "1.0.0", Updated: at}, v); diff != "" {
			t.Errorf("%s: -want +got\n%s", e.File, diff)
		}
	}
	const ours = `{
  "syft_client_version": "0.1.117",
  "min_supported_syft_client_version": "0.1.93",
  "protocol_version": "1.0.0",
  "min_supported_protocol_version": "1.0.0",
  "syft_client_install_source": "syft-client==0.1.117",
  "updated_at": "2026-01-01T00:00:04.123457Z",
  "attestation_token": null,
  "syftfs": "0.1.0"
}`
	b, err := exampleVersion().Encode()
	if err != nil || string(b) != ours {
		t.Fatalf("%s\n%v", b, err)
	}
	back, err := DecodeVersion(bytes.NewReader(b))
	if err != nil || back != exampleVersion() {
		t.Fatalf("%+v, %v", back, err)
	}
	whole := exampleVersion()
	whole.Updated = time.Unix(1767225600, 0)
	if b, err := whole.Encode(); err != nil || !strings.Contains(string(b), `"2026-01-01T00:00:00Z"`) {
		t.Fatalf("%s %v", b, err)
	}
}

// TestPeersGolden: the peers files of the real clients are written again as they were, bundles of keys included.
func TestPeersGolden(t *testing.T) {
	for _, e := range loadManifest(t).of(t, "peers") {
		body := readVector(t, e.File)
		p, err := DecodePeers(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		var want map[Address]struct{ State PeerState }
		if err := json.Unmarshal(e.Decoded, &want); err != nil {
			t.Fatal(err)
		}
		n := 0
		for a, s := range p.All() {
			n++
			if want[a].State != s {
				t.Errorf("%s: %s is %s", e.File, a, s)
			}
		}
		if n != len(want) {
			t.Errorf("%s: %d peers, want %d", e.File, n, len(want))
		}
		again, err := p.Encode()
		if err != nil || !bytes.Equal(again, body) {
			t.Errorf("%s comes back as\n%s\n%v", e.File, again, err)
		}
	}
	var p Peers
	p.Set(Address(rachel), Accepted)
	p.Set(Address(nina), RequestedByMe)
	p.Set(Address(nina), Rejected)
	b, err := p.Encode()
	if err != nil || string(b) != string(readVector(t, "peering/4-reject-SYFT_peers.json")) {
		t.Fatalf("%s\n%v", b, err)
	}
}
