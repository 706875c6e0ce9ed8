package jobs

import (
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"pgregory.net/rapid"
)

// replica is what owen delivered, in a folder; it counts what is opened.
type replica struct {
	*dirTree
	t      *testing.T
	opened []string
}

func newReplica(t *testing.T) (*replica, *Delivered) {
	r := &replica{dirTree: &dirTree{root: t.TempDir(), feed: newFeed()}, t: t}
	return r, NewDelivered(r, owen, rachel)
}

func (r *replica) OpenFile(ctx context.Context, p datasite.Path) (io.ReadCloser, error) {
	r.opened = append(r.opened, p.Base())
	return r.dirTree.OpenFile(ctx, p)
}

func (r *replica) put(p datasite.Path, body string) {
	r.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(r.host(p)), 0o755), os.WriteFile(r.host(p), []byte(body), 0o644)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *replica) submission(id ID) {
	r.t.Helper()
	src, err := Config{Name: id.Name, SubmittedAt: time.Date(2026, 1, 1, 0, 0, 42, 0, time.UTC), Entrypoint: "main.py", Files: []string{"main.py"}}.Marshal()
	if err != nil {
		r.t.Fatal(err)
	}
	r.put(id.Inbox().Join(ConfigFile), string(src))
	r.put(id.Inbox().Join(RunFile), "true\n")
	r.put(id.Inbox().Join("code/main.py"), "print()\n")
}

// Literal answers of a Python owner.
const (
	pendingYAML = "approval_method: null\napproved_at: null\napproved_by: null\ncompleted_at: null\nreceived_at: '2026-01-01T00:03:30.500000Z'\n" +
		"rejected_at: null\nrejected_by: null\nreturn_code: null\nreview_reason: null\nstatus: pending\n"
	doneYAML = "approval_method: manual\napproved_at: '2026-01-01T00:03:40Z'\napproved_by: owen@centre.example\ncompleted_at: '2026-01-01T00:03:50.765432Z'\n" +
		"received_at: '2026-01-01T00:03:31.250000Z'\nrejected_at: null\nrejected_by: null\nreturn_code: 0\nreview_reason: looks fine\nstatus: done\n"
	rejectedYAML = "received_at: '2026-01-01T00:03:31.250000Z'\nrejected_at: '2026-01-01T00:03:41.500000Z'\nrejected_by: owen@centre.example\n" +
		"rejection_reason: \"not needed \\u2013 see notes\"\nstatus: rejected\n"
)

func TestDeliveredState(t *testing.T) {
	tests := []struct {
		name    string
		state   string // "-": none
		inbox   bool
		want    Status
		message string
		reason  string
	}{
		{"only submitted", "-", true, Received, "", ""},
		{"pending", pendingYAML, true, Pending, "", ""},
		{"done", doneYAML, true, Done, "", "looks fine"},
		{"the older name of the reason", rejectedYAML, true, Rejected, "", "not needed – see notes"},
		{"answered without a submission here", doneYAML, false, Done, "", "looks fine"},
		{"empty, as while it is written in place", "", true, Unknown, "is empty", ""},
		{"no YAML", "\tstatus: done", true, Unknown, "state.yaml", ""},
		{"another status", "status: shipped\n", true, Unknown, "status", ""},
		{"an alias", "status: &a done\nreview_reason: *a\n", true, Unknown, "not allowed", ""},
		{"too long", "status: done\n#" + strings.Repeat("x", MaxConfigBytes), true, Unknown, "at most", ""},
		{"not text", "status: done\x00", true, Unknown, "UTF-8", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, d := newReplica(t)
			id := job1("job")
			if tt.inbox {
				r.submission(id)
			}
			if tt.state != "-" {
				r.put(id.Review().Join(StateFile), tt.state)
			}
			j, err := d.Get(id)
			if err != nil || j.ID != id || j.Status != tt.want || !strings.Contains(j.Message, tt.message) || (j.Message == "") != (tt.message == "") || j.State.ReviewReason != tt.reason {
				t.Fatalf("%+v, %v", j, err)
			}
			if tt.inbox && (len(j.Files) != 3 || j.Digest == "" || j.Config.Entrypoint != "main.py" || len(j.Notes) != 0) {
				t.Errorf("the submission: %+v", j)
			}
			if list := d.List(); len(list) != 1 || list[0].Status != j.Status || !slices.Equal(d.Known(), []string{"job"}) {
				t.Errorf("listed as %+v", list)
			}
			if tt.want == Unknown && j.Status.Decided() {
				t.Error("what is not known is decided")
			}
		})
	}
}

func TestDeliveredWhatIsAJob(t *testing.T) {
	r, d := newReplica(t)
	other := ID{Owner: owen, Submitter: nina, Name: "theirs"}
	r.submission(other)
	r.put(ID{Owner: owen, Submitter: rachel}.Review().Join("syft.pub.yaml"), "rules: []\n")
	r.put(job1("outputs only").Review().Join("outputs/x"), "")
	r.put(job1("linked").Inbox().Join("run.sh"), "")
	if err := os.Symlink("/etc/passwd", r.host(job1("linked").Inbox().Join("config.yaml"))); err != nil {
		t.Fatal(err)
	}
	r.put(job1("broken").Inbox().Join("config.yaml"), "[")
	r.put(job1("folder").Review().Join(StateFile, "x"), "")
	for _, p := range []datasite.Path{job1("emptied").Inbox().Join("code"), job1("empty answer").Review()} {
		if err := os.MkdirAll(r.host(p), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r.put(job1("old").legacy().Join("approved"), "")
	r.put(job1("old").legacy().Join("done"), "")
	r.put(job1("g2").legacy().Join("run.sh"), "")

	want := map[string]struct {
		status Status
		says   string
	}{
		"outputs only": {Unknown, "without state.yaml"}, "linked": {Received, "symbolic link"}, "broken": {Received, "config.yaml"},
		"folder": {Unknown, "a folder"}, "old": {Legacy, "(done)"}, "g2": {Legacy, "(not decided)"},
	}
	for _, j := range d.List() {
		w, ok := want[j.ID.Name]
		if said := j.Message + strings.Join(j.Notes, ""); !ok || j.Status != w.status || !strings.Contains(said, w.says) {
			t.Errorf("%s is %s: %q", j.ID.Name, j.Status, said)
		}
		delete(want, j.ID.Name)
	}
	if len(want) > 0 {
		t.Errorf("not listed: %v", want)
	}
	for _, id := range []ID{other, {Owner: nina, Submitter: rachel, Name: "x"}, job1("emptied"), job1(".."), job1("a/b"), job1("syft.pub.yaml"), job1("none"), job1("")} {
		if j, err := d.Get(id); !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("%q: %+v, %v", id, j, err)
		}
	}
}

func TestDeliveredMoved(t *testing.T) {
	_, d := newReplica(t)
	id := job1("job")
	for _, tt := range []struct {
		path string
		want string // of the job; "-": none
	}{
		{"app_data/job/inbox/rachel@science.example/job", "job"},
		{"app_data/job/inbox/rachel@science.example/job/code/a/b.py", "job"},
		{"app_data/job/review/rachel@science.example/job/outputs/x", "job"},
		{"app_data/job/rachel@science.example/job/done", "job"},
		{"app_data/job/review/rachel@science.example", ""},
		{"app_data/job", ""},
		{"", ""},
		{"app_data/job/review/rachel@science.example/syft.pub.yaml", "-"},
		{"app_data/job/review/nina@statistics.example/job/state.yaml", "-"},
		{"public/x", "-"},
		{"app_data/job/inbox/rachel@science.example.org/job", "-"},
	} {
		got, ok := d.Moved(datasite.Path{Owner: owen, Rel: tt.path})
		if ok != (tt.want != "-") || ok && got != (ID{Owner: owen, Submitter: rachel, Name: tt.want}) {
			t.Errorf("%q: %+v, %v", tt.path, got, ok)
		}
	}
	if got, ok := d.Moved(datasite.Path{Owner: rachel, Rel: id.Inbox().Rel}); ok {
		t.Errorf("in another datasite: %+v", got)
	}
}

// What was read is not read again, until its stamps or Moved say that it changed.
func TestDeliveredReadsOnce(t *testing.T) {
	r, d := newReplica(t)
	id := job1("job")
	r.submission(id)
	r.put(id.Review().Join(StateFile), pendingYAML)
	reads := func(want ...string) Job {
		t.Helper()
		r.opened = nil
		j, err := d.Get(id)
		if slices.Sort(r.opened); err != nil || !slices.Equal(r.opened, want) {
			t.Fatalf("opened %v, want %v; %v", r.opened, want, err)
		}
		return j
	}
	first := reads("config.yaml", "config.yaml", "main.py", "run.sh", "state.yaml")
	reads()
	if list := d.List(); len(list) != 1 || len(r.opened) != 0 {
		t.Fatalf("listing opened %v", r.opened)
	}
	// An answer comes by a rename: its stamp tells, and the submission is not read again.
	if err := r.dirTree.Write(t.Context(), id.Review().Join(StateFile), []byte(doneYAML)); err != nil {
		t.Fatal(err)
	}
	if j := reads("state.yaml"); j.Status != Done || j.Digest != first.Digest || len(j.Files) != 3 {
		t.Errorf("%+v", j)
	}
	d.Moved(id.Review().Join("outputs/x"))
	reads("state.yaml")
	// A change deep in the submission shows in no stamp that is looked at.
	r.put(id.Inbox().Join("code/main.py"), "print(2)\n")
	reads()
	d.Moved(id.Inbox().Join("code/main.py"))
	if j := reads("config.yaml", "config.yaml", "main.py", "run.sh", "state.yaml"); j.Digest == first.Digest || j.Status != Done {
		t.Errorf("%+v", j)
	}
	// All of it goes.
	if err := errors.Join(os.RemoveAll(r.host(id.Inbox())), os.RemoveAll(r.host(id.Review()))); err != nil {
		t.Fatal(err)
	}
	if _, ok := d.Status(id); ok {
		t.Error("there after it is gone")
	}
}

// Whatever was delivered in whatever order: what is kept tells the same as reading anew, once Moved was told.
func TestDeliveredModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		root, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		r := &replica{dirTree: &dirTree{root: root, feed: newFeed()}, t: t}
		kept := NewDelivered(r, owen, rachel)
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			id := job1(rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "job"))
			p := rapid.SampledFrom([]datasite.Path{
				id.Inbox().Join(ConfigFile), id.Inbox().Join(RunFile), id.Inbox().Join("code/lib/u.py"), id.Review().Join(StateFile), id.Review().Join("outputs/x"),
				id.legacy().Join("done"), id.Inbox(), id.Review(),
			}).Draw(rt, "path")
			switch how := rapid.SampledFrom([]string{"write", "replace", "remove"}).Draw(rt, "how"); {
			case how == "remove", p == id.Inbox(), p == id.Review():
				err = os.RemoveAll(r.host(p))
			default:
				body := rapid.SampledFrom([]string{"", pendingYAML, doneYAML, "[", "name: a\nsubmitted_at: '2026-01-01T00:00:42Z'\n"}).Draw(rt, "body")
				if how == "write" {
					r.put(p, body)
				} else {
					err = r.dirTree.Write(context.Background(), p, []byte(body))
				}
			}
			if err != nil {
				rt.Fatal(err)
			}
			if got, ok := kept.Moved(p); !ok || got != id {
				rt.Fatalf("%s concerns %+v, %v", p, got, ok)
			}
			for _, name := range []string{"a", "b"} {
				got, gerr := kept.Get(job1(name))
				want, werr := NewDelivered(r, owen, rachel).Get(job1(name))
				if (gerr == nil) != (werr == nil) || !reflect.DeepEqual(got, want) {
					rt.Fatalf("after %s: %+v, %v; anew %+v, %v", p, got, gerr, want, werr)
				}
			}
		}
	})
}
