package guard

import (
	"context"
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/openmined/syftfs/fs/backing"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
	"golang.org/x/sys/unix"
)

const (
	owner   = perm.User("owner@x.org")
	admin   = perm.User("admin@x.org")
	writer  = perm.User("writer@x.org")
	creator = perm.User("creator@x.org")
	reader  = perm.User("reader@x.org")
	nobody  = perm.User("nobody@x.org")
	peer    = perm.User("peer@y.org")
)

// everybody is in the order of the columns of the table.
var everybody = []perm.User{owner, admin, writer, creator, reader, nobody}

const access = "{admin: [admin@x.org], write: [writer@x.org], create: [creator@x.org], read: [reader@x.org]}"

// files are what lies in the owner's datasite; a name that ends in a slash is a folder, "-> " makes a link.
var files = map[string]string{
	"syft.pub.yaml": `rules:
- {pattern: "shared/**", access: ` + access + `}
- {pattern: "small/**", access: ` + access + `, limits: {maxFileSize: 10, allowDirs: false}}
- {pattern: "links/**", access: ` + access + `, limits: {allowSymlinks: true}}
- {pattern: "mine/{{.UserEmail}}/**", access: {write: [USER]}}
- {pattern: "deep/a/b/open.txt", access: {read: ["*"]}}
`,
	"shared/f":                 "hello",
	"shared/g":                 "gg",
	"shared/d/":                "",
	"shared/full/x":            "x",
	"shared/full/y/z":          "z",
	"shared/l":                 "-> f",
	"shared/sub/syft.pub.yaml": "rules:\n- {pattern: \"**\", access: " + access + "}\n",
	"shared/sub/f":             "sub",
	"secret/f":                 "secret",
	"secret/d/":                "",
	"small/f":                  "small",
	"links/":                   "",
	"deep/a/b/open.txt":        "open",
	"deep/a/b/closed.txt":      "closed",
	"deep/a/c/closed.txt":      "closed",
}

// memory is a journal that forgets when the test ends.
type memory struct {
	mu      sync.Mutex
	changes []datasite.Change
	durable int // how many of them were committed
	known   map[datasite.Path]datasite.Known
	fail    error
}

func (m *memory) add(c datasite.Change) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.changes = append(m.changes, c)
	drop := func(p datasite.Path) {
		for q := range m.known {
			if q.Under(p) {
				delete(m.known, q)
			}
		}
	}
	switch c.Op {
	case datasite.OpRemove, datasite.OpPlace, datasite.OpSubmit:
		drop(c.Path)
	case datasite.OpRename:
		drop(c.Path)
		for q, k := range m.known {
			if q.Under(c.From) {
				delete(m.known, q)
				m.known[rebase(q, c.From, c.Path)] = k
			}
		}
	}
	if c.After != (datasite.Known{}) {
		m.known[c.Path] = c.After
	}
	return nil
}

func (m *memory) Append(c datasite.Change) error { return m.add(c) }

func (m *memory) Commit(_ context.Context, c datasite.Change) (uint64, error) {
	err := m.add(c)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.durable = len(m.changes)
	return uint64(m.durable), err
}

func (m *memory) Flush(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.durable = len(m.changes)
	return nil
}

func (m *memory) Known(p datasite.Path) (datasite.Known, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.known[p]
	return k, ok
}

func (m *memory) EachKnown(under datasite.Path, fn func(datasite.Path, datasite.Known) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for p, k := range m.known {
		if p.Under(under) {
			if err := fn(p, k); err != nil {
				return err
			}
		}
	}
	return nil
}

// take gives the changes since the last take as "op path".
func (m *memory) take() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for _, c := range m.changes {
		s := string(c.Op) + " " + c.Path.Rel
		if c.Op == datasite.OpRename {
			s = string(c.Op) + " " + c.From.Rel + " " + c.Path.Rel
		}
		out = append(out, s)
	}
	m.changes, m.durable = nil, 0
	return out
}

// kernel notes what it is told.
type kernel struct {
	mu   sync.Mutex
	told []string
}

func (k *kernel) Invalidate(p datasite.Path) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.told = append(k.told, p.Rel)
}

func (k *kernel) InvalidateAll(perm.User) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.told = append(k.told, "*")
}

func (k *kernel) take() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := strings.Join(k.told, " ")
	k.told = nil
	return s
}

type world struct {
	t       testing.TB
	dir     string // of the backing tree
	tree    *backing.Tree
	g       *Guard
	mem     *memory
	kernels map[perm.User]*kernel
	views   map[perm.User]*View
}

// newWorld makes the tree with the files above, and a view for everybody.
func newWorld(t testing.TB, o ...backing.Option) *world {
	t.Helper()
	return openWorld(t, makeTree(t), &memory{known: map[datasite.Path]datasite.Known{}}, o...)
}

func makeTree(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	put(t, filepath.Join(dir, string(owner)), files)
	put(t, filepath.Join(dir, string(peer)), map[string]string{"public/data": "delivered", "app_data/job/inbox/": ""})
	return dir
}

func put(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, body := range files {
		full := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(full), 0o755))
		target, link := strings.CutPrefix(body, "-> ")
		switch {
		case strings.HasSuffix(name, "/"):
			must(t, os.MkdirAll(full, 0o755))
		case link:
			must(t, os.Symlink(target, full))
		default:
			must(t, os.WriteFile(full, []byte(body), 0o644))
		}
	}
}

func openWorld(t testing.TB, dir string, mem *memory, o ...backing.Option) *world {
	t.Helper()
	tree, err := backing.Open(dir, o...)
	must(t, err)
	t.Cleanup(func() { must(t, tree.Close()) })
	w := &world{t: t, dir: dir, tree: tree, mem: mem, kernels: map[perm.User]*kernel{}, views: map[perm.User]*View{}}
	w.g = New(Config{Owner: owner, Tree: tree, Rules: perm.NewIndex(rulefile.Loader(tree.FS())), Recorder: mem, Memory: mem})
	for _, u := range everybody {
		w.kernels[u] = &kernel{}
		w.views[u] = w.g.View(datasite.Identity{Subject: u}, w.kernels[u])
	}
	return w
}

func at(rel string) datasite.Path { return datasite.Path{Owner: owner, Rel: rel} }

// disk is the content of a file, from behind the gate.
func (w *world) disk(rel string) string {
	b, err := os.ReadFile(filepath.Join(w.dir, string(owner), rel))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (w *world) open(u perm.User, rel string, flag int) *File {
	w.t.Helper()
	f, err := w.views[u].Open(w.t.Context(), at(rel), flag, 0o644)
	must(w.t, err)
	return f
}

func (w *world) rules(rel, text string) {
	w.t.Helper()
	must(w.t, w.views[owner].Write(w.t.Context(), at(rel), []byte(text)))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// errno is the name of the errno that a mount answers for err.
func errno(err error) string {
	var e syscall.Errno
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &e):
	case errors.Is(err, iofs.ErrNotExist):
		e = syscall.ENOENT
	case errors.Is(err, iofs.ErrPermission):
		e = syscall.EACCES
	case errors.Is(err, iofs.ErrExist):
		e = syscall.EEXIST
	default:
		return err.Error()
	}
	return map[syscall.Errno]string{
		syscall.ENOENT: "ENOENT", syscall.EACCES: "EACCES", syscall.EPERM: "EPERM", syscall.EEXIST: "EEXIST", syscall.EFBIG: "EFBIG",
		syscall.EISDIR: "EISDIR", syscall.ENOTDIR: "ENOTDIR", syscall.ENOTEMPTY: "ENOTEMPTY", syscall.EXDEV: "EXDEV", syscall.EBADF: "EBADF",
		syscall.EINVAL: "EINVAL", syscall.ELOOP: "ELOOP", syscall.EOPNOTSUPP: "EOPNOTSUPP", syscall.ENODATA: "ENODATA", syscall.EBUSY: "EBUSY",
	}[e]
}

func mkfifo(t testing.TB, path string) {
	t.Helper()
	must(t, unix.Mkfifo(path, 0o600))
}
