package peer

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
)

// entries gives copies of all entries, by address.
func (b *Book) entries() []entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []entry
	for _, e := range b.rec.Peers {
		c := *e
		c.Theirs = slices.Clone(e.Theirs)
		all = append(all, c)
	}
	slices.SortFunc(all, func(x, y entry) int { return cmp.Compare(x.Address, y.Address) })
	return all
}

// resolve does what follows from what is known: answered requests become acceptances, twins that are gone are forgotten, versions are read
// (again, of those that are stale), folders that should be there are made, wishes carried out, news announced.
func (b *Book) resolve(ctx context.Context, stale map[perm.User]bool) error {
	var errs []error
	try := func(u wire.Address, err error) bool {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", u, err))
		}
		return ctx.Err() == nil
	}
	for _, e := range b.entries() {
		if e.Blocked {
			continue
		}
		if !try(e.Address, b.twins(ctx, e)) || !try(e.Address, b.answered(ctx, e)) || !try(e.Address, b.readVersion(ctx, e, stale[e.Address.User()])) {
			return errors.Join(errs...)
		}
	}
	errs = append(errs, b.settleAll(ctx))
	for _, e := range b.entries() {
		if !try(e.Address, b.mend(ctx, e)) || !try(e.Address, b.announce(ctx, e)) {
			break
		}
	}
	return errors.Join(errs...)
}

// twins asks, where a peer has several folders for one thing, which of them are still there: the feed may say late that one is gone.
func (b *Book) twins(ctx context.Context, e entry) error {
	b.mu.Lock()
	_, in := b.serving(&e, wire.InboxFolder)
	_, out := b.serving(&e, wire.OutboxFolder)
	b.mu.Unlock()
	if in == nil && out == nil {
		return nil
	}
	gone := map[remote.ID]bool{}
	for _, t := range e.Theirs {
		_, err := b.cfg.Remote.Stat(ctx, t.ID, 0)
		if errors.Is(err, remote.NotFound) {
			gone[t.ID] = true
		} else if err != nil {
			return err
		}
	}
	return b.enter(&news{gone: gone})
}

// answered makes a request that was answered an acceptance.
func (b *Book) answered(ctx context.Context, e entry) error {
	if e.state() != StateRequested || e.Wish.Op != "" || len(e.Theirs) == 0 {
		return nil
	}
	if err := b.store(ctx, map[wire.Address]wire.PeerState{e.Address: wire.Accepted}); err != nil {
		return err
	}
	return b.edit("answered", e.Address, func(now *entry) { now.Stored = wire.Accepted })
}

// readVersion reads a peer's version file if it is not known, or stale. A peer that shows none is Unknown.
func (b *Book) readVersion(ctx context.Context, e entry, stale bool) error {
	if s := e.state(); s != StateAccepted && s != StateRequested && s != StatePending {
		return nil
	}
	v := e.Version
	if v.File != "" && v.Sum != "" && !stale {
		return nil
	}
	if v.File == "" {
		if b.looked[e.Address.User()] && !stale {
			return nil
		}
		var err error
		if v.File, err = b.findVersion(ctx, e.Address); err != nil {
			return err
		}
		b.looked[e.Address.User()] = true
		if v.File == "" {
			return nil
		}
	}
	o, err := b.cfg.Remote.Stat(ctx, v.File, remote.WithOwner|remote.WithSum|remote.WithSize)
	switch {
	case errors.Is(err, remote.NotFound):
		v = fact{}
	case err != nil:
		return err
	case !strings.EqualFold(o.Owner, string(e.Address)):
		b.warn(o, "it is not the peer's own version file")
		v = fact{}
	case o.SHA256 != v.Sum:
		v = fact{File: v.File, Sum: o.SHA256}
		var body bytes.Buffer
		err := remote.Fetch(ctx, b.cfg.Remote, o, maxVersion, &body)
		if err == nil {
			v.Info, err = wire.DecodeVersion(&body)
		}
		var we *wire.Error
		if errors.As(err, &we) || errors.Is(err, remote.Invalid) {
			v.Bad = err.Error()
		} else if err != nil {
			return err
		}
	}
	return b.edit("version", e.Address, func(now *entry) { now.Version = v })
}

// maxVersion is more than any version file has.
const maxVersion = 64 << 10

// findVersion looks for the version file of a peer: the oldest, as that is what everybody picks.
func (b *Book) findVersion(ctx context.Context, a wire.Address) (remote.ID, error) {
	q := remote.Query{Name: versionFile, Owner: string(a), Files: true, Whose: remote.Others, Want: remote.WithTimes}
	all, err := remote.Collect(ctx, b.cfg.Remote, q)
	if err != nil || len(all) == 0 {
		return "", err
	}
	return slices.MinFunc(all, func(x, y remote.Object) int { return cmp.Or(x.Created.Compare(y.Created), cmp.Compare(x.ID, y.ID)) }).ID, nil
}

// mend makes what a peer that we asked or accepted needs of us and is not known here: on a new machine, or after its spelling changed.
func (b *Book) mend(ctx context.Context, e entry) error {
	s, u := e.state(), e.Address.User()
	if s != StateAccepted && s != StateRequested || e.Wish.Op != "" || e.Pair.Inbox != "" && e.Pair.Outbox != "" || b.hopeless[u] {
		return nil
	}
	if err := b.checkAccount(ctx); err != nil {
		return err
	}
	err := b.publish(ctx, &e)
	if err != nil && !remote.Temporary(err) {
		b.hopeless[u] = true // until the next sweep
	}
	return err
}

// announce tells of a request, or of an answer, until somebody took notice.
func (b *Book) announce(ctx context.Context, e entry) error {
	s := e.state()
	if s != StatePending && s != StateAccepted || s == e.Announced || e.Wish.Op != "" {
		return nil
	}
	if b.cfg.Announce != nil {
		p, ok := b.Get(e.Address.User())
		if !ok {
			return nil
		}
		if err := b.cfg.Announce(ctx, p); err != nil {
			return fmt.Errorf("announce: %w", err)
		}
	}
	return b.edit("announced", e.Address, func(now *entry) { now.Announced = s })
}
