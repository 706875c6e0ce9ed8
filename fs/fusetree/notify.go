package fusetree

import (
	"context"
	"errors"
	iofs "io/fs"
	"strings"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

// kernel is what of a mount is told that something is stale.
type kernel interface {
	InodeNotify(node uint64, off, length int64) fuse.Status
	EntryNotify(parent uint64, name string) fuse.Status
}

// staleThing is one thing that the kernel should not believe any more. One of its fields is set.
type staleThing struct {
	path  datasite.Path
	owner perm.User // everything of that datasite
	node  *node     // attributes and pages of one inode

	virtual bool // name and rel in the folder path: a provider's
	name    string
	rel     string
}

// maxQueue is how many things wait before "everything" is said instead.
const maxQueue = 4096

// notifier tells the kernel, from a goroutine of its own: a notification may wait for a request of the same folder or
// page, so it is never sent from inside one, nor with a lock held.
type notifier struct {
	nodes  *table
	caches bool
	newDay func() // called at each midnight in UTC; may be nil
	stat   func(datasite.Path) (datasite.Entry, error)

	mu     sync.Mutex
	queue  []staleThing            // guarded by mu
	queued map[staleThing]struct{} // guarded by mu; what is in queue
	ended  bool                    // guarded by mu
	wake   chan struct{}           // one slot

	cancel context.CancelFunc
	done   sync.WaitGroup
}

func newNotifier(nodes *table, caches bool, stat func(datasite.Path) (datasite.Entry, error)) *notifier {
	return &notifier{nodes: nodes, caches: caches, stat: stat, queued: map[staleThing]struct{}{}, wake: make(chan struct{}, 1)}
}

func (q *notifier) start(k kernel) {
	ctx, cancel := context.WithCancel(context.Background())
	q.cancel = cancel
	q.done.Go(func() {
		today := time.Now()
		midnight := time.NewTimer(untilMidnight(today))
		defer midnight.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-q.wake:
			case <-midnight.C:
				if now := time.Now(); q.newDay != nil && utcDay(now) != utcDay(today) {
					today = now
					q.newDay()
				}
				midnight.Reset(untilMidnight(time.Now()))
			}
			for ctx.Err() == nil {
				t, ok := q.take()
				if !ok {
					break
				}
				q.tell(k, t)
			}
		}
	})
}

// oversleep bounds how late midnight is noticed on a machine that slept, or whose clock was set.
const oversleep = time.Hour

func untilMidnight(now time.Time) time.Duration {
	const day = 24 * time.Hour
	return min(oversleep, now.Truncate(day).Add(day).Sub(now)) // since the zero time, which is a midnight in UTC
}

func utcDay(t time.Time) int64 { return t.Unix() / (24 * 60 * 60) }

// close ends the goroutine. The connection must have ended, or a notification may wait for ever.
func (q *notifier) close() {
	q.mu.Lock()
	q.ended, q.queue = true, nil
	clear(q.queued)
	q.mu.Unlock()
	if q.cancel != nil {
		q.cancel()
		q.done.Wait()
	}
}

func (q *notifier) add(t staleThing) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, ok := q.queued[t]; ok || q.ended {
		return
	}
	if len(q.queue) >= maxQueue {
		q.collapse(t)
	} else {
		q.queued[t] = struct{}{}
		q.queue = append(q.queue, t)
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// collapse makes "everything of the datasite" of all that waits; mu is held.
func (q *notifier) collapse(t staleThing) {
	all := append(q.queue, t)
	q.queue = nil
	clear(q.queued)
	for _, t := range all {
		switch {
		case t.virtual, t.node != nil: // few, and not of one datasite
		case t.owner == "":
			t = staleThing{owner: t.path.Owner}
		}
		if _, ok := q.queued[t]; !ok {
			q.queued[t] = struct{}{}
			q.queue = append(q.queue, t)
		}
	}
}

func (q *notifier) take() (staleThing, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) == 0 {
		return staleThing{}, false
	}
	t := q.queue[0]
	q.queue = q.queue[1:]
	delete(q.queued, t)
	return t, true
}

func (q *notifier) path(p datasite.Path) {
	if p.Owner != "" {
		q.add(staleThing{path: p})
	}
}

func (q *notifier) inode(n *node) { q.add(staleThing{node: n}) }

func (q *notifier) tell(k kernel, t staleThing) {
	switch {
	case t.node != nil:
		k.InodeNotify(t.node.id, 0, 0)
	case t.virtual:
		q.tellVirtual(k, t)
	case t.owner != "":
		q.tellAll(k, t.owner)
	default:
		q.tellPath(k, t.path)
	}
}

// attributes only
const noPages = -1

// tellPath drops the pages and attributes of what lies at p, wherever it is shown, and the entry if it became another thing.
// An entry that is still true stays: dropping it would take the working directory away from whoever stands in it.
func (q *notifier) tellPath(k kernel, p datasite.Path) {
	dir, n, name, shown := q.nodes.stale(p)
	for _, n := range shown {
		k.InodeNotify(n.id, 0, 0)
	}
	if dir == nil {
		return
	}
	if n != nil {
		k.InodeNotify(n.id, 0, 0)
	}
	if !q.caches {
		return // no entry and no attribute outlives its request
	}
	k.InodeNotify(dir.id, noPages, 0)
	if n == nil || !q.stillThere(n, p) {
		k.EntryNotify(dir.id, name)
		q.nodes.lost(dir, name, n)
	}
}

func (q *notifier) stillThere(n *node, p datasite.Path) bool {
	e, err := q.stat(p)
	if err != nil {
		return !errors.Is(err, iofs.ErrNotExist)
	}
	return n.still(e) == nil
}

// tellAll is tellPath for everything that the kernel knows of a datasite, the names that it knows to be absent included.
func (q *notifier) tellAll(k kernel, owner perm.User) {
	nodes, absent := q.nodes.below(owner)
	for _, a := range absent {
		k.EntryNotify(a.dir.id, a.name)
	}
	for _, n := range nodes {
		k.InodeNotify(n.id, 0, 0)
		if !q.caches {
			continue
		}
		w, err := q.nodes.locate(n.id)
		if err != nil || !w.gate || w.prov != nil || q.stillThere(n, w.path) {
			continue
		}
		if dir, name := q.nodes.nameOf(n); dir != nil {
			k.EntryNotify(dir.id, name)
			q.nodes.lost(dir, name, n)
		}
	}
}

// tellVirtual drops what the kernel holds of a provider's name and of all below it.
func (q *notifier) tellVirtual(k kernel, t staleThing) {
	dir, name, nodes := q.nodes.provided(t.path, t.name, t.rel)
	for _, n := range nodes {
		k.InodeNotify(n.id, 0, 0)
	}
	if dir != nil {
		k.InodeNotify(dir.id, noPages, 0)
		if len(nodes) == 0 {
			k.EntryNotify(dir.id, name) // it may be known as absent
			q.nodes.lost(dir, name, nil)
		}
	}
}

// stale finds what the kernel knows of p, and marks its folder as changed, so that an answer which is just being made is not
// believed for long.
func (t *table) stale(p datasite.Path) (dir, n *node, name string, shown []*node) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s := range t.shown {
		if s.face != nil && p.Under(s.face.path) {
			rel := strings.TrimPrefix(strings.TrimPrefix(p.Rel, s.face.path.Rel), "/")
			if c := walk(s, rel); c != nil {
				shown = append(shown, c)
				if c.parent != nil {
					c.parent.gen++
				}
			}
		}
	}
	dir, name = t.root, string(p.Owner)
	if p.Rel != "" {
		up := p.Parent()
		dir, name = t.plain(up), p.Base()
	}
	if dir == nil {
		return nil, nil, "", shown
	}
	dir.gen++
	if n = dir.kids[name]; n != nil && n.aside() {
		n = nil // a provider hides what is stored there
		dir = nil
	}
	return dir, n, name, shown
}

// plain is the node of p at its own place; nil if the kernel does not know it.
func (t *table) plain(p datasite.Path) *node {
	if p.IsRoot() {
		return t.root
	}
	n := t.root.kids[string(p.Owner)]
	if n = walk(n, p.Rel); n != nil && n.aside() {
		return nil
	}
	return n
}

func walk(n *node, rel string) *node {
	if rel == "" {
		return n
	}
	for part := range strings.SplitSeq(rel, "/") {
		if n == nil {
			return nil
		}
		n = n.kids[part]
	}
	return n
}

// lost takes the name away from n, which may be nil, if it still has it.
func (t *table) lost(dir *node, name string, n *node) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.neg, negative{dir, name})
	if n != nil && n.parent == dir && n.name == name {
		t.cut(n)
		t.drop(n)
		t.drop(dir)
	}
}

func (t *table) nameOf(n *node) (*node, string) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return n.parent, n.name
}

// below gives all nodes of a datasite, those shown by providers included, and the names that the kernel may know to be absent. What has
// no name any more, but is still open or mapped, may have been of any datasite.
func (t *table) below(owner perm.User) (out []*node, absent []negative) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.root.gen++
	var visit func(n *node)
	visit = func(n *node) {
		if n == nil {
			return
		}
		n.gen++
		out = append(out, n)
		for _, c := range n.kids {
			visit(c)
		}
	}
	visit(t.root.kids[string(owner)])
	for s := range t.shown {
		if s.face != nil && s.face.path.Owner == owner {
			visit(s)
		}
	}
	for _, n := range t.byID {
		if n.parent == nil && n != t.root {
			visit(n)
		}
	}
	for k := range t.neg {
		if k.dir.kids[k.name] == nil && (k.dir == t.root || t.isAbove(t.root.kids[string(owner)], k.dir)) {
			absent = append(absent, k)
			delete(t.neg, k)
		}
	}
	return out, absent
}

// provided finds what the kernel knows of rel in the provider under name in the folder p, and its folder.
func (t *table) provided(p datasite.Path, name, rel string) (dir *node, last string, out []*node) {
	t.mu.Lock()
	defer t.mu.Unlock()
	dir, last = t.plain(p), name
	if dir == nil {
		return nil, "", nil
	}
	n := dir.kids[name]
	if rel != "" {
		up := ""
		if i := strings.LastIndexByte(rel, '/'); i >= 0 {
			up, last = rel[:i], rel[i+1:]
		} else {
			last = rel
		}
		if dir = walk(n, up); dir == nil {
			return nil, "", nil
		}
		n = dir.kids[last]
	}
	dir.gen++
	var visit func(n *node)
	visit = func(n *node) {
		n.gen++
		out = append(out, n)
		for _, c := range n.kids {
			visit(c)
		}
	}
	if n != nil {
		visit(n)
	}
	return dir, last, out
}
