package driveserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"maps"
	"os"
	"slices"
)

// Check reads the whole store and returns what is wrong with it: items without their folder or owner, circles of folders, contents that are
// missing, damaged or named by nothing. None is good. Requests go on meanwhile.
func (s *Server) Check(ctx context.Context) ([]string, error) {
	problems := []string{}
	add := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	s.mu.RLock()
	items := slices.Collect(maps.Values(s.st.items))
	for _, it := range items {
		if s.st.accounts[it.Owner] == nil {
			add("item %s belongs to an account that does not exist", it.ID)
		}
		p := s.st.items[it.Parent]
		switch {
		case it.Root != (it.Parent == ""):
			add("item %s: only root folders, and all of them, lie in no folder", it.ID)
		case it.Parent != "" && (p == nil || !p.folder()):
			add("item %s lies in something that is not a folder", it.ID)
		case depth(s.st, it) > maxDepth:
			add("item %s lies in a circle of folders", it.ID)
		}
		if s.st.ids[it.ID].Used && s.st.ids[it.ID].Account == "" {
			add("item %s: its id was issued to nobody", it.ID)
		}
	}
	for _, a := range s.st.accounts {
		if a.Root != "" && (s.st.items[a.Root] == nil || s.st.items[a.AppRoot] == nil) {
			add("account %s has no root folder", a.Email)
		}
	}
	refs := maps.Clone(s.st.refs)
	s.mu.RUnlock()

	seen := map[string]bool{}
	for _, it := range items {
		if it.Content == nil || seen[it.Content.SHA256] {
			continue
		}
		seen[it.Content.SHA256] = true
		if err := ctx.Err(); err != nil {
			return problems, err
		}
		switch err := s.blobs.verify(*it.Content); {
		case errors.Is(err, iofs.ErrNotExist) && s.named(it.Content.SHA256):
			add("content of %s is missing", it.ID)
		case errors.Is(err, errDamaged):
			add("content of %s is damaged", it.ID)
		case err != nil && !errors.Is(err, iofs.ErrNotExist):
			return problems, err
		}
	}
	err := s.blobs.walk(func(path, sum string) error {
		if sum != "" && refs[sum] == 0 && !s.named(sum) && !s.blobs.pinned(sum) {
			add("content %s is named by nothing", path)
		}
		return nil
	})
	return problems, err
}

func (s *Server) named(sum string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.st.refs[sum] > 0
}

var errDamaged = errors.New("content is damaged")

// verify reads a blob and compares it with what the metadata say.
func (b *blobs) verify(c content) error {
	f, err := os.Open(b.path(c.SHA256))
	if err != nil {
		return err
	}
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if n != c.Size || hex.EncodeToString(h.Sum(nil)) != c.SHA256 {
		return errDamaged
	}
	return nil
}

func (b *blobs) pinned(sum string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pins[sum] > 0
}
