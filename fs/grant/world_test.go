package grant

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/openmined/syftfs/fs/backing"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
)

const (
	owner perm.User = "owner@x.org"
	alice perm.User = "alice@x.org"
	bob   perm.User = "bob@x.org"
	carol perm.User = "carol@x.org"
	dave  perm.User = "dave@y.org"
)

var ctx = context.Background()

// tester is what a test, and one round of a property test, has.
type tester interface {
	Helper()
	Fatal(...any)
	Errorf(string, ...any)
}

type world struct {
	t    tester
	dir  string
	tree *backing.Tree
	g    *guard.Guard
	*Granter
}

// openWorld makes the owner's datasite in dir, with files whose names are relative to it; a name that ends in a slash is a folder.
func openWorld(t tester, dir string, files map[string]string, rec guard.Recorder, o ...backing.Option) *world {
	t.Helper()
	must(t, os.MkdirAll(filepath.Join(dir, string(owner)), 0o755))
	for name, body := range files {
		full := filepath.Join(dir, string(owner), name)
		if strings.HasSuffix(name, "/") {
			must(t, os.MkdirAll(full, 0o755))
			continue
		}
		must(t, os.MkdirAll(filepath.Dir(full), 0o755))
		must(t, os.WriteFile(full, []byte(body), 0o644))
	}
	tree, err := backing.Open(dir, o...)
	must(t, err)
	g := guard.New(guard.Config{Owner: owner, Tree: tree, Rules: perm.NewIndex(rulefile.Loader(tree.FS())), Recorder: rec})
	return &world{t: t, dir: dir, tree: tree, g: g, Granter: New(g.View(datasite.Identity{Subject: owner}, nil))}
}

func must(t tester, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func at(rel string) datasite.Path { return datasite.Path{Owner: owner, Rel: rel} }

func (w *world) read(rel string) string {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, string(owner), rel))
	must(w.t, err)
	return string(b)
}

func (w *world) exists(rel string) bool {
	_, err := os.Lstat(filepath.Join(w.dir, string(owner), rel))
	return err == nil
}

// level asks the gate itself.
func (w *world) level(u perm.User, rel string) perm.Level {
	w.t.Helper()
	return w.rights(u, rel).level
}

// rights asks the gate itself.
func (w *world) rights(u perm.User, rel string) rights {
	w.t.Helper()
	d, err := w.view.Explain(ctx, u, at(rel), perm.Read)
	must(w.t, err)
	c, err := w.view.Explain(ctx, u, at(rel), perm.Create)
	must(w.t, err)
	r := rights{level: d.Level, creates: c.Allowed && d.Level >= perm.Create}
	if d.Level >= perm.Create {
		r.limits = d.Limits
	}
	return r
}

func (w *world) levels(rel string, want map[perm.User]perm.Level) {
	w.t.Helper()
	for u, l := range want {
		if got := w.level(u, rel); got != l {
			w.t.Errorf("%s on %s: %s, want %s", u, rel, got, l)
		}
	}
}

// paths are all files and folders, relative to the datasite; folders end in a slash, the datasite is "/".
func (w *world) paths() []string {
	var out []string
	top := filepath.Join(w.dir, string(owner))
	must(w.t, filepath.WalkDir(top, func(full string, d iofs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(strings.TrimPrefix(full, top), "/")
		if d.IsDir() {
			rel += "/"
		}
		out = append(out, rel)
		return nil
	}))
	return out
}

// state is what everybody may do with everything, and the rule files.
type state struct {
	rights map[string]map[perm.User]rights // by path, as paths gives them
	texts  map[string]string
}

func (w *world) state(users ...perm.User) state {
	w.t.Helper()
	s := state{map[string]map[perm.User]rights{}, map[string]string{}}
	for _, p := range w.paths() {
		rel := strings.TrimSuffix(p, "/")
		s.rights[p] = map[perm.User]rights{}
		for _, u := range users {
			s.rights[p][u] = w.rights(u, rel)
		}
		if datasite.IsRuleName(filepath.Base(p)) && !strings.HasSuffix(p, "/") {
			s.texts[p] = w.read(p)
		}
	}
	return s
}

// told is the change of one entry on one path, as an effect tells it.
type told struct{ before, after perm.Level }

// expand writes effects out, by path and entry.
func expand(s state, e Effects) (map[string]told, error) {
	out := map[string]told{}
	for _, list := range [][]Effect{e.Gains, e.Losses} {
		seen := map[string]bool{}
		for _, f := range list {
			self := f.Path.Rel
			if f.IsDir {
				self += "/"
			}
			for p := range s.rights {
				below := f.IsDir && p != self && strings.HasPrefix("/"+p, "/"+strings.TrimPrefix(self, "/"))
				if !(p == self && f.Reach != ReachInside || below && f.Reach != ReachSelf) {
					continue
				}
				c := told{f.Before, f.After}
				if below && datasite.IsRuleName(filepath.Base(p)) {
					c = told{onRules(f.Before), onRules(f.After)}
					if c.before == c.after {
						continue
					}
				}
				key := fmt.Sprintf("%s on %s", f.Entry, p)
				if old, twice := out[key]; seen[key] || twice && old != c {
					return nil, fmt.Errorf("%s is told twice: %v, %v", key, old, c)
				}
				seen[key], out[key] = true, c
			}
		}
	}
	return out, nil
}

func onRules(l perm.Level) perm.Level {
	if l == perm.Admin {
		return l
	}
	return min(l, perm.Read)
}

// brute compares two states, for entries by whoever stands for them.
func brute(was, is state, entries map[string]perm.User) map[string]told {
	out := map[string]told{}
	for p, users := range was.rights {
		for text, u := range entries {
			if after, ok := is.rights[p]; ok && users[u] != after[u] {
				out[fmt.Sprintf("%s on %s", text, p)] = told{users[u].level, after[u].level}
			}
		}
	}
	return out
}

var errFault = errors.New("fault of the test")

// faults fails the step or record with the number at, and with rest all after it.
type faults struct {
	mu    sync.Mutex
	at, n int
	rest  bool
}

func (f *faults) next() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	if f.at > 0 && (f.n == f.at || f.rest && f.n > f.at) {
		return errFault
	}
	return nil
}

func (f *faults) set(at int, rest bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at, f.n, f.rest = at, 0, rest
}

func (f *faults) Before(string) error          { return f.next() }
func (f *faults) Append(datasite.Change) error { return f.next() }
func (f *faults) Flush(context.Context) error  { return f.next() }
func (f *faults) Commit(context.Context, datasite.Change) (uint64, error) {
	return 0, f.next()
}

func withFaults(f *faults) backing.Option { return backing.WithFault(f) }
