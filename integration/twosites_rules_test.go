//go:build long

package integration

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// ruleFor is a rule file that gives one level on everything below to some people.
func ruleFor(level string, users ...string) string {
	return fmt.Sprintf("rules:\n- pattern: '**'\n  access:\n    %s: ['%s']\n", level, strings.Join(users, "', '"))
}

// TestGrantResends: what lay there before Rachel was let read it arrives when she is; after she is not, what is new does not, what she
// has stays, and both are told so.
func TestGrantResends(t *testing.T) {
	t.Parallel()
	p := newPeers(t, rachelIsRoot)
	report := p.owen.site("reports", "q1.txt")
	theirs := p.rachel.in(owen, "reports", "q1.txt")
	p.owen.write(report, "first version")
	p.owen.write(p.owen.site("reports", "syft.pub.yaml"), ruleFor("read", "boss@elsewhere.example"))
	p.owen.write(p.owen.site("open", "syft.pub.yaml"), ruleFor("read", rachel))
	p.owen.write(p.owen.site("open", "mark.txt"), "0")
	p.rachel.untilText(p.rachel.in(owen, "open", "mark.txt"), "0")
	p.rachel.acts.want("ENOENT", call{Op: "stat", Path: theirs})
	p.owen.saysOf("may not read", "why", rachel, "read", owen+"/reports/q1.txt")

	p.owen.write(p.owen.site("reports", "syft.pub.yaml"), ruleFor("read", "boss@elsewhere.example", rachel))
	p.rachel.untilText(theirs, "first version")
	p.rachel.acts.want("ENOENT", call{Op: "stat", Path: p.rachel.in(owen, "reports", "syft.pub.yaml")})
	p.rachel.acts.want("EACCES", call{Op: "writefile", Path: theirs, Data: []byte("mine"), Mode: 0o644})
	p.owen.until("it is told to be delivered", func() error {
		return p.owen.says("it has been delivered", "why", rachel, "read", owen+"/reports/q1.txt")
	})

	if said := p.owen.ok("unshare", owen+"/reports/q1.txt", "--with", rachel); !strings.Contains(said+p.owen.ok("unshare", "--help"), "stay") {
		t.Errorf("unshare does not tell that copies stay: %s", said)
	}
	p.owen.write(report, "second version")
	p.owen.write(p.owen.site("open", "mark.txt"), "1")
	p.rachel.untilText(p.rachel.in(owen, "open", "mark.txt"), "1")
	p.settled()
	if got := p.rachel.acts.read(theirs); got != "first version" {
		t.Errorf("after it was revoked she has %q", got)
	}
	p.owen.saysOf("what it received before stays with it", "why", rachel, "read", owen+"/reports/q1.txt")
	p.rachel.saysOf("delivered by "+owen, "why", rachel, "read", owen+"/reports/q1.txt")

	// Granted again, the version of now arrives.
	p.owen.ok("share", owen+"/reports/q1.txt", "--with", rachel, "--read")
	p.rachel.untilText(theirs, "second version")
	p.owen.stop()
	p.rachel.stop()
}

// says is nil when the program says a text, however it exits.
func (e *end) says(text string, args ...string) error {
	out, err := e.command(e.program, args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	if !strings.Contains(string(out), text) {
		return fmt.Errorf("syftfs %s does not say %q but %s", strings.Join(args, " "), text, out)
	}
	return nil
}

func (e *end) saysOf(text string, args ...string) {
	e.t.Helper()
	if err := e.says(text, args...); err != nil {
		e.t.Error(err)
	}
}

// TestProjection: who may write gets of the rule file what is about them; a change goes to the owner as a proposal, is done with the right
// of its sender, and comes back as the owner's file. What is refused says why.
func TestProjection(t *testing.T) {
	t.Parallel()
	p := newPeers(t, owenIsRoot)
	shared := func(e *end, name string) string { return e.in(owen, "shared", name) }
	p.owen.write(shared(p.owen, "note.txt"), "Owen's\n")
	p.owen.write(shared(p.owen, "syft.pub.yaml"), `rules:
- pattern: 'drop/**'
  access: {create: ['`+rachel+`'], read: ['`+rachel+`', 'boss@elsewhere.example']}
- pattern: '**'
  access: {write: ['`+rachel+`', 'boss@elsewhere.example']}
`)
	p.owen.write(shared(p.owen, "drop/old.txt"), "old\n")
	p.rachel.untilText(shared(p.rachel, "syft.pub.yaml"), rachel)
	if got := p.rachel.acts.read(shared(p.rachel, "syft.pub.yaml")); strings.Contains(got, "boss") || !strings.Contains(got, "drop/**") {
		t.Errorf("the projection: %s", got)
	}
	p.rachel.untilText(shared(p.rachel, "note.txt"), "Owen's")
	p.rachel.untilText(shared(p.rachel, "drop/old.txt"), "old")

	p.rachel.sh(`echo "Rachel's" >> "$1"`, shared(p.rachel, "note.txt"))
	p.owen.untilText(shared(p.owen, "note.txt"), "Owen's\nRachel's\n")
	p.rachel.untilState(shared(p.rachel, "note.txt"), "remote")
	p.rachel.ok("wait", owen+"/shared/note.txt", "--timeout", "1m")
	p.rachel.write(shared(p.rachel, "sub/new.txt"), "new\n")
	p.owen.untilText(shared(p.owen, "sub/new.txt"), "new")
	p.rachel.untilState(shared(p.rachel, "sub/new.txt"), "remote")
	p.rachel.sh(`mv "$1" "$2"`, shared(p.rachel, "sub/new.txt"), shared(p.rachel, "sub/moved.txt"))
	p.owen.untilText(shared(p.owen, "sub/moved.txt"), "new")
	p.owen.until("the old name is gone", func() error { return p.owen.gone(shared(p.owen, "sub/new.txt")) })
	p.rachel.untilState(shared(p.rachel, "sub/moved.txt"), "remote")
	p.rachel.sh(`rm "$1"`, shared(p.rachel, "sub/moved.txt"))
	p.owen.until("it is removed", func() error { return p.owen.gone(shared(p.owen, "sub/moved.txt")) })

	// What the projection does not grant is refused at once: to replace in drop/, to change the rules.
	p.rachel.write(shared(p.rachel, "drop/mine.txt"), "mine\n")
	p.owen.untilText(shared(p.owen, "drop/mine.txt"), "mine")
	p.rachel.refused("EACCES", call{Op: "writefile", Path: shared(p.rachel, "drop/old.txt"), Data: []byte("x"), Mode: 0o644})
	if why := p.rachel.refused("EACCES", call{Op: "writefile", Path: shared(p.rachel, "syft.pub.yaml"), Data: []byte("rules: []"), Mode: 0o644}); !strings.Contains(why, "shared/syft.pub.yaml") {
		t.Errorf("last-error: %s", why)
	}

	// Rachel writes by the projection that she has; meanwhile the owner has taken the right away.
	p.settled()
	p.drive.kill()
	p.owen.write(shared(p.owen, "syft.pub.yaml"), ruleFor("read", rachel))
	p.rachel.write(shared(p.rachel, "note.txt"), "Rachel's alone\n")
	p.rachel.write(shared(p.rachel, "late.txt"), "late\n")
	p.drive.open()
	p.rachel.until("she is told", func() error { return p.rachel.says(owen, "why", rachel, "write", owen+"/shared/late.txt") })
	p.rachel.untilState(shared(p.rachel, "late.txt"), "refused")
	if out, code := p.rachel.run("wait", owen+"/shared/late.txt", "--timeout", "1m"); code != 6 || !strings.Contains(out, "refused: ") {
		t.Errorf("wait: exit %d: %s", code, out)
	}
	p.owen.until("it is set aside with the reason", func() error { return p.owen.says("/shared/late.txt", "status") })
	if got := p.owen.acts.read(shared(p.owen, "note.txt")); got != "Owen's\nRachel's\n" {
		t.Errorf("Owen's file is %q", got)
	}
	if err := p.owen.gone(shared(p.owen, "late.txt")); err != nil {
		t.Error(err)
	}
	p.rachel.untilVersions(shared(p.rachel, ""), "Rachel's alone\n", "late\n")
	p.owen.stop()
	p.rachel.stop()
}

// TestChangesBeforeTheEcho: Rachel goes on working on a file that its owner has taken, before she hears that he has. What she did last stands.
func TestChangesBeforeTheEcho(t *testing.T) {
	t.Parallel()
	p := newPeers(t, owenIsRoot)
	at := func(e *end, name string, i int) string { return e.in(owen, "shared", fmt.Sprintf("%s%d.txt", name, i)) }
	p.owen.write(p.owen.site("shared", "syft.pub.yaml"), ruleFor("write", rachel))
	p.rachel.untilText(p.rachel.in(owen, "shared", "syft.pub.yaml"), rachel)
	const n = 8
	for i := range n {
		p.rachel.write(at(p.rachel, "new", i), "new\n")
		p.owen.untilText(at(p.owen, "new", i), "new")
		p.rachel.sh(`mv "$1" "$2"`, at(p.rachel, "new", i), at(p.rachel, "moved", i))
		p.owen.untilText(at(p.owen, "moved", i), "new")
		p.rachel.sh(`rm "$1"`, at(p.rachel, "moved", i))
	}
	p.settled()
	for _, e := range []*end{p.owen, p.rachel} {
		for i := range n {
			for _, name := range []string{"new", "moved"} {
				if err := e.gone(at(e, name, i)); err != nil {
					t.Errorf("%s: what Rachel removed is there again: %v", e.email, err)
				}
			}
		}
	}
	p.owen.stop()
	p.rachel.stop()
}

// untilVersions waits until each text is that of some file in a folder.
func (e *end) untilVersions(dir string, texts ...string) {
	e.t.Helper()
	e.until("nothing is lost in "+dir, func() error {
		var all []string
		for _, name := range e.acts.ok(call{Op: "readdir", Path: dir}).Names {
			r := e.acts.do(call{Op: "readfile", Path: dir + "/" + name})
			all = append(all, name+": "+string(r.Data))
		}
		for _, text := range texts {
			if !strings.Contains(strings.Join(all, "\x00")+"\x00", ": "+text+"\x00") {
				return fmt.Errorf("no file holds %q: %q", text, all)
			}
		}
		return nil
	})
}

// isOffline is nil when the datasite knows that Drive does (not) answer.
func (e *end) isOffline(away bool) error {
	st, err := e.status()
	if err == nil && (st.Exchange.Offline != "") != away {
		err = fmt.Errorf("offline since %q, problem %q", st.Exchange.Offline, st.Exchange.Problem)
	}
	return err
}
