package fusetree

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/openmined/syftfs/fs/backing"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/fs/virtual"
	"github.com/openmined/syftfs/integration/mountns"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
	"github.com/openmined/syftfs/sync/journal"
	"golang.org/x/sys/unix"
)

const (
	owner = perm.User("owen@centre.example")
	other = perm.User("rachel@science.example")
)

// serveEnv makes the test binary a server of mounts: a process must not use a mount that it serves.
const serveEnv = "SYFTFS_TEST_SERVE"

func TestMain(m *testing.M) {
	if handled, code := Main(os.Args); handled {
		os.Exit(code)
	}
	if spec := os.Getenv(serveEnv); spec != "" {
		if err := serveMain(spec); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if name := os.Getenv(lockEnv); name != "" {
		if err := lockMain(name); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	mountns.Main(m)
}

// spec is what a server process serves.
type spec struct {
	Dir    string // backing tree, journal and state below it
	Mounts []mountSpec
	Watch  bool          // the backing tree
	Limit  time.Duration // of a helper; 0: the usual one
}

type mountSpec struct {
	Point    string
	As       datasite.Identity
	ReadOnly bool
	Features Features
	Virtual  bool
}

func serveMain(text string) error {
	var sp spec
	if err := json.Unmarshal([]byte(text), &sp); err != nil {
		return err
	}
	ctx := context.Background()
	tree, err := backing.Open(filepath.Join(sp.Dir, "tree"))
	if err != nil {
		return err
	}
	j, err := journal.Open(filepath.Join(sp.Dir, "journal"), journal.Options{})
	if err != nil {
		return err
	}
	var later atomic.Int64 // than it is, in nanoseconds
	now := func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	g := guard.New(guard.Config{Owner: owner, Tree: tree, Rules: perm.NewIndex(rulefile.Loader(tree.FS())), Recorder: j, Memory: j, Now: now})
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))

	var mu sync.Mutex
	var refusals []string
	var mounts []*Mount
	for _, ms := range sp.Mounts {
		o := Options{Mountpoint: ms.Point, As: ms.As, ReadOnly: ms.ReadOnly, Features: ms.Features, Log: log}
		o.Refused = func(op, p string, err error) {
			mu.Lock()
			defer mu.Unlock()
			refusals = append(refusals, op+" "+p+": "+err.Error())
		}
		if ms.Virtual {
			top := map[string]virtual.Provider{".syft": &syftDir{}, "datasites": linkTo(".")}
			site := map[string]virtual.Provider{"jobs": &jobsDir{dir: filepath.Join(sp.Dir, "state")}}
			o.Virtual = func(dir datasite.Path) map[string]virtual.Provider {
				switch {
				case dir.IsRoot():
					return top
				case dir == datasite.Path{Owner: owner}:
					return site
				}
				return nil
			}
		}
		m, err := Serve(ctx, g, o)
		if err != nil {
			return err
		}
		mounts = append(mounts, m)
	}
	g.Use(mounts[0])
	stopWatch := func() error { return nil }
	if sp.Watch {
		watched, cancel := context.WithCancel(ctx)
		ready, ended := make(chan struct{}), make(chan error, 1)
		go func() { ended <- g.Watch(watched, guard.WatchOptions{Ready: func() { close(ready) }}) }()
		<-ready
		stopWatch = func() error { cancel(); return <-ended }
	}
	if sp.Limit > 0 {
		mounts[0].s.placer.limit = sp.Limit
	}
	fmt.Println("ready")
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		f := strings.Fields(in.Text())
		switch f[0] {
		case "refusals":
			mu.Lock()
			b, err := json.Marshal(refusals)
			refusals = nil
			mu.Unlock()
			if err != nil {
				return err
			}
			fmt.Println(string(b))
		case "close":
			wait, err := time.ParseDuration(f[1])
			if err != nil {
				return err
			}
			var errs []error
			for _, m := range mounts {
				cctx, cancel := context.WithTimeout(ctx, wait)
				errs = append(errs, m.Close(cctx))
				cancel()
			}
			if err := errors.Join(errs...); err != nil {
				fmt.Println("closed:", strings.ReplaceAll(err.Error(), "\n", "; "))
			} else {
				fmt.Println("closed")
			}
			return errors.Join(stopWatch(), j.Close(), tree.Close())
		case "nodes":
			m := mounts[0]
			m.s.nodes.mu.RLock()
			fmt.Println(len(m.s.nodes.byID))
			m.s.nodes.mu.RUnlock()
		case "later":
			by, err := time.ParseDuration(f[1])
			if err != nil {
				return err
			}
			later.Add(int64(by))
			fmt.Println("ok")
		case "waiting": // how many requests wait for a lock
			stacks := make([]byte, 1<<20)
			fmt.Println(strings.Count(string(stacks[:runtime.Stack(stacks, true)]), ").SetLkw("))
		case "apply":
			fmt.Println(applyMain(ctx, g, f[1]))
		case "helper":
			fmt.Println(mounts[0].s.placer.tid.Load())
		case "changed": // by somebody who works on the real directory
			p, err := datasite.Parse(f[1])
			if err != nil {
				return err
			}
			g.Changed(p)
			fmt.Println("ok")
		case "virtual":
			mounts[0].InvalidateVirtual(datasite.Path{Owner: owner}, "jobs", f[1])
			fmt.Println("ok")
		}
	}
	return in.Err()
}

// served is a running server process and the mounts that it serves.
type served struct {
	t    testing.TB
	cmd  *exec.Cmd
	in   interface{ Write([]byte) (int, error) }
	out  *bufio.Reader
	dir  string
	tree string
	at   []string // mount points
	gone bool

	limit time.Duration
	watch bool
}

// serve starts a server over a new backing tree, with the owner's mount first unless mounts say otherwise.
func serve(t testing.TB, mounts ...mountSpec) *served {
	t.Helper()
	s := &served{t: t}
	s.mount(mounts...)
	return s
}

func (s *served) mount(mounts ...mountSpec) {
	t := s.t
	t.Helper()
	s.dir = t.TempDir()
	s.tree = filepath.Join(s.dir, "tree")
	for _, d := range []string{filepath.Join(s.tree, string(owner)), filepath.Join(s.dir, "state")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if len(mounts) == 0 {
		mounts = []mountSpec{{}}
	}
	for i := range mounts {
		if mounts[i].Point == "" {
			mounts[i].Point = filepath.Join(s.dir, fmt.Sprintf("mnt%d", i))
		}
		if mounts[i].As == (datasite.Identity{}) {
			mounts[i].As = datasite.Identity{Subject: owner}
		}
		s.at = append(s.at, mounts[i].Point)
	}
	s.start(mounts)
}

func (s *served) start(mounts []mountSpec) {
	t := s.t
	t.Helper()
	b, err := json.Marshal(spec{Dir: s.dir, Mounts: mounts, Limit: s.limit, Watch: s.watch})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), serveEnv+"="+string(b), "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	cmd.Dir = "/"
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.cmd, s.in, s.out, s.gone = cmd, in, bufio.NewReader(out), false
	t.Cleanup(func() {
		if s.cmd != cmd || s.gone {
			return
		}
		if got := s.ask("close 20s"); got != "closed" {
			t.Errorf("close: %s", got)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("server: %v", err)
		}
	})
	if line, err := s.out.ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("server did not start: %q, %v", line, err)
	}
}

func (s *served) ask(cmd string) string {
	s.t.Helper()
	if _, err := s.in.Write([]byte(cmd + "\n")); err != nil {
		s.t.Fatal(err)
	}
	line, err := s.out.ReadString('\n')
	if err != nil {
		s.t.Fatalf("%s: server is gone: %v", cmd, err)
	}
	return strings.TrimSuffix(line, "\n")
}

// refusals gives what Refused was told since the last call.
func (s *served) refusals() []string {
	s.t.Helper()
	var out []string
	if err := json.Unmarshal([]byte(s.ask("refusals")), &out); err != nil {
		s.t.Fatal(err)
	}
	return out
}

// own is a path of the owner's datasite in mount i.
func (s *served) own(i int, rel ...string) string {
	return filepath.Join(append([]string{s.at[i], string(owner)}, rel...)...)
}

func (s *served) stored(rel ...string) string {
	return filepath.Join(append([]string{s.tree, string(owner)}, rel...)...)
}

func write(t testing.TB, name, body string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(body), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func wantErrno(t testing.TB, what string, err error, want syscall.Errno) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

// eventually waits for what happens in the background. It is bounded by the test's own time only.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(20 * time.Second); ; {
		if ok() {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%s: it did not happen", what)
		}
	}
}

func names(t testing.TB, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		out = append(out, e.Name())
	}
	return out
}

// grant writes a rule file that grants level on pattern in the owner's datasite, through the owner's mount.
func (s *served) grant(level, pattern string) {
	s.t.Helper()
	write(s.t, s.own(0, "syft.pub.yaml"), fmt.Sprintf("rules:\n  - pattern: %q\n    access:\n      %s:\n        - %s\n", pattern, level, other))
}

func (s *served) revoke() {
	s.t.Helper()
	write(s.t, s.own(0, "syft.pub.yaml"), "rules: []\n")
}

// linkTo is a provider that is a link.
type linkTo string

func (l linkTo) Lookup(context.Context, string) (virtual.Entry, error) {
	return virtual.Entry{Kind: virtual.Link, Target: string(l)}, nil
}
func (l linkTo) List(context.Context, string) ([]virtual.Entry, error) { return nil, syscall.ENOTDIR }
func (l linkTo) Open(context.Context, string, int, iofs.FileMode) (virtual.Handle, error) {
	return nil, syscall.ELOOP
}

// syftDir is a provider with control files, that nobody can change otherwise.
type syftDir struct{}

func (d *syftDir) entries() []virtual.Entry {
	return []virtual.Entry{
		{Name: "control", Kind: virtual.Text, Mode: 0o644},
		{Name: "sub", Kind: virtual.Dir, Mode: 0o555},
		{Name: "status", Kind: virtual.Text, Mode: 0o444, Size: 3},
	}
}

func (d *syftDir) Lookup(_ context.Context, rel string) (virtual.Entry, error) {
	if rel == "" {
		return virtual.Entry{Kind: virtual.Dir, Mode: 0o555}, nil
	}
	for _, e := range d.entries() {
		if e.Name == rel {
			return e, nil
		}
	}
	return virtual.Entry{}, iofs.ErrNotExist
}

func (d *syftDir) List(_ context.Context, rel string) ([]virtual.Entry, error) {
	if rel != "" {
		return nil, nil
	}
	return d.entries(), nil
}

func (d *syftDir) Open(ctx context.Context, rel string, _ int, _ iofs.FileMode) (virtual.Handle, error) {
	e, err := d.Lookup(ctx, rel)
	if err != nil {
		return nil, err
	}
	if rel == "status" {
		return virtual.NewText(e, []byte("up\n"), nil), nil
	}
	return virtual.NewText(e, []byte("write yes or no\n"), func(b []byte) error {
		if strings.TrimSpace(string(b)) != "yes" {
			return &virtual.Refusal{Reason: "only yes is understood", Err: syscall.EINVAL}
		}
		return nil
	}), nil
}

// jobsDir is a provider that people can change, over a folder of our own state; "shown" is the stored folder app of the datasite.
type jobsDir struct{ dir string }

func (d *jobsDir) path(rel string) string { return filepath.Join(d.dir, filepath.FromSlash(rel)) }

func (d *jobsDir) entry(name, rel string) (virtual.Entry, error) {
	if rel == "shown" {
		return virtual.Entry{Name: name, Kind: virtual.Stored, Path: datasite.Path{Owner: owner, Rel: "app"}}, nil
	}
	fi, err := os.Lstat(d.path(rel))
	if err != nil {
		return virtual.Entry{}, err
	}
	e := virtual.Entry{Name: name, Kind: virtual.Plain, Mode: fi.Mode().Perm(), Size: fi.Size(), MTime: fi.ModTime()}
	if fi.IsDir() {
		e.Kind = virtual.Dir
	}
	return e, nil
}

func (d *jobsDir) Lookup(_ context.Context, rel string) (virtual.Entry, error) {
	return d.entry(filepath.Base(rel), rel)
}

func (d *jobsDir) List(_ context.Context, rel string) ([]virtual.Entry, error) {
	list, err := os.ReadDir(d.path(rel))
	if err != nil {
		return nil, err
	}
	var out []virtual.Entry
	for _, e := range list {
		v, err := d.entry(e.Name(), filepath.Join(rel, e.Name()))
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	if rel == "" {
		v, err := d.entry("shown", "shown")
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func (d *jobsDir) Open(_ context.Context, rel string, flags int, mode iofs.FileMode) (virtual.Handle, error) {
	f, err := os.OpenFile(d.path(rel), flags&^unix.O_APPEND, mode)
	if err != nil {
		return nil, err
	}
	return &plain{f, rel, d}, nil
}

func (d *jobsDir) Mkdir(_ context.Context, rel string, mode iofs.FileMode) error {
	return os.Mkdir(d.path(rel), mode)
}
func (d *jobsDir) Rename(_ context.Context, from, to string) error {
	return os.Rename(d.path(from), d.path(to))
}
func (d *jobsDir) Remove(_ context.Context, rel string) error { return os.Remove(d.path(rel)) }
func (d *jobsDir) SetAttr(_ context.Context, rel string, a virtual.Attr) error {
	if a.Size != nil {
		return os.Truncate(d.path(rel), *a.Size)
	}
	if a.Mode != nil {
		return os.Chmod(d.path(rel), *a.Mode)
	}
	return nil
}

func (d *jobsDir) Xattr(_ context.Context, rel, name string) ([]byte, error) {
	if name == "user.syft.hold" {
		return []byte("1"), nil
	}
	return nil, syscall.ENODATA
}
func (d *jobsDir) SetXattr(context.Context, string, string, []byte) error { return syscall.EOPNOTSUPP }

type plain struct {
	f   *os.File
	rel string
	d   *jobsDir
}

func (p *plain) ReadAt(b []byte, off int64) (int, error)  { return p.f.ReadAt(b, off) }
func (p *plain) WriteAt(b []byte, off int64) (int, error) { return p.f.WriteAt(b, off) }
func (p *plain) Truncate(n int64) error                   { return p.f.Truncate(n) }
func (p *plain) Stat() (virtual.Entry, error)             { return p.d.entry(filepath.Base(p.rel), p.rel) }
func (p *plain) Sync(context.Context) error               { return p.f.Sync() }
func (p *plain) Flush(context.Context) error              { return nil }
func (p *plain) Close() error                             { return p.f.Close() }
