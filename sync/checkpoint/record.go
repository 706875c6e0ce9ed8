package checkpoint

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"

	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
)

const (
	recordFile   = "checkpoint.json"
	recordFormat = 1
)

// record is what is kept on disk. It is written before Drive is changed, and can be made anew from Drive and the event log.
type record struct {
	Format  int         `json:"format"`
	Seen    wire.Time   `json:"seen"`              // of the newest message that was told
	Covered wire.Time   `json:"covered"`           // messages up to this one are in the pieces and the rolling state
	Events  int         `json:"events"`            // in the rolling state
	Rolling *piece      `json:"rolling,omitempty"` // its object may not be there yet
	Pieces  []piece     `json:"pieces,omitempty"`  // what is on Drive, increments and full checkpoints
	Doing   *piece      `json:"doing,omitempty"`   // being put: it is there, or not; what was in the rolling state is in it
	Drop    []remote.ID `json:"drop,omitempty"`    // to be deleted one by one in this order, once Doing is there
	Strays  []remote.ID `json:"strays,omitempty"`  // rolling states that are not in use; they go with the next that goes
	Skip    int         `json:"skip,omitempty"`    // no merging before there are so many increments, as it failed
	Loose   bool        `json:"loose,omitempty"`   // the log may have more after Covered than will be told: it must be read
	Paused  string      `json:"paused,omitempty"`  // why what came after Covered cannot be written
}

// piece is a full checkpoint, an increment, or the rolling state.
type piece struct {
	ID   remote.ID     `json:"id"`
	Kind wire.FileKind `json:"kind"`
	At   wire.Time     `json:"at"`
	Seq  int           `json:"seq,omitempty"`  // of an increment
	Base wire.Time     `json:"base,omitempty"` // of a rolling state: what it builds on is covered up to there
	Last wire.Time     `json:"last,omitempty"` // of a full checkpoint in Doing: it covers the log up to there
}

func (p piece) name() wire.FileName { return wire.FileName{Kind: p.Kind, At: p.At, Seq: p.Seq} }

func (k *Keeper) load() error {
	err := k.cfg.State.ReadJSON(recordFile, &k.rec)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		k.rec = record{Format: recordFormat}
	case err != nil:
		return err
	case k.rec.Format != recordFormat:
		return fmt.Errorf("%s has format %d, this program reads %d: use the newer program", recordFile, k.rec.Format, recordFormat)
	}
	k.show()
	return nil
}

// keep makes a changed record durable; op names the step. After an error everything is as it was.
func (k *Keeper) keep(op string, change func(r *record)) error {
	next := k.rec
	next.Pieces, next.Drop, next.Strays = slices.Clone(k.rec.Pieces), slices.Clone(k.rec.Drop), slices.Clone(k.rec.Strays)
	change(&next)
	if err := k.cfg.State.WriteJSON("checkpoint:"+op, recordFile, &next); err != nil {
		return fmt.Errorf("keep the state of checkpoints: %w", err)
	}
	k.rec = next
	k.show()
	return nil
}

func (k *Keeper) show() {
	s := Status{Rolling: k.rec.Events, Increments: len(k.rec.of(wire.IncrementFile)), Covered: k.rec.Covered, Paused: k.rec.Paused}
	for _, p := range k.rec.of(wire.CheckpointFile) {
		s.Full = max(s.Full, p.At)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.status = s
}

// of gives the pieces of one kind in the order in which they are taken.
func (r *record) of(kind wire.FileKind) []piece {
	var all []piece
	for _, p := range r.Pieces {
		if p.Kind == kind {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(p, q piece) int { return p.name().Compare(q.name()) })
	return all
}

// time is that of a new piece: later than all others.
func (k *Keeper) time() wire.Time {
	var last wire.Time
	for _, p := range k.rec.Pieces {
		last = max(last, p.At)
	}
	if k.rec.Rolling != nil {
		last = max(last, k.rec.Rolling.At)
	}
	return last.Next(k.cfg.Now())
}
