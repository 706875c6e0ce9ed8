package driveserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openmined/syftfs/sync/driveserver"
	"golang.org/x/oauth2"
	gdrive "google.golang.org/api/drive/v3"
	"google.golang.org/api/option"
)

// clock is a time that stands still until it is moved.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// drive is a server under test, listening on loopback.
type drive struct {
	*driveserver.Server
	t     testing.TB
	dir   string
	clock *clock
	http  *httptest.Server
	fault interface{ Before(string) error }
}

func start(t testing.TB) *drive { return startAt(t, newClock()) }

func startAt(t testing.TB, c *clock) *drive {
	d := &drive{t: t, dir: t.TempDir(), clock: c}
	d.open()
	t.Cleanup(d.close)
	return d
}

func (d *drive) open() {
	d.t.Helper()
	s, err := driveserver.Open(driveserver.Config{Dir: d.dir, Now: d.clock.now, Fault: d.fault})
	if err != nil {
		d.t.Fatal(err)
	}
	d.Server = s
	d.http = httptest.NewServer(s.Handler())
}

func (d *drive) close() {
	d.http.CloseClientConnections()
	d.http.Close()
	if err := d.Server.Close(); err != nil {
		d.t.Error(err)
	}
}

// restart closes the store and opens it again, at another address.
func (d *drive) restart() {
	d.t.Helper()
	d.close()
	d.open()
}

// person is an account with a token, and the real Go client on it.
type person struct {
	*gdrive.Service
	d     *drive
	email string
	token string
}

func (d *drive) person(email string) *person {
	d.t.Helper()
	if _, err := d.AddAccount(email); err != nil {
		d.t.Fatal(err)
	}
	return d.signIn(email)
}

func (d *drive) signIn(email string, scopes ...string) *person {
	d.t.Helper()
	tok, err := d.IssueToken(email, scopes...)
	if err != nil {
		d.t.Fatal(err)
	}
	p := &person{d: d, email: email, token: tok.Access}
	p.connect()
	return p
}

// connect makes the client again, after a restart of the server.
func (p *person) connect() {
	p.d.t.Helper()
	src := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: p.token})
	var err error
	p.Service, err = gdrive.NewService(context.Background(), option.WithEndpoint(p.d.http.URL+"/drive/v3/"), option.WithTokenSource(src))
	if err != nil {
		p.d.t.Fatal(err)
	}
}

func (p *person) folder(name string, parents ...string) string {
	p.d.t.Helper()
	f, err := p.Files.Create(&gdrive.File{Name: name, MimeType: "application/vnd.google-apps.folder", Parents: parents}).Fields("id").Do()
	if err != nil {
		p.d.t.Fatal(err)
	}
	return f.Id
}

func (p *person) file(name, body string, parents ...string) string {
	p.d.t.Helper()
	f, err := p.Files.Create(&gdrive.File{Name: name, Parents: parents}).Media(strings.NewReader(body)).Fields("id").Do()
	if err != nil {
		p.d.t.Fatal(err)
	}
	return f.Id
}

func (p *person) share(id, email, role string) string {
	p.d.t.Helper()
	g, err := p.Permissions.Create(id, &gdrive.Permission{Type: "user", Role: role, EmailAddress: email}).SendNotificationEmail(false).Do()
	if err != nil {
		p.d.t.Fatal(err)
	}
	return g.Id
}

func (p *person) content(id string) (string, error) {
	resp, err := p.Files.Get(id).Download()
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	return string(raw), err
}

// answer is what a raw request got.
type answer struct {
	code   int
	header http.Header
	body   string
}

func (a answer) json(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v in %q", err, a.body)
	}
	return v
}

// reason is the reason of an error answer.
func (a answer) reason(t testing.TB) string {
	t.Helper()
	var v struct {
		Error struct {
			Errors []struct{ Reason string }
		}
	}
	if err := json.Unmarshal([]byte(a.body), &v); err != nil || len(v.Error.Errors) == 0 {
		t.Fatalf("no error in %q", a.body)
	}
	return v.Error.Errors[0].Reason
}

// raw sends a request as the person; header holds pairs.
func (p *person) raw(verb, url, body string, header ...string) answer {
	p.d.t.Helper()
	return p.d.raw(verb, url, body, append([]string{"Authorization", "Bearer " + p.token}, header...)...)
}

func (d *drive) raw(verb, url, body string, header ...string) answer {
	d.t.Helper()
	if !strings.HasPrefix(url, "http") {
		url = d.http.URL + url
	}
	req, err := http.NewRequest(verb, url, bytes.NewReader([]byte(body)))
	if err != nil {
		d.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(raw)}
}
