package jobs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// The engine against a model of what people did: whatever the order of changes, decisions, restarts and crashes, only approved bytes run, each approval runs
// at most once, what is decided stays decided, and the tree says what the engine says.
func TestStateMachine(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var stopped any // rapid ends a property by a panic, which must not end the bubble's goroutine
		synctest.Test(t, func(t *testing.T) {
			m := newMachine(t)
			defer func() {
				stopped = recover()
				m.site.stop()
			}()
			for range rapid.IntRange(3, 12).Draw(rt, "steps") {
				m.step(rt)
				synctest.Wait()
				m.check(rt)
			}
			m.mend()
			m.check(rt)
			m.ended(rt)
		})
		if stopped != nil {
			panic(stopped)
		}
	})
}

type machine struct {
	site     *site
	ids      []ID
	approved map[ID]Digest // what a person approved, last
	refused  map[ID]bool   // rejected or cancelled by a person
	last     map[ID]Job
	mu       sync.Mutex
	wrong    []string
}

func newMachine(t *testing.T) *machine {
	m := &machine{site: newSite(t), ids: []ID{job1("a"), job1("b"), {owen, nina, "a"}},
		approved: map[ID]Digest{}, refused: map[ID]bool{}, last: map[ID]Job{}}
	m.site.runner.before = func(spec Spec) {
		files, err := ReadManifest(context.Background(), os.DirFS(spec.Work))
		m.mu.Lock()
		defer m.mu.Unlock()
		if err != nil || DigestOf(files) != m.approved[spec.ID] {
			m.wrong = append(m.wrong, fmt.Sprintf("%s runs %s, approved is %s (%v)", spec.ID, DigestOf(files), m.approved[spec.ID], err))
		}
	}
	m.site.start()
	return m
}

func (m *machine) step(rt *rapid.T) {
	s := m.site
	id := rapid.SampledFrom(m.ids).Draw(rt, "job")
	by := byOwner
	switch what := rapid.SampledFrom([]string{"put", "put", "put", "approve", "approve", "approve", "approve old", "reject", "cancel", "restart", "crash", "time",
		"no sandbox", "sandbox", "long runs", "short runs", "lie", "crash at"}).Draw(rt, "what"); what {
	case "put":
		all := submission(id.Name, "main.py", rapid.SampledFrom([]string{"1", "2", "3"}).Draw(rt, "body"))
		switch rapid.IntRange(0, 4).Draw(rt, "part") {
		case 0:
			delete(all, RunFile)
		case 1:
			delete(all, CodeDir+"/main.py")
		case 2:
			all[ConfigFile] = "name: [" + id.Name
		}
		s.put(id, all)
	case "approve", "approve old":
		j, err := s.engine.Get(id)
		if err != nil {
			return
		}
		digest := j.Digest
		if what == "approve old" {
			digest = "sha256:" + Digest(strings.Repeat("0", 64))
		}
		m.mu.Lock()
		before := m.approved[id]
		m.approved[id] = digest // it may run before Approve returns
		m.mu.Unlock()
		err = s.engine.Approve(context.Background(), id, by, Approval{Digest: string(digest)})
		if (err == nil) != (j.Status == Pending && what == "approve") && !errors.Is(err, errCrash) {
			rt.Fatalf("%s of %s, which was %s: %v", what, id, j.Status, err)
		}
		if err != nil && !errors.Is(err, errCrash) {
			m.mu.Lock()
			m.approved[id] = before
			m.mu.Unlock()
		}
	case "reject":
		if err := s.engine.Reject(context.Background(), id, by, "no"); err == nil {
			m.refused[id] = true
		}
	case "cancel":
		if j, err := s.engine.Get(id); err == nil && s.engine.Cancel(context.Background(), id, by) == nil && j.Status == Approved {
			m.refused[id] = true
		}
	case "restart":
		s.stop()
		s.start()
	case "crash":
		s.crash()
		s.start()
	case "crash at":
		op := rapid.SampledFrom([]string{"intake:rename", "approve:rename", "claim:rename", "started:rename", "collected:rename", "hold", "finish:rename", "publish"}).Draw(rt, "op")
		s.fault.crashAt(op, 0)
	case "time":
		elapse(rapid.SampledFrom([]time.Duration{time.Second, 2 * time.Minute, 11 * time.Minute}).Draw(rt, "time"))
	case "no sandbox", "sandbox", "long runs", "short runs":
		s.runner.mu.Lock()
		switch what {
		case "no sandbox":
			s.runner.ready = errFault
		case "sandbox":
			s.runner.ready = nil
		case "long runs":
			s.runner.do = untilEnd
		case "short runs":
			s.runner.do = nil
		}
		s.runner.mu.Unlock()
	case "lie":
		s.write(id.Review().Join(StateFile), "status: approved\n")
	}
	synctest.Wait()
	if s.fault.dead.Load() { // it crashed on the way
		s.crash()
		s.start()
	}
}

// mend lets everything come to its end.
func (m *machine) mend() {
	s := m.site
	s.fault.crashAt("", 0)
	s.runner.mu.Lock()
	s.runner.ready, s.runner.do = nil, nil
	s.runner.mu.Unlock()
	s.stop() // interrupts what still runs
	s.start()
	elapse(12 * time.Minute)
	synctest.Wait()
}

func (m *machine) check(rt *rapid.T) {
	s := m.site
	m.mu.Lock()
	for _, w := range m.wrong {
		rt.Fatal(w)
	}
	m.mu.Unlock()
	for _, j := range s.engine.List() {
		was, known := m.last[j.ID]
		m.last[j.ID] = j
		if s.runner.runs[j.ID] > 1 {
			rt.Fatalf("%s ran %d times", j.ID, s.runner.runs[j.ID])
		}
		if m.approved[j.ID] == "" && s.runner.runs[j.ID] > 0 {
			rt.Fatalf("%s ran without an approval", j.ID)
		}
		if m.refused[j.ID] && j.Status != Rejected {
			rt.Fatalf("%s was refused and is %s", j.ID, j.Status)
		}
		if known && (was.Status == Done || was.Status == Failed) && j.Status != was.Status {
			rt.Fatalf("%s was %s and is %s", j.ID, was.Status, j.Status)
		}
		if known && was.Status.Decided() && was.State.ApprovedBy != "" && (j.Digest != was.Digest || j.State.ApprovedBy == "") {
			rt.Fatalf("%s was approved with %s and has %s (%s)", j.ID, was.Digest, j.Digest, j.Status)
		}
		if known && !j.State.ReceivedAt.Equal(was.State.ReceivedAt) {
			rt.Fatalf("%s: received_at moved", j.ID)
		}
		src := s.read(j.ID.Review().Join(StateFile))
		if src != string(j.State.Marshal()) && !(src == "" && j.Status == Received) {
			rt.Fatalf("%s is %s, but state.yaml says\n%s", j.ID, j.Status, src)
		}
		if j.Digest != "" && DigestOf(j.Files) != j.Digest {
			rt.Fatalf("%s: files do not have the digest", j.ID)
		}
	}
}

// ended checks that nothing is left between two states.
func (m *machine) ended(rt *rapid.T) {
	for _, j := range m.site.engine.List() {
		switch j.Status {
		case Received, Approved, Running:
			rt.Fatalf("%s is still %s: %s", j.ID, j.Status, j.Message)
		case Done:
			if m.site.holder.held[j.ID]["x.txt"] != "done\n" || m.site.runner.runs[j.ID] != 1 {
				rt.Fatalf("%s is done, but holds %v after %d runs", j.ID, m.site.holder.held[j.ID], m.site.runner.runs[j.ID])
			}
		}
	}
}
