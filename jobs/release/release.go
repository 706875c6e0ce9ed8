// Package release holds what a run left until the owner lets it go: the results lie in state, and releasing them puts them into the
// tree and adds their reader, each release written down first so that a crash only repeats it. It knows jobs and paths; it must not know
// the mount, the sandbox or how rules are written. The owner's view of jobs, the local API and the composition root import it.
package release

import (
	"context"
	"errors"
	iofs "io/fs"

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

// Store is everything that is held for one datasite. It fits jobs.Holder.
type Store struct{}

// Open reads what is held; dir is the store's alone, on the file system of the runs.
func Open(dir *statedir.Dir, tree jobs.Tree, rules Rules, owner perm.User) (*Store, error) {
	return nil, errors.ErrUnsupported
}

// Hold moves dir into the hold. Repeating it is harmless.
func (s *Store) Hold(ctx context.Context, id jobs.ID, run, dir string) error {
	return errors.ErrUnsupported
}

// Held lists the files that are still held, by path; none is not an error.
func (s *Store) Held(id jobs.ID) ([]Item, error) { return nil, errors.ErrUnsupported }

// FS is what Held lists; its files are *os.File. fs.ErrNotExist if nothing was ever held.
func (s *Store) FS(id jobs.ID) (iofs.FS, error) { return nil, errors.ErrUnsupported }

// Release puts the named top-level entries (nil: all) into outputs/ and lets the submitter read them. An entry that is there already with other
// content is fs.ErrExist; a name that is not held is fs.ErrNotExist. Only the owner may: fs.ErrPermission.
func (s *Store) Release(ctx context.Context, id jobs.ID, names []string, by datasite.Identity) error {
	return errors.ErrUnsupported
}

// ShareLogs lets the submitter read stdout.txt, stderr.txt and returncode.txt.
func (s *Store) ShareLogs(ctx context.Context, id jobs.ID, by datasite.Identity) error {
	return errors.ErrUnsupported
}

// Recover repeats what a crash left unfinished.
func (s *Store) Recover(ctx context.Context) error { return errors.ErrUnsupported }
