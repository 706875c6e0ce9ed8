// Package statedir keeps the files of our own state: atomic replace (temp, sync, rename, sync directory), one lock,
// and a sweep of what a crash left. Every step that changes state has a name, so that a test can fail it.
// It knows nothing of what the files mean; whoever keeps state imports it.
package statedir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Fault is the one fault-injection seam of the program: it is told the name of each step before it is taken.
// An error from it fails the step. It is nil in production.
type Fault interface{ Before(op string) error }

// Step asks f, which may be nil, whether the step op may be taken.
func Step(f Fault, op string) error {
	if f == nil {
		return nil
	}
	return f.Before(op)
}

// ErrLocked is returned by Lock when another process holds it.
var ErrLocked = errors.New("another process holds the lock")

const tempMark = ".tmp-"

// Dir is a folder of state, 0700, files 0600.
type Dir struct {
	path  string
	fault Fault
}

// Open makes the folder if it is missing and refuses one that group or others can read.
func Open(path string, fault Fault) (*Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return nil, err
	}
	info, err := os.Stat(abs)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others (mode %04o): run: chmod 700 %s", abs, info.Mode().Perm(), abs)
	}
	return &Dir{path: abs, fault: fault}, nil
}

// Sub is a folder below d, made if it is missing.
func (d *Dir) Sub(name string) (*Dir, error) { return Open(d.Path(name), d.fault) }

// Path is the absolute path of name in d.
func (d *Dir) Path(name ...string) string {
	return filepath.Join(append([]string{d.path}, name...)...)
}

// Step asks the fault seam about op.
func (d *Dir) Step(op string) error { return Step(d.fault, op) }

// Read gives the bytes of a file; fs.ErrNotExist if there is none.
func (d *Dir) Read(name string) ([]byte, error) { return os.ReadFile(d.Path(name)) }

// Write replaces a file atomically and durably: temp, sync, rename, sync directory. op names the step "op:rename".
func (d *Dir) Write(op, name string, body []byte) error {
	full := d.Path(name)
	f, err := os.CreateTemp(filepath.Dir(full), filepath.Base(full)+tempMark+"*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when the rename was done
	_, err = f.Write(body)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = d.Step(op + ":rename")
	}
	if err == nil {
		err = os.Rename(f.Name(), full)
	}
	if err == nil {
		err = SyncDir(filepath.Dir(full))
	}
	return err
}

// WriteJSON is Write of v, indented.
func (d *Dir) WriteJSON(op, name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return d.Write(op, name, append(b, '\n'))
}

// ReadJSON reads what WriteJSON wrote; an error names the file.
func (d *Dir) ReadJSON(name string, v any) error {
	b, err := d.Read(name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", d.Path(name), err)
	}
	return nil
}

// Lock takes the exclusive lock of the folder, or ErrLocked at once. The kernel drops it when the process ends.
func (d *Dir) Lock() (io.Closer, error) {
	f, err := os.OpenFile(d.Path("lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, err
	}
	return f, nil
}

// Sweep removes the temporary files that a crash left anywhere below d.
func (d *Dir) Sweep() error {
	return filepath.WalkDir(d.path, func(p string, e iofs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, iofs.ErrNotExist) {
				return nil
			}
			return err
		}
		if e.Type().IsRegular() && strings.Contains(e.Name(), tempMark) {
			return os.Remove(p)
		}
		return nil
	})
}

// SyncDir makes the names in a folder durable.
func SyncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
