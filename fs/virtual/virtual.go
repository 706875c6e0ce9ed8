// Package virtual is what a folder that is not stored must answer: entries, text files and providers.
// It does not know what the folders mean, nor FUSE. The mount serves providers; .syft and jobs are providers.
package virtual

import (
	"context"
	iofs "io/fs"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
)

// Kind is what stands under a virtual name.
type Kind uint8

// The kinds of entry.
const (
	Dir    Kind = iota + 1
	Link        // a symbolic link to Target
	Stored      // the stored file or folder at Path, opened by the gate for the view's identity
	Text        // a control file: small text made when read; a write is judged in write(2) (direct I/O)
	Plain       // an ordinary file of the provider's, kept in our state (drafts, held results)
)

// Entry is one name of a virtual folder. It has its own inode number in the mount, never that of the stored file it shows.
type Entry struct {
	Name   string
	Kind   Kind
	Mode   iofs.FileMode // permission bits only
	Size   int64         // Plain; for Text the length if it is known
	MTime  time.Time
	Target string        // Link
	Path   datasite.Path // Stored
}

// Provider answers for one virtual folder. Names are slash separated and relative to it; "" is the folder itself.
// A name that is not there is fs.ErrNotExist. A Stored folder is answered by the gate from there on: the provider is
// not asked about what lies below it. Errors are mapped to errno by the mount's table; a *Refusal carries the message for .syft/last-error.
type Provider interface {
	Lookup(ctx context.Context, rel string) (Entry, error)
	List(ctx context.Context, rel string) ([]Entry, error)
	// Open opens a Text or Plain file with the flags of open(2) (O_ACCMODE, O_TRUNC, O_APPEND; O_CREAT and O_EXCL when a Maker).
	Open(ctx context.Context, rel string, flags int, perm iofs.FileMode) (Handle, error)
}

// Maker is a provider that people can change.
type Maker interface {
	Mkdir(ctx context.Context, rel string, perm iofs.FileMode) error
	Rename(ctx context.Context, from, to string) error
	Remove(ctx context.Context, rel string) error // a file, or an empty folder
	SetAttr(ctx context.Context, rel string, a Attr) error
}

// Attributes is a provider with extended attributes.
type Attributes interface {
	Xattr(ctx context.Context, rel, name string) ([]byte, error)
	SetXattr(ctx context.Context, rel, name string, value []byte) error
}

// Attr is what may be changed about a Plain file; nil means unchanged.
type Attr struct {
	Mode  *iofs.FileMode
	Size  *int64
	MTime *time.Time
}

// Handle is one open of a file. Methods may be called concurrently.
type Handle interface {
	ReadAt(p []byte, off int64) (int, error) // io.EOF at the end
	WriteAt(p []byte, off int64) (int, error)
	Truncate(size int64) error
	Stat() (Entry, error)
	Sync(ctx context.Context) error
	Flush(ctx context.Context) error // each close(2)
	Close() error                    // the last close; asynchronous
}

// Refusal is an error of a provider with the sentence that tells a person what to do next. It unwraps to the error
// that the errno table knows (fs.ErrPermission, syscall.EROFS, syscall.EINVAL, ...).
type Refusal struct {
	Reason string
	Err    error
}

func (r *Refusal) Error() string { return r.Reason }

// Unwrap gives the error that decides the errno.
func (r *Refusal) Unwrap() error { return r.Err }
