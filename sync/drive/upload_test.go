package drive_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"testing"

	"github.com/openmined/syftfs/sync/drive"
	"github.com/openmined/syftfs/sync/driveserver"
	"github.com/openmined/syftfs/sync/remote"
)

const chunk = 1 << 20

func smallChunks(c *drive.Config) { c.ChunkSize = chunk }

// TestUploadGoesOn: whatever happens to a piece, a repeated put ends with the right bytes, and does not send everything again
// while the session lives.
func TestUploadGoesOn(t *testing.T) {
	const pieces = 6
	want := make([]byte, pieces*chunk)
	rand.Read(want) // never fails
	sum := sha256.Sum256(want)
	for n, test := range []struct {
		name     string
		action   driveserver.Action
		failures int // puts that fail before it is there
		requests int // at most, start and pieces and questions together
	}{
		{"well", driveserver.Action{Kind: driveserver.FaultDelay}, 0, 1 + pieces},
		{"answer lost", driveserver.Action{Kind: driveserver.FaultDropAfter}, 1, 1 + pieces + 1},
		{"cut", driveserver.Action{Kind: driveserver.FaultDrop}, 1, 1 + pieces + 2},
		{"unavailable", driveserver.Action{Kind: driveserver.FaultError, Code: 503, HTML: true}, 1, 1 + pieces + 2},
		{"throttled", driveserver.Action{Kind: driveserver.FaultError, Code: 429}, 1, 1 + pieces + 2},
		{"fewer kept", driveserver.Action{Kind: driveserver.FaultKeepFewer, Bytes: 300_000}, 0, 1 + pieces + 1},
		{"range hidden", driveserver.Action{Kind: driveserver.FaultHideRange}, 0, 2 * (1 + pieces)},
		{"session lost", driveserver.Action{Kind: driveserver.FaultLoseUpload, Code: 404}, 1, 2 * (1 + pieces)},
		{"session gone", driveserver.Action{Kind: driveserver.FaultLoseUpload, Code: 410}, 1, 2 * (1 + pieces)},
		{"passing refusal", driveserver.Action{Kind: driveserver.FaultError, Code: 400}, 1, 2 * (1 + pieces)},
	} {
		seekable := n%2 == 0
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := startServer(t)
			if _, err := p.AddFault(driveserver.Rule{Method: "files.upload", Skip: 3, Count: 1, Action: test.action}); err != nil {
				t.Fatal(err)
			}
			var c counter
			d := p.client(owen, &c, smallChunks)
			ids, err := d.NewIDs(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			c.take()
			body := remote.Body{Size: int64(len(want)), Open: func() (io.ReadCloser, error) {
				r := bytes.NewReader(want)
				if seekable {
					return struct {
						io.ReadSeeker
						io.Closer
					}{r, io.NopCloser(r)}, nil
				}
				return io.NopCloser(struct{ io.Reader }{r}), nil
			}}
			failures := 0
			for {
				err := d.Put(t.Context(), remote.Spec{ID: ids[0], Name: "large"}, body)
				if err == nil {
					break
				}
				if failures++; !remote.Temporary(err) || failures > 3 {
					t.Fatal(err)
				}
			}
			if n := len(c.take()); failures != test.failures || n > test.requests {
				t.Errorf("%d failures and %d requests, want %d and %d at most", failures, n, test.failures, test.requests)
			}
			o, err := d.Stat(t.Context(), ids[0], remote.WithSum)
			if err != nil || o.SHA256 != hex.EncodeToString(sum[:]) {
				t.Errorf("stored %+v, %v", o, err)
			}
		})
	}
}

// TestUploadThatNeverAdvances ends.
func TestUploadThatNeverAdvances(t *testing.T) {
	p := startServer(t)
	if _, err := p.AddFault(driveserver.Rule{Method: "files.upload", Action: driveserver.Action{Kind: driveserver.FaultKeepFewer}}); err != nil {
		t.Fatal(err)
	}
	d := p.client(owen, nil, smallChunks)
	ids, err := d.NewIDs(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Put(t.Context(), remote.Spec{ID: ids[0], Name: "large"}, remote.Bytes(make([]byte, 6*chunk))); !errors.Is(err, remote.Unavailable) {
		t.Errorf("error %v", err)
	}
}

// TestFullDrive: one account that is full is told so, for small and for large files; others go on.
func TestFullDrive(t *testing.T) {
	p := startServer(t)
	o, r := p.client(owen, nil), p.client(rachel, nil)
	if err := p.SetLimit(owen, 1000); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1001, 6 << 20} {
		ids, err := o.NewIDs(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		err = o.Put(t.Context(), remote.Spec{ID: ids[0], Name: "x"}, remote.Bytes(make([]byte, size)))
		if !errors.Is(err, remote.Full) || remote.Temporary(err) {
			t.Errorf("%d bytes: %v", size, err)
		}
		if ids, err = r.NewIDs(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if err := r.Put(t.Context(), remote.Spec{ID: ids[0], Name: "x"}, remote.Bytes(make([]byte, size))); err != nil {
			t.Errorf("%d bytes of another account: %v", size, err)
		}
	}
}
