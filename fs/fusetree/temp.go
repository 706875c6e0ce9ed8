package fusetree

import (
	"errors"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Tmpfile opens a file without a name in a folder (O_TMPFILE). Link refuses to give it one. It is never answered with
// ENOSYS, which the kernel would remember for the whole mount.
func (s *server) Tmpfile(_ <-chan struct{}, in *fuse.CreateIn, out *fuse.CreateOut) fuse.Status {
	flags := int(in.Flags) & (unix.O_ACCMODE | unix.O_APPEND)
	err := s.at(in.NodeId, func(w place) error {
		if s.readOnly {
			return syscall.EROFS
		}
		if !w.gate {
			return syscall.EOPNOTSUPP // programs then make a file with a name
		}
		f, err := s.view.OpenTemp(s.ctx, w.path, flags, permOf(in.Mode))
		if err != nil {
			return err
		}
		e, err := f.Stat()
		if err != nil {
			return errors.Join(err, f.Close())
		}
		n := s.nodes.unnamed(ident{dev: e.Stamp.Dev, ino: e.Stamp.Ino, typ: modeBits(e.Mode) & unix.S_IFMT})
		out.EntryOut = fuse.EntryOut{NodeId: n.id, Generation: 1}
		s.storedAttr(n, e, &out.Attr)
		out.OpenFlags = s.register(n, f, flags, &out.OpenOut)
		return nil
	}, nil)
	return s.status("tmpfile", in.NodeId, "", err)
}

// unnamed gives a new node that lies nowhere, with one lookup counted: as one whose name was removed it is asked through its
// open handle. No lookup finds it by what it is: when it is gone its number may be another file's, before the kernel
// has forgotten it.
func (t *table) unnamed(key ident) *node {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next++
	n := &node{id: t.next, key: key, ino: key.ino, lookups: 1}
	t.byID[n.id] = n
	return n
}
