package fusetree

import (
	"errors"
	iofs "io/fs"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/virtual"
	"golang.org/x/sys/unix"
)

// Lookup finds a name. It is never the gate for more than the name itself: what is hidden is not there.
func (s *server) Lookup(_ <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	if s.lookHidden(in, name, out) {
		return fuse.OK
	}
	gen, dir, err := s.look(in.NodeId, name, out)
	if err == nil {
		return fuse.OK
	}
	if dir != nil && s.caches && errors.Is(err, iofs.ErrNotExist) {
		now := time.Now()
		if s.nodes.absent(dir, gen, name, now.Add(s.keep), now) {
			*out = fuse.EntryOut{}
			out.SetEntryTimeout(s.keep)
			return fuse.OK
		}
	}
	return s.status("lookup", in.NodeId, name, err)
}

// look finds name in folder id and counts one more lookup of it. dir is not nil if the kernel may remember that the name is
// absent from it, as of gen.
func (s *server) look(id uint64, name string, out *fuse.EntryOut) (gen uint64, dir *node, err error) {
	for try := 0; ; try++ {
		moves := s.nodes.moves.Load()
		w, lerr := s.nodes.locate(id)
		if lerr != nil {
			return 0, nil, lerr
		}
		stale := false
		dir = nil
		if w.gate {
			gen, dir = w.gen, w.node
			if w.prov != nil {
				dir = nil
			}
		}
		stale, err = s.find(w, name, try >= 3, out)
		if stale || err != nil && errors.Is(err, iofs.ErrNotExist) && try < 3 && s.nodes.moves.Load() != moves {
			continue
		}
		return gen, dir, err
	}
}

// find is one try of look. stale: the folder changed meanwhile, so that what was found may not be true any more.
func (s *server) find(w place, name string, force bool, out *fuse.EntryOut) (stale bool, err error) {
	if !w.gate {
		c, _ := w.child(name)
		e, err := w.prov.Lookup(s.ctx, c.rel)
		if err != nil {
			return false, err
		}
		return s.enterVirtual(w, name, w.prov, false, e, force, out)
	}
	if prov := s.provider(w, name); prov != nil {
		e, err := prov.Lookup(s.ctx, "")
		if err != nil {
			return false, err
		}
		return s.enterVirtual(w, name, prov, true, e, force, out)
	}
	c, err := w.child(name)
	if err != nil {
		if len(name) > 255 {
			return false, syscall.ENAMETOOLONG
		}
		return false, syscall.ENOENT // no such name can be stored
	}
	e, err := s.view.Stat(s.ctx, c.path)
	if err != nil {
		return false, err
	}
	return s.enterStored(w, name, e, force, out), nil
}

// provider gives the provider under name in the stored folder w, or in the root; nil if the name is stored. What a provider
// shows of the tree holds none.
func (s *server) provider(w place, name string) virtual.Provider {
	if s.virtual == nil || w.prov != nil || !utf8.ValidString(name) {
		return nil
	}
	return s.virtual(w.path)[name]
}

// enterStored gives the kernel a stored thing. With force a folder that changed meanwhile only costs the time-outs.
func (s *server) enterStored(w place, name string, e datasite.Entry, force bool, out *fuse.EntryOut) (stale bool) {
	key := ident{dev: e.Stamp.Dev, ino: e.Stamp.Ino, typ: modeBits(e.Mode) & unix.S_IFMT, via: w.via}
	key.linked = key.typ == unix.S_IFREG && e.Links > 1
	n, ok := s.nodes.enter(w.node, w.gen, name, key, nil, false)
	if !ok && !force {
		return true
	}
	*out = fuse.EntryOut{}
	if !ok {
		n, _ = s.nodes.enter(w.node, w.gen, name, key, nil, true)
	} else if s.caches && w.prov == nil {
		out.SetEntryTimeout(s.keep)
		out.SetAttrTimeout(s.keep)
	}
	out.NodeId, out.Generation = n.id, 1
	s.storedAttr(n, e, &out.Attr)
	return false
}

func (s *server) enterVirtual(w place, name string, prov virtual.Provider, top bool, e virtual.Entry, force bool, out *fuse.EntryOut) (stale bool, err error) {
	f := &face{prov: prov, top: top, kind: e.Kind, target: e.Target, path: e.Path}
	key := ident{typ: virtualMode(e) & unix.S_IFMT}
	var st datasite.Entry
	if e.Kind == virtual.Stored {
		if st, err = s.view.Stat(s.ctx, e.Path); err != nil {
			return false, err
		}
		key.typ = modeBits(st.Mode) & unix.S_IFMT
	}
	n, ok := s.nodes.enter(w.node, w.gen, name, key, f, force)
	if !ok {
		return true, nil
	}
	*out = fuse.EntryOut{NodeId: n.id, Generation: 1}
	if e.Kind == virtual.Stored {
		s.storedAttr(n, st, &out.Attr)
	} else {
		s.virtualAttr(n, e, &out.Attr)
	}
	return false, nil
}

// Forget takes back lookups that the kernel was given.
func (s *server) Forget(id, count uint64) { s.nodes.forget(id, count) }
