package driveserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	sessionLife = 7 * 24 * time.Hour
	chunkUnit   = 256 << 10
)

// session is a resumable upload. Its bytes lie in a file of their own; Kept of them are synced. Who knows the id may send.
type session struct {
	ID      string   `json:"id"`
	Account string   `json:"account"`
	Client  string   `json:"client"`
	Scopes  []string `json:"scopes"`
	File    string   `json:"file,omitempty"` // to be changed; "" makes a new one
	Query   string   `json:"query"`          // of the request that began it
	Meta    []byte   `json:"meta,omitempty"`
	Type    string   `json:"type,omitempty"`
	Total   int64    `json:"total"` // -1 as long as nobody said
	Kept    int64    `json:"kept"`
	Begun   int64    `json:"begun"`
	Done    string   `json:"done,omitempty"` // the file, once everything arrived
}

// uploadLocks lets one request at a time work on a session.
type uploadLocks struct {
	mu   sync.Mutex
	held map[string]*uploadLock
}

type uploadLock struct {
	slot  chan struct{}
	users int // guarded by uploadLocks.mu
}

func (l *uploadLocks) lock(ctx context.Context, id string) (unlock func(), err error) {
	l.mu.Lock()
	if l.held == nil {
		l.held = map[string]*uploadLock{}
	}
	one := l.held[id]
	if one == nil {
		one = &uploadLock{slot: make(chan struct{}, 1)}
		l.held[id] = one
	}
	one.users++
	l.mu.Unlock()
	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if one.users--; one.users == 0 {
			delete(l.held, id)
		}
	}
	select {
	case one.slot <- struct{}{}:
		return func() { <-one.slot; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

// startSession begins a resumable upload and answers with the address to send to.
func (c *call) startSession(meta []byte) error {
	x := session{ID: "A" + newSecret(48), Account: c.who.ID, Client: c.who.client, Scopes: c.who.scopes, File: c.id, Query: c.r.URL.RawQuery,
		Meta: meta, Type: c.r.Header.Get("X-Upload-Content-Type"), Total: -1, Begun: millis(c.s.cfg.Now())}
	if v := c.r.Header.Get("X-Upload-Content-Length"); v != "" {
		n, err := strconv.ParseUint(v, 10, 62)
		if err != nil {
			return errBadRequest("Invalid X-Upload-Content-Length.")
		}
		x.Total = int64(n)
	}
	f, err := os.OpenFile(c.s.blobs.part(x.ID), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Close(), syncDir(c.s.blobs.parts)); err != nil {
		return err
	}
	err = c.s.update(c.who.ID, func(tx *txn) error {
		for id, old := range tx.st.sessions {
			if old.Begun < x.Begun-sessionLife.Milliseconds() {
				tx.dropSession(id)
			}
		}
		tx.saveSession(x)
		return nil
	})
	if err != nil {
		return errors.Join(err, os.Remove(c.s.blobs.part(x.ID)))
	}
	h := c.w.Header()
	to := url.URL{Scheme: schemeOf(c.r), Host: c.r.Host, Path: c.r.URL.Path, RawQuery: url.Values{"uploadType": {"resumable"}, "upload_id": {x.ID}}.Encode()}
	h.Set("Location", to.String())
	h.Set("X-GUploader-UploadID", x.ID)
	h.Set("Content-Length", "0")
	c.w.WriteHeader(http.StatusOK)
	return nil
}

func schemeOf(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

func (tx *txn) saveSession(x session) {
	tx.save(bucketSessions, x.ID, x, func(st *state) { st.sessions[x.ID] = &x })
}

// dropSession forgets an upload. Its file goes once that is durable; if that fails it is swept at the next start.
func (tx *txn) dropSession(id string) {
	tx.save(bucketSessions, id, nil, func(st *state) { delete(st.sessions, id) })
	tx.after = append(tx.after, func() {
		_ = os.Remove(tx.s.blobs.part(id)) // swept at the next start
	})
}

// serveChunk takes bytes for a session, or tells how many it has.
func (s *Server) serveChunk(id string, w http.ResponseWriter, r *http.Request) {
	status := &statusWriter{ResponseWriter: w}
	account := nobody
	defer func() { s.count(r.Context(), account, "files.upload", 0, status) }()
	unlock, err := s.uploads.lock(r.Context(), id)
	if err != nil {
		return // the caller is gone
	}
	defer unlock()
	x, who, err := s.session(id)
	if err != nil {
		asAPI(err).send(status)
		return
	}
	account = who.ID
	q, err := url.ParseQuery(x.Query)
	if err != nil {
		errBadRequest("The query of the upload is malformed.").send(status)
		return
	}
	c := &call{s: s, m: &method{id: "files.upload", need: needWrite, schema: schemaFile}, w: status, r: r, id: x.File, q: q, who: who}
	s.faults.around(c, func() error { return c.chunk(x) })
}

// session finds an upload and who began it.
func (s *Server) session(id string) (session, caller, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	x := s.st.sessions[id]
	if x == nil || x.Begun < millis(s.cfg.Now())-sessionLife.Milliseconds() || s.st.accounts[x.Account] == nil {
		return session{}, caller{}, errReason(http.StatusNotFound, "notFound", "Upload not found.")
	}
	return *x, caller{account: s.st.accounts[x.Account], client: x.Client, scopes: x.Scopes}, nil
}

// chunk is what one request to a session does.
func (c *call) chunk(x session) (err error) {
	if c.fields, err = c.m.schema.mask(c.q.Get("fields")); err != nil {
		return err
	}
	if code := c.fault.losesUpload(); code != 0 || c.r.Method == http.MethodDelete {
		err := c.s.update(c.who.ID, func(tx *txn) error { tx.dropSession(x.ID); return nil })
		if err != nil || code == 0 {
			return errors.Join(err, c.noContent())
		}
		return errReason(code, map[int]string{404: "notFound", 410: "gone"}[code], "Upload not found.")
	}
	if x.Done != "" {
		return c.finished(x)
	}
	span, err := parseContentRange(c.r)
	if err != nil {
		return err
	}
	if span.total >= 0 {
		if x.Total >= 0 && x.Total != span.total {
			return errBadRequest("The total length of the upload cannot change.")
		}
		x.Total = span.total
	}
	switch {
	case span.from > x.Kept:
		return errBadRequest("The chunk begins beyond what was received.")
	case x.Total >= 0 && span.to > x.Total:
		return errBadRequest("The chunk is longer than the upload.")
	case !span.query:
		if x.Kept, err = c.appendChunk(x, span); err != nil {
			return err
		}
	}
	if x.Total >= 0 && x.Kept >= x.Total {
		return c.complete(x)
	}
	if !span.query {
		if err := c.s.update(c.who.ID, func(tx *txn) error { tx.saveSession(x); return nil }); err != nil {
			return err
		}
	}
	return c.unfinished(x)
}

// span is a parsed Content-Range: bytes [from, to) of total.
type span struct {
	from, to, total int64 // to is -1 when the length is not known, total when nobody says
	query           bool  // there are no bytes: how far is it?
}

func parseContentRange(r *http.Request) (span, error) {
	h := r.Header.Get("Content-Range")
	if h == "" {
		return span{to: r.ContentLength, total: r.ContentLength, query: false}, nil
	}
	bad := errBadRequest("Failed to parse Content-Range header.")
	spec, ok := strings.CutPrefix(h, "bytes ")
	bounds, total, slash := strings.Cut(strings.TrimSpace(spec), "/")
	if !ok || !slash {
		return span{}, bad
	}
	sp := span{total: -1}
	if total != "*" {
		n, err := strconv.ParseUint(total, 10, 62)
		if err != nil {
			return span{}, bad
		}
		sp.total = int64(n)
	}
	if bounds == "*" {
		sp.query = true
		return sp, nil
	}
	if bounds == "0--1" && sp.total == 0 { // how an old Python library writes an empty file
		return sp, nil
	}
	a, b, _ := strings.Cut(bounds, "-")
	from, err := strconv.ParseUint(a, 10, 62)
	to, err2 := strconv.ParseUint(b, 10, 62)
	if err != nil || err2 != nil || to < from {
		return span{}, bad
	}
	sp.from, sp.to = int64(from), int64(to)+1
	return sp, nil
}

// appendChunk adds the bytes of a request to those that are kept and returns how many are kept then. What is not the end counts only in
// units of 256 KiB, also when the connection broke.
func (c *call) appendChunk(x session, sp span) (int64, error) {
	f, err := os.OpenFile(c.s.blobs.part(x.ID), os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // synced before
	body := io.Reader(c.r.Body)
	if sp.to >= 0 {
		body = io.LimitReader(body, sp.to-sp.from)
	}
	if _, err := io.CopyN(io.Discard, body, x.Kept-sp.from); err != nil && !errors.Is(err, io.EOF) {
		return 0, errBadRequest("The body could not be read.")
	}
	n, cut := io.Copy(io.NewOffsetWriter(f, x.Kept), body)
	c.s.counters.add(c.who.ID, func(count *Count) { count.Received += n })
	end := x.Kept + n
	if sp.to < 0 && cut == nil {
		x.Total = end
	}
	if cut != nil || sp.to >= 0 && end < sp.to || end != x.Total {
		end = max(x.Kept, end/chunkUnit*chunkUnit)
	}
	end = c.fault.keepFewer(x.Kept, end)
	if err := errors.Join(f.Truncate(end), f.Sync(), c.s.step("upload:keep")); err != nil {
		return 0, err
	}
	if cut == nil {
		return end, nil
	}
	x.Kept = end
	if err := c.s.update(c.who.ID, func(tx *txn) error { tx.saveSession(x); return nil }); err != nil {
		return 0, err
	}
	return 0, errBadRequest("The body ended too early.")
}

// complete makes the file of a session of which everything arrived.
func (c *call) complete(x session) error {
	var p patch
	if err := decodeMetadata(strings.NewReader(string(x.Meta)), &p); err != nil {
		return err
	}
	head, err := c.s.blobs.head(x.ID)
	if err != nil {
		return err
	}
	body, err := c.s.blobs.adopt(c.s.blobs.part(x.ID))
	if err != nil {
		return err
	}
	defer c.s.release(body.SHA256)
	make := c.finish(p, &body, x.Type, head)
	v, err := c.change(func(tx *txn, sight *sight) (*item, error) {
		it, err := make(tx, sight)
		if err == nil {
			x.Done, x.Meta, x.Kept = it.ID, nil, body.Size
			tx.saveSession(x)
		}
		return it, err
	})
	if err != nil {
		return err
	}
	if err := os.Remove(c.s.blobs.part(x.ID)); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	return c.answer(v)
}

// finished repeats the answer of a session that is complete.
func (c *call) finished(x session) error {
	v, err := c.show(x.Done)
	if err != nil {
		return err
	}
	return c.answer(v)
}

// unfinished tells how far a session is, in the dialect that the client speaks.
func (c *call) unfinished(x session) error {
	h := c.w.Header()
	if x.Kept > 0 && !c.fault.hidesRange() {
		h.Set("Range", fmt.Sprintf("bytes=0-%d", x.Kept-1))
	}
	h.Set("X-GUploader-UploadID", x.ID)
	h.Set("Content-Length", "0")
	if c.r.Header.Get("X-GUploader-No-308") == "yes" {
		h.Set("X-HTTP-Status-Code-Override", "308")
		c.w.WriteHeader(http.StatusOK)
		return nil
	}
	c.w.WriteHeader(http.StatusPermanentRedirect)
	return nil
}

// head is the beginning of the bytes of a session.
func (b *blobs) head(session string) ([]byte, error) {
	f, err := os.Open(b.part(session))
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(f, 512))
	return raw, errors.Join(err, f.Close())
}
