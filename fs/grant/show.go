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

// Shown is what the rules say about a path. Whoever is neither the owner nor an admin of it is shown what they may read, and
// no Holders.
type Shown struct {
	Path     datasite.Path
	IsDir    bool
	File     datasite.Path // the rule file that governs; the one to be made if there is none
	Exists   bool
	Kind     perm.Kind
	Text     []byte // of File; nil if it may not be read
	Broken   error  // why File does not parse: its folder and all below is the owner's alone
	Terminal bool   // rule files below File have no say
	Rules    []perm.TracedRule
	Holders  []perm.Holder
	Files    []perm.TracedFile // all rule files on the way to Path, top first, with the part that each plays
	Problems []rulefile.Problem
}

// Show tells what the rules say about p, whether p exists or not.
func (g *Granter) Show(ctx context.Context, p datasite.Path) (Shown, error) {
	fail := func(err error) (Shown, error) { return Shown{}, fmt.Errorf("show %s: %w", p, err) }
	if err := g.own(p); err != nil {
		return fail(err)
	}
	out := Shown{Path: p, IsDir: p.Rel == ""}
	switch st, err := g.view.Stat(ctx, p); {
	case err == nil:
		out.IsDir = st.Mode.IsDir()
	case !errors.Is(err, iofs.ErrNotExist):
		return fail(err)
	}
	t, err := g.view.Trace(ctx, g.view.Identity().Subject, p, perm.Read)
	if err != nil {
		return fail(err)
	}
	out.Rules, out.Files = t.Rules, t.Files
	dir := p
	if !out.IsDir {
		dir = p.Parent()
	}
	out.File, out.Kind = dir.Join(datasite.PubFile), perm.KindPub
	for _, f := range t.Files {
		if f.Role != perm.RoleDecides && f.Role != perm.RoleUnreadable {
			continue
		}
		if out.File, err = datasite.Parse(strings.TrimPrefix(f.From.File, "/")); err != nil {
			return fail(err)
		}
		out.Exists, out.Kind = true, f.Kind
	}
	if out.Exists {
		if err := g.showText(ctx, &out); err != nil {
			return fail(err)
		}
	}
	if out.Holders, err = g.view.Holders(ctx, p); err != nil && !errors.Is(err, iofs.ErrPermission) {
		return fail(err)
	}
	return out, nil
}

func (g *Granter) showText(ctx context.Context, out *Shown) error {
	rs, text, problems, err := g.read(ctx, out.File)
	if errors.Is(err, iofs.ErrPermission) || errors.Is(err, iofs.ErrNotExist) {
		return nil // not the caller's to read
	}
	out.Text, out.Terminal, out.Broken, out.Problems = text, rs.Terminal, rs.Broken, problems
	return err
}

// read gives a rule file with everything that can be said about it. One that is no regular file, or too large, has no text.
func (g *Granter) read(ctx context.Context, file datasite.Path) (rs perm.Ruleset, text []byte, problems []rulefile.Problem, err error) {
	sets, err := rulefile.Loader(viewFS{ctx, g.view})(file.Owner, file.Parent().Rel)
	if err != nil {
		return rs, nil, nil, err
	}
	for _, found := range sets {
		if found.Kind.String() == file.Base() {
			rs = found
		}
	}
	if rs.Kind == 0 {
		return rs, nil, nil, fmt.Errorf("%s: %w", file, iofs.ErrNotExist)
	}
	st, err := g.view.Stat(ctx, file)
	switch {
	case err != nil:
		return rs, nil, nil, err
	case !st.Mode.IsRegular() || st.Stamp.Size > rulefile.MaxSize:
		var wrong *rulefile.Error
		if errors.As(rs.Broken, &wrong) {
			problems = append(problems, wrong.Problem)
		}
		return rs, nil, problems, nil
	}
	if text, err = g.view.ReadFile(ctx, file); err != nil {
		return rs, nil, nil, err
	}
	return rs, text, rulefile.Lint("/"+file.String(), text), nil
}
