package service

import (
	"context"
	"fmt"
	iofs "io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/openmined/syftfs/jobs"
	"github.com/openmined/syftfs/jobs/draft"
	"github.com/openmined/syftfs/perm"
)

// fakeDrafts is one draft.
type fakeDrafts struct {
	d     draft.Draft
	err   error // of Submit
	open  int   // so many times more a file is still open
	tries int
}

func (f *fakeDrafts) Drafts(owner perm.User) (Drafts, error) {
	if owner != rachel {
		return nil, fmt.Errorf("no peer: %w", iofs.ErrNotExist)
	}
	return f, nil
}

func (f *fakeDrafts) Draft(name string) (draft.Draft, error) {
	if name != f.d.Name {
		return draft.Draft{}, &iofs.PathError{Op: "stat", Path: name, Err: iofs.ErrNotExist}
	}
	d := f.d
	d.Open = max(0, f.open)
	return d, nil
}

func (f *fakeDrafts) Submit(context.Context, string) error {
	f.tries++
	if f.open != 0 {
		f.open--
		return &draft.Error{Reason: "it is still being written", Err: syscall.EBUSY}
	}
	if f.err == nil {
		f.d.Revision, f.d.Digest = f.d.Revision+1, "sha256:12"
	}
	return f.err
}

func TestJobSubmit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, err := w.JobSubmit(ctx, root, Submission{Owner: string(rachel), Name: "sum"})
		wantCode(t, err, NotRunning, "", "syftfs auth")
		f := &fakeDrafts{d: draft.Draft{ID: jobs.ID{Owner: rachel, Submitter: owen, Name: "sum"}, Name: "sum.py", Files: 3, Size: 100, LeftOut: []string{".git"}}}
		w.Submitters = f
		for _, c := range []struct {
			name  string
			q     Submission
			code  Code
			field string
		}{
			{"no address", Submission{Owner: "rachel", Name: "sum.py"}, BadEmail, "owner"},
			{"to oneself", Submission{Owner: string(owen), Name: "sum.py"}, BadInput, "owner"},
			{"no name", Submission{Owner: string(rachel)}, BadInput, "name"},
			{"a path", Submission{Owner: string(rachel), Name: "../x"}, BadInput, "name"},
			{"no peer", Submission{Owner: string(nina), Name: "sum.py"}, NotFound, "owner"},
			{"no draft", Submission{Owner: string(rachel), Name: "none"}, NotFound, ""},
		} {
			_, err := w.JobSubmit(ctx, root, c.q)
			wantCode(t, err, c.code, c.field)
		}
		if f.tries > 0 {
			t.Error("something was submitted")
		}
		q := Submission{Owner: "Rachel@uni.example", Name: "sum.py"}
		f.open = 2
		done, err := w.JobSubmit(ctx, root, q)
		must(t, err)
		if done.Digest != "sha256:12" || done.Name != "sum" || done.Owner != string(rachel) || done.Revision != 1 || done.Files != 3 || len(done.LeftOut) != 1 || done.Findings == nil || f.tries != 3 {
			t.Errorf("%+v after %d tries", done, f.tries)
		}
		f.open = 1 << 20
		_, err = w.JobSubmit(ctx, root, q)
		wantCode(t, err, Busy, "", "still being written")
		f.open = -1 // busy for another reason: there is nothing to wait for
		f.tries = 0
		_, err = w.JobSubmit(ctx, root, q)
		wantCode(t, err, Busy, "")
		if f.tries != 2 {
			t.Errorf("%d tries", f.tries)
		}
		f.open, f.err = 0, &draft.Error{Reason: "the owner decided", Err: syscall.EROFS}
		_, err = w.JobSubmit(ctx, root, q)
		wantCode(t, err, Conflict, "", "the owner decided")
		f.open = 1 << 20
		gone, cancel := context.WithCancel(ctx)
		cancel()
		if _, err = w.JobSubmit(gone, root, q); err == nil || !strings.Contains(err.Error(), "canceled") {
			t.Errorf("%v", err)
		}
		all := entries(t, filepath.Join(w.dir, "audit.jsonl"))
		if all[1].Action != "job.submit" || all[1].Target != "rachel@uni.example sum.py" || all[1].Result != "ok" {
			t.Errorf("%+v", all[1])
		}
	})
}

func TestDatasetSharing(t *testing.T) {
	w := newWorld(t)
	w.put(map[string]string{"files/mock": "1\n", "files/real": "2\n"})
	_, err := w.DatasetCreate(ctx, root, NewDataset{Name: "x", Mock: filepath.Join(w.dir, "files/mock"), Private: filepath.Join(w.dir, "files/real")})
	must(t, err)
	for _, c := range []struct {
		q     DatasetSharing
		code  Code
		field string
	}{{DatasetSharing{Name: "x"}, BadInput, "readers"}, {DatasetSharing{Name: "none", Readers: []string{"any"}}, NotFound, ""}, {DatasetSharing{Name: "x", Readers: []string{"rachel"}}, BadEmail, ""},
		{DatasetSharing{Name: "../x", Readers: []string{"any"}}, BadInput, ""}} {
		_, err := w.DatasetShare(ctx, root, c.q)
		wantCode(t, err, c.code, c.field)
		_, err = w.DatasetUnshare(ctx, root, c.q)
		wantCode(t, err, c.code, c.field)
	}
	d, err := w.DatasetShare(ctx, root, DatasetSharing{Name: "x", Readers: []string{string(rachel), "any"}})
	must(t, err)
	if len(d.Readers) != 2 {
		t.Errorf("%q", d.Readers)
	}
	if d, err = w.DatasetUnshare(ctx, root, DatasetSharing{Name: "x", Readers: []string{"any", string(rachel)}}); err != nil || len(d.Readers) != 0 {
		t.Errorf("%q, %v", d.Readers, err)
	}
	gone, err := w.DatasetDelete(ctx, root, DatasetDeletion{Name: "x"})
	must(t, err)
	if !gone.Mock || gone.Private || gone.Left != "owen@lab.example/private/syft_datasets/x" {
		t.Errorf("%+v", gone)
	}
	if gone, err = w.DatasetDelete(ctx, root, DatasetDeletion{Name: "x", Private: true}); err != nil || gone.Mock || !gone.Private || gone.Left != "" {
		t.Errorf("%+v, %v", gone, err)
	}
	_, err = w.DatasetDelete(ctx, root, DatasetDeletion{Name: "x", Private: true})
	wantCode(t, err, NotFound, "")
}
