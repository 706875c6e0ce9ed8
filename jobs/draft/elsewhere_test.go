package draft

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openmined/syftfs/fs/statedir"
	"github.com/openmined/syftfs/jobs"
)

// openFor is open for an owner elsewhere.
func (w *world) openFor(more func(*Config)) *Store {
	w.t.Helper()
	dir, err := statedir.Open(w.path, w.fault)
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := Config{State: dir, Owner: "do@lab.org", Submitter: "ds@uni.edu", Place: w, Status: w.status, Known: w.names}
	more(&cfg)
	s, err := Open(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	s.Start()
	return s
}

// delivered makes the owner's side know of what was placed last.
func (w *world) delivered(name string, st jobs.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	j := jobs.Job{ID: jobs.ID{Owner: "do@lab.org", Submitter: "ds@uni.edu", Name: name}, Status: st}
	for p := range w.placed[len(w.placed)-1].files {
		j.Files = append(j.Files, jobs.File{Path: p})
	}
	w.known[name] = j
}

func TestARevisionThatDropsAFile(t *testing.T) {
	for _, tt := range []struct {
		name      string
		deletions func() bool
		placed    int
	}{
		{"an owner that nobody asks about", nil, 2},
		{"an owner that takes deletions", func() bool { return true }, 2},
		{"an owner that does not", func() bool { return false }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				s := w.openFor(func(c *Config) { c.Deletions = tt.deletions })
				defer s.Close()
				copyIn(t, s, map[string]string{"job/main.py": "1", "job/lib/u.py": "", "job/lib/v.py": ""})
				pass(6 * time.Second)
				w.delivered("job", jobs.Received)
				if err := s.Remove("job/lib/u.py"); err != nil {
					t.Fatal(err)
				}
				pass(6 * time.Second)
				d := draftOf(t, s, "job")
				if n := len(w.submissions()); n != tt.placed {
					t.Fatalf("%d submissions, %+v", n, d)
				}
				if tt.placed == 2 {
					if d.Problem != "" || d.Revision != 2 {
						t.Errorf("draft %+v", d)
					}
					return
				}
				if !strings.Contains(d.Problem, "code/lib/u.py") || !strings.Contains(d.Problem, "new name") || d.Revision != 1 {
					t.Fatalf("draft %+v", d)
				}
				// It is the job's only fault: a change beside it does not send it, putting the file back does.
				write(t, s, "job/main.py", "2")
				pass(6 * time.Second)
				if n := len(w.submissions()); n != 1 {
					t.Fatalf("%d submissions", n)
				}
				write(t, s, "job/lib/u.py", "x = 1\n")
				pass(6 * time.Second)
				if d := draftOf(t, s, "job"); len(w.submissions()) != 2 || d.Problem != "" || d.Revision != 2 {
					t.Errorf("put back: %+v", d)
				}
				// Under a new name it is another job.
				copyIn(t, s, map[string]string{"again/main.py": "2"})
				pass(6 * time.Second)
				if d := draftOf(t, s, "again"); len(w.submissions()) != 3 || d.Revision != 1 {
					t.Errorf("under a new name: %+v", d)
				}
			})
		})
	}
}

func TestWhatRunShInstalls(t *testing.T) {
	const usual = `uv pip install "syft-client==0.1.117"`
	for name, tt := range map[string]struct {
		install func() string
		want    string
	}{
		"nobody asked":           {nil, usual},
		"nothing advertised":     {func() string { return "" }, usual},
		"a repository":           {func() string { return "git+https://git.example/syft-client.git@abc" }, `uv pip install "git+https://git.example/syft-client.git@abc"`},
		"what a shell would run": {func() string { return `x" ; touch /tmp/y "` }, usual},
		"a variable":             {func() string { return "$HOME" }, usual},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				s := w.openFor(func(c *Config) { c.Install = tt.install })
				defer s.Close()
				write(t, s, "fit.py", "print()\n")
				pass(6 * time.Second)
				if got := w.submissions(); len(got) != 1 || !strings.Contains(got[0].files["run.sh"], tt.want+"\n") {
					t.Errorf("%+v", got)
				}
			})
		})
	}
}
