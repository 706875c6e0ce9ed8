package backing

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
)

// BenchmarkWatch is the time until everything is watched, and the memory that this takes of the program, for 100,000 files in 10,000 folders.
// The kernel takes about 1 KiB more a folder.
func BenchmarkWatch(b *testing.B) {
	dir := b.TempDir()
	for i := range 10_000 {
		d := filepath.Join(dir, "owen@lab.example", strconv.Itoa(i/100), strconv.Itoa(i%100))
		if err := os.MkdirAll(d, 0o755); err != nil {
			b.Fatal(err)
		}
		for f := range 10 {
			if err := os.WriteFile(filepath.Join(d, strconv.Itoa(f)), nil, 0o644); err != nil {
				b.Fatal(err)
			}
		}
	}
	tree, err := Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer tree.Close()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for b.Loop() {
		w, err := tree.Watch()
		if err != nil {
			b.Fatal(err)
		}
		<-w.Ready()
		b.StopTimer()
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB")
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
