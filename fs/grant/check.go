package grant

import (
	"fmt"

	"github.com/openmined/syftfs/perm"
)

// maxMissed is how much of what an edit does not reach is told.
const maxMissed = 100

// check compares what the edit leads to with what was: the aim's user gets what is wanted at the target and no more below
// it, nobody else's rights on what is there change, and the caller keeps the right to change the file.
func (e *edit) check(a aim) error {
	if err := e.lockout(); err != nil {
		return err
	}
	after := e.after()
	changes, err := e.survey.compare(e.ctx, e.before, after, e.entries, stay)
	if err != nil {
		return err
	}
	for n, node := range e.survey.nodes {
		for i, other := range e.entries {
			c, ok := changes[i][n]
			switch {
			case other.text == a.who.text && !node.rule:
				if !ok {
					if c.was, err = e.before.rights(other.user, node.path, node.isDir); err != nil {
						return err
					}
					c.is = c.was
				}
				if err := e.reached(a, node, c, after); err != nil {
					return err
				}
			case ok && !(a.who.covers(other) && a.allows(c, node.rule)):
				return e.sideEffect(other, node, c)
			}
		}
	}
	e.effects = e.survey.effects(e.entries, changes)
	return nil
}

// allows reports whether c is a part of what the aim is for.
func (a aim) allows(c change, onRuleFile bool) bool {
	if a.gives {
		return !c.was.exceeds(c.is) && (onRuleFile || c.is.level <= max(c.was.level, a.level))
	}
	return !c.is.exceeds(c.was) && (onRuleFile || c.is.level >= min(c.was.level, a.level))
}

// reached looks at what the aim's own user has at node now.
func (e *edit) reached(a aim, node node, c change, after *simulation) error {
	there := c.is.has(a.level)
	if !a.gives {
		there = c.is.level <= a.level
	}
	if e.kind == perm.KindPerm && !a.gives && !c.is.exceeds(c.was) { // there the rights do not include each other
		c.is.level = max(c.is.level, min(c.was.level, a.level))
	}
	if c.was != c.is && !a.allows(c, false) {
		return e.sideEffect(a.who, node, c)
	}
	covered := e.kind == perm.KindPub || !e.isDir // in syftperm.yaml "dir/**" does not match dir
	switch {
	case there:
	case node.path == e.target && covered:
		d, err := after.decide(a.who.user, node.path, node.isDir, perm.None)
		if err != nil {
			return err
		}
		return fmt.Errorf("%s goes on deciding about %s: change that rule: %w", place(d), node.path, ErrNoEffect)
	case node.path == e.target:
	case len(e.missed) < maxMissed:
		e.missed = append(e.missed, node.path)
	default:
		e.survey.cut = true
	}
	return nil
}

func (e *edit) sideEffect(who entry, node node, c change) error {
	return fmt.Errorf("%s for %s on %s would become %s%s: name single files or folders instead, or edit %s by hand: %w",
		c.was.level, who, node.path, c.is.level, orNote(c), e.file, ErrSideEffect)
}

func orNote(c change) string {
	if n := note(c.was, c.is); n != "" {
		return " (" + n + ")"
	}
	return ""
}

func place(d perm.Decision) string {
	if d.By.File == "" {
		return "another rule"
	}
	if d.By.Line == 0 {
		return d.By.File
	}
	return fmt.Sprintf("%s line %d", d.By.File, d.By.Line)
}

// most is the highest level of who at the target and below it; admin if there is more than was looked at.
func (e *edit) most(s *simulation, who entry) (most perm.Level, err error) {
	if e.survey.cut {
		return perm.Admin, nil
	}
	for _, n := range e.survey.nodes {
		r, err := s.rights(who.user, n.path, n.isDir)
		if err != nil {
			return 0, err
		}
		if !n.rule {
			most = max(most, r.level)
		}
	}
	return most, nil
}

// namedFor reports whether the aim's user holds the level at the target and everywhere below it, and not only as one of more.
func (e *edit) namedFor(a aim) (bool, error) {
	if e.rule() >= 0 || e.survey.cut {
		return false, nil
	}
	if a.who.user != perm.Anonymous {
		of := stranger
		if a.who.user == stranger {
			of = perm.Anonymous
		}
		if any, err := e.before.rights(of, e.target, e.isDir); err != nil || any.has(a.level) {
			return false, err
		}
	}
	for _, n := range e.survey.nodes {
		r, err := e.before.rights(a.who.user, n.path, n.isDir)
		if err != nil || !n.rule && !r.has(a.level) {
			return false, err
		}
	}
	return true, nil
}

// lockout refuses an edit after which the caller could not change the file any more.
func (e *edit) lockout() error {
	me := e.view.Identity().Subject
	if me == e.view.Owner() || e.opts.AllowLockout || !e.changed() {
		return nil
	}
	was, err := e.before.decide(me, e.file, false, perm.Admin)
	if err != nil || !was.Allowed {
		return err // then the gate refuses
	}
	if is, err := e.after().decide(me, e.file, false, perm.Admin); err != nil || is.Allowed {
		return err
	}
	return fmt.Errorf("%s would not name you as admin: %w", e.file, ErrLockout)
}
