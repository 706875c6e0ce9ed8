package driveserver

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// filesDownload sends the bytes of a file, or one range of them.
func (c *call) filesDownload() error {
	it, f, err := c.openContent(c.id)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	size := it.Content.Size
	from, to, partial, err := byteRange(c.r.Header.Get("Range"), size)
	if err != nil {
		return &apiError{Code: http.StatusRequestedRangeNotSatisfiable, Reason: "requestedRangeNotSatisfiable", Message: "Request range not satisfiable", Location: "Range", LocationType: "header", Range: fmt.Sprintf("bytes */%d", size)}
	}
	if c.fault.ignoresRange() {
		from, to, partial = 0, size, false
	}
	h := c.w.Header()
	h.Set("Content-Type", it.Mime)
	h.Set("Content-Length", strconv.FormatInt(to-from, 10))
	code := http.StatusOK
	if partial {
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, size))
		code = http.StatusPartialContent
	}
	if c.r.Method == http.MethodHead {
		c.w.WriteHeader(code)
		return nil
	}
	n, err := c.fault.deliver(c.w, code, io.NewSectionReader(f, from, to-from), to-from)
	c.s.counters.add(c.who.ID, func(count *Count) { count.Sent += n })
	if err != nil {
		panic(http.ErrAbortHandler) // the answer has begun: the only thing left is to cut it
	}
	return nil
}

// openContent opens the bytes of a file.
func (c *call) openContent(id string) (*item, *os.File, error) {
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	it, err := c.find(c.sight(c.s.st), id)
	if err != nil {
		return nil, nil, err
	}
	if it.Content == nil {
		return nil, nil, &apiError{Code: http.StatusForbidden, Reason: "fileNotDownloadable", Message: "Only files with binary content can be downloaded. Use Export with Docs Editors files.", Location: "alt"}
	}
	f, err := c.s.blobs.open(it.Content.SHA256)
	return it, f, err
}

var errRange = errors.New("range not satisfiable")

// byteRange reads a Range header: what is to be sent is [from, to). Several ranges, and what is no range, count as none.
func byteRange(h string, size int64) (from, to int64, partial bool, err error) {
	spec, ok := strings.CutPrefix(h, "bytes=")
	a, b, dash := strings.Cut(spec, "-")
	if !ok || !dash || strings.Contains(spec, ",") {
		return 0, size, false, nil
	}
	a, b = strings.TrimSpace(a), strings.TrimSpace(b)
	if a == "" {
		n, err := strconv.ParseUint(b, 10, 63)
		switch {
		case err != nil:
			return 0, size, false, nil
		case n == 0 || size == 0:
			return 0, 0, false, errRange
		}
		return max(0, size-int64(n)), size, true, nil
	}
	first, err := strconv.ParseUint(a, 10, 63)
	if err != nil {
		return 0, size, false, nil
	}
	last := uint64(size) - 1
	if b != "" {
		got, err := strconv.ParseUint(b, 10, 63)
		if err != nil || got < first {
			return 0, size, false, nil
		}
		last = min(last, got)
	}
	if first >= uint64(size) {
		return 0, 0, false, errRange
	}
	return int64(first), int64(last) + 1, true, nil
}
