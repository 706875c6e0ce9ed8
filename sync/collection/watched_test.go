package collection

import (
	"context"
	"io"

	"github.com/openmined/syftfs/sync/remote"
)

// watched tells from where files are fetched.
type watched struct {
	remote.Remote
	get func(offset int64)
}

func (w watched) Get(ctx context.Context, id remote.ID, offset int64) (io.ReadCloser, error) {
	w.get(offset)
	return w.Remote.Get(ctx, id, offset)
}
