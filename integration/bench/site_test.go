// Package bench measures the built program from outside: two datasites with real mounts, and the local Drive that counts their requests. It
// knows the command line and files, and imports nothing of this module but the mount namespace of tests. Nobody imports it.
package bench

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/openmined/syftfs/integration/mountns"
	"golang.org/x/sys/unix"
)

const (
	owen     = "owen@cancer-research.example"
	rachel   = "rachel@datascience.example"
	patience = 3 * time.Minute
)

// binaries is where the built program lies.
var binaries string

func TestMain(m *testing.M) {
	mountns.MainWith(m, func() (teardown func(), err error) {
		binaries, err = os.MkdirTemp("", "syftfs-bench-")
		return func() { os.RemoveAll(binaries) }, err
	})
}

// built is the program, made once, and only when something is measured.
var built = sync.OnceValues(func() (string, error) {
	file := filepath.Join(binaries, "syftfs")
	if out, err := exec.Command("go", "build", "-o", file, "../../cmd/syftfs").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return file, nil
})

// machine is a computer with the built program on it, which serves one thing at a time.
type machine struct {
	b       *testing.B
	home    string
	email   string
	program string
	serving *exec.Cmd
	said    bytes.Buffer
}

func newMachine(b *testing.B) *machine {
	b.Helper()
	program, err := built()
	if err != nil {
		b.Fatal(err)
	}
	m := &machine{b: b, home: b.TempDir(), program: program}
	if err := os.Mkdir(m.path(".run"), 0o700); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(m.end)
	return m
}

func (m *machine) path(parts ...string) string {
	return filepath.Join(append([]string{m.home}, parts...)...)
}

// in is a path in a datasite in the mount.
func (m *machine) in(datasite string, parts ...string) string {
	return m.path(append([]string{"SyftBox", datasite}, parts...)...)
}

func (m *machine) command(args ...string) *exec.Cmd {
	cmd := exec.Command(m.program, args...)
	cmd.Dir = m.home
	cmd.Env = append(os.Environ(), "HOME="+m.home, "XDG_STATE_HOME="+m.path(".state"), "XDG_RUNTIME_DIR="+m.path(".run"), "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

func (m *machine) ok(args ...string) []byte {
	m.b.Helper()
	out, err := m.command(args...).CombinedOutput()
	if err != nil {
		m.b.Fatalf("syftfs %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return out
}

// serve starts a command that goes on, and waits for its first line.
func (m *machine) serve(ready string, args ...string) {
	m.b.Helper()
	cmd := m.command(args...)
	cmd.Stderr = &m.said
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		m.b.Fatal(err)
	}
	r := bufio.NewReader(out)
	if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, ready) {
		m.b.Fatalf("syftfs %s says %q: %v", strings.Join(args, " "), line, err)
	}
	go func() { _, _ = io.Copy(io.Discard, r) }() // it says nothing more, and ends with the program
	m.serving = cmd
}

// end ends what is served, and its mount.
func (m *machine) end() {
	if m.serving == nil {
		return
	}
	if err := m.serving.Process.Signal(syscall.SIGTERM); err != nil {
		m.b.Error(err)
	}
	if err := m.serving.Wait(); err != nil {
		m.b.Errorf("%v: %s", err, &m.said)
	}
	m.serving = nil
	if m.email != "" {
		_ = unix.Unmount(m.path("SyftBox"), unix.MNT_DETACH) // it is gone already if all went well
	}
}

// until looks again and again until cond is nil.
func (m *machine) until(what string, cond func() error) {
	m.b.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := cond()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			m.b.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}

func (m *machine) untilText(file, text string) {
	m.b.Helper()
	m.until(file, func() error {
		got, err := os.ReadFile(file)
		if err == nil && !strings.Contains(string(got), text) {
			err = fmt.Errorf("it holds %q", got)
		}
		return err
	})
}

func (m *machine) write(file, text string) {
	m.b.Helper()
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	if err == nil {
		err = os.WriteFile(file, []byte(text), 0o644)
	}
	if err != nil {
		m.b.Fatal(err)
	}
}

// world is a Drive, and the datasites that exchange over it.
type world struct {
	*machine
	url string
}

func newWorld(b *testing.B) *world {
	b.Helper()
	w := &world{machine: newMachine(b)}
	w.serve("Serving", "drive", "serve", "--listen", "127.0.0.1:0")
	var a struct{ Data struct{ Address string } }
	if err := json.Unmarshal(w.ok("drive", "status", "--json"), &a); err != nil {
		b.Fatal(err)
	}
	w.url = a.Data.Address
	return w
}

// site makes a datasite with every default but short settle times, and starts it.
func (w *world) site(email string) *machine {
	w.b.Helper()
	m := newMachine(w.b)
	m.email = email
	w.ok("drive", "accounts", "add", email, "--token", m.path("token.json"))
	m.ok("init", "--email", email, "--drive", "local:"+w.url, "--token", "token.json")
	config := m.path(".state", "syftfs", strings.Replace(email, "@", "-", 1), "config.yaml")
	text, err := os.ReadFile(config)
	if err == nil {
		err = os.WriteFile(config, bytes.Replace(text, []byte("bare_settle: 5s"), []byte("bare_settle: "+settle.String()), 1), 0o600)
	}
	if err != nil {
		w.b.Fatal(err)
	}
	m.serve("Up:", "up")
	return m
}

// settle is how long a copied job lies still before it is sealed.
const settle = 500 * time.Millisecond

// befriend makes asking a peer of asked.
func befriend(asking, asked *machine) {
	asking.b.Helper()
	peers := func(m *machine, parts ...string) string {
		return m.path(append([]string{"SyftBox", ".syft", "peers"}, parts...)...)
	}
	if err := os.Mkdir(peers(asking, "requested", asked.email), 0o755); err != nil {
		asking.b.Fatal(err)
	}
	asked.until("it asks", func() error { _, err := os.Stat(peers(asked, "pending", asking.email)); return err })
	if err := os.Rename(peers(asked, "pending", asking.email), peers(asked, "accepted", asking.email)); err != nil {
		asking.b.Fatal(err)
	}
	asking.until("it is accepted", func() error { _, err := os.Stat(asking.in(asked.email, "jobs")); return err })
}

// counted is what the Drive counted for one account: questions for what is new, and everything else.
type counted struct{ questions, others int }

func (w *world) counts() map[string]counted {
	w.b.Helper()
	var a struct {
		Data map[string]struct{ Requests map[string]int }
	}
	if err := json.Unmarshal(w.ok("drive", "stats", "--json"), &a); err != nil {
		w.b.Fatal(err)
	}
	all := map[string]counted{}
	for who, n := range a.Data {
		var c counted
		for method, k := range n.Requests {
			if method == "changes.list" {
				c.questions += k
			} else {
				c.others += k
			}
		}
		all[who] = c
	}
	return all
}

// quiet waits until every datasite has asked a few times and done nothing else, and gives the counts.
func (w *world) quiet(sites ...*machine) map[string]counted {
	w.b.Helper()
	since := w.counts()
	w.until("nothing more happens", func() error {
		now := w.counts()
		done := true
		for _, m := range sites {
			done = done && now[m.email].questions >= since[m.email].questions+4
			if now[m.email].others != since[m.email].others {
				since = now
				return fmt.Errorf("%s is at work", m.email)
			}
		}
		if !done {
			return fmt.Errorf("not long enough")
		}
		return nil
	})
	return w.counts()
}
