package draft

import (
	iofs "io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Attr is what SetAttr may change; nil means unchanged.
type Attr struct {
	Mode  *iofs.FileMode
	Size  *int64
	MTime *time.Time
}

// SetAttr changes what is given. Modes and times have no part in a submission: they only show that somebody is at work.
func (s *Store) SetAttr(rel string, a Attr) error {
	name, sub := split(rel)
	if err := s.undecided(name); err != nil {
		return err
	}
	defer s.poke()
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.find("setattr", name, sub)
	if err != nil {
		return err
	}
	host := d.host(sub)
	info, err := os.Lstat(host)
	if err != nil {
		return failed("setattr", rel, err)
	}
	d.last = s.cfg.Now()
	if a.Size != nil {
		if err := s.room(d, sub, load{bytes: max(0, *a.Size-info.Size())}); err != nil {
			return err
		}
		s.touch(d)
		if err := os.Truncate(host, *a.Size); err != nil {
			return failed("truncate", rel, err)
		}
	}
	if a.Mode != nil {
		least := iofs.FileMode(0o600)
		if info.IsDir() {
			least = 0o700
		}
		if err := os.Chmod(host, a.Mode.Perm()|least); err != nil {
			return failed("chmod", rel, err)
		}
	}
	if a.MTime != nil {
		if err := os.Chtimes(host, time.Time{}, *a.MTime); err != nil {
			return failed("utimes", rel, err)
		}
	}
	return nil
}

// Remove takes away a file or an empty folder. Deleting what was submitted only hides it: the owner keeps it.
func (s *Store) Remove(rel string) error {
	name, sub := split(rel)
	if err := s.undecided(name); err != nil {
		return err
	}
	defer s.poke()
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.find("remove", name, sub)
	if err != nil {
		return err
	}
	s.touch(d)
	host := d.host(sub)
	if info, err := os.Lstat(host); err != nil {
		return failed("remove", rel, err)
	} else if info.IsDir() {
		err = unix.Rmdir(host)
		if err != nil {
			return failed("remove", rel, err)
		}
	} else if err := unix.Unlink(host); err != nil {
		return failed("remove", rel, err)
	}
	if sub == "" {
		s.leave(d)
		return nil
	}
	s.drop(d, sub)
	d.short = false
	s.remark(d)
	return nil
}

// drop lets go of the handles of a file that is not there any more; s.mu is held.
func (s *Store) drop(d *draft, sub string) {
	for h := range s.handles {
		if h.d == d && h.sub == sub {
			h.d = nil
		}
	}
}

// Rename moves a file or folder within jobs/. A new name at the top ends the settling: the draft is sealed as soon as no
// handle is open. A folder that was submitted keeps its name, because the owner has it under that name.
func (s *Store) Rename(from, to string) error {
	if from == to {
		return nil
	}
	fromName, fromSub := split(from)
	toName, toSub := split(to)
	for _, name := range []string{fromName, toName} {
		if err := s.undecided(name); err != nil {
			return err
		}
	}
	if toSub != "" {
		if err := checkSub(toSub); err != nil {
			return err
		}
	}
	s.mu.Lock()
	script, err := s.isFile(fromName, fromSub)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	var known []string
	if toSub == "" {
		if err := s.checkEntry(toName, script); err != nil {
			return err
		}
		known = s.look(jobOf(toName, script))
	}
	defer s.poke()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rename(fromName, fromSub, toName, toSub, known)
}

func (s *Store) isFile(name, sub string) (bool, error) {
	d, err := s.find("rename", name, sub)
	if err != nil {
		return false, err
	}
	info, err := os.Lstat(d.host(sub))
	if err != nil {
		return false, failed("rename", path.Join(name, sub), err)
	}
	return !info.IsDir(), nil
}

// rename does the work; s.mu is held.
func (s *Store) rename(fromName, fromSub, toName, toSub string, known []string) error {
	from := path.Join(fromName, fromSub)
	src, err := s.find("rename", fromName, fromSub)
	if err != nil {
		return err
	}
	script, err := s.isFile(fromName, fromSub)
	if err != nil {
		return err
	}
	if fromSub == "" && src.submitted() && (!script || (toSub == "" && jobOf(toName, script) != "")) {
		return refuse(syscall.EPERM, "%s was submitted under this name and keeps it; copy it to submit it under another", fromName)
	}
	dst := s.present[toName]
	made := false
	switch {
	case dst == nil && toSub != "":
		return notExist("rename", path.Join(toName, toSub))
	case toSub != "" && dst.rec.Script:
		return &iofs.PathError{Op: "rename", Path: path.Join(toName, toSub), Err: syscall.ENOTDIR}
	case dst == nil:
		except := src
		if fromSub != "" {
			except = nil
		}
		if err := s.duplicate(jobOf(toName, script), known, except); err != nil {
			return err
		}
		if fromSub != "" {
			if err := s.roomForDraft(); err != nil {
				return err
			}
		}
		if dst, err = s.create(toName, script); err != nil {
			return failed("rename", from, err)
		}
		made = true
		dst.rec.Hold = fromSub == "" && src.rec.Hold
	}
	s.touch(src)
	s.touch(dst)
	if err := unix.Rename(src.host(fromSub), dst.host(toSub)); err != nil {
		err = failed("rename", from, err)
		if made {
			s.leave(dst)
		}
		return err
	}
	if made {
		s.arrive(dst)
	}
	if src != dst || isAside(fromSub) != isAside(toSub) {
		src.counted, dst.counted = false, false
	}
	s.drop(dst, toSub)
	for h := range s.handles {
		if h.d != src {
			continue
		}
		if h.sub == fromSub {
			h.d, h.sub = dst, toSub
		} else if rest, ok := strings.CutPrefix(h.sub, prefix(fromSub)); ok {
			h.d, h.sub = dst, path.Join(toSub, rest)
		}
	}
	s.remark(src, dst)
	if toSub == "" {
		dst.atOnce = true
	}
	if made && dst.rec.Hold {
		if err := dst.save(); err != nil {
			return failed("rename", from, err)
		}
	}
	if fromSub == "" {
		s.leave(src)
	}
	return nil
}

func prefix(sub string) string {
	if sub == "" {
		return ""
	}
	return sub + "/"
}

// Hold keeps the draft back from sealing, or lets it go: the attribute user.syft.hold.
func (s *Store) Hold(name string, on bool) error {
	if err := s.undecided(name); err != nil {
		return err
	}
	defer s.poke()
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.find("hold", name, "")
	if err != nil {
		return err
	}
	if d.rec.Hold == on {
		return nil
	}
	d.rec.Hold = on
	d.last = s.cfg.Now()
	if err := d.save(); err != nil {
		d.rec.Hold = !on
		return failed("hold", name, err)
	}
	return nil
}
