package desk

import (
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"testing/fstest"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/jobs"
	"github.com/openmined/syftfs/jobs/release"
)

const (
	owner     = "do@lab.org"
	submitter = "ds@uni.edu"
	digest    = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

func jobID(name string) jobs.ID { return jobs.ID{Owner: owner, Submitter: submitter, Name: name} }

// engine is an owner's side in memory: jobs, intake copies, held results and the stored tree.
type engine struct {
	mu       sync.Mutex
	jobs     map[jobs.ID]jobs.Job
	intake   map[jobs.ID]iofs.FS
	hold     map[jobs.ID]fstest.MapFS
	tree     fstest.MapFS // by the full path
	approved []jobs.Approval
	rejected []string
	by       datasite.Identity
}

func newEngine() *engine {
	return &engine{jobs: map[jobs.ID]jobs.Job{}, intake: map[jobs.ID]iofs.FS{}, hold: map[jobs.ID]fstest.MapFS{}, tree: fstest.MapFS{}}
}

func (e *engine) add(name string, st jobs.Status) jobs.ID {
	id := jobID(name)
	e.jobs[id] = jobs.Job{ID: id, Status: st, Revision: 1, Digest: digest, Size: 2048, Files: make([]jobs.File, 3),
		Offered: []string{"census", "trial"}, Preselected: []string{"census"}, Message: "because"}
	e.intake[id] = fstest.MapFS{"config.yaml": {Data: []byte("name: x\n")}, "run.sh": {Data: []byte("true\n")}, "code/main.py": {Data: []byte("print()\n")}}
	e.tree[path.Join(id.Review().String(), "state.yaml")] = &fstest.MapFile{Data: []byte("status: " + string(st) + "\n")}
	return id
}

func (e *engine) List() []jobs.Job {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []jobs.Job
	for _, j := range e.jobs {
		out = append(out, j)
	}
	return out
}

func (e *engine) Get(id jobs.ID) (jobs.Job, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	j, ok := e.jobs[id]
	if !ok {
		return jobs.Job{}, missing("get", id.String())
	}
	return j, nil
}

func (e *engine) Intake(id jobs.ID) (iofs.FS, error) {
	if f := e.intake[id]; f != nil {
		return f, nil
	}
	return nil, missing("intake", id.String())
}

func (e *engine) Approve(_ context.Context, id jobs.ID, by datasite.Identity, a jobs.Approval) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	j := e.jobs[id]
	if j.Status != jobs.Pending {
		return errors.New("it is not pending")
	}
	if !strings.HasPrefix(digest, "sha256:"+a.Digest) {
		return errors.New("the digest is another one")
	}
	j.Status = jobs.Approved
	e.jobs[id], e.approved, e.by = j, append(e.approved, a), by
	return nil
}

func (e *engine) Reject(_ context.Context, id jobs.ID, by datasite.Identity, reason string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	j := e.jobs[id]
	j.Status = jobs.Rejected
	e.jobs[id], e.rejected, e.by = j, append(e.rejected, reason), by
	return nil
}

func (e *engine) Held(id jobs.ID) ([]release.Item, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []release.Item
	for p, f := range e.hold[id] {
		out = append(out, release.Item{Path: p, Size: int64(len(f.Data))})
	}
	slices.SortFunc(out, func(a, b release.Item) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

func (e *engine) FS(id jobs.ID) (iofs.FS, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.hold[id] == nil {
		return nil, missing("held", id.String())
	}
	return e.hold[id], nil
}

func (e *engine) Release(_ context.Context, id jobs.ID, names []string, _ datasite.Identity) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, n := range names {
		for p, f := range e.hold[id] {
			if p == n || strings.HasPrefix(p, n+"/") {
				e.tree[path.Join(id.Review().String(), "outputs", p)] = f
				delete(e.hold[id], p)
			}
		}
	}
	return nil
}

func (e *engine) Stat(_ context.Context, p datasite.Path) (datasite.Entry, error) {
	i, err := e.tree.Stat(p.String())
	if err != nil {
		return datasite.Entry{}, err
	}
	return datasite.Entry{Name: i.Name(), Mode: i.Mode()}, nil
}

func (e *engine) OpenFile(_ context.Context, p datasite.Path) (io.ReadCloser, error) {
	return e.tree.Open(p.String())
}

func (e *engine) visible(_ context.Context, p datasite.Path) bool {
	_, err := e.tree.Stat(p.String())
	return err == nil
}

// stored is the tree part, whose List has another meaning than the engine's.
type storedTree struct{ *engine }

func (e storedTree) List(_ context.Context, p datasite.Path) ([]datasite.Entry, error) {
	entries, err := e.tree.ReadDir(p.String())
	var out []datasite.Entry
	for _, d := range entries {
		out = append(out, datasite.Entry{Name: d.Name()})
	}
	return out, err
}

func newOwner(e *engine) *Owner {
	return NewOwner(OwnerConfig{Owner: owner, Jobs: e, Intake: e, Decide: e, Held: e, Tree: storedTree{e}})
}
