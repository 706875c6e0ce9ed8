package draft

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openmined/syftfs/jobs"
)

// What can never be submitted is refused before it is there, and what was cut short by that is not submitted by itself.
func TestRoomInADraft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.start()
		defer s.Close()
		mkdir(t, s, "big", "big/.git")
		write(t, s, "big/main.py", "print(1)\n")
		f, err := s.OpenFile("big/data", os.O_WRONLY|os.O_CREATE, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		size := int64(jobs.MaxBytes)
		grow := map[string]func() error{
			"truncate": func() error { return f.Truncate(1 << 40) },
			"write":    func() error { _, err := f.WriteAt([]byte("x"), size); return err },
			"setattr":  func() error { return s.SetAttr("big/data", Attr{Size: &size}) },
		}
		for name, do := range grow {
			if err := do(); !errors.Is(err, syscall.EFBIG) || !strings.Contains(err.Error(), "200 MiB") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if i, err := s.Stat("big/data"); err != nil || i.Size != 0 {
			t.Errorf("data has %d bytes, %v", i.Size, err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if n := len(w.submissions()); n != 0 {
			t.Errorf("%d submissions of what was cut short", n)
		}
		if p := draftOf(t, s, "big").Problem; !strings.Contains(p, "not all of big could be written") {
			t.Errorf("problem %q", p)
		}
		if err := s.Remove("big/data"); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if n := len(w.submissions()); n != 1 {
			t.Errorf("%d submissions after the removal", n)
		}
	})
}

// What the disk did not take is no less missing.
func TestDraftOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.start()
		defer s.Close()
		mkdir(t, s, "a")
		write(t, s, "a/main.py", "print(1)\n")
		f, err := s.OpenFile("a/data", os.O_WRONLY|os.O_CREATE, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.f.Close(); err != nil { // every write fails from here on
			t.Fatal(err)
		}
		if f.f, err = os.OpenFile("/dev/full", os.O_WRONLY, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("x"), 0); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("write: %v", err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if n := len(w.submissions()); n != 0 {
			t.Errorf("%d submissions of a torn copy", n)
		}
	})
}

// What is left out has room of its own: it holds back nothing.
func TestRoomForWhatIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.start()
		defer s.Close()
		mkdir(t, s, "a", "a/.venv")
		write(t, s, "a/.venv/lib", "x")
		size := int64(jobs.MaxBytes)
		if err := s.SetAttr("a/.venv/lib", Attr{Size: &size}); err != nil {
			t.Fatal(err)
		}
		size++
		if err := s.SetAttr("a/.venv/lib", Attr{Size: &size}); !errors.Is(err, syscall.EFBIG) {
			t.Errorf("beyond: %v", err)
		}
		write(t, s, "a/main.py", "print(1)\n")
		pass(time.Minute)
		if n := len(w.submissions()); n != 1 {
			t.Errorf("%d submissions", n)
		}
	})
}

// Files are counted as they are, not as they were made: one that is made and removed over and over takes no room.
func TestRoomForFilesAndDrafts(t *testing.T) {
	s := newWorld(t).open()
	mkdir(t, s, "a")
	for range jobs.MaxFiles + 5 {
		write(t, s, "a/tmp", "")
		if err := s.Remove("a/tmp"); err != nil {
			t.Fatal(err)
		}
	}
	for i := range maxDrafts - 1 {
		mkdir(t, s, fmt.Sprintf(".draft%d", i))
	}
	for _, err := range []error{s.Mkdir("one-more", 0o755), s.Rename("a", "b"), s.Mkdir("b/x", 0o755), s.Rename("b/x", "x")} {
		if err != nil && (!errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "never submitted")) {
			t.Errorf("%v", err)
		}
	}
	if n := len(s.Drafts()); n != maxDrafts {
		t.Errorf("%d drafts", n)
	}
}
