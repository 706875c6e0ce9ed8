// Package journal keeps ordered, durable changes in one bbolt file, with group commit, a cursor per named reader and the
// last-known state of each file. It does not know Drive, the mount or jobs.
package journal

import (
	"context"
	"errors"

	"github.com/openmined/syftfs/fs/datasite"
)

var errStub = errors.ErrUnsupported

// Journal is the open journal. Fits guard.Recorder and guard.Memory.
type Journal struct{}

// Reader reads changes in order from its own durable cursor.
type Reader struct{}

// Options are for Open.
type Options struct {
	Fault interface{ Before(op string) error } // may be nil
}

func Open(path string, o Options) (*Journal, error)                              { return nil, errStub }
func (j *Journal) Append(c datasite.Change) error                                { return errStub }
func (j *Journal) Commit(ctx context.Context, c datasite.Change) (uint64, error) { return 0, errStub }
func (j *Journal) Flush(ctx context.Context) error                               { return errStub }
func (j *Journal) Known(p datasite.Path) (datasite.Known, bool)                  { return datasite.Known{}, false }
func (j *Journal) EachKnown(under datasite.Path, fn func(datasite.Path, datasite.Known) error) error {
	return errStub
}
func (j *Journal) Reader(name string) (*Reader, error) { return nil, errStub }
func (j *Journal) Last() (uint64, error)               { return 0, errStub } // sequence number of the newest committed change
func (j *Journal) Close() error                        { return errStub }

// Next waits for the next change beyond what was taken.
func (r *Reader) Next(ctx context.Context) (datasite.Change, error) {
	return datasite.Change{}, errStub
}

// Done moves the durable cursor to seq.
func (r *Reader) Done(seq uint64) error { return errStub }
