package fusetree

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/fs/virtual"
)

// handle is one open file or folder. Exactly one of file, text and dir is set.
type handle struct {
	id     uint64
	node   *node
	file   *guard.File
	text   virtual.Handle
	dir    *listing
	reads  bool
	writes bool
	wrote  atomic.Bool // since its last flush

	stand *stand // carries the locks of a text; set under standIns.mu and never changed

	prev, next *handle // the other handles of node; guarded by table.mu
}

// handles is the table of what is open. Its mu is never held across a call to anything else.
type handles struct {
	mu   sync.RWMutex
	all  []*handle // guarded by mu; index is the number that the kernel knows, 0 is never used
	free []uint64  // guarded by mu
}

func newHandles() *handles { return &handles{all: make([]*handle, 1, 64)} }

func (t *handles) add(h *handle) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.free); n > 0 {
		h.id = t.free[n-1]
		t.free = t.free[:n-1]
		t.all[h.id] = h
		return h.id
	}
	h.id = uint64(len(t.all))
	t.all = append(t.all, h)
	return h.id
}

func (t *handles) get(id uint64) *handle {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if id == 0 || id >= uint64(len(t.all)) {
		return nil
	}
	return t.all[id]
}

func (t *handles) remove(id uint64) *handle {
	t.mu.Lock()
	defer t.mu.Unlock()
	if id == 0 || id >= uint64(len(t.all)) || t.all[id] == nil {
		return nil
	}
	h := t.all[id]
	t.all[id] = nil
	t.free = append(t.free, id)
	return h
}

// rest takes out everything that is still open: what a connection that broke never released.
func (t *handles) rest() []*handle {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []*handle
	for i, h := range t.all {
		if h != nil {
			out = append(out, h)
			t.all[i] = nil
		}
	}
	return out
}

// opened ties h to its node, so that a file without a name can still be asked about.
func (t *table) opened(h *handle) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h.next = h.node.open; h.next != nil {
		h.next.prev = h
	}
	h.node.open = h
}

func (t *table) closed(h *handle) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h.prev != nil {
		h.prev.next = h.next
	} else {
		h.node.open = h.next
	}
	if h.next != nil {
		h.next.prev = h.prev
	}
	h.prev, h.next = nil, nil
	t.drop(h.node)
}

// openOf gives one of the open handles of node id; nil if there is none.
func (t *table) openOf(id uint64) *handle {
	t.mu.RLock()
	defer t.mu.RUnlock()
	n := t.byID[id]
	if n == nil {
		return nil
	}
	best := n.open
	for h := n.open; h != nil; h = h.next {
		if h.writes { // the one that may do most
			best = h
		}
	}
	return best
}

// close is the end of a handle, whether the kernel released it or went away.
func (s *server) close(h *handle) error {
	s.nodes.closed(h)
	switch {
	case h.file != nil:
		if h.writes {
			s.remember(h)
		}
		return h.file.Close()
	case h.text != nil:
		return errors.Join(s.stands.close(h), h.text.Close())
	}
	return nil
}

func (h *handle) flush(ctx context.Context) error {
	switch {
	case h.file != nil:
		return h.file.Flush(ctx)
	case h.text != nil:
		return h.text.Flush(ctx)
	}
	return nil
}

// remember takes note that the kernel's pages agree with the file as it is now: it was written through us.
func (s *server) remember(h *handle) {
	if !s.caches || !h.wrote.Swap(false) {
		return
	}
	e, err := h.file.Stat()
	if err != nil {
		return
	}
	s.nodes.mu.Lock()
	h.node.seen = seenOf(e.Stamp)
	s.nodes.mu.Unlock()
}

// agree reports whether the file is as the kernel's pages have it, and takes note of how it is.
func (t *table) agree(n *node, now seen) (same, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	known = n.seen != seen{}
	same = n.seen == now
	n.seen = now
	return same, known
}
