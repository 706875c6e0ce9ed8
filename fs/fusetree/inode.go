package fusetree

import (
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/virtual"
	"github.com/openmined/syftfs/perm"
)

// ownIno marks the inode numbers that are ours and not a stored file's.
const ownIno = 1 << 63

// ident is what a name stands for. Two lookups that find the same ident are the same inode: a stored file keeps its inode
// when it is renamed, and a file that replaces another of the same name gets a new one, whatever the kernel has cached.
type ident struct {
	dev, ino uint64 // stored: of the backing file
	typ      uint32 // S_IFMT bits
	via      uint64 // the node through which a provider shows this stored file; 0 for the file at its own place
	linked   bool   // one of several hard links: known by its name only, because each name has rules of its own
}

// face is what a provider says about a name; nil for a stored file below the gate.
type face struct {
	prov   virtual.Provider
	top    bool // the provider's own root, rel ""
	kind   virtual.Kind
	target string        // Link
	path   datasite.Path // Stored
}

func (f *face) same(g *face) bool {
	return f.top == g.top && f.kind == g.kind && f.target == g.target && f.path == g.path
}

// node is an inode that the kernel knows, or an ancestor of one. Fields below mu are guarded by table.mu.
type node struct {
	id  uint64
	key ident
	ino uint64 // what stat shows; with the ownIno bit for everything that a provider shows

	// below: guarded by table.mu
	parent  *node // nil: the root, or a file whose name is gone
	name    string
	face    *face
	kids    map[string]*node
	lookups uint64
	open    *handle // its open handles, a list
	gen     uint64  // moves with each entry that leaves or changes in this folder; what was read before it is stale
	seen    seen    // what the kernel's pages of this file agree with
}

// seen is a stored file's state when its pages were last known to be good.
type seen struct {
	mtime, ctime int64 // nanoseconds since 1970
	size         int64
}

func seenOf(s datasite.Stamp) seen { return seen{s.MTime.UnixNano(), s.CTime.UnixNano(), s.Size} }

// table holds the nodes by number and by what they are. Lock: mu is taken last and never held across a call to the gate, a
// provider or the kernel.
type table struct {
	mu    sync.RWMutex
	byID  map[uint64]*node
	byKey map[ident]*node
	shown map[*node]struct{} // stored things that a provider shows at another place
	next  uint64
	neg   map[negative]time.Time // names that the kernel may remember as absent
	root  *node
	moves atomic.Uint64 // moves with each rename: a path that was derived before it may be wrong
}

type negative struct {
	dir  *node
	name string
}

// maxNegative bounds the table of absent names; when it is full the kernel is told not to remember more.
const maxNegative = 8192

func newTable() *table {
	root := &node{id: fuse.FUSE_ROOT_ID, ino: fuse.FUSE_ROOT_ID, lookups: 1, key: ident{typ: syscall.S_IFDIR}}
	return &table{
		byID: map[uint64]*node{root.id: root}, byKey: map[ident]*node{}, shown: map[*node]struct{}{},
		neg: map[negative]time.Time{}, next: fuse.FUSE_ROOT_ID, root: root,
	}
}

// place is where a node lies at one moment.
type place struct {
	node *node
	gate bool          // the gate answers, at path
	path datasite.Path // gate
	via  uint64
	prov virtual.Provider // the provider that answers, or through which the stored file is shown; nil at its own place
	top  *node            // prov's root
	rel  string           // below prov
	kind virtual.Kind     // of a provided node
	gen  uint64
}

// locate tells where node id lies. ESTALE if it has no name any more: the kernel then looks the name up anew, so that an open
// which races with a rename finds the new file instead of none.
func (t *table) locate(id uint64) (place, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	n := t.byID[id]
	if n == nil {
		return place{}, syscall.ESTALE
	}
	return t.where(n)
}

// where is locate for a node, with mu held.
func (t *table) where(n *node) (place, error) {
	w := place{node: n, gate: true, gen: n.gen}
	var names [32]string // from n upwards
	parts := names[:0]
	below := 0 // how many of them lie below the gate's base
	var base datasite.Path
	baseFound := false
	for c := n; c != t.root; c = c.parent {
		if c.parent == nil {
			return w, syscall.ESTALE
		}
		if f := c.face; f != nil {
			if !baseFound {
				if f.kind == virtual.Stored {
					base, w.via = f.path, c.id
				} else {
					w.gate, w.kind = false, f.kind
				}
				baseFound, below = true, len(parts)
			}
			if w.prov = f.prov; f.top {
				w.top, w.rel = c, joinUp(parts)
				break
			}
		}
		parts = append(parts, c.name)
	}
	if !w.gate {
		return w, nil
	}
	if !baseFound {
		if len(parts) == 0 {
			return w, nil
		}
		base, below = datasite.Path{Owner: perm.User(parts[len(parts)-1])}, len(parts)-1
	}
	w.path = base
	if rel := joinUp(parts[:below]); base.Rel == "" {
		w.path.Rel = rel
	} else if rel != "" {
		w.path.Rel = base.Rel + "/" + rel
	}
	return w, nil
}

func joinUp(parts []string) string {
	switch len(parts) {
	case 0:
		return ""
	case 1:
		return parts[0]
	}
	var b strings.Builder
	for i := len(parts) - 1; i >= 0; i-- {
		b.WriteString(parts[i])
		if i > 0 {
			b.WriteByte('/')
		}
	}
	return b.String()
}

// child is where name in the folder w lies; for the gate, with the errors of datasite.Path.Child.
func (w place) child(name string) (place, error) {
	c := place{gate: w.gate, via: w.via, prov: w.prov, top: w.top, rel: name}
	if w.rel != "" {
		c.rel = w.rel + "/" + name
	}
	if !w.gate {
		return c, nil
	}
	var err error
	c.path, err = w.path.Child(name)
	return c, err
}

// shownAs is the path of a node as it is seen in the mount, for messages.
func (t *table) shownAs(id uint64, name string) string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var parts []string
	if name != "" {
		parts = append(parts, name)
	}
	for c := t.byID[id]; c != nil && c != t.root; c = c.parent {
		parts = append(parts, c.name)
	}
	return joinUp(parts)
}

// enter gives the node for what was found under name in the folder dir, with one more lookup counted. ok is false if the
// folder changed since gen was taken, so that what was found may be stale: nothing is counted then, unless force.
func (t *table) enter(dir *node, gen uint64, name string, key ident, f *face, force bool) (n *node, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !force && dir.gen != gen {
		return nil, false
	}
	old := dir.kids[name]
	if old != nil && sameThing(old, key, f) {
		if f != nil {
			old.face = f // the provider may be another one of the same meaning
		}
		old.lookups++
		return old, true
	}
	if f == nil && !key.linked {
		n = t.byKey[key]
	}
	if n != nil && (n == t.root || n == dir || t.isAbove(n, dir)) {
		n = nil // a folder cannot lie in itself: what was found is older than a rename
	}
	var left []*node // folders that lost an entry; dropped last, because dir may be one of them
	if old != nil {
		left = append(left, t.cut(old), old)
	}
	if n != nil { // renamed by somebody else
		left = append(left, t.cut(n))
	} else {
		t.next++
		n = &node{id: t.next, key: key, face: f}
		t.byID[n.id] = n
		if n.ino = key.ino; f != nil || key.via != 0 {
			n.ino = ownIno | n.id
		}
		if f != nil && f.kind == virtual.Stored {
			t.shown[n] = struct{}{}
		}
	}
	if f == nil && !key.linked {
		t.byKey[key] = n
	}
	t.attach(n, dir, name)
	n.lookups++
	for _, l := range left {
		t.drop(l)
	}
	return n, true
}

// aside reports whether n is shown by a provider, itself or through a folder above it.
func (n *node) aside() bool { return n.ino&ownIno != 0 }

func sameThing(n *node, key ident, f *face) bool {
	if (n.face == nil) != (f == nil) {
		return false
	}
	if f != nil {
		return n.face.same(f) && n.key.typ == key.typ
	}
	return n.key.dev == key.dev && n.key.ino == key.ino && n.key.typ == key.typ && n.key.via == key.via
}

func (t *table) isAbove(n, below *node) bool {
	for c := below; c != nil; c = c.parent {
		if c == n {
			return true
		}
	}
	return false
}

func (t *table) attach(n, dir *node, name string) {
	n.parent, n.name = dir, name
	if dir.kids == nil {
		dir.kids = map[string]*node{}
	}
	dir.kids[name] = n
	delete(t.neg, negative{dir, name})
}

// cut takes away the name of n and gives the folder that it lay in. What is open goes on working through its handles.
func (t *table) cut(n *node) *node {
	p := n.parent
	if p != nil && p.kids[n.name] == n {
		delete(p.kids, n.name)
	}
	n.parent, n.name = nil, ""
	return p
}

// drop forgets n and every ancestor that nobody needs any more.
func (t *table) drop(n *node) {
	for n != nil && t.byID[n.id] == n && n != t.root && n.lookups == 0 && len(n.kids) == 0 && n.open == nil {
		delete(t.byID, n.id)
		if t.byKey[n.key] == n {
			delete(t.byKey, n.key)
		}
		delete(t.shown, n)
		n = t.cut(n)
	}
}

func (t *table) forget(id, count uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.byID[id]
	if n == nil || n == t.root {
		return
	}
	n.lookups -= min(count, n.lookups)
	t.drop(n)
}

// removed takes note that name is gone from the folder dir.
func (t *table) removed(dir *node, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	dir.gen++
	if n := dir.kids[name]; n != nil {
		t.cut(n)
		t.drop(n)
		t.drop(dir)
	}
}

// rename is a rename that is about to be done: what the two names are, because a lookup may see the new state before
// renamed is called.
type rename struct {
	from, to         *node
	oldName, newName string
	a, b             *node // at the old name and at the new one; nil if the kernel does not know it
}

func (t *table) moving(from *node, oldName string, to *node, newName string) rename {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return rename{from, to, oldName, newName, from.kids[oldName], to.kids[newName]}
}

// renamed takes note of a rename that was done; with exchange both names go on existing. linked: one of them is a hard link.
func (t *table) renamed(r rename, exchange bool) (linked bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.moves.Add(1)
	r.from.gen++
	r.to.gen++
	if r.a == r.b {
		return false
	}
	for _, n := range []*node{r.a, r.b} {
		linked = linked || n != nil && n.key.linked
	}
	left := []*node{r.from, r.to, r.a, r.b}
	// What still stands at the new name and was not moved there by a lookup meanwhile is gone, or goes to the old name.
	if r.b != nil && r.b.parent == r.to && r.b.name == r.newName {
		t.cut(r.b)
		if exchange {
			if n := r.from.kids[r.oldName]; n != nil && n != r.a {
				left = append(left, n)
				t.cut(n)
			} else if n != nil {
				left = append(left, t.cut(n))
			}
			t.attach(r.b, r.from, r.oldName)
		}
	}
	if r.a != nil {
		if n := r.to.kids[r.newName]; n != nil && n != r.a {
			left = append(left, n)
			t.cut(n)
		}
		left = append(left, t.cut(r.a))
		t.attach(r.a, r.to, r.newName)
	}
	for _, n := range left {
		t.drop(n)
	}
	return linked
}

// absent reports whether the kernel may remember that name is not in the folder dir, and takes note of it if so.
func (t *table) absent(dir *node, gen uint64, name string, until, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if dir.gen != gen {
		return false
	}
	if len(t.neg) >= maxNegative {
		for k, at := range t.neg {
			if at.Before(now) {
				delete(t.neg, k)
			}
		}
		if len(t.neg) >= maxNegative {
			return false
		}
	}
	t.neg[negative{dir, name}] = until
	return true
}
