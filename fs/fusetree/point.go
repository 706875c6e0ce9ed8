package fusetree

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// prepare checks the folder to mount on, makes it if it is not there, and gives its name without links. backing is the real
// directory, which must not overlap with it: the mount would answer for what it is made of.
func prepare(point, backing string) (string, error) {
	if point == "" {
		return "", errors.New("no folder to mount on was given")
	}
	real, err := resolve(point)
	if err != nil {
		return "", pointError(point, err)
	}
	for _, top := range []string{"/dev", "/proc", "/sys"} {
		if within(real, top) || real == "/" {
			return "", fmt.Errorf("cannot mount on %s: it belongs to the system; choose a folder of your own", real)
		}
	}
	if backing != "" {
		b, err := resolve(backing)
		if err != nil {
			return "", fmt.Errorf("the folder that holds the files: %w", err)
		}
		if within(real, b) || within(b, real) {
			return "", fmt.Errorf("cannot mount on %s: it and the folder that holds the files (%s) must lie beside each other, not one in the other", real, b)
		}
	}
	top, ok, err := onTop(real)
	if err != nil {
		return "", err
	}
	if ok && top.typ == fsType {
		if err := probe(real); errors.Is(err, syscall.ENOTCONN) {
			return "", pointError(real, err)
		}
	}
	fi, err := os.Lstat(real)
	switch {
	case errors.Is(err, syscall.ENOTCONN):
		return "", pointError(real, err)
	case ok && top.typ == fsType:
		return "", fmt.Errorf("%s is already mounted by a running syftfs: stop that one first, or choose another folder: %w", real, syscall.EBUSY)
	case errors.Is(err, iofs.ErrNotExist):
		if err := os.MkdirAll(real, 0o755); err != nil {
			return "", fmt.Errorf("make the folder to mount on: %w", err)
		}
		return real, nil
	case err != nil:
		return "", err
	case !fi.IsDir():
		return "", fmt.Errorf("cannot mount on %s: it is a file, not a folder; move it away or choose another folder: %w", real, syscall.ENOTDIR)
	}
	return real, empty(real)
}

func empty(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("cannot mount on %s: %w", dir, err)
	}
	defer d.Close()
	names, err := d.Readdirnames(1)
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return fmt.Errorf("cannot mount on %s: %w", dir, err)
	}
	return fmt.Errorf("cannot mount on %s: it is not empty (it holds %q), and its contents would be hidden; move them away or choose another folder: %w",
		dir, names[0], syscall.ENOTEMPTY)
}

func pointError(point string, err error) error {
	if errors.Is(err, syscall.ENOTCONN) {
		return fmt.Errorf("%s is the mount of a program that ended without unmounting it; detach it with: fusermount3 -u -z %s: %w", point, point, err)
	}
	return err
}

// resolve gives the absolute name of p without links, also where its last parts do not exist yet or p is a dead mount.
func resolve(p string) (string, error) {
	abs, err := filepath.Abs(p)
	if err != nil {
		return "", err
	}
	rest := ""
	for dir := abs; ; {
		real, err := filepath.EvalSymlinks(dir)
		switch {
		case err == nil:
			return filepath.Join(real, rest), nil
		case errors.Is(err, syscall.ENOTCONN) && dir != abs:
			return "", err // below a dead mount
		case !errors.Is(err, iofs.ErrNotExist) && !errors.Is(err, syscall.ENOTCONN):
			return "", err
		case dir == "/":
			return "", err
		}
		if fi, lerr := os.Lstat(dir); lerr == nil && fi.Mode()&iofs.ModeSymlink != 0 {
			return "", fmt.Errorf("%s is a link to something that does not exist: %w", dir, err)
		}
		rest = filepath.Join(filepath.Base(dir), rest)
		dir = filepath.Dir(dir)
	}
}

func within(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}
