package fusetree

import (
	"errors"
	"io"
	iofs "io/fs"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/fs/virtual"
	"golang.org/x/sys/unix"
)

// openFlags are what of the flags of open(2) the gate and providers are told. O_DIRECT is between the program and the
// kernel; O_SYNC becomes fsync requests.
const openFlags = unix.O_ACCMODE | unix.O_CREAT | unix.O_EXCL | unix.O_TRUNC | unix.O_APPEND

// maxCopy bounds one copy_file_range: the answer has 32 bits, and others wait meanwhile.
const maxCopy = 64 << 20

// Open is where the right to read or write is asked for, whatever the kernel knows of the name.
func (s *server) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	flags := int(in.Flags) & openFlags &^ (unix.O_CREAT | unix.O_EXCL)
	err := s.at(in.NodeId, func(w place) error {
		if s.readOnly && flags&(unix.O_ACCMODE|unix.O_TRUNC) != unix.O_RDONLY {
			return syscall.EROFS
		}
		switch {
		case w.node == s.nodes.root:
			return syscall.EISDIR
		case w.gate:
			return s.openStored(w, flags, in.Mode&fuse.OPEN_KILL_SUIDGID != 0, out)
		}
		e, err := w.prov.Lookup(s.ctx, w.rel)
		if err != nil {
			return err
		}
		return s.openVirtual(w, e, flags, out)
	}, nil)
	return s.status("open", in.NodeId, "", s.again.once(in.Pid, err))
}

func (s *server) openStored(w place, flags int, kill bool, out *fuse.OpenOut) error {
	f, err := s.view.Open(s.ctx, w.path, flags, 0)
	if err != nil {
		return vanished(err, syscall.ELOOP, syscall.EISDIR) // the kernel opens what it knows as a regular file
	}
	e, err := f.Stat()
	if err == nil {
		err = w.node.still(e) // replaced since the kernel looked it up
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if kill && flags&unix.O_TRUNC != 0 {
		s.dropSuid(w.path, f)
	}
	out.OpenFlags = s.register(w.node, f, flags, out)
	if s.caches && !w.node.aside() && out.OpenFlags&fuse.FOPEN_DIRECT_IO == 0 {
		same, known := s.nodes.agree(w.node, seenOf(e.Stamp))
		switch {
		case same && !s.features.NoKeepCache:
			out.OpenFlags |= fuse.FOPEN_KEEP_CACHE
		case known && !same && flags&unix.O_TRUNC == 0:
			s.notify.inode(w.node) // the kernel drops the pages at once, and learns the size here
		}
	}
	if flags&unix.O_TRUNC != 0 {
		s.touched(w.node, w.path)
	}
	return nil
}

// register makes the handle of a stored file and gives the flags for the kernel.
func (s *server) register(n *node, f *guard.File, flags int, out *fuse.OpenOut) uint32 {
	acc := flags & unix.O_ACCMODE
	h := &handle{node: n, file: f, reads: acc != unix.O_WRONLY, writes: acc != unix.O_RDONLY || flags&unix.O_TRUNC != 0}
	h.wrote.Store(flags&(unix.O_TRUNC|unix.O_CREAT) != 0)
	s.nodes.opened(h)
	out.Fh = s.handles.add(h)
	var o uint32
	if !h.writes {
		o |= fuse.FOPEN_NOFLUSH
	}
	if flags&unix.O_APPEND != 0 {
		// The gate appends at the real end, wherever the kernel believes that it is; its pages would have the bytes elsewhere.
		o |= fuse.FOPEN_DIRECT_IO
	}
	return o
}

func (s *server) openVirtual(w place, e virtual.Entry, flags int, out *fuse.OpenOut) error {
	writes := flags&unix.O_ACCMODE != unix.O_RDONLY
	switch e.Kind {
	case virtual.Dir:
		return syscall.EISDIR
	case virtual.Link:
		return syscall.ELOOP
	case virtual.Stored:
		return syscall.ESTALE // it was text when the kernel looked it up
	case virtual.Text:
		if writes && e.Mode&0o222 == 0 {
			return refuse(syscall.EACCES, "this file can only be read")
		}
		flags &^= unix.O_TRUNC // a control file has no length: shells cut it before they write
	}
	h, err := w.prov.Open(s.ctx, w.rel, flags, 0)
	if err != nil {
		return err
	}
	s.registerVirtual(w.node, e.Kind, h, flags, out)
	return nil
}

func (s *server) registerVirtual(n *node, kind virtual.Kind, vh virtual.Handle, flags int, out *fuse.OpenOut) {
	acc := flags & unix.O_ACCMODE
	h := &handle{node: n, text: vh, reads: acc != unix.O_WRONLY, writes: acc != unix.O_RDONLY || flags&unix.O_TRUNC != 0}
	s.nodes.opened(h)
	out.Fh = s.handles.add(h)
	if kind == virtual.Text || flags&unix.O_APPEND != 0 {
		out.OpenFlags |= fuse.FOPEN_DIRECT_IO // a refused write fails in write(2), not only at close
	}
	if !h.writes {
		out.OpenFlags |= fuse.FOPEN_NOFLUSH
	}
}

// Create makes a file and opens it.
func (s *server) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	flags := int(in.Flags)&openFlags | unix.O_CREAT
	err := s.at(in.NodeId, func(w place) error {
		c, err := s.target(w, name)
		if err != nil {
			return taken(err)
		}
		if !c.gate {
			return s.createVirtual(w, c, name, flags, permOf(in.Mode), out)
		}
		f, err := s.view.Open(s.ctx, c.path, flags, permOf(in.Mode))
		if err != nil {
			return err
		}
		e, err := f.Stat()
		if err != nil {
			return errors.Join(err, f.Close())
		}
		s.enterStored(w, name, e, true, &out.EntryOut)
		n := s.nodes.byNumber(out.NodeId)
		out.OpenFlags = s.register(n, f, flags, &out.OpenOut)
		if s.caches && !n.aside() {
			s.nodes.agree(n, seenOf(e.Stamp))
		}
		s.touchedBelow(w, c.path)
		return nil
	}, nil)
	return s.status("create", in.NodeId, name, err)
}

func (s *server) createVirtual(w, c place, name string, flags int, mode iofs.FileMode, out *fuse.CreateOut) error {
	if _, err := c.maker(); err != nil {
		return err
	}
	h, err := c.prov.Open(s.ctx, c.rel, flags, mode)
	if err != nil {
		return err
	}
	e, err := h.Stat()
	if err == nil {
		_, err = s.enterVirtual(w, name, c.prov, false, e, true, &out.EntryOut)
	}
	if err != nil {
		return errors.Join(err, h.Close())
	}
	s.registerVirtual(s.nodes.byNumber(out.NodeId), e.Kind, h, flags, &out.OpenOut)
	return nil
}

// Read gives bytes. In a view that is not the owner's the gate asks again if a rule has changed since.
func (s *server) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	h := s.handles.get(in.Fh)
	var n int
	var err error
	switch {
	case h == nil || h.dir != nil:
		err = syscall.EBADF
	case h.file != nil:
		n, err = h.file.ReadAt(buf[:min(len(buf), int(in.Size))], int64(in.Offset))
	default:
		n, err = h.text.ReadAt(buf[:min(len(buf), int(in.Size))], int64(in.Offset))
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, s.status("read", in.NodeId, "", err)
	}
	return fuse.ReadResultData(buf[:n]), fuse.OK
}

// Write stores bytes, or gives a control file what somebody decided.
func (s *server) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	h := s.handles.get(in.Fh)
	var n int
	var err error
	switch {
	case h == nil || h.dir != nil:
		err = syscall.EBADF
	case s.readOnly:
		err = syscall.EROFS
	case h.file != nil:
		if in.WriteFlags&fuse.WRITE_KILL_SUIDGID != 0 {
			s.dropSuid(h.file.Path(), h.file)
		}
		n, err = h.file.WriteAt(data, int64(in.Offset))
		h.wrote.Store(true)
	default:
		n, err = h.text.WriteAt(data, int64(in.Offset))
	}
	if err != nil && n == 0 {
		return 0, s.status("write", in.NodeId, "", err)
	}
	return uint32(n), fuse.OK // what was stored before an error counts; the next write meets it again
}

// Writev is not offered: the data comes in one piece.
func (s *server) Writev(<-chan struct{}, *fuse.WriteIn, [][]byte) (uint32, fuse.Status) {
	return 0, fuse.ENOSYS
}

// Flush is each close(2) of a handle that can write.
func (s *server) Flush(_ <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	h := s.handles.get(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	err := h.flush(s.ctx)
	s.unlock(h, in.LockOwner)
	if h.file != nil && h.writes {
		s.remember(h)
		if h.node.aside() {
			s.touched(h.node, h.file.Path())
		}
	}
	return s.status("flush", in.NodeId, "", err)
}

// Fsync returns when bytes and journal entry are durable.
func (s *server) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	h := s.handles.get(in.Fh)
	var err error
	switch {
	case h == nil || h.dir != nil:
		err = syscall.EBADF
	case h.file != nil:
		err = h.file.Sync(s.ctx, in.FsyncFlags&1 != 0)
	default:
		err = h.text.Sync(s.ctx)
	}
	return s.status("fsync", in.NodeId, "", err)
}

// Release is the last close. Nobody waits for it.
func (s *server) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	h := s.handles.remove(in.Fh)
	if h == nil {
		return
	}
	if err := s.close(h); err != nil {
		s.status("release", in.NodeId, "", err)
	}
}

// Fallocate makes or frees room in a file.
func (s *server) Fallocate(_ <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	h := s.handles.get(in.Fh)
	var err error
	switch {
	case h == nil || h.dir != nil:
		err = syscall.EBADF
	case h.file == nil:
		err = syscall.EOPNOTSUPP
	default:
		err = h.file.Allocate(in.Mode, int64(in.Offset), int64(in.Length))
		h.wrote.Store(true)
	}
	return s.status("fallocate", in.NodeId, "", err)
}

// Lseek finds data and holes.
func (s *server) Lseek(_ <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	h := s.handles.get(in.Fh)
	var at int64
	var err error
	switch {
	case h == nil || h.dir != nil:
		err = syscall.EBADF
	case h.file != nil:
		at, err = h.file.Seek(int64(in.Offset), int(in.Whence))
	default: // all of it is data
		var e virtual.Entry
		e, err = h.text.Stat()
		switch off := int64(in.Offset); {
		case err != nil:
		case off >= e.Size:
			err = syscall.ENXIO
		case in.Whence == unix.SEEK_HOLE:
			at = e.Size
		default:
			at = off
		}
	}
	out.Offset = uint64(at)
	return s.status("lseek", in.NodeId, "", err)
}

// CopyFileRange copies between stored files without the bytes passing through us.
func (s *server) CopyFileRange(_ <-chan struct{}, in *fuse.CopyFileRangeIn) (uint32, fuse.Status) {
	from, to := s.handles.get(in.FhIn), s.handles.get(in.FhOut)
	switch {
	case from == nil || to == nil:
		return 0, fuse.EBADF
	case from.file == nil || to.file == nil:
		return 0, fuse.Status(syscall.EOPNOTSUPP) // the kernel reads and writes instead
	case s.readOnly:
		return 0, fuse.EROFS
	}
	n, err := from.file.CopyTo(to.file, int64(in.OffIn), int64(in.OffOut), int(min(in.Len, maxCopy)))
	to.wrote.Store(true)
	return uint32(n), s.status("copy", in.NodeId, "", err)
}

// Ioctl: there are none.
func (s *server) Ioctl(<-chan struct{}, *fuse.IoctlIn, []byte, *fuse.IoctlOut, []byte) fuse.Status {
	return fuse.Status(syscall.ENOTTY)
}

// OnUnmount is called when the connection has ended.
func (s *server) OnUnmount() {}
