package desk

import (
	"context"
	"io"
	iofs "io/fs"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/virtual"
	"github.com/openmined/syftfs/jobs"
)

const (
	maxScratch   = 64 << 10        // bytes of one file
	scratchFiles = 16              // in one job's folder
	scratchLife  = 5 * time.Minute // without an open handle
)

// scratch is a file that an editor makes beside DECISION: in memory, gone when it is not used any more.
type scratch struct {
	mu    sync.Mutex // taken after Owner.mu, never before
	name  string
	body  []byte
	mtime time.Time
	used  time.Time
	open  int
}

func (c *scratch) entry() virtual.Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return virtual.Entry{Name: c.name, Kind: virtual.Plain, Mode: 0o600, Size: int64(len(c.body)), MTime: c.mtime}
}

// find gives a live scratch file; o.mu is held. What was not used for long goes now.
func (o *Owner) find(id jobs.ID, name string) *scratch {
	for n, c := range o.scratch[id] {
		c.mu.Lock()
		old := c.open == 0 && o.cfg.Now().Sub(c.used) > scratchLife
		c.mu.Unlock()
		if old {
			delete(o.scratch[id], n)
		}
	}
	return o.scratch[id][name]
}

func (o *Owner) scratchEntry(id jobs.ID, name string) (virtual.Entry, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := o.find(id, name)
	if c == nil {
		return virtual.Entry{}, false
	}
	return c.entry(), true
}

func (o *Owner) scratchEntries(id jobs.ID) []virtual.Entry {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.find(id, "")
	var out []virtual.Entry
	for _, c := range o.scratch[id] {
		out = append(out, c.entry())
	}
	return out
}

// createScratch makes an editor's file, which is only possible while there is something to decide.
func (o *Owner) createScratch(j jobs.Job, name string) (virtual.Handle, error) {
	c, err := o.newScratch(j, name, nil)
	if err != nil {
		return nil, err
	}
	return c.handle(o, true), nil
}

func (o *Owner) newScratch(j jobs.Job, name string, body []byte) (*scratch, error) {
	first, _, deep := strings.Cut(name, "/")
	switch {
	case deep, ours(first), datasite.CheckName(name) != nil:
		return nil, refuse(iofs.ErrPermission, readOnly)
	case j.Status != jobs.Pending:
		return nil, refuse(iofs.ErrPermission, "nothing can be made here, and there is nothing to decide: "+standing(j.Status))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if c := o.find(j.ID, name); c != nil {
		return c, nil
	}
	if len(o.scratch[j.ID]) >= scratchFiles {
		return nil, refuse(syscall.ENOSPC, "only an editor's own files can lie beside DECISION, and there are too many; remove some")
	}
	if o.scratch[j.ID] == nil {
		o.scratch[j.ID] = map[string]*scratch{}
	}
	now := o.cfg.Now()
	c := &scratch{name: name, body: slices.Clone(body), mtime: now, used: now}
	o.scratch[j.ID][name] = c
	return c, nil
}

// ours reports names that mean something in a job's folder.
func ours(name string) bool {
	return slices.Contains([]string{statusName, jobs.StateFile, decisionName, heldName, jobs.OutputsDir, logsName, jobs.ConfigFile, jobs.RunFile, jobs.CodeDir}, name)
}

func (o *Owner) openScratch(id jobs.ID, name string, flags int) (virtual.Handle, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := o.find(id, name)
	if c == nil {
		return nil, false
	}
	h := c.handle(o, writes(flags))
	if flags&syscall.O_TRUNC != 0 {
		c.mu.Lock()
		c.body, c.mtime = nil, o.cfg.Now()
		c.mu.Unlock()
	}
	return h, true
}

func (o *Owner) scratchBody(id jobs.ID, name string) ([]byte, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := o.find(id, name)
	if c == nil {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.body), true
}

func (o *Owner) dropScratch(id jobs.ID, name string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.find(id, name) == nil {
		return false
	}
	delete(o.scratch[id], name)
	return true
}

// clearScratch forgets every scratch file of a job that was decided.
func (o *Owner) clearScratch(id jobs.ID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.scratch, id)
}

func (o *Owner) renameScratch(j jobs.Job, from, to string) error {
	if strings.Contains(to, "/") || ours(to) || datasite.CheckName(to) != nil {
		return refuse(iofs.ErrPermission, readOnly)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	c := o.find(j.ID, from)
	if c == nil {
		return missing("rename", from)
	}
	delete(o.scratch[j.ID], from)
	c.mu.Lock()
	c.name, c.used = to, o.cfg.Now()
	c.mu.Unlock()
	o.scratch[j.ID][to] = c
	return nil
}

// backup is an editor that moves DECISION aside before it writes a new one: the name gets a copy, and DECISION stays.
func (o *Owner) backup(ctx context.Context, j jobs.Job, to string) error {
	_, body, err := o.text(ctx, j, decisionName)
	if err != nil {
		return err
	}
	o.dropScratch(j.ID, to)
	_, err = o.newScratch(j, to, body)
	return err
}

func (o *Owner) setScratch(id jobs.ID, name string, a virtual.Attr) (bool, error) {
	o.mu.Lock()
	c := o.find(id, name)
	o.mu.Unlock()
	if c == nil {
		return false, nil
	}
	if a.Size != nil {
		if err := c.resize(*a.Size, o.cfg.Now()); err != nil {
			return true, err
		}
	}
	if a.MTime != nil {
		c.mu.Lock()
		c.mtime = *a.MTime
		c.mu.Unlock()
	}
	return true, nil
}

func (c *scratch) resize(size int64, now time.Time) error {
	if size < 0 {
		return syscall.EINVAL
	}
	if size > maxScratch {
		return syscall.EFBIG
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := int(size); n <= len(c.body) {
		c.body = c.body[:n]
	} else {
		c.body = append(c.body, make([]byte, n-len(c.body))...)
	}
	c.mtime, c.used = now, now
	return nil
}

// scratchHandle is one open of a scratch file.
type scratchHandle struct {
	c     *scratch
	now   func() time.Time
	write bool
	once  sync.Once
}

func (c *scratch) handle(o *Owner, write bool) *scratchHandle {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open++
	return &scratchHandle{c: c, now: o.cfg.Now, write: write}
}

func (h *scratchHandle) ReadAt(p []byte, off int64) (int, error) {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	if off < 0 || off >= int64(len(h.c.body)) {
		return 0, io.EOF
	}
	n := copy(p, h.c.body[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (h *scratchHandle) WriteAt(p []byte, off int64) (int, error) {
	if !h.write {
		return 0, syscall.EBADF
	}
	end := off + int64(len(p))
	if off < 0 || end > maxScratch {
		return 0, syscall.EFBIG
	}
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	if n := int(end) - len(h.c.body); n > 0 {
		h.c.body = append(h.c.body, make([]byte, n)...)
	}
	h.c.mtime = h.now()
	h.c.used = h.c.mtime
	return copy(h.c.body[off:], p), nil
}

func (h *scratchHandle) Truncate(size int64) error {
	if !h.write {
		return syscall.EBADF
	}
	return h.c.resize(size, h.now())
}

func (h *scratchHandle) Stat() (virtual.Entry, error) { return h.c.entry(), nil }
func (h *scratchHandle) Sync(context.Context) error   { return nil }
func (h *scratchHandle) Flush(context.Context) error  { return nil }

func (h *scratchHandle) Close() error {
	h.once.Do(func() {
		h.c.mu.Lock()
		defer h.c.mu.Unlock()
		h.c.open--
		h.c.used = h.now()
	})
	return nil
}
