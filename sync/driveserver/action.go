package driveserver

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// The kinds of Action.
const (
	FaultError       = "error"        // the error of Code, Reason, …; nothing is done
	FaultErrorAfter  = "error-after"  // the same, but what was asked for is done
	FaultDrop        = "drop"         // the connection is cut; nothing is done
	FaultDropAfter   = "drop-after"   // done, then cut without an answer
	FaultDropInside  = "drop-inside"  // done, cut in the middle of the answer
	FaultDelay       = "delay"        // Delay milliseconds, then as usual
	FaultStall       = "stall"        // nothing, until the client goes away
	FaultTruncate    = "truncate"     // a download is cut after Bytes bytes
	FaultShort       = "short"        // a download ends cleanly after Bytes bytes, with that length
	FaultCorrupt     = "corrupt"      // a download has one wrong byte, at Bytes
	FaultIgnoreRange = "ignore-range" // a download sends everything
	FaultLoseUpload  = "lose-upload"  // a resumable upload is forgotten: Code 404 or 410
	FaultKeepFewer   = "keep-fewer"   // of a chunk only Bytes bytes are kept
	FaultHideRange   = "hide-range"   // an unfinished upload does not say how far it is
	FaultShortPage   = "short-page"   // a list or feed has at most Bytes entries on this page, but goes on
	FaultDeadToken   = "dead-token"   // page tokens of page Bytes and later are refused
	FaultIncomplete  = "incomplete"   // a list says incompleteSearch
	FaultOrEmpty     = "or-empty"     // a list over several parents finds nothing
	FaultEmptyList   = "empty-list"   // a list finds nothing
	FaultTwice       = "twice"        // the entries of a page of the feed come twice
	FaultReverse     = "reverse"      // the entries of a page of the feed come in reverse
	FaultTwin        = "twin"         // a create without an id of its own is done twice
)

var actionKinds = []string{FaultError, FaultErrorAfter, FaultDrop, FaultDropAfter, FaultDropInside, FaultDelay, FaultStall, FaultTruncate, FaultShort,
	FaultCorrupt, FaultIgnoreRange, FaultLoseUpload, FaultKeepFewer, FaultHideRange, FaultShortPage, FaultDeadToken, FaultIncomplete, FaultOrEmpty,
	FaultEmptyList, FaultTwice, FaultReverse, FaultTwin}

// Action is what goes wrong. Which fields matter depends on the kind. A nil action is none.
type Action struct {
	Kind       string `json:"kind"`
	Code       int    `json:"code,omitempty"`   // 0 is 503
	Reason     string `json:"reason,omitempty"` // "" is what is usual for the code
	Message    string `json:"message,omitempty"`
	RetryAfter int    `json:"retryAfter,omitempty"` // seconds
	HTML       bool   `json:"html,omitempty"`       // the body is a page
	Delay      int64  `json:"delay,omitempty"`      // milliseconds
	Bytes      int64  `json:"bytes,omitempty"`
}

func (a *Action) is(kind string) bool { return a != nil && a.Kind == kind }

func (a *Action) error() *apiError {
	usual := map[int]apiError{
		400: {Reason: "badRequest", Message: "Bad Request"}, 401: *errInvalidToken(), 403: {Reason: "userRateLimitExceeded", Domain: "usageLimits", Message: "User Rate Limit Exceeded"},
		404: {Reason: "notFound", Message: "Not Found"}, 429: {Reason: "rateLimitExceeded", Domain: "usageLimits", Message: "Rate Limit Exceeded"}, 500: {Reason: "internalError", Message: "Internal Error"},
	}
	code := a.Code
	if code == 0 {
		code = http.StatusServiceUnavailable
	}
	e, ok := usual[code]
	if !ok {
		e = apiError{Reason: "backendError", Message: "Backend Error"}
	}
	if a.Reason != "" {
		e.Reason, e.Domain = a.Reason, ""
		if slices.Contains([]string{"rateLimitExceeded", "userRateLimitExceeded", "dailyLimitExceeded", "uploadLimitExceeded", "downloadQuotaExceeded"}, a.Reason) {
			e.Domain = "usageLimits"
		}
	}
	if a.Message != "" {
		e.Message = a.Message
	}
	e.Code, e.RetryAfter, e.HTML = code, a.RetryAfter, a.HTML
	return &e
}

// before does what happens instead of the call, and tells whether the call is to be made.
func (a *Action) before(s *Server, w http.ResponseWriter, r *http.Request) bool {
	switch {
	case a.is(FaultError):
		a.error().send(w)
		return false
	case a.is(FaultDrop):
		panic(http.ErrAbortHandler)
	case a.is(FaultStall):
		select {
		case <-r.Context().Done():
		case <-s.quit.Done():
		}
		panic(http.ErrAbortHandler)
	case a.is(FaultDelay):
		t := time.NewTimer(time.Duration(a.Delay) * time.Millisecond)
		defer t.Stop()
		select {
		case <-t.C:
		case <-r.Context().Done():
		case <-s.quit.Done():
		}
	}
	return true
}

// answerFor is where the call is to write its answer: aside, when it is to be lost.
func (a *Action) answerFor(w http.ResponseWriter) http.ResponseWriter {
	if a.is(FaultErrorAfter) || a.is(FaultDropAfter) || a.is(FaultDropInside) {
		return &recorder{header: http.Header{}}
	}
	return w
}

// after spoils the answer of a call that was carried out.
func (a *Action) after(w, written http.ResponseWriter) {
	rec, ok := written.(*recorder)
	if !ok {
		return
	}
	if a.is(FaultErrorAfter) {
		a.error().send(w)
		return
	}
	if a.is(FaultDropInside) {
		for k, v := range rec.header {
			w.Header()[k] = v
		}
		w.Header().Set("Content-Length", strconv.Itoa(rec.body.Len()+1))
		w.WriteHeader(rec.status())
		_, _ = w.Write(rec.body.Bytes()[:rec.body.Len()/2]) // it is to be cut anyway
		_ = http.NewResponseController(w).Flush()           // the same
	}
	panic(http.ErrAbortHandler)
}

// recorder keeps an answer in memory.
type recorder struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(code int) {
	if r.code == 0 {
		r.code = code
	}
}

func (r *recorder) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(b)
}

func (r *recorder) status() int {
	if r.code == 0 {
		return http.StatusOK
	}
	return r.code
}

var errCut = errors.New("cut by a fault")

// deliver sends the bytes of a download.
func (a *Action) deliver(w http.ResponseWriter, code int, src io.Reader, n int64) (int64, error) {
	switch {
	case a.is(FaultTruncate):
		w.WriteHeader(code)
		sent, err := io.CopyN(w, src, min(n, a.Bytes))
		return sent, errors.Join(err, http.NewResponseController(w).Flush(), errCut)
	case a.is(FaultShort):
		n = min(n, a.Bytes)
		w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	case a.is(FaultCorrupt):
		src = &corrupter{r: src, at: a.Bytes}
	}
	w.WriteHeader(code)
	return io.CopyN(w, src, n)
}

// corrupter flips the byte at a place.
type corrupter struct {
	r  io.Reader
	at int64
}

func (c *corrupter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.at >= 0 && c.at < int64(n) {
		p[c.at] ^= 0xff
	}
	c.at -= int64(n)
	return n, err
}

func (a *Action) ignoresRange() bool { return a.is(FaultIgnoreRange) }
func (a *Action) hidesRange() bool   { return a.is(FaultHideRange) }
func (a *Action) incomplete() bool   { return a.is(FaultIncomplete) }

// losesUpload is the status with which a resumable upload is to be forgotten, 0 for none.
func (a *Action) losesUpload() int {
	switch {
	case !a.is(FaultLoseUpload):
		return 0
	case a.Code == http.StatusGone:
		return http.StatusGone
	}
	return http.StatusNotFound
}

// keepFewer is how many bytes of an upload are kept when it had `kept` before and `end` now.
func (a *Action) keepFewer(kept, end int64) int64 {
	if !a.is(FaultKeepFewer) {
		return end
	}
	return min(end, kept+a.Bytes/chunkUnit*chunkUnit)
}

func (a *Action) shorten(size int) int {
	if !a.is(FaultShortPage) {
		return size
	}
	return int(min(int64(size), a.Bytes))
}

func (a *Action) killsToken(pages int) bool { return a.is(FaultDeadToken) && int64(pages) >= a.Bytes }

func (a *Action) emptiesList(n node) bool {
	if a.is(FaultEmptyList) {
		return true
	}
	parents, ok := parentsOf(n)
	return a.is(FaultOrEmpty) && ok && len(parents) > 1
}

// disturb repeats or reverses the entries of a page of the feed.
func (a *Action) disturb(changes []any) []any {
	switch {
	case a.is(FaultTwice):
		return append(slices.Clone(changes), changes...)
	case a.is(FaultReverse):
		slices.Reverse(changes)
	}
	return changes
}
