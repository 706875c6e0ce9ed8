package backing

import (
	"strings"

	"github.com/openmined/syftfs/fs/datasite"
	"golang.org/x/sys/unix"
)

// chunkLen keeps each piece of a long path below PATH_MAX.
const chunkLen = 4000

// openat2Tries bounds the retries after EAGAIN, which the kernel answers when a rename ran beside the resolution.
const openat2Tries = 64

func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

func open(at int, name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(at, name, flags|unix.O_CLOEXEC, mode)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

func beneath(at int, rel string, flags uint64) (int, error) {
	how := unix.OpenHow{
		Flags:   flags | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	for try := 0; ; try++ {
		fd, err := unix.Openat2(at, rel, &how)
		if err == unix.EINTR || err == unix.EAGAIN && try < openat2Tries {
			continue
		}
		return fd, err
	}
}

// folder is a descriptor of a folder; the one of the root is never closed.
type folder struct {
	fd    int
	owned bool
}

func (f folder) close() {
	if f.owned {
		unix.Close(f.fd)
	}
}

// readable opens the same folder for reading and syncing: an O_PATH descriptor can do neither.
func (f folder) readable() (folder, error) {
	fd, err := open(f.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	return folder{fd, true}, err
}

func (f folder) sync() error {
	r, err := f.readable()
	if err != nil {
		return err
	}
	defer r.close()
	return retry(func() error { return unix.Fsync(r.fd) })
}

// resolve opens the folder p without following any link, in pieces if the path is long.
func (t *Tree) resolve(p datasite.Path) (folder, error) {
	cur := folder{fd: t.root}
	if p.IsRoot() {
		return cur, nil
	}
	rest := p.String()
	for rest != "" {
		piece := rest
		if len(rest) > chunkLen {
			piece = rest[:strings.LastIndexByte(rest[:chunkLen], '/')]
			rest = rest[len(piece)+1:]
		} else {
			rest = ""
		}
		fd, err := beneath(cur.fd, piece, unix.O_PATH|unix.O_DIRECTORY)
		cur.close()
		if err != nil {
			return folder{}, err
		}
		cur = folder{fd, true}
	}
	return cur, nil
}

// parent opens the folder that holds p and gives p's name in it; the root of the tree is "." in itself.
func (t *Tree) parent(p datasite.Path) (folder, string, error) {
	if err := check(p); err != nil {
		return folder{}, "", err
	}
	if p.IsRoot() {
		return folder{fd: t.root}, ".", nil
	}
	dir, err := t.resolve(p.Parent())
	return dir, p.Base(), err
}
