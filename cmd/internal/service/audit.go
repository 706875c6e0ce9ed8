package service

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"strings"
	"sync"
	"time"
)

// Audit is the log of who did what: JSON lines, each with a running number and the hash of the line before. It holds no
// secrets and no contents. What is done has two lines: that it begins, which must be on the disk before anything is done, and how it ended.
type Audit struct {
	mu   sync.Mutex // guards all below
	f    auditFile
	seq  uint64
	prev string
	size int64 // of the whole lines
	torn error // half a line could not be taken back: nothing more can be written
	now  func() time.Time
	// refused is when a refusal of (caller, operation) was last written: one a minute is enough.
	refused map[string]time.Time
}

// auditFile is an *os.File opened for appending.
type auditFile interface {
	Write(p []byte) (int, error)
	Truncate(size int64) error
	Sync() error
	Close() error
}

// Entry is one line.
type Entry struct {
	Seq    uint64    `json:"seq"`
	At     time.Time `json:"ts"`
	Actor  string    `json:"actor"`
	Via    string    `json:"via"`
	As     string    `json:"as,omitempty"`
	Action string    `json:"action"`
	Target string    `json:"target,omitempty"`
	Result string    `json:"result"`       // begun, ok, failed, denied
	Of     uint64    `json:"of,omitempty"` // the line that said that it begins
	Reason string    `json:"reason,omitempty"`
	Prev   string    `json:"prev"`
}

// maxTarget bounds what somebody typed, in bytes.
const maxTarget = 300

// OpenAudit continues the log at path. A last line cut short by a crash is set aside in path.cut; a broken chain is an error that names
// the line.
func OpenAudit(path string, now func() time.Time) (*Audit, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	a := &Audit{f: f, now: now, refused: map[string]time.Time{}}
	if err := a.resume(path); err != nil {
		return nil, errors.Join(fmt.Errorf("audit log: %w", err), f.Close())
	}
	return a, nil
}

func (a *Audit) resume(path string) error {
	rest, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		if !whole {
			break
		}
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil || e.Prev != a.prev || e.Seq != a.seq+1 {
			return fmt.Errorf("%s line %d does not follow the line before: the log was changed or damaged; move it away to begin a new one", path, n)
		}
		a.seq, a.prev = e.Seq, lineHash(line)
		a.size += int64(len(line)) + 1
		rest = after
	}
	if len(rest) == 0 {
		return nil
	}
	if err := os.WriteFile(path+".cut", rest, 0o600); err != nil {
		return err
	}
	return a.f.Truncate(a.size)
}

func lineHash(line []byte) string {
	h := sha256.Sum256(line)
	return hex.EncodeToString(h[:])
}

// write appends one line, whole or not at all, and gives its number.
func (a *Audit) write(c Caller, e Entry) (uint64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.torn != nil {
		return 0, fmt.Errorf("audit log: %w", a.torn)
	}
	e.Seq, e.Prev, e.At, e.Via, e.Actor = a.seq+1, a.prev, a.now().UTC(), c.Via, c.Account
	if c.Root {
		e.Actor = "owner"
	}
	if len(e.Target) > maxTarget {
		e.Target = strings.ToValidUTF8(e.Target[:maxTarget], "") + "..."
	}
	line, err := json.Marshal(e)
	if err != nil {
		return 0, err
	}
	_, err = a.f.Write(append(line, '\n'))
	if err == nil {
		err = a.f.Sync()
	}
	if err != nil {
		// Half a line, or one of which nobody knows whether it is kept, must not stand before the next one.
		if terr := a.f.Truncate(a.size); terr != nil {
			a.torn = terr
		}
		return 0, fmt.Errorf("audit log: %w", err)
	}
	a.seq, a.prev, a.size = e.Seq, lineHash(line), a.size+int64(len(line))+1
	return e.Seq, nil
}

// denied records a refusal, which stands whether or not it could be recorded.
func (a *Audit) denied(c Caller, action string) error {
	key := c.Via + "\x00" + c.Account + "\x00" + action
	a.mu.Lock()
	last, before := a.refused[key]
	now := a.now()
	again := !before || now.Sub(last) >= time.Minute
	if again {
		a.refused[key] = now
	}
	a.mu.Unlock()
	if !again {
		return nil
	}
	_, err := a.write(c, Entry{Action: action, Result: "denied", Reason: c.Reason})
	return err
}

// Close closes the log.
func (a *Audit) Close() error {
	if err := a.f.Close(); err != nil && !errors.Is(err, iofs.ErrClosed) {
		return fmt.Errorf("audit log: %w", err)
	}
	return nil
}

// audited does do between the two lines of e. Nothing is done when the first cannot be written. The second only adds how it ended: that
// it is missing is logged, and the next operation is refused.
func audited[A any](s *Service, c Caller, e Entry, do func() (A, error)) (A, error) {
	e.Result = "begun"
	begun, err := s.Audit.write(c, e)
	if err != nil {
		var none A
		return none, &Error{Code: NoAudit, Message: fmt.Sprintf("nothing was done, because it could not be written down: %v (make room on the disk and try again)", err), Err: err}
	}
	a, err := do()
	s.ended(c, Entry{Action: e.Action, Target: e.Target, As: e.As, Of: begun}, err)
	return a, wrapped(err)
}

// ended records how something ended. It may have been done: that it cannot be written down is logged.
func (s *Service) ended(c Caller, e Entry, err error) {
	e.Result = "ok"
	if err != nil {
		e.Result, e.Reason = "failed", string(Wrap(err).Code)
	}
	if _, err := s.Audit.write(c, e); err != nil {
		s.Log.Error("not written to the audit log", "op", e.Action, "err", err)
	}
}
