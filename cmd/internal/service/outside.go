package service

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// maxLinks is how many links a path may lead through, as the kernel has it.
const maxLinks = 40

// outside refuses a path on this machine that lies in, or holds, one of our mounts or the datasite's own files. This process must
// not read through its own mount, not even to look where a link leads: it would wait for itself. Each step of the path is compared before
// it is looked at.
func (s *Service) outside(path string) error {
	state := s.Host.State()
	tops := []struct{ what, dir string }{{"the mount", state.Mount}, {"the datasite's own files", state.Backing}}
	for _, dir := range s.viewDirs() {
		tops = append(tops, struct{ what, dir string }{"the view", dir})
	}
	check := func(at string) error {
		for _, t := range tops {
			if below(at, t.dir) {
				return fmt.Errorf("%s lies in %s %s: copy it to a folder outside first, and name the copy", path, t.what, t.dir)
			}
		}
		return nil
	}
	for _, t := range tops { // the same place may have a name without links
		if parent, err := walk(filepath.Dir(t.dir), check); err == nil {
			tops = append(tops, struct{ what, dir string }{t.what, filepath.Join(parent, filepath.Base(t.dir))})
		}
	}
	at, err := walk(path, check)
	if err != nil {
		return err
	}
	for _, t := range tops {
		if below(t.dir, at) {
			return fmt.Errorf("%s holds %s %s: name a folder that does not", path, t.what, t.dir)
		}
	}
	return nil
}

// walk follows the links in an absolute path, asking check about each step before it is looked at, and gives where it leads. What is not
// there, or cannot be looked at, leads nowhere else.
func walk(path string, check func(string) error) (string, error) {
	at, rest := "/", split(path)
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			at = filepath.Dir(at) // at holds no link
			continue
		}
		next := filepath.Join(at, name)
		if err := check(next); err != nil {
			return "", err
		}
		to, err := os.Readlink(next)
		switch {
		case errors.Is(err, iofs.ErrNotExist), errors.Is(err, iofs.ErrPermission), errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOTDIR):
			at = next
			continue
		case err != nil:
			return "", err
		}
		if links++; links > maxLinks {
			return "", &iofs.PathError{Op: "follow", Path: path, Err: syscall.ELOOP}
		}
		if filepath.IsAbs(to) {
			at = "/"
		}
		rest = slices.Concat(split(to), rest)
	}
	return at, nil
}

func split(path string) []string {
	return slices.DeleteFunc(strings.Split(path, "/"), func(s string) bool { return s == "" || s == "." })
}

// below reports whether path is dir or lies in it, by their names.
func below(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}
