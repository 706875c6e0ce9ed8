package grant

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

// Governing tells which rule file decides on what lies in a folder.
type Governing struct {
	File     datasite.Path // the one to be made in the folder if there is none
	Exists   bool
	Terminal bool // rule files below it have no say
}

// Governing finds the rule file that decides on what lies in dir, whether dir exists or not.
func (g *Granter) Governing(ctx context.Context, dir datasite.Path) (Governing, error) {
	e, err := g.find(ctx, dir)
	if err != nil {
		return Governing{}, fmt.Errorf("rules of %s: %w", dir, err)
	}
	return Governing{File: e.file, Exists: !e.made, Terminal: e.terminal}, nil
}

// Readers lists whom the rules give at least read on p, as the rules spell them: addresses, "*", patterns of addresses. The
// owner is left out. isDir says that p is a folder.
func (g *Granter) Readers(ctx context.Context, p datasite.Path, isDir bool) ([]string, error) {
	dir := p
	if !isDir {
		dir = p.Parent()
	}
	e, err := g.find(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("readers of %s: %w", p, err)
	}
	e.target, e.isDir = p, isDir
	named := map[string]bool{}
	if e.kind == perm.KindPub {
		r, err := e.deciding()
		if err != nil || r == nil {
			return nil, err
		}
		for _, users := range r.Grants {
			for _, u := range users {
				named[u] = true
			}
		}
	} else {
		for _, u := range append(e.others(""), Everyone) {
			if l, err := e.before.level(u, p, isDir); err != nil {
				return nil, err
			} else if l > perm.None && u != stranger && u != perm.Anonymous {
				named[string(u)] = true
			}
		}
	}
	delete(named, string(p.Owner))
	return slices.Sorted(maps.Keys(named)), nil
}
