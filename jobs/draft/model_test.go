package draft

import (
	"fmt"
	iofs "io/fs"
	"maps"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// Any sequence of changes and pauses: what is placed is the draft as it stood, whole, with nobody writing, and nothing is
// placed twice in a row.
func TestAnySequence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ rapid.TB }{t}, func(rt *rapid.T) { // no Deadline: a bubble has its own clock
			dir, err := os.MkdirTemp(t.TempDir(), "*")
			if err != nil {
				rt.Fatal(err)
			}
			w := &world{t: t, path: dir + "/state", fault: &fault{}}
			s := w.start()
			defer func() { s.Close() }()
			last := map[string]string{}
			var torn []string
			w.watch = func(p placement) {
				job := p.change.Path.Base()
				d := find(s, job)
				if d == nil {
					torn = append(torn, job+" is placed but not there")
					return
				}
				if n := s.openHandles(d); n > 0 {
					torn = append(torn, fmt.Sprintf("%s is placed with %d open handles", job, n))
				}
				want, got := content(rt, d), code(p.files)
				if !maps.Equal(want, got) {
					torn = append(torn, fmt.Sprintf("%s: placed %q, stands %q", job, got, want))
				}
				if key := fmt.Sprint(len(got), got); last[job] == key {
					torn = append(torn, job+" is placed twice in a row: "+key)
				} else {
					last[job] = key
				}
			}
			var open []*File
			top := rapid.SampledFrom([]string{"a", "b", ".c", "s.py", "s.py~"})
			sub := rapid.SampledFrom([]string{"", "main.py", "x", "d", "d/y"})
			rel := func(label string) string {
				return strings.TrimSuffix(top.Draw(rt, label)+"/"+sub.Draw(rt, label+" below"), "/")
			}
			rt.Repeat(map[string]func(*rapid.T){
				"mkdir": func(rt *rapid.T) { _ = s.Mkdir(rel("folder"), 0o755) },
				"write": func(rt *rapid.T) {
					f, err := s.OpenFile(rel("file"), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
					if err != nil {
						return
					}
					_, _ = f.WriteAt([]byte(rapid.SampledFrom([]string{"1", "22", "333"}).Draw(rt, "body")), 0)
					_ = f.Close()
				},
				"open": func(rt *rapid.T) {
					if f, err := s.OpenFile(rel("file"), os.O_RDWR|os.O_CREATE, 0o644); err == nil {
						open = append(open, f)
					}
				},
				"write on": func(rt *rapid.T) {
					if len(open) > 0 {
						_, _ = open[rapid.IntRange(0, len(open)-1).Draw(rt, "handle")].WriteAt([]byte("w"), int64(rapid.IntRange(0, 3).Draw(rt, "at")))
					}
				},
				"close": func(rt *rapid.T) {
					if len(open) > 0 {
						i := rapid.IntRange(0, len(open)-1).Draw(rt, "handle")
						_ = open[i].Close()
						open = append(open[:i], open[i+1:]...)
					}
				},
				"rename": func(rt *rapid.T) { _ = s.Rename(rel("from"), rel("to")) },
				"remove": func(rt *rapid.T) { _ = s.Remove(rel("name")) },
				"wait": func(rt *rapid.T) {
					pass(time.Duration(rapid.SampledFrom([]int{0, 1, 2, 5, 6}).Draw(rt, "seconds")) * time.Second)
				},
				"restart": func(rt *rapid.T) {
					for _, f := range open {
						_ = f.Close()
					}
					open = nil
					s.Close()
					s = w.start()
				},
				"": func(rt *rapid.T) {
					synctest.Wait()
					w.mu.Lock()
					defer w.mu.Unlock()
					if len(torn) > 0 {
						rt.Fatal(strings.Join(torn, "\n"))
					}
				},
			})
			for _, f := range open {
				_ = f.Close()
			}
		})
	})
}

// find gives the present entry of a job.
func find(s *Store, job string) *draft {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.present {
		if d.job() == job {
			return d
		}
	}
	return nil
}

func (s *Store) openHandles(d *draft) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writers(d)
}

// content is what a bare draft holds.
func content(t *rapid.T, d *draft) map[string]string {
	out := map[string]string{}
	if d.rec.Script {
		body, err := os.ReadFile(d.host(""))
		if err != nil {
			t.Fatal(err)
		}
		out[d.rec.Name] = string(body)
		return out
	}
	fsys := os.DirFS(d.host(""))
	err := iofs.WalkDir(fsys, ".", func(p string, e iofs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		body, err := iofs.ReadFile(fsys, p)
		out[p] = string(body)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func code(files map[string]string) map[string]string {
	out := map[string]string{}
	for p, body := range files {
		if rest, ok := strings.CutPrefix(p, "code/"); ok {
			out[rest] = body
		}
	}
	return out
}

// Writers and sealing at the same time, on real threads: no snapshot holds half of what one open wrote.
func TestNoTornSnapshot(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	mkdir(t, s, "job")
	write(t, s, "job/main.py", "")
	const half = 40 << 10
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		defer close(done)
		for i := range 60 {
			f, err := s.OpenFile("job/data", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
			if err != nil {
				t.Error(err)
				return
			}
			body := []byte(strings.Repeat(string(rune('a'+i%26)), half))
			for _, off := range []int64{0, half} {
				if _, err := f.WriteAt(body, off); err != nil {
					t.Error(err)
				}
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	for sealing := true; sealing; {
		select {
		case <-done:
			sealing = false
		default:
		}
		_ = s.Submit(t.Context(), "job") // refused while it is being written
	}
	wg.Wait()
	for i, p := range w.submissions() {
		data, ok := p.files["code/data"]
		if !ok {
			continue // before the first write
		}
		if len(data) != 2*half || strings.Trim(data, data[:1]) != "" {
			t.Errorf("submission %d is torn: %d bytes", i, len(data))
		}
	}
	if n := len(w.submissions()); n == 0 {
		t.Error("nothing was sealed")
	}
}
