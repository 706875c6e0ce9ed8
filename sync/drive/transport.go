package drive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/openmined/syftfs/sync/remote"
)

// plainClient follows no redirects: Drive sends none, and a token must not travel along.
func plainClient(t http.RoundTripper) *http.Client {
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// signing adds the token to requests, and once repeats a request whose token was refused with a new one.
type signing struct {
	base   http.RoundTripper
	tokens Tokens
	addr   address
}

func (s *signing) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, access, err := s.send(req)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	s.tokens.Refused(access)
	fresh, err := s.tokens.Token(req.Context())
	if err != nil {
		resp.Body.Close() // the answer is known
		return nil, err
	}
	if fresh == access {
		return resp, nil
	}
	resp.Body.Close()
	if req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
		// The content is used up; the whole call has to be made again.
		return nil, &remote.Error{Kind: remote.Unavailable, Reason: "token renewed"}
	}
	again := req.Clone(req.Context())
	if req.GetBody != nil {
		if again.Body, err = req.GetBody(); err != nil {
			return nil, err
		}
	}
	resp, _, err = s.send(again)
	return resp, err
}

// send sends req and says with which token. It closes the body, whatever happens.
func (s *signing) send(req *http.Request) (*http.Response, string, error) {
	access, err := s.tokens.Token(req.Context())
	if err == nil && !s.addr.owns(req.URL) {
		err = &remote.Error{Kind: remote.Invalid, Err: fmt.Errorf("the server sends us on to %s, which is not it", req.URL.Host)}
	}
	if err != nil {
		if req.Body != nil {
			req.Body.Close() // never sent
		}
		return nil, "", err
	}
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", "Bearer "+access)
	resp, err := s.base.RoundTrip(req)
	return resp, access, err
}

var errStalled = errors.New("no byte moved for too long")

// watch gives up requests on which no byte moves, in either direction, for the time idle.
func watch(base http.RoundTripper, idle time.Duration) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		ctx, cancel := context.WithCancelCause(req.Context())
		w := &watched{ctx: ctx, cancel: cancel, idle: idle}
		w.timer = time.AfterFunc(idle, func() { cancel(errStalled) })
		req = req.WithContext(ctx)
		if req.Body != nil && req.Body != http.NoBody {
			req.Body = moving{req.Body, w}
		}
		resp, err := base.RoundTrip(req)
		if err != nil {
			return nil, w.end(err)
		}
		resp.Body = moving{&answerBody{resp.Body, w}, w}
		return resp, nil
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// watched is one request under way.
type watched struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	idle   time.Duration
}

// end stops the watch; err becomes its real cause.
func (w *watched) end(err error) error {
	w.timer.Stop()
	if err != nil && context.Cause(w.ctx) == errStalled {
		err = errStalled
	}
	w.cancel(nil)
	return err
}

// moving tells the watch of every byte.
type moving struct {
	io.ReadCloser
	watch *watched
}

func (m moving) Read(p []byte) (int, error) {
	n, err := m.ReadCloser.Read(p)
	if n > 0 {
		m.watch.timer.Reset(m.watch.idle)
	}
	return n, err
}

// answerBody ends the watch with the answer.
type answerBody struct {
	io.ReadCloser
	watch *watched
}

func (a *answerBody) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	if err != nil && err != io.EOF && context.Cause(a.watch.ctx) == errStalled {
		err = errStalled
	}
	return n, err
}

func (a *answerBody) Close() error {
	err := a.ReadCloser.Close()
	a.watch.end(nil)
	return err
}
