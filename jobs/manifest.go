package jobs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	iofs "io/fs"
	"path"
	"slices"
	"strings"

	"github.com/openmined/syftfs/fs/datasite"
)

// Counted reports whether the file rel of a job's folder is part of the submission, and so of the digest: config.yaml, run.sh and code/**,
// without rule files, code/outputs/** and the names that never travel.
func Counted(rel string) bool {
	if datasite.Excluded(rel) || datasite.IsRuleName(path.Base(rel)) {
		return false
	}
	return rel == ConfigFile || rel == RunFile || (strings.HasPrefix(rel, CodeDir+"/") && !isOutputs(rel))
}

func isOutputs(rel string) bool {
	const outputs = CodeDir + "/" + OutputsDir
	return rel == outputs || strings.HasPrefix(rel, outputs+"/")
}

// ReadManifest lists the regular files of a job's folder that are part of the submission, sorted by path bytes, with size and hash. Anything that is
// neither a file nor a folder is ErrKind and is not opened; beyond a limit it is ErrTooBig; a path that may not be is ErrPath.
func ReadManifest(ctx context.Context, fsys iofs.FS) ([]File, error) {
	var m manifest
	err := iofs.WalkDir(fsys, ".", func(p string, e iofs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("read submission: %w", err)
		}
		switch take, err := m.look(p, e.Type()); {
		case err != nil:
			return err
		case take == skipDir:
			return iofs.SkipDir
		case take == skip:
			return nil
		}
		f, err := fsys.Open(p)
		if err != nil {
			return fmt.Errorf("read submission: %w", err)
		}
		defer f.Close()
		return m.add(p, f, io.Discard)
	})
	if err != nil {
		return nil, err
	}
	return m.sorted(), nil
}

// DigestOf is the digest of a manifest.
func DigestOf(files []File) Digest {
	sorted := slices.Clone(files)
	slices.SortFunc(sorted, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	h := sha256.New()
	for _, f := range sorted {
		fmt.Fprintf(h, "%d %x %s\n", f.Size, f.Hash[:], f.Path)
	}
	return Digest("sha256:" + hex.EncodeToString(h.Sum(nil)))
}

// manifest grows while a submission is walked, within the limits.
type manifest struct {
	files   []File
	bytes   int64
	folders int
}

type verdict uint8

const (
	skip    verdict = iota // a folder that is entered, or a file that does not count
	skipDir                // neither this folder nor what is below counts
	take
)

// look judges one name of a walk, "." for the top, before anything is opened.
func (m *manifest) look(rel string, kind iofs.FileMode) (verdict, error) {
	if rel == "." {
		return skip, nil
	}
	if datasite.Excluded(rel) || isOutputs(rel) {
		if kind.IsDir() {
			return skipDir, nil
		}
		return skip, nil
	}
	if err := CheckPath(rel); err != nil {
		return skip, err
	}
	switch {
	case kind.IsDir():
		if m.folders++; m.folders > MaxFiles {
			return skip, fmt.Errorf("more than %d folders: %w", MaxFiles, ErrTooBig)
		}
		return skip, nil
	case kind.Type() != 0:
		return skip, fmt.Errorf("%q is %s: %w", rel, kindOf(kind), ErrKind)
	case !Counted(rel):
		return skip, nil
	case len(m.files) >= MaxFiles:
		return skip, fmt.Errorf("more than %d files: %w", MaxFiles, ErrTooBig)
	}
	return take, nil
}

// add reads one file to its end into w and enters it.
func (m *manifest) add(rel string, r io.Reader, w io.Writer) error {
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(h, w), io.LimitReader(r, MaxBytes-m.bytes+1))
	if err != nil {
		return fmt.Errorf("read submission: %q: %w", rel, err)
	}
	if m.bytes += n; m.bytes > MaxBytes {
		return fmt.Errorf("more than %d MiB: %w", MaxBytes>>20, ErrTooBig)
	}
	f := File{Path: rel, Size: n}
	h.Sum(f.Hash[:0])
	m.files = append(m.files, f)
	return nil
}

func (m *manifest) sorted() []File {
	slices.SortFunc(m.files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return m.files
}

func kindOf(m iofs.FileMode) string {
	switch {
	case m&iofs.ModeSymlink != 0:
		return "a symbolic link"
	case m&iofs.ModeNamedPipe != 0:
		return "a FIFO"
	case m&iofs.ModeSocket != 0:
		return "a socket"
	case m&iofs.ModeDevice != 0:
		return "a device"
	case m.IsDir():
		return "a folder"
	case m.IsRegular():
		return "a file"
	}
	return "of an unknown kind"
}
