package peer

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
)

const (
	recordFile   = "peers.json"
	recordFormat = 1
)

// record is what is kept on disk. What it says about folders and files was journaled before they were made; all else can be found again on
// Drive, but for the wishes that were not carried out yet, and who is blocked rather than rejected.
type record struct {
	Format  int                  `json:"format"`
	Me      wire.Address         `json:"me"`      // as Drive spells the account, once it was asked
	Wishes  uint64               `json:"wishes"`  // number of the newest
	Folders map[string]remote.ID `json:"folders"` // memory of remote.Folders
	Files   map[string]remote.ID `json:"files"`   // the peers file and the version file of this account, by name
	Peers   map[perm.User]*entry `json:"peers"`
}

// entry is what is known about one address.
type entry struct {
	Address   wire.Address   `json:"address"`
	Stored    wire.PeerState `json:"stored,omitempty"` // what the peers file says, as last read or written
	Blocked   bool           `json:"blocked,omitempty"`
	Force     bool           `json:"force,omitempty"` // exchange whatever its version is
	Given     bool           `json:"given,omitempty"` // it was admitted
	Wish      wish           `json:"wish,omitzero"`
	Theirs    []place        `json:"theirs,omitempty"` // folders of our datasite on its Drive
	Pair      pair           `json:"pair,omitzero"`    // folders of its datasite on our Drive, shared with it
	Version   fact           `json:"version,omitzero"`
	Since     time.Time      `json:"since"`               // when it was first heard of
	Announced State          `json:"announced,omitempty"` // the last state that was told
}

// wish is what the person at this machine wants and Drive does not show yet.
type wish struct {
	Op     Op     `json:"op"`
	Seq    uint64 `json:"seq"` // wishes are carried out in this order
	Force  bool   `json:"force,omitempty"`
	Failed string `json:"failed,omitempty"` // why not yet
}

// place is a folder on a peer's Drive.
type place struct {
	ID   remote.ID `json:"id"`
	Name string    `json:"name"`
}

type pair struct {
	Inbox  remote.ID `json:"inbox,omitempty"`
	Outbox remote.ID `json:"outbox,omitempty"`
}

// fact is what is known of a peer's version file.
type fact struct {
	File remote.ID        `json:"file,omitempty"`
	Sum  string           `json:"sum,omitempty"` // of what was read
	Info wire.VersionInfo `json:"info,omitzero"`
	Bad  string           `json:"bad,omitempty"` // why it cannot be read
}

func (b *Book) load() error {
	if err := b.cfg.State.Sweep(); err != nil {
		return err
	}
	err := b.cfg.State.ReadJSON(recordFile, &b.rec)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		b.rec = record{Format: recordFormat, Me: wire.Address(b.cfg.Me)}
	case err != nil:
		return err
	case b.rec.Format != recordFormat:
		return fmt.Errorf("%s has format %d, this program reads %d: use the newer program", b.cfg.State.Path(recordFile), b.rec.Format, recordFormat)
	case b.rec.Me.User() != b.cfg.Me:
		return fmt.Errorf("%s belongs to %s, not to %s: %w", b.cfg.State.Path(recordFile), b.rec.Me, b.cfg.Me, iofs.ErrInvalid)
	}
	if b.rec.Folders == nil {
		b.rec.Folders = map[string]remote.ID{}
	}
	if b.rec.Files == nil {
		b.rec.Files = map[string]remote.ID{}
	}
	if b.rec.Peers == nil {
		b.rec.Peers = map[perm.User]*entry{}
	}
	return nil
}

// update changes the record by fn and makes it durable, if it changed; op names the step. After an error everything is as it was.
func (b *Book) update(op string, fn func(r *record) error) error {
	changed, err := b.change(op, fn)
	if changed && b.cfg.OnChange != nil {
		b.cfg.OnChange()
	}
	return err
}

func (b *Book) change(op string, fn func(r *record) error) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := b.rec.clone()
	if err := fn(&next); err != nil {
		return false, err
	}
	next.tidy()
	if reflect.DeepEqual(next, b.rec) {
		return false, nil
	}
	if err := b.cfg.State.WriteJSON("peer:"+op, recordFile, &next); err != nil {
		return false, fmt.Errorf("keep peers: %w", err)
	}
	b.rec = next
	return true, nil
}

func (r record) clone() record {
	r.Folders, r.Files = maps.Clone(r.Folders), maps.Clone(r.Files)
	peers := make(map[perm.User]*entry, len(r.Peers))
	for u, e := range r.Peers {
		c := *e
		c.Theirs = slices.Clone(e.Theirs)
		peers[u] = &c
	}
	r.Peers = peers
	return r
}

// tidy drops entries that say nothing.
func (r *record) tidy() {
	maps.DeleteFunc(r.Peers, func(_ perm.User, e *entry) bool {
		return e.state() == "" && e.Wish.Op == "" && len(e.Theirs) == 0
	})
}

// get gives a copy of an entry.
func (b *Book) get(u perm.User) (entry, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.rec.Peers[u]
	if e == nil {
		return entry{}, false
	}
	c := *e
	c.Theirs = slices.Clone(e.Theirs)
	return c, true
}

// edit is update for one entry, which is made if it is missing.
func (b *Book) edit(op string, a wire.Address, fn func(e *entry)) error {
	return b.update(op, func(r *record) error {
		fn(r.entry(a, b.cfg.Now()))
		return nil
	})
}

// entry gives the entry of a's user.
func (r *record) entry(a wire.Address, now time.Time) *entry {
	e := r.Peers[a.User()]
	if e == nil {
		e = &entry{Address: a, Since: now.UTC()}
		r.Peers[a.User()] = e
	}
	return e
}

// memory is where remote.Folders keeps its ids.
type memory struct{ b *Book }

// Folder gives what was kept.
func (m memory) Folder(key string) (remote.ID, bool) {
	m.b.mu.Lock()
	defer m.b.mu.Unlock()
	id, ok := m.b.rec.Folders[key]
	return id, ok
}

// KeepFolder keeps it, durably.
func (m memory) KeepFolder(key string, id remote.ID) error {
	return m.b.update("folder", func(r *record) error {
		r.Folders[key] = id
		return nil
	})
}
