package guard

import (
	"context"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"golang.org/x/sys/unix"
)

// writing reports whether somebody has the file at p open for writing, or made it and has not closed it: what is done through that handle is
// recorded by it.
func (o *openFiles) writing(p datasite.Path) (found bool) {
	o.each(func(f *File) { found = found || (f.acc != unix.O_RDONLY || f.created) && !f.gone && f.path == p })
	return found
}

// leaving is closed when the next handle is closed.
func (o *openFiles) leaving() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.left == nil {
		o.left = make(chan struct{})
	}
	return o.left
}

// idle waits until nobody has the file at p open for writing, as long as most.
func (o *openFiles) idle(ctx context.Context, p datasite.Path, most time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for {
		left := o.leaving()
		if !o.writing(p) {
			return
		}
		select {
		case <-left:
		case <-ctx.Done():
			return
		}
	}
}
