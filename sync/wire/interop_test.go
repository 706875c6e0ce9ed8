//go:build interop

package wire

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestRealClientAccepts lets the real syft-client judge what we write from the manifest alone: its own classes read it, a live Python
// owner takes the proposals, a live Python scientist the messages of the outbox. SYFTFS_INTEROP_PYTHON is a Python with syft-client 0.1.117.
func TestRealClientAccepts(t *testing.T) {
	python := os.Getenv("SYFTFS_INTEROP_PYTHON")
	if python == "" {
		t.Fatal("set SYFTFS_INTEROP_PYTHON to a Python that has syft-client==0.1.117; testdata/README.md says how to make one")
	}
	out := t.TempDir()
	put := func(name string, body []byte) {
		t.Helper()
		file := filepath.Join(out, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m := loadManifest(t)
	written := 0
	for _, e := range m.of(t, archiveKinds...) {
		if e.private() {
			continue
		}
		body, err := Codec{}.encode(e.object(t), e.Never)
		if err != nil {
			t.Fatalf("%s: %v", e.File, err)
		}
		put(e.File, body)
		written++
	}
	for _, e := range m.of(t, "version") {
		body, err := exampleVersion().Encode()
		if err != nil {
			t.Fatal(err)
		}
		put(e.File, body)
		written++
	}
	for _, e := range m.of(t, "peers") {
		put(e.File, encodedPeers(t, e))
		written++
	}
	check := exec.CommandContext(t.Context(), python, filepath.Join(vectors, "make_vectors.py"), "check", "--work", t.TempDir(), "--vectors", vectors, "--candidate", out)
	said, err := check.CombinedOutput()
	t.Logf("%d files written\n%s", written, said)
	if err != nil {
		t.Fatalf("the real client does not accept all of it: %v", err)
	}
}

// encodedPeers writes the peers file of e from what the manifest says of it. Files with bundles of keys are read and written again: we make none.
func encodedPeers(t *testing.T, e entry) []byte {
	t.Helper()
	p, err := DecodePeers(bytes.NewReader(e.Decoded))
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}
