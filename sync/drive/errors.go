package drive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/openmined/syftfs/sync/remote"
	"google.golang.org/api/googleapi"
)

type verdict struct {
	kind   remote.Kind
	remedy string // "" is the usual one of the kind
}

// byReason sorts the reasons that say more than the status, or something else.
var byReason = map[string]verdict{
	"rateLimitExceeded":     {remote.Throttled, ""},
	"userRateLimitExceeded": {remote.Throttled, ""},

	"storageQuotaExceeded":               {remote.Full, "the Drive storage of the owner is full: empty its trash, delete something or buy more, then it goes on"},
	"quotaExceeded":                      {remote.Full, "the Drive storage of the owner is full: empty its trash, delete something or buy more, then it goes on"},
	"dailyLimitExceeded":                 {remote.Full, "the requests of today are used up; it goes on tomorrow"},
	"uploadLimitExceeded":                {remote.Full, "no more can be uploaded today; it goes on tomorrow"},
	"downloadQuotaExceeded":              {remote.Full, "this file was downloaded too often; it goes on tomorrow"},
	"exportSizeLimitExceeded":            {remote.Full, "it is too large to be exported"},
	"sharingRateLimitExceeded":           {remote.Full, "too much was shared today; it goes on in some hours"},
	"numChildrenInNonRootLimitExceeded":  {remote.Full, "the folder holds as many files as Drive allows: remove old ones"},
	"myDriveHierarchyDepthLimitExceeded": {remote.Full, "the folders are nested deeper than Drive allows"},
	"activeItemCreationLimitExceeded":    {remote.Full, "the account has as many files as Drive allows: remove old ones"},
	"teamDriveFileLimitExceeded":         {remote.Full, "the shared drive has as many files as Drive allows: remove old ones"},

	"insufficientPermissions": {remote.Unauthorized, "the sign-in does not cover all of Drive: sign in again and leave the tick at Google Drive"},
	"accessNotConfigured":     {remote.Unauthorized, "switch on the Google Drive API in the project of your OAuth client, then sign in again"},
	"appNotAuthorizedToFile":  {remote.Permission, "the sign-in does not cover this file: sign in again and leave the tick at Google Drive"},
	"domainPolicy":            {remote.Permission, "your organisation does not allow it: ask its administrator"},

	"cannotModifyInheritedPermission":          {remote.Permission, "the right comes from a folder above: change it there"},
	"cannotDeleteInheritedPermission":          {remote.Permission, "the right comes from a folder above: take it away there"},
	"cannotModifyInheritedTeamDrivePermission": {remote.Permission, "the right comes from a folder above: change it there"},
	"invalidSharingRequest":                    {remote.Invalid, "check the e-mail address of the person"},

	"fileNotDownloadable":       {remote.Invalid, "only plain files have content here, no folders or Google documents"},
	"fileNotExportable":         {remote.Invalid, ""},
	"fileNotCopyable":           {remote.Invalid, ""},
	"cannotDownloadAbusiveFile": {remote.Invalid, "Google takes the file for harmful: ask its owner"},
	"cannotDownloadFile":        {remote.Permission, ""},
	"parentNotAFolder":          {remote.Invalid, ""},
	"fieldNotWritable":          {remote.Invalid, ""},
	"cannotAddParent":           {remote.Invalid, ""},

	"fileIdInUse": {remote.Exists, ""},
	"duplicate":   {remote.Exists, ""},

	"internalError":       {remote.Unavailable, ""},
	"backendError":        {remote.Unavailable, ""},
	"transientError":      {remote.Unavailable, ""},
	"updatedConcurrently": {remote.Unavailable, ""},
	"conflict":            {remote.Unavailable, ""},
}

// byStatus sorts the rest.
func byStatus(code int) verdict {
	switch code {
	case http.StatusUnauthorized:
		return verdict{remote.Unauthorized, ""}
	case http.StatusForbidden:
		return verdict{remote.Permission, ""}
	case http.StatusNotFound, http.StatusGone:
		return verdict{remote.NotFound, ""}
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusPreconditionFailed:
		return verdict{remote.Unavailable, ""}
	case http.StatusTooManyRequests:
		return verdict{remote.Throttled, ""}
	}
	if code >= 500 {
		return verdict{remote.Unavailable, ""}
	}
	return verdict{remote.Invalid, ""}
}

const notDriveRemedy = "what answers there is not a Drive: check the address of the drive in the configuration"

func notDrive(op string) error {
	return &remote.Error{Op: op, Kind: remote.Invalid, Remedy: notDriveRemedy}
}

// contentError is a failure to read what is to be sent; it is the caller's, not the store's.
type contentError struct{ err error }

func (e *contentError) Error() string { return "the content: " + e.err.Error() }
func (e *contentError) Unwrap() error { return e.err }

// failed turns what a request failed with into what package remote promises. Never by text.
func (c *Client) failed(ctx context.Context, op string, id remote.ID, name string, err error) error {
	what := name
	if what == "" {
		what = string(id)
	}
	var content *contentError
	if errors.As(err, &content) {
		return fmt.Errorf("%s %s: %w", op, what, content)
	}
	if end := ctx.Err(); end != nil {
		return fmt.Errorf("%s %s: %w", op, what, end)
	}
	var known *remote.Error
	if errors.As(err, &known) {
		e := *known
		e.Op, e.ID, e.Name = op, id, name
		return &e
	}
	e := &remote.Error{Op: op, ID: id, Name: name, Kind: remote.Unavailable, Err: err}
	var answer *googleapi.Error
	var syntax *json.SyntaxError
	var mistyped *json.UnmarshalTypeError
	switch {
	case errors.As(err, &answer):
		c.judge(e, answer)
	case errors.As(err, &syntax), errors.As(err, &mistyped):
		e.Kind, e.Remedy, e.Err = remote.Invalid, notDriveRemedy, nil
	default:
		e.Err = bare(err)
	}
	return e
}

// bare is err without the address, which may hold what only we should know.
func bare(err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		return outer.Err
	}
	return err
}

// judge fills e from an answer of the server.
func (c *Client) judge(e *remote.Error, a *googleapi.Error) {
	e.RetryAfter = retryAfter(a.Header, c.now())
	e.Err = fmt.Errorf("status %d", a.Code)
	if len(a.Errors) == 0 {
		// A front end answers with a page of its own when the service is away; everything else comes from something else.
		v := byStatus(a.Code)
		if v.kind != remote.Unavailable && v.kind != remote.Throttled && a.Code != http.StatusUnauthorized {
			v = verdict{remote.Invalid, notDriveRemedy}
		}
		e.Kind, e.Remedy = v.kind, v.remedy
		return
	}
	e.Reason = a.Errors[0].Reason
	if a.Message != "" {
		e.Err = fmt.Errorf("status %d: %s", a.Code, a.Message)
	}
	v, ok := byReason[e.Reason]
	if !ok || a.Code == http.StatusTooManyRequests || a.Code == http.StatusUnauthorized || a.Code >= 500 {
		v = byStatus(a.Code)
	}
	if a.Code == http.StatusBadRequest && e.Reason == "invalid" && location(a.Body) == "pageToken" {
		v = verdict{remote.TokenLost, ""}
	}
	e.Kind, e.Remedy = v.kind, v.remedy
}

// location is which part of the request the server objects to, which the library does not hand on.
func location(body string) string {
	var reply struct {
		Error struct {
			Errors []struct{ Location string }
		}
	}
	if err := json.Unmarshal([]byte(body), &reply); err != nil || len(reply.Error.Errors) == 0 {
		return ""
	}
	return reply.Error.Errors[0].Location
}

// retryAfter reads the header, in seconds or as a date; 0 if it is not there or makes no sense.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	until, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date // the server's own clock, as ours may be wrong
	}
	return max(0, until.Sub(now))
}
