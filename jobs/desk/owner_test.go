package desk

import (
	"bytes"
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/virtual"
	"github.com/openmined/syftfs/jobs"
	"github.com/openmined/syftfs/jobs/release"
)

const (
	owner     = "do@lab.org"
	submitter = "ds@uni.edu"
	digest    = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

func jobID(name string) jobs.ID { return jobs.ID{Owner: owner, Submitter: submitter, Name: name} }

// engine is an owner's side in memory: jobs, intake copies, held results and the stored tree.
type engine struct {
	mu       sync.Mutex
	jobs     map[jobs.ID]jobs.Job
	intake   map[jobs.ID]iofs.FS
	hold     map[jobs.ID]fstest.MapFS
	tree     fstest.MapFS // by the full path
	approved []jobs.Approval
	rejected []string
	by       datasite.Identity
}

func newEngine() *engine {
	return &engine{jobs: map[jobs.ID]jobs.Job{}, intake: map[jobs.ID]iofs.FS{}, hold: map[jobs.ID]fstest.MapFS{}, tree: fstest.MapFS{}}
}

func (e *engine) add(name string, st jobs.Status) jobs.ID {
	id := jobID(name)
	e.jobs[id] = jobs.Job{ID: id, Status: st, Revision: 1, Digest: digest, Size: 2048, Files: make([]jobs.File, 3),
		Offered: []string{"census", "trial"}, Preselected: []string{"census"}, Message: "because"}
	e.intake[id] = fstest.MapFS{"config.yaml": {Data: []byte("name: x\n")}, "run.sh": {Data: []byte("true\n")}, "code/main.py": {Data: []byte("print()\n")}}
	e.tree[path.Join(id.Review().String(), "state.yaml")] = &fstest.MapFile{Data: []byte("status: " + string(st) + "\n")}
	return id
}

func (e *engine) List() []jobs.Job {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []jobs.Job
	for _, j := range e.jobs {
		out = append(out, j)
	}
	return out
}

func (e *engine) Get(id jobs.ID) (jobs.Job, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	j, ok := e.jobs[id]
	if !ok {
		return jobs.Job{}, missing("get", id.String())
	}
	return j, nil
}

func (e *engine) Intake(id jobs.ID) (iofs.FS, error) {
	if f := e.intake[id]; f != nil {
		return f, nil
	}
	return nil, missing("intake", id.String())
}

func (e *engine) Approve(_ context.Context, id jobs.ID, by datasite.Identity, a jobs.Approval) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	j := e.jobs[id]
	if j.Status != jobs.Pending {
		return errors.New("it is not pending")
	}
	if !strings.HasPrefix(digest, "sha256:"+a.Digest) {
		return errors.New("the digest is another one")
	}
	j.Status = jobs.Approved
	e.jobs[id], e.approved, e.by = j, append(e.approved, a), by
	return nil
}

func (e *engine) Reject(_ context.Context, id jobs.ID, by datasite.Identity, reason string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	j := e.jobs[id]
	j.Status = jobs.Rejected
	e.jobs[id], e.rejected, e.by = j, append(e.rejected, reason), by
	return nil
}

func (e *engine) Held(id jobs.ID) ([]release.Item, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []release.Item
	for p, f := range e.hold[id] {
		out = append(out, release.Item{Path: p, Size: int64(len(f.Data))})
	}
	slices.SortFunc(out, func(a, b release.Item) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

func (e *engine) FS(id jobs.ID) (iofs.FS, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.hold[id] == nil {
		return nil, missing("held", id.String())
	}
	return e.hold[id], nil
}

func (e *engine) Release(_ context.Context, id jobs.ID, names []string, _ datasite.Identity) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, n := range names {
		for p, f := range e.hold[id] {
			if p == n || strings.HasPrefix(p, n+"/") {
				e.tree[path.Join(id.Review().String(), "outputs", p)] = f
				delete(e.hold[id], p)
			}
		}
	}
	return nil
}

func (e *engine) Stat(_ context.Context, p datasite.Path) (datasite.Entry, error) {
	i, err := e.tree.Stat(p.String())
	if err != nil {
		return datasite.Entry{}, err
	}
	return datasite.Entry{Name: i.Name(), Mode: i.Mode()}, nil
}

func (e *engine) OpenFile(_ context.Context, p datasite.Path) (io.ReadCloser, error) {
	return e.tree.Open(p.String())
}

func (e *engine) visible(_ context.Context, p datasite.Path) bool {
	_, err := e.tree.Stat(p.String())
	return err == nil
}

// stored is the tree part, whose List has another meaning than the engine's.
type storedTree struct{ *engine }

func (e storedTree) List(_ context.Context, p datasite.Path) ([]datasite.Entry, error) {
	entries, err := e.tree.ReadDir(p.String())
	var out []datasite.Entry
	for _, d := range entries {
		out = append(out, datasite.Entry{Name: d.Name()})
	}
	return out, err
}

func newOwner(e *engine) *Owner {
	return NewOwner(OwnerConfig{Owner: owner, Jobs: e, Intake: e, Decide: e, Held: e, Tree: storedTree{e}})
}

func names(t *testing.T, p virtual.Provider, rel string) []string {
	t.Helper()
	entries, err := p.List(t.Context(), rel)
	if err != nil {
		t.Fatalf("list %q: %v", rel, err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name)
		got, err := p.Lookup(t.Context(), path.Join(rel, e.Name))
		if err != nil || got.Name != e.Name || got.Kind != e.Kind || got.Mode != e.Mode || got.Path != e.Path || got.Size != e.Size || !got.MTime.Equal(e.MTime) {
			t.Errorf("%s: listed as %+v, looked up as %+v, %v", path.Join(rel, e.Name), e, got, err)
		}
	}
	return out
}

func read(t *testing.T, p virtual.Provider, rel string) string {
	t.Helper()
	h, err := p.Open(t.Context(), rel, os.O_RDONLY, 0)
	if err != nil {
		t.Fatalf("open %s: %v", rel, err)
	}
	defer h.Close()
	body, err := io.ReadAll(io.NewSectionReader(h, 0, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// put writes as a program does: one open, the given writes, one close.
func put(p virtual.Provider, rel string, flags int, writes ...string) error {
	h, err := p.Open(context.Background(), rel, flags, 0o600)
	if err != nil {
		return err
	}
	off := int64(0)
	for _, w := range writes {
		n, err := h.WriteAt([]byte(w), off)
		if err != nil {
			return errors.Join(err, h.Close())
		}
		off += int64(n)
	}
	return h.Close()
}

func TestOwnerTree(t *testing.T) {
	e := newEngine()
	id := e.add("pending", jobs.Pending)
	e.add("done", jobs.Done)
	base := path.Join(jobID("done").Review().String())
	e.tree[base+"/stdout.txt"] = &fstest.MapFile{Data: []byte("out")}
	e.tree[base+"/returncode.txt"] = &fstest.MapFile{Data: []byte("0")}
	e.tree[base+"/outputs/old.csv"] = &fstest.MapFile{}
	e.tree[base+"/outputs/syft.pub.yaml"] = &fstest.MapFile{}
	e.hold[jobID("done")] = fstest.MapFS{"r.csv": {Data: []byte("1")}, "plots/a.png": {Data: []byte("22")}}
	received := e.add("received", jobs.Received)
	delete(e.intake, received)
	delete(e.tree, received.Review().String()+"/state.yaml")
	o := newOwner(e)
	for rel, want := range map[string][]string{
		"":                             {submitter},
		submitter:                      {"done", "pending", "received"},
		submitter + "/pending":         {"DECISION", "code", "config.yaml", "run.sh", "state.yaml", "status"},
		submitter + "/received":        {"status"},
		submitter + "/pending/code":    {"main.py"},
		submitter + "/done":            {"code", "config.yaml", "held", "logs", "outputs", "run.sh", "state.yaml", "status"},
		submitter + "/done/logs":       {"returncode.txt", "stdout.txt"},
		submitter + "/done/held":       {"plots", "r.csv"},
		submitter + "/done/held/plots": {"a.png"},
		submitter + "/done/outputs":    {"old.csv"},
	} {
		got := names(t, o, rel)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", rel, got, want)
		}
	}
	for rel, want := range map[string]string{
		"pending/code/main.py":  "print()\n",
		"pending/run.sh":        "true\n",
		"pending/state.yaml":    "status: pending\n",
		"done/held/r.csv":       "1",
		"done/held/plots/a.png": "22",
	} {
		if got := read(t, o, submitter+"/"+rel); got != want {
			t.Errorf("%s: %q", rel, got)
		}
	}
	for _, rel := range []string{"boss@lab.org", submitter + "/nothing", submitter + "/pending/held", submitter + "/pending/outputs", submitter + "/done/DECISION",
		submitter + "/pending/code/x", submitter + "/done/outputs/syft.pub.yaml", submitter + "/done/logs/state.yaml", submitter + "/pending/status/x"} {
		if _, err := o.Lookup(t.Context(), rel); !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("lookup %s: %v", rel, err)
		}
	}
	if got, _ := o.Xattr(t.Context(), submitter+"/pending", "user.syft.digest"); string(got) != digest {
		t.Errorf("digest attribute %q", got)
	}
	if s := read(t, o, submitter+"/pending/status"); !strings.Contains(s, digest) || !strings.Contains(s, "because") || !strings.Contains(s, id.Name) {
		t.Errorf("status:\n%s", s)
	}
}

// What is shown of a submission cannot be changed, nor can anything be made beside it.
func TestOwnerRefusals(t *testing.T) {
	e := newEngine()
	e.add("job", jobs.Done)
	e.hold[jobID("job")] = fstest.MapFS{"r.csv": {Data: []byte("1")}}
	o := newOwner(e)
	base := submitter + "/job/"
	size := int64(0)
	for what, err := range map[string]error{
		"write code":      put(o, base+"code/main.py", os.O_WRONLY, "x"),
		"write held":      put(o, base+"held/r.csv", os.O_WRONLY, "x"),
		"write status":    put(o, base+"status", os.O_WRONLY, "x"),
		"truncate run.sh": o.SetAttr(t.Context(), base+"run.sh", virtual.Attr{Size: &size}),
		"create":          put(o, base+"new", os.O_WRONLY|os.O_CREATE, "x"),
		"create deep":     put(o, base+"code/new", os.O_WRONLY|os.O_CREATE, "x"),
		"create at top":   put(o, "x", os.O_WRONLY|os.O_CREATE, "x"),
		"mkdir":           o.Mkdir(t.Context(), base+"new", 0o755),
		"mkdir at top":    o.Mkdir(t.Context(), "new@x.org", 0o755),
		"remove job":      o.Remove(t.Context(), submitter+"/job"),
		"remove code":     o.Remove(t.Context(), base+"code/main.py"),
		"remove held":     o.Remove(t.Context(), base+"held/r.csv"),
		"rename job":      o.Rename(t.Context(), submitter+"/job", submitter+"/job2"),
		"rename code":     o.Rename(t.Context(), base+"run.sh", base+"run2.sh"),
		"rename held":     o.Rename(t.Context(), base+"held", base+"outputs"),
		"held elsewhere":  o.Rename(t.Context(), base+"held/r.csv", base+"code/r.csv"),
		"held renamed":    o.Rename(t.Context(), base+"held/r.csv", base+"outputs/x.csv"),
		"attribute":       o.SetXattr(t.Context(), submitter+"/job", "user.syft.status", []byte("x")),
		"decision":        put(o, base+"DECISION", os.O_WRONLY|os.O_CREATE, "x"),
	} {
		var r *virtual.Refusal
		if !errors.As(err, &r) || r.Reason == "" || !errors.Is(err, iofs.ErrPermission) && !errors.Is(err, syscall.EROFS) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if len(e.hold[jobID("job")]) != 1 {
		t.Error("something was released")
	}
	if err := o.Remove(t.Context(), base+"nothing"); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("remove of nothing: %v", err)
	}
	if err := o.SetXattr(t.Context(), submitter+"/job", "user.mime", []byte("x")); err != nil {
		t.Errorf("attribute of a file manager: %v", err)
	}
}

func TestDecisionGrammar(t *testing.T) {
	const hexes = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	tests := []struct {
		text string
		want decision
		bad  string
	}{
		{text: "approve 0123456789ab\n", want: decision{digits: "0123456789ab"}},
		{text: "approve 0123456789ab", want: decision{digits: "0123456789ab"}},
		{text: "approve sha256:" + hexes + "\n", want: decision{digits: hexes}},
		{text: "  approve \t 0123456789AB  \r\n", want: decision{digits: "0123456789ab"}},
		{text: "# a comment\n\napprove 0123456789ab datasets=a,b\n# more\n", want: decision{digits: "0123456789ab", datasets: []string{"a", "b"}}},
		{text: "approve 0123456789ab datasets=\n", want: decision{digits: "0123456789ab", datasets: []string{}}},
		{text: "reject looks at too much # really\n", want: decision{reject: true, reason: "looks at too much # really"}},
		{text: "", bad: "no line"},
		{text: "\n\n \t\n", bad: "no line"},
		{text: "# approve 0123456789ab\n", bad: "no line"},
		{text: "approve 0123456789ab\nreject x\n", bad: "more than one"},
		{text: "approve 0123456789ab\napprove 0123456789ab\n", bad: "more than one"},
		{text: "approve\n", bad: "digits"},
		{text: "approve 0123456789a\n", bad: "not a digest"},
		{text: "approve 0123456789ag\n", bad: "not a digest"},
		{text: "approve " + hexes + "0\n", bad: "not a digest"},
		{text: "approve sha512:0123456789ab\n", bad: "not a digest"},
		{text: "approve 0123456789ab a,b\n", bad: "datasets="},
		{text: "approve 0123456789ab datasets=a b\n", bad: "datasets="},
		{text: "approve 0123456789ab datasets=a, b\n", bad: "datasets="},
		{text: "approve 0123456789ab datasets=a,,b\n", bad: "empty name"},
		{text: "approved 0123456789ab\n", bad: "begin with"},
		{text: "reject\n", bad: "why"},
		{text: "yes\n", bad: "begin with"},
		{text: strings.Repeat("#\n", maxDecision), bad: "longer"},
	}
	for _, tt := range tests {
		got, err := parseDecision([]byte(tt.text))
		switch {
		case tt.bad != "":
			if err == nil || !strings.Contains(err.Error(), tt.bad) {
				t.Errorf("%.40q: %+v, %v", tt.text, got, err)
			}
		case err != nil:
			t.Errorf("%q: %v", tt.text, err)
		case got.reject != tt.want.reject || got.reason != tt.want.reason || got.digits != tt.want.digits ||
			!slices.Equal(got.datasets, tt.want.datasets) || (got.datasets == nil) != (tt.want.datasets == nil):
			t.Errorf("%q: %+v", tt.text, got)
		}
	}
}

func FuzzDecision(f *testing.F) {
	for _, s := range []string{"approve 0123456789ab\n", "reject no\n", "#\n", "approve sha256:0123456789ab datasets=a,b"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := parseDecision(text)
		if err == nil && d.reject == (d.digits != "") || err == nil && !d.reject && len(d.digits) < shortDigest || err == nil && bytes.Contains([]byte(d.reason), []byte("\n")) {
			t.Errorf("%q: %+v", text, d)
		}
	})
}

func TestDecide(t *testing.T) {
	const dec = submitter + "/job/DECISION"
	tests := []struct {
		name   string
		do     func(o *Owner) error
		status jobs.Status
		err    error
	}{
		{"echo approve", func(o *Owner) error {
			return put(o, dec, os.O_WRONLY|os.O_TRUNC, "approve 0123456789ab\n")
		}, jobs.Approved, nil},
		{"echo approve with append", func(o *Owner) error {
			return put(o, dec, os.O_WRONLY|os.O_APPEND, "approve 0123456789ab\n")
		}, jobs.Approved, nil},
		{"echo reject", func(o *Owner) error { return put(o, dec, os.O_WRONLY|os.O_TRUNC|os.O_CREATE, "reject no\n") }, jobs.Rejected, nil},
		{"another digest", func(o *Owner) error { return put(o, dec, os.O_WRONLY, "approve 0123456789ff\n") }, jobs.Pending, syscall.EINVAL},
		{"only opened and cut", func(o *Owner) error { return put(o, dec, os.O_WRONLY|os.O_TRUNC) }, jobs.Pending, nil},
		{"blank", func(o *Owner) error { return put(o, dec, os.O_WRONLY, "\n") }, jobs.Pending, syscall.EINVAL},
		{"written by a reader", func(o *Owner) error { return put(o, dec, os.O_RDONLY, "approve 0123456789ab\n") }, jobs.Pending, syscall.EBADF},
		{"made anew", func(o *Owner) error { return put(o, dec, os.O_WRONLY|os.O_CREATE|os.O_EXCL, "x") }, jobs.Pending, iofs.ErrExist},
		{"several writes", func(o *Owner) error {
			return put(o, dec, os.O_WRONLY|os.O_TRUNC, "approve 0123456789ab", "\n", "# end\n")
		}, jobs.Approved, nil},
		{"a second decision", func(o *Owner) error {
			return put(o, dec, os.O_WRONLY|os.O_TRUNC, "approve 0123456789ab\n", "approve 0123456789ab\n")
		}, jobs.Approved, syscall.EINVAL},
		{"rename-over", func(o *Owner) error {
			if err := put(o, submitter+"/job/.DECISION.tmp", os.O_WRONLY|os.O_CREATE, "# x\n", "approve 0123456789ab datasets=trial\n"); err != nil {
				return err
			}
			return o.Rename(context.Background(), submitter+"/job/.DECISION.tmp", dec)
		}, jobs.Approved, nil},
		{"rename-over of nonsense", func(o *Owner) error {
			if err := put(o, submitter+"/job/x", os.O_WRONLY|os.O_CREATE, "maybe\n"); err != nil {
				return err
			}
			return o.Rename(context.Background(), submitter+"/job/x", dec)
		}, jobs.Pending, syscall.EINVAL},
		{"an editor with a backup", func(o *Owner) error {
			if err := o.Rename(context.Background(), dec, dec+"~"); err != nil {
				return err
			}
			if err := put(o, dec, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, "reject no\n"); err != nil {
				return err
			}
			if err := o.Remove(context.Background(), dec+"~"); !errors.Is(err, iofs.ErrNotExist) {
				return errors.New("the backup outlives the decision")
			}
			return nil
		}, jobs.Rejected, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := newEngine()
			id := e.add("job", jobs.Pending)
			o := newOwner(e)
			if err := tt.do(o); !errors.Is(err, tt.err) {
				t.Errorf("%v, want %v", err, tt.err)
			} else if tt.err == syscall.EINVAL {
				var r *virtual.Refusal
				if !errors.As(err, &r) || r.Reason == "" {
					t.Errorf("no sentence: %v", err)
				}
			}
			if got := e.jobs[id].Status; got != tt.status {
				t.Errorf("status %s, want %s", got, tt.status)
			}
			if tt.status != jobs.Pending && e.by.Subject != owner {
				t.Errorf("decided by %+v", e.by)
			}
		})
	}
}

// The text that is read decides nothing when it is saved unchanged, and says both lines.
func TestDecisionTextReadBack(t *testing.T) {
	e := newEngine()
	id := e.add("job", jobs.Pending)
	j := e.jobs[id]
	j.ID.Name = "a\x1b[2J"
	for i := range 400 {
		j.Offered = append(j.Offered, strings.Repeat("d", 20)+string(rune('a'+i%26)))
	}
	for _, j := range []jobs.Job{e.jobs[id], j, {ID: id}} {
		text := decisionText(j)
		if len(text) > maxDecision {
			t.Errorf("%d bytes", len(text))
		}
		if _, err := parseDecision(text); err == nil {
			t.Errorf("unchanged text decides:\n%s", text)
		}
		if bytes.ContainsAny(text, "\x1b") {
			t.Error("control characters are shown")
		}
		if j.Digest == "" {
			continue
		}
		d, err := parseDecision(bytes.Replace(text, []byte("# approve"), []byte("approve"), 1))
		if err != nil || d.digits != "0123456789ab" || !slices.Equal(d.datasets, []string{"census"}) {
			t.Errorf("the line to approve: %+v, %v\n%s", d, err, text)
		}
		if d, err := parseDecision(bytes.Replace(text, []byte("# reject"), []byte("reject"), 1)); err != nil || !d.reject {
			t.Errorf("the line to reject: %+v, %v", d, err)
		}
	}
	o := newOwner(e)
	if err := put(o, submitter+"/job/DECISION", os.O_WRONLY, read(t, o, submitter+"/job/DECISION")); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("saved unchanged: %v", err)
	}
}

func TestRelease(t *testing.T) {
	e := newEngine()
	id := e.add("job", jobs.Done)
	e.hold[id] = fstest.MapFS{"r.csv": {Data: []byte("1")}, "plots/a.png": {}}
	o := newOwner(e)
	base := submitter + "/job/"
	if st := read(t, o, base+"status"); !strings.Contains(st, "mv held/* outputs/") || !strings.Contains(st, "r.csv, 1 byte") {
		t.Errorf("status\n%s", st)
	}
	if got := names(t, o, base+"outputs"); len(got) != 0 {
		t.Errorf("outputs %v before the release", got)
	}
	var told []string
	o.OnChange(func(rel string) { told = append(told, rel) })
	for _, name := range []string{"r.csv", "plots"} {
		if err := o.Rename(t.Context(), base+"held/"+name, base+"outputs/"+name); err != nil {
			t.Fatal(err)
		}
	}
	if got := names(t, o, base+"outputs"); !slices.Equal(got, []string{"plots", "r.csv"}) {
		t.Errorf("outputs %v", got)
	}
	if _, err := o.Lookup(t.Context(), base+"held"); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("held after everything was released: %v", err)
	}
	for _, rel := range []string{base + "held", base + "outputs", base + "outputs/r.csv", base + "status"} {
		if !slices.Contains(told, rel) {
			t.Errorf("%s is not announced: %v", rel, told)
		}
	}
	en, err := o.Lookup(t.Context(), base+"outputs/r.csv")
	if err != nil || en.Kind != virtual.Stored || en.Path != id.Review().Join("outputs/r.csv") {
		t.Errorf("%+v, %v", en, err)
	}
}

func TestScratch(t *testing.T) {
	e := newEngine()
	e.add("job", jobs.Pending)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	o := NewOwner(OwnerConfig{Owner: owner, Jobs: e, Intake: e, Decide: e, Tree: storedTree{e}, Now: func() time.Time { return now }})
	base := submitter + "/job/"
	const create = os.O_RDWR | os.O_CREATE
	if err := put(o, base+".x.swp", create, "hello"); err != nil {
		t.Fatal(err)
	}
	if got := read(t, o, base+".x.swp"); got != "hello" {
		t.Errorf("%q", got)
	}
	if got := names(t, o, submitter+"/job"); !slices.Contains(got, ".x.swp") {
		t.Errorf("not listed: %v", got)
	}
	size := int64(2)
	if err := o.SetAttr(t.Context(), base+".x.swp", virtual.Attr{Size: &size}); err != nil || read(t, o, base+".x.swp") != "he" {
		t.Errorf("truncate: %v", err)
	}
	if err := put(o, base+"big", create, strings.Repeat("x", maxScratch), "y"); !errors.Is(err, syscall.EFBIG) {
		t.Errorf("too big: %v", err)
	}
	for i := range 2 * scratchFiles {
		err := put(o, base+strings.Repeat("n", i+1), create)
		if i > scratchFiles && !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("file %d: %v", i, err)
		}
	}
	open, err := o.Open(t.Context(), base+".x.swp", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(scratchLife + time.Second)
	if _, err := o.Lookup(t.Context(), base+"n"); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("unused file: %v", err)
	}
	if _, err := o.Lookup(t.Context(), base+".x.swp"); err != nil {
		t.Errorf("open file: %v", err)
	}
	for range 2 {
		if err := open.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Rename(t.Context(), base+".x.swp", base+"y"); err != nil {
		t.Error(err)
	}
	if err := o.Rename(t.Context(), base+"y", base+"status"); !errors.Is(err, iofs.ErrPermission) {
		t.Errorf("rename over status: %v", err)
	}
	if err := o.Remove(t.Context(), base+"y"); err != nil {
		t.Error(err)
	}
}
