package collection

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/wire"
	"go.etcd.io/bbolt"
)

// restore brings an own dataset back that lies on Drive, of which nothing is known and nothing is here: this is a new machine. The rules
// come first: whoever read it on Drive reads it here, and nobody else.
func (c *Collections) restore(ctx context.Context, name string) error {
	list, err := c.mine(ctx, name, wire.CollectionFolder)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return c.forget(name)
	}
	f := list[0]
	on, err := c.onDrive(ctx, f.ID)
	if err != nil {
		return err
	}
	readers := slices.Sorted(maps.Keys(on.readers))
	if on.any {
		readers = append([]perm.User{Everyone}, readers...)
	}
	notes, _, err := c.bring(ctx, name, f, readers, nil)
	if err != nil {
		return err
	}
	here, err := c.isDataset(ctx, name)
	if err != nil {
		return err
	}
	_, err = c.change("restored", name, func(tx *bbolt.Tx, o *owned) error {
		o.Notes = notes
		return markWith(tx, key{Name: name}, true)
	})
	if err == nil && here {
		err = errMoved // it is found now, and what belongs to it
	}
	return err
}

// forget drops what was said of a dataset that is neither here nor on Drive.
func (c *Collections) forget(name string) error {
	o, ok, err := c.store.owned(name)
	if err != nil || !ok || len(o.Notes) == 0 {
		return err
	}
	_, err = c.change("forget", name, func(_ *bbolt.Tx, o *owned) error {
		o.Notes = nil
		return nil
	})
	return err
}

// restorePrivate brings the private part of an own dataset back from what was kept of it. That it was begun is kept: until it is done,
// what is here does not stand for the whole.
func (c *Collections) restorePrivate(ctx context.Context, name string) (notes []string, err error) {
	list, err := c.mine(ctx, name, wire.PrivateFolder)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		_, err := c.change("no-backup", name, func(_ *bbolt.Tx, o *owned) error {
			o.Private.Back = false
			return nil
		})
		return nil, err
	}
	if _, err := c.change("restoring", name, func(_ *bbolt.Tx, o *owned) error {
		o.Private.Back = true
		return nil
	}); err != nil {
		return nil, err
	}
	f := list[0]
	notes, whole, err := c.bring(ctx, name, f, c.owner(), func(rel string, size int64, r io.ReadCloser) (io.ReadCloser, datasite.Hash, error) {
		return c.rehome(name, rel, size, r)
	})
	if err != nil {
		return notes, err
	}
	s, err := c.survey(ctx, c.private(name), wire.PrivateFolder)
	if err != nil {
		return notes, err
	}
	_, err = c.change("restored", name, func(tx *bbolt.Tx, o *owned) error {
		o.Private.Back = false
		if !whole {
			return nil
		}
		o.Private.Now = &copied{ID: f.ID, Hash: f.Hash, Local: s.print(), Files: len(s.files)}
		return del(tx, mineBucket, string(f.ID))
	})
	return notes, err
}

// bring puts a collection of our own in place. What is there and differs stays. A collection that cannot be taken is a note.
func (c *Collections) bring(ctx context.Context, name string, f offer, readers []perm.User, edit editor) (notes []string, whole bool, err error) {
	var no *refusal
	defer func() {
		if errors.As(err, &no) {
			notes, whole, err = []string{fmt.Sprintf("It lies on Drive (%s) and could not be restored: %s", f.ID, no.why)}, false, nil
		}
	}()
	l, err := c.contents(ctx, f, wire.Version{})
	if err != nil {
		return nil, false, err
	}
	target := c.dir(name, f.Kind)
	s := c.stage(f.ID)
	if err := s.fetch(ctx, l, target); err != nil {
		return nil, false, err
	}
	if err := s.check(ctx, l, f.Hash, target); err != nil {
		return nil, false, err
	}
	if err := c.step("restrict"); err != nil {
		return nil, false, err
	}
	if err := c.cfg.Granter.Restrict(ctx, target, readers); err != nil {
		return nil, false, err
	}
	p := placing{c: c, from: c.cfg.Owner, target: target, yield: true, edit: edit}
	if err := p.all(ctx, s, l); err != nil {
		return nil, false, err
	}
	return append(l.notes, p.notes...), true, s.remove()
}

// maxMetadata bounds what is looked at of a private_metadata.yaml, in bytes. A larger one is none, and left as it is.
const maxMetadata = 1 << 20

// rehome corrects what in a private part depends on the machine.
func (c *Collections) rehome(name, rel string, size int64, r io.ReadCloser) (io.ReadCloser, datasite.Hash, error) {
	if rel != metadataFile || c.cfg.Rehome == nil || size > maxMetadata {
		return r, datasite.Hash{}, nil
	}
	text, err := io.ReadAll(io.LimitReader(r, maxMetadata))
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, datasite.Hash{}, err
	}
	here, err := c.cfg.Rehome(name, text)
	if err != nil {
		c.cfg.Log.Warn("restored as it was: it does not say where it lies", "path", c.private(name).Join(rel).String(), "err", err)
		here = text
	}
	return io.NopCloser(bytes.NewReader(here)), sha256.Sum256(here), nil
}

// Restore asks for the private part of an own dataset to be brought back from its backup, if nothing of it is here any more.
func (c *Collections) Restore(_ context.Context, name string) error {
	_, err := c.change("restore", name, func(tx *bbolt.Tx, o *owned) error {
		if now := o.Private.Now; now != nil {
			f := offered{Kind: wire.PrivateFolder, Tag: name, Hash: now.Hash, At: c.cfg.Clock.Now().UTC()}
			if err := put(tx, mineBucket, string(now.ID), f); err != nil {
				return err
			}
			o.Private.Now, o.Backup = nil, true
		}
		return markWith(tx, key{Name: name}, true)
	})
	if err != nil {
		return fmt.Errorf("restore the private part of %s: %w", name, err)
	}
	c.noted(false)
	return nil
}
