//go:build long

package integration

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// allPoints is set to try every crash point of the walks. Without it an even sample is tried, the same each time.
const allPoints = "SYFTFS_ALL_POINTS"

// crashSample is how many points of a walk are tried then.
const crashSample = 5

// crashPatience is how long a walk may stand still: longer than a proposal that does not fit waits for an earlier one.
const crashPatience = 150 * time.Second

// crashPoint is a step of a walk at which one end is made to die, or made to fail and killed as soon as that shows.
type crashPoint struct {
	end    string // the address whose datasite it is
	op     string
	times  int    // at the step's how manieth time in the walk
	action string // kill or fail
}

func (p crashPoint) String() string {
	who, _, _ := strings.Cut(p.end, "@")
	return fmt.Sprintf("%s %s=%s@%d", who, p.op, p.action, p.times)
}

// TestKilledInAWalk: two peers go each walk again and again, and each time one of them dies at another step of it, is started again, and goes on.
// The steps are those that the walk was seen to take.
func TestKilledInAWalk(t *testing.T) {
	t.Parallel()
	var tried, lost, unmet, known atomic.Int64
	t.Run("walks", func(t *testing.T) {
		for _, w := range []struct {
			name string
			root int
			walk func(*crashes, int) error
		}{
			{"owner-writes", owenIsRoot, (*crashes).ownerWrites},
			{"peer-proposes", rachelIsRoot, (*crashes).peerProposes},
			{"job", owenIsRoot, (*crashes).jobGoes},
		} {
			t.Run(w.name, func(t *testing.T) {
				t.Parallel()
				c := newCrashes(t, w.root)
				points := c.observe(w.walk)
				known.Add(int64(len(points)))
				if os.Getenv(allPoints) == "" {
					points = sample(points, crashSample)
				}
				for i, p := range points {
					began := time.Now()
					err := c.try(p, i+2, w.walk)
					switch {
					case err != nil:
						lost.Add(1)
						tried.Add(1)
						t.Errorf("%s: lost: %v", p, err)
						for _, e := range c.both() {
							t.Logf("%s said: %.3000s", e.email, tail(e.said.String(), 3000))
						}
					case c.fired():
						tried.Add(1)
						t.Logf("%s: %v", p, time.Since(began).Round(10*time.Millisecond))
					default:
						unmet.Add(1) // the walk took fewer such steps this time
						t.Logf("%s: not met", p)
					}
				}
				c.finish()
			})
		}
	})
	t.Logf("crash points known %d, tried %d, not met %d, losses %d", known.Load(), tried.Load(), unmet.Load(), lost.Load())
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// sample takes one point of each of n equal parts.
func sample(points []crashPoint, n int) []crashPoint {
	dice := rand.New(rand.NewPCG(5, 13))
	n = min(n, len(points))
	var some []crashPoint
	for i := range n {
		from, to := i*len(points)/n, (i+1)*len(points)/n
		some = append(some, points[from+dice.IntN(to-from)])
	}
	return some
}

// crashes is a pair of which one end dies now and then.
type crashes struct {
	*pair
	at     crashPoint
	deaths int               // of both, at this point
	files  map[string]string // below Owen's datasite: what was closed last, and must be at both ends
	jobs   map[string]bool   // whether its result was released
	open   int               // proposals that may wait for an earlier one still, as those of a conflict do for some minutes
}

// newCrashes makes two peers, with folders that Rachel may read and write, and a dataset.
func newCrashes(t *testing.T, root int) *crashes {
	t.Helper()
	c := &crashes{pair: newPair(t, root), files: map[string]string{}, jobs: map[string]bool{}}
	for _, e := range c.both() {
		e.acts.mkdir(e.path("faults"))
		if err := c.start(e); err != nil {
			t.Fatal(err)
		}
	}
	c.befriend()
	c.owen.dataset("words", rachel)
	c.rachel.untilText(c.rachel.in(owen, "public/syft_datasets/words/mock.csv"), mockWord)
	c.owen.write(c.owen.site("shared", "syft.pub.yaml"), "rules:\n- pattern: '**'\n  access:\n    read: ['"+rachel+"']\n")
	c.owen.write(c.owen.site("open", "syft.pub.yaml"), "rules:\n- pattern: '**'\n  access:\n    read: ['"+rachel+"']\n    write: ['"+rachel+"']\n")
	c.owen.write(c.owen.site("open", "first.txt"), "first")
	c.rachel.untilText(c.rachel.in(owen, "open", "first.txt"), "first")
	return c
}

func (c *crashes) both() []*end { return []*end{c.owen, c.rachel} }

func (c *crashes) of(email string) *end {
	if email == owen {
		return c.owen
	}
	return c.rachel
}

// start starts an end whose steps are logged and can be armed.
func (c *crashes) start(e *end) error {
	e.faults = "@" + e.path("faults")
	said, err := e.tryStart()
	e.faults = ""
	if err != nil {
		return fmt.Errorf("%s: %w: %s", e.email, err, said)
	}
	return nil
}

// arm is the file that arms a step of an end.
func (c *crashes) arm(e *end) string { return e.path("faults", "arm") }

// fired tells whether the armed step was taken.
func (c *crashes) fired() bool {
	_, err := os.Lstat(c.arm(c.of(c.at.end)))
	return errors.Is(err, iofs.ErrNotExist)
}

// observe goes a walk once and gives the points to die at: each step at its first and last time, and made to fail.
func (c *crashes) observe(walk func(*crashes, int) error) []crashPoint {
	c.t.Helper()
	c.settle()
	for _, e := range c.both() {
		if err := os.Truncate(e.path("faults", "log"), 0); err != nil {
			c.t.Fatal(err)
		}
	}
	if err := errors.Join(walk(c, 1), c.settle()); err != nil {
		c.t.Fatalf("the walk without a crash: %v", err)
	}
	var points []crashPoint
	for _, e := range c.both() {
		times := c.steps(e)
		for _, op := range slices.Sorted(maps.Keys(times)) {
			points = append(points, crashPoint{e.email, op, 1, "kill"}, crashPoint{e.email, op, 1, "fail"})
			if n := times[op]; n > 1 {
				points = append(points, crashPoint{e.email, op, n, "kill"})
			}
		}
	}
	return points
}

// steps counts the steps that an end has taken.
func (c *crashes) steps(e *end) map[string]int {
	c.t.Helper()
	b, err := os.ReadFile(e.path("faults", "log"))
	if err != nil {
		c.t.Fatal(err)
	}
	times := map[string]int{}
	for op := range strings.FieldsSeq(string(b)) {
		times[op]++
	}
	return times
}

// try goes a walk with one crash, and checks what must hold after it.
func (c *crashes) try(p crashPoint, n int, walk func(*crashes, int) error) error {
	c.at, c.deaths = p, 0
	e := c.of(p.end)
	if err := os.WriteFile(c.arm(e), fmt.Appendf(nil, "%s=%s@%d", p.op, p.action, p.times), 0o600); err != nil {
		return err
	}
	if e.user != nil {
		if err := os.Chown(c.arm(e), int(e.user.UID), int(e.user.GID)); err != nil {
			return err
		}
	}
	err := walk(c, n)
	if err == nil {
		err = c.settle()
	}
	if err == nil {
		err = c.revive()
	}
	if err == nil {
		err = errors.Join(c.same(), c.secret())
	}
	if c.fired() {
		return err
	}
	return errors.Join(err, os.Remove(c.arm(e)))
}

// until does what must come true as often as it takes, and brings back who died. It tells how often it was tried.
func (c *crashes) until(what string, do func() error) (int, error) {
	began := time.Now()
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for tries := 1; ; tries++ {
		err := do()
		if rerr := c.revive(); rerr != nil {
			return tries, rerr
		}
		if err == nil {
			return tries, nil
		}
		if time.Since(began) > crashPatience {
			return tries, fmt.Errorf("%s: %w", what, err)
		}
		<-tick.C
	}
}

// revive kills the end whose armed step has failed, and starts again what is dead.
func (c *crashes) revive() error {
	for _, e := range c.both() {
		if e.email == c.at.end && c.at.action == "fail" && c.fired() && c.deaths == 0 {
			e.kill()
		}
		for tries := 0; ; tries++ {
			if e.up != nil {
				select {
				case <-e.done:
					e.up = nil
				default:
				}
			}
			if e.up != nil {
				break
			}
			c.deaths++
			if err := c.ordered(e); err != nil {
				return err
			}
			if err := c.start(e); err != nil && tries > 0 {
				return err
			}
		}
	}
	return nil
}

// ordered reads the journal of an end that is dead: its sequence has no gaps.
func (c *crashes) ordered(e *end) error {
	db, err := bbolt.Open(filepath.Join(e.host.state(), "journal.db"), 0o600, &bbolt.Options{ReadOnly: true, Timeout: patience})
	if err != nil {
		return fmt.Errorf("the journal of %s: %w", e.email, err)
	}
	err = db.View(func(tx *bbolt.Tx) error {
		last := uint64(0)
		return tx.Bucket([]byte("log")).ForEach(func(k, _ []byte) error {
			seq := binary.BigEndian.Uint64(k)
			if last != 0 && seq != last+1 {
				return fmt.Errorf("the journal of %s: %d follows %d", e.email, seq, last)
			}
			last = seq
			return nil
		})
	})
	return errors.Join(err, db.Close())
}

// settle waits until both have nothing left to do.
func (c *crashes) settle() error {
	for _, e := range c.both() {
		if _, err := c.until("all is exchanged", func() error { return e.isSettled(c.open) }); err != nil {
			return err
		}
	}
	return nil
}

// isSettled is nil when nothing is to be done but answering at most so many proposals.
func (e *end) isSettled(open int) error {
	st, err := e.status()
	if err != nil {
		return err
	}
	x := st.Exchange
	busy := !st.Reconciled || x.Offline != "" || x.Problem != "" || x.Waiting != 0 || x.Log != 0 || len(st.Problems) > 0
	for _, a := range x.Aside { // the answer to a conflict in the end is that theirs is not taken
		busy = busy || !strings.HasPrefix(a.Path, owen+"/"+disputedStem)
	}
	for _, p := range x.Peers {
		busy = busy || p.Owed != 0 || p.Sending != 0 || p.Incoming > open || p.Proposed > open
	}
	if busy {
		return fmt.Errorf("the exchange: %+v %q", x, st.Problems)
	}
	return nil
}

// same checks that what was closed is what both have.
func (c *crashes) same() error {
	var errs []error
	for rel, want := range c.files {
		for _, e := range c.both() {
			if got, err := e.text(e.in(owen, rel)); err != nil || got != want {
				errs = append(errs, fmt.Errorf("%s has %q in %s, not %q: %w", e.email, got, rel, want, err))
			}
		}
	}
	return errors.Join(errs...)
}

// secret checks that Rachel can read no more than before: the private part only in results that were released to her.
func (c *crashes) secret() error {
	if r := c.rachel.acts.do(call{Op: "stat", Path: c.rachel.in(owen, "private")}); r.Errno != "ENOENT" {
		return fmt.Errorf("the private folder at Rachel's: %q", r.Errno)
	}
	for _, q := range [][2]string{{rachel, "private/syft_datasets/words/real.csv"}, {rowan, "shared/syft.pub.yaml"}, {"guest", "open/first.txt"}} {
		if out, code := c.owen.run("why", q[0], "read", owen+"/"+q[1]); code != 1 {
			return fmt.Errorf("why %s: %d: %s", q, code, out)
		}
	}
	for name, released := range c.jobs {
		if released {
			continue
		}
		if r := c.rachel.acts.do(call{Op: "stat", Path: c.rachel.in(owen, "jobs", name, "outputs/word.txt")}); r.Errno != "ENOENT" {
			return fmt.Errorf("the result of %s, which was not released, at Rachel's: %q", name, r.Errno)
		}
	}
	out, err := c.rachel.command("sh", "-c", `grep -rl "$1" "$HOME/SyftBox_$2" || true`, "sh", canary, rachel).CombinedOutput()
	if err != nil {
		return fmt.Errorf("grep: %w: %s", err, out)
	}
	for file := range strings.FieldsSeq(string(out)) {
		if job := filepath.Base(strings.TrimSuffix(file, "/outputs/word.txt")); !c.jobs[job] {
			return fmt.Errorf("private data is in %s", file)
		}
	}
	return nil
}

// finish ends both well and starts them once more: they still have the same, and in the end nothing is left mounted. When every point is tried, it
// waits until each conflict is answered.
func (c *crashes) finish() {
	c.t.Helper()
	for _, e := range c.both() {
		e.stop()
	}
	if os.Getenv(allPoints) != "" {
		c.open = 0
	}
	if err := errors.Join(c.revive(), c.settle(), c.same(), c.secret()); err != nil {
		c.t.Error(err)
	}
	for _, e := range c.both() {
		e.stop()
		if left := e.mounts(); len(left) > 0 {
			c.t.Errorf("left mounted: %q", left)
		}
		if err := c.ordered(e); err != nil {
			c.t.Error(err)
		}
	}
}

// tryAsk is ask of a datasite that may be dead.
func tryAsk[T any](h *host, args ...string) (data T, err error) {
	out, err := h.command(h.program, append(args, "--json")...).Output()
	if err != nil {
		return data, fmt.Errorf("syftfs %s: %w: %s", strings.Join(args, " "), err, out)
	}
	a := struct{ Data *T }{&data}
	return data, json.Unmarshal(out, &a)
}
