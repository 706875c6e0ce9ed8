package drive_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/openmined/syftfs/sync/drive"
	"github.com/openmined/syftfs/sync/driveserver"
	"github.com/openmined/syftfs/sync/remote"
)

// visitPage is a browser that follows redirects and shows the last page.
func visitPage(t *testing.T, page string) (int, string) {
	t.Helper()
	resp, err := http.Get(page)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, string(body)
}

func query(t *testing.T, page string) url.Values {
	t.Helper()
	u, err := url.Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

func (p *place) oauthClient() drive.OAuthClient {
	p.t.Helper()
	src, err := p.Clients()[0].ClientSecretJSON(p.url)
	if err != nil {
		p.t.Fatal(err)
	}
	c, err := drive.ParseClientFile(src)
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// TestSignIn: against the server's own consent page, to a client that works; what others bring to the port meanwhile is refused.
func TestSignIn(t *testing.T) {
	p := startServer(t)
	if _, err := p.AddAccount(owen); err != nil {
		t.Fatal(err)
	}
	if err := p.SetSwitches(driveserver.Switches{AutoConsent: true}); err != nil {
		t.Fatal(err)
	}
	pages := make(chan string, 1)
	closed := ""
	file, err := drive.SignIn{Client: p.oauthClient(), Endpoint: p.url, Email: owen, Show: func(page string) {
		q := query(t, page)
		back := q.Get("redirect_uri")
		closed = back
		if !strings.HasPrefix(back, "http://127.0.0.1:") || q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43 ||
			len(q.Get("state")) < 20 || q.Get("access_type") != "offline" || q.Get("prompt") != "consent" || q.Get("login_hint") != owen || q.Get("scope") != drive.Scope {
			t.Errorf("the page asks for %v", q)
		}
		for _, other := range []string{"?state=guessed&code=stolen", "?code=stolen", "favicon.ico", "?state=" + q.Get("state"), "?state=" + q.Get("state") + "&code=%zz"} {
			if status, _ := visitPage(t, back+other); status != http.StatusBadRequest && status != http.StatusNotFound {
				t.Errorf("%s: status %d", other, status)
			}
		}
		rebound, err := http.NewRequest(http.MethodGet, back+"?state="+q.Get("state")+"&code=x", nil)
		if err != nil {
			t.Fatal(err)
		}
		rebound.Host = "evil.example"
		resp, err := http.DefaultClient.Do(rebound)
		if err != nil || resp.StatusCode != http.StatusNotFound {
			t.Errorf("under another name: %v, %v", resp, err)
		}
		resp.Body.Close()
		go func() {
			_, body := visitPage(t, page)
			pages <- body
		}()
	}}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if body := <-pages; !strings.Contains(body, "You are signed in") {
		t.Errorf("the last page: %s", body)
	}
	if resp, err := http.Get(closed); err == nil {
		resp.Body.Close()
		t.Error("the port is still open")
	}
	body, err := file.Encode()
	if err != nil {
		t.Fatal(err)
	}
	k := p.credentials(&shelf{files: map[string][]byte{"token.json": body}}, nil)
	access, err := k.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	k.Refused(access) // so that the refresh token is used too
	d, err := drive.Open(t.Context(), drive.Config{Endpoint: p.url, Tokens: k})
	if err != nil {
		t.Fatal(err)
	}
	if who, err := d.Whoami(t.Context()); err != nil || who != owen {
		t.Errorf("signed in as %s, %v", who, err)
	}
}

// TestSignInEnds: every other way in which a sign-in ends.
func TestSignInEnds(t *testing.T) {
	good := `{"access_token":"a","refresh_token":"r","expires_in":3599,"scope":"` + drive.Scope + `"}`
	for _, test := range []struct {
		name    string
		query   string // what the browser brings; "" is nothing at all
		token   canned // what the token endpoint says
		timeout time.Duration
		cancel  bool
		want    error  // nil: text
		text    string // in the error
	}{
		{name: "refused", query: "error=access_denied", want: drive.ErrRefused},
		{name: "another refusal", query: "error=server_error", text: "server_error"},
		{name: "nobody came", timeout: time.Nanosecond, want: drive.ErrNoAnswer},
		{name: "interrupted", cancel: true, want: context.Canceled},
		{name: "code too old", query: "code=c", token: oauthFailure(400, "invalid_grant"), want: remote.Unauthorized},
		{name: "endpoint away", query: "code=c", token: canned{status: 502}, want: remote.Unavailable},
		{name: "Drive not ticked", query: "code=c", token: token(strings.Replace(good, drive.Scope, "openid", 1)), text: "not ticked"},
		{name: "nothing lasting", query: "code=c", token: token(strings.Replace(good, `"refresh_token":"r",`, "", 1)), text: "no lasting sign-in"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			e := &endpoint{answers: []canned{test.token}}
			pages := make(chan string, 1)
			var challenge string
			file, err := drive.SignIn{Client: drive.OAuthClient{ID: "id", Secret: "secret"}, Transport: e, Timeout: test.timeout, Show: func(page string) {
				q := query(t, page)
				challenge = q.Get("code_challenge")
				if test.cancel {
					cancel()
				}
				if test.query == "" {
					pages <- "did not succeed"
					return
				}
				go func() {
					_, body := visitPage(t, q.Get("redirect_uri")+"?"+test.query+"&state="+q.Get("state"))
					pages <- body
				}()
			}}.Run(ctx)
			if err == nil || file != nil {
				t.Fatalf("signed in as %+v", file)
			}
			if test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("error %v, want %v %s", err, test.want, test.text)
			}
			if body := <-pages; !strings.Contains(body, "did not succeed") {
				t.Errorf("the last page: %s", body)
			}
			for _, seen := range e.seen {
				if !strings.HasPrefix(seen, "https://oauth2.googleapis.com/token ") || !strings.Contains(seen, "code_verifier=") || strings.Contains(seen, challenge) {
					t.Errorf("asked %s", seen)
				}
			}
		})
	}
}

func TestClientFiles(t *testing.T) {
	for src, good := range map[string]bool{
		`{"installed":{"client_id":"i","client_secret":"s","redirect_uris":["http://localhost"]}}`: true,
		`{"web":{"client_id":"i","client_secret":"s"}}`:                                            false,
		`{"type":"service_account"}`:                                                               false,
		`nothing`:                                                                                  false,
	} {
		if _, err := drive.ParseClientFile([]byte(src)); (err == nil) != good {
			t.Errorf("%s: %v", src, err)
		}
	}
}

// TestSignInNeedsAnAddress: nothing is begun with an address that is none.
func TestSignInNeedsAnAddress(t *testing.T) {
	_, err := drive.SignIn{Endpoint: "http://127.0.0.1:1/drive/v3", Show: func(string) { t.Error("shown") }}.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "only scheme, host and port") {
		t.Errorf("error %v", err)
	}
}
