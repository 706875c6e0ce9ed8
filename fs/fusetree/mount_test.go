package fusetree

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOwnerReadsAndWrites(t *testing.T) {
	s := serve(t)
	write(t, s.own(0, "a"), "hello")
	if got := read(t, s.stored("a")); got != "hello" {
		t.Errorf("stored: %q", got)
	}
	if err := os.MkdirAll(s.own(0, "d/e"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, s.own(0, "d/e/f"), "x")
	if err := os.Rename(s.own(0, "d"), s.own(0, "g")); err != nil {
		t.Fatal(err)
	}
	if got := read(t, s.own(0, "g/e/f")); got != "x" {
		t.Errorf("after the rename: %q", got)
	}
	wantErrno(t, "link", os.Link(s.own(0, "a"), s.own(0, "b")), syscall.EPERM)
	wantErrno(t, "mkfifo", unix.Mkfifo(s.own(0, "p"), 0o644), syscall.EPERM)
	wantErrno(t, "file at the top", os.WriteFile(filepath.Join(s.at[0], "x"), nil, 0o644), syscall.EACCES)
	_, err := os.OpenFile(s.own(0, "bad\xff"), os.O_CREATE|os.O_WRONLY, 0o644)
	wantErrno(t, "a name that is not UTF-8", err, syscall.EILSEQ)
	for _, r := range s.refusals() {
		t.Log(r)
	}
}
