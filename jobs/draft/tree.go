package draft

import (
	"errors"
	iofs "io/fs"
	"os"
	"path"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Info is one name of a draft.
type Info struct {
	Name  string
	Dir   bool
	Mode  iofs.FileMode // permission bits
	Size  int64
	MTime time.Time
}

func infoOf(name string, i iofs.FileInfo) Info {
	return Info{Name: name, Dir: i.IsDir(), Mode: i.Mode().Perm(), Size: i.Size(), MTime: i.ModTime()}
}

// find gives the entry of name and checks that sub can lie below it; s.mu is held.
func (s *Store) find(op, name, sub string) (*draft, error) {
	d := s.present[name]
	if d == nil {
		return nil, notExist(op, path.Join(name, sub))
	}
	if sub != "" && d.rec.Script {
		return nil, &iofs.PathError{Op: op, Path: path.Join(name, sub), Err: syscall.ENOTDIR}
	}
	return d, nil
}

// Stat tells about rel, which is relative to jobs/. What sealing made is not there: see Draft.Made.
func (s *Store) Stat(rel string) (Info, error) {
	name, sub := split(rel)
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.find("stat", name, sub)
	if err != nil {
		return Info{}, err
	}
	i, err := os.Lstat(d.host(sub))
	if err != nil {
		return Info{}, failed("stat", rel, err)
	}
	return infoOf(path.Base(rel), i), nil
}

// ReadDir lists the folder rel of a draft, by name.
func (s *Store) ReadDir(rel string) ([]Info, error) {
	name, sub := split(rel)
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.find("readdir", name, sub)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(d.host(sub))
	if err != nil {
		return nil, failed("readdir", rel, err)
	}
	out := make([]Info, 0, len(entries))
	for _, e := range entries {
		i, err := e.Info()
		if err != nil {
			return nil, failed("readdir", rel, err)
		}
		out = append(out, infoOf(e.Name(), i))
	}
	return out, nil
}

// Mkdir makes a folder; at the top it begins a draft.
func (s *Store) Mkdir(rel string, mode iofs.FileMode) error {
	name, sub := split(rel)
	if sub == "" {
		return s.begin(name, false, func(d *draft) error { return os.Mkdir(d.host(""), mode.Perm()|0o700) })
	}
	if err := checkSub(sub); err != nil {
		return err
	}
	if err := s.undecided(name); err != nil {
		return err
	}
	defer s.poke()
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.find("mkdir", name, sub)
	if err != nil {
		return err
	}
	if err := s.room(d, sub, load{folders: 1}); err != nil {
		return err
	}
	s.touch(d)
	if err := os.Mkdir(d.host(sub), mode.Perm()|0o700); err != nil {
		if full(err) {
			s.cut(d, sub)
		}
		return failed("mkdir", rel, err)
	}
	return nil
}

// begin makes a new entry of jobs/ and fills it with put, which runs with s.mu held.
func (s *Store) begin(name string, script bool, put func(*draft) error) error {
	if err := s.checkEntry(name, script); err != nil {
		return err
	}
	job := jobOf(name, script)
	known := s.look(job)
	defer s.poke()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.present[name] != nil {
		return refuse(syscall.EEXIST, "%q is there already", name)
	}
	if err := s.duplicate(job, known, nil); err != nil {
		return err
	}
	if err := s.roomForDraft(); err != nil {
		return err
	}
	d, err := s.create(name, script)
	if err != nil {
		return failed("create", name, err)
	}
	s.touch(d)
	if err := put(d); err != nil {
		s.leave(d)
		return failed("create", name, err)
	}
	s.arrive(d)
	return nil
}

// look asks the owner's side, without a lock, which names are taken, and remembers whether a deleted job was decided.
func (s *Store) look(job string) (known []string) {
	if job == "" {
		return nil
	}
	if j, ok := s.status(job); ok {
		known = append(known, job)
		if j.Status.Decided() {
			s.mu.Lock()
			if d := s.gone[job]; d != nil {
				d.decided = true
			}
			s.mu.Unlock()
		}
	}
	if s.cfg.Known != nil {
		known = append(known, s.cfg.Known()...)
	}
	return known
}

// undecided refuses a change to an entry whose job was decided; no lock is held. What is not there is not its business.
func (s *Store) undecided(name string) error {
	s.mu.Lock()
	d := s.present[name]
	if d == nil || !d.submitted() {
		s.mu.Unlock()
		return nil
	}
	job, decided := d.job(), d.decided
	s.mu.Unlock()
	if !decided {
		j, ok := s.status(job)
		if !ok || !j.Status.Decided() {
			return nil
		}
		s.mu.Lock()
		d.decided = true
		s.mu.Unlock()
	}
	return decidedError(job)
}

func decidedError(job string) error {
	return refuse(syscall.EROFS, "%s was decided by the owner and cannot be changed any more; copy it into jobs/ under a new name", job)
}

// touch notes that d is about to change; s.mu is held.
func (s *Store) touch(d *draft) {
	d.gen++
	d.last = s.cfg.Now()
	d.dirty = true
	d.tries, d.retry = 0, time.Time{}
	if d.torn {
		d.torn = false
		s.remark(d)
	}
}

// mark makes openMark tell whether a file of d is open for writing; s.mu is held. It is not synced: it is there for the end
// of our process, not of the machine.
func (s *Store) mark(d *draft) error {
	want := d.torn || d.short || s.writers(d) > 0
	if want == d.marked {
		return nil
	}
	name := d.dir.Path(openMark)
	if !want {
		if err := os.Remove(name); err != nil && !errors.Is(err, iofs.ErrNotExist) {
			return err
		}
		d.marked = false
		return nil
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
	if err == nil {
		err = f.Close()
	}
	d.marked = err == nil
	return err
}

// remark is mark where the change is done already: a mark that stays costs a question after a crash, no bytes.
func (s *Store) remark(ds ...*draft) {
	for _, d := range ds {
		if err := s.mark(d); err != nil {
			s.cfg.Log.Warn("marking a draft", "op", "mark", "path", d.rec.Name, "err", err)
		}
	}
}

// poke makes the watcher look again.
func (s *Store) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// OpenFile opens or makes a file with the flags of open(2). A file that sealing made becomes part of the draft when it is
// opened for writing.
func (s *Store) OpenFile(rel string, flags int, mode iofs.FileMode) (*File, error) {
	name, sub := split(rel)
	write := flags&unix.O_ACCMODE != os.O_RDONLY || flags&os.O_TRUNC != 0
	if write || flags&os.O_CREATE != 0 {
		if err := s.undecided(name); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	d, err := s.find("open", name, sub)
	s.mu.Unlock()
	if err != nil && (sub != "" || flags&os.O_CREATE == 0 || !errors.Is(err, iofs.ErrNotExist)) {
		return nil, err
	}
	if d == nil {
		var f *File
		err := s.begin(name, true, func(d *draft) (err error) {
			f, err = s.openIn(d, "", flags|os.O_EXCL, mode)
			return err
		})
		if err != nil {
			return nil, err
		}
		return f, nil
	}
	if write {
		defer s.poke()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if d, err = s.find("open", name, sub); err != nil {
		return nil, err // it went in between
	}
	var seed []byte
	_, lerr := os.Lstat(d.host(sub))
	missing := errors.Is(lerr, iofs.ErrNotExist)
	if missing && d.rec.Sealed != nil && write {
		if body, ok := d.rec.Sealed.Made[sub]; ok {
			flags |= os.O_CREATE
			if flags&os.O_TRUNC == 0 {
				seed = body
			}
		}
	}
	if missing && flags&os.O_CREATE != 0 {
		if err := checkSub(sub); err != nil {
			return nil, err
		}
		if err := s.room(d, sub, load{files: 1}); err != nil {
			return nil, err
		}
	}
	if write || missing {
		s.touch(d)
	}
	f, err := s.openIn(d, sub, flags, mode)
	if err != nil {
		if full(err) {
			s.cut(d, sub)
		}
		return nil, failed("open", rel, err)
	}
	if len(seed) > 0 {
		if _, err := f.f.WriteAt(seed, 0); err != nil {
			return nil, errors.Join(failed("open", rel, err), f.f.Close(), os.Remove(d.host(sub)))
		}
	}
	return f, nil
}

// openIn opens sub of d; s.mu is held.
func (s *Store) openIn(d *draft, sub string, flags int, mode iofs.FileMode) (*File, error) {
	keep := flags & (os.O_CREATE | os.O_EXCL | os.O_TRUNC)
	acc := flags & unix.O_ACCMODE
	if acc == os.O_RDONLY && flags&os.O_TRUNC != 0 {
		acc = os.O_RDWR
	}
	f, err := os.OpenFile(d.host(sub), acc|keep|unix.O_NOFOLLOW, mode.Perm()|0o600)
	if err != nil {
		return nil, err
	}
	if i, err := f.Stat(); err != nil || i.IsDir() {
		if err == nil {
			err = syscall.EISDIR
		}
		return nil, errors.Join(err, f.Close())
	}
	h := &File{s: s, d: d, sub: sub, f: f, write: acc != os.O_RDONLY}
	if h.write {
		s.handles[h] = struct{}{}
		if err := s.mark(d); err != nil {
			delete(s.handles, h)
			return nil, errors.Join(err, f.Close())
		}
	}
	return h, nil
}

// writers counts the handles that may still write below d; s.mu is held.
func (s *Store) writers(d *draft) int {
	n := 0
	for h := range s.handles {
		if h.d == d {
			n++
		}
	}
	return n
}
