package backing

import (
	iofs "io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/openmined/syftfs/fs/datasite"
	"golang.org/x/sys/unix"
)

func TestFilesWithoutAName(t *testing.T) {
	tree, site := newTree(t)
	must(t, os.Mkdir(filepath.Join(site, "d"), 0o755))
	f, err := tree.OpenTemp(at("d"), unix.O_RDWR, 0o666)
	must(t, err)
	_, err = f.WriteAt([]byte("temporary"), 0)
	must(t, err)
	e, err := f.Stat()
	must(t, err)
	if e.Links != 0 || e.Mode != 0o666 || e.Stamp.Size != 9 {
		t.Errorf("%d links, mode %v, %d bytes", e.Links, e.Mode, e.Stamp.Size)
	}
	err = unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(f.Descriptor()), unix.AT_FDCWD, filepath.Join(site, "d/f"), unix.AT_SYMLINK_FOLLOW)
	wants(t, err, iofs.ErrNotExist)
	list, err := os.ReadDir(filepath.Join(site, "d"))
	must(t, err)
	if len(list) != 0 {
		t.Errorf("the folder holds %v", list)
	}
	must(t, f.Close())
}

func TestFilesWithoutANameAreRefused(t *testing.T) {
	tree, site := newTree(t)
	must(t, os.WriteFile(filepath.Join(site, "f"), nil, 0o600))
	for name, c := range map[string]struct {
		p     datasite.Path
		flags int
		want  error
	}{
		"for reading only":      {at(""), unix.O_RDONLY, unix.EINVAL},
		"with other flags":      {at(""), unix.O_RDWR | unix.O_CREAT, unix.EINVAL},
		"in a file":             {at("f"), unix.O_RDWR, unix.ENOTDIR},
		"in nothing":            {at("no"), unix.O_RDWR, iofs.ErrNotExist},
		"in staging":            {datasite.Path{Owner: stagingName}, unix.O_RDWR, iofs.ErrNotExist},
		"at an unparsed path":   {at("../f"), unix.O_RDWR, datasite.ErrName},
		"in a temporary folder": {at(tempPrefix + "1"), unix.O_RDWR, iofs.ErrNotExist},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tree.OpenTemp(c.p, c.flags, 0o600)
			wants(t, err, c.want)
		})
	}
}
