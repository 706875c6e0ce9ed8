package service

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openmined/syftfs/jobs"
	"github.com/openmined/syftfs/perm"
)

// submit puts a job into the inbox of a scientist and lets the engine find it.
func (w *world) submit(u perm.User, name, code string) {
	w.t.Helper()
	must(w.t, jobs.Admit(ctx, jobTree{w.View}, owen, u))
	config, err := jobs.Config{Name: name, Type: "python", Entrypoint: "main.py", Files: []string{"main.py"}, IsFolderSubmission: true, JobType: "local",
		SubmittedAt: time.Now().UTC()}.Marshal()
	must(w.t, err)
	inbox := jobs.ID{Owner: owen, Submitter: u, Name: name}.Inbox()
	for file, body := range map[string]string{"config.yaml": string(config), "run.sh": jobs.RunScript("main.py", nil, false), "code/main.py": code} {
		must(w.t, w.View.Write(ctx, inbox.Join(file), []byte(body)))
	}
}

func TestJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for _, u := range []perm.User{rachel, nina} {
			w.user(u, "")
			w.submit(u, "sum", "print(1)\n")
		}
		w.submit(rachel, "mean", "print(2)\n")
		w.submit(rachel, "rows", "print(3)\n")
		must(t, w.Engine.Start(t.Context()))
		synctest.Wait()
		list, err := w.JobList(ctx, root, struct{}{})
		must(t, err)
		if len(list) != 4 {
			t.Fatalf("%+v", list)
		}
		st, err := w.Status(ctx, root, struct{}{})
		must(t, err)
		if st.Jobs[jobs.Pending] != 4 || !strings.Contains(st.Text(), "4 pending") {
			t.Errorf("%+v", st.Jobs)
		}

		_, err = w.JobShow(ctx, root, JobQuestion{Job: "sum"})
		wantCode(t, err, BadInput, "", string(rachel), string(nina))
		_, err = w.JobShow(ctx, root, JobQuestion{Job: "none"})
		wantCode(t, err, NotFound, "", "none")
		mean, err := w.JobShow(ctx, root, JobQuestion{Job: "mean"})
		must(t, err)
		if mean.Submitter != string(rachel) || mean.Status != "pending" || mean.Digest == "" || len(mean.Files) != 3 || mean.Held == nil || mean.Message == "" {
			t.Errorf("%+v", mean)
		}
		if _, err := w.JobShow(ctx, root, JobQuestion{Job: string(rachel) + "/sum"}); err != nil {
			t.Error(err)
		}

		for _, c := range []struct {
			name   string
			digest string
			sets   []string
			code   Code
			field  string
		}{
			{"without a digest", "", nil, BadInput, "digest"},
			{"of a few digits", mean.Digest[7:15], nil, BadInput, ""},
			{"of other bytes", strings.Repeat("0", 64), nil, Conflict, ""},
			{"with a dataset that is not there", mean.Digest, []string{"none"}, BadInput, ""},
		} {
			_, err := w.JobApprove(ctx, root, Approval{Job: "mean", Digest: c.digest, Datasets: c.sets})
			wantCode(t, err, c.code, c.field)
		}
		if j, err := w.JobShow(ctx, root, JobQuestion{Job: "mean"}); err != nil || j.Status != "pending" {
			t.Errorf("a refused approval did something: %+v, %v", j, err)
		}
		_, err = w.JobCancel(ctx, root, JobQuestion{Job: "mean"})
		wantCode(t, err, Conflict, "", "pending")

		rejected, err := w.JobReject(ctx, root, Rejection{Job: "rows", Reason: "prints single rows"})
		must(t, err)
		if rejected.Status != "rejected" || rejected.Reason != "prints single rows" {
			t.Errorf("%+v", rejected)
		}
		_, err = w.JobReject(ctx, root, Rejection{Job: "rows"})
		wantCode(t, err, Conflict, "", "rejected")

		approved, err := w.JobApprove(ctx, root, Approval{Job: "mean", Digest: mean.Digest[7:23], Reason: "a mean"})
		must(t, err)
		if approved.ApprovedBy != string(owen) || approved.Method != "manual" || approved.Reason != "a mean" {
			t.Errorf("%+v", approved)
		}
		synctest.Wait()
		done, err := w.JobShow(ctx, root, JobQuestion{Job: "mean"})
		must(t, err)
		if done.Status != "done" || done.ReturnCode == nil || *done.ReturnCode != 0 || len(done.Held) != 1 || done.Held[0].Path != "mean.txt" || done.Held[0].Size != 2 {
			t.Errorf("%+v", done)
		}
		logs, err := w.JobLogs(ctx, root, JobQuestion{Job: "mean"})
		must(t, err)
		if logs.Stdout != "hello\n" || logs.Stderr != "oh\n" || *logs.ReturnCode != 0 {
			t.Errorf("%+v", logs)
		}

		_, err = w.JobRelease(ctx, root, Release{Job: "mean", Names: []string{"none"}})
		wantCode(t, err, NotFound, "")
		may := func(rel string) bool {
			t.Helper()
			a, err := w.Why(ctx, root, WhyQuestion{User: string(rachel), Level: "read", Path: string(owen) + "/" + rel})
			must(t, err)
			return a.Allowed
		}
		review := jobs.ID{Owner: owen, Submitter: rachel, Name: "mean"}.Review()
		stdout := review.Join(jobs.StdoutFile).Rel
		if may(stdout) {
			t.Error("the logs can be read before they are released")
		}
		out, err := w.JobRelease(ctx, root, Release{Job: "mean", Logs: true})
		must(t, err)
		if len(out.Held) != 0 || !may(review.Join("outputs", "mean.txt").Rel) {
			t.Errorf("%+v", out)
		}
		if b, err := os.ReadFile(filepath.Join(w.host.state.Backing, string(owen), review.Rel, "outputs/mean.txt")); err != nil || string(b) != "3\n" {
			t.Errorf("%q, %v", b, err)
		}
		if !may(stdout) {
			t.Error("the logs cannot be read")
		}

		var got []string
		for _, e := range entries(t, filepath.Join(w.dir, "audit.jsonl")) {
			if e.Result != "begun" {
				got = append(got, strings.TrimSpace(e.Action+" "+e.Result+" "+e.Reason))
			}
		}
		want := []string{"job.approve failed bad_input", "job.approve failed conflict", "job.approve failed bad_input", "job.cancel failed conflict", "job.reject ok",
			"job.reject failed conflict", "job.approve ok", "job.release failed not_found", "job.release ok"}
		if !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
	})
}

// TestNoDecisionUnlogged: a decision that cannot be written down is not made.
func TestNoDecisionUnlogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.submit(rachel, "sum", "print(1)\n")
		must(t, w.Engine.Start(t.Context()))
		synctest.Wait()
		j, err := w.JobShow(ctx, root, JobQuestion{Job: "sum"})
		must(t, err)
		w.Audit.f = &fullDisk{auditFile: w.Audit.f}
		_, err = w.JobApprove(ctx, root, Approval{Job: "sum", Digest: j.Digest})
		wantCode(t, err, NoAudit, "")
		_, err = w.JobReject(ctx, root, Rejection{Job: "sum"})
		wantCode(t, err, NoAudit, "")
		_, err = w.JobRelease(ctx, root, Release{Job: "sum"})
		wantCode(t, err, NoAudit, "")
		synctest.Wait()
		if j, err := w.JobShow(ctx, root, JobQuestion{Job: "sum"}); err != nil || j.Status != "pending" {
			t.Errorf("%+v, %v", j, err)
		}
	})
}
