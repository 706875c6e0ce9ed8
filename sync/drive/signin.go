package drive

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

// SignIn is the sign-in of a program on this machine: a person agrees in a browser, and the browser brings the code back to a
// port of 127.0.0.1 that listens only meanwhile. PKCE and a state tie the two together.
type SignIn struct {
	Client    OAuthClient
	Endpoint  string            // as in Config
	Email     string            // proposed to the person; may be ""
	Show      func(page string) // is given the address of the page, for printing it, or for a browser
	Transport http.RoundTripper // nil is http.DefaultTransport
	Timeout   time.Duration     // for the person; 0 is 10 minutes
	Now       func() time.Time  // nil is time.Now
}

var (
	// ErrRefused says that the person did not agree.
	ErrRefused = errors.New("the sign-in was refused in the browser; run the command again to try once more")
	// ErrNoAnswer says that nobody agreed in time.
	ErrNoAnswer = errors.New("nobody finished the sign-in in the browser; run the command again and open the page on this machine, or forward its port with ssh -L")
)

// Run waits for the person and gives what to keep. It ends with ctx.
func (s SignIn) Run(ctx context.Context) (*TokenFile, error) {
	addr, err := parseAddress(s.Endpoint)
	if err != nil {
		return nil, err
	}
	if s.Timeout == 0 {
		s.Timeout = 10 * time.Minute
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("sign in: %w", err)
	}
	f := &flow{host: listener.Addr().String(), state: rand.Text(), verifier: oauth2.GenerateVerifier(), codes: make(chan visit)}
	f.conf = oauth2.Config{ClientID: s.Client.ID, ClientSecret: s.Client.Secret, Scopes: []string{Scope}, RedirectURL: "http://" + f.host + "/",
		Endpoint: oauth2.Endpoint{AuthURL: addr.consent, TokenURL: addr.token, AuthStyle: oauth2.AuthStyleInParams}}
	timed, cancel := context.WithTimeoutCause(ctx, s.Timeout, ErrNoAnswer)
	defer cancel()
	f.ctx = timed
	server := &http.Server{Handler: f, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10}
	var serving sync.WaitGroup
	serving.Go(func() {
		// Only Shutdown or Close end it; then there is nothing left to tell.
		_ = server.Serve(listener)
	})
	defer serving.Wait()
	defer func() {
		cancel() // visits from now on are told that it is over
		// The page that says how it ended should still arrive; who does not fetch it in time is cut off.
		last, done := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer done()
		if server.Shutdown(last) != nil {
			server.Close()
		}
	}()
	s.Show(f.page(s.Email))
	for {
		select {
		case v := <-f.codes:
			file, err := s.finish(timed, f, v)
			v.ended <- err
			return file, err
		case <-timed.Done():
			return nil, fmt.Errorf("sign in: %w", context.Cause(timed))
		}
	}
}

// finish exchanges the code for tokens.
func (s SignIn) finish(ctx context.Context, f *flow, v visit) (*TokenFile, error) {
	if v.refused != "" {
		if v.refused == "access_denied" {
			return nil, ErrRefused
		}
		return nil, fmt.Errorf("sign in: %s", v.refused)
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, plainClient(watch(s.Transport, refreshIdle)))
	tok, err := f.conf.Exchange(ctx, v.code, oauth2.VerifierOption(f.verifier))
	if err != nil {
		return nil, tokenError(ctx, err, s.Now())
	}
	file := &TokenFile{ClientID: s.Client.ID, ClientSecret: s.Client.Secret, Scopes: []string{Scope}}
	file.take(tok, s.Now())
	if granted, ok := tok.Extra("scope").(string); ok {
		file.Scopes = strings.Fields(granted)
	}
	if !slices.Contains(file.Scopes, Scope) {
		return nil, errors.New("sign in: access to Google Drive was not ticked; run the command again and tick it, without it nothing can be exchanged")
	}
	if file.Refresh == "" {
		return nil, errors.New("sign in: the server gave no lasting sign-in; take this program's access away in your account settings and run the command again")
	}
	return file, nil
}

// flow is one sign-in under way, as the handler of the browser's visits.
type flow struct {
	ctx             context.Context
	conf            oauth2.Config
	host            string
	state, verifier string
	codes           chan visit
}

// visit is a browser that came back; it waits for ended to show how it went.
type visit struct {
	code, refused string
	ended         chan error
}

// page is where the person agrees. It asks each time, as a second silent consent would give no lasting token.
func (f *flow) page(email string) string {
	options := []oauth2.AuthCodeOption{oauth2.AccessTypeOffline, oauth2.S256ChallengeOption(f.verifier), oauth2.SetAuthURLParam("prompt", "consent")}
	if email != "" {
		options = append(options, oauth2.SetAuthURLParam("login_hint", email))
	}
	return f.conf.AuthCodeURL(f.state, options...)
}

// ServeHTTP takes the one visit that brings our state; all others change nothing.
func (f *flow) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	switch {
	case r.Host != f.host || r.Method != http.MethodGet || r.URL.Path != "/":
		show(w, http.StatusNotFound, "There is nothing here", "This address only serves a sign-in that is under way.")
		return
	case err != nil || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(f.state)) != 1:
		show(w, http.StatusBadRequest, "This is not the sign-in that was begun", "Open the page that the program shows in the terminal.")
		return
	case q.Get("code") == "" && q.Get("error") == "":
		show(w, http.StatusBadRequest, "The answer is incomplete", "Open the page that the program shows in the terminal once more.")
		return
	}
	v := visit{code: q.Get("code"), refused: q.Get("error"), ended: make(chan error, 1)}
	select {
	case f.codes <- v:
	case <-f.ctx.Done():
		show(w, http.StatusGone, "This sign-in is over", "Run the command again in the terminal.")
		return
	case <-r.Context().Done():
		return
	}
	// Whoever took the visit always answers.
	if err := <-v.ended; err != nil {
		show(w, http.StatusOK, "The sign-in did not succeed", "The terminal says why. You can close this page.")
		return
	}
	show(w, http.StatusOK, "You are signed in", "You can close this page and go back to the terminal.")
}

var endPage = template.Must(template.New("end").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>syftfs: {{.Title}}</title>
<body style="font-family: sans-serif; max-width: 40em; margin: 4em auto"><h1>{{.Title}}</h1><p>{{.Text}}</p></body></html>
`))

func show(w http.ResponseWriter, status int, title, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// A browser that went away is no error of ours.
	_ = endPage.Execute(w, struct{ Title, Text string }{title, text})
}
