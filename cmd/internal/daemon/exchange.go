package daemon

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"sync"
	"time"

	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/openmined/syftfs/fs/dataset"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/statedir"
	"github.com/openmined/syftfs/jobs"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/checkpoint"
	"github.com/openmined/syftfs/sync/collection"
	"github.com/openmined/syftfs/sync/drive"
	"github.com/openmined/syftfs/sync/peer"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/replica"
	"github.com/openmined/syftfs/sync/wire"
)

// client is the version of the peers' client that we are on the wire.
const client = "0.1.117"

// Version is this program's own, as the version file tells it to peers.
const Version = "0.2.0"

// idsAtOnce is how many ids are asked for in one request.
const idsAtOnce = 1000

// exchange is everything that goes over Drive, connected. It is nil in a datasite without one.
type exchange struct {
	site        *site
	book        *peer.Book
	collections *collection.Collections
	replica     *replica.Replica

	changed chan struct{} // one slot: who our peers are may have changed
	wished  chan struct{} // one slot: a wish was noted, and is not carried out
	stop    context.CancelFunc
	wg      sync.WaitGroup
}

// openExchange builds the exchange. Nothing is asked of Drive.
func (s *site) openExchange() (x *exchange, err error) {
	if s.cfg.Drive.At == "" {
		return nil, nil
	}
	sub := map[string]*statedir.Dir{}
	for _, name := range []string{driveDir, "peers", "checkpoint"} {
		if sub[name], err = s.state.Sub(name); err != nil {
			return nil, err
		}
	}
	endpoint := s.cfg.Drive.Endpoint()
	keys, err := drive.OpenCredentials(sub[driveDir], tokenFile, drive.CredentialsConfig{Endpoint: endpoint})
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, &service.Error{Code: service.BadInput, Field: "drive",
			Message: fmt.Sprintf("datasite %s exchanges through %s, and nobody is signed in there: run `syftfs auth`", s.name, s.cfg.Drive.At), Err: err}
	}
	if err != nil {
		return nil, err
	}
	c, err := drive.Open(context.Background(), drive.Config{Endpoint: endpoint, Tokens: keys})
	if err != nil {
		return nil, err
	}
	// A round that fails is begun again by itself; a long wait inside it would keep a person who asks for one from getting it.
	r := remote.WithRetry(remote.WithLimit(withSteps(c), remote.Budget{}), remote.Policy{Tries: 3, Max: 2 * time.Second})
	r = pooled{r, remote.NewPool(r, idsAtOnce)}

	x = &exchange{site: s, changed: make(chan struct{}, 1), wished: make(chan struct{}, 1)}
	x.book, err = peer.New(peer.Config{Remote: r, Me: s.owner, State: sub["peers"], Admit: peerAdmitter{s}, OnChange: func() { poke(x.changed) }, Log: s.log,
		Version: wire.VersionInfo{Client: client, MinClient: wire.MinClient, Protocol: wire.Protocol, MinProtocol: wire.MinProtocol, Syftfs: Version}})
	if err != nil {
		return nil, err
	}
	codec := wire.Codec{Spell: x.book.Spell}
	keeper, err := checkpoint.New(checkpoint.Config{Remote: r, Folders: ownFolders{x.book}, State: sub["checkpoint"], Tree: s.gate, Codec: codec,
		Owner: x.book.Spell(s.owner), Log: s.log})
	if err != nil {
		return nil, err
	}
	sharing := dataset.NewSharing(s.view)
	x.collections, err = collection.New(collection.Config{Owner: s.owner, Dir: s.state.Path("collections"), Remote: r, Tree: s.gate, Rules: sharing, Granter: sharing,
		Peers: datasetPeers{x.book}, Rehome: s.rehome, Log: s.log, Fault: statedir.FromEnv()})
	if err != nil {
		return nil, err
	}
	x.replica, err = replica.New(replica.Config{Owner: s.owner, Dir: s.state.Path("replica"), Journal: s.journal.Journal, Remote: r, Codec: codec, Tree: s.gate, Rights: s.gate,
		Peers: replicaPeers{x.book}, Checkpoints: checkpoints{keeper}, Collections: x.collections,
		Poll: s.cfg.Drive.Every(), Sweep: time.Duration(s.cfg.Drive.Sweep), Patience: time.Duration(s.cfg.Drive.Patience), Log: s.log, Fault: statedir.FromEnv()})
	if err != nil {
		return nil, errors.Join(err, x.collections.Close())
	}
	return x, nil
}

// start begins the exchange, once the tree was compared with the journal.
func (x *exchange) start() {
	ctx, stop := context.WithCancel(context.Background())
	x.stop = stop
	x.collections.Start()
	x.wg.Go(func() {
		if err := x.replica.Run(ctx); err != nil && ctx.Err() == nil {
			x.site.problem("the exchange with peers ended", err)
		}
	})
	x.wg.Go(func() { follow(ctx, x.changed, x.welcome) })
	x.wg.Go(func() { follow(ctx, x.wished, x.settle) })
	poke(x.changed)
	poke(x.wished)
}

// lastPush is how long the end waits for what was not sent yet. It is sent after the next start otherwise.
const lastPush = 5 * time.Second

// close sends what waits, for a moment, and stops.
func (x *exchange) close(ctx context.Context) error {
	if x.stop != nil {
		last, cancel := context.WithTimeout(ctx, lastPush)
		_ = x.replica.Sync(last) // what could not be sent stays queued, and Drive may be away
		cancel()
		x.stop()
	}
	err := errors.Join(x.replica.Close(), x.collections.Close())
	x.wg.Wait()
	return err
}

// poke fills a channel of one slot; it returns at once.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// follow does what is due whenever c is filled, until ctx ends. What fails has told of it.
func follow(ctx context.Context, c <-chan struct{}, do func(context.Context)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c:
			do(ctx)
		}
	}
}

// wishAgain is how long a wish that could not be carried out waits for the next attempt.
const wishAgain = 15 * time.Second

// settle carries out what is wished for peers, now or when Drive answers again.
func (x *exchange) settle(ctx context.Context) {
	if err := x.book.Settle(ctx); err != nil && ctx.Err() == nil {
		x.site.log.Info("a wish for a peer waits", "op", "peers", "err", err)
		time.AfterFunc(wishAgain, func() { poke(x.wished) })
	}
	x.replica.Poke()
}

// welcome gives accepted peers their place here: the folder of their datasite, and jobs/ in it.
func (x *exchange) welcome(ctx context.Context) {
	peers, err := x.book.List(ctx)
	errs := []error{err}
	for _, p := range peers {
		if p.State != peer.StateAccepted || !p.Follow && !p.Propose {
			continue
		}
		if err := x.site.gate.Welcome(p.User); err != nil {
			errs = append(errs, err)
			continue
		}
		sub, err := x.site.drafts.ofPeer(p.User)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		mount, at := x.site.mount, datasite.Path{Owner: p.User}
		sub.watch(x.site.cfg.Mount, func(rel string) { mount.InvalidateVirtual(at, datasite.JobsDir, rel) })
		mount.InvalidateVirtual(at, datasite.JobsDir, "")
	}
	if err := errors.Join(append(errs, x.collections.Regrant(ctx))...); err != nil && ctx.Err() == nil && !errors.Is(err, errStopping) {
		x.site.problem("a peer's place in the tree", err)
	}
	x.replica.Poke()
}

// pooled is a Remote that asks for ids many at a time.
type pooled struct {
	remote.Remote
	pool *remote.Pool
}

// NewIDs gives ids from the pool.
func (p pooled) NewIDs(ctx context.Context, n int) ([]remote.ID, error) { return p.pool.NewIDs(ctx, n) }

// peerAdmitter gives an accepted peer its job folders.
type peerAdmitter struct{ s *site }

// Admit makes the job folders of a peer and their rules.
func (a peerAdmitter) Admit(ctx context.Context, u perm.User) error {
	return jobs.Admit(ctx, jobTree{a.s.view}, a.s.owner, u)
}

// replicaPeers are the peers as the replicator wants them.
type replicaPeers struct{ *peer.Book }

// List gives what is known of each.
func (b replicaPeers) List(ctx context.Context) ([]replica.Peer, error) {
	all, err := b.Book.List(ctx)
	if err != nil {
		return nil, err
	}
	var list []replica.Peer
	for _, p := range all {
		list = append(list, replica.Peer{User: p.User, Serve: p.Serve, Follow: p.Follow, Propose: p.Propose, Syftfs: p.Syftfs, Note: p.Note,
			Inbox: p.Inbox, Outbox: p.Outbox, TheirInbox: p.TheirInbox, TheirOutbox: p.TheirOutbox})
	}
	return list, nil
}

// datasetPeers are the peers as the datasets want them.
type datasetPeers struct{ *peer.Book }

// Accepted lists the accepted ones, whatever their version is.
func (b datasetPeers) Accepted(ctx context.Context) ([]collection.Peer, error) {
	all, err := b.List(ctx)
	if err != nil {
		return nil, err
	}
	var list []collection.Peer
	for _, p := range all {
		if p.State != peer.StateAccepted {
			continue
		}
		v, err := wire.ParseVersion(p.Version.Client)
		if err != nil {
			v = wire.Version{} // not known
		}
		list = append(list, collection.Peer{Address: p.Address, Version: v})
	}
	return list, nil
}

// ownFolders are our own folders on Drive, as the checkpoints want them.
type ownFolders struct{ book *peer.Book }

// Ensure gives a folder and makes it if there is none.
func (o ownFolders) Ensure(ctx context.Context, kind wire.FolderKind) (remote.ID, error) {
	return o.book.Home(ctx, kind, "")
}

// Find gives a folder that is there.
func (o ownFolders) Find(ctx context.Context, kind wire.FolderKind) (remote.ID, error) {
	return o.book.Find(ctx, kind, "")
}

// checkpoints are the state on Drive as the replicator wants it.
type checkpoints struct{ *checkpoint.Keeper }

// Restore gives the newest state.
func (k checkpoints) Restore(ctx context.Context) (replica.Restored, error) {
	r, err := k.Keeper.Restore(ctx)
	return replica.Restored(r), err
}

// rehome makes a dataset's private_metadata.yaml point to where its private part lies on this machine.
func (s *site) rehome(name string, metadata []byte) ([]byte, error) {
	dir, err := datasite.Path{Owner: s.owner, Rel: datasite.PrivateDatasetsDir}.Child(name)
	if err != nil {
		return nil, err
	}
	return dataset.Rehome(metadata, s.gate.HostPath(dir))
}
