package driveserver

import (
	"bufio"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
)

func (c *call) uploadCreate() error { return c.upload(c.mayCreate) }

func (c *call) uploadUpdate() error { return c.upload(func(patch) error { return c.mayModify() }) }

// upload reads a request in one of the three dialects. may is asked before any content is stored, and everything it checks is checked
// again when the content is complete.
func (c *call) upload(may func(patch) error) error {
	kind := c.q.Get("uploadType")
	if strings.HasPrefix(c.r.URL.Path, "/resumable/") {
		kind = "resumable"
	}
	switch kind {
	case "resumable":
		var p patch
		raw, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxBody))
		if err == nil {
			err = decodeMetadata(strings.NewReader(string(raw)), &p)
		}
		if err == nil {
			err = may(p)
		}
		if err != nil {
			return err
		}
		return c.startSession(raw)
	case "media":
		if err := may(patch{}); err != nil {
			return err
		}
		return c.keepContent(patch{}, c.r.Body, c.r.Header.Get("Content-Type"))
	case "multipart":
		p, media, mediaType, err := readRelated(c.r)
		if err == nil {
			err = may(p)
		}
		if err != nil {
			return err
		}
		return c.keepContent(p, media, mediaType)
	}
	return errInvalid("uploadType")
}

// mayCreate checks what can be checked before the content arrives.
func (c *call) mayCreate(p patch) error {
	if !p.bytes() {
		return errBadRequest("Content cannot be uploaded for this mimeType.")
	}
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	if _, err := c.newParent(c.sight(c.s.st), p.Parents); err != nil {
		return err
	}
	return c.s.st.room(c.who.account, c.announced())
}

// announced is how many bytes the client says it will send; 0 when it does not.
func (c *call) announced() int64 {
	n, err := strconv.ParseInt(c.r.Header.Get("X-Upload-Content-Length"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (c *call) mayModify() error {
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	x := c.sight(c.s.st)
	it, err := c.find(x, c.id)
	switch {
	case err != nil:
		return err
	case x.role(it) < roleWriter:
		return errForbidden(it.ID)
	}
	return c.s.st.room(c.s.st.accounts[it.Owner], c.announced()-it.size())
}

// keepContent stores the bytes, then creates or changes the file that they belong to.
func (c *call) keepContent(p patch, media io.Reader, mediaType string) error {
	body, head, err := c.put(media)
	if err != nil {
		return err
	}
	defer c.s.release(body.SHA256)
	return c.edit(c.finish(p, body, mediaType, head))
}

// put stores the bytes of a request and returns their beginning too, from which a type can be guessed.
func (c *call) put(media io.Reader) (*content, []byte, error) {
	r := bufio.NewReaderSize(media, 4<<10)
	head, err := r.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, errBadRequest("The body could not be read.")
	}
	head = append([]byte(nil), head...)
	read := &bodyReader{r: io.LimitReader(r, maxUpload)}
	body, err := c.s.blobs.put(read)
	if read.err != nil {
		return nil, nil, errBadRequest("The body ended too early.")
	}
	if err != nil {
		return nil, nil, err
	}
	c.s.counters.add(c.who.ID, func(n *Count) { n.Received += body.Size })
	return &body, head, nil
}

// bodyReader remembers the error of what it reads, to tell it from an error of the store.
type bodyReader struct {
	r   io.Reader
	err error
}

func (r *bodyReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// finish is the change that gives complete content to a new file, or to the one of the call.
func (c *call) finish(p patch, body *content, mediaType string, head []byte) func(*txn, *sight) (*item, error) {
	if p.Mime == nil && mediaType != "" {
		p.Mime = &mediaType
	}
	return func(tx *txn, x *sight) (*item, error) {
		if c.id != "" {
			return c.modify(tx, x, c.id, p, body)
		}
		if p.Mime == nil {
			name := ""
			set(&name, p.Name)
			guess := guessMime(name, head)
			p.Mime = &guess
		}
		if !p.bytes() {
			return nil, errBadRequest("Content cannot be uploaded for this mimeType.")
		}
		return c.create(tx, x, p, body)
	}
}

// release unpins a blob and drops it if nothing came to name it.
func (s *Server) release(sum string) {
	s.write.Lock()
	defer s.write.Unlock()
	s.blobs.unpin(sum)
	if s.st.refs[sum] == 0 {
		s.blobs.drop([]string{sum})
	}
}

// readRelated reads the metadata of a multipart/related body and returns the content as a stream. Line ends may be LF alone.
func readRelated(r *http.Request) (p patch, media io.Reader, mediaType string, err error) {
	boundary := boundaryOf(r.Header.Get("Content-Type"))
	if boundary == "" {
		return p, nil, "", errBadRequest("Multipart body without a boundary.")
	}
	parts := multipart.NewReader(r.Body, boundary)
	meta, err := parts.NextRawPart()
	if err != nil {
		return p, nil, "", errBadRequest("Malformed multipart body.")
	}
	if err := decodeMetadata(http.MaxBytesReader(nil, io.NopCloser(meta), maxBody), &p); err != nil {
		return p, nil, "", err
	}
	body, err := parts.NextRawPart()
	if err != nil {
		return p, nil, "", errBadRequest("Malformed multipart body.")
	}
	return p, body, body.Header.Get("Content-Type"), nil
}

// boundaryOf finds the boundary of a multipart type, also one that is not quoted although it should be.
func boundaryOf(contentType string) string {
	if kind, params, err := mime.ParseMediaType(contentType); err == nil && strings.HasPrefix(kind, "multipart/") {
		return params["boundary"]
	}
	if !strings.HasPrefix(lower(contentType), "multipart/") {
		return ""
	}
	_, b, ok := strings.Cut(contentType, "boundary=")
	if !ok {
		return ""
	}
	b, _, _ = strings.Cut(b, ";")
	return strings.Trim(strings.TrimSpace(b), `"`)
}
