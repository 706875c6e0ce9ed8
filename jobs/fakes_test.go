package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/statedir"
	"github.com/openmined/syftfs/perm"
	"golang.org/x/sys/unix"
)

const (
	owen   = perm.User("owen@centre.example")
	rachel = perm.User("rachel@science.example")
	nina   = perm.User("nina@statistics.example")
)

// site is an owner's datasite in a folder, with everything an engine needs. All of it lives in one synctest bubble.
type site struct {
	t      *testing.T
	root   string // of the tree
	state  string
	feed   *memFeed
	runner *fakeRunner
	holder *fakeHolder
	data   *fakeDatasets
	rules  *fakeRules
	fault  *faults
	engine *Engine
	grew   map[ID]int // calls of Changed
	mu     sync.Mutex
}

func newSite(t *testing.T) *site {
	s := &site{t: t, root: t.TempDir(), state: t.TempDir(), feed: newFeed(), grew: map[ID]int{}}
	s.runner = &fakeRunner{runs: map[ID]int{}}
	s.holder = &fakeHolder{dir: t.TempDir(), held: map[ID]map[string]string{}}
	s.data = &fakeDatasets{offered: map[perm.User][]string{}}
	s.rules = &fakeRules{lists: map[string][]perm.User{}}
	s.fault = &faults{fail: map[string]error{}}
	return s
}

func (s *site) config() EngineConfig {
	if err := os.Chmod(s.state, 0o700); err != nil {
		s.t.Fatal(err)
	}
	dir, err := statedir.Open(s.state, s.fault)
	if err != nil {
		s.t.Fatal(err)
	}
	return EngineConfig{
		Owner: owen, State: dir, Tree: &dirTree{s.root, s.feed, s.fault}, Feed: s.feed, Rules: s.rules, Runner: s.runner, Holder: s.holder, Datasets: s.data,
		Log: slog.New(slog.NewTextHandler(s.t.Output(), nil)), Changed: func(id ID) {
			s.mu.Lock()
			s.grew[id]++
			s.mu.Unlock()
		},
	}
}

// start makes an engine over what is there and waits until it is idle.
func (s *site) start() *Engine {
	s.t.Helper()
	e, err := New(s.config())
	if err != nil {
		s.t.Fatal(err)
	}
	if err := e.Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.engine = e
	synctest.Wait()
	return e
}

// stop ends the engine without letting it record anything more, as a crash would.
func (s *site) crash() {
	s.fault.dead.Store(true)
	if err := s.engine.Close(); err != nil {
		s.t.Fatal(err)
	}
	s.fault.dead.Store(false)
}

func (s *site) stop() {
	if err := s.engine.Close(); err != nil {
		s.t.Fatal(err)
	}
}

func job1(name string) ID { return ID{Owner: owen, Submitter: rachel, Name: name} }

func (s *site) host(p datasite.Path) string {
	return filepath.Join(s.root, string(p.Owner), filepath.FromSlash(p.Rel))
}

// put writes files of a job's inbox folder, one change each, and waits until the engine is idle. A nil engine is fine.
func (s *site) put(id ID, files map[string]string) {
	s.t.Helper()
	names := make([]string, 0, len(files))
	for n := range files {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		s.write(id.Inbox().Join(n), files[n])
	}
	synctest.Wait()
}

func (s *site) write(p datasite.Path, body string) {
	s.t.Helper()
	tree := &dirTree{s.root, s.feed, nil}
	if err := tree.Write(context.Background(), p, []byte(body)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) read(p datasite.Path) string {
	b, err := os.ReadFile(s.host(p))
	if errors.Is(err, iofs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return ""
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

func (s *site) get(id ID) Job {
	s.t.Helper()
	j, err := s.engine.Get(id)
	if err != nil {
		s.t.Fatal(err)
	}
	return j
}

// want checks status in memory and, once there is one, in state.yaml.
func (s *site) want(id ID, status Status) Job {
	s.t.Helper()
	j := s.get(id)
	if j.Status != status {
		s.t.Errorf("%s is %s (%s), want %s", id, j.Status, j.Message, status)
	}
	src := s.read(id.Review().Join(StateFile))
	if status == Received {
		if src != "" {
			s.t.Errorf("%s: state.yaml although it is only received: %s", id, src)
		}
		return j
	}
	st, err := ParseState([]byte(src))
	if err != nil || st.Status != status {
		s.t.Errorf("%s: state.yaml says %q (%v), want %s", id, st.Status, err, status)
	}
	return j
}

func (s *site) approve(id ID) {
	s.t.Helper()
	if err := s.engine.Approve(s.t.Context(), id, byOwner, Approval{Digest: string(s.get(id).Digest)}); err != nil {
		s.t.Fatal(err)
	}
}

var byOwner = datasite.Identity{Subject: owen}

// submission is a complete python job.
func submission(name string, extra ...string) map[string]string {
	files := map[string]string{
		RunFile: "#!/bin/bash\n", CodeDir + "/main.py": "print('hello')\n",
	}
	list := "- main.py\n"
	for i := 0; i+1 < len(extra); i += 2 {
		files[CodeDir+"/"+extra[i]] = extra[i+1]
		if extra[i] != "main.py" {
			list += "- " + extra[i] + "\n"
		}
	}
	files[ConfigFile] = fmt.Sprintf("entrypoint: main.py\nfiles:\n%sname: '%s'\nsubmitted_at: '2026-06-11T09:30:00Z'\n", list, strings.ReplaceAll(name, "'", "''"))
	return files
}

// bubble runs a test in a synctest bubble with a site, and ends the engine.
func bubble(t *testing.T, f func(t *testing.T, s *site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		defer func() {
			if s.engine != nil {
				s.stop()
			}
		}()
		f(t, s)
	})
}

// dirTree is a Tree on a folder; every change is put into the feed.
type dirTree struct {
	root  string
	feed  *memFeed
	fault *faults
}

func (d *dirTree) host(p datasite.Path) string {
	return filepath.Join(d.root, string(p.Owner), filepath.FromSlash(p.Rel))
}

func entry(info iofs.FileInfo) datasite.Entry {
	st := info.Sys().(*syscall.Stat_t)
	return datasite.Entry{Name: info.Name(), Mode: info.Mode(), Stamp: datasite.Stamp{
		Dev: st.Dev, Ino: st.Ino, Size: st.Size, MTime: info.ModTime(), CTime: time.Unix(st.Ctim.Sec, st.Ctim.Nsec),
	}}
}

func (d *dirTree) List(ctx context.Context, p datasite.Path) ([]datasite.Entry, error) {
	entries, err := os.ReadDir(d.host(p))
	var out []datasite.Entry
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		out = append(out, entry(info))
	}
	return out, err
}

func (d *dirTree) Stat(ctx context.Context, p datasite.Path) (datasite.Entry, error) {
	info, err := os.Lstat(d.host(p))
	if err != nil {
		return datasite.Entry{}, err
	}
	return entry(info), nil
}

func (d *dirTree) OpenFile(ctx context.Context, p datasite.Path) (io.ReadCloser, error) {
	if info, err := os.Lstat(d.host(p)); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("test: %s was opened although it is %v", p, info.Mode())
	}
	return os.OpenFile(d.host(p), os.O_RDONLY|unix.O_NOFOLLOW, 0)
}

func (d *dirTree) Write(ctx context.Context, p datasite.Path, body []byte) error {
	if err := d.fault.step("tree:write:" + p.Base()); err != nil {
		return err
	}
	full := d.host(p)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		return err
	}
	part, err := os.CreateTemp(d.root, ".part-*")
	if err != nil {
		return err
	}
	_, err = part.Write(body)
	if err := errors.Join(err, part.Close()); err != nil {
		return err
	}
	if err := os.Rename(part.Name(), full); err != nil {
		return err
	}
	d.feed.add(datasite.Change{Op: datasite.OpWrite, Path: p})
	return nil
}

func (d *dirTree) Place(ctx context.Context, c datasite.Change, src iofs.FS) error {
	return errors.ErrUnsupported
}

func (d *dirTree) Remove(ctx context.Context, p datasite.Path) error {
	d.feed.add(datasite.Change{Op: datasite.OpRemove, Path: p})
	return os.Remove(d.host(p))
}

func (d *dirTree) RemoveAll(ctx context.Context, p datasite.Path) error {
	err := os.RemoveAll(d.host(p))
	d.feed.add(datasite.Change{Op: datasite.OpRemove, Path: p})
	return err
}

// memFeed is a Feed in memory.
type memFeed struct {
	mu      sync.Mutex
	changes []datasite.Change
	taken   int
	done    uint64
	fail    error
	wake    chan struct{}
}

func newFeed() *memFeed { return &memFeed{wake: make(chan struct{}, 1)} }

func (f *memFeed) add(c datasite.Change) {
	f.mu.Lock()
	c.Seq = uint64(len(f.changes) + 1)
	f.changes = append(f.changes, c)
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *memFeed) Next(ctx context.Context) (datasite.Change, error) {
	for {
		f.mu.Lock()
		if err := f.fail; err != nil {
			f.mu.Unlock()
			return datasite.Change{}, err
		}
		if f.taken < len(f.changes) {
			f.taken++
			c := f.changes[f.taken-1]
			f.mu.Unlock()
			return c, nil
		}
		f.mu.Unlock()
		select {
		case <-f.wake:
		case <-ctx.Done():
			return datasite.Change{}, ctx.Err()
		}
	}
}

func (f *memFeed) Done(seq uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done = seq
	return nil
}

// fakeRunner does what a test says. It notes each run, and that two never overlap beyond max.
type fakeRunner struct {
	mu     sync.Mutex
	ready  error
	do     func(ctx context.Context, spec Spec) (Outcome, error) // nil: done, with one result
	runs   map[ID]int
	order  []string
	specs  []Spec
	now    int
	most   int
	before func(spec Spec)
}

func (r *fakeRunner) Ready(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ready
}

func (r *fakeRunner) Run(ctx context.Context, spec Spec) (Outcome, error) {
	r.mu.Lock()
	r.runs[spec.ID]++
	r.order = append(r.order, spec.ID.String())
	r.specs = append(r.specs, spec)
	r.now++
	r.most = max(r.most, r.now)
	do, before := r.do, r.before
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.now--
		r.mu.Unlock()
	}()
	if before != nil {
		before(spec)
	}
	if do != nil {
		return do(ctx, spec)
	}
	return wellDone(ctx, spec)
}

func wellDone(ctx context.Context, spec Spec) (Outcome, error) {
	return Outcome{}, errors.Join(os.WriteFile(spec.Stdout, []byte("working\n"), 0o600), os.WriteFile(spec.Stderr, nil, 0o600),
		os.WriteFile(filepath.Join(spec.Results, "x.txt"), []byte("done\n"), 0o644))
}

// untilEnd runs until it is told to end.
func untilEnd(ctx context.Context, spec Spec) (Outcome, error) {
	if err := os.WriteFile(spec.Stderr, []byte("half a li"), 0o600); err != nil {
		return Outcome{}, err
	}
	if err := os.WriteFile(filepath.Join(spec.Results, "half.txt"), []byte("half"), 0o644); err != nil {
		return Outcome{}, err
	}
	<-ctx.Done()
	return Outcome{Code: -1, Reason: "cancelled"}, nil
}

// fakeHolder moves results as the store does.
type fakeHolder struct {
	mu   sync.Mutex
	dir  string
	fail error
	held map[ID]map[string]string
}

func (h *fakeHolder) Hold(ctx context.Context, id ID, run, dir string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fail != nil {
		return h.fail
	}
	to := filepath.Join(h.dir, run)
	if err := os.Rename(dir, to); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	files := map[string]string{}
	entries, err := os.ReadDir(to)
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(to, e.Name()))
		if err != nil {
			return err
		}
		files[e.Name()] = string(b)
	}
	h.held[id] = files
	return err
}

type fakeDatasets struct {
	mu      sync.Mutex
	offered map[perm.User][]string
	missing bool
}

func (d *fakeDatasets) Offered(ctx context.Context, u perm.User) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.offered[u], nil
}

func (d *fakeDatasets) Bind(ctx context.Context, name string) (Bind, error) {
	if d.missing {
		return Bind{}, iofs.ErrNotExist
	}
	return Bind{Name: name, Public: "/mock/" + name, Private: "/real/" + name}, nil
}

type fakeRules struct {
	mu    sync.Mutex
	fail  error
	lists map[string][]perm.User
}

func (r *fakeRules) Restrict(ctx context.Context, dir datasite.Path, pattern string, readers []perm.User) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail == nil {
		r.lists[dir.String()+" "+pattern] = readers
	}
	return r.fail
}

var errFault = errors.New("injected fault")

// elapse lets time pass on the bubble's clock.
func elapse(d time.Duration) { <-time.After(d) }
