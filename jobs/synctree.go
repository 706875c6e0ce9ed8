package jobs

import (
	iofs "io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// fewFiles are synced one by one; more of them by one call for their whole file system, which also waits for what others wrote there.
const fewFiles = 256

// SyncTree makes everything below dir durable: files, folders and names. The name of dir itself is its parent's.
func SyncTree(dir string) error {
	var paths []string
	err := filepath.WalkDir(dir, func(p string, d iofs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() || d.Type().IsRegular() {
			paths = append(paths, p)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(paths) > fewFiles {
		return syncWith(dir, unix.Syncfs)
	}
	for _, p := range paths {
		if err := syncWith(p, unix.Fsync); err != nil {
			return err
		}
	}
	return nil
}

func syncWith(path string, call func(fd int) error) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := call(int(f.Fd())); err != nil {
		return &iofs.PathError{Op: "sync", Path: path, Err: err}
	}
	return nil
}
