package grant

import (
	"fmt"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
)

// maxMoveRules is how many rules a move may add.
const maxMoveRules = 100

// plan finds the least rules at the destination under which everybody may do what they may do now.
func (m *move) plan() error {
	bare := m.now.moved(m.from, m.to)
	differ, wider, err := m.compare(bare)
	if err != nil {
		return err
	}
	held, err := m.heldAt(bare)
	if err != nil {
		return err
	}
	ruled := map[int]bool{} // nodes that get a rule
	for len(differ) > 0 {
		if err := m.more(ruled, differ); err != nil {
			return err
		}
		if err := m.write(ruled, false, held); err != nil {
			return err
		}
		if differ, _, err = m.compare(m.dst.after().moved(m.from, m.to)); err != nil {
			return err
		}
		if err := m.stuck(ruled, differ); err != nil {
			return err
		}
	}
	if err := m.stale(); err != nil {
		return err
	}
	if m.loose = m.dst.now; m.dst.made && len(m.loose) == 0 {
		m.loose = nil
	}
	if err := m.dst.lockout(); err != nil {
		return err
	}
	m.tight = m.dst.old
	if !wider {
		return nil
	}
	return m.tighten(ruled, held)
}

// tighten makes the text for the time between, under which nobody has anything at the destination but the caller, who moves.
func (m *move) tighten(ruled map[int]bool, held bool) error {
	e := *m.dst
	defer func() { *m.dst = e }()
	if err := m.write(ruled, true, held); err != nil {
		return err
	}
	_, wider, err := m.compare(m.dst.after().moved(m.from, m.to))
	if err != nil {
		return err
	}
	if wider {
		return fmt.Errorf("rules at %s would let others in while it is moved: %w", m.to.Parent(), ErrSideEffect)
	}
	if err := m.dst.lockout(); err != nil {
		return err
	}
	m.tight = m.dst.now
	return nil
}

// compare gives the nodes on which somebody may do other things than now, and whether somebody may do more.
func (m *move) compare(s *simulation) (differ []int, wider bool, err error) {
	for n, node := range m.survey.nodes {
		other := false
		for i, e := range m.entries {
			r, err := s.rights(e.user, m.at(node.path), node.isDir)
			if err != nil {
				return nil, false, err
			}
			other = other || r != m.was[i][n]
			wider = wider || r.exceeds(m.was[i][n])
		}
		if other {
			differ = append(differ, n)
		}
	}
	return differ, wider, m.ctx.Err()
}

// heldAt reports whether anybody would have anything on what is moved.
func (m *move) heldAt(s *simulation) (bool, error) {
	for _, node := range m.survey.nodes {
		for _, e := range m.entries {
			if r, err := s.rights(e.user, m.at(node.path), node.isDir); err != nil || r != (rights{}) {
				return true, err
			}
		}
	}
	return false, nil
}

// more adds the topmost nodes of those that differ.
func (m *move) more(ruled map[int]bool, differ []int) error {
	below := -1 // nodes up to this number are in a folder that was just added
	for _, n := range differ {
		if n <= below || ruled[n] {
			continue
		}
		ruled[n] = true
		below = max(below, m.last(n))
	}
	if len(ruled) > maxMoveRules {
		return fmt.Errorf("it would take more than %d rules to keep what is decided by many: move smaller parts: %w", maxMoveRules, ErrByHand)
	}
	return nil
}

// last is the number of the last node in or below n.
func (m *move) last(n int) int {
	for c := m.survey.nodes[n].children; len(c) > 0; c = m.survey.nodes[n].children {
		n = c[len(c)-1]
	}
	return n
}

// stuck refuses when a rule for exactly a path does not decide on it.
func (m *move) stuck(ruled map[int]bool, differ []int) error {
	after := m.dst.after().moved(m.from, m.to)
	for _, n := range differ {
		if !ruled[n] {
			continue
		}
		node := m.survey.nodes[n]
		for i, e := range m.entries {
			r, err := after.rights(e.user, m.at(node.path), node.isDir)
			if err != nil {
				return err
			}
			if was := m.was[i][n]; r != was {
				d, err := after.decide(e.user, m.at(node.path), node.isDir, perm.None)
				if err != nil {
					return err
				}
				return fmt.Errorf("%s for %s on %s would become %s%s at %s, where %s decides: change that rule first: %w",
					was.level, e, node.path, r.level, orNote(change{was, r}), m.at(node.path), place(d), ErrSideEffect)
			}
		}
	}
	return nil
}

// write makes the text of the destination's file anew, with a rule for each of the nodes; tight ones keep nobody but the caller.
// held tells that rules of a syftperm.yaml have to be taken away first.
func (m *move) write(ruled map[int]bool, tight, held bool) error {
	e := m.dst
	e.now = e.old
	if e.old != nil {
		if err := e.put(e.old); err != nil {
			return err
		}
	} else {
		e.rules = nil
	}
	for n := range m.survey.nodes {
		if !ruled[n] {
			continue
		}
		node := m.survey.nodes[n]
		patterns, err := exact(e, m.at(node.path), node.isDir)
		if err != nil {
			return err
		}
		for _, e.pattern = range patterns {
			if e.kind == perm.KindPub {
				err = m.putPub(n, tight)
			} else {
				err = m.putPerm(n, tight, held)
			}
			if err != nil {
				return err
			}
		}
	}
	if len(ruled) > 0 {
		node := m.survey.nodes[0]
		patterns, err := exact(e, m.at(node.path), node.isDir)
		if err != nil {
			return err
		}
		e.pattern = patterns[len(patterns)-1]
	}
	return nil
}

// exact are the patterns that together cover exactly p, and what is below it.
func exact(e *edit, p datasite.Path, isDir bool) ([]string, error) {
	whole, err := patternOf(e.kind, e.inside(p), isDir)
	if err != nil || e.kind == perm.KindPub || !isDir {
		return []string{whole}, err
	}
	self, err := patternOf(e.kind, e.inside(p), false) // "dir/**" does not match dir there
	return []string{self, whole}, err
}

// keeps are the entries whose rights on a node have to be written down: all, or in between only the caller's.
func (m *move) keeps(i int, tight bool) bool {
	return !tight || m.entries[i].user == m.me
}

// putPub makes the rule for node n.
func (m *move) putPub(n int, tight bool) error {
	lists := map[perm.Level][]perm.User{}
	var limits *perm.Limits
	for i, e := range m.entries {
		r := m.was[i][n]
		if !m.keeps(i, tight) {
			continue
		}
		implied := perm.None
		for j, o := range m.entries[:i] {
			if o.many() && m.keeps(j, tight) && o.covers(e) {
				implied = max(implied, m.was[j][n].level)
			}
		}
		node := m.survey.nodes[n]
		switch {
		case r.level < implied:
			return fmt.Errorf("%s has fewer rights on %s than others who are named by the same words, which one rule cannot say: %w", e, node.path, ErrByHand)
		case r.level >= perm.Create && !r.creates:
			return fmt.Errorf("%s may write to %s without creating there, which a %s cannot say: %w", e, node.path, datasite.PubFile, ErrByHand)
		case r.level >= perm.Create && limits != nil && *limits != r.limits:
			return fmt.Errorf("not all who may write to %s have the same limits, which one rule cannot say: %w", node.path, ErrByHand)
		case r.level >= perm.Create:
			limits = &r.limits
		}
		if r.level > implied {
			lists[r.level] = append(lists[r.level], perm.User(e.text))
		}
	}
	if err := m.dst.setLists(lists); err != nil {
		return err
	}
	if limits == nil {
		limits = &perm.Limits{}
	}
	return m.dst.setLimits(*limits)
}

// putPerm makes the rules for node n at the end of the file.
func (m *move) putPerm(n int, tight, held bool) error {
	e, node := m.dst, m.survey.nodes[n]
	if err := e.apply(rulefile.Change{Drop: true}); err != nil {
		return err
	}
	all := []perm.Level{perm.Read, perm.Create, perm.Write, perm.Admin}
	if held {
		if err := e.appendPerm(true, Everyone, all...); err != nil {
			return err
		}
	}
	var everyone rights
	for i, who := range m.entries {
		r := m.was[i][n]
		switch {
		case !m.keeps(i, tight):
			continue
		case r.limits != (perm.Limits{}):
			return fmt.Errorf("%s has limits on %s, which a %s cannot say: %w", who, node.path, datasite.PermFile, ErrByHand)
		case who.user == perm.Anonymous:
			everyone = r
		case r == everyone:
			continue
		case e.canName(who) != nil:
			return fmt.Errorf("%s may do something else on %s than everyone: %w", who, node.path, e.canName(who))
		case everyone != rights{}:
			if err := e.appendPerm(true, perm.User(who.text), all...); err != nil {
				return err
			}
		}
		levels := r.upTo(perm.Write)
		if r.level == perm.Admin {
			levels = []perm.Level{perm.Admin}
		}
		if len(levels) > 0 {
			if err := e.appendPerm(false, perm.User(who.text), levels...); err != nil {
				return err
			}
		}
	}
	return nil
}

// stale takes out of the rule file at the source what is said about exactly what is moved: it will apply to nothing. A file
// that the caller may not change keeps it.
func (m *move) stale() error {
	e := m.dst
	if m.src != nil {
		e = m.src
		if d, err := m.now.decide(m.me, e.file, false, perm.Admin); err != nil || !d.Allowed {
			m.src = nil
			return err
		}
	}
	pattern := e.pattern
	defer func() { e.pattern = pattern }()
	for _, node := range m.survey.nodes {
		patterns := make([]string, 0, 3)
		if whole, err := exact(e, node.path, node.isDir); err == nil { // else no pattern can name it
			patterns = append(patterns, whole...)
		}
		if self, err := patternOf(e.kind, e.inside(node.path), false); err == nil {
			patterns = append(patterns, self)
		}
		for _, e.pattern = range patterns {
			if e.rule() < 0 {
				continue
			}
			if err := e.apply(rulefile.Change{Drop: true}); err != nil {
				return err
			}
		}
	}
	if m.src == nil {
		return nil
	}
	return e.lockout()
}
