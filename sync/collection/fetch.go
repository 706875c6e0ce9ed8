package collection

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
)

// refusal is why a collection is not taken as it is. Asking again changes nothing until its owner changes it.
type refusal struct{ why string }

func (r *refusal) Error() string { return r.why }

func refuse(format string, args ...any) error { return &refusal{fmt.Sprintf(format, args...)} }

// item is a file of a collection on Drive.
type item struct {
	remote.Object
	Sum datasite.Hash
	Rel string // its place in the dataset's folder; "" it gets none
}

// listing is what a collection on Drive holds, by ascending name.
type listing struct {
	items []item
	notes []string
	print string // tells two listings apart
}

// contents lists a collection of f.Owner's, under limits.
func (c *Collections) contents(ctx context.Context, f offer, v wire.Version) (listing, error) {
	var l listing
	byName := map[string]item{}
	total := int64(0)
	limits := c.cfg.Limits
	seen := 0
	for o, err := range remote.All(ctx, c.cfg.Remote, remote.Query{Parent: f.ID, Want: remote.WithOwner | remote.WithSize | remote.WithTimes | remote.WithSum}) {
		if err != nil {
			return l, err
		}
		if seen++; seen > limits.Files {
			return listing{print: "many"}, refuse("It holds more than %d files.", limits.Files)
		}
		it := item{Object: o}
		switch err := it.Sum.UnmarshalText([]byte(o.SHA256)); {
		case o.Folder:
			l.notes = append(l.notes, fmt.Sprintf("The folder %q in it was left out.", o.Name))
			continue
		case !c.ownedBy(o, f):
			l.notes = append(l.notes, fmt.Sprintf("The file %q in it was left out: it is %s's, who does not own the dataset.", o.Name, o.Owner))
			continue
		case err != nil || it.Sum == datasite.Hash{}:
			l.notes = append(l.notes, fmt.Sprintf("The file %q in it was left out: it is no plain file.", o.Name))
			continue
		}
		if other, ok := byName[o.Name]; ok && cmp.Or(other.Created.Compare(o.Created), cmp.Compare(other.ID, o.ID)) < 0 {
			it = other // of twins the oldest counts, as for everybody
		}
		byName[o.Name] = it
	}
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		it := byName[name]
		fmt.Fprintf(h, "%s\x00%s\x00%d\x00%s\n", it.ID, name, it.Size, it.SHA256)
		l.items = append(l.items, it)
	}
	l.print = hex.EncodeToString(h.Sum(nil))
	for _, it := range l.items {
		if it.Size > limits.File {
			return l, refuse("The file %q in it has %d bytes; at most %d are taken.", it.Name, it.Size, limits.File)
		}
		if total += it.Size; total > limits.Total {
			return l, refuse("It has more than %d bytes.", limits.Total)
		}
	}
	l.assign(f.Kind, v)
	return l, nil
}

func (c *Collections) ownedBy(o remote.Object, f offer) bool {
	if f.Owner == "" {
		return o.Mine
	}
	a, err := wire.ParseAddress(o.Owner)
	return err == nil && a.User() == f.Owner
}

// assign gives the files their places. A name that is none is left out; so is a rule file, which the owner of a collection has no call to
// send, but in a backup of our own.
func (l *listing) assign(kind wire.FolderKind, v wire.Version) {
	files, folders := map[string]bool{}, map[string]bool{}
	for i := range l.items {
		it := &l.items[i]
		rel, err := wire.CollectionPath(it.Name, v)
		switch {
		case err != nil || strings.Contains(it.Name, "/"):
			l.notes = append(l.notes, fmt.Sprintf("The file %q in it was left out: its name is none for a file.", it.Name))
			continue
		case datasite.IsRuleName(path.Base(rel)) && kind != wire.PrivateFolder:
			l.notes = append(l.notes, fmt.Sprintf("The file %q in it was left out: rules do not come with a dataset.", it.Name))
			continue
		case datasite.Excluded(rel):
			continue
		}
		clash := files[rel] || folders[rel]
		for dir := path.Dir(rel); dir != "."; dir = path.Dir(dir) {
			clash = clash || files[dir]
		}
		if clash {
			l.notes = append(l.notes, fmt.Sprintf("The file %q in it was left out: its place is taken.", it.Name))
			continue
		}
		it.Rel, files[rel] = rel, true
		for dir := path.Dir(rel); dir != "."; dir = path.Dir(dir) {
			folders[dir] = true
		}
	}
}

// stageName is the folder in which the files of a collection are kept until they are put in place.
func stageName(folder remote.ID) string {
	sum := sha256.Sum256([]byte(folder))
	return hex.EncodeToString(sum[:16])
}

// stage holds the files of a collection that are fetched, by their hash. One that is too short is continued. Nothing in it is trusted
// before check: what a crash left is fetched again if it is not what it should be.
type stage struct {
	c   *Collections
	dir string
}

func (c *Collections) stage(folder remote.ID) stage {
	return stage{c, filepath.Join(c.store.dir, incomingDir, stageName(folder))}
}

func (s stage) path(sum datasite.Hash) string { return filepath.Join(s.dir, sum.String()) }

func (s stage) remove() error { return os.RemoveAll(s.dir) }

// fetch brings what of l is not at its place below target yet.
func (s stage) fetch(ctx context.Context, l listing, target datasite.Path) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	missing := map[string]item{}
	for _, it := range l.items {
		if _, ok := missing[it.Sum.String()]; ok {
			continue
		}
		if st, err := os.Stat(s.path(it.Sum)); err == nil && st.Size() == it.Size {
			continue
		}
		if it.Rel != "" {
			h, err := s.c.now(ctx, target.Join(it.Rel))
			if err != nil {
				return err
			}
			if h == it.Sum {
				continue
			}
		}
		missing[it.Sum.String()] = it
	}
	return parallel(ctx, s.c.cfg.Parallel, slices.Sorted(maps.Keys(missing)), func(ctx context.Context, sum string) error {
		return s.get(ctx, missing[sum])
	})
}

// get fetches one file, from where an earlier try came to.
func (s stage) get(ctx context.Context, it item) (err error) {
	if err := s.c.step("fetch"); err != nil {
		return err
	}
	f, err := os.OpenFile(s.path(it.Sum), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	have, err := io.Copy(h, &counter{r: f, ctx: ctx})
	if err != nil {
		return err
	}
	if have < it.Size {
		body, err := s.c.cfg.Remote.Get(ctx, it.ID, have)
		if err != nil {
			return err
		}
		n, err := io.Copy(io.MultiWriter(f, h), io.LimitReader(body, it.Size-have+1))
		if err := errors.Join(err, body.Close()); err != nil {
			return err
		}
		have += n
	}
	if have != it.Size || datasite.Hash(h.Sum(nil)) != it.Sum {
		if have >= it.Size { // else it broke off, and goes on from there
			err = f.Truncate(0)
		}
		return errors.Join(&remote.Error{Op: remote.OpGet, Kind: remote.Unavailable, ID: it.ID, Name: it.Name, Remedy: "other bytes arrived than were sent; it is fetched again"}, err)
	}
	return nil
}

// open gives the bytes of a file that was fetched, or lies in its place below target.
func (s stage) open(ctx context.Context, it item, target datasite.Path) (io.ReadCloser, error) {
	f, err := os.Open(s.path(it.Sum))
	if err == nil {
		return f, nil
	}
	if !errors.Is(err, iofs.ErrNotExist) || it.Rel == "" {
		return nil, err
	}
	r, h, err := s.c.cfg.Tree.Snapshot(ctx, target.Join(it.Rel))
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return nil, err
	}
	if err != nil || h != it.Sum {
		if err == nil {
			err = r.Close()
		}
		return nil, errors.Join(errMoved, err)
	}
	return r, nil
}

// check compares all bytes with the hash in the name of the collection. What was damaged here since it was fetched is fetched again.
func (s stage) check(ctx context.Context, l listing, hash string, target datasite.Path) error {
	sum := wire.NewCollectionHash()
	for _, it := range l.items {
		r, err := s.open(ctx, it, target)
		if err != nil {
			return err
		}
		own := sha256.New()
		if err := errors.Join(sum.Add(it.Name, io.TeeReader(&counter{r: r, ctx: ctx}, own)), r.Close()); err != nil {
			return err
		}
		if datasite.Hash(own.Sum(nil)) != it.Sum { // our disk is to blame, not the owner
			return errors.Join(errMoved, os.Remove(s.path(it.Sum)))
		}
	}
	if sum.Sum() != hash {
		return refuse("What it holds is not what its name says (hash %s instead of %s): it is not complete yet, or damaged.", sum.Sum(), hash)
	}
	return nil
}
