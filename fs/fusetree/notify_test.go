package fusetree

import (
	"fmt"
	iofs "io/fs"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/openmined/syftfs/fs/datasite"
	"golang.org/x/sys/unix"
)

// said is a kernel that takes down what it is told.
type said struct {
	mu  sync.Mutex
	all []string // guarded by mu
}

func (k *said) add(what string) fuse.Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = append(k.all, what)
	return fuse.OK
}

func (k *said) InodeNotify(node uint64, off, _ int64) fuse.Status {
	return k.add(fmt.Sprintf("inode %d %d", node, off))
}

func (k *said) EntryNotify(parent uint64, name string) fuse.Status {
	return k.add(fmt.Sprintf("entry %d %s", parent, name))
}

func (k *said) take() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := k.all
	k.all = nil
	return out
}

func TestNotifier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := newTable()
		now := map[string]datasite.Entry{} // what lies there
		q := newNotifier(tab, true, func(p datasite.Path) (datasite.Entry, error) {
			e, ok := now[p.Rel]
			if !ok {
				return e, iofs.ErrNotExist
			}
			return e, nil
		})
		k := &said{}
		q.start(k)
		defer q.close()
		at := func(ino uint64) datasite.Entry { return datasite.Entry{Stamp: datasite.Stamp{Dev: 1, Ino: ino}} }
		site := tab.put(t, tab.root, string(owner), stored(1, unix.S_IFDIR), nil)
		dir := tab.put(t, site, "d", stored(2, unix.S_IFDIR), nil)
		file := tab.put(t, dir, "f", stored(3, unix.S_IFREG), nil)
		now[""], now["d"], now["d/f"] = at(1), at(2), at(3)
		expect := func(what string, want ...string) {
			t.Helper()
			synctest.Wait()
			if got := k.take(); !slices.Equal(got, want) {
				t.Errorf("%s: told %q, want %q", what, got, want)
			}
		}
		inode := func(n *node, off int) string { return fmt.Sprintf("inode %d %d", n.id, off) }
		entry := func(n *node, name string) string { return fmt.Sprintf("entry %d %s", n.id, name) }
		p := datasite.Path{Owner: owner, Rel: "d/f"}

		q.path(p)
		expect("a file that changed in place", inode(file, 0), inode(dir, -1))
		q.path(p.Parent())
		expect("a folder keeps its entry", inode(dir, 0), inode(site, -1))
		q.path(p.Parent().Join("new"))
		expect("a name that may be known as absent", inode(dir, -1), entry(dir, "new"))
		q.path(datasite.Path{Owner: owner, Rel: "x/y/z"})
		expect("what the kernel cannot know")
		now["d/f"] = at(9)
		q.path(p)
		expect("a file that was replaced", inode(file, 0), inode(dir, -1), entry(dir, "f"))
		if _, err := tab.locate(file.id); err == nil {
			t.Error("the replaced file kept its name")
		}
		q.path(p)
		expect("again", inode(dir, -1), entry(dir, "f"))
		delete(now, "d")
		q.add(staleThing{owner: owner})
		synctest.Wait()
		got := k.take()
		slices.Sort(got)
		want := []string{inode(site, 0), inode(dir, 0), entry(site, "d"), inode(file, 0)} // file may still be mapped
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("everything: told %q, want %q", got, want)
		}
	})
}

// TestNotifierAtMidnight: what a view's kernel holds goes stale with the day, though nobody asks for anything.
func TestNotifierAtMidnight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // begins at midnight
		tab := newTable()
		q := newNotifier(tab, false, nil)
		q.newDay = func() { q.add(staleThing{owner: owner}) }
		k := &said{}
		q.start(k)
		defer q.close()
		site := tab.put(t, tab.root, string(owner), stored(1, unix.S_IFDIR), nil)
		<-time.After(24*time.Hour - time.Second)
		synctest.Wait()
		if got := k.take(); len(got) > 0 {
			t.Errorf("told %q before the day was over", got)
		}
		for day := range 3 {
			<-time.After(24 * time.Hour)
			synctest.Wait()
			if got := k.take(); !slices.Equal(got, []string{fmt.Sprintf("inode %d 0", site.id)}) {
				t.Errorf("day %d: told %q", day, got)
			}
		}
	})
}

// TestNotifierCoalesces: what waits is told once, and too much of it becomes "everything".
func TestNotifierCoalesces(t *testing.T) {
	q := newNotifier(newTable(), true, nil)
	p := datasite.Path{Owner: owner, Rel: "f"}
	for range 3 {
		q.path(p)
	}
	if len(q.queue) != 1 {
		t.Errorf("%d wait", len(q.queue))
	}
	q.add(staleThing{virtual: true, path: datasite.Path{Owner: owner}, name: "jobs"})
	for i := range 2 * maxQueue {
		q.path(datasite.Path{Owner: owner, Rel: fmt.Sprint(i)})
	}
	if len(q.queue) > maxQueue || !slices.Contains(q.queue, staleThing{owner: owner}) || !slices.ContainsFunc(q.queue, func(t staleThing) bool { return t.virtual }) {
		t.Errorf("%d wait", len(q.queue))
	}
}
