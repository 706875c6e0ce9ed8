package checkpoint

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
)

const wanted = remote.WithSum | remote.WithSize | remote.WithOwner

// defaultPacked is the largest object, as in wire.Limits.
const defaultPacked = 256 << 20

// list gives what is on Drive, as far as lists show it: pieces, and rolling states with the newest first.
func (k *Keeper) list(ctx context.Context) (pieces, rolls []piece, err error) {
	for _, kind := range []wire.FolderKind{wire.CheckpointsFolder, wire.RollingFolder} {
		folder, err := k.cfg.Folders.Find(ctx, kind)
		if errors.Is(err, remote.NotFound) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		for o, err := range remote.All(ctx, k.cfg.Remote, remote.Query{Parent: folder, Files: true, Whose: remote.Mine}) {
			if err != nil {
				return nil, nil, err
			}
			name, err := wire.ParseFile(o.Name)
			if err != nil {
				continue
			}
			p := piece{ID: o.ID, Kind: name.Kind, At: name.At, Seq: name.Seq}
			switch {
			case kind == wire.RollingFolder && p.Kind == wire.RollingFile:
				rolls = append(rolls, p)
			case kind == wire.CheckpointsFolder && (p.Kind == wire.CheckpointFile || p.Kind == wire.IncrementFile):
				pieces = append(pieces, p)
			}
		}
	}
	slices.SortFunc(rolls, func(p, q piece) int { return cmp.Or(cmp.Compare(q.At, p.At), cmp.Compare(p.ID, q.ID)) })
	return pieces, rolls, nil
}

// fetch reads an object of ours.
func (k *Keeper) fetch(ctx context.Context, id remote.ID) (*bytes.Buffer, error) {
	o, err := k.cfg.Remote.Stat(ctx, id, wanted)
	if err != nil {
		return nil, err
	}
	limit := k.cfg.Codec.Limits.Packed
	if limit <= 0 {
		limit = defaultPacked
	}
	var body bytes.Buffer
	return &body, remote.Fetch(ctx, k.cfg.Remote, o, limit, &body)
}

// damaged says whether err is of the object itself, so that trying again does not help.
func damaged(err error) bool {
	var we *wire.Error
	return errors.As(err, &we) || errors.Is(err, remote.Invalid)
}

// chain is what full checkpoint and increments come to.
type chain struct {
	state *overlay
	full  bool      // there is a full checkpoint in it
	at    wire.Time // when that was made
	from  wire.Time // the log up to here is in the full checkpoint
	last  wire.Time // the log up to here is in state
	whole bool      // all pieces are in it; otherwise state and last are those before the first that is missing
	there []piece   // what of the pieces exists
}

// read reads pieces in order. What is missing or damaged ends it: nothing is claimed beyond, the event log has it all.
func (k *Keeper) read(ctx context.Context, pieces []piece) (chain, error) {
	c := chain{state: newOverlay(), whole: true}
	r := record{Pieces: pieces}
	fulls := r.of(wire.CheckpointFile)
	slices.Reverse(fulls)
	for _, p := range fulls {
		if c.full { // older than the one that counts
			c.there = append(c.there, p)
			continue
		}
		body, err := k.fetch(ctx, p.ID)
		if errors.Is(err, remote.NotFound) { // something newer has replaced it, and is not here
			c.whole = false
			continue
		}
		var full wire.Checkpoint
		if err == nil {
			full, err = k.cfg.Codec.DecodeCheckpoint(body, p.name(), k.cfg.Owner.User())
		}
		if damaged(err) {
			k.cfg.Log.Warn("a checkpoint cannot be read", "op", "restore", "name", p.name().String(), "err", err)
			c.there = append(c.there, p)
			c.whole = false
			continue
		}
		if err != nil {
			return chain{}, err
		}
		k.refused(full.Refused)
		c.there = append(c.there, p)
		c.full, c.at, c.from, c.last = true, p.At, full.Last, full.Last
		for _, f := range full.Files {
			c.state.put(wire.Item{ID: wire.NewID(), Op: datasite.OpWrite, Path: f.Path, After: f.Hash, Content: f.Content, Submitted: cmp.Or(full.Last, p.At), Accepted: cmp.Or(full.Last, p.At)})
		}
	}
	return c, k.readIncrements(ctx, &c, r.of(wire.IncrementFile))
}

func (k *Keeper) readIncrements(ctx context.Context, c *chain, incs []piece) error {
	seq := 0
	for _, p := range live(incs) {
		body, err := k.fetch(ctx, p.ID)
		if errors.Is(err, remote.NotFound) {
			// It is deleted when something newer has all of it, the first ones first. If that is not here nothing can be trusted.
			c.whole = c.whole && c.at > p.At
			continue
		}
		if err != nil && !damaged(err) {
			return err
		}
		c.there = append(c.there, p)
		switch {
		case !c.whole:
			continue
		case seq == 0 && p.Seq > 1 && c.at < p.At, seq > 0 && p.Seq > seq+1: // some before it are missing
			c.whole = false
			continue
		}
		seq = p.Seq
		var inc wire.Increment
		if err == nil {
			inc, err = k.cfg.Codec.DecodeIncrement(body, p.name(), k.cfg.Owner.User())
		}
		if err != nil {
			if !damaged(err) {
				return err
			}
			k.cfg.Log.Warn("an increment cannot be read", "op", "restore", "name", p.name().String(), "err", err)
			c.whole = false
			continue
		}
		k.refused(inc.Refused)
		c.add(inc.Items)
	}
	for _, p := range incs {
		if !slices.Contains(c.there, p) && !slices.Contains(live(incs), p) {
			c.there = append(c.there, p)
		}
	}
	return nil
}

// live leaves out increments that a later one of number 1 has swallowed.
func live(incs []piece) []piece {
	var base wire.Time
	for _, p := range incs {
		if p.Seq == 1 {
			base = max(base, p.At)
		}
	}
	return slices.DeleteFunc(slices.Clone(incs), func(p piece) bool { return p.At < base })
}

// add applies items, but for those that the full checkpoint has: applied on top they would bring back what is older.
func (c *chain) add(items []wire.Item) {
	for _, it := range items {
		if it.Accepted <= c.from {
			continue
		}
		c.last = max(c.last, it.Accepted)
		c.state.put(it)
	}
}

func (k *Keeper) refused(list []*wire.Error) {
	for _, err := range list {
		k.cfg.Log.Warn("a file in a checkpoint cannot be used here", "op", "restore", "err", err)
	}
}

// builds says whether a rolling state begins where c ends, or before.
func (c *chain) builds(r wire.Rolling) bool { return r.Base <= max(c.last, c.at) }

// rolling reads the newest of rolls that is there. One that is damaged, or that does not build on c, is not used: ok is false.
func (k *Keeper) rolling(ctx context.Context, c *chain, rolls []piece) (r wire.Rolling, p piece, ok bool, err error) {
	for _, p := range rolls {
		body, err := k.fetch(ctx, p.ID)
		if errors.Is(err, remote.NotFound) {
			continue
		}
		if err == nil {
			r, err = k.cfg.Codec.DecodeRolling(body, p.name(), k.cfg.Owner.User())
		}
		if damaged(err) {
			k.cfg.Log.Warn("the rolling state cannot be read", "op", "restore", "name", p.name().String(), "err", err)
			return r, p, false, nil
		}
		if err != nil {
			return r, p, false, err
		}
		k.refused(r.Refused)
		p.Base = r.Base
		return r, p, c == nil || c.builds(r), nil
	}
	return r, p, false, nil
}
