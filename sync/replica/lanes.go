package replica

import (
	"context"
	"fmt"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
	"go.etcd.io/bbolt"
)

// planned gives the message of a lane.
func (r *Replica) planned(l lane) (m message, ok bool, err error) {
	err = r.store.view(func(tx *bbolt.Tx) error {
		m, ok, err = get[message](tx, lanesBucket, l.String())
		return err
	})
	return m, ok, err
}

// newest is the time of the newest message that was put into folder by us. It is asked of Drive once for each lane: a clock that steps
// back, or a state that was lost, must not make a message that the other side takes for an old one.
func (r *Replica) newest(ctx context.Context, l lane, folder remote.ID) (wire.Time, error) {
	var last wire.Time
	var ok bool
	err := r.store.view(func(tx *bbolt.Tx) (err error) {
		last, ok, err = get[wire.Time](tx, lastBucket, l.String())
		return err
	})
	if err != nil || ok {
		return last, err
	}
	for o, err := range remote.All(ctx, r.cfg.Remote, remote.Query{Parent: folder, Whose: remote.Mine, Files: true}) {
		if err != nil {
			return 0, err
		}
		if name, err := wire.ParseFile(o.Name); err == nil {
			last = max(last, name.At)
		}
	}
	return last, nil
}

// draft makes a message for lane l of items; nothing is durable yet. It gives the bytes too, and an error that wraps wire.ErrLimit or
// wire.ErrUnsendable if there can be none.
func (r *Replica) draft(ctx context.Context, l lane, folder remote.ID, items []sent, deletions bool) (message, []byte, error) {
	last, err := r.newest(ctx, l, folder)
	if err != nil {
		return message{}, nil, err
	}
	ids, err := r.cfg.Remote.NewIDs(ctx, 1)
	if err != nil {
		return message{}, nil, err
	}
	m := message{Lane: l, Object: ids[0], ID: wire.NewID(), At: last.Next(r.cfg.Now()), Items: items}
	for i := range m.Items {
		it := &m.Items[i]
		if it.Submitted == 0 {
			it.Submitted = m.At
		}
		// Never later than the message: a restore takes what is newer than the newest change that it has.
		if l.Kind != wire.InboxFolder && it.Accepted == 0 {
			it.Accepted = m.At
		}
	}
	body, err := r.encode(m, deletions)
	return m, body, err
}

// plan makes m durable in its lane.
func plan(tx *bbolt.Tx, m message) error {
	if _, busy, err := get[message](tx, lanesBucket, m.Lane.String()); err != nil || busy {
		if err == nil {
			err = fmt.Errorf("%s has a message already", m.Lane)
		}
		return err
	}
	if err := put(tx, lastBucket, m.Lane.String(), m.At); err != nil {
		return err
	}
	return put(tx, lanesBucket, m.Lane.String(), m)
}

// maxKept is how large a message may be that is remembered between planning and sending, in bytes; a larger one is made again.
const maxKept = 4 << 20

// takesOff notes that m was planned, and remembers its bytes for the sending that follows.
func (r *Replica) takesOff(m message, body []byte) {
	if len(body) <= maxKept {
		r.bodies[m.Object] = body
	}
	r.live.flies(m, m.Lane.owner(r.cfg.Owner))
}

// baseOf is what both sides agree on about p.
func (r *Replica) baseOf(p datasite.Path) (k known, err error) {
	err = r.store.view(func(tx *bbolt.Tx) error {
		k, _, err = get[known](tx, baseBucket, p.String())
		return err
	})
	return k, err
}
