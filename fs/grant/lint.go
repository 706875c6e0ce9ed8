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

// Finding is something in a rule file that somebody should look at.
type Finding struct {
	File datasite.Path
	rulefile.Problem
}

// Lint looks at the rule files that count for p and, if p is a folder, at all below it: what rulefile.Lint says of each, and
// which of them have no say where they lie. They come in the order of their folders.
func (g *Granter) Lint(ctx context.Context, p datasite.Path) ([]Finding, error) {
	fail := func(err error) ([]Finding, error) { return nil, fmt.Errorf("lint %s: %w", p, err) }
	if err := g.own(p); err != nil {
		return fail(err)
	}
	st, err := g.view.Stat(ctx, p)
	if err != nil {
		return fail(err)
	}
	l := linter{g: g, ctx: ctx, s: asStored(ctx, g.view)}
	dir := p
	if !st.Mode.IsDir() || datasite.IsRuleName(p.Base()) {
		dir = p.Parent()
	}
	err = l.folder(dir, func(file datasite.Path, role perm.FileRole) bool {
		counts := role == perm.RoleDecides || role == perm.RoleAdds || role == perm.RoleUnreadable
		return counts || file == p || dir == p && file.Parent() == dir
	})
	if err != nil {
		return fail(err)
	}
	if dir == p {
		if err := l.below(dir); err != nil {
			return fail(err)
		}
	}
	return l.out, nil
}

type linter struct {
	g   *Granter
	ctx context.Context
	s   *simulation
	out []Finding
}

// below looks at the folders in dir, and at what is below them.
func (l *linter) below(dir datasite.Path) error {
	if err := l.ctx.Err(); err != nil {
		return context.Cause(l.ctx)
	}
	entries, err := l.g.view.List(l.ctx, dir)
	if errors.Is(err, iofs.ErrNotExist) || errors.Is(err, iofs.ErrPermission) {
		return nil // gone meanwhile, or not the caller's to see
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		sub, err := dir.Child(e.Name)
		if err != nil || !e.Mode.IsDir() || datasite.IsRuleName(e.Name) {
			continue
		}
		sets, err := l.s.sets(sub.Owner, sub.Rel)
		if err == nil && len(sets) > 0 {
			err = l.folder(sub, func(file datasite.Path, _ perm.FileRole) bool { return file.Parent() == sub })
		}
		if err == nil {
			err = l.below(sub)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// folder looks at those rule files on the way to what lies in dir that are wanted.
func (l *linter) folder(dir datasite.Path, wanted func(file datasite.Path, role perm.FileRole) bool) error {
	files, err := l.s.roles(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if wanted(f.path, f.Role) {
			if err := l.file(f.path, f.Role); err != nil {
				return err
			}
		}
	}
	return nil
}

// onWay is a rule file on the way to a path.
type onWay struct {
	perm.TracedFile
	path datasite.Path
}

// roles gives the rule files on the way to what lies in dir, top first, with the parts they play.
func (s *simulation) roles(dir datasite.Path) ([]onWay, error) {
	t, err := s.index.Trace(perm.Request{User: perm.Anonymous, Owner: dir.Owner, Path: dir.Join("x").Rel, Want: perm.Read})
	if err != nil {
		return nil, err
	}
	out := make([]onWay, len(t.Files))
	for i, f := range t.Files {
		out[i].TracedFile = f
		if out[i].path, err = datasite.Parse(strings.TrimPrefix(f.From.File, "/")); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// file looks at one rule file, which plays a part where it lies.
func (l *linter) file(file datasite.Path, role perm.FileRole) error {
	_, _, problems, err := l.g.read(l.ctx, file)
	if errors.Is(err, iofs.ErrNotExist) || errors.Is(err, iofs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	problems = append(problems, noSay(file, role)...)
	for _, p := range problems {
		l.out = append(l.out, Finding{file, p})
	}
	return nil
}

// noSay tells of a rule file that plays no part where it lies.
func noSay(file datasite.Path, role perm.FileRole) []rulefile.Problem {
	switch role {
	case perm.RoleBeside:
		return []rulefile.Problem{rulefile.BothWarning("/" + file.Parent().String())}
	case perm.RoleIgnored, perm.RoleShut:
		return []rulefile.Problem{{Severity: rulefile.SeverityWarning, Text: fmt.Sprintf("it has no say: it lies %s", role),
			Hint: "remove it, or change the file above"}}
	}
	return nil
}
