package guard

import (
	"context"
	"errors"
	iofs "io/fs"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"golang.org/x/sys/unix"
)

// OpenTemp opens a new file without a name, as open(2) does with O_TMPFILE in the folder p. It is in no folder, so nothing of
// it is recorded, nobody else sees it and no rule speaks of it: only the owner without an account may have one, whose right
// nothing takes away. It can never be given a name, and ends with the handle. Anybody else gets EOPNOTSUPP, upon which
// programs make a file with a name, where the rules and their limits hold.
func (v *View) OpenTemp(ctx context.Context, p datasite.Path, flag int, mode iofs.FileMode) (*File, error) {
	const op = "tmpfile"
	a, err := v.actor(op, p)
	if err != nil {
		return nil, err
	}
	if p.IsRoot() {
		return nil, never(op, p, 0, "the top of the mount holds datasites only")
	}
	defer v.lockFor(a, p)()
	e, _, err := v.look(op, a, p)
	switch {
	case err != nil:
		return nil, err
	case !e.Mode.IsDir():
		return nil, pathError(op, p, unix.ENOTDIR)
	case !a.plain:
		return nil, never(op, p, unix.EOPNOTSUPP, "only the owner can have a file without a name; give it one")
	}
	now := v.g.moment(p.Owner)
	d, err := v.need(op, a, p, true, perm.Create)
	if err != nil {
		return nil, err
	}
	b, err := v.g.tree.OpenTemp(p, flag&(unix.O_ACCMODE|unix.O_APPEND), a.stored(mode, 0))
	if err != nil {
		return nil, err
	}
	f, err := v.newFile(a, p, now, b, flag, d)
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	// Not among the open files of the gate: no rename or removal concerns it.
	f.gone = true
	return f, nil
}
