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
	h := newHost(t, nil)
	b, err := os.ReadFile(d.token(owen))
	if err == nil {
		err = os.WriteFile(h.path("token.json"), b, 0o600)
	}
	if err == nil {
		err = os.WriteFile(h.path("nonsense.json"), []byte("{"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []struct{ args, says string }{
		{"--drive local:http://" + l.Addr().String() + " --token token.json", "Drive"},
		{"--drive local:ftp://x --token token.json", "http"},
		{"--drive nonsense --token token.json", "google"},
		{"--drive local:" + d.url + " --token none.json", "none.json"},
		{"--drive local:" + d.url + " --token nonsense.json", "nonsense.json"},
	} {
		args := append([]string{"init", "--email", owen}, strings.Fields(bad.args)...)
		if out, code := h.run(args...); code == 0 || !strings.Contains(out, bad.says) || strings.Contains(out, "goroutine") {
			t.Errorf("syftfs %s: exit %d: %s", strings.Join(args, " "), code, out)
		}
		if left, err := filepath.Glob(h.path(".state", "syftfs", "*", "config.yaml")); err != nil || len(left) > 0 {
			t.Fatalf("after syftfs %s there are %q, %v", strings.Join(args, " "), left, err)
		}
	}
	// Somebody else's sign-in is refused where it can be seen.
	if out, code := h.run("init", "--email", rachel, "--drive", "local:"+d.url, "--token", "token.json"); code == 0 || !strings.Contains(out, owen) {
		t.Errorf("a token of another: exit %d: %s", code, out)
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
