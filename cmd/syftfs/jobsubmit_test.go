package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openmined/syftfs/cmd/internal/service"
	"golang.org/x/sys/unix"
)

// jobsFolder makes a datasite whose mount is a plain folder with the jobs/ of a peer, and a job to submit.
func jobsFolder(t *testing.T) (d *desk, jobs, job string) {
	t.Helper()
	d = newDesk(t, "owen")
	mount := filepath.Join(d.home, "mnt")
	jobs = filepath.Join(mount, "rachel@uni.example", "jobs")
	job = filepath.Join(d.home, "analysis")
	for _, dir := range []string{jobs, filepath.Join(mount, ".syft"), filepath.Join(job, "sub"), filepath.Join(job, ".git"), filepath.Join(job, "sub", "__pycache__")} {
		must(t, os.MkdirAll(dir, 0o755))
	}
	for name, body := range map[string]string{"main.py": "print(1)\n", "sub/data.csv": "1\n2\n", "sub/empty": "", ".git/config": "x", "sub/__pycache__/x": "x"} {
		must(t, os.WriteFile(filepath.Join(job, name), []byte(body), 0o600))
	}
	must(t, os.Chmod(filepath.Join(job, "main.py"), 0o755))
	d.answer["/v1/status"] = fmt.Sprintf(`{"mount":%q}`, mount)
	d.answer["/v1/jobs/submit"] = `{"owner":"rachel@uni.example","name":"analysis","digest":"sha256:12ab","revision":1,"files":3,"size":2048,"left_out":[".git\u001b"],"findings":["reads a file that is not there"]}`
	return d, jobs, job
}

// tree lists what is below dir, with what is in files.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	must(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		if e.IsDir() {
			all = append(all, rel+"/")
			return nil
		}
		body, err := os.ReadFile(path)
		all = append(all, rel+"="+string(body))
		return err
	}))
	return all
}

func TestJobSubmit(t *testing.T) {
	d, jobs, job := jobsFolder(t)
	r := d.run("job", "submit", job, "--to", "Rachel@uni.example")
	if r.code != 0 || r.err != "" || !slices.Equal(d.asked, []string{"/v1/status", "/v1/jobs/submit"}) || d.bodies[1] != `{"owner":"rachel@uni.example","name":"analysis"}` {
		t.Fatalf("%+v asked %q %q", r, d.asked, d.bodies)
	}
	for _, want := range []string{"Submitted analysis to rachel@uni.example, revision 1: 2.0 KiB in 3 files.", "digest sha256:12ab", "left out: .git␛", "advice: reads a file"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%q is not in\n%s", want, r.out)
		}
	}
	want := []string{"analysis/", "analysis/main.py=print(1)\n", "analysis/sub/", "analysis/sub/data.csv=1\n2\n", "analysis/sub/empty="}
	if got := tree(t, jobs); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	hold := make([]byte, 8)
	if n, err := unix.Getxattr(filepath.Join(jobs, "analysis"), holdAttr, hold); err != nil || string(hold[:n]) != "1" {
		t.Errorf("it is not held back while it is copied: %q, %v", hold[:max(0, n)], err)
	}
	if info, err := os.Stat(filepath.Join(jobs, "analysis/main.py")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	// Again: what is there is replaced.
	must(t, os.WriteFile(filepath.Join(job, "main.py"), []byte("2\n"), 0o600))
	if r := d.run("job", "submit", job+"/", "--to", "rachel@uni.example", "--json"); r.code != 0 || object(t, r.out)["ok"] != true {
		t.Errorf("%+v", r)
	}
	if got := tree(t, jobs); !slices.Contains(got, "analysis/main.py=2\n") {
		t.Errorf("%q", got)
	}
	// A script, under another name.
	if r := d.run("job", "submit", filepath.Join(job, "main.py"), "--to", "rachel@uni.example", "--name", "mean.py"); r.code != 0 {
		t.Errorf("%+v", r)
	}
	if got := tree(t, jobs); !slices.Contains(got, "mean.py=2\n") {
		t.Errorf("%q", got)
	}
}

func TestJobSubmitRefused(t *testing.T) {
	d, jobs, job := jobsFolder(t)
	if r := d.run("job", "submit", job, "--to", "nina@uni.example"); r.code != 5 || !strings.Contains(r.err, "no accepted peer") {
		t.Errorf("%+v", r)
	}
	if r := d.run("job", "submit", job+"/none", "--to", "rachel@uni.example"); r.code != 5 {
		t.Errorf("%+v", r)
	}
	must(t, os.Symlink("/etc/passwd", filepath.Join(job, "link")))
	if r := d.run("job", "submit", job, "--to", "rachel@uni.example"); r.code != 2 || !strings.Contains(r.err, "link is neither a file nor a folder") {
		t.Errorf("%+v", r)
	}
	must(t, os.Remove(filepath.Join(job, "link")))
	if got := tree(t, jobs); len(got) > 0 || slices.Contains(d.asked, "/v1/jobs/submit") {
		t.Errorf("%q, asked %q", got, d.asked)
	}
	// What the mount said about it is told.
	must(t, os.WriteFile(filepath.Join(jobs, "analysis"), nil, 0o600))
	lastError := filepath.Join(d.home, "mnt", ".syft", "last-error")
	said := func(at time.Time, path string) string {
		t.Helper()
		must(t, os.WriteFile(lastError, []byte(fmt.Sprintf("%s\nmkdir %s\nthe job was decided\n", at.Format(time.RFC3339), path)), 0o600))
		r := d.run("job", "submit", job, "--to", "rachel@uni.example")
		if r.code == 0 {
			t.Fatalf("%+v", r)
		}
		return r.err
	}
	if text := said(time.Now(), "rachel@uni.example/jobs/analysis/sub"); !strings.Contains(text, "the job was decided") {
		t.Errorf("%q", text)
	}
	for _, text := range []string{said(time.Now().Add(-time.Hour), "rachel@uni.example/jobs/analysis/sub"), said(time.Now(), "owen@lab.example/x")} {
		if strings.Contains(text, "the job was decided") {
			t.Errorf("of something else: %q", text)
		}
	}
}

func TestJobSubmitInterrupted(t *testing.T) {
	_, jobs, job := jobsFolder(t)
	q := service.Submission{Owner: "rachel@uni.example"}
	p, err := readPlan(job, &q)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	p.told = &progress{now: func() time.Time { cancel(); return time.Time{} }}
	err = p.copy(ctx, jobs, q.Name)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "sent to nobody") || !strings.Contains(err.Error(), filepath.Join(jobs, "analysis")) {
		t.Errorf("%v", err)
	}
	if got := tree(t, jobs); slices.Contains(got, "analysis/sub/") {
		t.Errorf("%q", got)
	}
	if (&app{err: &bytes.Buffer{}}).finish(err) != interrupted {
		t.Error("another exit status")
	}
	// A folder that cannot be held back is not filled.
	if err := p.one(t.Context(), member{rel: ".", mode: iofs.ModeDir}, "/proc/self/task", true); err == nil || errors.Is(err, syscall.ENOENT) {
		t.Errorf("%v", err)
	}
}

// TestProgress: nothing for a second, then now and then.
func TestProgress(t *testing.T) {
	for _, c := range []struct {
		live bool
		want string
	}{{true, "\rcopying: 3 B of 2.0 KiB, 0 of 4 files and folders\x1b[K\rcopying: 4 B of 2.0 KiB, 0 of 4 files and folders\x1b[K\r\x1b[K"}, {false, "copying: 3 B of 2.0 KiB, 0 of 4 files and folders\n"}} {
		var out bytes.Buffer
		at := time.Unix(1, 0)
		p := &progress{to: &out, live: c.live, now: func() time.Time { return at }, total: 2048, files: 4}
		for _, after := range []time.Duration{0, silentFor - 1, 1, renewLive} {
			at = at.Add(after)
			p.add(1)
		}
		p.end()
		if out.String() != c.want {
			t.Errorf("%q", out.String())
		}
	}
}
