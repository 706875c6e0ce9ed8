package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/fs/datasite"
	"pgregory.net/rapid"
)

// model is what the journal must be equal to.
type model struct {
	log    []datasite.Change // committed
	queued []datasite.Change
	known  map[string]datasite.Known // with what is queued
	cursor uint64                    // durable
	taken  uint64
}

func (m *model) apply(c datasite.Change) {
	key := c.Path.String()
	under := func(k, dir string) bool { return k == dir || strings.HasPrefix(k, dir+"/") }
	switch c.Op {
	case datasite.OpWrite:
		delete(m.known, key)
	case datasite.OpRemove, datasite.OpPlace, datasite.OpSubmit:
		for k := range m.known {
			if under(k, key) {
				delete(m.known, k)
			}
		}
	case datasite.OpRename:
		from, moving := c.From.String(), map[string]datasite.Known{}
		for k, v := range m.known {
			if under(k, from) {
				moving[key+k[len(from):]] = v
				delete(m.known, k)
			}
		}
		for k := range m.known {
			if under(k, key) {
				delete(m.known, k)
			}
		}
		for k, v := range moving {
			m.known[k] = v
		}
	}
	if c.After != (datasite.Known{}) {
		m.known[key] = c.After
	}
}

func (m *model) commit() {
	for _, c := range m.queued {
		c.Seq = uint64(len(m.log) + 1)
		m.log = append(m.log, c)
	}
	m.queued = nil
}

// rebuild makes known from the log: what a crash leaves.
func (m *model) rebuild() {
	m.queued, m.known = nil, map[string]datasite.Known{}
	for _, c := range m.log {
		m.apply(c)
	}
	m.taken = m.cursor
}

func anyChange(t *rapid.T) datasite.Change {
	part := rapid.SampledFrom([]string{"a", "b", "c", "a-b"})
	rel := func(label string) datasite.Path {
		return at(strings.Join(rapid.SliceOfN(part, 1, 3).Draw(t, label), "/"))
	}
	c := datasite.Change{Op: rapid.SampledFrom([]datasite.Op{datasite.OpWrite, datasite.OpWrite, datasite.OpWrite, datasite.OpRename,
		datasite.OpRename, datasite.OpRemove, datasite.OpMkdir, datasite.OpPlace, datasite.OpSubmit}).Draw(t, "op"), Path: rel("path")}
	if c.Op == datasite.OpRename {
		c.From = rel("from")
	}
	if c.Op == datasite.OpWrite || rapid.IntRange(0, 9).Draw(t, "after") == 0 {
		c.After = stamp(rapid.Int64Range(1, 1000).Draw(t, "size"))
	}
	return c
}

var errInjected = errors.New("injected")

// TestModel runs random sequences of everything against the model, with crashes: the file is copied as a killed program
// leaves it and opened again.
func TestModel(t *testing.T) {
	root := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		n++
		dir := filepath.Join(root, fmt.Sprint(n))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		s := &script{errors: map[string][]error{}}
		path := filepath.Join(dir, "0.db")
		start := func() (*Journal, *Reader) {
			j, err := Open(path, Options{Reserve: 4096, Fault: s})
			if err != nil {
				t.Fatal(err)
			}
			r, err := j.Reader("r")
			if err != nil {
				t.Fatal(err)
			}
			return j, r
		}
		j, r := start()
		defer func() { j.Close() }()
		m := &model{known: map[string]datasite.Known{}}
		generation := 0
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				c := anyChange(t)
				if err := j.Append(c); err != nil {
					t.Fatal(err)
				}
				m.queued = append(m.queued, c)
				m.apply(c)
			},
			"commit": func(t *rapid.T) {
				c := anyChange(t)
				seq, err := j.Commit(ctx, c)
				if err != nil {
					t.Fatal(err)
				}
				m.queued = append(m.queued, c)
				m.apply(c)
				m.commit()
				if seq != uint64(len(m.log)) {
					t.Fatalf("sequence number %d, want %d", seq, len(m.log))
				}
			},
			"failed commit": func(t *rapid.T) {
				s.set("journal:commit", errInjected)
				c := anyChange(t)
				_, err := j.Commit(ctx, c)
				s.set("journal:commit")
				if err == nil { // the fault hit the timer's group
					m.queued = append(m.queued, c)
					m.apply(c)
					m.commit()
				} else if !errors.Is(err, errInjected) {
					t.Fatal(err)
				}
			},
			"flush": func(t *rapid.T) {
				if err := j.Flush(ctx); err != nil {
					t.Fatal(err)
				}
				m.commit()
			},
			"next": func(t *rapid.T) {
				if m.taken == uint64(len(m.log)) {
					return
				}
				c, err := r.Next(ctx)
				if err != nil {
					t.Fatal(err)
				}
				m.taken++
				if d := cmp.Diff(m.log[m.taken-1], c); d != "" {
					t.Fatal(d)
				}
			},
			"done": func(t *rapid.T) {
				if err := r.Done(m.taken); err != nil {
					t.Fatal(err)
				}
				m.commit() // a transaction takes everything
				m.cursor = max(m.cursor, m.taken)
			},
			"crash": func(t *rapid.T) {
				if err := j.Flush(ctx); err != nil { // so that the model knows what is stored: the timer may have run or not
					t.Fatal(err)
				}
				m.commit()
				c := anyChange(t)
				s.set("journal:commit", errInjected) // queued, and lost with the process
				if err := j.Append(c); err != nil {
					t.Fatal(err)
				}
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				generation++
				next := filepath.Join(dir, fmt.Sprintf("%d.db", generation))
				if err := os.WriteFile(next, b, 0o600); err != nil {
					t.Fatal(err)
				}
				s.set("journal:commit")
				if err := j.Close(); err != nil {
					t.Fatal(err)
				}
				path = next
				m.rebuild()
				j, r = start()
			},
			"": func(t *rapid.T) { checkModel(t, j, m) },
		})
	})
}

func checkModel(t *rapid.T, j *Journal, m *model) {
	parts := []string{"a", "b", "c", "a-b"}
	var visit func(prefix string, depth int)
	visit = func(prefix string, depth int) {
		for _, p := range parts {
			rel := prefix + p
			k, ok := j.Known(at(rel))
			want, wok := m.known[at(rel).String()]
			if k != want || ok != wok {
				t.Fatalf("%s: Known = %v %v, want %v %v", rel, k, ok, want, wok)
			}
			if depth < 2 {
				visit(rel+"/", depth+1)
			}
		}
	}
	visit("", 0)
	if rapid.IntRange(0, 7).Draw(t, "each") != 0 {
		return
	}
	var got []string
	if err := j.EachKnown(datasite.Path{}, func(p datasite.Path, k datasite.Known) error {
		if k != m.known[p.String()] {
			t.Fatalf("%s: %v", p, k)
		}
		got = append(got, p.String())
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	m.commit() // EachKnown flushes
	var want []string
	for k := range m.known {
		want = append(want, k)
	}
	sort.Strings(want)
	if d := cmp.Diff(want, got); d != "" {
		t.Fatal(d)
	}
}
