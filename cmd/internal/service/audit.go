package service

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"sync"
	"time"
)

// Audit is the log of who did what: JSON lines, each with a running number and the hash of the line before. It holds no
// secrets and no contents.
type Audit struct {
	mu   sync.Mutex // guards all below
	f    *os.File
	seq  uint64
	prev string
	now  func() time.Time
	// refused is when a refusal of (caller, operation) was last written: one a minute is enough.
	refused map[string]time.Time
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
	Result string    `json:"result"`
	Reason string    `json:"reason,omitempty"`
	Prev   string    `json:"prev"`
}

// OpenAudit continues the log at path. A last line cut short by a crash is set aside; a broken chain is an error that names the line.
func OpenAudit(path string, now func() time.Time) (*Audit, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	a := &Audit{f: f, now: now, refused: map[string]time.Time{}}
	if err := a.resume(path); err != nil {
		f.Close()
		return nil, err
	}
	return a, nil
}

func (a *Audit) resume(path string) error {
	body, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	whole := 0
	for n, rest := 1, body; len(rest) > 0; n++ {
		size, line, _ := bufio.ScanLines(rest, false)
		if size == 0 {
			break // no newline: cut short
		}
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil || e.Prev != a.prev || e.Seq != a.seq+1 {
			return fmt.Errorf("%s line %d does not follow the line before: the audit log was changed or damaged; move it away to begin a new one", path, n)
		}
		a.seq, a.prev = e.Seq, lineHash(line)
		rest, whole = rest[size:], whole+size
	}
	return a.f.Truncate(int64(whole))
}

func lineHash(line []byte) string {
	h := sha256.Sum256(line)
	return hex.EncodeToString(h[:])
}

// write appends one line. An operation that changes accounts or decides about jobs is refused when this fails.
func (a *Audit) write(c Caller, e Entry) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	e.Seq, e.Prev, e.At, e.Via, e.Actor = a.seq+1, a.prev, a.now().UTC(), c.Via, c.Account
	if c.Root {
		e.Actor = "owner"
	}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if _, err := a.f.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	a.seq, a.prev = e.Seq, lineHash(line)
	return nil
}

// done records what was done, or why it was not.
func (a *Audit) done(c Caller, action, target string, err error) error {
	e := Entry{Action: action, Target: target, Result: "ok"}
	if err != nil {
		e.Result, e.Reason = "failed", string(Wrap(err).Code)
	}
	return errors.Join(err, a.write(c, e))
}

func (a *Audit) denied(c Caller, action string) {
	key := c.Account + "\x00" + action
	a.mu.Lock()
	last := a.refused[key]
	again := a.now().Sub(last) >= time.Minute
	if again {
		a.refused[key] = a.now()
	}
	a.mu.Unlock()
	if again {
		// A refusal stands whether or not it could be logged.
		_ = a.write(c, Entry{Action: action, Result: "denied"})
	}
}

// Close closes the log.
func (a *Audit) Close() error { return a.f.Close() }
