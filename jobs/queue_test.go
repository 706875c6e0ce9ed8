package jobs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/fs/datasite"
)

func TestOutcomes(t *testing.T) {
	for _, c := range []struct {
		name           string
		out            Outcome
		status         Status
		stdout, stderr string
	}{
		{"well", Outcome{}, Done, "o", "e"},
		{"exit status", Outcome{Code: 3}, Failed, "o", "e"},
		{"signal", Outcome{Code: 137}, Failed, "o", "e"},
		{"ended by us with status 0", Outcome{Code: 0, Reason: "output_quota"}, Failed, "o", "e\n--- JOB STOPPED: output_quota ---\n"},
		{"timeout", Outcome{Code: -1, Reason: "timeout"}, Failed, "o\n\n--- PROCESS TIMED OUT ---\n",
			"e\n\n--- PROCESS TIMED OUT ---\n--- JOB STOPPED: timeout ---\n"},
		{"memory", Outcome{Code: 137, Reason: "memory"}, Failed, "o", "e\n--- JOB STOPPED: memory ---\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *site) {
				s.runner.do = func(ctx context.Context, spec Spec) (Outcome, error) {
					return c.out, errors.Join(os.WriteFile(spec.Stdout, []byte("o"), 0o600), os.WriteFile(spec.Stderr, []byte("e"), 0o600))
				}
				s.start()
				id := job1("a")
				s.put(id, submission("a"))
				s.approve(id)
				synctest.Wait()
				j := s.want(id, c.status)
				if got := s.read(id.Review().Join(StdoutFile)); got != c.stdout {
					t.Errorf("stdout %q, want %q", got, c.stdout)
				}
				if got := s.read(id.Review().Join(StderrFile)); got != c.stderr {
					t.Errorf("stderr %q, want %q", got, c.stderr)
				}
				if got := s.read(id.Review().Join(CodeFile)); got != fmt.Sprint(c.out.Code) || *j.State.ReturnCode != c.out.Code {
					t.Errorf("returncode.txt %q, %v", got, j.State.ReturnCode)
				}
			})
		})
	}
}

func TestNoSandboxNoRun(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		s.runner.ready = errors.New("bubblewrap is missing: run: apt install bubblewrap")
		e := s.start()
		id := job1("a")
		s.put(id, submission("a"))
		s.approve(id)
		synctest.Wait()
		if j := s.want(id, Approved); !strings.Contains(j.Message, "apt install bubblewrap") {
			t.Errorf("message %q", j.Message)
		}
		elapse(3 * retryAfter)
		s.want(id, Approved)
		s.runner.mu.Lock()
		s.runner.ready = nil
		s.runner.mu.Unlock()
		e.Kick()
		synctest.Wait()
		s.want(id, Done)
		if s.runner.runs[id] != 1 {
			t.Errorf("ran %v", s.runner.runs)
		}
	})
}

func TestSlowTimerRetries(t *testing.T) {
	for _, c := range []struct {
		name  string
		stuck Status
		hurt  func(*site)
		heal  func(*site)
	}{
		{"no sandbox", Approved, func(s *site) { s.runner.ready = errFault }, func(s *site) { s.runner.ready = nil }},
		{"rules cannot be written", Approved, func(s *site) { s.rules.fail = errFault }, func(s *site) { s.rules.fail = nil }},
		{"the runner fails before anything ran", Approved,
			func(s *site) {
				s.runner.do = func(context.Context, Spec) (Outcome, error) { return Outcome{}, errFault }
			}, func(s *site) { s.runner.do = nil }},
		{"results cannot be held", Running, func(s *site) { s.holder.fail = errFault }, func(s *site) { s.holder.fail = nil }},
		{"logs cannot be written", Running, func(s *site) { s.fault.fail["tree:write:stderr.txt"] = errFault },
			func(s *site) { delete(s.fault.fail, "tree:write:stderr.txt") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *site) {
				c.hurt(s)
				s.start()
				id := job1("a")
				s.put(id, submission("a"))
				s.approve(id)
				synctest.Wait()
				if j := s.want(id, c.stuck); !strings.Contains(j.Message, errFault.Error()) {
					t.Errorf("message %q", j.Message)
				}
				for _, mu := range []interface{ Lock() }{&s.runner.mu, &s.rules.mu, &s.holder.mu, &s.fault.mu} {
					mu.Lock()
				}
				c.heal(s)
				for _, mu := range []interface{ Unlock() }{&s.runner.mu, &s.rules.mu, &s.holder.mu, &s.fault.mu} {
					mu.Unlock()
				}
				elapse(retryAfter)
				synctest.Wait()
				s.want(id, Done)
				if got := s.holder.held[id]["x.txt"]; got != "done\n" {
					t.Errorf("held %v", s.holder.held[id])
				}
			})
		})
	}
}

func TestQueueTakesSubmittersInTurn(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		s.runner.ready = errFault
		e := s.start()
		for _, name := range []string{"r1", "r2", "r3"} {
			s.put(job1(name), submission(name))
			s.approve(job1(name))
			elapse(time.Second)
		}
		for _, name := range []string{"n1", "n2"} {
			id := ID{owen, nina, name}
			s.put(id, submission(name))
			s.approve(id)
			elapse(time.Second)
		}
		s.runner.mu.Lock()
		s.runner.ready = nil
		s.runner.do = func(ctx context.Context, spec Spec) (Outcome, error) {
			elapse(time.Second)
			return wellDone(ctx, spec)
		}
		s.runner.mu.Unlock()
		e.Kick()
		elapse(time.Minute)
		want := []string{"rachel@science.example/r1", "nina@statistics.example/n1", "rachel@science.example/r2", "nina@statistics.example/n2", "rachel@science.example/r3"}
		if diff := cmp.Diff(want, s.runner.order); diff != "" || s.runner.most != 1 {
			t.Errorf("%s, at most %d at a time", diff, s.runner.most)
		}
	})
}

func TestCloseInterruptsAndRecords(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		s.runner.do = untilEnd
		s.start()
		id := job1("a")
		s.put(id, submission("a"))
		s.approve(id)
		synctest.Wait()
		s.stop()
		j := s.want(id, Failed)
		if got, want := s.read(id.Review().Join(StderrFile)), "half a li\n--- JOB STOPPED: interrupted ---\n"; got != want {
			t.Errorf("stderr %q, want %q", got, want)
		}
		if len(s.holder.held[id]) != 0 || *j.State.ReturnCode != -1 {
			t.Errorf("held %v, code %v", s.holder.held[id], j.State.ReturnCode)
		}
		s.start()
		s.want(id, Failed)
		if s.runner.runs[id] != 1 {
			t.Errorf("ran %v", s.runner.runs)
		}
	})
}

func TestDamagedIntakeIsNotRun(t *testing.T) {
	for name, damage := range map[string]func(dir string) error{
		"changed": func(dir string) error { return os.WriteFile(dir+"/"+RunFile, []byte("#!/bin/bash\nrm -r /\n"), 0o600) },
		"removed": func(dir string) error { return os.Remove(dir + "/code/main.py") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *site) {
				s.runner.ready = errFault
				e := s.start()
				id := job1("a")
				s.put(id, submission("a"))
				s.approve(id)
				synctest.Wait()
				dirs, err := filepath.Glob(s.state + "/jobs/*/rev-1/files")
				if err != nil || len(dirs) != 1 {
					t.Fatal(dirs, err)
				}
				if err := damage(dirs[0]); err != nil {
					t.Fatal(err)
				}
				s.runner.mu.Lock()
				s.runner.ready = nil
				s.runner.mu.Unlock()
				e.Kick()
				synctest.Wait()
				s.want(id, Failed)
				if got := s.read(id.Review().Join(StderrFile)); !strings.HasSuffix(got, "--- JOB STOPPED: submission_changed ---\n") || len(s.runner.runs) != 0 {
					t.Errorf("stderr %q, ran %v", got, s.runner.runs)
				}
			})
		})
	}
}

// A feed that fails for a while loses nothing.
func TestFeedFails(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		s.feed.fail = errFault
		s.start()
		id := job1("a")
		s.put(id, submission("a"))
		if got := s.engine.List(); len(got) != 0 {
			t.Errorf("listed %+v", got)
		}
		s.feed.mu.Lock()
		s.feed.fail = nil
		s.feed.mu.Unlock()
		elapse(2 * retryAfter)
		synctest.Wait()
		s.want(id, Pending)
	})
}

// A folder above the inbox that is renamed brings its jobs along.
func TestFolderAboveMoves(t *testing.T) {
	for _, dir := range []string{"app_data", datasite.JobInboxDir, datasite.JobInboxDir + "/" + string(rachel)} {
		bubble(t, func(t *testing.T, s *site) {
			s.start()
			at, away := datasite.Path{Owner: owen, Rel: dir}, datasite.Path{Owner: owen, Rel: "away"}
			for n, body := range submission("a") {
				s.write(away.Join(strings.TrimPrefix(job1("a").Inbox().Join(n).Rel, dir)), body)
			}
			if err := errors.Join(os.RemoveAll(s.host(at)), os.MkdirAll(filepath.Dir(s.host(at)), 0o755), os.Rename(s.host(away), s.host(at))); err != nil {
				t.Fatal(err)
			}
			s.feed.add(datasite.Change{Op: datasite.OpRename, From: away, Path: at})
			synctest.Wait()
			s.want(job1("a"), Pending)
		})
	}
}
