package backing

import (
	iofs "io/fs"
	"slices"
	"strconv"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"golang.org/x/sys/unix"
)

func (t *Tree) in(op string, p datasite.Path, call func(dir int, name string) error) error {
	if p.IsRoot() && p.Rel == "" {
		return fail(op, p, unix.EBUSY)
	}
	dir, name, err := t.parent(p)
	if err != nil {
		return fail(op, p, err)
	}
	defer dir.close()
	return fail(op, p, retry(func() error { return call(dir.fd, name) }))
}

// Mkdir makes a folder with the given bits, whatever the umask.
func (t *Tree) Mkdir(p datasite.Path, perm iofs.FileMode) error {
	return t.in("mkdir", p, func(dir int, name string) error {
		if err := unix.Mkdirat(dir, name, bits(perm)); err != nil {
			return err
		}
		return chmodAt(dir, name, bits(perm))
	})
}

// Remove removes a name that is not a folder.
func (t *Tree) Remove(p datasite.Path) error {
	return t.in("remove", p, func(dir int, name string) error { return unix.Unlinkat(dir, name, 0) })
}

// Rmdir removes an empty folder.
func (t *Tree) Rmdir(p datasite.Path) error {
	return t.in("rmdir", p, func(dir int, name string) error { return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR) })
}

// Rename moves a file or folder; flags are those of renameat2(2).
func (t *Tree) Rename(from, to datasite.Path, flags uint) error {
	return t.in("rename", from, func(dir int, name string) error {
		return t.in("rename", to, func(dir2 int, name2 string) error {
			return unix.Renameat2(dir, name, dir2, name2, flags)
		})
	})
}

// Symlink stores a link with any target; nothing here ever follows it.
func (t *Tree) Symlink(p datasite.Path, target string) error {
	return t.in("symlink", p, func(dir int, name string) error { return unix.Symlinkat(target, dir, name) })
}

// Readlink gives the target of a link as it is stored.
func (t *Tree) Readlink(p datasite.Path) (string, error) {
	var target string
	err := t.in("readlink", p, func(dir int, name string) error {
		for size := 256; ; size *= 2 {
			buf := make([]byte, size)
			n, err := unix.Readlinkat(dir, name, buf)
			if err != nil {
				return err
			}
			if n < size {
				target = string(buf[:n])
				return nil
			}
		}
	})
	return target, err
}

// chmodAt goes through a descriptor of the thing itself: fchmodat follows links, and fchmodat2 is too new to rely on.
func chmodAt(dir int, name string, m uint32) error {
	fd, err := open(dir, name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), m)
}

// Chmod sets the bits of a file or folder; a link has none (EOPNOTSUPP).
func (t *Tree) Chmod(p datasite.Path, m iofs.FileMode) error {
	return t.in("chmod", p, func(dir int, name string) error { return chmodAt(dir, name, bits(m)) })
}

// Times gives the two dates in the form of utimensat(2); nil leaves a date as it is.
func Times(atime, mtime *time.Time) (*[2]unix.Timespec, error) {
	var out [2]unix.Timespec
	for i, when := range []*time.Time{atime, mtime} {
		if when == nil {
			out[i] = unix.Timespec{Nsec: unix.UTIME_OMIT}
			continue
		}
		ts, err := unix.TimeToTimespec(*when)
		if err != nil {
			return nil, err
		}
		out[i] = ts
	}
	return &out, nil
}

// Utimes sets dates, of a link its own.
func (t *Tree) Utimes(p datasite.Path, times *[2]unix.Timespec) error {
	return t.in("utimens", p, func(dir int, name string) error {
		return unix.UtimesNanoAt(dir, name, times[:], unix.AT_SYMLINK_NOFOLLOW)
	})
}

// Truncate sets the size of a regular file that is not open.
func (t *Tree) Truncate(p datasite.Path, size int64) error {
	f, err := t.OpenFile(p, unix.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Truncate(size)
}

// SyncDir makes the names in the folder p durable.
func (t *Tree) SyncDir(p datasite.Path) error {
	dir, err := t.openDir(p)
	if err != nil {
		return fail("sync", p, err)
	}
	defer dir.close()
	return fail("sync", p, retry(func() error { return unix.Fsync(dir.fd) }))
}

// viaProc names the file for the calls that take a path: the last step is not followed, the one before is our descriptor.
func viaProc(dir int, name string) string { return "/proc/self/fd/" + strconv.Itoa(dir) + "/" + name }

func (t *Tree) xattr(op string, p datasite.Path, call func(path string) (int, error)) (n int, err error) {
	if p.IsRoot() {
		return 0, fail(op, p, unix.ENODATA)
	}
	err = t.in(op, p, func(dir int, name string) (err error) { n, err = call(viaProc(dir, name)); return })
	return n, err
}

// sized calls with a larger buffer until the answer fits.
func (t *Tree) sized(op string, p datasite.Path, call func(path string, buf []byte) (int, error)) ([]byte, error) {
	for size := 512; ; size *= 4 {
		buf := make([]byte, size)
		n, err := t.xattr(op, p, func(path string) (int, error) {
			n, err := call(path, buf)
			if err == unix.ERANGE && size <= 1<<16 {
				return -1, nil
			}
			return n, err
		})
		if err != nil {
			return nil, err
		}
		if n >= 0 {
			return buf[:n], nil
		}
	}
}

// Xattr gives the value of an extended attribute.
func (t *Tree) Xattr(p datasite.Path, name string) ([]byte, error) {
	return t.sized("getxattr", p, func(path string, buf []byte) (int, error) { return unix.Lgetxattr(path, name, buf) })
}

// Xattrs lists the names of the extended attributes.
func (t *Tree) Xattrs(p datasite.Path) ([]string, error) {
	b, err := t.sized("listxattr", p, unix.Llistxattr)
	if err != nil {
		return nil, err
	}
	var out []string
	for len(b) > 0 {
		n := 0
		for n < len(b) && b[n] != 0 {
			n++
		}
		out = append(out, string(b[:n]))
		b = b[min(n+1, len(b)):]
	}
	slices.Sort(out)
	return out, nil
}

// SetXattr sets an extended attribute; flags are XATTR_CREATE and XATTR_REPLACE.
func (t *Tree) SetXattr(p datasite.Path, name string, value []byte, flags int) error {
	_, err := t.xattr("setxattr", p, func(path string) (int, error) { return 0, unix.Lsetxattr(path, name, value, flags) })
	return err
}

// RemoveXattr removes an extended attribute.
func (t *Tree) RemoveXattr(p datasite.Path, name string) error {
	_, err := t.xattr("removexattr", p, func(path string) (int, error) { return 0, unix.Lremovexattr(path, name) })
	return err
}
