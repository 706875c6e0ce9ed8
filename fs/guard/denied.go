package guard

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"strings"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"golang.org/x/sys/unix"
)

// Denied is a refusal with the decision behind it. It unwraps to fs.ErrNotExist when the path does not exist for this user,
// to Errno where the table of operations names one (EPERM, EFBIG), else to fs.ErrPermission.
type Denied struct {
	Op       string
	Path     datasite.Path
	Decision perm.Decision
	Hidden   bool
	Errno    unix.Errno // 0: none
}

func (d *Denied) Unwrap() error {
	switch {
	case d.Hidden:
		return iofs.ErrNotExist
	case d.Errno != 0:
		return d.Errno
	}
	return iofs.ErrPermission
}

// Error tells who was refused what, by which line of which file, for which reasons, and what to do. Of a hidden path it
// tells what is told of one that is not there.
func (d *Denied) Error() string {
	name := d.Path.String()
	if name == "" {
		name = "."
	}
	if d.Hidden {
		return fmt.Sprintf("%s %s: no such file or directory", d.Op, name)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: not allowed", d.Op, name)
	if u := d.Decision.Request.User; u != "" {
		fmt.Fprintf(&b, " for %s", u)
	}
	if w := d.Decision.Request.Want; w != perm.None {
		fmt.Fprintf(&b, ", %s is needed", w)
	}
	if f := d.Decision.By.File; f != "" {
		fmt.Fprintf(&b, ", decided by %s", f)
		if d.Decision.By.Line > 0 {
			fmt.Fprintf(&b, " line %d", d.Decision.By.Line)
		}
	}
	for i, s := range d.Decision.Steps {
		b.WriteString([]string{": ", "; "}[min(i, 1)])
		b.WriteString(s.Text)
	}
	if d.Errno == 0 && d.Path.Owner != "" && d.Decision.Request.User != d.Path.Owner {
		fmt.Fprintf(&b, ". Ask %s to grant it.", d.Path.Owner)
		if r, _ := d.Decision.Remedy(); r.Text != "" {
			b.WriteString(" " + r.Text)
		}
	}
	return b.String()
}

// hidden is the answer about what does not exist for this user, whether it is there or not.
func hidden(op string, p datasite.Path) error {
	return &Denied{Op: op, Path: p, Hidden: true, Decision: withheld(perm.Request{})}
}

// refuse is the answer to a for want of a right, with what of the decision may be told.
func (v *View) refuse(op string, a actor, p datasite.Path, d perm.Decision) error {
	told, err := v.audience(a, p, d)
	if err != nil {
		return err
	}
	if told == toldNothing {
		d = withheld(d.Request)
	}
	return &Denied{Op: op, Path: p, Decision: d}
}

// refuseHidden is the answer for want of a right on something that must not be told about.
func refuseHidden(op string, a actor, p datasite.Path, want perm.Level) error {
	return &Denied{Op: op, Path: p, Decision: withheld(perm.Request{User: a.id.Subject, Owner: p.Owner, Path: p.Rel, Want: want})}
}

// never is the answer to what nobody may do here.
func never(op string, p datasite.Path, errno unix.Errno, why string) error {
	return &Denied{Op: op, Path: p, Errno: errno, Decision: perm.Decision{Steps: []perm.Step{{Text: why}}}}
}

// limited applies the limits of the deciding rule.
func limited(op string, p datasite.Path, d perm.Decision, f perm.File) error {
	if d.Owner {
		return nil
	}
	after := d.Limit(f)
	if after.Allowed {
		return nil
	}
	errno := unix.EFBIG
	if f.Dir || f.Symlink {
		errno = unix.EPERM
	}
	return &Denied{Op: op, Path: p, Decision: after, Errno: errno}
}

func pathError(op string, p datasite.Path, err error) error {
	return &iofs.PathError{Op: op, Path: p.String(), Err: err}
}

// absent reports whether err says that nothing is there: also when a folder on the way is a file or a link.
func absent(err error) bool {
	return errors.Is(err, iofs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}
