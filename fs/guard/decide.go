package guard

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"path"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"golang.org/x/sys/unix"
)

// actor is as whom one request of a view is done.
type actor struct {
	id    datasite.Identity // as recorded
	owner bool              // acts as the owner of the own datasite
	plain bool              // and without an account: nothing to attribute, and no change of accounts or rules takes the right away
}

// actor resolves the view's account. A disabled one may do nothing.
func (v *View) actor(op string, p datasite.Path) (actor, error) {
	a := actor{id: v.who}
	if v.who.Account != "" && v.g.cfg.Subjects != nil {
		u, err := v.g.cfg.Subjects.Subject(v.who.Account)
		if err != nil {
			return a, fmt.Errorf("%s %s: account %s: %w (%v)", op, p, v.who.Account, iofs.ErrPermission, err)
		}
		a.id.Subject = u
	}
	a.owner = a.id.Subject != "" && a.id.Subject == v.g.cfg.Owner
	a.plain = a.owner && a.id.Account == ""
	return a, nil
}

// Subject is as whom the view acts now, which for an account changes with it; nobody ("") while the account may do nothing.
func (v *View) Subject() perm.User {
	a, err := v.actor("look", datasite.Path{})
	if err != nil {
		return ""
	}
	return a.id.Subject
}

// own reports whether a acts as the owner in the own datasite, where everything is allowed. In a replica the owner of this datasite is
// one of those whom that owner's rules speak of.
func (v *View) own(a actor, p datasite.Path) bool { return a.owner && p.Owner == v.g.cfg.Owner }

// decide is the only place where a right is asked for.
func (g *Guard) decide(u perm.User, p datasite.Path, dir bool, want perm.Level) (perm.Decision, error) {
	r := g.request(u, p, dir, want)
	switch {
	case p.IsRoot():
		return perm.Decision{Request: r, Allowed: r.Want <= perm.Read, Level: perm.Read,
			Steps: []perm.Step{{Text: "The top of the mount holds datasites only; make files inside your own"}}}, nil
	case p.Owner != g.cfg.Owner && (u != g.cfg.Owner || u == ""):
		return withheld(r), nil // nobody else knows of it
	case g.ruled(p):
		d, err := g.cfg.Rules.Decide(r)
		if err != nil {
			return d, fmt.Errorf("decide on %s: %w", p, err)
		}
		if p.Owner != g.cfg.Owner {
			d = delivered(d)
		}
		return d, nil
	case p.Owner != g.cfg.Owner:
		return delivered(perm.Decision{Request: r}), nil
	case u == p.Owner:
		return perm.Decision{Request: r, Allowed: true, Level: perm.Admin, Owner: true, Steps: []perm.Step{{Text: "Owner of path"}}}, nil
	}
	return withheld(r), nil
}

// ruled reports whether rules speak about p: not where jobs are stored in a replica, for jobs/ is the way in.
func (g *Guard) ruled(p datasite.Path) bool {
	return g.cfg.Rules != nil && !p.IsRoot() && (p.Owner == g.cfg.Owner || !p.Under(datasite.Path{Owner: p.Owner, Rel: path.Dir(datasite.JobInboxDir)}))
}

// delivered is a decision of the rules in a replica, for the owner of this datasite: what was delivered can be read whatever they say;
// anything else needs a delivered rule file that grants it.
func delivered(d perm.Decision) perm.Decision {
	came := perm.Step{Text: fmt.Sprintf("Delivered by %s; writing is that owner's to allow, jobs/ is the way in", d.Request.Owner)}
	switch {
	case d.Level <= perm.Read, d.Request.Want <= perm.Read:
		return perm.Decision{Request: d.Request, Allowed: d.Request.Want <= perm.Read, Level: max(perm.Read, d.Level), Steps: []perm.Step{came}}
	case !d.Allowed:
		d.Steps = append(d.Steps[:len(d.Steps):len(d.Steps)], came)
	}
	return d
}

// trace is decide with everything that was looked at.
func (g *Guard) trace(u perm.User, p datasite.Path, dir bool, want perm.Level) (perm.Trace, error) {
	d, err := g.decide(u, p, dir, want)
	if err == nil {
		d = g.arrived(p, d)
	}
	if err != nil || !g.ruled(p) || p.Owner != g.cfg.Owner && u != g.cfg.Owner {
		return perm.Trace{Decision: d}, err
	}
	t, err := g.cfg.Rules.Trace(d.Request)
	if err != nil {
		return t, fmt.Errorf("decide on %s: %w", p, err)
	}
	t.Decision = d
	return t, nil
}

// holders tells whom the rules name for p, besides the owner; of a replica nobody, because only parts of its rules travel.
func (g *Guard) holders(p datasite.Path, dir bool) ([]perm.Holder, error) {
	if !g.ruled(p) || p.Owner != g.cfg.Owner {
		return nil, nil
	}
	h, err := g.cfg.Rules.Holders(g.request(perm.Anonymous, p, dir, perm.None))
	if err != nil {
		return nil, fmt.Errorf("decide on %s: %w", p, err)
	}
	return h, nil
}

func (g *Guard) request(u perm.User, p datasite.Path, dir bool, want perm.Level) perm.Request {
	return perm.Request{User: u, Owner: p.Owner, Path: p.Rel, IsDir: dir, Want: want, Now: g.cfg.Now()}
}

// need refuses unless a holds want on p.
func (v *View) need(op string, a actor, p datasite.Path, dir bool, want perm.Level) (perm.Decision, error) {
	d, err := v.g.decide(a.id.Subject, p, dir, want)
	if err == nil && !d.Allowed {
		err = v.refuse(op, a, p, d)
	}
	return d, err
}

// look gives what is stored at p, with the decision to read it, if p exists for a. A folder that is visible only because
// of something below it comes with a decision that does not allow.
func (v *View) look(op string, a actor, p datasite.Path) (datasite.Entry, perm.Decision, error) {
	e, err := v.g.tree.Stat(p)
	if absent(err) && !a.owner && !p.IsRoot() {
		return e, perm.Decision{}, hidden(op, p)
	}
	if err != nil {
		return e, perm.Decision{}, err
	}
	d, ok, err := v.visible(a, p, e.Mode)
	if err == nil && !ok {
		err = hidden(op, p)
	}
	return e, d, err
}

// presence is what somebody finds at a path.
type presence uint8

const (
	nothing presence = iota
	unseen           // something that does not exist for them: it counts as nothing, and is in the way all the same
	seen
)

// there tells what a finds at p, for operations that also work where nothing is.
func (v *View) there(a actor, p datasite.Path) (datasite.Entry, presence, error) {
	e, err := v.g.tree.Stat(p)
	if absent(err) {
		return e, nothing, nil
	}
	if err != nil {
		return e, nothing, err
	}
	_, ok, err := v.visible(a, p, e.Mode)
	if err != nil || !ok {
		return e, unseen, err
	}
	return e, seen, nil
}

// inTheWay refuses to make something where something hidden lies: in the words for a name that is free, and where a may make
// something, without any.
func (v *View) inTheWay(op string, a actor, p datasite.Path) error {
	if _, err := v.need(op, a, p, false, perm.Create); err != nil {
		return err
	}
	return refuseHidden(op, a, p, perm.Create)
}

// visible decides whether an entry that is there exists for a.
func (v *View) visible(a actor, p datasite.Path, m iofs.FileMode) (perm.Decision, bool, error) {
	d, err := v.g.decide(a.id.Subject, p, m.IsDir(), perm.Read)
	switch {
	case !a.owner && errors.Is(err, iofs.ErrPermission): // rules that are closed on the disk, to this program too
		v.g.cfg.Log.Warn("cannot decide, hidden", "path", p.String(), "err", err)
		return d, false, nil
	case err != nil:
		return d, false, err
	case a.owner:
		return d, d.Allowed, nil
	case p.Owner != v.g.cfg.Owner && !p.IsRoot():
		return d, false, nil
	case m.Type()&^(iofs.ModeDir|iofs.ModeSymlink) != 0: // pipes, sockets and devices are nobody else's business
		return d, false, nil
	case d.Allowed || !m.IsDir():
		return d, d.Allowed, nil
	}
	ok, err := v.below(a, p)
	return d, ok, err
}

// parentVisible refuses to make p in a folder that does not exist for a.
func (v *View) parentVisible(op string, a actor, p datasite.Path) error {
	if a.owner {
		return nil // the operation itself finds out
	}
	e, _, err := v.look(op, a, p.Parent())
	if err == nil && !e.Mode.IsDir() {
		err = pathError(op, p, unix.ENOTDIR)
	}
	return err
}

// show is a stored entry as a sees it.
func (v *View) show(a actor, p datasite.Path, e datasite.Entry, read perm.Decision) (datasite.Entry, error) {
	switch {
	case p.IsRoot():
		e.Mode = iofs.ModeDir | 0o500
		return e, nil
	case v.own(a, p):
		return e, nil
	case a.owner: // a replica
		may := read.Level >= perm.Write
		if e.Mode.IsDir() {
			var err error
			if may, err = v.mayFill(a, p, read); err != nil {
				return e, err
			}
		}
		if !may {
			e.Mode &^= 0o222
		}
		return e, nil
	case e.Mode&iofs.ModeSymlink != 0:
		return e, nil
	case !e.Mode.IsDir():
		bits := 0o400 | e.Mode&0o100
		if read.Level >= perm.Write {
			bits |= 0o200
		}
		e.Mode = bits
		return e, nil
	case !read.Allowed:
		e.Mode = iofs.ModeDir | 0o111
		return e, nil
	}
	e.Mode = iofs.ModeDir | 0o500
	may, err := v.mayFill(a, p, read)
	if may {
		e.Mode |= 0o200
	}
	return e, err
}

// mayFill reports whether a may make something in the folder p. A rule such as "in/*" or "in/{{.UserEmail}}/**" grants that
// without naming the folder, so names are tried: any, and the user's own.
func (v *View) mayFill(a actor, p datasite.Path, read perm.Decision) (bool, error) {
	if read.Level >= perm.Create {
		return true, nil
	}
	names := []string{"a new file", string(a.id.Subject)}
	if a.id.Subject == "" || a.id.Subject == perm.Anonymous {
		names = names[:1]
	}
	for _, name := range names {
		if d, err := v.g.decide(a.id.Subject, p.Join(name), false, perm.Create); err != nil || d.Allowed {
			return d.Allowed, err
		}
	}
	return false, nil
}

// lockFor takes the locks of an operation that only looks. The owner needs none: whatever moves meanwhile, it is the owner's.
func (v *View) lockFor(a actor, p datasite.Path) func() {
	if a.owner {
		return func() {}
	}
	return v.g.locks.lock(shared(p))
}

// record writes the change down: queued for the owner, durable on return for anyone else. What was done is recorded even
// when the caller gave up waiting.
func (v *View) record(ctx context.Context, a actor, c datasite.Change) error {
	c.By, c.Origin, c.At = a.id, datasite.OriginLocal, v.g.cfg.Now()
	return v.g.write(ctx, c, !a.plain)
}

func (g *Guard) write(ctx context.Context, c datasite.Change, durable bool) (err error) {
	if g.cfg.Recorder == nil {
		return nil
	}
	if durable {
		_, err = g.cfg.Recorder.Commit(context.WithoutCancel(ctx), c)
	} else {
		err = g.cfg.Recorder.Append(c)
	}
	if err != nil {
		return fmt.Errorf("record %s %s: %w", c.Op, c.Path, err)
	}
	return nil
}

// reserve is a Recorder that tells when its reserve of disk space is spent; the journal does.
type reserve interface{ Full() error }

// room refuses to begin what the journal could not record: its reserve of disk space is spent. What is open already can be settled from
// the reserve, so that no close fails for want of room.
func (g *Guard) room(op string, p datasite.Path) error {
	r, ok := g.cfg.Recorder.(reserve)
	if !ok {
		return nil
	}
	if err := r.Full(); err != nil {
		return never(op, p, unix.ENOSPC, "the disk is full: make room before anything new is written")
	}
	return nil
}

func (g *Guard) known(p datasite.Path) datasite.Known {
	if g.cfg.Memory == nil {
		return datasite.Known{}
	}
	k, _ := g.cfg.Memory.Known(p)
	return k
}
