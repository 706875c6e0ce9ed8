package checkpoint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
)

// Restore gives the newest state that lies on Drive, one item a path, deletions too. It is zero if there is none. It changes nothing.
// Whoever applies it must not take it for newer than what is on disk.
func (k *Keeper) Restore(ctx context.Context) (Restored, error) {
	if err := k.take(ctx); err != nil {
		return Restored{}, fmt.Errorf("restore: %w", err)
	}
	defer k.give()
	pieces, rolls, err := k.list(ctx)
	if err != nil {
		return Restored{}, fmt.Errorf("restore: %w", err)
	}
	c, err := k.read(ctx, pieces)
	if err != nil {
		return Restored{}, fmt.Errorf("restore: %w", err)
	}
	r, _, ok, err := k.rolling(ctx, &c, rolls)
	if err != nil {
		return Restored{}, fmt.Errorf("restore: %w", err)
	}
	if ok {
		c.add(r.Items)
		c.last = max(c.last, r.Last)
	}
	return Restored{Items: slices.Clone(c.state.list()), Last: c.last}, nil
}

// Logged is told every message of the event log once it lies there, in their order; the same one again after an error or a crash. It
// writes the rolling state, makes an increment of it when that is due, and a full checkpoint of those.
func (k *Keeper) Logged(ctx context.Context, e wire.Events) error {
	if err := k.take(ctx); err != nil {
		return fmt.Errorf("keep state: %w", err)
	}
	defer k.give()
	err := k.begin(ctx)
	if err == nil && e.At > k.rec.Covered {
		err = k.cover(ctx, []wire.Events{e})
	}
	if err == nil {
		err = k.due(ctx)
	}
	if err != nil {
		return fmt.Errorf("keep state: %w", err)
	}
	return nil
}

// ShouldCreate says whether so many paths or more changed since the last increment or full checkpoint; 0 stands for Config.Every.
func (k *Keeper) ShouldCreate(ctx context.Context, events int) (bool, error) {
	if err := k.take(ctx); err != nil {
		return false, fmt.Errorf("look at the rolling state: %w", err)
	}
	defer k.give()
	if err := k.begin(ctx); err != nil {
		return false, fmt.Errorf("look at the rolling state: %w", err)
	}
	return k.roll.len() >= cmp.Or(events, k.cfg.Every), nil
}

// begin finishes what a crash left, and loads the rolling state, once in a process. What is recorded is believed unless Drive shows something
// else: a lost record, another client of this account, a person who deleted things there.
func (k *Keeper) begin(ctx context.Context) error {
	if err := k.finish(ctx); err != nil || k.begun {
		return err
	}
	pieces, rolls, err := k.list(ctx)
	if err != nil {
		return err
	}
	same, err := k.unchanged(ctx, pieces, rolls)
	if err == nil && !same {
		for _, p := range k.rec.Pieces { // what lists do not show yet, or somebody deleted
			if !shows(pieces, p.ID) {
				pieces = append(pieces, p)
			}
		}
		if p := k.rec.Rolling; p != nil && !shows(rolls, p.ID) {
			rolls = append(rolls, *p)
		}
		err = k.rebuild(ctx, pieces, rolls)
	}
	k.begun = err == nil
	return err
}

// unchanged loads the recorded rolling state, and reports whether Drive is as the record says.
func (k *Keeper) unchanged(ctx context.Context, pieces, rolls []piece) (bool, error) {
	if k.rec.Covered == 0 || k.rec.Loose {
		return false, nil
	}
	known := slices.Clone(k.rec.Pieces)
	if k.rec.Rolling != nil {
		known = append(known, *k.rec.Rolling)
	}
	for _, p := range slices.Concat(pieces, rolls) {
		if shows(known, p.ID) || slices.Contains(k.rec.Strays, p.ID) {
			continue
		}
		if there, err := k.there(ctx, p.ID); err != nil || there { // lists may show what was deleted
			return false, err
		}
	}
	for _, p := range k.rec.Pieces {
		if shows(pieces, p.ID) {
			continue
		}
		if there, err := k.there(ctx, p.ID); err != nil || !there {
			return false, err
		}
	}
	k.roll = newOverlay()
	if k.rec.Rolling == nil {
		return true, nil
	}
	r, _, ok, err := k.rolling(ctx, nil, []piece{*k.rec.Rolling})
	if err != nil {
		return false, err
	}
	if !ok { // never put, or lost
		return k.rec.Events == 0, nil
	}
	for _, it := range r.Items {
		k.roll.put(it)
	}
	if r.Last < k.rec.Covered || r.Base != k.rec.Rolling.Base {
		return false, nil
	}
	return true, k.keep("taken", func(rec *record) { // one more message may be in it than was written down
		rec.Covered, rec.Seen, rec.Events = r.Last, max(rec.Seen, r.Last), k.roll.len()
	})
}

func shows(pieces []piece, id remote.ID) bool {
	return slices.ContainsFunc(pieces, func(p piece) bool { return p.ID == id })
}

func (k *Keeper) there(ctx context.Context, id remote.ID) (bool, error) {
	_, err := k.cfg.Remote.Stat(ctx, id, 0)
	if errors.Is(err, remote.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// rebuild makes the record from what is on Drive and in the event log. Where pieces are missing or damaged, a new base replaces them.
func (k *Keeper) rebuild(ctx context.Context, pieces, rolls []piece) error {
	c, err := k.read(ctx, pieces)
	if err != nil {
		return err
	}
	r, at, ok, err := k.rolling(ctx, &c, rolls)
	if err != nil {
		return err
	}
	k.roll = newOverlay()
	covered, base := c.last, c.last
	var used *piece
	if ok {
		used = &at
		for _, it := range r.Items {
			if it.Accepted > c.from {
				k.roll.put(it)
				covered = max(covered, it.Accepted)
			}
		}
		covered, base = max(covered, r.Last), r.Base
	}
	var strays []remote.ID
	for _, p := range rolls {
		if used == nil || p.ID != used.ID {
			strays = append(strays, p.ID)
		}
	}
	if c.whole { // else what is missing stays known until it is replaced
		pieces = c.there
	}
	err = k.keep("found", func(rec *record) {
		rec.Covered, rec.Seen, rec.Rolling, rec.Events, rec.Pieces, rec.Strays = covered, max(rec.Seen, covered), used, k.roll.len(), pieces, strays
		rec.Loose = true
		if used != nil {
			rec.Rolling.Base = base
		}
	})
	if err != nil {
		return err
	}
	late, err := k.logAfter(ctx, covered)
	if err != nil {
		return err
	}
	if len(late) > 0 {
		if err := k.cover(ctx, late); err != nil {
			return err
		}
	}
	if !c.whole && k.rec.Paused == "" {
		if err := k.absorb(ctx, c); err != nil {
			return err
		}
	}
	return k.keep("rebuilt", func(rec *record) { rec.Loose = false })
}

// cover brings messages into the rolling state, on Drive too.
func (k *Keeper) cover(ctx context.Context, list []wire.Events) error {
	last := list[len(list)-1].At
	if k.rec.Paused != "" {
		return k.keep("seen", func(r *record) { r.Seen = max(r.Seen, last) })
	}
	next := k.roll.clone()
	for _, e := range list {
		add(next, e)
	}
	err := k.write(ctx, next, last)
	if unwritable(err) && k.roll.len() > 0 {
		// Too much for one object: what is there becomes an increment first.
		if err := k.promote(ctx); err != nil {
			return err
		}
		next = newOverlay()
		for _, e := range list {
			add(next, e)
		}
		err = k.write(ctx, next, last)
	}
	if unwritable(err) && len(list) > 1 {
		if err := k.cover(ctx, list[:len(list)/2]); err != nil {
			return err
		}
		return k.cover(ctx, list[len(list)/2:])
	}
	if unwritable(err) {
		k.cfg.Log.Warn("the state for a new machine cannot be kept any further; make a full checkpoint", "op", "checkpoint", "err", err)
		return k.keep("pause", func(r *record) { r.Seen, r.Paused = max(r.Seen, last), err.Error() })
	}
	return err
}

// add puts the changes of a message into o. In all that this package writes a change has the time of its message: the only one that is sure to
// rise, so that whoever restores knows from it which messages are in.
func add(o *overlay, e wire.Events) {
	for _, it := range e.Items {
		it.Accepted = e.At
		o.put(it)
	}
}

// unwritable says whether the format cannot hold something, now or ever.
func unwritable(err error) bool {
	return errors.Is(err, wire.ErrLimit) || errors.Is(err, wire.ErrUnsendable)
}

// write makes next the rolling state, which covers the log up to last. The file on Drive is written over in place.
func (k *Keeper) write(ctx context.Context, next *overlay, last wire.Time) error {
	if next.len() == 0 {
		return nil
	}
	at := k.time()
	base := k.rec.Covered
	if k.rec.Rolling != nil {
		base = k.rec.Rolling.Base
	}
	body, err := k.cfg.Codec.EncodeRolling(wire.Rolling{At: at, Owner: k.cfg.Owner.User(), Base: base, Last: last, Items: next.list()})
	if err != nil {
		return err
	}
	if err := k.upload(ctx, at, base, body); err != nil {
		return err
	}
	err = k.keep("rolled", func(r *record) { r.Covered, r.Seen, r.Events = last, max(r.Seen, last), next.len() })
	if err == nil {
		k.roll = next
	}
	return err
}

func (k *Keeper) upload(ctx context.Context, at, base wire.Time, body []byte) error {
	content := remote.Bytes(body)
	if p := k.rec.Rolling; p != nil {
		err := k.cfg.Remote.Update(ctx, p.ID, remote.Edit{Body: &content, Type: wire.BinaryMIME})
		if !errors.Is(err, remote.NotFound) {
			return err
		}
		err = k.put(ctx, *p, body)
		if !errors.Is(err, remote.Exists) && !errors.Is(err, remote.Invalid) {
			return err
		}
		// It was there and was deleted by somebody, or the id is another program's.
	}
	ids, err := k.cfg.Remote.NewIDs(ctx, 1)
	if err != nil {
		return err
	}
	p := piece{ID: ids[0], Kind: wire.RollingFile, At: at, Base: base}
	if err := k.keep("rolling", func(r *record) { r.Rolling = &p }); err != nil {
		return err
	}
	return k.put(ctx, p, body)
}

func (k *Keeper) put(ctx context.Context, p piece, body []byte) error {
	kind := wire.CheckpointsFolder
	if p.Kind == wire.RollingFile {
		kind = wire.RollingFolder
	}
	folder, err := k.cfg.Folders.Ensure(ctx, kind)
	if err != nil {
		return err
	}
	return k.cfg.Remote.Put(ctx, remote.Spec{ID: p.ID, Name: p.name().String(), Parent: folder, Type: wire.BinaryMIME}, remote.Bytes(body))
}
