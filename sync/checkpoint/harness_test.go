package checkpoint

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/remote/remotetest"
	"github.com/openmined/syftfs/sync/wire"
)

const owen wire.Address = "owen@cancer-research.example"

// files is the tree: path below the datasite to content.
type files map[string]string

func (f files) String() string {
	var b strings.Builder
	for _, p := range slices.Sorted(maps.Keys(f)) {
		fmt.Fprintf(&b, "%s=%q ", p, f[p])
	}
	return b.String()
}

func at(rel string) datasite.Path { return datasite.Path{Owner: owen.User(), Rel: rel} }

func (f files) Snapshot(_ context.Context, p datasite.Path) (io.ReadCloser, datasite.Hash, error) {
	c, ok := f[p.Rel]
	if !ok {
		return nil, datasite.Hash{}, &iofs.PathError{Op: "open", Path: p.String(), Err: iofs.ErrNotExist}
	}
	return io.NopCloser(strings.NewReader(c)), sha256.Sum256([]byte(c)), nil
}

func (f files) Files(_ context.Context, under datasite.Path, fn func(datasite.Path) error) error {
	for _, rel := range slices.Sorted(maps.Keys(f)) {
		if err := fn(at(rel)); err != nil {
			return err
		}
	}
	return nil
}

// memory is State on a disk that can fail: at the write with number failAt, and at further ones, ever farther apart, before or after it was done.
type memory struct {
	body            []byte
	writes          int
	failAt, further int
	after           bool
	ops             []string
}

var errCrash = errors.New("crash")

func (m *memory) ReadJSON(name string, v any) error {
	if m.body == nil {
		return iofs.ErrNotExist
	}
	return unmarshal(m.body, v)
}

func (m *memory) WriteJSON(op, name string, v any) error {
	m.writes++
	m.ops = append(m.ops, op)
	fails := m.failAt > 0 && m.writes == m.failAt
	if fails {
		m.failAt += m.further
		m.further++
	}
	if fails && !m.after {
		return fmt.Errorf("%s: %w", op, errCrash)
	}
	m.body = marshal(v)
	if fails {
		return fmt.Errorf("%s: %w", op, errCrash)
	}
	return nil
}

// tb is what a test and a check of rapid have in common.
type tb interface {
	Helper()
	Context() context.Context
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// site is an owner with an account, a tree, a log and a state.
type site struct {
	t       tb
	world   *remotetest.World
	drive   remote.Remote
	faulty  *remotetest.Faulty
	mem     *memory
	tree    files
	now     time.Time
	last    wire.Time
	every   int
	merge   int
	codec   wire.Codec
	homes   *remote.Folders
	top     remote.ID
	logHome remote.ID
	log     []wire.Events
	packed  map[string][]byte // messages of the log as they lie on Drive; of several sites with the same story
}

// folderMemory keeps ids.
type folderMemory map[string]remote.ID

func (m folderMemory) Folder(key string) (remote.ID, bool)       { id, ok := m[key]; return id, ok }
func (m folderMemory) KeepFolder(key string, id remote.ID) error { m[key] = id; return nil }

func newSite(t tb) *site {
	s := &site{t: t, mem: &memory{}, tree: files{}, packed: map[string][]byte{}, now: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)}
	s.world = remotetest.NewWorld(func() time.Time { return s.now })
	s.drive = s.world.Account(string(owen))
	s.faulty = remotetest.NewFaulty(s.drive, 1)
	s.homes = remote.NewFolders(s.drive, s.drive, folderMemory{})
	var err error
	if s.top, err = s.homes.Ensure(t.Context(), remote.Wanted{Name: "SyftBox"}); err != nil {
		t.Fatal(err)
	}
	if s.logHome, err = s.Ensure(t.Context(), wire.LogFolder); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) want(kind wire.FolderKind) remote.Wanted {
	return remote.Wanted{Parent: s.top, Name: wire.FolderName{Kind: kind, Version: wire.Version{Minor: 1, Patch: 117}, Of: owen}.String()}
}

// Ensure and Find make site the Folders of its Keeper.
func (s *site) Ensure(ctx context.Context, kind wire.FolderKind) (remote.ID, error) {
	return s.homes.Ensure(ctx, s.want(kind))
}

func (s *site) Find(ctx context.Context, kind wire.FolderKind) (remote.ID, error) {
	return s.homes.Find(ctx, s.want(kind))
}

// keeper is a process that starts.
func (s *site) keeper() *Keeper {
	k, err := New(Config{Remote: s.faulty, Folders: s, State: s.mem, Tree: s.tree, Codec: s.codec, Owner: owen, Every: s.every, Merge: s.merge,
		Now: func() time.Time { return s.now }})
	if err != nil {
		s.t.Fatal(err)
	}
	return k
}

// change does changes to the tree, "" removes, and puts the message about them into the log.
func (s *site) change(changes files) wire.Events {
	s.now = s.now.Add(time.Second)
	s.last = s.last.Next(s.now)
	e := wire.Events{ID: idOf(s.last, ""), At: s.last, Owner: owen.User()}
	paths := slices.Sorted(maps.Keys(changes))
	slices.SortStableFunc(paths, func(a, b string) int { return len(changes[a]) - len(changes[b]) }) // deletions first
	for _, rel := range paths {
		it := wire.Item{ID: idOf(s.last, rel), Op: datasite.OpRemove, Path: at(rel), Submitted: s.last, Accepted: s.last}
		if old, ok := s.tree[rel]; ok {
			it.Before = sha256.Sum256([]byte(old))
		}
		if c := changes[rel]; c == "" {
			delete(s.tree, rel)
		} else {
			it.Op, it.Content, it.After = datasite.OpWrite, []byte(c), sha256.Sum256([]byte(c))
			s.tree[rel] = c
		}
		e.Items = append(e.Items, it)
	}
	key := fmt.Sprint(e.At, changes)
	if s.packed[key] == nil {
		body, err := wire.Codec{}.EncodeEvents(e)
		if err != nil {
			s.t.Fatal(err)
		}
		s.packed[key] = body
	}
	s.put(s.logHome, e.Name().String(), s.packed[key])
	s.log = append(s.log, e)
	return e
}

// idOf is an id that is the same in every run.
func idOf(t wire.Time, rel string) (id wire.ID) {
	h := sha256.Sum256([]byte(t.String() + rel))
	copy(id[:], h[:])
	return id
}

func (s *site) put(parent remote.ID, name string, body []byte) remote.ID {
	ids, err := s.drive.NewIDs(s.t.Context(), 1)
	if err == nil {
		err = s.drive.Put(s.t.Context(), remote.Spec{ID: ids[0], Name: name, Parent: parent}, remote.Bytes(body))
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return ids[0]
}

// names lists what lies in a folder of the site, in order.
func (s *site) names(kind wire.FolderKind) []remote.Object {
	id, err := s.Find(s.t.Context(), kind)
	if errors.Is(err, remote.NotFound) {
		return nil
	}
	var all []remote.Object
	if err == nil {
		all, err = remote.Collect(s.t.Context(), s.drive, remote.Query{Parent: id, Order: remote.NameUp, Want: remote.WithSum | remote.WithSize})
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

// count gives the numbers of full checkpoints, increments and rolling states on Drive.
func (s *site) count() [3]int {
	var n [3]int
	for _, o := range append(s.names(wire.CheckpointsFolder), s.names(wire.RollingFolder)...) {
		name, err := wire.ParseFile(o.Name)
		if err != nil {
			s.t.Fatal(err)
		}
		n[name.Kind-wire.CheckpointFile]++
	}
	return n
}

// read gives the content of an object.
func (s *site) read(o remote.Object) *bytes.Buffer {
	var b bytes.Buffer
	if err := remote.Fetch(s.t.Context(), s.drive, o, 1<<30, &b); err != nil {
		s.t.Fatal(err)
	}
	return &b
}

func apply(into files, items []wire.Item) {
	for _, it := range items {
		if it.Op == datasite.OpRemove {
			delete(into, it.Path.Rel)
		} else {
			into[it.Path.Rel] = string(it.Content)
		}
	}
}

// replay applies the messages of the log after t.
func (s *site) replay(into files, t wire.Time) {
	for _, e := range s.log {
		if e.At > t {
			apply(into, e.Items)
		}
	}
}

// restored is what a new machine of ours ends with.
func (s *site) restored(ctx context.Context) (files, wire.Time) {
	k, err := New(Config{Remote: s.drive, Folders: s, State: &memory{}, Tree: files{}, Owner: owen, Now: func() time.Time { return s.now }})
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := k.Restore(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	got := files{}
	apply(got, r.Items)
	s.replay(got, r.Last)
	return got, r.Last
}

// python is what a new machine with syft-client ends with: its way of taking checkpoints, literally, with the log in ascending order.
func (s *site) python() files {
	got := files{}
	var since wire.Time
	known := false
	newer := func(t wire.Time) { since, known = max(since, t), true }
	var incs []wire.Increment
	var full *wire.Checkpoint
	for _, o := range s.names(wire.CheckpointsFolder) {
		name, _ := wire.ParseFile(o.Name)
		if name.Kind == wire.CheckpointFile {
			c, err := wire.Codec{}.DecodeCheckpoint(s.read(o), name, owen.User())
			if err == nil && (full == nil || c.At > full.At) {
				full = &c
			}
			continue
		}
		if inc, err := (wire.Codec{}).DecodeIncrement(s.read(o), name, owen.User()); err == nil {
			incs = append(incs, inc)
		}
	}
	if full != nil {
		for _, f := range full.Files {
			got[f.Path.Rel] = string(f.Content)
		}
		newer(full.Last)
	}
	slices.SortStableFunc(incs, func(a, b wire.Increment) int { return a.Seq - b.Seq })
	for _, inc := range incs {
		apply(got, inc.Items)
		for _, it := range inc.Items {
			newer(it.Accepted)
		}
	}
	if rolls := s.names(wire.RollingFolder); len(rolls) > 0 {
		o := rolls[len(rolls)-1]
		name, _ := wire.ParseFile(o.Name)
		if r, err := (wire.Codec{}).DecodeRolling(s.read(o), name, owen.User()); err == nil && len(r.Items) > 0 {
			apply(got, r.Items)
			newer(r.Last)
		}
	}
	if !known {
		since = 0
	}
	s.replay(got, since)
	return got
}

// check compares what new machines end with to the tree.
func (s *site) check(when string) {
	s.t.Helper()
	if got, last := s.restored(s.t.Context()); !maps.Equal(got, s.tree) {
		s.t.Fatalf("%s: restored up to %v:\n%v\nwant\n%v\non Drive %v", when, last, got, s.tree, s.count())
	}
	if got := s.python(); !maps.Equal(got, s.tree) {
		s.t.Fatalf("%s: syft-client ends with\n%v\nwant\n%v\non Drive %v", when, got, s.tree, s.count())
	}
}
