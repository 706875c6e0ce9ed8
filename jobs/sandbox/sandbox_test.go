package sandbox_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/openmined/syftfs/fs/statedir"
	"github.com/openmined/syftfs/jobs"
	"github.com/openmined/syftfs/jobs/sandbox"
)

func TestFirst(t *testing.T) {
	dir := t.TempDir()
	st, err := statedir.Open(filepath.Join(dir, "state"), nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sandbox.New(sandbox.Config{State: st, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), NoCgroup: os.Getenv("NOCG") != ""})
	if err != nil {
		t.Fatal(err)
	}
	b := time.Now()
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Log(time.Since(b))
	work, res := filepath.Join(dir, "work"), filepath.Join(dir, "res")
	os.MkdirAll(work+"/code", 0o700)
	os.MkdirAll(res, 0o700)
	os.WriteFile(work+"/run.sh", []byte("id; pwd; env; ls -la . code; ls /proc/self/fd; ls -la /; cat /proc/self/mountinfo; echo hi > code/outputs/x; ls -la outputs; exit 7\n"), 0o600)
	b = time.Now()
	out, err := s.Run(t.Context(), jobs.Spec{ID: jobs.ID{Owner: "o@x.org", Submitter: "d@x.org", Name: "j"}, Work: work, Results: res, Stdout: dir + "/out", Stderr: dir + "/err"})
	t.Log(time.Since(b))
	o, _ := os.ReadFile(dir + "/out")
	e, _ := os.ReadFile(dir + "/err")
	t.Logf("%+v %v\n%s\n%s", out, err, o, e)
	r, _ := os.ReadDir(res)
	t.Log(r)
}
