package backing

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/openmined/syftfs/fs/datasite"
	"golang.org/x/sys/unix"
)

// machine is a system of the test's own.
type machine struct {
	mu      sync.Mutex
	most    int
	folders []string
	events  chan machineEvent
}

type machineEvent struct {
	name       string
	came, went bool
	err        error
}

func (m *machine) Add(folder string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.folders) >= m.most {
		return fmt.Errorf("add: %w", unix.ENOSPC)
	}
	m.folders = append(m.folders, folder)
	return nil
}

func (m *machine) Remove(folder string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.folders = slices.DeleteFunc(m.folders, func(f string) bool { return f == folder })
	return nil
}

func (m *machine) Close() error { return nil }

func (m *machine) next(quit <-chan struct{}) (string, bool, bool, error, bool) {
	select {
	case e := <-m.events:
		return e.name, e.came, e.went, e.err, true
	case <-quit:
		return "", false, false, nil, false
	}
}

func (m *machine) watched(dir string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for _, f := range m.folders {
		out = append(out, strings.TrimPrefix(f, dir))
	}
	slices.Sort(out)
	return out
}

// watching gives a watcher of the tree in dir on a machine with most watches.
func watching(t *testing.T, most int, dirs ...string) (dir string, m *machine, w *Watcher) {
	t.Helper()
	dir = t.TempDir()
	for _, d := range dirs {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	m = &machine{most: most, events: make(chan machineEvent)}
	w = tree.watch(m)
	t.Cleanup(func() {
		if err := errors.Join(w.Close(), tree.Close()); err != nil {
			t.Error(err)
		}
	})
	return dir, m, w
}

func TestEveryFolderIsWatched(t *testing.T) {
	const site = "owen@lab.example"
	dir, m, w := watching(t, 100, site+"/a/b", site+"/c", "no datasite/d", stagingName+"/x")
	<-w.Ready()
	if got, want := m.watched(dir), []string{"", "/" + site, "/" + site + "/a", "/" + site + "/a/b", "/" + site + "/c"}; !slices.Equal(got, want) {
		t.Errorf("watched are %q, want %q", got, want)
	}
	at := func(rel string) string { return filepath.Join(dir, site, rel) }
	expect := func(what string, e machineEvent, want ...string) {
		t.Helper()
		go func() { // the notices of the one are read before the other is taken
			m.events <- e
			m.events <- machineEvent{name: filepath.Join(dir, "end@lab.example")}
		}()
		var got []string
		for n := range w.Notices() {
			if n.Path.Owner == "end@lab.example" {
				break
			}
			s := n.Path.Rel
			switch {
			case n.Below:
				s += " and below"
			case n.Lost:
				s = "lost"
			case n.Err != nil:
				s = n.Err.Error()
			}
			got = append(got, s)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: noticed %q, want %q", what, got, want)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(at("n/o"), 0o755))
	must(os.WriteFile(at("n/o/f"), nil, 0o644))
	must(os.WriteFile(at("n/syft.pub.yaml"), nil, 0o644))
	expect("a folder with what is in it", machineEvent{name: at("n"), came: true}, "n", "n/o/f", "n/syft.pub.yaml")
	must(os.Rename(at("n"), at("m")))
	expect("a rename", machineEvent{name: at("n"), went: true}, "n/syft.pub.yaml", "n/syftperm.yaml", "n and below")
	expect("its other half", machineEvent{name: at("m"), came: true}, "m", "m/o/f", "m/syft.pub.yaml")
	if got := m.watched(dir); !slices.Contains(got, "/"+site+"/m/o") || slices.Contains(got, "/"+site+"/n") || slices.Contains(got, "/"+site+"/n/o") {
		t.Errorf("watched are %q", got)
	}
	expect("a change", machineEvent{name: at("m/o/f")}, "m/o/f")
	expect("of a folder that is not there", machineEvent{name: at("x/f"), came: true})
	expect("a name of ours", machineEvent{name: at("m/" + tempPrefix + "x"), came: true})
	expect("in the staging area", machineEvent{name: filepath.Join(dir, stagingName, "x"), came: true})
	expect("of no datasite", machineEvent{name: filepath.Join(dir, "no datasite", "x"), came: true})
	expect("a name that is no text", machineEvent{name: at("\xff"), came: true})
	expect("nothing", machineEvent{})
	expect("lost", machineEvent{err: errLost}, "lost")
	if got := m.watched(dir); len(got) != 7 {
		t.Errorf("watched are %q", got)
	}
	must(os.RemoveAll(filepath.Join(dir, site)))
	expect("a datasite", machineEvent{name: filepath.Join(dir, site), went: true}, "m/syft.pub.yaml", "m/syftperm.yaml", " and below")
}

func TestWatchesRunOut(t *testing.T) {
	_, m, w := watching(t, 2, "owen@lab.example/a/b", "owen@lab.example/c")
	n := <-w.Notices()
	if !errors.Is(n.Err, ErrWatches) {
		t.Errorf("noticed %+v", n)
	}
	<-w.Ready()
	if len(m.folders) != 2 {
		t.Errorf("watched are %q", m.folders)
	}
	m.events <- machineEvent{err: errors.New("broken")}
	if n := <-w.Notices(); n.Err == nil || n.Path != (datasite.Path{}) {
		t.Errorf("noticed %+v", n)
	}
}
