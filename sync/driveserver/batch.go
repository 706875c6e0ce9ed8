package driveserver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
)

const maxBatchCalls = 100

// batchPart is one call of a batch.
type batchPart struct {
	id  string // Content-ID, as it was sent
	req *http.Request
}

// serveBatch answers up to a hundred calls in one. Each is counted, throttled and may fail on its own.
func (s *Server) serveBatch(w http.ResponseWriter, r *http.Request) {
	status := &statusWriter{ResponseWriter: w}
	billed := nobody
	outer, err := s.authenticate(r)
	if err == nil {
		billed = outer.ID
	}
	defer func() { s.count(r.Context(), billed, "batch", 0, status) }()
	c := &call{s: s, m: &method{id: "batch"}, w: status, r: r, q: r.URL.Query(), who: outer}
	if err != nil {
		c.who.account = &account{} // each call says for itself that its token is missing
	}
	s.faults.around(c, func() error {
		parts, err := readBatch(r.Header.Get("Content-Type"), http.MaxBytesReader(c.w, r.Body, maxBatch))
		if err != nil {
			return err
		}
		return c.answerBatch(parts)
	})
}

// readBatch reads the calls of a batch. Line ends may be LF alone.
func readBatch(contentType string, body io.Reader) ([]batchPart, error) {
	boundary := boundaryOf(contentType)
	if boundary == "" {
		return nil, errBadRequest("Failed to parse batch request: no boundary.")
	}
	var parts []batchPart
	for mr := multipart.NewReader(body, boundary); ; {
		p, err := mr.NextRawPart()
		if errors.Is(err, io.EOF) {
			return parts, nil
		}
		var tooLong *http.MaxBytesError
		if errors.As(err, &tooLong) {
			return nil, err
		}
		if err != nil {
			return nil, errBadRequest("Failed to parse batch request.")
		}
		if len(parts) == maxBatchCalls {
			return nil, errBadRequest("The batch request has more than 100 calls.")
		}
		req, err := readPart(p)
		if err != nil {
			return nil, errBadRequest("Failed to parse batch request, error: Failed in parsing a call.")
		}
		parts = append(parts, batchPart{id: p.Header.Get("Content-ID"), req: req})
	}
}

// readPart reads an HTTP request whose body is everything after its header.
func readPart(r io.Reader) (*http.Request, error) {
	tr := textproto.NewReader(bufio.NewReader(r))
	line, err := tr.ReadLine()
	if err != nil {
		return nil, err
	}
	f := strings.Fields(line)
	if len(f) < 2 || len(f) > 3 || !slices.Contains([]string{"GET", "POST", "PUT", "PATCH", "DELETE"}, f[0]) {
		return nil, errQuery
	}
	u, err := url.Parse(f[1])
	if err != nil {
		return nil, err
	}
	h, err := tr.ReadMIMEHeader()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	body, err := io.ReadAll(tr.R)
	if err != nil {
		return nil, err
	}
	path := &url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}
	req, err := http.NewRequest(f[0], "/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.URL, req.Header, req.RequestURI = path, http.Header(h), path.RequestURI()
	return req, nil
}

// answerBatch runs the calls in order and writes their answers as parts.
func (c *call) answerBatch(parts []batchPart) error {
	var out bytes.Buffer
	mw := multipart.NewWriter(&out)
	for _, p := range parts {
		rec := c.runPart(p.req)
		h := textproto.MIMEHeader{"Content-Type": {"application/http"}}
		if p.id != "" {
			h.Set("Content-ID", "<response-"+strings.TrimPrefix(p.id, "<"))
		}
		pw, err := mw.CreatePart(h)
		if err != nil {
			return err
		}
		code := rec.status()
		fmt.Fprintf(pw, "HTTP/1.1 %d %s\r\n", code, reasonPhrase(code))
		if err := rec.header.Write(pw); err != nil {
			return err
		}
		fmt.Fprintf(pw, "\r\n%s", rec.body.Bytes())
	}
	if err := mw.Close(); err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", "multipart/mixed; boundary="+mw.Boundary())
	c.w.WriteHeader(http.StatusOK)
	_, _ = c.w.Write(out.Bytes()) // the caller is gone if this fails
	return nil
}

// runPart runs one call. It may neither carry media nor be a batch itself.
func (c *call) runPart(req *http.Request) *recorder {
	rec := &recorder{header: http.Header{}}
	switch {
	case !strings.HasPrefix(req.URL.Path, "/drive/v3/"):
		errReason(http.StatusNotFound, "notFound", "Not Found").send(rec)
		return rec
	case req.URL.Query().Get("alt") == "media":
		errBadRequest("Media is not allowed in a batch.").send(rec)
		return rec
	}
	if bearer(req) == "" {
		req.Header.Set("Authorization", "Bearer "+bearer(c.r))
	}
	req.RemoteAddr, req.Host, req.TLS = c.r.RemoteAddr, c.r.Host, c.r.TLS
	c.s.inner.ServeHTTP(rec, req.WithContext(context.WithValue(c.r.Context(), inBatch{}, true)))
	return rec
}

// reasonPhrase is never empty: Python splits the status line in three.
func reasonPhrase(code int) string {
	if t := http.StatusText(code); t != "" {
		return t
	}
	return "Unknown"
}
