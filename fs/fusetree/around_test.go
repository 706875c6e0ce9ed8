package fusetree

import (
	"os"
	"testing"

	"github.com/openmined/syftfs/fs/datasite"
)

// What another program does in the real directory shows in every mount, whatever its kernel remembers.
func TestChangesAroundTheMountShow(t *testing.T) {
	s := &served{t: t, watch: true}
	s.mount(mountSpec{}, mountSpec{As: datasite.Identity{Subject: other}})
	s.grant("read", "shared/**")
	if err := os.Mkdir(s.own(0, "shared"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, s.own(0, "shared", "f"), "old")
	shows := func(what string, ok func(mount int) bool) {
		t.Helper()
		for i := range s.at {
			eventually(t, what, func() bool { return ok(i) })
		}
	}
	content := func(want string, rel ...string) func(int) bool {
		return func(i int) bool { b, err := os.ReadFile(s.own(i, rel...)); return err == nil && string(b) == want }
	}
	absent := func(rel ...string) func(int) bool {
		return func(i int) bool { _, err := os.Stat(s.own(i, rel...)); return os.IsNotExist(err) }
	}
	shows("the file", content("old", "shared", "f"))
	shows("no other", absent("shared", "n")) // the kernel remembers that

	write(t, s.stored("shared", "f"), "new")
	shows("a change in place", content("new", "shared", "f"))
	write(t, s.stored("shared", "n"), "made")
	shows("a new file", content("made", "shared", "n"))
	if err := os.Rename(s.stored("shared", "n"), s.stored("shared", "f")); err != nil {
		t.Fatal(err)
	}
	shows("a replaced file", content("made", "shared", "f"))
	shows("a name that went", absent("shared", "n"))
	if err := os.MkdirAll(s.stored("shared", "a", "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, s.stored("shared", "a", "b", "f"), "deep")
	shows("folders with a file", content("deep", "shared", "a", "b", "f"))
	if err := os.Rename(s.stored("shared", "a"), s.stored("shared", "c")); err != nil {
		t.Fatal(err)
	}
	shows("a folder that moved", content("deep", "shared", "c", "b", "f"))
	shows("its old name", absent("shared", "a"))
	write(t, s.stored("shared", "c", "b", "f"), "after the move")
	shows("a change in what moved", content("after the move", "shared", "c", "b", "f"))
	if err := os.RemoveAll(s.stored("shared", "c")); err != nil {
		t.Fatal(err)
	}
	shows("a folder that went", absent("shared", "c"))
	write(t, s.stored("syft.pub.yaml"), "rules: []\n")
	eventually(t, "the rules are in force", func() bool { return absent("shared", "f")(1) })
	if got := read(t, s.own(0, "shared", "f")); got != "made" {
		t.Errorf("the owner sees %q", got)
	}
}
