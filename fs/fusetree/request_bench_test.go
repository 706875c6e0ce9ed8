package fusetree

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/openmined/syftfs/fs/backing"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
)

// BenchmarkRequest is what the daemon itself needs for a request, without the kernel: what a view costs more than the owner's mount.
func BenchmarkRequest(b *testing.B) {
	dir := b.TempDir()
	site := filepath.Join(dir, string(owner))
	must(b, os.MkdirAll(filepath.Join(site, "d/sub"), 0o755))
	must(b, os.WriteFile(filepath.Join(site, "syft.pub.yaml"), fmt.Appendf(nil, "rules:\n- {pattern: \"**\", access: {write: [%s]}}\n", other), 0o644))
	for i := range 200 {
		must(b, os.WriteFile(filepath.Join(site, "d", fmt.Sprint(i)), []byte("x"), 0o644))
	}
	tree, err := backing.Open(dir)
	must(b, err)
	defer tree.Close()
	g := guard.New(guard.Config{Owner: owner, Tree: tree, Rules: perm.NewIndex(rulefile.Loader(tree.FS()))})
	for _, who := range []struct {
		name string
		user perm.User
	}{{"owner", owner}, {"view", other}} {
		o := Options{As: datasite.Identity{Subject: who.user}}
		s := newServer(b.Context(), o)
		s.view = g.View(o.As, nil)
		s.notify = newNotifier(s.nodes, false, nil)
		look := func(parent uint64, name string) uint64 {
			var out fuse.EntryOut
			if st := s.Lookup(nil, &fuse.InHeader{NodeId: parent}, name, &out); !st.Ok() {
				b.Fatal(name, st)
			}
			return out.NodeId
		}
		d := look(look(fuse.FUSE_ROOT_ID, string(owner)), "d")
		f := look(d, "1")
		sub := look(d, "sub")
		attr := func(id uint64) func() {
			return func() {
				in := fuse.GetAttrIn{InHeader: fuse.InHeader{NodeId: id}}
				var out fuse.AttrOut
				s.GetAttr(nil, &in, &out)
			}
		}
		for _, r := range []struct {
			name string
			do   func()
		}{
			{"lookup", func() { look(d, "1") }},
			{"getattr", attr(f)},
			{"getattr-folder", attr(sub)},
			{"readdir200", func() {
				var o fuse.OpenOut
				s.OpenDir(nil, &fuse.OpenIn{InHeader: fuse.InHeader{NodeId: d}}, &o)
				in := fuse.ReadIn{InHeader: fuse.InHeader{NodeId: d}, Fh: o.Fh}
				s.ReadDir(nil, &in, fuse.NewDirEntryList(make([]byte, 1<<15), 0))
				s.ReleaseDir(&fuse.ReleaseIn{Fh: o.Fh})
			}},
			{"open", func() {
				var o fuse.OpenOut
				s.Open(nil, &fuse.OpenIn{InHeader: fuse.InHeader{NodeId: f}}, &o)
				s.Release(nil, &fuse.ReleaseIn{Fh: o.Fh})
			}},
		} {
			b.Run(r.name+"/"+who.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					r.do()
				}
			})
		}
	}
}
