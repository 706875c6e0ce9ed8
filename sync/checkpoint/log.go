package checkpoint

import (
	"context"
	"errors"
	"slices"

	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
)

// logAfter reads the messages of the own event log that are later than t, the oldest first. What cannot be read is passed over: nobody
// can restore it.
func (k *Keeper) logAfter(ctx context.Context, t wire.Time) ([]wire.Events, error) {
	folder, err := k.cfg.Folders.Find(ctx, wire.LogFolder)
	if errors.Is(err, remote.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	type entry struct {
		id   remote.ID
		name wire.FileName
	}
	var entries []entry
	for o, err := range remote.All(ctx, k.cfg.Remote, remote.Query{Parent: folder, Files: true, Whose: remote.Mine}) {
		if err != nil {
			return nil, err
		}
		if name, err := wire.ParseFile(o.Name); err == nil && name.Kind == wire.EventsFile && name.At > t {
			entries = append(entries, entry{o.ID, name})
		}
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return a.name.Compare(b.name) })
	var all []wire.Events
	for _, e := range entries {
		body, err := k.fetch(ctx, e.id)
		if errors.Is(err, remote.NotFound) {
			continue
		}
		var m wire.Events
		if err == nil {
			m, err = k.cfg.Codec.DecodeEvents(body, e.name, k.cfg.Owner.User())
		}
		if damaged(err) {
			k.cfg.Log.Warn("a message of the event log cannot be read", "op", "restore", "name", e.name.String(), "err", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		k.refused(m.Refused)
		all = append(all, m)
	}
	return all, nil
}
