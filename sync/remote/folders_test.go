package remote_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/remote/remotetest"
)

// notebook is a FolderMemory; failing makes the next KeepFolder fail.
type notebook struct {
	mu      sync.Mutex
	ids     map[string]remote.ID
	failing error
}

func (n *notebook) Folder(key string) (remote.ID, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	id, ok := n.ids[key]
	return id, ok
}

func (n *notebook) KeepFolder(key string, id remote.ID) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.failing; err != nil {
		n.failing = nil
		return err
	}
	if n.ids == nil {
		n.ids = map[string]remote.ID{}
	}
	n.ids[key] = id
	return nil
}

// TestFolderMadeOnce: whatever call fails, before it or after it, there is one folder at the end.
func TestFolderMadeOnce(t *testing.T) {
	for _, op := range []string{remote.OpStat, remote.OpList, remote.OpNewIDs, remote.OpPut, "keep"} {
		for _, stage := range []remotetest.Stage{remotetest.Before, remotetest.After} {
			t.Run(fmt.Sprint(op, stage), func(t *testing.T) {
				world := remotetest.NewWorld(nil)
				f := remotetest.NewFaulty(world.Account(owen), 1, remotetest.Fault{Op: op, Count: 1, Stage: stage})
				memory := &notebook{}
				if op == "keep" {
					memory.failing = errors.New("disk full")
				}
				w := remote.Wanted{Name: "SyftBox"}
				var last remote.ID
				for range 4 { // a new process each time
					id, err := remote.NewFolders(f, f, memory).Ensure(t.Context(), w)
					if err == nil {
						last = id
					}
				}
				found, err := remote.Collect(t.Context(), world.Account(owen), remote.Query{})
				if err != nil || len(found) != 1 || found[0].ID != last {
					t.Errorf("found %v, want %s; %v", found, last, err)
				}
			})
		}
	}
}

func TestFoldersAtOnce(t *testing.T) {
	r := remotetest.NewWorld(nil).Account(owen)
	folders := remote.NewFolders(r, r, &notebook{})
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			if _, err := folders.Ensure(t.Context(), remote.Wanted{Name: fmt.Sprint(n % 2)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if found, err := remote.Collect(t.Context(), r, remote.Query{}); err != nil || len(found) != 2 {
		t.Errorf("%d folders, %v", len(found), err)
	}
}

// TestTrashedFolderIsMadeAgain: a folder thrown away in a browser is not written to any more.
func TestTrashedFolderIsMadeAgain(t *testing.T) {
	world := remotetest.NewWorld(nil)
	r := world.Account(owen)
	memory := &notebook{}
	w := remote.Wanted{Name: "SyftBox"}
	id, err := remote.NewFolders(r, r, memory).Ensure(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	world.Trash(id, true)
	anew, err := remote.NewFolders(r, r, memory).Ensure(t.Context(), w)
	if err != nil || anew == id {
		t.Errorf("folder %s, %v", anew, err)
	}
}
