package service

import (
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openmined/syftfs/fs/backing"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/grant"
	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/fs/statedir"
	"github.com/openmined/syftfs/jobs"
	"github.com/openmined/syftfs/jobs/release"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/account"
	"github.com/openmined/syftfs/perm/rulefile"
	"golang.org/x/sys/unix"
)

const (
	owen   perm.User = "owen@lab.example"
	rachel perm.User = "rachel@uni.example"
	nina   perm.User = "nina@uni.example"
)

var (
	root = Caller{Root: true, Via: "socket"}
	ctx  = context.Background()
)

// world is a service over real parts: a gate with rules, accounts, an engine that is not started. Mounts and the sandbox are stood in for.
type world struct {
	*Service
	t      *testing.T
	dir    string // everything lies in it
	host   *fakeHost
	views  *fakeViews
	runner *fakeRunner
	clock  *clock
	log    *strings.Builder
}

// clock stands still until it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 7, 1, 9, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// put writes files below the backing tree.
func (w *world) put(files map[string]string) {
	w.t.Helper()
	for name, body := range files {
		full := filepath.Join(w.dir, name)
		must(w.t, os.MkdirAll(filepath.Dir(full), 0o700))
		must(w.t, os.WriteFile(full, []byte(body), 0o600))
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), clock: newClock(), views: &fakeViews{}, runner: &fakeRunner{}, log: &strings.Builder{}}
	for _, d := range []string{"backing/" + string(owen), "mount", "files"} {
		must(t, os.MkdirAll(filepath.Join(w.dir, d), 0o700))
	}
	w.host = &fakeHost{state: State{Name: "lab", Email: string(owen), Mount: filepath.Join(w.dir, "mount"), Backing: filepath.Join(w.dir, "backing"),
		StateDir: filepath.Join(w.dir, "state"), Started: w.clock.now()}}
	tree, err := backing.Open(w.host.state.Backing)
	must(t, err)
	t.Cleanup(func() { must(t, tree.Close()) })
	state, err := statedir.Open(filepath.Join(w.dir, "state"), nil)
	must(t, err)
	accounts, err := account.Open(state, owen)
	must(t, err)
	gate := guard.New(guard.Config{Owner: owen, Tree: tree, Rules: perm.NewIndex(rulefile.Loader(tree.FS())), Subjects: accounts})
	view := gate.View(datasite.Identity{Subject: owen}, nil)
	granter := grant.New(view)
	sub := func(name string) *statedir.Dir {
		d, err := state.Sub(name)
		must(t, err)
		return d
	}
	held, err := release.Open(sub("held"), jobTree{view}, granter, owen)
	must(t, err)
	log := slog.New(slog.NewTextHandler(w.log, nil))
	engine, err := jobs.New(jobs.EngineConfig{Owner: owen, State: sub("jobs"), Tree: jobTree{view}, Feed: silence{}, Rules: granter, Runner: w.runner,
		Holder: held, Datasets: noDatasets{}, Log: log})
	must(t, err)
	t.Cleanup(func() { must(t, engine.Close()) })
	audit, err := OpenAudit(filepath.Join(w.dir, "audit.jsonl"), w.clock.now)
	must(t, err)
	t.Cleanup(func() { must(t, audit.Close()) })
	w.Service = New(Parts{Owner: owen, View: view, Accounts: accounts, Granter: granter, Engine: engine, Held: held, Runner: w.runner, Views: w.views,
		Host: w.host, HostPath: gate.HostPath, As: func(who datasite.Identity) *guard.View { return gate.View(who, nil) }, Audit: audit, Log: log, Now: w.clock.now})
	return w
}

// lines gives what the audit log holds.
func (w *world) lines() []string {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, "audit.jsonl"))
	must(w.t, err)
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

// user makes an account.
func (w *world) user(u perm.User, role account.Role) account.Account {
	w.t.Helper()
	a, err := w.Accounts.Create(ctx, owen, account.New{Email: string(u), Name: string(u), Role: role})
	must(w.t, err)
	return a
}

func wantCode(t *testing.T, err error, code Code, field string, texts ...string) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Code != code || e.Field != field {
		t.Fatalf("got %#v, want code %s and field %q", err, code, field)
	}
	for _, text := range texts {
		if !strings.Contains(e.Message, text) {
			t.Errorf("%q does not tell %q", e.Message, text)
		}
	}
}

type fakeHost struct {
	state    State
	down     int
	admitted []perm.User
	refuse   error // of Admit
}

func (h *fakeHost) State() State { return h.state }
func (h *fakeHost) Shutdown()    { h.down++ }

func (h *fakeHost) Stopping() <-chan struct{} { return nil }

func (h *fakeHost) Admit(_ context.Context, u perm.User) error {
	if h.refuse == nil {
		h.admitted = append(h.admitted, u)
	}
	return h.refuse
}

type fakeViews struct {
	open   []View
	last   ViewOptions
	who    datasite.Identity
	opened int
}

func (v *fakeViews) Open(_ context.Context, who datasite.Identity, o ViewOptions) (View, error) {
	v.last, v.who, v.opened = o, who, v.opened+1
	view := View{Dir: o.Dir, Email: string(o.Email), Write: o.Write}
	v.open = append(v.open, view)
	return view, nil
}

func (v *fakeViews) List() []View { return slices.Clone(v.open) }

func (v *fakeViews) Gone(string) (<-chan struct{}, error) { return nil, nil }

func (v *fakeViews) Close(_ context.Context, dir string) error {
	for i, o := range v.open {
		if o.Dir == dir {
			v.open = slices.Delete(v.open, i, i+1)
			return nil
		}
	}
	return &Error{Code: NotFound, Field: "dir", Message: dir + " is not a view"}
}

// fakeRunner ends every run at once.
type fakeRunner struct{ missing error }

func (r *fakeRunner) Ready(context.Context) error { return r.missing }
func (r *fakeRunner) Run(_ context.Context, spec jobs.Spec) (jobs.Outcome, error) {
	return jobs.Outcome{}, errors.Join(os.WriteFile(spec.Stdout, []byte("hello\n"), 0o600), os.WriteFile(spec.Stderr, []byte("oh\n"), 0o600),
		os.WriteFile(filepath.Join(spec.Results, "mean.txt"), []byte("3\n"), 0o600))
}

// silence is a feed without changes.
type silence struct{}

func (silence) Next(ctx context.Context) (datasite.Change, error) {
	<-ctx.Done()
	return datasite.Change{}, ctx.Err()
}
func (silence) Done(uint64) error { return nil }

type noDatasets struct{}

func (noDatasets) Offered(context.Context, perm.User) ([]string, error) { return nil, nil }
func (noDatasets) Bind(_ context.Context, name string) (jobs.Bind, error) {
	return jobs.Bind{}, &iofs.PathError{Op: "bind", Path: name, Err: iofs.ErrNotExist}
}

// jobTree is the owner's view as the engine wants it.
type jobTree struct{ *guard.View }

func (t jobTree) OpenFile(ctx context.Context, p datasite.Path) (io.ReadCloser, error) {
	f, err := t.View.Open(ctx, p, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, 0, 1<<30), f}, nil
}

func (t jobTree) Remove(ctx context.Context, p datasite.Path) error {
	e, err := t.View.Stat(ctx, p)
	if err != nil {
		return err
	}
	if e.Mode.IsDir() {
		return t.View.Rmdir(ctx, p)
	}
	return t.View.Remove(ctx, p)
}
