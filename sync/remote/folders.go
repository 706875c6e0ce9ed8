package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// FolderMemory keeps, beyond the end of the process, which id stands for a folder of this account. key is opaque.
type FolderMemory interface {
	Folder(key string) (ID, bool)
	KeepFolder(key string, id ID) error // durable on return
}

// Wanted is a folder of this account that is to be found, or made.
type Wanted struct {
	Parent ID     // "" is Root
	Name   string // of a new one
	// Prefix and Fits, if set, accept a folder of another name: one that begins with Prefix and fits.
	Prefix string
	Fits   func(name string) bool
}

func (w Wanted) key() string { return string(w.Parent) + "/" + w.Name }

// TwinsError says that several folders fit and none may be picked, as the other side would not know which one it was.
type TwinsError struct {
	Name    string
	Folders []Object
}

func (e *TwinsError) Error() string {
	var names []string
	for _, o := range e.Folders {
		names = append(names, fmt.Sprintf("%s (%s)", o.Name, o.ID))
	}
	return fmt.Sprintf("several folders fit %s: %s; remove all but the one that is in use", e.Name, strings.Join(names, ", "))
}

// Folders finds and makes this account's own folders by name, and never makes one twice: lists lag, so the id of a folder
// is drawn and kept before the folder is made, and what is kept is believed before any list. Safe for concurrent use.
type Folders struct {
	store  Store
	ids    IDs
	memory FolderMemory

	mu    sync.Mutex
	turns map[string]chan ID // by key: one slot, the id once it is known to be good, else ""
}

// NewFolders keeps its ids in m.
func NewFolders(s Store, ids IDs, m FolderMemory) *Folders {
	return &Folders{store: s, ids: ids, memory: m, turns: map[string]chan ID{}}
}

// turn waits until nobody else works on the folder.
func (f *Folders) turn(ctx context.Context, key string) (chan ID, ID, error) {
	f.mu.Lock()
	t := f.turns[key]
	if t == nil {
		t = make(chan ID, 1)
		t <- ""
		f.turns[key] = t
	}
	f.mu.Unlock()
	select {
	case id := <-t:
		return t, id, nil
	case <-ctx.Done():
		return nil, "", ctx.Err()
	}
}

// Forget makes the next Ensure ask the store again, for a folder that turned out to be gone.
func (f *Folders) Forget(ctx context.Context, w Wanted) error {
	t, _, err := f.turn(ctx, w.key())
	if err != nil {
		return err
	}
	t <- ""
	return nil
}

// Find gives the id of the folder, NotFound if there is none that is known or listed.
func (f *Folders) Find(ctx context.Context, w Wanted) (ID, error) {
	return f.get(ctx, w, func(ID) (ID, error) { return "", &Error{Op: OpList, Kind: NotFound, Name: w.Name} })
}

// Ensure gives the id of the folder and makes it if there is none. Of several with the very name the oldest counts (then the
// smallest id), so that everybody picks the same; several that only fit are a *TwinsError.
func (f *Folders) Ensure(ctx context.Context, w Wanted) (ID, error) {
	return f.get(ctx, w, func(kept ID) (ID, error) { return f.create(ctx, w, kept) })
}

func (f *Folders) get(ctx context.Context, w Wanted, missing func(kept ID) (ID, error)) (id ID, err error) {
	t, id, err := f.turn(ctx, w.key())
	if err != nil || id != "" {
		if t != nil {
			t <- id
		}
		return id, err
	}
	defer func() {
		if err != nil {
			id = ""
		}
		t <- id
	}()
	kept, ok := f.memory.Folder(w.key())
	if ok {
		_, err := f.store.Stat(ctx, kept, 0)
		if err == nil || !errors.Is(err, NotFound) {
			return kept, err
		}
	}
	found, err := f.listed(ctx, w)
	switch {
	case err != nil:
		return "", err
	case found == "":
		return missing(kept)
	}
	return found, f.memory.KeepFolder(w.key(), found)
}

// listed looks the folder up by name; "" if there is none.
func (f *Folders) listed(ctx context.Context, w Wanted) (ID, error) {
	q := Query{Parent: cmp.Or(w.Parent, Root), Name: w.Name, Whose: Mine, Folders: true, Want: WithTimes}
	if w.Fits != nil {
		q.Name, q.Prefix = "", w.Prefix
	}
	fits, err := Collect(ctx, f.store, q)
	if err != nil {
		return "", err
	}
	if w.Fits != nil {
		fits = slices.DeleteFunc(fits, func(o Object) bool { return !w.Fits(o.Name) })
		if len(fits) > 1 {
			return "", &TwinsError{Name: w.Name, Folders: fits}
		}
	}
	if len(fits) == 0 {
		return "", nil
	}
	return slices.MinFunc(fits, func(a, b Object) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	}).ID, nil
}

// create makes the folder with the id that was kept for it, if that was never used, else with a new one.
func (f *Folders) create(ctx context.Context, w Wanted, kept ID) (ID, error) {
	s := Spec{Name: w.Name, Parent: w.Parent, Folder: true}
	if kept != "" {
		s.ID = kept
		err := f.store.Put(ctx, s, Body{})
		if errors.Is(err, Exists) { // made by a call that was believed lost, or made long ago and then removed
			_, err = f.store.Stat(ctx, kept, 0)
		}
		// Invalid: an id that another program was given.
		if err == nil || !errors.Is(err, NotFound) && !errors.Is(err, Invalid) {
			return kept, err
		}
	}
	ids, err := f.ids.NewIDs(ctx, 1)
	if err != nil {
		return "", err
	}
	s.ID = ids[0]
	if err := f.memory.KeepFolder(w.key(), s.ID); err != nil {
		return "", err
	}
	if err := f.store.Put(ctx, s, Body{}); err != nil && !errors.Is(err, Exists) {
		return "", err
	}
	return s.ID, nil
}
