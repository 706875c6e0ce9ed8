package grant

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

// maxEffects is how many effects are told of each kind.
const maxEffects = 1000

// Reach says what of an effect's path changes.
type Reach uint8

// The reaches.
const (
	ReachSelf   Reach = iota // the file or folder itself
	ReachWhole               // the folder and everything below it
	ReachInside              // everything below the folder, not the folder itself
)

// Effect is a change of what somebody may do with files and folders that exist. Rule files change as their folder does, where create
// and write on them take admin; only where they change otherwise they have an effect of their own.
type Effect struct {
	Path          datasite.Path
	IsDir         bool
	Reach         Reach
	Entry         string // an address, "*", "USER" (any signed-in user that is not named) or a glob
	Before, After perm.Level
	Note          string // what changes when the level does not: the right to create, limits
}

// String gives the effect in one line.
func (e Effect) String() string {
	what := "/" + e.Path.String()
	switch e.Reach {
	case ReachWhole:
		what += " and everything below it"
	case ReachInside:
		what = "everything below " + what
	}
	if e.Note != "" {
		return fmt.Sprintf("%s on %s: %s, %s", entry{text: e.Entry}, what, e.After, e.Note)
	}
	return fmt.Sprintf("%s on %s: %s, was %s", entry{text: e.Entry}, what, e.After, e.Before)
}

// Effects is what an edit changes, by path and then by entry. What both takes and gives is in both lists.
type Effects struct {
	Gains, Losses []Effect
	Truncated     bool // there is more than was looked at, or than is told
	Paths         int  // how many files and folders were looked at
}

// change is one change of the rights of an entry; the zero change is none.
type change struct{ was, is rights }

func changed(was, is rights) change {
	if was == is {
		return change{}
	}
	return change{was, is}
}

// effects gathers the changes of each entry into as few effects as say the same.
func (s *survey) effects(entries []entry, changes []map[int]change) Effects {
	out := Effects{Paths: len(s.nodes), Truncated: s.cut}
	for i, e := range entries {
		g := gatherer{s: s, entry: e, changes: changes[i], out: &out}
		if len(g.changes) > 0 {
			g.emit(0, g.gather(0))
		}
	}
	for _, list := range []*[]Effect{&out.Gains, &out.Losses} {
		slices.SortStableFunc(*list, func(a, b Effect) int {
			return cmp.Or(strings.Compare(a.Path.Rel, b.Path.Rel), strings.Compare(a.Entry, b.Entry), cmp.Compare(a.Reach, b.Reach))
		})
		if len(*list) > maxEffects {
			*list, out.Truncated = (*list)[:maxEffects:maxEffects], true
		}
	}
	return out
}

// gatherer works on one entry.
type gatherer struct {
	s       *survey
	entry   entry
	changes map[int]change
	out     *Effects
}

// gathered is what was found of a file or folder and all below it.
type gathered struct {
	self   change
	inside change // what is below changes so, all of it
	mixed  bool   // it does not change alike
	empty  bool   // nothing is below
}

// gather looks at node n and what is below it; what cannot be said together any more is told.
func (g *gatherer) gather(n int) gathered {
	node := &g.s.nodes[n]
	out := gathered{self: g.changes[n], empty: true, mixed: node.cut}
	type child struct {
		n   int
		got gathered
	}
	var children, rules []child
	for _, c := range node.children {
		k := child{c, g.gather(c)}
		if g.s.nodes[c].rule {
			rules = append(rules, k)
			continue
		}
		whole, alike := k.got.whole()
		if !alike || !out.empty && whole != out.inside {
			out.mixed = true
		}
		out.inside, out.empty = whole, false
		children = append(children, k)
	}
	for _, k := range rules {
		of := out.inside
		if out.empty {
			of = out.self
		}
		if !out.mixed && k.got.self != changed(of.was.onRuleFile(), of.is.onRuleFile()) {
			out.mixed = true
		}
	}
	if out.mixed {
		for _, k := range append(children, rules...) {
			g.emit(k.n, k.got)
		}
	}
	return out
}

// whole gives the change of a file, or of a folder with everything below it, if that is one change.
func (g gathered) whole() (change, bool) {
	return g.self, !g.mixed && (g.empty || g.self == g.inside)
}

// emit tells what was gathered of node n.
func (g *gatherer) emit(n int, got gathered) {
	node := &g.s.nodes[n]
	whole, alike := got.whole()
	switch {
	case alike && node.isDir:
		g.tell(n, ReachWhole, whole)
	case alike:
		g.tell(n, ReachSelf, whole)
	default:
		g.tell(n, ReachSelf, got.self)
		if !got.mixed {
			g.tell(n, ReachInside, got.inside)
		}
	}
}

func (g *gatherer) tell(n int, reach Reach, c change) {
	if c == (change{}) {
		return
	}
	node := &g.s.nodes[n]
	e := Effect{Path: node.path, IsDir: node.isDir, Reach: reach, Entry: g.entry.text, Before: c.was.level, After: c.is.level, Note: note(c.was, c.is)}
	if c.is.exceeds(c.was) {
		g.out.Gains = append(g.out.Gains, e)
	}
	if c.was.exceeds(c.is) {
		g.out.Losses = append(g.out.Losses, e)
	}
}
