//go:build long

package integration

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openmined/syftfs/integration/mountns"
	"golang.org/x/sys/unix"
)

// TestNotADrive: an address where something else answers, and one where nothing does.
func TestNotADrive(t *testing.T) {
	t.Parallel()
	d := newDrive(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "<html>Welcome to nginx!</html>")
	})}
	served := make(chan error, 1)
	go func() { served <- web.Serve(l) }()
	t.Cleanup(func() {
		web.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	key, err := os.ReadFile(d.token(owen))
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []struct {
		name, email, drive, token string
		says                      []string
	}{
		{"web-page", owen, "local:http://" + l.Addr().String(), "token.json", []string{"is not a Drive", "syftfs auth"}},
		{"scheme", owen, "local:ftp://x", "token.json", []string{"give http://HOST:PORT"}},
		{"nonsense", owen, "nonsense", "token.json", []string{"google", "local:"}},
		{"no-token", owen, "local:" + d.url, "none.json", []string{"none.json"}},
		{"no-json", owen, "local:" + d.url, "nonsense.json", []string{"nonsense.json"}},
		{"of-another", rachel, "local:" + d.url, "token.json", []string{owen, "syftfs auth"}},
	} {
		t.Run(bad.name, func(t *testing.T) {
			h := newHost(t, nil)
			for name, text := range map[string][]byte{"token.json": key, "nonsense.json": []byte("{")} {
				if err := os.WriteFile(h.path(name), text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			out, code := h.run("init", "--email", bad.email, "--drive", bad.drive, "--token", bad.token)
			for _, text := range append(bad.says, "is not connected to a Drive yet") {
				if !strings.Contains(out, text) {
					t.Errorf("it does not say %q: %s", text, out)
				}
			}
			made, err := filepath.Glob(h.path(".state", "syftfs", "*", "config.yaml"))
			if code == 0 || err != nil || len(made) != 1 {
				t.Errorf("exit %d: %s: there are %q, %v", code, out, made, err)
			}
			for _, file := range made {
				if text, err := os.ReadFile(file); err != nil || strings.Contains(string(text), "at: http") {
					t.Errorf("it is connected: %s, %v", text, err)
				}
			}
		})
	}
}

// TestSignInEnds: the Drive knows the account no more. Local work goes on, the status tells what to do; signed in again, all goes on.
func TestSignInEnds(t *testing.T) {
	t.Parallel()
	p := newPair(t, owenIsRoot)
	p.owen.start()
	p.owen.write(p.owen.site("public", "a.txt"), "a")
	p.owen.ok("sync", "--wait")
	p.drive.ok("drive", "accounts", "remove", owen, "--yes")
	p.owen.write(p.owen.site("public", "b.txt"), "b")
	p.owen.until("it says that the sign-in is no more", func() error { return p.owen.says("syftfs auth", "status") })
	if out, code := p.owen.run("sync", "--wait"); code == 0 || !strings.Contains(out, "syftfs auth") {
		t.Errorf("sync --wait: exit %d: %s", code, out)
	}
	if got := p.owen.acts.read(p.owen.site("public", "b.txt")); got != "b" {
		t.Errorf("b.txt is %q", got)
	}
	p.owen.stop()
	// It is down and up all the same, and the account is there again, empty.
	p.owen.start()
	p.owen.write(p.owen.site("public", "c.txt"), "c")
	p.owen.stop()
	if err := os.Remove(p.drive.token(owen)); err != nil {
		t.Fatal(err)
	}
	p.drive.add(owen)
	b, err := os.ReadFile(p.drive.token(owen))
	if err == nil {
		err = os.WriteFile(p.owen.path("again.json"), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.owen.ok("auth", "local:"+p.drive.url, "--token", "again.json")
	p.owen.start()
	p.rachel.start()
	p.befriend()
	p.owen.write(p.owen.site("public", "syft.pub.yaml"), ruleFor("read", rachel))
	for _, name := range []string{"a", "b", "c"} {
		p.rachel.untilText(p.rachel.in(owen, "public", name+".txt"), name)
	}
	p.owen.stop()
	p.rachel.stop()
}

// TestFullDisk: the disk of one end is full. What cannot be kept is refused or waits at the other end, and says so; nothing is lost, and
// with room again all goes on. An ordinary user meets the same errno; only root can make a disk for a test.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return
	}
	const disk = 64 << 20
	t.Run("scientist", func(t *testing.T) {
		t.Parallel()
		p := &pair{t: t, drive: newDrive(t)}
		u, err := mountns.Unprivileged()
		if err != nil {
			t.Fatal(err)
		}
		p.owen, p.rachel = p.drive.newEnd(t, nil, owen), p.drive.newEndOn(t, &u, rachel, disk)
		p.owen.start()
		p.rachel.start()
		p.befriend()
		p.owen.write(p.owen.site("big", "syft.pub.yaml"), ruleFor("read", rachel))
		p.owen.write(p.owen.site("big", "small.txt"), "small")
		p.rachel.untilText(p.rachel.in(owen, "big/small.txt"), "small")
		empty := fillUp(t, p.rachel.home)
		p.rachel.acts.want("ENOSPC", call{Op: "writefile", Path: p.rachel.site("note.txt"), Data: make([]byte, 1<<20), Mode: 0o644})
		p.owen.sh(`head -c 8000000 /dev/urandom > "$1"`, p.owen.site("big/data.bin"))
		p.owen.ok("wait", owen+"/big/data.bin", "--timeout", "1m")
		p.rachel.until("she is told that the disk is full", func() error { return p.rachel.says("the disk is full", "status") })
		if got := p.rachel.acts.read(p.rachel.in(owen, "big/small.txt")); got != "small" {
			t.Errorf("what was there is %q", got)
		}
		empty()
		p.rachel.until("it arrives", func() error {
			p.rachel.ok("sync", "--wait") // the room is noticed by and by
			return p.rachel.there(p.rachel.in(owen, "big/data.bin"))
		})
		p.settled()
		p.same("big")
		p.owen.stop()
		p.rachel.stop()
	})
	t.Run("owner", func(t *testing.T) {
		t.Parallel()
		p := &pair{t: t, drive: newDrive(t)}
		p.owen, p.rachel = p.drive.newEndOn(t, nil, owen, disk), p.drive.newEnd(t, nil, rachel)
		p.owen.start()
		p.rachel.start()
		p.befriend()
		p.owen.dataset("words", rachel)
		p.settled()
		empty := fillUp(t, p.owen.home)
		p.owen.acts.want("ENOSPC", call{Op: "writefile", Path: p.owen.site("note.txt"), Data: make([]byte, 1<<20), Mode: 0o644})
		p.rachel.submit(p.rachel.project("waits"))
		p.owen.until("he is told that the disk is full", func() error { return p.owen.says("no space left on device", "status") })
		empty()
		p.owen.until("it arrives", func() error {
			p.owen.ok("sync", "--wait") // the room is noticed by and by
			return p.owen.there(p.owen.site("jobs", rachel, "waits"))
		})
		p.owen.untilJob("waits", "pending")
		p.owen.approve("waits")
		p.owen.untilJob("waits", "done")
		p.owen.ok("job", "release", "waits")
		p.rachel.untilText(p.rachel.in(owen, "jobs/waits/outputs/word.txt"), canary)
		p.owen.stop()
		p.rachel.stop()
	})
}

// fillUp fills a file system until nothing more goes in; the function that it gives makes room again.
func fillUp(t *testing.T, dir string) (empty func()) {
	t.Helper()
	name := filepath.Join(dir, "ballast")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, unix.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}
