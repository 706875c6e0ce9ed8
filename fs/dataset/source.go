package dataset

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"golang.org/x/sys/unix"
)

// maxFiles bounds one part of a dataset.
const maxFiles = 100_000

// part is the files of one part, by the path they will have in it.
type part map[string]source

// source is a file on the host, or a text of ours.
type source struct {
	host string
	body []byte // when host is ""
	size int64
}

// scan lists the files of a host file or folder. Links, devices and the like are refused: what is copied must be what was
// looked at.
func scan(ctx context.Context, what, host string) (part, error) {
	fail := func(err error) (part, error) { return nil, fmt.Errorf("%s part %s: %w", what, host, err) }
	if host == "" {
		return nil, fmt.Errorf("the %s part is missing: name a file or a folder: %w", what, iofs.ErrInvalid)
	}
	if !filepath.IsAbs(host) {
		return fail(fmt.Errorf("give the whole path: %w", iofs.ErrInvalid))
	}
	info, err := os.Lstat(host)
	if err != nil {
		return nil, fmt.Errorf("%s part: %w", what, err)
	}
	p := part{}
	if !info.IsDir() {
		return p, p.add(what, host, filepath.Base(host), info)
	}
	err = filepath.WalkDir(host, func(name string, e iofs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case e.IsDir():
			return nil
		case len(p) >= maxFiles:
			return fmt.Errorf("more than %d files: put them into an archive: %w", maxFiles, iofs.ErrInvalid)
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(host, name)
		if err != nil {
			return err
		}
		return p.add(what, name, filepath.ToSlash(rel), info)
	})
	if err != nil {
		return fail(err)
	}
	if len(p) == 0 {
		return fail(fmt.Errorf("it holds no file: %w", iofs.ErrInvalid))
	}
	return p, nil
}

func (p part) add(what, host, rel string, info iofs.FileInfo) error {
	refuse := func(why string) error { return fmt.Errorf("%s part: %s %s: %w", what, host, why, iofs.ErrInvalid) }
	if !info.Mode().IsRegular() {
		return refuse("is neither a file nor a folder: copy what it stands for")
	}
	for seg := range strings.SplitSeq(rel, "/") {
		switch err := datasite.CheckName(seg); {
		case err != nil:
			return fmt.Errorf("%s part: %s: %w", what, host, err)
		case datasite.IsRuleName(seg):
			return refuse("is a permission file: who may read a dataset is said with readers; leave the file out")
		case strings.ContainsFunc(seg, func(r rune) bool { return r < ' ' || r == 0x7f }):
			return refuse("has a control character in its name: rename it")
		}
	}
	if rel == DescriptionFile || rel == PrivateFile {
		return refuse("has a name that every dataset makes for itself: rename it")
	}
	p[rel] = source{host: host, size: info.Size()}
	return nil
}

func (s source) open() (io.ReadCloser, iofs.FileInfo, error) {
	if s.host == "" {
		return io.NopCloser(bytes.NewReader(s.body)), stat{size: int64(len(s.body))}, nil
	}
	// Not os.Open: a link that was put there meanwhile is not followed, a pipe does not hold us up, and the descriptor is
	// not polled.
	fd, err := unix.Open(s.host, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, &iofs.PathError{Op: "open", Path: s.host, Err: err}
	}
	f := os.NewFile(uintptr(fd), s.host)
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &iofs.PathError{Op: "open", Path: s.host, Err: iofs.ErrInvalid}
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

func (s source) hash(ctx context.Context) (datasite.Hash, error) {
	f, _, err := s.open()
	if err != nil {
		return datasite.Hash{}, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, contextReader{ctx, f}); err != nil {
		return datasite.Hash{}, err
	}
	return datasite.Hash(h.Sum(nil)), nil
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}

// exposed refuses a mock part that holds a file of the private part, byte for byte. Empty files tell nothing.
func exposed(ctx context.Context, mock, private part) error {
	sizes := map[int64]bool{}
	for _, s := range mock {
		sizes[s.size] = true
	}
	hashes := map[datasite.Hash]string{}
	for _, rel := range slices.Sorted(maps.Keys(private)) {
		s := private[rel]
		if s.size == 0 || !sizes[s.size] {
			continue
		}
		h, err := s.hash(ctx)
		if err != nil {
			return err
		}
		hashes[h] = rel
	}
	for _, rel := range slices.Sorted(maps.Keys(mock)) {
		s := mock[rel]
		if s.size == 0 || len(hashes) == 0 {
			continue
		}
		h, err := s.hash(ctx)
		if err != nil {
			return err
		}
		if same, ok := hashes[h]; ok {
			return fmt.Errorf("%s is the same file as %s of the private part: make one with invented values, or leave it out of the private part: %w", rel, same, ErrExposed)
		}
	}
	return nil
}

// differences compares the first line of each pair of tables, and says what a program written against the mock would trip over.
func differences(mock, private part) ([]string, error) {
	pairs := map[string]string{}
	for rel := range mock {
		if _, ok := private[rel]; ok {
			pairs[rel] = rel
		}
	}
	if len(mock) == 1 && len(private) == 1 {
		for m := range mock {
			for p := range private {
				pairs[m] = p
			}
		}
	}
	var notes []string
	for _, m := range slices.Sorted(maps.Keys(pairs)) {
		p := pairs[m]
		if !isTable(m) || !isTable(p) {
			continue
		}
		left, err := columns(mock[m])
		if err != nil {
			return nil, err
		}
		right, err := columns(private[p])
		if err != nil {
			return nil, err
		}
		notes = append(notes, compareColumns(m, left, p, right)...)
	}
	return notes, nil
}

func isTable(name string) bool { return strings.EqualFold(path.Ext(name), ".csv") }

// columns gives the first record, nil if there is none that can be read.
func columns(s source) ([]string, error) {
	f, _, err := s.open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return nil, err
	}
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(head, []byte("\ufeff"))))
	r.LazyQuotes = true
	record, err := r.Read()
	if err != nil {
		return nil, nil
	}
	for i := range record {
		record[i] = strings.TrimSpace(record[i])
	}
	return record, nil
}

func compareColumns(mock string, left []string, private string, right []string) []string {
	var notes []string
	lacks := func(file, other string, here, there []string) {
		var missing []string
		for _, c := range there {
			if !slices.Contains(here, c) {
				missing = append(missing, c)
			}
		}
		const shown = 10
		more := ""
		if len(missing) > shown {
			more = fmt.Sprintf(" and %d more", len(missing)-shown)
			missing = missing[:shown]
		}
		if len(missing) > 0 {
			notes = append(notes, fmt.Sprintf("%s lacks columns that %s has: %s%s.", file, other, strings.Join(missing, ", "), more))
		}
	}
	if slices.Equal(left, right) {
		return nil
	}
	lacks("The mock "+mock, "the private "+private, left, right)
	lacks("The private "+private, "the mock "+mock, right, left)
	if len(notes) == 0 {
		notes = append(notes, fmt.Sprintf("The mock %s and the private %s have the same columns in another order, or not as often.", mock, private))
	}
	return notes
}

// Open, ReadDir make a part what the gate places as a folder.
func (p part) Open(name string) (iofs.File, error) {
	if !iofs.ValidPath(name) {
		return nil, &iofs.PathError{Op: "open", Path: name, Err: iofs.ErrInvalid}
	}
	if s, ok := p[name]; ok {
		r, info, err := s.open()
		if err != nil {
			return nil, err
		}
		return opened{r, named{info, path.Base(name)}}, nil
	}
	entries, err := p.ReadDir(name)
	if err != nil {
		return nil, err
	}
	return &listing{stat{name: path.Base(name), dir: true}, entries}, nil
}

// ReadDir lists a folder of the part, sorted.
func (p part) ReadDir(name string) ([]iofs.DirEntry, error) {
	prefix := name + "/"
	if name == "." {
		prefix = ""
	}
	seen := map[string]stat{}
	for rel, s := range p {
		rest, ok := strings.CutPrefix(rel, prefix)
		if !ok {
			continue
		}
		first, _, deep := strings.Cut(rest, "/")
		seen[first] = stat{name: first, size: s.size, dir: deep}
	}
	if len(seen) == 0 && name != "." {
		return nil, &iofs.PathError{Op: "readdir", Path: name, Err: iofs.ErrNotExist}
	}
	var out []iofs.DirEntry
	for _, st := range seen {
		out = append(out, iofs.FileInfoToDirEntry(st))
	}
	slices.SortFunc(out, func(a, b iofs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return out, nil
}

type opened struct {
	io.ReadCloser
	info iofs.FileInfo
}

func (o opened) Stat() (iofs.FileInfo, error) { return o.info, nil }

type listing struct {
	stat
	left []iofs.DirEntry
}

func (l *listing) Stat() (iofs.FileInfo, error) { return l.stat, nil }
func (l *listing) Close() error                 { return nil }
func (l *listing) Read([]byte) (int, error) {
	return 0, &iofs.PathError{Op: "read", Path: l.name, Err: unix.EISDIR}
}

func (l *listing) ReadDir(n int) ([]iofs.DirEntry, error) {
	if n > 0 && len(l.left) == 0 {
		return nil, io.EOF
	}
	if n <= 0 || n > len(l.left) {
		n = len(l.left)
	}
	out := l.left[:n]
	l.left = l.left[n:]
	return out, nil
}

// named is a host file under the name that it has in the part, without the bits that a copy does not keep.
type named struct {
	iofs.FileInfo
	name string
}

func (n named) Name() string { return n.name }

// stat describes a folder, or a text of ours.
type stat struct {
	name string
	size int64
	dir  bool
}

func (s stat) Name() string       { return s.name }
func (s stat) Size() int64        { return s.size }
func (s stat) ModTime() time.Time { return time.Time{} }
func (s stat) IsDir() bool        { return s.dir }
func (s stat) Sys() any           { return nil }
func (s stat) Mode() iofs.FileMode {
	if s.dir {
		return iofs.ModeDir | 0o755
	}
	return 0o644
}
