package grant

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/perm/rulefile"
)

// Diff tells what it would change if text were saved as the rule file, which need not exist; nil stands for removing it. Of
// a text that does not parse these are the effects of a broken file, which leaves its folder to the owner, and the error.
// The problems are those of the text. Nothing is written.
func (g *Granter) Diff(ctx context.Context, file datasite.Path, text []byte) (Effects, []rulefile.Problem, error) {
	fail := func(err error) (Effects, []rulefile.Problem, error) {
		return Effects{}, nil, fmt.Errorf("diff %s: %w", file, err)
	}
	if err := g.own(file); err != nil {
		return fail(err)
	}
	if file.Rel == "" || !datasite.IsRuleName(file.Base()) {
		return fail(fmt.Errorf("a rule file is called %s or %s: %w", datasite.PubFile, datasite.PermFile, iofs.ErrInvalid))
	}
	var problems []rulefile.Problem
	var broken error
	if text != nil {
		name := "/" + file.String()
		problems = rulefile.Lint(name, text)
		_, _, broken = rulefile.Parse(name, text)
	}
	dir := file.Parent()
	before := asStored(ctx, g.view)
	after := before.with(file, text)
	files, err := after.roles(dir)
	if err != nil {
		return fail(err)
	}
	for _, f := range files {
		if f.path == file {
			problems = append(problems, noSay(file, f.Role)...)
		}
	}
	st, err := g.view.Stat(ctx, dir)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		return Effects{}, problems, broken
	case err != nil:
		return fail(err)
	case !st.Mode.IsDir():
		return fail(fmt.Errorf("%s is not a folder: %w", dir, iofs.ErrInvalid))
	}
	out, err := effects(ctx, g.view, before, after, dir)
	if err != nil {
		return fail(err)
	}
	return out, problems, broken
}

// effects compares what may be done at and below a folder.
func effects(ctx context.Context, view *guard.View, before, after *simulation, dir datasite.Path) (Effects, error) {
	s, err := look(ctx, view, before, dir, true)
	if err != nil {
		return Effects{}, err
	}
	entries, cut, err := s.entries(nil, before, after)
	if err != nil {
		return Effects{}, err
	}
	s.cut = s.cut || cut
	changes, err := s.compare(ctx, before, after, entries, stay)
	if err != nil {
		return Effects{}, err
	}
	return s.effects(entries, changes), nil
}
