package draft

import (
	"context"
	"io"
	"os"
	"path"
	"path/filepath"
	"syscall"

	"github.com/openmined/syftfs/fs/statedir"
	"github.com/openmined/syftfs/jobs"
)

// File is one open of a file of a draft. While a File that can write is open the draft is not sealed.
type File struct {
	s     *Store
	f     *os.File
	write bool

	// Guarded by Store.mu. A rename moves the handle along; d is nil once the file was removed or replaced.
	d      *draft
	sub    string
	closed bool
}

// ReadAt reads; io.EOF at the end.
func (h *File) ReadAt(p []byte, off int64) (int, error) {
	n, err := h.f.ReadAt(p, off)
	if err != nil && err != io.EOF {
		err = failed("read", h.name(), err)
	}
	return n, err
}

// WriteAt writes; EROFS once the job was decided.
func (h *File) WriteAt(p []byte, off int64) (int, error) {
	if err := h.change(off + int64(len(p))); err != nil {
		return 0, err
	}
	n, err := h.f.WriteAt(p, off)
	if err != nil {
		h.cut()
		err = failed("write", h.name(), err)
	}
	return n, err
}

// Truncate changes the size.
func (h *File) Truncate(size int64) error {
	if err := h.change(size); err != nil {
		return err
	}
	if err := h.f.Truncate(size); err != nil {
		h.cut()
		return failed("truncate", h.name(), err)
	}
	return nil
}

// change notes that bytes are about to change. The generation moves before they do, and no snapshot that sees an open
// handle is used, so none holds half of a write. The file may grow to size bytes.
func (h *File) change(size int64) error {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	if !h.write || h.closed {
		return syscall.EBADF
	}
	if size > jobs.MaxBytes && h.d == nil {
		return tooLarge()
	}
	if h.d == nil {
		return nil // removed meanwhile; as on any file system the bytes go nowhere
	}
	if h.d.decided {
		return decidedError(h.d.job())
	}
	i, err := h.f.Stat()
	if err != nil {
		return failed("write", path.Join(h.d.rec.Name, h.sub), err)
	}
	if size > i.Size() {
		if err := h.s.room(h.d, h.sub, load{bytes: size - i.Size()}); err != nil {
			return err
		}
	}
	h.s.touch(h.d)
	return nil
}

// cut notes that bytes are missing: the disk did not take them.
func (h *File) cut() {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	if h.d != nil {
		h.s.cut(h.d, h.sub)
	}
}

// Stat tells about the file as it is now.
func (h *File) Stat() (Info, error) {
	i, err := h.f.Stat()
	if err != nil {
		return Info{}, failed("stat", h.name(), err)
	}
	return infoOf(path.Base(h.name()), i), nil
}

// Sync makes bytes and name durable.
func (h *File) Sync(context.Context) error {
	if err := h.f.Sync(); err != nil {
		return failed("sync", h.name(), err)
	}
	h.s.mu.Lock()
	var dir string
	if h.d != nil {
		dir = filepath.Dir(h.d.host(h.sub))
	}
	h.s.mu.Unlock()
	if dir == "" {
		return nil
	}
	if err := statedir.SyncDir(dir); err != nil {
		return failed("sync", h.name(), err)
	}
	return nil
}

// Flush is a close(2) of one of its descriptors: nothing is kept back, so there is nothing to do.
func (h *File) Flush(context.Context) error { return nil }

// Close is the last close; the settle time begins.
func (h *File) Close() error {
	h.s.mu.Lock()
	if h.closed {
		h.s.mu.Unlock()
		return nil
	}
	h.closed = true
	delete(h.s.handles, h)
	if h.write && h.d != nil {
		h.d.last = h.s.cfg.Now()
		h.s.remark(h.d)
	}
	h.s.mu.Unlock()
	err := h.f.Close()
	if h.write {
		h.s.poke()
	}
	return err
}

func (h *File) name() string {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	if h.d == nil {
		return path.Base(h.sub)
	}
	return path.Join(h.d.rec.Name, h.sub)
}
