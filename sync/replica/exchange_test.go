package replica

import (
	"testing"

	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
)

func TestPublishAndFollow(t *testing.T) {
	w := newWorld(t, owen, rachel)
	o, r := w.people[owen], w.people[rachel]
	o.tree.write(t, at(owen, "public/a.txt"), "one")
	o.tree.write(t, at(owen, "private/secret.txt"), "secret")
	o.tree.write(t, at(owen, "public/syft_datasets/d/x.csv"), "mock")
	o.sync(t)
	o.is(t, at(owen, "public/a.txt"), StateSynced)
	o.is(t, at(owen, "private/secret.txt"), StateLocal)
	r.sync(t)
	r.has(t, at(owen, "public/a.txt"), "one")
	r.is(t, at(owen, "public/a.txt"), StateRemote)
	if n := len(r.tree.of(owen)); n != 1 {
		t.Errorf("%d files were delivered, want 1", n)
	}
	if len(o.data.local) == 0 {
		t.Error("the collections were not told of the dataset")
	}
	o.tree.write(t, at(owen, "public/a.txt"), "two")
	o.tree.move(t, at(owen, "public"), at(owen, "open"))
	o.light(t)
	r.light(t)
	if got := r.tree.of(owen); len(got) != 2 || got["open/a.txt"] != "two" {
		t.Errorf("after a rename: %v", got)
	}
	o.tree.remove(t, at(owen, "open"))
	o.light(t)
	r.light(t)
	if got := r.tree.of(owen); len(got) != 0 {
		t.Errorf("after a removal: %v", got)
	}
	if len(r.tree.of(rachel)) != 0 || r.tree.applied == 0 {
		t.Error("nothing came")
	}
}

func TestIdleIsOneRequest(t *testing.T) {
	w := newWorld(t, owen, rachel, sam)
	o := w.people[owen]
	o.tree.write(t, at(owen, "a"), "x")
	o.sync(t)
	o.light(t)
	clear(o.count)
	o.light(t)
	if len(o.count) != 1 || o.count[remote.OpSince] != 1 {
		t.Errorf("an idle round asks %v", o.count)
	}
}

func TestOneFileCosts(t *testing.T) {
	w := newWorld(t, owen, rachel)
	o, r := w.people[owen], w.people[rachel]
	o.tree.write(t, at(owen, "a"), "x")
	for range 2 {
		o.sync(t)
		r.sync(t)
	}
	o.light(t)
	r.light(t)
	clear(o.count)
	clear(r.count)
	o.tree.write(t, at(owen, "a"), "y")
	o.light(t)
	r.light(t)
	r.has(t, at(owen, "a"), "y")
	ids := o.count[remote.OpNewIDs] // drawn by the thousand by remote.Pool
	total := -ids
	for _, n := range o.count {
		total += n
	}
	for _, n := range r.count {
		total += n
	}
	if total > 5 {
		t.Errorf("one changed file costs %d requests: %v and %v", total, o.count, r.count)
	}
}

func TestProposal(t *testing.T) {
	w := newWorld(t, owen, rachel, sam)
	o, r, s := w.people[owen], w.people[rachel], w.people[sam]
	o.allow(perm.Write)
	job := at(owen, "app_data/job/inbox/rachel@science.example/analysis")
	r.tree.place(t, job, map[string]string{"run.sh": "echo", "code/main.py": "print(1)", "config.yaml": "name: analysis"})
	r.light(t)
	r.is(t, job.Join("run.sh"), StateProposed)
	r.is(t, job, StateProposed)
	if n := len(messages(t, r.store, w.folder(t, owen, rachel, 3))); n != 1 {
		t.Fatalf("%d proposals, want 1 for the whole job", n)
	}
	o.light(t)
	if got := o.tree.of(owen); len(got) != 3 {
		t.Fatalf("the owner has %v", got)
	}
	o.is(t, job, StateSynced)
	if n := len(messages(t, r.store, w.folder(t, owen, rachel, 3))); n != 0 {
		t.Errorf("%d proposals left in the inbox", n)
	}
	r.light(t)
	r.is(t, job, StateRemote)
	s.light(t)
	if len(s.tree.of(owen)) != 3 {
		t.Error("another reader is not told of what was accepted")
	}
	// A revision that drops a file.
	r.tree.place(t, job, map[string]string{"run.sh": "echo 2", "config.yaml": "name: analysis"})
	r.light(t)
	o.light(t)
	r.light(t)
	if got := o.tree.of(owen); len(got) != 2 || got[job.Rel+"/run.sh"] != "echo 2" {
		t.Errorf("after the revision: %v", got)
	}
	r.is(t, job, StateRemote)
	st, err := o.Status(t.Context())
	if err != nil || len(st.Aside) != 0 || st.Problem != "" {
		t.Errorf("status %+v, %v", st, err)
	}
}
