package collection

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
	"go.etcd.io/bbolt"
)

// folderOf gives the dataset of the own datasite whose public or private folder p is, or lies in.
func folderOf(p datasite.Path) (name string, private, ok bool) {
	for _, dir := range []string{datasite.PublicDatasetsDir, datasite.PrivateDatasetsDir} {
		if rest, cut := strings.CutPrefix(p.Rel, dir+"/"); cut {
			name, _, _ := strings.Cut(rest, "/")
			return name, dir == datasite.PrivateDatasetsDir, true
		}
	}
	return "", false, false
}

func (c *Collections) mock(name string) datasite.Path {
	return datasite.Path{Owner: c.cfg.Owner, Rel: datasite.PublicDatasetsDir}.Join(name)
}

func (c *Collections) private(name string) datasite.Path {
	return datasite.Path{Owner: c.cfg.Owner, Rel: datasite.PrivateDatasetsDir}.Join(name)
}

// Local notes which files below the datasets' folders, and which rule files of the own datasite, changed, came or went. A folder that holds
// datasets stands for all of them.
func (c *Collections) Local(_ context.Context, paths []datasite.Path) error {
	rules := map[string]bool{}   // datasets to look at
	content := map[string]bool{} // also at their files
	backup := map[string]bool{}  // datasets whose private part changed
	urgent, everywhere := false, []datasite.Path(nil)
	whole := map[bool]bool{} // all public parts, all private ones
	for _, p := range paths {
		if p.Owner != c.cfg.Owner {
			continue
		}
		rule := datasite.IsRuleName(p.Base())
		name, private, ok := folderOf(p)
		switch {
		case c.mock("").Under(p) || c.private("").Under(p):
			whole[false] = whole[false] || c.mock("").Under(p)
			whole[true] = whole[true] || c.private("").Under(p)
		case ok && rule && !private:
			rules[name], urgent = true, true
		case ok && private:
			backup[name] = true
		case ok:
			content[name] = true
		case rule:
			everywhere, urgent = append(everywhere, p.Parent()), true
		}
	}
	if len(rules)+len(content)+len(backup)+len(everywhere)+len(whole) == 0 {
		return nil
	}
	err := c.store.update("local", func(tx *bbolt.Tx) error {
		err := each(tx, ownBucket, "", func(name string, o owned) error {
			if whole[false] || o.Backup && (backup[name] || whole[true]) {
				content[name] = true
			}
			if slices.ContainsFunc(everywhere, c.mock(name).Under) {
				rules[name] = true
			}
			return nil
		})
		if err != nil {
			return err
		}
		maps.Copy(rules, content)
		for name := range rules {
			if err := markWith(tx, key{Name: name}, content[name]); err != nil {
				return err
			}
		}
		if whole[false] {
			return wish(tx) // datasets may have come with it of which nothing is known
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("note changed datasets: %w", err)
	}
	c.noted(urgent)
	return nil
}

// noted wakes who works.
func (c *Collections) noted(urgent bool) {
	if urgent {
		c.urgent.Store(true)
	}
	c.wake()
}

// Regrant notes that who may read the own datasets has to be decided anew: peers were accepted or are so no longer, accounts changed.
// What such peers offer is looked for, too.
func (c *Collections) Regrant(context.Context) error {
	if err := c.wantAll("regrant"); err != nil {
		return fmt.Errorf("note changed readers of datasets: %w", err)
	}
	c.noted(true)
	return nil
}

// Sweep notes that everything has to be looked for on Drive: lists lag, and the feed may be late.
func (c *Collections) Sweep(context.Context) error {
	if err := c.wantAll("wish"); err != nil {
		return fmt.Errorf("note a sweep for collections: %w", err)
	}
	c.noted(false)
	return nil
}

func (c *Collections) wantAll(op string) error {
	return c.store.update(op, func(tx *bbolt.Tx) error {
		if err := markAll(tx); err != nil {
			return err
		}
		return wish(tx)
	})
}

// markAll marks every own dataset.
func markAll(tx *bbolt.Tx) error {
	return each(tx, ownBucket, "", func(name string, _ owned) error { return markWith(tx, key{Name: name}, false) })
}

// Noticed is told what the feed says, with parent and owner, and again after an error.
func (c *Collections) Noticed(ctx context.Context, changes []remote.Change) error {
	n, err := c.read(ctx, changes)
	if err != nil {
		return fmt.Errorf("note changed collections: %w", err)
	}
	if len(n.marks) == 0 {
		return nil
	}
	err = c.store.update("noticed", func(tx *bbolt.Tx) error { return n.write(tx) })
	if err != nil {
		return fmt.Errorf("note changed collections: %w", err)
	}
	own := slices.ContainsFunc(n.marks, func(k key) bool { return k.Owner == "" })
	c.noted(own)
	return nil
}

// news is what a piece of the feed or a list says about collections.
type news struct {
	marks []key
	put   map[remote.ID]offered // of others
	mine  map[remote.ID]offered // of ours, which no record speaks of
}

func (n *news) write(tx *bbolt.Tx) error {
	for id, f := range n.put {
		if err := put(tx, otherBucket, string(id), f); err != nil {
			return err
		}
	}
	for id, f := range n.mine {
		if err := put(tx, mineBucket, string(id), f); err != nil {
			return err
		}
	}
	for _, k := range n.marks {
		if err := markWith(tx, k, false); err != nil {
			return err
		}
	}
	return nil
}

func (n *news) mark(k key) {
	if !slices.Contains(n.marks, k) {
		n.marks = append(n.marks, k)
	}
}

// count is how many collections of owner's there are with those of n.
func (n *news) count(known map[remote.ID]key, owner perm.User) int {
	sum := 0
	for id, k := range known {
		if _, again := n.put[id]; k.Owner == owner && !again {
			sum++
		}
	}
	for _, f := range n.put {
		if f.Owner == owner {
			sum++
		}
	}
	return sum
}

// read picks what is about collections. Folders by anybody but an accepted peer are nothing.
func (c *Collections) read(ctx context.Context, changes []remote.Change) (news, error) {
	n := news{put: map[remote.ID]offered{}, mine: map[remote.ID]offered{}}
	known, err := c.folders()
	if err != nil || len(changes) == 0 {
		return n, err
	}
	var peers peers
	for _, ch := range changes {
		o := ch.Object
		if k, ok := known[ch.ID]; ok {
			n.mark(k)
		}
		if k, ok := known[o.Parent]; ok && k.Owner != "" {
			n.mark(k) // a file that was late
		}
		if ch.Gone || !o.Folder {
			continue
		}
		f, ok := collectionOf(o)
		if !ok {
			continue
		}
		_, old := known[ch.ID]
		if f.Owner == "" {
			if !old {
				n.mine[ch.ID] = f
			}
			n.mark(key{Name: f.Tag})
			continue
		}
		if peers == nil {
			if peers, err = c.peers(ctx); err != nil {
				return n, err
			}
		}
		if _, ok := peers[f.Owner]; !ok || f.Kind != wire.CollectionFolder {
			continue
		}
		if k := (key{f.Owner, f.Tag}); old || n.count(known, f.Owner) < c.cfg.Limits.Sets {
			n.put[ch.ID] = f
			n.mark(k)
		} else {
			c.live.trouble(k, fmt.Errorf("%s offers more than %d datasets; this one is left out: %w", f.Owner, c.cfg.Limits.Sets, wire.ErrLimit))
		}
	}
	return n, nil
}

// folders gives the dataset of every folder on Drive that is known.
func (c *Collections) folders() (map[remote.ID]key, error) {
	known := map[remote.ID]key{}
	err := c.store.view(func(tx *bbolt.Tx) error {
		err := each(tx, ownBucket, "", func(name string, o owned) error {
			for _, p := range []part{o.Public, o.Private} {
				for _, f := range []*copied{p.Now, p.Next} {
					if f != nil {
						known[f.ID] = key{Name: name}
					}
				}
				for _, id := range p.Old {
					known[id] = key{Name: name}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		return each(tx, otherBucket, "", func(id string, f offered) error {
			known[remote.ID(id)] = key{f.Owner, f.Tag}
			return nil
		})
	})
	return known, err
}

// collectionOf reads a folder on Drive. Its owner is who owns it there, "" for us; a name that no datasite can hold is no collection.
func collectionOf(o remote.Object) (offered, bool) {
	f, err := wire.ParseFolder(o.Name)
	if err != nil || f.Kind != wire.CollectionFolder && f.Kind != wire.PrivateFolder {
		return offered{}, false
	}
	found := offered{Kind: f.Kind, Tag: f.Tag, Hash: f.Hash, At: later(o.Created, o.Modified)}
	if o.Mine {
		return found, true
	}
	owner, err := wire.ParseAddress(o.Owner)
	if err != nil {
		return offered{}, false
	}
	found.Owner = owner.User()
	return found, true
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// peers are the accepted ones.
type peers map[perm.User]Peer

func (c *Collections) peers(ctx context.Context) (peers, error) {
	list, err := c.cfg.Peers.Accepted(ctx)
	if err != nil {
		return nil, fmt.Errorf("accepted peers: %w", err)
	}
	m := peers{}
	for _, p := range list {
		if u := p.Address.User(); u != c.cfg.Owner {
			m[u] = p
		}
	}
	return m, nil
}

// Backup says whether the private part of an own dataset is kept on Drive, too, for this account alone. It may be said before the dataset
// is there. What lies on Drive is deleted once it is not to be kept.
func (c *Collections) Backup(_ context.Context, name string, keep bool) error {
	err := c.store.update("backup", func(tx *bbolt.Tx) error {
		o, _, err := get[owned](tx, ownBucket, name)
		if err != nil {
			return err
		}
		if o.Backup = keep; !keep {
			err = retireBackup(tx, &o, name)
		}
		return errors.Join(err, o.keep(tx, name), markWith(tx, key{Name: name}, true))
	})
	if err != nil {
		return fmt.Errorf("backup of the private part of %s: %w", name, err)
	}
	c.noted(false)
	return nil
}

// Delete says that an own dataset was, or is about to be, deleted on purpose: its collection goes from Drive once its folder is gone,
// and with backup what was kept of its private part. Copies that were delivered stay with those who have them.
func (c *Collections) Delete(ctx context.Context, name string, backup bool) error {
	err := c.store.update("delete", func(tx *bbolt.Tx) error {
		o, ok, err := get[owned](tx, ownBucket, name)
		if err != nil || !ok {
			return err
		}
		o.Dropped = true
		if backup {
			o.Backup = false
			err = retireBackup(tx, &o, name)
		}
		return errors.Join(err, o.keep(tx, name), markWith(tx, key{Name: name}, true))
	})
	if err != nil {
		return fmt.Errorf("delete dataset %s on Drive: %w", name, err)
	}
	c.noted(false)
	return nil
}

// retireBackup makes everything old that is kept of a private part, whoever put it there.
func retireBackup(tx *bbolt.Tx, o *owned, name string) error {
	o.Private.retire()
	if o.Dropped {
		o.Notes = nil
	}
	return each(tx, mineBucket, "", func(id string, f offered) error {
		if f.Kind == wire.PrivateFolder && f.Tag == name {
			o.Private.Old = append(o.Private.Old, remote.ID(id))
		}
		return nil
	})
}
