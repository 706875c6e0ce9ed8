package replica

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/remote/remotetest"
	"go.etcd.io/bbolt"
)

// model plays two people who change both datasites at random while requests fail, replies get lost and programs are killed.
type model struct {
	t       testing.TB
	w       *world
	dice    *rand.Rand
	n       int
	retired map[string]bool // contents that somebody who saw them replaced or removed
	written map[string]bool
}

var modelPaths = []string{"a", "b", "c", "c/d", "c/e/f", "g.txt", "h/i", "h/j"}

func (m *model) person() *person {
	if m.dice.IntN(2) == 0 {
		return m.w.people[owen]
	}
	return m.w.people[rachel]
}

func (m *model) retire(x *person, under datasite.Path) {
	for _, p := range x.tree.list(under) {
		m.retired[x.tree.read(p)] = true
	}
}

// act is one action of a user.
func (m *model) act(x *person) {
	owner := []perm.User{owen, rachel}[m.dice.IntN(2)]
	p := at(owner, modelPaths[m.dice.IntN(len(modelPaths))])
	switch m.dice.IntN(8) {
	case 0:
		m.retire(x, p)
		x.tree.remove(m.t, p)
	case 1:
		to := at(owner, modelPaths[m.dice.IntN(len(modelPaths))])
		x.tree.mu.Lock()
		blocked := to.Under(p) || p.Under(to) || x.tree.room(to) != nil
		_, there := x.tree.files[to]
		x.tree.mu.Unlock()
		if blocked || there || len(x.tree.list(p)) == 0 {
			return
		}
		x.tree.move(m.t, p, to)
	default:
		x.tree.mu.Lock()
		blocked := x.tree.room(p) != nil
		old, there := x.tree.files[p]
		x.tree.mu.Unlock()
		if blocked {
			return
		}
		if there {
			m.retired[old] = true
		}
		m.n++
		s := fmt.Sprintf("content %d by %s", m.n, x.me)
		m.written[s] = true
		x.tree.write(m.t, p, s)
	}
}

func (m *model) exchange(x *person) {
	_ = x.Replica.exchange(context.Background(), m.dice.IntN(3) == 0) // it may fail: that is the point
}

func runModel(t *testing.T, seed uint64, steps int, faulty bool) {
	w := newWorld(t, owen, rachel)
	m := &model{t: t, w: w, dice: rand.New(rand.NewPCG(seed, 7)), retired: map[string]bool{}, written: map[string]bool{}}
	for _, x := range w.people {
		x.allow(perm.Write)
		x.edit = func(c *Config) { c.Compact = 4 }
		x.restart(t)
		if faulty {
			x.remote.Script(remotetest.Fault{Chance: 0.05}, remotetest.Fault{Chance: 0.05, Stage: remotetest.After}, remotetest.Fault{Chance: 0.03, Stage: remotetest.Halfway},
				remotetest.Fault{Chance: 0.02, Kind: remote.Throttled})
			x.faults.dice = func(string) bool { return m.dice.IntN(60) == 0 }
		}
	}
	for range steps {
		x := m.person()
		switch n := m.dice.IntN(10); {
		case n < 5:
			m.act(x)
		case n < 9:
			m.exchange(x)
		case faulty && m.dice.IntN(3) == 0:
			x.faults.dice = nil
			x.restart(t)
			x.faults.dice = func(string) bool { return m.dice.IntN(60) == 0 }
		default:
			w.clock.add(time.Duration(m.dice.IntN(200)) * time.Second)
		}
	}
	for _, x := range w.people {
		x.remote.Script()
		x.faults.dice = nil
	}
	for range 6 {
		w.clock.add(3 * time.Minute)
		for _, u := range []perm.User{owen, rachel} {
			w.people[u].sync(t)
		}
	}
	m.check(seed)
}

func (m *model) check(seed uint64) {
	m.t.Helper()
	o, r := m.w.people[owen], m.w.people[rachel]
	for s := range m.written {
		if !m.retired[s] && !o.tree.kept(s) && !r.tree.kept(s) {
			m.t.Errorf("seed %d: %q is lost", seed, s)
		}
	}
	for _, owner := range []perm.User{owen, rachel} {
		// What was refused because of a version that its owner removed before anybody heard of it stays where it is, and says so.
		for _, x := range []*person{o, r} {
			for rel := range x.tree.of(owner) {
				if x.refused(at(owner, rel)) && m.w.people[owner].tree.read(at(owner, rel)) == "" {
					x.tree.mu.Lock()
					delete(x.tree.files, at(owner, rel))
					x.tree.mu.Unlock()
				}
			}
		}
		if a, b := o.tree.of(owner), r.tree.of(owner); !maps.Equal(a, b) {
			m.t.Errorf("seed %d: datasite of %s: owen has %v, rachel has %v", seed, owner, a, b)
		}
	}
	for _, x := range m.w.people {
		st, err := x.Status(context.Background())
		if err != nil || st.Waiting > 0 || st.Log > 0 || st.Problem != "" {
			m.t.Errorf("seed %d: %s: %+v, %v", seed, x.me, st, err)
		}
		for _, p := range st.Peers {
			if p.Owed+p.Sending+p.Incoming+p.Proposed > 0 {
				m.t.Errorf("seed %d: %s: exchange is not over: %+v", seed, x.me, p)
			}
		}
	}
}

// refused reports whether a change of p was refused, whatever else there is to say about p.
func (x *person) refused(p datasite.Path) (ok bool) {
	_ = x.Replica.store.view(func(tx *bbolt.Tx) error {
		_, ok, _ = get[refusal](tx, refuseBucket, p.String())
		return nil
	})
	return ok
}

func TestModel(t *testing.T) {
	for seed := range uint64(8) {
		runModel(t, seed, 60, false)
	}
}

func TestModelFaulty(t *testing.T) {
	for seed := range uint64(12) {
		runModel(t, seed, 80, true)
	}
}
