package draft

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"strings"
	"time"

	"github.com/openmined/syftfs/fs/statedir"
	"github.com/openmined/syftfs/jobs"
)

// The state of a store: drafts/<key>/record.json beside drafts/<key>/content, which is the folder or the script as it was
// copied. A record without content is a submission whose draft was deleted, or, if it never was submitted, what a crash left.
const (
	draftsDir   = "drafts"
	stagingDir  = "sealing" // emptied at start
	recordFile  = "record.json"
	contentName = "content"
	openMark    = "open" // there while a file is open for writing: found at start, it tells that a copy was cut off by our own end
)

// record is what outlives the process.
type record struct {
	Name      string    `json:"name"` // in jobs/
	Script    bool      `json:"script"`
	Hold      bool      `json:"hold,omitempty"`
	Submitted time.Time `json:"submitted_at,omitzero"` // of the first sealing; config.yaml keeps it, so equal bytes have an equal digest
	Stage     *receipt  `json:"stage,omitempty"`       // about to be handed over, or handed over without a receipt
	Sealed    *receipt  `json:"sealed,omitempty"`      // handed over
}

// receipt says what was sealed.
type receipt struct {
	Revision int               `json:"revision"`
	Source   string            `json:"source"` // hash of what was copied, without what was left out
	Digest   jobs.Digest       `json:"digest"` // of what was handed over
	At       time.Time         `json:"at"`
	Size     int64             `json:"size"`
	Files    int               `json:"files"`
	LeftOut  []string          `json:"left_out,omitempty"`
	Findings []string          `json:"findings,omitempty"`
	Made     map[string][]byte `json:"made,omitempty"`
}

// submitted reports whether the owner may have a revision of it.
func (d *draft) submitted() bool { return d.rec.Sealed != nil || d.rec.Stage != nil }

// job is the name it is submitted under, "" if it cannot be.
func (d *draft) job() string { return jobOf(d.rec.Name, d.rec.Script) }

func (d *draft) heldBack() bool { return d.rec.Hold || strings.HasPrefix(d.rec.Name, ".") }

// host is the path on disk of sub, which is "" for the entry itself.
func (d *draft) host(sub string) string {
	if sub == "" {
		return d.dir.Path(contentName)
	}
	return d.dir.Path(contentName, sub)
}

func (d *draft) save() error { return d.dir.WriteJSON("draft", recordFile, d.rec) }

// load reads every draft and sweeps what a crash left.
func (s *Store) load() error {
	if err := s.cfg.State.Sweep(); err != nil {
		return err
	}
	if err := os.RemoveAll(s.cfg.State.Path(stagingDir)); err != nil {
		return err
	}
	home, err := s.cfg.State.Sub(draftsDir)
	if err != nil {
		return err
	}
	keys, err := os.ReadDir(home.Path())
	if err != nil {
		return err
	}
	for _, k := range keys {
		if err := s.loadOne(home, k.Name()); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) loadOne(home *statedir.Dir, key string) error {
	dir, err := home.Sub(key)
	if err != nil {
		return err
	}
	d := &draft{dir: dir, key: key, last: s.cfg.Now(), dirty: true}
	err = dir.ReadJSON(recordFile, &d.rec)
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err // never guess: what it says may have been submitted
	}
	_, cerr := os.Lstat(d.host(""))
	if cerr != nil && !errors.Is(cerr, iofs.ErrNotExist) {
		return cerr
	}
	if _, merr := os.Lstat(dir.Path(openMark)); merr == nil {
		d.marked, d.torn = true, true
	}
	switch {
	case err == nil && cerr == nil:
		if other := s.present[d.rec.Name]; other != nil {
			return fmt.Errorf("%s and %s both hold the draft %q", other.dir.Path(), dir.Path(), d.rec.Name)
		}
		s.present[d.rec.Name] = d
	case err == nil && d.submitted():
		s.gone[d.job()] = d
	case cerr == nil:
		// Content is only ever put beside a record that is durable already, so this is somebody else's; it is kept.
		return fmt.Errorf("%s has content but no %s", dir.Path(), recordFile)
	default:
		return os.RemoveAll(dir.Path())
	}
	return nil
}

// create makes the durable place of a new entry, without content: or gives the one that was deleted its name again.
// s.mu is held.
func (s *Store) create(name string, script bool) (*draft, error) {
	if d := s.gone[jobOf(name, script)]; d != nil {
		old := d.rec
		d.rec.Name, d.rec.Script, d.rec.Hold = name, script, false
		if err := d.save(); err != nil {
			d.rec = old
			return nil, err
		}
		return d, nil
	}
	var raw [8]byte
	_, _ = rand.Read(raw[:]) // never fails
	key := hex.EncodeToString(raw[:])
	home, err := s.cfg.State.Sub(draftsDir)
	if err != nil {
		return nil, err
	}
	dir, err := home.Sub(key)
	if err != nil {
		return nil, err
	}
	d := &draft{dir: dir, key: key, rec: record{Name: name, Script: script}}
	if err := d.save(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir.Path()))
	}
	return d, nil
}

// arrive makes d, whose content is there now, visible; s.mu is held.
func (s *Store) arrive(d *draft) {
	if s.gone[d.job()] == d {
		delete(s.gone, d.job())
	}
	s.present[d.rec.Name] = d
}

// leave is called when the content of d is gone: a submission keeps its record. What cannot be removed now is swept at the
// next start, for it has no content. s.mu is held.
func (s *Store) leave(d *draft) {
	if s.present[d.rec.Name] == d {
		delete(s.present, d.rec.Name)
	}
	for h := range s.handles {
		if h.d == d {
			h.d = nil
		}
	}
	if d.submitted() {
		d.gen++
		d.torn = false
		s.remark(d)
		d.dirty, d.problem = false, ""
		s.gone[d.job()] = d
		return
	}
	if err := os.RemoveAll(d.dir.Path()); err != nil {
		s.cfg.Log.Warn("removing a draft", "path", d.rec.Name, "err", err)
	}
}
