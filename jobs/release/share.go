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

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/jobs"
)

// Release puts the named top-level entries (nil: all) into outputs/ and lets the submitter read them. An entry that is there already with other
// content is fs.ErrExist; a name that is not held is fs.ErrNotExist. Only the owner may: fs.ErrPermission. A release that fails later is written
// down: it is repeated by Recover, or by asking again.
func (s *Store) Release(ctx context.Context, id jobs.ID, names []string, by datasite.Identity) error {
	fail := func(err error) error { return fmt.Errorf("release results of %s: %w", id, err) }
	if by.Subject != s.owner {
		return fail(fmt.Errorf("only %s lets results go: %w", s.owner, iofs.ErrPermission))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.all[id]
	held := r.names()
	if names == nil {
		names = held
	}
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	for _, n := range names {
		if !slices.Contains(held, n) {
			return fail(fmt.Errorf("%q is not held: %w", n, iofs.ErrNotExist))
		}
	}
	if len(names) == 0 {
		if len(r.Releases) > 0 {
			return nil
		}
		return fail(fmt.Errorf("nothing is held: %w", iofs.ErrNotExist))
	}
	i := slices.IndexFunc(r.Releases, func(x Released) bool { return !x.Done && slices.Equal(x.Names, names) })
	if i < 0 {
		for _, n := range names {
			if _, err := s.there(ctx, id, r, n); err != nil {
				return fail(err)
			}
		}
		i = len(r.Releases)
		r.Releases = append(slices.Clone(r.Releases), Released{Names: names, By: by, At: s.now()})
		if err := s.save("release:record", id, r); err != nil {
			return fail(err)
		}
	}
	if err := s.complete(ctx, id, i); err != nil {
		return fail(err)
	}
	return nil
}

// ShareLogs lets the submitter read stdout.txt, stderr.txt and returncode.txt.
func (s *Store) ShareLogs(ctx context.Context, id jobs.ID, by datasite.Identity) error {
	fail := func(err error) error { return fmt.Errorf("share logs of %s: %w", id, err) }
	if by.Subject != s.owner {
		return fail(fmt.Errorf("only %s shares logs: %w", s.owner, iofs.ErrPermission))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.all[id]
	if !ok { // it ended before there were results
		r = record{Submitter: id.Submitter, Name: id.Name}
		if _, err := s.dir.Sub(key(id)); err != nil {
			return fail(err)
		}
	}
	if r.Logs == nil {
		r.Logs = &Released{By: by, At: s.now()}
		if err := s.save("release:logs", id, r); err != nil {
			return fail(err)
		}
	}
	if err := s.completeLogs(ctx, id); err != nil {
		return fail(err)
	}
	return nil
}

// Recover repeats what a crash left unfinished. What cannot be done does not keep the rest from being done.
func (s *Store) Recover(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for id, r := range s.all {
		for i, x := range r.Releases {
			if !x.Done {
				errs = append(errs, s.complete(ctx, id, i))
			}
		}
		if r.Logs != nil && !r.Logs.Done {
			errs = append(errs, s.completeLogs(ctx, id))
		}
		errs = append(errs, s.prune(id))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("unfinished releases: %w", err)
	}
	return nil
}

// complete does one recorded release: the files first, then their reader, then the mark that it is done.
func (s *Store) complete(ctx context.Context, id jobs.ID, i int) error {
	r := s.all[id]
	if err := s.dir.Step("release:place"); err != nil {
		return err
	}
	if err := s.place(ctx, id, r, r.Releases[i]); err != nil {
		return err
	}
	if err := s.dir.Step("release:share"); err != nil {
		return err
	}
	if err := s.rules.Share(ctx, id.Review().Parent(), id.Name+"/"+jobs.OutputsDir+"/**", id.Submitter); err != nil {
		return err
	}
	r.Releases = slices.Clone(r.Releases)
	for k, x := range r.Releases { // an earlier one that failed may be a part of this one
		if !slices.ContainsFunc(x.Names, func(n string) bool { return !slices.Contains(r.Releases[i].Names, n) }) {
			r.Releases[k].Done = true
		}
	}
	if err := s.save("release:done", id, r); err != nil {
		return err
	}
	return s.prune(id)
}

func (s *Store) completeLogs(ctx context.Context, id jobs.ID) error {
	r := s.all[id]
	for _, f := range []string{jobs.StdoutFile, jobs.StderrFile, jobs.CodeFile} {
		if err := s.dir.Step("release:share"); err != nil {
			return err
		}
		if err := s.rules.Share(ctx, id.Review().Parent(), id.Name+"/"+f, id.Submitter); err != nil {
			return err
		}
	}
	if r.Logs.Done {
		return nil
	}
	logs := *r.Logs
	logs.Done = true
	r.Logs = &logs
	return s.save("release:done", id, r)
}

// place puts the entries of one release into outputs/: as one folder while there is none, else one by one. An entry that is there already as it is held
// is left alone, so that this may be repeated.
func (s *Store) place(ctx context.Context, id jobs.ID, r record, rel Released) error {
	root, err := os.OpenRoot(s.files(id, r.Run))
	if err != nil {
		return err
	}
	defer root.Close()
	outputs := id.Review().Join(jobs.OutputsDir)
	change := datasite.Change{Op: datasite.OpPlace, Path: outputs, By: rel.By, Origin: datasite.OriginLocal, At: rel.At}
	old, err := s.tree.List(ctx, outputs)
	if errors.Is(err, iofs.ErrNotExist) || (err == nil && len(old) == 0) {
		return s.tree.Place(ctx, change, only{root.FS(), rel.Names})
	}
	if err != nil {
		return err
	}
	for _, name := range rel.Names {
		there, err := s.there(ctx, id, r, name)
		if err != nil {
			return err
		}
		if there {
			continue
		}
		info, err := root.Lstat(name)
		if err != nil {
			return err
		}
		if info.IsDir() {
			sub, err := iofs.Sub(root.FS(), name)
			if err != nil {
				return err
			}
			change.Path = outputs.Join(name)
			if err := s.tree.Place(ctx, change, sub); err != nil {
				return err
			}
			continue
		}
		body, err := root.ReadFile(name)
		if err == nil {
			err = s.tree.Write(ctx, outputs.Join(name), body)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// there reports whether outputs/ holds the entry exactly as it is held; fs.ErrExist if it holds something else of that name.
func (s *Store) there(ctx context.Context, id jobs.ID, r record, name string) (bool, error) {
	at := id.Review().Join(jobs.OutputsDir)
	if _, err := s.tree.Stat(ctx, at.Join(name)); errors.Is(err, iofs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	for _, i := range r.Items {
		if i.Path != name && !strings.HasPrefix(i.Path, name+"/") {
			continue
		}
		same, err := s.equal(ctx, at.Join(i.Path), i)
		if err != nil {
			return false, err
		}
		if !same {
			return false, fmt.Errorf("%s is there already and differs; move it away first: %w", at.Join(i.Path), iofs.ErrExist)
		}
	}
	return true, nil
}

func (s *Store) equal(ctx context.Context, p datasite.Path, i Item) (bool, error) {
	e, err := s.tree.Stat(ctx, p)
	if errors.Is(err, iofs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !e.Mode.IsRegular() || e.Stamp.Size != i.Size {
		return false, nil
	}
	f, err := s.tree.OpenFile(ctx, p)
	if err != nil {
		return false, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return false, err
	}
	return datasite.Hash(h.Sum(nil)) == i.Hash, nil
}

// prune removes from the hold what lies in the tree now: a release is a move.
func (s *Store) prune(id jobs.ID) error {
	r := s.all[id]
	if r.Run == "" {
		return nil
	}
	root, err := os.OpenRoot(s.files(id, r.Run))
	if err != nil {
		return err
	}
	defer root.Close()
	for _, x := range r.Releases {
		for _, n := range x.Names {
			if !x.Done {
				continue
			}
			if err := root.RemoveAll(n); err != nil {
				return err
			}
		}
	}
	return nil
}

// only is a file tree of which the top folder shows some names.
type only struct {
	fsys  iofs.FS
	names []string
}

func (o only) Open(name string) (iofs.File, error) {
	if n := top(name); name != "." && !slices.Contains(o.names, n) {
		return nil, &iofs.PathError{Op: "open", Path: name, Err: iofs.ErrNotExist}
	}
	return o.fsys.Open(name)
}

func (o only) ReadDir(name string) ([]iofs.DirEntry, error) {
	entries, err := iofs.ReadDir(o.fsys, path.Clean(name))
	if name != "." {
		return entries, err
	}
	return slices.DeleteFunc(entries, func(d iofs.DirEntry) bool { return !slices.Contains(o.names, d.Name()) }), err
}
