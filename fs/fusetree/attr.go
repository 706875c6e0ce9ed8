package fusetree

import (
	iofs "io/fs"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/fs/virtual"
	"golang.org/x/sys/unix"
)

const blockSize = 4096

// modeBits are the st_mode bits of m.
func modeBits(m iofs.FileMode) uint32 {
	out := uint32(m.Perm())
	switch {
	case m&iofs.ModeDir != 0:
		out |= unix.S_IFDIR
	case m&iofs.ModeSymlink != 0:
		out |= unix.S_IFLNK
	case m&iofs.ModeNamedPipe != 0:
		out |= unix.S_IFIFO
	case m&iofs.ModeSocket != 0:
		out |= unix.S_IFSOCK
	case m&iofs.ModeCharDevice != 0:
		out |= unix.S_IFCHR
	case m&iofs.ModeDevice != 0:
		out |= unix.S_IFBLK
	default:
		out |= unix.S_IFREG
	}
	if m&iofs.ModeSetuid != 0 {
		out |= unix.S_ISUID
	}
	if m&iofs.ModeSetgid != 0 {
		out |= unix.S_ISGID
	}
	if m&iofs.ModeSticky != 0 {
		out |= unix.S_ISVTX
	}
	return out
}

// permOf is what of st_mode a file is made with.
func permOf(mode uint32) iofs.FileMode {
	out := iofs.FileMode(mode & 0o777)
	if mode&unix.S_ISUID != 0 {
		out |= iofs.ModeSetuid
	}
	if mode&unix.S_ISGID != 0 {
		out |= iofs.ModeSetgid
	}
	if mode&unix.S_ISVTX != 0 {
		out |= iofs.ModeSticky
	}
	return out
}

func (s *server) storedAttr(n *node, e datasite.Entry, a *fuse.Attr) {
	*a = fuse.Attr{
		Ino: n.ino, Size: uint64(e.Stamp.Size), Blocks: uint64(e.Blocks), Mode: modeBits(e.Mode),
		Nlink: e.Links, Owner: fuse.Owner{Uid: s.uid, Gid: s.gid}, Blksize: blockSize,
	}
	at, mt, ct := e.ATime, e.Stamp.MTime, e.Stamp.CTime
	a.SetTimes(&at, &mt, &ct)
}

func (s *server) virtualAttr(n *node, e virtual.Entry, a *fuse.Attr) {
	*a = fuse.Attr{
		Ino: n.ino, Mode: virtualMode(e), Nlink: 1, Owner: fuse.Owner{Uid: s.uid, Gid: s.gid}, Blksize: blockSize,
	}
	switch e.Kind {
	case virtual.Dir:
		a.Nlink = 2
	case virtual.Link:
		a.Size = uint64(len(e.Target))
	default:
		a.Size = uint64(max(e.Size, 0))
		a.Blocks = (a.Size + 511) / 512
	}
	t := e.MTime
	if t.IsZero() {
		t = s.started
	}
	a.SetTimes(&t, &t, &t)
}

func virtualMode(e virtual.Entry) uint32 {
	switch e.Kind {
	case virtual.Dir:
		return unix.S_IFDIR | uint32(e.Mode.Perm())
	case virtual.Link:
		return unix.S_IFLNK | 0o777
	}
	return unix.S_IFREG | uint32(e.Mode.Perm())
}

// rootAttr is the folder that holds the datasites: nobody makes anything in it.
func (s *server) rootAttr(a *fuse.Attr) {
	*a = fuse.Attr{Ino: fuse.FUSE_ROOT_ID, Mode: unix.S_IFDIR | 0o555, Nlink: 2, Owner: fuse.Owner{Uid: s.uid, Gid: s.gid}, Blksize: blockSize}
	t := s.started
	a.SetTimes(&t, &t, &t)
}

// GetAttr answers stat(2), and the question that the kernel asks before a read from its cache. In a view that is not the
// owner's the second is where a lost right is noticed, so the handle is asked, not the name.
func (s *server) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	var err error
	if in.Flags()&fuse.FUSE_GETATTR_FH != 0 {
		h := s.handles.get(in.Fh())
		if h == nil {
			return fuse.EBADF
		}
		err = s.handleAttr(h, true, out)
	} else {
		err = s.nodeAttr(in.NodeId, out)
	}
	return s.status("getattr", in.NodeId, "", s.again.once(in.Pid, err))
}

func (s *server) nodeAttr(id uint64, out *fuse.AttrOut) error {
	return s.at(id, func(w place) error {
		switch {
		case w.node == s.nodes.root:
			s.rootAttr(&out.Attr)
			out.SetTimeout(s.attrTime(w))
			return nil
		case w.gate:
			e, err := s.view.Stat(s.ctx, w.path)
			if err == nil {
				err = w.node.still(e)
			}
			if err != nil {
				return vanished(err)
			}
			s.storedAttr(w.node, e, &out.Attr)
			out.SetTimeout(s.attrTime(w))
			return nil
		}
		e, err := w.prov.Lookup(s.ctx, w.rel)
		if err != nil {
			return err
		}
		s.virtualAttr(w.node, e, &out.Attr)
		return nil
	}, func(h *handle) error { return s.handleAttr(h, false, out) })
}

// handleAttr answers from an open file. With check a right that is gone is an error, and the kernel's pages are dropped.
func (s *server) handleAttr(h *handle, check bool, out *fuse.AttrOut) error {
	switch {
	case h.file != nil:
		if check && !s.caches && h.reads {
			if _, err := h.file.ReadAt(nil, 0); err != nil {
				return err // the gate has told our kernel to drop what it holds of the file
			}
		}
		e, err := h.file.Stat()
		if err != nil {
			return err
		}
		s.storedAttr(h.node, e, &out.Attr)
		if s.caches && !h.node.aside() {
			out.SetTimeout(s.keep)
		}
		return nil
	case h.text != nil:
		e, err := h.text.Stat()
		if err != nil {
			return err
		}
		s.virtualAttr(h.node, e, &out.Attr)
		return nil
	case h.dir != nil && h.dir.attr.Mode != 0:
		out.Attr = h.dir.attr
		out.Attr.Nlink = 0
		return nil
	}
	return syscall.ENOENT
}

// attrTime is how long the kernel may believe what it was told about w.
func (s *server) attrTime(w place) time.Duration {
	if s.caches && w.prov == nil {
		return s.keep
	}
	return 0
}

// SetAttr is chmod, chown, truncate, utimens, each or together.
func (s *server) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	var h *handle
	if fh, ok := in.GetFh(); ok {
		if h = s.handles.get(fh); h == nil {
			return fuse.EBADF
		}
	}
	err := s.setAttr(in, h, out)
	return s.status("setattr", in.NodeId, "", err)
}

func (s *server) setAttr(in *fuse.SetAttrIn, h *handle, out *fuse.AttrOut) error {
	if s.readOnly {
		return syscall.EROFS
	}
	uid, uok := in.GetUID()
	gid, gok := in.GetGID()
	if uok && uid != s.uid || gok && gid != s.gid {
		return refuse(syscall.EPERM, "files in a datasite belong to whoever runs it; rights are given by the permission files")
	}
	var a guard.Attr
	any := false
	if m, ok := in.GetMode(); ok {
		p := permOf(m)
		a.Mode, any = &p, true
	}
	if n, ok := in.GetSize(); ok {
		size := int64(n)
		a.Size, any = &size, true
	}
	if t, ok := in.GetATime(); ok {
		a.ATime, any = &t, true
	}
	if t, ok := in.GetMTime(); ok {
		a.MTime, any = &t, true
	}
	if !any {
		if h != nil {
			return s.handleAttr(h, false, out)
		}
		return s.nodeAttr(in.NodeId, out)
	}
	stored := func(n *node, p datasite.Path, file *guard.File, timeout time.Duration) error {
		if in.Valid&fuse.FATTR_KILL_SUIDGID != 0 {
			s.dropSuid(p, file)
		}
		e, err := s.view.SetAttr(s.ctx, p, file, a)
		if err != nil {
			return err
		}
		s.storedAttr(n, e, &out.Attr)
		out.SetTimeout(timeout)
		s.touched(n, p)
		return nil
	}
	if h != nil && h.file != nil {
		return stored(h.node, h.file.Path(), h.file, 0)
	}
	return s.at(in.NodeId, func(w place) error {
		switch {
		case w.node == s.nodes.root:
			return errTop
		case w.gate:
			return stored(w.node, w.path, nil, s.attrTime(w))
		}
		return s.setVirtual(w, h, a, out)
	}, func(h *handle) error {
		if h.file == nil {
			return syscall.ENOENT
		}
		return stored(h.node, h.file.Path(), h.file, 0)
	})
}

func (s *server) setVirtual(w place, h *handle, a guard.Attr, out *fuse.AttrOut) error {
	e, err := w.prov.Lookup(s.ctx, w.rel)
	if err != nil {
		return err
	}
	// A control file has no length and no dates: shells cut it before they write a decision, cp sets dates after.
	if e.Kind != virtual.Text {
		maker, ok := w.prov.(virtual.Maker)
		if !ok {
			return errFixed
		}
		if h != nil && h.text != nil && a.Size != nil {
			if err := h.text.Truncate(*a.Size); err != nil {
				return err
			}
			a.Size = nil
		}
		if a.Mode != nil || a.Size != nil || a.MTime != nil {
			if err := maker.SetAttr(s.ctx, w.rel, virtual.Attr{Mode: a.Mode, Size: a.Size, MTime: a.MTime}); err != nil {
				return err
			}
		}
		if e, err = w.prov.Lookup(s.ctx, w.rel); err != nil {
			return err
		}
	}
	s.virtualAttr(w.node, e, &out.Attr)
	return nil
}

// dropSuid clears the set-user and set-group bits before a write by somebody who may not keep them. The kernel leaves it
// to us (HANDLE_KILLPRIV_V2); where we are not root the backing file system does it by itself.
func (s *server) dropSuid(p datasite.Path, file *guard.File) {
	if s.euid != 0 {
		return
	}
	var e datasite.Entry
	var err error
	if file != nil {
		e, err = file.Stat()
	} else {
		e, err = s.view.Stat(s.ctx, p)
	}
	if err != nil || e.Mode&(iofs.ModeSetuid|iofs.ModeSetgid) == 0 {
		return
	}
	m := e.Mode.Perm() | e.Mode&iofs.ModeSticky
	if _, err := s.view.SetAttr(s.ctx, p, file, guard.Attr{Mode: &m}); err != nil {
		s.log.Error("cannot clear the set-user bit", "path", p.String(), "err", err)
	}
}

// Access answers access(2) and chdir(2) from the mode bits, which in a view that is not the owner's are its rights.
func (s *server) Access(_ <-chan struct{}, in *fuse.AccessIn) fuse.Status {
	var a fuse.AttrOut
	if err := s.nodeAttr(in.NodeId, &a); err != nil {
		return s.status("access", in.NodeId, "", err)
	}
	if s.readOnly && in.Mask&fuse.W_OK != 0 && a.Mode&unix.S_IFMT != unix.S_IFLNK {
		return fuse.EROFS
	}
	asked := in.Mask
	if s.caches && s.euid == 0 {
		asked &= fuse.X_OK // root's own files, which root may always read and write
	}
	for _, need := range []struct{ ask, bits uint32 }{{fuse.R_OK, 0o444}, {fuse.W_OK, 0o222}, {fuse.X_OK, 0o111}} {
		if asked&need.ask != 0 && a.Mode&need.bits == 0 && a.Mode&unix.S_IFMT != unix.S_IFLNK {
			return fuse.EACCES
		}
	}
	return fuse.OK
}

// StatFs tells about the file system below; nothing of it depends on who asks.
func (s *server) StatFs(_ <-chan struct{}, in *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	st, err := s.view.Statfs(s.ctx)
	if err != nil {
		return s.status("statfs", in.NodeId, "", err)
	}
	*out = fuse.StatfsOut{
		Blocks: st.Blocks, Bfree: st.Bfree, Bavail: st.Bavail, Files: st.Files, Ffree: st.Ffree,
		Bsize: uint32(st.Bsize), NameLen: 255, Frsize: uint32(st.Frsize),
	}
	return fuse.OK
}
