package replica

import (
	"bytes"
	"compress/gzip"
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
)

// drop puts bytes into a folder, as an account.
func drop(t testing.TB, r remote.Remote, folder remote.ID, name string, body []byte) remote.ID {
	t.Helper()
	ids, err := r.NewIDs(context.Background(), 1)
	if err == nil {
		err = r.Put(context.Background(), remote.Spec{ID: ids[0], Name: name, Parent: folder}, remote.Bytes(body))
	}
	if err != nil {
		t.Fatal(err)
	}
	return ids[0]
}

// proposal makes a message of one change.
func proposal(t testing.TB, w *world, from perm.User, p datasite.Path, before datasite.Hash, body string) (name string, packed []byte) {
	t.Helper()
	m := wire.Proposal{ID: wire.NewID(), UID: wire.NewID().String(), Submitted: wire.TimeOf(w.clock.Now()), Sender: from, Owner: p.Owner,
		Items: []wire.Item{{ID: wire.NewID(), Op: datasite.OpWrite, Path: p, Before: before, After: sum(body), Content: []byte(body), Submitted: wire.TimeOf(w.clock.Now())}}}
	packed, err := wire.Codec{}.EncodeProposal(m, true)
	if err != nil {
		t.Fatal(err)
	}
	return m.Name().String(), packed
}

func TestBadProposals(t *testing.T) {
	p := at(owen, "in/x")
	for _, tt := range []struct {
		name string
		put  func(t *testing.T, w *world, inbox remote.ID)
		why  string
	}{
		{"a forged sender", func(t *testing.T, w *world, inbox remote.ID) {
			name, body := proposal(t, w, sam, p, datasite.Hash{}, "forged")
			drop(t, w.people[rachel].store, inbox, name, body)
		}, "not from whom it claims to be"},
		{"another datasite", func(t *testing.T, w *world, inbox remote.ID) {
			name, body := proposal(t, w, rachel, at(sam, "in/x"), datasite.Hash{}, "forged")
			drop(t, w.people[rachel].store, inbox, name, body)
		}, "not from whom it claims to be"},
		{"a file of somebody else", func(t *testing.T, w *world, inbox remote.ID) {
			if err := w.people[rachel].store.Grant(context.Background(), inbox, remote.Grant{Who: string(sam), Role: remote.CanWrite}); err != nil {
				t.Fatal(err)
			}
			name, body := proposal(t, w, rachel, p, datasite.Hash{}, "forged")
			drop(t, w.people[sam].store, inbox, name, body)
		}, "put there by"},
		{"a bomb", func(t *testing.T, w *world, inbox remote.ID) {
			name, body := proposal(t, w, rachel, p, datasite.Hash{}, strings.Repeat("a", 16<<20))
			if len(body) > 1<<20 {
				t.Fatal("it does not shrink")
			}
			drop(t, w.people[rachel].store, inbox, name, body)
		}, "over the limit"},
		{"too large to fetch", func(t *testing.T, w *world, inbox remote.ID) {
			name, _ := proposal(t, w, rachel, p, datasite.Hash{}, "x")
			drop(t, w.people[rachel].store, inbox, name, make([]byte, 2<<20))
		}, "at most 1048576 are taken"},
		{"no archive", func(t *testing.T, w *world, inbox remote.ID) {
			name, _ := proposal(t, w, rachel, p, datasite.Hash{}, "x")
			drop(t, w.people[rachel].store, inbox, name, []byte("hello"))
		}, ""},
		{"a private path", func(t *testing.T, w *world, inbox remote.ID) {
			m := wire.Proposal{ID: wire.NewID(), UID: wire.NewID().String(), Submitted: wire.TimeOf(w.clock.Now()), Sender: rachel, Owner: owen,
				Items: []wire.Item{{ID: wire.NewID(), Op: datasite.OpWrite, Path: at(owen, "public/secret"), After: sum("x"), Content: []byte("x"), Submitted: 1}}}
			body, err := wire.Codec{}.EncodeProposal(m, true)
			if err != nil {
				t.Fatal(err)
			}
			drop(t, w.people[rachel].store, inbox, m.Name().String(), repack(t, body, "public/secret", "private/x"))
		}, "not exchanged"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, owen, rachel, sam)
			o, r := w.people[owen], w.people[rachel]
			o.edit = func(c *Config) { c.Codec.Limits = wire.Limits{Packed: 1 << 20, Unpacked: 8 << 20} }
			o.restart(t)
			o.allow(perm.Write)
			inbox := w.folder(t, owen, rachel, wire.InboxFolder)
			o.light(t)
			tt.put(t, w, inbox)
			good, body := proposal(t, w, rachel, at(owen, "in/good"), datasite.Hash{}, "good")
			drop(t, r.store, inbox, good, body)
			o.light(t)
			o.has(t, at(owen, "in/good"), "good")
			o.has(t, p, "")
			if got := o.tree.of(owen); len(got) != 1 {
				t.Errorf("the tree holds %v", got)
			}
			st, err := o.Status(context.Background())
			if err != nil || len(st.Aside) != 1 || !strings.Contains(st.Aside[0].Reason, tt.why) {
				t.Fatalf("aside: %+v, %v", st.Aside, err)
			}
			if n := len(messages(t, r.store, inbox)); n != 0 {
				t.Errorf("%d messages are left in the inbox", n)
			}
			clear(o.count)
			o.light(t)
			if o.count[remote.OpGet] != 0 {
				t.Error("a bad message is fetched again")
			}
		})
	}
}

// repack replaces text in the JSON of an archive, by text of the same length or shorter, filled with spaces after the JSON.
func repack(t testing.TB, packed []byte, old, by string) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	var raw, out bytes.Buffer
	if _, err := raw.ReadFrom(z); err != nil {
		t.Fatal(err)
	}
	body := bytes.Replace(raw.Bytes(), []byte(`"`+old+`"`), []byte(`"`+by+`"`+strings.Repeat(" ", len(old)-len(by))), 1)
	w := gzip.NewWriter(&out)
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestBadEvents(t *testing.T) {
	w := newWorld(t, owen, rachel, sam)
	o, r := w.people[owen], w.people[rachel]
	outbox := w.folder(t, owen, rachel, wire.OutboxFolder)
	r.light(t)
	e := wire.Events{ID: wire.NewID(), At: wire.TimeOf(w.clock.Now()), Owner: owen, Items: []wire.Item{{ID: wire.NewID(), Op: datasite.OpWrite,
		Path: at(owen, "a"), After: sum("x"), Content: []byte("x"), Submitted: 1, Accepted: 1}}}
	body, err := wire.Codec{}.EncodeEvents(e)
	if err != nil {
		t.Fatal(err)
	}
	drop(t, r.store, outbox, e.Name().String(), body) // the folder is rachel's own, so is this file
	other := e
	other.ID = wire.NewID()
	drop(t, o.store, outbox, other.Name().String(), []byte("nonsense"))
	r.light(t)
	r.has(t, at(owen, "a"), "")
	st, err := r.Status(context.Background())
	if err != nil || len(st.Aside) != 2 {
		t.Fatalf("aside: %+v, %v", st.Aside, err)
	}
	o.tree.write(t, at(owen, "a"), "true")
	o.light(t)
	r.light(t)
	r.has(t, at(owen, "a"), "true")
}

func TestNoRight(t *testing.T) {
	w := newWorld(t, owen, rachel)
	o, r := w.people[owen], w.people[rachel]
	o.tree.level = func(_ perm.User, p datasite.Path) perm.Level {
		if strings.HasPrefix(p.Rel, "in/") {
			return perm.Write
		}
		return perm.Read
	}
	o.tree.write(t, at(owen, "fixed"), "1")
	o.light(t)
	r.light(t)
	r.tree.write(t, at(owen, "in/ok"), "ok")
	r.tree.write(t, at(owen, "fixed"), "2")
	r.tree.write(t, at(owen, "new"), "3")
	r.light(t)
	o.light(t)
	o.has(t, at(owen, "in/ok"), "ok")
	o.has(t, at(owen, "fixed"), "1")
	o.has(t, at(owen, "new"), "")
	r.light(t)
	r.is(t, at(owen, "in/ok"), StateRemote)
	// What its owner has stands, ours is kept beside it; what its owner has not stays where it is.
	r.has(t, at(owen, "fixed"), "1")
	r.is(t, at(owen, "fixed"), StateConflict)
	if !r.tree.kept("2") {
		t.Error("rachel's version is lost")
	}
	r.has(t, at(owen, "new"), "3")
	r.is(t, at(owen, "new"), StateRefused)
	list, err := r.Conflicts()
	if err != nil || len(list) != 1 || list[0].Path != at(owen, "fixed") || list[0].By != owen {
		t.Errorf("conflicts: %+v, %v", list, err)
	}
	if err := r.Wait(context.Background(), at(owen, "new")); err == nil || !strings.Contains(err.Error(), "did not take") {
		t.Errorf("wait for a refused change: %v", err)
	}
	r.tree.remove(t, list[0].Copy)
	r.light(t)
	if list, err = r.Conflicts(); err != nil || len(list) != 0 {
		t.Errorf("conflicts after the copy was removed: %+v, %v", list, err)
	}
	// A changed file is proposed again.
	o.allow(perm.Write)
	r.tree.write(t, at(owen, "new"), "4")
	r.light(t)
	o.light(t)
	r.light(t)
	o.has(t, at(owen, "new"), "4")
	r.is(t, at(owen, "new"), StateRemote)
}

// TestNoOracle: who may not see a file does not learn by proposing it what is in it.
func TestNoOracle(t *testing.T) {
	answer := func(guess string) []wire.Item {
		w := newWorld(t, owen, rachel)
		o, r := w.people[owen], w.people[rachel]
		o.allow(perm.None)
		o.tree.write(t, at(owen, "hidden"), "secret")
		o.light(t)
		name, body := proposal(t, w, rachel, at(owen, "hidden"), sum("x"), guess)
		drop(t, r.store, w.folder(t, owen, rachel, wire.InboxFolder), name, body)
		o.light(t) // at once, whatever it is
		var items []wire.Item
		for _, m := range messages(t, o.store, w.folder(t, owen, rachel, wire.OutboxFolder)) {
			name, err := wire.ParseFile(m.Name)
			if err != nil {
				t.Fatal(err)
			}
			e, err := wire.Codec{}.DecodeEvents(bytes.NewReader(fetch(t, o.store, m)), name, owen)
			if err != nil {
				t.Fatal(err)
			}
			for _, it := range e.Items {
				it.ID, it.Submitted, it.Accepted = wire.ID{}, 0, 0
				items = append(items, it)
			}
		}
		return items
	}
	right, wrong := answer("secret"), answer("wrong")
	if len(right) != 1 || !reflect.DeepEqual(right, wrong) {
		t.Errorf("the right guess is answered by %+v, a wrong one by %+v", right, wrong)
	}
}
