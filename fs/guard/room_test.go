package guard

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// fullRecorder is a recorder whose room is spent.
type fullRecorder struct {
	Recorder
	full error
}

func (r *fullRecorder) Full() error { return r.full }

// TestNothingBeginsOnAFullDisk: what is open can be settled, what is there can be read and removed, nothing new is begun.
func TestNothingBeginsOnAFullDisk(t *testing.T) {
	w := newWorld(t)
	r := &fullRecorder{Recorder: w.g.cfg.Recorder}
	w.g.cfg.Recorder = r
	ctx, o := t.Context(), w.views[owner]
	before, err := o.Open(ctx, at("shared/f"), os.O_RDWR, 0)
	must(t, err)
	r.full = unix.ENOSPC
	for name, flag := range map[string]int{"write": os.O_WRONLY, "truncate": os.O_RDONLY | os.O_TRUNC, "append": os.O_WRONLY | os.O_APPEND} {
		if _, err := o.Open(ctx, at("shared/g"), flag, 0); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := o.Open(ctx, at("shared/new"), os.O_WRONLY|os.O_CREATE, 0o644); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("create: %v", err)
	}
	if body, err := o.ReadFile(ctx, at("shared/g")); err != nil || string(body) != "gg" {
		t.Errorf("read: %q, %v", body, err)
	}
	_, err = before.WriteAt([]byte("kept"), 0)
	must(t, err)
	must(t, before.Flush(ctx))
	must(t, before.Close())
	must(t, o.Remove(ctx, at("shared/g")))
	r.full = nil
	must(t, o.Write(ctx, at("shared/new"), []byte("room again")))
}
