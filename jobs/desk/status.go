package desk

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/openmined/syftfs/jobs"
	"github.com/openmined/syftfs/jobs/draft"
	"github.com/openmined/syftfs/jobs/release"
)

// standing says in words where a job stands.
func standing(s jobs.Status) string {
	switch s {
	case jobs.Draft:
		return "it is still a draft at the submitter"
	case jobs.Received:
		return "it has arrived, but not all of it"
	case jobs.Pending:
		return "it waits for the owner's decision"
	case jobs.Approved:
		return "it is approved and waits for its run"
	case jobs.Rejected:
		return "it is rejected"
	case jobs.Running:
		return "it is running"
	case jobs.Done:
		return "it has run"
	case jobs.Failed:
		return "its run failed"
	}
	return "its state is not known"
}

// visible shows text on one line, whatever is in it: control characters and other invisible ones are escaped.
func visible(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return fmt.Sprintf("%q", s)
	}
	return s
}

func amount(j jobs.Job) string {
	return fmt.Sprintf("%s, %s", count(len(j.Files), "file"), bytesOf(j.Size))
}

func count(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

func bytesOf(n int64) string {
	switch {
	case n < 1<<10:
		return count(int(n), "byte")
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// offer is the part of the approving line that names the preselected datasets.
func offer(j jobs.Job) string {
	list := strings.Join(j.Preselected, ",")
	if list == "" || len(list) > 1<<10 {
		return "" // an approval without a choice means them anyway
	}
	return " datasets=" + list
}

// page writes lines of "word: text".
type page struct{ b strings.Builder }

func (p *page) line(word, text string) {
	if text != "" {
		fmt.Fprintf(&p.b, "%-10s %s\n", word+":", visible(text))
	}
}

func (p *page) list(word string, items []string) {
	const most = 20
	for i, item := range items {
		if i == most {
			p.line(word, fmt.Sprintf("... and %d more", len(items)-most))
			return
		}
		p.line(word, item)
	}
}

// ownerStatus is the file status in the owner's view; held are the results that were not released.
func ownerStatus(j jobs.Job, held []release.Item) []byte {
	var p page
	p.line("job", fmt.Sprintf("%s from %s", j.ID.Name, j.ID.Submitter))
	p.line("status", fmt.Sprintf("%s: %s", j.Status, standing(j.Status)))
	p.line("why", j.Message)
	p.decided(j)
	switch {
	case j.Status == jobs.Pending:
		p.line("next", "read code/, run.sh and config.yaml, then write DECISION in this folder")
	case len(held) > 0:
		p.line("next", "look at held/ and release what may leave: mv held/* outputs/")
	}
	p.submission(j)
	if len(j.Offered) > 0 && j.Status == jobs.Pending {
		p.line("datasets", "may be granted: "+strings.Join(j.Offered, ", "))
	}
	if j.Status.Decided() && j.Status != jobs.Rejected {
		p.line("datasets", "granted: "+orNone(j.Granted))
	}
	p.list("note", j.Notes)
	results := make([]string, len(held))
	for i, h := range held {
		results[i] = h.Path + ", " + bytesOf(h.Size)
	}
	p.list("held", results)
	return []byte(p.b.String())
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func (p *page) decided(j jobs.Job) {
	s := j.State
	const day = "2006-01-02 15:04 MST"
	switch {
	case !s.RejectedAt.IsZero():
		p.line("decided", fmt.Sprintf("rejected by %s on %s", s.RejectedBy, s.RejectedAt.UTC().Format(day)))
	case !s.ApprovedAt.IsZero():
		p.line("decided", fmt.Sprintf("approved by %s on %s", s.ApprovedBy, s.ApprovedAt.UTC().Format(day)))
	}
	p.line("reason", s.ReviewReason)
	if s.ReturnCode != nil {
		p.line("exit code", fmt.Sprint(*s.ReturnCode))
	}
}

func (p *page) submission(j jobs.Job) {
	if j.Digest == "" {
		return
	}
	p.line("revision", fmt.Sprint(j.Revision))
	p.line("digest", string(j.Digest))
	p.line("size", amount(j))
}

// submitterStatus is the file status in the submitter's view: d is nil for a job that was not submitted from here, known
// is false while nothing was heard of it.
func submitterStatus(id jobs.ID, d *draft.Draft, j jobs.Job, known bool) []byte {
	var p page
	p.line("job", fmt.Sprintf("%s for %s", id.Name, id.Owner))
	if d == nil {
		p.line("status", fmt.Sprintf("%s: %s", j.Status, standing(j.Status)))
		p.decided(j)
		p.submission(j)
		return []byte(p.b.String())
	}
	switch {
	case known && j.Status.Decided():
		p.line("status", fmt.Sprintf("%s: %s", j.Status, standing(j.Status)))
		p.decided(j)
	case d.Submitted() && !d.Waiting && d.Problem == "" && known:
		p.line("status", fmt.Sprintf("%s: %s", j.Status, standing(j.Status)))
	case d.Submitted() && !d.Waiting && d.Problem == "":
		p.line("status", "submitted: it is on its way to the owner")
	case d.Submitted():
		p.line("status", fmt.Sprintf("draft: changed since revision %d was submitted; the change is not submitted yet", d.Revision))
	default:
		p.line("status", "draft: nothing of it was sent yet")
	}
	p.line("why", d.Problem)
	if known && j.Status == jobs.Received {
		p.line("why", j.Message)
	}
	p.next(d, j, known)
	if d.Submitted() {
		p.line("revision", fmt.Sprint(d.Revision))
		p.line("digest", string(d.Digest))
		p.line("size", fmt.Sprintf("%s, %s", count(d.Files, "file"), bytesOf(d.Size)))
	}
	p.list("left out", d.LeftOut)
	p.list("advice", d.Findings)
	return []byte(p.b.String())
}

func (p *page) next(d *draft.Draft, j jobs.Job, known bool) {
	switch {
	case known && j.Status.Decided():
		switch j.Status {
		case jobs.Rejected:
			p.line("next", "this folder cannot be changed any more; copy a corrected one into jobs/ under a new name")
		case jobs.Done, jobs.Failed:
			p.line("next", "results stand in outputs/ once the owner has released them, logs in logs/")
		default:
			p.line("next", "nothing to do; this folder cannot be changed any more")
		}
	case d.Held:
		p.line("next", "it is held back; rename it without the leading dot, or take user.syft.hold away, to submit it")
	case d.Open > 0:
		p.line("next", fmt.Sprintf("%s still open for writing; it is submitted after they are closed", count(d.Open, "file")))
	case d.Waiting && !d.Due.IsZero():
		p.line("next", "it is submitted by itself when nothing is written for a moment")
	case d.Problem != "":
		p.line("next", "put right what is said above; it is looked at again by itself")
	default:
		p.line("next", "nothing to do; until the owner decides you may still copy a better version over it")
	}
}
