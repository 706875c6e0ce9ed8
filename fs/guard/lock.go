package guard

import (
	"slices"
	"strings"
	"sync"

	"github.com/openmined/syftfs/fs/datasite"
)

// pathLocks is a table of locks by path. Whoever locks a path holds all folders above it shared, so that a rename of a
// folder, which locks it exclusively, waits for everything below and the other way round. All locks of one operation are
// taken at once, in the order of their names (a folder comes before what it holds); nobody takes a second set.
type pathLocks struct {
	mu    sync.Mutex
	table map[string]*pathLock // guarded by mu
}

type pathLock struct {
	rw   sync.RWMutex
	refs int // guarded by pathLocks.mu; the entry goes when nobody refers to it
}

type lockReq struct {
	path      datasite.Path
	exclusive bool
}

func shared(p datasite.Path) lockReq    { return lockReq{p, false} }
func exclusive(p datasite.Path) lockReq { return lockReq{p, true} }

type held struct {
	name      string
	exclusive bool
	lock      *pathLock
}

// lock takes the locks and gives back what drops them.
func (l *pathLocks) lock(reqs ...lockReq) (unlock func()) {
	list := make([]held, 0, 8*len(reqs))
	for _, r := range reqs {
		full := r.path.String()
		if full == "" {
			continue
		}
		for i := 0; i < len(full); i++ {
			if full[i] == '/' {
				list = append(list, held{name: full[:i]})
			}
		}
		list = append(list, held{name: full, exclusive: r.exclusive})
	}
	if len(reqs) > 1 {
		list = merge(list)
	}
	l.mu.Lock()
	if l.table == nil {
		l.table = map[string]*pathLock{}
	}
	for i := range list {
		pl := l.table[list[i].name]
		if pl == nil {
			pl = &pathLock{}
			l.table[list[i].name] = pl
		}
		pl.refs++
		list[i].lock = pl
	}
	l.mu.Unlock()
	for _, h := range list {
		if h.exclusive {
			h.lock.rw.Lock()
		} else {
			h.lock.rw.RLock()
		}
	}
	return func() { l.unlock(list) }
}

// merge orders the locks and joins those of the same name; exclusive wins.
func merge(list []held) []held {
	slices.SortFunc(list, func(a, b held) int { return strings.Compare(a.name, b.name) })
	out := list[:0]
	for _, h := range list {
		if n := len(out); n > 0 && out[n-1].name == h.name {
			out[n-1].exclusive = out[n-1].exclusive || h.exclusive
			continue
		}
		out = append(out, h)
	}
	return out
}

func (l *pathLocks) unlock(list []held) {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].exclusive {
			list[i].lock.rw.Unlock()
		} else {
			list[i].lock.rw.RUnlock()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range list {
		if h.lock.refs--; h.lock.refs == 0 {
			delete(l.table, h.name)
		}
	}
}
