package control

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/virtual"
)

// peersDir holds a folder for each state, and in it one for each peer, with what is known about it. Peers are asked, answered and
// forgotten by making, moving and removing these folders.
const (
	peersDir = "peers"
	givesTxt = "gives" // beside status: what an acceptance gives, or gave
)

// The folders of peers/.
const (
	requestedDir = "requested"
	pendingDir   = "pending"
	acceptedDir  = "accepted"
	rejectedDir  = "rejected" // those who are blocked, too
)

var stateDirs = []string{acceptedDir, pendingDir, rejectedDir, requestedDir}

// PeerBook tells about peers; the service fits it.
type PeerBook interface {
	PeerList(ctx context.Context, c service.Caller, _ struct{}) ([]service.Peer, error)
	PeerGives(ctx context.Context, c service.Caller, q service.PeerQuestion) (service.PeerGives, error)
}

// PeerDesk asks, answers and forgets peers; the service fits it.
type PeerDesk interface {
	PeerRequest(ctx context.Context, c service.Caller, q service.PeerQuestion) (service.PeerDone, error)
	PeerAccept(ctx context.Context, c service.Caller, q service.PeerQuestion) (service.PeerDone, error)
	PeerReject(ctx context.Context, c service.Caller, q service.PeerQuestion) (service.PeerDone, error)
	PeerBlock(ctx context.Context, c service.Caller, q service.PeerQuestion) (service.PeerDone, error)
	PeerRemove(ctx context.Context, c service.Caller, q service.PeerQuestion) (service.PeerDone, error)
}

// owner is how this mount's person asks the service.
var owner = service.Caller{Root: true, Via: "mount"}

// refuse is an error whose reason the person reads in last-error.
func refuse(errno syscall.Errno, format string, args ...any) error {
	return &virtual.Refusal{Reason: fmt.Sprintf(format, args...), Err: errno}
}

// peerPlace is a name below peers/, taken apart. The zero peerPlace is peers/ itself.
type peerPlace struct {
	dir  string // of a state
	name string // as it was typed
	user string // the address in its canonical form
	file string
}

func (f *Folder) parsePeer(rel string) (peerPlace, error) {
	missing := fmt.Errorf("%s/%s: %w", Name, rel, iofs.ErrNotExist)
	parts := strings.Split(rel, "/")
	if f.peers == nil || parts[0] != peersDir || len(parts) > 4 {
		return peerPlace{}, missing
	}
	var p peerPlace
	if len(parts) == 1 {
		return p, nil
	}
	if p.dir = parts[1]; !slices.Contains(stateDirs, p.dir) {
		return p, missing
	}
	if len(parts) == 2 {
		return p, nil
	}
	p.name = parts[2]
	u, err := address(p.name)
	if err != nil || strings.TrimSpace(p.name) != p.name {
		return p, missing
	}
	p.user = u
	if len(parts) == 4 {
		p.file = parts[3]
		if p.file != statusTxt && (p.file != givesTxt || p.dir != pendingDir && p.dir != acceptedDir) {
			return p, missing
		}
	}
	return p, nil
}

// address reads the name of a peer's folder as that of a datasite.
func address(name string) (string, error) {
	p, err := datasite.Parse(name)
	if err == nil && (p.IsRoot() || p.Rel != "") {
		err = fmt.Errorf("%q: %w", name, datasite.ErrName)
	}
	return string(p.Owner), err
}

// dirOf is the folder in which a peer stands.
func dirOf(s service.PeerState) string {
	switch s {
	case service.PeerRequested:
		return requestedDir
	case service.PeerPending:
		return pendingDir
	case service.PeerAccepted:
		return acceptedDir
	}
	return rejectedDir
}

// listed gives the peers. Without a Drive there are none.
func (f *Folder) listed(ctx context.Context) ([]service.Peer, error) {
	list, err := f.peers.PeerList(ctx, owner, struct{}{})
	if e, ok := errors.AsType[*service.Error](err); ok && e.Code == service.NotRunning {
		return nil, nil
	}
	return list, err
}

// find gives the peer with that address, and whether there is one.
func (f *Folder) find(ctx context.Context, u string) (service.Peer, bool, error) {
	list, err := f.listed(ctx)
	if err != nil {
		return service.Peer{}, false, err
	}
	i := slices.IndexFunc(list, func(p service.Peer) bool { return p.Address == u })
	if i < 0 {
		return service.Peer{}, false, nil
	}
	return list[i], true, nil
}

func (f *Folder) lookupPeer(ctx context.Context, rel string) (virtual.Entry, error) {
	p, err := f.parsePeer(rel)
	if err != nil {
		return virtual.Entry{}, err
	}
	if p.name != "" {
		is, known, err := f.find(ctx, p.user)
		if err != nil {
			return virtual.Entry{}, err
		}
		if !known || dirOf(is.State) != p.dir {
			return virtual.Entry{}, fmt.Errorf("%s/%s: %w", Name, rel, iofs.ErrNotExist)
		}
	}
	return f.peerEntry(rel[strings.LastIndexByte(rel, '/')+1:], p), nil
}

// peerEntry is the entry of one place that is there.
func (f *Folder) peerEntry(name string, p peerPlace) virtual.Entry {
	switch {
	case p.file != "":
		return virtual.Entry{Name: name, Kind: virtual.Text, Mode: 0o400, MTime: f.now()}
	case p.dir != "" && p.name == "":
		return virtual.Entry{Name: name, Kind: virtual.Dir, Mode: 0o700, MTime: f.made}
	}
	return virtual.Entry{Name: name, Kind: virtual.Dir, Mode: 0o500, MTime: f.made}
}

func (f *Folder) listPeers(ctx context.Context, rel string) ([]virtual.Entry, error) {
	p, err := f.parsePeer(rel)
	if err != nil {
		return nil, err
	}
	var entries []virtual.Entry
	switch {
	case p.dir == "":
		for _, dir := range stateDirs {
			entries = append(entries, f.peerEntry(dir, peerPlace{dir: dir}))
		}
	case p.name == "":
		list, err := f.listed(ctx)
		if err != nil {
			return nil, err
		}
		for _, is := range list {
			if dirOf(is.State) == p.dir {
				entries = append(entries, f.peerEntry(is.Address, peerPlace{dir: p.dir, name: is.Address}))
			}
		}
	case p.file != "":
		return nil, &iofs.PathError{Op: "list", Path: rel, Err: syscall.ENOTDIR}
	default:
		if _, err := f.lookupPeer(ctx, rel); err != nil {
			return nil, err
		}
		for _, name := range []string{givesTxt, statusTxt} {
			at := peerPlace{dir: p.dir, name: p.name, file: name}
			if _, err := f.parsePeer(rel + "/" + name); err == nil {
				entries = append(entries, f.peerEntry(name, at))
			}
		}
	}
	return entries, nil
}

func (f *Folder) openPeer(ctx context.Context, rel string) (virtual.Handle, error) {
	e, err := f.lookupPeer(ctx, rel)
	if err != nil {
		return nil, err
	}
	p, err := f.parsePeer(rel)
	if err != nil {
		return nil, err
	}
	var text string
	switch p.file {
	case "":
		return nil, &iofs.PathError{Op: "open", Path: rel, Err: syscall.EISDIR}
	case givesTxt:
		gives, err := f.peers.PeerGives(ctx, owner, service.PeerQuestion{Address: p.user})
		if err != nil {
			return nil, refused(err)
		}
		text = gives.Text
	default:
		is, _, err := f.find(ctx, p.user)
		if err != nil {
			return nil, err
		}
		st, err := f.status.Status(ctx, owner, struct{}{})
		if err != nil {
			return nil, err
		}
		text = is.Text(exchangeWith(st.Exchange, p.user))
		if p.dir == pendingDir {
			text += fmt.Sprintf("           or move this folder to %s/ or %s/; %s beside this file tells what acceptance gives\n", acceptedDir, rejectedDir, givesTxt)
		}
	}
	return virtual.NewText(e, []byte(service.Visible(text, true)), nil), nil
}

func exchangeWith(x *service.ExchangeStatus, u string) *service.PeerExchange {
	if x == nil {
		return nil
	}
	for _, p := range x.Peers {
		if p.Address == u {
			return &p
		}
	}
	return nil
}

// refused gives what the service refused the form that a mount knows, so that its reason is read in last-error.
func refused(err error) error {
	e := service.Wrap(err)
	errno := syscall.EPERM
	switch e.Code {
	case service.BadInput, service.BadEmail, service.NotFound: // the latter is not that of the name in the mount
		errno = syscall.EINVAL
	case service.Unexpected, service.NoAudit:
		errno = syscall.EIO
	case service.Forbidden:
		errno = syscall.EACCES
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return refuse(errno, "%s", e.Message)
}

// wish asks the service. It never waits for Drive: what is noted is carried out behind the mount.
func wish(ctx context.Context, do func(context.Context, service.Caller, service.PeerQuestion) (service.PeerDone, error), address string) error {
	if _, err := do(ctx, owner, service.PeerQuestion{Address: address, NoWait: true}); err != nil {
		return refused(err)
	}
	return nil
}

const fixed = "what lies in this folder is made by the program and cannot be changed here"

// Mkdir asks somebody for exchange: requested/ADDRESS.
func (f *Folder) Mkdir(ctx context.Context, rel string, _ iofs.FileMode) error {
	dir, name, deep := strings.Cut(strings.TrimPrefix(rel, peersDir+"/"), "/")
	switch {
	case f.peers == nil || !strings.HasPrefix(rel, peersDir+"/") || !deep || strings.Contains(name, "/"):
		return refuse(syscall.EPERM, fixed)
	case dir == pendingDir || dir == rejectedDir || dir == acceptedDir:
		return refuse(syscall.EPERM, "folders come to %s/%s/ by themselves, and by being moved; to ask somebody for exchange make the folder %s/%s/ADDRESS", peersDir, dir, peersDir, requestedDir)
	case dir != requestedDir:
		return refuse(syscall.EPERM, fixed)
	}
	u, err := address(name)
	if err != nil {
		return refuse(syscall.EINVAL, "%v: the name of the folder is the address that is asked", err)
	}
	is, known, err := f.find(ctx, u)
	if err != nil {
		return refused(err)
	}
	switch {
	case known && is.State == service.PeerRequested:
		return &iofs.PathError{Op: "mkdir", Path: rel, Err: iofs.ErrExist}
	case known && is.State == service.PeerAccepted:
		return refuse(syscall.EEXIST, "%s is an accepted peer already", u)
	case known && is.State == service.PeerPending:
		return refuse(syscall.EEXIST, "%s asks already: mv %s/%s/%[1]s %[2]s/%[4]s/", u, peersDir, pendingDir, acceptedDir)
	}
	return wish(ctx, f.peers.PeerRequest, name)
}

// Rename answers: pending/ADDRESS to accepted/ or rejected/, and between those two.
func (f *Folder) Rename(ctx context.Context, from, to string) error {
	p, err := f.parsePeer(from)
	if err == nil && p.name != "" {
		_, err = f.lookupPeer(ctx, from)
	}
	if err != nil {
		return err
	}
	q, err := f.parsePeer(to)
	if err != nil || p.name == "" || p.file != "" || q.file != "" {
		return refuse(syscall.EPERM, fixed)
	}
	if q.user != p.user {
		return refuse(syscall.EINVAL, "a peer keeps its address: move the folder %s as it is", p.name)
	}
	switch {
	case q.dir == p.dir:
		return nil
	case q.dir == acceptedDir && p.dir != requestedDir:
		return wish(ctx, f.peers.PeerAccept, p.user)
	case q.dir == rejectedDir && p.dir == pendingDir:
		return wish(ctx, f.peers.PeerReject, p.user)
	case q.dir == rejectedDir && p.dir == acceptedDir: // the only no that holds for somebody who was let in
		return wish(ctx, f.peers.PeerBlock, p.user)
	case q.dir == requestedDir:
		return refuse(syscall.EPERM, "to ask somebody for exchange make the folder %s/%s/ADDRESS", peersDir, requestedDir)
	case q.dir == pendingDir:
		return refuse(syscall.EPERM, "who is in %s/%s/ asks by itself; only answers are moved", peersDir, pendingDir)
	}
	return refuse(syscall.EPERM, "%s was asked and has not answered; to take the request back remove the folder %s/%s/%[1]s", p.name, peersDir, requestedDir)
}

// Remove takes a request back, or ends an exchange and forgets the peer. The folder goes with its texts, which cannot be removed alone: so
// that no rm -r ends an exchange by the way.
func (f *Folder) Remove(ctx context.Context, rel string) error {
	p, err := f.parsePeer(rel)
	if err == nil && p.name != "" {
		_, err = f.lookupPeer(ctx, rel)
	}
	switch {
	case err != nil && strings.HasPrefix(rel, peersDir+"/"):
		return err
	case err != nil || p.name == "":
		return refuse(syscall.EPERM, fixed)
	case p.file != "":
		return refuse(syscall.EPERM, "%s is written by the program; rmdir the folder to forget the peer", p.file)
	case p.dir == pendingDir:
		return refuse(syscall.EPERM, "%s asks and needs an answer: mv %s/%s/%[1]s %[2]s/%[4]s/, or %[2]s/%[5]s/", p.name, peersDir, pendingDir, acceptedDir, rejectedDir)
	}
	return wish(ctx, f.peers.PeerRemove, p.user)
}

// SetAttr ignores modes and times, which tools set on what they made.
func (f *Folder) SetAttr(ctx context.Context, rel string, a virtual.Attr) error {
	if _, err := f.parsePeer(rel); err != nil || a.Size != nil {
		return refuse(syscall.EPERM, fixed)
	}
	return nil
}

// creates refuses to make files; there is nothing here that a person writes.
func creates(rel string, flags int, err error) error {
	if flags&os.O_CREATE != 0 && errors.Is(err, iofs.ErrNotExist) {
		return refuse(syscall.EPERM, "%s/%s: no files can be made here", Name, rel)
	}
	return err
}

var _ virtual.Maker = (*Folder)(nil)
