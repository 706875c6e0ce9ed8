package replica

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/journal"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/remote/remotetest"
	"github.com/openmined/syftfs/sync/wire"
)

const (
	owen   perm.User = "owen@centre.example"
	rachel perm.User = "rachel@science.example"
	sam    perm.User = "sam@science.example"
)

func sum(s string) datasite.Hash { return sha256.Sum256([]byte(s)) }

// clock is a clock that a test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Millisecond) // no two moments are the same
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// tree is all datasites on one machine, in memory, recorded in a journal.
type tree struct {
	me perm.User
	j  *journal.Journal

	mu      sync.Mutex
	files   map[datasite.Path]string
	level   func(u perm.User, p datasite.Path) perm.Level // in the own datasite
	apply   func(c datasite.Change) error                 // called before each change of Apply; nil: nothing
	applied int
}

func (x *tree) Snapshot(_ context.Context, p datasite.Path) (io.ReadCloser, datasite.Hash, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	s, ok := x.files[p]
	if !ok {
		return nil, datasite.Hash{}, &iofs.PathError{Op: "snapshot", Path: p.String(), Err: iofs.ErrNotExist}
	}
	return io.NopCloser(strings.NewReader(s)), sum(s), nil
}

func (x *tree) Files(_ context.Context, under datasite.Path, fn func(datasite.Path) error) error {
	for _, p := range x.list(under) {
		if err := fn(p); err != nil {
			return err
		}
	}
	return nil
}

func (x *tree) list(under datasite.Path) []datasite.Path {
	x.mu.Lock()
	defer x.mu.Unlock()
	var list []datasite.Path
	for p := range x.files {
		if p.Under(under) {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, cmpPath)
	return list
}

func (x *tree) Level(_ context.Context, u perm.User, p datasite.Path) (perm.Level, error) {
	return x.level(u, p), nil
}

// room reports what is in the way of a file at p. mu is held.
func (x *tree) room(p datasite.Path) error {
	for q := range x.files {
		switch {
		case q != p && q.Under(p):
			return &iofs.PathError{Op: "apply", Path: p.String(), Err: syscall.EISDIR}
		case p != q && p.Under(q):
			return &iofs.PathError{Op: "apply", Path: p.String(), Err: syscall.ENOTDIR}
		}
	}
	return nil
}

func (x *tree) Apply(ctx context.Context, from perm.User, c datasite.Change, body io.Reader) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.apply != nil {
		if err := x.apply(c); err != nil {
			return err
		}
	}
	old, ok := x.files[c.Path]
	if c.Path.Owner == x.me && from != x.me {
		want := perm.Create
		if ok {
			want = perm.Write
		}
		if isRule(c.Path) {
			want = perm.Admin
		}
		if x.level(from, c.Path) < want {
			return &iofs.PathError{Op: "apply", Path: c.Path.String(), Err: iofs.ErrPermission}
		}
	}
	if c.Path.Owner != x.me && from != c.Path.Owner {
		return &iofs.PathError{Op: "apply", Path: c.Path.String(), Err: iofs.ErrPermission}
	}
	var now datasite.Hash
	if ok {
		now = sum(old)
	}
	if now != c.Before.Hash {
		return datasite.ErrStale
	}
	if c.Op == datasite.OpRemove {
		delete(x.files, c.Path)
	} else {
		if err := x.room(c.Path); err != nil {
			return err
		}
		b, err := io.ReadAll(body)
		if err != nil {
			return err
		}
		x.files[c.Path] = string(b)
	}
	x.applied++
	_, err := x.j.Commit(ctx, c)
	return err
}

func (x *tree) Keep(ctx context.Context, p datasite.Path, h datasite.Hash, to datasite.Path) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	s, ok := x.files[p]
	if !ok || sum(s) != h {
		return datasite.ErrStale
	}
	if old, ok := x.files[to]; ok {
		if old == s {
			return nil
		}
		return &iofs.PathError{Op: "keep", Path: to.String(), Err: iofs.ErrExist}
	}
	if err := x.room(to); err != nil {
		return err
	}
	x.files[to] = s
	_, err := x.j.Commit(ctx, datasite.Change{Op: datasite.OpWrite, Path: to, Origin: datasite.OriginLocal})
	return err
}

// write, remove and move are what the user of the machine does.
func (x *tree) write(t testing.TB, p datasite.Path, body string) {
	t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.room(p); err != nil {
		t.Fatal(err)
	}
	x.files[p] = body
	x.record(t, datasite.Change{Op: datasite.OpWrite, Path: p})
}

func (x *tree) remove(t testing.TB, p datasite.Path) {
	t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	for q := range x.files {
		if q.Under(p) {
			delete(x.files, q)
		}
	}
	x.record(t, datasite.Change{Op: datasite.OpRemove, Path: p})
}

func (x *tree) move(t testing.TB, from, to datasite.Path) {
	t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	for q, s := range maps.Clone(x.files) {
		if q.Under(from) {
			delete(x.files, q)
			x.files[datasite.Path{Owner: to.Owner, Rel: to.Rel + strings.TrimPrefix(q.Rel, from.Rel)}] = s
		}
	}
	x.record(t, datasite.Change{Op: datasite.OpRename, From: from, Path: to})
}

// place puts a whole folder, as sealing a job does.
func (x *tree) place(t testing.TB, dir datasite.Path, files map[string]string) {
	t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	for q := range x.files {
		if q.Under(dir) {
			delete(x.files, q)
		}
	}
	for name, s := range files {
		x.files[dir.Join(name)] = s
	}
	x.record(t, datasite.Change{Op: datasite.OpSubmit, Path: dir})
}

func (x *tree) record(t testing.TB, c datasite.Change) {
	t.Helper()
	c.Origin = datasite.OriginLocal
	if err := x.j.Append(c); err != nil {
		t.Fatal(err)
	}
}

func (x *tree) read(p datasite.Path) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.files[p]
}

// of gives what lies in one datasite, without conflict copies.
func (x *tree) of(owner perm.User) map[string]string {
	x.mu.Lock()
	defer x.mu.Unlock()
	out := map[string]string{}
	for p, s := range x.files {
		if p.Owner == owner && !isCopy(p.Base()) {
			out[p.Rel] = s
		}
	}
	return out
}

// kept reports whether some file holds s.
func (x *tree) kept(s string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, have := range x.files {
		if have == s {
			return true
		}
	}
	return false
}

// peers is a fixed list.
type peers struct {
	mu       sync.Mutex
	list     []Peer
	home     func(kind wire.FolderKind, peer perm.User) (remote.ID, error)
	noticed  int
	swept    int
	homeless error
}

func (x *peers) List(context.Context) ([]Peer, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.list), nil
}

func (x *peers) Home(_ context.Context, kind wire.FolderKind, peer perm.User) (remote.ID, error) {
	if x.homeless != nil {
		return "", x.homeless
	}
	return x.home(kind, peer)
}

func (x *peers) Noticed(_ context.Context, c []remote.Change) error { x.noticed += len(c); return nil }
func (x *peers) Sweep(context.Context) error                        { x.swept++; return nil }

// edit changes what is known about one peer.
func (x *peers) edit(u perm.User, fn func(*Peer)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range x.list {
		if x.list[i].User == u {
			fn(&x.list[i])
		}
	}
}

// checkpoints remembers what was logged.
type checkpoints struct {
	logged []wire.Events
	state  Restored
	fail   error
}

func (x *checkpoints) Restore(context.Context) (Restored, error) { return x.state, nil }
func (x *checkpoints) Logged(_ context.Context, e wire.Events) error {
	if x.fail != nil {
		return x.fail
	}
	if n := len(x.logged); n > 0 && e.At < x.logged[n-1].At {
		return fmt.Errorf("message of %v after one of %v", e.At, x.logged[n-1].At)
	}
	x.logged = append(x.logged, e)
	return nil
}

// collections counts.
type collections struct{ local []datasite.Path }

func (x *collections) Local(_ context.Context, p []datasite.Path) error {
	x.local = append(x.local, p...)
	return nil
}
func (x *collections) Noticed(context.Context, []remote.Change) error { return nil }
func (x *collections) Sweep(context.Context) error                    { return nil }

// faults is the seam: it fails a named step, or each by chance.
type faults struct {
	mu   sync.Mutex
	op   string // fails the next of this name
	skip int
	dice func(op string) bool
	seen map[string]int
}

var errFault = errors.New("failed by the test")

func (f *faults) Before(op string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen == nil {
		f.seen = map[string]int{}
	}
	f.seen[op]++
	if f.op == op {
		if f.skip--; f.skip < 0 {
			f.op = ""
			return fmt.Errorf("%s: %w", op, errFault)
		}
	}
	if f.dice != nil && f.dice(op) {
		return fmt.Errorf("%s: %w", op, errFault)
	}
	return nil
}

// person is one machine with its account.
type person struct {
	*Replica
	me     perm.User
	tree   *tree
	peers  *peers
	checks *checkpoints
	data   *collections
	faults *faults
	remote *remotetest.Faulty
	store  remote.Remote // without faults
	count  map[string]int
	clock  *clock
	dir    string
	edit   func(*Config)
}

// place is several people on one store.
type world struct {
	*remotetest.World
	people map[perm.User]*person
	clock  *clock
}

func newWorld(t testing.TB, users ...perm.User) *world {
	t.Helper()
	c := newClock()
	w := &world{World: remotetest.NewWorld(c.Now), people: map[perm.User]*person{}, clock: c}
	for _, u := range users {
		w.people[u] = &person{me: u, clock: c, dir: t.TempDir(), count: map[string]int{}}
	}
	for _, u := range users {
		w.people[u].setUp(t, w, users)
	}
	// Folders of the others are known once all are made.
	for _, u := range users {
		for i := range w.people[u].peers.list {
			p := &w.people[u].peers.list[i]
			p.Inbox, p.Outbox = w.folder(t, u, p.User, wire.InboxFolder), w.folder(t, u, p.User, wire.OutboxFolder)
			p.TheirInbox, p.TheirOutbox = w.folder(t, p.User, u, wire.InboxFolder), w.folder(t, p.User, u, wire.OutboxFolder)
		}
		w.people[u].open(t)
	}
	return w
}

// folder finds the folder of a kind of owner's datasite for peer, which peer made.
func (w *world) folder(t testing.TB, owner, peer perm.User, kind wire.FolderKind) remote.ID {
	t.Helper()
	name := wire.FolderName{Kind: kind, Version: wire.Version{Minor: 1, Patch: 117}, Of: wire.Address(owner), Peer: wire.Address(peer)}.String()
	list, err := remote.Collect(context.Background(), w.Account(string(peer)), remote.Query{Name: name, Folders: true})
	if err != nil || len(list) != 1 {
		t.Fatalf("folder %s: %d, %v", name, len(list), err)
	}
	return list[0].ID
}

func makeFolder(t testing.TB, r remote.Remote, name string, grants ...remote.Grant) remote.ID {
	t.Helper()
	ids, err := r.NewIDs(context.Background(), 1)
	if err == nil {
		err = r.Put(context.Background(), remote.Spec{ID: ids[0], Name: name, Folder: true}, remote.Body{})
	}
	if err == nil && len(grants) > 0 {
		err = r.Grant(context.Background(), ids[0], grants...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return ids[0]
}

func (x *person) setUp(t testing.TB, w *world, users []perm.User) {
	t.Helper()
	x.store = w.Account(string(x.me))
	v := wire.Version{Minor: 1, Patch: 117}
	homes := map[string]remote.ID{"log": makeFolder(t, x.store, wire.FolderName{Kind: wire.LogFolder, Version: v, Of: wire.Address(x.me)}.String())}
	x.peers = &peers{home: func(kind wire.FolderKind, peer perm.User) (remote.ID, error) {
		if kind == wire.LogFolder {
			return homes["log"], nil
		}
		return homes[string(peer)], nil
	}}
	for _, u := range users {
		if u == x.me {
			continue
		}
		in, out := wire.Pair(v, wire.Address(x.me), wire.Address(u))
		share := remote.Grant{Who: string(u), Role: remote.CanWrite}
		makeFolder(t, x.store, in.String(), share)
		makeFolder(t, x.store, out.String(), share)
		homes[string(u)] = makeFolder(t, x.store, wire.FolderName{Kind: wire.ArchiveFolder, Of: wire.Address(x.me), Peer: wire.Address(u)}.String())
		x.peers.list = append(x.peers.list, Peer{User: u, Serve: true, Follow: true, Propose: true, Syftfs: true})
	}
	j, err := journal.Open(filepath.Join(x.dir, "journal.db"), journal.Options{Reserve: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	x.tree = &tree{me: x.me, j: j, files: map[datasite.Path]string{}, level: func(perm.User, datasite.Path) perm.Level { return perm.Read }}
	x.checks, x.data, x.faults = &checkpoints{}, &collections{}, &faults{}
	x.remote = remotetest.NewFaulty(remote.Around(x.store, func(ctx context.Context, c remote.Call, do func(context.Context) error) error {
		x.count[c.Op] += c.Count
		return do(ctx)
	}), 1)
}

// open starts the replica, or starts it again after a crash.
func (x *person) open(t testing.TB) {
	t.Helper()
	cfg := Config{Owner: x.me, Dir: filepath.Join(x.dir, "replica"), Journal: x.tree.j, Remote: x.remote, Tree: x.tree, Rights: x.tree,
		Peers: x.peers, Checkpoints: x.checks, Collections: x.data, Now: x.clock.Now, Fault: x.faults}
	if x.edit != nil {
		x.edit(&cfg)
	}
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.store.db.NoSync = true
	x.Replica = r
	t.Cleanup(func() { r.Close() })
}

// restart ends the replica and opens it again.
func (x *person) restart(t testing.TB) {
	t.Helper()
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	x.open(t)
}

func (x *person) sync(t testing.TB) {
	t.Helper()
	if err := x.Sync(context.Background()); err != nil {
		t.Fatalf("sync of %s: %v", x.me, err)
	}
}

// light is a round without a sweep.
func (x *person) light(t testing.TB) {
	t.Helper()
	if err := x.exchange(context.Background(), false); err != nil {
		t.Fatalf("exchange of %s: %v", x.me, err)
	}
}

// allow gives everybody a level everywhere in x's datasite.
func (x *person) allow(l perm.Level) {
	x.tree.mu.Lock()
	defer x.tree.mu.Unlock()
	x.tree.level = func(perm.User, datasite.Path) perm.Level { return l }
}

// state of a file, for a test that knows it.
func (x *person) is(t testing.TB, p datasite.Path, want State) {
	t.Helper()
	got, why, err := x.State(p)
	if err != nil || got != want {
		t.Errorf("%s at %s: %s is %s (%s), want %s; %v", x.me, p.Owner, p.Rel, got, why, want, err)
	}
}

func (x *person) has(t testing.TB, p datasite.Path, want string) {
	t.Helper()
	if got := x.tree.read(p); got != want {
		t.Errorf("%s: %s holds %q, want %q", x.me, p, got, want)
	}
}

// messages lists what lies in a folder.
func messages(t testing.TB, r remote.Remote, folder remote.ID) []remote.Object {
	t.Helper()
	list, err := remote.Collect(context.Background(), r, remote.Query{Parent: folder, Files: true, Want: objectFields})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func fetch(t testing.TB, r remote.Remote, o remote.Object) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := remote.Fetch(context.Background(), r, o, 1<<30, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
