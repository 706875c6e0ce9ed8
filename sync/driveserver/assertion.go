package driveserver

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	grantJWT         = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	maxAssertion     = 16 << 10
	maxAssertionLife = time.Hour
	clockSlack       = 5 * time.Minute
)

// ServiceKey makes a new key for an account to sign in with as a service account does, without a person, and returns the key file with the
// token endpoint of base ("http://127.0.0.1:port"). An earlier key is no longer taken. No such account: ErrNotExist.
func (s *Server) ServiceKey(email, base string) ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := s.changeAccount(email, func(a *account) { a.Key = public }); err != nil {
		return nil, err
	}
	base = strings.TrimSuffix(base, "/")
	return json.MarshalIndent(map[string]string{
		"type": "service_account", "client_email": email, "private_key_id": hashSecret(string(public))[:40],
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
		"token_uri":   base + tokenPath, "auth_uri": base + authPath, "universe_domain": universe,
	}, "", "  ")
}

// claims are what an assertion says.
type claims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Scope    string   `json:"scope"`
	Audience audience `json:"aud"`
	Issued   int64    `json:"iat"`
	Expires  int64    `json:"exp"`
}

// audience is one text, or a list of them.
type audience []string

func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if err := json.Unmarshal(b, &one); err == nil {
		*a = audience{one}
		return nil
	}
	var all []string
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	*a = all
	return nil
}

// exchangeAssertion gives an access token to whoever signs as an account. Acting for another account is not possible.
func (s *Server) exchangeAssertion(assertion string) (map[string]any, *oauthError) {
	bad := func(why string) (map[string]any, *oauthError) {
		return nil, &oauthError{http.StatusBadRequest, "invalid_grant", why}
	}
	signed, signature, c, ok := readAssertion(assertion)
	if !ok {
		return bad("Invalid JWT.")
	}
	a := s.personOf(c.Issuer)
	if a == nil || len(a.Key) == 0 {
		return bad("Invalid grant: account not found")
	}
	public, err := x509.ParsePKIXPublicKey(a.Key)
	key, isRSA := public.(*rsa.PublicKey)
	sum := sha256.Sum256([]byte(signed))
	if err != nil || !isRSA || rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) != nil {
		return bad("Invalid JWT Signature.")
	}
	issued, expires, now := time.Unix(c.Issued, 0), time.Unix(c.Expires, 0), s.cfg.Now()
	scopes, err := parseScopes(c.Scope)
	switch {
	case now.After(expires.Add(clockSlack)) || issued.After(now.Add(clockSlack)) || expires.Sub(issued) > maxAssertionLife+clockSlack:
		return bad("Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.")
	case !slices.ContainsFunc(c.Audience, func(aud string) bool { return strings.HasSuffix(aud, tokenPath) }):
		return bad("Invalid JWT: Failed audience check.")
	case c.Subject != "" && !strings.EqualFold(c.Subject, c.Issuer):
		return nil, &oauthError{http.StatusUnauthorized, "unauthorized_client", "Client is unauthorized to retrieve access tokens using this method."}
	case err != nil || len(scopes) == 0:
		return nil, &oauthError{http.StatusBadRequest, "invalid_scope", "Invalid OAuth scope or ID token audience provided."}
	}
	return s.issue(a.ID, a.Email, scopes, false)
}

// readAssertion splits a JWT with RS256.
func readAssertion(text string) (signed string, signature []byte, c claims, ok bool) {
	parts := strings.Split(text, ".")
	if len(text) > maxAssertion || len(parts) != 3 {
		return "", nil, claims{}, false
	}
	decode := func(part string, into any) bool {
		raw, err := base64.RawURLEncoding.DecodeString(part)
		return err == nil && json.Unmarshal(raw, into) == nil
	}
	var header struct {
		Alg string `json:"alg"`
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !decode(parts[0], &header) || header.Alg != "RS256" || !decode(parts[1], &c) {
		return "", nil, claims{}, false
	}
	return parts[0] + "." + parts[1], signature, c, true
}
