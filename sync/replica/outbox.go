package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/sync/wire"
	"go.etcd.io/bbolt"
)

// offer is what one message says about one file: the newest version, and those before it.
type offer struct {
	path   datasite.Path
	item   *wire.Item // nil: it only answers
	events []event
	chain  []datasite.Hash // all versions that the message tells of, oldest first, but for the last
}

// event is one of the changes behind an offer.
type event struct {
	id            wire.ID
	before, after datasite.Hash
	answers       bool // and says nothing about the file
}

// onlyAnswers reports whether an event has the form of a deletion of nothing: see delivery.notTaken.
func onlyAnswers(it wire.Item) bool {
	return it.Op == datasite.OpRemove && it.Before == (datasite.Hash{})
}

// offers gathers the events of a message by file; deletions come first.
func offers(items []wire.Item) []*offer {
	byPath := map[datasite.Path]*offer{}
	var list []*offer
	for _, it := range items {
		o := byPath[it.Path]
		if o == nil {
			o = &offer{path: it.Path}
			byPath[it.Path] = o
			list = append(list, o)
		}
		o.events = append(o.events, event{it.ID, it.Before, it.After, onlyAnswers(it)})
		if onlyAnswers(it) {
			continue
		}
		if o.item != nil {
			o.chain = append(o.chain, o.item.After)
		}
		if o.item == nil || it.Before != o.item.After {
			o.chain = append(o.chain, it.Before)
		}
		o.item = &it
	}
	slices.SortStableFunc(list, func(a, b *offer) int {
		return deletionsFirst(a.order(), b.order())
	})
	return list
}

// order is what the order of offers goes by.
func (o *offer) order() sent {
	s := sent{Op: datasite.OpRemove, Path: o.path.Rel}
	if o.item != nil {
		s.Op = o.item.Op
	}
	return s
}

// outcome is what is noted about a file after its offer was dealt with.
type outcome struct {
	path    datasite.Path
	base    *known // nil: as it was
	mine    []mine // what is still unanswered
	refused string // the owner did not take our change
	aside   string // why it was not taken
}

// takeEvents takes what a peer published of its datasite.
func (r *Replica) takeEvents(ctx context.Context, p Peer, l look, e wire.Events) error {
	var outcomes []*outcome
	for _, o := range offers(e.Items) {
		out, err := r.takeOffer(ctx, p, l, e.At, o)
		if err != nil {
			return err
		}
		outcomes = append(outcomes, out...)
	}
	return r.finish("events", p, l, func(tx *bbolt.Tx) error {
		for _, refused := range e.Refused {
			if err := r.aside(tx, Aside{Peer: p.User, Name: l.Object.Name, Reason: refused.Error()}); err != nil {
				return err
			}
		}
		for _, out := range outcomes {
			if err := r.noteOutcome(tx, l, out); err != nil {
				return err
			}
		}
		return nil
	})
}

// takeOffer decides on one file and does it. What is older than what was taken already only answers. There are several outcomes if others
// were in its way.
func (r *Replica) takeOffer(ctx context.Context, p Peer, l look, at wire.Time, o *offer) ([]*outcome, error) {
	key := o.path.String()
	var base known
	var heard bool
	var sent []mine
	err := r.store.view(func(tx *bbolt.Tx) (err error) {
		if base, heard, err = get[known](tx, baseBucket, key); err != nil {
			return err
		}
		sent, _, err = get[[]mine](tx, mineBucket, key)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &outcome{path: o.path}
	agreed, ok := out.answered(o, sent)
	all := []*outcome{out}
	if o.item == nil || base.Order.After(l.Object.Created) {
		return all, nil
	}
	out.base = &known{Hash: o.item.After, Order: l.Object.Created}
	for range staleTries {
		ours, err := r.hashOf(ctx, o.path)
		if err != nil {
			return nil, err
		}
		v := Versions{Base: base.Hash, Ours: ours, Theirs: o.item.After, Past: o.chain[lastIndex(o.chain, base.Hash)+1:],
			News: !heard && !ok || out.refused != ""}
		if ok { // what lies here comes from what was sent
			v.Base = agreed
		}
		for _, m := range out.mine {
			if !m.Lost {
				v.Mine = append(v.Mine, m.After)
			}
		}
		err = nil
		switch Resolve(v) {
		case Keep:
			return all, nil
		case TakeCopy:
			err = r.keepOurs(ctx, p, at, o.path, ours, o.path)
		}
		if err == nil {
			err = r.apply(ctx, p.User, *o.item, ours)
		}
		switch {
		case err == nil:
			for i := range out.mine {
				out.mine[i].Lost = true
			}
			return all, nil
		case errors.Is(err, datasite.ErrStale):
		case errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.ENOTDIR):
			more, err := r.clear(ctx, p, at, o.path)
			all = append(all, more...)
			if err != nil {
				return nil, err
			}
		case refusedByTree(err):
			out.base, out.aside = nil, err.Error()
			return all, nil
		default:
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s is changed all the time: %w", o.path, datasite.ErrStale)
}

// answered takes out of sent, our changes without an answer, those that o answers. If one was taken, it gives the version that both sides
// had then.
func (out *outcome) answered(o *offer, sent []mine) (agreed datasite.Hash, ok bool) {
	out.mine = slices.Clone(sent)
	for _, e := range o.events {
		i := slices.IndexFunc(out.mine, func(m mine) bool { return m.ID == e.id })
		byID := i >= 0
		if !byID && !e.answers {
			i = slices.IndexFunc(out.mine, func(m mine) bool { return m.After == e.after })
		}
		if i < 0 {
			continue
		}
		// The earlier ones were answered before, in a message that was made one with others.
		m := out.mine[i]
		out.mine = out.mine[i+1:]
		switch refused := byID && (e.answers || m.After != e.after && m.After != e.before); {
		case m.Lost:
		case refused: // and so are the later ones, that were made from it
			out.mine = nil
			out.refused = "its owner did not take the change: it was made from another version, or is not allowed"
		default:
			agreed, ok = m.After, true
		}
	}
	return agreed, ok
}

func lastIndex(list []datasite.Hash, h datasite.Hash) int {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i] == h {
			return i
		}
	}
	return -1
}

// keepOurs keeps the bytes ours of path under a name that is made from that of like. It is noted first: after a crash nothing tells any more
// that there was a conflict.
func (r *Replica) keepOurs(ctx context.Context, p Peer, at wire.Time, path datasite.Path, ours datasite.Hash, like datasite.Path) error {
	c := Conflict{Path: path, Copy: copyName(like, ours, r.cfg.Owner, at.Time()), By: p.User, At: r.cfg.Now()}
	if err := r.store.update("copy", func(tx *bbolt.Tx) error { return put(tx, copyBucket, c.Copy.String(), c) }); err != nil {
		return err
	}
	return r.cfg.Tree.Keep(ctx, path, ours, c.Copy)
}

// clear takes out of the way of p what cannot be there together with it: a file in the place of one of its folders, or the files in a
// folder in its place. The owner has none of these; what we changed in them is kept.
func (r *Replica) clear(ctx context.Context, peer Peer, at wire.Time, p datasite.Path) ([]*outcome, error) {
	like := map[datasite.Path]datasite.Path{}
	for dir := p.Parent(); dir.Rel != ""; dir = dir.Parent() {
		there, err := r.there(ctx, dir)
		if err != nil {
			return nil, err
		}
		if there {
			like[dir] = dir
		}
	}
	err := r.cfg.Tree.Files(ctx, p, func(q datasite.Path) error {
		if q != p { // kept outside of the folder, which has to go
			like[q] = p.Parent().Join(p.Base() + strings.ReplaceAll(strings.TrimPrefix(q.Rel, p.Rel), "/", "_"))
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	var all []*outcome
	for q, name := range like {
		ours, err := r.hashOf(ctx, q)
		if err != nil {
			return nil, err
		}
		base, err := r.baseOf(q)
		if err != nil {
			return nil, err
		}
		out := &outcome{path: q, base: &known{Order: base.Order}}
		if ours != base.Hash {
			if err := r.keepOurs(ctx, peer, at, q, ours, name); err != nil {
				return nil, err
			}
		}
		if err := r.apply(ctx, peer.User, wire.Item{Op: datasite.OpRemove, Path: q}, ours); err != nil {
			return nil, err
		}
		all = append(all, out)
	}
	return all, nil
}

// noteOutcome writes down what became of one file.
func (r *Replica) noteOutcome(tx *bbolt.Tx, l look, out *outcome) error {
	key := out.path.String()
	var errs []error
	if out.base != nil {
		errs = append(errs, setBase(tx, key, *out.base))
	}
	if len(out.mine) > 0 {
		errs = append(errs, put(tx, mineBucket, key, out.mine))
	} else {
		errs = append(errs, del(tx, mineBucket, key))
	}
	if out.refused != "" {
		errs = append(errs, put(tx, refuseBucket, key, refusal{State: StateRefused, Reason: out.refused, At: r.cfg.Now()}))
	}
	if out.aside != "" {
		errs = append(errs, r.aside(tx, Aside{Peer: l.Peer, Name: l.Object.Name, Path: key, Reason: out.aside}))
	}
	return errors.Join(errs...)
}
