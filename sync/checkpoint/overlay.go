package checkpoint

import (
	"path"
	"slices"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/sync/wire"
)

// overlay is what a sequence of changes comes to: one item a path, the last, in the order of the last changes.
type overlay struct {
	items []wire.Item
	place map[datasite.Path]int // in items
	holes int                   // items that are gone: without a path
	below map[datasite.Path]int // how many files that are written lie below a folder
}

func newOverlay() *overlay {
	return &overlay{place: map[datasite.Path]int{}, below: map[datasite.Path]int{}}
}

func (o *overlay) len() int { return len(o.place) }

func (o *overlay) clone() *overlay {
	c := newOverlay()
	for _, it := range o.list() {
		c.put(it)
	}
	return c
}

// list gives the items in their order; it must not be changed.
func (o *overlay) list() []wire.Item {
	if o.holes > 0 {
		o.items = slices.DeleteFunc(o.items, func(it wire.Item) bool { return it.Path == datasite.Path{} })
		o.holes = 0
		for i, it := range o.items {
			o.place[it.Path] = i
		}
	}
	return o.items
}

// put adds a change. Where a file takes the place of a folder, or the other way round, what it displaces is removed, whether a change said
// so or not: a reader must be able to do all in order.
func (o *overlay) put(it wire.Item) {
	if it.Op == datasite.OpWrite {
		for dir := parent(it.Path); dir.Rel != ""; dir = parent(dir) {
			o.displace(dir)
		}
		if o.below[it.Path] > 0 {
			for _, at := range o.place {
				if p := o.items[at].Path; p != it.Path && p.Under(it.Path) {
					o.displace(p)
				}
			}
		}
	}
	if at, ok := o.place[it.Path]; ok {
		o.count(o.items[at], -1)
		o.items[at] = wire.Item{}
		o.holes++
	}
	o.place[it.Path] = len(o.items)
	o.items = append(o.items, it)
	o.count(it, 1)
	if o.holes > len(o.place)+64 {
		o.list()
	}
}

// displace makes a written file a removed one, where it stands.
func (o *overlay) displace(p datasite.Path) {
	at, ok := o.place[p]
	if !ok || o.items[at].Op != datasite.OpWrite {
		return
	}
	o.count(o.items[at], -1)
	it := &o.items[at]
	it.Op, it.After, it.Content = datasite.OpRemove, datasite.Hash{}, nil
}

func (o *overlay) count(it wire.Item, n int) {
	if it.Op != datasite.OpWrite {
		return
	}
	for dir := parent(it.Path); dir.Rel != ""; dir = parent(dir) {
		o.below[dir] += n
	}
}

// parent is the folder of p, with an empty Rel at the top.
func parent(p datasite.Path) datasite.Path {
	if p.Rel = path.Dir(p.Rel); p.Rel == "." {
		p.Rel = ""
	}
	return p
}
