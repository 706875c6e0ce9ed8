package peer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
)

// Bounds on what others can make us keep.
const (
	maxPlaces    = 16  // folders of one peer
	maxStrangers = 256 // version files of those who are no peers
)

// needed is what must be known of an object.
const needed = remote.WithParent | remote.WithOwner

// news is what was seen on Drive and concerns peers.
type news struct {
	folders  []remote.Object // of our datasite, by whom their name says
	versions []remote.Object
	gone     map[remote.ID]bool
	book     bool // the peers file of this account was written
}

func (n *news) empty() bool {
	return len(n.folders) == 0 && len(n.versions) == 0 && len(n.gone) == 0
}

// look sorts one object into n.
func (b *Book) look(n *news, o remote.Object) {
	switch {
	case o.Folder && !o.Mine:
		if b.asks(o) {
			n.folders = append(n.folders, o)
		} else {
			n.gone[o.ID] = true // it may have been renamed
		}
	case o.Folder:
	case o.Name == peersFile && o.Mine:
		n.book = true
	case o.Name == versionFile && !o.Mine:
		n.versions = append(n.versions, o)
	}
}

// asks says whether folder o asks us for exchange. Only its Drive owner counts: anybody can give a folder any name.
func (b *Book) asks(o remote.Object) bool {
	if !strings.HasPrefix(o.Name, requestPrefix) {
		return false
	}
	f, err := wire.ParseFolder(o.Name)
	if err != nil {
		b.warn(o, "its name is like that of a request, and cannot be read: "+err.Error())
		return false
	}
	me := b.Spell(b.cfg.Me)
	from, ok := f.Asks(me)
	switch {
	case !ok:
		if f.Of != me && f.Of.User() == b.cfg.Me {
			b.warn(o, fmt.Sprintf("it spells this account %s: its owner must ask %s", f.Of, me))
		}
		return false
	case !strings.EqualFold(o.Owner, string(from)):
		b.warn(o, fmt.Sprintf("it says that it is from %s, but belongs to somebody else", from))
		return false
	}
	return true
}

// Noticed takes what the feed says, with parent and owner. After an error it must be told again.
func (b *Book) Noticed(ctx context.Context, changes []remote.Change) error {
	if err := b.take(ctx); err != nil {
		return fmt.Errorf("notice peers: %w", err)
	}
	defer b.give()
	n := news{gone: map[remote.ID]bool{}}
	for _, c := range changes {
		if c.Gone {
			n.gone[c.ID] = true
		} else {
			b.look(&n, c.Object)
		}
	}
	if err := b.passing(b.learn(ctx, &n)); err != nil {
		return fmt.Errorf("notice peers: %w", err)
	}
	return nil
}

// Sweep looks everything up anew, and does what was left undone: lists lag, and the feed may be late.
func (b *Book) Sweep(ctx context.Context) error {
	if err := b.take(ctx); err != nil {
		return fmt.Errorf("sweep peers: %w", err)
	}
	defer b.give()
	if err := b.passing(b.sweep(ctx)); err != nil {
		return fmt.Errorf("sweep peers: %w", err)
	}
	return nil
}

func (b *Book) sweep(ctx context.Context) error {
	if err := b.checkAccount(ctx); err != nil {
		return err
	}
	clear(b.hopeless)
	clear(b.looked)
	b.mu.Lock()
	b.warnings = nil
	b.mu.Unlock()
	n := news{gone: map[remote.ID]bool{}, book: true}
	for _, q := range []remote.Query{
		{Prefix: requestPrefix, Folders: true, Whose: remote.Others, Want: needed},
		{Name: versionFile, Files: true, Whose: remote.Others, Want: needed | remote.WithSum},
	} {
		for o, err := range remote.All(ctx, b.cfg.Remote, q) {
			if err != nil {
				return err
			}
			b.look(&n, o)
		}
	}
	clear(n.gone) // a list says nothing about what is not in it
	if err := b.recheck(ctx, &n); err != nil {
		return err
	}
	_, err := b.ownVersion(ctx, false)
	if errors.Is(err, remote.NotFound) {
		err = nil
	}
	return errors.Join(err, b.learn(ctx, &n))
}

// recheck asks for each known folder and version file that no list shows.
func (b *Book) recheck(ctx context.Context, n *news) error {
	listed := map[remote.ID]bool{}
	for _, o := range slices.Concat(n.folders, n.versions) {
		listed[o.ID] = true
	}
	b.mu.Lock()
	var ids []remote.ID
	for _, e := range b.rec.Peers {
		for _, t := range e.Theirs {
			ids = append(ids, t.ID)
		}
		if e.Version.File != "" {
			ids = append(ids, e.Version.File)
		}
	}
	b.mu.Unlock()
	for _, id := range ids {
		if listed[id] {
			continue
		}
		o, err := b.cfg.Remote.Stat(ctx, id, needed)
		switch {
		case errors.Is(err, remote.NotFound):
			n.gone[id] = true
		case err != nil:
			return err
		default:
			b.look(n, o)
		}
	}
	return nil
}

// learn takes in n, and then does what follows from it.
func (b *Book) learn(ctx context.Context, n *news) error {
	var errs []error
	if n.book {
		errs = append(errs, b.adopt(ctx))
	}
	if err := b.enter(n); err != nil {
		return errors.Join(append(errs, err)...)
	}
	stale := map[perm.User]bool{}
	for _, o := range n.versions {
		u := userOf(o.Owner)
		e, _ := b.get(u)
		stale[u] = stale[u] || o.SHA256 == "" || o.SHA256 != e.Version.Sum
	}
	return errors.Join(append(errs, b.resolve(ctx, stale))...)
}

// userOf is whom an address stands for, "" if it is none.
func userOf(address string) perm.User {
	a, err := wire.ParseAddress(address)
	if err != nil {
		return ""
	}
	return a.User()
}

// enter writes down folders and version files, those that came and those that went.
func (b *Book) enter(n *news) error {
	if n.empty() {
		return nil
	}
	slices.SortStableFunc(n.folders, func(x, y remote.Object) int { return strings.Compare(x.Name, y.Name) })
	var odd []remote.Object
	err := b.update("seen", func(r *record) error {
		b.dropped = 0
		for _, e := range r.Peers {
			e.Theirs = slices.DeleteFunc(e.Theirs, func(t place) bool { return n.gone[t.ID] })
			if n.gone[e.Version.File] {
				e.Version = fact{}
			}
		}
		for _, o := range n.folders {
			if !b.enterFolder(r, o) {
				odd = append(odd, o)
			}
		}
		for _, o := range n.versions {
			b.enterVersion(r, o)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, o := range odd {
		b.warn(o, "its owner spells itself in several ways, or has too many such folders")
	}
	return nil
}

// enterFolder writes down a folder that asks. It is called with mu held.
func (b *Book) enterFolder(r *record, o remote.Object) bool {
	f, err := wire.ParseFolder(o.Name)
	if err != nil {
		return false
	}
	e := r.Peers[f.Peer.User()]
	if e == nil {
		waiting := 0
		for _, e := range r.Peers {
			if e.state() == StatePending {
				waiting++
			}
		}
		if waiting >= b.cfg.MaxPending {
			b.dropped++
			return true
		}
		e = r.entry(f.Peer, b.cfg.Now())
		e.Version.File = b.strangers[f.Peer.User()]
	}
	if e.Address != f.Peer {
		if len(e.Theirs) > 0 {
			return false
		}
		e.Address, e.Pair = f.Peer, pair{} // so that it finds folders that bear its own spelling
	}
	for i, t := range e.Theirs {
		if t.ID == o.ID {
			e.Theirs[i].Name = o.Name
			return true
		}
	}
	if len(e.Theirs) >= maxPlaces {
		return false
	}
	e.Theirs = append(e.Theirs, place{ID: o.ID, Name: o.Name})
	return true
}

// enterVersion writes down whose version file o is. It is called with mu held.
func (b *Book) enterVersion(r *record, o remote.Object) {
	u := userOf(o.Owner)
	if u == "" || u == b.cfg.Me {
		return
	}
	if e := r.Peers[u]; e != nil {
		if e.Version.File == "" {
			e.Version = fact{File: o.ID}
		}
		return
	}
	if len(b.strangers) >= maxStrangers {
		clear(b.strangers)
	}
	b.strangers[u] = o.ID
}

// adopt takes over what the peers file says: another client of this account may have written it.
func (b *Book) adopt(ctx context.Context) error {
	file, id, err := b.readPeers(ctx)
	if err != nil || id == "" {
		return err
	}
	said := map[perm.User]map[wire.Address]wire.PeerState{}
	for a, s := range file.All() {
		u := a.User()
		if u == b.cfg.Me {
			continue
		}
		if said[u] == nil {
			said[u] = map[wire.Address]wire.PeerState{}
		}
		said[u][a] = s
	}
	return b.update("adopt", func(r *record) error {
		for u, e := range r.Peers {
			if said[u] == nil && e.Stored != "" && e.Wish.Op == "" {
				e.Stored = ""
			}
		}
		for u, states := range said {
			a, s := pick(states, r.Peers[u])
			e := r.Peers[u]
			if e == nil {
				e = r.entry(a, b.cfg.Now())
				e.Version.File = b.strangers[u]
			}
			if e.Stored != s {
				e.Stored = s
				e.Announced = e.state() // this account did that itself
			}
		}
		return nil
	})
}

// pick chooses among the spellings of one user: the one that is in use, else the first that says something.
func pick(states map[wire.Address]wire.PeerState, e *entry) (wire.Address, wire.PeerState) {
	if e != nil {
		if s, ok := states[e.Address]; ok {
			return e.Address, s
		}
	}
	var best wire.Address
	for a, s := range states {
		known := s == wire.Accepted || s == wire.RequestedByMe || s == wire.Rejected
		if best == "" || known && a < best {
			best = a
		}
	}
	return best, states[best]
}
