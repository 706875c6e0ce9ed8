package collection

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

// placing puts files that were fetched into the tree, one by one, each as a whole.
type placing struct {
	c      *Collections
	from   perm.User // whose files they are
	target datasite.Path
	given  map[string][]datasite.Hash // what was, or may have been, put in place before, and may be replaced
	yield  bool                       // what is there and was not given stays; else it is kept under another name
	edit   editor                     // nil: all is put in place as it came

	done  map[string]datasite.Hash // what is in place now
	notes []string
}

// editor gives other bytes for a file of size bytes, with their hash; zero is the hash that it had. It closes what it does not give back.
type editor func(rel string, size int64, r io.ReadCloser) (io.ReadCloser, datasite.Hash, error)

// tries bounds how often one file is looked at anew because it changed in that moment.
const tries = 4

// all puts the files of l in place, what makes it a dataset last.
func (p *placing) all(ctx context.Context, s stage, l listing) error {
	p.done = map[string]datasite.Hash{}
	items := slices.Clone(l.items)
	slices.SortStableFunc(items, func(a, b item) int {
		return cmp.Compare(last(a.Rel), last(b.Rel))
	})
	for _, it := range items {
		if it.Rel == "" {
			continue
		}
		if err := p.one(ctx, s, it); err != nil {
			return fmt.Errorf("%s: %w", it.Rel, err)
		}
	}
	return nil
}

func last(rel string) int {
	if rel == descriptionFile {
		return 1
	}
	return 0
}

func (p *placing) one(ctx context.Context, s stage, it item) error {
	at := p.target.Join(it.Rel)
	for range tries {
		err := p.try(ctx, s, it, at)
		switch {
		case errors.Is(err, datasite.ErrStale) || errors.Is(err, errMoved):
			continue
		case errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.EISDIR) || errors.Is(err, iofs.ErrPermission) || errors.Is(err, datasite.ErrName):
			p.notes = append(p.notes, fmt.Sprintf("%q could not be put in place: %v.", it.Rel, err))
			return nil
		}
		return err
	}
	return errMoved
}

func (p *placing) try(ctx context.Context, s stage, it item, at datasite.Path) error {
	now, err := p.c.now(ctx, at)
	if err != nil {
		return err
	}
	if now == it.Sum {
		p.done[it.Rel] = it.Sum
		return nil
	}
	body, sum, err := p.open(ctx, s, it)
	if err != nil {
		return err
	}
	defer body.Close() // only read
	if now == sum {
		p.done[it.Rel] = sum
		return nil
	}
	if now != (datasite.Hash{}) && !slices.Contains(p.given[it.Rel], now) {
		if p.yield {
			p.notes = append(p.notes, fmt.Sprintf("%q is here and differs; it stays as it is.", it.Rel))
			return nil
		}
		kept := keptName(at, now)
		if err := p.c.cfg.Tree.Keep(ctx, at, now, kept); err != nil && !errors.Is(err, iofs.ErrExist) {
			return err
		}
		p.notes = append(p.notes, fmt.Sprintf("%q had been changed here; that is kept as %q.", it.Rel, kept.Base()))
	}
	if err := p.c.step("apply"); err != nil {
		return err
	}
	change := datasite.Change{Op: datasite.OpWrite, Path: at, Before: datasite.Known{Hash: now}, After: datasite.Known{Hash: sum}}
	if err := p.c.cfg.Tree.Apply(ctx, p.from, change, body); err != nil {
		return err
	}
	p.done[it.Rel] = sum
	return nil
}

func (p *placing) open(ctx context.Context, s stage, it item) (io.ReadCloser, datasite.Hash, error) {
	r, err := s.open(ctx, it, p.target)
	if err != nil || p.edit == nil {
		return r, it.Sum, err
	}
	r, sum, err := p.edit(it.Rel, it.Size, r)
	if sum == (datasite.Hash{}) {
		sum = it.Sum
	}
	return r, sum, err
}

// rest removes what was given before and is not part of it any more, unless it was changed here.
func (p *placing) rest(ctx context.Context) error {
	for rel, was := range p.given {
		if _, still := p.done[rel]; still {
			continue
		}
		at := p.target.Join(rel)
		now, err := p.c.now(ctx, at)
		if err != nil {
			return err
		}
		if now == (datasite.Hash{}) {
			continue
		}
		if !slices.Contains(was, now) {
			p.notes = append(p.notes, fmt.Sprintf("%q is no longer part of it; it had been changed here and stays.", rel))
			continue
		}
		if err := p.c.step("remove"); err != nil {
			return err
		}
		err = p.c.cfg.Tree.Apply(ctx, p.from, datasite.Change{Op: datasite.OpRemove, Path: at, Before: datasite.Known{Hash: now}}, nil)
		if err != nil && !errors.Is(err, datasite.ErrStale) {
			return fmt.Errorf("%s: %w", rel, err)
		}
	}
	return nil
}

// keptName is where the content h of the file p is kept when another takes its place.
func keptName(p datasite.Path, h datasite.Hash) datasite.Path {
	base := p.Base()
	ext := path.Ext(base)
	name := strings.TrimSuffix(base, ext)
	mark := " (kept " + h.String()[:8] + ")"
	const most = 255
	if over := len(name) + len(mark) + len(ext) - most; over > 0 {
		name = strings.ToValidUTF8(name[:max(len(name)-over, 0)], "")
	}
	return p.Parent().Join(name + mark + ext)
}
