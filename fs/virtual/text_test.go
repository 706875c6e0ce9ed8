package virtual

import (
	"errors"
	"io"
	iofs "io/fs"
	"syscall"
	"testing"
)

func TestTextReadsInPieces(t *testing.T) {
	h := NewText(Entry{Name: "status"}, []byte("hello"), nil)
	buf := make([]byte, 2)
	for _, tt := range []struct {
		off  int64
		want string
		err  error
	}{{0, "he", nil}, {2, "ll", nil}, {4, "o", io.EOF}, {5, "", io.EOF}, {9, "", io.EOF}} {
		n, err := h.ReadAt(buf, tt.off)
		if string(buf[:n]) != tt.want || err != tt.err {
			t.Errorf("at %d: %q, %v", tt.off, buf[:n], err)
		}
	}
	if e, err := h.Stat(); err != nil || e.Size != 5 {
		t.Errorf("stat: %+v, %v", e, err)
	}
	if _, err := h.WriteAt([]byte("x"), 0); !errors.Is(err, syscall.EBADF) {
		t.Errorf("a read-only text took a write: %v", err)
	}
	if err := h.Truncate(0); !errors.Is(err, syscall.EBADF) {
		t.Errorf("a read-only text was truncated: %v", err)
	}
}

func TestTextJudgesEachWrite(t *testing.T) {
	var judged []string
	refusal := &Refusal{Reason: "no", Err: syscall.EINVAL}
	h := NewText(Entry{}, nil, func(b []byte) error {
		judged = append(judged, string(b))
		if string(b) == "bad" {
			return refusal
		}
		return nil
	})
	if n, err := h.WriteAt([]byte("good"), 7); n != 4 || err != nil {
		t.Errorf("good: %d, %v", n, err)
	}
	n, err := h.WriteAt([]byte("bad"), 0)
	if n != 0 || !errors.Is(err, syscall.EINVAL) || errors.Is(err, iofs.ErrPermission) || err.Error() != "no" {
		t.Errorf("bad: %d, %v", n, err)
	}
	if len(judged) != 2 {
		t.Errorf("judged %q", judged)
	}
	if err := h.Truncate(0); err != nil {
		t.Errorf("truncate before a write: %v", err)
	}
}
