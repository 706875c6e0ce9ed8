package grant

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
)

// edit is one change of one rule file, until it is written.
type edit struct {
	ctx      context.Context
	view     *guard.View
	opts     Options
	file     datasite.Path
	kind     perm.Kind
	rules    []perm.Rule // of the text in now
	terminal bool        // as the file stands
	old, now []byte
	made     bool // the file does not exist
	before   *simulation

	target  datasite.Path
	isDir   bool
	pattern string

	survey  *survey // of what the edit may change; nil if nobody looks
	entries []entry
	missed  []datasite.Path
	effects Effects
}

func (e *edit) changed() bool { return e.made && len(e.now) > 0 || string(e.old) != string(e.now) }

// after is as things stand once the edit is written.
func (e *edit) after() *simulation {
	if !e.changed() {
		return e.before
	}
	return e.before.with(e.file, e.now)
}

// inside is the path of p relative to the folder of the rule file, which holds it or is it.
func (e *edit) inside(p datasite.Path) string {
	dir := e.file.Parent().Rel
	if dir == "" {
		return p.Rel
	}
	return p.Rel[min(len(p.Rel), len(dir)+1):]
}

// look surveys what is at and below the target, for the entries that count there and for who.
func (e *edit) look(who ...entry) (err error) {
	if e.survey, err = look(e.ctx, e.view, e.before, e.target, e.isDir); err != nil {
		return err
	}
	var cut bool
	e.entries, cut, err = e.survey.entries(who, e.before)
	e.survey.cut = e.survey.cut || cut
	return err
}

// canName refuses users that the language of the file has no word for.
func (e *edit) canName(who entry) error {
	if e.kind == perm.KindPerm && who.many() && who.user != perm.Anonymous {
		return fmt.Errorf("%s knows addresses and * only, not %q: name the people, or write the rules as a %s: %w", e.file, who.text, datasite.PubFile, ErrByHand)
	}
	return nil
}

// rule is the index of the first rule with exactly the pattern, -1 if there is none.
func (e *edit) rule() int {
	return slices.IndexFunc(e.rules, func(r perm.Rule) bool { return r.Pattern == e.pattern })
}

// apply edits the text.
func (e *edit) apply(c rulefile.Change) error {
	c.Kind, c.Pattern = e.kind, e.pattern
	out, err := rulefile.Edit(e.now, c)
	if err != nil {
		return err
	}
	return e.put(out)
}

func (e *edit) put(text []byte) error {
	rs, _, err := rulefile.Parse("/"+e.file.String(), text)
	if err != nil {
		return err
	}
	e.now, e.rules = text, rs.Rules
	return nil
}

// copyRule makes a rule with the pattern of the edit that says what the rule that decides on the target says, so that the
// more specific rule takes nothing from anybody. In syftperm.yaml rights add up and nothing needs to be copied.
func (e *edit) copyRule() error {
	if e.kind == perm.KindPerm || e.rule() >= 0 {
		return nil
	}
	from, err := e.deciding()
	if err != nil || from == nil {
		return err
	}
	lists := map[perm.Level][]perm.User{}
	for l, texts := range from.Grants {
		for _, text := range texts {
			if namesSomebody(text) { // else it must not begin to
				lists[l] = append(lists[l], perm.User(text))
			}
		}
	}
	if len(lists) == 0 {
		return nil
	}
	if err := e.setLists(lists); err != nil {
		return err
	}
	return e.setLimits(from.Limits)
}

// setLists makes lists the whole access of the rule of a syft.pub.yaml, which is made if it is missing.
func (e *edit) setLists(lists map[perm.Level][]perm.User) error {
	for l := perm.Read; l <= perm.Admin; l++ {
		users, had := lists[l], false
		if i := e.rule(); i >= 0 {
			had = len(e.rules[i].Grants[l]) > 0
		}
		if len(users) > 0 || had {
			if err := e.apply(rulefile.Change{Level: l, Set: &users}); err != nil {
				return err
			}
		}
	}
	if e.rule() >= 0 {
		return nil
	}
	return e.apply(rulefile.Change{Level: perm.Read, Set: &[]perm.User{}})
}

// setLimits sets the limits of the rule of a syft.pub.yaml.
func (e *edit) setLimits(limits perm.Limits) error {
	if e.rules[e.rule()].Limits == limits {
		return nil
	}
	return e.apply(rulefile.Change{Limits: &limits})
}

// deciding is the rule that decides on the target as the file stands, nil if none does.
func (e *edit) deciding() (*perm.Rule, error) {
	// The owner needs no rule; the one that decides is asked for in the name of whoever is not signed in.
	d, err := e.before.decide(perm.Anonymous, e.target, e.isDir, perm.None)
	if err != nil || d.By.Line == 0 || d.By.File != "/"+e.file.String() {
		return nil, err
	}
	i := slices.IndexFunc(e.rules, func(r perm.Rule) bool { return r.From.Line == d.By.Line && r.Pattern == d.Pattern })
	if i < 0 {
		return nil, nil
	}
	r := e.rules[i]
	return &r, nil
}

func (e *edit) result() Edit {
	partial := e.effects.Truncated || e.survey != nil && e.survey.cut
	return Edit{File: e.file, Pattern: e.pattern, Made: e.made && e.changed(), Changed: e.changed(), Effects: e.effects, Missed: e.missed, Partial: partial}
}

// write puts the new text in place, unless somebody else changed the file meanwhile.
func (e *edit) write(op string) (Edit, error) {
	if !e.changed() {
		return e.result(), nil
	}
	if err := e.replace(e.ctx, op, e.old, e.now); err != nil {
		return Edit{}, err
	}
	return e.result(), nil
}

// replace writes one text of the file over another; nil is no file.
func (e *edit) replace(ctx context.Context, op string, was, is []byte) error {
	if same(was, is) {
		return nil
	}
	now, err := e.text(ctx)
	if err != nil {
		return err
	}
	if !same(now, was) {
		return fmt.Errorf("%s: %s was changed at the same moment; do it again: %w", op, e.file, datasite.ErrStale)
	}
	if is == nil {
		return e.view.Remove(ctx, e.file)
	}
	return e.view.Write(ctx, e.file, is)
}

// restore puts back a text in the place of any that was written since.
func (e *edit) restore(ctx context.Context, was []byte, since ...[]byte) error {
	now, err := e.text(ctx)
	if err != nil || same(now, was) {
		return err
	}
	for _, text := range since {
		if same(now, text) {
			return e.replace(ctx, "undo", now, was)
		}
	}
	return fmt.Errorf("%s was changed at the same moment: %w", e.file, datasite.ErrStale)
}

// text reads the file; nil if there is none.
func (e *edit) text(ctx context.Context) ([]byte, error) {
	now, err := e.view.ReadFile(ctx, e.file)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		return nil, nil
	case err == nil && now == nil:
		now = []byte{}
	}
	return now, err
}

func same(a, b []byte) bool { return (a == nil) == (b == nil) && string(a) == string(b) }
