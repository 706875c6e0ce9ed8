package desk

import (
	"context"
	"errors"
	iofs "io/fs"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/virtual"
	"github.com/openmined/syftfs/jobs"
)

// List lists a folder.
func (o *Owner) List(ctx context.Context, rel string) ([]virtual.Entry, error) {
	p := o.place(rel)
	switch p.deep {
	case 0, 1:
		return o.listJobs(p)
	}
	j, err := o.job(p.id)
	if err != nil {
		return nil, err
	}
	if p.deep == 2 {
		return o.listJob(ctx, j)
	}
	first, rest, _ := strings.Cut(p.sub, "/")
	switch first {
	case jobs.CodeDir:
		fsys, err := o.cfg.Intake.Intake(j.ID)
		if err != nil {
			return nil, err
		}
		return listIn(fsys, p.sub)
	case heldName:
		fsys, err := o.held(j.ID)
		if err != nil {
			return nil, err
		}
		if rest == "" {
			rest = "."
		}
		return listIn(fsys, rest)
	case jobs.OutputsDir:
		if rest == "" {
			return o.listOutputs(ctx, j)
		}
	case logsName:
		if rest == "" {
			return o.listLogs(ctx, j)
		}
	}
	if _, err := o.item(ctx, j, p.sub); err != nil {
		return nil, err
	}
	return nil, &iofs.PathError{Op: "readdir", Path: rel, Err: syscall.ENOTDIR}
}

func (o *Owner) listJobs(p place) ([]virtual.Entry, error) {
	seen := map[string]bool{}
	var out []virtual.Entry
	for _, j := range o.cfg.Jobs.List() {
		e := folder(string(j.ID.Submitter), time.Time{})
		if p.deep == 1 {
			if j.ID.Submitter != p.id.Submitter {
				continue
			}
			e = jobFolder(j)
		}
		if !seen[e.Name] && datasite.CheckName(e.Name) == nil {
			seen[e.Name] = true
			out = append(out, e)
		}
	}
	if p.deep == 1 && len(out) == 0 {
		return nil, missing("readdir", string(p.id.Submitter))
	}
	slices.SortFunc(out, byName)
	return out, nil
}

func byName(a, b virtual.Entry) int { return strings.Compare(a.Name, b.Name) }

func (o *Owner) listJob(ctx context.Context, j jobs.Job) ([]virtual.Entry, error) {
	var out []virtual.Entry
	for _, name := range []string{jobs.CodeDir, jobs.ConfigFile, jobs.RunFile, statusName, jobs.StateFile, decisionName, heldName, jobs.OutputsDir, logsName} {
		e, err := o.item(ctx, j, name)
		switch {
		case err == nil:
			out = append(out, e)
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case !errors.Is(err, iofs.ErrNotExist):
			// One part that cannot be read must not hide the others; looking it up tells.
			o.cfg.Log.Warn("part of a job cannot be shown", "op", "readdir", "job", j.ID.String(), "path", name, "err", err)
		}
	}
	out = append(out, o.scratchEntries(j.ID)...)
	slices.SortFunc(out, byName)
	return out, nil
}

func (o *Owner) listOutputs(ctx context.Context, j jobs.Job) ([]virtual.Entry, error) {
	if _, err := o.outputs(ctx, j, ""); err != nil {
		return nil, err
	}
	dir := j.ID.Review().Join(jobs.OutputsDir)
	entries, err := o.cfg.Tree.List(ctx, dir)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []virtual.Entry
	for _, e := range entries {
		if !datasite.IsRuleName(e.Name) {
			out = append(out, stored(e.Name, dir.Join(e.Name)))
		}
	}
	return out, nil
}

func (o *Owner) listLogs(ctx context.Context, j jobs.Job) ([]virtual.Entry, error) {
	var out []virtual.Entry
	for _, name := range logFiles {
		if e, err := o.logs(ctx, j, name); err == nil {
			out = append(out, e)
		} else if !errors.Is(err, iofs.ErrNotExist) {
			return nil, err
		}
	}
	if len(out) == 0 {
		return nil, missing("readdir", logsName)
	}
	return out, nil
}
