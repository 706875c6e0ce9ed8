package draft

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	iofs "io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/jobs"
	"golang.org/x/sys/unix"
)

// snapshot is what one examination found in a draft. It is only used if the draft's generation did not move meanwhile.
type snapshot struct {
	script   bool
	complete bool
	files    []member
	folders  []string // relative, parents first
	leftOut  []string
	foreign  []string // of a complete folder: what does not belong beside code/, run.sh and config.yaml
	size     int64
}

type member struct {
	path string // relative to the draft; a script's own name
	size int64
	hash datasite.Hash
}

func (n *snapshot) has(p string) bool {
	return slices.ContainsFunc(n.files, func(m member) bool { return m.path == p })
}

// survey walks the draft and decides what of it is submitted.
func survey(host, name string, script, complete bool) (*snapshot, error) {
	n := &snapshot{script: script, complete: complete}
	if script {
		info, err := os.Lstat(host)
		if err != nil {
			return nil, failed("seal", name, err)
		}
		return n, n.add(name, info)
	}
	err := filepath.WalkDir(host, func(p string, e iofs.DirEntry, err error) error {
		if err != nil || p == host {
			return err
		}
		rel := filepath.ToSlash(strings.TrimPrefix(p, host+string(filepath.Separator)))
		if n.leaveOut(rel, e) {
			if e.IsDir() {
				return iofs.SkipDir
			}
			return nil
		}
		if err := checkPath(rel); err != nil {
			return err
		}
		if complete && !strings.Contains(rel, "/") && rel != jobs.CodeDir && rel != jobs.RunFile && rel != jobs.ConfigFile {
			n.foreign = append(n.foreign, rel)
		}
		if e.IsDir() {
			n.folders = append(n.folders, rel)
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		return n.add(rel, info)
	})
	if err != nil {
		return nil, failed("seal", name, err)
	}
	return n, nil
}

// leaveOut notes names that are never submitted.
func (n *snapshot) leaveOut(rel string, e iofs.DirEntry) bool {
	why := reasonLeftOut(rel, n.complete)
	if why == "" {
		return false
	}
	if e.IsDir() {
		rel += "/"
	}
	n.leftOut = append(n.leftOut, fmt.Sprintf("%s (%s)", visible(rel), why))
	return true
}

// reasonLeftOut says why rel is never submitted; "" if it is. What lies below is left out with it.
func reasonLeftOut(rel string, complete bool) string {
	base := path.Base(rel)
	switch {
	case rel == "":
		return ""
	case !strings.Contains(rel, "/") && (base == jobs.OutputsDir || base == logsName), complete && rel == jobs.CodeDir+"/"+jobs.OutputsDir:
		return "results are written by the run"
	case datasite.Excluded(base):
		return "never leaves the machine"
	case strings.HasPrefix(base, "."):
		return "dot-files are not submitted"
	case jobs.IsRuleName(base):
		return "rules are the owner's"
	}
	return ""
}

func (n *snapshot) add(rel string, info iofs.FileInfo) error {
	if err := checkPath(rel); err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return refuse(syscall.EINVAL, "%s is not a regular file: links, pipes, sockets and devices cannot be submitted; remove it", visible(rel))
	}
	n.files = append(n.files, member{path: rel, size: info.Size()})
	n.size += info.Size()
	if len(n.files) > jobs.MaxFiles {
		return tooMany("files")
	}
	if n.size > jobs.MaxBytes {
		return tooLarge()
	}
	return nil
}

// checkPath refuses paths that no submission may hold; "code/" is counted, because it comes before most of them.
func checkPath(rel string) error {
	if err := jobs.CheckPath(jobs.CodeDir + "/" + rel); err != nil {
		return refuse(syscall.EINVAL, "%v; rename it or leave it out", err)
	}
	return nil
}

// visible shows a name on one line, whatever is in it.
func visible(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) || !utf8.ValidString(name) {
		return fmt.Sprintf("%q", name)
	}
	return name
}

// read hashes every member of the draft, and copies it to where to says unless to is nil. The hash is of the bytes that were
// copied, so that what is handed over is what was hashed.
func (n *snapshot) read(host string, to func(m member) (dst []string)) error {
	n.size = 0
	for i := range n.files {
		m := &n.files[i]
		var dst []string
		if to != nil {
			dst = to(*m)
		}
		src := host
		if !n.script {
			src = filepath.Join(host, filepath.FromSlash(m.path))
		}
		if err := m.copy(src, dst); err != nil {
			return failed("seal", m.path, err)
		}
		if n.size += m.size; n.size > jobs.MaxBytes {
			return tooLarge()
		}
	}
	return nil
}

func (m *member) copy(src string, dst []string) (err error) {
	in, err := os.OpenFile(src, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return syscall.EINVAL
	}
	sum := sha256.New()
	out := []io.Writer{sum}
	for _, p := range dst {
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			return err
		}
		f, err := os.OpenFile(p, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		defer func() {
			if cerr := f.Close(); err == nil {
				err = cerr
			}
		}()
		out = append(out, f)
	}
	m.size, err = io.Copy(io.MultiWriter(out...), in)
	sum.Sum(m.hash[:0])
	return err
}

// source fixes what was copied: the same source is the same submission, whatever sealing makes of it.
func (n *snapshot) source() string {
	kind := "bare"
	switch {
	case n.script:
		kind = "script"
	case n.complete:
		kind = "complete"
	}
	sum := sha256.New()
	line(sum, "%s\n", kind)
	slices.SortFunc(n.files, func(a, b member) int { return strings.Compare(a.path, b.path) })
	for _, m := range n.files {
		line(sum, "%d %s %q\n", m.size, m.hash, m.path)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func line(h hash.Hash, format string, args ...any) {
	_, _ = fmt.Fprintf(h, format, args...) // a hash never fails
}
