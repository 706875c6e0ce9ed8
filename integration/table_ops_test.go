package integration

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// spot is one place of the table, as one person sees it in a mount. The operations below run in an actor.
type spot struct {
	dir  string
	lang language
}

// at is the path of name; RULES and OTHER in it are the names of the two kinds of rule file.
func (s spot) at(name string) string {
	return filepath.Join(s.dir, strings.NewReplacer("RULES", s.lang.rules, "OTHER", s.lang.other).Replace(name))
}

// operation does something at a spot. What it answers is "" for success, or what it found out.
type operation struct {
	do    func(s spot) (string, error)
	names []string // what it is about
}

// with adds names that it is about.
func (o operation) with(names ...string) operation {
	o.names = append(o.names, names...)
	return o
}

func call1(name string, do func(path string) error) operation {
	return operation{func(s spot) (string, error) { return "", do(s.at(name)) }, []string{name}}
}

func call2(a, b string, do func(a, b string) error) operation {
	return operation{func(s spot) (string, error) { return "", do(s.at(a), s.at(b)) }, []string{a, b}}
}

// telling is a call with an answer.
func telling(name string, do func(path string) (string, error)) operation {
	return operation{func(s spot) (string, error) { return do(s.at(name)) }, []string{name}}
}

// opening opens a file and does something with it.
func opening(name string, flags int, do func(s spot, fd int) (string, error)) operation {
	return operation{names: []string{name}, do: func(s spot) (answer string, err error) {
		fd, err := unix.Open(s.at(name), flags|unix.O_CLOEXEC, 0o644)
		if err != nil {
			return "", err
		}
		if do != nil {
			answer, err = do(s, fd)
		}
		if cerr := unix.Close(fd); err == nil {
			err = cerr
		}
		return answer, err
	}}
}

func open(name string, flags int) operation { return opening(name, flags, nil) }

func stat(name string) operation {
	return call1(name, func(p string) error { return unix.Lstat(p, new(unix.Stat_t)) })
}

func mode(name string) operation {
	return telling(name, func(p string) (string, error) {
		var st unix.Stat_t
		err := unix.Lstat(p, &st)
		return fmt.Sprintf("%04o", st.Mode&0o7777), err
	})
}

func list(name string) operation {
	return telling(name, func(p string) (string, error) {
		d, err := os.Open(p)
		if err != nil {
			return "", err
		}
		defer d.Close()
		names, err := d.Readdirnames(-1)
		slices.Sort(names)
		return "[" + strings.Join(names, ",") + "]", err
	})
}

func access(name string, how uint32) operation {
	return call1(name, func(p string) error { return unix.Access(p, how) })
}

func execute(name string) operation {
	return call1(name, func(p string) error {
		err := exec.Command(p).Run()
		if errno, ok := errors.AsType[unix.Errno](err); ok {
			return errno
		}
		return err
	})
}

func mkdir(name string) operation {
	return call1(name, func(p string) error { return unix.Mkdir(p, 0o755) })
}
func unlink(name string) operation { return call1(name, unix.Unlink) }
func rmdir(name string) operation  { return call1(name, unix.Rmdir) }

func mknod(name string, kind uint32) operation {
	return call1(name, func(p string) error { return unix.Mknod(p, kind|0o644, 0) })
}

func rename(from, to string, flags uint) operation {
	return call2(from, to, func(a, b string) error { return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, flags) })
}

func link(from, to string) operation { return call2(from, to, unix.Link) }

func symlink(name, target string) operation {
	return call1(name, func(p string) error { return unix.Symlink(target, p) })
}

func readlink(name string) operation {
	return call1(name, func(p string) error { _, err := unix.Readlink(p, make([]byte, 100)); return err })
}

// chmod changes bits against what the mount shows.
func chmod(name string, change uint32) operation {
	return call1(name, func(p string) error {
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil {
			return err
		}
		return unix.Chmod(p, st.Mode&0o7777^change)
	})
}

func chown(name string, uid int) operation {
	return call1(name, func(p string) error { return unix.Lchown(p, uid, -1) })
}

func utimens(name string) operation {
	return call1(name, func(p string) error {
		return unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{{Sec: 1_700_000_000}, {Sec: 1_700_000_000}}, unix.AT_SYMLINK_NOFOLLOW)
	})
}

func truncate(name string, size int64) operation {
	return call1(name, func(p string) error { return unix.Truncate(p, size) })
}

func getxattr(name, attr string) operation {
	return telling(name, func(p string) (string, error) {
		b := make([]byte, 1<<16)
		n, err := unix.Lgetxattr(p, attr, b)
		return string(b[:max(n, 0)]), err
	})
}

func listxattr(name string) operation {
	return telling(name, func(p string) (string, error) {
		b := make([]byte, 1<<16)
		n, err := unix.Llistxattr(p, b)
		return strings.ReplaceAll(strings.TrimSuffix(string(b[:max(n, 0)]), "\x00"), "\x00", ","), err
	})
}

func setxattr(name, attr string) operation {
	return call1(name, func(p string) error { return unix.Lsetxattr(p, attr, []byte("v"), 0) })
}

func removexattr(name, attr string) operation {
	return call1(name, func(p string) error { return unix.Lremovexattr(p, attr) })
}

func statfs(name string) operation {
	return call1(name, func(p string) error { return unix.Statfs(p, new(unix.Statfs_t)) })
}

// writing writes n bytes at off; where that is refused the file must be as large as it was.
func writing(name string, flags, n int, off int64) operation {
	return growing(name, flags, func(_ spot, fd int) error { _, err := unix.Pwrite(fd, make([]byte, n), off); return err })
}

// growing does something that may make an open file larger; where that is refused the file must be as large as it was.
func growing(name string, flags int, do func(s spot, fd int) error) operation {
	return opening(name, flags, func(s spot, fd int) (string, error) {
		var was, is unix.Stat_t
		if err := unix.Fstat(fd, &was); err != nil {
			return "", err
		}
		err := do(s, fd)
		if serr := unix.Fstat(fd, &is); err != nil && (serr != nil || is.Size != was.Size) {
			return fmt.Sprintf("%v,-and-%d-bytes-instead-of-%d", err, is.Size, was.Size), nil
		}
		return "", err
	})
}

// made is growing for a file that comes to be; the answer tells that it did when it could not grow.
func made(do operation) operation {
	return operation{names: do.names, do: func(s spot) (string, error) {
		answer, err := do.do(s)
		if err == unix.EFBIG {
			return "made,EFBIG", nil
		}
		return answer, err
	}}
}

func ftruncate(size int64) func(spot, int) error {
	return func(_ spot, fd int) error { return unix.Ftruncate(fd, size) }
}

func fallocate(how uint32, n int64) func(spot, int) error {
	return func(_ spot, fd int) error { return unix.Fallocate(fd, how, 0, n) }
}

// copyFrom copies all of a file into the open one.
func copyFrom(name string) func(spot, int) error {
	return func(s spot, to int) error {
		from, err := unix.Open(s.at(name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(from)
		_, err = unix.CopyFileRange(from, nil, to, nil, 100, 0)
		return err
	}
}

func seek(whence int) func(spot, int) (string, error) {
	return func(_ spot, fd int) (string, error) {
		at, err := unix.Seek(fd, 0, whence)
		return fmt.Sprint(at), err
	}
}

// mapping maps an open file and, if it may, changes what it holds.
func mapping(prot, flags int) func(spot, int) (string, error) {
	return func(_ spot, fd int) (string, error) {
		b, err := unix.Mmap(fd, 0, 5, prot, flags)
		if err != nil {
			return "", err
		}
		seen := string(b)
		if prot&unix.PROT_WRITE != 0 {
			b[0] = 'J'
		}
		if prot&unix.PROT_WRITE != 0 && flags == unix.MAP_SHARED {
			err = unix.Msync(b, unix.MS_SYNC)
		}
		if seen != "hello" && err == nil {
			err = fmt.Errorf("it-holds-%q", seen)
		}
		return "", errors.Join(err, unix.Munmap(b))
	}
}

// flock, and lock below, wait: the kernel tells of the last close of a file some time after it, and until then its locks are held.
func flock(how int) func(spot, int) (string, error) {
	return func(_ spot, fd int) (string, error) { return "", unix.Flock(fd, how) }
}

func lock(kind int16) func(spot, int) (string, error) {
	return func(_ spot, fd int) (string, error) {
		return "", unix.FcntlFlock(uintptr(fd), unix.F_SETLKW, &unix.Flock_t{Type: kind})
	}
}

func fsync(_ spot, fd int) (string, error) { return "", unix.Fsync(fd) }

func ioctl(_ spot, fd int) (string, error) {
	var v int32
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.FS_IOC_GETFLAGS, uintptr(unsafe.Pointer(&v)))
	if errno != 0 {
		return "", errno
	}
	return "answered", nil
}

// answerRow is the actor's side of the tables: one operation of one of them, at one spot.
func answerRow(c call, r *reply) error {
	s := spot{c.Path, pubRules}
	if c.To == permRules.dir {
		s.lang = permRules
	}
	rows := table
	switch c.To {
	case "boxes":
		rows = boxes
	case "revoke":
		rows = revocations
	}
	answer, err := rows()[c.N].do.do(s)
	r.Data = []byte(answer)
	return err
}

// row lets the actor do one operation of a table, and gives the answer as the table has it.
func (a *actor) row(table string, n int, place string) string {
	a.t.Helper()
	r := a.do(call{Op: "row", N: n, Path: place, To: table})
	switch {
	case r.Errno != "":
		return r.Errno
	case len(r.Data) > 0:
		return string(r.Data)
	}
	return "ok"
}
