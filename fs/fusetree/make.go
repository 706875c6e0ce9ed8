package fusetree

import (
	"errors"
	iofs "io/fs"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/fs/virtual"
	"golang.org/x/sys/unix"
)

// target finds where name would lie in folder id, for an operation that makes, removes or renames it.
func (s *server) target(w place, name string) (place, error) {
	if s.readOnly {
		return w, syscall.EROFS
	}
	if err := badName(name); err != nil {
		return w, err
	}
	if w.gate && s.provider(w, name) != nil {
		return w, errTaken
	}
	c, err := w.child(name)
	if err != nil && w.node == s.nodes.root {
		return w, errTop
	}
	return c, err
}

// maker gives the provider of w as one that people may change.
func (w place) maker() (virtual.Maker, error) {
	if m, ok := w.prov.(virtual.Maker); ok {
		return m, nil
	}
	return nil, errFixed
}

// taken is EEXIST instead of errTaken, for an operation that makes something new.
func taken(err error) error {
	if errors.Is(err, errTaken) {
		return syscall.EEXIST
	}
	return err
}

// Mknod makes a regular file; nothing else can be made.
func (s *server) Mknod(_ <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	err := s.at(in.NodeId, func(w place) error {
		if t := in.Mode & unix.S_IFMT; t != unix.S_IFREG && t != 0 {
			return refuse(syscall.EPERM, "only regular files, folders and links can be made in a datasite")
		}
		c, err := s.target(w, name)
		if err != nil {
			return taken(err)
		}
		const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL
		if !c.gate {
			if _, err := c.maker(); err != nil {
				return err
			}
			h, err := c.prov.Open(s.ctx, c.rel, flags, permOf(in.Mode))
			if err != nil {
				return err
			}
			if err := errors.Join(h.Flush(s.ctx), h.Close()); err != nil {
				return err
			}
			return s.madeVirtual(w, c, name, out)
		}
		f, err := s.view.Open(s.ctx, c.path, flags, permOf(in.Mode))
		if err != nil {
			return err
		}
		e, err := f.Stat()
		if err := errors.Join(err, f.Flush(s.ctx), f.Close()); err != nil {
			return err
		}
		s.enterStored(w, name, e, true, out)
		s.touchedBelow(w, c.path)
		return nil
	}, nil)
	return s.status("mknod", in.NodeId, name, err)
}

func (s *server) madeVirtual(w, c place, name string, out *fuse.EntryOut) error {
	e, err := c.prov.Lookup(s.ctx, c.rel)
	if err != nil {
		return err
	}
	_, err = s.enterVirtual(w, name, c.prov, false, e, true, out)
	return err
}

// Mkdir makes a folder.
func (s *server) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	err := s.at(in.NodeId, func(w place) error {
		c, err := s.target(w, name)
		if err != nil {
			return taken(err)
		}
		placed, err := s.placed(in.Pid, guard.CallMkdir, c, "")
		if err != nil {
			return err
		}
		if !placed && !c.gate {
			m, err := c.maker()
			if err != nil {
				return err
			}
			if err := m.Mkdir(s.ctx, c.rel, permOf(in.Mode)); err != nil {
				return err
			}
			return s.madeVirtual(w, c, name, out)
		}
		var e datasite.Entry
		if placed {
			e, err = s.view.Stat(s.ctx, c.path)
		} else {
			e, err = s.view.Mkdir(s.ctx, c.path, permOf(in.Mode))
		}
		if err != nil {
			return err
		}
		s.enterStored(w, name, e, true, out)
		s.touchedBelow(w, c.path)
		return nil
	}, nil)
	return s.status("mkdir", in.NodeId, name, err)
}

// Symlink stores a link; providers take none.
func (s *server) Symlink(_ <-chan struct{}, in *fuse.InHeader, to, name string, out *fuse.EntryOut) fuse.Status {
	err := s.at(in.NodeId, func(w place) error {
		c, err := s.target(w, name)
		if err != nil {
			return taken(err)
		}
		if !c.gate {
			return refuse(syscall.EPERM, "links cannot be made here; copy the file instead")
		}
		e, err := s.view.Symlink(s.ctx, c.path, to)
		if err != nil {
			return err
		}
		s.enterStored(w, name, e, true, out)
		s.touchedBelow(w, c.path)
		return nil
	}, nil)
	return s.status("symlink", in.NodeId, name, err)
}

// Link is refused to everybody: one content would have two sets of rules.
func (s *server) Link(_ <-chan struct{}, in *fuse.LinkIn, name string, _ *fuse.EntryOut) fuse.Status {
	return s.status("link", in.NodeId, name, refuse(syscall.EPERM, "hard links are not offered: one content would have two sets of rules; copy the file instead"))
}

// Readlink gives the target of a link.
func (s *server) Readlink(_ <-chan struct{}, in *fuse.InHeader) ([]byte, fuse.Status) {
	var to string
	err := s.at(in.NodeId, func(w place) (err error) {
		if w.gate {
			to, err = s.view.Readlink(s.ctx, w.path)
			return vanished(err, syscall.EINVAL) // a file took the link's name
		}
		e, err := w.prov.Lookup(s.ctx, w.rel)
		if err == nil && e.Kind != virtual.Link {
			err = syscall.EINVAL
		}
		to = e.Target
		return err
	}, nil)
	return []byte(to), s.status("readlink", in.NodeId, "", s.again.once(in.Pid, err))
}

// Unlink removes a file or a link.
func (s *server) Unlink(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	return s.status("unlink", in.NodeId, name, s.remove(in, name, false))
}

// Rmdir removes an empty folder.
func (s *server) Rmdir(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	return s.status("rmdir", in.NodeId, name, s.remove(in, name, true))
}

func (s *server) remove(in *fuse.InHeader, name string, dir bool) error {
	call := guard.CallUnlink
	if dir {
		call = guard.CallRmdir
	}
	return s.at(in.NodeId, func(w place) error {
		c, err := s.target(w, name)
		if err != nil {
			return err
		}
		placed, err := s.placed(in.Pid, call, c, "")
		switch {
		case placed:
		case !c.gate:
			err = s.removeVirtual(c, dir)
		case dir:
			err = s.view.Rmdir(s.ctx, c.path)
		default:
			err = s.view.Remove(s.ctx, c.path)
		}
		if err != nil {
			return err
		}
		s.nodes.removed(w.node, name)
		if c.gate {
			s.touchedBelow(w, c.path)
		}
		return nil
	}, nil)
}

func (s *server) removeVirtual(c place, dir bool) error {
	m, err := c.maker()
	if err != nil {
		return err
	}
	e, err := c.prov.Lookup(s.ctx, c.rel)
	if err != nil {
		return err
	}
	mode := iofs.FileMode(0)
	switch e.Kind {
	case virtual.Dir:
		mode = iofs.ModeDir
	case virtual.Stored:
		st, err := s.view.Stat(s.ctx, e.Path)
		if err != nil {
			return err
		}
		mode = st.Mode
	}
	switch {
	case dir && !mode.IsDir():
		return syscall.ENOTDIR
	case !dir && mode.IsDir():
		return syscall.EISDIR
	}
	return m.Remove(s.ctx, c.rel)
}

// Rename moves within the stored tree, or within one provider. Between them it is EXDEV, so that tools copy.
func (s *server) Rename(_ <-chan struct{}, in *fuse.RenameIn, oldName, newName string) fuse.Status {
	return s.status("rename", in.NodeId, oldName, s.rename(in, oldName, newName))
}

func (s *server) rename(in *fuse.RenameIn, oldName, newName string) error {
	return s.at(in.NodeId, func(fromDir place) error {
		toDir, err := s.nodes.locate(in.Newdir)
		if err != nil {
			return err
		}
		from, err := s.target(fromDir, oldName)
		if err != nil {
			return err
		}
		to, err := s.target(toDir, newName)
		if errors.Is(err, errTaken) {
			return syscall.EXDEV
		}
		if err != nil {
			return err
		}
		moving := s.nodes.moving(fromDir.node, oldName, toDir.node, newName)
		placed, err := s.placed(in.Pid, guard.CallRename, to, oldName)
		switch {
		case placed:
		case from.top != to.top:
			return syscall.EXDEV
		case from.gate && to.gate && from.via == to.via:
			err = s.view.Rename(s.ctx, from.path, to.path, uint(in.Flags))
		default:
			err = s.renameVirtual(from, to, in.Flags)
		}
		if err != nil {
			return err
		}
		linked := s.nodes.renamed(moving, in.Flags&unix.RENAME_EXCHANGE != 0)
		for _, c := range []place{from, to} {
			// Two names of one file: the gate, as the kernel would, did nothing, but the kernel took them for two files.
			if c.gate && (c.via != 0 || linked) {
				s.notify.path(c.path)
			}
		}
		return nil
	}, nil)
}

func (s *server) renameVirtual(from, to place, flags uint32) error {
	m, err := from.maker()
	if err != nil {
		return err
	}
	switch flags {
	case 0:
	case unix.RENAME_NOREPLACE:
		_, err := from.prov.Lookup(s.ctx, to.rel)
		if err == nil {
			return syscall.EEXIST
		}
		if !errors.Is(err, iofs.ErrNotExist) {
			return err
		}
	default:
		return syscall.EINVAL
	}
	return m.Rename(s.ctx, from.rel, to.rel)
}
