package drive

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// TokenFile is syft-client's token.json: who signed in, through which OAuth client. Keys that are not known are kept.
type TokenFile struct {
	Access       string
	Expiry       time.Time // zero: not known, hence taken for past
	Refresh      string
	ClientID     string
	ClientSecret string
	Scopes       []string // empty: not known

	other map[string]json.RawMessage
}

// syft-client reads what lies before the first point as UTC and stumbles over a zone.
const expiryFormat = "2006-01-02T15:04:05.000000Z"

const universe = "googleapis.com"

// ParseTokenFile reads a token.json, also one of gcloud (application_default_credentials.json). Its token_uri is not looked at,
// so that a file somebody planted cannot send the refresh token elsewhere.
func ParseTokenFile(src []byte) (*TokenFile, error) {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("token file: "+format+"; sign in again (syftfs auth google) or copy syft-client's token.json anew", args...)
	}
	f := &TokenFile{}
	if err := json.Unmarshal(src, &f.other); err != nil {
		return nil, bad("%w", err)
	}
	var expiry, domain string
	var scopes any
	for key, into := range map[string]any{"token": &f.Access, "refresh_token": &f.Refresh, "client_id": &f.ClientID, "client_secret": &f.ClientSecret,
		"expiry": &expiry, "scopes": &scopes, "universe_domain": &domain} {
		if raw, ok := f.other[key]; ok {
			if err := json.Unmarshal(raw, into); err != nil {
				return nil, bad("%s: %w", key, err)
			}
		}
	}
	if f.Refresh == "" || f.ClientID == "" || f.ClientSecret == "" {
		return nil, bad("refresh_token, client_id or client_secret is missing")
	}
	if domain != "" && domain != universe {
		return nil, bad("universe_domain is %q, not %s", domain, universe)
	}
	switch list := scopes.(type) {
	case string:
		f.Scopes = strings.Fields(list)
	case []any:
		for _, s := range list {
			f.Scopes = append(f.Scopes, fmt.Sprint(s))
		}
	}
	if expiry != "" {
		var err error
		if f.Expiry, err = parseExpiry(expiry); err != nil {
			return nil, bad("expiry: %w", err)
		}
	}
	if !f.covers() {
		return nil, bad("it allows only %s, and %s is needed", strings.Join(f.Scopes, " "), Scope)
	}
	return f, nil
}

// covers says whether the token is good for all of Drive, as far as is known.
func (f *TokenFile) covers() bool { return len(f.Scopes) == 0 || slices.Contains(f.Scopes, Scope) }

// parseExpiry reads a time with or without a zone; without, it is UTC.
func parseExpiry(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		var naive error
		if t, naive = time.Parse("2006-01-02T15:04:05.999999999", s); naive != nil {
			return time.Time{}, errors.Join(err, naive)
		}
	}
	return t.UTC(), nil
}

// Encode writes the file so that syft-client can read it.
func (f *TokenFile) Encode() ([]byte, error) {
	keys := map[string]any{"universe_domain": universe, "token_uri": "https://oauth2.googleapis.com/token"}
	for key, raw := range f.other {
		keys[key] = raw
	}
	maps.Copy(keys, map[string]any{"token": f.Access, "refresh_token": f.Refresh, "client_id": f.ClientID, "client_secret": f.ClientSecret})
	if len(f.Scopes) > 0 {
		keys["scopes"] = f.Scopes
	}
	if !f.Expiry.IsZero() {
		keys["expiry"] = f.Expiry.UTC().Format(expiryFormat)
	}
	return json.MarshalIndent(keys, "", "  ")
}

// OAuthClient is a program as Google knows it. The secret of a desktop program is none.
type OAuthClient struct{ ID, Secret string }

// ParseClientFile reads the client_secret.json that Google's console gives for a "Desktop app".
func ParseClientFile(src []byte) (OAuthClient, error) {
	var file struct {
		Installed struct {
			ID     string `json:"client_id"`
			Secret string `json:"client_secret"`
		}
	}
	if err := json.Unmarshal(src, &file); err != nil {
		return OAuthClient{}, fmt.Errorf("client file: %w; download it again from the Google console", err)
	}
	if file.Installed.ID == "" || file.Installed.Secret == "" {
		return OAuthClient{}, errors.New(`client file: it is not one of a "Desktop app": make an OAuth client of that type in the Google console and download its JSON file`)
	}
	return OAuthClient{ID: file.Installed.ID, Secret: file.Installed.Secret}, nil
}
