//go:build long

package integration

import (
	"strings"
	"testing"
)

// TestPeersByFiles: every answer to a request, by making, moving and removing folders in .syft/peers; what is not possible says why.
func TestPeersByFiles(t *testing.T) {
	t.Parallel()
	p := newPair(t, owenIsRoot)
	p.owen.start()
	p.rachel.start()
	if why := p.rachel.refused("EPERM", call{Op: "mkdir", Path: p.rachel.peers("accepted", owen)}); !strings.Contains(why, "peers/requested/") {
		t.Errorf("last-error: %s", why)
	}
	p.rachel.acts.want("EINVAL", call{Op: "mkdir", Path: p.rachel.peers("requested", "no address")})
	// Asked, taken back, which nobody is told, asked again.
	p.rachel.acts.mkdir(p.rachel.peers("requested", owen))
	p.rachel.acts.want("EEXIST", call{Op: "mkdir", Path: p.rachel.peers("requested", owen)})
	p.owen.untilText(p.owen.peers("pending", rachel, "status"), rachel)
	p.rachel.until("it is on the Drive", func() error { return p.rachel.says("waits for its answer", "peers", "list") })
	p.rachel.acts.ok(call{Op: "rmdir", Path: p.rachel.peers("requested", owen)})
	p.rachel.until("it is forgotten", func() error { return p.rachel.gone(p.rachel.peers("requested", owen)) })
	p.rachel.acts.mkdir(p.rachel.peers("requested", owen))
	p.owen.untilText(p.owen.peers("pending", rachel, "gives"), "app_data/job/inbox/"+rachel)
	if why := p.owen.refused("EPERM", call{Op: "rmdir", Path: p.owen.peers("pending", rachel)}); !strings.Contains(why, "needs an answer") {
		t.Errorf("last-error: %s", why)
	}
	p.owen.acts.ok(call{Op: "rename", Path: p.owen.peers("pending", rachel), To: p.owen.peers("rejected", rachel)})
	p.owen.untilText(p.owen.peers("rejected", rachel, "status"), "rejected")
	// He thinks again.
	p.owen.acts.ok(call{Op: "rename", Path: p.owen.peers("rejected", rachel), To: p.owen.peers("accepted", rachel)})
	p.rachel.untilText(p.rachel.peers("accepted", owen, "status"), "accepted")
	p.rachel.until("the place for jobs", func() error { return p.rachel.there(p.rachel.in(owen, "jobs")) })
	// And once more: who was let in and is thrown out is blocked.
	p.owen.acts.ok(call{Op: "rename", Path: p.owen.peers("accepted", rachel), To: p.owen.peers("rejected", rachel)})
	p.owen.untilText(p.owen.peers("rejected", rachel, "status"), "blocked")
	p.rachel.submit(p.rachel.project("blocked"))
	p.rachel.ok("sync", "--wait")
	p.owen.ok("sync", "--wait")
	if err := p.owen.gone(p.owen.site("jobs", rachel, "blocked")); err != nil {
		t.Error(err)
	}
	p.owen.stop()
	p.rachel.stop()
}

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
			p.owen.sh(`line=$(sed -n 's/^[# ]*\(approve [^ ]*\).*/\1/p' "$1" | head -n 1) && echo "$line datasets=words" > "$1"`, p.owen.site("jobs", rachel, "first/DECISION"))
			p.owen.untilJob("first", "done")
			p.rachel.untilText(p.rachel.in(owen, "jobs/first/status"), "done")
			p.rachel.acts.want("ENOENT", call{Op: "stat", Path: p.rachel.in(owen, "jobs/first/outputs/word.txt")})
			p.owen.sh(`mv "$1" "$2"`, p.owen.site("jobs", rachel, "first/held/word.txt"), p.owen.site("jobs", rachel, "first/outputs")+"/")
			p.rachel.untilText(p.rachel.in(owen, "jobs/first/outputs/word.txt"), canary)
			// Another one is refused in the same way, and says why.
			p.rachel.submit(p.rachel.project("second"))
			p.owen.untilJob("second", "pending")
			p.owen.sh(`echo "reject one is enough" > "$1"`, p.owen.site("jobs", rachel, "second/DECISION"))
			p.rachel.untilText(p.rachel.in(owen, "jobs/second/status"), "one is enough")
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
