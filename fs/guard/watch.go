package guard

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/openmined/syftfs/fs/backing"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

// How Watch waits: a file is recorded when it was left alone for quiet, or at the latest late after the first change; what cannot be
// recorded is tried again after retry; where not everything can be watched all is compared once in every sweep.
const (
	quiet = 100 * time.Millisecond
	late  = 2 * time.Second
	retry = time.Second
	sweep = time.Minute
)

// WatchOptions are for Watch. Both may be nil.
type WatchOptions struct {
	Ready   func()      // called once: from now on every change is noticed. Reconcile after it finds what came before
	Problem func(error) // told why something is not noticed at once
}

// Watch records what others change in the real directory, with origin recovery, until ctx ends. Everybody sees it at once, and rule files
// are in force at once; it is recorded a moment after the last change. What this program does itself is not recorded again. Where not
// everything can be watched, stamps are compared once a minute.
func (g *Guard) Watch(ctx context.Context, o WatchOptions) error {
	w := &watching{g: g, o: o, due: map[datasite.Path]*due{}, held: map[datasite.Path]struct{}{}, theirs: map[datasite.Path]struct{}{}}
	w.r = recovery{g: g, ctx: ctx, beside: true, busy: func(p datasite.Path) { w.held[p] = struct{}{} }}
	notices, err := g.tree.Watch()
	if err != nil {
		w.partly(err)
		if o.Ready != nil {
			o.Ready()
		}
		return w.run(ctx, nil, nil)
	}
	defer notices.Close()
	return w.run(ctx, notices.Notices(), notices.Ready())
}

// watching is one run of Watch.
type watching struct {
	g       *Guard
	o       WatchOptions
	r       recovery
	due     map[datasite.Path]*due
	held    map[datasite.Path]struct{} // to be compared when a handle of ours is closed
	theirs  map[datasite.Path]struct{} // what others made or changed, until it is recorded
	partial bool                       // not everything is watched
}

// due is when something is compared.
type due struct {
	first, last time.Time
	below       bool
}

func (w *watching) run(ctx context.Context, notices <-chan backing.Notice, ready <-chan struct{}) error {
	tick := time.NewTimer(quiet)
	defer tick.Stop()
	tick.Stop()
	armed := false
	all := time.NewTicker(sweep)
	defer all.Stop()
	for {
		var left <-chan struct{}
		if len(w.held) > 0 {
			left = w.g.files.leaving()
			for p := range w.held { // closed before we asked
				if !w.g.files.writing(p) {
					w.release(p)
				}
			}
		}
		if !armed && len(w.due) > 0 {
			tick.Reset(quiet)
			armed = true
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ready:
			ready = nil
			if w.o.Ready != nil {
				w.o.Ready()
			}
		case n, ok := <-notices:
			if !ok {
				notices = nil
				w.partly(errors.New("the system notices nothing any more"))
				continue
			}
			w.notice(n)
		case <-left:
		case <-tick.C:
			armed = false
			w.settle(ctx)
		case <-all.C:
			if w.partial {
				w.compare(ctx)
			}
		}
	}
}

func (w *watching) release(p datasite.Path) {
	delete(w.held, p)
	w.put(p, false)
}

func (w *watching) partly(err error) {
	w.partial = true
	if w.o.Problem != nil {
		w.o.Problem(fmt.Errorf("what other programs change in the real directory is found once a minute, not at once: %w", err))
	}
}

func (w *watching) put(p datasite.Path, below bool) (fresh bool) {
	now := time.Now()
	d := w.due[p]
	if fresh = d == nil; fresh {
		d = &due{first: now}
		w.due[p] = d
	}
	d.last, d.below = now, d.below || below
	return fresh
}

func (w *watching) notice(n backing.Notice) {
	switch {
	case n.Err != nil:
		w.partly(n.Err)
	case n.Lost:
		w.lost()
	default:
		if w.put(n.Path, n.Below) || datasite.IsRuleName(n.Path.Base()) {
			w.show(n.Path, n.Below)
		}
	}
}

// show makes everybody ask again about p, unless it is as it is known, or a handle of ours is at work on it.
func (w *watching) show(p datasite.Path, below bool) {
	if n, ok := w.news(p, below); ok {
		w.g.tell(nil, n)
	}
}

// news is what is stale about p, if anything is. What this program itself is doing at p has ended when it looks: it would take its own change
// for another's, and make whoever writes a rule file ask by that file for the right to write it.
func (w *watching) news(p datasite.Path, below bool) (n news, stale bool) {
	g := w.g
	defer g.locks.lock(shared(p))()
	if g.files.writing(p) {
		return n, false
	}
	e, err := g.tree.Stat(p)
	known := g.known(p)
	_, theirs := w.theirs[p]
	delete(w.theirs, p)
	switch {
	case absent(err) && datasite.IsRuleName(p.Base()) && known == (datasite.Known{}) && !theirs:
		return n, false // this program removed it
	case err == nil && e.Mode.IsRegular() && known != (datasite.Known{}):
		if sameStamp(known.Stamp, e.Stamp) {
			return n, false
		}
	case err == nil && e.Mode.IsRegular():
		if same, err := w.r.asKnown(p, e, w.whole(p)); err == nil && same {
			return n, false
		}
	}
	if !absent(err) {
		w.theirs[p] = struct{}{}
	}
	n.add(p)
	g.changed(below || e.Mode.IsDir(), p)
	if err != nil || !sameContent(known.Stamp, e.Stamp) { // a new name or mode of a rule file changes no rule
		g.rulesMoved(p, false, &n)
	}
	return n, true
}

// sameContent reports whether a file has, as far as stamps tell, the content that it had.
func sameContent(a, b datasite.Stamp) bool {
	return a.Dev == b.Dev && a.Ino == b.Ino && a.Size == b.Size && a.MTime.Equal(b.MTime)
}

// whole is when the innermost folder around p was placed as a whole, if p came like that and is not known by itself.
func (w *watching) whole(p datasite.Path) (at time.Time) {
	if w.g.known(p) != (datasite.Known{}) {
		return at
	}
	for d := p.Parent(); d.Rel != ""; d = d.Parent() {
		if k := w.g.known(d); k != (datasite.Known{}) {
			if e, err := w.g.tree.Stat(d); err == nil && placed(e, k) {
				return k.Stamp.CTime
			}
		}
	}
	return at
}

// settle records what was left alone long enough.
func (w *watching) settle(ctx context.Context) {
	now := time.Now()
	for p, d := range w.due {
		if now.Sub(d.last) < quiet && now.Sub(d.first) < late {
			continue
		}
		delete(w.due, p)
		if d.last != d.first { // only the first was shown
			w.show(p, d.below)
		}
		var err error
		if d.below {
			err = w.r.gone(p)
		}
		if err == nil {
			err = w.r.path(p, w.whole(p))
		}
		if err == nil {
			delete(w.theirs, p) // it is known now
		}
		if err != nil && ctx.Err() == nil {
			w.g.cfg.Log.Warn("a change by another program cannot be recorded yet", "path", p.String(), "err", err)
			d.first, d.last = now.Add(retry), now.Add(retry)
			w.due[p] = d
		}
	}
}

// lost is for when anything may have changed: everything is asked again, and compared.
func (w *watching) lost() {
	names, err := w.g.tree.Names(datasite.Path{})
	if err != nil {
		w.g.cfg.Log.Error("the datasites cannot be listed", "err", err)
	}
	for _, f := range names {
		owner, err := perm.ParseUser(f.Name)
		if err != nil {
			continue
		}
		var n news
		p := datasite.Path{Owner: owner}
		w.g.changed(true, p)
		w.g.rulesMoved(p, true, &n)
		w.g.tell(nil, n)
	}
	w.compare(w.r.ctx)
}

// compare finds what was not noticed.
func (w *watching) compare(ctx context.Context) {
	if err := w.r.all(); err != nil && ctx.Err() == nil {
		w.g.cfg.Log.Warn("the tree cannot be compared with what is known", "err", err)
	}
}
