package guard

import (
	"context"
	"fmt"
	"strings"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"golang.org/x/sys/unix"
)

// The attributes that tell about rights. They are made when they are asked for, never stored, never changed, and not listed: tools
// copy what is listed.
const (
	AttrAccess = ownAttrs + "access" // the highest level that the view's identity holds: read, create, write or admin
	AttrWhy    = ownAttrs + "why"    // the reasons for that level; for the owner, who else holds what
	AttrState  = ownAttrs + "state"  // for the owner: where the file is on its way to others, as Config.State has it

	ownAttrs = "user.syft."
)

// maxAttr is the most that the kernel takes as the value of an attribute, in bytes.
const maxAttr = 64 << 10

// userAttr reports whether an extended attribute is one of the kind that people set; no other kind is offered.
func userAttr(name string) bool { return strings.HasPrefix(name, "user.") && !ownAttr(name) }

// ownAttr reports whether an extended attribute is one of ours. Whatever lies under such a name on the disk is not shown.
func ownAttr(name string) bool { return strings.HasPrefix(name, ownAttrs) }

// Xattr gives an extended attribute, stored or one of ours; of other kinds than user.* there is none (ENODATA).
func (v *View) Xattr(ctx context.Context, p datasite.Path, name string) (value []byte, err error) {
	const op = "getxattr"
	state := name == AttrState && v.g.cfg.State != nil
	if p.IsRoot() || !userAttr(name) && name != AttrAccess && name != AttrWhy && !state {
		return nil, pathError(op, p, unix.ENODATA) // the kernel itself asks for others, before each write
	}
	err = v.mayRead(op, p, func(a actor, e datasite.Entry, d perm.Decision) (err error) {
		switch {
		case name == AttrAccess:
			value = []byte(d.Level.String())
		case name == AttrWhy:
			value, err = v.why(a, p, e.Mode.IsDir(), d.Level)
		case state && !a.owner:
			err = pathError(op, p, unix.ENODATA)
		case state:
			value = []byte(v.g.cfg.State(p))
		default:
			value, err = v.g.tree.Xattr(p, name)
		}
		return err
	})
	return value, err
}

// why explains the highest level that a holds on p, which is readable.
func (v *View) why(a actor, p datasite.Path, dir bool, held perm.Level) ([]byte, error) {
	d, err := v.g.decide(a.id.Subject, p, dir, held)
	if err != nil {
		return nil, err
	}
	text := d.Explain()
	if !d.Owner {
		return []byte(text), nil
	}
	list, err := v.g.holders(p, dir)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		text += "  Nobody else may do anything here.\n"
	}
	for i, h := range list {
		line := fmt.Sprintf("  %s: %s, by pattern '%s' [%s]\n", h.Entry, h.Level, h.Pattern, h.By)
		if more := fmt.Sprintf("  and %d more\n", len(list)-i); len(text)+len(line)+len(more) > maxAttr {
			return []byte(text + more), nil
		}
		text += line
	}
	return []byte(text), nil
}

// Xattrs lists the stored extended attributes of kind user.*.
func (v *View) Xattrs(ctx context.Context, p datasite.Path) (names []string, err error) {
	err = v.mayRead("listxattr", p, func(actor, datasite.Entry, perm.Decision) error {
		if p.IsRoot() {
			return nil
		}
		all, err := v.g.tree.Xattrs(p)
		for _, n := range all {
			if userAttr(n) {
				names = append(names, n)
			}
		}
		return err
	})
	return names, err
}

// SetXattr sets an extended attribute of kind user.*; flags are XATTR_CREATE and XATTR_REPLACE. Ours are EPERM.
func (v *View) SetXattr(ctx context.Context, p datasite.Path, name string, value []byte, flags int) error {
	return v.changeXattr(ctx, "setxattr", p, name, func() error { return v.g.tree.SetXattr(p, name, value, flags) })
}

// RemoveXattr removes an extended attribute of kind user.*. Ours are EPERM.
func (v *View) RemoveXattr(ctx context.Context, p datasite.Path, name string) error {
	return v.changeXattr(ctx, "removexattr", p, name, func() error { return v.g.tree.RemoveXattr(p, name) })
}

func (v *View) changeXattr(ctx context.Context, op string, p datasite.Path, name string, do func() error) error {
	switch {
	case strings.HasPrefix(name, "security."), strings.HasPrefix(name, "system."):
		return pathError(op, p, unix.EOPNOTSUPP)
	case ownAttr(name):
		return never(op, p, unix.EPERM, "attributes "+ownAttrs+"* tell about rights; they are changed by the permission files")
	case !userAttr(name), p.IsRoot():
		return pathError(op, p, unix.EPERM)
	}
	var n news
	return v.locked(op, []lockReq{exclusive(p)}, &n, func(a actor) error {
		e, _, err := v.look(op, a, p)
		if err != nil {
			return err
		}
		if _, err := v.needWrite(op, a, p, e.Mode.IsDir()); err != nil {
			return err
		}
		if err := do(); err != nil {
			return err
		}
		n.add(p)
		return v.recordAttr(ctx, a, p, e, false)
	})
}
