package collection

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
	"go.etcd.io/bbolt"
)

// anybody stands for everybody who is not named: the domain is reserved and is nobody's.
const anybody perm.User = "anybody@syftfs.invalid"

// audience is who reads a dataset.
type audience struct {
	readers map[perm.User][]string // with the spellings to use on Drive
	any     bool
	notes   []string
}

// onDrive is who may read a collection of ours.
func (c *Collections) onDrive(ctx context.Context, id remote.ID) (audience, error) {
	a := audience{readers: map[perm.User][]string{}}
	o, err := c.cfg.Remote.Stat(ctx, id, remote.WithProperties)
	if err != nil {
		return a, err
	}
	a.any = o.Properties[wire.AnyProperty] == wire.AnyValue
	grants, err := c.cfg.Remote.Grants(ctx, id)
	if err != nil {
		return a, err
	}
	for _, g := range grants {
		if g.Who == remote.Anyone {
			a.notes = append(a.notes, "On Drive everybody who has the link may read it. Change that there if you do not mean it.")
			continue
		}
		address, err := wire.ParseAddress(g.Who)
		if err != nil {
			a.notes = append(a.notes, fmt.Sprintf("On Drive it is shared with %q, which is no address of a person. Change that there if you do not mean it.", g.Who))
			continue
		}
		if u := address.User(); u != c.cfg.Owner {
			a.readers[u] = append(a.readers[u], g.Who)
		}
		if g.Role == remote.CanWrite {
			a.notes = append(a.notes, fmt.Sprintf("On Drive %s may also write in it. Change that there if you do not mean it.", address))
		}
	}
	return a, nil
}

// byRules is who is to read files, all of them: whom the rules name, and of those whom they do not name, peers.
func (c *Collections) byRules(ctx context.Context, files []file, peers peers) (audience, error) {
	a := audience{readers: map[perm.User][]string{}}
	for _, f := range files {
		if f.Name != descriptionFile {
			continue
		}
		entries, err := c.cfg.Rules.Readers(ctx, f.Path)
		if err != nil {
			return a, err
		}
		for _, e := range entries {
			// Of entries that stand for many, peers are asked for one by one.
			if u, err := perm.ParseUser(e); err == nil && string(u) == e {
				a.readers[u] = []string{string(c.cfg.Peers.Spell(u))}
			}
		}
	}
	named := maps.Clone(a.readers)
	for u, p := range peers {
		a.readers[u] = []string{string(p.Address)}
	}
	for u := range a.readers {
		all, err := c.mayRead(ctx, u, files)
		if err != nil {
			return a, err
		}
		if all && u != c.cfg.Owner {
			continue
		}
		delete(a.readers, u)
		if _, ok := named[u]; ok && u != c.cfg.Owner {
			a.notes = append(a.notes, fmt.Sprintf("%s may read parts of it only, so it is not shared with %s on Drive, where all is shared or nothing.", u, u))
		}
	}
	slices.Sort(a.notes)
	var err error
	a.any, err = c.mayRead(ctx, anybody, files)
	return a, err
}

// agree compares who reads a dataset on Drive with who may by the rules. What changed since both were the same, on one side, is carried to
// the other; where nothing is known of a time when they were the same, both are added up. One and the same reader cannot have changed on
// both sides but in the same way, so no side has to win.
func (c *Collections) agree(ctx context.Context, name string, o owned) error {
	id := o.Public.Now.ID
	s, err := c.list(ctx, c.mock(name), wire.CollectionFolder)
	if err != nil {
		return err
	}
	drive, err := c.onDrive(ctx, id)
	if errors.Is(err, remote.NotFound) {
		// Deleted by somebody else: it is sent again.
		_, err := c.change("lost", name, func(tx *bbolt.Tx, o *owned) error {
			o.Public.Now = nil
			return markWith(tx, key{Name: name}, true)
		})
		return errors.Join(err, errMoved)
	}
	if err != nil {
		return err
	}
	peers, err := c.peers(ctx)
	if err != nil {
		return err
	}
	rules, err := c.byRules(ctx, s.files, peers)
	if err != nil {
		return err
	}
	m := merge{c: c, name: name, id: id, files: s.files, notes: drive.notes}
	was := o.Any
	if was, err = m.everybody(ctx, rules.any, drive.any, was); err != nil {
		return err
	}
	if m.rulesMoved {
		if rules, err = c.byRules(ctx, s.files, peers); err != nil {
			return err
		}
	}
	m.notes = append(m.notes, rules.notes...)
	readers, failed := m.people(ctx, rules.readers, drive.readers, o.Readers)
	_, err = c.change("agreed", name, func(_ *bbolt.Tx, o *owned) error {
		o.Any, o.Readers, o.Odd = was, readers, m.notes
		return nil
	})
	return errors.Join(failed, err)
}

// merge makes both sides the same.
type merge struct {
	c          *Collections
	name       string
	id         remote.ID
	files      []file
	notes      []string
	rulesMoved bool
}

// everybody carries whether everybody may read, and gives what both say then.
func (m *merge) everybody(ctx context.Context, rules, drive, was bool) (bool, error) {
	switch {
	case rules == drive:
		return rules, nil
	case rules != was:
		return rules, m.c.tag(ctx, m.id, rules)
	}
	ok, err := m.follow(ctx, Everyone, anybody, drive)
	if err != nil || ok {
		return drive, err
	}
	return was, nil
}

// tag says on Drive whether everybody may read.
func (c *Collections) tag(ctx context.Context, id remote.ID, any bool) error {
	if err := c.step("tag"); err != nil {
		return err
	}
	value := ""
	if any {
		value = wire.AnyValue
	}
	return c.cfg.Remote.Update(ctx, id, remote.Edit{Properties: map[string]string{wire.AnyProperty: value}})
}

// people carries who may read, and gives those whom both sides name then; those with whom it failed are as they were. The errors are of
// those with whom it may go well later.
func (m *merge) people(ctx context.Context, rules, drive map[perm.User][]string, was []perm.User) (readers []perm.User, failed error) {
	before := map[perm.User]bool{}
	for _, u := range was {
		before[u] = true
	}
	everybody := maps.Clone(before)
	for u := range rules {
		everybody[u] = true
	}
	for u := range drive {
		everybody[u] = true
	}
	for _, u := range slices.Sorted(maps.Keys(everybody)) {
		spelled, inRules := rules[u]
		granted, inDrive := drive[u]
		now := inRules
		var err error
		switch {
		case inRules == inDrive:
		case inRules && !before[u]:
			now, err = m.share(ctx, u, spelled[0])
		case !inRules && before[u]:
			now, err = m.unshare(ctx, u, granted)
		default: // Drive moved
			var ok bool
			if ok, err = m.follow(ctx, u, u, inDrive); ok {
				now = inDrive
			} else {
				now = before[u]
			}
		}
		failed = errors.Join(failed, err)
		if now {
			readers = append(readers, u)
		}
	}
	return readers, failed
}

// share makes u a reader on Drive.
func (m *merge) share(ctx context.Context, u perm.User, spelled string) (bool, error) {
	refused, err := m.c.grant(ctx, m.id, spelled)
	if refused != nil {
		m.notes = append(m.notes, fmt.Sprintf("It could not be shared with %s on Drive: %v", u, refused))
	}
	return refused == nil && err == nil, err
}

// grant lets one more read. What Drive will not do however often it is asked is refused.
func (c *Collections) grant(ctx context.Context, id remote.ID, who string) (refused, err error) {
	if err := c.step("share"); err != nil {
		return nil, err
	}
	err = c.cfg.Remote.Grant(ctx, id, remote.Grant{Who: who, Role: remote.CanRead})
	if errors.Is(err, remote.Invalid) || errors.Is(err, remote.Permission) {
		return err, nil
	}
	return nil, err
}

// unshare takes a collection from a reader. Who reads it through a folder above goes on doing so, which is told.
func (m *merge) unshare(ctx context.Context, u perm.User, spelled []string) (reads bool, err error) {
	for _, who := range spelled {
		if err := m.c.step("unshare"); err != nil {
			return true, err
		}
		err := m.c.cfg.Remote.Revoke(ctx, m.id, who)
		if errors.Is(err, remote.Permission) {
			m.notes = append(m.notes, fmt.Sprintf("%s still reads it on Drive, through a folder above it. Stop sharing that folder.", u))
			reads = true
			continue
		}
		if err != nil {
			return true, err
		}
	}
	return reads, nil
}

// follow makes the rules say what Drive says about user, for whom who stands. ok is false if they cannot, which is told.
func (m *merge) follow(ctx context.Context, user, who perm.User, reads bool) (ok bool, err error) {
	if err := m.c.step("rules"); err != nil {
		return false, err
	}
	dir := m.c.mock(m.name)
	change := m.c.cfg.Granter.Unshare
	if reads {
		change = m.c.cfg.Granter.Share
	}
	m.rulesMoved = true
	failed := change(ctx, dir, user)
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	now, err := m.c.mayRead(ctx, who, m.files)
	if err != nil {
		return false, err
	}
	if failed == nil && now == reads {
		return true, nil
	}
	why := "other rules decide"
	if failed != nil {
		why = failed.Error()
	}
	said := "is shared with"
	if !reads {
		said = "is no longer shared with"
	}
	m.notes = append(m.notes, fmt.Sprintf("On Drive it %s %s, and the rules cannot follow: %s.", said, user, why))
	return false, nil
}
