// Package remotetest holds what tests of exchange need: Run, the conformance suite of remote's contract; World, a store in
// memory that several accounts share; Faulty, a store that fails by script. It knows the contract and no service.
// Only test files import it; it is never linked into the program.
package remotetest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openmined/syftfs/sync/remote"
)

// World is a store in memory, shared by all its accounts. Like the real one it has one owner and one parent for each object,
// grants that folders hand down, and a feed for each account.
type World struct {
	mu     sync.Mutex // innermost
	now    func() time.Time
	next   int // for ids
	items  map[remote.ID]*item
	issued map[remote.ID]string // every id that was handed out, and to whom
	used   map[remote.ID]bool   // those that some object has, or had
	homes  map[string]remote.ID // each account's top folder
	feeds  map[string][]remote.ID
	limits map[string]int64 // bytes that an account may keep
	pages  map[string]bool  // page tokens given out
}

type item struct {
	remote.Object // Parent is the true one; Mine is not used
	grants        map[string]remote.Role
	trashed       bool
	content       []byte
}

// NewWorld makes an empty one. now gives the times of objects; nil is time.Now.
func NewWorld(now func() time.Time) *World {
	if now == nil {
		now = time.Now
	}
	return &World{now: now, items: map[remote.ID]*item{}, issued: map[remote.ID]string{}, used: map[remote.ID]bool{}, homes: map[string]remote.ID{},
		feeds: map[string][]remote.ID{}, limits: map[string]int64{}, pages: map[string]bool{}}
}

// Account is what the account with this address sees, made at first use.
func (w *World) Account(email string) remote.Remote {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.homes[email] == "" {
		id := w.id("home")
		w.items[id] = &item{Object: remote.Object{ID: id, Name: "My Drive", Folder: true, Owner: email, Created: w.clock()}, grants: map[string]remote.Role{}}
		w.homes[email] = id
	}
	return &account{world: w, me: email}
}

// SetLimit bounds the bytes that an account's files may have together; more is Full.
func (w *World) SetLimit(email string, bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limits[email] = bytes
}

// Trash puts an object into the trash, or takes it out, as its owner would do in a browser.
func (w *World) Trash(id remote.ID, trashed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if it := w.items[id]; it != nil {
		it.trashed = trashed
		w.tell(w.below(it), w.everybody())
	}
}

// ForgetPages makes all page tokens unknown.
func (w *World) ForgetPages() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.pages)
}

// All that follows is called with mu held.

func (w *World) id(kind string) remote.ID {
	w.next++
	return remote.ID(fmt.Sprintf("%s-%06d", kind, w.next))
}

func (w *World) clock() time.Time { return w.now().UTC().Truncate(time.Millisecond) }

func (w *World) everybody() []string { return slices.Sorted(maps.Keys(w.homes)) }

// higher is the stronger of two roles.
func higher(a, b remote.Role) remote.Role {
	if a == remote.CanWrite || b == "" {
		return a
	}
	return b
}

// role is what user may do with it, "" nothing; the owner of a folder may write below it. byID says that the user named the id, which is enough for Anyone.
func (w *World) role(it *item, user string, byID bool) remote.Role {
	var role remote.Role
	for at := it; at != nil; at = w.items[at.Parent] {
		if strings.EqualFold(at.Owner, user) {
			return remote.CanWrite
		}
		role = higher(role, at.grants[strings.ToLower(user)])
		if byID {
			role = higher(role, at.grants[remote.Anyone])
		}
	}
	return role
}

func (w *World) inTrash(it *item) bool {
	for at := it; at != nil; at = w.items[at.Parent] {
		if at.trashed {
			return true
		}
	}
	return false
}

// below is it and everything in it.
func (w *World) below(it *item) []*item {
	all := []*item{it}
	if !it.Folder {
		return all
	}
	for _, other := range w.items {
		for at := w.items[other.Parent]; at != nil; at = w.items[at.Parent] {
			if at == it {
				all = append(all, other)
				break
			}
		}
	}
	slices.SortFunc(all[1:], func(a, b *item) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// audience lists who can see it now, by list or by feed.
func (w *World) audience(it *item) []string {
	return slices.DeleteFunc(w.everybody(), func(u string) bool { return w.role(it, u, false) == "" })
}

// tell appends items to the feeds of users.
func (w *World) tell(items []*item, users []string) {
	for _, u := range users {
		for _, it := range items {
			w.feeds[u] = append(w.feeds[u], it.ID)
		}
	}
}

// changing runs change on it and all below, and tells everybody who could see one of them before or can after.
func (w *World) changing(it *item, change func()) {
	items := w.below(it)
	before := make([][]string, len(items))
	for n, i := range items {
		before[n] = w.audience(i)
	}
	change()
	for n, i := range items {
		users := append(before[n], w.audience(i)...)
		slices.Sort(users)
		w.tell([]*item{i}, slices.Compact(users))
	}
}

// stored is how many bytes an account's files have.
func (w *World) stored(email string) int64 {
	var sum int64
	for _, it := range w.items {
		if strings.EqualFold(it.Owner, email) {
			sum += it.Size
		}
	}
	return sum
}

func (it *item) fill(content []byte) {
	sum := sha256.Sum256(content)
	it.content, it.Size, it.SHA256 = content, int64(len(content)), hex.EncodeToString(sum[:])
}

// seen is the object as user sees it, with what was asked for.
func (w *World) seen(it *item, user string, want remote.Fields) remote.Object {
	o := remote.Object{ID: it.ID, Name: it.Name, Folder: it.Folder}
	if parent := w.items[it.Parent]; want&remote.WithParent != 0 && parent != nil && w.role(parent, user, false) != "" {
		o.Parent = it.Parent
	}
	if want&remote.WithOwner != 0 {
		o.Owner, o.Mine = it.Owner, strings.EqualFold(it.Owner, user)
	}
	if want&remote.WithSize != 0 {
		o.Size = it.Size
	}
	if want&remote.WithTimes != 0 {
		o.Created, o.Modified = it.Created, it.Modified
	}
	if want&remote.WithSum != 0 {
		o.SHA256 = it.SHA256
	}
	if want&remote.WithProperties != 0 {
		o.Properties = maps.Clone(it.Properties)
	}
	return o
}
