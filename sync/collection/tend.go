package collection

import (
	"context"
	"errors"
	"fmt"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
	"go.etcd.io/bbolt"
)

// change is one durable change of the record of an own dataset, which it gives. fn may be called with a record that others changed since
// it was last read.
func (c *Collections) change(op, name string, fn func(tx *bbolt.Tx, o *owned) error) (o owned, err error) {
	err = c.store.update(op, func(tx *bbolt.Tx) error {
		if o, _, err = get[owned](tx, ownBucket, name); err != nil {
			return err
		}
		if err := fn(tx, &o); err != nil {
			return err
		}
		return o.keep(tx, name)
	})
	return o, err
}

// of is the part of a kind, and its folder here.
func (o *owned) of(kind wire.FolderKind) *part {
	if kind == wire.PrivateFolder {
		return &o.Private
	}
	return &o.Public
}

func (c *Collections) dir(name string, kind wire.FolderKind) datasite.Path {
	if kind == wire.PrivateFolder {
		return c.private(name)
	}
	return c.mock(name)
}

// rights makes the readers of an own dataset on Drive and in the rules the same. It goes before everything else: an upload may take hours.
func (c *Collections) rights(ctx context.Context, m noted) error {
	if m.Key.Owner != "" {
		return nil
	}
	o, _, err := c.store.owned(m.Key.Name)
	if err != nil || o.Public.Now == nil {
		return err
	}
	here, err := c.isDataset(ctx, m.Key.Name)
	if err != nil || !here {
		return err
	}
	return c.agree(ctx, m.Key.Name, o)
}

// carry does what m asks for, and forgets it.
func (c *Collections) carry(ctx context.Context, m noted) error {
	var err error
	if m.Key.Owner != "" {
		err = c.follow(ctx, m.Key)
	} else {
		err = c.tend(ctx, m.Key.Name, m.Content)
	}
	if err != nil {
		return err
	}
	return c.store.update("unmark", func(tx *bbolt.Tx) error { return unmark(tx, m) })
}

// tend makes what lies on Drive of an own dataset what is here.
func (c *Collections) tend(ctx context.Context, name string, content bool) error {
	if err := c.clear(ctx, name); err != nil {
		return err
	}
	o, _, err := c.store.owned(name)
	if err != nil {
		return err
	}
	here, err := c.isDataset(ctx, name)
	if err != nil {
		return err
	}
	switch {
	case here:
		err = c.publish(ctx, name, o, content)
	case o.Public.Now != nil || o.Public.Next != nil:
		err = c.vanish(ctx, name, o)
	case !o.Dropped:
		err = c.restore(ctx, name)
	}
	if err != nil {
		return err
	}
	return c.clear(ctx, name)
}

// noHash has the form of the hash of a collection.
const noHash = "000000000000"

// publish sends what is not on Drive yet.
func (c *Collections) publish(ctx context.Context, name string, o owned, content bool) error {
	if f, err := wire.ParseFolder(wire.FolderName{Kind: wire.CollectionFolder, Tag: name, Hash: noHash}.String()); err != nil || f.Tag != name {
		_, err := c.change("notes", name, func(_ *bbolt.Tx, o *owned) error {
			o.Notes = []string{"It is not sent to anybody: no other system takes its name. Rename its folders."}
			return nil
		})
		return err
	}
	var notes []string
	unsure := content
	for _, kind := range []wire.FolderKind{wire.CollectionFolder, wire.PrivateFolder} {
		p := o.of(kind)
		private := kind == wire.PrivateFolder
		if private {
			found, err := c.adoptBackup(ctx, name, o)
			if err != nil {
				return err
			}
			if o, p = found, found.of(kind); !o.Backup {
				continue
			}
		}
		if !content && p.Now != nil && p.Next == nil {
			continue
		}
		unsure = true
		s, err := c.survey(ctx, c.dir(name, kind), kind)
		if err != nil {
			return err
		}
		notes = append(notes, s.notes...)
		if private && (p.Back || len(s.files) == 0) {
			if p.Now != nil { // a backup is for just that: it stays
				notes = append(notes, "The private part is not here; its backup on Drive stays. Restore it, or delete the backup.")
				continue
			}
			told, err := c.restorePrivate(ctx, name)
			if err != nil {
				return err
			}
			notes = append(notes, told...)
			continue
		}
		if o, err = c.send(ctx, name, kind, s); err != nil {
			return err
		}
	}
	strays, err := c.strays(ctx, name)
	if err != nil {
		return err
	}
	_, err = c.change("notes", name, func(_ *bbolt.Tx, o *owned) error {
		if unsure {
			o.Notes = notes
		}
		o.Strays = strays
		return nil
	})
	return err
}

// vanish deletes the collection of a dataset whose folder is gone. All of them gone at once is more likely an accident: then it takes a
// word of the owner.
func (c *Collections) vanish(ctx context.Context, name string, o owned) error {
	if !o.Dropped {
		here, err := c.datasets(ctx)
		if err != nil {
			return err
		}
		count, err := c.published()
		if err != nil {
			return err
		}
		if len(here) == 0 && count > 1 {
			_, err := c.change("brake", name, func(_ *bbolt.Tx, o *owned) error {
				o.Notes = []string{"Its folder is gone, and so are those of all other datasets. Nothing was deleted on Drive. Put it back; or if you mean it, delete it once more by its name."}
				return nil
			})
			return err
		}
	}
	_, err := c.change("vanish", name, func(_ *bbolt.Tx, o *owned) error {
		o.Public.retire()
		o.Dropped, o.Readers, o.Any, o.Notes, o.Odd, o.Strays = true, nil, false, nil, nil, nil
		if o.Private.Now != nil {
			o.Notes = []string{"It was deleted; the backup of its private part is still on Drive."}
		}
		return nil
	})
	return err
}

// published counts the own datasets that are on Drive.
func (c *Collections) published() (n int, err error) {
	err = c.store.view(func(tx *bbolt.Tx) error {
		return each(tx, ownBucket, "", func(_ string, o owned) error {
			if o.Public.Now != nil {
				n++
			}
			return nil
		})
	})
	return n, err
}

// clear deletes what is old on Drive.
func (c *Collections) clear(ctx context.Context, name string) error {
	o, _, err := c.store.owned(name)
	if err != nil {
		return err
	}
	for _, kind := range []wire.FolderKind{wire.CollectionFolder, wire.PrivateFolder} {
		old := o.of(kind).Old
		if len(old) == 0 {
			continue
		}
		if err := c.step("delete"); err != nil {
			return err
		}
		if err := c.cfg.Remote.Delete(ctx, old...); err != nil {
			return err
		}
		if o, err = c.change("deleted", name, func(tx *bbolt.Tx, o *owned) error {
			p := o.of(kind)
			p.Old = without(p.Old, old)
			for _, id := range old {
				if err := errors.Join(clearUnder(tx, fileBucket, filesOf(id)), del(tx, mineBucket, string(id))); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

func without[T comparable](list, gone []T) []T {
	var left []T
	for _, v := range list {
		kept := true
		for _, g := range gone {
			kept = kept && v != g
		}
		if kept {
			left = append(left, v)
		}
	}
	return left
}

// mine gives the collections of this account, of a dataset and of a kind, that no record speaks of and that are there now, newest first.
func (c *Collections) mine(ctx context.Context, name string, kind wire.FolderKind) ([]offer, error) {
	list, err := c.store.offers(mineBucket, func(f offered) bool { return f.Tag == name && f.Kind == kind })
	if err != nil {
		return nil, err
	}
	return c.alive(ctx, mineBucket, list)
}

// alive leaves of list what is there, as it is now: names and lists are hints.
func (c *Collections) alive(ctx context.Context, bucket []byte, list []offer) ([]offer, error) {
	var left []offer
	for _, f := range list {
		o, err := c.cfg.Remote.Stat(ctx, f.ID, remote.WithOwner|remote.WithTimes)
		if err != nil && !errors.Is(err, remote.NotFound) {
			return nil, err
		}
		now, ok := collectionOf(o)
		if err == nil && ok && now.Owner == f.Owner && now.Tag == f.Tag && now.Kind == f.Kind {
			left = append(left, offer{f.ID, now})
			continue
		}
		if err := c.store.update("gone", func(tx *bbolt.Tx) error { return del(tx, bucket, string(f.ID)) }); err != nil {
			return nil, err
		}
	}
	newestFirst(left)
	return left, nil
}

// strays takes collections of this dataset that were made elsewhere from everybody, so that nobody mixes them up, and says that they are
// there. They may hold what is nowhere else, so they are not deleted, but for what is the same as ours: whoever reads that goes on reading.
func (c *Collections) strays(ctx context.Context, name string) (notes []string, err error) {
	list, err := c.mine(ctx, name, wire.CollectionFolder)
	if err != nil {
		return nil, err
	}
	for _, f := range list {
		twin, err := c.twin(ctx, name, f)
		if err != nil {
			return nil, err
		}
		if twin {
			continue
		}
		on, err := c.onDrive(ctx, f.ID)
		if errors.Is(err, remote.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, who := range on.readers {
			if err := c.step("unshare"); err != nil {
				return nil, err
			}
			for _, spelled := range who {
				if err := c.cfg.Remote.Revoke(ctx, f.ID, spelled); err != nil && !errors.Is(err, remote.Permission) {
					return nil, err
				}
			}
		}
		notes = append(notes, fmt.Sprintf("Another collection of it, of %s, lies on Drive (%s). It is no longer shared; delete it there if you do not need it.", f.At.UTC().Format("2006-01-02 15:04"), f.ID))
	}
	return notes, nil
}

// twin makes f old if it holds just what our own collection does, as when a syft-client on the same tree was quicker than the feed.
func (c *Collections) twin(ctx context.Context, name string, f offer) (bool, error) {
	o, _, err := c.store.owned(name)
	if err != nil || o.Public.Now == nil || o.Public.Now.Hash != f.Hash {
		return false, err
	}
	s, err := c.survey(ctx, c.mock(name), wire.CollectionFolder)
	if err != nil || s.hash != f.Hash {
		return false, err
	}
	if same, err := c.holds(ctx, f.ID, s); err != nil || !same {
		return false, err
	}
	if err := c.takeReaders(ctx, name, f.ID, s); err != nil {
		return false, err
	}
	_, err = c.change("twin", name, func(tx *bbolt.Tx, o *owned) error {
		o.Public.Old = append(o.Public.Old, f.ID)
		return markWith(tx, key{Name: name}, false)
	})
	return true, err
}

// owner is who holds every right on the own parts.
func (c *Collections) owner() []perm.User { return []perm.User{c.cfg.Owner} }
