package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/openmined/syftfs/cmd/internal/service"
)

// adminPath is where a drive answers its operator.
const adminPath = "/admin/v1/"

// operator asks a running drive what only whoever may read its folder may ask.
type operator struct {
	served
	secret string
	http   *http.Client
}

// operator finds the server of this drive.
func (d *localDrive) operator() (*operator, error) {
	dir, err := d.folder()
	if err != nil {
		return nil, err
	}
	now, err := d.running(dir)
	if err != nil {
		return nil, err
	}
	secret, err := os.ReadFile(filepath.Join(dir, secretFile))
	if err != nil {
		return nil, err
	}
	// Straight to this machine, whatever the environment says about proxies.
	return &operator{served: *now, secret: strings.TrimSpace(string(secret)), http: &http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext}}}, nil
}

// tell asks the drive of d one question.
func tell[A any](ctx context.Context, d *localDrive, verb, path string, body any) (A, error) {
	var none A
	o, err := d.operator()
	if err != nil {
		return none, err
	}
	defer o.http.CloseIdleConnections()
	return question[A](ctx, o, verb, path, body)
}

// question asks one question; a nil body sends none.
func question[A any](ctx context.Context, o *operator, verb, path string, body any) (A, error) {
	var answer A
	raw, err := json.Marshal(body)
	if err != nil {
		return answer, err
	}
	if body == nil {
		raw = nil
	}
	req, err := http.NewRequestWithContext(ctx, verb, o.Address+adminPath+path, bytes.NewReader(raw))
	if err != nil {
		return answer, err
	}
	req.Header.Set("Authorization", "Bearer "+o.secret)
	res, err := o.http.Do(req)
	if err == nil {
		raw, err = io.ReadAll(res.Body)
		err = errors.Join(err, res.Body.Close())
	}
	switch {
	case ctx.Err() != nil:
		return answer, ctx.Err()
	case err != nil:
		return answer, &service.Error{Code: service.NotRunning, Message: fmt.Sprintf("the drive at %s (process %d) does not answer: %v", o.Address, o.PID, err), Err: err}
	case res.StatusCode != http.StatusOK:
		return answer, refusal(res.StatusCode, raw)
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return answer, fmt.Errorf("the drive at %s gave an answer that is not understood: %w", o.Address, err)
	}
	return answer, nil
}

// missing makes of NotFound a message that says how to see what there is; list is the command for that.
func (d *localDrive) missing(err error, what, list string) error {
	if e, ok := errors.AsType[*service.Error](err); ok && e.Code == service.NotFound {
		return &service.Error{Code: service.NotFound, Message: fmt.Sprintf("there is no %s: `%s` lists all", what, d.again(list)), Err: err}
	}
	return err
}

// refusal is an error answer of the drive.
func refusal(status int, raw []byte) error {
	var said struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	code := service.Unexpected
	switch status {
	case http.StatusBadRequest:
		code = service.BadInput
	case http.StatusUnauthorized:
		return &service.Error{Code: service.Forbidden, Message: "the drive does not take the secret in " + secretFile + " of its folder, which was changed meanwhile: stop the drive and serve it again"}
	case http.StatusNotFound:
		code = service.NotFound
	case http.StatusConflict:
		code = service.Conflict
	}
	if err := json.Unmarshal(raw, &said); err != nil || said.Error.Message == "" {
		return &service.Error{Code: code, Message: fmt.Sprintf("the drive answered with status %d and no reason", status)}
	}
	return &service.Error{Code: code, Message: "drive: " + strings.TrimSpace(said.Error.Message)}
}
