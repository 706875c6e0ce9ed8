package driveserver

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"sync"
)

// blobs keeps contents under the SHA-256 of their bytes. A blob is synced, together with its folder, before any metadata names it;
// what nothing names is swept when the store is opened.
type blobs struct {
	dir, tmp string // blobs/ab/cdef…, and tmp/ for what is being written
	parts    string // uploads/, one file for each unfinished resumable upload
	fault    interface{ Before(op string) error }

	mu   sync.Mutex
	pins map[string]int // uploads that stored this blob and are not committed yet
}

func openBlobs(dir string, fault interface{ Before(op string) error }) (*blobs, error) {
	b := &blobs{dir: filepath.Join(dir, "blobs"), tmp: filepath.Join(dir, "tmp"), parts: filepath.Join(dir, "uploads"), fault: fault, pins: map[string]int{}}
	for _, d := range []string{b.dir, b.tmp, b.parts} {
		if err := os.Mkdir(d, 0o700); err != nil && !errors.Is(err, iofs.ErrExist) {
			return nil, err
		}
	}
	return b, errors.Join(syncDir(b.dir), syncDir(dir))
}

func (b *blobs) path(sum string) string { return filepath.Join(b.dir, sum[:2], sum[2:]) }

func (b *blobs) part(session string) string { return filepath.Join(b.parts, session) }

func (b *blobs) step(op string) error {
	if b.fault == nil {
		return nil
	}
	return b.fault.Before(op)
}

// digester computes all checksums of a content in one pass.
type digester struct {
	md5, sha1, sha256 hash.Hash
	n                 int64
}

func newDigester() *digester {
	return &digester{md5: md5.New(), sha1: sha1.New(), sha256: sha256.New()}
}

func (d *digester) Write(p []byte) (int, error) {
	for _, h := range []hash.Hash{d.md5, d.sha1, d.sha256} {
		h.Write(p)
	}
	d.n += int64(len(p))
	return len(p), nil
}

func (d *digester) content() content {
	sum := func(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
	return content{Size: d.n, MD5: sum(d.md5), SHA1: sum(d.sha1), SHA256: sum(d.sha256)}
}

// put stores everything that r has. The blob is pinned: unpin it when the metadata is committed or given up.
func (b *blobs) put(r io.Reader) (content, error) {
	if err := b.step("blob:write"); err != nil {
		return content{}, err
	}
	f, err := os.CreateTemp(b.tmp, "put-*")
	if err != nil {
		return content{}, err
	}
	d := newDigester()
	if _, err := io.Copy(io.MultiWriter(f, d), r); err != nil {
		return content{}, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return b.keep(f, d.content())
}

// adopt makes a blob of a finished resumable upload, whose file is synced, and pins it as put does.
func (b *blobs) adopt(path string) (content, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return content{}, err
	}
	d := newDigester()
	if _, err := io.Copy(d, f); err != nil {
		return content{}, errors.Join(err, f.Close())
	}
	c := d.content()
	if b.pin(c.SHA256) {
		return c, f.Close()
	}
	// The upload keeps its file until the metadata are committed: the blob is a second name for the same bytes, or a copy where a file
	// cannot have two names.
	tmp := filepath.Join(b.tmp, filepath.Base(path))
	if err := os.Link(path, tmp); err != nil && !errors.Is(err, iofs.ErrExist) {
		b.unpin(c.SHA256)
		_, err := f.Seek(0, io.SeekStart)
		if err == nil {
			c, err = b.put(f)
		}
		return c, errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Close(), b.place(tmp, c.SHA256)); err != nil {
		b.unpin(c.SHA256)
		return content{}, err
	}
	return c, nil
}

// keep syncs and closes f and gives it the name of its content.
func (b *blobs) keep(f *os.File, c content) (content, error) {
	if b.pin(c.SHA256) {
		return c, errors.Join(f.Close(), os.Remove(f.Name()))
	}
	err := b.step("blob:sync")
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = b.place(f.Name(), c.SHA256)
	}
	if err != nil {
		b.unpin(c.SHA256)
		if rerr := os.Remove(f.Name()); !errors.Is(rerr, iofs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
		return content{}, err
	}
	return c, nil
}

// place moves a synced file to its name and syncs the folder.
func (b *blobs) place(tmp, sum string) error {
	if err := b.step("blob:rename"); err != nil {
		return err
	}
	to := b.path(sum)
	if err := b.folder(filepath.Dir(to)); err != nil {
		return err
	}
	if err := os.Rename(tmp, to); err != nil {
		return err
	}
	return syncDir(filepath.Dir(to))
}

// folder makes a folder for blobs durable. One that is there was synced when it was made, or when the store was opened.
func (b *blobs) folder(dir string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch err := os.Mkdir(dir, 0o700); {
	case errors.Is(err, iofs.ErrExist):
		return nil
	case err != nil:
		return err
	}
	return syncDir(b.dir)
}

// pin keeps a blob from being dropped and tells whether it is there already.
func (b *blobs) pin(sum string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pins[sum]++
	_, err := os.Stat(b.path(sum))
	return err == nil
}

func (b *blobs) unpin(sum string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pins[sum]--; b.pins[sum] <= 0 {
		delete(b.pins, sum)
	}
}

// drop deletes blobs that nothing names. What stays behind because of an error is swept at the next start.
func (b *blobs) drop(sums []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, sum := range sums {
		if b.pins[sum] == 0 {
			_ = os.Remove(b.path(sum)) // swept at the next start
		}
	}
}

// open reads a blob. Call it with Server.mu held for reading, so that it cannot be dropped between look-up and open.
func (b *blobs) open(sum string) (*os.File, error) { return os.Open(b.path(sum)) }

// sweep deletes what a crash left: temporary files, blobs that no item names, parts of uploads that nobody knows.
func (b *blobs) sweep(st *state) error {
	return b.walk(func(path, sum string) error {
		if sum != "" && st.refs[sum] > 0 {
			return nil
		}
		if filepath.Dir(path) == b.parts && st.sessions[filepath.Base(path)] != nil {
			return nil
		}
		return os.Remove(path)
	})
}

// walk visits every file of the store of contents; sum is empty for what is not a blob.
func (b *blobs) walk(fn func(path, sum string) error) error {
	for _, dir := range []string{b.tmp, b.parts, b.dir} {
		err := filepath.WalkDir(dir, func(path string, d iofs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			sum := ""
			if name := filepath.Base(filepath.Dir(path)) + d.Name(); dir == b.dir && len(name) == 2*sha256.Size {
				sum = name
			}
			return fn(path, sum)
		})
		if err != nil {
			return fmt.Errorf("contents: %w", err)
		}
	}
	return nil
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
