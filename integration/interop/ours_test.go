//go:build interop

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPythonScientist: Rachel uses the real client, Owen this program.
func TestPythonScientist(t *testing.T) {
	t.Parallel()
	d := serveDrive(t)
	story(t, ourOwner{newSite(t, d, owen)}, pythonScientist{newClient(t, d, "scientist", rachel)})
	elsewhere(t, pythonScientist{newClient(t, d, "scientist", rachel)})
}

// TestPythonOwner: Owen uses the real client, Rachel this program.
func TestPythonOwner(t *testing.T) {
	t.Parallel()
	d := serveDrive(t)
	story(t, pythonOwner{newClient(t, d, "owner", owen)}, ourScientist{newSite(t, d, rachel)})
}

// ourOwner is an owner who uses this program: files where files do, else commands.
type ourOwner struct{ *site }

func (o ourOwner) asked(by string) {
	o.t.Helper()
	until(o.t, by+" asks", func() error { return o.isPeer(by, "pending") })
}

func (o ourOwner) accept(peer string) {
	o.t.Helper()
	if gives := o.read(o.path("SyftBox", ".syft", "peers", "pending", peer, "gives")); !strings.Contains(gives, "app_data/job/inbox/"+peer) {
		o.t.Errorf("what an acceptance gives does not name the job folders: %s", gives)
	}
	o.sh(`mv "$1" "$2"`, o.path("SyftBox", ".syft", "peers", "pending", peer), o.path("SyftBox", ".syft", "peers", "accepted")+"/")
	until(o.t, peer+" is accepted", func() error { return o.isPeer(peer, "accepted") })
}

func (o ourOwner) dataset(d dataset, users ...string) {
	o.t.Helper()
	files := o.t.TempDir()
	o.ok("dataset", "create", d.name, "--summary", d.summary, "--readers", strings.Join(users, ","),
		"--mock", write(o.t, d.mock, files, "mock.csv"), "--private", write(o.t, d.private, files, "private.csv"), "--readme", write(o.t, d.readme, files, "README.md"))
}

func (o ourOwner) publish(name, text, reader string) {
	o.t.Helper()
	o.sh(`mkdir -p "$1" && printf %s "$3" > "$1/$2"`, o.in(owen, "public"), name, text)
	o.ok("share", owen+"/public/"+name, "--with", reader, "--read")
}

func (o ourOwner) remove(name string) {
	o.t.Helper()
	o.sh(`rm "$1"`, o.in(owen, "public", name))
}

// desk is a path in the folder of a job that was submitted here.
func (o ourOwner) desk(by, job string, parts ...string) string {
	return o.in(owen, append([]string{"jobs", by, job}, parts...)...)
}

func (o ourOwner) pending(by, job, code string) {
	o.t.Helper()
	o.untilJob(by, job, "pending")
	files, err := os.ReadDir(o.desk(by, job, "code"))
	if err != nil || len(files) != 1 {
		o.t.Fatalf("the code of job %s: %v %v", job, files, err)
	}
	if got := o.read(o.desk(by, job, "code", files[0].Name())); got != code {
		o.t.Errorf("job %s holds %q, want %q", job, got, code)
	}
}

func (o ourOwner) decide(by, job, reason string) {
	o.t.Helper()
	if reason != "" {
		o.sh(`echo "reject $2" > "$1"`, o.desk(by, job, "DECISION"), reason)
		o.untilJob(by, job, "rejected")
		return
	}
	digest := o.untilJob(by, job, "pending").Digest
	if job == "total" { // the dataset is named in the code
		line := regexp.MustCompile(`(?m)^[# ]*(approve \S+)`).FindStringSubmatch(o.read(o.desk(by, job, "DECISION")))
		if line == nil || !strings.Contains(digest, strings.Fields(line[1])[1]) {
			o.t.Fatalf("DECISION does not offer to approve %s: %s", digest, o.read(o.desk(by, job, "DECISION")))
		}
		o.sh(`echo "$2" > "$1"`, o.desk(by, job, "DECISION"), line[1])
		return
	}
	o.ok("job", "approve", by+"/"+job, digest, "--dataset", trial.name)
}

func (o ourOwner) ended(by, job, status, said string) {
	o.t.Helper()
	o.untilJob(by, job, status)
	stream := map[string]string{"done": "stdout.txt", "failed": "stderr.txt"}[status]
	if got := o.read(o.desk(by, job, "logs", stream)); !strings.HasSuffix(got, said) {
		o.t.Errorf("job %s said %q, want %q", job, got, said)
	}
}

func (o ourOwner) release(by, job string) {
	o.t.Helper()
	held, err := os.ReadDir(o.desk(by, job, "held"))
	if err != nil && !os.IsNotExist(err) {
		o.t.Fatal(err)
	}
	if job == "total" {
		for _, f := range held {
			o.sh(`mv "$1" "$2"`, o.desk(by, job, "held", f.Name()), o.desk(by, job, "outputs")+"/")
		}
	}
	o.ok("job", "release", by+"/"+job, "--logs")
}

func (o ourOwner) holdsLogs() bool { return true }

// ourScientist is a scientist who uses this program.
type ourScientist struct{ *site }

func (s ourScientist) ask(peer string) {
	s.t.Helper()
	s.sh(`mkdir "$1"`, s.path("SyftBox", ".syft", "peers", "requested", peer))
	until(s.t, peer+" is asked", func() error { return s.isPeer(peer, "requested") })
}

func (s ourScientist) accepted(peer string) {
	s.t.Helper()
	until(s.t, peer+" has accepted", func() error { return s.isPeer(peer, "accepted") })
}

func (s ourScientist) dataset(of string, d dataset) {
	s.t.Helper()
	at := func(name string) string { return s.in(of, "public", "syft_datasets", d.name, name) }
	for name, text := range map[string]string{"mock.csv": d.mock, "README.md": d.readme} {
		until(s.t, name+" of dataset "+d.name, func() error { return holds(at(name), text) })
	}
	if got := s.read(at("dataset.yaml")); !strings.Contains(got, d.summary) {
		s.t.Errorf("dataset.yaml: %s", got)
	}
	nowhere(s.t, secret, s.home)
}

func (s ourScientist) sees(of, name, text string) {
	s.t.Helper()
	until(s.t, name, func() error { return holds(s.in(of, "public", name), text) })
}

func (s ourScientist) misses(of, name string) {
	s.t.Helper()
	until(s.t, name+" gone", func() error { return gone(s.in(of, "public", name)) })
}

func (s ourScientist) python(to, job, code string) {
	s.t.Helper()
	dir := filepath.Join(s.t.TempDir(), job)
	write(s.t, code, dir, "main.py")
	s.sh(`cp -r "$1" "$2"`, dir, s.in(to, "jobs")+"/")
}

func (s ourScientist) bash(to, job, script string) {
	s.t.Helper()
	s.ok("job", "submit", write(s.t, script, s.t.TempDir(), job+".sh"), "--to", to)
}

// desk is a path in the folder of a job as its submitter sees it; a script's stands beside the script.
func (s ourScientist) desk(to, job string, parts ...string) string {
	return s.in(to, append([]string{"jobs", job}, parts...)...)
}

func (s ourScientist) status(to, job, status, why string) {
	s.t.Helper()
	until(s.t, "job "+job+" "+status, func() error {
		got, err := os.ReadFile(s.desk(to, job, "status"))
		if err != nil {
			return err
		}
		if !regexp.MustCompile(`(?m)^status: *`+status+`\b`).Match(got) || !strings.Contains(string(got), why) {
			return fmt.Errorf("its status says %q", got)
		}
		return nil
	})
}

func (s ourScientist) results(to, job string) map[string]string {
	s.t.Helper()
	got := map[string]string{}
	for _, dir := range []string{"outputs", "logs"} {
		files, err := os.ReadDir(s.desk(to, job, dir))
		if err != nil && !os.IsNotExist(err) {
			s.t.Fatal(err)
		}
		for _, f := range files {
			name := f.Name()
			if dir == "logs" {
				name = strings.TrimSuffix(name, ".txt")
			}
			got[name] = s.read(s.desk(to, job, dir, f.Name()))
		}
	}
	return got
}
