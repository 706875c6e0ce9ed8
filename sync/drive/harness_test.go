package drive_test

import (
	"context"
	iofs "io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openmined/syftfs/sync/drive"
	"github.com/openmined/syftfs/sync/driveserver"
)

const (
	owen   = "owen@centre.example"
	rachel = "rachel@science.example"
)

// place is a server under test, listening on loopback.
type place struct {
	*driveserver.Server
	t   *testing.T
	url string
}

func startServer(t *testing.T) *place {
	t.Helper()
	s, err := driveserver.Open(driveserver.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		h.CloseClientConnections()
		h.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &place{Server: s, t: t, url: h.URL}
}

// shelf is a TokenStore in memory.
type shelf struct {
	mu     sync.Mutex
	files  map[string][]byte
	writes int
	fail   error
}

func (s *shelf) Read(name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := s.files[name]; ok {
		return b, nil
	}
	return nil, &iofs.PathError{Op: "open", Path: name, Err: iofs.ErrNotExist}
}

func (s *shelf) Write(_, name string, body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	s.writes++
	s.files[name] = body
	return nil
}

// token signs an account in and keeps its token.json as syft-client would have written it.
func (p *place) token(email string) *shelf {
	p.t.Helper()
	tok, err := p.IssueToken(email)
	if err != nil {
		p.t.Fatal(err)
	}
	body, err := tok.SyftJSON("")
	if err != nil {
		p.t.Fatal(err)
	}
	return &shelf{files: map[string][]byte{"token.json": body}}
}

func (p *place) credentials(s *shelf, through http.RoundTripper) *drive.Credentials {
	p.t.Helper()
	k, err := drive.OpenCredentials(s, "token.json", drive.CredentialsConfig{Endpoint: p.url, Transport: through})
	if err != nil {
		p.t.Fatal(err)
	}
	return k
}

// client signs email in, whose account is made if need be. Its requests are counted by through.
func (p *place) client(email string, through http.RoundTripper, change ...func(*drive.Config)) *drive.Client {
	p.t.Helper()
	known := false
	for _, a := range p.Accounts() {
		known = known || a.Email == email
	}
	if !known {
		if _, err := p.AddAccount(email); err != nil {
			p.t.Fatal(err)
		}
	}
	c := drive.Config{Endpoint: p.url, Tokens: p.credentials(p.token(email), through), Transport: through}
	for _, f := range change {
		f(&c)
	}
	d, err := drive.Open(p.t.Context(), c)
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

// counter counts requests by method and path.
type counter struct {
	mu   sync.Mutex
	seen []string
	bare []string // requests that do not say which fields they want
}

func (c *counter) RoundTrip(req *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.seen = append(c.seen, req.Method+" "+req.URL.Path)
	if q := req.URL.Query(); req.Method != http.MethodDelete && q.Get("fields") == "" && q.Get("alt") != "media" && q.Get("upload_id") == "" &&
		strings.HasPrefix(req.URL.Path, "/drive/v3/") {
		c.bare = append(c.bare, req.Method+" "+req.URL.Path)
	}
	c.mu.Unlock()
	return http.DefaultTransport.RoundTrip(req)
}

// take gives the requests since the last take.
func (c *counter) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.seen
	c.seen = nil
	return seen
}

func (c *counter) want(t *testing.T, what string, n int) {
	t.Helper()
	if seen := c.take(); len(seen) != n {
		t.Errorf("%s takes %d requests, want %d:\n%s", what, len(seen), n, strings.Join(seen, "\n"))
	}
}

// idleClock is a clock that waits by moving on at once.
type idleClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *idleClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *idleClock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return ctx.Err()
}
