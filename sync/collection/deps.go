package collection

import (
	"context"
	"io"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
)

// Tree is all datasites on this machine, the own one and the replicas. What fits sync/replica's Tree fits it.
type Tree interface {
	// Snapshot opens the bytes that a regular file has at one moment, with their hash. What is no regular file, and no file, is
	// fs.ErrNotExist.
	Snapshot(ctx context.Context, p datasite.Path) (io.ReadCloser, datasite.Hash, error)

	// Files calls fn for under, if it is a regular file, or for every regular file below it, until fn fails. Nothing there is no error.
	Files(ctx context.Context, under datasite.Path, fn func(datasite.Path) error) error

	// Apply does c, an OpWrite with the bytes of body or an OpRemove, as the user from, who may do everything in the own datasite, and
	// records it durably before it returns. It is datasite.ErrStale, and nothing is done, unless the file has the hash c.Before.Hash now
	// (zero: there is no file). Missing folders are made.
	Apply(ctx context.Context, from perm.User, c datasite.Change, body io.Reader) error

	// Keep copies the file p to another name in its folder. It is datasite.ErrStale unless p has the hash h. A copy with that hash that is
	// there already is done; any other file there is fs.ErrExist.
	Keep(ctx context.Context, p datasite.Path, h datasite.Hash, copy datasite.Path) error
}

// Rules answers from the rules of the own datasite. fs/dataset's Sharing fits it.
type Rules interface {
	// Level is the highest level that u holds on the file p.
	Level(ctx context.Context, u perm.User, p datasite.Path) (perm.Level, error)
	// Readers lists whom the rules let read the file p, as they spell them: addresses, "*", "USER", patterns of addresses.
	Readers(ctx context.Context, p datasite.Path) ([]string, error)
}

// Granter changes the rules of the own datasite. dir is the folder of a part of a dataset, user an address or Everyone. What the rules
// cannot express is an error, and nothing is changed. fs/dataset's Sharing fits it.
type Granter interface {
	Share(ctx context.Context, dir datasite.Path, user perm.User) error
	Unshare(ctx context.Context, dir datasite.Path, user perm.User) error
	// Restrict makes readers, and nobody else, those who may read what is or will be in dir, which need not exist.
	Restrict(ctx context.Context, dir datasite.Path, readers []perm.User) error
}

// Everyone in a call of Granter is everybody.
const Everyone perm.User = "*"

// Peer is an accepted peer.
type Peer struct {
	Address wire.Address // as it is spelled on Drive
	Version wire.Version // of its client; zero: not known
}

// Peers knows whom we exchange with, and where our own things lie. sync/peer fits it, but for Accepted.
type Peers interface {
	// Accepted lists the accepted peers, whatever their version is, from what is known on this machine. Whom it leaves out loses what
	// everybody may read.
	Accepted(ctx context.Context) ([]Peer, error)
	// Spell is how u is written on Drive.
	Spell(u perm.User) wire.Address
	// Home gives a folder of our own, made if there is none: wire.TopFolder (peer is "") is asked for.
	Home(ctx context.Context, kind wire.FolderKind, peer perm.User) (remote.ID, error)
}
