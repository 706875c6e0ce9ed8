package journal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/fs/datasite"
)

// golden are changes as format 1 stores them. The file must never change: journals on disk look like this.
func golden() map[string]datasite.Change {
	stamp := datasite.Stamp{Dev: 64769, Ino: 1 << 40, Size: 5 << 30, MTime: time.Unix(1764000000, 123456789).UTC(), CTime: time.Unix(1764000001, 0).UTC()}
	racy := stamp
	racy.Racy = true
	var hash datasite.Hash
	copy(hash[:], "0123456789abcdef0123456789abcdef")
	when := time.Date(2026, 11, 24, 10, 0, 0, 5, time.UTC)
	return map[string]datasite.Change{
		"write": {Op: datasite.OpWrite, Path: at("public/q1.csv"), Before: datasite.Known{Hash: hash, Stamp: stamp}, After: datasite.Known{Stamp: racy},
			By: datasite.Identity{Subject: "bob@example.org", Account: "bob@example.org"}, Origin: datasite.OriginLocal, At: when},
		"remove":      {Op: datasite.OpRemove, Path: at("a"), Before: datasite.Known{Hash: hash}, By: datasite.Identity{Subject: owner}, Origin: datasite.OriginRecovery, At: when},
		"rename":      {Op: datasite.OpRename, Path: at("new name"), From: at("ältere/datei"), Origin: datasite.OriginPeer, At: when},
		"submit":      {Op: datasite.OpSubmit, Path: at("app_data/job/inbox/rachel@science.example/job"), By: datasite.Identity{Subject: "\x00anonymous", Account: "guest@example.org"}},
		"bare":        {Op: datasite.OpMkdir, Path: datasite.Path{Owner: owner}},
		"before 1970": {Op: datasite.OpPlace, Path: at("x"), At: time.Date(1969, 1, 1, 0, 0, 0, 1, time.UTC)},
	}
}

func TestEncodingGolden(t *testing.T) {
	text, err := os.ReadFile("testdata/format1.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, code, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			t.Fatalf("line %q", line)
		}
		want[name] = code
	}
	got := map[string]string{}
	for name, c := range golden() {
		b, err := encode(c)
		if err != nil {
			t.Fatal(err)
		}
		got[name] = hex.EncodeToString(b)
		old, err := hex.DecodeString(want[name])
		if err != nil {
			t.Fatal(err)
		}
		back, err := decode(old)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d := cmp.Diff(c, back); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestDecodeRefuses(t *testing.T) {
	good, err := encode(golden()["write"])
	if err != nil {
		t.Fatal(err)
	}
	for n := range good {
		if _, err := decode(good[:n]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	for name, b := range map[string][]byte{
		"longer":       append(bytes.Clone(good), 0),
		"next version": append([]byte{encodingVersion + 1}, good[1:]...),
		"climbing":     bytes.Replace(good, []byte("public/q1.csv"), []byte("../../q111csv"), 1),
		"other op":     bytes.Replace(good, []byte("write"), []byte("wrong"), 1),
	} {
		if _, err := decode(b); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, c := range golden() {
		b, err := encode(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{encodingVersion, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decode(b)
		if err != nil {
			return
		}
		again, err := encode(c)
		if err != nil {
			t.Fatalf("decoded %+v, which cannot be encoded: %v", c, err)
		}
		back, err := decode(again)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c, back); d != "" {
			t.Fatal(d)
		}
	})
}
