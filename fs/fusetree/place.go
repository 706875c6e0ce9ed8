package fusetree

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/openmined/syftfs/fs/guard"
)

// helperLimit is how long the helper is waited for, and helperRest how long none is started after one failed.
const (
	helperLimit = 10 * time.Second
	helperRest  = time.Minute
)

var errNoHelper = errors.New("no helper works on this mount now")

// placer has steps of the gate done through the mount by the helper, one at a time. Who of the two comes too late finds a step that was
// done, or none.
type placer struct {
	tid  atomic.Uint32              // the thread of the helper that makes the calls; 0: there is none
	step atomic.Pointer[guard.Step] // that it was asked for
	turn chan struct{}              // one slot; whoever fills it may use what follows
	proc *helper                    // guarded by turn; nil if none runs
	rest time.Time                  // guarded by turn; none is started before
	quit chan struct{}              // closed when the mount is to go
	once sync.Once

	limit time.Duration // for one step
}

func newPlacer() *placer {
	return &placer{turn: make(chan struct{}, 1), quit: make(chan struct{}), limit: helperLimit}
}

// Through has s done by a process of its own, through this mount. An error, but for that of s, says that it could not; then the mount will
// not do it any more.
func (m *Mount) Through(ctx context.Context, s *guard.Step) error {
	return m.s.placer.through(ctx, m.point, s)
}

func (p *placer) through(ctx context.Context, point string, s *guard.Step) error {
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-p.quit:
		return errNoHelper
	}
	defer func() { <-p.turn }()
	if p.closed() || time.Now().Before(p.rest) {
		return errNoHelper
	}
	err := p.ask(ctx, point, s)
	var errno syscall.Errno
	if err != nil && !errors.As(err, &errno) { // whatever it does now is refused
		p.drop()
		p.rest = time.Now().Add(helperRest)
	}
	return err
}

// ask needs the turn. An errno is the answer to the call.
func (p *placer) ask(ctx context.Context, point string, s *guard.Step) error {
	if p.proc == nil {
		sctx, cancel := context.WithTimeout(ctx, helperLimit)
		defer cancel()
		proc, err := startHelper(sctx, p.quit)
		if err != nil {
			return err
		}
		p.proc = proc
		p.tid.Store(proc.tid)
	}
	ctx, cancel := context.WithTimeout(ctx, p.limit)
	defer cancel()
	p.step.Store(s)
	defer p.step.Store(nil)
	r := call{Call: s.Call, Path: point + "/" + s.Path.String()}
	if s.Call == guard.CallRename {
		r.From = point + "/" + s.Path.Parent().Join(s.Name).String()
	}
	return p.proc.do(ctx, p.quit, r)
}

// drop ends the helper; it needs the turn.
func (p *placer) drop() {
	p.tid.Store(0)
	if p.proc != nil {
		p.proc.end()
		p.proc = nil
	}
}

func (p *placer) closed() bool {
	select {
	case <-p.quit:
		return true
	default:
		return false
	}
}

// close ends the helper, so that it does not use the mount any more. Who waits for it is told that there is none.
func (p *placer) close() {
	p.once.Do(func() { close(p.quit) })
	p.turn <- struct{}{}
	p.drop()
	<-p.turn
}

// isHelper reports whether a request comes from the helper.
func (p *placer) isHelper(pid uint32) bool {
	tid := p.tid.Load()
	return tid != 0 && pid == tid
}

// asked gives the step that the helper was asked for, if this request is it.
func (p *placer) asked(call guard.Call, c place, hidden string) *guard.Step {
	s := p.step.Load()
	if s == nil || s.Call != call || !c.gate || c.via != 0 || c.path != s.Path || call == guard.CallRename && hidden != s.Name {
		return nil
	}
	return s
}

// placed does the step that the helper was asked for, if the request is of the helper. Nothing else is done for it.
func (s *server) placed(pid uint32, call guard.Call, c place, hidden string) (mine bool, err error) {
	if !s.placer.isHelper(pid) {
		return false, nil
	}
	step := s.placer.asked(call, c, hidden)
	if step == nil {
		return true, fmt.Errorf("nothing of this kind was asked for: %w", syscall.EPERM)
	}
	return true, step.Do()
}

// lookHidden finds the hidden name of a step, for the helper only. Nobody believes it for longer than this answer.
func (s *server) lookHidden(in *fuse.InHeader, name string, out *fuse.EntryOut) bool {
	if !s.placer.isHelper(in.Pid) {
		return false
	}
	w, err := s.nodes.locate(in.NodeId)
	if err != nil {
		return false
	}
	step := s.placer.step.Load()
	if step == nil || step.Call != guard.CallRename || name != step.Name || !w.gate || w.via != 0 || w.path != step.Path.Parent() {
		return false
	}
	e, err := step.Hidden()
	if err != nil {
		return false
	}
	s.enterStored(w, name, e, true, out)
	out.SetEntryTimeout(0)
	out.SetAttrTimeout(0)
	return true
}

var _ guard.Through = (*Mount)(nil)
