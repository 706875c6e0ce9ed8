package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"net"
	"net/http"
	"syscall"

	"github.com/openmined/syftfs/cmd/internal/service"
)

// Client asks a running datasite.
type Client struct {
	name string
	http *http.Client
}

// NewClient talks to the socket at path; name is the datasite's, for messages.
func NewClient(name, path string) *Client {
	return &Client{name: name, http: &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var c net.Conn
		err := short(path, func(p string) (err error) {
			c, err = (&net.Dialer{}).DialContext(ctx, "unix", p)
			return err
		})
		return c, err
	}}}}
}

// Ask asks op the question q. Errors are *service.Error.
func Ask[Q, A any](ctx context.Context, c *Client, op Op[Q, A], q Q) (A, error) {
	var a A
	body, err := json.Marshal(q)
	if err != nil {
		return a, service.Wrap(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://syftfs"+op.Path, bytes.NewReader(body))
	if err != nil {
		return a, service.Wrap(err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return a, c.silent(ctx, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return a, c.silent(ctx, err)
	}
	var ans struct {
		Data  json.RawMessage `json:"data"`
		Error *service.Error  `json:"error"`
	}
	if err := json.Unmarshal(raw, &ans); err != nil {
		return a, &service.Error{Code: service.Unexpected, Message: fmt.Sprintf("datasite %s answered what is not JSON (%s); is it another version?", c.name, resp.Status), Err: err}
	}
	if ans.Error != nil {
		return a, ans.Error
	}
	if len(ans.Data) == 0 {
		return a, nil
	}
	if err := json.Unmarshal(ans.Data, &a); err != nil {
		return a, service.Wrap(err)
	}
	return a, nil
}

// silent tells why there is no answer.
func (c *Client) silent(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return &service.Error{Code: service.Unexpected, Message: "interrupted before datasite " + c.name + " answered: what was asked may have been done", Err: ctx.Err()}
	case errors.Is(err, iofs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return &service.Error{Code: service.NotRunning, Message: fmt.Sprintf("datasite %s is not running: start it with `syftfs up --detach`", c.name), Err: err}
	case errors.Is(err, iofs.ErrPermission):
		return &service.Error{Code: service.Forbidden, Message: fmt.Sprintf("datasite %s answers its owner only: %v", c.name, err), Err: err}
	}
	return &service.Error{Code: service.NotRunning, Message: fmt.Sprintf("datasite %s does not answer, or ended in the middle: %v (`syftfs status` tells whether it is up)", c.name, err), Err: err}
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }
