package grant

import (
	"errors"
	"fmt"
	iofs "io/fs"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
)

// set edits the text as Set says.
func (e *edit) set(grants map[perm.Level][]perm.User, o SetOptions) error {
	if err := e.checkSet(grants, o); err != nil {
		return err
	}
	grants, err := e.spelled(grants)
	if err != nil {
		return err
	}
	if o.Terminal != nil {
		text, err := rulefile.Edit(e.now, rulefile.Change{Kind: e.kind, Terminal: o.Terminal})
		if err == nil {
			err = e.put(text)
		}
		if err != nil {
			return err
		}
	}
	switch {
	case e.pattern == "":
		return nil
	case o.Drop:
		return e.apply(rulefile.Change{Drop: true})
	case e.kind == perm.KindPerm:
		if err := e.apply(rulefile.Change{Drop: true}); err != nil {
			return err
		}
		for l := perm.Read; l <= perm.Admin; l++ {
			if users := grants[l]; len(users) > 0 {
				if err := e.apply(rulefile.Change{Level: l, Add: users}); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := e.setLists(grants); err != nil || o.Limits == nil {
		return err
	}
	return e.setLimits(*o.Limits)
}

func (e *edit) checkSet(grants map[perm.Level][]perm.User, o SetOptions) error {
	for l := range grants {
		if l < perm.Read || l > perm.Admin {
			return fmt.Errorf("no such level: use read, create, write or admin: %w", iofs.ErrInvalid)
		}
	}
	switch {
	case e.pattern == "" && (o.Terminal == nil || o.Drop || o.Limits != nil || len(grants) > 0):
		return fmt.Errorf("name the pattern of the rule, ** for the whole folder: %w", iofs.ErrInvalid)
	case o.Drop && (len(grants) > 0 || o.Limits != nil):
		return fmt.Errorf("a rule is either removed or set: %w", iofs.ErrInvalid)
	case e.kind == perm.KindPerm && (o.Limits != nil || o.Terminal != nil):
		return fmt.Errorf("%s has neither limits nor terminal: write the rules as a %s: %w", e.file, datasite.PubFile, ErrByHand)
	case o.Terminal != nil && e.file.Parent() != e.target:
		return fmt.Errorf("terminal is said of a whole rule file, and the one that decides here is %s: name its folder: %w", e.file, iofs.ErrInvalid)
	}
	return nil
}

// spelled gives the users as they are written into the file.
func (e *edit) spelled(grants map[perm.Level][]perm.User) (map[perm.Level][]perm.User, error) {
	out := map[perm.Level][]perm.User{}
	for l, users := range grants {
		for _, u := range users {
			who, err := parseEntry(u)
			if err == nil {
				err = e.canName(who)
			}
			if err != nil {
				return nil, err
			}
			out[l] = append(out[l], perm.User(who.text))
		}
	}
	return out, nil
}

// tell works out what the edit changes.
func (e *edit) tell() error {
	if !e.changed() {
		return nil
	}
	_, err := e.view.Stat(e.ctx, e.target)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil // and so nothing is below it
	}
	if err == nil {
		e.effects, err = effects(e.ctx, e.view, e.before, e.after(), e.target)
	}
	return err
}
