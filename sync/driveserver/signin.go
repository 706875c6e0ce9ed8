package driveserver

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	codeLife   = 5 * time.Minute
	deviceLife = 30 * time.Minute
	maxCodes   = 1000 // under way at once, of each kind
)

// grantDesk holds the consents under way. They are not kept over a restart: whoever is signing in begins again.
type grantDesk struct {
	now func() time.Time

	mu      sync.Mutex
	codes   map[string]consent // by code
	devices map[string]*device // by device code
}

// consent is what a code of the authorization flow stands for.
type consent struct {
	account, client, redirect, challenge, method string
	scopes                                       []string
	offline                                      bool
	until                                        time.Time
}

// device is a sign-in on another screen.
type device struct {
	user, client, account string
	scopes                []string
	refused               bool
	until, polled         time.Time
}

func (d *grantDesk) putCode(c consent) (string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	if d.codes == nil {
		d.codes = map[string]consent{}
	}
	for k, old := range d.codes {
		if now.After(old.until) {
			delete(d.codes, k)
		}
	}
	if len(d.codes) >= maxCodes {
		return "", false
	}
	code := "4/0" + newSecret(32)
	c.until = now.Add(codeLife)
	d.codes[code] = c
	return code, true
}

// takeCode gives out a consent once.
func (d *grantDesk) takeCode(code string) (consent, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, ok := d.codes[code]
	delete(d.codes, code)
	return c, ok && d.now().Before(c.until)
}

// signInRoutes are Google's OAuth endpoints.
func (s *Server) signInRoutes(mux *http.ServeMux) {
	for _, p := range []string{authPath, "/o/oauth2/auth"} {
		mux.HandleFunc("GET "+p, s.consentPage)
		mux.HandleFunc("POST "+p, s.consentGiven)
	}
	for _, p := range []string{tokenPath, "/oauth2/v4/token", "/o/oauth2/token"} {
		mux.HandleFunc("POST "+p, s.serveToken)
	}
	for _, p := range []string{"/revoke", "/o/oauth2/revoke"} {
		mux.HandleFunc("POST "+p, s.serveRevoke)
		mux.HandleFunc("GET "+p, s.serveRevoke)
	}
	for _, p := range []string{"/tokeninfo", "/oauth2/v1/tokeninfo", "/oauth2/v3/tokeninfo"} {
		mux.HandleFunc("GET "+p, s.tokenInfo)
		mux.HandleFunc("POST "+p, s.tokenInfo)
	}
	mux.HandleFunc("GET /oauth2/v2/userinfo", s.userInfo(false))
	mux.HandleFunc("GET /oauth2/v3/userinfo", s.userInfo(true))
	mux.HandleFunc("GET /v1/userinfo", s.userInfo(true))
	mux.HandleFunc("POST /device/code", s.deviceCode)
	mux.HandleFunc("GET "+devicePath, s.devicePage)
	mux.HandleFunc("POST "+devicePath, s.deviceGiven)
}

// authRequest is what a client asks for at the consent page.
type authRequest struct {
	client, redirect, state, challenge, method, hint string
	scopes                                           []string
	offline                                          bool
}

// readAuthRequest checks a request for consent. Without a client and a redirect that can be trusted there is nobody to send an error to.
func (s *Server) readAuthRequest(q url.Values) (authRequest, string) {
	a := authRequest{client: q.Get("client_id"), redirect: q.Get("redirect_uri"), state: q.Get("state"), challenge: q.Get("code_challenge"),
		method: q.Get("code_challenge_method"), hint: q.Get("login_hint"), offline: q.Get("access_type") == "offline"}
	scopes, err := parseScopes(q.Get("scope"))
	a.scopes = scopes
	switch {
	case s.client(a.client) == nil:
		return a, "invalid_client"
	case !loopbackRedirect(a.redirect):
		return a, "redirect_uri_mismatch"
	case err != nil || len(scopes) == 0:
		return a, "invalid_scope"
	case q.Get("response_type") != "code":
		return a, "unsupported_response_type"
	case a.challenge != "" && a.method != "" && a.method != "S256" && a.method != "plain":
		return a, "invalid_request"
	}
	return a, ""
}

func (s *Server) client(id string) *Client {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.st.clients[id]
}

// loopbackRedirect tells whether an address to send a code to is on this machine: all that a desktop app may ask for.
func loopbackRedirect(redirect string) bool {
	u, err := url.Parse(redirect)
	if err != nil || u.Scheme != "http" || u.User != nil || u.Fragment != "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

var pages = template.Must(template.New("").Parse(`<!DOCTYPE html><html><meta charset="utf-8"><title>Local drive</title>
<style>body{font-family:sans-serif;max-width:30em;margin:4em auto}label{display:block;margin:1em 0}input{width:100%}</style>
{{if .Done}}<p>{{.Done}}</p>{{else}}<h1>Sign in to the local drive</h1>
{{if .Wrong}}<p><b>Address and sign-in code do not belong together.</b></p>{{end}}
<p>The program {{.Client}} asks for: {{range .Scopes}}<br>{{.}}{{end}}</p>
<form method="post">{{range $k, $v := .Hidden}}<input type="hidden" name="{{$k}}" value="{{$v}}">{{end}}
{{if .Device}}<label>Code shown by the program <input name="user_code" value="{{.UserCode}}"></label>{{end}}
<label>E-mail address <input name="email" value="{{.Email}}"></label>
<label>Sign-in code of the account <input name="code" type="password" autocomplete="off"></label>
<button name="do" value="allow">Allow</button> <button name="do" value="refuse">Refuse</button></form>{{end}}</html>
`))

type page struct {
	Done, Client, Email, UserCode string
	Wrong, Device                 bool
	Scopes                        []string
	Hidden                        map[string]string
}

func (s *Server) showPage(w http.ResponseWriter, code int, p page) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=UTF-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(code)
	if err := pages.Execute(w, p); err != nil {
		s.log.Debug("a page was not sent", "error", err)
	}
}

// consentPage asks who is there; with the switch AutoConsent it takes the login hint for an answer.
func (s *Server) consentPage(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	a, bad := s.readAuthRequest(q)
	if bad != "" {
		s.showPage(w, http.StatusBadRequest, page{Done: "This sign-in cannot go on: " + bad + "."})
		return
	}
	if s.faults.switches().AutoConsent && a.hint != "" {
		if acct := s.personOf(a.hint); acct != nil {
			s.consentTo(w, r, a, acct)
			return
		}
	}
	s.showPage(w, http.StatusOK, s.pageFor(a, q, a.hint, false))
}

func (s *Server) pageFor(a authRequest, q url.Values, email string, wrong bool) page {
	p := page{Client: s.client(a.client).Name, Email: email, Wrong: wrong, Scopes: a.scopes, Hidden: map[string]string{}}
	for _, k := range []string{"client_id", "redirect_uri", "response_type", "scope", "state", "access_type", "code_challenge", "code_challenge_method", "login_hint"} {
		if v := q.Get(k); v != "" {
			p.Hidden[k] = v
		}
	}
	return p
}

func (s *Server) personOf(email string) *account {
	s.mu.RLock()
	defer s.mu.RUnlock()
	a, err := s.st.realAccount(email)
	if err != nil {
		return nil
	}
	return a
}

func (s *Server) consentGiven(w http.ResponseWriter, r *http.Request) {
	q, err := readForm(w, r)
	if err != nil {
		asAPI(err).send(w)
		return
	}
	a, bad := s.readAuthRequest(q)
	if bad != "" {
		s.showPage(w, http.StatusBadRequest, page{Done: "This sign-in cannot go on: " + bad + "."})
		return
	}
	if q.Get("do") == "refuse" {
		redirect(w, r, a, url.Values{"error": {"access_denied"}})
		return
	}
	acct := s.personOf(q.Get("email"))
	if acct == nil || !acct.signsIn(strings.TrimSpace(q.Get("code"))) {
		s.showPage(w, http.StatusForbidden, s.pageFor(a, q, q.Get("email"), true))
		return
	}
	s.consentTo(w, r, a, acct)
}

func (s *Server) consentTo(w http.ResponseWriter, r *http.Request, a authRequest, acct *account) {
	code, ok := s.grants.putCode(consent{account: acct.ID, client: a.client, redirect: a.redirect, challenge: a.challenge, method: a.method, scopes: a.scopes, offline: a.offline})
	if !ok {
		redirect(w, r, a, url.Values{"error": {"temporarily_unavailable"}})
		return
	}
	redirect(w, r, a, url.Values{"code": {code}, "scope": {strings.Join(a.scopes, " ")}})
}

// redirect sends the browser back to the program.
func redirect(w http.ResponseWriter, r *http.Request, a authRequest, v url.Values) {
	u, err := url.Parse(a.redirect)
	if err != nil {
		errBadRequest("The redirect_uri is malformed.").send(w)
		return
	}
	q := u.Query()
	for k := range v {
		q.Set(k, v.Get(k))
	}
	if a.state != "" {
		q.Set("state", a.state)
	}
	u.RawQuery = q.Encode()
	http.Redirect(w, r, u.String(), http.StatusFound)
}

// readForm is the form of a POST, with what the address says beneath it.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		return nil, errBadRequest("The form is malformed.")
	}
	return r.Form, nil
}

// proves tells whether the verifier fits the challenge of a consent (PKCE).
func (c consent) proves(verifier string) bool {
	if c.challenge == "" {
		return true
	}
	got := verifier
	if c.method == "S256" {
		sum := sha256.Sum256([]byte(verifier))
		got = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return subtle.ConstantTimeCompare([]byte(got), []byte(c.challenge)) == 1
}

// within tells whether every scope wanted was granted.
func within(wanted, granted []string) bool {
	return !slices.ContainsFunc(wanted, func(s string) bool { return !slices.Contains(granted, s) })
}
