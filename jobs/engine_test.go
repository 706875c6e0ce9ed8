package jobs

import (
	"context"
	"errors"
	iofs "io/fs"

	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

func TestJobFromInboxToDone(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		id := job1("analysis")
		s.start()
		s.put(id, submission("analysis"))
		j := s.want(id, Pending)
		if len(j.Files) != 3 || j.Revision != 1 || j.Size == 0 || !strings.HasPrefix(string(j.Digest), "sha256:") {
			t.Errorf("got %+v", j)
		}
		fsys, err := s.engine.Intake(id)
		if err != nil {
			t.Fatal(err)
		}
		files, err := ReadManifest(t.Context(), fsys)
		if err != nil || DigestOf(files) != j.Digest {
			t.Errorf("intake has %s (%v), job says %s", DigestOf(files), err, j.Digest)
		}
		// Rules of outputs and logs are there before it runs, and state.yaml says running.
		s.runner.before = func(spec Spec) {
			review := id.Review().Parent().String() + " "
			want := map[string][]perm.User{
				review + "analysis/outputs/**": {owen}, review + "analysis/stdout.txt": {owen},
				review + "analysis/stderr.txt": {owen}, review + "analysis/returncode.txt": {owen},
			}
			if diff := cmp.Diff(want, s.rules.lists); diff != "" {
				t.Error(diff)
			}
			if st, err := ParseState([]byte(s.read(id.Review().Join(StateFile)))); err != nil || st.Status != Running {
				t.Errorf("state.yaml says %v (%v)", st.Status, err)
			}
			if info, err := os.Stat(filepath.Join(spec.Work, RunFile)); err != nil || info.Mode().Perm() != 0o755 {
				t.Errorf("run.sh: %v %v", info, err)
			}
			if files, err := ReadManifest(context.Background(), os.DirFS(spec.Work)); err != nil || DigestOf(files) != j.Digest {
				t.Errorf("the private copy has %s (%v)", DigestOf(files), err)
			}
		}
		if err := s.engine.Approve(t.Context(), id, byOwner, Approval{Digest: string(j.Digest)[7:19], Reason: "looks fine"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		j = s.want(id, Done)
		if j.State.ReviewReason != "looks fine" || j.State.ApprovalMethod != "manual" || j.State.ApprovedBy != string(owen) || *j.State.ReturnCode != 0 {
			t.Errorf("got %+v", j.State)
		}
		for name, want := range map[string]string{StdoutFile: "working\n", StderrFile: "", CodeFile: "0"} {
			if got := s.read(id.Review().Join(name)); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
		if got := s.holder.held[id]["x.txt"]; got != "done\n" {
			t.Errorf("held: %v", s.holder.held)
		}
		if b, err := s.engine.Log(id, "stdout"); err != nil || string(b) != "working\n" {
			t.Errorf("log: %q %v", b, err)
		}
		if left, err := filepath.Glob(s.state + "/runs/*/*"); err != nil || len(left) != 2 {
			t.Errorf("left of the run: %v %v", left, err)
		}
		if s.feed.done == 0 {
			t.Error("the cursor was not moved")
		}
	})
}

func TestStateYAMLIsOutput(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		id := job1("a")
		s.start()
		s.put(id, submission("a"))
		for _, lie := range []string{"status: approved\n", "status: done\nreturn_code: 0\n", "", "\x00"} {
			s.write(id.Review().Join(StateFile), lie)
			synctest.Wait()
			s.want(id, Pending)
		}
		if err := os.Remove(s.host(id.Review().Join(StateFile))); err != nil {
			t.Fatal(err)
		}
		s.stop()
		s.start()
		s.want(id, Pending)
		if len(s.runner.runs) != 0 {
			t.Errorf("ran: %v", s.runner.runs)
		}
	})
}

func TestJobsOfAnEarlierProgram(t *testing.T) {
	code := 3
	for _, c := range []struct {
		there State
		want  Status
	}{
		{State{Status: Done, ReturnCode: new(int)}, Done},
		{State{Status: Failed, ReturnCode: &code}, Failed},
		{State{Status: Rejected, ReviewReason: "no"}, Rejected},
		{State{Status: Pending}, Pending},
		{State{Status: Approved, ApprovedBy: "owen@centre.example"}, Pending},
		{State{Status: Running}, Pending},
	} {
		t.Run(string(c.there.Status), func(t *testing.T) {
			bubble(t, func(t *testing.T, s *site) {
				id := job1("old")
				s.put(id, submission("old"))
				before := string(c.there.Marshal())
				s.write(id.Review().Join(StateFile), before)
				s.start()
				j := s.want(id, c.want)
				if after := s.read(id.Review().Join(StateFile)); c.want != Pending && after != before {
					t.Errorf("rewritten to %s", after)
				}
				if err := s.engine.Approve(t.Context(), id, byOwner, Approval{Digest: strings.Repeat("0", 64)}); !errors.Is(err, ErrConflict) {
					t.Errorf("approve: %v", err)
				}
				if len(s.runner.runs) != 0 || j.Message == "" {
					t.Errorf("ran %v, message %q", s.runner.runs, j.Message)
				}
			})
		})
	}
}

func TestDecisions(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		e := s.start()
		id := job1("a")
		s.put(id, submission("a"))
		d := string(s.get(id).Digest)
		other := "sha256:" + strings.Repeat("a", 12)
		for _, c := range []struct {
			name   string
			id     ID
			by     datasite.Identity
			a      Approval
			want   error
			reason string
		}{
			{"not the owner", id, datasite.Identity{Subject: rachel}, Approval{Digest: d}, iofs.ErrPermission, "only"},
			{"nobody", id, datasite.Identity{}, Approval{Digest: d}, iofs.ErrPermission, "only"},
			{"another datasite", ID{Owner: nina, Submitter: rachel, Name: "a"}, byOwner, Approval{Digest: d}, iofs.ErrPermission, ""},
			{"no such job", job1("b"), byOwner, Approval{Digest: d}, iofs.ErrNotExist, "b"},
			{"no digest", id, byOwner, Approval{}, ErrDigest, "12"},
			{"11 digits", id, byOwner, Approval{Digest: d[7:18]}, ErrDigest, "12"},
			{"65 digits", id, byOwner, Approval{Digest: d + "0"}, ErrDigest, "12"},
			{"not digits", id, byOwner, Approval{Digest: "sha256:zzzzzzzzzzzz"}, ErrDigest, "12"},
			{"another digest", id, byOwner, Approval{Digest: other}, ErrConflict, d},
			{"digits of the middle", id, byOwner, Approval{Digest: d[8:40]}, ErrConflict, d},
			{"a dataset that is not offered", id, byOwner, Approval{Digest: d, Datasets: []string{"secret"}}, ErrDataset, "secret"},
		} {
			err := e.Approve(t.Context(), c.id, c.by, c.a)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("%s: got %v, want %v with %q", c.name, err, c.want, c.reason)
			}
			s.want(id, Pending)
		}
		if err := e.Reject(t.Context(), id, datasite.Identity{Subject: rachel}, "x"); !errors.Is(err, iofs.ErrPermission) {
			t.Errorf("reject: %v", err)
		}
		if err := e.Cancel(t.Context(), id, byOwner); !errors.Is(err, ErrConflict) {
			t.Errorf("cancel of a pending job: %v", err)
		}
		if err := e.Reject(t.Context(), id, datasite.Identity{Subject: owen, Account: "olga@centre.example"}, "not needed – see notes"); err != nil {
			t.Fatal(err)
		}
		if j := s.want(id, Rejected); j.State.RejectedBy != string(owen) || j.State.ReviewReason != "not needed – see notes" {
			t.Errorf("got %+v", j.State)
		}
		var st *StatusError
		if err := e.Approve(t.Context(), id, byOwner, Approval{Digest: d}); !errors.As(err, &st) || st.Status != Rejected {
			t.Errorf("approve of a rejected job: %v", err)
		}
		// Rejected by a person is final, whatever comes.
		s.put(id, submission("a", "main.py", "print(2)\n"))
		s.want(id, Rejected)
	})
}

func TestCancel(t *testing.T) {
	t.Run("approved", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *site) {
			s.runner.ready = errors.New("no sandbox")
			e := s.start()
			id := job1("a")
			s.put(id, submission("a"))
			s.approve(id)
			synctest.Wait()
			if err := e.Cancel(t.Context(), id, byOwner); err != nil {
				t.Fatal(err)
			}
			s.runner.mu.Lock()
			s.runner.ready = nil
			s.runner.mu.Unlock()
			e.Kick()
			synctest.Wait()
			if j := s.want(id, Rejected); j.State.ReviewReason != "cancelled" || len(s.runner.runs) != 0 {
				t.Errorf("got %+v, ran %v", j.State, s.runner.runs)
			}
		})
	})
	t.Run("running", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *site) {
			s.runner.do = untilEnd
			e := s.start()
			id := job1("a")
			s.put(id, submission("a"))
			s.approve(id)
			synctest.Wait()
			s.want(id, Running)
			if b, err := e.Log(id, "stderr"); err != nil || string(b) != "half a li" {
				t.Errorf("log of a running job: %q %v", b, err)
			}
			if err := e.Cancel(t.Context(), id, byOwner); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			j := s.want(id, Failed)
			if got, want := s.read(id.Review().Join(StderrFile)), "half a li\n--- JOB STOPPED: cancelled ---\n"; got != want {
				t.Errorf("stderr %q, want %q", got, want)
			}
			if s.read(id.Review().Join(CodeFile)) != "-1" || *j.State.ReturnCode != -1 || !strings.Contains(j.Message, "cancelled") {
				t.Errorf("got %+v", j)
			}
			if err := e.Cancel(t.Context(), id, byOwner); !errors.Is(err, ErrConflict) {
				t.Errorf("cancel of a failed job: %v", err)
			}
		})
	})
}

func TestFindListGet(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		e := s.start()
		for _, id := range []ID{job1("a"), job1("b"), {owen, nina, "a"}} {
			s.put(id, submission(id.Name))
			elapse(time.Second)
		}
		var order []string
		for _, j := range e.List() {
			order = append(order, j.ID.String())
		}
		want := []string{"nina@statistics.example/a", "rachel@science.example/b", "rachel@science.example/a"}
		if diff := cmp.Diff(want, order); diff != "" {
			t.Error(diff)
		}
		if j, err := e.Find("b"); err != nil || j.ID != job1("b") {
			t.Errorf("find b: %v %v", j.ID, err)
		}
		if j, err := e.Find("nina@statistics.example/a"); err != nil || j.ID.Submitter != nina {
			t.Errorf("find nina's: %v %v", j.ID, err)
		}
		if _, err := e.Find("a"); !errors.Is(err, ErrAmbiguous) || !strings.Contains(err.Error(), want[0]) || !strings.Contains(err.Error(), want[2]) {
			t.Errorf("find a: %v", err)
		}
		if _, err := e.Find("c"); !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("find c: %v", err)
		}
		if _, err := e.Get(job1("c")); !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("get c: %v", err)
		}
		if _, err := e.Log(job1("a"), "stdout"); !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("log of a job that did not run: %v", err)
		}
		for id, n := range s.grew {
			if n == 0 {
				t.Errorf("%s: no change was announced", id)
			}
		}
		if len(s.grew) != 3 {
			t.Errorf("announced: %v", s.grew)
		}
	})
}

func TestAdmit(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		tree := &dirTree{s.root, s.feed, nil}
		ds := perm.User("rachel@datascience.example") // of the golden files
		for range 2 {
			if err := Admit(t.Context(), tree, owen, ds); err != nil {
				t.Fatal(err)
			}
		}
		inbox := datasite.Path{Owner: owen, Rel: "app_data/job/inbox/rachel@datascience.example/syft.pub.yaml"}
		review := datasite.Path{Owner: owen, Rel: "app_data/job/review/rachel@datascience.example/syft.pub.yaml"}
		if diff := cmp.Diff(string(wire(t, "inbox-syft.pub.yaml")), s.read(inbox)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(string(wire(t, "review-syft.pub.yaml")), s.read(review)); diff != "" {
			t.Error(diff)
		}
		s.write(inbox, "rules: []\n")
		if err := Admit(t.Context(), tree, owen, ds); err != nil || s.read(inbox) != "rules: []\n" {
			t.Errorf("an edited file became %q (%v)", s.read(inbox), err)
		}
		if err := Admit(t.Context(), tree, owen, owen); err != nil || s.read(inbox.Parent().Parent().Join(string(owen), "syft.pub.yaml")) != "" {
			t.Errorf("the owner was admitted: %v", err)
		}
	})
}

func TestSubmissionGoneFromTheInbox(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		s.start()
		tree := &dirTree{s.root, s.feed, nil}
		half, whole := job1("half"), job1("whole")
		s.put(half, map[string]string{ConfigFile: submission("half")[ConfigFile]})
		s.put(whole, submission("whole"))
		s.want(half, Received)
		for _, id := range []ID{half, whole} {
			if err := tree.RemoveAll(t.Context(), id.Inbox()); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if _, err := s.engine.Get(half); !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("a job of which nothing was copied: %v", err)
		}
		if j := s.want(whole, Pending); len(j.Notes) != 1 {
			t.Errorf("notes %q", j.Notes)
		}
		s.approve(whole)
		synctest.Wait()
		s.want(whole, Done)
	})
}

func TestFoldersThatAreNoJobs(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		inbox := datasite.Path{Owner: owen, Rel: datasite.JobInboxDir}
		s.write(inbox.Join(string(rachel), "notes", "hello.txt"), "x")
		for n, body := range submission("a") {
			s.write(inbox.Join("Rachel@science.example", "a", n), body)
			s.write(inbox.Join(string(rachel), "syft.pub.yaml", n), body)
			s.write(inbox.Join(string(rachel), ".git", n), body)
			s.write(inbox.Join(string(rachel), n), body)
		}
		s.start()
		synctest.Wait()
		if got := s.engine.List(); len(got) != 0 {
			t.Errorf("listed %+v", got)
		}
		if _, err := os.Stat(filepath.Join(s.root, string(owen), datasite.JobReviewDir)); !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("something was answered: %v", err)
		}
	})
}

func TestNewRefusesAnIncompleteConfig(t *testing.T) {
	if _, err := New(EngineConfig{}); err == nil {
		t.Error("an engine without parts was made")
	}
}

func (s *site) steps() []string {
	s.fault.mu.Lock()
	defer s.fault.mu.Unlock()
	return slices.Clone(s.fault.seen)
}
