package collection

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
	"go.etcd.io/bbolt"
)

// filesOf is what the keys of the files of a folder begin with.
func filesOf(folder remote.ID) string { return string(folder) + "\x00" }

// send makes the collection of a part on Drive what s says: a new folder beside the one that is there, its files, its readers, and then
// it counts and the other one is old. Every id is kept before it is used, so that nothing is made twice.
func (c *Collections) send(ctx context.Context, name string, kind wire.FolderKind, s survey) (owned, error) {
	o, _, err := c.store.owned(name)
	if err != nil {
		return o, err
	}
	print := s.print()
	p := o.of(kind)
	if p.Next != nil && p.Next.Local != print {
		if o, err = c.abandon(name, kind); err != nil {
			return o, err
		}
		p = o.of(kind)
	}
	if p.Next == nil {
		if p.Now != nil && p.Now.Local == print {
			return o, nil
		}
		if p.Now == nil {
			adopted, err := c.adopt(ctx, name, kind, s)
			if err != nil {
				return o, err
			}
			if o = adopted; o.of(kind).Now != nil {
				return o, nil
			}
		}
		if o, err = c.plan(ctx, name, kind, s); err != nil {
			return o, err
		}
	}
	return c.upload(ctx, name, kind, *o.of(kind).Next, s)
}

// abandon makes what is being sent old.
func (c *Collections) abandon(name string, kind wire.FolderKind) (owned, error) {
	return c.change("abandon", name, func(_ *bbolt.Tx, o *owned) error {
		if p := o.of(kind); p.Next != nil {
			p.Old = append(p.Old, p.Next.ID)
			p.Next = nil
		}
		return nil
	})
}

// plan draws the ids of a new collection and keeps them.
func (c *Collections) plan(ctx context.Context, name string, kind wire.FolderKind, s survey) (owned, error) {
	ids, err := c.cfg.Remote.NewIDs(ctx, 1+len(s.files))
	if err != nil {
		return owned{}, err
	}
	return c.change("plan", name, func(tx *bbolt.Tx, o *owned) error {
		next := &copied{ID: ids[0], Hash: s.hash, Local: s.print(), Files: len(s.files)}
		for i, f := range s.files {
			if err := put(tx, fileBucket, filesOf(next.ID)+f.Name, planned{ID: ids[1+i], Path: f.Path, Hash: f.Hash, Size: f.Size}); err != nil {
				return err
			}
		}
		o.of(kind).Next = next
		return nil
	})
}

// upload does what is planned, and what of it was done before is not done again.
func (c *Collections) upload(ctx context.Context, name string, kind wire.FolderKind, next copied, s survey) (owned, error) {
	var files map[string]planned
	err := c.store.view(func(tx *bbolt.Tx) (err error) {
		files, err = all[planned](tx, fileBucket, filesOf(next.ID))
		return err
	})
	if err != nil {
		return owned{}, err
	}
	err = c.fill(ctx, wire.FolderName{Kind: kind, Tag: name, Hash: next.Hash}, next.ID, files)
	if errors.Is(err, errMoved) || errors.Is(err, remote.NotFound) {
		// The files are no longer those that were planned, or somebody deleted the folder: a new plan.
		_, undone := c.abandon(name, kind)
		return owned{}, errors.Join(undone, errMoved)
	}
	if err != nil {
		return owned{}, err
	}
	to := audience{}
	if kind == wire.CollectionFolder {
		if to, err = c.open(ctx, name, next.ID, s.files); err != nil {
			return owned{}, err
		}
	}
	return c.change("switch", name, func(tx *bbolt.Tx, o *owned) error {
		p := o.of(kind)
		if p.Next == nil || p.Next.ID != next.ID {
			return errMoved // it was taken from us meanwhile
		}
		if p.Now != nil {
			p.Old = append(p.Old, p.Now.ID)
		} else if kind == wire.CollectionFolder {
			o.Dropped = false // it was made again
		}
		p.Now, p.Next = p.Next, nil
		if kind == wire.CollectionFolder {
			o.Readers, o.Any, o.Odd = slices.Sorted(maps.Keys(to.readers)), to.any, to.notes
		}
		return clearUnder(tx, fileBucket, filesOf(next.ID))
	})
}

// fill makes the folder and what of files is not in it.
func (c *Collections) fill(ctx context.Context, name wire.FolderName, folder remote.ID, files map[string]planned) error {
	top, err := c.cfg.Peers.Home(ctx, wire.TopFolder, "")
	if err != nil {
		return fmt.Errorf("our folder on Drive: %w", err)
	}
	if err := c.step("folder"); err != nil {
		return err
	}
	err = c.cfg.Remote.Put(ctx, remote.Spec{ID: folder, Name: name.String(), Parent: top, Folder: true}, remote.Body{})
	switch {
	case errors.Is(err, remote.NotFound): // of the folder above: not a reason to begin anew
		return fmt.Errorf("our folder %s on Drive was not found; %v", top, err)
	case errors.Is(err, remote.Exists):
		done, err := remote.Collect(ctx, c.cfg.Remote, remote.Query{Parent: folder, Whose: remote.Mine, Files: true})
		if err != nil {
			return err
		}
		for _, o := range done {
			if f, ok := files[o.Name]; ok && f.ID == o.ID {
				delete(files, o.Name)
			}
		}
	case err != nil:
		return err
	}
	return parallel(ctx, c.cfg.Parallel, slices.Sorted(maps.Keys(files)), func(ctx context.Context, name string) error {
		if c.urgent.Load() {
			return errYield
		}
		if err := c.step("file"); err != nil {
			return err
		}
		f := files[name]
		open := func() (io.ReadCloser, error) {
			r, hash, err := c.cfg.Tree.Snapshot(ctx, f.Path)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", errMoved, err)
			}
			if hash != f.Hash {
				return nil, errors.Join(errMoved, r.Close())
			}
			return r, nil
		}
		err := c.cfg.Remote.Put(ctx, remote.Spec{ID: f.ID, Name: name, Parent: folder, Type: wire.BinaryMIME}, remote.Body{Size: f.Size, Open: open})
		if errors.Is(err, remote.Exists) {
			return nil // done before
		}
		return err
	})
}

// parallel calls fn for every name, some at the same time, until one fails.
func parallel(ctx context.Context, at int, names []string, fn func(context.Context, string) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan string)
	var busy sync.WaitGroup
	for range min(at, len(names)) {
		busy.Go(func() {
			for name := range work {
				if err := fn(ctx, name); err != nil {
					cancel(err) // the first counts
					return
				}
			}
		})
	}
	for _, name := range names {
		select {
		case work <- name:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(work)
	busy.Wait()
	return context.Cause(ctx)
}

// open gives a new collection its readers by the rules, and tells who they are now. Nobody reads it before it is complete.
// Whom Drive denied the version before, though the rules do not, it goes on denying.
func (c *Collections) open(ctx context.Context, name string, folder remote.ID, files []file) (audience, error) {
	peers, err := c.peers(ctx)
	if err != nil {
		return audience{}, err
	}
	to, err := c.byRules(ctx, files, peers)
	if err != nil {
		return to, err
	}
	drive, err := c.onDrive(ctx, folder) // as far as an earlier try came, when other rules may have held
	if err != nil {
		return to, err
	}
	denied, err := c.denied(ctx, name)
	if err != nil {
		return to, err
	}
	m := merge{c: c, id: folder, notes: drive.notes}
	if to.any != drive.any {
		if err := c.tag(ctx, folder, to.any); err != nil {
			return to, err
		}
	}
	var failed error
	for _, u := range slices.Sorted(maps.Keys(to.readers)) {
		if _, has := drive.readers[u]; has || denied[u] {
			continue
		}
		ok, err := m.share(ctx, u, to.readers[u][0])
		if failed = errors.Join(failed, err); !ok {
			delete(to.readers, u)
		}
	}
	for _, u := range slices.Sorted(maps.Keys(drive.readers)) {
		if _, still := to.readers[u]; still {
			continue
		}
		reads, err := m.unshare(ctx, u, drive.readers[u])
		if failed = errors.Join(failed, err); reads && err == nil {
			to.readers[u] = drive.readers[u]
		}
	}
	to.notes = append(to.notes, m.notes...)
	return to, failed
}

// denied are those who were readers on both sides and are so no longer on Drive.
func (c *Collections) denied(ctx context.Context, name string) (map[perm.User]bool, error) {
	o, _, err := c.store.owned(name)
	if err != nil || o.Public.Now == nil {
		return nil, err
	}
	on, err := c.onDrive(ctx, o.Public.Now.ID)
	if errors.Is(err, remote.NotFound) {
		return nil, nil
	}
	denied := map[perm.User]bool{}
	for _, u := range o.Readers {
		_, reads := on.readers[u]
		denied[u] = !reads
	}
	return denied, err
}

// adopt takes a collection that was made elsewhere, or by a state that was lost, and holds just what s says. If there is none, those who
// read the newest one that is there become readers by the rules: they have it.
func (c *Collections) adopt(ctx context.Context, name string, kind wire.FolderKind, s survey) (owned, error) {
	if err := c.look(ctx, wire.FolderName{Kind: kind, Tag: name, Hash: s.hash}); err != nil {
		return owned{}, err
	}
	list, err := c.mine(ctx, name, kind)
	if err != nil {
		return owned{}, err
	}
	for _, f := range list {
		if f.Hash != s.hash {
			continue
		}
		same, err := c.holds(ctx, f.ID, s)
		if err != nil {
			return owned{}, err
		}
		if same {
			o, err := c.change("adopt", name, func(tx *bbolt.Tx, o *owned) error {
				o.of(kind).Now = &copied{ID: f.ID, Hash: f.Hash, Local: s.print(), Files: len(s.files)}
				return del(tx, mineBucket, string(f.ID))
			})
			if err != nil || kind == wire.PrivateFolder {
				return o, err
			}
			if err := c.agree(ctx, name, o); err != nil {
				return o, err
			}
			o, _, err = c.store.owned(name)
			return o, err
		}
	}
	if len(list) > 0 && kind == wire.CollectionFolder {
		if err := c.takeReaders(ctx, name, list[0].ID, s); err != nil {
			return owned{}, err
		}
	}
	o, _, err := c.store.owned(name)
	return o, err
}

// look asks for folders of just this name: a syft-client on the same tree may have made one a moment ago.
func (c *Collections) look(ctx context.Context, name wire.FolderName) error {
	found, err := remote.Collect(ctx, c.cfg.Remote, remote.Query{Name: name.String(), Whose: remote.Mine, Folders: true, Want: remote.WithOwner | remote.WithTimes})
	if err != nil {
		return err
	}
	known, err := c.folders()
	if err != nil {
		return err
	}
	n := news{mine: map[remote.ID]offered{}}
	for _, o := range found {
		if _, ok := known[o.ID]; !ok {
			if f, ok := collectionOf(o); ok {
				n.mine[o.ID] = f
			}
		}
	}
	if len(n.mine) == 0 {
		return nil
	}
	return c.store.update("look", n.write)
}

// takeReaders makes those who read another collection of a dataset its readers by the rules, too.
func (c *Collections) takeReaders(ctx context.Context, name string, folder remote.ID, s survey) error {
	on, err := c.onDrive(ctx, folder)
	if err != nil {
		return err
	}
	peers, err := c.peers(ctx)
	if err != nil {
		return err
	}
	rules, err := c.byRules(ctx, s.files, peers)
	if err != nil {
		return err
	}
	m := merge{c: c, name: name, id: folder, files: s.files}
	if on.any && !rules.any {
		if _, err := m.follow(ctx, Everyone, anybody, true); err != nil {
			return err
		}
	}
	for _, u := range slices.Sorted(maps.Keys(on.readers)) {
		if _, ok := rules.readers[u]; ok {
			continue
		}
		if _, err := m.follow(ctx, u, u, true); err != nil {
			return err
		}
	}
	return nil
}

// holds reports whether the folder holds exactly the files of s.
func (c *Collections) holds(ctx context.Context, folder remote.ID, s survey) (bool, error) {
	want := map[string]string{}
	for _, f := range s.files {
		want[f.Name] = f.Hash.String()
	}
	for o, err := range remote.All(ctx, c.cfg.Remote, remote.Query{Parent: folder, Files: true, Want: remote.WithSum}) {
		if err != nil {
			return false, err
		}
		if sum, ok := want[o.Name]; !ok || sum != o.SHA256 {
			return false, nil
		}
		delete(want, o.Name)
	}
	return len(want) == 0, nil
}

// adoptBackup finds out whether the private part is kept on Drive since before anything was known.
func (c *Collections) adoptBackup(ctx context.Context, name string, o owned) (owned, error) {
	if o.Backup {
		return o, nil
	}
	list, err := c.mine(ctx, name, wire.PrivateFolder)
	if err != nil || len(list) == 0 {
		return o, err
	}
	return c.change("backup", name, func(_ *bbolt.Tx, o *owned) error {
		o.Backup = true
		return nil
	})
}
