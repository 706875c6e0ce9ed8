// Package desk is jobs/ as people see it, as virtual folders: the owner's joined view with DECISION and held/, and the
// submitter's drafts and submissions. It translates names and words and decides nothing: the engine, the store of drafts
// and the release do. It knows no FUSE; the daemon hands its two providers to the mounts.
package desk

import (
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/virtual"
	"github.com/openmined/syftfs/jobs"
	"golang.org/x/sys/unix"
)

// Jobs is what is known of the jobs of a datasite; the engine fits it.
type Jobs interface {
	List() []jobs.Job
	Get(id jobs.ID) (jobs.Job, error)
}

// Tree looks into the stored tree as the owner; the gate's view fits it.
type Tree interface {
	List(ctx context.Context, p datasite.Path) ([]datasite.Entry, error)
	Stat(ctx context.Context, p datasite.Path) (datasite.Entry, error)
	OpenFile(ctx context.Context, p datasite.Path) (io.ReadCloser, error)
}

// The names in a job's folder.
const (
	statusName   = "status"
	decisionName = "DECISION"
	heldName     = "held"
	logsName     = "logs"
)

// logFiles are shown in logs/ and stored in the review folder itself.
var logFiles = []string{jobs.StdoutFile, jobs.StderrFile, jobs.CodeFile}

// The attributes that a job's folder answers.
const (
	attrStatus = "user.syft.status"
	attrDigest = "user.syft.digest"
	attrHold   = "user.syft.hold"
	attrState  = "user.syft.state"
)

func missing(op, rel string) error { return &iofs.PathError{Op: op, Path: rel, Err: iofs.ErrNotExist} }

func refuse(errno error, reason string) error { return &virtual.Refusal{Reason: reason, Err: errno} }

// writes reports whether flags of open(2) ask for more than reading.
func writes(flags int) bool {
	return flags&unix.O_ACCMODE != os.O_RDONLY || flags&(os.O_TRUNC|os.O_CREATE) != 0
}

func folder(name string, at time.Time) virtual.Entry {
	return virtual.Entry{Name: name, Kind: virtual.Dir, Mode: 0o555, MTime: at}
}

func textEntry(name string, mode iofs.FileMode, body []byte, at time.Time) virtual.Entry {
	return virtual.Entry{Name: name, Kind: virtual.Text, Mode: mode, Size: int64(len(body)), MTime: at}
}

func stored(name string, p datasite.Path) virtual.Entry {
	return virtual.Entry{Name: name, Kind: virtual.Stored, Mode: 0o444, Path: p}
}

// plainInfo shows a file or folder of a file system of ours.
func plainInfo(i iofs.FileInfo) virtual.Entry {
	if i.IsDir() {
		return folder(i.Name(), i.ModTime())
	}
	return virtual.Entry{Name: i.Name(), Kind: virtual.Plain, Mode: 0o444, Size: i.Size(), MTime: i.ModTime()}
}

// lookupIn and listIn show a part of fsys; what is neither file nor folder is not there.
func lookupIn(fsys iofs.FS, name string) (virtual.Entry, error) {
	i, err := iofs.Stat(fsys, name)
	if err != nil {
		return virtual.Entry{}, err
	}
	if !i.IsDir() && !i.Mode().IsRegular() {
		return virtual.Entry{}, missing("lookup", name)
	}
	return plainInfo(i), nil
}

func listIn(fsys iofs.FS, name string) ([]virtual.Entry, error) {
	entries, err := iofs.ReadDir(fsys, name)
	if err != nil {
		return nil, err
	}
	var out []virtual.Entry
	for _, e := range entries {
		i, err := e.Info()
		if errors.Is(err, iofs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if i.IsDir() || i.Mode().IsRegular() {
			out = append(out, plainInfo(i))
		}
	}
	return out, nil
}

// openIn opens a file of fsys for reading.
func openIn(fsys iofs.FS, name string) (virtual.Handle, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	i, err := f.Stat()
	if err == nil && i.IsDir() {
		err = syscall.EISDIR
	}
	if err == nil && !i.Mode().IsRegular() {
		err = iofs.ErrNotExist
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	e := plainInfo(i)
	if r, ok := f.(io.ReaderAt); ok {
		return &reading{entry: e, r: r, close: f.Close}, nil
	}
	body, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return virtual.NewText(e, body, nil), nil
}

// reading is an open file that is only read.
type reading struct {
	entry virtual.Entry
	r     io.ReaderAt
	close func() error
}

func (h *reading) ReadAt(p []byte, off int64) (int, error) { return h.r.ReadAt(p, off) }
func (h *reading) WriteAt([]byte, int64) (int, error)      { return 0, syscall.EBADF }
func (h *reading) Truncate(int64) error                    { return syscall.EBADF }
func (h *reading) Stat() (virtual.Entry, error)            { return h.entry, nil }
func (h *reading) Sync(context.Context) error              { return nil }
func (h *reading) Flush(context.Context) error             { return nil }
func (h *reading) Close() error                            { return h.close() }

// xattrRefused says politely no to an attribute that has no meaning here: what may be ignored is ignored, so that copying
// with attributes works.
func xattrRefused(name string) error {
	switch {
	case strings.HasPrefix(name, "user.syft."):
		return refuse(syscall.EPERM, name+" cannot be set here")
	case strings.HasPrefix(name, "user."):
		return nil
	}
	return syscall.EOPNOTSUPP
}
