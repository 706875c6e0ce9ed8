package daemon

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openmined/syftfs/cmd/internal/config"
	"github.com/openmined/syftfs/cmd/internal/control"
	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/fusetree"
	"github.com/openmined/syftfs/fs/virtual"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/account"
)

// mountAt mounts the tree for one identity, with .syft, the datasites link and, where there is one, jobs/: of this datasite, and of a peer's
// what peerJobs gives. A mount that a crash left dead is detached first.
func (s *site) mountAt(ctx context.Context, who datasite.Identity, dir string, readOnly bool, folder *control.Folder, jobsDir virtual.Provider,
	peerJobs func(owner perm.User) virtual.Provider) (*fusetree.Mount, error) {
	if err := fusetree.Recover(dir); err != nil {
		return nil, err
	}
	root := map[string]virtual.Provider{control.Name: folder, "datasites": control.Link{Name: "datasites", Target: ".", At: s.started}}
	own := map[string]virtual.Provider{}
	if jobsDir != nil {
		own[datasite.JobsDir] = jobsDir
	}
	return fusetree.Serve(ctx, s.gate, fusetree.Options{Mountpoint: dir, As: who, ReadOnly: readOnly, Log: s.log, Refused: folder.Refused,
		Features: fusetree.Features{SharedLocks: s.cfg.Locks == "shared"},
		Virtual: func(p datasite.Path) map[string]virtual.Provider {
			switch {
			case p.IsRoot():
				return root
			case p.Rel != "":
				return nil
			case p.Owner == s.owner:
				return own
			}
			if peer := peerJobs(p.Owner); peer != nil {
				return map[string]virtual.Provider{datasite.JobsDir: peer}
			}
			return nil
		}})
}

// noPeers is for views, which show this datasite alone.
func noPeers(perm.User) virtual.Provider { return nil }

// peerJobs is jobs/ in a peer's datasite, for the owner's mount.
func (s *site) peerJobs(owner perm.User) virtual.Provider {
	if sub := s.drafts.toPeer(owner); sub != nil {
		return sub.desk
	}
	return nil
}

// views are the mounts with another identity than the owner's. It fits service.Views.
type views struct {
	site *site

	mu   sync.Mutex // guards open and done
	open map[string]*openView
	done bool
	wg   sync.WaitGroup
}

type openView struct {
	service.View
	mount *fusetree.Mount
	timer *time.Timer // of a preview
	leave func()
	run   bool          // its folder goes with it
	gone  chan struct{} // closed when it is forgotten
}

// Open mounts a view.
func (v *views) Open(ctx context.Context, who datasite.Identity, o service.ViewOptions) (service.View, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.done {
		return service.View{}, errors.New("the datasite is stopping")
	}
	if v.open[o.Dir] != nil {
		return service.View{}, &service.Error{Code: service.Conflict, Field: "dir", Message: fmt.Sprintf("%s is a view already: take it away with `syftfs view umount %s`", o.Dir, o.Dir)}
	}
	s := v.site
	if config.Overlap(o.Dir, s.dir) {
		return service.View{}, &service.Error{Code: service.BadInput, Field: "dir", Message: fmt.Sprintf("%s and the state folder %s lie in each other: choose another folder for the view", o.Dir, s.dir)}
	}
	name, self, jobsDir, leave := "a guest", service.Guest, virtual.Provider(nil), func() {}
	var sub *submitter
	if o.Email != "" {
		name, self = string(o.Email), string(o.Email)
		if who.Subject == o.Email {
			a, err := s.accounts.Get(who.Account)
			if err != nil {
				return service.View{}, err
			}
			if a.Role == account.DataScientist {
				if sub, err = s.drafts.of(a); err != nil {
					return service.View{}, err
				}
				jobsDir = sub.desk
			}
		} else if who.Subject == s.owner {
			jobsDir = s.newDesk(service.Caller{Account: who.Account, Via: "mount"})
		}
	}
	mount, err := s.mountAt(context.WithoutCancel(ctx), who, o.Dir, !o.Write, control.New(name, nil, service.NewExplainer(s.service, s.gate.View(who, nil), self), time.Now), jobsDir, noPeers)
	if err != nil {
		return service.View{}, &service.Error{Code: service.Machine, Field: "dir", Message: err.Error(), Err: err}
	}
	if sub != nil {
		sub.watch(o.Dir, func(rel string) { mount.InvalidateVirtual(datasite.Path{Owner: s.owner}, datasite.JobsDir, rel) })
		leave = func() { sub.watch(o.Dir, nil) }
	}
	ov := &openView{View: service.View{Dir: o.Dir, Email: emailOf(o.Email), Write: o.Write}, mount: mount, leave: leave, run: o.Run, gone: make(chan struct{})}
	if o.TTL > 0 {
		ov.Expires = time.Now().Add(o.TTL)
		ov.timer = time.AfterFunc(o.TTL, func() { v.expire(ov) })
	}
	v.open[o.Dir] = ov
	if err := v.remember(); err != nil {
		leave()
		delete(v.open, o.Dir)
		return service.View{}, errors.Join(err, mount.Close(ctx))
	}
	v.wg.Go(func() { // gone, by us or from outside
		mount.Wait()
		v.forget(ov)
	})
	return ov.View, nil
}

func emailOf(u perm.User) string { return string(u) }

func (v *views) expire(ov *openView) {
	ctx, cancel := context.WithTimeout(context.Background(), StopLimit)
	defer cancel()
	if err := ov.mount.Close(ctx); err != nil {
		v.site.problem("taking an expired view away", err)
	}
}

func (v *views) forget(ov *openView) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if ov.timer != nil {
		ov.timer.Stop()
	}
	ov.leave()
	close(ov.gone)
	if ov.run {
		_ = os.Remove(ov.Dir) // whoever made it may have been killed; what is not empty is not ours
	}
	if v.open[ov.Dir] != ov {
		return
	}
	delete(v.open, ov.Dir)
	if err := v.remember(); err != nil {
		v.site.log.Error("the list of open views is not up to date", "err", err)
	}
}

// viewsFile lists the open views, so that a start after a crash finds their dead mounts.
const viewsFile = "views.json"

// remember writes the list of open views. mu is held.
func (v *views) remember() error {
	list := []service.View{}
	for _, ov := range v.open {
		list = append(list, ov.View)
	}
	return v.site.state.WriteJSON("views", viewsFile, list)
}

// reopen detaches what a crash left of the views, and mounts those again that were a place to work.
func (v *views) reopen(ctx context.Context) error {
	var left []service.View
	if err := v.site.state.ReadJSON(viewsFile, &left); err != nil {
		if errors.Is(err, iofs.ErrNotExist) {
			return nil
		}
		return err
	}
	for _, l := range left {
		if err := fusetree.Recover(l.Dir); err != nil {
			v.site.problem("detaching the dead view "+l.Dir, err)
			continue
		}
		if !l.Lasting() {
			continue
		}
		a, err := v.site.accounts.Get(l.Email)
		if err != nil {
			v.site.problem("opening the view "+l.Dir+" again", err)
			continue
		}
		subject, err := v.site.accounts.Subject(a.ID)
		if err == nil {
			_, err = v.Open(ctx, datasite.Identity{Subject: subject, Account: a.ID}, service.ViewOptions{Dir: l.Dir, Email: a.Email, Write: true})
		}
		if err != nil {
			v.site.problem("opening the view "+l.Dir+" again", err)
		}
	}
	return nil
}

// List lists the open views by folder.
func (v *views) List() []service.View {
	v.mu.Lock()
	defer v.mu.Unlock()
	list := []service.View{}
	for _, ov := range v.open {
		list = append(list, ov.View)
	}
	slices.SortFunc(list, func(a, b service.View) int { return strings.Compare(a.Dir, b.Dir) })
	return list
}

// Gone gives what is closed when the view at dir is no longer mounted.
func (v *views) Gone(dir string) (<-chan struct{}, error) {
	ov, err := v.at(dir)
	if err != nil {
		return nil, err
	}
	return ov.gone, nil
}

// Close unmounts a view.
func (v *views) Close(ctx context.Context, dir string) error {
	ov, err := v.at(dir)
	if err != nil {
		return err
	}
	return ov.mount.Close(ctx)
}

func (v *views) at(dir string) (*openView, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if ov := v.open[dir]; ov != nil {
		return ov, nil
	}
	return nil, &service.Error{Code: service.NotFound, Field: "dir", Message: dir + " is not a view of this datasite: `syftfs view list` names them"}
}

func (v *views) close(ctx context.Context) error {
	v.mu.Lock()
	v.done = true
	all := make([]*openView, 0, len(v.open))
	for _, ov := range v.open {
		all = append(all, ov)
	}
	v.mu.Unlock()
	var errs []error
	for _, ov := range all {
		errs = append(errs, ov.mount.Close(ctx))
	}
	for _, ov := range all {
		select {
		case <-ov.gone:
		case <-ctx.Done(): // a mount that is held in another namespace ends with this process
			return errors.Join(append(errs, context.Cause(ctx))...)
		}
	}
	v.wg.Wait()
	return errors.Join(errs...)
}
