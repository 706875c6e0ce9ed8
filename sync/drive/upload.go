package drive

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/openmined/syftfs/sync/remote"
	gdrive "google.golang.org/api/drive/v3"
	"google.golang.org/api/googleapi"
)

// session is a large upload under way; the address is a right to write, and good for a week.
type session struct {
	uri  string
	size int64
}

// sending is a large file that is to be sent.
type sending struct {
	key       remote.ID // under which the session is remembered; "" is not at all, as the content may be another next time
	method    string
	path      string // below /files
	meta      *gdrive.File
	mediaType string // "" is that of meta
	body      remote.Body
}

// upload sends a large file in pieces. A session of the same key that was interrupted goes on.
func (c *Client) upload(ctx context.Context, s sending) error {
	s.mediaType = cmp.Or(s.mediaType, s.meta.MimeType, fileType)
	c.mu.Lock()
	known := c.sessions[s.key]
	c.mu.Unlock()
	var at int64
	if s.key != "" && known.size == s.body.Size {
		reply, err := c.piece(ctx, s, known.uri, http.NoBody, "bytes */"+strconv.FormatInt(known.size, 10), 0)
		if err != nil && !errors.Is(err, errSessionLost) {
			return err
		}
		if err == nil && reply.done {
			return nil
		}
		if err == nil {
			at = reply.stored
		} else {
			known = session{}
		}
	} else {
		known = session{}
	}
	if known.uri == "" {
		var err error
		if known, err = c.begin(ctx, s); err != nil {
			return err
		}
	}
	return c.pieces(ctx, s, known.uri, at)
}

// begin opens a session and remembers it.
func (c *Client) begin(ctx context.Context, s sending) (session, error) {
	meta, err := json.Marshal(s.meta)
	if err != nil {
		return session{}, err
	}
	req, err := http.NewRequestWithContext(ctx, s.method, c.addr.api+"/upload/drive/v3/files"+s.path+"?uploadType=resumable&fields=id", bytes.NewReader(meta))
	if err != nil {
		return session{}, err
	}
	req.Header.Set("Content-Type", "application/json; charset=UTF-8")
	req.Header.Set("X-Upload-Content-Type", s.mediaType)
	req.Header.Set("X-Upload-Content-Length", strconv.FormatInt(s.body.Size, 10))
	resp, err := c.http.Do(req)
	if err != nil {
		return session{}, err
	}
	defer resp.Body.Close() // read as far as needed
	if err := googleapi.CheckResponse(resp); err != nil {
		return session{}, err
	}
	to, err := resp.Location()
	if err != nil || !c.addr.owns(to) {
		return session{}, notDrive("")
	}
	made := session{uri: to.String(), size: s.body.Size}
	if s.key != "" {
		c.mu.Lock()
		c.sessions[s.key] = made
		c.mu.Unlock()
	}
	return made, nil
}

func (c *Client) forget(key remote.ID) {
	c.mu.Lock()
	delete(c.sessions, key)
	c.mu.Unlock()
}

// pieces sends everything from at on.
func (c *Client) pieces(ctx context.Context, s sending, uri string, at int64) error {
	src, err := openSource(s.body, at)
	if err != nil {
		return err
	}
	defer func() { src.Close() }()
	for stuck := 0; stuck < 3; {
		n := min(c.chunk, s.body.Size-at)
		reply, err := c.piece(ctx, s, uri, src.next(n), fmt.Sprintf("bytes %d-%d/%d", at, at+n-1, s.body.Size), n)
		if failure := src.failure(); failure != nil {
			return failure
		}
		if errors.Is(err, errSessionLost) { // a repeated call opens another
			return &remote.Error{Kind: remote.Unavailable, Reason: "upload session lost"}
		}
		if err != nil || reply.done {
			return err
		}
		if reply.stored <= at {
			stuck++
		} else {
			stuck = 0
		}
		if reply.stored != at+n { // less was kept than was sent
			src.Close()
			if src, err = openSource(s.body, reply.stored); err != nil {
				return err
			}
		}
		at = reply.stored
	}
	return &remote.Error{Kind: remote.Unavailable, Reason: "upload does not advance"}
}

var errSessionLost = errors.New("the upload session is not known any more")

// reply is what the server says to a piece.
type reply struct {
	done   bool
	stored int64 // bytes that it has from the beginning on
}

// piece makes one request of a session; without content it asks how far it is.
func (c *Client) piece(ctx context.Context, s sending, uri string, content io.ReadCloser, span string, n int64) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, uri, content)
	if err != nil {
		return reply{}, errors.Join(err, content.Close())
	}
	req.ContentLength = n
	req.Header.Set("Content-Range", span)
	if n > 0 {
		req.Header.Set("Content-Type", s.mediaType)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close() // read as far as needed
	switch resp.StatusCode {
	case http.StatusOK, http.StatusCreated:
		c.forget(s.key)
		return reply{done: true}, nil
	case http.StatusPermanentRedirect: // "resume incomplete"
		stored, err := storedBytes(resp.Header.Get("Range"), s.body.Size)
		return reply{stored: stored}, err
	case http.StatusNotFound, http.StatusGone:
		c.forget(s.key)
		return reply{}, errSessionLost
	}
	err = googleapi.CheckResponse(resp)
	judged := c.failed(ctx, remote.OpPut, "", "", err)
	if remote.Temporary(judged) {
		return reply{}, err
	}
	c.forget(s.key)
	var known *remote.Error
	if errors.As(judged, &known) && known.Reason == "badRequest" { // seen to pass by itself, with a new session
		known.Kind, known.Remedy = remote.Unavailable, ""
	}
	return reply{}, judged
}

// storedBytes reads "bytes=0-41" as 42; without the header nothing is stored.
func storedBytes(header string, size int64) (int64, error) {
	if header == "" {
		return 0, nil
	}
	last, err := strconv.ParseInt(strings.TrimPrefix(header, "bytes=0-"), 10, 64)
	if err != nil || last < 0 || last >= size {
		return 0, notDrive("")
	}
	return last + 1, nil
}

// small reads a body that is sent in one request.
func small(b remote.Body) (io.Reader, error) {
	if b.Open == nil {
		return bytes.NewReader(nil), nil
	}
	src, err := openSource(b, 0)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	content, err := io.ReadAll(src.next(b.Size))
	return bytes.NewReader(content), err
}

// source reads a Body piece by piece and fails unless it has exactly the size that it promises. Its first failure stays.
type source struct {
	r io.ReadCloser

	mu   sync.Mutex // the transport reads, we ask for the failure
	left int64      // of the whole body
	err  error
}

// openSource opens b at an offset.
func openSource(b remote.Body, at int64) (*source, error) {
	r, err := b.Open()
	if err != nil {
		return nil, &contentError{err}
	}
	s := &source{r: r, left: b.Size}
	if seeker, ok := r.(io.Seeker); ok {
		if _, err := seeker.Seek(at, io.SeekStart); err != nil {
			return nil, &contentError{errors.Join(err, r.Close())}
		}
		s.left -= at
	} else if _, err := io.CopyN(io.Discard, s.next(at), at); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return s, nil
}

func (s *source) Close() error { return s.r.Close() }

func (s *source) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// next is the next n bytes; closing it leaves the source open.
func (s *source) next(n int64) io.ReadCloser { return io.NopCloser(&span{s, n}) }

type span struct {
	from *source
	left int64
}

func (p *span) Read(b []byte) (int, error) {
	s := p.from
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	if p.left == 0 {
		if s.left == 0 {
			return 0, s.ended()
		}
		return 0, io.EOF
	}
	n, err := s.r.Read(b[:min(int64(len(b)), p.left)])
	p.left -= int64(n)
	s.left -= int64(n)
	switch {
	case err == io.EOF && s.left > 0:
		s.err = &contentError{errors.New("it is shorter than it was said to be")}
	case err != nil && err != io.EOF:
		s.err = &contentError{err}
	case s.left == 0 && n > 0 && s.ended() != io.EOF:
		// The last byte is held back: nothing is complete then.
		return n - 1, s.err
	}
	return n, s.err
}

// ended checks that nothing follows the last byte; io.EOF is good.
func (s *source) ended() error {
	var more [1]byte
	n, err := s.r.Read(more[:])
	for n == 0 && err == nil {
		n, err = s.r.Read(more[:])
	}
	switch {
	case n > 0:
		s.err = &contentError{errors.New("it is longer than it was said to be")}
	case err != io.EOF:
		s.err = &contentError{err}
	default:
		return io.EOF
	}
	return s.err
}

func escape(id remote.ID) string { return url.PathEscape(string(id)) }
