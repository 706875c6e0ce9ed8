package jobs

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
)

// follow turns changes of the tree into work for the loop.
func (e *Engine) follow(ctx context.Context) {
	for {
		c, err := e.cfg.Feed.Next(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			e.log.Error("changes cannot be read", "err", err)
			if !pause(ctx, retryAfter) {
				return
			}
			continue
		}
		e.mu.Lock()
		e.touch(c.Path)
		if c.Op == datasite.OpRename {
			e.touch(c.From)
		}
		e.seen = c.Seq
		e.mu.Unlock()
		e.poke()
	}
}

// touch notes what a change at p may concern. The caller has mu.
func (e *Engine) touch(p datasite.Path) {
	if p.Owner != e.cfg.Owner {
		return
	}
	if a := p.Area(); a == datasite.Rules || a == datasite.Datasets {
		e.offers = true
	}
	if rest, ok := below(p.Rel, datasite.JobInboxDir); ok {
		if parts := strings.SplitN(rest, "/", 3); len(parts) > 1 {
			if id, ok := e.idOf(parts[0], parts[1]); ok {
				e.dirty[id] = true
			}
			return
		}
		e.rescan = true
		return
	}
	if rest, ok := below(p.Rel, datasite.JobReviewDir); ok {
		parts := strings.SplitN(rest, "/", 3)
		switch {
		case len(parts) < 2:
			e.rescan = true
		case len(parts) == 2 || parts[2] == StateFile:
			if id, ok := e.idOf(parts[0], parts[1]); ok {
				e.dirty[id] = true
			}
		}
		return
	}
	if _, ok := below(datasite.JobInboxDir, p.Rel); ok || p.Rel == "" { // a folder above
		e.rescan = true
	}
}

// below gives what of rel lies below dir, "" for dir itself.
func below(rel, dir string) (string, bool) {
	if rel == dir {
		return "", true
	}
	return strings.CutPrefix(rel, dir+"/")
}

// mark has the loop compare a job with the tree.
func (e *Engine) mark(id ID) {
	e.mu.Lock()
	e.dirty[id] = true
	e.mu.Unlock()
	e.poke()
}

// loop compares jobs with the tree, lets them time out, and starts runs.
func (e *Engine) loop(ctx context.Context) {
	for {
		failed := e.catchUp(ctx)
		next := e.expire(ctx)
		if e.dispatch(ctx) || failed {
			next = min(next, retryAfter)
		}
		t := time.NewTimer(next)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-e.wake:
			t.Stop()
		case <-t.C:
			e.freshen()
		}
	}
}

// freshen takes away what hinders runs, so that they are tried again.
func (e *Engine) freshen() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, j := range e.all {
		if j.hindered() {
			again := *j
			again.hindrance = ""
			e.all[id] = &again
		}
	}
}

// catchUp compares everything that was touched with the tree, and only then moves the cursor. What failed is kept for the next round.
func (e *Engine) catchUp(ctx context.Context) (failed bool) {
	e.mu.Lock()
	dirty, rescan, offers, seen := e.dirty, e.rescan, e.offers, e.seen
	e.dirty, e.rescan, e.offers = map[ID]bool{}, false, false
	e.mu.Unlock()
	if rescan {
		offers = true
		if err := e.scan(ctx); err != nil && ctx.Err() == nil {
			e.log.Warn("inbox not read in full; it is tried again", "err", err)
			e.mu.Lock()
			e.rescan, failed = true, true
			e.mu.Unlock()
		}
	} else {
		for _, id := range sortedIDs(dirty) {
			err := e.look(ctx, id)
			if ctx.Err() != nil {
				return false
			}
			if err != nil {
				e.log.Warn("job not compared with the inbox; it is tried again", "job", id.String(), "err", err)
				e.mu.Lock()
				e.dirty[id], failed = true, true
				e.mu.Unlock()
			}
		}
	}
	if offers {
		failed = e.reoffer(ctx) || failed
	}
	if seen > e.cursor {
		if err := e.cfg.Feed.Done(seen); err != nil {
			e.log.Warn("cursor not moved; the changes are read again after a restart", "err", err)
			return true
		}
		e.cursor = seen
	}
	return failed
}

// reoffer asks again what may be granted to pending jobs.
func (e *Engine) reoffer(ctx context.Context) (failed bool) {
	release, err := e.take(ctx)
	if err != nil {
		return false
	}
	defer release()
	for id, old := range e.snapshot() {
		if old.rec.Status != Pending {
			continue
		}
		j := *old
		if err := e.datasetsOf(ctx, &j); err != nil {
			e.log.Warn("datasets of a job", "job", id.String(), "err", err)
			failed = true
			continue
		}
		if !slices.Equal(j.offered, old.offered) || !slices.Equal(j.preselected, old.preselected) {
			e.remember(&j)
		}
	}
	return failed
}

func (e *Engine) snapshot() map[ID]*job {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.all)
}

// expire rejects received jobs whose time is over, and says when the next one's is.
func (e *Engine) expire(ctx context.Context) time.Duration {
	next := time.Hour
	for id, j := range e.snapshot() {
		if j.rec.Status != Received {
			continue
		}
		left := j.rec.Arrived.Add(incompleteAfter).Sub(e.now())
		if left <= 0 {
			if err := e.look(ctx, id); err != nil && ctx.Err() == nil {
				e.log.Warn("incomplete job not rejected; it is tried again", "job", id.String(), "err", err)
			}
			left = retryAfter
		}
		next = min(next, left)
	}
	return next
}

// dispatch starts what may run now, and finishes what could not be finished. It reports whether something waits for a repair.
func (e *Engine) dispatch(ctx context.Context) (hindered bool) {
	for id, j := range e.snapshot() {
		if j.rec.Status == Running && j.hindrance == "" && (j.undone != nil || j.rec.Run.Step == stepCollected) {
			e.begin(id, func(ctx context.Context) { e.settle(ctx, id) })
		}
	}
	for ctx.Err() == nil {
		id, ok := e.choose()
		if !ok {
			break
		}
		if err := e.cfg.Runner.Ready(ctx); err != nil {
			e.hinder(ctx, "approved, but jobs cannot run here: "+err.Error(), nil, e.queued()...)
			break
		}
		e.mu.Lock()
		e.served[id.Submitter] = e.now()
		e.mu.Unlock()
		e.begin(id, func(ctx context.Context) { e.run(ctx, id) })
	}
	for _, j := range e.snapshot() {
		hindered = hindered || j.hindered()
	}
	return hindered
}

// begin does work for one job in a goroutine of its own, at most one at a time for each job.
func (e *Engine) begin(id ID, work func(context.Context)) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.active[id] != nil || e.ctx.Err() != nil {
		return false
	}
	ctx, end := context.WithCancelCause(e.ctx)
	e.active[id] = end
	e.closing.Go(func() {
		defer end(nil)
		work(ctx)
		e.mu.Lock()
		delete(e.active, id)
		e.mu.Unlock()
		e.poke()
	})
	return true
}

// queued are the approved jobs that nothing hinders, oldest approval first.
func (e *Engine) queued() []ID {
	all := e.snapshot()
	var ids []ID
	for id, j := range all {
		if j.rec.Status == Approved && j.hindrance == "" {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b ID) int {
		return cmp.Or(all[a].rec.Approved.At.Compare(all[b].rec.Approved.At), strings.Compare(a.String(), b.String()))
	})
	return ids
}

// choose picks the next job to run: of the submitters with queued jobs the one who waited longest since a run of theirs began, and of
// their jobs the one approved first. false if there is none, or enough run already.
func (e *Engine) choose() (ID, bool) {
	ids := e.queued()
	e.mu.Lock()
	defer e.mu.Unlock()
	ids = slices.DeleteFunc(ids, func(id ID) bool { return e.active[id] != nil })
	if len(ids) == 0 || len(e.active) >= e.cfg.Concurrency {
		return ID{}, false
	}
	return slices.MinFunc(ids, func(a, b ID) int { // the first of equals is the one approved first
		return e.served[a.Submitter].Compare(e.served[b.Submitter])
	}), true
}

// hinder says at some approved or running jobs why they stay where they are, and what is still to be recorded. They are tried again by Kick and by
// the slow timer.
func (e *Engine) hinder(ctx context.Context, why string, undone func(context.Context) error, ids ...ID) {
	release, err := e.take(ctx)
	if err != nil {
		return
	}
	defer release()
	for _, id := range ids {
		old := e.peek(id)
		if old == nil || (old.rec.Status != Approved && old.rec.Status != Running) {
			continue
		}
		j := *old
		j.hindrance, j.undone = why, undone
		e.remember(&j)
	}
}

func sortedIDs(set map[ID]bool) []ID {
	return slices.SortedFunc(maps.Keys(set), func(a, b ID) int { return strings.Compare(a.String(), b.String()) })
}

// pause waits for d; false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
