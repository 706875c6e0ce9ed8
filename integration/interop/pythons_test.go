//go:build interop

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestBothPython: our Drive server carries the whole story between two people who both use the real client.
func TestBothPython(t *testing.T) {
	t.Parallel()
	d := openDrive(t)
	story(t, pythonOwner{newClient(t, d, "owner", owen)}, pythonScientist{newClient(t, d, "scientist", rachel)})
	elsewhere(t, pythonScientist{newClient(t, d, "scientist", rachel)})
}

// untilPeer waits until the client has a peer in a state, and shows it under that heading.
func (c *client) untilPeer(email, state, heading string) {
	c.t.Helper()
	until(c.t, email+" as peer "+state, func() error {
		got := value[peerList](c, "peers", nil)
		for _, p := range got.List {
			if p.Email == email && p.State == state {
				shows(c.t, "the list of peers", got.Shown, heading, email)
				return nil
			}
		}
		return fmt.Errorf("the peers are %+v", got.List)
	})
}

// untilJob waits until the client has a job with a status and shows it so, in its list, its page and on its own.
func (c *client) untilJob(datasite, by, name, status string) jobShown {
	c.t.Helper()
	var j jobShown
	until(c.t, "job "+name+" "+status, func() error {
		got := value[jobList](c, "jobs", nil)
		i := slices.IndexFunc(got.List, func(j jobShown) bool { return j.Name == name })
		if i < 0 {
			return fmt.Errorf("it is not in the list: %s", got.Shown)
		}
		j = got.List[i]
		if j.Status != status {
			return fmt.Errorf("it is %s: %s", j.Status, j.Reason)
		}
		row, approval := emoji[status]+" "+status, j.Approval
		if approval == "" {
			approval = "—"
		}
		shows(c.t, "the list of jobs", got.Shown, strings.Join([]string{name, by, row, approval}, " "))
		shows(c.t, "the page of jobs", got.Page, strings.Join([]string{name, by, emoji[status], strings.ToUpper(status), approval}, " "))
		line := fmt.Sprintf("%s %s (%s", emoji[status], name, status)
		if j.Approval != "" {
			line += " [approved: " + j.Approval + "]"
		}
		line += ") -> " + datasite
		if j.Reason != "" {
			line += " | Review reason: " + j.Reason
		}
		if j.Shown != line {
			c.t.Errorf("the job is shown as %q, want %q", j.Shown, line)
		}
		return nil
	})
	if j.By != by || j.Owner != datasite {
		c.t.Errorf("job %s is of %s at %s", name, j.By, j.Owner)
	}
	// Who approved is told with every status that comes after the approval.
	if method := map[string]string{"approved": "manual", "running": "manual", "done": "manual", "failed": "manual"}[status]; j.Approval != method {
		c.t.Errorf("job %s is %s with approval %q, want %q", name, status, j.Approval, method)
	}
	return j
}

// emoji is what the client puts beside a status.
var emoji = map[string]string{"received": "📨", "pending": "📥", "approved": "✅", "rejected": "❌", "running": "🔄", "done": "🎉", "failed": "💥"}

// pythonOwner is an owner who uses the real client.
type pythonOwner struct{ *client }

func (o pythonOwner) asked(by string) {
	o.t.Helper()
	o.untilPeer(by, "requested_by_peer", "requested by peer 1 pending")
}

func (o pythonOwner) accept(peer string) {
	o.t.Helper()
	o.do("approve_peer", args{"email": peer})
	o.untilPeer(peer, "accepted", "requested by peer None")
}

func (o pythonOwner) dataset(d dataset, users ...string) {
	o.t.Helper()
	files := o.t.TempDir()
	o.do("create_dataset", args{
		"name": d.name, "summary": d.summary, "users": users,
		"mock": write(o.t, d.mock, files, "mock.csv"), "private": write(o.t, d.private, files, "private.csv"), "readme": write(o.t, d.readme, files, "README.md"),
	})
}

func (o pythonOwner) publish(name, text, reader string) {
	o.t.Helper()
	write(o.t, text, o.site(o.email, "public"), name)
	write(o.t, "rules:\n- pattern: "+name+"\n  access:\n    read: ["+reader+"]\n", o.site(o.email, "public"), "syft.pub.yaml")
	o.do("sync", nil)
}

func (o pythonOwner) remove(name string) {
	o.t.Helper()
	if err := os.Remove(o.site(o.email, "public", name)); err != nil {
		o.t.Fatal(err)
	}
	o.do("sync", nil)
}

func (o pythonOwner) pending(by, job, code string) {
	o.t.Helper()
	o.untilJob(o.email, by, job, "pending")
	o.do("sync", nil) // looking at it is what makes it pending: its submitter learns that from the next sync
	o.hasCode(by, job, code)
}

// hasCode demands that the submitted code lies in the datasite, byte for byte.
func (o pythonOwner) hasCode(by, job, code string) {
	o.t.Helper()
	for _, name := range []string{"main.py", "script.sh"} {
		got, err := os.ReadFile(o.site(o.email, "app_data", "job", "inbox", by, job, "code", name))
		if err == nil && string(got) == code {
			return
		}
	}
	o.t.Errorf("job %s does not hold the code that was submitted", job)
}

func (o pythonOwner) decide(by, job, reason string) {
	o.t.Helper()
	if reason != "" {
		o.do("reject", args{"job": job, "reason": reason})
		o.untilJob(o.email, by, job, "rejected")
		return
	}
	o.do("approve", args{"job": job})
	o.untilJob(o.email, by, job, "approved")
	o.do("run", nil)
}

func (o pythonOwner) ended(by, job, status, said string) {
	o.t.Helper()
	j := o.untilJob(o.email, by, job, status)
	if out := map[string]string{"done": j.Stdout, "failed": j.Stderr}[status]; !strings.HasSuffix(out, said) {
		o.t.Errorf("job %s said %q, want %q", job, out, said)
	}
}

func (o pythonOwner) release(by, job string) {
	o.t.Helper()
	o.do("share", args{"job": job, "users": []string{by}})
}

// holdsLogs: the folder of its answers is its submitter's to read, but for outputs.
func (o pythonOwner) holdsLogs() bool { return false }

// pythonScientist is a scientist who uses the real client.
type pythonScientist struct{ *client }

func (s pythonScientist) ask(peer string) {
	s.t.Helper()
	s.do("add_peer", args{"email": peer})
	s.untilPeer(peer, "requested_by_me", "requested by me 1 pending")
}

func (s pythonScientist) accepted(peer string) {
	s.t.Helper()
	s.untilPeer(peer, "accepted", "requested by me None")
}

func (s pythonScientist) dataset(of string, d dataset) {
	s.t.Helper()
	until(s.t, "dataset "+d.name, func() error {
		s.do("sync", nil)
		got := value[datasetList](s.client, "datasets", nil)
		i := slices.IndexFunc(got.List, func(x datasetShown) bool { return x.Name == d.name && x.Owner == of })
		if i < 0 {
			return fmt.Errorf("the datasets are %+v", got.List)
		}
		x := got.List[i]
		if x.Summary != d.summary || x.Readme != d.readme || len(x.Mock) != 1 || x.Mock["mock.csv"] != d.mock {
			s.t.Errorf("the dataset is %+v", x)
		}
		shows(s.t, "the list of datasets", got.Shown, d.name, of)
		shows(s.t, "the dataset", x.Shown, d.name, d.summary)
		return nil
	})
	nowhere(s.t, secret, s.home)
}

func (s pythonScientist) sees(of, name, text string) {
	s.t.Helper()
	until(s.t, name, func() error {
		s.do("sync", nil)
		return holds(s.site(of, "public", name), text)
	})
}

func (s pythonScientist) misses(of, name string) {
	s.t.Helper()
	until(s.t, name+" gone", func() error {
		s.do("sync", nil)
		return gone(s.site(of, "public", name))
	})
}

func (s pythonScientist) python(to, job, code string) {
	s.t.Helper()
	said := s.do("submit_python_job", args{"user": to, "job_name": job, "code_path": write(s.t, code, s.t.TempDir(), "main.py")})
	shows(s.t, "the submission", said, "Job submitted successfully!")
}

func (s pythonScientist) bash(to, job, script string) {
	s.t.Helper()
	s.do("submit_bash_job", args{"user": to, "job_name": job, "script": script})
}

func (s pythonScientist) status(to, job, status, why string) {
	s.t.Helper()
	if j := s.untilJob(to, s.email, job, status); j.Reason != why {
		s.t.Errorf("job %s is %s because of %q, want %q", job, status, j.Reason, why)
	}
}

func (s pythonScientist) results(to, job string) map[string]string {
	s.t.Helper()
	for _, j := range value[jobList](s.client, "jobs", nil).List {
		if j.Name == job && j.Owner == to {
			got := j.Outputs
			got["stdout"], got["stderr"] = j.Stdout, j.Stderr
			return got
		}
	}
	s.t.Fatalf("job %s is not in the list", job)
	return nil
}

// grep lists the files below dir that hold text.
func grep(t testing.TB, text, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(file string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(file)
		if strings.Contains(string(b), text) {
			found = append(found, file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
