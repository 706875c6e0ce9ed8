package driveserver_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/openmined/syftfs/sync/driveserver"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	gdrive "google.golang.org/api/drive/v3"
	"google.golang.org/api/option"
)

const scope = "https://www.googleapis.com/auth/drive"

func (d *drive) config() *oauth2.Config {
	d.t.Helper()
	raw, err := d.Clients()[0].ClientSecretJSON(d.http.URL)
	if err != nil {
		d.t.Fatal(err)
	}
	conf, err := google.ConfigFromJSON(raw, scope)
	if err != nil {
		d.t.Fatal(err)
	}
	conf.RedirectURL = "http://127.0.0.1:1/back"
	return conf
}

func TestCodeFlow(t *testing.T) {
	t.Parallel()
	d := start(t)
	made, err := d.AddAccount("ada@example.org")
	if err != nil {
		t.Fatal(err)
	}
	conf := d.config()
	verifier := oauth2.GenerateVerifier()
	address := conf.AuthCodeURL("state&1", oauth2.AccessTypeOffline, oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("login_hint", "ada@example.org"))
	if a := d.raw("GET", address, ""); a.code != 200 || !strings.Contains(a.body, "Sign-in code") || strings.Contains(a.body, made.SignIn) {
		t.Fatalf("page: %d %s", a.code, a.body)
	}
	u, _ := url.Parse(address)
	consent := func(email, code, do string) answer {
		form := u.Query()
		form.Set("email", email)
		form.Set("code", code)
		form.Set("do", do)
		return d.raw("POST", d.http.URL+u.Path, form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	}
	if a := consent("ada@example.org", "wrong", "allow"); a.code != 403 {
		t.Fatalf("a wrong code: %d", a.code)
	}
	if a := consent("ada@example.org", "", "refuse"); !strings.Contains(a.header.Get("Location"), "error=access_denied") {
		t.Errorf("refused: %v", a.header)
	}
	codeOf := func(a answer) string {
		t.Helper()
		back, err := url.Parse(a.header.Get("Location"))
		if a.code != 302 || err != nil || back.Host != "127.0.0.1:1" || back.Query().Get("state") != "state&1" {
			t.Fatalf("%d %v", a.code, a.header)
		}
		return back.Query().Get("code")
	}
	ctx := context.Background()
	if _, err := conf.Exchange(ctx, codeOf(consent("ada@example.org", made.SignIn, "allow")), oauth2.VerifierOption("another verifier")); err == nil {
		t.Error("a wrong verifier was taken")
	}
	code := codeOf(consent("ada@example.org", made.SignIn, "allow"))
	tok, err := conf.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil || tok.RefreshToken == "" || tok.AccessToken == "" {
		t.Fatalf("%+v %v", tok, err)
	}
	if _, err := conf.Exchange(ctx, code, oauth2.VerifierOption(verifier)); err == nil {
		t.Error("a code was taken twice")
	}
	use := func(tok *oauth2.Token) error {
		svc, err := gdrive.NewService(ctx, option.WithEndpoint(d.http.URL+"/drive/v3/"), option.WithTokenSource(conf.TokenSource(ctx, tok)))
		if err != nil {
			t.Fatal(err)
		}
		_, err = svc.About.Get().Fields("user").Do()
		return err
	}
	if err := use(tok); err != nil {
		t.Errorf("with the token: %v", err)
	}
	d.clock.step(2 * time.Hour)
	if err := use(&oauth2.Token{AccessToken: tok.AccessToken}); err == nil {
		t.Error("an expired token was taken")
	}
	old := &oauth2.Token{AccessToken: tok.AccessToken, RefreshToken: tok.RefreshToken, Expiry: time.Unix(1, 0)}
	if err := use(old); err != nil {
		t.Errorf("after a refresh: %v", err)
	}
	if a := d.raw("POST", "/revoke?token="+url.QueryEscape(tok.RefreshToken), ""); a.code != 200 {
		t.Fatalf("revoke: %d %s", a.code, a.body)
	}
	if err := use(old); err == nil || !strings.Contains(err.Error(), "invalid_grant") {
		t.Errorf("after it was revoked: %v", err)
	}
	for _, bad := range []url.Values{
		{"redirect_uri": {"https://evil.example/"}}, {"redirect_uri": {"http://localhost.evil.example/"}}, {"redirect_uri": {"http://127.0.0.1@evil.example/"}}, {"client_id": {"x"}}, {"scope": {""}}, {"response_type": {"token"}},
	} {
		q := u.Query()
		for k := range bad {
			q.Set(k, bad.Get(k))
		}
		if a := d.raw("GET", u.Path+"?"+q.Encode(), ""); a.code != 400 {
			t.Errorf("%v: %d", bad, a.code)
		}
	}
}

func TestAutoConsent(t *testing.T) {
	t.Parallel()
	d := start(t)
	d.person("ada@example.org")
	address := d.config().AuthCodeURL("s", oauth2.SetAuthURLParam("login_hint", "ada@example.org"))
	if a := d.raw("GET", address, ""); a.code != 200 {
		t.Errorf("without the switch: %d", a.code)
	}
	if err := d.SetSwitches(driveserver.Switches{AutoConsent: true}); err != nil {
		t.Fatal(err)
	}
	if a := d.raw("GET", address, ""); a.code != 302 {
		t.Errorf("with the switch: %d", a.code)
	}
}

func TestSyftToken(t *testing.T) {
	t.Parallel()
	d := start(t)
	if _, err := d.AddAccount("ada@example.org"); err != nil {
		t.Fatal(err)
	}
	tok, err := d.IssueToken("ada@example.org")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := tok.SyftJSON("")
	if err != nil {
		t.Fatal(err)
	}
	var f map[string]any
	if err := json.Unmarshal(raw, &f); err != nil {
		t.Fatal(err)
	}
	if f["token_uri"] != "https://oauth2.googleapis.com/token" || f["universe_domain"] != "googleapis.com" || !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`).MatchString(f["expiry"].(string)) {
		t.Errorf("%s", raw)
	}
	// What Python's library sends to refresh it.
	refresh := func(scope string) answer {
		form := url.Values{"grant_type": {"refresh_token"}, "client_id": {f["client_id"].(string)}, "client_secret": {f["client_secret"].(string)}, "refresh_token": {f["refresh_token"].(string)}, "scope": {scope}}
		return d.raw("POST", "/token", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	}
	a := refresh(scope)
	if v := a.json(t); a.code != 200 || v["access_token"] == nil || v["refresh_token"] != nil || v["token_type"] != "Bearer" || v["expires_in"] != 3599.0 {
		t.Errorf("%d %s", a.code, a.body)
	}
	info := d.raw("GET", "/tokeninfo?access_token="+url.QueryEscape(a.json(t)["access_token"].(string)), "")
	if v := info.json(t); info.code != 200 || v["email"] != "ada@example.org" || v["expires_in"] != "3599" || v["access_type"] != "offline" {
		t.Errorf("tokeninfo: %d %s", info.code, info.body)
	}
	me := d.raw("GET", "/oauth2/v2/userinfo", "", "Authorization", "bearer "+tok.Access)
	if v := me.json(t); v["email"] != "ada@example.org" || v["verified_email"] != true {
		t.Errorf("userinfo: %s", me.body)
	}
	if a := refresh(scope + " https://www.googleapis.com/auth/gmail.modify"); a.code != 400 || a.json(t)["error"] != "invalid_scope" {
		t.Errorf("more scopes: %d %s", a.code, a.body)
	}
	d.restart()
	if a := refresh(""); a.code != 200 {
		t.Errorf("after a restart: %d %s", a.code, a.body)
	}
	for range 100 { // the oldest refresh token of an account and client is dropped
		if _, err := d.IssueToken("ada@example.org"); err != nil {
			t.Fatal(err)
		}
	}
	if a := refresh(""); a.code != 400 || a.json(t)["error"] != "invalid_grant" {
		t.Errorf("after a hundred others: %d %s", a.code, a.body)
	}
	f["client_secret"] = "wrong"
	if a := refresh(""); a.code != 401 || a.json(t)["error"] != "invalid_client" {
		t.Errorf("a wrong secret: %d %s", a.code, a.body)
	}
}

func TestDeviceFlow(t *testing.T) {
	t.Parallel()
	d := start(t)
	made, err := d.AddAccount("ada@example.org")
	if err != nil {
		t.Fatal(err)
	}
	c := d.Clients()[0]
	post := func(path string, form url.Values) answer {
		return d.raw("POST", path, form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	}
	if a := post("/device/code", url.Values{"client_id": {c.ID}, "scope": {scope}}); a.code != 400 {
		t.Errorf("Drive whole on another screen: %d", a.code)
	}
	v := post("/device/code", url.Values{"client_id": {c.ID}, "scope": {scope + ".file"}}).json(t)
	poll := func() answer {
		return post("/token", url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "client_id": {c.ID}, "client_secret": {c.Secret}, "device_code": {v["device_code"].(string)}})
	}
	if a := poll(); a.code != 428 || a.json(t)["error"] != "authorization_pending" {
		t.Errorf("%d %s", a.code, a.body)
	}
	if a := poll(); a.code != 403 || a.json(t)["error"] != "slow_down" {
		t.Errorf("%d %s", a.code, a.body)
	}
	if a := post("/device", url.Values{"user_code": {v["user_code"].(string)}, "email": {"ada@example.org"}, "code": {"x"}, "do": {"allow"}}); a.code != 403 {
		t.Errorf("a wrong sign-in code: %d", a.code)
	}
	if a := post("/device", url.Values{"user_code": {v["user_code"].(string)}, "email": {"ada@example.org"}, "code": {made.SignIn}, "do": {"allow"}}); a.code != 200 {
		t.Errorf("%d %s", a.code, a.body)
	}
	a := poll()
	if a.code != 200 {
		t.Fatalf("%d %s", a.code, a.body)
	}
	// A token for what the program made itself sees nothing else.
	other := d.signIn("ada@example.org")
	other.folder("made by the same client")
	if got := d.raw("GET", "/drive/v3/files", "", "Authorization", "Bearer "+a.json(t)["access_token"].(string)); got.code != 200 {
		t.Errorf("%d %s", got.code, got.body)
	}
}

func TestServiceKey(t *testing.T) {
	t.Parallel()
	d := startAt(t, &clock{t: time.Now()}) // the library signs by the real clock
	if _, err := d.AddAccount("robot@example.org"); err != nil {
		t.Fatal(err)
	}
	raw, err := d.ServiceKey("robot@example.org", d.http.URL)
	if err != nil {
		t.Fatal(err)
	}
	conf, err := google.JWTConfigFromJSON(raw, scope)
	if err != nil {
		t.Fatal(err)
	}
	svc, err := gdrive.NewService(t.Context(), option.WithEndpoint(d.http.URL+"/drive/v3/"), option.WithTokenSource(conf.TokenSource(t.Context())))
	if err != nil {
		t.Fatal(err)
	}
	about, err := svc.About.Get().Fields("user").Do()
	if err != nil || about.User.EmailAddress != "robot@example.org" {
		t.Fatalf("%+v %v", about, err)
	}
	conf.Subject = "ada@example.org"
	if _, err := conf.TokenSource(t.Context()).Token(); err == nil {
		t.Error("somebody acted for another account")
	}
	conf.Subject = ""
	if _, err := d.ServiceKey("robot@example.org", d.http.URL); err != nil {
		t.Fatal(err)
	}
	if _, err := conf.TokenSource(t.Context()).Token(); err == nil {
		t.Error("an old key was taken")
	}
}

func TestProxy(t *testing.T) {
	t.Parallel()
	d := startAt(t, &clock{t: time.Now()}) // TLS looks at the real clock
	p := d.person("ada@example.org")
	pem, err := os.ReadFile(d.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate")
	}
	proxy, _ := url.Parse(d.http.URL)
	transport := &http.Transport{Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	// With nothing but a proxy: the address is Google's.
	svc, err := gdrive.NewService(t.Context(), option.WithHTTPClient(oauth2.NewClient(context.WithValue(t.Context(), oauth2.HTTPClient, client), oauth2.StaticTokenSource(&oauth2.Token{AccessToken: p.token}))))
	if err != nil {
		t.Fatal(err)
	}
	f, err := svc.Files.Create(&gdrive.File{Name: "through the proxy"}).Media(strings.NewReader(strings.Repeat("x", 600_000))).Do()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.content(f.Id); err != nil || len(got) != 600_000 {
		t.Errorf("%d %v", len(got), err)
	}
	post := func(url string, header map[string]string) *http.Response {
		t.Helper()
		req, _ := http.NewRequest("POST", url, strings.NewReader(`{"name":"n"}`))
		for k, v := range header {
			req.Header.Set(k, v)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp
	}
	resp := post("https://www.googleapis.com/upload/drive/v3/files?uploadType=resumable", map[string]string{"Authorization": "Bearer " + p.token})
	if loc := resp.Header.Get("Location"); !strings.HasPrefix(loc, "https://www.googleapis.com/upload/drive/v3/files?") || resp.ProtoMajor != 1 {
		t.Errorf("Location %q, HTTP/%d", loc, resp.ProtoMajor)
	}
	if resp := post("https://www.googleapis.com/admin/v1/stats", map[string]string{"Authorization": "Bearer " + d.AdminSecret()}); resp.StatusCode != 404 {
		t.Errorf("the admin endpoint through the proxy: %d", resp.StatusCode)
	}
	for _, host := range []string{"https://example.org/", "https://www.googleapis.com:8443/", "https://gmail.googleapis.com/"} {
		if resp, err := client.Get(host); err == nil {
			_ = resp.Body.Close()
			t.Errorf("%s was reached", host)
		}
	}
	if a := d.raw("GET", "/discovery/v1/apis/drive/v3/rest", ""); a.json(t)["rootUrl"] != d.http.URL+"/" {
		t.Errorf("discovery: %v", a.json(t)["rootUrl"])
	}
	info, err := os.Stat(strings.TrimSuffix(d.CAFile(), "ca.pem") + "ca.key")
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
}
