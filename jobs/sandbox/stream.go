package sandbox

import (
	"fmt"
	"io"
	"os"
)

// capped keeps the first eight tenths and the last two tenths of a stream in a file. Bytes are kept as they come; what
// lies between is counted and dropped, so the writer is never held up.
type capped struct {
	file   *os.File
	head   int64 // bytes that still go straight to the file
	ring   []byte
	tail   int64 // bytes seen after the head
	failed error // of the first write that failed; the stream is drained all the same
}

func newCapped(f *os.File, limit int64) *capped {
	head := limit / 10 * 8
	return &capped{file: f, head: head, ring: make([]byte, 0, limit-head)}
}

func (c *capped) Write(b []byte) (int, error) {
	n := len(b)
	if c.head > 0 {
		k := min(int64(len(b)), c.head)
		c.put(b[:k])
		c.head -= k
		b = b[k:]
	}
	c.keep(b)
	return n, nil
}

// keep puts b into the ring: position tail%cap, oldest bytes overwritten.
func (c *capped) keep(b []byte) {
	size := int64(cap(c.ring))
	if over := int64(len(b)) - size; over > 0 {
		c.tail += over
		b = b[over:]
	}
	for len(b) > 0 {
		at := c.tail % size
		if int64(len(c.ring)) < size {
			c.ring = c.ring[:size]
		}
		k := copy(c.ring[at:], b)
		c.tail += int64(k)
		b = b[k:]
	}
}

func (c *capped) put(b []byte) {
	if c.failed == nil {
		_, c.failed = c.file.Write(b)
	}
}

// finish writes the tail, with a line before it when something is missing.
func (c *capped) finish() error {
	size := int64(cap(c.ring))
	if c.tail <= size {
		c.put(c.ring[:c.tail])
		return c.failed
	}
	c.put(fmt.Appendf(nil, "\n--- %d BYTES LEFT OUT ---\n", c.tail-size))
	at := c.tail % size
	c.put(c.ring[at:])
	c.put(c.ring[:at])
	return c.failed
}

// drain reads r to its end, in blocks.
func drain(r io.Reader, c *capped) error {
	b := make([]byte, 64<<10)
	for {
		n, err := r.Read(b)
		c.Write(b[:n])
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
