//go:build long

package soak

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// fail tells a failure, with what was done at the place and what all have there.
func (w *world) fail(at place, format string, args ...any) {
	w.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, operation %d: ", w.seed, w.n)
	fmt.Fprintf(&b, format, args...)
	for _, p := range []place{at, ruledBy(at)} {
		if list := w.m.story[p]; len(list) > 0 {
			fmt.Fprintf(&b, "\n  %s/%s:", p.owner, p.rel)
			for _, line := range list[max(0, len(list)-25):] {
				b.WriteString("\n    " + line)
			}
		}
	}
	for _, s := range w.sites {
		for rel, content := range s.files(at.owner, path.Dir(at.rel)) {
			if strings.HasPrefix(rel, strings.TrimSuffix(at.rel, path.Ext(at.rel))) {
				fmt.Fprintf(&b, "\n  %s has %s (%s): %.80q", s.who, rel, s.stateOf(at.owner, rel), content)
			}
		}
	}
	w.t.Error(b.String())
}

// settle ends all trouble and waits until nothing waits.
func (w *world) settle() {
	w.drive.calm()
	for _, s := range w.sites {
		if s.up == nil {
			s.open()
		}
	}
	calm := 0
	err := until(func() error {
		for _, s := range w.sites {
			if _, err := s.run("sync", "--wait"); err != nil {
				calm = 0
				return err
			}
			st, err := try[status](s.machine, "status")
			if err == nil && st.Exchange.Brake != nil {
				w.counts["brake released"]++
				_, err = s.run("sync", "release")
			}
			if err != nil {
				return err
			}
		}
		for _, s := range w.sites {
			if err := s.idle(); err != nil {
				calm = 0
				return err
			}
		}
		if calm++; calm < 3 {
			return errors.New("it has just become calm")
		}
		return nil
	})
	if err != nil {
		w.t.Fatalf("seed %d, operation %d: it does not come to rest: %v", w.seed, w.n, err)
	}
}

// check compares everybody with the model and with each other.
func (w *world) check() {
	trees := map[reader]map[string]string{}
	everywhere := map[string]bool{}
	for _, s := range w.sites {
		for _, owner := range people {
			files := s.files(owner, "")
			trees[reader{s.who, place{owner, ""}}] = files
			for _, content := range files {
				everywhere[content] = true
			}
		}
	}
	for _, content := range slices.Sorted(maps.Keys(w.m.written)) {
		if !w.m.retired[content] && !everywhere[content] {
			w.counts["LOST"]++
			w.fail(w.m.written[content], "lost: %.80q", content)
		}
	}
	again := map[reader]bool{}
	for _, owner := range people {
		theirs := trees[reader{owner, place{owner, ""}}]
		for _, s := range w.sites {
			if s.who == owner {
				continue
			}
			w.compare(s, owner, theirs, trees[reader{s.who, place{owner, ""}}], again)
		}
	}
	w.m.unread, w.m.flying = again, map[place][]string{}
	w.unreadable()
	for _, s := range w.sites {
		w.status(s)
	}
	w.submitted()
}

// compare compares a replica with its owner's files.
func (w *world) compare(s *site, owner string, theirs, ours map[string]string, again map[reader]bool) {
	conflicts := ask[[]struct{ Copy string }](s.machine, "sync", "conflicts")
	for _, rel := range slices.Sorted(maps.Keys(theirs)) {
		at := place{owner, rel}
		if top, _, in := strings.Cut(rel, "/"); !in || !slices.Contains(tops, top) || path.Base(rel) == ruleFile || isCopy(rel) || w.m.level(s.who, at) < read {
			continue
		}
		if got, ok := ours[rel]; !ok || got != theirs[rel] {
			w.fail(at, "%s may read it, and has %.80q (%v), not %.80q", s.who, got, ok, theirs[rel])
		}
		w.counts["files compared"]++
	}
	for _, rel := range slices.Sorted(maps.Keys(ours)) {
		at := place{owner, rel}
		if path.Base(rel) == ruleFile || !strings.Contains(rel, "/") {
			continue
		}
		if !w.m.mayHave[ours[rel]][s.who] && ours[rel] != "" && w.m.written[ours[rel]] != (place{}) {
			w.fail(at, "%s has what it could never read: %.80q", s.who, ours[rel])
		}
		if isCopy(rel) {
			if !slices.ContainsFunc(conflicts, func(c struct{ Copy string }) bool { return strings.HasSuffix(c.Copy, "/"+rel) || c.Copy == rel }) {
				w.fail(at, "%s has a copy that no list of conflicts names", s.who)
			}
			continue
		}
		if _, ok := theirs[rel]; ok {
			continue
		}
		folder := reader{s.who, ruledBy(at)}
		kept := w.m.unread[folder] || w.m.unread[reader{s.who, at}] // told of nothing while it could not read
		if state := s.stateOf(owner, rel); !kept && state != "refused" {
			w.fail(at, "%s still has what is gone at its owner (%s): %.80q", s.who, state, ours[rel])
		}
		again[reader{s.who, at}] = true
	}
}

// isCopy reports whether a file is a version that was kept because of a conflict.
func isCopy(rel string) bool { return strings.Contains(path.Base(rel), ".conflict-") }

// status looks for trouble that nothing explains.
func (w *world) status(s *site) {
	st := ask[status](s.machine, "status")
	if len(st.Problems) > 0 {
		w.fail(place{s.who, ""}, "%s has problems: %q", s.who, st.Problems)
	}
	for _, p := range st.Exchange.Peers {
		if p.Problem != "" {
			w.fail(place{s.who, ""}, "%s has a problem with %s: %s", s.who, p.Address, p.Problem)
		}
	}
	for _, a := range st.Exchange.Aside {
		if a.Path == "" {
			w.fail(place{s.who, ""}, "%s set a message of %s aside: %s: %s", s.who, a.Peer, a.Name, a.Reason)
		}
	}
	w.counts["conflicts kept at "+s.who] = st.Exchange.Conflicts
}

// submitted waits until every job that was submitted has arrived.
func (w *world) submitted() {
	for _, j := range w.jobs {
		s := w.site(j.owner)
		who, name, _ := strings.Cut(j.rel, "/")
		err := until(func() error {
			list, err := try[[]struct{ Name, Submitter, Status string }](s.machine, "job", "list")
			for _, l := range list {
				if l.Name == name && l.Submitter == who && l.Status == "pending" {
					return nil
				}
			}
			return fmt.Errorf("not among %d jobs: %w", len(list), err)
		})
		if err != nil {
			w.fail(place{j.owner, "jobs/" + name}, "job %s of %s did not arrive: %v", name, who, err)
		}
		w.counts["jobs arrived"]++
	}
	w.jobs = nil
}

// journals ends all datasites and looks for gaps in their journals.
func (w *world) journals() {
	for _, s := range w.sites {
		s.ok("down")
		if err := <-s.done; err != nil {
			w.t.Errorf("%s ended with %v: %s", s.who, err, s.said())
		}
		s.up = nil
		w.gaps(s, filepath.Join(s.state(), "journal.db"))
	}
}

func (w *world) gaps(s *site, file string) {
	db, err := bbolt.Open(file, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		w.t.Errorf("%s: %v", file, err)
		return
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		log := tx.Bucket([]byte("log"))
		if log == nil {
			return errors.New("it has no log")
		}
		last := uint64(0)
		return log.ForEach(func(k, _ []byte) error {
			seq := binary.BigEndian.Uint64(k)
			if last != 0 && seq != last+1 {
				return fmt.Errorf("%d follows %d", seq, last)
			}
			last = seq
			w.counts["journal entries"]++
			return nil
		})
	})
	if err != nil {
		w.t.Errorf("the journal of %s: %v", s.who, err)
	}
}

// report tells the figures.
func (w *world) report(took time.Duration) {
	w.t.Logf("seed %d: %d operations in %s; the Drive was killed %d times", w.seed, w.n, took.Round(time.Second), w.drive.kills)
	for _, s := range w.sites {
		w.t.Logf("%s was killed %d times", s.who, s.kills)
		if w.t.Failed() {
			w.t.Logf("%s logged: %s", s.who, s.said())
		}
	}
	for _, list := range []map[string]int{w.drive.kinds, w.counts} {
		for _, k := range slices.Sorted(maps.Keys(list)) {
			w.t.Logf("%6d %s", list[k], k)
		}
	}
	w.t.Logf("%6d contents written, %d replaced or removed by somebody who saw them, %d lost", len(w.m.written), len(w.m.retired), w.counts["LOST"])
}
