package checkpoint

import (
	"context"
	"errors"
	"slices"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
)

// due makes an increment, and merges, when it is time.
func (k *Keeper) due(ctx context.Context) error {
	if k.rec.Paused != "" { // what came after Covered is missing, and must not seem to be in anything
		return nil
	}
	if k.roll.len() >= k.cfg.Every {
		if err := k.promote(ctx); err != nil {
			return err
		}
	}
	incs := len(k.rec.of(wire.IncrementFile))
	if incs < max(k.cfg.Merge, k.rec.Skip) {
		return nil
	}
	c, err := k.read(ctx, k.rec.Pieces)
	if err != nil {
		return err
	}
	if !c.whole { // somebody deleted or damaged some
		var rolls []piece
		if k.rec.Rolling != nil {
			rolls = append(rolls, *k.rec.Rolling)
		}
		err := k.rebuild(ctx, k.rec.Pieces, rolls)
		k.begun = err == nil
		return err
	}
	return k.absorb(ctx, c)
}

// promote makes an increment of the rolling state.
func (k *Keeper) promote(ctx context.Context) error {
	p := piece{Kind: wire.IncrementFile, At: k.time(), Seq: 1}
	for _, q := range k.rec.of(wire.IncrementFile) {
		p.Seq = max(p.Seq, q.Seq+1)
	}
	body, err := k.cfg.Codec.EncodeIncrement(wire.Increment{Seq: p.Seq, At: p.At, Owner: k.cfg.Owner.User(), Items: k.roll.list()})
	if err != nil {
		return err
	}
	return k.replace(ctx, "promote", p, body, k.older(wire.RollingFile))
}

// absorb makes one piece of c and the rolling state, which replaces all others: a full checkpoint or, where a file is not text, an increment.
func (k *Keeper) absorb(ctx context.Context, c chain) error {
	all := c.state.clone()
	for _, it := range k.roll.list() {
		all.put(it)
	}
	full := wire.Checkpoint{At: k.time(), Owner: k.cfg.Owner.User(), Last: k.rec.Covered}
	for _, it := range all.list() {
		if it.Op == datasite.OpWrite {
			full.Files = append(full.Files, wire.File{Path: it.Path, Hash: it.After, Content: it.Content})
		}
	}
	body, err := k.cfg.Codec.EncodeCheckpoint(full)
	if err == nil {
		return k.replace(ctx, "merge", piece{Kind: wire.CheckpointFile, At: full.At, Last: full.Last}, body, k.older(wire.IncrementFile, wire.RollingFile, wire.CheckpointFile))
	}
	if errors.Is(err, wire.ErrBinary) && all.len() > 0 {
		// Number 1, and later than the others: a reader in any order of numbers ends with the same files at every step of the deletions.
		p := piece{Kind: wire.IncrementFile, At: full.At, Seq: 1}
		body, err = k.cfg.Codec.EncodeIncrement(wire.Increment{Seq: p.Seq, At: p.At, Owner: full.Owner, Items: all.list()})
		if err == nil {
			return k.replace(ctx, "fold", p, body, k.older(wire.IncrementFile, wire.RollingFile))
		}
	}
	if unwritable(err) {
		k.cfg.Log.Warn("increments are not merged", "op", "checkpoint", "err", err)
		return k.keep("skip", func(r *record) { r.Skip = 2 * max(len(r.of(wire.IncrementFile)), k.cfg.Merge) })
	}
	return err
}

// older gives what is on Drive now of the kinds, in the order in which it may be deleted: the increments from the first on, so that those left
// are always the newest and change nothing on top of what has all of them; then the rolling state; then full checkpoints.
func (k *Keeper) older(kinds ...wire.FileKind) []remote.ID {
	var ids []remote.ID
	for _, kind := range kinds {
		for _, p := range k.rec.of(kind) {
			ids = append(ids, p.ID)
		}
		if kind == wire.RollingFile {
			ids = append(ids, k.rec.Strays...)
			if k.rec.Rolling != nil {
				ids = append(ids, k.rec.Rolling.ID)
			}
		}
	}
	return ids
}

// replace puts a piece that has all of the rolling state, and then deletes what it replaces, one by one in that order.
func (k *Keeper) replace(ctx context.Context, op string, p piece, body []byte, drop []remote.ID) error {
	ids, err := k.cfg.Remote.NewIDs(ctx, 1)
	if err != nil {
		return err
	}
	p.ID = ids[0]
	if err := k.keep(op, func(r *record) { r.Doing, r.Drop = &p, drop }); err != nil {
		return err
	}
	if err := k.put(ctx, p, body); err != nil {
		return err
	}
	return k.finish(ctx)
}

// finish ends a replacement that was begun: nothing of it happened if the new piece is not there.
func (k *Keeper) finish(ctx context.Context) error {
	if p := k.rec.Doing; p != nil {
		there, err := k.there(ctx, p.ID)
		if err == nil && !there {
			return k.keep("abandon", func(r *record) { r.Doing, r.Drop = nil, nil })
		}
		if err != nil {
			return err
		}
		err = k.keep("made", func(r *record) {
			r.Pieces = slices.DeleteFunc(r.Pieces, func(q piece) bool { return slices.Contains(r.Drop, q.ID) })
			r.Covered = max(r.Covered, p.Last)
			r.Pieces = append(r.Pieces, *p)
			r.Doing, r.Rolling, r.Strays, r.Events, r.Skip = nil, nil, nil, 0, 0
			if p.Kind == wire.CheckpointFile {
				r.Paused = ""
			}
		})
		if err != nil {
			return err
		}
		k.roll = newOverlay()
	}
	for len(k.rec.Drop) > 0 {
		if err := k.cfg.Remote.Delete(ctx, k.rec.Drop[0]); err != nil {
			return err
		}
		if len(k.rec.Drop) > 1 { // deleting once more is harmless, so that only the last is written down
			k.rec.Drop = k.rec.Drop[1:]
			continue
		}
		if err := k.keep("dropped", func(r *record) { r.Drop = nil }); err != nil {
			return err
		}
	}
	return nil
}
