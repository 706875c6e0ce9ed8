package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
	"go.etcd.io/bbolt"
)

// restore takes, once for each state, what lies on Drive of the own datasite: the checkpoints, then what the event log has beyond them, oldest
// first. Only files that are missing here are made: what is on disk may be newer, and is published if it differs.
func (r *Replica) restore(ctx context.Context) error {
	done := false
	err := r.store.view(func(tx *bbolt.Tx) (err error) {
		done, _, err = get[bool](tx, metaBucket, restoredKey)
		return err
	})
	if err != nil || done {
		return err
	}
	state, err := r.cfg.Checkpoints.Restore(ctx)
	if err != nil {
		return fmt.Errorf("restore from checkpoints: %w", err)
	}
	newest := map[datasite.Path]wire.Item{}
	for _, it := range state.Items {
		newest[it.Path] = it
	}
	last, err := r.logAfter(ctx, state.Last, func(e wire.Events) error {
		for _, it := range e.Items {
			newest[it.Path] = it
		}
		if err := r.cfg.Checkpoints.Logged(ctx, e); err != nil {
			return fmt.Errorf("keep the state for a new machine: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	base := map[string]known{}
	for p, it := range newest {
		// Private files and datasets are in no state of ours; a Python client may have logged that they were removed.
		if !p.Replicated() {
			continue
		}
		if it.Op == datasite.OpWrite {
			ours, err := r.hashOf(ctx, p)
			if err == nil && ours == (datasite.Hash{}) {
				err = r.apply(ctx, r.cfg.Owner, it, ours)
			}
			if err != nil && !errors.Is(err, datasite.ErrStale) && !refusedByTree(err) {
				return err
			}
			if err != nil {
				r.cfg.Log.Warn("a file is not restored", "op", "restore", "path", p, "err", err)
			}
			base[p.String()] = known{Hash: it.After}
		}
	}
	err = r.store.update("restored", func(tx *bbolt.Tx) error {
		for key, k := range base {
			if err := put(tx, baseBucket, key, k); err != nil {
				return err
			}
		}
		if err := put(tx, lastBucket, logLane.String(), last); err != nil {
			return err
		}
		return put(tx, metaBucket, restoredKey, true)
	})
	return err
}

// logAfter calls fn for the messages of the event log with a later time than t, oldest first, and gives the time of the newest of all.
func (r *Replica) logAfter(ctx context.Context, t wire.Time, fn func(wire.Events) error) (last wire.Time, err error) {
	folder, err := r.cfg.Peers.Home(ctx, wire.LogFolder, "")
	if err != nil {
		return 0, err
	}
	objects, err := remote.Collect(ctx, r.cfg.Remote, remote.Query{Parent: folder, Files: true, Want: objectFields})
	if err != nil {
		return 0, err
	}
	type entry struct {
		object remote.Object
		name   wire.FileName
	}
	var entries []entry
	for _, o := range objects {
		name, err := wire.ParseFile(o.Name)
		if err != nil || name.Kind != wire.EventsFile || !o.Mine {
			continue
		}
		if last = max(last, name.At); name.At > t {
			entries = append(entries, entry{o, name})
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return a.name.Compare(b.name) })
	for _, e := range entries {
		var body bytes.Buffer
		if err := remote.Fetch(ctx, r.cfg.Remote, e.object, maxPacked, &body); err != nil {
			if errors.Is(err, remote.NotFound) {
				continue
			}
			return 0, err
		}
		events, err := r.cfg.Codec.DecodeEvents(&body, e.name, r.cfg.Owner)
		if err != nil {
			r.cfg.Log.Warn("a message of the event log cannot be read", "op", "restore", "err", err)
			continue
		}
		if err := fn(events); err != nil {
			return 0, err
		}
	}
	return last, nil
}
