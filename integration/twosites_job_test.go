//go:build long

package integration

import (
	"strings"
	"testing"
)

// TestTwoSites is the whole way of a job between two machines, by files: what arrives where, what is seen of it, and what never leaves.
func TestTwoSites(t *testing.T) {
	t.Parallel()
	for name, root := range map[string]int{"owner-is-root": owenIsRoot, "scientist-is-root": rachelIsRoot} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPeers(t, root)
			p.owen.dataset("words", rachel)
			mock := p.rachel.in(owen, "public/syft_datasets/words/mock.csv")
			p.rachel.untilText(mock, mockWord)
			p.rachel.acts.want("ENOENT", call{Op: "stat", Path: p.rachel.in(owen, "private")})

			// A watcher in a file manager sees what arrives from elsewhere, as if it were made here.
			p.owen.write(p.owen.site("notes", "syft.pub.yaml"), "rules:\n- pattern: '**'\n  access:\n    read: ['"+rachel+"']\n")
			p.owen.write(p.owen.site("notes", "first.txt"), "first")
			p.rachel.untilText(p.rachel.in(owen, "notes", "first.txt"), "first")
			w := p.rachel.watch(p.rachel.in(owen, "notes"))
			p.owen.write(p.owen.site("notes", "second.txt"), "second")
			p.rachel.untilSeen(w, "second.txt")
			if got := p.rachel.acts.read(p.rachel.in(owen, "notes", "second.txt")); got != "second" {
				t.Errorf("second.txt holds %q", got)
			}
			p.rachel.untilState(p.rachel.in(owen, "notes", "second.txt"), "remote")
			p.owen.untilState(p.owen.site("notes", "second.txt"), "synced")
			p.owen.untilState(p.owen.site("private/syft_datasets/words/real.csv"), "local")

			p.rachel.submit(p.rachel.project("first"))
			p.rachel.untilText(p.rachel.in(owen, "jobs/first/status"), "pending")
			p.owen.untilJob("first", "pending")
			p.owen.approve("first")
			p.owen.untilJob("first", "done")
			p.rachel.untilText(p.rachel.in(owen, "jobs/first/status"), "done")
			p.rachel.acts.want("ENOENT", call{Op: "stat", Path: p.rachel.in(owen, "jobs/first/outputs/word.txt")})
			p.owen.sh(`mv "$1" "$2"`, p.owen.site("jobs", rachel, "first/held/word.txt"), p.owen.site("jobs", rachel, "first/outputs")+"/")
			p.rachel.untilText(p.rachel.in(owen, "jobs/first/outputs/word.txt"), canary)
			// Released results are all that left of the private data.
			found := p.rachel.sh(`grep -rl "$1" "$HOME/SyftBox_$2" || true`, canary, rachel)
			for _, file := range strings.Fields(found) {
				if !strings.HasSuffix(file, "/first/outputs/word.txt") {
					t.Errorf("private data is in %s", file)
				}
			}
			p.owen.stop()
			p.rachel.stop()
			if left := append(p.owen.mounts(), p.rachel.mounts()...); len(left) > 0 {
				t.Errorf("left mounted: %q", left)
			}
		})
	}
}
