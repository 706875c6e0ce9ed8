package draft

import (
	"errors"
	iofs "io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openmined/syftfs/jobs"
)

func TestSettleTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.start()
		defer s.Close()
		files := map[string]string{"job/code/main.py": "1", "job/config.yaml": config("job", "main.py"), "job/run.sh": "true"}
		copyIn(t, s, files)
		pass(1900 * time.Millisecond)
		if n := len(w.submissions()); n != 0 {
			t.Fatal("sealed too early")
		}
		if err := s.SetAttr("job/run.sh", Attr{Mode: mode(0o755)}); err != nil { // cp -a is still at work
			t.Fatal(err)
		}
		pass(1900 * time.Millisecond)
		if n := len(w.submissions()); n != 0 {
			t.Fatal("sealed although somebody was at work")
		}
		pass(200 * time.Millisecond)
		if n := len(w.submissions()); n != 1 {
			t.Fatalf("%d submissions after the settle time", n)
		}
		if err := s.SetAttr("job/run.sh", Attr{Mode: mode(0o700)}); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if n := len(w.submissions()); n != 1 {
			t.Fatalf("%d submissions after a chmod", n)
		}
	})
}

func mode(m iofs.FileMode) *iofs.FileMode { return &m }

// A copy that stops in the middle keeps its last file open.
func TestStoppedCopyStaysADraft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.start()
		defer s.Close()
		mkdir(t, s, "job")
		write(t, s, "job/main.py", "print()")
		f, err := s.OpenFile("job/big.bin", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("half"), 0); err != nil {
			t.Fatal(err)
		}
		pass(time.Hour)
		if n := len(w.submissions()); n != 0 {
			t.Fatalf("submitted with an open handle: %d", n)
		}
		if err := s.Submit(t.Context(), "job"); !errors.Is(err, syscall.EBUSY) {
			t.Errorf("submit of an unfinished copy: %v", err)
		}
		r, err := s.OpenFile("job/main.py", os.O_RDONLY, 0) // a reader holds nothing up
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := f.WriteAt([]byte(" whole"), 4); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		pass(6 * time.Second)
		got := w.submissions()
		if len(got) != 1 || got[0].files["code/big.bin"] != "half whole" {
			t.Fatalf("submissions %v", got)
		}
	})
}

func TestRenameSealsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.start()
		defer s.Close()
		copyIn(t, s, map[string]string{".job/main.py": "1"})
		pass(time.Minute)
		if err := s.Rename(".job", "job"); err != nil {
			t.Fatal(err)
		}
		pass(0)
		if n := len(w.submissions()); n != 1 {
			t.Fatalf("%d submissions", n)
		}
		if err := s.Rename("job", "other"); !errors.Is(err, syscall.EPERM) {
			t.Errorf("rename of a submission: %v", err)
		}
	})
}

// File managers write a temporary name and rename it while it is still open.
func TestRenameWithAnOpenHandleWaitsForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.start()
		defer s.Close()
		f, err := s.OpenFile(".goutputstream-XYZ", os.O_WRONLY|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Rename(".goutputstream-XYZ", "fit.py"); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if n := len(w.submissions()); n != 0 {
			t.Fatal("sealed with an open handle")
		}
		if _, err := f.WriteAt([]byte("print()"), 0); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		pass(0)
		if got := w.submissions(); len(got) != 1 || got[0].files["code/fit.py"] != "print()" {
			t.Fatalf("submissions %v", got)
		}
	})
}

func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.start()
		mkdir(t, s, "job")
		if err := s.Hold("job", true); err != nil {
			t.Fatal(err)
		}
		write(t, s, "job/main.py", "1")
		pass(time.Minute)
		s.Close()
		s = w.start() // a hold outlives the program
		defer s.Close()
		pass(time.Minute)
		if n := len(w.submissions()); n != 0 || !draftOf(t, s, "job").Held {
			t.Fatalf("%d submissions, %+v", n, draftOf(t, s, "job"))
		}
		if err := s.Hold("job", false); err != nil {
			t.Fatal(err)
		}
		pass(6 * time.Second)
		if n := len(w.submissions()); n != 1 {
			t.Fatalf("%d submissions after letting it go", n)
		}
	})
}

func TestSubmitSealsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.start()
		defer s.Close()
		mkdir(t, s, "job")
		if err := s.Submit(t.Context(), "job"); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("submit of an empty folder: %v", err)
		}
		write(t, s, "job/main.py", "1")
		if err := s.Hold("job", true); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := s.Submit(t.Context(), "job"); err != nil {
				t.Fatal(err)
			}
		}
		write(t, s, "fit.py", "2")
		if err := s.Submit(t.Context(), "fit"); err != nil {
			t.Fatal(err)
		}
		if n := len(w.submissions()); n != 2 {
			t.Errorf("%d submissions", n)
		}
		if err := s.Submit(t.Context(), "nothing"); !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("submit of nothing: %v", err)
		}
	})
}

func TestDecidedIsReadOnly(t *testing.T) {
	for _, st := range []jobs.Status{jobs.Approved, jobs.Rejected, jobs.Running, jobs.Done, jobs.Failed} {
		t.Run(string(st), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				s := w.start()
				defer s.Close()
				copyIn(t, s, map[string]string{"job/main.py": "1", "job/lib/u.py": ""})
				pass(6 * time.Second)
				w.set("job", jobs.Pending, draftOf(t, s, "job").Digest)
				f, err := s.OpenFile("job/main.py", os.O_RDWR, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				w.set("job", st, draftOf(t, s, "job").Digest)
				s.Moved(s.id("job"))
				if _, err := f.WriteAt([]byte("2"), 0); !errors.Is(err, syscall.EROFS) {
					t.Errorf("write by an open handle: %v", err)
				}
				size := int64(0)
				for what, err := range map[string]error{
					"create":   open(s, "job/new.py", os.O_CREATE|os.O_WRONLY),
					"write":    open(s, "job/main.py", os.O_WRONLY),
					"truncate": s.SetAttr("job/main.py", Attr{Size: &size}),
					"mkdir":    s.Mkdir("job/more", 0o755),
					"remove":   s.Remove("job/main.py"),
					"rename":   s.Rename("job/main.py", "job/x.py"),
					"out":      s.Rename("job/lib", "lib"),
					"hold":     s.Hold("job", true),
					"submit":   s.Submit(t.Context(), "job"),
				} {
					if !errors.Is(err, syscall.EROFS) {
						t.Errorf("%s: %v", what, err)
					}
				}
				if err := open(s, "job/main.py", os.O_RDONLY); err != nil {
					t.Error(err)
				}
				pass(time.Minute)
				if n := len(w.submissions()); n != 1 {
					t.Errorf("%d submissions", n)
				}
			})
		})
	}
}

func open(s *Store, rel string, flags int) error {
	f, err := s.OpenFile(rel, flags, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// The owner decides while a change is under way: the change is not submitted, and says so.
func TestDecidedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.start()
		defer s.Close()
		copyIn(t, s, map[string]string{"job/main.py": "1"})
		pass(6 * time.Second)
		write(t, s, "job/main.py", "2")
		w.set("job", jobs.Approved, draftOf(t, s, "job").Digest)
		pass(6 * time.Second)
		if d := draftOf(t, s, "job"); len(w.submissions()) != 1 || !strings.Contains(d.Problem, "not submitted") {
			t.Errorf("%d submissions, problem %q", len(w.submissions()), d.Problem)
		}
	})
}

func TestDeletingHidesWhatWasSubmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.start()
		copyIn(t, s, map[string]string{"job/main.py": "1", "never/x.txt": "1"})
		pass(6 * time.Second)
		for _, rel := range []string{"job/main.py", "job", "never/x.txt", "never"} {
			if err := s.Remove(rel); err != nil {
				t.Fatal(err)
			}
		}
		pass(time.Minute)
		if n := len(s.Drafts()); n != 0 || len(w.submissions()) != 1 || !s.Hidden("job") || s.Hidden("never") {
			t.Fatalf("%d drafts, %d submissions", n, len(w.submissions()))
		}
		s.Close()
		s = w.start()
		defer s.Close()
		copyIn(t, s, map[string]string{"job/main.py": "1"}) // the same again: nothing new
		pass(6 * time.Second)
		if n := len(w.submissions()); n != 1 {
			t.Fatalf("%d submissions after the same bytes", n)
		}
		write(t, s, "job/main.py", "2")
		pass(6 * time.Second)
		if d := draftOf(t, s, "job"); len(w.submissions()) != 2 || d.Revision != 2 {
			t.Fatalf("%d submissions, %+v", len(w.submissions()), d)
		}
		for _, rel := range []string{"job/main.py", "job"} {
			if err := s.Remove(rel); err != nil {
				t.Fatal(err)
			}
		}
		w.set("job", jobs.Rejected, "")
		if err := s.Mkdir("job", 0o755); !errors.Is(err, iofs.ErrExist) {
			t.Errorf("mkdir of a decided name: %v", err)
		}
	})
}

// An editor saves a script that was submitted: rename to a backup, write the new one, remove the backup.
func TestEditorSavesAScript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.start()
		defer s.Close()
		write(t, s, "fit.py", "1")
		pass(6 * time.Second)
		write(t, s, ".fit.py.swp", "swap")
		write(t, s, "4913", "")
		if err := s.Remove("4913"); err != nil {
			t.Fatal(err)
		}
		if err := s.Rename("fit.py", "fit.py~"); err != nil {
			t.Fatal(err)
		}
		write(t, s, "fit.py", "2")
		if err := s.Remove("fit.py~"); err != nil {
			t.Fatal(err)
		}
		pass(6 * time.Second)
		if d := draftOf(t, s, "fit.py"); len(w.submissions()) != 2 || d.Revision != 2 || d.Problem != "" {
			t.Fatalf("%d submissions, %+v", len(w.submissions()), d)
		}
		write(t, s, ".fit.py.tmp", "3") // and the other pattern
		if err := s.Rename(".fit.py.tmp", "fit.py"); err != nil {
			t.Fatal(err)
		}
		pass(0)
		if got := w.submissions(); len(got) != 3 || got[2].files["code/fit.py"] != "3" {
			t.Fatalf("%d submissions", len(got))
		}
	})
}
