package replica

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/sync/wire"
	"go.etcd.io/bbolt"
)

// What one message holds at most, so that the other side sees the first files soon; a file alone may be as large as the format allows.
const (
	maxItems = 1000
	maxBytes = 32 << 20
)

// maxContent is how large a file may be that is sent, in bytes: base64 and JSON must stay below what is read.
const maxContent = 180 << 20

// gathered is a piece of what is wanted, with the contents.
type gathered struct {
	items   []sent
	same    []datasite.Path // wanted, and as it was last sent
	refused map[datasite.Path]string
	spool   *spool
}

// full reports whether the message is large enough.
func (g *gathered) full() bool {
	return len(g.items) >= maxItems || g.spool.size >= maxBytes
}

// drop forgets it.
func (g *gathered) drop(err error) error { return errors.Join(err, g.spool.drop()) }

// gather reads the files of list, up to what one message holds, and compares each with what before says was last sent.
func (r *Replica) gather(ctx context.Context, list []wish, whole bool, before func(datasite.Path) (datasite.Hash, error)) (*gathered, error) {
	g := &gathered{refused: map[datasite.Path]string{}, spool: r.store.newSpool()}
	for _, w := range list {
		if g.full() && !whole {
			break
		}
		old, err := before(w.path)
		if err == nil {
			err = r.gatherOne(ctx, g, w, old)
		}
		if err != nil {
			return nil, g.drop(err)
		}
	}
	return g, nil
}

func (r *Replica) gatherOne(ctx context.Context, g *gathered, w wish, old datasite.Hash) error {
	it := sent{ID: w.want.ID, Op: datasite.OpRemove, Path: w.path.Rel, Before: old, Submitted: w.want.Submitted}
	offset, size, h, err := r.copyIn(ctx, g.spool, w.path)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
	case errors.Is(err, errTooLarge):
		g.refused[w.path] = fmt.Sprintf("%v (%d MiB): it stays on this machine; split it, or make it a dataset", err, maxContent>>20)
		return nil
	case err != nil:
		return err
	default:
		it.Op, it.After, it.Spool, it.Offset, it.Size = datasite.OpWrite, h, g.spool.name, offset, size
	}
	if it.After == old {
		g.same = append(g.same, w.path)
		return nil
	}
	if err := r.cfg.Codec.CheckPath(w.path); err != nil {
		g.refused[w.path] = fmt.Sprintf("it stays on this machine: %v", err)
		return nil
	}
	if it.ID == (wire.ID{}) || it.After != w.want.After {
		it.ID, it.Submitted = wire.NewID(), 0
	}
	g.items = append(g.items, it)
	return nil
}

// copyIn copies the file at p to sp.
func (r *Replica) copyIn(ctx context.Context, sp *spool, p datasite.Path) (offset, size int64, h datasite.Hash, err error) {
	body, _, err := r.cfg.Tree.Snapshot(ctx, p)
	if err != nil {
		return 0, 0, h, err
	}
	offset, size, h, err = sp.add(body, maxContent)
	return offset, size, h, errors.Join(err, body.Close())
}

// hashOf is what lies at p now; zero if no file does.
func (r *Replica) hashOf(ctx context.Context, p datasite.Path) (datasite.Hash, error) {
	body, h, err := r.cfg.Tree.Snapshot(ctx, p)
	if errors.Is(err, iofs.ErrNotExist) {
		return datasite.Hash{}, nil
	}
	if err != nil {
		return h, err
	}
	return h, body.Close()
}

// refuse notes why files are not sent.
func (r *Replica) refuse(tx *bbolt.Tx, refused map[datasite.Path]string, s State) error {
	for p, why := range refused {
		if err := del(tx, wantBucket, p.String()); err != nil {
			return err
		}
		if err := put(tx, refuseBucket, p.String(), refusal{State: s, Reason: why, At: r.cfg.Now()}); err != nil {
			return err
		}
	}
	return nil
}

// wireItems gives the items of a planned message with their contents.
func (r *Replica) wireItems(m message) ([]wire.Item, error) {
	items := make([]wire.Item, len(m.Items))
	for i, it := range m.Items {
		items[i] = wire.Item{ID: it.ID, Op: it.Op, Path: datasite.Path{Owner: m.Lane.owner(r.cfg.Owner), Rel: it.Path}, Before: it.Before,
			After: it.After, Submitted: it.Submitted, Accepted: it.Accepted}
		if it.Op == datasite.OpWrite {
			var err error
			if items[i].Content, err = r.store.content(it); err != nil {
				return nil, err
			}
		}
	}
	return items, nil
}

// encode makes the bytes of a planned message.
func (r *Replica) encode(m message, deletions bool) ([]byte, error) {
	items, err := r.wireItems(m)
	if err != nil {
		return nil, err
	}
	owner := m.Lane.owner(r.cfg.Owner)
	if m.Lane.Kind == wire.InboxFolder {
		p := wire.Proposal{ID: m.ID, UID: m.ID.String(), Submitted: m.At, Sender: r.cfg.Owner, Owner: owner, Items: items}
		return r.cfg.Codec.EncodeProposal(p, deletions)
	}
	return r.cfg.Codec.EncodeEvents(wire.Events{ID: m.ID, At: m.At, Owner: owner, Items: items})
}
