package desk

import (
	"context"
	"errors"
	iofs "io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/openmined/syftfs/fs/virtual"
	"github.com/openmined/syftfs/jobs"
	"github.com/openmined/syftfs/jobs/draft"
)

// translate gives the errors of the store of drafts the form that the mount knows.
func translate(err error) error {
	var d *draft.Error
	if errors.As(err, &d) {
		return &virtual.Refusal{Reason: d.Reason, Err: d.Err}
	}
	return err
}

const besideScript = "this folder shows what became of the script beside it; change the script itself"

// Open opens a file of a draft, or what was made beside it.
func (s *Submitter) Open(ctx context.Context, rel string, flags int, mode iofs.FileMode) (virtual.Handle, error) {
	if rel == "" || s.own(rel) {
		if flags&os.O_CREATE != 0 && flags&os.O_EXCL != 0 {
			return nil, &iofs.PathError{Op: "open", Path: rel, Err: iofs.ErrExist}
		}
		return nil, &iofs.PathError{Op: "open", Path: rel, Err: syscall.EISDIR}
	}
	name, sub, _ := strings.Cut(rel, "/")
	t, err := s.find(name)
	switch {
	case err != nil && (sub != "" || flags&os.O_CREATE == 0):
		return nil, err
	case err != nil, t.file:
		return s.open(rel, flags, mode)
	case sub == "":
		return nil, &iofs.PathError{Op: "open", Path: rel, Err: syscall.EISDIR}
	}
	if e, ok := s.answer(ctx, t, sub); ok {
		return s.openAnswer(t, e, flags)
	}
	switch {
	case s.replaced(ctx, t, sub):
		return nil, refuse(iofs.ErrPermission, "outputs/ and logs/ are the owner's answer and cannot be changed")
	case t.draft == nil:
		if writes(flags) {
			return nil, refuse(iofs.ErrPermission, "this job was submitted from elsewhere; copy the folder under a new name to submit a new one")
		}
		return nil, missing("open", rel)
	case t.beside:
		return s.openBeside(t, sub, flags)
	}
	if !writes(flags) {
		if _, err := s.cfg.Drafts.Stat(rel); errors.Is(err, iofs.ErrNotExist) {
			if body, ok := t.draft.Made[sub]; ok {
				return virtual.NewText(s.made(t, sub, body), body, nil), nil
			}
		}
	}
	return s.open(rel, flags, mode)
}

// openAnswer opens status; whoever writes to what the owner's side shows is refused.
func (s *Submitter) openAnswer(t thing, e virtual.Entry, flags int) (virtual.Handle, error) {
	switch {
	case flags&os.O_CREATE != 0 && flags&os.O_EXCL != 0:
		return nil, refuse(syscall.EEXIST, e.Name+" is written by syftfs and cannot be made by hand")
	case writes(flags):
		return nil, refuse(iofs.ErrPermission, e.Name+" is written by syftfs and cannot be changed")
	case e.Kind != virtual.Text:
		return nil, refuse(syscall.EISDIR, e.Name+" is answered by the stored tree")
	}
	return virtual.NewText(e, s.status(t), nil), nil
}

// openBeside opens the read-only files of the folder beside a script.
func (s *Submitter) openBeside(t thing, sub string, flags int) (virtual.Handle, error) {
	if writes(flags) {
		return nil, refuse(iofs.ErrPermission, besideScript)
	}
	if sub == t.draft.Name {
		return s.open(t.draft.Name, os.O_RDONLY, 0)
	}
	if body, ok := t.draft.Made[sub]; ok {
		return virtual.NewText(s.made(t, sub, body), body, nil), nil
	}
	return nil, missing("open", sub)
}

func (s *Submitter) open(rel string, flags int, mode iofs.FileMode) (virtual.Handle, error) {
	f, err := s.cfg.Drafts.OpenFile(rel, flags, mode)
	if err != nil {
		return nil, translate(err)
	}
	return &draftHandle{File: f, s: s}, nil
}

// draftHandle is an open file of a draft as the mount wants it.
type draftHandle struct {
	*draft.File
	s *Submitter
}

// ReadAt reads while the person may.
func (h *draftHandle) ReadAt(p []byte, off int64) (int, error) {
	if err := h.s.active(); err != nil {
		return 0, err
	}
	return h.File.ReadAt(p, off)
}

// WriteAt writes while the person may.
func (h *draftHandle) WriteAt(p []byte, off int64) (int, error) {
	if err := h.s.active(); err != nil {
		return 0, err
	}
	n, err := h.File.WriteAt(p, off)
	return n, translate(err)
}

// Truncate changes the size while the person may.
func (h *draftHandle) Truncate(size int64) error {
	if err := h.s.active(); err != nil {
		return err
	}
	return translate(h.File.Truncate(size))
}

// active refuses whose account was taken away while a file was open; opening one asks the gate.
func (s *Submitter) active() error {
	if s.cfg.Active == nil {
		return nil
	}
	return s.cfg.Active()
}

func (h *draftHandle) Stat() (virtual.Entry, error) {
	i, err := h.File.Stat()
	if err != nil {
		return virtual.Entry{}, err
	}
	return h.s.plain(thing{}, i), nil
}

// changeable gives the thing that a change of rel is about, and refuses what is not a draft's.
func (s *Submitter) changeable(ctx context.Context, rel string) (thing, error) {
	name, sub, _ := strings.Cut(rel, "/")
	t, err := s.find(name)
	if err != nil {
		return thing{}, err
	}
	switch {
	case t.draft == nil:
		return thing{}, refuse(iofs.ErrPermission, "this job was submitted from elsewhere; copy the folder under a new name to submit a new one")
	case t.beside:
		return thing{}, refuse(syscall.EPERM, besideScript)
	case s.replaced(ctx, t, sub):
		return thing{}, refuse(iofs.ErrPermission, "outputs/ and logs/ are the owner's answer and cannot be changed")
	}
	return t, nil
}

// Mkdir begins a draft, or makes a folder in one.
func (s *Submitter) Mkdir(ctx context.Context, rel string, mode iofs.FileMode) error {
	name, sub, deep := strings.Cut(rel, "/")
	if s.own(rel) {
		return &iofs.PathError{Op: "mkdir", Path: rel, Err: iofs.ErrExist}
	}
	if !deep {
		if _, err := s.find(name); err == nil {
			return refuse(syscall.EEXIST, "a job of this name is there already; choose another name")
		}
		return translate(s.cfg.Drafts.Mkdir(rel, mode))
	}
	t, err := s.changeable(ctx, rel)
	if err != nil {
		return err
	}
	if _, ok := s.answer(ctx, t, sub); ok {
		return refuse(syscall.EEXIST, path.Base(rel)+" is written by syftfs and cannot be made by hand")
	}
	return translate(s.cfg.Drafts.Mkdir(rel, mode))
}

// Rename moves within jobs/; a new name at the top submits.
func (s *Submitter) Rename(ctx context.Context, from, to string) error {
	t, err := s.changeable(ctx, from)
	if err != nil {
		return err
	}
	if _, sub, _ := strings.Cut(from, "/"); sub != "" && s.fixed(ctx, t, sub) {
		return refuse(syscall.EPERM, path.Base(from)+" is written by syftfs and keeps its place")
	}
	if s.own(to) {
		return &iofs.PathError{Op: "rename", Path: to, Err: iofs.ErrExist}
	}
	name, sub, deep := strings.Cut(to, "/")
	switch u, err := s.find(name); {
	case err == nil && (u.draft == nil || u.beside):
		return refuse(syscall.EEXIST, "a job of this name is there already; choose another name")
	case err == nil && deep:
		if _, ok := s.answer(ctx, u, sub); ok || s.replaced(ctx, u, sub) {
			return refuse(syscall.EEXIST, path.Base(to)+" is written by syftfs and cannot be made by hand")
		}
	}
	return translate(s.cfg.Drafts.Rename(from, to))
}

// fixed reports names that are shown in a draft's folder but are no part of it.
func (s *Submitter) fixed(ctx context.Context, t thing, sub string) bool {
	if _, ok := s.answer(ctx, t, sub); ok {
		return true
	}
	if _, err := s.cfg.Drafts.Stat(path.Join(t.draft.Name, sub)); !errors.Is(err, iofs.ErrNotExist) {
		return false
	}
	_, ok := t.draft.Made[sub]
	return ok
}

// Remove takes away what was copied. What syftfs shows beside it goes with the folder: removing it alone changes nothing
// and is no error, so that the whole folder can be deleted name by name.
func (s *Submitter) Remove(ctx context.Context, rel string) error {
	if s.own(rel) {
		return refuse(syscall.EPERM, "the link to your own jobs is always there")
	}
	t, err := s.changeable(ctx, rel)
	if err != nil {
		return err
	}
	if _, sub, _ := strings.Cut(rel, "/"); sub != "" && s.fixed(ctx, t, sub) {
		if t.known && t.job.Status.Decided() {
			return refuse(syscall.EROFS, "the job was decided by the owner; it is kept")
		}
		return nil
	}
	return translate(s.cfg.Drafts.Remove(rel))
}

// SetAttr changes size, mode and time of what was copied; on what syftfs shows beside it modes and times are ignored.
func (s *Submitter) SetAttr(ctx context.Context, rel string, a virtual.Attr) error {
	if rel == "" || s.own(rel) {
		return refuse(syscall.EPERM, "jobs/ itself cannot be changed")
	}
	t, err := s.changeable(ctx, rel)
	if err != nil {
		return err
	}
	if _, sub, _ := strings.Cut(rel, "/"); sub != "" && s.fixed(ctx, t, sub) {
		if _, made := t.draft.Made[sub]; made && a.Size != nil {
			h, err := s.cfg.Drafts.OpenFile(rel, os.O_RDWR, 0o644) // it becomes part of the draft
			if err != nil {
				return translate(err)
			}
			return errors.Join(translate(h.Truncate(*a.Size)), h.Close())
		}
		if a.Size != nil {
			return refuse(iofs.ErrPermission, path.Base(rel)+" is written by syftfs and cannot be changed")
		}
		return nil
	}
	return translate(s.cfg.Drafts.SetAttr(rel, draft.Attr{Mode: a.Mode, Size: a.Size, MTime: a.MTime}))
}

// Xattr answers user.syft.status, user.syft.digest and user.syft.hold of what stands in jobs/, and user.syft.state if its owner is elsewhere.
func (s *Submitter) Xattr(_ context.Context, rel, name string) ([]byte, error) {
	if rel == "" || s.own(rel) || strings.Contains(rel, "/") {
		return nil, syscall.ENODATA
	}
	t, err := s.find(rel)
	if err != nil {
		return nil, err
	}
	switch {
	case name == attrStatus:
		return []byte(s.standing(t)), nil
	case name == attrDigest && t.draft != nil && t.draft.Digest != "":
		return []byte(t.draft.Digest), nil
	case name == attrDigest && t.draft == nil && t.job.Digest != "":
		return []byte(t.job.Digest), nil
	case name == attrHold && t.draft != nil && t.draft.Held:
		return []byte("1"), nil
	case name == attrState && s.cfg.Sent != nil:
		return []byte(s.way(t).State), nil
	}
	return nil, syscall.ENODATA
}

func (s *Submitter) standing(t thing) jobs.Status {
	switch {
	case t.known && (t.draft == nil || t.job.Status.Decided()):
		return t.job.Status
	case !sealed(t.draft):
		return jobs.Draft
	case t.known && arrived(s.way(t)):
		return t.job.Status
	}
	return jobs.Submitted
}

// SetXattr holds a draft back with user.syft.hold=1, or lets it go with 0.
func (s *Submitter) SetXattr(ctx context.Context, rel, name string, value []byte) error {
	if name != attrHold {
		return xattrRefused(name)
	}
	if rel == "" || s.own(rel) || strings.Contains(rel, "/") {
		return refuse(syscall.EINVAL, "user.syft.hold is an attribute of the whole draft: set it on the entry of jobs/")
	}
	if _, err := s.changeable(ctx, rel); err != nil {
		return err
	}
	switch string(value) {
	case "1":
		return translate(s.cfg.Drafts.Hold(rel, true))
	case "0", "":
		return translate(s.cfg.Drafts.Hold(rel, false))
	}
	return refuse(syscall.EINVAL, "user.syft.hold is 1 (held back) or 0 (not)")
}
