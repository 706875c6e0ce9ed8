package remotetest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openmined/syftfs/sync/remote"
)

// account is one account's door to a World.
type account struct {
	world *World
	me    string
}

func fail(op string, kind remote.Kind, id remote.ID) error {
	return &remote.Error{Op: op, Kind: kind, ID: id}
}

// find gives an item that the account can see and name by id; root is its own top folder. Called with mu held.
func (a *account) find(op string, id remote.ID) (*item, error) {
	if id == remote.Root || id == "" {
		id = a.world.homes[a.me]
	}
	it := a.world.items[id]
	if it == nil || a.world.inTrash(it) || a.world.role(it, a.me, true) == "" {
		return nil, fail(op, remote.NotFound, id)
	}
	return it, nil
}

// writable is find of what the account may write.
func (a *account) writable(op string, id remote.ID) (*item, error) {
	it, err := a.find(op, id)
	if err == nil && a.world.role(it, a.me, true) != remote.CanWrite {
		err = fail(op, remote.Permission, id)
	}
	return it, err
}

// enter takes the lock of the world, unless ctx is over.
func (a *account) enter(ctx context.Context, op string) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	a.world.mu.Lock()
	return a.world.mu.Unlock, nil
}

func (a *account) Stat(ctx context.Context, id remote.ID, want remote.Fields) (remote.Object, error) {
	unlock, err := a.enter(ctx, remote.OpStat)
	if err != nil {
		return remote.Object{}, err
	}
	defer unlock()
	it, err := a.find(remote.OpStat, id)
	if err != nil {
		return remote.Object{}, err
	}
	return a.world.seen(it, a.me, want), nil
}

func (a *account) Get(ctx context.Context, id remote.ID, offset int64) (io.ReadCloser, error) {
	unlock, err := a.enter(ctx, remote.OpGet)
	if err != nil {
		return nil, err
	}
	defer unlock()
	it, err := a.find(remote.OpGet, id)
	if err != nil {
		return nil, err
	}
	if it.Folder {
		return nil, fail(remote.OpGet, remote.Invalid, id)
	}
	return &body{ctx: ctx, Reader: bytes.NewReader(it.content[min(offset, it.Size):])}, nil
}

// body ends with its context.
type body struct {
	ctx context.Context
	*bytes.Reader
}

func (b *body) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	return b.Reader.Read(p)
}

func (b *body) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, struct{ io.Reader }{b}) }
func (b *body) Close() error                       { return nil }

func (a *account) List(ctx context.Context, q remote.Query, page string) (remote.Page, error) {
	unlock, err := a.enter(ctx, remote.OpList)
	if err != nil {
		return remote.Page{}, err
	}
	defer unlock()
	w := a.world
	if q.Parent == remote.Root {
		q.Parent = w.homes[a.me]
	}
	if q.Parent != "" {
		if _, err := a.find(remote.OpList, q.Parent); err != nil {
			return remote.Page{}, err
		}
	}
	from := 0
	if page != "" {
		var err error
		if from, err = strconv.Atoi(page); err != nil || !w.pages[page] {
			return remote.Page{}, fail(remote.OpList, remote.TokenLost, q.Parent)
		}
	}
	var hits []*item
	for _, it := range w.items {
		if a.selects(q, it) {
			hits = append(hits, it)
		}
	}
	slices.SortFunc(hits, func(x, y *item) int {
		byName := cmp.Compare(x.Name, y.Name)
		switch q.Order {
		case remote.NameDown:
			byName = -byName
		case remote.Unordered:
			byName = 0
		}
		return cmp.Or(byName, cmp.Compare(x.ID, y.ID))
	})
	hits = hits[min(from, len(hits)):]
	var p remote.Page
	if size := cmp.Or(q.PageSize, 1000); len(hits) > size {
		hits = hits[:size]
		p.Next = strconv.Itoa(from + size)
		w.pages[p.Next] = true
	}
	for _, it := range hits {
		p.Objects = append(p.Objects, w.seen(it, a.me, q.Want))
	}
	return p, nil
}

// selects says whether a list of q shows it.
func (a *account) selects(q remote.Query, it *item) bool {
	mine := strings.EqualFold(it.Owner, a.me)
	switch {
	case it.ID == a.world.homes[it.Owner] || a.world.inTrash(it) || a.world.role(it, a.me, false) == "",
		q.Parent != "" && it.Parent != q.Parent,
		q.Name != "" && it.Name != q.Name,
		!strings.HasPrefix(it.Name, q.Prefix),
		q.Owner != "" && !strings.EqualFold(it.Owner, q.Owner),
		q.Folders && !it.Folder,
		q.Files && it.Folder,
		q.Whose == remote.Mine && !mine,
		q.Whose == remote.Others && mine,
		q.Whose == remote.Shared && (mine || it.grants[strings.ToLower(a.me)] == ""):
		return false
	}
	return true
}

// read takes all of b, which must have the size that it promises.
func read(op string, id remote.ID, b remote.Body) ([]byte, error) {
	if b.Open == nil {
		return nil, nil
	}
	r, err := b.Open()
	if err != nil {
		return nil, fmt.Errorf("%s %s: the content: %w", op, id, err)
	}
	defer r.Close() // only read
	content, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("%s %s: the content: %w", op, id, err)
	}
	if int64(len(content)) != b.Size {
		return nil, &remote.Error{Op: op, Kind: remote.Invalid, ID: id, Err: errors.New("the body has another size than it promised")}
	}
	return content, nil
}

func (a *account) Put(ctx context.Context, s remote.Spec, b remote.Body) error {
	var content []byte
	if !s.Folder {
		var err error
		if content, err = read(remote.OpPut, s.ID, b); err != nil {
			return err
		}
	}
	unlock, err := a.enter(ctx, remote.OpPut)
	if err != nil {
		return err
	}
	defer unlock()
	w := a.world
	switch owner, ok := w.issued[s.ID]; {
	case !ok || owner != a.me:
		return fail(remote.OpPut, remote.Invalid, s.ID)
	case w.used[s.ID]:
		return fail(remote.OpPut, remote.Exists, s.ID)
	}
	parent, err := a.writable(remote.OpPut, s.Parent)
	if err != nil {
		return err
	}
	if !parent.Folder {
		return fail(remote.OpPut, remote.Invalid, s.Parent)
	}
	if limit, ok := w.limits[a.me]; ok && w.stored(a.me)+int64(len(content)) > limit {
		return fail(remote.OpPut, remote.Full, s.ID)
	}
	it := &item{Object: remote.Object{ID: s.ID, Name: s.Name, Folder: s.Folder, Parent: parent.ID, Owner: a.me, Created: w.clock(),
		Modified: s.Modified.UTC().Truncate(time.Millisecond), Properties: maps.Clone(s.Properties)}, grants: map[string]remote.Role{}}
	if s.Modified.IsZero() {
		it.Modified = it.Created
	}
	if !s.Folder {
		it.fill(content)
	}
	w.items[s.ID], w.used[s.ID] = it, true
	w.tell([]*item{it}, w.audience(it))
	return nil
}

func (a *account) Update(ctx context.Context, id remote.ID, e remote.Edit) error {
	var content []byte
	if e.Body != nil {
		var err error
		if content, err = read(remote.OpUpdate, id, *e.Body); err != nil {
			return err
		}
	}
	unlock, err := a.enter(ctx, remote.OpUpdate)
	if err != nil {
		return err
	}
	defer unlock()
	it, err := a.writable(remote.OpUpdate, id)
	if err != nil {
		return err
	}
	if limit, ok := a.world.limits[it.Owner]; ok && e.Body != nil && a.world.stored(it.Owner)-it.Size+e.Body.Size > limit {
		return fail(remote.OpUpdate, remote.Full, id)
	}
	if e.Body != nil {
		it.fill(content)
	}
	if e.Name != "" {
		it.Name = e.Name
	}
	it.Modified = a.world.clock()
	if !e.Modified.IsZero() {
		it.Modified = e.Modified.UTC().Truncate(time.Millisecond)
	}
	for k, v := range e.Properties {
		if v == "" {
			delete(it.Properties, k)
			continue
		}
		if it.Properties == nil {
			it.Properties = map[string]string{}
		}
		it.Properties[k] = v
	}
	a.world.tell([]*item{it}, a.world.audience(it))
	return nil
}

func (a *account) Move(ctx context.Context, id, from, to remote.ID) error {
	unlock, err := a.enter(ctx, remote.OpMove)
	if err != nil {
		return err
	}
	defer unlock()
	it, err := a.writable(remote.OpMove, id)
	if err != nil {
		return err
	}
	target, err := a.writable(remote.OpMove, to)
	switch {
	case err != nil:
		return err
	case it.Parent == target.ID:
		return nil
	case !target.Folder || it == target || slices.Contains(a.world.below(it), target):
		return fail(remote.OpMove, remote.Invalid, id)
	}
	source, err := a.writable(remote.OpMove, from)
	if err != nil {
		return err
	}
	if it.Parent != source.ID {
		return fail(remote.OpMove, remote.Invalid, id)
	}
	a.world.changing(it, func() { it.Parent = target.ID })
	return nil
}

func (a *account) Delete(ctx context.Context, ids ...remote.ID) error {
	unlock, err := a.enter(ctx, remote.OpDelete)
	if err != nil {
		return err
	}
	defer unlock()
	var errs []error
	for _, id := range ids {
		it, err := a.find(remote.OpDelete, id)
		switch {
		case errors.Is(err, remote.NotFound):
		case err != nil:
			errs = append(errs, err)
		case it.Owner != a.me:
			errs = append(errs, fail(remote.OpDelete, remote.Permission, id))
		default:
			a.world.remove(it)
		}
	}
	return errors.Join(errs...)
}

// remove deletes it and what its owner has below it; what others own there goes to their top folders.
func (w *World) remove(it *item) {
	w.changing(it, func() {
		for _, at := range w.below(it) {
			if at.Owner == it.Owner {
				delete(w.items, at.ID)
			}
		}
		for _, at := range w.items {
			if at.Parent != "" && w.items[at.Parent] == nil {
				at.Parent = w.homes[at.Owner]
			}
		}
	})
}
