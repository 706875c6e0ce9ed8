//go:build interop

package interop

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/openmined/syftfs/sync/driveserver"
)

// drive is a local drive with an account for Owen and one for Rachel.
type drive struct {
	url    string
	ca     string            // the certificate of its proxy
	tokens map[string]string // token files, by address
}

// openDrive serves a store from the test's own process.
func openDrive(t testing.TB) *drive {
	t.Helper()
	s, err := driveserver.Open(driveserver.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background(), l) }()
	d := &drive{url: "http://" + l.Addr().String(), ca: s.CAFile(), tokens: map[string]string{}}
	t.Cleanup(func() {
		if n := s.Stats()[""]; n.Total() > 0 {
			t.Errorf("requests that nobody was signed in for: %+v", n)
		}
		for email, n := range s.Stats() {
			for status, count := range n.Statuses {
				if status >= 400 {
					t.Errorf("%s was answered %d %d times", email, status, count)
				}
			}
		}
		if wrong, err := s.Check(context.Background()); err != nil || len(wrong) > 0 {
			t.Errorf("the store: %v %v", wrong, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	for _, email := range []string{owen, rachel} {
		if _, err := s.AddAccount(email); err != nil {
			t.Fatal(err)
		}
		tok, err := s.IssueToken(email)
		if err != nil {
			t.Fatal(err)
		}
		text, err := tok.SyftJSON("")
		if err != nil {
			t.Fatal(err)
		}
		d.tokens[email] = write(t, string(text), t.TempDir(), "token.json")
	}
	return d
}

// serveDrive has the built program serve a store, as a person does.
func serveDrive(t testing.TB) *drive {
	t.Helper()
	m := newMachine(t)
	dir := m.path("drive")
	cmd := m.command(m.program, "drive", "serve", "--dir", dir, "--listen", "127.0.0.1:0", "--json")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("syftfs drive serve: %v", err)
		}
		if out, err := m.command(m.program, "drive", "check", "--dir", dir).CombinedOutput(); err != nil {
			t.Errorf("syftfs drive check: %v: %s", err, out)
		}
	})
	var served struct {
		Data struct{ Address, CA string }
	}
	if err := json.NewDecoder(out).Decode(&served); err != nil {
		t.Fatalf("syftfs drive serve: %v", err)
	}
	d := &drive{url: served.Data.Address, ca: served.Data.CA, tokens: map[string]string{}}
	for _, email := range []string{owen, rachel} {
		d.tokens[email] = filepath.Join(m.path(email + ".json"))
		m.ok("drive", "accounts", "add", email, "--dir", dir, "--token", d.tokens[email])
	}
	return d
}
