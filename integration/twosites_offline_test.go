//go:build long

package integration

import (
	"fmt"
	"strings"
	"testing"
)

// TestOfflineFirst: with the Drive away both datasites start, everything local works and is queued; it drains when the Drive is back.
func TestOfflineFirst(t *testing.T) {
	t.Parallel()
	p := newPeers(t, owenIsRoot)
	p.owen.dataset("words", rachel)
	p.owen.write(p.owen.site("log", "syft.pub.yaml"), ruleFor("read", rachel))
	p.owen.write(p.owen.site("log", "a.txt"), "a")
	p.rachel.untilText(p.rachel.in(owen, "log", "a.txt"), "a")
	p.rachel.untilText(p.rachel.in(owen, "public/syft_datasets/words/mock.csv"), mockWord)
	p.settled()
	p.owen.stop()
	p.rachel.stop()
	p.drive.end("drive", "stop")

	p.owen.start()
	p.rachel.start()
	if got := p.rachel.acts.read(p.rachel.in(owen, "log", "a.txt")); got != "a" {
		t.Errorf("what was delivered is %q", got)
	}
	if got := strings.Join(p.owen.acts.ok(call{Op: "readdir", Path: p.owen.path("SyftBox")}).Names, " "); !strings.Contains(got, owen) {
		t.Errorf("the mount shows %s", got)
	}
	for _, e := range []*end{p.owen, p.rachel} {
		e.until("it knows that the Drive is away", func() error { return e.isOffline(true) })
		e.saysOf("Drive does not answer", "status")
	}
	if out, code := p.rachel.run("sync", "--wait"); code == 0 || !strings.Contains(out, "is kept, and is sent when it does") {
		t.Errorf("sync --wait: exit %d: %s", code, out)
	}
	for i := range 30 {
		p.owen.write(p.owen.site("log", fmt.Sprintf("%02d.txt", i)), fmt.Sprint(i))
	}
	p.owen.sh(`rm "$1" && mv "$2" "$3" && mkdir "$4" && mv "$3" "$4/"`, p.owen.site("log/a.txt"), p.owen.site("log/00.txt"), p.owen.site("log/zero.txt"), p.owen.site("log/deep"))
	p.owen.write(p.owen.site("log", "01.txt"), "one, the last version")
	p.owen.ok("dataset", "share", "words", "any")
	p.owen.untilState(p.owen.site("log", "02.txt"), "queued")
	if out, code := p.owen.run("wait", owen+"/log/02.txt", "--timeout", "100ms"); code != 75 {
		t.Errorf("wait: exit %d: %s", code, out)
	}
	p.rachel.submit(p.rachel.project("offline"))
	p.rachel.until("the job is sealed", func() error {
		text, err := p.rachel.text(p.rachel.in(owen, "jobs/offline/status"))
		if err == nil && strings.Contains(text, "draft") {
			err = fmt.Errorf("it is %q", text)
		}
		return err
	})
	p.rachel.acts.mkdir(p.rachel.peers("requested", rowan))
	p.rachel.untilText(p.rachel.peers("requested", rowan, "status"), "waits for Drive")
	// What is queued survives a kill.
	p.owen.kill()
	p.owen.start()

	p.drive.open()
	p.owen.untilJob("offline", "pending")
	p.rachel.untilText(p.rachel.in(owen, "jobs/offline/status"), "pending")
	p.rachel.untilText(p.rachel.in(owen, "log/deep/zero.txt"), "0")
	p.settled()
	p.same("log")
	for _, e := range []*end{p.owen, p.rachel} {
		e.until("it knows that the Drive is back", func() error { return e.isOffline(false) })
	}
	p.rachel.until("the request is made", func() error {
		if found := p.drive.user(rowan).find("name contains 'syft_datasite'"); len(found) < 2 {
			return fmt.Errorf("Rowan sees %v", found)
		}
		return nil
	})
	p.owen.stop()
	p.rachel.stop()
}

// same checks that both have the same in a folder of Owen's, but for rule files.
func (p *pair) same(dir string) {
	p.t.Helper()
	list := `cd "$1" && find . -type f ! -name 'syft.pub.yaml' | sort | xargs -r sha256sum`
	ours, theirs := p.owen.sh(list, p.owen.in(owen, dir)), p.rachel.sh(list, p.rachel.in(owen, dir))
	if ours != theirs {
		p.t.Errorf("Owen has\n%sRachel has\n%s", ours, theirs)
	}
}

// TestConflict: both change one file while they cannot hear of each other. Both contents are kept, and told of, until a person decides.
func TestConflict(t *testing.T) {
	t.Parallel()
	p := newPeers(t, rachelIsRoot)
	dir := func(e *end) string { return e.in(owen, "both") }
	p.owen.write(dir(p.owen)+"/syft.pub.yaml", ruleFor("write", rachel))
	p.owen.write(dir(p.owen)+"/plan.md", "agreed\n")
	p.rachel.untilText(dir(p.rachel)+"/plan.md", "agreed")
	p.rachel.untilText(dir(p.rachel)+"/syft.pub.yaml", rachel)
	p.settled()
	p.drive.kill()
	p.owen.write(dir(p.owen)+"/plan.md", "Owen's plan\n")
	p.rachel.write(dir(p.rachel)+"/plan.md", "Rachel's plan\n")
	p.rachel.kill() // Owen's version is there first
	p.drive.open()
	p.owen.ok("wait", owen+"/both/plan.md", "--timeout", "1m")
	p.rachel.start()

	p.rachel.untilText(dir(p.rachel)+"/plan.md", "Owen's plan")
	p.rachel.untilVersions(dir(p.rachel), "Owen's plan\n", "Rachel's plan\n")
	p.rachel.untilText(p.rachel.syft("conflicts"), "/"+owen+"/both/plan.md")
	p.rachel.untilState(dir(p.rachel)+"/plan.md", "conflict")
	list := ask[[]struct{ Path, Copy, By string }](p.rachel.host, "sync", "conflicts")
	if len(list) != 1 || list[0].Path != owen+"/both/plan.md" || list[0].By != owen {
		t.Fatalf("the conflicts are %+v", list)
	}
	if got := p.rachel.acts.read(p.rachel.path("SyftBox", list[0].Copy)); got != "Rachel's plan\n" {
		t.Errorf("the copy holds %q", got)
	}
	p.rachel.saysOf("see .syft/conflicts", "status")
	if got := p.owen.acts.read(dir(p.owen) + "/plan.md"); got != "Owen's plan\n" {
		t.Errorf("Owen has %q", got)
	}

	// She decides: her plan it is, in the place of the file.
	p.rachel.sh(`mv "$1" "$2"`, p.rachel.path("SyftBox", list[0].Copy), dir(p.rachel)+"/plan.md")
	p.owen.untilText(dir(p.owen)+"/plan.md", "Rachel's plan")
	p.rachel.untilText(p.rachel.syft("conflicts"), "no conflicts")
	p.rachel.untilState(dir(p.rachel)+"/plan.md", "remote")
	p.settled()
	p.same("both")
	p.owen.stop()
	p.rachel.stop()
}

// TestBrake: when very many files are gone at once nothing is sent before a person agrees.
func TestBrake(t *testing.T) {
	t.Parallel()
	p := newPeers(t, owenIsRoot)
	p.owen.write(p.owen.site("many", "syft.pub.yaml"), ruleFor("read", rachel))
	for i := range 60 {
		p.owen.write(p.owen.site("many", fmt.Sprintf("%02d.txt", i)), fmt.Sprint(i))
	}
	p.rachel.until("they arrive", func() error { return p.rachel.there(p.rachel.in(owen, "many/59.txt")) })
	p.settled()
	p.same("many")
	p.owen.stop()
	// Somebody, or a disk, took them away while nothing was running.
	p.owen.sh(`mkdir "$2" && mv "$1"/*.txt "$2/"`, p.owen.backing("many"), p.owen.path("saved"))
	p.owen.start()
	p.owen.until("the brake", func() error { return p.owen.says("60 ", "status") })
	p.owen.saysOf("sync release", "status")
	p.rachel.ok("sync", "--wait")
	p.has(60)

	// Put back, it lets go by itself; and once more with what is meant.
	p.owen.sh(`mv "$2"/*.txt "$1/"`, p.owen.site("many"), p.owen.path("saved"))
	p.owen.until("the brake lets go", func() error {
		if err := p.owen.says("sync release", "status"); err == nil {
			return fmt.Errorf("it is still on")
		}
		return nil
	})
	p.settled()
	p.same("many")
	p.owen.stop()
	p.owen.sh(`rm "$1"/*.txt`, p.owen.backing("many"))
	p.owen.start()
	p.owen.until("the brake", func() error { return p.owen.says("sync release", "status") })
	p.has(60)
	p.owen.ok("sync", "release")
	p.rachel.until("they are gone", func() error {
		if names := p.rachel.acts.do(call{Op: "readdir", Path: p.rachel.in(owen, "many")}).Names; len(names) > 0 {
			return fmt.Errorf("there are %q", names)
		}
		return nil
	})
	p.owen.stop()
	p.rachel.stop()
}

// has checks that Rachel still has n files in many/.
func (p *pair) has(n int) {
	p.t.Helper()
	if names := p.rachel.acts.ok(call{Op: "readdir", Path: p.rachel.in(owen, "many")}).Names; len(names) != n {
		p.t.Errorf("Rachel has %d files", len(names))
	}
}

// TestDeleteAndRemove: what stays and what goes when a dataset is deleted, and when a peer is no peer any more.
func TestDeleteAndRemove(t *testing.T) {
	t.Parallel()
	p := newPeers(t, rachelIsRoot)
	p.owen.dataset("words", rachel)
	set := func(e *end) string { return e.in(owen, "public/syft_datasets/words") }
	p.rachel.untilText(set(p.rachel)+"/mock.csv", mockWord)
	p.owen.write(p.owen.site("open", "syft.pub.yaml"), ruleFor("read", rachel))
	p.owen.write(p.owen.site("open", "a.txt"), "a")
	p.rachel.untilText(p.rachel.in(owen, "open/a.txt"), "a")
	p.rachel.submit(p.rachel.project("kept"))
	p.owen.untilJob("kept", "pending")

	// unshare: delivered copies stay; deleted: gone at both, but for the private part.
	p.owen.saysOf("stay", "dataset", "unshare", "words", rachel)
	p.owen.saysOf("breast", "dataset", "delete", "--help")
	if out, code := p.owen.run("dataset", "delete", "words"); code == 0 || !strings.Contains(out, "--yes") {
		t.Errorf("dataset delete without --yes: exit %d: %s", code, out)
	}
	p.owen.saysOf("private part stays in "+owen+"/private/syft_datasets/words", "dataset", "delete", "words", "--yes")
	if err := p.owen.gone(set(p.owen)); err != nil {
		t.Error(err)
	}
	if got := p.owen.acts.read(p.owen.site("private/syft_datasets/words/real.csv")); !strings.Contains(got, canary) {
		t.Errorf("the private part is %q", got)
	}
	p.owen.until("its collection is gone from the Drive", func() error {
		if left := p.drive.user(rachel).find("name contains 'syft_datasetcollection_words' and trashed = false"); len(left) > 0 {
			return fmt.Errorf("Rachel sees %v", left)
		}
		return nil
	})

	p.owen.ok("peers", "remove", rachel)
	p.owen.write(p.owen.site("open", "a.txt"), "changed")
	p.owen.write(p.owen.site("open", "b.txt"), "b")
	p.owen.until("she is forgotten, or asks again", func() error { return p.owen.gone(p.owen.peers("accepted", rachel)) })
	p.owen.ok("sync", "--wait")
	p.rachel.ok("sync", "--wait")
	if got := p.rachel.acts.read(p.rachel.in(owen, "open/a.txt")); got != "a" {
		t.Errorf("Rachel has %q", got)
	}
	p.rachel.acts.want("ENOENT", call{Op: "stat", Path: p.rachel.in(owen, "open/b.txt")})
	if got := p.owen.acts.read(p.owen.site("open", "syft.pub.yaml")); !strings.Contains(got, rachel) {
		t.Errorf("the rule file is %q", got)
	}
	if err := p.owen.isJob("kept", "pending"); err != nil {
		t.Errorf("the job that she submitted: %v", err)
	}
	p.rachel.until("the status tells how it stands", func() error { return p.rachel.says(owen, "peers", "list") })

	// Accepted again, what was missed arrives.
	p.owen.until("she asks again", func() error { return p.owen.there(p.owen.peers("pending", rachel)) })
	p.owen.ok("peers", "accept", rachel, "--yes")
	p.rachel.untilText(p.rachel.in(owen, "open/a.txt"), "changed")
	p.rachel.untilText(p.rachel.in(owen, "open/b.txt"), "b")
	p.owen.stop()
	p.rachel.stop()
}
