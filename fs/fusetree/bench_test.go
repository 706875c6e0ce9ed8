package fusetree

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkMount does the same work natively, in the owner's mount and in a view, in one run: only the ratios mean something.
func BenchmarkMount(b *testing.B) {
	s := serve(b, mountSpec{}, rachel())
	dirs := map[string]string{"native": s.stored(), "owner": s.own(0), "view": s.own(1)}
	s.grant("write", "**")
	if err := os.Mkdir(s.own(0, "d"), 0o755); err != nil {
		b.Fatal(err)
	}
	big := make([]byte, 16<<20)
	write(b, s.own(0, "big"), string(big))
	for i := range 200 {
		write(b, s.own(0, "d", fmt.Sprint(i)), "x")
	}
	buf := make([]byte, 1<<20)
	work := []struct {
		name  string
		bytes int64
		do    func(b *testing.B, dir string, i int)
	}{
		{"stat", 0, func(b *testing.B, dir string, i int) {
			var st unix.Stat_t
			must(b, unix.Lstat(filepath.Join(dir, "d/1"), &st))
		}},
		{"open", 0, func(b *testing.B, dir string, i int) {
			fd, err := unix.Open(filepath.Join(dir, "d/1"), unix.O_RDONLY, 0)
			must(b, err)
			must(b, unix.Close(fd))
		}},
		{"create4k", 0, func(b *testing.B, dir string, i int) {
			name := filepath.Join(dir, "new")
			must(b, os.WriteFile(name, buf[:4096], 0o644))
			must(b, os.Remove(name))
		}},
		{"list200", 0, func(b *testing.B, dir string, i int) {
			list, err := os.ReadDir(filepath.Join(dir, "d"))
			must(b, err)
			for _, e := range list {
				_, err := e.Info()
				must(b, err)
			}
		}},
		{"read16M", int64(len(big)), func(b *testing.B, dir string, i int) {
			f, err := os.Open(filepath.Join(dir, "big"))
			must(b, err)
			defer f.Close()
			for off := 0; off < len(big); off += len(buf) {
				_, err := f.ReadAt(buf, int64(off))
				must(b, err)
			}
		}},
		{"write16M", int64(len(big)), func(b *testing.B, dir string, i int) {
			f, err := os.OpenFile(filepath.Join(dir, "big"), os.O_WRONLY, 0)
			must(b, err)
			for off := 0; off < len(big); off += len(buf) {
				_, err := f.WriteAt(buf, int64(off))
				must(b, err)
			}
			must(b, f.Close())
		}},
	}
	for _, w := range work {
		for _, where := range []string{"native", "owner", "view"} {
			b.Run(w.name+"/"+where, func(b *testing.B) {
				b.SetBytes(w.bytes)
				for i := 0; b.Loop(); i++ {
					w.do(b, dirs[where], i)
				}
			})
		}
	}
}

func must(b *testing.B, err error) {
	if err != nil {
		b.Helper()
		b.Fatal(err)
	}
}
