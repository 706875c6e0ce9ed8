package driveserver

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	scopeDrive    = "https://www.googleapis.com/auth/drive"
	accessLife    = 3599 * time.Second
	maxRefresh    = 100 // live refresh tokens of one account and client; the oldest is dropped
	tokenPath     = "/token"
	authPath      = "/o/oauth2/v2/auth"
	googleToken   = "https://oauth2.googleapis.com" + tokenPath
	universe      = "googleapis.com"
	clientIDTail  = ".apps.googleusercontent.com"
	refreshPrefix = "1//0"
	accessPrefix  = "ya29."
)

// token is an access or a refresh token, stored under the hash of its text.
type token struct {
	Account string   `json:"account"`
	Client  string   `json:"client"`
	Scopes  []string `json:"scopes"`
	Refresh bool     `json:"refresh,omitempty"`
	From    string   `json:"from,omitempty"`    // hash of the refresh token that an access token came from
	Seq     int64    `json:"seq"`               // of the transaction that made it
	Expires int64    `json:"expires,omitempty"` // 0: never
}

// Client is an OAuth client, of the kind "desktop app".
type Client struct {
	Name   string `json:"name"`
	ID     string `json:"id"`
	Secret string `json:"secret"`
	Seq    int64  `json:"seq"` // grows with every client that is made
}

// AddClient makes an OAuth client. appProperties are private to one.
func (s *Server) AddClient(name string) (Client, error) {
	c := Client{Name: name, ID: newSecret(12) + clientIDTail, Secret: "GOCSPX-" + newSecret(21)}
	err := s.update("", func(tx *txn) error {
		c.Seq = tx.seq
		tx.save(bucketClients, c.ID, c, func(st *state) { st.clients[c.ID] = &c })
		return nil
	})
	return c, err
}

// Clients are the OAuth clients, the oldest first; there is always at least one.
func (s *Server) Clients() []Client {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []Client
	for _, c := range s.st.clients {
		all = append(all, *c)
	}
	slices.SortFunc(all, func(a, b Client) int { return cmp.Compare(a.Seq, b.Seq) })
	return all
}

// ClientSecretJSON is what a program loads as its client_secret.json, with the endpoints of this server at base ("http://127.0.0.1:port").
func (c Client) ClientSecretJSON(base string) ([]byte, error) {
	base = strings.TrimSuffix(base, "/")
	return json.MarshalIndent(map[string]any{"installed": map[string]any{
		"client_id": c.ID, "client_secret": c.Secret, "auth_uri": base + authPath, "token_uri": base + tokenPath,
		"redirect_uris": []string{"http://localhost"}, "project_id": "local-drive",
	}}, "", "  ")
}

// Token is what somebody needs to act as an account.
type Token struct {
	Access  string    `json:"access"`
	Refresh string    `json:"refresh"`
	Expiry  time.Time `json:"expiry"`
	Scopes  []string  `json:"scopes"`
	Client  Client    `json:"client"`
}

// SyftJSON is the token.json that syft-client reads. It names Google's token endpoint unless tokenURI says another; syft-client always
// asks Google's.
func (t Token) SyftJSON(tokenURI string) ([]byte, error) {
	if tokenURI == "" {
		tokenURI = googleToken
	}
	return json.Marshal(map[string]any{
		"token": t.Access, "refresh_token": t.Refresh, "token_uri": tokenURI, "client_id": t.Client.ID, "client_secret": t.Client.Secret,
		"scopes": t.Scopes, "universe_domain": universe, "account": "", "expiry": t.Expiry.UTC().Format("2006-01-02T15:04:05.000000Z"),
	})
}

// IssueToken signs an account in without asking it, as its operator: a new refresh token and an access token, for the oldest client.
// No scopes means Drive whole. No such account: ErrNotExist.
func (s *Server) IssueToken(email string, scopes ...string) (Token, error) {
	if len(scopes) == 0 {
		scopes = []string{scopeDrive}
	}
	client := s.Clients()[0]
	var t Token
	err := s.update("", func(tx *txn) error {
		a, err := tx.st.realAccount(email)
		if err != nil {
			return err
		}
		t = tx.mint(a.ID, client.ID, scopes, true)
		return nil
	})
	t.Client = client
	return t, err
}

// mint makes an access token and, if wanted, a refresh token.
func (tx *txn) mint(account, client string, scopes []string, refresh bool) Token {
	t := Token{Scopes: scopes}
	from := ""
	if refresh {
		t.Refresh = refreshPrefix + newSecret(48)
		from = hashSecret(t.Refresh)
		tx.limitRefresh(account, client)
		tx.saveToken(from, &token{Account: account, Client: client, Scopes: scopes, Refresh: true, Seq: tx.seq})
	}
	t.Access, t.Expiry = tx.mintAccess(account, client, scopes, from)
	return t
}

func (tx *txn) mintAccess(account, client string, scopes []string, from string) (string, time.Time) {
	life := accessLife
	if n := tx.s.faults.switches().TokenLife; n > 0 {
		life = time.Duration(n) * time.Millisecond
	}
	access := accessPrefix + newSecret(48)
	expires := tx.real + life.Milliseconds()
	tx.saveToken(hashSecret(access), &token{Account: account, Client: client, Scopes: scopes, From: from, Seq: tx.seq, Expires: expires})
	for hash, t := range tx.st.tokens {
		if t.Expires != 0 && t.Expires < tx.real {
			tx.dropToken(hash)
		}
	}
	return access, time.UnixMilli(expires)
}

func (tx *txn) limitRefresh(account, client string) {
	var live []string
	for hash, t := range tx.st.tokens {
		if t.Refresh && t.Account == account && t.Client == client {
			live = append(live, hash)
		}
	}
	if len(live) < maxRefresh {
		return
	}
	tx.revoke(slices.MinFunc(live, func(a, b string) int { return cmp.Compare(tx.st.tokens[a].Seq, tx.st.tokens[b].Seq) }))
}

// revoke drops a refresh token with the access tokens that came from it, or one access token.
func (tx *txn) revoke(hash string) {
	tx.dropToken(hash)
	for h, t := range tx.st.tokens {
		if t.From == hash {
			tx.dropToken(h)
		}
	}
}

func (tx *txn) saveToken(hash string, t *token) {
	tx.save(bucketTokens, hash, t, func(st *state) { st.tokens[hash] = t })
}

func (tx *txn) dropToken(hash string) {
	tx.save(bucketTokens, hash, nil, func(st *state) { delete(st.tokens, hash) })
}

// caller is who makes a request.
type caller struct {
	*account
	client string
	scopes []string
}

// authenticate finds the account of a request's bearer token.
func (s *Server) authenticate(r *http.Request) (caller, error) {
	text := bearer(r)
	if text == "" {
		return caller{}, &apiError{Code: http.StatusUnauthorized, Reason: "required", Message: "Login Required.", Location: "Authorization", LocationType: "header"}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	t := s.st.tokens[hashSecret(text)]
	if t == nil || t.Refresh || t.Expires != 0 && t.Expires <= millis(s.cfg.Now()) {
		return caller{}, errInvalidToken()
	}
	a := s.st.accounts[t.Account]
	if a == nil || a.Root == "" {
		return caller{}, errInvalidToken()
	}
	return caller{account: a, client: t.Client, scopes: t.Scopes}, nil
}

// bearer is the token that a request carries, "" when it has none.
func bearer(r *http.Request) string {
	if kind, text, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(kind, "bearer") {
		return strings.TrimSpace(text)
	}
	q := r.URL.Query()
	if text := q.Get("access_token"); text != "" {
		return text
	}
	return q.Get("oauth_token")
}

// can tells whether the scopes of the token allow what a method needs.
func (c caller) can(n need) bool {
	for _, s := range c.scopes {
		rest, ok := strings.CutPrefix(s, scopeDrive)
		if !ok {
			continue
		}
		switch rest {
		case "", ".file", ".appdata", ".appfolder":
			return true
		case ".readonly":
			if n != needWrite {
				return true
			}
		case ".metadata.readonly", ".metadata":
			if n == needRead {
				return true
			}
		}
	}
	return n == needNone
}

// whole tells whether the token opens everything of the account, not only what its client made.
func (c caller) whole() bool {
	return slices.ContainsFunc(c.scopes, func(s string) bool {
		rest, ok := strings.CutPrefix(s, scopeDrive)
		return ok && rest != ".file" && rest != ".appdata"
	})
}

func (c caller) scoped(space string) bool {
	return slices.ContainsFunc(c.scopes, func(s string) bool {
		rest, ok := strings.CutPrefix(s, scopeDrive)
		if space == spaceAppData {
			return ok && rest == ".appdata"
		}
		return ok && rest == ".file"
	})
}

// admits tells whether the token may touch an item at all. Application data belong to one client.
func (c caller) admits(it *item) bool {
	if it.Space == spaceAppData {
		return it.Owner == c.ID && (it.Root || it.Client == c.client) && (c.whole() || c.scoped(spaceAppData))
	}
	return c.whole() || c.scoped(spaceDrive) && (it.Root || it.Client == c.client)
}

func parseScopes(s string) ([]string, error) {
	scopes := strings.Fields(s)
	for _, one := range scopes {
		if len(one) > 256 {
			return nil, fmt.Errorf("a scope is longer than 256 bytes")
		}
	}
	return scopes, nil
}
