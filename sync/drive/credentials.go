package drive

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"net/http"
	"sync"
	"time"

	"github.com/openmined/syftfs/sync/remote"
	"golang.org/x/oauth2"
)

// TokenStore keeps a token file; *statedir.Dir fits. Write replaces the file as a whole, durably.
type TokenStore interface {
	Read(name string) ([]byte, error)
	Write(op, name string, body []byte) error
}

// CredentialsConfig is for OpenCredentials.
type CredentialsConfig struct {
	Endpoint  string            // as in Config
	Transport http.RoundTripper // nil is http.DefaultTransport
	Now       func() time.Time  // nil is time.Now
}

// Credentials are the tokens of one account. Access tokens are renewed before they expire and written back into the file,
// with all its other keys kept; another process that renewed them first, or signed in anew, is noticed. Safe for concurrent use.
type Credentials struct {
	store TokenStore
	name  string
	addr  address
	http  *http.Client
	now   func() time.Time

	// turn has one slot; who holds it may change what follows.
	turn chan struct{}
	dead string // a refresh token that the server no longer takes, and
	why  error  // what it said
	// unsaved is a renewed sign-in with a new refresh token that could not be kept in place of one with the refresh token
	// replaced. It is not used before it is kept: the old one may be worth nothing any more.
	unsaved  *TokenFile
	replaced string

	mu      sync.Mutex // innermost
	file    *TokenFile
	refused string // an access token that the server did not take
}

// An access token that ends within this is renewed.
const expiryMargin = time.Minute

const opSignIn = "sign in"

const refreshIdle = 30 * time.Second

// OpenCredentials reads the file name of store. There is none: fs.ErrNotExist. Nothing is sent.
func OpenCredentials(store TokenStore, name string, c CredentialsConfig) (*Credentials, error) {
	addr, err := parseAddress(c.Endpoint)
	if err != nil {
		return nil, err
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	k := &Credentials{store: store, name: name, addr: addr, http: plainClient(watch(c.Transport, refreshIdle)), now: c.Now, turn: make(chan struct{}, 1)}
	if k.file, err = k.read(); err != nil {
		return nil, err
	}
	return k, nil
}

func (k *Credentials) read() (*TokenFile, error) {
	src, err := k.store.Read(k.name)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, fmt.Errorf("nobody is signed in: run: syftfs auth google, or give syft-client's token.json: %w", err)
	}
	if err != nil {
		return nil, err
	}
	return ParseTokenFile(src)
}

// current is the access token if it should be good.
func (k *Credentials) current() (string, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f := k.file
	return f.Access, f.Access != "" && f.Access != k.refused && k.now().Add(expiryMargin).Before(f.Expiry)
}

// Refused makes the next Token get a new one, unless that was done already.
func (k *Credentials) Refused(access string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.file.Access == access {
		k.refused = access
	}
}

// Token gives an access token, renewed if need be. A sign-in that ended is remote.Unauthorized, and then nothing is asked
// again until the file is another.
func (k *Credentials) Token(ctx context.Context) (string, error) {
	if access, ok := k.current(); ok {
		return access, nil
	}
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if access, ok := k.current(); ok { // somebody else renewed it meanwhile
		return access, nil
	}
	file, err := k.read()
	if err != nil {
		return "", &remote.Error{Op: opSignIn, Kind: remote.Unauthorized, Err: err}
	}
	if k.unsaved != nil && file.Refresh == k.replaced {
		return k.keep(k.unsaved, file.Refresh)
	}
	k.set(file)
	if access, ok := k.current(); ok { // another process did
		return access, nil
	}
	if file.Refresh == k.dead {
		return "", k.why
	}
	return k.renew(ctx, *file)
}

func (k *Credentials) set(f *TokenFile) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.file = f
}

// renew asks for a new access token and keeps it.
func (k *Credentials) renew(ctx context.Context, f TokenFile) (string, error) {
	conf := oauth2.Config{ClientID: f.ClientID, ClientSecret: f.ClientSecret, Endpoint: oauth2.Endpoint{TokenURL: k.addr.token, AuthStyle: oauth2.AuthStyleInParams}}
	tok, err := conf.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, k.http), &oauth2.Token{RefreshToken: f.Refresh}).Token()
	if err != nil {
		if err = tokenError(ctx, err, k.now()); errors.Is(err, remote.Unauthorized) {
			k.dead, k.why = f.Refresh, err
		}
		return "", err
	}
	old := f.Refresh
	f.take(tok, k.now())
	return k.keep(&f, old)
}

// keep writes f in place of the file with the refresh token old, and gives its access token. An access token alone that cannot
// be kept costs a renewal at the next start, no more; a new refresh token must not be lost.
func (k *Credentials) keep(f *TokenFile, old string) (string, error) {
	k.unsaved = nil
	body, err := f.Encode()
	if err == nil {
		err = k.store.Write("token", k.name, body)
	}
	if err != nil && f.Refresh != old {
		k.unsaved, k.replaced = f, old
		return "", fmt.Errorf("keep the renewed sign-in; free some space, then it is tried again: %w", err)
	}
	k.set(f)
	return f.Access, nil
}

// take puts what the server gave into the file. Its own word for the end counts from our clock, which may be wrong; a token
// that ends earlier than it seems is refused, and renewed then.
func (f *TokenFile) take(tok *oauth2.Token, now time.Time) {
	f.Access, f.Expiry = tok.AccessToken, tok.Expiry
	if tok.ExpiresIn > 0 {
		f.Expiry = now.Add(time.Duration(tok.ExpiresIn) * time.Second)
	}
	if tok.RefreshToken != "" {
		f.Refresh = tok.RefreshToken
	}
}

// tokenError sorts failures of the token endpoint.
func tokenError(ctx context.Context, err error, now time.Time) error {
	if end := ctx.Err(); end != nil {
		return end
	}
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) || answer.Response == nil {
		return &remote.Error{Op: opSignIn, Kind: remote.Unavailable, Reason: "sign-in", Err: bare(err)}
	}
	switch answer.ErrorCode {
	case "invalid_grant":
		return &remote.Error{Op: opSignIn, Kind: remote.Unauthorized, Reason: "invalid_grant", Remedy: "the sign-in ended: sign in again: syftfs auth google"}
	case "invalid_client", "unauthorized_client":
		return &remote.Error{Op: opSignIn, Kind: remote.Unauthorized, Reason: answer.ErrorCode, Remedy: "the OAuth client is not known any more: make another in the Google console, and sign in again with it"}
	case "invalid_scope", "access_denied", "redirect_uri_mismatch", "unsupported_grant_type", "invalid_request":
		return &remote.Error{Op: opSignIn, Kind: remote.Unauthorized, Reason: answer.ErrorCode}
	}
	e := &remote.Error{Op: opSignIn, Kind: byStatus(answer.Response.StatusCode).kind, Reason: answer.ErrorCode,
		RetryAfter: retryAfter(answer.Response.Header, now), Err: fmt.Errorf("status %d", answer.Response.StatusCode)}
	if e.Kind != remote.Unavailable && e.Kind != remote.Throttled {
		e.Kind, e.Remedy = remote.Invalid, notDriveRemedy
	}
	return e
}
