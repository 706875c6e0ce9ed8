package checkpoint

import (
	"crypto/sha256"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/sync/wire"
)

func sum(s string) datasite.Hash { return sha256.Sum256([]byte(s)) }

// What the real client left on Drive in the course of one story, by its name there.
const (
	rolling1    = "1-rolling-state-created > rolling_state_1767225614.123457"
	increment1  = "3-incremental-checkpoint-1 > incremental_checkpoint_1_1767228621.1"
	rolling2    = "4-rolling-state-after-checkpoint > rolling_state_1767228629.1234567"
	increment2  = "5-incremental-checkpoint-2 > incremental_checkpoint_2_1767228633.0625"
	compacted   = "6-checkpoint-compacted > checkpoint_1767228646.7654321"
	onRequest   = "7-checkpoint-on-request > checkpoint_1767228655.0625"
	archiveType = ".tar.gz"
)

// golden is a site with those objects.
func golden(t *testing.T, objects ...string) *site {
	t.Helper()
	s := newSite(t)
	for _, o := range objects {
		from, name, _ := strings.Cut(o, " > ")
		body, err := os.ReadFile("testdata/" + from + archiveType)
		s.ok(err)
		kind := wire.CheckpointsFolder
		if strings.HasPrefix(name, "rolling") {
			kind = wire.RollingFolder
		}
		folder, err := s.Ensure(t.Context(), kind)
		s.ok(err)
		s.put(folder, name+archiveType, body)
	}
	return s
}

func TestGoldenRestore(t *testing.T) {
	restored := func(objects ...string) (files, wire.Time) {
		t.Helper()
		return golden(t, objects...).restored(t.Context())
	}
	first, last := restored(rolling1)
	if len(first) != 2 || last != 1767225612.5 {
		t.Errorf("rolling state: %d files, up to %v", len(first), last)
	}
	afterOne, last1 := restored(increment1)
	afterRolling, last2 := restored(increment1, rolling2)
	afterTwo, last3 := restored(increment1, increment2)
	merged, last4 := restored(compacted)
	requested, last5 := restored(onRequest)
	if !(last1 < last2 && last2 <= last3 && last3 < last4 && last4 < last5) {
		t.Errorf("%v %v %v %v %v", last1, last2, last3, last4, last5)
	}
	if maps.Equal(afterOne, afterRolling) || len(afterOne) != 7 {
		t.Errorf("%d files after one increment", len(afterOne))
	}
	delete(afterTwo, "shared/c.bin") // by the third increment, which is in the merged one only
	if !maps.Equal(afterTwo, merged) {
		t.Errorf("two increments:\n%v\nmerged by the client:\n%v", afterTwo, merged)
	}
	// What is older changes nothing, in particular not the increments that syft-client leaves below a checkpoint made on request.
	for _, with := range [][]string{{onRequest, increment1, increment2}, {onRequest, compacted}, {onRequest, increment1, increment2, rolling2}} {
		if got, last := restored(with...); !maps.Equal(got, requested) || last != last5 {
			t.Errorf("%v: up to %v\n%v\nwant\n%v", with, last, got, requested)
		}
	}
	// Without the first increment the second is worth nothing, nor is the rolling state.
	if got, last := restored(increment2, rolling2); len(got) != 0 || last != 0 {
		t.Errorf("up to %v: %v", last, got)
	}
}

// TestGoldenContinue goes on where the real client stopped.
func TestGoldenContinue(t *testing.T) {
	s := golden(t, increment1, rolling2)
	s.tree, s.last = s.restored(t.Context())
	s.now = s.last.Time()
	k := s.keeper()
	old := s.names(wire.RollingFolder)[0]
	s.tell(k, files{"shared/a.txt": "a3\n", "new": "1"})
	s.on(0, 1, 1)
	if o := s.names(wire.RollingFolder)[0]; o.ID != old.ID || o.Name != old.Name {
		t.Errorf("%v, was %v", o, old)
	}
	s.tell(k, files{"shared/c.bin": ""}) // no text
	_, err := k.Create(t.Context())
	s.ok(err)
	s.on(1, 0, 0)
}
