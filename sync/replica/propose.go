package replica

import (
	"context"
	"errors"
	"slices"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/sync/wire"
	"go.etcd.io/bbolt"
)

// propose plans for each peer, unless a message is on its way to it, a proposal of what changed in its datasite: a sealed job as one
// message, all else together. It reports whether it planned one.
func (r *Replica) propose(ctx context.Context, peers []Peer) (bool, error) {
	any := false
	for _, peer := range peers {
		l := lane{Kind: wire.InboxFolder, Peer: peer.User}
		if !peer.Propose || peer.TheirInbox == "" || r.paused(l) {
			continue
		}
		planned, err := r.proposeTo(ctx, peer, l)
		if err != nil {
			err = r.onlyPeer(l, err)
		}
		if err != nil {
			return any, err
		}
		any = any || planned
	}
	return any, nil
}

func (r *Replica) proposeTo(ctx context.Context, peer Peer, l lane) (bool, error) {
	if _, busy, err := r.planned(l); err != nil || busy {
		return false, err
	}
	if err := r.expand(ctx, peer.User); err != nil {
		return false, err
	}
	list, err := r.wishes(peer.User)
	if err != nil || len(list) == 0 {
		return false, err
	}
	for _, w := range list {
		if !w.want.Submit {
			continue
		}
		files, err := r.jobFiles(ctx, w.path)
		if err != nil {
			return false, err
		}
		return r.proposeSome(ctx, peer, files, &w.path)
	}
	if braked, err := r.braked(ctx, peer.User, list); err != nil || braked {
		return false, err
	}
	return r.proposeSome(ctx, peer, list, nil)
}

// jobFiles gives the files of a sealed job as they are now, and those that were sent and are gone.
func (r *Replica) jobFiles(ctx context.Context, job datasite.Path) ([]wish, error) {
	found := map[datasite.Path]bool{}
	err := r.cfg.Tree.Files(ctx, job, func(p datasite.Path) error {
		found[p] = true
		return ctx.Err()
	})
	if err == nil {
		err = r.store.view(func(tx *bbolt.Tx) error {
			return errors.Join(below(tx, baseBucket, job, func(p datasite.Path, _ known) error { found[p] = true; return nil }),
				below(tx, mineBucket, job, func(p datasite.Path, _ []mine) error { found[p] = true; return nil }))
		})
	}
	files := make([]wish, 0, len(found))
	for p := range found {
		if p.Replicated() {
			files = append(files, wish{path: p})
		}
	}
	slices.SortFunc(files, func(a, b wish) int { return cmpPath(a.path, b.path) })
	return files, err
}

// proposeSome plans a proposal with as much of list as one message holds; of a job with all of it, or none.
func (r *Replica) proposeSome(ctx context.Context, peer Peer, list []wish, job *datasite.Path) (bool, error) {
	list, skipped := splitCopies(list)
	g, err := r.gather(ctx, list, job != nil, func(p datasite.Path) (h datasite.Hash, err error) {
		err = r.store.view(func(tx *bbolt.Tx) error {
			h, err = lastSent(tx, p)
			return err
		})
		return h, err
	})
	if err != nil {
		return false, err
	}
	g.same = append(g.same, skipped...)
	if !peer.Syftfs {
		if err := r.onlyPython(peer, g); err != nil {
			return false, g.drop(err)
		}
	}
	slices.SortStableFunc(g.items, deletionsFirst)
	var m message
	var body []byte
	if len(g.items) > 0 {
		m, body, err = r.draft(ctx, lane{Kind: wire.InboxFolder, Peer: peer.User}, peer.TheirInbox, g.items, peer.Syftfs)
		switch {
		case err == nil:
		case !unsendable(err):
			return false, g.drop(err)
		case job != nil || len(g.items) == 1:
			for _, it := range g.items {
				g.refused[at(peer.User, it.Path)] = "it cannot be sent: " + err.Error()
			}
			g.items = nil
		default:
			if err := g.spool.drop(); err != nil {
				return false, err
			}
			return r.proposeSome(ctx, peer, list[:max(min(len(list), len(g.items))/2, 1)], nil)
		}
	}
	if err := g.spool.keep(); err != nil {
		return false, g.drop(err)
	}
	err = r.store.update("propose", func(tx *bbolt.Tx) error {
		for _, p := range g.same {
			if err := del(tx, wantBucket, p.String()); err != nil {
				return err
			}
		}
		if err := r.refuse(tx, g.refused, StateError); err != nil {
			return err
		}
		if job != nil {
			if err := del(tx, wantBucket, job.String()); err != nil {
				return err
			}
		}
		for _, it := range g.items {
			key := at(peer.User, it.Path).String()
			sent, _, err := get[[]mine](tx, mineBucket, key)
			if err != nil {
				return err
			}
			sent = append(sent, mine{ID: it.ID, After: it.After})
			if err := errors.Join(del(tx, wantBucket, key), del(tx, refuseBucket, key), put(tx, mineBucket, key, sent)); err != nil {
				return err
			}
		}
		if len(g.items) == 0 {
			return nil
		}
		return plan(tx, m)
	})
	if err != nil || len(g.items) == 0 {
		return false, g.drop(err)
	}
	r.takesOff(m, body)
	return true, nil
}

// onlyPython takes out of g what would stop the syft-client of a peer for good: deletions, and files in the place of folders, or below files, that
// it still has because deletions are not sent.
func (r *Replica) onlyPython(peer Peer, g *gathered) error {
	return r.store.view(func(tx *bbolt.Tx) error {
		kept := g.items[:0]
		for _, it := range g.items {
			p := at(peer.User, it.Path)
			inWay, err := inTheWay(tx, p)
			switch {
			case err != nil:
				return err
			case it.Op == datasite.OpRemove:
				g.refused[p] = "it is removed here only: the syft-client of " + peer.User.String() + " takes no deletions"
			case inWay.Rel != "":
				g.refused[p] = "it stays here: " + peer.User.String() + " still has " + inWay.Rel + ", and its syft-client takes no deletions; use another name"
			default:
				kept = append(kept, it)
			}
		}
		g.items = kept
		return nil
	})
}

// inTheWay is a file that the owner of p has, or is sent, where p needs a folder, or below p; the zero Path if there is none.
func inTheWay(tx *bbolt.Tx, p datasite.Path) (found datasite.Path, err error) {
	for dir := p.Parent(); dir.Rel != "" && !dir.IsRoot(); dir = dir.Parent() {
		h, err := lastSent(tx, dir)
		if err != nil || h != (datasite.Hash{}) {
			return dir, err
		}
	}
	note := func(q datasite.Path) error {
		if h, err := lastSent(tx, q); err != nil || h == (datasite.Hash{}) || q == p {
			return err
		}
		found = q
		return nil
	}
	err = errors.Join(below(tx, baseBucket, p, func(q datasite.Path, _ known) error { return note(q) }),
		below(tx, mineBucket, p, func(q datasite.Path, _ []mine) error { return note(q) }))
	return found, err
}

// lastSent is what the owner of p has once it has taken all that we sent.
func lastSent(tx *bbolt.Tx, p datasite.Path) (datasite.Hash, error) {
	sent, _, err := get[[]mine](tx, mineBucket, p.String())
	if err != nil {
		return datasite.Hash{}, err
	}
	if len(sent) > 0 && !sent[len(sent)-1].Lost {
		return sent[len(sent)-1].After, nil
	}
	k, _, err := get[known](tx, baseBucket, p.String())
	return k.Hash, err
}

// splitCopies takes the conflict copies out of list: they stay on this machine.
func splitCopies(list []wish) (rest []wish, copies []datasite.Path) {
	for _, w := range list {
		if isCopy(w.path.Base()) {
			copies = append(copies, w.path)
		} else {
			rest = append(rest, w)
		}
	}
	return rest, copies
}
