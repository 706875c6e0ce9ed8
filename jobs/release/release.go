// Package release holds what a run left until the owner lets it go: the results lie in state, and releasing them puts them into the
// tree and adds their reader, each release written down first so that a crash only repeats it. It knows jobs and paths; it must not know
// the mount, the sandbox or how rules are written. The owner's view of jobs, the local API and the composition root import it.
package release

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/statedir"
	"github.com/openmined/syftfs/jobs"
	"github.com/openmined/syftfs/perm"
)

// Rules adds a reader to a pattern; fs/grant fits.
type Rules interface {
	// Share adds user to the read list of exactly this pattern (relative to dir) in the rule file that governs dir.
	Share(ctx context.Context, dir datasite.Path, pattern string, user perm.User) error
}

// Item is one file that is held.
type Item struct {
	Path string // slash separated, as it will lie below outputs/
	Size int64
	Hash datasite.Hash
}

// Released is one release, or a sharing of the logs when Names is empty.
type Released struct {
	Names []string
	By    datasite.Identity
	At    time.Time
	Done  bool // false: written down and not yet done in full; Recover repeats it
}

// The state of the store: held/<key of the job>/record.json and the files of its newest run beside it in held/<key>/<run>.
const recordFile = "record.json"

type record struct {
	Submitter perm.User
	Name      string
	Run       string
	Held      time.Time
	Items     []Item // what Hold took; Releases say what of it went
	Releases  []Released
	Logs      *Released // the logs were asked to be shared
}

// Store is everything that is held for one datasite. It fits jobs.Holder.
type Store struct {
	dir   *statedir.Dir
	tree  jobs.Tree
	rules Rules
	owner perm.User
	now   func() time.Time

	// mu makes one operation at a time; it is taken before the locks of the tree and may be held across them.
	mu  sync.Mutex
	all map[jobs.ID]record
}

// Open reads what is held; dir is the store's alone, on the file system of the runs.
func Open(dir *statedir.Dir, tree jobs.Tree, rules Rules, owner perm.User) (*Store, error) {
	s := &Store{dir: dir, tree: tree, rules: rules, owner: owner, now: time.Now, all: map[jobs.ID]record{}}
	if err := dir.Sweep(); err != nil {
		return nil, fmt.Errorf("held results: %w", err)
	}
	entries, err := os.ReadDir(dir.Path())
	if err != nil {
		return nil, fmt.Errorf("held results: %w", err)
	}
	for _, d := range entries {
		if !d.IsDir() {
			continue
		}
		var r record
		err := dir.ReadJSON(filepath.Join(d.Name(), recordFile), &r)
		if errors.Is(err, iofs.ErrNotExist) {
			continue // moved here, and not recorded: Hold is repeated
		}
		if err != nil {
			return nil, fmt.Errorf("held results: %w", err)
		}
		id := jobs.ID{Owner: owner, Submitter: r.Submitter, Name: r.Name}
		if key(id) != d.Name() {
			return nil, fmt.Errorf("held results: %s: is the record of another job", dir.Path(d.Name(), recordFile))
		}
		s.all[id] = r
	}
	return s, nil
}

func key(id jobs.ID) string {
	h := sha256.Sum256([]byte(id.String()))
	return hex.EncodeToString(h[:16])
}

// Held lists the files that are still held, by path; none is not an error.
func (s *Store) Held(id jobs.ID) ([]Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[id].held(), nil
}

// held is what was not released.
func (r record) held() []Item {
	gone := map[string]bool{}
	for _, rel := range r.Releases {
		for _, n := range rel.Names {
			gone[n] = gone[n] || rel.Done
		}
	}
	return slices.DeleteFunc(slices.Clone(r.Items), func(i Item) bool { return gone[top(i.Path)] })
}

// top is the first segment of a path.
func top(p string) string {
	name, _, _ := strings.Cut(p, "/")
	return name
}

// names are the top-level entries that are still held, in order.
func (r record) names() []string {
	var out []string
	for _, i := range r.held() {
		if n := top(i.Path); !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// FS is what Held lists; its files are *os.File. fs.ErrNotExist if nothing was ever held.
func (s *Store) FS(id jobs.ID) (iofs.FS, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.all[id]
	if r.Run == "" {
		return nil, fmt.Errorf("held results of %s: %w", id, iofs.ErrNotExist)
	}
	return os.DirFS(s.files(id, r.Run)), nil
}

func (s *Store) files(id jobs.ID, run string) string { return s.dir.Path(key(id), run) }

// Releases lists what was let go, oldest first, the logs last.
func (s *Store) Releases(id jobs.ID) []Released {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.all[id]
	out := slices.Clone(r.Releases)
	if r.Logs != nil {
		out = append(out, *r.Logs)
	}
	return out
}

// save makes r what is known about the job: on disk first, under the step's name. The caller has mu.
func (s *Store) save(step string, id jobs.ID, r record) error {
	if err := s.dir.Step(step); err != nil {
		return err
	}
	if err := s.dir.WriteJSON(step, filepath.Join(key(id), recordFile), r); err != nil {
		return err
	}
	s.all[id] = r
	return nil
}
