package journal

import (
	"strings"

	"github.com/openmined/syftfs/fs/datasite"
)

// overlay is what queued changes say about known, as a tree of path segments over the stored state: a lookup either
// finds the answer or the path under which the stored state has it. It is not safe for concurrent use.
type overlay struct {
	root  node
	empty bool
}

// node is one path segment that a queued change touched.
type node struct {
	kids  map[string]*node
	set   bool // known holds for exactly this path
	known datasite.Known
	base  base
	from  string // moved: the key below which the stored state is
}

type base uint8

const (
	inherit base = iota // what is stored below the parent, under this name
	moved               // what is stored below from
	cut                 // nothing that is stored
)

func newOverlay() *overlay { return &overlay{empty: true} }

// find looks up a key. If it is not answered, the stored state has it under the key stored.
func (o *overlay) find(key string) (k datasite.Known, answered bool, stored string) {
	if o.empty {
		return datasite.Known{}, false, key
	}
	n, alive, stored := o.walk(key)
	switch {
	case n != nil && n.set:
		return n.known, true, ""
	case !alive:
		return datasite.Known{}, true, ""
	}
	return datasite.Known{}, false, stored
}

// walk gives the node of key, nil if there is none, and where the stored state has it, if anywhere.
func (o *overlay) walk(key string) (n *node, alive bool, stored string) {
	n, alive = &o.root, true
	prefix, off := "", 0 // what is stored is below prefix + key[off:]
	for end := 0; n != nil && end < len(key); {
		start := end
		if start > 0 {
			start++ // the slash
		}
		end = len(key)
		if i := strings.IndexByte(key[start:], '/'); i >= 0 {
			end = start + i
		}
		n = n.kids[key[start:end]]
		if n != nil && n.base != inherit {
			alive, prefix, off = n.base == moved, n.from, end
		}
	}
	if !alive {
		return n, false, ""
	}
	if off == 0 {
		return n, true, key
	}
	return n, true, prefix + key[off:]
}

// at gives the node of key, made if it is missing.
func (o *overlay) at(key string) *node {
	n := &o.root
	for seg := range strings.SplitSeq(key, "/") {
		kid := n.kids[seg]
		if kid == nil {
			kid = &node{}
			if n.kids == nil {
				n.kids = map[string]*node{}
			}
			n.kids[seg] = kid
		}
		n = kid
	}
	return n
}

// apply does to the overlay what remember does to the stored state.
func (o *overlay) apply(c datasite.Change) {
	o.empty = false
	key := c.Path.String()
	switch c.Op {
	case datasite.OpWrite:
		n := o.at(key)
		n.set, n.known = true, c.After
		return
	case datasite.OpRemove, datasite.OpPlace, datasite.OpSubmit:
		*o.at(key) = node{base: cut}
	case datasite.OpRename:
		from := c.From.String()
		_, alive, stored := o.walk(from)
		n := o.at(from)
		tree := *n
		if tree.base == inherit {
			tree.base = cut
			if alive {
				tree.base, tree.from = moved, stored
			}
		}
		*n = node{base: cut}
		*o.at(key) = tree
	}
	if c.After != (datasite.Known{}) {
		n := o.at(key)
		n.set, n.known = true, c.After
	}
}
