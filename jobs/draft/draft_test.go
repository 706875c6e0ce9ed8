package draft

import (
	"context"
	"errors"
	iofs "io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/statedir"
	"github.com/openmined/syftfs/jobs"
)

// world is the owner's side as a store sees it, and the state that outlives a crash.
type world struct {
	t     *testing.T
	path  string
	fault *fault

	mu      sync.Mutex
	placed  []placement
	known   map[string]jobs.Job
	refused error // of Place
	watch   func(placement)
}

type placement struct {
	change datasite.Change
	files  map[string]string
}

func newWorld(t *testing.T) *world {
	return &world{t: t, path: filepath.Join(t.TempDir(), "state"), fault: &fault{}, known: map[string]jobs.Job{}}
}

func (w *world) Place(_ context.Context, c datasite.Change, src iofs.FS) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refused != nil {
		return w.refused
	}
	p := placement{change: c, files: map[string]string{}}
	err := iofs.WalkDir(src, ".", func(name string, e iofs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		body, err := iofs.ReadFile(src, name)
		p.files[name] = string(body)
		return err
	})
	if err != nil {
		return err
	}
	w.placed = append(w.placed, p)
	if w.watch != nil {
		w.watch(p)
	}
	return nil
}

func (w *world) status(id jobs.ID) (jobs.Job, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	j, ok := w.known[id.Name]
	return j, ok
}

func (w *world) set(name string, st jobs.Status, digest jobs.Digest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known[name] = jobs.Job{ID: jobs.ID{Owner: "do@lab.org", Submitter: "ds@uni.edu", Name: name}, Status: st, Digest: digest}
}

func (w *world) names() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.known))
}

func (w *world) submissions() []placement {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.placed)
}

// open is a start of the program: what it does not close is as after a crash.
func (w *world) open() *Store {
	w.t.Helper()
	dir, err := statedir.Open(w.path, w.fault)
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := Open(Config{State: dir, Owner: "do@lab.org", Submitter: "ds@uni.edu", Place: w, Status: w.status, Known: w.names})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) start() *Store {
	w.t.Helper()
	s := w.open()
	s.Start()
	return s
}

// fault fails the steps that it holds, once each.
type fault struct {
	mu   sync.Mutex
	fail map[string]bool
	seen []string
}

var errFault = errors.New("failed by the test")

func (f *fault) Before(op string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, op)
	if f.fail[op] {
		delete(f.fail, op)
		return errFault
	}
	return nil
}

func (f *fault) set(ops ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = map[string]bool{}
	for _, op := range ops {
		f.fail[op] = true
	}
}

func write(t *testing.T, s *Store, rel, body string) {
	t.Helper()
	f, err := s.OpenFile(rel, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(body), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, s *Store, rel ...string) {
	t.Helper()
	for _, r := range rel {
		if err := s.Mkdir(r, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func draftOf(t *testing.T, s *Store, name string) Draft {
	t.Helper()
	d, err := s.Draft(name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// pass lets d go by; the drafts that are due by then are sealed.
func pass(d time.Duration) {
	<-time.After(d) // of the bubble's clock
	synctest.Wait()
}

func keys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

func TestBareFolderIsSubmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.start()
		defer s.Close()
		mkdir(t, s, "analysis", "analysis/lib")
		write(t, s, "analysis/main.py", "print(1)\n")
		write(t, s, "analysis/lib/util.py", "x = 1\n")
		pass(4900 * time.Millisecond)
		if n := len(w.submissions()); n != 0 {
			t.Fatalf("submitted before the settle time: %d", n)
		}
		pass(200 * time.Millisecond)
		got := w.submissions()
		if len(got) != 1 {
			t.Fatalf("%d submissions, %+v", len(got), draftOf(t, s, "analysis"))
		}
		if p := got[0].change.Path.String(); p != "do@lab.org/app_data/job/inbox/ds@uni.edu/analysis" || got[0].change.Op != datasite.OpSubmit || got[0].change.By.Subject != "ds@uni.edu" {
			t.Errorf("change %+v", got[0].change)
		}
		if want := []string{"code/lib/util.py", "code/main.py", "config.yaml", "run.sh"}; !slices.Equal(keys(got[0].files), want) {
			t.Errorf("files %v", keys(got[0].files))
		}
		d := draftOf(t, s, "analysis")
		if d.Revision != 1 || d.Digest == "" || d.Problem != "" || d.Waiting || len(d.Made) != 2 {
			t.Errorf("draft %+v", d)
		}
		write(t, s, "analysis/main.py", "print(1)\n") // the same again
		pass(10 * time.Second)
		if n := len(w.submissions()); n != 1 {
			t.Errorf("%d submissions after copying the same again", n)
		}
		write(t, s, "analysis/main.py", "print(2)\n")
		pass(10 * time.Second)
		if got := w.submissions(); len(got) != 2 || got[1].files["code/main.py"] != "print(2)\n" {
			t.Errorf("no second revision: %d", len(got))
		}
		if d := draftOf(t, s, "analysis"); d.Revision != 2 {
			t.Errorf("revision %d", d.Revision)
		}
	})
}
