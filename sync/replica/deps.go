package replica

import (
	"context"
	"io"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
)

// Tree is all datasites on this machine, the own one and the replicas. The gate fits it.
type Tree interface {
	// Snapshot opens the bytes that a regular file has at one moment, with their hash. What is no regular file, and no file, is
	// fs.ErrNotExist.
	Snapshot(ctx context.Context, p datasite.Path) (io.ReadCloser, datasite.Hash, error)

	// Files calls fn for under, if it is a regular file, or for every regular file below it, until fn fails. Nothing there is no error.
	Files(ctx context.Context, under datasite.Path, fn func(datasite.Path) error) error

	// Apply does c, an OpWrite with the bytes of body or an OpRemove, as the user from, whose right it asks, and records it with
	// OriginPeer, durably, before it returns. It is datasite.ErrStale, and nothing is done, unless the file has the hash c.Before.Hash now
	// (zero: there is no file). Missing folders are made; empty folders in the place of a file are removed. In from's own datasite
	// everything is allowed; a replica's owner is its owner. Refusals are fs.ErrPermission; a folder in the place of the file EISDIR, a
	// file in the place of one of its folders ENOTDIR.
	Apply(ctx context.Context, from perm.User, c datasite.Change, body io.Reader) error

	// Keep copies the file p to another name in the same datasite, as the owner of this machine and without asking a rule, and records it with
	// OriginLocal, durably. It is datasite.ErrStale unless p has the hash h. A copy with that hash that is there already is done; any other
	// file there is fs.ErrExist.
	Keep(ctx context.Context, p datasite.Path, h datasite.Hash, copy datasite.Path) error
}

// Rights answers from the rules of the own datasite.
type Rights interface {
	// Level is the highest level that u holds on p, a file that may be gone, or with a Rel of "" or of a folder, on that folder.
	Level(ctx context.Context, u perm.User, p datasite.Path) (perm.Level, error)
}

// Peer is somebody whom we exchange with, as far as it is known now.
type Peer struct {
	User    perm.User
	Serve   bool   // accepted, and of a version that we exchange with: it gets our events, and its proposals are taken
	Follow  bool   // the events of its datasite are taken
	Propose bool   // changes in its datasite may be sent to it
	Syftfs  bool   // its version file says syftfs
	Note    string // why one of these is not so, for people

	Inbox, Outbox           remote.ID // of our datasite, on the peer's Drive and owned by it: its proposals to us, our events to it
	TheirInbox, TheirOutbox remote.ID // of its datasite, on our Drive: our proposals to it, its events to us
}

// from is where the peer's messages lie that we take: proposals in wire.InboxFolder of our datasite, events in wire.OutboxFolder of its; "" if
// we take none.
func (p Peer) from(kind wire.FolderKind) remote.ID {
	switch {
	case kind == wire.InboxFolder && p.Serve:
		return p.Inbox
	case kind == wire.OutboxFolder && p.Follow:
		return p.TheirOutbox
	}
	return ""
}

// Peers knows whom we exchange with. sync/peer fits it.
type Peers interface {
	// List is what is known without asking Drive. An id of a folder that is not known, or does not exist, is "".
	List(ctx context.Context) ([]Peer, error)
	// Home gives a folder of our own and makes it if there is none: wire.LogFolder (peer is ""), or wire.ArchiveFolder for what peer
	// proposed.
	Home(ctx context.Context, kind wire.FolderKind, peer perm.User) (remote.ID, error)
	// Noticed is told everything that the feed says, with parent and owner: requests, folders and version files are among it. It is told
	// again after an error.
	Noticed(ctx context.Context, changes []remote.Change) error
	// Sweep looks everything up anew: lists lag, and the feed may be late.
	Sweep(ctx context.Context) error
}

// Checkpoints keeps the state of the own datasite on Drive, for a new machine. sync/checkpoint fits it.
type Checkpoints interface {
	// Restore gives the newest state that lies on Drive, one item a path, deletions too. It is zero if there is none. It changes nothing.
	Restore(ctx context.Context) (Restored, error)
	// Logged is told every message of the event log once it lies there, in their order; the same one again after an error or a crash. It
	// rolls, promotes and merges as it is due.
	Logged(ctx context.Context, e wire.Events) error
}

// Restored is a state of the own datasite, as checkpoints have it.
type Restored struct {
	Items []wire.Item
	Last  wire.Time // messages of the log with a later time in their name are not in it; 0: none is
}

// Collections carries datasets. sync/collection fits it.
type Collections interface {
	// Local is told which files below the datasets' folders and which rule files of the own datasite changed, came or went; again after an error.
	// A folder that went or was moved stands for the datasets in it.
	Local(ctx context.Context, paths []datasite.Path) error
	// Noticed and Sweep are as those of Peers.
	Noticed(ctx context.Context, changes []remote.Change) error
	Sweep(ctx context.Context) error
}
