package backing

import (
	"cmp"
	iofs "io/fs"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"golang.org/x/sys/unix"
)

// A file system dates a write by a clock that moves in ticks of at most 10 ms (a kernel with HZ=100); a stamp taken within
// that of the last change may therefore be followed by another change with the same dates. Twice the tick leaves room for
// the clock being steered. Where the date of the last change has no fraction at all, the file system most likely keeps
// whole seconds (or two, FAT). Only ctime is asked: every change moves it, and unlike mtime nobody can set it.
const (
	granularity       = 20 * time.Millisecond
	coarseGranularity = 2 * time.Second
)

// stamp needs the time from before the file was asked: a later one would make a change between the two look old.
func stamp(st *unix.Stat_t, before time.Time) datasite.Stamp {
	s := datasite.Stamp{
		Dev: st.Dev, Ino: st.Ino, Size: st.Size,
		MTime: time.Unix(st.Mtim.Unix()), CTime: time.Unix(st.Ctim.Unix()),
	}
	room := granularity
	if st.Ctim.Nsec == 0 {
		room = coarseGranularity
	}
	s.Racy = s.CTime.After(before.Add(-room))
	return s
}

func mode(m uint32) iofs.FileMode {
	out := iofs.FileMode(m & 0o777)
	switch m & unix.S_IFMT {
	case unix.S_IFDIR:
		out |= iofs.ModeDir
	case unix.S_IFLNK:
		out |= iofs.ModeSymlink
	case unix.S_IFIFO:
		out |= iofs.ModeNamedPipe
	case unix.S_IFSOCK:
		out |= iofs.ModeSocket
	case unix.S_IFCHR:
		out |= iofs.ModeDevice | iofs.ModeCharDevice
	case unix.S_IFBLK:
		out |= iofs.ModeDevice
	}
	if m&unix.S_ISUID != 0 {
		out |= iofs.ModeSetuid
	}
	if m&unix.S_ISGID != 0 {
		out |= iofs.ModeSetgid
	}
	if m&unix.S_ISVTX != 0 {
		out |= iofs.ModeSticky
	}
	return out
}

// bits is the inverse of mode for what chmod may set.
func bits(m iofs.FileMode) uint32 {
	out := uint32(m.Perm())
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

func entry(name string, st *unix.Stat_t, before time.Time) datasite.Entry {
	return datasite.Entry{
		Name: name, Mode: mode(st.Mode), Stamp: stamp(st, before),
		Links: uint32(st.Nlink), Blocks: st.Blocks, ATime: time.Unix(st.Atim.Unix()),
	}
}

func (t *Tree) statAt(dir int, name string) (datasite.Entry, unix.Stat_t, error) {
	var st unix.Stat_t
	before := t.now()
	err := retry(func() error { return unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	if err != nil {
		return datasite.Entry{}, st, err
	}
	return entry(name, &st, before), st, nil
}

// Stat tells about p itself, a link included.
func (t *Tree) Stat(p datasite.Path) (datasite.Entry, error) {
	e, _, err := t.stat(p)
	return e, err
}

func (t *Tree) stat(p datasite.Path) (datasite.Entry, unix.Stat_t, error) {
	dir, name, err := t.parent(p)
	if err != nil {
		return datasite.Entry{}, unix.Stat_t{}, fail("stat", p, err)
	}
	defer dir.close()
	e, st, err := t.statAt(dir.fd, name)
	e.Name = p.Base()
	return e, st, fail("stat", p, err)
}

// Owner gives the numeric user and group that p is stored under.
func (t *Tree) Owner(p datasite.Path) (uid, gid uint32, err error) {
	_, st, err := t.stat(p)
	return st.Uid, st.Gid, err
}

// Name is one name of a folder with its kind, as cheap as the kernel tells it.
type Name struct {
	Name string
	Type iofs.FileMode // type bits only
}

// Names lists the folder p by name, without asking about each. Names that a datasite cannot hold and our own
// temporary names are left out.
func (t *Tree) Names(p datasite.Path) ([]Name, error) {
	dir, err := t.openDir(p)
	if err != nil {
		return nil, fail("list", p, err)
	}
	defer dir.close()
	out, err := t.names(dir)
	return out, fail("list", p, err)
}

// List is Names with everything that Stat tells about each entry. An entry that goes away meanwhile is left out.
func (t *Tree) List(p datasite.Path) ([]datasite.Entry, error) {
	dir, err := t.openDir(p)
	if err != nil {
		return nil, fail("list", p, err)
	}
	defer dir.close()
	names, err := t.names(dir)
	if err != nil {
		return nil, fail("list", p, err)
	}
	out := make([]datasite.Entry, 0, len(names))
	for _, n := range names {
		e, _, err := t.statAt(dir.fd, n.Name)
		if err == unix.ENOENT {
			continue
		}
		if err != nil {
			return nil, fail("list", p, err)
		}
		out = append(out, e)
	}
	return out, nil
}

func (t *Tree) openDir(p datasite.Path) (folder, error) {
	if err := check(p); err != nil {
		return folder{}, err
	}
	dir, err := t.resolve(p)
	if err != nil {
		return folder{}, err
	}
	defer dir.close()
	return dir.readable()
}

func (t *Tree) names(dir folder) ([]Name, error) {
	all, err := readNames(dir.fd)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(n Name) bool {
		return Reserved(n.Name) || datasite.CheckName(n.Name) != nil
	}), nil
}

// readNames reads a whole folder from its start, sorted by name.
func readNames(dir int) ([]Name, error) {
	fd, err := open(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	// The name makes os ask about the right file where the file system does not tell the type.
	f := os.NewFile(uintptr(fd), "/proc/self/fd/"+strconv.Itoa(fd))
	defer f.Close()
	all, err := f.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	out := make([]Name, len(all))
	for i, e := range all {
		out[i] = Name{e.Name(), e.Type()}
	}
	slices.SortFunc(out, func(a, b Name) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// Statfs tells about the file system that the tree lies on.
func (t *Tree) Statfs() (unix.Statfs_t, error) {
	var st unix.Statfs_t
	err := retry(func() error { return unix.Fstatfs(t.root, &st) })
	return st, fail("statfs", datasite.Path{}, err)
}
