// Package guard is the gate: for an identity and a path, decide, do, record, in one place. The mount, the local API and
// (later) the replicator's apply go through it; nobody else opens a file of the tree for a user, the job sandbox's
// read-only binds excepted. It does not know FUSE, Drive or jobs; it declares the recorder that it needs.
//
// Lock order, outermost first: pathLocks, openFiles.mu, File.mu, Locks.mu, LockQueue.mu, memo.mu, Guard.mu, then perm.Index and the
// recorder, which call nothing of ours. No lock is held while a Kernel is told something.
package guard

import (
	"context"
	iofs "io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/openmined/syftfs/fs/backing"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"golang.org/x/sys/unix"
)

// Recorder takes changes; the journal fits it.
type Recorder interface {
	Append(datasite.Change) error                                  // queued; durable within a second
	Commit(ctx context.Context, c datasite.Change) (uint64, error) // durable on return, with everything queued before it
	Flush(ctx context.Context) error                               // durable on return: everything queued
}

// Memory is what was last recorded about each file; the journal fits it.
type Memory interface {
	Known(datasite.Path) (datasite.Known, bool)
	EachKnown(under datasite.Path, fn func(datasite.Path, datasite.Known) error) error
}

// Kernel is told what another mount or a rule change made stale; a mount fits it. Calls return at once (queued).
type Kernel interface {
	Invalidate(p datasite.Path)    // the entry, attributes and pages of p, and a negative entry of its name
	InvalidateAll(owner perm.User) // everything of that datasite
}

// Subjects tells as whom an account acts now; perm/account fits, so roles change without a remount. An admin acts as the
// owner, an unverified account or a guest as perm.Anonymous, a disabled one is an error.
type Subjects interface {
	Subject(account string) (perm.User, error)
}

// Config is what a Guard is made of. Log, Subjects and Now may be nil. Without a Recorder nothing is recorded, without a
// Memory every file counts as unknown, without Rules nobody but the owner has a right: only tests do that.
type Config struct {
	Owner    perm.User // whose datasite this is
	Tree     *backing.Tree
	Rules    *perm.Index // loads through Tree.FS
	Recorder Recorder
	Memory   Memory
	Subjects Subjects
	State    func(datasite.Path) string // where a file is on its way to others; called with locks held. nil: nothing goes anywhere
	Log      *slog.Logger
	Now      func() time.Time
}

// Guard is the gate to one backing tree.
type Guard struct {
	cfg   Config
	tree  *backing.Tree
	locks pathLocks
	files openFiles

	lockers LockQueue // those who wait for a lock of an open file

	turning sync.Mutex // held while the rule epoch is moved; nothing of ours is locked under it

	mu    sync.Mutex
	views map[*View]struct{} // guarded by mu
	way   Through            // guarded by mu; of what comes from elsewhere, nil if no mount is up
}

// New makes the gate, with the rule index over the tree's own rule files. Nothing runs yet.
func New(cfg Config) *Guard {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Guard{cfg: cfg, tree: cfg.Tree, views: map[*View]struct{}{}}
}

// View is the tree as one identity may see and change it. One per mount; k may be nil.
type View struct {
	g    *Guard
	who  datasite.Identity
	k    Kernel
	seen memo
}

// Attr is what SetAttr may change; nil means unchanged.
type Attr struct {
	Mode         *iofs.FileMode
	Size         *int64
	ATime, MTime *time.Time
	UID, GID     *uint32 // only "no change" succeeds
}

// View gives the tree as who sees it. A change by one view is told to the Kernel of every other view.
func (g *Guard) View(who datasite.Identity, k Kernel) *View {
	v := &View{g: g, who: who, k: k}
	g.mu.Lock()
	g.views[v] = struct{}{}
	g.mu.Unlock()
	return v
}

// Close detaches the view: its Kernel is told nothing more.
func (v *View) Close() {
	v.g.mu.Lock()
	delete(v.g.views, v)
	v.g.mu.Unlock()
}

// Identity is as whom, and who.
func (v *View) Identity() datasite.Identity { return v.who }

// Owner is whose datasite the tree is.
func (v *View) Owner() perm.User { return v.g.cfg.Owner }

// Statfs tells about the file system that the tree lies on.
func (v *View) Statfs(ctx context.Context) (unix.Statfs_t, error) { return v.g.tree.Statfs() }

// HostPath is where p lies on the disk, for the sandbox's binds only.
func (g *Guard) HostPath(p datasite.Path) string { return g.tree.HostPath(p) }
