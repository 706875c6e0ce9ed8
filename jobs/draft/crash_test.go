package draft

import (
	"errors"
	iofs "io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openmined/syftfs/jobs"
)

// The program ends at each step of a sealing; after the next start the owner has the job once, and only those bytes.
func TestCrashWhileSealing(t *testing.T) {
	for _, tt := range []struct {
		step    string
		known   bool // the owner saw it before the crash
		places  int  // in all
		revised bool // the draft is changed before the next start takes it up
	}{
		{step: "seal:stage", places: 1},
		{step: "draft:rename", places: 1}, // the stage record itself
		{step: "seal:place", places: 1},
		{step: "seal:receipt", known: true, places: 1},
		{step: "seal:receipt", places: 2}, // nobody can tell; the same bytes again are harmless
		{step: "seal:receipt", known: true, places: 2, revised: true},
		{step: "seal:place", places: 1, revised: true},
	} {
		t.Run(tt.step, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				s := w.open()
				copyIn(t, s, map[string]string{"job/main.py": "1"})
				w.fault.set(tt.step)
				if err := s.Submit(t.Context(), "job"); !errors.Is(err, errFault) {
					t.Fatalf("submit: %v", err)
				}
				before := w.submissions()
				if tt.known {
					// What the owner's intake makes of it.
					files := map[string]string{}
					for k, v := range before[0].files {
						files[k] = v
					}
					w.set("job", jobs.Pending, digestOf(t, files))
				}
				pass(time.Hour) // submitted_at would be another one
				s = w.open()
				if tt.revised {
					write(t, s, "job/main.py", "2")
				}
				s.Start()
				defer s.Close()
				pass(6 * time.Second)
				got := w.submissions()
				if len(got) != tt.places {
					t.Fatalf("%d submissions, want %d; %+v", len(got), tt.places, draftOf(t, s, "job"))
				}
				d := draftOf(t, s, "job")
				last := got[len(got)-1]
				if d.Digest != digestOf(t, last.files) || d.Problem != "" || d.Waiting {
					t.Errorf("draft %+v", d)
				}
				if len(got) == 2 && !tt.revised && digestOf(t, got[0].files) != digestOf(t, got[1].files) {
					t.Errorf("a second submission with other bytes:\n%q\n%q", got[0].files, got[1].files)
				}
				if want := 1 + len(before); tt.revised && d.Revision != want && d.Revision != 2 {
					t.Errorf("revision %d", d.Revision)
				}
				pass(time.Hour)
				if n := len(w.submissions()); n != tt.places {
					t.Errorf("%d submissions in the end", n)
				}
				left, err := os.ReadDir(s.cfg.State.Path(stagingDir))
				if err != nil && !errors.Is(err, iofs.ErrNotExist) || len(left) > 0 {
					t.Errorf("staging holds %v, %v", left, err)
				}
			})
		})
	}
}

func digestOf(t *testing.T, files map[string]string) jobs.Digest {
	t.Helper()
	dir := t.TempDir()
	for p, body := range files {
		full := dir + "/" + p
		if err := os.MkdirAll(full[:strings.LastIndex(full, "/")], 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m, err := jobs.ReadManifest(t.Context(), os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	return jobs.DigestOf(m)
}

// Whatever step fails, what was copied is there after the next start, under exactly one of its names.
func TestCrashWhileChanging(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(s *Store) error
		want []string // any of them
	}{
		{"mkdir", func(s *Store) error { return s.Mkdir("new", 0o755) }, []string{"job"}},
		{"rename at the top", func(s *Store) error { return s.Rename("job", "new") }, []string{"job", "new"}},
		{"rename to the top", func(s *Store) error { return s.Rename("job/lib", "new") }, []string{"job"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			s := w.open()
			copyIn(t, s, map[string]string{"job/main.py": "1", "job/lib/u.py": "2"})
			w.fault.set("draft:rename")
			if err := tt.do(s); !errors.Is(err, errFault) {
				t.Fatalf("%v", err)
			}
			for range 2 {
				d := s.Drafts()
				if len(d) != 1 || !slices.Contains(tt.want, d[0].Name) {
					t.Fatalf("drafts %+v", d)
				}
				if i, err := s.Stat(d[0].Name + "/lib/u.py"); err != nil || i.Size != 1 {
					t.Errorf("content: %v", err)
				}
				s = w.open()
			}
		})
	}
}

// Content that was moved before the record of its old place was taken away belongs to the new place.
func TestCrashBetweenMoveAndRecord(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	copyIn(t, s, map[string]string{"job/main.py": "1"})
	d, err := s.create("new", false)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.present["job"].host(""), d.host("")); err != nil {
		t.Fatal(err)
	}
	s = w.open()
	if all := s.Drafts(); len(all) != 1 || all[0].Name != "new" {
		t.Errorf("drafts %+v", all)
	}
}

func TestStateThatCannotBeReadIsKept(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	copyIn(t, s, map[string]string{"job/main.py": "1"})
	record := s.present["job"].dir.Path(recordFile)
	if err := os.WriteFile(record, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(s.cfg); err == nil || !strings.Contains(err.Error(), record) {
		t.Errorf("open: %v", err)
	}
}

// The way to the owner is closed for a while: the draft waits, says so, and goes when it is open.
func TestPlaceIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.refused = iofs.ErrPermission
		s := w.start()
		defer s.Close()
		copyIn(t, s, map[string]string{"job/main.py": "1"})
		pass(time.Minute)
		if d := draftOf(t, s, "job"); !strings.Contains(d.Problem, "does not let you submit") || !d.Waiting {
			t.Errorf("draft %+v", d)
		}
		w.mu.Lock()
		w.refused = nil
		w.mu.Unlock()
		pass(6 * time.Minute)
		if d := draftOf(t, s, "job"); len(w.submissions()) != 1 || d.Problem != "" || d.Revision != 1 {
			t.Errorf("%d submissions, %+v", len(w.submissions()), d)
		}
	})
}

// A restart alone submits nothing again.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.start()
		copyIn(t, s, map[string]string{"job/main.py": "1", "fit.sh": "2"})
		pass(6 * time.Second)
		first := draftOf(t, s, "job")
		s.Close()
		for range 3 {
			s = w.start()
			pass(time.Minute)
			s.Close()
		}
		if n := len(w.submissions()); n != 2 {
			t.Errorf("%d submissions", n)
		}
		if d := draftOf(t, s, "job"); d.Digest != first.Digest || d.Revision != 1 || len(d.Made) != 2 {
			t.Errorf("draft %+v", d)
		}
	})
}

// The program ends while a file is open: whoever copied was told so, and the half is not submitted behind their back.
func TestCrashWhileCopying(t *testing.T) {
	for _, tt := range []struct {
		name string
		then func(t *testing.T, s *Store)
		want string // of main.py, submitted; "" if nothing is
	}{
		{"nothing more happens", func(*testing.T, *Store) {}, ""},
		{"copied again", func(t *testing.T, s *Store) { write(t, s, "job/main.py", "whole") }, "whole"},
		{"submitted as it is", func(t *testing.T, s *Store) {
			if err := s.Submit(t.Context(), "job"); err != nil {
				t.Error(err)
			}
		}, "ha"},
		{"another start", func(t *testing.T, s *Store) {
			if _, err := Open(s.cfg); err != nil {
				t.Error(err)
			}
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				s := w.start()
				mkdir(t, s, ".job", "done")
				write(t, s, "done/main.py", "1")
				f, err := s.OpenFile(".job/main.py", os.O_WRONLY|os.O_CREATE, 0o644)
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Rename(".job", "job"); err != nil { // the mark goes along
					t.Fatal(err)
				}
				if _, err := f.WriteAt([]byte("ha"), 0); err != nil {
					t.Fatal(err)
				}
				s.Close() // the handle stays open, as for a process that is killed
				s = w.start()
				defer s.Close()
				pass(time.Minute)
				if d := draftOf(t, s, "job"); !strings.Contains(d.Problem, "may not be whole") {
					t.Errorf("draft %+v", d)
				}
				tt.then(t, s)
				pass(time.Minute)
				got := w.submissions()
				if got[0].change.Path.Base() != "done" {
					t.Errorf("the finished copy waits for the other one")
				}
				switch {
				case tt.want == "" && len(got) != 1:
					t.Errorf("%d submissions", len(got))
				case tt.want != "" && (len(got) != 2 || got[1].files["code/main.py"] != tt.want):
					t.Errorf("submissions %v", got)
				}
			})
		})
	}
}
