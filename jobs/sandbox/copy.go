package sandbox

import (
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// measure is the size of all regular files below dir and the number of names.
func measure(dir string) (size, names int64, err error) {
	err = filepath.WalkDir(dir, func(p string, d iofs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		names++
		if !d.Type().IsRegular() {
			return nil
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	return size, names, err
}

// copyWork fills the working copy of a job: regular files and folders only, owned by the job. Folders for results are
// made empty; whatever was there is not part of a submission.
func copyWork(from, to string, uid, gid int) error {
	src, err := os.OpenRoot(from)
	if err != nil {
		return err
	}
	defer src.Close()
	own := func(p string) error {
		if err := os.Lchown(p, uid, gid); err != nil {
			return err
		}
		return nil
	}
	err = iofs.WalkDir(src.FS(), ".", func(p string, d iofs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at := filepath.Join(to, p)
		switch {
		case p == ".":
			return nil
		case p == "outputs" || p == "code/outputs":
			return iofs.SkipDir
		case d.IsDir():
			if err := os.Mkdir(at, 0o755); err != nil {
				return err
			}
		case d.Type().IsRegular():
			mode := iofs.FileMode(0o644)
			if info, err := d.Info(); err != nil {
				return err
			} else if info.Mode()&0o100 != 0 || p == "run.sh" {
				mode = 0o755
			}
			f, err := src.Open(p)
			if err != nil {
				return err
			}
			err = copyTo(f, at, mode)
			f.Close()
			if err != nil {
				return err
			}
		default:
			return fmt.Errorf("%s is neither a file nor a folder", p)
		}
		return own(at)
	})
	if err != nil {
		return fmt.Errorf("copy the job's files: %w", err)
	}
	for _, d := range []string{"code", "code/outputs", "outputs"} {
		at := filepath.Join(to, d)
		if err := os.MkdirAll(at, 0o755); err != nil {
			return err
		}
		if err := own(at); err != nil {
			return err
		}
	}
	return nil
}

// copyTo writes all of f to a new file.
func copyTo(f io.Reader, path string, mode iofs.FileMode) error {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, f)
	if err == nil {
		err = out.Chmod(mode)
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return err
}

// copyData makes a private copy of a dataset that anybody who can reach it may read: the folder above it is ours alone,
// and only the sandbox's bind leads around that.
func copyData(from, to string) error {
	src, err := os.OpenRoot(from)
	if err != nil {
		return err
	}
	defer src.Close()
	return iofs.WalkDir(src.FS(), ".", func(p string, d iofs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at := filepath.Join(to, p)
		switch {
		case d.IsDir():
			if err := os.MkdirAll(at, 0o700); err != nil {
				return err
			}
			return os.Chmod(at, 0o755)
		case d.Type().IsRegular():
			f, err := src.Open(p)
			if err != nil {
				return err
			}
			defer f.Close()
			return copyTo(f, at, 0o444)
		default:
			return nil // links and devices of a dataset mean nothing elsewhere
		}
	})
}

// access says how far a folder can be used by somebody who is neither its owner nor in its group: everything in it, and
// whether everything in it has one owner who may read it.
func access(dir string) (others, oneOwner bool, uid, gid uint32, err error) {
	others, oneOwner = true, true
	first := true
	err = filepath.WalkDir(dir, func(p string, d iofs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil {
			return &iofs.PathError{Op: "stat", Path: p, Err: err}
		}
		if first {
			uid, gid, first = st.Uid, st.Gid, false
		}
		want := uint32(4)
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			want = 5
		case unix.S_IFREG:
		default:
			return nil
		}
		others = others && st.Mode&want == want
		oneOwner = oneOwner && st.Uid == uid && st.Gid == gid && st.Mode>>6&want == want
		if !others && !oneOwner {
			return iofs.SkipAll
		}
		return nil
	})
	return others, oneOwner, uid, gid, err
}
