package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	owenEmail   = "owen@cancer-research.example"
	rachelEmail = "rachel@datascience.example"
	jobName     = "analysis"
)

// story is one run of the demo.
type story struct {
	o            Options
	dir          string
	began        time.Time
	owen, rachel *person
	drive        *person // who runs the Drive
	driveURL     string
	daemons      []*daemon    // in the order in which they were started
	ended        chan *daemon // one that ended by itself
	result       result
}

// result is what Rachel's analysis writes.
type result struct {
	Part     string  `json:"part"`
	Rows     int     `json:"rows"`
	Accuracy float64 `json:"accuracy"`
	Mean     map[string]struct {
		All       float64 `json:"all"`
		Benign    float64 `json:"benign"`
		Malignant float64 `json:"malignant"`
	} `json:"mean"`
}

// site is Owen's datasite in a person's mount.
func (p *person) site(parts ...string) string {
	return filepath.Join(append([]string{p.mount, owenEmail}, parts...)...)
}

// owenShares makes the dataset and says in rule files who may do what.
func (s *story) owenShares(ctx context.Context) error {
	if _, err := s.owen.syftfs(ctx, "dataset", "create", "breast-cancer", "--summary", "569 samples, 30 features, benign or malignant",
		"--mock", "mock.csv", "--private", "breast-cancer/breast_cancer.csv", "--readme", "breast-cancer/README.md", "--readers", rachelEmail); err != nil {
		return err
	}
	s.note("Owen says in two files, one of each language, who may do what:")
	for _, f := range []struct{ path, text string }{
		{s.owen.site("public", "welcome.txt"), "Welcome. The mock data is yours to try things on."},
		{s.owen.site("public", "syft.pub.yaml"), "rules:\n- pattern: '**'\n  access:\n    read: ['" + rachelEmail + "']"},
		{s.owen.site("protocols", "staining.txt"), "Fine needle aspirates, stained after Papanicolaou."},
		{s.owen.site("protocols", "syftperm.yaml"), "- path: '**'\n  permissions: [read]\n  user: " + rachelEmail},
	} {
		if _, err := s.owen.sh(ctx, `mkdir -p "$(dirname "$1")" && echo "$2" > "$1"`, f.path, f.text); err != nil {
			return err
		}
	}
	_, err := s.owen.run(ctx, "ls", s.owen.site())
	return err
}

func (s *story) rachelSubmits(ctx context.Context) error {
	s.chapter("Rachel tries her analysis on the mock and submits it with cp")
	out, err := s.rachel.sh(ctx, `cd "$1" && SYFTBOX_FOLDER="$2" SYFTBOX_EMAIL="$3" python3 main.py`, filepath.Join(s.rachel.home, "analysis"), s.rachel.mount, owenEmail)
	if err != nil {
		return err
	}
	if !strings.Contains(out, "public part: 60 rows") {
		return fmt.Errorf("the analysis did not find the 60 mock rows: %q", out)
	}
	if _, err := s.rachel.run(ctx, "mv", filepath.Join(s.rachel.home, "analysis", "outputs"), filepath.Join(s.rachel.home, "mock-outputs")); err != nil {
		return err
	}
	if _, err := s.rachel.run(ctx, "cp", "-r", filepath.Join(s.rachel.home, "analysis"), s.rachel.site("jobs")+"/"); err != nil {
		return err
	}
	status, err := s.rachel.run(ctx, "cat", s.rachel.site("jobs", jobName, "status"))
	if err != nil {
		return err
	}
	if !strings.Contains(status, "draft") {
		return fmt.Errorf("what was just copied is not a draft: %q", status)
	}
	s.note("A few seconds after the last write the draft is sealed and is pending with Owen.")
	return s.rachel.wait(ctx, s.rachel.site("jobs", jobName, "status"), "pending")
}

func (s *story) owenDecides(ctx context.Context) error {
	s.chapter("Owen reads the code and decides")
	job := s.owen.site("jobs", rachelEmail, jobName)
	if err := s.owen.wait(ctx, filepath.Join(job, "status"), "pending"); err != nil {
		return err
	}
	if _, err := s.owen.sh(ctx, `cd "$1" && ls && cat run.sh && head -n 12 code/main.py`, job); err != nil {
		return err
	}
	decision, err := s.owen.run(ctx, "cat", filepath.Join(job, "DECISION"))
	if err != nil {
		return err
	}
	approve := ""
	for line := range strings.Lines(decision) {
		if rest := strings.TrimSpace(strings.TrimLeft(line, "# ")); strings.HasPrefix(rest, "approve ") {
			approve, _, _ = strings.Cut(rest, " datasets=")
			break
		}
	}
	if approve == "" {
		return fmt.Errorf("DECISION has no line to approve with: %q", decision)
	}
	s.note("A decision for other bytes than those he read is refused, in write(2):")
	if err := s.owen.refused(ctx, "Invalid argument", "sh", "-c", `echo "approve 000000000000" | tee "$1"`, "sh", filepath.Join(job, "DECISION")); err != nil {
		return err
	}
	s.note("He approves what he read, and grants the private part of one dataset:")
	if _, err := s.owen.sh(ctx, `echo "$2" > "$1"`, filepath.Join(job, "DECISION"), approve+" datasets=breast-cancer"); err != nil {
		return err
	}
	s.note("The runner executes exactly those bytes: in bubblewrap, private data read-only, no network.")
	if err := s.owen.wait(ctx, filepath.Join(job, "status"), "done"); err != nil {
		return err
	}
	logs, err := s.owen.run(ctx, "cat", filepath.Join(job, "logs", "stdout.txt"))
	if err != nil {
		return err
	}
	if !strings.Contains(logs, "private part: 569 rows") {
		return fmt.Errorf("the job did not find the 569 private rows: %q", logs)
	}
	return nil
}

func (s *story) resultsComeBack(ctx context.Context) error {
	s.chapter("The result is held until Owen lets it go")
	job := s.owen.site("jobs", rachelEmail, jobName)
	if _, err := s.owen.run(ctx, "ls", "-l", filepath.Join(job, "held")); err != nil {
		return err
	}
	theirs := s.rachel.site("jobs", jobName, "outputs", "result.json")
	if err := s.rachel.unchanged(ctx, theirs); err != nil {
		return err
	}
	if _, err := s.owen.run(ctx, "mv", filepath.Join(job, "held", "result.json"), filepath.Join(job, "outputs")+"/"); err != nil {
		return err
	}
	if err := s.rachel.arrives(ctx, theirs, "}"); err != nil {
		return err
	}
	b, err := os.ReadFile(theirs)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, &s.result); err != nil {
		return fmt.Errorf("%s: %w", theirs, err)
	}
	radius := s.result.Mean["mean_radius"]
	if s.result.Rows != 569 || radius.All != 14.127 || radius.Benign != 12.147 || radius.Malignant != 17.463 {
		return fmt.Errorf("the result is not that of the private data: %+v", radius)
	}
	return nil
}

func (s *story) summary() {
	r := s.result.Mean["mean_radius"]
	s.chapter("Summary")
	fmt.Fprintf(s.o.Out, "Rachel has the mean radius of 569 samples she never saw: %.3f (benign %.3f, malignant %.3f),\n"+
		"and tells the classes apart with an accuracy of %.4f. Owen saw every byte that ran and every byte that left.\n"+
		"It took %.1f s.\n", r.All, r.Benign, r.Malignant, s.result.Accuracy, time.Since(s.began).Seconds())
}

func (s *story) lookAround() {
	fmt.Fprintf(s.o.Out, "\nEverything is left mounted (--keep). Look around, in another terminal:\n"+
		"  ls -R %s\n  ls -R %s\n  %s %s status\nCtrl-C here ends it.\n", s.owen.site(), s.rachel.site(), strings.Join(s.owen.settings(), " "), s.o.Self)
}
