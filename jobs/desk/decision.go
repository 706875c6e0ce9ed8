package desk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/openmined/syftfs/fs/virtual"
	"github.com/openmined/syftfs/jobs"
)

const (
	shortDigest = 12      // digits that are shown, and the fewest that decide
	maxDecision = 4 << 10 // bytes: a text that fits one write of every editor
)

// decision is one line that counts.
type decision struct {
	reject   bool
	reason   string
	digits   string
	datasets []string // nil: the preselected ones
}

// parseDecision reads what a person wrote into DECISION. Empty lines and lines with # are ignored; exactly one line must be left.
func parseDecision(text []byte) (decision, error) {
	if len(text) > maxDecision {
		return decision{}, fmt.Errorf("the text is longer than %d bytes; write one line: approve <digits of the digest>, or reject <reason>", maxDecision)
	}
	var found string
	for raw := range bytes.Lines(text) {
		if idle(raw) {
			continue
		}
		s := strings.TrimSpace(string(raw))
		if found != "" {
			return decision{}, errors.New("there is more than one line that decides; leave one and put # before the others")
		}
		found = s
	}
	if found == "" {
		return decision{}, errors.New("there is no line that decides; write: approve <digits of the digest>, or: reject <reason>")
	}
	word, rest, _ := strings.Cut(strings.ReplaceAll(found, "\t", " "), " ")
	rest = strings.TrimSpace(rest)
	switch word {
	case "approve":
		return parseApprove(rest)
	case "reject":
		if rest == "" {
			return decision{}, errors.New("say why: reject <reason>")
		}
		return decision{reject: true, reason: rest}, nil
	}
	return decision{}, errors.New("the line must begin with approve or reject")
}

// idle reports whether a text has no line that counts.
func idle(text []byte) bool {
	for raw := range bytes.Lines(text) {
		if s := bytes.TrimSpace(raw); len(s) > 0 && s[0] != '#' {
			return false
		}
	}
	return true
}

func parseApprove(rest string) (decision, error) {
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return decision{}, fmt.Errorf("approve needs the first %d or more digits of the digest", shortDigest)
	}
	d := decision{digits: strings.ToLower(strings.TrimPrefix(fields[0], "sha256:"))}
	if n := len(d.digits); n < shortDigest || n > 64 || strings.Trim(d.digits, "0123456789abcdef") != "" {
		return decision{}, fmt.Errorf("%q is not a digest: give %d to 64 hexadecimal digits of it", fields[0], shortDigest)
	}
	if len(fields) == 1 {
		return d, nil
	}
	list, ok := strings.CutPrefix(fields[1], "datasets=")
	if !ok || len(fields) > 2 {
		return decision{}, errors.New("after the digest only datasets=a,b may stand, without blanks")
	}
	d.datasets = []string{}
	if list == "" {
		return d, nil // none
	}
	for name := range strings.SplitSeq(list, ",") {
		if name == "" {
			return decision{}, errors.New("datasets= has an empty name; write datasets=a,b")
		}
		d.datasets = append(d.datasets, name)
	}
	return d, nil
}

// judge decides about the job, or says why the text decides nothing.
func (o *Owner) judge(ctx context.Context, id jobs.ID, text []byte) error {
	d, err := parseDecision(text)
	if err != nil {
		return refuse(syscall.EINVAL, err.Error())
	}
	if d.reject {
		err = o.cfg.Decide.Reject(ctx, id, o.cfg.By, d.reason)
	} else {
		err = o.cfg.Decide.Approve(ctx, id, o.cfg.By, jobs.Approval{Digest: d.digits, Datasets: d.datasets, Method: "manual"})
	}
	if err != nil {
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		return &virtual.Refusal{Reason: err.Error(), Err: syscall.EINVAL}
	}
	o.clearScratch(id)
	o.Moved(id)
	return nil
}

// decisionText is what reading DECISION shows. Every line is a comment, so that a text saved unchanged decides nothing.
func decisionText(j jobs.Job) []byte {
	var b strings.Builder
	hexes := strings.TrimPrefix(string(j.Digest), "sha256:")
	fmt.Fprintf(&b, "# %s, submitted by %s, revision %d: %s\n", visible(j.ID.Name), visible(string(j.ID.Submitter)), j.Revision, amount(j))
	fmt.Fprintf(&b, "# digest %s\n", j.Digest)
	b.WriteString("# Read code/, run.sh and config.yaml beside this file: exactly these bytes will run.\n#\n")
	b.WriteString("# To decide, save one of these two lines without the # before it:\n")
	fmt.Fprintf(&b, "# approve %s%s\n", hexes[:min(shortDigest, len(hexes))], offer(j))
	b.WriteString("# reject <reason, which the submitter reads>\n")
	b.WriteString("#\n")
	if len(j.Offered) == 0 {
		b.WriteString("# No dataset can be granted: the submitter may read the mock data of none.\n")
		return []byte(b.String())
	}
	b.WriteString("# Datasets that may be granted, as datasets=a,b after the digest (their private data, read-only, for this run):\n")
	for i, name := range j.Offered {
		mark := ""
		if slices.Contains(j.Preselected, name) {
			mark = " (preselected)"
		}
		next := fmt.Sprintf("#   %s%s\n", visible(name), mark)
		if b.Len()+len(next) > maxDecision-200 {
			fmt.Fprintf(&b, "#   ... and %d more, see status\n", len(j.Offered)-i)
			break
		}
		b.WriteString(next)
	}
	b.WriteString("# Without datasets= the preselected ones are granted; datasets= with nothing after it grants none.\n")
	return []byte(b.String())
}
