package daemon

import (
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"os"

	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/jobs"
	"github.com/openmined/syftfs/jobs/desk"
	"github.com/openmined/syftfs/jobs/release"
	"github.com/openmined/syftfs/perm"
	"golang.org/x/sys/unix"
)

// jobTree is the owner's view as the job parts want it.
type jobTree struct{ *guard.View }

// OpenFile opens a regular file for reading.
func (t jobTree) OpenFile(ctx context.Context, p datasite.Path) (io.ReadCloser, error) {
	f, err := t.View.Open(ctx, p, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	return &reader{f: f}, nil
}

// Remove removes a file or an empty folder.
func (t jobTree) Remove(ctx context.Context, p datasite.Path) error {
	e, err := t.View.Stat(ctx, p)
	if err != nil {
		return err
	}
	if e.Mode.IsDir() {
		return t.View.Rmdir(ctx, p)
	}
	return t.View.Remove(ctx, p)
}

// reader reads an open file from its beginning.
type reader struct {
	f   *guard.File
	off int64
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.f.ReadAt(p, r.off)
	r.off += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func (r *reader) Close() error { return r.f.Close() }

// deskDoor lets the files of jobs/ decide and release through the service, which asks who may and writes it down.
type deskDoor struct {
	*release.Store // Held and FS
	s              *service.Service
	who            service.Caller
}

// Approve approves a digest.
func (d deskDoor) Approve(ctx context.Context, id jobs.ID, _ datasite.Identity, a jobs.Approval) error {
	_, err := d.s.JobApprove(ctx, d.who, service.Approval{Job: id.String(), Digest: a.Digest, Datasets: a.Datasets, Reason: a.Reason})
	return err
}

// Reject rejects a job.
func (d deskDoor) Reject(ctx context.Context, id jobs.ID, _ datasite.Identity, reason string) error {
	_, err := d.s.JobReject(ctx, d.who, service.Rejection{Job: id.String(), Reason: reason})
	return err
}

// Release lets held results go.
func (d deskDoor) Release(ctx context.Context, id jobs.ID, names []string, _ datasite.Identity) error {
	_, err := d.s.JobRelease(ctx, d.who, service.Release{Job: id.String(), Names: names})
	return err
}

// newDesk is jobs/ as the owner, or an administrator, sees it.
func (s *site) newDesk(who service.Caller) *desk.Owner {
	door := deskDoor{Store: s.held, s: s.service, who: who}
	return desk.NewOwner(desk.OwnerConfig{Owner: s.owner, By: datasite.Identity{Subject: s.owner, Account: who.Account}, Jobs: s.engine, Intake: s.engine,
		Decide: door, Held: door, Tree: jobTree{s.view}, Log: s.log})
}

// datasets says what a job may be granted: by the rules of the mock part, at the moment of asking.
type datasets struct{ s *site }

func (d datasets) names(ctx context.Context) ([]string, error) {
	entries, err := d.s.view.List(ctx, datasite.Path{Owner: d.s.owner, Rel: datasite.PublicDatasetsDir})
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Mode.IsDir() {
			names = append(names, e.Name)
		}
	}
	return names, nil
}

// Offered lists the datasets whose description u may read now.
func (d datasets) Offered(ctx context.Context, u perm.User) ([]string, error) {
	names, err := d.names(ctx)
	if err != nil {
		return nil, err
	}
	var offered []string
	for _, n := range names {
		p := datasite.Path{Owner: d.s.owner, Rel: datasite.PublicDatasetsDir}.Join(n, "dataset.yaml")
		if _, err := d.s.view.Stat(ctx, p); err != nil {
			continue // no dataset
		}
		dec, err := d.s.view.Explain(ctx, u, p, perm.Read)
		if err != nil {
			return nil, err
		}
		if dec.Allowed {
			offered = append(offered, n)
		}
	}
	return offered, nil
}

// Bind says where a dataset lies on this machine.
func (d datasets) Bind(ctx context.Context, name string) (jobs.Bind, error) {
	b := jobs.Bind{Name: name}
	for _, part := range []struct {
		dir string
		to  *string
	}{{datasite.PublicDatasetsDir, &b.Public}, {datasite.PrivateDatasetsDir, &b.Private}} {
		dir, err := datasite.Path{Owner: d.s.owner, Rel: part.dir}.Child(name)
		if err != nil {
			return jobs.Bind{}, err
		}
		e, err := d.s.view.Stat(ctx, dir)
		if err != nil {
			return jobs.Bind{}, err
		}
		if !e.Mode.IsDir() {
			return jobs.Bind{}, &iofs.PathError{Op: "bind", Path: dir.String(), Err: iofs.ErrNotExist}
		}
		*part.to = d.s.gate.HostPath(dir)
	}
	return b, nil
}
