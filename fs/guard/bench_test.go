package guard

import (
	"testing"

	"github.com/openmined/syftfs/perm"
)

// The gate alone, without a mount, for its owner and for somebody whose rights rules give.
func BenchmarkView(b *testing.B) {
	w, ctx := newWorld(b), b.Context()
	for _, u := range []perm.User{owner, writer} {
		v := w.views[u]
		for _, op := range []struct {
			name string
			do   func(f *File) error
		}{
			{"stat", func(*File) error { _, err := v.Stat(ctx, at("shared/full/y/z")); return err }},
			{"list", func(*File) error { _, err := v.List(ctx, at("shared")); return err }},
			{"open", func(*File) error { return open("shared/full/y/z", rd)(ctx, v) }},
			{"read", func(f *File) error { _, err := f.ReadAt(make([]byte, 1), 0); return err }},
			{"write", func(f *File) error { _, err := f.WriteAt(make([]byte, 1), 0); return err }},
		} {
			b.Run(op.name+"/"+string(u), func(b *testing.B) {
				f, err := v.Open(ctx, at("shared/f"), rw, 0)
				must(b, err)
				b.ReportAllocs()
				for b.Loop() {
					must(b, op.do(f))
				}
				must(b, f.Close())
			})
		}
	}
}
