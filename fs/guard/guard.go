// Package guard is the gate: for an identity and a path, decide, do, record, in one place. The mount, the local API and
// (later) the replicator's apply go through it; nobody else opens a file of the tree for a user, the job sandbox's
// read-only binds excepted. It does not know FUSE, Drive or jobs; it declares the recorder that it needs.
package guard

import (
	"context"
	"errors"
	iofs "io/fs"
	"log/slog"
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

// Config is what a Guard is made of. Log, Subjects and Now may be nil.
type Config struct {
	Owner    perm.User // whose datasite this is
	Tree     *backing.Tree
	Rules    *perm.Index // loads through Tree.FS
	Recorder Recorder
	Memory   Memory
	Subjects Subjects
	Log      *slog.Logger
	Now      func() time.Time
}

// Guard is the gate to one backing tree.
type Guard struct{ cfg Config }

// New makes the gate, with the rule index over the tree's own rule files. Nothing runs yet.
func New(cfg Config) *Guard { return &Guard{cfg: cfg} }

// View is the tree as one identity may see and change it. One per mount; k may be nil.
type View struct {
	g   *Guard
	who datasite.Identity
	k   Kernel
}

// Attr is what SetAttr may change; nil means unchanged.
type Attr struct {
	Mode         *iofs.FileMode
	Size         *int64
	ATime, MTime *time.Time
	UID, GID     *uint32 // only "no change" succeeds
}

var errStub = errors.ErrUnsupported

// View gives the tree as who sees it. A change by one view is told to the Kernel of every other view.
func (g *Guard) View(who datasite.Identity, k Kernel) *View { return &View{g, who, k} }

// Close detaches the view: its Kernel is told nothing more.
func (v *View) Close() {}

func (v *View) Identity() datasite.Identity { return v.who }
func (v *View) Owner() perm.User            { return v.g.cfg.Owner }
func (v *View) Stat(ctx context.Context, p datasite.Path) (datasite.Entry, error) {
	return datasite.Entry{}, errStub
}
func (v *View) List(ctx context.Context, p datasite.Path) ([]datasite.Entry, error) {
	return nil, errStub
}
func (v *View) Open(ctx context.Context, p datasite.Path, flag int, mode iofs.FileMode) (*File, error) {
	return nil, errStub
}
func (v *View) Mkdir(ctx context.Context, p datasite.Path, mode iofs.FileMode) (datasite.Entry, error) {
	return datasite.Entry{}, errStub
}
func (v *View) Symlink(ctx context.Context, p datasite.Path, target string) (datasite.Entry, error) {
	return datasite.Entry{}, errStub
}
func (v *View) Readlink(ctx context.Context, p datasite.Path) (string, error)        { return "", errStub }
func (v *View) Rename(ctx context.Context, from, to datasite.Path, flags uint) error { return errStub }
func (v *View) Remove(ctx context.Context, p datasite.Path) error                    { return errStub }
func (v *View) Rmdir(ctx context.Context, p datasite.Path) error                     { return errStub }
func (v *View) SetAttr(ctx context.Context, p datasite.Path, f *File, a Attr) (datasite.Entry, error) {
	return datasite.Entry{}, errStub
}
func (v *View) Xattr(ctx context.Context, p datasite.Path, name string) ([]byte, error) {
	return nil, errStub
}
func (v *View) Xattrs(ctx context.Context, p datasite.Path) ([]string, error) { return nil, errStub }
func (v *View) SetXattr(ctx context.Context, p datasite.Path, name string, value []byte, flags int) error {
	return errStub
}
func (v *View) RemoveXattr(ctx context.Context, p datasite.Path, name string) error { return errStub }
func (v *View) Statfs(ctx context.Context) (unix.Statfs_t, error)                   { return unix.Statfs_t{}, errStub }

// ReadFile reads a whole file as the view's identity.
func (v *View) ReadFile(ctx context.Context, p datasite.Path) ([]byte, error) { return nil, errStub }

// Write replaces or makes a whole file atomically: hidden temp, sync, rename, one committed change. Missing parents are made.
func (v *View) Write(ctx context.Context, p datasite.Path, body []byte) error { return errStub }

// Place puts a whole folder at c.Path: copied from src to a hidden staging folder at the root of the backing tree, synced,
// moved in by one rename (exchange if it exists, the old one removed after), recorded as one committed change c. Missing parents are made.
func (v *View) Place(ctx context.Context, c datasite.Change, src iofs.FS) error { return errStub }

// RemoveAll removes p and everything below, as the owner only.
func (v *View) RemoveAll(ctx context.Context, p datasite.Path) error { return errStub }

// Explain decides for user u what the mount would decide, with the reasons.
func (v *View) Explain(ctx context.Context, u perm.User, p datasite.Path, want perm.Level) (perm.Decision, error) {
	return perm.Decision{}, errStub
}

// HostPath is where p lies on the disk, for the sandbox's binds only.
func (g *Guard) HostPath(p datasite.Path) string { return "" }

// Turn makes every open handle and cached answer ask again: accounts changed.
func (g *Guard) Turn() {}

// Reconcile compares the tree with Memory and records what differs with origin recovery. It sweeps the staging leftovers first.
func (g *Guard) Reconcile(ctx context.Context) (changed int, err error) { return 0, errStub }
