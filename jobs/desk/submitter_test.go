package desk

import (
	"context"
	"errors"
	iofs "io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/statedir"
	"github.com/openmined/syftfs/fs/virtual"
	"github.com/openmined/syftfs/jobs"
	"github.com/openmined/syftfs/jobs/draft"
)

// Place puts a submission into the tree, and makes it pending as an engine would.
func (e *engine) Place(_ context.Context, c datasite.Change, src iofs.FS) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	err := iofs.WalkDir(src, ".", func(p string, d iofs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := iofs.ReadFile(src, p)
		e.tree[path.Join(c.Path.String(), p)] = &fstest.MapFile{Data: body}
		return err
	})
	files, ferr := jobs.ReadManifest(context.Background(), src)
	id := jobID(c.Path.Base())
	j := e.jobs[id]
	j.ID, j.Status, j.Digest, j.Revision = id, jobs.Pending, jobs.DigestOf(files), j.Revision+1
	e.jobs[id] = j
	return errors.Join(err, ferr)
}

func (e *engine) set(name string, st jobs.Status) {
	e.mu.Lock()
	defer e.mu.Unlock()
	j := e.jobs[jobID(name)]
	j.ID, j.Status = jobID(name), st
	e.jobs[j.ID] = j
}

// review makes a file of the owner's answer readable by the submitter.
func (e *engine) review(name, rel string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tree[path.Join(jobID(name).Review().String(), rel)] = &fstest.MapFile{Data: []byte(rel)}
}

// newSubmitter is the submitter's view of e, with more set.
func newSubmitter(t *testing.T, e *engine, more ...func(*SubmitterConfig)) *Submitter {
	t.Helper()
	dir, err := statedir.Open(t.TempDir()+"/state", nil)
	if err != nil {
		t.Fatal(err)
	}
	var s *Submitter
	store, err := draft.Open(draft.Config{State: dir, Owner: owner, Submitter: submitter, Place: e,
		Status:  func(id jobs.ID) (jobs.Job, bool) { j, err := e.Get(id); return j, err == nil },
		Known:   func() []string { return known(e) },
		Changed: func(name string) { s.DraftMoved(name) }})
	if err != nil {
		t.Fatal(err)
	}
	cfg := SubmitterConfig{Drafts: store, Jobs: e, Visible: e.visible}
	for _, set := range more {
		set(&cfg)
	}
	s = NewSubmitter(cfg)
	store.Start()
	return s
}

func known(e *engine) []string {
	var out []string
	for _, j := range e.List() {
		out = append(out, j.ID.Name)
	}
	return out
}

// copyFile is what cp -a does to one file.
func copyFile(s *Submitter, rel, body string) error {
	h, err := s.Open(context.Background(), rel, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o400)
	if errors.Is(err, iofs.ErrExist) {
		h, err = s.Open(context.Background(), rel, os.O_WRONLY|os.O_TRUNC, 0)
	}
	if err != nil {
		return err
	}
	_, err = h.WriteAt([]byte(body), 0)
	if err == nil {
		err = h.Flush(context.Background())
	}
	if err = errors.Join(err, h.Close()); err != nil {
		return err
	}
	mode, at := iofs.FileMode(0o444), time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := s.SetAttr(context.Background(), rel, virtual.Attr{Mode: &mode, MTime: &at}); err != nil {
		return err
	}
	return s.SetXattr(context.Background(), rel, "user.origin", []byte("x"))
}

func copyAll(t *testing.T, s *Submitter, files map[string]string) {
	t.Helper()
	for _, rel := range sorted(files) {
		for i, c := range rel {
			if c == '/' {
				if err := s.Mkdir(t.Context(), rel[:i], 0o755); err != nil && !errors.Is(err, iofs.ErrExist) {
					t.Fatal(err)
				}
			}
		}
		if err := copyFile(s, rel, files[rel]); err != nil {
			t.Fatalf("copy %s: %v", rel, err)
		}
	}
}

func sorted(m map[string]string) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// removeAll is rm -r.
func removeAll(s *Submitter, rel string) error {
	entries, err := s.List(context.Background(), rel)
	if err != nil {
		return err
	}
	for _, e := range entries {
		sub := path.Join(rel, e.Name)
		if e.Kind == virtual.Dir {
			err = removeAll(s, sub)
		} else {
			err = s.Remove(context.Background(), sub)
		}
		if err != nil {
			return err
		}
	}
	return s.Remove(context.Background(), rel)
}

func wait(d time.Duration) {
	<-time.After(d) // of the bubble's clock
	synctest.Wait()
}

func TestSubmitterFolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		s := newSubmitter(t, e)
		defer s.cfg.Drafts.Close()
		var told []string
		s.OnChange(func(rel string) { told = append(told, rel) })
		copyAll(t, s, map[string]string{"job/main.py": "1", "job/lib/u.py": "", "job/outputs/old": "", "job/.env": ""})
		if got := names(t, s, ""); !slices.Equal(got, []string{submitter, "job"}) {
			t.Errorf("top %v", got)
		}
		if l, err := s.Lookup(t.Context(), submitter); err != nil || l.Kind != virtual.Link || l.Target != "." {
			t.Errorf("link %+v, %v", l, err)
		}
		if got := names(t, s, "job"); !slices.Equal(got, []string{".env", "lib", "main.py", "outputs", "status"}) {
			t.Errorf("draft %v", got)
		}
		if st := read(t, s, "job/status"); !strings.Contains(st, "nothing of it was sent") {
			t.Errorf("status\n%s", st)
		}
		wait(6 * time.Second)
		e.review("job", "state.yaml")
		if got := names(t, s, "job"); !slices.Equal(got, []string{".env", "config.yaml", "lib", "main.py", "outputs", "run.sh", "state.yaml", "status"}) {
			t.Errorf("submitted %v", got)
		}
		st := read(t, s, "job/status")
		for _, want := range []string{"pending", "revision:  1", "sha256:", ".env (", "outputs/ (", "2 files"} {
			if !strings.Contains(st, want) && want != "2 files" {
				t.Errorf("status has no %q:\n%s", want, st)
			}
		}
		if !strings.Contains(read(t, s, "job/run.sh"), "python main.py") || !strings.Contains(read(t, s, "job/config.yaml"), "name: job") {
			t.Error("the made files are not shown")
		}
		for _, rel := range []string{"job", "job/status", "job/run.sh"} {
			if !slices.Contains(told, rel) {
				t.Errorf("%s is not announced: %v", rel, told)
			}
		}
		// the answer: its folders take the place of what was copied along
		e.set("job", jobs.Done)
		e.review("job", "outputs/r.csv")
		if got := names(t, s, "job"); !slices.Equal(got, []string{".env", "config.yaml", "lib", "main.py", "outputs", "run.sh", "state.yaml", "status"}) {
			t.Errorf("done %v", got)
		}
		if o, err := s.Lookup(t.Context(), "job/outputs"); err != nil || o.Kind != virtual.Stored || o.Path != jobID("job").Review().Join("outputs") {
			t.Errorf("outputs %+v, %v", o, err)
		}
		if _, err := s.Lookup(t.Context(), "job/outputs/old"); !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("what was copied along: %v", err)
		}
		if _, err := s.Lookup(t.Context(), "job/logs"); !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("logs before sharing: %v", err)
		}
		e.review("job", "stdout.txt")
		if got := names(t, s, "job/logs"); !slices.Equal(got, []string{"stdout.txt"}) {
			t.Errorf("logs %v", got)
		}
		for what, err := range map[string]error{
			"write":   copyFile(s, "job/main.py", "2"),
			"create":  copyFile(s, "job/new.py", "2"),
			"remove":  s.Remove(t.Context(), "job/main.py"),
			"rename":  s.Rename(t.Context(), "job/main.py", "job/x"),
			"rm -r":   removeAll(s, "job"),
			"mkdir":   s.Mkdir(t.Context(), "job/x", 0o755),
			"hold":    s.SetXattr(t.Context(), "job", "user.syft.hold", []byte("1")),
			"rm made": s.Remove(t.Context(), "job/run.sh"),
		} {
			var r *virtual.Refusal
			if !errors.Is(err, syscall.EROFS) || !errors.As(err, &r) {
				t.Errorf("%s of a decided job: %v", what, err)
			}
		}
		if m, err := s.Lookup(t.Context(), "job/main.py"); err != nil || m.Mode&0o222 != 0 {
			t.Errorf("mode %v, %v", m.Mode, err)
		}
	})
}

func TestSubmitterScript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		s := newSubmitter(t, e)
		defer s.cfg.Drafts.Close()
		copyAll(t, s, map[string]string{"fit.py": "print(1)"})
		wait(6 * time.Second)
		if got := names(t, s, ""); !slices.Equal(got, []string{submitter, "fit", "fit.py"}) {
			t.Errorf("top %v", got)
		}
		if got := names(t, s, "fit"); !slices.Equal(got, []string{"config.yaml", "fit.py", "run.sh", "status"}) {
			t.Errorf("beside %v", got)
		}
		if got := read(t, s, "fit/fit.py"); got != "print(1)" {
			t.Errorf("script %q", got)
		}
		for what, err := range map[string]error{
			"write":  put(s, "fit/fit.py", os.O_WRONLY, "x"),
			"create": put(s, "fit/x", os.O_WRONLY|os.O_CREATE, "x"),
			"mkdir":  s.Mkdir(t.Context(), "fit/x", 0o755),
			"remove": s.Remove(t.Context(), "fit/fit.py"),
		} {
			if !errors.Is(err, iofs.ErrPermission) {
				t.Errorf("%s beside a script: %v", what, err)
			}
		}
		if err := s.Mkdir(t.Context(), "fit", 0o755); !errors.Is(err, iofs.ErrExist) {
			t.Errorf("mkdir: %v", err)
		}
		if _, err := s.Lookup(t.Context(), "fit.py/x"); !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("below a script: %v", err)
		}
		copyAll(t, s, map[string]string{"fit.py": "print(2)"}) // in place
		wait(6 * time.Second)
		if d, err := s.cfg.Drafts.Draft("fit.py"); err != nil || d.Revision != 2 {
			t.Errorf("%+v, %v", d, err)
		}
	})
}

func TestSubmitterReservedNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		s := newSubmitter(t, e)
		defer s.cfg.Drafts.Close()
		copyAll(t, s, map[string]string{"job/main.py": "1", ".x/main.py": ""})
		for _, name := range []string{"status", "state.yaml", "DECISION", "held"} {
			if err := s.Mkdir(t.Context(), "job/"+name, 0o755); !errors.Is(err, iofs.ErrExist) {
				t.Errorf("mkdir %s: %v", name, err)
			}
			if err := put(s, "job/"+name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, "x"); !errors.Is(err, iofs.ErrExist) {
				t.Errorf("create %s: %v", name, err)
			}
			if err := s.Rename(t.Context(), "job/main.py", "job/"+name); !errors.Is(err, iofs.ErrExist) {
				t.Errorf("rename to %s: %v", name, err)
			}
		}
		for what, err := range map[string]error{
			"own link":          s.Mkdir(t.Context(), submitter, 0o755),
			"rename to link":    s.Rename(t.Context(), ".x", submitter),
			"duplicate":         s.Mkdir(t.Context(), "JOB", 0o755),
			"rename to another": s.Rename(t.Context(), ".x", "Job"),
		} {
			if !errors.Is(err, iofs.ErrExist) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := put(s, "job/status", os.O_WRONLY, "x"); !errors.Is(err, iofs.ErrPermission) {
			t.Errorf("write to status: %v", err)
		}
		if err := s.Mkdir(t.Context(), "-rf", 0o755); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("bad name: %v", err)
		}
	})
}

func TestSubmitterRemoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		s := newSubmitter(t, e)
		defer s.cfg.Drafts.Close()
		copyAll(t, s, map[string]string{"job/main.py": "1", "job/lib/u.py": "", "draft/notes": ""})
		wait(6 * time.Second)
		e.review("job", "state.yaml")
		for _, name := range []string{"job", "draft"} {
			if err := removeAll(s, name); err != nil {
				t.Errorf("rm -r %s: %v", name, err)
			}
		}
		if got := names(t, s, ""); !slices.Equal(got, []string{submitter}) {
			t.Errorf("left %v", got)
		}
		if _, err := s.Lookup(t.Context(), "job"); !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("a deleted submission shows as stored: %v", err)
		}
		copyAll(t, s, map[string]string{"job/main.py": "2"})
		wait(6 * time.Second)
		if d, err := s.cfg.Drafts.Draft("job"); err != nil || d.Revision != 2 {
			t.Errorf("%+v, %v", d, err)
		}
	})
}

func TestSubmitterSeesJobsFromElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		id := e.add("api", jobs.Pending)
		e.jobs[jobs.ID{Owner: owner, Submitter: "other@uni.edu", Name: "theirs"}] = jobs.Job{ID: jobs.ID{Owner: owner, Submitter: "other@uni.edu", Name: "theirs"}}
		for _, rel := range []string{"code/main.py", "config.yaml", "run.sh"} {
			e.tree[path.Join(id.Inbox().String(), rel)] = &fstest.MapFile{}
		}
		s := newSubmitter(t, e)
		defer s.cfg.Drafts.Close()
		if got := names(t, s, ""); !slices.Equal(got, []string{"api", submitter}) {
			t.Errorf("top %v", got)
		}
		if got := names(t, s, "api"); !slices.Equal(got, []string{"code", "config.yaml", "run.sh", "state.yaml", "status"}) {
			t.Errorf("job %v", got)
		}
		for what, err := range map[string]error{
			"create": put(s, "api/x", os.O_WRONLY|os.O_CREATE, "x"),
			"mkdir":  s.Mkdir(t.Context(), "api/x", 0o755),
			"remove": s.Remove(t.Context(), "api"),
			"rename": s.Rename(t.Context(), "api", "b"),
		} {
			if !errors.Is(err, iofs.ErrPermission) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := s.Mkdir(t.Context(), "api", 0o755); !errors.Is(err, iofs.ErrExist) {
			t.Errorf("mkdir: %v", err)
		}
	})
}

func TestSubmitterAttributes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		s := newSubmitter(t, e)
		defer s.cfg.Drafts.Close()
		copyAll(t, s, map[string]string{"job/main.py": "1"})
		if err := s.SetXattr(t.Context(), "job", "user.syft.hold", []byte("1")); err != nil {
			t.Fatal(err)
		}
		wait(time.Minute)
		if v, err := s.Xattr(t.Context(), "job", "user.syft.hold"); err != nil || string(v) != "1" || len(e.jobs) != 0 {
			t.Errorf("hold %q, %v, %d jobs", v, err, len(e.jobs))
		}
		if v, err := s.Xattr(t.Context(), "job", "user.syft.status"); err != nil || string(v) != "draft" {
			t.Errorf("status %q, %v", v, err)
		}
		if err := s.SetXattr(t.Context(), "job", "user.syft.hold", nil); err != nil { // removed
			t.Fatal(err)
		}
		wait(6 * time.Second)
		if v, err := s.Xattr(t.Context(), "job", "user.syft.status"); err != nil || string(v) != "pending" {
			t.Errorf("status %q, %v", v, err)
		}
		for name, want := range map[string]error{"user.syft.hold": syscall.EINVAL, "user.syft.status": syscall.EPERM, "security.x": syscall.EOPNOTSUPP} {
			if err := s.SetXattr(t.Context(), "job", name, []byte("maybe")); !errors.Is(err, want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := s.Xattr(t.Context(), "job/main.py", "user.syft.hold"); !errors.Is(err, syscall.ENODATA) {
			t.Errorf("of a file: %v", err)
		}
	})
}

// rsync and editors: a temporary name in the folder, renamed over the file.
func TestSubmitterSavePatterns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		s := newSubmitter(t, e)
		defer s.cfg.Drafts.Close()
		copyAll(t, s, map[string]string{"job/main.py": "1"})
		wait(6 * time.Second)
		copyAll(t, s, map[string]string{"job/.main.py.Xy12": "2"})
		if err := s.Rename(t.Context(), "job/.main.py.Xy12", "job/main.py"); err != nil {
			t.Fatal(err)
		}
		if err := s.Rename(t.Context(), "job/main.py", "job/main.py~"); err != nil {
			t.Fatal(err)
		}
		copyAll(t, s, map[string]string{"job/main.py": "3"})
		if err := s.Remove(t.Context(), "job/main.py~"); err != nil {
			t.Fatal(err)
		}
		if st := read(t, s, "job/status"); !strings.Contains(st, "changed since revision 1") {
			t.Errorf("status\n%s", st)
		}
		wait(6 * time.Second)
		if got := string(e.tree[jobID("job").Inbox().String()+"/code/main.py"].Data); got != "3" {
			t.Errorf("submitted %q", got)
		}
		if err := s.Rename(t.Context(), "job/run.sh", "job/other.sh"); !errors.Is(err, syscall.EPERM) {
			t.Errorf("rename of a made file: %v", err)
		}
		size := int64(0)
		if err := s.SetAttr(t.Context(), "job/run.sh", virtual.Attr{Size: &size}); err != nil {
			t.Errorf("cutting a made file: %v", err)
		}
		if i, err := s.cfg.Drafts.Stat("job/run.sh"); err != nil || i.Size != 0 {
			t.Errorf("%+v, %v", i, err)
		}
	})
}
