// Package fusetree is the mount: inodes, handles, errno and invalidation on go-fuse's raw API, each request ending in one call to
// the gate or to a provider of virtual folders. It holds no policy and knows neither jobs nor peers.
// The program's composition root imports it, and doctor for its checks.
package fusetree

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/fs/virtual"
	"github.com/openmined/syftfs/perm"
	"golang.org/x/sys/unix"
)

// Options say what to mount where.
type Options struct {
	Mountpoint string
	As         datasite.Identity
	ReadOnly   bool

	// Virtual gives the names that are virtual in a stored folder, or in the root of the mount (the zero Path). It is asked
	// with each look into a folder, so it must not wait for anything, and what it gives is not changed afterwards.
	Virtual func(dir datasite.Path) map[string]virtual.Provider

	// Refused is told of each refusal that a person may want to read about; p is the path as seen in the mount. It must not
	// use the mount.
	Refused func(op, p string, err error)

	Features   Features
	AllowOther bool // other accounts of the machine too, with the rights of As
	Log        *slog.Logger
}

// Features forces features off, SharedLocks on. The zero value uses what the kernel has.
type Features struct {
	NoKillPriv     bool // the kernel asks for security.capability before each write
	NoReaddirplus  bool
	NoKeepCache    bool // pages are dropped at each open
	NoCaching      bool // no entry and no attribute outlives its request
	NoSymlinkCache bool
	NoAtomicTrunc  bool
	NoDirectMmap   bool // no shared mappings of files that are opened for appending

	// SharedLocks makes locks in the owner's mount what they are in every other: held on the file below, so that they exclude programs on
	// the backing tree and in other mounts too. Each costs a request then, and POSIX locks belong to the open file: two
	// descriptors of one process exclude each other.
	SharedLocks bool
}

const (
	maxWrite      = 1 << 20
	maxBackground = 64
	capKillPrivV2 = 1 << 28 // FUSE_HANDLE_KILLPRIV_V2
)

// Mount is a mounted tree. It is the guard.Kernel of its view.
type Mount struct {
	s     *server
	point string
	minor uint32 // of its device: the number of the connection
	log   *slog.Logger
	done  chan struct{} // closed when the connection has ended and everything is cleaned up
	end   context.CancelFunc
}

// Serve mounts the tree as o.As sees it and returns when it can be used. A change through another view of g is made known to
// this mount's kernel. ctx is for the mounting only.
func Serve(ctx context.Context, g *guard.Guard, o Options) (*Mount, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	point, err := prepare(o.Mountpoint, g.HostPath(datasite.Path{}))
	if err != nil {
		return nil, err
	}
	m := &Mount{point: point, log: o.Log, done: make(chan struct{})}
	sctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	m.end = cancel
	m.s = newServer(sctx, o)
	m.s.view = g.View(o.As, m)
	owners := o.As.Account == "" && o.As.Subject == m.s.view.Owner()
	m.s.caches = owners && !o.Features.NoCaching
	m.s.locks = !owners || o.Features.SharedLocks
	m.s.notify = newNotifier(m.s.nodes, m.s.caches, func(p datasite.Path) (datasite.Entry, error) { return m.s.view.Stat(sctx, p) })
	if !owners {
		// Rules may name the date, and what is mapped is read without asking anybody.
		m.s.notify.newDay = func() { m.InvalidateAll(m.s.view.Owner()) }
	}

	k, err := m.connect(o)
	if err != nil {
		m.cleanUp()
		// The mount may have been made before the kernel and we could agree on anything.
		return nil, errors.Join(fmt.Errorf("mount %s: %w", point, err), Check(), Recover(point))
	}
	go func() { // ends with the connection; Close waits for it
		k.Serve()
		m.cleanUp()
	}()
	if err := k.WaitMount(); err != nil {
		return nil, errors.Join(fmt.Errorf("mount %s: %w", point, err), m.Close(ctx))
	}
	top, ok, err := onTop(point)
	if err != nil || !ok || top.typ != fsType {
		m.log.Warn("the mount is not in the list of mounts", "path", point, "err", err)
	}
	m.minor = top.minor
	return m, nil
}

// connect mounts. No child is started before its device is ours alone, unless that takes one.
func (m *Mount) connect(o Options) (*fuse.Server, error) {
	fo := m.options(o)
	if !fo.DirectMountStrict {
		return fuse.NewServer(m.s, m.point, fo)
	}
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	k, err := fuse.NewServer(m.s, m.point, fo)
	if err != nil {
		return nil, err
	}
	if err := keepDevices(); err != nil {
		return nil, errors.Join(fmt.Errorf("keep the device of the mount from other programs: %w", err), k.Unmount())
	}
	return k, nil
}

func newServer(ctx context.Context, o Options) *server {
	waits, endWaits := context.WithCancel(ctx)
	return &server{
		RawFileSystem: fuse.NewDefaultRawFileSystem(),
		virtual:       o.Virtual, refused: o.Refused, log: o.Log, ctx: ctx, waits: waits, endWaits: endWaits,
		nodes: newTable(), handles: newHandles(), placer: newPlacer(), errnos: errnos{rules()}, started: time.Now(),
		uid: uint32(os.Geteuid()), gid: uint32(os.Getegid()), euid: os.Geteuid(),
		readOnly: o.ReadOnly, keep: keepFor, features: o.Features,
	}
}

func (m *Mount) options(o Options) *fuse.MountOptions {
	f := o.Features
	fo := &fuse.MountOptions{
		FsName: "syftfs", Name: "syftfs", MaxWrite: maxWrite, MaxBackground: maxBackground,
		AllowOther: o.AllowOther, IgnoreSecurityLabels: true, // they are not offered, so the gate need not be asked
		EnableLocks:          m.s.locks,
		EnableSymlinkCaching: m.s.caches && !f.NoSymlinkCache,
		// Where nothing outlives its request, looking names up in advance is for nothing.
		DisableReadDirPlus:   !m.s.caches || f.NoReaddirplus,
		DisabledCapabilities: fuse.CAP_PASSTHROUGH,
		Logger:               slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
		PanicHandler: func(v any) fuse.Status {
			o.Log.Error("a request failed inside", "err", fmt.Sprint(v))
			return fuse.EIO
		},
	}
	if !f.NoKillPriv {
		fo.ExtraCapabilities |= capKillPrivV2
	}
	if !f.NoAtomicTrunc {
		fo.ExtraCapabilities |= fuse.CAP_ATOMIC_O_TRUNC
	}
	if !f.NoDirectMmap {
		fo.ExtraCapabilities |= fuse.CAP_DIRECT_IO_ALLOW_MMAP
	}
	if mayMount() {
		fo.DirectMountStrict = true
	}
	if o.ReadOnly {
		fo.Options = append(fo.Options, "ro")
		if fo.DirectMountStrict {
			fo.Options, fo.DirectMountFlags = nil, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_RDONLY
		}
	}
	return fo
}

// cleanUp runs once, when the connection has ended or was never made.
func (m *Mount) cleanUp() {
	m.s.placer.close()
	for _, h := range m.s.handles.rest() { // never released: the connection broke, or the last closes were still on their way
		if err := m.s.close(h); err != nil {
			m.s.status("release", h.node.id, "", err)
		}
	}
	m.s.view.Close()
	m.end()
	m.s.notify.close()
	close(m.done)
}

// View is the view that the mount serves. What is changed through it directly is not told to this mount's own kernel: whoever
// wants to change the tree from inside the program takes a view of its own.
func (m *Mount) View() *guard.View { return m.s.view }

// Mountpoint is where the mount is, without links in the path.
func (m *Mount) Mountpoint() string { return m.point }

// Invalidate makes the kernel ask again about p: its entry, attributes and pages, wherever it is shown. It returns at once.
func (m *Mount) Invalidate(p datasite.Path) { m.s.notify.path(p) }

// InvalidateAll makes the kernel ask again about everything of a datasite. It returns at once.
func (m *Mount) InvalidateAll(owner perm.User) {
	m.s.turns.Add(1)
	if owner != "" {
		m.s.notify.add(staleThing{owner: owner})
	}
}

// InvalidateVirtual is for a provider that changed something: rel ("" for all of it) in the provider under name in the stored
// folder dir, which is the zero Path for the root of the mount. Names appear and vanish without it; what was read of a
// Plain file is dropped. It returns at once.
func (m *Mount) InvalidateVirtual(dir datasite.Path, name, rel string) {
	m.s.notify.add(staleThing{path: dir, virtual: true, name: name, rel: rel})
}

// Wait returns when the mount is gone, by Close or from outside, and everything is recorded that was done through it.
func (m *Mount) Wait() { <-m.done }

// Done is closed when Wait would return.
func (m *Mount) Done() <-chan struct{} { return m.done }

var _ guard.Kernel = (*Mount)(nil)

func mayMount() bool {
	if os.Geteuid() != 0 {
		return false
	}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return !errors.Is(err, syscall.EPERM)
	}
	return data[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
}
