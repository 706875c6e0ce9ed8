package backing

import (
	iofs "io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Somebody who can change the real tree swaps folders and files for links that lead outside, as fast as possible. No
// operation may touch what lies there.
func TestSwappedLinksDoNotLeadOut(t *testing.T) {
	tree, site := newTree(t)
	outside := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(outside, "e"), 0o755))
	must(t, os.WriteFile(filepath.Join(outside, "e", "f"), []byte("outside it"), 0o644))
	must(t, os.MkdirAll(filepath.Join(site, "d", "e"), 0o755))
	must(t, os.WriteFile(filepath.Join(site, "d", "e", "f"), []byte("inside!"), 0o644))
	must(t, os.Symlink(outside, filepath.Join(site, "swap-d")))
	must(t, os.Symlink(filepath.Join(outside, "e"), filepath.Join(site, "d", "swap-e")))
	must(t, os.Symlink(filepath.Join(outside, "e", "f"), filepath.Join(site, "d", "e", "swap-f")))

	stop := make(chan struct{})
	var swapper sync.WaitGroup
	swapper.Go(func() {
		for {
			for _, pair := range [][2]string{{"d", "swap-d"}, {"d/e", "d/swap-e"}, {"d/e/f", "d/e/swap-f"}} {
				select {
				case <-stop:
					return
				default:
				}
				// Two exchanges put everything back; a failure only means that the other way round came first.
				for range 2 {
					_ = unix.Renameat2(unix.AT_FDCWD, filepath.Join(site, pair[0]), unix.AT_FDCWD, filepath.Join(site, pair[1]), unix.RENAME_EXCHANGE)
				}
			}
		}
	})
	reads := 0
	for i := range 4000 {
		p := at("d/e/f")
		f, err := tree.OpenFile(p, unix.O_RDWR, 0)
		if err == nil {
			buf := make([]byte, 7)
			if _, err := f.ReadAt(buf, 0); err != nil || string(buf) != "inside!" {
				t.Errorf("read %q, %v", buf, err)
			}
			reads++
			must(t, f.Close())
		}
		switch i % 5 {
		case 0:
			if body, err := iofs.ReadFile(tree.FS(), p.String()); err == nil && string(body) != "inside!" {
				t.Errorf("FS read %q", body)
			}
		case 1:
			_, _ = tree.OpenFile(at("d/e/new"), unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, 0o600)
		case 2:
			_ = tree.Chmod(p, 0o640)
		case 3:
			_ = tree.Truncate(at("d/e/swap-f"), 7) // when swapped it is the file inside, which keeps its size
		case 4:
			_ = tree.Remove(at("d/e/new"))
		}
		if i%5 == 1 {
			_ = tree.Symlink(at("d/e/l"), "x")
			_ = tree.Remove(at("d/e/l"))
		}
	}
	close(stop)
	swapper.Wait()
	if reads == 0 {
		t.Error("the file could never be read: the test proves nothing")
	}
	list, err := os.ReadDir(filepath.Join(outside, "e"))
	must(t, err)
	if len(list) != 1 {
		t.Errorf("made outside: %v", list)
	}
	info, err := os.Stat(filepath.Join(outside, "e", "f"))
	must(t, err)
	body, err := os.ReadFile(filepath.Join(outside, "e", "f"))
	must(t, err)
	if string(body) != "outside it" || info.Mode().Perm() != 0o644 {
		t.Errorf("changed outside: %q %v", body, info.Mode())
	}
}
