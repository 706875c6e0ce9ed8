package drive_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	iofs "io/fs"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openmined/syftfs/sync/drive"
	"github.com/openmined/syftfs/sync/driveserver"
	"github.com/openmined/syftfs/sync/remote"
)

// endpoint is a token endpoint that gives out answers in turn, the last one for ever.
type endpoint struct {
	mu      sync.Mutex
	answers []canned
	seen    []string // address and form of each request
}

func (e *endpoint) RoundTrip(req *http.Request) (*http.Response, error) {
	form, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen = append(e.seen, req.URL.String()+" "+string(form))
	a := e.answers[0]
	if len(e.answers) > 1 {
		e.answers = e.answers[1:]
	}
	req.Body = nil
	return a.RoundTrip(req)
}

func token(body string) canned {
	return canned{status: 200, header: http.Header{"Content-Type": {"application/json"}}, body: body}
}

func oauthFailure(code int, name string) canned {
	return canned{status: code, header: http.Header{"Content-Type": {"application/json"}}, body: `{"error":"` + name + `"}`}
}

const syftToken = `{"token": "old", "refresh_token": "r1", "token_uri": "https://evil.example/token", "client_id": "id", "client_secret": "secret",
 "scopes": ["https://www.googleapis.com/auth/drive"], "universe_domain": "googleapis.com", "account": "", "rapt_token": {"kept": [1, 2.50]},
 "expiry": "2026-06-11T12:34:56.789012Z"}`

var noon = time.Date(2026, 6, 11, 12, 0, 0, 0, time.UTC)

func openCredentials(t *testing.T, s *shelf, e *endpoint, now func() time.Time) *drive.Credentials {
	t.Helper()
	k, err := drive.OpenCredentials(s, "token.json", drive.CredentialsConfig{Transport: e, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestTokenRenewed: syft-client's file is read as it is, renewed before it ends, and written back with all its keys.
func TestTokenRenewed(t *testing.T) {
	s := &shelf{files: map[string][]byte{"token.json": []byte(syftToken)}}
	e := &endpoint{answers: []canned{token(`{"access_token":"new","expires_in":3599,"token_type":"Bearer"}`)}}
	now := noon
	k := openCredentials(t, s, e, func() time.Time { return now })
	want := func(access string, renewals int) {
		t.Helper()
		got, err := k.Token(t.Context())
		if err != nil || got != access || len(e.seen) != renewals {
			t.Fatalf("token %q, %v after %d renewals, want %q after %d", got, err, len(e.seen), access, renewals)
		}
	}
	want("old", 0)
	now = noon.Add(34 * time.Minute) // less than a minute is left
	want("new", 1)
	want("new", 1)
	if !strings.HasPrefix(e.seen[0], "https://oauth2.googleapis.com/token ") || !strings.Contains(e.seen[0], "refresh_token=r1") ||
		!strings.Contains(e.seen[0], "client_secret=secret") || strings.Contains(e.seen[0], "scope=") {
		t.Errorf("asked %s", e.seen[0])
	}
	var kept map[string]any
	if err := json.Unmarshal(s.files["token.json"], &kept); err != nil {
		t.Fatal(err)
	}
	if kept["token"] != "new" || kept["refresh_token"] != "r1" || kept["expiry"] != "2026-06-11T13:33:59.000000Z" || kept["account"] != "" || kept["token_uri"] != "https://evil.example/token" {
		t.Errorf("kept %v", kept)
	}
	if !bytes.Contains(s.files["token.json"], []byte("2.50")) {
		t.Errorf("a key that is not ours was not kept as it was: %s", s.files["token.json"])
	}
	// A refused token is renewed although it should be good, and another refused long ago does not matter.
	k.Refused("older")
	want("new", 1)
	k.Refused("new")
	e.answers = []canned{token(`{"access_token":"newer","expires_in":3599,"refresh_token":"r2"}`)}
	want("newer", 2)
	if f, err := drive.ParseTokenFile(s.files["token.json"]); err != nil || f.Refresh != "r2" {
		t.Errorf("a new refresh token was not kept: %+v, %v", f, err)
	}
}

func TestTokenFiles(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	base := `"refresh_token":"r","client_id":"i","client_secret":"s"`
	for _, test := range []struct {
		name, src string
		expiry    time.Time
		bad       bool
	}{
		{"syft-client's", syftToken, at("2026-06-11T12:34:56.789012Z"), false},
		{"gcloud's", `{"type":"authorized_user",` + base + `}`, time.Time{}, false},
		{"no zone", `{` + base + `,"expiry":"2026-06-11T12:34:56.789012"}`, at("2026-06-11T12:34:56.789012Z"), false},
		{"a zone", `{` + base + `,"expiry":"2026-06-11T12:34:56+02:00"}`, at("2026-06-11T10:34:56Z"), false},
		{"scopes as a string", `{` + base + `,"scopes":"openid https://www.googleapis.com/auth/drive"}`, time.Time{}, false},
		{"null expiry", `{` + base + `,"expiry":null}`, time.Time{}, false},
		{"too small a scope", `{` + base + `,"scopes":["https://www.googleapis.com/auth/drive.file"]}`, time.Time{}, true},
		{"another universe", `{` + base + `,"universe_domain":"evil.example"}`, time.Time{}, true},
		{"no refresh token", `{"token":"t","client_id":"i","client_secret":"s"}`, time.Time{}, true},
		{"no client", `{"token":"t","refresh_token":"r"}`, time.Time{}, true},
		{"bad expiry", `{` + base + `,"expiry":"tomorrow"}`, time.Time{}, true},
		{"wrong type", `{` + base + `,"token":7}`, time.Time{}, true},
		{"not JSON", `token`, time.Time{}, true},
	} {
		f, err := drive.ParseTokenFile([]byte(test.src))
		if (err != nil) != test.bad || err == nil && !f.Expiry.Equal(test.expiry) {
			t.Errorf("%s: %+v, %v", test.name, f, err)
		}
		if err != nil {
			if !strings.Contains(err.Error(), "; ") || strings.Contains(err.Error(), `"r"`) {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		}
		again, err := f.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if g, err := drive.ParseTokenFile(again); err != nil || g.Refresh != f.Refresh || !g.Expiry.Equal(f.Expiry) || len(g.Scopes) != len(f.Scopes) {
			t.Errorf("%s, written and read: %+v, %v", test.name, g, err)
		}
	}
}

func FuzzTokenFile(f *testing.F) {
	f.Add([]byte(syftToken))
	f.Add([]byte(`{"refresh_token":"r","client_id":"i","client_secret":"s","scopes":[1,null],"expiry":"2026-06-11T12:34:56"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, src []byte) {
		file, err := drive.ParseTokenFile(src)
		if err != nil {
			return
		}
		again, err := file.Encode()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		second, err := drive.ParseTokenFile(again)
		if err != nil || second.Access != file.Access || second.Refresh != file.Refresh {
			t.Fatalf("read again: %+v, %v", second, err)
		}
	})
}

// TestSignInEnded: the server is asked once, the person is told, and a new sign-in is taken up without a restart.
func TestSignInEnded(t *testing.T) {
	s := &shelf{files: map[string][]byte{"token.json": []byte(syftToken)}}
	e := &endpoint{answers: []canned{oauthFailure(400, "invalid_grant")}}
	k := openCredentials(t, s, e, func() time.Time { return noon.Add(time.Hour) })
	for range 3 {
		_, err := k.Token(t.Context())
		if !errors.Is(err, remote.Unauthorized) || !strings.Contains(err.Error(), "syftfs auth google") {
			t.Fatalf("error %v", err)
		}
	}
	if len(e.seen) != 1 {
		t.Errorf("asked %d times", len(e.seen))
	}
	s.files["token.json"] = []byte(strings.Replace(strings.Replace(syftToken, "r1", "r2", 1), "2026-06-11", "2026-06-12", 1))
	if got, err := k.Token(t.Context()); err != nil || got != "old" || len(e.seen) != 1 {
		t.Errorf("after a new sign-in: %q, %v", got, err)
	}
	delete(s.files, "token.json")
	k.Refused("old")
	if _, err := k.Token(t.Context()); !errors.Is(err, remote.Unauthorized) || !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("signed out: %v", err)
	}
	if _, err := drive.OpenCredentials(s, "token.json", drive.CredentialsConfig{}); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("nobody signed in: %v", err)
	}
}

func TestRenewalFails(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer canned
		kind   remote.Kind
	}{
		{"no network", canned{err: io.ErrUnexpectedEOF}, remote.Unavailable},
		{"server error", canned{status: 503, body: "<html>"}, remote.Unavailable},
		{"throttled", oauthFailure(429, "rate_limit_exceeded"), remote.Throttled},
		{"client gone", oauthFailure(401, "invalid_client"), remote.Unauthorized},
		{"not Google", canned{status: 404, body: "page not found"}, remote.Invalid},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &shelf{files: map[string][]byte{"token.json": []byte(syftToken)}}
			e := &endpoint{answers: []canned{test.answer, token(`{"access_token":"new","expires_in":3599}`)}}
			k := openCredentials(t, s, e, func() time.Time { return noon.Add(time.Hour) })
			_, err := k.Token(t.Context())
			if !errors.Is(err, test.kind) {
				t.Errorf("error %v, want %v", err, test.kind)
			}
			if strings.Contains(err.Error(), "r1") || strings.Contains(err.Error(), "secret") {
				t.Errorf("%v shows a secret", err)
			}
			if test.kind == remote.Unauthorized {
				if _, again := k.Token(t.Context()); again == nil || again.Error() != err.Error() || len(e.seen) != 1 {
					t.Errorf("the next time, asked %d times: %v", len(e.seen), again)
				}
				return
			}
			if got, err := k.Token(t.Context()); err != nil || got != "new" {
				t.Errorf("the next time: %q, %v", got, err)
			}
		})
	}
}

// TestTokenNotKept: a full disk costs nothing but a renewal, unless a new refresh token would be lost unseen.
func TestTokenNotKept(t *testing.T) {
	full := errors.New("no space left on device")
	s := &shelf{files: map[string][]byte{"token.json": []byte(syftToken)}, fail: full}
	e := &endpoint{answers: []canned{token(`{"access_token":"new","expires_in":3599}`), token(`{"access_token":"newer","expires_in":3599,"refresh_token":"r2"}`)}}
	k := openCredentials(t, s, e, func() time.Time { return noon.Add(time.Hour) })
	if got, err := k.Token(t.Context()); err != nil || got != "new" {
		t.Errorf("token %q, %v", got, err)
	}
	k.Refused("new")
	for range 2 {
		if _, err := k.Token(t.Context()); !errors.Is(err, full) {
			t.Errorf("error %v", err)
		}
	}
	s.fail = nil
	if got, err := k.Token(t.Context()); err != nil || got != "newer" || len(e.seen) != 2 {
		t.Errorf("token %q, %v after %d renewals", got, err, len(e.seen))
	}
	if f, err := drive.ParseTokenFile(s.files["token.json"]); err != nil || f.Refresh != "r2" {
		t.Errorf("kept %+v, %v", f, err)
	}
}

// TestRenewedOnce: many at once wait for one renewal, and one that gives up does not harm the others.
func TestRenewedOnce(t *testing.T) {
	s := &shelf{files: map[string][]byte{"token.json": []byte(syftToken)}}
	e := &endpoint{answers: []canned{token(`{"access_token":"new","expires_in":3599}`)}}
	k := openCredentials(t, s, e, func() time.Time { return noon.Add(time.Hour) })
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			if n%4 == 0 {
				if _, err := k.Token(gone); err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("cancelled: %v", err)
				}
				return
			}
			if got, err := k.Token(t.Context()); err != nil || got != "new" {
				t.Errorf("token %q, %v", got, err)
			}
		})
	}
	wg.Wait()
	if s.writes != 1 {
		t.Errorf("renewed %d times", s.writes)
	}
}

// TestRefusedByTheServer: a token that the server refuses is renewed, and the call made again, once.
func TestRefusedByTheServer(t *testing.T) {
	p := startServer(t)
	var c counter
	d := p.client(owen, &c)
	if _, err := d.Whoami(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.want(t, "a good token", 1)
	if _, err := p.AddFault(driveserver.Rule{Method: "about.get", Count: 1, Action: driveserver.Action{Kind: driveserver.FaultError, Code: 401}}); err != nil {
		t.Fatal(err)
	}
	if who, err := d.Whoami(t.Context()); err != nil || who != owen {
		t.Errorf("a token that was refused: %s, %v", who, err)
	}
	c.want(t, "a token that is refused: the call, the renewal, the call again", 3)
	if _, err := p.AddFault(driveserver.Rule{Method: "about.get", Action: driveserver.Action{Kind: driveserver.FaultError, Code: 401}}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Whoami(t.Context()); !errors.Is(err, remote.Unauthorized) {
		t.Errorf("a server that refuses every token: %v", err)
	}
	c.want(t, "a server that refuses every token", 3)
}
