package collection

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
	"go.etcd.io/bbolt"
)

// sweep looks everything up anew: our collections, those that others share with us, and which datasets are here. What differs from what
// is known is noted.
func (c *Collections) sweep(ctx context.Context) error {
	here, err := c.datasets(ctx)
	if err != nil {
		return err
	}
	seen, err := c.store.others()
	if err != nil {
		return err
	}
	var changes []remote.Change
	listed := map[remote.ID]bool{}
	for _, q := range []remote.Query{
		{Prefix: prefix(wire.CollectionFolder), Whose: remote.Mine},
		{Prefix: prefix(wire.PrivateFolder), Whose: remote.Mine},
		{Prefix: prefix(wire.CollectionFolder), Whose: remote.Others},
	} {
		q.Folders, q.Want = true, remote.WithOwner|remote.WithTimes
		for o, err := range remote.All(ctx, c.cfg.Remote, q) {
			if err != nil {
				return err
			}
			listed[o.ID] = true
			if f, ok := collectionOf(o); ok && !o.Mine && seen[o.ID] == f {
				continue // as it was
			}
			changes = append(changes, remote.Change{ID: o.ID, Object: o})
		}
	}
	n, err := c.read(ctx, changes)
	if err != nil {
		return err
	}
	err = c.store.update("sweep", func(tx *bbolt.Tx) error {
		if err := n.write(tx); err != nil {
			return err
		}
		for name := range here {
			o, ok, err := get[owned](tx, ownBucket, name)
			if err != nil {
				return err
			}
			if err := markWith(tx, key{Name: name}, !ok || o.Public.Now == nil); err != nil {
				return err
			}
		}
		// Also those that no list shows: they may be gone.
		if err := markAll(tx); err != nil {
			return err
		}
		return markOthers(tx, listed)
	})
	return errors.Join(err, c.tidy())
}

// markOthers marks those of the peers' datasets that may not be here as they are offered: a version is there that was not delivered, or
// the one that was is in no list.
func markOthers(tx *bbolt.Tx, listed map[remote.ID]bool) error {
	got, err := all[received](tx, gotBucket, "")
	if err != nil {
		return err
	}
	return each(tx, otherBucket, "", func(id string, f offered) error {
		k := key{f.Owner, f.Tag}
		if r := got[k.in()]; r.Folder == remote.ID(id) && !r.Withdrawn && listed[r.Folder] {
			return nil
		}
		return markWith(tx, k, false)
	})
}

// others gives the collections of others that are known.
func (s *store) others() (seen map[remote.ID]offered, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		found, err := all[offered](tx, otherBucket, "")
		seen = make(map[remote.ID]offered, len(found))
		for id, f := range found {
			seen[remote.ID(id)] = f
		}
		return err
	})
	return seen, err
}

// prefix is what the names of folders of a kind begin with.
func prefix(kind wire.FolderKind) string {
	return strings.TrimRight(wire.FolderName{Kind: kind}.String(), "_") + "_"
}

// tidy removes what was fetched of collections that are not known any more.
func (c *Collections) tidy() error {
	wanted := map[string]bool{}
	err := c.store.view(func(tx *bbolt.Tx) error {
		for _, b := range [][]byte{otherBucket, mineBucket} {
			if err := each(tx, b, "", func(id string, _ offered) error {
				wanted[stageName(remote.ID(id))] = true
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	dir := filepath.Join(c.store.dir, incomingDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !wanted[e.Name()] {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}
