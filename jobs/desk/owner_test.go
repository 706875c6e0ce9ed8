package desk

import (
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/openmined/syftfs/fs/virtual"
	"github.com/openmined/syftfs/jobs"
)

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
