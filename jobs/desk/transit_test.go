package desk

import (
	"errors"
	iofs "io/fs"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/virtual"
	"github.com/openmined/syftfs/jobs"
)

// carrier is what carries submissions to an owner elsewhere.
type carrier struct {
	mu    sync.Mutex
	where Transit                   // of folders
	files map[datasite.Path]Transit // of files that differ
}

func (c *carrier) set(where Transit, files map[datasite.Path]Transit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.where, c.files = where, files
}

func (c *carrier) sent(p datasite.Path) Transit {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w, ok := c.files[p]; ok {
		return w
	}
	return c.where
}

func newSender(t *testing.T, e *engine, c *carrier) *Submitter {
	t.Helper()
	return newSubmitter(t, e, func(cfg *SubmitterConfig) { cfg.Sent = c.sent })
}

func TestSubmitterOfAnOwnerElsewhere(t *testing.T) {
	since := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	file := jobID("job").Inbox().Join("code/main.py")
	for _, tt := range []struct {
		name   string
		status jobs.Status
		says   string // of the owner's side
		where  Transit
		files  map[datasite.Path]Transit
		attr   string
		want   []string
		not    []string
	}{
		{"not noticed yet", jobs.Received, "", Transit{State: "local"}, nil, "submitted", []string{"submitted: it waits to be sent\n", "nothing to do"}, []string{"offline"}},
		{"offline", jobs.Received, "", Transit{State: "queued", Offline: since}, nil, "submitted", []string{"submitted: it waits to be sent (offline since 2026-01-02 03:04 UTC)"}, nil},
		{"uploading", jobs.Received, "", Transit{State: "uploading"}, nil, "submitted", []string{"submitted: it is being sent"}, nil},
		{"proposed", jobs.Received, "", Transit{State: "proposed"}, nil, "submitted", []string{"submitted: it was sent; the owner's side has not taken it yet"}, nil},
		{"received", jobs.Received, "", Transit{State: "remote"}, nil, "received", []string{"received: it is with the owner and was not looked at yet"}, []string{"not all of it"}},
		{"pending", jobs.Pending, "", Transit{State: "remote"}, nil, "pending", []string{"pending: it waits for the owner's decision"}, []string{"before:"}},
		{"the next revision", jobs.Pending, "", Transit{State: "queued"}, nil, "submitted", []string{"submitted: it waits to be sent", "the revision before is pending"}, nil},
		{"refused", jobs.Received, "", Transit{State: "local"}, map[datasite.Path]Transit{file: {State: "refused", Reason: "it is not allowed"}}, "submitted",
			[]string{"submitted: the owner's side did not take it", "it is not allowed", "copy the folder again"}, []string{"nothing to do"}},
		{"cannot be sent", jobs.Received, "", Transit{State: "error", Reason: "it is too large"}, nil, "submitted", []string{"it cannot be sent", "it is too large"}, nil},
		{"conflict", jobs.Pending, "", Transit{State: "conflict"}, nil, "submitted", []string{"another version"}, nil},
		{"decided", jobs.Done, "", Transit{State: "remote"}, nil, "done", []string{"done: it has run"}, []string{"an earlier one"}},
		{"decided before the revision came", jobs.Approved, "", Transit{State: "queued"}, nil, "approved", []string{"approved:", "revision 1: it waits to be sent; an earlier one may be what was decided"}, nil},
		{"broken answer", jobs.Unknown, "state.yaml: is empty", Transit{State: "remote"}, nil, "unknown", []string{"unknown: its state is not known", "state.yaml: is empty"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, c := newEngine(), &carrier{}
				s := newSender(t, e, c)
				defer s.cfg.Drafts.Close()
				copyAll(t, s, map[string]string{"job/main.py": "1"})
				if v, err := s.Xattr(t.Context(), "job", "user.syft.state"); err != nil || string(v) != "local" {
					t.Errorf("state of a draft %q, %v", v, err)
				}
				wait(6 * time.Second)
				e.mu.Lock()
				j := e.jobs[jobID("job")]
				j.Status, j.Message, j.Files = tt.status, tt.says, []jobs.File{{Path: "code/main.py"}, {Path: "run.sh"}}
				e.jobs[j.ID] = j
				e.mu.Unlock()
				c.set(tt.where, tt.files)
				st := read(t, s, "job/status")
				for _, want := range tt.want {
					if !strings.Contains(st, want) {
						t.Errorf("no %q in\n%s", want, st)
					}
				}
				for _, not := range tt.not {
					if strings.Contains(st, not) {
						t.Errorf("%q in\n%s", not, st)
					}
				}
				if v, err := s.Xattr(t.Context(), "job", "user.syft.status"); err != nil || string(v) != tt.attr {
					t.Errorf("status %q, %v", v, err)
				}
				state := tt.where.State
				if w, ok := tt.files[file]; ok {
					state = w.State
				}
				if v, err := s.Xattr(t.Context(), "job", "user.syft.state"); err != nil || string(v) != state {
					t.Errorf("state %q, %v", v, err)
				}
			})
		})
	}
}

func TestSubmitterSeesJobsThatWereDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		s := newSender(t, e, &carrier{})
		defer s.cfg.Drafts.Close()
		e.jobs[jobID("python")] = jobs.Job{ID: jobID("python"), Status: jobs.Received, Notes: []string{"config.yaml: is empty"}}
		e.jobs[jobID("old")] = jobs.Job{ID: jobID("old"), Status: jobs.Legacy, Message: "it is only listed"}
		for name, want := range map[string][]string{
			"python": {"received: it is with the owner", "note:      config.yaml: is empty"},
			"old":    {"legacy: an older client made it", "it is only listed"},
		} {
			st := read(t, s, name+"/status")
			for _, w := range want {
				if !strings.Contains(st, w) {
					t.Errorf("%s: no %q in\n%s", name, w, st)
				}
			}
			if v, err := s.Xattr(t.Context(), name, "user.syft.state"); err != nil || string(v) != "remote" {
				t.Errorf("state %q, %v", v, err)
			}
		}
		var told []string
		s.OnChange(func(rel string) { told = append(told, rel) })
		s.Moved(jobs.ID{Owner: owner, Submitter: submitter})
		s.Moved(jobs.ID{Owner: owner, Submitter: "other@uni.edu"})
		if !slices.Equal(told, []string{""}) {
			t.Errorf("told %q", told)
		}
	})
}

// Two clients of one person: while a draft is copied here, a job of its name arrives from the other.
func TestSubmitterSharesANameWithAnotherClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		s := newSender(t, e, &carrier{})
		defer s.cfg.Drafts.Close()
		copyAll(t, s, map[string]string{"job/main.py": "1", "fit.py": "1"})
		for _, name := range []string{"job", "fit"} {
			e.set(name, jobs.Done)
			e.review(name, "state.yaml")
			e.review(name, "outputs/x")
		}
		wait(6 * time.Second)
		for name, rel := range map[string]string{"job": "job/main.py", "fit": "fit.py"} {
			st := read(t, s, name+"/status")
			if !strings.Contains(st, "draft: nothing of it was sent") || !strings.Contains(st, "from elsewhere; rename this one") {
				t.Errorf("status\n%s", st)
			}
			if _, err := s.Lookup(t.Context(), name+"/outputs"); !errors.Is(err, iofs.ErrNotExist) {
				t.Errorf("the other's outputs: %v", err)
			}
			if err := copyFile(s, rel, "2"); err != nil {
				t.Errorf("writing on: %v", err)
			}
		}
		if err := s.Rename(t.Context(), "job", "job-2"); err != nil {
			t.Fatal(err)
		}
		wait(time.Second)
		if d, err := s.cfg.Drafts.Draft("job-2"); err != nil || d.Revision != 1 {
			t.Errorf("renamed: %+v, %v", d, err)
		}
		if st := read(t, s, "job/status"); !strings.Contains(st, "done: it has run") {
			t.Errorf("status\n%s", st)
		}
		if o, err := s.Lookup(t.Context(), "job/outputs"); err != nil || o.Kind != virtual.Stored {
			t.Errorf("outputs: %+v, %v", o, err)
		}
	})
}

// An owner on this machine has no way to go.
func TestSubmitterOfThisMachineHasNoState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubmitter(t, newEngine())
		defer s.cfg.Drafts.Close()
		copyAll(t, s, map[string]string{"job/main.py": "1"})
		if v, err := s.Xattr(t.Context(), "job", "user.syft.state"); !errors.Is(err, syscall.ENODATA) {
			t.Errorf("%q, %v", v, err)
		}
	})
}
