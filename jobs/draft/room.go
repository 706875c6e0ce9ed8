package draft

import (
	"errors"
	iofs "io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/openmined/syftfs/jobs"
)

// A draft may hold what a job may hold, asked before the bytes are there: a copy that can never be submitted stops where it
// goes beyond, and cannot fill the disk. What sealing leaves out (dot-files, outputs/) has as much room again.
const (
	maxDrafts = jobs.MaxWaiting    // that were never submitted
	maxTotal  = 10 * jobs.MaxBytes // of all that are not decided
)

// load is how much lies somewhere, or is about to.
type load struct {
	bytes          int64
	files, folders int
}

// usage is what lies in a draft: what would be submitted, and what would be left out.
type usage struct{ sent, aside load }

func (u usage) bytes() int64 { return u.sent.bytes + u.aside.bytes }

// part is the load that sub belongs to.
func (u *usage) part(sub string) *load {
	if isAside(sub) {
		return &u.aside
	}
	return &u.sent
}

func (u *usage) add(sub string, more load) {
	p := u.part(sub)
	p.bytes += more.bytes
	p.files += more.files
	p.folders += more.folders
}

// isAside reports names that sealing leaves out, and what lies below them.
func isAside(sub string) bool {
	for i := range len(sub) + 1 {
		if (i == len(sub) || sub[i] == '/') && reasonLeftOut(sub[:i], false) != "" {
			return true
		}
	}
	return false
}

// refusal says why more of sub cannot be; nil if it fits.
func (u usage) refusal(sub string, more load) error {
	u.add(sub, more)
	switch p := u.part(sub); {
	case p.bytes > jobs.MaxBytes:
		return tooLarge()
	case p.files > jobs.MaxFiles:
		return tooMany("files")
	case p.folders > jobs.MaxFiles:
		return tooMany("folders")
	}
	return nil
}

func tooLarge() error {
	return refuse(syscall.EFBIG, "the files are larger than %d MiB together; a job may hold %[1]d MiB: remove what it does not need", jobs.MaxBytes>>20)
}

func tooMany(what string) error {
	return refuse(syscall.EFBIG, "there are more than %d %s; a job may hold %[1]d: remove what it does not need", jobs.MaxFiles, what)
}

// room takes room for more of sub in d, or refuses. What is taken is never given back one by one: before anything is refused
// it is counted anew. s.mu is held.
func (s *Store) room(d *draft, sub string, more load) error {
	err := s.fits(d, sub, more)
	if err != nil {
		for _, other := range s.present {
			other.counted = false
		}
		err = s.fits(d, sub, more)
	}
	if err == nil {
		d.used.add(sub, more)
	} else {
		s.cut(d, sub)
	}
	return err
}

// cut notes that sub could not be written, so that what is there is less than what was meant; s.mu is held.
func (s *Store) cut(d *draft, sub string) {
	if !isAside(sub) {
		d.short = true
		s.remark(d)
	}
}

func (s *Store) fits(d *draft, sub string, more load) error {
	d.count()
	if err := d.used.refusal(sub, more); err != nil {
		return err
	}
	total := more.bytes
	for _, other := range s.present {
		if !other.decided {
			other.count()
			total += other.used.bytes()
		}
	}
	if more.bytes > 0 && total > maxTotal {
		return refuse(syscall.ENOSPC, "the drafts in jobs/ are larger than %d MiB together: remove some, or wait until those that were submitted are decided", int64(maxTotal>>20))
	}
	return nil
}

// roomForDraft refuses one more draft; s.mu is held.
func (s *Store) roomForDraft() error {
	n := 0
	for _, d := range s.present {
		if !d.submitted() {
			n++
		}
	}
	if n >= maxDrafts {
		return refuse(syscall.ENOSPC, "%d drafts stand in jobs/ that were never submitted: submit or remove some before you begin another", n)
	}
	return nil
}

// full reports whether err is for want of space on the disk.
func full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// count walks what is there, unless that was done already. What cannot be read counts as nothing: sealing says it.
func (d *draft) count() {
	if d.counted {
		return
	}
	d.counted, d.used = true, usage{}
	host := d.host("")
	_ = filepath.WalkDir(host, func(p string, e iofs.DirEntry, err error) error {
		if err != nil || p == host && e.IsDir() {
			return nil //nolint:nilerr // see above
		}
		more := load{folders: 1}
		if !e.IsDir() {
			more = load{files: 1}
			if i, err := e.Info(); err == nil {
				more.bytes = i.Size()
			}
		}
		d.used.add(filepath.ToSlash(strings.TrimPrefix(strings.TrimPrefix(p, host), string(filepath.Separator))), more)
		return nil
	})
}
