package driveserver

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// oauthError is an error of the OAuth endpoints, which have a shape of their own.
type oauthError struct {
	code              int
	name, description string
}

func (e *oauthError) Error() string { return e.name + ": " + e.description }

func (e *oauthError) send(w http.ResponseWriter) {
	body := map[string]any{"error": e.name}
	if e.description != "" {
		body["error_description"] = e.description
	}
	if e.name == "invalid_client" {
		w.Header().Set("WWW-Authenticate", "Basic")
	}
	sendJSON(w, e.code, body, true)
}

func errGrant() *oauthError {
	return &oauthError{http.StatusBadRequest, "invalid_grant", "Token has been expired or revoked."}
}

// serveToken exchanges a code, a refresh token, a device code or an assertion for tokens.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	status := &statusWriter{ResponseWriter: w}
	defer func() { s.count(r.Context(), nobody, "token", 0, status) }()
	c := &call{s: s, m: &method{id: "token"}, w: status, r: r, who: caller{account: &account{}}}
	s.faults.around(c, func() error {
		form, err := readForm(c.w, r)
		if err != nil {
			return err
		}
		answer, oerr := s.exchange(form, r)
		if oerr != nil {
			oerr.send(c.w)
			return nil
		}
		c.w.Header().Set("Cache-Control", "no-store")
		sendJSON(c.w, http.StatusOK, answer, true)
		return nil
	})
}

func (s *Server) exchange(form url.Values, r *http.Request) (map[string]any, *oauthError) {
	grantType := form.Get("grant_type")
	if grantType == grantJWT {
		return s.exchangeAssertion(form.Get("assertion"))
	}
	id, secret := form.Get("client_id"), form.Get("client_secret")
	if u, p, ok := r.BasicAuth(); ok {
		id, secret = u, p
	}
	client := s.client(id)
	if client == nil || hashSecret(secret) != hashSecret(client.Secret) {
		return nil, &oauthError{http.StatusUnauthorized, "invalid_client", "The OAuth client was not found."}
	}
	switch grantType {
	case "authorization_code":
		return s.exchangeCode(client, form)
	case "refresh_token":
		return s.exchangeRefresh(client, form)
	case grantDevice:
		return s.exchangeDevice(client, form)
	}
	return nil, &oauthError{http.StatusBadRequest, "unsupported_grant_type", "Invalid grant_type: " + clip(grantType)}
}

func (s *Server) exchangeCode(client *Client, form url.Values) (map[string]any, *oauthError) {
	c, ok := s.grants.takeCode(form.Get("code"))
	switch {
	case !ok || c.client != client.ID:
		return nil, &oauthError{http.StatusBadRequest, "invalid_grant", "Malformed auth code."}
	case c.redirect != form.Get("redirect_uri"):
		return nil, &oauthError{http.StatusBadRequest, "redirect_uri_mismatch", "Bad Request"}
	case !c.proves(form.Get("code_verifier")):
		return nil, &oauthError{http.StatusBadRequest, "invalid_grant", "Invalid code verifier."}
	}
	return s.issue(c.account, client.ID, c.scopes, c.offline)
}

// issue makes tokens for an account that consented.
func (s *Server) issue(account, client string, scopes []string, refresh bool) (map[string]any, *oauthError) {
	var t Token
	err := s.update(account, func(tx *txn) error {
		if a := tx.st.accounts[account]; a == nil || a.Root == "" {
			return errGrant()
		}
		t = tx.mint(account, client, scopes, refresh)
		return nil
	})
	if err != nil {
		return nil, s.oauthFailure(err)
	}
	return s.tokenAnswer(t.Access, t.Expiry, scopes, t.Refresh), nil
}

func (s *Server) oauthFailure(err error) *oauthError {
	var e *oauthError
	if errors.As(err, &e) {
		return e
	}
	s.log.Error("a token was not made", "error", err)
	return &oauthError{http.StatusInternalServerError, "internal_failure", ""}
}

func (s *Server) tokenAnswer(access string, expiry time.Time, scopes []string, refresh string) map[string]any {
	out := map[string]any{"access_token": access, "expires_in": int64(expiry.Sub(s.cfg.Now()).Round(time.Second) / time.Second), "scope": strings.Join(scopes, " "), "token_type": "Bearer"}
	if refresh != "" {
		out["refresh_token"] = refresh
	}
	return out
}

func (s *Server) exchangeRefresh(client *Client, form url.Values) (map[string]any, *oauthError) {
	wanted, err := parseScopes(form.Get("scope"))
	if err != nil {
		return nil, &oauthError{http.StatusBadRequest, "invalid_scope", "Bad Request"}
	}
	hash := hashSecret(form.Get("refresh_token"))
	var access string
	var expiry time.Time
	err = s.update("", func(tx *txn) error {
		t := tx.st.tokens[hash]
		if t == nil || !t.Refresh || t.Client != client.ID || tx.st.accounts[t.Account] == nil {
			return errGrant()
		}
		if !within(wanted, t.Scopes) {
			return &oauthError{http.StatusBadRequest, "invalid_scope", "Bad Request"}
		}
		if len(wanted) == 0 {
			wanted = t.Scopes
		}
		access, expiry = tx.mintAccess(t.Account, client.ID, wanted, hash)
		return nil
	})
	if err != nil {
		return nil, s.oauthFailure(err)
	}
	return s.tokenAnswer(access, expiry, wanted, ""), nil
}

// serveRevoke ends a refresh token with its access tokens, or an access token with the refresh token that it came from.
func (s *Server) serveRevoke(w http.ResponseWriter, r *http.Request) {
	form, err := readForm(w, r)
	if err != nil {
		asAPI(err).send(w)
		return
	}
	hash := hashSecret(form.Get("token"))
	err = s.update("", func(tx *txn) error {
		t := tx.st.tokens[hash]
		if t == nil {
			return &oauthError{http.StatusBadRequest, "invalid_token", "Token expired or revoked"}
		}
		if t.From != "" {
			tx.revoke(t.From)
		}
		tx.revoke(hash)
		return nil
	})
	if err != nil {
		s.oauthFailure(err).send(w)
		return
	}
	sendJSON(w, http.StatusOK, map[string]any{}, true)
}

func (s *Server) tokenInfo(w http.ResponseWriter, r *http.Request) {
	form, err := readForm(w, r)
	if err != nil {
		asAPI(err).send(w)
		return
	}
	text := form.Get("access_token")
	if text == "" {
		text = bearer(r)
	}
	s.mu.RLock()
	t := s.st.tokens[hashSecret(text)]
	var a *account
	if t != nil {
		a = s.st.accounts[t.Account]
	}
	s.mu.RUnlock()
	now := millis(s.cfg.Now())
	if a == nil || t.Refresh || t.Expires <= now {
		(&oauthError{http.StatusBadRequest, "invalid_token", "Invalid Value"}).send(w)
		return
	}
	kind := "online"
	if t.From != "" {
		kind = "offline"
	}
	sendJSON(w, http.StatusOK, map[string]any{
		"azp": t.Client, "aud": t.Client, "sub": a.ID, "scope": strings.Join(t.Scopes, " "), "exp": strconv.FormatInt(t.Expires/1000, 10),
		"expires_in": strconv.FormatInt((t.Expires-now)/1000, 10), "email": a.Email, "email_verified": "true", "access_type": kind,
	}, true)
}

// userInfo answers who a token belongs to, in the newer shape (OpenID) or the older.
func (s *Server) userInfo(openID bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		status := &statusWriter{ResponseWriter: w}
		who, err := s.authenticate(r)
		if err != nil {
			asAPI(err).send(status)
			s.count(r.Context(), nobody, "userinfo", 0, status)
			return
		}
		_, domain, _ := strings.Cut(who.Email, "@")
		out := map[string]any{"name": who.name(), "given_name": who.name(), "email": who.Email, "hd": domain}
		if openID {
			out["sub"], out["email_verified"] = who.ID, true
		} else {
			out["id"], out["verified_email"] = who.ID, true
		}
		sendJSON(status, http.StatusOK, out, true)
		s.count(r.Context(), who.ID, "userinfo", 0, status)
	}
}
