package rulefile

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"path"
	"syscall"

	"github.com/openmined/syftfs/perm"
)

// Loader gives what perm.NewIndex takes: it reads the rule files that lie directly in a folder of fsys, where the path of
// a file is its datasite and its path in there. A rule file that is not a regular file (a symlink too), that is too large
// or does not parse gives a Ruleset with Broken set; any other failure than "not there" is an error. Symlinks are
// recognised if fsys is an io/fs.ReadLinkFS.
func Loader(fsys iofs.FS) func(owner perm.User, dir string) ([]perm.Ruleset, error) {
	return func(owner perm.User, dir string) ([]perm.Ruleset, error) {
		var sets []perm.Ruleset
		for _, base := range []string{perm.FilePub, perm.FilePerm} {
			rs, found, err := loadFile(fsys, path.Join(string(owner), dir, base))
			if err != nil {
				return nil, err
			}
			if found {
				sets = append(sets, rs)
			}
		}
		return sets, nil
	}
}

func loadFile(fsys iofs.FS, name string) (rs perm.Ruleset, found bool, err error) {
	info, err := iofs.Lstat(fsys, name)
	if absent(err) {
		return rs, false, nil
	}
	if err != nil {
		return rs, false, fmt.Errorf("rule file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return irregular(name), true, nil
	}
	f, err := fsys.Open(name)
	if absent(err) {
		return rs, false, nil
	}
	if err != nil {
		return rs, false, fmt.Errorf("rule file: %w", err)
	}
	src, mode, err := readAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return rs, false, fmt.Errorf("rule file %s: %w", name, err)
	}
	if !mode.IsRegular() { // it was replaced in between
		return irregular(name), true, nil
	}
	rs, _, _ = Parse("/"+name, src) // an error is in rs.Broken
	return rs, true, nil
}

// readAll reads one byte more than is allowed, so that Parse sees a file that is too large.
func readAll(f iofs.File) ([]byte, iofs.FileMode, error) {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, iofs.ModeIrregular, err
	}
	src, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	return src, info.Mode(), err
}

func absent(err error) bool {
	return errors.Is(err, iofs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

func irregular(name string) perm.Ruleset {
	rs, err := place("/" + name)
	if err == nil {
		err = &Error{File: "/" + name, Problem: Problem{Text: "a rule file must be a regular file", Hint: "replace it by a text file", Severity: SeverityError}}
	}
	rs.Broken = err
	return rs
}
