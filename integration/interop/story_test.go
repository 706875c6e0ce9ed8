//go:build interop

package interop

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// owner and scientist are the two people of the story, whatever program they use. Each method waits until what it names is there, as
// that program shows it, and fails the test when it does not come.
type (
	owner interface {
		reviewer
		asked(by string)                    // a request is shown
		accept(peer string)                 // and then the peer is shown as accepted
		dataset(d dataset, users ...string) // makes it
		publish(name, text, reader string)  // writes public/name, which reader may read
		remove(name string)                 // deletes it
	}
	reviewer interface {
		pending(by, job, code string)       // the job is shown for review, with its code
		decide(by, job, reason string)      // approves it, or rejects it for a reason
		ended(by, job, status, said string) // the approved job was run; the owner reads what it said
		release(by, job string)             // results and logs to the submitter
		holdsLogs() bool                    // until the release the submitter cannot read what a job printed
	}
	scientist interface {
		submitter
		ask(peer string)              // and then the request is shown
		accepted(peer string)         // the peer is shown as accepted
		dataset(of string, d dataset) // its mock part can be read, and nothing else of it
		sees(of, name, text string)   // public/name can be read
		misses(of, name string)       // there is no public/name any more
	}
	submitter interface {
		python(to, job, code string)              // submits a Python program
		bash(to, job, script string)              // submits a script
		status(to, job, status, why string)       // the job is shown with this status and reason
		results(to, job string) map[string]string // what can be read: outputs by name, "stdout", "stderr"
	}
)

// dataset is what Owen has.
type dataset struct {
	name, summary, readme, mock, private string
}

const (
	secret  = "canary-7d20b4" // stands in the private part only
	mockRow = "made-up-19c3f8"
)

var trial = dataset{
	name: "trial", summary: "Thirty patients", readme: "# Trial\nOne line a patient.\n",
	mock:    "patient,value\n" + mockRow + ",1\n",
	private: "patient,value\n" + secret + ",40\nother,2\n",
}

// total reads the private part the way syft-client's own guide does it.
const total = `import json
import syft_client as sc

with open(sc.resolve_dataset_file_path("trial")) as f:
    values = [int(line.split(",")[1]) for line in f.read().splitlines()[1:]]
with open("outputs/total.json", "w") as f:
    json.dump({"patients": len(values), "total": sum(values)}, f)
print("patients", len(values))
`

// count reads it from a script, which runs in the job's folder.
const count = `set -eu
grep -c , "$SYFTBOX_FOLDER/$SYFTBOX_EMAIL/private/syft_datasets/trial/private.csv" > code/outputs/lines.txt
echo counted
`

const broken = "echo 'no such table' >&2\nexit 3\n"

// story is the whole of it, from the request to the released results.
func story(t *testing.T, him owner, her scientist) {
	her.ask(owen)
	him.asked(rachel)
	him.accept(rachel)
	her.accepted(owen)

	him.dataset(trial, rachel)
	her.dataset(owen, trial)

	him.publish("notes.md", "read me\n", rachel)
	her.sees(owen, "notes.md", "read me\n")
	him.publish("notes.md", "read me again\n", rachel)
	her.sees(owen, "notes.md", "read me again\n")
	him.remove("notes.md")
	her.misses(owen, "notes.md")

	her.python(owen, "total", total)
	him.pending(rachel, "total", total)
	her.status(owen, "total", "pending", "")
	him.decide(rachel, "total", "")
	him.ended(rachel, "total", "done", "patients 2\n")
	her.status(owen, "total", "done", "")

	her.bash(owen, "count", count)
	him.pending(rachel, "count", count)
	him.decide(rachel, "count", "")
	him.ended(rachel, "count", "done", "counted\n")
	her.status(owen, "count", "done", "")
	// All that was to come of the first job has come by now, before the second one's end, and nothing of its results is among it.
	if got := her.results(owen, "total"); got["total.json"] != "" || him.holdsLogs() && strings.Contains(got["stdout"], "patients") {
		t.Errorf("results before the release: %q", got)
	}
	him.release(rachel, "total")
	him.release(rachel, "count")
	released(t, her)

	her.bash(owen, "broken", broken)
	him.pending(rachel, "broken", broken)
	him.decide(rachel, "broken", "")
	him.ended(rachel, "broken", "failed", "no such table\n")
	him.release(rachel, "broken")
	her.status(owen, "broken", "failed", "")
	want(t, her, "broken", map[string]string{"stderr": "no such table\n"})

	her.bash(owen, "greedy", "cat /etc/passwd\n")
	him.pending(rachel, "greedy", "cat /etc/passwd\n")
	him.decide(rachel, "greedy", "that is none of your business")
	her.status(owen, "greedy", "rejected", "that is none of your business")
}

// released waits until Rachel has the results of the jobs that ended well.
func released(t *testing.T, her submitter) {
	t.Helper()
	want(t, her, "total", map[string]string{"total.json": `{"patients": 2, "total": 42}`, "stdout": "patients 2\n"})
	want(t, her, "count", map[string]string{"lines.txt": "3\n", "stdout": "counted\n"})
}

// elsewhere is the end of the story at another computer: whoever signs in there with Rachel's account finds what was delivered to her.
func elsewhere(t *testing.T, her scientist) {
	t.Helper()
	her.accepted(owen)
	her.dataset(owen, trial)
	her.misses(owen, "notes.md")
	her.status(owen, "greedy", "rejected", "that is none of your business")
	released(t, her)
}

// want waits until Rachel has these results of a job.
func want(t *testing.T, s submitter, job string, results map[string]string) {
	t.Helper()
	until(t, "the results of "+job, func() error {
		got := s.results(owen, job)
		for name, text := range results {
			if !strings.HasSuffix(got[name], text) {
				return fmt.Errorf("%s is %q, want %q; there are %v", name, got[name], text, slices.Sorted(maps.Keys(got)))
			}
		}
		return nil
	})
}

// nowhere demands that a text stands in no file below dir.
func nowhere(t testing.TB, text, dir string) {
	t.Helper()
	if found := grep(t, text, dir); len(found) > 0 {
		t.Errorf("%q reached %v", text, found)
	}
}
