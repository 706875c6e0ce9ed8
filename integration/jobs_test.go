package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// lab is Owen's running datasite with a dataset that holds a secret word, and Rachel at work in a view.
type lab struct {
	*host
	own, her *actor
}

const (
	canary   = "canary-5f1c7e"
	mockWord = "mock-a81b22"
)

func newLab(t *testing.T, h *host, config ...string) *lab {
	t.Helper()
	h.init()
	h.configure(append([]string{"settle: 2s", "settle: 300ms", "bare_settle: 5s", "bare_settle: 600ms"}, config...)...)
	h.start()
	h.person(rachel, "rachel")
	l := &lab{host: h, own: h.newActor(t), her: h.newActor(t)}
	l.own.write(h.path("mock.csv"), "word\n"+mockWord+"\n")
	l.own.write(h.path("real.csv"), "word\n"+canary+"\n")
	h.ok("dataset", "create", "words", "--mock", "mock.csv", "--private", "real.csv", "--readers", rachel)
	l.own.write(h.path("other.csv"), "word\nother-"+canary+"\n")
	h.ok("dataset", "create", "others", "--mock", "mock.csv", "--private", "other.csv")
	return l
}

// project makes a folder of Rachel's with files, name and text in turn.
func (l *lab) project(name string, files ...string) string {
	l.t.Helper()
	dir := l.path("projects", name)
	l.her.do(call{Op: "mkdir", Path: l.path("projects"), Mode: 0o755})
	l.her.mkdir(dir)
	for i := 0; i < len(files); i += 2 {
		if sub := filepath.Dir(files[i]); sub != "." {
			l.her.do(call{Op: "mkdir", Path: filepath.Join(dir, sub), Mode: 0o755})
		}
		l.her.write(filepath.Join(dir, files[i]), files[i+1])
	}
	return dir
}

// submit copies a folder into Rachel's jobs/ as cp -r does it.
func (l *lab) submit(dir string) {
	l.t.Helper()
	if out, err := l.command("cp", "-r", dir, l.view("rachel", "jobs")+"/").CombinedOutput(); err != nil {
		l.t.Fatalf("cp -r: %v: %s", err, out)
	}
}

// desk is a path in Owen's folder of one of Rachel's jobs.
func (l *lab) desk(job string, parts ...string) string {
	return l.site(append([]string{"jobs", rachel, job}, parts...)...)
}

// approve writes the approval that DECISION offers into it.
func (l *lab) approve(job string) {
	l.t.Helper()
	line := regexp.MustCompile(`(?m)^[# ]*(approve \S+)`).FindStringSubmatch(l.own.read(l.desk(job, "DECISION")))
	if line == nil {
		l.t.Fatalf("DECISION offers no approval: %s", l.own.read(l.desk(job, "DECISION")))
	}
	l.decide(job, line[1]+" datasets=words", "")
}

// decide writes a line into DECISION with one write(2), which must end with errno.
func (l *lab) decide(job, line, errno string) {
	l.t.Helper()
	f := l.own.ok(call{Op: "open", Path: l.desk(job, "DECISION"), Flags: unix.O_WRONLY | unix.O_TRUNC}).File
	l.own.want(errno, call{Op: "write", File: f, Data: []byte(line + "\n")})
	l.own.ok(call{Op: "close", File: f})
}

// runs submits a folder, approves it and waits for its end.
func (l *lab) runs(dir, status string) job {
	l.t.Helper()
	name := filepath.Base(dir)
	l.submit(dir)
	l.untilJob(name, "pending")
	l.approve(name)
	return l.untilJob(name, status)
}

func (l *lab) logs(name string) string {
	l.t.Helper()
	return l.ok("job", "logs", name)
}

const readWord = `import os
from pathlib import Path
site = Path(os.environ["SYFTBOX_FOLDER"]) / os.environ["SYFTBOX_EMAIL"]
part = "private" if os.environ.get("SYFT_IS_IN_JOB") == "true" else "public"
word = (site / part / "syft_datasets" / "words" / ("real.csv" if part == "private" else "mock.csv")).read_text()
Path("outputs").mkdir(exist_ok=True)
Path("outputs/word.txt").write_text(word)
print("read", part)
`

// TestJob is the whole way of one job, and what each side sees when.
func TestJob(t *testing.T) {
	everyUser(t, func(t *testing.T, h *host) {
		l := newLab(t, h)
		dir := l.project("words-job", "main.py", readWord)
		l.runs(dir, "done")

		if got := l.own.read(l.desk("words-job", "held", "word.txt")); !strings.Contains(got, canary) {
			t.Errorf("held: %q", got)
		}
		theirs := func(parts ...string) string {
			return l.view("rachel", append([]string{"jobs", "words-job"}, parts...)...)
		}
		l.her.want("ENOENT", call{Op: "readfile", Path: theirs("outputs", "word.txt")})
		l.her.want("ENOENT", call{Op: "readfile", Path: theirs("logs", "stdout.txt")})
		l.her.want("ENOENT", call{Op: "readfile", Path: l.view("rachel", "app_data/job/review", rachel, "words-job", "stdout.txt")})
		if out, err := h.command("mv", l.desk("words-job", "held", "word.txt"), l.desk("words-job", "outputs")+"/").CombinedOutput(); err != nil {
			t.Fatalf("mv: %v: %s", err, out)
		}
		if got := l.her.read(theirs("outputs", "word.txt")); !strings.Contains(got, canary) {
			t.Errorf("released: %q", got)
		}
		l.her.want("ENOENT", call{Op: "readfile", Path: theirs("logs", "stdout.txt")})
		h.ok("job", "release", "words-job", "--logs")
		if got := l.her.read(theirs("logs", "stdout.txt")); !strings.Contains(got, "read private") {
			t.Errorf("logs: %q", got)
		}
		// Once decided, nothing of it can be changed by its submitter.
		l.her.want("EROFS", call{Op: "writefile", Path: theirs("main.py"), Data: []byte("x"), Mode: 0o644})
		h.stop()
	})
}

// TestJobsAreHostile: one laboratory, many jobs that want what they must not have.
func TestJobsAreHostile(t *testing.T) {
	everyUser(t, func(t *testing.T, h *host) {
		l := newLab(t, h, "timeout: 5m0s", "timeout: 4s")
		tests := []struct {
			name, script, status string
			log                  []string // all must be in the logs
		}{
			{"files", `
import os, sys
for path in ["/etc/shadow", "/root", "` + h.home + `", "` + h.backing("private") + `", "/syftbox/` + owen + `/private/syft_datasets/others/other.csv"]:
    try:
        os.listdir(path) if os.path.isdir(path) else open(path).read()
        print("SEES", path)
    except OSError:
        pass
print("datasets", sorted(os.listdir("/syftbox/` + owen + `/private/syft_datasets")))
`, "done", []string{"datasets ['words']"}},
			{"processes", `
import os
pids = [p for p in os.listdir("/proc") if p.isdigit()]
print("few" if len(pids) < 12 else "SEES %d" % len(pids))
`, "done", []string{"few"}},
			{"network", `
import socket
print("interfaces", [l.split(":")[0].strip() for l in open("/proc/net/dev") if ":" in l])
for family, to in ((socket.AF_INET, ("127.0.0.1", 80)), (socket.AF_INET, ("1.1.1.1", 53))):
    try:
        s = socket.socket(family, socket.SOCK_STREAM); s.settimeout(1); s.connect(to); print("SEES", to)
    except OSError as e:
        print("no", to)
`, "done", []string{"interfaces ['lo']", "no ('127.0.0.1', 80)", "no ('1.1.1.1', 53)"}},
			{"writes", `
for path in ("/syftbox/` + owen + `/private/syft_datasets/words/real.csv", "/usr/x", "/proc/sys/kernel/core_pattern", "/etc/x"):
    try:
        open(path, "w").write("x"); print("SEES", path)
    except OSError:
        print("no", path)
`, "done", []string{"no /syftbox", "no /usr/x", "no /proc/sys"}},
			{"environment", `
import os
print(sorted(os.environ))
print("SEES" if any(k.startswith(("XDG", "SYFTFS", "GO")) for k in os.environ) else "closed")
`, "done", []string{"closed", "SYFTBOX_FOLDER"}},
			{"links", `
import os
os.makedirs("outputs", exist_ok=True)
os.symlink("/syftbox/` + owen + `/private/syft_datasets/words/real.csv", "outputs/link.csv")
os.symlink("/", "outputs/root")
open("outputs/syft.pub.yaml", "w").write("rules: [{pattern: '**', access: {read: ['*']}}]")
open("outputs/fine.txt", "w").write("fine")
`, "done", []string{"link.csv"}},
			{"sleeps", "import time\nprint('begin', flush=True)\ntime.sleep(100000)\n", "failed", []string{"begin", "JOB STOPPED: timeout"}},
			{"stubborn", `
import os, signal, time
for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(s, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True: time.sleep(1)
while True: time.sleep(1)
`, "failed", []string{"JOB STOPPED: timeout"}},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				dir := l.project(tt.name, "main.py", "# uses syft_datasets/words\n"+tt.script)
				j := l.runs(dir, tt.status)
				logs := l.logs(tt.name)
				for _, want := range tt.log {
					if !strings.Contains(logs, want) {
						t.Errorf("logs have no %q: %s", want, logs)
					}
				}
				if strings.Contains(logs, "SEES") {
					t.Errorf("it saw what it must not: %s", logs)
				}
				if tt.name == "links" && (len(j.Held) != 1 || j.Held[0].Path != "fine.txt") {
					held := l.job("links").Held
					if len(held) != 1 || held[0].Path != "fine.txt" {
						t.Errorf("held: %+v", held)
					}
				}
			})
		}
		if left := jobProcesses(t, h); left != "" {
			t.Errorf("left of jobs: %s", left)
		}
		h.stop()
	})
}

// jobProcesses lists processes that run below this host's state and are not the datasite itself.
func jobProcesses(t *testing.T, h *host) string {
	t.Helper()
	var left []string
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err != nil || len(b) == 0 {
			continue
		}
		line := strings.ReplaceAll(string(b), "\x00", " ")
		if strings.Contains(line, "bwrap") && strings.Contains(line, h.home) || strings.Contains(line, "python main.py") {
			left = append(left, e.Name()+": "+line)
		}
	}
	return strings.Join(left, "\n")
}

// TestDecisionIsForBytes: a wrong digest is refused in write(2), a change while pending is a new revision, a change after approval never runs.
func TestDecisionIsForBytes(t *testing.T) {
	everyUser(t, func(t *testing.T, h *host) {
		l := newLab(t, h)
		l.submit(l.project("bytes", "main.py", "print('first')\n"))
		first := l.untilJob("bytes", "pending")
		for _, bad := range []string{"approve 000000000000", "approve", "approve " + strings.TrimPrefix(first.Digest, "sha256:")[:11], "yes", "", "# approve"} {
			l.decide("bytes", bad, "EINVAL")
		}
		if last := l.own.read(h.path("SyftBox", ".syft", "last-error")); !strings.Contains(last, "DECISION") {
			t.Errorf("last-error says %q", last)
		}
		if got := l.job("bytes").Status; got != "pending" {
			t.Fatalf("after refused decisions it is %s", got)
		}
		// A change while pending: another revision, and the first one's approval no longer counts.
		l.her.write(l.view("rachel", "jobs", "bytes", "main.py"), "print('second')\n")
		var second job
		h.until("the second revision", func() error {
			if second = l.job("bytes"); second.Digest == first.Digest || second.Status != "pending" {
				return fmt.Errorf("it is %+v", second)
			}
			return nil
		})
		l.decide("bytes", "approve "+first.Digest, "EINVAL")
		if got := l.own.read(l.desk("bytes", "code", "main.py")); got != "print('second')\n" {
			t.Errorf("Owen reads %q", got)
		}
		// Another program of Owen's, not through the mount, changes the stored files at the moment of the approval.
		stored := h.backing("app_data/job/inbox", rachel, "bytes", "code", "main.py")
		l.decide("bytes", "approve "+second.Digest, "")
		l.own.do(call{Op: "writefile", Path: stored, Data: []byte("print('third')\n"), Mode: 0o644})
		l.untilJob("bytes", "done")
		if logs := l.logs("bytes"); !strings.Contains(logs, "second") || strings.Contains(logs, "third") {
			t.Errorf("logs: %s", logs)
		}
		h.stop()
	})
}

// TestCopyStopped: what is still being copied is a draft, however long it takes, and one submission when it is done.
func TestCopyStopped(t *testing.T) {
	everyUser(t, func(t *testing.T, h *host) {
		l := newLab(t, h)
		jobs := l.view("rachel", "jobs")
		l.her.mkdir(filepath.Join(jobs, "big"))
		f := l.her.ok(call{Op: "open", Path: filepath.Join(jobs, "big", "main.py"), Flags: unix.O_CREAT | unix.O_WRONLY, Mode: 0o644}).File
		l.her.ok(call{Op: "write", File: f, Data: []byte("print('half")})
		// Another job that is copied meanwhile goes its way; the half one does not.
		l.submit(l.project("small", "main.py", "print(1)\n"))
		l.untilJob("small", "pending")
		if status := l.her.read(filepath.Join(jobs, "big", "status")); !strings.Contains(status, "draft") {
			t.Errorf("status: %s", status)
		}
		l.own.want("ENOENT", call{Op: "stat", Path: l.desk("big")})
		l.her.ok(call{Op: "write", File: f, Data: []byte("print('whole')\n")})
		l.her.ok(call{Op: "close", File: f})
		l.untilJob("big", "pending")
		if got := l.own.read(l.desk("big", "code", "main.py")); got != "print('whole')\n" {
			t.Errorf("Owen reads %q", got)
		}
		// A complete job folder that lacks a listed file stays a draft and says so.
		config := "code_path: null\ndatasets: null\ndependencies: []\nentrypoint: main.py\nfiles:\n- main.py\n- lib/util.py\nheaders: {}\nis_folder_submission: true\njob_type: local\nname: torn\nsubmitted_at: '2026-06-11T09:30:00.123456Z'\ntype: python\n"
		l.submit(l.project("torn", "config.yaml", config, "run.sh", "echo hi\n", "code/main.py", "print(1)\n"))
		h.until("the status names the missing file", func() error {
			if status := l.her.read(filepath.Join(jobs, "torn", "status")); !strings.Contains(status, "lib/util.py") {
				return fmt.Errorf("status: %s", status)
			}
			return nil
		})
		l.own.want("ENOENT", call{Op: "stat", Path: l.desk("torn")})
		h.stop()
	})
}
