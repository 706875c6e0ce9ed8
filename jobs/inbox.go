package jobs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"path"
	"slices"
	"strings"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

// listing is a job's inbox folder by names and stamps; no file was opened.
type listing struct {
	isJob  bool // it has an entry config.yaml
	top    map[string]iofs.FileMode
	paths  []string // of the files that count, sorted
	sizes  map[string]int64
	stamp  string // changes with every file; "" when a file could change without a trace
	broken error  // ErrKind, ErrPath or ErrTooBig: it can be no submission
}

// list reads a job's inbox folder. fs.ErrNotExist if there is none.
func (e *Engine) list(ctx context.Context, id ID) (listing, error) {
	l := listing{top: map[string]iofs.FileMode{}, sizes: map[string]int64{}}
	var m manifest
	h := sha256.New()
	racy := false
	var walk func(rel string) error
	walk = func(rel string) error {
		entries, err := e.cfg.Tree.List(ctx, id.Inbox().Join(rel))
		if err != nil {
			return err
		}
		slices.SortFunc(entries, func(a, b datasite.Entry) int { return strings.Compare(a.Name, b.Name) })
		for _, d := range entries {
			p := path.Join(rel, d.Name)
			if rel == "" && !datasite.IsRuleName(d.Name) && !datasite.Excluded(d.Name) {
				l.top[d.Name] = d.Mode
			}
			v, err := m.look(p, d.Mode)
			if err != nil {
				if l.broken == nil {
					l.broken = err
				}
				fmt.Fprintf(h, "%q %v\n", p, d.Mode.Type())
				if errors.Is(err, ErrTooBig) {
					return nil
				}
				continue
			}
			switch {
			case v == take:
				m.files = append(m.files, File{Path: p, Size: d.Stamp.Size})
				m.bytes += d.Stamp.Size
				if m.bytes > MaxBytes && l.broken == nil {
					l.broken = fmt.Errorf("more than %d MiB: %w", MaxBytes>>20, ErrTooBig)
				}
				s := d.Stamp
				racy = racy || s.Racy
				fmt.Fprintf(h, "%q %d %d %d %d %d\n", p, s.Dev, s.Ino, s.Size, s.MTime.UnixNano(), s.CTime.UnixNano())
			case d.Mode.IsDir() && v != skipDir:
				if err := walk(p); err != nil && !errors.Is(err, iofs.ErrNotExist) {
					return err
				}
			case rel == "":
				fmt.Fprintf(h, "%q\n", p)
			}
		}
		return nil
	}
	if err := walk(""); err != nil {
		return listing{}, fmt.Errorf("inbox of %s: %w", id, err)
	}
	_, l.isJob = l.top[ConfigFile]
	for _, f := range m.sorted() {
		l.paths = append(l.paths, f.Path)
		l.sizes[f.Path] = f.Size
	}
	if !racy {
		l.stamp = hex.EncodeToString(h.Sum(nil)[:16])
	}
	return l, nil
}

// refusal is why a folder can be no submission as it stands; its text is the review reason.
type refusal struct{ reason string }

func (r refusal) Error() string { return r.reason }

// judge reads config.yaml and says what the folder is: an error of type refusal (rejected), or what is still missing (received), or nothing of both: complete.
func (e *Engine) judge(ctx context.Context, id ID, l listing) (c Config, missing []string, err error) {
	refuse := func(format string, args ...any) (Config, []string, error) {
		return c, nil, refusal{fmt.Sprintf(format, args...)}
	}
	if err := CheckName(id.Name); err != nil {
		return refuse("name: %v", err)
	}
	var extra []string
	for name, mode := range l.top {
		switch name {
		case CodeDir:
			if !mode.IsDir() {
				return refuse("%q is %s: not a regular file in a folder of that name", name, kindOf(mode))
			}
		case ConfigFile, RunFile:
			if !mode.IsRegular() {
				return refuse("%q is %s: not a regular file", name, kindOf(mode))
			}
		default:
			extra = append(extra, name)
		}
	}
	if len(extra) > 0 {
		slices.Sort(extra)
		return refuse("expected exactly %s, %s and %s, but found also %s", CodeDir, RunFile, ConfigFile, some(extra))
	}
	if n := l.sizes[ConfigFile]; n > MaxConfigBytes {
		return refuse("config: %s has %d bytes, at most %d are read", ConfigFile, n, MaxConfigBytes)
	}
	src, err := e.read(ctx, id.Inbox().Join(ConfigFile), MaxConfigBytes+1)
	if err != nil {
		return c, nil, err
	}
	if c, err = ParseConfig(src); err != nil {
		return refuse("config: %v", err)
	}
	if err := c.Check(id); err != nil {
		return refuse("%v", err)
	}
	if c.JobType != "local" {
		return refuse("enclave job: this program runs local jobs only")
	}
	if twin, ok := e.twin(id); ok {
		return refuse("duplicate: %s has a job %q already, and names that differ only in letter case or spelling are one name", id.Submitter, twin)
	}
	if l.broken != nil {
		return refuse("%v", l.broken)
	}
	have := map[string]bool{}
	for _, p := range l.paths {
		have[p] = true
	}
	if _, ok := l.top[CodeDir]; !ok {
		missing = append(missing, CodeDir+"/")
	}
	if !have[RunFile] {
		missing = append(missing, RunFile)
	}
	for _, f := range c.expected() {
		if p := CodeDir + "/" + f; Counted(p) && !have[p] {
			missing = append(missing, p)
		}
	}
	return c, missing, nil
}

// twin finds another job of the submitter with the same name after folding, that has not itself been turned away.
func (e *Engine) twin(id ID) (string, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	folded := Fold(id.Name)
	for other, j := range e.all {
		if other.Submitter == id.Submitter && other.Name != id.Name && !j.rec.AtIntake && Fold(other.Name) == folded {
			return other.Name, true
		}
	}
	return "", false
}

// waiting counts the pending jobs of a submitter.
func (e *Engine) waiting(u perm.User) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for id, j := range e.all {
		if id.Submitter == u && j.rec.Status == Pending {
			n++
		}
	}
	return n
}

// read gives at most limit bytes of a regular file of the tree.
func (e *Engine) read(ctx context.Context, p datasite.Path, limit int64) ([]byte, error) {
	f, err := e.cfg.Tree.OpenFile(ctx, p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", p, err)
	}
	return b, nil
}
