package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/openmined/syftfs/cmd/internal/httpapi"
	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/spf13/cobra"
)

func (a *app) jobCmd() *cobra.Command {
	return group("job", "Jobs: submit one, read what was submitted, decide, release results",
		"  syftfs job list\n  syftfs job show analysis\n  syftfs job approve analysis 3f2a9c01d4e5\n  syftfs job release analysis",
		a.jobList(), a.jobShow(), a.jobSubmit(), a.jobApprove(), a.jobReject(), a.jobCancel(), a.jobRun(), a.jobRelease(), a.jobLogs())
}

func (a *app) jobList() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "List the jobs, newest first", Example: "  syftfs job list --json", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			list, err := ask(c.Context(), a, httpapi.JobList, struct{}{})
			if err != nil {
				return err
			}
			return a.show(list, func(w io.Writer) {
				rows := [][]string{{"NAME", "SUBMITTER", "RECEIVED", "STATUS", "METHOD", "DATASETS", "WHAT NEXT"}}
				for _, j := range list {
					names := j.Granted
					if j.Status == "received" || j.Status == "pending" { // what an approval would grant, not what was granted
						names = j.Offered
					}
					rows = append(rows, []string{j.Name, j.Submitter, when(j.Received), j.Status, j.Method, strings.Join(names, ","), j.Message})
				}
				table(w, rows)
			})
		}}
}

func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2 Jan 15:04:05")
}

// sets lists datasets for people.
func sets(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func (a *app) jobShow() *cobra.Command {
	return &cobra.Command{Use: "show JOB", Short: "Show everything about a job: digest, files, state, held results",
		Long:    "show tells what stands behind a job. JOB is its name, or submitter/name where two submitters use the same name. Its files can be read in the mount.",
		Example: "  syftfs job show analysis\n  syftfs job show rachel@datascience.example/analysis --json", Args: exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			j, err := ask(c.Context(), a, httpapi.JobShow, service.JobQuestion{Job: args[0]})
			if err != nil {
				return err
			}
			return a.show(j, func(w io.Writer) { printJob(w, j) })
		}}
}

func printJob(w io.Writer, j service.JobDetails) {
	row := func(key, value string) {
		if value != "" {
			fmt.Fprintf(w, "%-10s %s\n", key, clean(value, false))
		}
	}
	row("job", j.Name)
	row("from", j.Submitter)
	row("status", j.Status)
	row("next", j.Message)
	row("received", when(j.Received))
	row("digest", j.Digest)
	row("size", fmt.Sprintf("%s in %d files, revision %d", size(j.Size), len(j.Files), j.Revision))
	row("needs", strings.Join(j.Wanted, ", "))
	row("datasets", "offered: "+sets(j.Offered)+"; granted: "+sets(j.Granted))
	if j.ApprovedBy != "" {
		row("approved", fmt.Sprintf("by %s, %s, %s", j.ApprovedBy, when(j.ApprovedAt), j.Method))
	}
	row("reason", j.Reason)
	if j.ReturnCode != nil {
		row("ended", fmt.Sprintf("%s with code %d", when(j.Completed), *j.ReturnCode))
	}
	for _, n := range j.Notes {
		row("note", n)
	}
	for _, f := range j.Files {
		row("file", fmt.Sprintf("%.12s %9s  %s", f.SHA256, size(f.Size), f.Path))
	}
	for _, h := range j.Held {
		row("held", fmt.Sprintf("%.12s %9s  %s", h.SHA256, size(h.Size), h.Path))
	}
}

func (a *app) jobApprove() *cobra.Command {
	var q service.Approval
	c := &cobra.Command{Use: "approve JOB DIGEST", Short: "Approve exactly the bytes that you have seen",
		Long:    "approve binds your approval to a digest: give 12 or more of its digits, as `job show` or the DECISION file tell them. If the job was changed since, nothing happens.",
		Example: "  syftfs job approve analysis 3f2a9c01d4e5\n  syftfs job approve analysis 3f2a9c01d4e5 --dataset breast-cancer --reason \"means only\"", Args: exactly(2),
		RunE: func(c *cobra.Command, args []string) error {
			q.Job, q.Digest = args[0], args[1]
			j, err := ask(c.Context(), a, httpapi.JobApprove, q)
			return a.jobSaid(j, err)
		}}
	c.Flags().StringSliceVar(&q.Datasets, "dataset", nil, "grant these datasets (default: those that the job names and its submitter may see the mock of)")
	c.Flags().StringVar(&q.Reason, "reason", "", "kept with the decision")
	return c
}

func (a *app) jobSaid(j service.Job, err error) error {
	if err != nil {
		return err
	}
	return a.show(j, func(w io.Writer) {
		fmt.Fprintln(w, clean(fmt.Sprintf("%s of %s is %s. %s", j.Name, j.Submitter, j.Status, j.Message), false))
	})
}

func (a *app) jobReject() *cobra.Command {
	var q service.Rejection
	c := &cobra.Command{Use: "reject JOB --reason TEXT", Short: "Reject a job; its submitter reads the reason",
		Example: "  syftfs job reject analysis --reason \"prints single rows\"", Args: exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			q.Job = args[0]
			j, err := ask(c.Context(), a, httpapi.JobReject, q)
			return a.jobSaid(j, err)
		}}
	c.Flags().StringVar(&q.Reason, "reason", "", "what the submitter is told")
	return c
}

func (a *app) jobCancel() *cobra.Command {
	return &cobra.Command{Use: "cancel JOB", Short: "Take an approval back, or stop a running job", Example: "  syftfs job cancel analysis", Args: exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			j, err := ask(c.Context(), a, httpapi.JobCancel, service.JobQuestion{Job: args[0]})
			return a.jobSaid(j, err)
		}}
}

func (a *app) jobRun() *cobra.Command {
	return &cobra.Command{Use: "run", Short: "Try approved jobs now, after the machine got what it lacked", Example: "  syftfs job run", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			if _, err := ask(c.Context(), a, httpapi.JobRun, struct{}{}); err != nil {
				return err
			}
			return a.show(struct{}{}, func(w io.Writer) { fmt.Fprintln(w, "Approved jobs are being run.") })
		}}
}

func (a *app) jobRelease() *cobra.Command {
	var q service.Release
	c := &cobra.Command{Use: "release JOB [NAME...]", Short: "Let held results go to their submitter",
		Long:    "release moves what is held (all of it, or the named entries) into outputs/ and lets the submitter read it. The same as: mv held/NAME outputs/ in the mount.",
		Example: "  syftfs job release analysis\n  syftfs job release analysis result.json --logs", Args: atLeast(1),
		RunE: func(c *cobra.Command, args []string) error {
			q.Job, q.Names = args[0], args[1:]
			j, err := ask(c.Context(), a, httpapi.JobRelease, q)
			if err != nil {
				return err
			}
			return a.show(j, func(w io.Writer) {
				fmt.Fprintln(w, clean(fmt.Sprintf("Released to %s; %d entries are still held.", j.Submitter, len(j.Held)), false))
			})
		}}
	c.Flags().BoolVar(&q.Logs, "logs", false, "share the logs too")
	return c
}

func (a *app) jobLogs() *cobra.Command {
	return &cobra.Command{Use: "logs JOB", Short: "Show what a job printed", Long: "logs shows both streams with control characters made visible. Only you see them until you release them.",
		Example: "  syftfs job logs analysis", Args: exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			l, err := ask(c.Context(), a, httpapi.JobLogs, service.JobQuestion{Job: args[0]})
			if err != nil {
				return err
			}
			return a.show(l, func(w io.Writer) {
				fmt.Fprint(w, clean(l.Stdout, true))
				fmt.Fprint(a.err, clean(l.Stderr, true))
			})
		}}
}
