package grant

import (
	"cmp"
	"context"
	"errors"
	iofs "io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/perm"
)

// Bounds on what is looked at.
const (
	maxPaths     = 10_000
	maxEntries   = 200
	maxQuestions = 500_000 // paths x entries
)

// survey is what lies at and below a path, as far as a view shows it. The first node is the path itself.
type survey struct {
	nodes []node
	cut   bool // there is more
}

type node struct {
	path     datasite.Path
	isDir    bool
	rule     bool // a rule file
	cut      bool // a folder that holds more than its children here
	children []int
}

// look makes a survey of at most maxPaths files and folders. What view may not judge is left out, by the rules that s holds.
func look(ctx context.Context, view *guard.View, s *simulation, p datasite.Path, isDir bool) (*survey, error) {
	l := looker{ctx: ctx, view: view, s: s, out: &survey{}}
	_, err := l.add(p, isDir)
	return l.out, err
}

type looker struct {
	ctx  context.Context
	view *guard.View
	s    *simulation
	out  *survey
}

// add looks at p and what is below it; -1 if p was left out.
func (l *looker) add(p datasite.Path, isDir bool) (int, error) {
	if err := l.ctx.Err(); err != nil {
		return 0, context.Cause(l.ctx)
	}
	if known, err := l.known(p, isDir); err != nil || !known {
		l.out.cut = l.out.cut || err == nil
		return -1, err
	}
	n := len(l.out.nodes)
	l.out.nodes = append(l.out.nodes, node{path: p, isDir: isDir, rule: !isDir && datasite.IsRuleName(p.Base())})
	if !isDir {
		return n, nil
	}
	entries, err := l.view.List(l.ctx, p)
	if err != nil {
		if errors.Is(err, iofs.ErrNotExist) || errors.Is(err, iofs.ErrPermission) {
			return n, nil // gone meanwhile, or not the caller's to see
		}
		return 0, err
	}
	for _, e := range entries {
		child, err := p.Child(e.Name)
		if err != nil {
			continue // a name that cannot be written into a rule, nor travel
		}
		if len(l.out.nodes) >= maxPaths {
			l.out.cut, l.out.nodes[n].cut = true, true
			break
		}
		c, err := l.add(child, e.Mode.IsDir())
		if err != nil {
			return 0, err
		}
		if c < 0 {
			l.out.nodes[n].cut = true
			continue
		}
		l.out.nodes[n].children = append(l.out.nodes[n].children, c)
	}
	return n, nil
}

// known reports whether the gate decides on p by the rule that the view shows: rule files may be hidden from whoever is not
// the owner.
func (l *looker) known(p datasite.Path, isDir bool) (bool, error) {
	me := l.view.Identity().Subject
	if me == l.view.Owner() {
		return true, nil
	}
	d, err := l.view.Explain(l.ctx, me, p, perm.Read)
	if err != nil {
		return false, err
	}
	seen, err := l.s.decide(me, p, isDir, perm.Read)
	return d.By.File == "" || d.By.File == seen.By.File, err
}

// entries are whom the rule files name that have a say on what was looked at, in any of the simulations, and everybody else as
// "*" and "USER". more are added. cut tells that there are
// more: over maxEntries, or whom a pattern names by a hash.
func (s *survey) entries(more []entry, sims ...*simulation) (all []entry, cut bool, err error) {
	byText := map[string]entry{}
	for _, e := range append([]entry{{string(Everyone), perm.Anonymous}, {string(SignedIn), stranger}}, more...) {
		byText[e.text] = e
	}
	dirs := map[datasite.Path]bool{}
	personal := false // some pattern makes a place for whoever is named in the path
	for _, n := range s.nodes {
		d := n.path
		if !n.isDir {
			d = d.Parent()
		}
		for ; !d.IsRoot() && !dirs[d]; d = d.Parent() {
			dirs[d] = true
			for _, sim := range sims {
				sets, err := sim.sets(d.Owner, d.Rel)
				if err != nil {
					return nil, false, err
				}
				for _, rs := range sets {
					for _, r := range rs.Rules {
						personal = personal || strings.Contains(r.Pattern, "{{") || strings.Contains(r.Pattern, "{useremail}")
						cut = cut || hashes(r.Pattern)
						for _, list := range r.Grants {
							for _, text := range list {
								if e, ok := asWritten(text); ok {
									byText[e.text] = e
								} else {
									cut = cut || isGlob(text) && perm.CheckUser(text) == nil
								}
							}
						}
					}
				}
			}
		}
	}
	if personal {
		for d := range dirs {
			addPersonal(byText, d.Base())
		}
		for _, n := range s.nodes {
			addPersonal(byText, n.path.Base())
		}
	}
	if len(s.nodes) > 0 {
		delete(byText, string(s.nodes[0].path.Owner))
	}
	all = slices.SortedFunc(maps.Values(byText), func(a, b entry) int {
		return cmp.Or(strings.Compare(rank(a, more), rank(b, more)), strings.Compare(a.text, b.text))
	})
	if len(all) > maxEntries {
		all, cut = all[:maxEntries], true
	}
	return all, cut, nil
}

// rank puts those first that must be among those that are looked at.
func rank(e entry, more []entry) string {
	if e.many() || slices.Contains(more, e) {
		return "a"
	}
	return "b"
}

// hashes reports a pattern that makes a place for whoever has an address with a hash, who cannot be told from it.
func hashes(pattern string) bool {
	return strings.Contains(pattern, "{{") && (strings.Contains(pattern, "UserHash") || strings.Contains(pattern, "sha2"))
}

func addPersonal(byText map[string]entry, name string) {
	if u, err := perm.ParseUser(name); err == nil && !isGlob(name) {
		if _, ok := byText[string(u)]; !ok {
			byText[string(u)] = entry{string(u), u}
		}
	}
}

// compare gives, for each entry, how its rights change on which nodes. at gives the place of a node's path after the change.
func (s *survey) compare(ctx context.Context, before, after *simulation, entries []entry, at func(datasite.Path) datasite.Path) ([]map[int]change, error) {
	if most := maxQuestions / max(len(entries), 1); len(s.nodes) > most {
		s.trim(most)
	}
	out := make([]map[int]change, len(entries))
	for i := range out {
		out[i] = map[int]change{}
	}
	for n, node := range s.nodes {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		for i, e := range entries {
			was, err := before.rights(e.user, node.path, node.isDir)
			if err != nil {
				return nil, err
			}
			is, err := after.rights(e.user, at(node.path), node.isDir)
			if err != nil {
				return nil, err
			}
			if was != is {
				out[i][n] = change{was, is}
			}
		}
	}
	return out, nil
}

// trim forgets all nodes from number n on.
func (s *survey) trim(n int) {
	s.nodes, s.cut = s.nodes[:n], true
	for i := range s.nodes {
		d := &s.nodes[i]
		keep := slices.DeleteFunc(slices.Clone(d.children), func(c int) bool { return c >= n })
		d.cut = d.cut || len(keep) < len(d.children)
		d.children = keep
	}
}

func stay(p datasite.Path) datasite.Path { return p }
