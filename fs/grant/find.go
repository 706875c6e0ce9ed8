package grant

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"strings"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
)

// find gives the rule file that governs what lies in dir, or the one that is to be made in dir if none does.
func (g *Granter) find(ctx context.Context, dir datasite.Path) (*edit, error) {
	s := newSimulation(ctx, g.view)
	e := &edit{ctx: ctx, view: g.view, before: s, file: dir.Join(datasite.PubFile), kind: perm.KindPub, made: true}
	at, rest := datasite.Path{Owner: dir.Owner}, dir.Rel
	for {
		sets, err := s.load(dir.Owner, at.Rel)
		if err != nil {
			return nil, err
		}
		for i, rs := range sets { // syft.pub.yaml comes first and counts alone
			if i > 0 {
				break
			}
			if rs.Broken != nil {
				return nil, fmt.Errorf("%s cannot be read, so that only the owner has rights there; repair it first: %w", rs.From.File, rs.Broken)
			}
			e.kind, e.made, e.rules, e.terminal = rs.Kind, false, rs.Rules, rs.Terminal
			e.file = at.Join(datasite.PubFile)
			if rs.Kind == perm.KindPerm {
				e.file = at.Join(datasite.PermFile)
			}
			e.old = s.texts[e.file]
		}
		if len(sets) > 0 && sets[0].Kind == perm.KindPub && sets[0].Terminal || rest == "" {
			break
		}
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		at = at.Join(name)
	}
	e.now = e.old
	return e, g.sameFile(ctx, e, dir)
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

// reader is what a simulation needs of a view.
type reader interface {
	ReadFile(ctx context.Context, p datasite.Path) ([]byte, error)
	Owner() perm.User
}

// simulation decides by the rule files as a view reads them, one of which may be replaced.
type simulation struct {
	ctx   context.Context
	view  reader
	texts map[datasite.Path][]byte // as read, or as replaced; nil: not there
	index *perm.Index
}

func newSimulation(ctx context.Context, view reader) *simulation {
	s := &simulation{ctx: ctx, view: view, texts: map[datasite.Path][]byte{}}
	s.index = perm.NewIndex(s.load)
	return s
}

// with is the same with another text of one file.
func (s *simulation) with(file datasite.Path, text []byte) *simulation {
	t := newSimulation(s.ctx, s.view)
	for p, b := range s.texts {
		t.texts[p] = b
	}
	t.texts[file] = text
	return t
}

func (s *simulation) load(owner perm.User, dir string) ([]perm.Ruleset, error) {
	var sets []perm.Ruleset
	for _, name := range []string{datasite.PubFile, datasite.PermFile} {
		p := datasite.Path{Owner: owner, Rel: dir}.Join(name)
		text, seen := s.texts[p]
		if !seen {
			var err error
			text, err = s.view.ReadFile(s.ctx, p)
			switch {
			case errors.Is(err, iofs.ErrNotExist):
				text = nil
			case err != nil:
				return nil, fmt.Errorf("rule file %s: %w", p, err)
			case text == nil:
				text = []byte{}
			}
			s.texts[p] = text
		}
		if text == nil {
			continue
		}
		rs, _, _ := rulefile.Parse("/"+p.String(), text) // an error is in rs.Broken
		sets = append(sets, rs)
	}
	return sets, nil
}

// decide asks for any level of somebody who owns nothing, or of user.
func (s *simulation) decide(user perm.User, p datasite.Path, isDir bool) (perm.Decision, error) {
	if user == p.Owner {
		user = perm.Anonymous // the rule that decides is the same for all
	}
	return s.index.Decide(perm.Request{User: user, Owner: p.Owner, Path: p.Rel, IsDir: isDir, Want: perm.None})
}

// level is the highest level of user on p.
func (s *simulation) level(user perm.User, p datasite.Path, isDir bool) (perm.Level, error) {
	if isEveryone(user) {
		user = perm.Anonymous
	}
	d, err := s.index.Decide(perm.Request{User: user, Owner: p.Owner, Path: p.Rel, IsDir: isDir, Want: perm.None})
	return d.Level, err
}
