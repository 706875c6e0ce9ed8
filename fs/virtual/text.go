package virtual

import (
	"context"
	"io"
	"sync"
	"syscall"
)

// NewText is the handle of a Text file: body is what reading shows, judge (nil: read-only) is given each write whole. The
// text is fixed at open, so that a reader in pieces sees one version.
func NewText(e Entry, body []byte, judge func([]byte) error) Handle {
	e.Size = int64(len(body))
	return &text{entry: e, body: body, judge: judge}
}

type text struct {
	mu    sync.Mutex
	entry Entry
	body  []byte
	judge func([]byte) error
}

func (t *text) ReadAt(p []byte, off int64) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if off >= int64(len(t.body)) {
		return 0, io.EOF
	}
	n := copy(p, t.body[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (t *text) WriteAt(p []byte, _ int64) (int, error) {
	if t.judge == nil {
		return 0, syscall.EBADF
	}
	if err := t.judge(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (t *text) Truncate(int64) error {
	if t.judge == nil {
		return syscall.EBADF
	}
	return nil
}

func (t *text) Stat() (Entry, error)        { return t.entry, nil }
func (t *text) Sync(context.Context) error  { return nil }
func (t *text) Flush(context.Context) error { return nil }
func (t *text) Close() error                { return nil }
