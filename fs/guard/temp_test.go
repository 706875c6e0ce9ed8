package guard

import (
	iofs "io/fs"
	"testing"

	"github.com/openmined/syftfs/fs/datasite"
	"golang.org/x/sys/unix"
)

// Whatever happens to a file without a name, it is nowhere: nothing is recorded and no kernel is told.
func TestFileWithoutANameIsNowhere(t *testing.T) {
	w := newWorld(t)
	v := w.views[owner]
	before := snapshot(t, w.dir)
	f, err := v.OpenTemp(t.Context(), at("shared/d"), rw|app, 0o640)
	must(t, err)
	_, err = f.WriteAt([]byte("temporary"), 5)
	must(t, err)
	if s, err := read(f); s != "temporary" || err != nil {
		t.Errorf("read %q, %v", s, err)
	}
	must(t, f.Truncate(4))
	e, err := v.SetAttr(t.Context(), f.Path(), f, Attr{Mode: ptr(iofs.ModeSetuid | 0o700), Size: ptr(int64(6))})
	must(t, err)
	if e.Links != 0 || e.Mode != iofs.ModeSetuid|0o700 || e.Stamp.Size != 6 {
		t.Errorf("%d links, mode %v, %d bytes", e.Links, e.Mode, e.Stamp.Size)
	}
	must(t, f.Flush(t.Context()))
	must(t, f.Sync(t.Context(), false))
	if _, ok := f.Passthrough(); !ok {
		t.Error("no passthrough of the owner's own")
	}
	must(t, f.Flush(t.Context()))
	if got := snapshot(t, w.dir); len(got) != len(before) {
		t.Errorf("the tree holds %d things, had %d", len(got), len(before))
	}
	for _, u := range everybody {
		if got := w.kernels[u].take(); u != owner && got != "" {
			t.Errorf("the kernel of %s was told %q", u, got)
		}
	}

	// Its folder goes, and another thing takes that name: that is not the file's business.
	must(t, v.Rename(t.Context(), at("shared/d"), at("shared/e"), 0))
	must(t, v.Rmdir(t.Context(), at("shared/e")))
	must(t, v.Write(t.Context(), at("shared/d"), []byte("a file")))
	w.mem.take()
	_, err = f.WriteAt([]byte("!"), 0)
	must(t, err)
	if s, err := read(f); s != "temp\x00\x00!" || err != nil {
		t.Errorf("read %q, %v", s, err)
	}
	must(t, f.Close())
	if got := w.mem.take(); len(got) != 0 {
		t.Errorf("recorded %q", got)
	}
	if got := w.disk("shared/d"); got != "a file" {
		t.Errorf("the file that took the folder's name holds %q", got)
	}
	if n := len(w.g.files.all); n != 0 {
		t.Errorf("%d open files are kept", n)
	}
}

// An account's right to act as the owner can be taken away, so it is not given what is never asked about again.
func TestFileWithoutANameIsNotForAccounts(t *testing.T) {
	w := newWorld(t)
	w.g.cfg.Subjects = subjects{"acc": owner}
	v := w.g.View(datasite.Identity{Account: "acc"}, nil)
	if _, err := v.OpenTemp(t.Context(), at("shared/d"), unix.O_RDWR, 0o600); errno(err) != "EOPNOTSUPP" {
		t.Errorf("an admin's account: %v", err)
	}
	w.g.cfg.Subjects = subjects{}
	if _, err := v.OpenTemp(t.Context(), at("shared/d"), unix.O_RDWR, 0o600); errno(err) != "EACCES" {
		t.Errorf("an account that is gone: %v", err)
	}
}
