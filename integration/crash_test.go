package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKilledAfterCopy: right after a cp returned the program is killed; the next start recovers the dead mount by itself and every byte is there.
func TestKilledAfterCopy(t *testing.T) {
	everyUser(t, func(t *testing.T, h *host) {
		h.init()
		h.start()
		h.person(rachel, "rachel")
		own := h.newActor(t)
		own.mkdir(h.path("many"))
		for i := range 200 {
			own.write(h.path("many", fmt.Sprintf("f%03d", i)), strings.Repeat(fmt.Sprintf("%d,", i), 1000))
		}
		if out, err := h.command("cp", "-r", h.path("many"), h.site()+"/").CombinedOutput(); err != nil {
			t.Fatalf("cp: %v: %s", err, out)
		}
		h.kill()
		if _, err := os.Stat(h.site()); err == nil && h.user == nil {
			t.Fatal("the mount answers although its server is dead")
		}
		h.start()
		if out, err := h.command("diff", "-r", h.path("many"), h.site("many")).CombinedOutput(); err != nil {
			t.Errorf("diff: %v: %s", err, out)
		}
		if out, err := h.command("ls", h.path("rachel")).CombinedOutput(); err != nil {
			t.Errorf("the view that was a place to work is not there again: %v: %s", err, out)
		}
		h.untilReconciled()
		h.stop()
		if left := h.mounts(); len(left) > 0 {
			t.Errorf("left mounted: %q", left)
		}
	})
}

// TestKilledInASeal: at each step of sealing the program is killed; the next start has one job, one revision, whole.
func TestKilledInASeal(t *testing.T) {
	for _, step := range []string{"seal:stage", "place:rename", "seal:place", "seal:receipt", "intake:rename"} {
		t.Run(strings.ReplaceAll(step, ":", "-"), func(t *testing.T) {
			l := newLab(t, newHost(t, nil))
			l.stop()
			l.faults = step + "=kill"
			l.start()
			l.faults = ""
			l.own, l.her = l.newActor(t), l.newActor(t)
			l.ok("view", rachel, l.path("rachel"), "--write")
			dir := l.project("sealed", "main.py", readWord, "lib/a.py", "a = 1\n")
			l.submit(dir)
			l.died()
			l.start()
			j := l.untilJob("sealed", "pending")
			if j.Revision != 1 || len(j.Files) != 4 {
				t.Errorf("it is revision %d with %v", j.Revision, j.Files)
			}
			if n := len(ask[[]job](l.host, "job", "list")); n != 1 {
				t.Errorf("there are %d jobs", n)
			}
			l.stop()
		})
	}
}

// TestKilledInARun: the run dies with the program, is failed and interrupted at the next start, and is never run again by itself.
func TestKilledInARun(t *testing.T) {
	everyUser(t, func(t *testing.T, h *host) {
		l := newLab(t, h)
		long := l.project("long", "main.py", "import time\nprint('began', flush=True)\ntime.sleep(100000)\n")
		l.submit(long)
		l.untilJob("long", "pending")
		l.approve("long")
		l.untilJob("long", "running")
		h.kill()
		h.until("the run is gone", func() error {
			if left := jobProcesses(t, h); left != "" {
				return fmt.Errorf("left: %s", left)
			}
			return nil
		})
		h.start()
		j := l.untilJob("long", "failed")
		if j.ReturnCode == nil || *j.ReturnCode != -1 {
			t.Errorf("return code %v", j.ReturnCode)
		}
		if logs := l.logs("long"); !strings.Contains(logs, "JOB STOPPED: interrupted") {
			t.Errorf("logs: %s", logs)
		}
		if got := l.runs(l.project("next", "main.py", "print('next')\n"), "done"); got.Status != "done" {
			t.Errorf("the next job is %s", got.Status)
		}
		if got := l.job("long").Status; got != "failed" {
			t.Errorf("the interrupted job is %s", got)
		}
		h.stop()
	})
}

// TestKilledInARelease: at each step of a release the program is killed; the next start ends it.
func TestKilledInARelease(t *testing.T) {
	for _, step := range []string{"release:record", "release:place", "release:share"} {
		t.Run(strings.ReplaceAll(step, ":", "-"), func(t *testing.T) {
			l := newLab(t, newHost(t, nil))
			l.runs(l.project("word", "main.py", readWord), "done")
			l.stop()
			l.faults = step + "=kill"
			l.start()
			l.faults = ""
			l.own, l.her = l.newActor(t), l.newActor(t)
			// The release either fails or is cut off with the program.
			_ = l.command("mv", l.desk("word", "held", "word.txt"), l.desk("word", "outputs")+"/").Run()
			l.died()
			l.start()
			l.ok("view", rachel, l.path("again"), "--write")
			released := l.view("again", "jobs", "word", "outputs", "word.txt")
			h := l.host
			h.untilReconciled()
			if step == "release:record" { // nothing was written down: it is still held, whole, and can be released
				if got := l.own.read(l.desk("word", "held", "word.txt")); !strings.Contains(got, canary) {
					t.Errorf("held: %q", got)
				}
				l.ok("job", "release", "word")
			}
			h.until("the result is released", func() error {
				if r := l.her.do(call{Op: "readfile", Path: released}); !strings.Contains(string(r.Data), canary) {
					return fmt.Errorf("%s %q", r.Errno, r.Data)
				}
				return nil
			})
			l.stop()
		})
	}
}

// TestDemoKilled: the demo is killed in the middle, its processes too; the next one works and takes the leftovers away.
func TestDemoKilled(t *testing.T) {
	everyUser(t, func(t *testing.T, h *host) {
		h.faults = "claim:rename=kill" // the datasite dies as the run begins
		out, code := h.run("demo")
		if code == 0 {
			t.Fatalf("the demo did not notice that its datasite died: %s", out)
		}
		h.faults = ""
		if left := h.mounts(); len(left) > 0 {
			t.Errorf("left mounted: %q", left)
		}
		demo := h.command(h.program, "demo", "--keep")
		pipe, err := demo.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := demo.Start(); err != nil {
			t.Fatal(err)
		}
		var said strings.Builder
		buf := make([]byte, 4096)
		for !strings.Contains(said.String(), "arrive in Rachel's mount") {
			n, err := pipe.Read(buf)
			if err != nil {
				t.Fatalf("the demo ended: %v: %s", err, said.String())
			}
			said.Write(buf[:n])
		}
		if err := demo.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := demo.Wait(); err == nil {
			t.Error("it ended well although it was killed")
		}
		out = h.ok("demo")
		for _, want := range []string{"An earlier demo was killed", "14.127", "12.147", "17.463", "Nothing is left behind"} {
			if !strings.Contains(out, want) {
				t.Errorf("the demo said no %q: %s", want, out)
			}
		}
		if out := h.ok("demo", "--one-machine"); !strings.Contains(out, "14.127") || !strings.Contains(out, "Nothing is left behind") {
			t.Errorf("the demo on one machine: %s", out)
		}
		if left, err := filepath.Glob(h.path("syftfs-demo-*")); err != nil || len(left) > 0 {
			t.Errorf("left behind: %q, %v", left, err)
		}
		if left := h.mounts(); len(left) > 0 {
			t.Errorf("left mounted: %q", left)
		}
	})
}
