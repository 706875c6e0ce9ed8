package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"maps"
	"path"
	"slices"
	"sync"
	"syscall"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
)

// Where a job stands for who submitted it to an owner elsewhere, beside the states of state.yaml. None of them is ever written there.
const (
	Submitted Status = "submitted" // sealed, and not with the owner yet
	Unknown   Status = "unknown"   // the owner's answer cannot be read; Job.Message says why
	Legacy    Status = "legacy"    // made by a client from before the inbox and review folders: listed, nothing more
)

// DeliveredTree looks into a replica as who it was delivered to; the gate's view fits it.
type DeliveredTree interface {
	List(ctx context.Context, p datasite.Path) ([]datasite.Entry, error)
	Stat(ctx context.Context, p datasite.Path) (datasite.Entry, error)
	OpenFile(ctx context.Context, p datasite.Path) (io.ReadCloser, error) // a regular file; links are not followed
}

// Delivered is what became of one submitter's jobs at an owner elsewhere, read from what that owner delivered: inbox and review folders in
// the replica. What state.yaml says is shown, never believed. What was read is kept until the folder's or state.yaml's stamp, or Moved, says
// that it changed.
type Delivered struct {
	tree      DeliveredTree
	owner, me perm.User

	mu   sync.Mutex              // a leaf: guards what follows, never held across a call into the tree
	read map[string]deliveredJob // by name
	turn uint64                  // moves with every Moved: what was read before it is not kept
}

// deliveredJob is what was read of a job; it is replaced, never changed.
type deliveredJob struct {
	job       Job
	submitted bool // something lies in the inbox folder
	marks     marks
	moved     bool // Moved told of the answer since, and not of the submission
}

// marks tell whether something was replaced since.
type marks struct {
	inbox, review, state mark
}

type mark struct {
	there bool
	stamp datasite.Stamp
}

func (m mark) same(n mark) bool { return m.there == n.there && (!m.there || m.stamp.Same(n.stamp)) }

func (m marks) same(n marks) bool {
	return m.inbox.same(n.inbox) && m.review.same(n.review) && m.state.same(n.state)
}

// NewDelivered makes what tells about the jobs that me submitted to owner.
func NewDelivered(tree DeliveredTree, owner, me perm.User) *Delivered {
	return &Delivered{tree: tree, owner: owner, me: me, read: map[string]deliveredJob{}}
}

// Moved tells that something changed at p, below or above. It gives the job that this concerns, with an empty name for all of them; false:
// none of the submitter's.
func (d *Delivered) Moved(p datasite.Path) (ID, bool) {
	id := ID{Owner: d.owner, Submitter: d.me}
	for _, dir := range []datasite.Path{id.Inbox(), id.Review(), id.legacy()} { // without a name: those of all of the submitter's
		if !dir.Under(p) && !p.Under(dir) {
			continue
		}
		for p != dir && p.Under(dir) {
			id.Name, p = p.Base(), p.Parent()
		}
		if datasite.IsRuleName(id.Name) {
			return ID{}, false
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.turn++
		kept, ok := d.read[id.Name]
		switch {
		case id.Name == "":
			clear(d.read)
		case ok && dir == (ID{Owner: d.owner, Submitter: d.me}).Review():
			kept.moved = true
			d.read[id.Name] = kept
		default:
			delete(d.read, id.Name)
		}
		return id, true
	}
	return ID{}, false
}

// Known names every job of the submitter that is there, in order.
func (d *Delivered) Known() []string {
	all := d.List()
	names := make([]string, len(all))
	for i, j := range all {
		names[i] = j.ID.Name
	}
	return names
}

// Status is Get for who does not ask why not.
func (d *Delivered) Status(id ID) (Job, bool) {
	j, err := d.Get(id)
	return j, err == nil
}

// List tells about every job of the submitter, in the order of their names.
func (d *Delivered) List() []Job {
	ctx := context.Background()
	names := map[string]bool{}
	id := ID{Owner: d.owner, Submitter: d.me}
	for _, dir := range []datasite.Path{id.Inbox(), id.Review(), id.legacy()} {
		entries, err := d.tree.List(ctx, dir)
		if err != nil {
			continue // nothing was delivered there; what cannot be read shows in Get
		}
		for _, e := range entries {
			if e.Mode.IsDir() {
				names[e.Name] = true
			}
		}
	}
	var out []Job
	for _, name := range slices.Sorted(maps.Keys(names)) {
		id.Name = name
		if j, err := d.Get(id); err == nil {
			out = append(out, j)
		}
	}
	return out
}

// Get tells about one job; fs.ErrNotExist if there is none. What cannot be read is Unknown, with the reason as its message.
func (d *Delivered) Get(id ID) (Job, error) {
	missing := &iofs.PathError{Op: "get", Path: id.String(), Err: iofs.ErrNotExist}
	if id.Owner != d.owner || id.Submitter != d.me || datasite.CheckName(id.Name) != nil || datasite.IsRuleName(id.Name) {
		return Job{}, missing
	}
	ctx := context.Background()
	now, err := d.marks(ctx, id)
	if err != nil {
		return unreadable(id, err), nil
	}
	d.mu.Lock()
	kept, ok := d.read[id.Name]
	turn := d.turn
	d.mu.Unlock()
	if ok && !kept.moved && kept.marks.same(now) {
		return kept.job, nil
	}
	fresh := deliveredJob{job: Job{ID: id}, marks: now}
	switch {
	case ok && kept.marks.inbox.same(now.inbox):
		fresh.job, fresh.submitted = kept.job, kept.submitted
	case now.inbox.there:
		fresh.submitted, err = d.submission(ctx, &fresh.job)
	}
	found := false
	if err == nil {
		found, err = d.answer(ctx, &fresh)
	}
	if err == nil && !found {
		fresh.job, found, err = d.old(ctx, id)
	}
	switch {
	case err != nil:
		return unreadable(id, err), nil
	case !found:
		return Job{}, missing
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.turn == turn && fresh.job.Status != Legacy {
		d.read[id.Name] = fresh
	}
	return fresh.job, nil
}

func unreadable(id ID, err error) Job {
	return Job{ID: id, Status: Unknown, Message: "what its owner delivered cannot be read: " + err.Error()}
}

// absent reports whether err says that there is nothing.
func absent(err error) bool {
	return errors.Is(err, iofs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// marks looks whether a job's folders and state.yaml are there.
func (d *Delivered) marks(ctx context.Context, id ID) (m marks, err error) {
	stat := func(p datasite.Path) (mark, iofs.FileMode) {
		e, serr := d.tree.Stat(ctx, p)
		if serr != nil && !absent(serr) {
			err = errors.Join(err, serr)
		}
		return mark{there: serr == nil, stamp: e.Stamp}, e.Mode
	}
	var mode iofs.FileMode
	m.inbox, mode = stat(id.Inbox())
	m.inbox.there = m.inbox.there && mode.IsDir()
	m.review, mode = stat(id.Review())
	m.review.there = m.review.there && mode.IsDir()
	m.state, mode = stat(id.Review().Join(StateFile))
	if m.state.there && !mode.IsRegular() {
		err = errors.Join(err, fmt.Errorf("%s is %s: %w", StateFile, kindOf(mode), ErrKind))
	}
	return m, err
}

// answer reads what the owner says of the job into j. It reports whether there is a job: something is in its inbox folder, or was answered. A
// folder from which all was removed is none.
func (d *Delivered) answer(ctx context.Context, j *deliveredJob) (found bool, err error) {
	id := j.job.ID
	j.job.Status, j.job.State, j.job.Message = Received, State{}, ""
	if j.marks.state.there {
		src, err := d.small(ctx, id.Review().Join(StateFile))
		if err != nil {
			return false, err
		}
		if j.job.State, err = ParseState(src); err != nil {
			j.job.Status, j.job.Message = Unknown, "what its owner delivered cannot be used: "+err.Error()
			return true, nil
		}
		j.job.Status = j.job.State.Status
		return true, nil
	}
	if j.submitted || !j.marks.review.there {
		return j.submitted, nil
	}
	entries, err := d.tree.List(ctx, id.Review())
	if err != nil && !absent(err) || len(entries) == 0 {
		return false, err
	}
	j.job.Status, j.job.Message = Unknown, "its owner delivered an answer without "+StateFile
	return true, nil
}

// submission reads what lies in the inbox folder into j: files, size and digest, and config.yaml. What is wrong with it is noted, as it is the
// owner who judges it. It reports whether there is anything.
func (d *Delivered) submission(ctx context.Context, j *Job) (found bool, err error) {
	var m manifest
	var walk func(rel string) error
	walk = func(rel string) error {
		entries, err := d.tree.List(ctx, j.ID.Inbox().Join(rel))
		if absent(err) {
			return nil
		}
		for _, e := range entries {
			p := path.Join(rel, e.Name)
			found = found || !e.Mode.IsDir()
			v, err := m.look(p, e.Mode)
			switch {
			case err != nil:
				return err
			case v == take:
				err = d.hash(ctx, &m, j.ID, p)
			case e.Mode.IsDir() && v != skipDir:
				err = walk(p)
			}
			if err != nil {
				return err
			}
		}
		return err
	}
	switch err := walk(""); {
	case errors.Is(err, ErrKind), errors.Is(err, ErrPath), errors.Is(err, ErrTooBig):
		j.Notes = append(j.Notes, "it can be no submission: "+err.Error())
		return true, nil
	case err != nil:
		return false, err
	}
	for _, f := range m.sorted() {
		j.Size += f.Size
	}
	j.Files, j.Digest = m.files, DigestOf(m.files)
	if !slices.ContainsFunc(j.Files, func(f File) bool { return f.Path == ConfigFile }) {
		return found, nil
	}
	src, err := d.small(ctx, j.ID.Inbox().Join(ConfigFile))
	if err != nil {
		return false, err
	}
	if j.Config, err = ParseConfig(src); err != nil {
		j.Notes = append(j.Notes, err.Error())
	}
	return found, nil
}

func (d *Delivered) hash(ctx context.Context, m *manifest, id ID, rel string) error {
	f, err := d.tree.OpenFile(ctx, id.Inbox().Join(rel))
	if absent(err) {
		return nil // removed meanwhile: Moved is on its way
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return m.add(rel, f, io.Discard)
}

// small reads a file of a job, at most one byte more than may be parsed.
func (d *Delivered) small(ctx context.Context, p datasite.Path) ([]byte, error) {
	f, err := d.tree.OpenFile(ctx, p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxConfigBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", p, err)
	}
	return b, nil
}

// legacy is where clients until 0.1.105 had a job, as one folder.
func (id ID) legacy() datasite.Path {
	return datasite.Path{Owner: id.Owner}.Join(path.Dir(datasite.JobInboxDir), string(id.Submitter), id.Name)
}

// old looks for a job in the folder of the older clients, where an empty file says what became of it.
func (d *Delivered) old(ctx context.Context, id ID) (Job, bool, error) {
	entries, err := d.tree.List(ctx, id.legacy())
	if absent(err) || err == nil && len(entries) == 0 {
		return Job{}, false, nil
	}
	if err != nil {
		return Job{}, false, err
	}
	stands := "not decided"
	for _, marker := range []string{"approved", "done"} { // done wins
		if slices.ContainsFunc(entries, func(e datasite.Entry) bool { return e.Name == marker && e.Mode.IsRegular() }) {
			stands = marker
		}
	}
	return Job{ID: id, Status: Legacy, Message: fmt.Sprintf("it was made by an older syft-client (%s) and is only listed; its files lie in %s", stands, id.legacy())}, true, nil
}
