package grant

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"golang.org/x/sys/unix"
)

// Move moves a file or folder to a path where nothing is, in the same datasite, and keeps what everybody could do with it: rules
// for exactly this path are added to the rule file that decides at to, and those for exactly the old path, which apply to
// nothing any more, are removed. What the rules cannot keep is refused, with ErrSideEffect or ErrByHand.
//
// At no moment, also after a failure, may anybody do more with what is moved than before: the rules at the destination first
// take, then it is moved, then they give. A step that fails takes back those before it.
func (g *Granter) Move(ctx context.Context, from, to datasite.Path) (Edit, error) {
	const op = "move"
	fail := func(err error) (Edit, error) { return Edit{}, fmt.Errorf("%s %s to %s: %w", op, from, to, err) }
	unlock, err := g.lock(ctx, from)
	if err != nil {
		return fail(err)
	}
	defer unlock()
	m, err := g.prepare(ctx, from, to)
	if err != nil {
		return fail(err)
	}
	if err := m.plan(); err != nil {
		return fail(err)
	}
	if err := m.do(op); err != nil {
		return fail(err)
	}
	return m.result(), nil
}

// move is one move, until it is done.
type move struct {
	ctx      context.Context
	from, to datasite.Path
	me       perm.User
	isDir    bool
	src, dst *edit       // of the files that decide at from and at to; src is nil if that is one file, or not the caller's
	now      *simulation // as things stand
	survey   *survey     // of what is moved, where it is now
	entries  []entry
	was      []map[int]rights // of each entry, on each node; none left out
	tight    []byte           // the text of dst while it moves; nil: there is no file
	loose    []byte           // the text of dst that is to be; nil: there is no file
}

// prepare looks at both ends.
func (g *Granter) prepare(ctx context.Context, from, to datasite.Path) (*move, error) {
	if err := g.movable(ctx, from, to); err != nil {
		return nil, err
	}
	st, err := g.view.Stat(ctx, from)
	if err != nil {
		return nil, err
	}
	m := &move{ctx: ctx, from: from, to: to, isDir: st.Mode.IsDir()}
	if m.dst, err = g.find(ctx, to.Parent()); err != nil {
		return nil, err
	}
	if m.src, err = g.find(ctx, from.Parent()); err != nil {
		return nil, err
	}
	m.dst.target, m.src.target = to, from
	if m.src.file == m.dst.file {
		m.src = nil
	}
	m.now = m.dst.before
	if m.survey, err = look(ctx, g.view, m.now, from, m.isDir); err != nil {
		return nil, err
	}
	there := &survey{nodes: append([]node{}, m.survey.nodes...)}
	for _, n := range m.survey.nodes {
		n.path = m.at(n.path)
		there.nodes = append(there.nodes, n)
	}
	var me []entry
	if m.me = g.view.Identity().Subject; m.me != from.Owner {
		me = append(me, entry{string(m.me), m.me})
	}
	entries, cut, err := there.entries(me, m.now)
	if err != nil {
		return nil, err
	}
	if m.entries = entries; cut || m.survey.cut || len(m.survey.nodes)*len(entries) > maxQuestions {
		return nil, fmt.Errorf("it holds more files, or the rules name more people, than can be compared: move smaller parts, or move it without keeping the rights: %w", ErrByHand)
	}
	return m, m.remember()
}

// movable refuses what is never moved.
func (g *Granter) movable(ctx context.Context, from, to datasite.Path) error {
	switch {
	case to.Owner != from.Owner:
		return fmt.Errorf("another datasite has other people in it; copy it there: %w", iofs.ErrInvalid)
	case from.Rel == "" || to.Rel == "":
		return fmt.Errorf("a datasite is not moved: %w", iofs.ErrInvalid)
	case to.Under(from):
		return fmt.Errorf("a folder cannot be moved into itself: %w", iofs.ErrInvalid)
	case datasite.IsRuleName(from.Base()) || datasite.IsRuleName(to.Base()):
		return fmt.Errorf("a rule file says what may be done where it lies; write it there, and remove it here: %w", iofs.ErrInvalid)
	}
	if err := datasite.CheckName(to.Base()); err != nil {
		return err
	}
	parent, err := g.view.Stat(ctx, to.Parent())
	if err != nil {
		return err
	}
	if !parent.Mode.IsDir() {
		return fmt.Errorf("%s is not a folder: %w", to.Parent(), iofs.ErrInvalid)
	}
	switch _, err := g.view.Stat(ctx, to); {
	case err == nil:
		return fmt.Errorf("%s is there already; choose another name: %w", to, iofs.ErrExist)
	case !errors.Is(err, iofs.ErrNotExist):
		return err
	}
	return nil
}

// at is where p lies after the move.
func (m *move) at(p datasite.Path) datasite.Path { return m.to.Join(p.Rel[len(m.from.Rel):]) }

// remember asks what everybody may do now.
func (m *move) remember() error {
	m.was = make([]map[int]rights, len(m.entries))
	for i, e := range m.entries {
		m.was[i] = map[int]rights{}
		for n, node := range m.survey.nodes {
			r, err := m.now.rights(e.user, node.path, node.isDir)
			if err != nil {
				return err
			}
			m.was[i][n] = r
		}
	}
	return nil
}

// do takes the steps, and takes them back if one fails.
func (m *move) do(op string) error {
	err := m.steps(op)
	if err == nil {
		return m.tidy(op)
	}
	if left := m.undo(); left != nil {
		return fmt.Errorf("%w. It could not be taken back, and nobody may do more than before: %w", err, left)
	}
	return err
}

func (m *move) steps(op string) error {
	if err := m.dst.replace(m.ctx, op, m.dst.old, m.tight); err != nil {
		return err
	}
	if err := m.carry(m.ctx, m.from, m.to); err != nil {
		return err
	}
	return m.dst.replace(m.ctx, op, m.tight, m.loose)
}

// carry renames, durably: the rules that are written next must not outlast it.
func (m *move) carry(ctx context.Context, a, b datasite.Path) error {
	view := m.dst.view
	if err := view.Rename(ctx, a, b, unix.RENAME_NOREPLACE); err != nil {
		return err
	}
	if err := view.SyncDir(ctx, b.Parent()); err != nil {
		return err
	}
	err := view.SyncDir(ctx, a.Parent())
	if errors.Is(err, iofs.ErrNotExist) {
		return nil // nothing in it is the caller's to see any more
	}
	return err
}

// undo puts things as they were, step by step: the rules at the destination go only when nothing lies there any more, and those
// at the source are back before anything does there. A step that failed may have been taken all the same.
func (m *move) undo() error {
	ctx := context.WithoutCancel(m.ctx)
	_, err := m.dst.view.Stat(ctx, m.from)
	if errors.Is(err, iofs.ErrNotExist) {
		if err = m.dst.restore(ctx, m.tight, m.loose); err == nil {
			err = m.carry(ctx, m.to, m.from)
		}
	}
	if err != nil {
		return fmt.Errorf("look whether it lies at %s or at %s, and grant again what is missing: %w", m.from, m.to, err)
	}
	if err := m.dst.restore(ctx, m.dst.old, m.tight, m.loose); err != nil {
		return fmt.Errorf("%s holds rules for %s, which apply to nothing: %w", m.dst.file, m.to, err)
	}
	return nil
}

// tidy removes from another file than that of the destination what applies to nothing any more.
func (m *move) tidy(op string) error {
	if m.src == nil {
		return nil
	}
	if err := m.src.replace(m.ctx, op, m.src.old, m.src.now); err != nil {
		return fmt.Errorf("it was moved with all rights, but %s still holds rules for %s, which apply to nothing now: %w", m.src.file, m.from, err)
	}
	return nil
}

func (m *move) result() Edit {
	e := m.dst.result()
	e.Effects.Paths = len(m.survey.nodes)
	if m.src != nil && m.src.changed() {
		e.Also = m.src.file
	}
	return e
}
