package fusetree

import (
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/virtual"
	"golang.org/x/sys/unix"
)

// listing is an open folder: what lay in it when it was last read from the start. Whoever reads it in pieces sees one state.
type listing struct {
	attr fuse.Attr // when it was opened; what a folder that is gone still tells

	mu    sync.Mutex
	items []item // guarded by mu; nil until it is read
	gen   uint64 // guarded by mu; of the folder, when it was read
	turn  uint64 // guarded by mu; of the rights, when it was read
}

type item struct {
	name   string // "" is not shown
	stored bool   // below the gate, and e tells about it
	e      datasite.Entry
	typ    uint32
}

// OpenDir asks whether the folder is there for this view. What is in it is asked for when it is read.
func (s *server) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	var a fuse.AttrOut
	err := s.nodeAttr(in.NodeId, &a)
	if err == nil && a.Mode&unix.S_IFMT != unix.S_IFDIR {
		err = syscall.ENOTDIR
	}
	var n *node
	if err == nil {
		n = s.nodes.byNumber(in.NodeId)
		if n == nil {
			err = syscall.ESTALE
		}
	}
	if err != nil {
		return s.status("opendir", in.NodeId, "", err)
	}
	h := &handle{node: n, dir: &listing{attr: a.Attr}}
	s.nodes.opened(h)
	out.Fh = s.handles.add(h)
	return fuse.OK
}

func (t *table) byNumber(id uint64) *node {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byID[id]
}

// ReleaseDir is the end of an open folder.
func (s *server) ReleaseDir(in *fuse.ReleaseIn) {
	if h := s.handles.remove(in.Fh); h != nil {
		s.nodes.closed(h)
	}
}

// ReadDir gives names with their kinds.
func (s *server) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return s.status("readdir", in.NodeId, "", s.readDir(in, out, false))
}

// ReadDirPlus gives names and looks each of them up.
func (s *server) ReadDirPlus(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return s.status("readdir", in.NodeId, "", s.readDir(in, out, true))
}

func (s *server) readDir(in *fuse.ReadIn, out *fuse.DirEntryList, plus bool) error {
	h := s.handles.get(in.Fh)
	if h == nil || h.dir == nil {
		return syscall.EBADF
	}
	l := h.dir
	l.mu.Lock() // one reader at a time; what it waits for is the gate, never the kernel
	defer l.mu.Unlock()
	turn := s.turns.Load() // before the list is made: a change in between makes the next piece ask again
	if start := in.Offset == 0 || l.items == nil; start || l.turn != turn {
		if err := s.relist(in.NodeId, l, start); err != nil {
			l.items = nil
			return err
		}
		l.turn = turn
	}
	const dots = 2
	for i := int(min(in.Offset, uint64(len(l.items)+dots))); i < len(l.items)+dots; i++ {
		e := fuse.DirEntry{Off: uint64(i) + 1, Mode: unix.S_IFDIR}
		var it item
		switch i {
		case 0:
			e.Name, e.Ino = ".", h.node.ino
		case 1:
			e.Name, e.Ino = "..", s.nodes.parentIno(h.node)
		default:
			if it = l.items[i-dots]; it.name == "" {
				continue
			}
			e.Name, e.Mode, e.Ino = it.name, it.typ, s.itemIno(h.node, it)
		}
		if !plus {
			if !out.AddDirEntry(e) {
				return nil
			}
			continue
		}
		o := out.AddDirLookupEntry(e)
		if o == nil {
			return nil
		}
		if i >= dots {
			s.addLookup(in.NodeId, l, it, o, out)
		}
	}
	return nil
}

// relist reads a folder into its listing. Unless it is read from the start, what was listed keeps its place, and what does not
// exist any more for whoever reads it loses its name.
func (s *server) relist(id uint64, l *listing, start bool) error {
	return s.at(id, func(w place) error {
		now, err := s.list(w)
		if err != nil {
			return err
		}
		if start {
			l.items, l.gen = now, w.gen
			return nil
		}
		left := make(map[string]struct{}, len(now))
		for _, it := range now {
			left[it.name] = struct{}{}
		}
		for i := range l.items {
			if _, ok := left[l.items[i].name]; !ok {
				l.items[i] = item{}
			}
		}
		return nil
	}, nil)
}

// addLookup looks an entry of a listing up while it is read. If that fails the entry stands there without it, and whoever
// uses the name asks.
func (s *server) addLookup(id uint64, l *listing, it item, o *fuse.EntryOut, out *fuse.DirEntryList) {
	w, err := s.nodes.locate(id)
	switch {
	case err != nil:
		return
	case it.stored && w.gate && w.gen == l.gen:
		if stale := s.enterStored(w, it.name, it.e, false, o); !stale {
			return
		}
	}
	if _, _, err := s.look(id, it.name, o); err != nil {
		*o = fuse.EntryOut{}
		return
	}
	out.FixMode(o.Mode)
}

func (t *table) parentIno(n *node) uint64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if n.parent == nil {
		return n.ino
	}
	return n.parent.ino
}

// itemIno is the inode number of an entry that need not have been looked up; 0 if only a lookup would give it one.
func (s *server) itemIno(dir *node, it item) uint64 {
	if it.stored && !dir.aside() {
		return it.e.Stamp.Ino
	}
	s.nodes.mu.RLock()
	defer s.nodes.mu.RUnlock()
	if n := dir.kids[it.name]; n != nil {
		return n.ino
	}
	return 0
}

// list reads a folder: what the gate shows, and the names of providers over it.
func (s *server) list(w place) ([]item, error) {
	if !w.gate {
		if w.kind != virtual.Dir {
			return nil, syscall.ENOTDIR
		}
		all, err := w.prov.List(s.ctx, w.rel)
		if err != nil {
			return nil, err
		}
		out := make([]item, 0, len(all))
		for _, e := range all {
			out = append(out, s.virtualItem(e))
		}
		return out, nil
	}
	stored, err := s.view.List(s.ctx, w.path)
	if err != nil {
		return nil, err
	}
	var over map[string]virtual.Provider
	if s.virtual != nil && w.prov == nil {
		over = s.virtual(w.path)
	}
	out := make([]item, 0, len(stored)+len(over))
	for _, e := range stored {
		if over[e.Name] == nil {
			out = append(out, item{name: e.Name, stored: true, e: e, typ: modeBits(e.Mode) & unix.S_IFMT})
		}
	}
	for name, prov := range over {
		if prov == nil {
			continue
		}
		e, err := prov.Lookup(s.ctx, "")
		if err != nil {
			continue // not there at the moment, or not for this view
		}
		e.Name = name
		out = append(out, s.virtualItem(e))
	}
	if len(over) > 0 {
		slices.SortFunc(out, func(a, b item) int { return strings.Compare(a.name, b.name) })
	}
	return out, nil
}

func (s *server) virtualItem(e virtual.Entry) item {
	it := item{name: e.Name, typ: virtualMode(e) & unix.S_IFMT}
	if e.Kind == virtual.Stored {
		if st, err := s.view.Stat(s.ctx, e.Path); err == nil {
			it.typ = modeBits(st.Mode) & unix.S_IFMT
		}
	}
	return it
}

// FsyncDir returns when the names in the folder, and everything queued, are durable. A provider's folder has no disk below.
func (s *server) FsyncDir(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	err := s.at(in.NodeId, func(w place) error {
		if !w.gate {
			return nil
		}
		return s.view.SyncDir(s.ctx, w.path)
	}, func(*handle) error { return nil }) // a folder without a name has none to keep
	return s.status("fsyncdir", in.NodeId, "", err)
}
