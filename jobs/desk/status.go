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
	case jobs.Legacy:
		return "an older client made it"
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

const day = "2006-01-02 15:04 MST" // how a time is shown

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func (p *page) decided(j jobs.Job) {
	s := j.State
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
	if j.Revision > 0 {
		p.line("revision", fmt.Sprint(j.Revision))
	}
	p.line("digest", string(j.Digest))
	p.line("size", amount(j))
}

// sealed reports whether what stands in the draft was submitted as it is.
func sealed(d *draft.Draft) bool { return d.Submitted() && !d.Waiting && d.Problem == "" }

// arrived reports whether the owner has it; an owner on this machine always has.
func arrived(way *Transit) bool { return way == nil || way.arrived() }

// stands is the word and the sentence for where a job stands, as its submitter is told.
func stands(j jobs.Job, way *Transit) string {
	if way != nil && j.Status == jobs.Received {
		return "received: it is with the owner and was not looked at yet"
	}
	return fmt.Sprintf("%s: %s", j.Status, standing(j.Status))
}

// submitterStatus is the file status in the submitter's view: d is nil for a job that was not submitted from here, known
// is false while nothing was heard of it, way is nil for an owner on this machine.
func submitterStatus(id jobs.ID, d *draft.Draft, j jobs.Job, known bool, way *Transit) []byte {
	var p page
	p.line("job", fmt.Sprintf("%s for %s", id.Name, id.Owner))
	if d == nil {
		p.line("status", stands(j, way))
		p.unclear(j)
		p.decided(j)
		p.submission(j)
		if way != nil {
			p.list("note", j.Notes)
		}
		return []byte(p.b.String())
	}
	switch {
	case known && j.Status.Decided():
		p.line("status", stands(j, way))
		p.decided(j)
		if d.Submitted() && !arrived(way) {
			p.line("note", fmt.Sprintf("revision %d: %s; an earlier one may be what was decided", d.Revision, way.words()))
		}
	case sealed(d) && !arrived(way):
		p.line("status", "submitted: "+way.words())
		p.line("why", way.Reason)
		if known && j.Status != jobs.Received {
			p.line("before", fmt.Sprintf("the revision before is %s", stands(j, way)))
		}
	case sealed(d) && known:
		p.line("status", stands(j, way))
	case sealed(d):
		p.line("status", "submitted: it is on its way to the owner")
	case d.Submitted():
		p.line("status", fmt.Sprintf("draft: changed since revision %d was submitted; the change is not submitted yet", d.Revision))
	default:
		p.line("status", "draft: nothing of it was sent yet")
	}
	p.line("why", d.Problem)
	if known && way == nil && j.Status == jobs.Received {
		p.line("why", j.Message)
	}
	p.unclear(j)
	if sealed(d) && way != nil && way.stuck() && !j.Status.Decided() {
		p.line("next", "put right what is said above and copy the folder again, or copy it under a new name")
	} else {
		p.next(d, j, known)
	}
	if d.Submitted() {
		p.line("revision", fmt.Sprint(d.Revision))
		p.line("digest", string(d.Digest))
		p.line("size", fmt.Sprintf("%s, %s", count(d.Files, "file"), bytesOf(d.Size)))
	}
	p.list("left out", d.LeftOut)
	p.list("advice", d.Findings)
	return []byte(p.b.String())
}

// unclear says why nothing better is known of a job.
func (p *page) unclear(j jobs.Job) {
	if j.Status == jobs.Unknown || j.Status == jobs.Legacy {
		p.line("why", j.Message)
	}
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
