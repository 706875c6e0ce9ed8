package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/journal"
)

// watchedJournal is the journal that also looks at each changed rule file, so that the owner is told of one that cannot be read: until it
// is repaired its folder is the owner's only, which nobody would notice from inside.
type watchedJournal struct {
	*journal.Journal
	durable bool // `durability: close`: what is queued otherwise waits for the disk
	load    func(owner perm.User, dir string) ([]perm.Ruleset, error)
	moved   func(c datasite.Change)              // is told every change; as told
	told    func(p datasite.Path, problem error) // called with the gate's locks held: must return at once and touch no file of the tree

	mu     sync.Mutex // guards broken; a leaf
	broken map[datasite.Path]error
}

// Append is the journal's.
func (w *watchedJournal) Append(c datasite.Change) error {
	if w.durable {
		_, err := w.Commit(context.Background(), c)
		return err
	}
	err := w.Journal.Append(c)
	w.look(c)
	return err
}

// Commit is the journal's.
func (w *watchedJournal) Commit(ctx context.Context, c datasite.Change) (uint64, error) {
	seq, err := w.Journal.Commit(ctx, c)
	w.look(c)
	return seq, err
}

// look reads the rule files that c may have changed: its own, and those that were broken.
func (w *watchedJournal) look(c datasite.Change) {
	w.moved(c)
	w.mu.Lock()
	again := slices.Collect(maps.Keys(w.broken))
	w.mu.Unlock()
	for _, p := range append(again, c.Path, c.From) {
		if p.Area() == datasite.Rules {
			w.check(p)
		}
	}
}

// check reads the rule file at p.
func (w *watchedJournal) check(p datasite.Path) {
	sets, err := w.load(p.Owner, p.Parent().Rel)
	for _, s := range sets {
		if s.Kind.String() == p.Base() {
			err = errors.Join(err, s.Broken)
		}
	}
	w.mu.Lock()
	before := w.broken[p]
	if err == nil {
		delete(w.broken, p)
	} else {
		w.broken[p] = err
	}
	w.mu.Unlock()
	if err != nil && (before == nil || before.Error() != err.Error()) {
		w.told(p, problemOf(err))
	}
}

// checkAll reads every rule file that is known.
func (w *watchedJournal) checkAll(owner perm.User) error {
	return w.EachKnown(datasite.Path{Owner: owner}, func(p datasite.Path, _ datasite.Known) error {
		if p.Area() == datasite.Rules {
			w.check(p)
		}
		return nil
	})
}

// problems are sentences for status.
func (w *watchedJournal) problems() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []string
	for _, p := range slices.SortedFunc(maps.Keys(w.broken), func(a, b datasite.Path) int { return strings.Compare(a.String(), b.String()) }) {
		list = append(list, problemOf(w.broken[p]).Error())
	}
	return list
}

func problemOf(err error) error {
	return fmt.Errorf("rule file %w; until it is repaired only you get into its folder", err)
}
