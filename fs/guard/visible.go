package guard

import (
	"errors"
	iofs "io/fs"
	"strings"
	"sync"

	"github.com/openmined/syftfs/fs/backing"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

// memo keeps, for one view, whether something visible lies below a folder that is not visible by itself. It holds for one
// subject and one moment, and the gate's own changes drop what they touch.
type memo struct {
	mu    sync.Mutex
	user  perm.User       // these five guarded by mu
	now   moment          // of the answers
	turn  uint64          // moves with every drop: an answer that was begun before it is not kept
	below map[string]bool // by path below the datasite
}

// at gives the answer for rel if it is known, and the turn to give to keep.
func (m *memo) at(u perm.User, now moment, rel string) (ok, known bool, turn uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.below == nil || m.user != u || m.now != now {
		m.user, m.now, m.below = u, now, map[string]bool{}
		m.turn++
	}
	ok, known = m.below[rel]
	return ok, known, m.turn
}

func (m *memo) keep(turn uint64, rel string, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.turn == turn && m.below != nil {
		m.below[rel] = ok
	}
}

// drop forgets p and the folders above it, and with below those below it.
func (m *memo) drop(p datasite.Path, below bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn++
	for d := p; ; d = d.Parent() {
		delete(m.below, d.Rel)
		if d.Rel == "" {
			break
		}
	}
	if !below {
		return
	}
	for rel := range m.below {
		if p.Rel == "" || strings.HasPrefix(rel, p.Rel+"/") {
			delete(m.below, rel)
		}
	}
}

// below reports whether anything in or below the folder p exists for a. It stops at the first.
func (v *View) below(a actor, p datasite.Path) (bool, error) {
	ok, known, turn := v.seen.at(a.id.Subject, v.g.moment(p.Owner), p.Rel)
	if known {
		return ok, nil
	}
	names, err := v.g.tree.Names(p)
	switch {
	case absent(err):
		return false, nil // and not kept: there is no end of names that are not there
	case errors.Is(err, iofs.ErrPermission): // closed on the disk, to this program too
		v.g.cfg.Log.Warn("cannot look into a folder, nothing in it is shown", "path", p.String(), "err", err)
		names = nil
	case err != nil:
		return false, err
	}
	if ok, err = v.search(a, p, names); err == nil {
		v.seen.keep(turn, p.Rel, ok)
	}
	return ok, err
}

func (v *View) search(a actor, p datasite.Path, names []backing.Name) (bool, error) {
	// First what lies directly in it: most folders are decided by that.
	for _, n := range names {
		if !n.Type.IsRegular() && !n.Type.IsDir() && n.Type&modeSymlink == 0 {
			continue
		}
		d, err := v.g.decide(a.id.Subject, p.Join(n.Name), n.Type.IsDir(), perm.Read)
		if err != nil {
			v.g.cfg.Log.Warn("cannot decide, hidden", "path", p.Join(n.Name).String(), "err", err)
			continue
		}
		if d.Allowed {
			return true, nil
		}
	}
	for _, n := range names {
		if !n.Type.IsDir() {
			continue
		}
		if ok, err := v.below(a, p.Join(n.Name)); err != nil || ok {
			return ok, err
		}
	}
	return false, nil
}
