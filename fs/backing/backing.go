// Package backing is the only code that touches the real directory of the datasites, always relative to a handle that was
// opened before the mount. It does not know users or permissions. Links are stored as themselves and never followed.
// The gate imports it, and whoever builds the gate.
package backing

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"crypto/rand"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/statedir"
	"golang.org/x/sys/unix"
)

// Names of our own in the tree begin with hiddenPrefix: no datasite may use them, no listing shows them.
const (
	hiddenPrefix = ".syftfs-"
	tempPrefix   = hiddenPrefix + "tmp-"
	stagingName  = hiddenPrefix + "staging"
)

// ErrIrregular is returned for opening what is neither a regular file nor a folder: a link, a pipe, a device.
var ErrIrregular = errors.New("not a regular file")

// Tree is the real directory. Its methods may be called concurrently. Errors are *fs.PathError with the path of the
// datasite, never one of the machine, and wrap the errno.
type Tree struct {
	root  int    // descriptor of the real directory, never changed after Open
	dir   string // its absolute name, for HostPath only
	tag   string // marks the temporary names of this process, so that Sweep leaves them alone
	seq   atomic.Uint64
	fault statedir.Fault
	now   func() time.Time
}

// Option changes how a Tree works.
type Option func(*Tree)

// WithFault asks f before each named step of a write or of a folder that is put in place.
func WithFault(f statedir.Fault) Option { return func(t *Tree) { t.fault = f } }

// WithClock is the clock that stamps are compared with; it must be the one of the file system in production.
func WithClock(now func() time.Time) Option { return func(t *Tree) { t.now = now } }

// Open opens the real directory dir, which holds one folder per datasite. Call it before anything is mounted.
func Open(dir string, options ...Option) (*Tree, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	fd, err := open(unix.AT_FDCWD, abs, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, &iofs.PathError{Op: "open backing tree", Path: dir, Err: err}
	}
	t := &Tree{root: fd, dir: abs, tag: rand.Text()[:12], now: time.Now}
	for _, o := range options {
		o(t)
	}
	return t, nil
}

// Close closes the handle. Nothing may be called on the Tree after it.
func (t *Tree) Close() error { return unix.Close(t.root) }

// HostPath is where p lies on the disk. Only the sandbox's binds may use it: everything else would follow links.
func (t *Tree) HostPath(p datasite.Path) string {
	return filepath.Join(t.dir, string(p.Owner), filepath.FromSlash(p.Rel))
}

// Reserved reports whether name is kept for our own temporary files and folders.
func Reserved(name string) bool { return strings.HasPrefix(name, hiddenPrefix) }

// temp makes a hidden name that no other file has.
func (t *Tree) temp() string {
	return tempPrefix + t.tag + "-" + strconv.FormatUint(t.seq.Add(1), 36) + "-" + rand.Text()[:8]
}

// own reports whether a temporary name was made by this process.
func (t *Tree) own(name string) bool { return strings.HasPrefix(name, tempPrefix+t.tag+"-") }

func (t *Tree) step(op string) error { return statedir.Step(t.fault, op) }

func fail(op string, p datasite.Path, err error) error {
	if err == nil {
		return nil
	}
	name := p.String()
	if name == "" {
		name = "."
	}
	var pe *iofs.PathError
	if errors.As(err, &pe) {
		return err
	}
	return &iofs.PathError{Op: op, Path: name, Err: err}
}

// check refuses a path that was not made by datasite: openat2 would resolve ".." below the root.
func check(p datasite.Path) error {
	if p.IsRoot() {
		if p.Rel != "" {
			return fmt.Errorf("path below the root without a datasite: %w", datasite.ErrName)
		}
		return nil
	}
	if strings.ContainsAny(string(p.Owner), "/\x00") || p.Owner == "." || p.Owner == ".." {
		return fmt.Errorf("datasite %q: %w", p.Owner, datasite.ErrName)
	}
	if p.Rel == "" {
		if Reserved(string(p.Owner)) {
			return unix.ENOENT
		}
		return nil
	}
	if p.Rel == "." || !iofs.ValidPath(p.Rel) || strings.ContainsRune(p.Rel, 0) {
		return fmt.Errorf("path %q: %w", p.Rel, datasite.ErrName)
	}
	if strings.HasPrefix(p.Rel, hiddenPrefix) || strings.Contains(p.Rel, "/"+hiddenPrefix) {
		return unix.ENOENT
	}
	return nil
}

func isTemp(name string) bool { return strings.HasPrefix(name, tempPrefix) }
