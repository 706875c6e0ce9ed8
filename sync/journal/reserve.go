package journal

import (
	"errors"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// reserve is a file that only takes up space: it is given back to the file system when a commit finds the disk full, so
// that no close has to fail. While it is spent, nothing new may be opened for writing.
type reserve struct {
	path string
	size int64

	mu    sync.Mutex
	spent bool
}

// fillReserve takes the space, again if need be. ErrFull if there is not enough.
func (j *Journal) fillReserve() error {
	err := j.step("journal:reserve")
	if err == nil {
		err = j.reserve.fill()
	}
	j.reserve.mu.Lock()
	defer j.reserve.mu.Unlock()
	j.reserve.spent = err != nil
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return errors.Join(ErrFull, err)
	}
	return err
}

// spendReserve gives the space back.
func (j *Journal) spendReserve() error {
	j.reserve.mu.Lock()
	defer j.reserve.mu.Unlock()
	j.reserve.spent = true
	return os.Truncate(j.reserve.path, 0)
}

func (r *reserve) fill() error {
	f, err := os.OpenFile(r.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && info.Size() == r.size && st.Blocks*512 >= r.size {
		return nil
	}
	err = unix.Fallocate(int(f.Fd()), 0, 0, r.size)
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		err = r.writeZeros(f)
	}
	if err == nil {
		err = f.Truncate(r.size)
	}
	if err != nil {
		return errors.Join(err, f.Truncate(0)) // what was taken so far is no reserve
	}
	return nil
}

func (r *reserve) writeZeros(f *os.File) error {
	zeros := make([]byte, 1<<20)
	for off := int64(0); off < r.size; off += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), r.size-off)], off); err != nil {
			return err
		}
	}
	return nil
}
