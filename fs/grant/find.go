package grant

import (
	"context"
	"fmt"
	iofs "io/fs"
	"slices"
	"strings"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
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

// Readers lists whom the rules give at least read on p, as the rules spell them: addresses, "*", "USER", patterns of
// addresses. The owner is left out. isDir says that p is a folder.
func (g *Granter) Readers(ctx context.Context, p datasite.Path, isDir bool) ([]string, error) {
	dir := p
	if !isDir {
		dir = p.Parent()
	}
	e, err := g.find(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("readers of %s: %w", p, err)
	}
	holders, err := e.before.index.Holders(perm.Request{Owner: p.Owner, Path: p.Rel, IsDir: isDir})
	if err != nil {
		return nil, fmt.Errorf("readers of %s: %w", p, err)
	}
	var names []string
	for _, h := range holders {
		if h.Level >= perm.Read {
			names = append(names, h.Entry)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// find gives the rule file that governs what lies in dir, or the one that is to be made in dir if none does.
func (g *Granter) find(ctx context.Context, dir datasite.Path) (*edit, error) {
	s := asStored(ctx, g.view)
	e := &edit{ctx: ctx, view: g.view, opts: g.opts, before: s, file: dir.Join(datasite.PubFile), kind: perm.KindPub, made: true}
	at, rest := datasite.Path{Owner: dir.Owner}, dir.Rel
	for {
		sets, err := s.sets(dir.Owner, at.Rel)
		if err != nil {
			return nil, err
		}
		if len(sets) > 0 { // syft.pub.yaml comes first and counts alone
			rs := sets[0]
			if rs.Broken != nil {
				return nil, fmt.Errorf("%s cannot be read, so that only the owner has rights there; repair it first: %w", rs.From.File, rs.Broken)
			}
			e.kind, e.made, e.terminal, e.file = rs.Kind, false, rs.Terminal, at.Join(rs.Kind.String())
		}
		if e.terminal || rest == "" {
			break
		}
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		at = at.Join(name)
	}
	if !e.made {
		if err := e.load(); err != nil {
			return nil, err
		}
	}
	return e, g.sameFile(ctx, e, dir)
}

// load reads the text that is to be edited, which is also what is decided by.
func (e *edit) load() error {
	text, err := e.text(e.ctx)
	if err != nil {
		return err
	}
	if text == nil {
		return fmt.Errorf("%s was removed at the same moment; do it again: %w", e.file, datasite.ErrStale)
	}
	rs, _, err := rulefile.Parse("/"+e.file.String(), text)
	if err != nil {
		return err
	}
	e.old, e.now, e.rules, e.terminal = text, text, rs.Rules, rs.Terminal
	e.before = e.before.with(e.file, text)
	return nil
}

// sameFile refuses when the gate decides by a rule file that this view does not see: one that is found instead, or made,
// would take its place.
func (g *Granter) sameFile(ctx context.Context, e *edit, dir datasite.Path) error {
	if g.view.Identity().Subject == g.view.Owner() {
		return nil // who sees everything
	}
	d, err := g.view.Explain(ctx, g.view.Identity().Subject, dir.Join("x"), perm.Read)
	if err != nil {
		return err
	}
	if by := d.By.File; by != "" && by != "/"+e.file.String() {
		return fmt.Errorf("a rule file that you cannot change decides on %s; ask its owner: %w", dir, iofs.ErrPermission)
	}
	return nil
}
