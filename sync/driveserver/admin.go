package driveserver

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	iofs "io/fs"
	"net"
	"net/http"
)

const adminPath = "/admin/v1/"

// adminRoutes is the admin endpoint, for programs on this machine that know its secret:
//
//	GET    accounts                        all accounts
//	POST   accounts {"email"}              adds one, answers with its sign-in code
//	DELETE accounts/{email}
//	PATCH  accounts/{email} {"limit"}      storage in bytes
//	POST   accounts/{email}/token {"scopes"}   a Token; with ?format=syft the token.json of syft-client
//	POST   accounts/{email}/key            a new key file to sign in as a service account does
//	GET    client                          client_secret.json with this server's endpoints
//	GET    stats, DELETE stats             counts by address
//	GET    switches, PUT switches
//	GET    faults, POST faults, DELETE faults, DELETE faults/{id}
//	GET    outbox                          notifications that Drive would have mailed
//	GET    check                           problems of the store
//	GET    ca                              path of the certificate to trust, and its PEM text
func (s *Server) adminRoutes() http.Handler {
	mux := http.NewServeMux()
	add := func(pattern string, fn func(*http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			v, err := fn(r)
			if err != nil {
				adminError(err).send(w)
				return
			}
			sendJSON(w, http.StatusOK, v, true)
		})
	}
	type empty struct{}
	add("GET "+adminPath+"accounts", func(*http.Request) (any, error) { return s.Accounts(), nil })
	add("POST "+adminPath+"accounts", func(r *http.Request) (any, error) {
		var in struct {
			Email string `json:"email"`
		}
		if err := adminBody(r, &in); err != nil {
			return nil, err
		}
		return s.AddAccount(in.Email)
	})
	add("DELETE "+adminPath+"accounts/{email}", func(r *http.Request) (any, error) {
		return empty{}, s.RemoveAccount(r.PathValue("email"))
	})
	add("PATCH "+adminPath+"accounts/{email}", func(r *http.Request) (any, error) {
		var in struct {
			Limit int64 `json:"limit"`
		}
		if err := adminBody(r, &in); err != nil {
			return nil, err
		}
		return empty{}, s.SetLimit(r.PathValue("email"), in.Limit)
	})
	add("POST "+adminPath+"accounts/{email}/token", func(r *http.Request) (any, error) {
		var in struct {
			Scopes []string `json:"scopes"`
		}
		if err := adminBody(r, &in); err != nil {
			return nil, err
		}
		t, err := s.IssueToken(r.PathValue("email"), in.Scopes...)
		if err != nil || r.URL.Query().Get("format") != "syft" {
			return t, err
		}
		raw, err := t.SyftJSON(r.URL.Query().Get("token_uri"))
		return json.RawMessage(raw), err
	})
	add("POST "+adminPath+"accounts/{email}/key", func(r *http.Request) (any, error) {
		raw, err := s.ServiceKey(r.PathValue("email"), schemeOf(r)+"://"+r.Host)
		return json.RawMessage(raw), err
	})
	add("GET "+adminPath+"client", func(r *http.Request) (any, error) {
		raw, err := s.Clients()[0].ClientSecretJSON(schemeOf(r) + "://" + r.Host)
		return json.RawMessage(raw), err
	})
	add("GET "+adminPath+"stats", func(*http.Request) (any, error) { return s.Stats(), nil })
	add("DELETE "+adminPath+"stats", func(*http.Request) (any, error) { return empty{}, s.ResetStats() })
	add("GET "+adminPath+"switches", func(*http.Request) (any, error) { return s.Switches(), nil })
	add("PUT "+adminPath+"switches", func(r *http.Request) (any, error) {
		var in Switches
		if err := adminBody(r, &in); err != nil {
			return nil, err
		}
		return in, s.SetSwitches(in)
	})
	add("GET "+adminPath+"faults", func(*http.Request) (any, error) { return s.Faults(), nil })
	add("POST "+adminPath+"faults", func(r *http.Request) (any, error) {
		var in Rule
		if err := adminBody(r, &in); err != nil {
			return nil, err
		}
		id, err := s.AddFault(in)
		return map[string]string{"id": id}, err
	})
	add("DELETE "+adminPath+"faults", func(*http.Request) (any, error) { return empty{}, s.RemoveFault("") })
	add("DELETE "+adminPath+"faults/{id}", func(r *http.Request) (any, error) { return empty{}, s.RemoveFault(r.PathValue("id")) })
	add("GET "+adminPath+"outbox", func(*http.Request) (any, error) { return s.Outbox(), nil })
	add("GET "+adminPath+"check", func(r *http.Request) (any, error) {
		problems, err := s.Check(r.Context())
		return map[string]any{"problems": problems}, err
	})
	add("GET "+adminPath+"ca", func(*http.Request) (any, error) { return map[string]string{"file": s.CAFile(), "pem": s.ca.pem()}, nil })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !fromLoopback(r) || subtle.ConstantTimeCompare([]byte(bearer(r)), []byte(s.admin)) != 1 {
			errInvalidToken().send(w)
			return
		}
		if _, pattern := mux.Handler(r); pattern == "" {
			errReason(http.StatusNotFound, "notFound", "Not Found").send(w)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func fromLoopback(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}

// adminBody decodes a request strictly: a misspelt key is an error. An empty body is an empty object.
func adminBody(r *http.Request, into any) error {
	if r.ContentLength == 0 {
		return nil
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return errBadRequest("The body is not what is expected: " + clip(err.Error()))
	}
	return nil
}

// adminError tells an operator more than a client of the API would hear.
func adminError(err error) *apiError {
	var e *apiError
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, iofs.ErrNotExist):
		return errReason(http.StatusNotFound, "notFound", err.Error())
	case errors.Is(err, iofs.ErrExist):
		return errReason(http.StatusConflict, "duplicate", err.Error())
	case errors.Is(err, iofs.ErrInvalid):
		return errReason(http.StatusBadRequest, "invalid", err.Error())
	}
	return errReason(http.StatusInternalServerError, "internalError", err.Error())
}
