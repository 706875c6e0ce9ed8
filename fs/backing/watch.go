package backing

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"

	"github.com/openmined/syftfs/fs/datasite"
	"golang.org/x/sys/unix"
)

// Notice says that something may have changed in the real directory, by whomever. One of its fields but Path and Below is set at most.
type Notice struct {
	Path  datasite.Path // what was made, changed or removed
	Below bool          // it was a folder, and went with everything in it
	Lost  bool          // events were lost: anything may have changed anywhere
	Err   error         // from now on not everything is noticed
}

// ErrWatches is wrapped by the error of a Notice when the system gives out no more watches.
var ErrWatches = errors.New("the limit of watches is reached")

// system is what the machine offers for watching folders.
type system interface {
	Add(folder string) error
	Remove(folder string) error // an error is of no interest: a folder that is gone is not watched either
	Close() error

	// next waits for the next event: the name of a file or folder, whether it came there, or went. ok is false when quit is closed.
	// errLost tells that events were lost.
	next(quit <-chan struct{}) (name string, came, went bool, err error, ok bool)
}

var errLost = errors.New("events were lost")

// Watcher notices what happens in the real directory: in every folder of a datasite there is a watch. A watch costs writes that go past
// this program half of their speed, so it may be taken off a folder while a handle of ours writes into it; no write goes past this
// program yet, so all stay on. Names of our own are not noticed, and links are not followed.
type Watcher struct {
	t       *Tree
	sys     system
	notices chan Notice
	ready   chan struct{}
	quit    chan struct{}
	once    sync.Once
	done    sync.WaitGroup

	top  *watched // used by the goroutine only, as what follows
	full bool     // no more watches are given out
}

// watched is a folder with a watch on it, or one that has none for want of them.
type watched struct {
	kids  map[string]*watched
	rules bool // a rule file lies, or lay, in it
}

// Watch begins to watch. Close ends it.
func (t *Tree) Watch() (*Watcher, error) {
	sys, err := newSystem()
	if err != nil {
		return nil, fmt.Errorf("watch the backing tree: %w", err)
	}
	return t.watch(sys), nil
}

func (t *Tree) watch(sys system) *Watcher {
	w := &Watcher{t: t, sys: sys, notices: make(chan Notice), ready: make(chan struct{}), quit: make(chan struct{}), top: &watched{}}
	w.done.Go(w.run)
	return w
}

// Notices gives what is noticed, in order; it is closed when the Watcher ends. It must be read all the time.
func (w *Watcher) Notices() <-chan Notice { return w.notices }

// Ready is closed when every folder that was there at the beginning is watched.
func (w *Watcher) Ready() <-chan struct{} { return w.ready }

// Close ends the watching and waits.
func (w *Watcher) Close() error {
	var err error
	w.once.Do(func() {
		close(w.quit)
		err = w.sys.Close()
	})
	w.done.Wait()
	return err
}

func (w *Watcher) run() {
	defer close(w.notices)
	w.cover(datasite.Path{}, w.top, false)
	close(w.ready)
	for {
		name, came, went, err, ok := w.sys.next(w.quit)
		switch {
		case !ok:
			return
		case errors.Is(err, errLost):
			w.drop(datasite.Path{}, w.top)
			w.top = &watched{}
			w.cover(datasite.Path{}, w.top, false)
			w.tell(Notice{Lost: true})
		case err != nil:
			w.tell(Notice{Err: err})
		default:
			if p, ok := w.path(name); ok {
				w.event(p, came, went)
			}
		}
	}
}

func (w *Watcher) tell(n Notice) {
	select {
	case w.notices <- n:
	case <-w.quit:
	}
}

// path is what lies at a name of the machine; ok is false for what is of no datasite.
func (w *Watcher) path(name string) (p datasite.Path, ok bool) {
	rel, ok := strings.CutPrefix(name, w.t.dir+"/")
	if !ok {
		return p, false
	}
	for part := range strings.SplitSeq(rel, "/") {
		var err error
		if p, err = p.Child(part); err != nil || Reserved(part) {
			return p, false
		}
	}
	return p, true
}

// event deals with one event. A folder that comes is watched before it is looked into, so that nothing in it is missed.
func (w *Watcher) event(p datasite.Path, came, went bool) {
	up, name := w.find(p.Parent()), p.Base()
	if up == nil {
		return // of a folder that went meanwhile
	}
	if datasite.IsRuleName(name) {
		up.rules = true
	}
	old := up.kids[name]
	if old != nil && (came || went) {
		delete(up.kids, name)
		w.gone(p, old)
	}
	if went || !came {
		w.tell(Notice{Path: p, Below: old != nil && went})
		return
	}
	e, err := w.t.Stat(p)
	w.tell(Notice{Path: p})
	if err == nil && e.Mode.IsDir() {
		n := &watched{}
		up.add(name, n)
		w.cover(p, n, true)
	}
}

func (n *watched) add(name string, kid *watched) {
	if n.kids == nil {
		n.kids = map[string]*watched{}
	}
	n.kids[name] = kid
}

func (w *Watcher) find(p datasite.Path) *watched {
	n := w.top
	if p.IsRoot() {
		return n
	}
	for part := range strings.SplitSeq(p.String(), "/") {
		if n = n.kids[part]; n == nil {
			return nil
		}
	}
	return n
}

// cover watches the folder p and everything below, and with tell notices what lies there.
func (w *Watcher) cover(p datasite.Path, n *watched, tell bool) {
	select {
	case <-w.quit:
		return
	default:
	}
	w.add(p)
	names, err := w.t.Names(p)
	if err != nil {
		return // it went, which its parent notices, or is not ours to read
	}
	for _, f := range names {
		q, err := p.Child(f.Name)
		if err != nil {
			continue // at the top, what is no datasite
		}
		if f.Type.IsDir() {
			kid := &watched{}
			n.add(f.Name, kid)
			w.cover(q, kid, tell)
			continue
		}
		n.rules = n.rules || datasite.IsRuleName(f.Name)
		if tell {
			w.tell(Notice{Path: q})
		}
	}
}

func (w *Watcher) add(p datasite.Path) {
	if w.full {
		return
	}
	err := w.sys.Add(w.t.HostPath(p))
	switch {
	case err == nil, errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EACCES), errors.Is(err, unix.ELOOP):
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.ENOMEM):
		w.full = true
		w.tell(Notice{Err: fmt.Errorf("%w: raise fs.inotify.max_user_watches (see sysctl(8)) and start again", ErrWatches)})
	default: // a path that is too long for the system, say
		w.tell(Notice{Err: fmt.Errorf("watch %s: %w", p, err)})
	}
}

// gone takes the watches off a folder that went, or is another one now. Its rule files are noticed one by one, as what they ruled may be
// looked at already.
func (w *Watcher) gone(p datasite.Path, n *watched) {
	for _, q := range w.drop(p, n) {
		w.tell(Notice{Path: q.Join(datasite.PubFile)})
		w.tell(Notice{Path: q.Join(datasite.PermFile)})
	}
}

// drop takes the watches off a folder and all below, and gives those with rule files.
func (w *Watcher) drop(p datasite.Path, n *watched) (rules []datasite.Path) {
	_ = w.sys.Remove(w.t.HostPath(p))
	if n.rules {
		rules = append(rules, p)
	}
	for name, kid := range n.kids {
		q := datasite.Path{Owner: p.Owner, Rel: path.Join(p.Rel, name)}
		if p.IsRoot() {
			var err error
			if q, err = p.Child(name); err != nil {
				continue
			}
		}
		rules = append(rules, w.drop(q, kid)...)
	}
	return rules
}
