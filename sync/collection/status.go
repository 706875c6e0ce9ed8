package collection

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/openmined/syftfs/perm"
	"go.etcd.io/bbolt"
)

// State is how far a dataset is carried.
type State string

// The states. Of own datasets: Waiting, Sending, Shared. Of those of peers: Waiting, Delivered, Withdrawn, Refused.
const (
	Waiting   State = "waiting"   // nothing is on the other side yet
	Sending   State = "sending"   // the newest version is not all there
	Shared    State = "shared"    // the newest version lies on Drive, for its readers
	Delivered State = "delivered" // what is offered lies in the replica
	Withdrawn State = "withdrawn" // no longer offered; the copies that were delivered stay
	Refused   State = "refused"   // what is offered is not taken
)

// Dataset is what is known about one.
type Dataset struct {
	Owner   perm.User // "" is this datasite
	Name    string
	State   State
	Readers []perm.User // of an own one: who reads it on Drive
	Any     bool        // of an own one: every accepted peer does, also those to come
	Backup  bool        // of an own one: its private part is kept on Drive, too
	Files   int
	At      time.Time // of a peer's: when it was delivered
	Notes   []string  // what somebody should look at, a sentence each
	Problem string    // why the last try failed
}

// Status is what is known about all.
type Status struct {
	Datasets []Dataset // own ones first
	Problem  string    // why the last look for collections failed
}

// live is what is only known while the program runs.
type live struct {
	mu       sync.Mutex // innermost: nothing is called while it is held
	troubles map[key]string
}

// trouble notes why k does not go on; nil says that it does. The zero key stands for the look at all.
func (l *live) trouble(k key, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		delete(l.troubles, k)
		return
	}
	l.troubles[k] = err.Error()
}

// Status tells what is known, without asking anybody.
func (c *Collections) Status(context.Context) (Status, error) {
	found := map[key]Dataset{}
	marked := map[key]bool{}
	err := c.store.view(func(tx *bbolt.Tx) error {
		err := each(tx, ownBucket, "", func(name string, o owned) error {
			found[key{Name: name}] = o.status(name)
			return nil
		})
		if err != nil {
			return err
		}
		err = each(tx, markBucket, "", func(k string, m mark) error {
			marked[parseKey(k)] = m.Content
			return nil
		})
		if err != nil {
			return err
		}
		return each(tx, gotBucket, "", func(k string, r received) error {
			found[parseKey(k)] = r.status(parseKey(k))
			return nil
		})
	})
	if err != nil {
		return Status{}, fmt.Errorf("status of datasets: %w", err)
	}
	c.live.mu.Lock()
	troubles := maps.Clone(c.live.troubles)
	c.live.mu.Unlock()
	s := Status{Problem: troubles[key{}]}
	delete(troubles, key{})
	for k, why := range troubles {
		d, ok := found[k]
		if !ok {
			d = Dataset{Owner: k.Owner, Name: k.Name, State: Waiting}
		}
		d.Problem = why
		found[k] = d
	}
	for k, d := range found {
		if marked[k] && d.State == Shared {
			d.State = Sending
		}
		s.Datasets = append(s.Datasets, d)
	}
	slices.SortFunc(s.Datasets, func(a, b Dataset) int { return cmp.Or(cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Name, b.Name)) })
	return s, nil
}

func (o owned) status(name string) Dataset {
	d := Dataset{Name: name, State: Waiting, Readers: o.Readers, Any: o.Any, Backup: o.Backup, Notes: slices.Concat(o.Odd, o.Notes, o.Strays)}
	if o.Public.Now != nil {
		d.State, d.Files = Shared, o.Public.Now.Files
	}
	if o.Public.Next != nil || o.Private.Next != nil {
		d.State = Sending
	}
	return d
}

func (r received) status(k key) Dataset {
	d := Dataset{Owner: k.Owner, Name: k.Name, State: Waiting, Files: r.Files, At: r.At, Notes: slices.Clone(r.Notes)}
	switch {
	case r.Refused != "":
		d.State = Refused
		d.Notes = append(d.Notes, r.Why)
		if r.Folder != "" {
			d.Notes = append(d.Notes, "An earlier version was delivered and stays.")
		}
	case r.Withdrawn && r.Folder != "":
		d.State = Withdrawn
		d.Notes = append(d.Notes, "It is no longer shared. The copies that were delivered stay.")
	case r.Folder != "":
		d.State = Delivered
	}
	return d
}
