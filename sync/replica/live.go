package replica

import (
	"sync"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

// maxFresh bounds the changes that were read from the journal and not taken in.
const maxFresh = 8192

// live is what is only known while the program runs.
type live struct {
	mu    sync.Mutex    // innermost: nothing is called while it is held
	moved chan struct{} // closed and renewed whenever the state of anything may have changed

	fresh  []datasite.Change // read from the journal, not taken in
	taken  uint64            // number of the newest change that was read
	failed error             // why no more are read

	flying    map[string]map[datasite.Path]bool // the files in the planned message of each lane
	uploading map[string]bool                   // lanes whose message is on its way
	offline   time.Time
	problem   string
	synced    time.Time
	troubles  map[string]string // why a lane does not go on
}

func (l *live) init() {
	l.moved = make(chan struct{})
	l.flying = map[string]map[datasite.Path]bool{}
	l.uploading = map[string]bool{}
	l.troubles = map[string]string{}
}

// change does fn under the lock and wakes who waits for a state.
func (l *live) change(fn func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fn()
	close(l.moved)
	l.moved = make(chan struct{})
}

// changed gives a channel that is closed at the next change.
func (l *live) changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.moved
}

// flies notes what is in the message m, until it has landed.
func (l *live) flies(m message, owner perm.User) {
	paths := make(map[datasite.Path]bool, len(m.Items))
	for _, it := range m.Items {
		paths[datasite.Path{Owner: owner, Rel: it.Path}] = true
	}
	l.change(func() { l.flying[m.Lane.String()] = paths })
}

// landed notes that the message of a lane was sent.
func (l *live) landed(key string) { l.change(func() { delete(l.flying, key) }) }

// carries reports whether p, or something below it, is in a planned message, and whether such a one is on its way.
func (l *live) carries(p datasite.Path) (flying, uploading bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, paths := range l.flying {
		in := paths[p]
		if !in {
			for q := range paths {
				if in = q.Under(p); in {
					break
				}
			}
		}
		flying = flying || in
		uploading = uploading || in && l.uploading[key]
	}
	return flying, uploading
}

// trouble notes why something does not go on; "" says that it does.
func (l *live) trouble(key, why string) {
	l.mu.Lock()
	same := l.troubles[key] == why
	l.mu.Unlock()
	if same {
		return
	}
	l.change(func() {
		if why == "" {
			delete(l.troubles, key)
		} else {
			l.troubles[key] = why
		}
	})
}
