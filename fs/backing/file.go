package backing

import (
	"io"
	iofs "io/fs"
	"sync"

	"github.com/openmined/syftfs/fs/datasite"
	"golang.org/x/sys/unix"
)

// OpenFlags are the flags of open(2) that OpenFile takes; O_TRUNC is not one of them, because the stamp must be taken
// before a file is cut.
const OpenFlags = unix.O_ACCMODE | unix.O_CREAT | unix.O_EXCL | unix.O_APPEND

// File is an open regular file. Its methods may be called concurrently; Close waits for those that run.
type File struct {
	t    *Tree
	path datasite.Path // as opened, for errors; of a file without a name the folder
	mu   sync.RWMutex  // held for reading by each call, for writing by Close
	fd   int           // -1 when closed; guarded by mu
}

// OpenFile opens or makes a regular file with the given bits, whatever the umask. It never follows a link nor waits for
// the other end of a pipe.
func (t *Tree) OpenFile(p datasite.Path, flags int, perm iofs.FileMode) (*File, error) {
	if flags&^OpenFlags != 0 {
		return nil, fail("open", p, unix.EINVAL)
	}
	dir, name, err := t.parent(p)
	if err != nil {
		return nil, fail("open", p, err)
	}
	defer dir.close()
	fd, err := open(dir.fd, name, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, bits(perm))
	if err != nil {
		return nil, fail("open", p, err)
	}
	return t.file(p, fd, flags&unix.O_CREAT != 0 && flags&unix.O_EXCL != 0, perm)
}

// OpenTemp makes and opens a regular file without a name, on the file system of the folder p, with the given bits whatever
// the umask. Nobody can give it a name; it ends with the File. EOPNOTSUPP where the file system has no such files.
func (t *Tree) OpenTemp(p datasite.Path, flags int, perm iofs.FileMode) (*File, error) {
	if flags&^(unix.O_ACCMODE|unix.O_APPEND) != 0 {
		return nil, fail("tmpfile", p, unix.EINVAL)
	}
	if err := check(p); err != nil {
		return nil, fail("tmpfile", p, err)
	}
	dir, err := t.resolve(p)
	if err != nil {
		return nil, fail("tmpfile", p, err)
	}
	defer dir.close()
	fd, err := open(dir.fd, ".", flags|unix.O_TMPFILE|unix.O_EXCL, bits(perm)) // O_EXCL: it can never be linked
	if err != nil {
		return nil, fail("tmpfile", p, err)
	}
	return t.file(p, fd, true, perm)
}

// file makes a File of a descriptor, which it closes if that is not a regular file. made: it is new, and gets the bits.
func (t *Tree) file(p datasite.Path, fd int, made bool, perm iofs.FileMode) (*File, error) {
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstat(fd, &st) })
	if err == nil {
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
		case unix.S_IFDIR:
			err = unix.EISDIR
		default:
			err = ErrIrregular
		}
	}
	if err == nil && made && st.Mode&0o7777 != bits(perm) {
		err = retry(func() error { return unix.Fchmod(fd, bits(perm)) })
	}
	if err != nil {
		unix.Close(fd)
		return nil, fail("open", p, err)
	}
	return &File{t: t, path: p, fd: fd}, nil
}

func (f *File) do(op string, call func(fd int) error) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.fd < 0 {
		return fail(op, f.path, iofs.ErrClosed)
	}
	return fail(op, f.path, retry(func() error { return call(f.fd) }))
}

// Descriptor is the file's descriptor, for the kernel's passthrough. It stays the File's.
func (f *File) Descriptor() int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.fd
}

// Stat tells about the open file, wherever it lies now. Links is 0 when it has no name any more.
func (f *File) Stat() (datasite.Entry, error) {
	var st unix.Stat_t
	before := f.t.now()
	if err := f.do("stat", func(fd int) error { return unix.Fstat(fd, &st) }); err != nil {
		return datasite.Entry{}, err
	}
	return entry(f.path.Base(), &st, before), nil
}

// ReadAt reads as io.ReaderAt does.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n := 0
		err := f.do("read", func(fd int) (err error) { n, err = unix.Pread(fd, p[done:], off+int64(done)); return })
		if err != nil {
			return done, err
		}
		if n == 0 {
			return done, io.EOF
		}
		done += n
	}
	return done, nil
}

// WriteAt writes as io.WriterAt does; a file that was opened with O_APPEND is written at its end, wherever off is.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n := 0
		err := f.do("write", func(fd int) (err error) { n, err = unix.Pwrite(fd, p[done:], off+int64(done)); return })
		if err != nil {
			return done, err
		}
		if n == 0 {
			return done, fail("write", f.path, io.ErrShortWrite)
		}
		done += n
	}
	return done, nil
}

// Truncate sets the size in bytes.
func (f *File) Truncate(size int64) error {
	return f.do("truncate", func(fd int) error { return unix.Ftruncate(fd, size) })
}

// Allocate is fallocate(2).
func (f *File) Allocate(mode uint32, off, length int64) error {
	return f.do("allocate", func(fd int) error { return unix.Fallocate(fd, mode, off, length) })
}

// Seek finds data or a hole: whence is SEEK_DATA or SEEK_HOLE.
func (f *File) Seek(off int64, whence int) (int64, error) {
	var at int64
	err := f.do("seek", func(fd int) (err error) { at, err = unix.Seek(fd, off, whence); return })
	return at, err
}

// CopyTo copies up to length bytes into dst inside the kernel and tells how many were copied.
func (f *File) CopyTo(dst *File, offIn, offOut int64, length int) (int, error) {
	n := 0
	copyRange := func(in, out int) (err error) {
		n, err = unix.CopyFileRange(in, &offIn, out, &offOut, length, 0)
		return
	}
	if dst == f { // the lock is not taken twice: a Close that waits in between would never end
		err := f.do("copy", func(fd int) error { return copyRange(fd, fd) })
		return max(n, 0), err
	}
	err := f.do("copy", func(in int) error {
		return dst.do("copy", func(out int) error { return copyRange(in, out) })
	})
	return max(n, 0), err
}

// Sync makes the bytes durable; with dataOnly not the dates.
func (f *File) Sync(dataOnly bool) error {
	return f.do("sync", func(fd int) error {
		if dataOnly {
			return unix.Fdatasync(fd)
		}
		return unix.Fsync(fd)
	})
}

// SetAttr changes what is not nil, on the open file.
func (f *File) SetAttr(m *iofs.FileMode, times *[2]unix.Timespec) error {
	if m != nil {
		if err := f.do("chmod", func(fd int) error { return unix.Fchmod(fd, bits(*m)) }); err != nil {
			return err
		}
	}
	if times == nil {
		return nil
	}
	return f.do("utimens", func(fd int) error { return unix.UtimesNanoAt(fd, "", times[:], unix.AT_EMPTY_PATH) })
}

// Close frees the descriptor.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fd < 0 {
		return fail("close", f.path, iofs.ErrClosed)
	}
	fd := f.fd
	f.fd = -1
	return fail("close", f.path, unix.Close(fd))
}
