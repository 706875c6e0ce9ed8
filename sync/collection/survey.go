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
	"path"
	"slices"
	"strings"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/wire"
)

// descriptionFile makes a folder a dataset. It is put in place last, so that there is never half a dataset to be seen.
const (
	descriptionFile = "dataset.yaml"
	metadataFile    = "private_metadata.yaml"
)

// file is a file of an own dataset.
type file struct {
	Name string // on Drive
	Path datasite.Path
	Hash datasite.Hash // once it is surveyed
	Size int64
}

// survey is the files of one part of an own dataset, by ascending name.
type survey struct {
	files []file
	hash  string // as it stands in the name of the collection
	twins []file // bear the name of one of files, and are not sent
	notes []string
}

// print tells two surveys apart, whatever is not sent included.
func (s survey) print() string {
	h := sha256.New()
	for _, f := range s.files {
		fmt.Fprintf(h, "%s\x00%s\x00%s\n", f.Name, f.Path.Rel, f.Hash)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// list gives the files that the collection of a part is made of, without looking into them. On Drive they bear base names, as syft-client
// keeps nothing else; of several files with one name the least deep counts. Of a private part only the files at its top are kept.
func (c *Collections) list(ctx context.Context, dir datasite.Path, kind wire.FolderKind) (survey, error) {
	var s survey
	var hidden, deep []string
	err := c.cfg.Tree.Files(ctx, dir, func(p datasite.Path) error {
		rel := strings.TrimPrefix(p.Rel, dir.Rel+"/")
		switch {
		case p == dir || datasite.Excluded(rel):
		case kind == wire.PrivateFolder && strings.Contains(rel, "/"):
			deep = append(deep, rel)
		case kind == wire.PrivateFolder:
			s.files = append(s.files, file{Name: rel, Path: p})
		case datasite.IsRuleName(p.Base()):
		case strings.HasPrefix(rel, ".") || strings.Contains(rel, "/."):
			hidden = append(hidden, rel)
		default:
			s.files = append(s.files, file{Name: p.Base(), Path: p})
		}
		return nil
	})
	if err != nil {
		return s, err
	}
	slices.SortFunc(s.files, func(a, b file) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(strings.Count(a.Path.Rel, "/"), strings.Count(b.Path.Rel, "/")), strings.Compare(a.Path.Rel, b.Path.Rel))
	})
	var odd []string
	kept := s.files[:0]
	for _, f := range s.files {
		rel := strings.TrimPrefix(f.Path.Rel, dir.Rel+"/")
		if _, err := wire.CollectionPath(f.Name, wire.Version{}); err != nil {
			odd = append(odd, rel)
		} else if n := len(kept); n > 0 && kept[n-1].Name == f.Name {
			s.twins = append(s.twins, f)
		} else {
			kept = append(kept, f)
		}
	}
	s.files = kept
	s.note("not sent, as hidden files are read by nobody", hidden)
	s.note("not sent, as no other system takes the name; rename it", odd)
	s.note("not in the backup of the private part, which takes no folders; put it into an archive at the top", deep)
	return s, nil
}

const toldNames = 5

func (s *survey) note(why string, names []string) {
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	more := ""
	if len(names) > toldNames {
		more = fmt.Sprintf(" and %d more", len(names)-toldNames)
		names = names[:toldNames]
	}
	s.notes = append(s.notes, fmt.Sprintf("%q%s: %s.", names, more, why))
}

// survey reads all that the collection of a part is made of.
func (c *Collections) survey(ctx context.Context, dir datasite.Path, kind wire.FolderKind) (survey, error) {
	s, err := c.list(ctx, dir, kind)
	if err != nil {
		return s, err
	}
	sum := wire.NewCollectionHash()
	kept := s.files[:0]
	for _, f := range s.files {
		r, hash, err := c.cfg.Tree.Snapshot(ctx, f.Path)
		if errors.Is(err, iofs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return s, err
		}
		n := &counter{r: r, ctx: ctx}
		err = errors.Join(sum.Add(f.Name, n), r.Close())
		if err != nil {
			return s, err
		}
		f.Hash, f.Size = hash, n.n
		kept = append(kept, f)
	}
	s.files, s.hash = kept, sum.Sum()
	return s, c.noteTwins(ctx, dir, &s)
}

// noteTwins tells of the files that are not sent because another one of their name is, unless they are the same.
func (c *Collections) noteTwins(ctx context.Context, dir datasite.Path, s *survey) error {
	hashes := map[string]datasite.Hash{}
	for _, f := range s.files {
		hashes[f.Name] = f.Hash
	}
	var lost []string
	for _, f := range s.twins {
		h, err := c.now(ctx, f.Path)
		if err != nil {
			return err
		}
		if h != hashes[f.Name] {
			lost = append(lost, strings.TrimPrefix(f.Path.Rel, dir.Rel+"/"))
		}
	}
	s.note("not sent, as another file of the same name is, and folders do not travel; give each a name of its own", lost)
	return nil
}

// counter counts what is read, until ctx ends.
type counter struct {
	r   io.Reader
	ctx context.Context
	n   int64
}

func (c *counter) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// now is the hash of the file at p, zero if there is none.
func (c *Collections) now(ctx context.Context, p datasite.Path) (datasite.Hash, error) {
	r, h, err := c.cfg.Tree.Snapshot(ctx, p)
	if errors.Is(err, iofs.ErrNotExist) {
		return datasite.Hash{}, nil
	}
	if err != nil {
		return h, err
	}
	return h, r.Close()
}

// isDataset reports whether an own dataset of that name is here.
func (c *Collections) isDataset(ctx context.Context, name string) (bool, error) {
	h, err := c.now(ctx, c.mock(name).Join(descriptionFile))
	return h != datasite.Hash{}, err
}

// datasets lists the own datasets that are here.
func (c *Collections) datasets(ctx context.Context) (map[string]bool, error) {
	found := map[string]bool{}
	root := datasite.Path{Owner: c.cfg.Owner, Rel: datasite.PublicDatasetsDir}
	return found, c.cfg.Tree.Files(ctx, root, func(p datasite.Path) error {
		if p.Base() == descriptionFile && p.Parent().Parent() == root {
			found[path.Base(p.Parent().Rel)] = true
		}
		return nil
	})
}

// mayRead reports whether u may read every one of files: on Drive all are shared, or none.
func (c *Collections) mayRead(ctx context.Context, u perm.User, files []file) (bool, error) {
	for _, f := range files {
		l, err := c.cfg.Rules.Level(ctx, u, f.Path)
		if err != nil || l < perm.Read {
			return false, err
		}
	}
	return len(files) > 0, nil
}
