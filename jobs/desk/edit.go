package desk

import (
	"context"
	"io"
	iofs "io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"syscall"

	"github.com/openmined/syftfs/fs/virtual"
	"github.com/openmined/syftfs/jobs"
	"github.com/openmined/syftfs/jobs/release"
)

const maxState = 64 << 10 // bytes of state.yaml that are shown

// text makes a control file of a job's folder.
func (o *Owner) text(ctx context.Context, j jobs.Job, name string) (iofs.FileMode, []byte, error) {
	switch name {
	case statusName:
		var items []release.Item
		if o.cfg.Held != nil {
			var err error
			if items, err = o.cfg.Held.Held(j.ID); err != nil {
				return 0, nil, err
			}
		}
		return 0o444, ownerStatus(j, items), nil
	case decisionName:
		if j.Status != jobs.Pending {
			return 0, nil, missing("lookup", name)
		}
		return 0o600, decisionText(j), nil
	}
	f, err := o.cfg.Tree.OpenFile(ctx, j.ID.Review().Join(jobs.StateFile))
	if err != nil {
		return 0, nil, err
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, maxState))
	return 0o444, body, err
}

const readOnly = "what stands here is what was submitted and answered; it cannot be changed. Write DECISION to decide, move held/ entries to outputs/ to release"

// Open opens a control file, a submitted file or a held result.
func (o *Owner) Open(ctx context.Context, rel string, flags int, mode iofs.FileMode) (virtual.Handle, error) {
	p := o.place(rel)
	if p.deep < 3 {
		if flags&os.O_CREATE != 0 {
			return nil, refuse(iofs.ErrPermission, "jobs/ shows what others submitted; nothing can be made here")
		}
		return nil, &iofs.PathError{Op: "open", Path: rel, Err: syscall.EISDIR}
	}
	j, err := o.job(p.id)
	if err != nil {
		return nil, err
	}
	if p.sub == decisionName {
		return o.openDecision(ctx, j, flags)
	}
	e, err := o.item(ctx, j, p.sub)
	if err != nil {
		if flags&os.O_CREATE != 0 {
			return o.createScratch(j, p.sub)
		}
		return nil, err
	}
	switch {
	case flags&os.O_CREATE != 0 && flags&os.O_EXCL != 0:
		return nil, &iofs.PathError{Op: "open", Path: rel, Err: iofs.ErrExist}
	case e.Kind == virtual.Dir:
		return nil, &iofs.PathError{Op: "open", Path: rel, Err: syscall.EISDIR}
	}
	if h, ok := o.openScratch(j.ID, p.sub, flags); ok {
		return h, nil
	}
	if writes(flags) {
		return nil, refuse(iofs.ErrPermission, readOnly)
	}
	first, rest, _ := strings.Cut(p.sub, "/")
	switch first {
	case statusName, jobs.StateFile:
		_, body, err := o.text(ctx, j, first)
		if err != nil {
			return nil, err
		}
		return virtual.NewText(e, body, nil), nil
	case heldName:
		fsys, err := o.held(j.ID)
		if err != nil {
			return nil, err
		}
		return openIn(fsys, rest)
	}
	fsys, err := o.cfg.Intake.Intake(j.ID)
	if err != nil {
		return nil, err
	}
	return openIn(fsys, p.sub)
}

// openDecision gives the control file: each write is judged whole.
func (o *Owner) openDecision(ctx context.Context, j jobs.Job, flags int) (virtual.Handle, error) {
	mode, body, err := o.text(ctx, j, decisionName)
	if err != nil {
		if flags&os.O_CREATE != 0 {
			return nil, refuse(syscall.EROFS, "there is nothing to decide: "+standing(j.Status))
		}
		return nil, err
	}
	if flags&os.O_CREATE != 0 && flags&os.O_EXCL != 0 {
		return nil, &iofs.PathError{Op: "open", Path: decisionName, Err: iofs.ErrExist}
	}
	var judge func([]byte) error
	if writes(flags) {
		later := context.WithoutCancel(ctx) // the open is answered long before the write comes
		var once sync.Mutex                 // guards decided, and lets one write be judged after the other
		decided := false
		judge = func(b []byte) error {
			once.Lock()
			defer once.Unlock()
			if decided && idle(b) {
				return nil // an editor that writes its last line end by itself
			}
			err := o.judge(later, j.ID, b)
			decided = decided || err == nil
			return err
		}
	}
	return virtual.NewText(textEntry(decisionName, mode, body, o.at(j)), body, judge), nil
}

// Mkdir is refused: nobody makes folders here.
func (o *Owner) Mkdir(_ context.Context, rel string, _ iofs.FileMode) error {
	return refuse(iofs.ErrPermission, "jobs/ shows what others submitted; nothing can be made here")
}

// Rename saves DECISION from an editor's file, and releases held results.
func (o *Owner) Rename(ctx context.Context, from, to string) error {
	f, t := o.place(from), o.place(to)
	if f.deep < 3 || t.deep < 3 || f.id != t.id {
		return refuse(iofs.ErrPermission, "a job and what belongs to it keep their place")
	}
	j, err := o.job(f.id)
	if err != nil {
		return err
	}
	if top, name, ok := strings.Cut(f.sub, "/"); ok && top == heldName {
		return o.release(ctx, j, name, t.sub)
	}
	switch {
	case f.sub == heldName:
		return refuse(iofs.ErrPermission, "move what is in held/, not held/ itself: mv held/* outputs/")
	case f.sub == decisionName:
		return o.backup(ctx, j, t.sub)
	}
	body, ok := o.scratchBody(j.ID, f.sub)
	if !ok {
		if _, err := o.item(ctx, j, f.sub); err != nil {
			return err
		}
		return refuse(iofs.ErrPermission, readOnly)
	}
	if t.sub == decisionName {
		if j.Status != jobs.Pending {
			return refuse(syscall.EROFS, "there is nothing to decide: "+standing(j.Status))
		}
		if err := o.judge(ctx, j.ID, body); err != nil {
			return err
		}
		o.dropScratch(j.ID, f.sub)
		return nil
	}
	return o.renameScratch(j, f.sub, t.sub)
}

// release is mv held/x outputs/.
func (o *Owner) release(ctx context.Context, j jobs.Job, name, to string) error {
	if _, err := o.item(ctx, j, path.Join(heldName, name)); err != nil {
		return err
	}
	if strings.Contains(name, "/") || to != path.Join(jobs.OutputsDir, name) {
		return refuse(iofs.ErrPermission, "results keep their name and are released whole: mv held/"+strings.SplitN(name, "/", 2)[0]+" outputs/")
	}
	if err := o.cfg.Held.Release(ctx, j.ID, []string{name}, o.cfg.By); err != nil {
		return err
	}
	base := path.Join(string(j.ID.Submitter), j.ID.Name)
	o.tell(path.Join(base, statusName), path.Join(base, heldName), path.Join(base, jobs.OutputsDir), path.Join(base, jobs.OutputsDir, name))
	return nil
}

// Remove takes away an editor's own file, and nothing else.
func (o *Owner) Remove(ctx context.Context, rel string) error {
	p := o.place(rel)
	if p.deep >= 3 && o.dropScratch(p.id, p.sub) {
		return nil
	}
	if _, err := o.Lookup(ctx, rel); err != nil {
		return err
	}
	return refuse(syscall.EPERM, "jobs, what was submitted and what was answered are kept; reject a job you do not want to run")
}

// SetAttr lets an editor go through the motions on its own files and on DECISION.
func (o *Owner) SetAttr(ctx context.Context, rel string, a virtual.Attr) error {
	p := o.place(rel)
	if p.deep >= 3 {
		if ok, err := o.setScratch(p.id, p.sub, a); ok {
			return err
		}
		if p.sub == decisionName {
			_, err := o.Lookup(ctx, rel)
			return err
		}
	}
	if _, err := o.Lookup(ctx, rel); err != nil {
		return err
	}
	return refuse(syscall.EPERM, readOnly)
}

// Xattr answers user.syft.status and user.syft.digest of a job's folder.
func (o *Owner) Xattr(_ context.Context, rel, name string) ([]byte, error) {
	p := o.place(rel)
	if p.deep == 2 {
		j, err := o.job(p.id)
		if err != nil {
			return nil, err
		}
		switch {
		case name == attrStatus:
			return []byte(j.Status), nil
		case name == attrDigest && j.Digest != "":
			return []byte(j.Digest), nil
		}
	}
	return nil, syscall.ENODATA
}

// SetXattr sets nothing.
func (o *Owner) SetXattr(_ context.Context, _, name string, _ []byte) error {
	return xattrRefused(name)
}
