package peer

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"

	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
)

// checkAccount asks once who is signed in: nothing must ever be written into somebody else's Drive. Drive's spelling of the own address is
// the one that all names bear.
func (b *Book) checkAccount(ctx context.Context) error {
	if b.checked {
		return nil
	}
	who, err := b.cfg.Remote.Whoami(ctx)
	if err != nil {
		return err
	}
	a, err := wire.ParseAddress(who)
	if err != nil || a.User() != b.cfg.Me {
		return fmt.Errorf("the Drive account is %q, this datasite is %s: sign in with the account of the datasite: %w", who, b.cfg.Me, iofs.ErrPermission)
	}
	err = b.update("me", func(r *record) error {
		r.Me = a
		return nil
	})
	b.checked = err == nil
	return err
}

// Home gives a folder of our own and makes it if there is none: wire.TopFolder, LogFolder, CheckpointsFolder, RollingFolder (peer is ""), or
// ArchiveFolder, InboxFolder, OutboxFolder of a peer.
func (b *Book) Home(ctx context.Context, kind wire.FolderKind, peer perm.User) (remote.ID, error) {
	return b.home(ctx, kind, b.Spell(peer), b.folders.Ensure)
}

// Find is Home that makes nothing: remote.NotFound.
func (b *Book) Find(ctx context.Context, kind wire.FolderKind, peer perm.User) (remote.ID, error) {
	return b.home(ctx, kind, b.Spell(peer), b.folders.Find)
}

func (b *Book) home(ctx context.Context, kind wire.FolderKind, peer wire.Address, get func(context.Context, remote.Wanted) (remote.ID, error)) (remote.ID, error) {
	me := b.Spell(b.cfg.Me)
	f := wire.FolderName{Kind: kind, Version: b.ours, Of: me}
	w := remote.Wanted{}
	switch kind {
	case wire.TopFolder:
		w.Name = wire.FolderName{Kind: kind}.String()
		return get(ctx, w)
	case wire.LogFolder:
		w.Prefix = fmt.Sprintf("%d.%d.", b.ours.Major, b.ours.Minor)
	case wire.CheckpointsFolder, wire.RollingFolder:
		w.Prefix = string(me) + "-"
	case wire.ArchiveFolder:
		f.Version, f.Peer = wire.Version{}, peer
	case wire.InboxFolder, wire.OutboxFolder:
		f.Of, f.Peer = peer, me
		w.Prefix = requestPrefix
	default:
		return "", fmt.Errorf("folder of kind %d: %w", kind, iofs.ErrInvalid)
	}
	var err error
	if w.Parent, err = b.home(ctx, wire.TopFolder, "", get); err != nil {
		return "", err
	}
	w.Name = f.String()
	if w.Prefix != "" {
		w.Fits = func(name string) bool {
			g, err := wire.ParseFolder(name)
			return err == nil && f.Serves(g)
		}
	}
	return get(ctx, w)
}

// requestPrefix begins the names of inbox and outbox folders.
const requestPrefix = "syft_datasite#"

// publish makes e see us: the version file and the pair of folders, shared with it.
func (b *Book) publish(ctx context.Context, e *entry) error {
	if err := b.shareVersion(ctx, e); err != nil {
		return err
	}
	var p pair
	for _, f := range []struct {
		kind wire.FolderKind
		id   *remote.ID
	}{{wire.InboxFolder, &p.Inbox}, {wire.OutboxFolder, &p.Outbox}} {
		id, err := b.home(ctx, f.kind, e.Address, b.folders.Ensure)
		if err == nil {
			err = b.share(ctx, id, e.Address, remote.Role(f.kind.SharedAs()))
		}
		if err != nil {
			return err
		}
		*f.id = id
	}
	return b.edit("pair", e.Address, func(now *entry) { now.Pair = p })
}

// share grants a role. An address that Drive does not take will not be taken later either.
func (b *Book) share(ctx context.Context, id remote.ID, a wire.Address, role remote.Role) error {
	err := b.cfg.Remote.Grant(ctx, id, remote.Grant{Who: string(a), Role: role})
	if errors.Is(err, remote.Invalid) {
		return &givenUp{fmt.Errorf("share with %s: is that the address of an account? %w", a, err)}
	}
	return err
}

// shareVersion lets e read our version file, and learns how Drive spells its address, unless its own client already said.
func (b *Book) shareVersion(ctx context.Context, e *entry) error {
	id, err := b.ownVersion(ctx, true)
	if err == nil {
		err = b.share(ctx, id, e.Address, remote.CanRead)
	}
	if err != nil || len(e.Theirs) > 0 {
		return err
	}
	grants, err := b.cfg.Remote.Grants(ctx, id)
	if err != nil {
		return err
	}
	for _, g := range grants {
		a, err := wire.ParseAddress(g.Who)
		if err == nil && a != e.Address && a.User() == e.Address.User() {
			e.Address = a
			return b.edit("spelling", a, func(now *entry) { now.Address = a })
		}
	}
	return nil
}

func (b *Book) unshareVersion(ctx context.Context, a wire.Address) error {
	id, _, err := b.ownFile(ctx, versionFile, nil)
	if errors.Is(err, remote.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	err = b.cfg.Remote.Revoke(ctx, id, string(a))
	if errors.Is(err, remote.NotFound) {
		return nil
	}
	return err
}

// The names of the two files that an account keeps about itself.
var (
	versionFile = wire.FileName{Kind: wire.VersionFile}.String()
	peersFile   = wire.FileName{Kind: wire.PeersFile}.String()
)

// maxOwn bounds what is read of either; the decoders bound it further.
const maxOwn = 16 << 20

// ownVersion gives our version file, brought up to date; unless create is set, remote.NotFound if there is none.
func (b *Book) ownVersion(ctx context.Context, create bool) (remote.ID, error) {
	want := b.cfg.Version
	want.Updated = b.cfg.Now()
	body, err := want.Encode()
	if err != nil {
		return "", err
	}
	made := body
	if !create {
		made = nil
	}
	id, _, err := b.ownFile(ctx, versionFile, made)
	if err != nil {
		return "", err
	}
	old, err := b.fetch(ctx, id)
	if err != nil {
		return "", err
	}
	is, err := wire.DecodeVersion(bytes.NewReader(old))
	is.Updated = want.Updated
	if err == nil && is == want {
		return id, nil
	}
	replace := remote.Bytes(body)
	return id, b.cfg.Remote.Update(ctx, id, remote.Edit{Body: &replace, Type: wire.TextMIME})
}

// store changes what the peers file says about some, and keeps all else in it. One that cannot be read is never written over.
func (b *Book) store(ctx context.Context, states map[wire.Address]wire.PeerState) error {
	file, id, err := b.readPeers(ctx)
	if err != nil {
		return err
	}
	change := false
	for a, s := range states {
		if file.State(a) != s {
			change = true
			file.Set(a, s)
		}
	}
	if !change {
		return nil
	}
	body, err := file.Encode()
	if err != nil {
		return err
	}
	if id == "" {
		_, made, err := b.ownFile(ctx, peersFile, body)
		if err == nil && !made { // there is one after all
			return b.store(ctx, states)
		}
		return err
	}
	replace := remote.Bytes(body)
	return b.cfg.Remote.Update(ctx, id, remote.Edit{Body: &replace, Type: wire.TextMIME})
}

// readPeers reads the peers file; the id is "" if there is none.
func (b *Book) readPeers(ctx context.Context) (*wire.Peers, remote.ID, error) {
	id, _, err := b.ownFile(ctx, peersFile, nil)
	if errors.Is(err, remote.NotFound) {
		return &wire.Peers{}, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	body, err := b.fetch(ctx, id)
	if err != nil {
		return nil, "", err
	}
	p, err := wire.DecodePeers(bytes.NewReader(body))
	if err != nil {
		return nil, "", fmt.Errorf("%s on Drive is damaged and is not written over; repair it there, or remove it: %w", peersFile, err)
	}
	return p, id, nil
}

func (b *Book) fetch(ctx context.Context, id remote.ID) ([]byte, error) {
	o, err := b.cfg.Remote.Stat(ctx, id, remote.WithSum|remote.WithSize)
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	if err := remote.Fetch(ctx, b.cfg.Remote, o, maxOwn, &body); err != nil {
		return nil, err
	}
	return body.Bytes(), nil
}

// ownFile gives the id of one of our own two files. If there is none it is made of body, or with a nil body it is remote.NotFound. The id is
// kept before the file is made, and believed before any list.
func (b *Book) ownFile(ctx context.Context, name string, body []byte) (id remote.ID, made bool, err error) {
	b.mu.Lock()
	kept := b.rec.Files[name]
	b.mu.Unlock()
	if kept != "" {
		if _, err := b.cfg.Remote.Stat(ctx, kept, 0); err == nil || !errors.Is(err, remote.NotFound) {
			return kept, false, err
		}
	}
	get := b.folders.Find
	if body != nil {
		get = b.folders.Ensure
	}
	top, err := b.home(ctx, wire.TopFolder, "", get)
	if err != nil {
		return "", false, err
	}
	found, err := b.listed(ctx, top, name)
	switch {
	case err != nil:
		return "", false, err
	case found != "":
		return found, false, b.keepFile(name, found)
	case body == nil:
		return "", false, &remote.Error{Op: remote.OpList, Kind: remote.NotFound, Name: name}
	}
	if kept != "" { // drawn before a crash, and perhaps never used
		err := b.put(ctx, kept, name, top, body)
		if err == nil || !errors.Is(err, remote.Exists) && !errors.Is(err, remote.Invalid) {
			return kept, err == nil, err
		}
	}
	ids, err := b.cfg.Remote.NewIDs(ctx, 1)
	if err != nil {
		return "", false, err
	}
	if err := b.keepFile(name, ids[0]); err != nil {
		return "", false, err
	}
	if err := b.put(ctx, ids[0], name, top, body); err != nil && !errors.Is(err, remote.Exists) {
		return "", false, err
	}
	return ids[0], true, nil
}

// listed is the oldest of our own files of that name that is still there, "" if there is none: lists lag.
func (b *Book) listed(ctx context.Context, top remote.ID, name string) (remote.ID, error) {
	files, err := remote.Collect(ctx, b.cfg.Remote, remote.Query{Parent: top, Name: name, Whose: remote.Mine, Files: true, Want: remote.WithTimes})
	if err != nil {
		return "", err
	}
	slices.SortFunc(files, func(x, y remote.Object) int { return cmp.Or(x.Created.Compare(y.Created), cmp.Compare(x.ID, y.ID)) })
	var oldest remote.ID
	for _, o := range files {
		_, err := b.cfg.Remote.Stat(ctx, o.ID, 0)
		switch {
		case errors.Is(err, remote.NotFound):
		case err != nil:
			return "", err
		case oldest == "":
			oldest = o.ID
		default:
			b.warn(o, "there is an older file of that name, which is used; remove this one")
		}
	}
	return oldest, nil
}

func (b *Book) put(ctx context.Context, id remote.ID, name string, parent remote.ID, body []byte) error {
	return b.cfg.Remote.Put(ctx, remote.Spec{ID: id, Name: name, Parent: parent, Type: wire.TextMIME}, remote.Bytes(body))
}

func (b *Book) keepFile(name string, id remote.ID) error {
	return b.update("file", func(r *record) error {
		r.Files[name] = id
		return nil
	})
}
