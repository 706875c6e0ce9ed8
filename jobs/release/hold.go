package release

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/openmined/syftfs/fs/statedir"
	"github.com/openmined/syftfs/jobs"
	"golang.org/x/sys/unix"
)

// Hold moves dir, the collected results of a run, into the hold: one rename, then the record with the hashes. Repeating it is harmless.
// Rule files in any letter case, and anything that is neither a file nor a folder, are thrown away.
func (s *Store) Hold(ctx context.Context, id jobs.ID, run, dir string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	fail := func(err error) error { return fmt.Errorf("hold results of %s: %w", id, err) }
	if run == "" || run != path.Base(run) || strings.HasPrefix(run, ".") || run == recordFile {
		return fail(fmt.Errorf("run %q: %w", run, iofs.ErrInvalid))
	}
	if r, ok := s.all[id]; ok && r.Run == run {
		return nil
	}
	into, err := s.dir.Sub(key(id))
	if err != nil {
		return fail(err)
	}
	if err := s.dir.Step("hold:move"); err != nil {
		return fail(err)
	}
	to := into.Path(run)
	switch err := os.Rename(dir, to); {
	case errors.Is(err, iofs.ErrNotExist):
		if _, there := os.Lstat(to); there != nil {
			return fail(err)
		}
	case err != nil:
		return fail(err)
	}
	for _, d := range []string{into.Path(), s.dir.Path()} {
		if err := statedir.SyncDir(d); err != nil {
			return fail(err)
		}
	}
	items, err := take(ctx, to)
	if err != nil {
		return fail(err)
	}
	r := record{Submitter: id.Submitter, Name: id.Name, Run: run, Held: s.now(), Items: items}
	if err := s.save("hold:record", id, r); err != nil {
		return fail(err)
	}
	return nil
}

// take lists the files below dir with their hashes, makes them durable, and removes what must never be released. Nothing is followed: it is
// read through a handle of dir, and a file is opened only after its kind is known.
func take(ctx context.Context, dir string) ([]Item, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	items := []Item{}
	err = iofs.WalkDir(root.FS(), ".", func(p string, d iofs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || p == "." {
			return err
		}
		if jobs.IsRuleName(d.Name()) || !(d.IsDir() || d.Type().IsRegular()) {
			if err := root.RemoveAll(p); err != nil {
				return err
			}
			if d.IsDir() {
				return iofs.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return nil
		}
		f, err := root.OpenFile(p, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		i := Item{Path: p}
		h := sha256.New()
		if i.Size, err = io.Copy(h, f); err != nil {
			return err
		}
		h.Sum(i.Hash[:0])
		items = append(items, i)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := jobs.SyncTree(dir); err != nil {
		return nil, err
	}
	slices.SortFunc(items, func(a, b Item) int { return strings.Compare(a.Path, b.Path) })
	return items, nil
}
