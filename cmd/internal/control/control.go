// Package control is the virtual folder .syft of a mount: how things stand, whom the datasite exchanges with, and why the last thing was
// refused. It is a door to the service and adds no meaning; it does not know FUSE. The daemon hands it to the mounts.
package control

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/openmined/syftfs/fs/virtual"
)

// Name is the folder's name at the root of a mount.
const Name = ".syft"

// The texts of every mount.
const (
	lastErrorTxt = "last-error"
	statusTxt    = "status"
)

// Statuser tells how the datasite is; the service fits it.
type Statuser interface {
	Status(ctx context.Context, c service.Caller, _ struct{}) (service.Status, error)
}

// Folder is the .syft of one mount. Safe for concurrent use.
type Folder struct {
	identity string   // who this mount is for, in words
	status   Statuser // nil: not the owner's mount
	why      Explainer

	// These are nil but in the owner's mount.
	peers interface {
		PeerBook
		PeerDesk
	}
	conflicts Conflicter

	now  func() time.Time
	made time.Time

	mu   sync.Mutex
	last string // guarded by mu: the text of last-error
	at   time.Time
}

// New makes the folder of a mount. status is nil for a view that is not the owner's: it tells nothing about the machine.
func New(identity string, status Statuser, why Explainer, now func() time.Time) *Folder {
	return &Folder{identity: identity, status: status, why: why, now: now, made: now(), last: "nothing was refused since this was mounted\n", at: now()}
}

// Exchange is what the owner's mount shows and does about the exchange with others; the service fits it.
type Exchange interface {
	PeerBook
	PeerDesk
	Conflicter
}

// WithExchange adds peers/ and conflicts, for the owner's mount. Call it before the folder is served.
func (f *Folder) WithExchange(x Exchange) *Folder {
	f.peers, f.conflicts = x, x
	return f
}

// Refused keeps why an operation was refused, for last-error. What does not exist is no refusal: of what is hidden nothing is told.
// Names come from anybody: what would drive a terminal is made visible, and no name can forge a line.
func (f *Folder) Refused(op, path string, err error) {
	if errors.Is(err, iofs.ErrNotExist) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = f.now()
	f.last = fmt.Sprintf("%s\n%s %s\n%s\n", f.at.Format(time.RFC3339), op, service.Visible(path, false), service.Visible(strings.TrimSpace(err.Error()), true))
}

// names are what the folder holds, in order.
func (f *Folder) names() []string {
	if f.peers == nil {
		return []string{lastErrorTxt, statusTxt, whyDir}
	}
	return []string{conflictsTxt, lastErrorTxt, peersDir, statusTxt, whyDir}
}

// Lookup answers for the texts, why/ and peers/.
func (f *Folder) Lookup(ctx context.Context, rel string) (virtual.Entry, error) {
	top, _, _ := strings.Cut(rel, "/")
	switch {
	case top == whyDir:
		return f.lookupWhy(ctx, rel)
	case top == peersDir:
		return f.lookupPeer(ctx, rel)
	case rel != "" && !slices.Contains(f.names(), rel):
		return virtual.Entry{}, fmt.Errorf("%s/%s: %w", Name, rel, iofs.ErrNotExist)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch rel {
	case "":
		return virtual.Entry{Name: Name, Kind: virtual.Dir, Mode: 0o500, MTime: f.at}, nil
	case lastErrorTxt:
		return virtual.Entry{Name: rel, Kind: virtual.Text, Mode: 0o400, MTime: f.at, Size: int64(len(f.last))}, nil
	}
	return virtual.Entry{Name: rel, Kind: virtual.Text, Mode: 0o400, MTime: f.now()}, nil
}

// List lists the folder.
func (f *Folder) List(ctx context.Context, rel string) ([]virtual.Entry, error) {
	if top, _, _ := strings.Cut(rel, "/"); top == peersDir {
		return f.listPeers(ctx, rel)
	}
	if rel != "" {
		return f.listWhy(ctx, rel)
	}
	var entries []virtual.Entry
	for _, name := range f.names() {
		e, err := f.Lookup(ctx, name)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// Open gives the text as it is now.
func (f *Folder) Open(ctx context.Context, rel string, flags int, _ iofs.FileMode) (virtual.Handle, error) {
	h, err := f.open(ctx, rel)
	return h, creates(rel, flags, err)
}

func (f *Folder) open(ctx context.Context, rel string) (virtual.Handle, error) {
	switch {
	case strings.HasPrefix(rel, whyDir+"/"):
		return f.openWhy(ctx, rel)
	case strings.HasPrefix(rel, peersDir+"/"):
		return f.openPeer(ctx, rel)
	}
	e, err := f.Lookup(ctx, rel)
	if err != nil {
		return nil, err
	}
	var text string
	switch {
	case e.Kind == virtual.Dir:
		return nil, &iofs.PathError{Op: "open", Path: rel, Err: syscall.EISDIR}
	case rel == lastErrorTxt:
		f.mu.Lock()
		text = f.last
		f.mu.Unlock()
	case rel == conflictsTxt:
		text, err = f.conflictsText(ctx)
	default:
		text, err = f.statusText(ctx)
	}
	if err != nil {
		return nil, err
	}
	return virtual.NewText(e, []byte(text), nil), nil
}

func (f *Folder) statusText(ctx context.Context) (string, error) {
	text := "this mount shows the tree to: " + f.identity + "\n"
	if f.status == nil {
		return text, nil
	}
	st, err := f.status.Status(ctx, owner, struct{}{})
	if err != nil {
		return "", err
	}
	return text + service.Visible(st.Text(), true), nil
}

// Link is a provider that is one symbolic link.
type Link struct {
	Name, Target string
	At           time.Time
}

// Lookup gives the link itself.
func (l Link) Lookup(_ context.Context, rel string) (virtual.Entry, error) {
	if rel != "" {
		return virtual.Entry{}, fmt.Errorf("%s/%s: %w", l.Name, rel, iofs.ErrNotExist)
	}
	return virtual.Entry{Name: l.Name, Kind: virtual.Link, Mode: 0o777, Target: l.Target, MTime: l.At}, nil
}

// List is empty: a link holds nothing.
func (l Link) List(context.Context, string) ([]virtual.Entry, error) { return nil, nil }

// Open is never allowed.
func (l Link) Open(context.Context, string, int, iofs.FileMode) (virtual.Handle, error) {
	return nil, fmt.Errorf("%s: %w", l.Name, iofs.ErrPermission)
}
