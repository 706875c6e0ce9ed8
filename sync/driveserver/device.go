package driveserver

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	grantDevice = "urn:ietf:params:oauth:grant-type:device_code"
	devicePath  = "/device"
	pollEvery   = 5 * time.Second
)

// deviceScopes are those that may be asked for on another screen; Drive whole is not among them.
var deviceScopes = []string{"openid", "email", "profile", scopeDrive + ".appdata", scopeDrive + ".file"}

// deviceCode begins a sign-in on another screen.
func (s *Server) deviceCode(w http.ResponseWriter, r *http.Request) {
	form, err := readForm(w, r)
	if err != nil {
		asAPI(err).send(w)
		return
	}
	client := s.client(form.Get("client_id"))
	scopes, err := parseScopes(form.Get("scope"))
	switch {
	case client == nil:
		(&oauthError{http.StatusUnauthorized, "invalid_client", "The OAuth client was not found."}).send(w)
		return
	case err != nil || len(scopes) == 0 || !within(scopes, deviceScopes):
		(&oauthError{http.StatusBadRequest, "invalid_scope", "Invalid device flow scope."}).send(w)
		return
	}
	user := strings.ToUpper(newUserCode())
	code, ok := s.grants.putDevice(&device{user: user, client: client.ID, scopes: scopes})
	if !ok {
		(&oauthError{http.StatusForbidden, "rate_limit_exceeded", ""}).send(w)
		return
	}
	sendJSON(w, http.StatusOK, map[string]any{
		"device_code": code, "user_code": user, "verification_url": schemeOf(r) + "://" + r.Host + devicePath,
		"expires_in": int(deviceLife / time.Second), "interval": int(pollEvery / time.Second),
	}, true)
}

// newUserCode is eight letters that can be typed without doubt.
func newUserCode() string {
	const letters = "BCDFGHJKLMNPQRSTVWXZ"
	var b strings.Builder
	for i, c := range []byte(newSecret(16))[:8] {
		if i == 4 {
			b.WriteByte('-')
		}
		b.WriteByte(letters[int(c)%len(letters)])
	}
	return b.String()
}

func (d *grantDesk) putDevice(x *device) (string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	if d.devices == nil {
		d.devices = map[string]*device{}
	}
	for k, old := range d.devices {
		if now.After(old.until) {
			delete(d.devices, k)
		}
	}
	if len(d.devices) >= maxCodes {
		return "", false
	}
	code := "AH-" + newSecret(32)
	x.until = now.Add(deviceLife)
	d.devices[code] = x
	return code, true
}

// answerDevice notes what somebody said to a user code.
func (d *grantDesk) answerDevice(user, account string, refused bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, x := range d.devices {
		if x.user == user && x.account == "" && !x.refused && d.now().Before(x.until) {
			x.account, x.refused = account, refused
			return true
		}
	}
	return false
}

// poll is the state of a sign-in on another screen; one that is decided is given out once.
func (d *grantDesk) poll(code, client string) (device, *oauthError) {
	d.mu.Lock()
	defer d.mu.Unlock()
	x := d.devices[code]
	now := d.now()
	switch {
	case x == nil || x.client != client:
		return device{}, &oauthError{http.StatusBadRequest, "invalid_grant", "Malformed device code."}
	case now.After(x.until):
		delete(d.devices, code)
		return device{}, &oauthError{http.StatusBadRequest, "expired_token", "The device code has expired."}
	case x.refused:
		delete(d.devices, code)
		return device{}, &oauthError{http.StatusForbidden, "access_denied", "Forbidden"}
	case x.account == "":
		slow := now.Sub(x.polled) < pollEvery-time.Second
		x.polled = now
		if slow {
			return device{}, &oauthError{http.StatusForbidden, "slow_down", "Forbidden"}
		}
		return device{}, &oauthError{http.StatusPreconditionRequired, "authorization_pending", "Precondition Required"}
	}
	delete(d.devices, code)
	return *x, nil
}

func (s *Server) exchangeDevice(client *Client, form url.Values) (map[string]any, *oauthError) {
	x, oerr := s.grants.poll(form.Get("device_code"), client.ID)
	if oerr != nil {
		return nil, oerr
	}
	return s.issue(x.account, client.ID, x.scopes, true)
}

func (s *Server) devicePage(w http.ResponseWriter, r *http.Request) {
	s.showPage(w, http.StatusOK, page{Client: "on the other screen", Device: true, UserCode: r.URL.Query().Get("user_code")})
}

func (s *Server) deviceGiven(w http.ResponseWriter, r *http.Request) {
	form, err := readForm(w, r)
	if err != nil {
		asAPI(err).send(w)
		return
	}
	user := strings.ToUpper(strings.TrimSpace(form.Get("user_code")))
	acct := s.personOf(form.Get("email"))
	refused := form.Get("do") == "refuse"
	if acct == nil || !acct.signsIn(strings.TrimSpace(form.Get("code"))) {
		s.showPage(w, http.StatusForbidden, page{Client: "on the other screen", Device: true, UserCode: user, Email: form.Get("email"), Wrong: true})
		return
	}
	if !s.grants.answerDevice(user, acct.ID, refused) {
		s.showPage(w, http.StatusNotFound, page{Done: "Nobody waits for this code, or it is too old."})
		return
	}
	s.showPage(w, http.StatusOK, page{Done: "Done. You can close this page."})
}
