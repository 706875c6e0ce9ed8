package jobs

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

var errCrash = errors.New("crash here")

// life takes one job from the inbox to its end, as far as the engine gets. Errors are those of the injected crash.
func life(s *site, id ID) {
	s.put(id, submission(id.Name))
	if j, err := s.engine.Get(id); err == nil && j.Status == Pending {
		// An error leaves the job as it was, or approved.
		if err := s.engine.Approve(s.t.Context(), id, byOwner, Approval{Digest: string(j.Digest)}); err != nil {
			s.t.Log(err)
		}
	}
	synctest.Wait()
}

// Every step of a job's life is a place to crash at: nothing after it happens. After the restart the job goes on, never runs twice, and never
// loses what was recorded.
func TestCrashAtEachStep(t *testing.T) {
	var steps []string
	bubble(t, func(t *testing.T, s *site) {
		s.start()
		life(s, job1("a"))
		s.want(job1("a"), Done)
		steps = s.steps()
	})
	for _, want := range []string{"intake:copy", "intake:rename", "approve:rename", "claim:rename", "restricted", "started:rename", "collected:rename", "hold",
		"finish:rename", "logs:rename", "publish", "tree:write:state.yaml", "tree:write:stdout.txt"} {
		if !slices.Contains(steps, want) {
			t.Errorf("there is no step %q in %q", want, steps)
		}
	}
	for i, step := range steps {
		nth := 0
		for _, other := range steps[:i] {
			if other == step {
				nth++
			}
		}
		t.Run(step+strings.Repeat(" again", nth), func(t *testing.T) {
			bubble(t, func(t *testing.T, s *site) {
				id := job1("a")
				s.start()
				s.fault.crashAt(step, nth)
				life(s, id)
				ran := s.runner.runs[id]
				s.crash()
				s.start()
				if j := s.get(id); j.Status == Pending { // the approval was not recorded, or the submission only now read
					s.approve(id)
					synctest.Wait()
				}
				j := s.get(id)
				switch {
				case ran == 1 && s.runner.runs[id] != 1:
					t.Errorf("ran %d times", s.runner.runs[id])
				case j.Status == Done:
					s.want(id, Done)
					if s.runner.runs[id] != 1 || s.holder.held[id]["x.txt"] != "done\n" || s.read(id.Review().Join(StdoutFile)) != "working\n" {
						t.Errorf("ran %d times, held %q, stdout %q", s.runner.runs[id], s.holder.held[id], s.read(id.Review().Join(StdoutFile)))
					}
				case j.Status == Failed: // claimed, and how it ended was not recorded
					s.want(id, Failed)
					if *j.State.ReturnCode != -1 || len(s.holder.held[id]) != 0 {
						t.Errorf("code %d, held %q", *j.State.ReturnCode, s.holder.held[id])
					}
					if got := s.read(id.Review().Join(StderrFile)); !strings.HasSuffix(got, "--- JOB STOPPED: interrupted ---\n") {
						t.Errorf("stderr %q", got)
					}
					if !slices.Contains([]string{"restricted", "publish", "tree:write:state.yaml", "started:rename", "logs:rename", "collected:rename"}, step) {
						t.Errorf("interrupted, although only %s failed", step)
					}
				default:
					t.Errorf("is %s: %s", j.Status, j.Message)
				}
				if left, err := filepath.Glob(s.state + "/runs/*/*"); err != nil || len(left) != 2 {
					t.Errorf("left of the run: %q %v", left, err)
				}
				if left, err := filepath.Glob(s.state + "/jobs/*/*"); err != nil || len(left) != 2 {
					t.Errorf("left of the intake: %q %v", left, err)
				}
				if len(s.rules.lists) != 4 {
					t.Errorf("rules %v", s.rules.lists)
				}
			})
		})
	}
}

// The same steps, failing once without a crash: the program goes on and ends the job by itself.
func TestFailureOfEachStep(t *testing.T) {
	var steps []string
	bubble(t, func(t *testing.T, s *site) {
		s.start()
		life(s, job1("a"))
		steps = s.steps()
	})
	slices.Sort(steps)
	for _, step := range slices.Compact(steps) {
		t.Run(step, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *site) {
				id := job1("a")
				s.start()
				s.fault.failAt(step, errFault)
				life(s, id)
				elapse(2 * retryAfter)
				synctest.Wait()
				if j := s.get(id); j.Status == Pending {
					s.approve(id)
					synctest.Wait()
				}
				elapse(2 * retryAfter)
				synctest.Wait()
				j := s.get(id)
				if j.Status == Running { // how it ended could not be recorded: the next start decides
					s.stop()
					s.start()
					j = s.want(id, Failed)
				} else {
					j = s.want(id, Done)
				}
				if s.runner.runs[id] != 1 {
					t.Errorf("ran %d times and is %s", s.runner.runs[id], j.Status)
				}
			})
		})
	}
}

func TestCrashWhileRunning(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		s.runner.do = untilEnd
		s.start()
		id, next := job1("a"), job1("b")
		s.put(id, submission("a"))
		s.put(next, submission("b"))
		s.approve(id)
		synctest.Wait()
		s.approve(next)
		s.crash()
		s.runner.do = nil
		s.start()
		j := s.want(id, Failed)
		if got, want := s.read(id.Review().Join(StderrFile)), "half a li\n--- JOB STOPPED: interrupted ---\n"; got != want || !strings.Contains(j.Message, "interrupted") {
			t.Errorf("stderr %q, message %q", got, j.Message)
		}
		if len(s.holder.held[id]) != 0 || s.runner.runs[id] != 1 {
			t.Errorf("held %v, ran %d times", s.holder.held[id], s.runner.runs[id])
		}
		s.want(next, Done)
	})
}

// A submission that is copied while its files change is copied again.
func TestChangeDuringTheCopy(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		id := job1("a")
		s.put(id, submission("a"))
		s.start()
		before := s.get(id).Digest
		cfg := s.engine.cfg
		tree := cfg.Tree.(*dirTree)
		s.engine.cfg.Tree = &changingTree{dirTree: tree, at: id.Inbox().Join(ConfigFile).String(), do: func() {
			s.write(id.Inbox().Join(ConfigFile), submission("a", "late.py", "")[ConfigFile])
		}}
		s.write(id.Inbox().Join("code/main.py"), "print(2)\n")
		elapse(2 * retryAfter)
		synctest.Wait()
		j := s.want(id, Pending)
		fsys, err := s.engine.Intake(id)
		if err != nil {
			t.Fatal(err)
		}
		files, err := ReadManifest(t.Context(), fsys)
		if err != nil || DigestOf(files) != j.Digest || len(files) != len(j.Files) {
			t.Errorf("job says %s, copy has %s (%v)", j.Digest, DigestOf(files), err)
		}
		if j.Digest != before && len(j.Config.Files) != 1 {
			t.Errorf("taken with a configuration that was not judged: %+v", j.Config)
		}
	})
}

// Old state that names another job must not be taken for this one.
func TestRecordOfAnotherJob(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		s.start()
		s.put(job1("a"), submission("a"))
		s.stop()
		dirs, err := filepath.Glob(s.state + "/jobs/*")
		if err != nil || len(dirs) != 1 {
			t.Fatal(dirs, err)
		}
		if err := os.Rename(dirs[0], filepath.Join(s.state, "jobs", key(job1("b")))); err != nil {
			t.Fatal(err)
		}
		if _, err := New(s.config()); err == nil {
			t.Error("was read")
		}
	})
}
