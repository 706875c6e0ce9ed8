package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"slices"
)

const changedAfter = "changed after approval: the inbox no longer holds what was approved; the run has the approved files"

// compare notes when the inbox no longer holds what was approved. Nothing is copied.
func (e *Engine) compare(ctx context.Context, id ID, j *job, l listing) error {
	if j.rec.Revision == 0 || j.rec.Approved == nil || j.rec.Status == Rejected || (j.rec.Stamp != "" && j.rec.Stamp == l.stamp) {
		return nil
	}
	differs := l.broken != nil || len(l.paths) != len(j.files)
	var m manifest
	for i := 0; i < len(l.paths) && !differs; i++ {
		want := j.files[i]
		if differs = l.paths[i] != want.Path || l.sizes[want.Path] != want.Size; differs {
			break
		}
		got, err := e.hash(ctx, id, want.Path, &m)
		if err != nil {
			return err
		}
		differs = got != want
	}
	next := *j
	next.rec.Stamp = l.stamp
	if differs {
		return e.note(&next, "note", changedAfter)
	}
	if l.stamp == "" {
		return nil
	}
	return e.save("note", &next)
}

func (e *Engine) hash(ctx context.Context, id ID, p string, m *manifest) (File, error) {
	src, err := e.cfg.Tree.OpenFile(ctx, id.Inbox().Join(p))
	if errors.Is(err, iofs.ErrNotExist) {
		return File{}, nil
	}
	if err != nil {
		return File{}, err
	}
	defer src.Close()
	if err := m.add(p, src, io.Discard); err != nil && !errors.Is(err, ErrTooBig) {
		return File{}, err
	} else if err != nil {
		return File{}, nil
	}
	return m.files[len(m.files)-1], nil
}

// note adds a sentence to the job, once, and records what else changed in it.
func (e *Engine) note(j *job, step, text string) error {
	next := *j
	if !slices.Contains(next.rec.Notes, text) {
		next.rec.Notes = append(slices.Clone(next.rec.Notes), text)
	}
	if now := e.peek(j.rec.id(e.cfg.Owner)); now != nil && same(now.rec, next.rec) {
		return nil
	}
	return e.save(step, &next)
}

// publish makes state.yaml in the review folder say what the record says. What else stood there is overwritten: it is output.
func (e *Engine) publish(ctx context.Context, id ID) error {
	j := e.peek(id)
	if j == nil || j.rec.Adopted {
		return nil
	}
	p := id.Review().Join(StateFile)
	want := j.rec.state().Marshal()
	have, err := e.read(ctx, p, int64(len(want))+1)
	if err == nil && string(have) == string(want) {
		return nil
	}
	if j.rec.Status == Received && errors.Is(err, iofs.ErrNotExist) {
		return nil // as long as nothing was answered, nothing is
	}
	// Whatever else keeps it from being read (a link, a folder): writing it replaces that, or fails with the reason.
	if err := e.jobs.Step("publish"); err != nil {
		return fmt.Errorf("job %s: publish: %w", id, err)
	}
	if err := e.cfg.Tree.Write(ctx, p, want); err != nil {
		return fmt.Errorf("job %s: %w", id, err)
	}
	return nil
}
