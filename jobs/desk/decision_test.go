package desk

import (
	"bytes"
	"context"
	"errors"
	iofs "io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/openmined/syftfs/fs/virtual"
	"github.com/openmined/syftfs/jobs"
)

func TestDecisionGrammar(t *testing.T) {
	const hexes = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	tests := []struct {
		text string
		want decision
		bad  string
	}{
		{text: "approve 0123456789ab\n", want: decision{digits: "0123456789ab"}},
		{text: "approve 0123456789ab", want: decision{digits: "0123456789ab"}},
		{text: "approve sha256:" + hexes + "\n", want: decision{digits: hexes}},
		{text: "  approve \t 0123456789AB  \r\n", want: decision{digits: "0123456789ab"}},
		{text: "# a comment\n\napprove 0123456789ab datasets=a,b\n# more\n", want: decision{digits: "0123456789ab", datasets: []string{"a", "b"}}},
		{text: "approve 0123456789ab datasets=\n", want: decision{digits: "0123456789ab", datasets: []string{}}},
		{text: "reject looks at too much # really\n", want: decision{reject: true, reason: "looks at too much # really"}},
		{text: "", bad: "no line"},
		{text: "\n\n \t\n", bad: "no line"},
		{text: "# approve 0123456789ab\n", bad: "no line"},
		{text: "approve 0123456789ab\nreject x\n", bad: "more than one"},
		{text: "approve 0123456789ab\napprove 0123456789ab\n", bad: "more than one"},
		{text: "approve\n", bad: "digits"},
		{text: "approve 0123456789a\n", bad: "not a digest"},
		{text: "approve 0123456789ag\n", bad: "not a digest"},
		{text: "approve " + hexes + "0\n", bad: "not a digest"},
		{text: "approve sha512:0123456789ab\n", bad: "not a digest"},
		{text: "approve 0123456789ab a,b\n", bad: "datasets="},
		{text: "approve 0123456789ab datasets=a b\n", bad: "datasets="},
		{text: "approve 0123456789ab datasets=a, b\n", bad: "datasets="},
		{text: "approve 0123456789ab datasets=a,,b\n", bad: "empty name"},
		{text: "approved 0123456789ab\n", bad: "begin with"},
		{text: "reject\n", bad: "why"},
		{text: "yes\n", bad: "begin with"},
		{text: strings.Repeat("#\n", maxDecision), bad: "longer"},
	}
	for _, tt := range tests {
		got, err := parseDecision([]byte(tt.text))
		switch {
		case tt.bad != "":
			if err == nil || !strings.Contains(err.Error(), tt.bad) {
				t.Errorf("%.40q: %+v, %v", tt.text, got, err)
			}
		case err != nil:
			t.Errorf("%q: %v", tt.text, err)
		case got.reject != tt.want.reject || got.reason != tt.want.reason || got.digits != tt.want.digits ||
			!slices.Equal(got.datasets, tt.want.datasets) || (got.datasets == nil) != (tt.want.datasets == nil):
			t.Errorf("%q: %+v", tt.text, got)
		}
	}
}

func FuzzDecision(f *testing.F) {
	for _, s := range []string{"approve 0123456789ab\n", "reject no\n", "#\n", "approve sha256:0123456789ab datasets=a,b"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := parseDecision(text)
		if err == nil && d.reject == (d.digits != "") || err == nil && !d.reject && len(d.digits) < shortDigest || err == nil && bytes.Contains([]byte(d.reason), []byte("\n")) {
			t.Errorf("%q: %+v", text, d)
		}
	})
}

func TestDecide(t *testing.T) {
	const dec = submitter + "/job/DECISION"
	tests := []struct {
		name   string
		do     func(o *Owner) error
		status jobs.Status
		err    error
	}{
		{"echo approve", func(o *Owner) error {
			return put(o, dec, os.O_WRONLY|os.O_TRUNC, "approve 0123456789ab\n")
		}, jobs.Approved, nil},
		{"echo approve with append", func(o *Owner) error {
			return put(o, dec, os.O_WRONLY|os.O_APPEND, "approve 0123456789ab\n")
		}, jobs.Approved, nil},
		{"echo reject", func(o *Owner) error { return put(o, dec, os.O_WRONLY|os.O_TRUNC|os.O_CREATE, "reject no\n") }, jobs.Rejected, nil},
		{"another digest", func(o *Owner) error { return put(o, dec, os.O_WRONLY, "approve 0123456789ff\n") }, jobs.Pending, syscall.EINVAL},
		{"only opened and cut", func(o *Owner) error { return put(o, dec, os.O_WRONLY|os.O_TRUNC) }, jobs.Pending, nil},
		{"blank", func(o *Owner) error { return put(o, dec, os.O_WRONLY, "\n") }, jobs.Pending, syscall.EINVAL},
		{"written by a reader", func(o *Owner) error { return put(o, dec, os.O_RDONLY, "approve 0123456789ab\n") }, jobs.Pending, syscall.EBADF},
		{"made anew", func(o *Owner) error { return put(o, dec, os.O_WRONLY|os.O_CREATE|os.O_EXCL, "x") }, jobs.Pending, iofs.ErrExist},
		{"several writes", func(o *Owner) error {
			return put(o, dec, os.O_WRONLY|os.O_TRUNC, "approve 0123456789ab", "\n", "# end\n")
		}, jobs.Approved, nil},
		{"a second decision", func(o *Owner) error {
			return put(o, dec, os.O_WRONLY|os.O_TRUNC, "approve 0123456789ab\n", "approve 0123456789ab\n")
		}, jobs.Approved, syscall.EINVAL},
		{"rename-over", func(o *Owner) error {
			if err := put(o, submitter+"/job/.DECISION.tmp", os.O_WRONLY|os.O_CREATE, "# x\n", "approve 0123456789ab datasets=trial\n"); err != nil {
				return err
			}
			return o.Rename(context.Background(), submitter+"/job/.DECISION.tmp", dec)
		}, jobs.Approved, nil},
		{"rename-over of nonsense", func(o *Owner) error {
			if err := put(o, submitter+"/job/x", os.O_WRONLY|os.O_CREATE, "maybe\n"); err != nil {
				return err
			}
			return o.Rename(context.Background(), submitter+"/job/x", dec)
		}, jobs.Pending, syscall.EINVAL},
		{"an editor with a backup", func(o *Owner) error {
			if err := o.Rename(context.Background(), dec, dec+"~"); err != nil {
				return err
			}
			if err := put(o, dec, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, "reject no\n"); err != nil {
				return err
			}
			if err := o.Remove(context.Background(), dec+"~"); !errors.Is(err, iofs.ErrNotExist) {
				return errors.New("the backup outlives the decision")
			}
			return nil
		}, jobs.Rejected, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := newEngine()
			id := e.add("job", jobs.Pending)
			o := newOwner(e)
			if err := tt.do(o); !errors.Is(err, tt.err) {
				t.Errorf("%v, want %v", err, tt.err)
			} else if tt.err == syscall.EINVAL {
				var r *virtual.Refusal
				if !errors.As(err, &r) || r.Reason == "" {
					t.Errorf("no sentence: %v", err)
				}
			}
			if got := e.jobs[id].Status; got != tt.status {
				t.Errorf("status %s, want %s", got, tt.status)
			}
			if tt.status != jobs.Pending && e.by.Subject != owner {
				t.Errorf("decided by %+v", e.by)
			}
		})
	}
}

// The text that is read decides nothing when it is saved unchanged, and says both lines.
func TestDecisionTextReadBack(t *testing.T) {
	e := newEngine()
	id := e.add("job", jobs.Pending)
	j := e.jobs[id]
	j.ID.Name = "a\x1b[2J"
	for i := range 400 {
		j.Offered = append(j.Offered, strings.Repeat("d", 20)+string(rune('a'+i%26)))
	}
	for _, j := range []jobs.Job{e.jobs[id], j, {ID: id}} {
		text := decisionText(j)
		if len(text) > maxDecision {
			t.Errorf("%d bytes", len(text))
		}
		if _, err := parseDecision(text); err == nil {
			t.Errorf("unchanged text decides:\n%s", text)
		}
		if bytes.ContainsAny(text, "\x1b") {
			t.Error("control characters are shown")
		}
		if j.Digest == "" {
			continue
		}
		d, err := parseDecision(bytes.Replace(text, []byte("# approve"), []byte("approve"), 1))
		if err != nil || d.digits != "0123456789ab" || !slices.Equal(d.datasets, []string{"census"}) {
			t.Errorf("the line to approve: %+v, %v\n%s", d, err, text)
		}
		if d, err := parseDecision(bytes.Replace(text, []byte("# reject"), []byte("reject"), 1)); err != nil || !d.reject {
			t.Errorf("the line to reject: %+v, %v", d, err)
		}
	}
	o := newOwner(e)
	if err := put(o, submitter+"/job/DECISION", os.O_WRONLY, read(t, o, submitter+"/job/DECISION")); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("saved unchanged: %v", err)
	}
}
