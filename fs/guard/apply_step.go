package guard

import (
	"context"
	"sync"

	"github.com/openmined/syftfs/fs/datasite"
	"golang.org/x/sys/unix"
)

// Through does steps of what comes from elsewhere through the owner's mount, from a process of its own, so that whoever watches the mount
// sees them as the work of a neighbour. A mount fits it.
type Through interface {
	// Through has the mount asked for s, and returns when s was done or will not be done by it any more. It is called with no lock held.
	Through(ctx context.Context, s *Step) error
}

// Call is the system call that a Step looks like.
type Call uint8

// The calls.
const (
	CallRename Call = iota + 1 // of the hidden Name to Path, in the same folder
	CallUnlink                 // of Path
	CallMkdir
	CallRmdir
)

// Step is one change of one name. It is done exactly once, by whoever comes first to do it: a mount in the request, or the gate itself.
type Step struct {
	Call Call
	Path datasite.Path
	Name string // hidden, of CallRename; to be found by nobody but who does the step

	hidden func() (datasite.Entry, error)
	once   sync.Once
	run    func() error
	err    error
}

// Do takes the path lock, compares and sets, and commits. No lock may be held. Later calls give what the first one gave.
func (s *Step) Do() error {
	s.once.Do(func() { s.err = s.run() })
	return s.err
}

// Hidden tells about the file under the hidden name.
func (s *Step) Hidden() (datasite.Entry, error) {
	if s.hidden == nil {
		return datasite.Entry{}, pathError("stat", s.Path, unix.ENOENT)
	}
	return s.hidden()
}

// Use makes t the way for what comes from elsewhere, until stop. Without one the gate does it directly.
func (g *Guard) Use(t Through) (stop func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.way = t
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.way == t {
			g.way = nil
		}
	}
}

// do does s through the owner's mount, or directly if there is none, or it fails.
func (g *Guard) do(ctx context.Context, s *Step) error {
	g.mu.Lock()
	way := g.way
	g.mu.Unlock()
	if way != nil {
		if err := way.Through(ctx, s); err != nil {
			g.cfg.Log.Debug("a change did not go through the mount", "path", s.Path.String(), "err", err)
		}
	}
	return s.Do()
}
