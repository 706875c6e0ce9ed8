package guard

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"time"

	"github.com/openmined/syftfs/fs/backing"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"golang.org/x/sys/unix"
)

// Apply does c, an OpWrite with the bytes of body or an OpRemove, as the user from, whose right it asks, and records it with OriginPeer,
// durably, before it returns. It is datasite.ErrStale, and nothing is done, unless the file has the hash c.Before.Hash now (zero: there is
// no file), or while a program has it open for writing. What is as c.After already is done, and is recorded if it was not. Missing folders are
// made; empty folders in the place of a file are removed. In from's own datasite everything is allowed; of a replica that is its owner, and
// nobody else. Refusals are fs.ErrPermission; a folder in the place of the file is EISDIR, a file in the place of one of its folders
// ENOTDIR, anything else that is no regular file fs.ErrExist, bytes that have not the hash c.After.Hash fs.ErrInvalid.
//
// The steps are named apply:temp, :write, :sync, :rename, :unlink, :mkdir, :rmdir and :sync-dir.
func (g *Guard) Apply(ctx context.Context, from perm.User, c datasite.Change, body io.Reader) error {
	if c.By == (datasite.Identity{}) {
		c.By.Subject = from
	}
	c.Origin = datasite.OriginPeer
	a := &arrival{g: g, op: "apply", from: from, c: c}
	return a.arrive(ctx, body)
}

// Keep copies the file p to another name in the same datasite, as the owner of this machine and without asking a rule, and records it with
// OriginLocal, durably. It is datasite.ErrStale unless p has the hash h. A copy with that hash that is there already is done; anything
// else there is fs.ErrExist. The steps are named as those of Apply, with keep.
func (g *Guard) Keep(ctx context.Context, p datasite.Path, h datasite.Hash, copy datasite.Path) error {
	const op = "keep"
	if p.Owner != copy.Owner {
		return pathError(op, copy, unix.EXDEV)
	}
	body, now, err := g.Snapshot(ctx, p)
	if errors.Is(err, iofs.ErrNotExist) {
		return fmt.Errorf("%s %s: it is gone: %w", op, p, datasite.ErrStale)
	}
	if err != nil {
		return err
	}
	if now != h {
		return errors.Join(fmt.Errorf("%s %s: %w", op, p, datasite.ErrStale), body.Close())
	}
	c := datasite.Change{Op: datasite.OpWrite, Path: copy, After: datasite.Known{Hash: h}, By: datasite.Identity{Subject: g.cfg.Owner}, Origin: datasite.OriginLocal}
	a := &arrival{g: g, op: op, from: copy.Owner, c: c, fresh: true}
	return errors.Join(a.arrive(ctx, body), body.Close())
}

// arrival is one change of one file that comes from elsewhere than a view.
type arrival struct {
	g     *Guard
	op    string // of errors and steps
	from  perm.User
	c     datasite.Change
	fresh bool // nothing may be there; it is no compare-and-set
	in    *backing.Incoming
	size  int64
	n     news // written by steps, told between them
}

func (a *arrival) arrive(ctx context.Context, body io.Reader) error {
	if a.c.Op == datasite.OpRemove {
		a.c.After = datasite.Known{}
	}
	if a.c.At.IsZero() {
		a.c.At = a.g.cfg.Now()
	}
	switch {
	case a.c.Op != datasite.OpWrite && a.c.Op != datasite.OpRemove, a.c.Op == datasite.OpWrite && body == nil, a.c.Path.IsRoot():
		return fmt.Errorf("%s %s %s: %w", a.op, a.c.Op, a.c.Path, iofs.ErrInvalid)
	case a.c.Path.Rel == "":
		return pathError(a.op, a.c.Path, unix.EISDIR)
	}
	for d := a.c.Path; d.Rel != ""; d = d.Parent() {
		if err := free(a.op, d); err != nil {
			return err
		}
	}
	a.g.files.idle(ctx, a.c.Path, patience)
	if a.c.Op == datasite.OpRemove {
		return a.remove(ctx)
	}
	return a.write(ctx, body)
}

// patience is how long a change waits for a program that is just closing the file: the kernel lets go of it after close(2) returned.
const patience = time.Second

// write puts a whole file into its place.
func (a *arrival) write(ctx context.Context, body io.Reader) error {
	st, err := a.look(ctx)
	if err != nil || st.done {
		return err
	}
	if err := a.g.room(a.op, a.c.Path); err != nil {
		return err
	}
	if err := a.makeRoom(ctx, st); err != nil {
		return err
	}
	mode := iofs.FileMode(0o600)
	if st.there {
		mode = st.entry.Mode.Perm()
	}
	sum := sha256.New()
	a.in, err = a.g.tree.Receive(ctx, a.op, a.c.Path, io.TeeReader(body, io.MultiWriter(sum, (*counter)(&a.size))), mode)
	if err != nil {
		return err
	}
	switch h := datasite.Hash(sum.Sum(nil)); {
	case a.c.After.Hash == (datasite.Hash{}):
		a.c.After.Hash = h
	case a.c.After.Hash != h:
		return errors.Join(fmt.Errorf("%s %s: the bytes have the hash %s, not %s: %w", a.op, a.c.Path, h, a.c.After.Hash, iofs.ErrInvalid), a.in.Discard())
	}
	placed := false
	s := &Step{Call: CallRename, Path: a.c.Path, Name: a.in.Name(), hidden: a.in.Stat, run: func() (err error) {
		placed, err = a.place(ctx)
		return err
	}}
	err = a.g.do(ctx, s)
	a.tell()
	if !placed {
		err = errors.Join(err, a.in.Discard())
	}
	return err
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// place is the compare-and-set. placed tells whether the bytes have their name now.
func (a *arrival) place(ctx context.Context) (placed bool, err error) {
	g, p := a.g, a.c.Path
	defer g.locks.lock(exclusive(p))()
	st, err := a.check(ctx)
	if err != nil || st.done {
		return false, err
	}
	if st.entry.Mode.IsDir() { // somebody made one meanwhile
		return false, pathError(a.op, p, unix.EISDIR)
	}
	if err := limited(a.op, p, st.decision, perm.File{Size: a.size}); err != nil {
		return false, err
	}
	var old *datasite.Stamp
	if st.there {
		old = &st.entry.Stamp
	}
	before := g.known(p)
	placed, err = a.in.Into(a.op, old)
	switch {
	case !placed && (errors.Is(err, backing.ErrMoved) || !a.fresh && errors.Is(err, iofs.ErrExist) || errors.Is(err, iofs.ErrNotExist)):
		return false, a.stale(err)
	case !placed:
		return false, err
	}
	g.files.gone(p)
	a.moved(p)
	if err != nil {
		return true, err
	}
	e, err := g.tree.Stat(p)
	if err != nil {
		return true, err
	}
	a.c.Before, a.c.After.Stamp = before, e.Stamp
	return true, g.write(ctx, a.c, true)
}

// remove takes a file away.
func (a *arrival) remove(ctx context.Context) error {
	st, err := a.look(ctx)
	if err != nil || st.done {
		return err
	}
	s := &Step{Call: CallUnlink, Path: a.c.Path, run: func() error { return a.unlink(ctx) }}
	err = a.g.do(ctx, s)
	a.tell()
	return err
}

func (a *arrival) unlink(ctx context.Context) error {
	g, p := a.g, a.c.Path
	defer g.locks.lock(exclusive(p))()
	st, err := a.check(ctx)
	if err != nil || st.done {
		return err
	}
	before := g.known(p)
	done, err := g.tree.Step(a.op, "unlink", p, func() error { return g.tree.Remove(p) })
	if !done {
		return err
	}
	g.files.gone(p)
	a.moved(p)
	if err != nil {
		return err
	}
	a.c.Before = before
	return g.write(ctx, a.c, true)
}

// state is what an arrival finds in its place.
type state struct {
	entry    datasite.Entry
	there    bool // a regular file is
	done     bool // it is as it shall be, and that is recorded
	decision perm.Decision
}

// look is check before anything is done, for the sake of whoever would do it for nothing.
func (a *arrival) look(ctx context.Context) (state, error) {
	defer a.g.locks.lock(exclusive(a.c.Path))()
	return a.check(ctx)
}

// check decides, with the path locked, whether the change may be done, and compares what is there with what it was made from. A folder
// in the place is no error for a file that comes.
func (a *arrival) check(ctx context.Context) (st state, err error) {
	g, p := a.g, a.c.Path
	e, blocked := g.tree.Stat(p)
	if blocked != nil && !absent(blocked) {
		return st, blocked
	}
	found := blocked == nil
	if errors.Is(blocked, iofs.ErrNotExist) || a.c.Op == datasite.OpRemove {
		blocked = nil // nothing is in the way
	}
	var now datasite.Hash
	if found {
		st.entry, st.there = e, e.Mode.IsRegular()
	}
	if st.there {
		if now, err = g.hashOf(ctx, p, e); err != nil {
			return st, err
		}
	}
	want := perm.Write
	if a.c.Op == datasite.OpWrite {
		st.done = st.there && now == a.c.After.Hash
		if !st.there || st.done { // whoever made it need not be able to change it
			want = perm.Create
		}
	} else {
		st.done = !found
	}
	if st.decision, err = a.may(p, false, want); err != nil {
		return st, err
	}
	switch {
	case blocked != nil:
		return st, blocked
	case st.done:
		return st, a.settled(ctx, e)
	case found && (a.fresh || !st.there && !e.Mode.IsDir()):
		return st, pathError(a.op, p, unix.EEXIST)
	case e.Mode.IsDir() && found && a.c.Op == datasite.OpRemove:
		return st, pathError(a.op, p, unix.EISDIR)
	case now != a.c.Before.Hash:
		return st, a.stale(nil)
	case g.files.writing(p):
		return st, a.stale(errors.New("a program has the file open for writing"))
	}
	return st, nil
}

// settled records what is as it shall be, unless it is known to be: a crash came between the change and its record.
func (a *arrival) settled(ctx context.Context, e datasite.Entry) error {
	k := a.g.known(a.c.Path)
	c := a.c
	c.Before, c.After.Stamp = k, e.Stamp
	if c.Op == datasite.OpRemove {
		c.After = datasite.Known{}
	}
	if k.Hash == c.After.Hash && sameStamp(k.Stamp, c.After.Stamp) {
		return nil
	}
	if err := a.g.tree.SyncDir(c.Path.Parent()); err != nil && !absent(err) {
		return err
	}
	return a.g.write(ctx, c, true)
}

func (a *arrival) stale(why error) error {
	if why == nil {
		return fmt.Errorf("%s %s: %w", a.op, a.c.Path, datasite.ErrStale)
	}
	return fmt.Errorf("%s %s: %w (%v)", a.op, a.c.Path, datasite.ErrStale, why)
}

// may asks for the sender's right. Whoever owns the datasite has all of them, whether it is the own one or a replica; in a replica
// nobody else has any.
func (a *arrival) may(p datasite.Path, dir bool, want perm.Level) (perm.Decision, error) {
	r := a.g.request(a.from, p, dir, want)
	if a.from != "" && a.from == p.Owner {
		return perm.Decision{Request: r, Allowed: true, Level: perm.Admin, Owner: true}, nil
	}
	d := withheld(r)
	if p.Owner == a.g.cfg.Owner && a.from != "" {
		var err error
		if d, err = a.g.decide(a.from, p, dir, want); err != nil {
			return d, err
		}
	}
	if !d.Allowed {
		return d, &Denied{Op: a.op, Path: p, Decision: d}
	}
	return d, nil
}

// moved makes everybody ask again about p, which is locked, before the change is recorded.
func (a *arrival) moved(p datasite.Path) {
	a.n.add(p)
	a.g.changed(false, p)
	a.g.rulesMoved(p, false, &a.n)
}

// tell tells the kernels, with no lock held.
func (a *arrival) tell() {
	n := a.n
	a.n = news{}
	a.g.tell(nil, n)
}
