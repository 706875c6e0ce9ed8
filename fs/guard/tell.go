package guard

import (
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

// news is what an operation made stale, collected while locks are held and told after they are dropped.
type news struct {
	paths []datasite.Path
	rules perm.User // the datasite whose rules may have changed; "" for none
}

func (n *news) add(p ...datasite.Path) { n.paths = append(n.paths, p...) }

// tell tells the kernels of all views but from, which may be nil for "all". When rules changed, the view that changed them
// is told too, unless it is the owner's and they are the owner's: it may see less or more now.
func (g *Guard) tell(from *View, n news) {
	if len(n.paths) == 0 && n.rules == "" {
		return
	}
	g.mu.Lock()
	kernels := make([]Kernel, 0, len(g.views))
	for v := range g.views {
		if v.k != nil && (v != from || n.rules != "" && !(v.owners() && n.rules == g.cfg.Owner)) {
			kernels = append(kernels, v.k)
		}
	}
	g.mu.Unlock()
	for _, k := range kernels {
		for _, p := range n.paths {
			k.Invalidate(p)
		}
		if n.rules != "" {
			k.InvalidateAll(n.rules)
		}
	}
}

// owners reports whether v is the owner's own view, whose rights no rule changes.
func (v *View) owners() bool { return v.who.Account == "" && v.who.Subject == v.g.cfg.Owner }

// rulesMoved makes the next decision read the rule files again: one was changed at p, or, with below, p is a folder that
// moved, came or went. It is called before the change is recorded. It gives the epochs before and after, the same if p is
// none of these.
func (g *Guard) rulesMoved(p datasite.Path, below bool, n *news) (before, after uint64) {
	if p.IsRoot() || g.cfg.Rules == nil || !below && (p.Rel == "" || !datasite.IsRuleName(p.Base())) {
		return 0, 0
	}
	n.rules = p.Owner
	return g.turnRules(p.Owner, func() {
		if below {
			g.cfg.Rules.ForgetAll(p.Owner)
		} else {
			g.cfg.Rules.Forget(p.Owner, p.Parent().Rel)
		}
	})
}

// turnRules moves the epoch by turn, one at a time, so that whoever moved it can tell its own step from others'.
func (g *Guard) turnRules(owner perm.User, turn func()) (before, after uint64) {
	g.turning.Lock()
	defer g.turning.Unlock()
	before = g.epoch(owner)
	turn()
	return before, g.epoch(owner)
}

// changed makes every view's memory of what is visible around p ask again.
func (g *Guard) changed(below bool, paths ...datasite.Path) {
	g.mu.Lock()
	views := make([]*View, 0, len(g.views))
	for v := range g.views {
		views = append(views, v)
	}
	g.mu.Unlock()
	for _, v := range views {
		for _, p := range paths {
			v.seen.drop(p, below)
		}
	}
}

// Turn makes every open handle and cached answer ask again: accounts changed.
func (g *Guard) Turn() {
	if g.cfg.Rules != nil {
		g.turnRules(g.cfg.Owner, func() { g.cfg.Rules.Turn(g.cfg.Owner) })
	}
	g.files.recheck()
	g.changed(true, datasite.Path{Owner: g.cfg.Owner})
	g.tell(nil, news{rules: g.cfg.Owner})
}

// Changed is for whoever watches the real directory: something at p was made, changed or removed by somebody else. Nothing
// is recorded (Reconcile does that); caches ask again.
func (g *Guard) Changed(p datasite.Path) {
	var n news
	n.add(p)
	e, err := g.tree.Stat(p)
	dir := err != nil || e.Mode.IsDir()
	g.rulesMoved(p, dir, &n)
	g.changed(dir, p)
	g.tell(nil, n)
}

func (g *Guard) epoch(owner perm.User) uint64 {
	if g.cfg.Rules == nil {
		return 0
	}
	return g.cfg.Rules.Epoch(owner)
}

// moment is for how long a decision is true: one state of the rules and, because they may name the date, one day in UTC.
type moment struct {
	epoch uint64
	day   int64 // since 1970
}

func (g *Guard) moment(owner perm.User) moment { return moment{g.epoch(owner), day(g.cfg.Now())} }

func day(t time.Time) int64 { return t.Unix() / (24 * 60 * 60) }
