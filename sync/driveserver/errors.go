package driveserver

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"syscall"
)

// apiError is an error as Drive answers it.
type apiError struct {
	Code         int
	Reason       string
	Domain       string // "" is global
	Message      string
	Location     string
	LocationType string // "" is parameter where there is a location
	RetryAfter   int    // seconds; 0 sends no header
	HTML         bool   // the body is a page, as a front end would send it
	Details      bool   // with error.details, as newer services have
	Range        string // Content-Range of a 416
}

func (e *apiError) Error() string { return strconv.Itoa(e.Code) + " " + e.Reason + ": " + e.Message }

func errNotFound(id string) *apiError {
	return &apiError{Code: 404, Reason: "notFound", Message: "File not found: " + id + ".", Location: "fileId"}
}

func errForbidden(id string) *apiError {
	return &apiError{Code: 403, Reason: "insufficientFilePermissions", Message: "The user does not have sufficient permissions for file " + id + "."}
}

// errInvalid is a value that cannot be: of q, a token, an order.
func errInvalid(location string) *apiError {
	return &apiError{Code: 400, Reason: "invalid", Message: "Invalid Value", Location: location}
}

func errParameter(location, message string) *apiError {
	return &apiError{Code: 400, Reason: "invalidParameter", Message: message, Location: location}
}

func errRequired(location string) *apiError {
	return &apiError{Code: 400, Reason: "required", Message: "Required parameter: " + location, Location: location}
}

func errBadRequest(message string) *apiError {
	return &apiError{Code: 400, Reason: "badRequest", Message: message}
}

func errReason(code int, reason, message string) *apiError {
	return &apiError{Code: code, Reason: reason, Message: message}
}

func errInvalidToken() *apiError {
	return &apiError{Code: 401, Reason: "authError", Message: "Invalid Credentials", Location: "Authorization", LocationType: "header"}
}

var statusNames = map[int]string{400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ALREADY_EXISTS", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}

// asAPI makes an answer of any error; what is not ours is a 500 without its text.
func asAPI(err error) *apiError {
	var e *apiError
	if errors.As(err, &e) {
		return e
	}
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		return errReason(http.StatusRequestEntityTooLarge, "uploadTooLarge", "The request is too large.")
	}
	if errors.Is(err, syscall.ENOSPC) {
		return errReason(http.StatusForbidden, "storageQuotaExceeded", "The disk of the local drive is full.")
	}
	return errReason(http.StatusInternalServerError, "internalError", "Internal Error")
}

// send writes the error as an answer.
func (e *apiError) send(w http.ResponseWriter) {
	h := w.Header()
	h.Del("Content-Length")
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(e.RetryAfter))
	}
	if e.Code == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="https://accounts.google.com/", error="invalid_token"`)
	}
	if e.Range != "" {
		h.Set("Content-Range", e.Range)
	}
	if e.HTML {
		h.Set("Content-Type", "text/html; charset=UTF-8")
		w.WriteHeader(e.Code)
		_, _ = w.Write([]byte("<!DOCTYPE html><html><title>Error</title><p>That is an error.</html>\n")) // the caller is gone if this fails
		return
	}
	domain := e.Domain
	if domain == "" {
		domain = "global"
	}
	one := map[string]any{"message": e.Message, "domain": domain, "reason": e.Reason}
	if e.Location != "" {
		one["location"], one["locationType"] = e.Location, "parameter"
		if e.LocationType != "" {
			one["locationType"] = e.LocationType
		}
	}
	body := map[string]any{"code": e.Code, "message": e.Message, "errors": []any{one}}
	if e.Details {
		body["status"] = statusNames[e.Code]
		body["details"] = []any{map[string]any{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": e.Reason, "domain": "googleapis.com"}}
	}
	sendJSON(w, e.Code, map[string]any{"error": body}, true)
}

// sendJSON writes an answer. A value that cannot be encoded would be a mistake of ours; the answer is then a 500.
func sendJSON(w http.ResponseWriter, code int, v any, pretty bool) {
	var raw []byte
	var err error
	if pretty {
		raw, err = json.MarshalIndent(v, "", "  ")
	} else {
		raw, err = json.Marshal(v)
	}
	if err != nil {
		code, raw = http.StatusInternalServerError, []byte(`{"error":{"code":500,"message":"Internal Error","errors":[{"domain":"global","reason":"internalError","message":"Internal Error"}]}}`)
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(raw)+1))
	w.WriteHeader(code)
	_, _ = w.Write(append(raw, '\n')) // the caller is gone if this fails
}
