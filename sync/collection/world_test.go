package collection

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/remote/remotetest"
	"github.com/openmined/syftfs/sync/wire"
)

const (
	owen   perm.User = "owen@cancer-research.example"
	rachel perm.User = "rachel@datascience.example"
	nina   perm.User = "nina@statistics.example"
)

var ctx = context.Background()

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tree is a Tree in memory.
type tree struct {
	mu     sync.Mutex
	files  map[datasite.Path]string
	before func(datasite.Change) error // of Apply
	reads  int
}

func newTree() *tree { return &tree{files: map[datasite.Path]string{}} }

func sum(s string) datasite.Hash { return sha256.Sum256([]byte(s)) }

func (t *tree) Snapshot(_ context.Context, p datasite.Path) (io.ReadCloser, datasite.Hash, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reads++
	s, ok := t.files[p]
	if !ok {
		return nil, datasite.Hash{}, fmt.Errorf("%s: %w", p, iofs.ErrNotExist)
	}
	return io.NopCloser(strings.NewReader(s)), sum(s), nil
}

func (t *tree) Files(_ context.Context, under datasite.Path, fn func(datasite.Path) error) error {
	t.mu.Lock()
	var found []datasite.Path
	for p := range t.files {
		if p.Under(under) {
			found = append(found, p)
		}
	}
	t.mu.Unlock()
	slices.SortFunc(found, func(a, b datasite.Path) int { return strings.Compare(a.Rel, b.Rel) })
	for _, p := range found {
		if err := fn(p); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) Apply(_ context.Context, from perm.User, c datasite.Change, body io.Reader) error {
	if from != c.Path.Owner {
		return fmt.Errorf("%s by %s: %w", c.Path, from, iofs.ErrPermission)
	}
	if t.before != nil {
		if err := t.before(c); err != nil {
			return err
		}
	}
	var b []byte
	if c.Op == datasite.OpWrite {
		var err error
		if b, err = io.ReadAll(body); err != nil {
			return err
		}
		if sum(string(b)) != c.After.Hash {
			return errors.New("the body is not what the change says")
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var now datasite.Hash
	if s, ok := t.files[c.Path]; ok {
		now = sum(s)
	}
	if now != c.Before.Hash {
		return fmt.Errorf("%s: %w", c.Path, datasite.ErrStale)
	}
	if c.Op == datasite.OpRemove {
		delete(t.files, c.Path)
	} else {
		t.files[c.Path] = string(b)
	}
	return nil
}

func (t *tree) Keep(_ context.Context, p datasite.Path, h datasite.Hash, to datasite.Path) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if sum(t.files[p]) != h {
		return datasite.ErrStale
	}
	if s, ok := t.files[to]; ok && sum(s) != h {
		return iofs.ErrExist
	}
	t.files[to] = t.files[p]
	return nil
}

func (t *tree) put(owner perm.User, files map[string]string) (paths []datasite.Path) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for rel, s := range files {
		p := datasite.Path{Owner: owner, Rel: rel}
		t.files[p] = s
		paths = append(paths, p)
	}
	return paths
}

func (t *tree) remove(owner perm.User, under string) (paths []datasite.Path) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for p := range t.files {
		if p.Under(datasite.Path{Owner: owner, Rel: under}) {
			delete(t.files, p)
			paths = append(paths, p)
		}
	}
	return paths
}

// below lists what lies in a folder.
func (t *tree) below(owner perm.User, dir string) map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := map[string]string{}
	for p, s := range t.files {
		if rest, ok := strings.CutPrefix(p.Rel, dir+"/"); ok && p.Owner == owner {
			out[rest] = s
		}
	}
	return out
}

// rules are rules in memory: the readers of a folder.
type rules struct {
	mu      sync.Mutex
	readers map[string]map[perm.User]bool
	hidden  map[string]bool // files that nobody reads
	fixed   error           // nothing can be changed
}

func newRules() *rules {
	return &rules{readers: map[string]map[perm.User]bool{}, hidden: map[string]bool{}}
}

func (r *rules) of(p datasite.Path) map[perm.User]bool {
	for dir := p.Rel; dir != "."; dir = path.Dir(dir) {
		if m, ok := r.readers[dir]; ok {
			return m
		}
	}
	return nil
}

func (r *rules) Level(_ context.Context, u perm.User, p datasite.Path) (perm.Level, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.of(p); (m[u] || m[Everyone]) && !r.hidden[p.Rel] {
		return perm.Read, nil
	}
	return perm.None, nil
}

func (r *rules) Readers(_ context.Context, p datasite.Path) (list []string, _ error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for u := range r.of(p) {
		list = append(list, string(u))
	}
	return list, nil
}

func (r *rules) Share(_ context.Context, dir datasite.Path, u perm.User) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fixed != nil {
		return r.fixed
	}
	if r.readers[dir.Rel] == nil {
		r.readers[dir.Rel] = map[perm.User]bool{}
	}
	r.readers[dir.Rel][u] = true
	return nil
}

func (r *rules) Unshare(_ context.Context, dir datasite.Path, u perm.User) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fixed != nil {
		return r.fixed
	}
	delete(r.readers[dir.Rel], u)
	return nil
}

func (r *rules) Restrict(_ context.Context, dir datasite.Path, readers []perm.User) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.readers[dir.Rel] = map[perm.User]bool{}
	for _, u := range readers {
		r.readers[dir.Rel][u] = true
	}
	return nil
}

func (r *rules) list(dir string) []perm.User {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.readers[dir]))
}

// book is Peers in memory.
type book struct {
	rem  remote.Remote
	list []Peer
	top  remote.ID
}

func (b *book) Accepted(context.Context) ([]Peer, error) { return b.list, nil }
func (b *book) Spell(u perm.User) wire.Address           { return wire.Address(u) }
func (b *book) Home(ctx context.Context, kind wire.FolderKind, peer perm.User) (remote.ID, error) {
	if b.top != "" {
		return b.top, nil
	}
	ids, err := b.rem.NewIDs(ctx, 1)
	if err != nil {
		return "", err
	}
	b.top = ids[0]
	return b.top, b.rem.Put(ctx, remote.Spec{ID: b.top, Name: wire.FolderName{Kind: kind}.String(), Folder: true}, remote.Body{})
}

func peersOf(users ...perm.User) (list []Peer) {
	for _, u := range users {
		list = append(list, Peer{Address: wire.Address(u)})
	}
	return list
}

// site is one machine.
type site struct {
	t     testing.TB
	me    perm.User
	tree  *tree
	rules *rules
	book  *book
	acct  remote.Remote // without faults
	rem   remote.Remote
	dir   string
	token remote.Token
	fault fault
	c     *Collections
	edit  func(*Config)
}

type fault func(op string) error

func (f fault) Before(op string) error {
	if f == nil {
		return nil
	}
	return f(op)
}

// drive is a store for all, whose time passes with each object.
func drive() *remotetest.World {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return remotetest.NewWorld(func() time.Time {
		at = at.Add(time.Second)
		return at
	})
}

func newSite(t testing.TB, w *remotetest.World, me perm.User, peers ...perm.User) *site {
	t.Helper()
	acct := w.Account(string(me))
	s := &site{t: t, me: me, tree: newTree(), rules: newRules(), acct: acct, rem: acct, dir: t.TempDir(), book: &book{rem: acct, list: peersOf(peers...)}}
	var err error
	s.token, err = acct.Start(ctx)
	must(t, err)
	s.open()
	t.Cleanup(func() { must(t, s.c.Close()) })
	return s
}

func (s *site) open() {
	s.t.Helper()
	cfg := Config{Owner: s.me, Dir: s.dir, Remote: s.rem, Tree: s.tree, Rules: s.rules, Granter: s.rules, Peers: s.book, Parallel: 1, Fault: fault(func(op string) error { return s.fault.Before(op) }),
		Rehome: func(name string, text []byte) ([]byte, error) {
			return bytes.Replace(text, []byte("data_dir: "), []byte("data_dir: /here"), 1), nil
		}}
	if s.edit != nil {
		s.edit(&cfg)
	}
	var err error
	s.c, err = New(cfg)
	must(s.t, err)
}

// restart is a crash and a new start.
func (s *site) restart() {
	s.t.Helper()
	must(s.t, s.c.Close())
	s.open()
}

// feed tells what the feed says.
func (s *site) feed() error {
	for {
		ch, err := s.acct.Since(ctx, s.token, remote.WithOwner|remote.WithParent|remote.WithTimes)
		if err != nil {
			return err
		}
		if err := s.c.Noticed(ctx, ch.Items); err != nil {
			return err
		}
		if s.token = ch.Next; !ch.More {
			return nil
		}
	}
}

// sync takes the feed and does everything, until nothing is left.
func (s *site) sync() {
	s.t.Helper()
	must(s.t, s.feed())
	must(s.t, s.c.Sync(ctx))
	must(s.t, s.feed())
	must(s.t, s.c.Sync(ctx))
}

func (s *site) sweep() {
	s.t.Helper()
	must(s.t, s.c.Sweep(ctx))
	must(s.t, s.c.Sync(ctx))
}

// write changes files of the own datasite as a person does.
func (s *site) write(files map[string]string) {
	s.t.Helper()
	must(s.t, s.c.Local(ctx, s.tree.put(s.me, files)))
}

func (s *site) erase(under string) {
	s.t.Helper()
	must(s.t, s.c.Local(ctx, s.tree.remove(s.me, under)))
}

// permit sets the readers of a dataset, as an edit of its rule file does.
func (s *site) permit(name string, users ...perm.User) {
	s.t.Helper()
	dir := s.c.mock(name)
	must(s.t, s.rules.Restrict(ctx, dir, users))
	must(s.t, s.c.Local(ctx, []datasite.Path{dir.Join(datasite.PubFile)}))
}

func (s *site) status(owner perm.User, name string) Dataset {
	s.t.Helper()
	st, err := s.c.Status(ctx)
	must(s.t, err)
	for _, d := range st.Datasets {
		if d.Owner == owner && d.Name == name {
			return d
		}
	}
	return Dataset{}
}

// folder is a collection on Drive as its owner sees it.
type folder struct {
	id     remote.ID
	Name   string
	Any    bool
	Grants []string
	Files  map[string]string
}

// folders lists the collections of this account.
func (s *site) folders() (list []folder) {
	s.t.Helper()
	for _, kind := range []wire.FolderKind{wire.CollectionFolder, wire.PrivateFolder} {
		all, err := remote.Collect(ctx, s.acct, remote.Query{Prefix: prefix(kind), Whose: remote.Mine, Folders: true, Want: remote.WithProperties})
		must(s.t, err)
		for _, o := range all {
			f := folder{id: o.ID, Name: o.Name, Any: o.Properties[wire.AnyProperty] == wire.AnyValue, Files: map[string]string{}}
			grants, err := s.acct.Grants(ctx, o.ID)
			must(s.t, err)
			for _, g := range grants {
				f.Grants = append(f.Grants, g.Who)
			}
			slices.Sort(f.Grants)
			files, err := remote.Collect(ctx, s.acct, remote.Query{Parent: o.ID})
			must(s.t, err)
			for _, of := range files {
				if _, twice := f.Files[of.Name]; twice {
					s.t.Errorf("%s is twice in %s", of.Name, o.Name)
				}
				r, err := s.acct.Get(ctx, of.ID, 0)
				must(s.t, err)
				b, err := io.ReadAll(r)
				must(s.t, err)
				f.Files[of.Name] = string(b)
			}
			list = append(list, f)
		}
	}
	slices.SortFunc(list, func(a, b folder) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// make puts a folder on Drive, as another program would.
func (s *site) make(name string, files map[string]string, readers ...perm.User) remote.ID {
	s.t.Helper()
	top, err := s.book.Home(ctx, wire.TopFolder, "")
	must(s.t, err)
	ids, err := s.acct.NewIDs(ctx, 1+len(files))
	must(s.t, err)
	must(s.t, s.acct.Put(ctx, remote.Spec{ID: ids[0], Name: name, Parent: top, Folder: true}, remote.Body{}))
	for i, f := range slices.Sorted(maps.Keys(files)) {
		must(s.t, s.acct.Put(ctx, remote.Spec{ID: ids[1+i], Name: f, Parent: ids[0]}, remote.Bytes([]byte(files[f]))))
	}
	for _, u := range readers {
		must(s.t, s.acct.Grant(ctx, ids[0], remote.Grant{Who: string(u), Role: remote.CanRead}))
	}
	return ids[0]
}

// named is the name of a collection with those files.
func named(kind wire.FolderKind, tag string, files map[string]string) string {
	h := wire.NewCollectionHash()
	for _, n := range slices.Sorted(maps.Keys(files)) {
		if err := h.Add(n, strings.NewReader(files[n])); err != nil {
			panic(err)
		}
	}
	return wire.FolderName{Kind: kind, Tag: tag, Hash: h.Sum()}.String()
}
