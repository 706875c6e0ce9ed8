package drive_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openmined/syftfs/sync/drive"
	"github.com/openmined/syftfs/sync/remote"
)

// oneToken is a sign-in that never ends.
type oneToken struct{}

func (oneToken) Token(context.Context) (string, error) { return "t", nil }
func (oneToken) Refused(string)                        {}

// canned is a transport that always answers the same.
type canned struct {
	status int
	header http.Header
	body   string
	err    error
}

func (c canned) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		io.Copy(io.Discard, req.Body)
		req.Body.Close()
	}
	if c.err != nil {
		return nil, c.err
	}
	h := c.header.Clone()
	if h == nil {
		h = http.Header{}
	}
	return &http.Response{StatusCode: c.status, Header: h, Body: io.NopCloser(strings.NewReader(c.body)), Request: req, ProtoMajor: 1, ProtoMinor: 1}, nil
}

func reason(code int, reason, location string) canned {
	return canned{status: code, header: http.Header{"Content-Type": {"application/json"}},
		body: fmt.Sprintf(`{"error":{"code":%d,"message":"words that nobody reads","errors":[{"message":"m","domain":"global","reason":%q,"location":%q,"locationType":"parameter"}]}}`, code, reason, location)}
}

func through(t *testing.T, transport http.RoundTripper, idle time.Duration) *drive.Client {
	t.Helper()
	d, err := drive.Open(t.Context(), drive.Config{Tokens: oneToken{}, Transport: transport, Idle: idle})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestClassification: the table of statuses and reasons.
func TestClassification(t *testing.T) {
	for _, test := range []struct {
		answer canned
		kind   remote.Kind
	}{
		{reason(400, "badRequest", ""), remote.Invalid},
		{reason(400, "invalid", "q"), remote.Invalid},
		{reason(400, "invalid", "pageToken"), remote.TokenLost},
		{reason(400, "invalidParameter", "fields"), remote.Invalid},
		{reason(400, "required", "pageToken"), remote.Invalid},
		{reason(400, "invalidSharingRequest", ""), remote.Invalid},
		{reason(401, "authError", "Authorization"), remote.Unauthorized},
		{reason(401, "required", ""), remote.Unauthorized},
		{canned{status: 401}, remote.Unauthorized},
		{reason(403, "insufficientFilePermissions", ""), remote.Permission},
		{reason(403, "somethingNew", ""), remote.Permission},
		{reason(403, "insufficientPermissions", ""), remote.Unauthorized},
		{reason(403, "accessNotConfigured", ""), remote.Unauthorized},
		{reason(403, "domainPolicy", ""), remote.Permission},
		{reason(403, "fileNotDownloadable", "alt"), remote.Invalid},
		{reason(403, "cannotAddParent", ""), remote.Invalid},
		{reason(403, "cannotDeleteInheritedPermission", ""), remote.Permission},
		{reason(403, "rateLimitExceeded", ""), remote.Throttled},
		{reason(403, "userRateLimitExceeded", ""), remote.Throttled},
		{reason(403, "dailyLimitExceeded", ""), remote.Full},
		{reason(403, "sharingRateLimitExceeded", ""), remote.Full},
		{reason(403, "storageQuotaExceeded", ""), remote.Full},
		{reason(403, "quotaExceeded", ""), remote.Full},
		{reason(403, "uploadLimitExceeded", ""), remote.Full},
		{reason(403, "numChildrenInNonRootLimitExceeded", ""), remote.Full},
		{reason(403, "backendError", ""), remote.Unavailable},
		{reason(404, "notFound", "fileId"), remote.NotFound},
		{reason(409, "fileIdInUse", ""), remote.Exists},
		{reason(409, "duplicate", ""), remote.Exists},
		{reason(409, "conflict", ""), remote.Unavailable},
		{reason(410, "updatedConcurrently", ""), remote.Unavailable},
		{reason(416, "requestedRangeNotSatisfiable", ""), remote.Invalid},
		{reason(429, "rateLimitExceeded", ""), remote.Throttled},
		{reason(429, "storageQuotaExceeded", ""), remote.Throttled},
		{reason(500, "internalError", ""), remote.Unavailable},
		{reason(500, "notFound", ""), remote.Unavailable},
		{canned{status: 502, body: "<html>notFound rateLimitExceeded"}, remote.Unavailable},
		{canned{status: 503}, remote.Unavailable},
		{canned{status: 504}, remote.Unavailable},
		{canned{status: 429, body: "<html>"}, remote.Throttled},
		{canned{err: io.ErrUnexpectedEOF}, remote.Unavailable},
		// What is no Drive at all.
		{canned{status: 404, body: "404 page not found"}, remote.Invalid},
		{canned{status: 403, body: "<html>sign in to the hotel"}, remote.Invalid},
		{canned{status: 301, header: http.Header{"Location": {"https://elsewhere.example/"}}}, remote.Invalid},
		{canned{status: 200, body: "<html>welcome"}, remote.Invalid},
		{canned{status: 200, body: `{"name": 7}`}, remote.Invalid},
	} {
		_, err := through(t, test.answer, 0).Stat(t.Context(), "x", 0)
		var e *remote.Error
		if !errors.Is(err, test.kind) || !errors.As(err, &e) || e.Op != remote.OpStat || e.ID != "x" {
			t.Errorf("%d %.80s: %v, want %v", test.answer.status, test.answer.body, err, test.kind)
		}
		if err != nil && (strings.Contains(err.Error(), "googleapis.com") || strings.Contains(err.Error(), "<html>")) {
			t.Errorf("%v shows too much", err)
		}
	}
}

// TestNotDrive: answers that are JSON, but not what was asked for.
func TestNotDrive(t *testing.T) {
	d := through(t, canned{status: 200, body: "{}"}, 0)
	for what, err := range map[string]error{
		"whoami":  second(d.Whoami(t.Context())),
		"ids":     second(d.NewIDs(t.Context(), 1)),
		"start":   second(d.Start(t.Context())),
		"since":   second(d.Since(t.Context(), "1", 0)),
		"batch":   d.Delete(t.Context(), "a", "b"),
		"session": d.Put(t.Context(), remote.Spec{ID: "x", Name: "x"}, remote.Bytes(make([]byte, 6<<20))),
	} {
		if !errors.Is(err, remote.Invalid) || !strings.Contains(err.Error(), "check the address of the drive") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestRetryAfter(t *testing.T) {
	for _, test := range []struct {
		header http.Header
		want   time.Duration
	}{
		{nil, 0},
		{http.Header{"Retry-After": {"17"}}, 17 * time.Second},
		{http.Header{"Retry-After": {"-1"}}, 0},
		{http.Header{"Retry-After": {"soon"}}, 0},
		{http.Header{"Retry-After": {"Mon, 04 May 2026 03:02:31 GMT"}, "Date": {"Mon, 04 May 2026 03:02:01 GMT"}}, 30 * time.Second},
		{http.Header{"Retry-After": {"Mon, 04 May 2026 03:02:31 GMT"}, "Date": {"Mon, 04 May 2026 03:03:01 GMT"}}, 0},
	} {
		answer := reason(429, "rateLimitExceeded", "")
		answer.header = test.header
		_, err := through(t, answer, 0).Stat(t.Context(), "x", 0)
		if got := remote.RetryAfter(err); got != test.want || !errors.Is(err, remote.Throttled) {
			t.Errorf("%v: %v, %v, want %v", test.header, got, err, test.want)
		}
	}
}

// silent is a server that takes requests and says nothing, or stops in the middle of its answer.
type silent struct{ begun string }

func (s silent) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	if s.begun == "" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: &stuck{Reader: strings.NewReader(s.begun), ctx: ctx}, Request: req}, nil
}

type stuck struct {
	io.Reader
	ctx context.Context
}

func (s *stuck) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err == io.EOF {
		<-s.ctx.Done()
		err = s.ctx.Err()
	}
	return n, err
}

func (s *stuck) Close() error { return nil }

// TestStalled: a request on which nothing moves is given up, and that is Unavailable; one on which something does is not.
func TestStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, err := through(t, silent{}, 40*time.Second).Stat(t.Context(), "x", 0)
		if !errors.Is(err, remote.Unavailable) || time.Since(began) != 40*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		body, err := through(t, silent{begun: "hello"}, 40*time.Second).Get(t.Context(), "x", 0)
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		began = time.Now()
		got, err := io.ReadAll(body)
		if string(got) != "hello" || !errors.Is(err, remote.Unavailable) || time.Since(began) != 40*time.Second {
			t.Errorf("%q and %v after %v", got, err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := through(t, silent{}, 40*time.Second).Stat(ctx, "x", 0); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, remote.Unavailable) {
			t.Errorf("at the end of the context: %v", err)
		}
	})
}

// TestTokenStaysHome: a server cannot send the token elsewhere, by redirect or as the address of an upload.
func TestTokenStaysHome(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a request went elsewhere: %s %s", r.Method, r.URL)
	}))
	defer elsewhere.Close()
	for _, status := range []int{200, 307, 308} {
		home := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", elsewhere.URL+"/upload")
			w.WriteHeader(status)
		}))
		defer home.Close()
		d, err := drive.Open(t.Context(), drive.Config{Endpoint: home.URL, Tokens: oneToken{}})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Put(t.Context(), remote.Spec{ID: "x", Name: "x"}, remote.Bytes(make([]byte, 6<<20))); !errors.Is(err, remote.Invalid) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	for endpoint, good := range map[string]bool{
		"":                              true,
		"http://127.0.0.1:8123":         true,
		"http://127.0.0.1:8123/":        true,
		"http://localhost:1":            true,
		"http://[::1]:1":                true,
		"https://drive.centre.example":  true,
		"http://drive.centre.example":   false,
		"127.0.0.1:8123":                false,
		"ftp://127.0.0.1":               false,
		"http://127.0.0.1:1/drive/v3":   false,
		"http://u:p@127.0.0.1:1":        false,
		"http://127.0.0.1:1?x=y":        false,
		"http://127.0.0.1.evil.example": false,
	} {
		_, err := drive.Open(t.Context(), drive.Config{Endpoint: endpoint, Tokens: oneToken{}})
		if (err == nil) != good {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
}

// TestUnreachable: a server that is no Drive, and none at all.
func TestUnreachable(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	d, err := drive.Open(t.Context(), drive.Config{Endpoint: s.URL, Tokens: oneToken{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Whoami(t.Context()); !errors.Is(err, remote.Invalid) {
		t.Errorf("a server that is not Drive: %v", err)
	}
	s.Close()
	if _, err := d.Whoami(t.Context()); !errors.Is(err, remote.Unavailable) {
		t.Errorf("no server: %v", err)
	}
}
