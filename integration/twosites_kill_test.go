//go:build long

package integration

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

// TestKilledOnTheWay: each of the two datasites and the Drive is killed again and again at moments that are drawn by lot while a job goes its
// way. It arrives once, runs once, and its result arrives.
func TestKilledOnTheWay(t *testing.T) {
	t.Parallel()
	p := newPeers(t, rachelIsRoot)
	p.owen.dataset("words", rachel)
	p.settled()
	dice := rand.New(rand.NewPCG(5, 11))
	const most = 1500 * time.Millisecond
	for i := range 6 {
		name := fmt.Sprintf("job%d", i)
		dir := p.rachel.project(name)
		victim := func() {
			switch (i + dice.IntN(2)) % 3 {
			case 0:
				p.owen.kill()
				p.owen.start()
			case 1:
				p.rachel.kill()
				p.rachel.start()
			default:
				p.drive.kill()
				p.drive.open()
			}
		}
		// The lot is a moment of the way, not a wait for something.
		strike := func() {
			<-time.After(time.Duration(dice.Int64N(int64(most))))
			victim()
		}
		p.rachel.submit(dir)
		strike()
		p.owen.untilJob(name, "pending")
		p.owen.until("it can be approved", func() error {
			if out, code := p.owen.run("job", "approve", name, p.owen.job(name).Digest, "--dataset", "words"); code != 0 {
				return errors.New(out)
			}
			return nil
		})
		p.owen.untilJob(name, "done")
		p.owen.ok("job", "release", name)
		strike()
		p.rachel.untilText(p.rachel.in(owen, "jobs", name, "outputs/word.txt"), canary)
		p.rachel.untilText(p.rachel.in(owen, "jobs", name, "status"), "done")
		if j := p.owen.job(name); j.Revision != 1 || j.Status != "done" {
			t.Errorf("%s is revision %d, %s", name, j.Revision, j.Status)
		}
	}
	if all := ask[[]job](p.owen.host, "job", "list"); len(all) != 6 {
		t.Errorf("Owen has %d jobs", len(all))
	}
	for _, e := range []*end{p.owen, p.rachel} {
		if st, err := e.status(); err != nil || len(st.Exchange.Aside) > 0 || st.Exchange.Conflicts > 0 {
			t.Errorf("%s: %+v, %v", e.email, st.Exchange, err)
		}
	}
	p.owen.stop()
	p.rachel.stop()
	// No staging is left in the backing trees.
	for _, e := range []*end{p.owen, p.rachel} {
		entries, err := os.ReadDir(e.path("SyftBox_" + e.email))
		if err != nil && !errors.Is(err, iofs.ErrNotExist) {
			t.Fatal(err)
		}
		for _, f := range entries {
			if f.Name()[0] == '.' {
				if inner, err := os.ReadDir(e.path("SyftBox_"+e.email, f.Name())); err == nil && len(inner) > 0 {
					t.Errorf("left in %s: %v", f.Name(), inner)
				}
			}
		}
	}
}
