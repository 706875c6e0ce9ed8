package replica

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/sync/wire"
	"go.etcd.io/bbolt"
)

// spool is a file with the contents of messages that are being planned: what they say must not change with the tree once they have an id.
// It is made with the first content.
type spool struct {
	s    *store
	name string
	f    *os.File
	size int64
}

func (s *store) newSpool() *spool { return &spool{s: s, name: wire.NewID().String()} }

// errTooLarge: the content is more than can be sent.
var errTooLarge = errors.New("it is larger than a message can hold")

// add copies r, at most limit bytes, and gives where it lies and its hash.
func (sp *spool) add(r io.Reader, limit int64) (offset, size int64, h datasite.Hash, err error) {
	if sp.f == nil {
		if err := sp.s.step("spool"); err != nil {
			return 0, 0, h, err
		}
		if sp.f, err = os.OpenFile(sp.s.spoolPath(sp.name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return 0, 0, h, err
		}
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(io.NewOffsetWriter(sp.f, sp.size), sum), io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return 0, 0, h, err
	case n > limit:
		return 0, 0, h, errTooLarge
	}
	offset = sp.size
	sp.size += n
	return offset, n, datasite.Hash(sum.Sum(nil)), nil
}

// keep makes the contents durable.
func (sp *spool) keep() error {
	if sp.f == nil {
		return nil
	}
	err := errors.Join(sp.f.Truncate(sp.size), sp.f.Sync(), sp.f.Close())
	sp.f = nil
	if err != nil {
		return err
	}
	d, err := os.Open(filepath.Join(sp.s.dir, spoolDir))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// drop forgets contents that no message needs.
func (sp *spool) drop() error {
	var err error
	if sp.f != nil {
		err = sp.f.Close()
		sp.f = nil
	}
	return errors.Join(err, sp.s.removeSpool(sp.name))
}

func (s *store) spoolPath(name string) string { return filepath.Join(s.dir, spoolDir, name) }

func (s *store) removeSpool(name string) error {
	if err := os.Remove(s.spoolPath(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// content reads what a planned item holds.
func (s *store) content(it sent) ([]byte, error) {
	body := make([]byte, it.Size)
	if it.Size == 0 {
		return body, nil
	}
	f, err := os.Open(s.spoolPath(it.Spool))
	if err != nil {
		return nil, err
	}
	_, err = io.ReadFull(io.NewSectionReader(f, it.Offset, it.Size), body)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return body, nil
}

// sweepSpool removes the files that no planned message needs: what a crash left, and what was sent.
func (s *store) sweepSpool() error {
	needed := map[string]bool{}
	err := s.view(func(tx *bbolt.Tx) error {
		return each(tx, lanesBucket, "", func(_ string, m message) error {
			for _, it := range m.Items {
				needed[it.Spool] = true
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	list, err := os.ReadDir(filepath.Join(s.dir, spoolDir))
	for _, e := range list {
		if !needed[e.Name()] {
			err = errors.Join(err, s.removeSpool(e.Name()))
		}
	}
	return err
}
