package fusetree

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/virtual"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func stored(ino uint64, typ uint32) ident { return ident{dev: 1, ino: ino, typ: typ} }

func (t *table) put(tb rapid.TB, dir *node, name string, key ident, f *face) *node {
	tb.Helper()
	n, ok := t.enter(dir, dir.gen, name, key, f, false)
	if !ok {
		tb.Fatalf("%s was not entered", name)
	}
	return n
}

func TestPathsOfNodes(t *testing.T) {
	tab := newTable()
	prov := &jobsDir{}
	site := tab.put(t, tab.root, string(owner), stored(1, unix.S_IFDIR), nil)
	app := tab.put(t, site, "app", stored(2, unix.S_IFDIR), nil)
	f := tab.put(t, app, "f", stored(3, unix.S_IFREG), nil)
	jobs := tab.put(t, site, "jobs", ident{typ: unix.S_IFDIR}, &face{prov: prov, top: true, kind: virtual.Dir})
	job := tab.put(t, jobs, "job", ident{typ: unix.S_IFDIR}, &face{prov: prov, kind: virtual.Dir})
	shown := tab.put(t, job, "code", ident{typ: unix.S_IFDIR}, &face{prov: prov, kind: virtual.Stored, path: datasite.Path{Owner: owner, Rel: "app"}})
	below := tab.put(t, shown, "f", ident{dev: 1, ino: 3, typ: unix.S_IFREG, via: shown.id}, nil)
	tests := []struct {
		node *node
		want string
		gate bool
		rel  string
	}{
		{tab.root, "", true, ""},
		{site, string(owner), true, ""},
		{f, string(owner) + "/app/f", true, ""},
		{jobs, "", false, ""},
		{job, "", false, "job"},
		{shown, string(owner) + "/app", true, "job/code"},
		{below, string(owner) + "/app/f", true, "job/code/f"},
	}
	for _, tt := range tests {
		w, err := tab.locate(tt.node.id)
		if err != nil || w.path.String() != tt.want || w.gate != tt.gate || w.rel != tt.rel {
			t.Errorf("node %d: %q %v %q, %v; want %q %v %q", tt.node.id, w.path, w.gate, w.rel, err, tt.want, tt.gate, tt.rel)
		}
	}
	if f == below || f.ino != 3 || below.ino&ownIno == 0 {
		t.Errorf("the shown file is the stored one: %x, %x", f.ino, below.ino)
	}
	_, n, name, also := tab.stale(datasite.Path{Owner: owner, Rel: "app/f"})
	if n != f || name != "f" || !slices.Equal(also, []*node{below}) {
		t.Errorf("stale: %v %q %v", n, name, also)
	}
	if got := tab.shownAs(below.id, "x"); got != string(owner)+"/jobs/job/code/f/x" {
		t.Errorf("shown as %q", got)
	}
	tab.removed(app, "f")
	if _, err := tab.locate(f.id); !errors.Is(err, syscall.ESTALE) {
		t.Errorf("a file without a name: %v", err)
	}
	if _, err := tab.locate(999); !errors.Is(err, syscall.ESTALE) {
		t.Errorf("no node: %v", err)
	}
}

func TestStaleFolder(t *testing.T) {
	tab := newTable()
	site := tab.put(t, tab.root, string(owner), stored(1, unix.S_IFDIR), nil)
	gen := site.gen
	tab.removed(site, "other")
	if _, ok := tab.enter(site, gen, "f", stored(2, unix.S_IFREG), nil, false); ok {
		t.Error("what was found before a removal was believed")
	}
	now := time.Now()
	if tab.absent(site, gen, "f", now.Add(time.Minute), now) {
		t.Error("so was that a name is absent")
	}
	if !tab.absent(site, site.gen, "f", now.Add(time.Minute), now) {
		t.Error("a fresh answer was not believed")
	}
	for i := range 2 * maxNegative {
		tab.absent(site, site.gen, fmt.Sprint(i), now.Add(time.Minute), now)
	}
	if len(tab.neg) != maxNegative {
		t.Errorf("%d absent names are known", len(tab.neg))
	}
	if !tab.absent(site, site.gen, "late", now.Add(3*time.Minute), now.Add(2*time.Minute)) || len(tab.neg) != 1 {
		t.Errorf("old ones were not dropped: %d", len(tab.neg))
	}
	if _, absent := tab.below(owner); len(absent) != 1 || len(tab.neg) != 0 {
		t.Errorf("absent below: %v", absent)
	}
}

// TestTable does random things to a table and to a plain model of a kernel: names and lookups, by inode number.
func TestTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tab := newTable()
		site := tab.put(t, tab.root, string(owner), stored(1, unix.S_IFDIR), nil)
		type thing struct {
			ino uint64
			dir bool
		}
		tree := map[string]thing{"": {1, true}} // what is stored, by path
		next := uint64(1)
		known := map[*node]uint64{site: 1} // lookups that the kernel holds
		path := func(n *node) (string, bool) {
			w, err := tab.locate(n.id)
			return w.path.Rel, err == nil
		}
		dirs := func() []string {
			var out []string
			for p, th := range tree {
				if th.dir {
					out = append(out, p)
				}
			}
			slices.Sort(out)
			return out
		}
		join := func(d, n string) string { return strings.TrimPrefix(d+"/"+n, "/") }
		// find walks to a path as the kernel does, looking up each part.
		find := func(p string) *node {
			n := site
			if p == "" {
				return n
			}
			at := ""
			for part := range strings.SplitSeq(p, "/") {
				at = join(at, part)
				th := tree[at]
				typ := uint32(unix.S_IFREG)
				if th.dir {
					typ = unix.S_IFDIR
				}
				n = tab.put(t, n, part, stored(th.ino, typ), nil)
				known[n]++
			}
			return n
		}
		name := rapid.SampledFrom([]string{"a", "b", "c"})
		pick := func(t *rapid.T) string {
			all := slices.Sorted(maps.Keys(tree))
			if len(all) == 1 {
				return ""
			}
			return rapid.SampledFrom(all[1:]).Draw(t, "path")
		}
		split := func(p string) (string, string) {
			i := strings.LastIndexByte(p, '/')
			return p[:max(i, 0)], p[i+1:]
		}
		drop := func(p string) {
			for q := range tree {
				if q == p || strings.HasPrefix(q, p+"/") {
					delete(tree, q)
				}
			}
		}
		move := func(from, to string) {
			for q, th := range maps.Clone(tree) {
				if q == from || strings.HasPrefix(q, from+"/") {
					delete(tree, q)
					tree[to+q[len(from):]] = th
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"make": func(t *rapid.T) {
				p := join(rapid.SampledFrom(dirs()).Draw(t, "dir"), name.Draw(t, "name"))
				if _, ok := tree[p]; !ok {
					next++
					tree[p] = thing{next, rapid.Bool().Draw(t, "folder")}
				}
				find(p)
			},
			"look": func(t *rapid.T) { find(pick(t)) },
			"remove": func(t *rapid.T) {
				p := pick(t)
				if p == "" {
					return
				}
				d, n := split(p)
				dir := find(d)
				drop(p)
				tab.removed(dir, n)
			},
			"rename": func(t *rapid.T) {
				from := pick(t)
				to := join(rapid.SampledFrom(dirs()).Draw(t, "to"), name.Draw(t, "name"))
				if from == "" || to == from || strings.HasPrefix(to, from+"/") || strings.HasPrefix(from, to+"/") {
					return
				}
				fd, fn := split(from)
				td, tn := split(to)
				a, b := find(fd), find(td)
				r := tab.moving(a, fn, b, tn)
				drop(to)
				move(from, to)
				if rapid.Bool().Draw(t, "a lookup comes first") {
					find(to)
				}
				tab.renamed(r, false)
			},
			"exchange": func(t *rapid.T) {
				from, to := pick(t), pick(t)
				if from == "" || from == to || strings.HasPrefix(to, from+"/") || strings.HasPrefix(from, to+"/") {
					return
				}
				fd, fn := split(from)
				td, tn := split(to)
				r := tab.moving(find(fd), fn, find(td), tn)
				move(to, "!")
				move(from, to)
				move("!", from)
				for _, p := range []string{from, to} {
					if rapid.Bool().Draw(t, "a lookup comes first") {
						find(p)
					}
				}
				tab.renamed(r, true)
			},
			"rename behind our back": func(t *rapid.T) {
				from := pick(t)
				to := join(rapid.SampledFrom(dirs()).Draw(t, "to"), name.Draw(t, "name"))
				if _, ok := tree[to]; ok || from == "" || strings.HasPrefix(to, from+"/") {
					return
				}
				move(from, to)
				find(to)
			},
			"forget": func(t *rapid.T) {
				ids := slices.SortedFunc(maps.Keys(known), func(a, b *node) int { return int(a.id) - int(b.id) })
				n := rapid.SampledFrom(ids).Draw(t, "node")
				if n == site {
					return
				}
				count := rapid.Uint64Range(1, known[n]).Draw(t, "count")
				if known[n] -= count; known[n] == 0 {
					delete(known, n)
				}
				tab.forget(n.id, count)
			},
			"": func(t *rapid.T) {
				for n, count := range known {
					if tab.byID[n.id] != n || n.lookups != count {
						t.Fatalf("node %d: %d lookups, want %d", n.id, n.lookups, count)
					}
				}
				for id, n := range tab.byID {
					if id != n.id {
						t.Fatalf("node %d stands at %d", n.id, id)
					}
					if n != tab.root && known[n] == 0 && len(n.kids) == 0 {
						t.Fatalf("node %d is needed by nobody", id)
					}
					for name, c := range n.kids {
						if c.parent != n || c.name != name || tab.byID[c.id] != c {
							t.Fatalf("node %d: child %q is elsewhere", id, name)
						}
					}
				}
				for key, n := range tab.byKey {
					if n.key != key || tab.byID[n.id] != n {
						t.Fatalf("node %d is not what %v says", n.id, key)
					}
				}
				// Whatever the kernel just looked up lies where it is stored.
				for p, th := range tree {
					n := find(p)
					if got, ok := path(n); !ok || got != p || n.ino != th.ino {
						t.Fatalf("%q: got %q, %v, inode %d, want %d", p, got, ok, n.ino, th.ino)
					}
				}
			},
		})
	})
}
