package bench

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

const readRule = "rules:\n- pattern: '**'\n  access:\n    read: ['" + rachel + "']\n"

func newPeers(b *testing.B) (w *world, o, r *machine) {
	w = newWorld(b)
	o, r = w.site(owen), w.site(rachel)
	befriend(r, o)
	return w, o, r
}

// median is the middle of what was measured, in milliseconds.
func median(all []time.Duration) float64 {
	slices.Sort(all)
	return float64(all[len(all)/2].Microseconds()) / 1000
}

// BenchmarkDropToPending: from the end of cp until the job is pending at its owner's, without the time that a copy has to lie still.
// Run it with -benchtime 20x.
func BenchmarkDropToPending(b *testing.B) {
	_, o, r := newPeers(b)
	project := r.path("analysis")
	r.write(project+"/main.py", "print('hello')\n")
	var all []time.Duration
	b.ResetTimer()
	for i := range b.N {
		name := fmt.Sprintf("job%d", i)
		if out, err := exec.Command("cp", "-r", project, r.in(owen, "jobs", name)).CombinedOutput(); err != nil {
			b.Fatalf("cp: %v: %s", err, out)
		}
		dropped := time.Now()
		o.untilText(o.in(owen, "jobs", rachel, name, "status"), "pending")
		all = append(all, time.Since(dropped)-settle)
	}
	b.ReportMetric(median(all), "median-ms")
	b.ReportMetric(float64(slices.Max(all).Microseconds())/1000, "max-ms")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkIdle: requests while nothing happens, with few and many peers. An op is a round.
func BenchmarkIdle(b *testing.B) {
	for _, peers := range []int{1, 20} {
		b.Run(fmt.Sprintf("peers=%d", peers), func(b *testing.B) {
			w := newWorld(b)
			o := w.site(owen)
			for n := range peers {
				p := w.site(fmt.Sprintf("peer%d@elsewhere.example", n))
				befriend(p, o)
				w.quiet(p)
				p.end()
			}
			before := w.quiet(o)[owen]
			b.ResetTimer()
			began := time.Now()
			var now counted
			w.until("rounds", func() error {
				if now = w.counts()[owen]; now.questions < before.questions+b.N {
					return errors.New("not yet")
				}
				return nil
			})
			all := float64(now.questions + now.others - before.questions - before.others)
			b.ReportMetric(all/time.Since(began).Minutes(), "requests/min")
			b.ReportMetric(all/float64(now.questions-before.questions), "requests/round")
		})
	}
}

// BenchmarkChangedFile: one changed file to one peer: requests of both sides beside the questions for what is new, and the time until it is there.
func BenchmarkChangedFile(b *testing.B) {
	w, o, r := newPeers(b)
	o.write(o.in(owen, "notes", "syft.pub.yaml"), readRule)
	o.write(o.in(owen, "notes", "a.txt"), "version -1\n")
	r.untilText(r.in(owen, "notes", "a.txt"), "version -1\n")
	measure(b, w, o, r, func(i int) {
		text := fmt.Sprintf("version %d\n", i)
		o.write(o.in(owen, "notes", "a.txt"), text)
		r.untilText(r.in(owen, "notes", "a.txt"), text)
	})
}

// BenchmarkSubmit: a job from the command that submits it until its submitter sees that it is pending.
func BenchmarkSubmit(b *testing.B) {
	w, o, r := newPeers(b)
	r.write(r.path("analysis", "main.py"), "print('hello')\n")
	measure(b, w, o, r, func(i int) {
		name := fmt.Sprintf("job%d", i)
		r.ok("job", "submit", "analysis", "--to", owen, "--name", name)
		r.untilText(r.in(owen, "jobs", name, "status"), "pending")
	})
}

// measure does something again and again and reports how long it takes, and what it costs at the Drive when all that follows from it is done.
func measure(b *testing.B, w *world, o, r *machine, do func(i int)) {
	b.Helper()
	var all []time.Duration
	before := w.quiet(o, r)
	b.ResetTimer()
	for i := range b.N {
		began := time.Now()
		do(i)
		all = append(all, time.Since(began))
		w.quiet(o, r)
	}
	b.StopTimer()
	after := w.counts()
	for _, m := range []*machine{o, r} {
		who, _, _ := strings.Cut(m.email, "@")
		b.ReportMetric(float64(after[m.email].others-before[m.email].others)/float64(b.N), who+"-requests/op")
	}
	b.ReportMetric(median(all), "median-ms")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkFirstSync: 1,000 files that a new peer may read, from acceptance until the last one is there.
func BenchmarkFirstSync(b *testing.B) {
	const files = 1000
	for range b.N {
		b.StopTimer()
		w := newWorld(b)
		o, r := w.site(owen), w.site(rachel)
		o.write(o.in(owen, "data", "syft.pub.yaml"), readRule)
		for i := range files {
			o.write(o.in(owen, "data", fmt.Sprintf("d%02d", i%50), fmt.Sprintf("%04d.txt", i)), strings.Repeat(fmt.Sprintf("%04d,", i), 200))
		}
		before := w.quiet(o, r)
		b.StartTimer()
		befriend(r, o)
		r.until("all files", func() error {
			n := 0
			for i := range 50 {
				list, err := os.ReadDir(r.in(owen, "data", fmt.Sprintf("d%02d", i)))
				if err != nil {
					return err
				}
				n += len(list)
			}
			if n != files {
				return fmt.Errorf("%d files", n)
			}
			return nil
		})
		b.StopTimer()
		after := w.quiet(o, r)
		for _, m := range []*machine{o, r} {
			who, _, _ := strings.Cut(m.email, "@")
			b.ReportMetric(float64(after[m.email].others-before[m.email].others), who+"-requests/op")
		}
		b.StartTimer()
	}
}

// BenchmarkStartOffline: from the start of the program until the mount is ready and was listed, while the Drive does not answer.
func BenchmarkStartOffline(b *testing.B) {
	w, o, r := newPeers(b)
	o.write(o.in(owen, "notes", "syft.pub.yaml"), readRule)
	o.write(o.in(owen, "notes", "a.txt"), "a")
	r.untilText(r.in(owen, "notes", "a.txt"), "a")
	r.end()
	w.end()
	var all []time.Duration
	b.ResetTimer()
	for range b.N {
		began := time.Now()
		r.serve("Up:", "up")
		if got, err := os.ReadFile(r.in(owen, "notes", "a.txt")); err != nil || string(got) != "a" {
			b.Fatalf("a.txt is %q, %v", got, err)
		}
		all = append(all, time.Since(began))
		b.StopTimer()
		r.end()
		b.StartTimer()
	}
	b.ReportMetric(median(all), "median-ms")
	b.ReportMetric(0, "ns/op")
}
