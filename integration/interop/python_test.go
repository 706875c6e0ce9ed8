//go:build interop

package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// client is a person with the unmodified Python client: a process that testdata/client.py makes of it, one command at a time.
type client struct {
	t     testing.TB
	email string
	home  string
	in    *json.Encoder
	out   *json.Decoder
	log   record
}

// record is what a process logged and said, in order, from several sides at once.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(b)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// args are the arguments of a command of testdata/client.py.
type args map[string]any

// newClient starts the client of email, as "owner" or "scientist", and signs in.
func newClient(t testing.TB, d *drive, role, email string) *client {
	t.Helper()
	c := &client{t: t, email: email, home: t.TempDir()}
	script, err := filepath.Abs("testdata/client.py")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tools.python, script, role, email, d.tokens[email])
	cmd.Dir = c.home
	// Nothing of this machine's own settings gets in: no other proxy, certificates or caches.
	cmd.Env = []string{
		"HOME=" + c.home, "TMPDIR=" + c.home, "LANG=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1", "COLUMNS=200",
		"PATH=" + strings.Join([]string{filepath.Dir(tools.python), filepath.Join(tools.base, "bin"), "/usr/local/bin", "/usr/bin", "/bin"}, ":"),
		"HTTPS_PROXY=" + d.url, "HTTPLIB2_CA_CERTS=" + d.ca, "REQUESTS_CA_BUNDLE=" + d.ca,
		"UV_CACHE_DIR=" + tools.cache, "UV_OFFLINE=1", "UV_PYTHON_DOWNLOADS=never", "UV_NO_PROGRESS=1",
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = &c.log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the client of %s: %v", email, err)
		}
		if t.Failed() {
			t.Logf("the client of %s said and logged:\n%s", email, &c.log)
		}
	})
	c.in, c.out = json.NewEncoder(in), json.NewDecoder(out)
	c.in.SetEscapeHTML(false)
	c.do("login", nil)
	return c
}

// do makes the client do something, which must succeed, and gives what it printed.
func (c *client) do(verb string, a args) string {
	c.t.Helper()
	said, _ := answer[json.RawMessage](c, verb, a)
	return said
}

// value is what the client answers to a command, which must succeed.
func value[T any](c *client, verb string, a args) T {
	c.t.Helper()
	_, v := answer[T](c, verb, a)
	return v
}

func answer[T any](c *client, verb string, a args) (said string, v T) {
	c.t.Helper()
	command := args{"do": verb}
	for k, v := range a {
		command[k] = v
	}
	if err := c.in.Encode(command); err != nil {
		c.t.Fatalf("the client of %s: %v", c.email, err)
	}
	var got struct {
		Value              T
		Said, Error, Trace string
	}
	if err := c.out.Decode(&got); err != nil {
		c.t.Fatalf("the client of %s, at %s: %v", c.email, verb, err)
	}
	fmt.Fprintf(&c.log, "> %s\n%s", verb, got.Said)
	if got.Error != "" {
		c.t.Fatalf("the client of %s cannot %s: %s\n%s", c.email, verb, got.Error, got.Trace)
	}
	return got.Said, got.Value
}

// site is a path in a datasite in the client's folder.
func (c *client) site(datasite string, parts ...string) string {
	return filepath.Join(append([]string{c.home, "SyftBox_" + c.email, datasite}, parts...)...)
}

// What the client tells about peers, datasets and jobs: as data, and as it shows them.
type (
	peerList struct {
		List  []struct{ Email, State string }
		Shown string
	}
	datasetShown struct {
		Name, Owner, Summary, Readme, Shown string
		Mock                                map[string]string
	}
	datasetList struct {
		List  []datasetShown
		Shown string
	}
	jobShown struct {
		Name, Status, By, Owner, Approval, Reason, Code, Stdout, Stderr, Shown string
		Outputs                                                                map[string]string
	}
	jobList struct {
		List        []jobShown
		Shown, Page string
	}
)

// words is text with every run of blanks and line ends made one blank, to compare what is shown whatever its layout.
func words(text string) string { return strings.Join(strings.Fields(text), " ") }

// shows demands that a display has all these pieces.
func shows(t testing.TB, what, shown string, pieces ...string) {
	t.Helper()
	shown = words(shown)
	for _, p := range pieces {
		if !strings.Contains(shown, p) {
			t.Errorf("%s does not show %q: %s", what, p, shown)
		}
	}
}
