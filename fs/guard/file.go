package guard

import (
	"context"

	"github.com/openmined/syftfs/fs/datasite"
)

// File is an open file with the decision it was opened under and the rule epoch of that decision. When the epoch has moved,
// the next read or write asks again; EACCES if the right is gone.
type File struct{}

func (f *File) Path() datasite.Path                                            { return datasite.Path{} }
func (f *File) Stat() (datasite.Entry, error)                                  { return datasite.Entry{}, errStub }
func (f *File) ReadAt(p []byte, off int64) (int, error)                        { return 0, errStub }
func (f *File) WriteAt(p []byte, off int64) (int, error)                       { return 0, errStub }
func (f *File) Truncate(size int64) error                                      { return errStub }
func (f *File) Allocate(mode uint32, off, length int64) error                  { return errStub }
func (f *File) Seek(off int64, whence int) (int64, error)                      { return 0, errStub } // SEEK_DATA, SEEK_HOLE
func (f *File) CopyTo(dst *File, offIn, offOut int64, length int) (int, error) { return 0, errStub }

// Flush is close(2): if the stamp moved the change is queued (the owner) or committed (anyone else). Idempotent.
func (f *File) Flush(ctx context.Context) error { return errStub }

// Sync is fsync(2): bytes and journal entry are durable on return.
func (f *File) Sync(ctx context.Context, dataOnly bool) error { return errStub }

// Close is the last close: settles once more if the stamp moved, and frees the descriptor.
func (f *File) Close() error { return errStub }
