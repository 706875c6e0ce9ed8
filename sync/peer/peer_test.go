package peer

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"strings"
	"testing"

	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/remote/remotetest"
	"github.com/openmined/syftfs/sync/wire"
)

// pairUp has rachel ask and owen accept.
func pairUp(t testing.TB, w *remotetest.World) (o, r *side) {
	o, r = newSide(t, w, owen), newSide(t, w, rachel)
	r.ok(r.book.Request(t.Context(), owen, false))
	o.ok(o.feed())
	o.ok(o.book.Accept(t.Context(), rachel, false))
	r.ok(r.feed())
	o.ok(o.feed())
	return o, r
}

func TestRequestToAcceptance(t *testing.T) {
	w := newWorld()
	o, r := newSide(t, w, owen), newSide(t, w, rachel)
	r.ok(r.book.Request(t.Context(), owen, false))
	r.expect("requested " + owen)
	if p := r.peer(owen); p.Serve || p.Propose || !p.Follow || p.TheirInbox == "" || p.TheirOutbox == "" || p.Inbox != "" {
		t.Errorf("a peer that did not answer: %+v", p)
	}
	o.expect("")
	o.ok(o.feed())
	o.expect("pending " + rachel)
	if p := o.peer(rachel); p.Serve || p.Follow || p.Propose || p.Compat != Same || !p.Syftfs || p.Inbox == "" || p.Outbox == "" {
		t.Errorf("a peer that asks: %+v", p)
	}
	if len(o.announced) != 1 || o.announced[0] != "pending "+rachel || len(o.admitted) != 0 {
		t.Errorf("announced %v, admitted %v", o.announced, o.admitted)
	}
	o.ok(o.book.Accept(t.Context(), rachel, false))
	o.expect("accepted " + rachel)
	if fmt.Sprint(o.admitted) != "["+rachel+"]" {
		t.Errorf("admitted %v", o.admitted)
	}
	r.ok(r.feed())
	r.expect("accepted " + owen)
	if len(r.announced) != 1 || r.announced[0] != "accepted "+owen || len(r.admitted) != 0 {
		t.Errorf("announced %v, admitted %v", r.announced, r.admitted)
	}
	po, pr := o.peer(rachel), r.peer(owen)
	if !po.Serve || !po.Follow || !po.Propose || po.Note != "" || !pr.Serve || !pr.Follow || !pr.Propose || pr.Note != "" {
		t.Errorf("accepted:\n%+v\n%+v", po, pr)
	}
	if po.Inbox != pr.TheirInbox || po.Outbox != pr.TheirOutbox || pr.Inbox != po.TheirInbox || pr.Outbox != po.TheirOutbox || po.Inbox == po.Outbox {
		t.Errorf("the folders of the two do not match:\n%+v\n%+v", po, pr)
	}
	// Told once more, and from a list: nothing new.
	for range 2 {
		o.ok(o.sweep())
		r.ok(r.sweep())
	}
	if len(o.announced) != 1 || len(r.announced) != 1 {
		t.Errorf("announced %v, %v", o.announced, r.announced)
	}
	const pair = "/SyftBox/syft_datasite#0.1.117#"
	want := map[string][]string{
		"/SyftBox": {}, "/SyftBox/SYFT_peers.json": {}, "/SyftBox/SYFT_version.json": {"reader " + owen},
		pair + owen + "#inbox#" + rachel: {"writer " + owen}, pair + owen + "#outbox#" + rachel: {"writer " + owen},
	}
	if got := describe(tree(t, r.raw())); got != describe(want) {
		t.Errorf("rachel's Drive:\n%swant\n%s", got, describe(want))
	}
}

// TestIdle: what is known costs nothing.
func TestIdle(t *testing.T) {
	o, _ := pairUp(t, newWorld())
	o.drive.Script(remotetest.Fault{})
	o.ok(o.book.Noticed(t.Context(), nil))
	o.ok(o.book.Noticed(t.Context(), []remote.Change{{ID: "x", Object: remote.Object{ID: "x", Name: "msgv2_1.5_x.tar.gz", Owner: rachel}}, {ID: "y", Gone: true}}))
	o.expect("accepted " + rachel)
	if n := len(o.drive.Fired()); n != 0 {
		t.Errorf("%d calls", n)
	}
}

func TestRepeated(t *testing.T) {
	o, r := pairUp(t, newWorld())
	before := describe(tree(t, r.raw())) + describe(tree(t, o.raw()))
	r.ok(r.book.Request(t.Context(), owen, false))
	o.ok(o.book.Accept(t.Context(), rachel, false))
	o.ok(o.book.Request(t.Context(), rachel, false))
	o.ok(o.sweep())
	r.ok(r.feed())
	o.expect("accepted " + rachel)
	r.expect("accepted " + owen)
	if after := describe(tree(t, r.raw())) + describe(tree(t, o.raw())); after != before {
		t.Errorf("before\n%safter\n%s", before, after)
	}
}

func TestBothAsk(t *testing.T) {
	w := newWorld()
	o, r := newSide(t, w, owen), newSide(t, w, rachel)
	r.ok(r.book.Request(t.Context(), owen, false))
	o.ok(o.book.Request(t.Context(), rachel, false)) // before it noticed
	for range 2 {
		o.ok(o.feed())
		r.ok(r.feed())
	}
	o.expect("accepted " + rachel)
	r.expect("accepted " + owen)
	if len(o.admitted)+len(r.admitted) != 0 {
		t.Error("asking gave rights")
	}
}

func TestRefusals(t *testing.T) {
	o, r := pairUp(t, newWorld())
	n := newSide(t, o.world, nina)
	n.ok(n.book.Request(t.Context(), owen, false))
	o.ok(o.feed())
	for _, c := range []struct {
		name string
		err  error
		want error
	}{
		{"own address", o.book.Request(t.Context(), owen, false), iofs.ErrInvalid},
		{"no address", o.book.Request(t.Context(), "owen", false), wire.ErrName},
		{"pattern", o.book.Request(t.Context(), "*@datascience.example", false), wire.ErrName},
		{"quote", o.book.Request(t.Context(), "o'neil@x.example", false), wire.ErrName},
		{"number sign", o.book.Request(t.Context(), "a#b@x.example", false), wire.ErrName},
		{"slash", o.book.Request(t.Context(), "a/b@x.example", false), wire.ErrName},
		{"ask who asks", o.book.Request(t.Context(), nina, false), ErrAsks},
		{"accept a stranger", o.book.Accept(t.Context(), "x@y.example", false), ErrNoPeer},
		{"reject an accepted one", o.book.Reject(t.Context(), rachel), ErrState},
		{"unblock who is not blocked", o.book.Unblock(t.Context(), rachel), ErrState},
		{"accept who was asked", func() error {
			_ = r.book.Request(t.Context(), nina, false)
			return r.book.Accept(t.Context(), nina, false)
		}(), ErrNoPeer},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, c.err, c.want)
		}
	}
	o.expect("pending " + nina + ", accepted " + rachel)
}

// TestForged: only the Drive owner of a folder counts as who asks.
func TestForged(t *testing.T) {
	w := newWorld()
	o := newSide(t, w, owen)
	mallory := w.Account("mallory@evil.example")
	for _, name := range []string{
		"syft_datasite#0.1.117#" + owen + "#inbox#" + rachel,
		"syft_datasite#0.1.117#" + owen + "#outbox#*@datascience.example",
		"syft_datasite#0.1.117#" + owen + "#inbox#o'neil@x.example",
		"syft_datasite#0.1.117#" + owen + "#inbox#" + owen,
		"syft_datasite#0.1.117#" + strings.ToUpper(owen) + "#inbox#mallory@evil.example",
		"syft_datasite#0.1.117#" + owen + "#inbox#mallory@evil.example#",
	} {
		grant(t, mallory, make1(t, mallory, remote.Root, name, nil), owen, remote.CanWrite)
	}
	o.ok(o.feed())
	o.ok(o.sweep())
	o.expect("")
	if len(o.announced) != 0 || len(o.book.Warnings()) != 5 {
		t.Errorf("announced %v, warned %v", o.announced, o.book.Warnings())
	}
	// A folder in the name of an accepted peer does not make twins of the true one.
	r := newSide(t, w, rachel)
	r.ok(r.book.Request(t.Context(), owen, false))
	o.ok(o.feed())
	if p := o.peer(rachel); p.Inbox == "" || p.Note != "" {
		t.Errorf("%+v", p)
	}
	// The version file of somebody else is not hers either.
	if p := o.peer(rachel); p.Version.Client != "0.1.117" {
		t.Errorf("%+v", p)
	}
}

func TestTwinsAreToldAndNotUsed(t *testing.T) {
	o, r := pairUp(t, newWorld())
	twin := make1(t, r.raw(), remote.Root, "syft_datasite#0.1.93#"+owen+"#inbox#"+rachel, nil)
	grant(t, r.raw(), twin, owen, remote.CanWrite)
	o.ok(o.feed())
	p := o.peer(rachel)
	if p.Inbox != "" || p.Outbox == "" || !strings.Contains(p.Note, "0.1.93") {
		t.Errorf("%+v", p)
	}
	r.ok(r.raw().Delete(t.Context(), twin))
	o.ok(o.feed())
	if p := o.peer(rachel); p.Inbox == "" || p.Note != "" {
		t.Errorf("after one is gone: %+v", p)
	}
	// One of another minor version is nobody's business.
	grant(t, r.raw(), make1(t, r.raw(), remote.Root, "syft_datasite#0.2.0#"+owen+"#inbox#"+rachel, nil), owen, remote.CanWrite)
	o.ok(o.feed())
	if p := o.peer(rachel); p.Inbox == "" || p.Note != "" {
		t.Errorf("with one of another minor version: %+v", p)
	}
}

func TestOlderPatchIsUsed(t *testing.T) {
	w := newWorld()
	o := newSide(t, w, owen)
	py := newPython(t, w.Account(rachel), rachel, "0.1.93")
	py.addPeer(owen)
	o.ok(o.feed())
	o.ok(o.book.Accept(t.Context(), rachel, false))
	p := o.peer(rachel)
	if p.Inbox == "" || p.Outbox == "" || p.Compat != PatchDiffers || !p.Serve || p.Note == "" {
		t.Errorf("%+v", p)
	}
}

func TestRejectBlockRemove(t *testing.T) {
	w := newWorld()
	o, r := newSide(t, w, owen), newSide(t, w, rachel)
	r.ok(r.book.Request(t.Context(), owen, false))
	o.ok(o.feed())
	ctx := t.Context()
	for _, step := range []struct {
		do    func() error
		state string
		file  string
	}{
		{func() error { return o.book.Reject(ctx, rachel) }, "rejected " + rachel, "rejected"},
		{func() error { return r.book.Request(ctx, owen, false) }, "rejected " + rachel, "rejected"},
		{func() error { return o.book.Accept(ctx, rachel, false) }, "accepted " + rachel, "accepted"},
		{func() error { return o.book.Block(ctx, rachel) }, "blocked " + rachel, "rejected"},
		{func() error {
			if err := o.book.Accept(ctx, rachel, true); !errors.Is(err, ErrBlocked) {
				return fmt.Errorf("accepted a blocked peer: %w", err)
			}
			return nil
		}, "blocked " + rachel, "rejected"},
		{func() error { return o.book.Unblock(ctx, rachel) }, "pending " + rachel, "removed"},
		{func() error { return o.book.Accept(ctx, rachel, false) }, "accepted " + rachel, "accepted"},
		{func() error { return o.book.Remove(ctx, rachel) }, "pending " + rachel, "removed"},
		{func() error { return o.book.Reject(ctx, rachel) }, "rejected " + rachel, "rejected"},
		{func() error { return o.book.Remove(ctx, rachel) }, "pending " + rachel, "removed"},
	} {
		o.ok(step.do())
		o.ok(o.sweep())
		o.ok(o.feed())
		o.expect(step.state)
		if p := o.peer(rachel); p.Serve != strings.HasPrefix(step.state, "accepted") || p.Follow != p.Serve || p.Queued {
			t.Errorf("%s: %+v", step.state, p)
		}
		if body := content(t, o.raw(), peersFile); !strings.Contains(body, `"state": "`+step.file+`"`) {
			t.Errorf("%s: %s", step.state, body)
		}
	}
	if len(o.announced) != 1 {
		t.Errorf("announced %v", o.announced)
	}
	// Not accepted any more: it is not shown what we run.
	if _, err := newPythonOn(t, r.raw(), rachel).versionOf(owen); err == nil {
		t.Error("a removed peer can still read the version file")
	}
	// It takes its request back.
	p := r.peer(owen)
	r.ok(r.raw().Delete(ctx, p.TheirInbox, p.TheirOutbox))
	o.ok(o.feed())
	o.expect("")
}

// newPythonOn is a Python client without anything of its own.
func newPythonOn(t testing.TB, r remote.Remote, me string) *python {
	return &python{t: t, r: r, me: me, version: "0.1.117", peers: map[string]string{}}
}

func TestNewMachine(t *testing.T) {
	o, r := pairUp(t, newWorld())
	n := newSide(t, o.world, nina)
	n.ok(n.book.Request(t.Context(), owen, false))
	o.ok(o.feed())
	before := describe(tree(t, o.raw()))
	old := o.peer(rachel)
	o.dir = t.TempDir() + "/other"
	o.start()
	o.announced = nil
	o.expect("")
	o.ok(o.sweep())
	o.expect("pending " + nina + ", accepted " + rachel)
	old.Admitted = false // by this machine
	if p := o.peer(rachel); p != old {
		t.Errorf("\n%+v, was\n%+v", p, old)
	}
	if after := describe(tree(t, o.raw())); after != before {
		t.Errorf("before\n%safter\n%s", before, after)
	}
	if fmt.Sprint(o.announced) != "[pending "+nina+"]" || len(o.admitted) != 1 {
		t.Errorf("announced %v, admitted %v", o.announced, o.admitted)
	}
	r.ok(r.feed())
	r.expect("accepted " + owen)
}

func TestAnnouncedUntilHeard(t *testing.T) {
	w := newWorld()
	o, r := newSide(t, w, owen), newSide(t, w, rachel)
	r.ok(r.book.Request(t.Context(), owen, false))
	o.deaf = true
	if err := o.feed(); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	o.expect("pending " + rachel)
	o.start()
	o.deaf = false
	o.ok(o.feed())
	o.ok(o.feed())
	if len(o.announced) != 1 {
		t.Errorf("announced %v", o.announced)
	}
}

func TestAdmitComesFirst(t *testing.T) {
	w := newWorld()
	o, r := newSide(t, w, owen), newSide(t, w, rachel)
	r.ok(r.book.Request(t.Context(), owen, false))
	o.ok(o.feed())
	o.refuse = errors.New("a rule file is broken")
	if err := o.book.Accept(t.Context(), rachel, false); !errors.Is(err, o.refuse) || errors.Is(err, ErrQueued) {
		t.Fatal(err)
	}
	o.expect("pending " + rachel)
	if got := describe(tree(t, o.raw())); got != "" {
		t.Errorf("published: %s", got)
	}
	o.refuse = nil
	o.ok(o.book.Accept(t.Context(), rachel, false))
	o.expect("accepted " + rachel)
}

func TestOffline(t *testing.T) {
	w := newWorld()
	o, r := newSide(t, w, owen), newSide(t, w, rachel)
	r.drive.Script(remotetest.Fault{})
	err := r.book.Request(t.Context(), owen, false)
	if !errors.Is(err, ErrQueued) || !errors.Is(err, remote.Unavailable) {
		t.Fatal(err)
	}
	r.expect("requested " + owen)
	if p := r.peer(owen); !p.Queued || p.Follow || p.Note == "" {
		t.Errorf("%+v", p)
	}
	r.ok(r.book.Note(t.Context(), OpRequest, nina, false))
	r.expect("requested " + nina + ", requested " + owen)
	r.start()
	r.drive.Script()
	r.ok(r.book.Settle(t.Context()))
	if p := r.peer(owen); p.Queued || !p.Follow {
		t.Errorf("%+v", p)
	}
	o.ok(o.feed())
	o.expect("pending " + rachel)
	o.drive.Script(remotetest.Fault{})
	if err := o.book.Accept(t.Context(), rachel, false); !errors.Is(err, ErrQueued) {
		t.Fatal(err)
	}
	if p := o.peer(rachel); p.State != StateAccepted || !p.Queued || p.Serve {
		t.Errorf("%+v", p)
	}
	o.drive.Script()
	o.ok(o.feed())
	if p := o.peer(rachel); !p.Serve {
		t.Errorf("%+v", p)
	}
}

func TestBlockHoldsAtOnce(t *testing.T) {
	o, _ := pairUp(t, newWorld())
	o.drive.Script(remotetest.Fault{})
	if err := o.book.Block(t.Context(), rachel); !errors.Is(err, ErrQueued) {
		t.Fatal(err)
	}
	if p := o.peer(rachel); p.State != StateBlocked || p.Serve || p.Follow || p.Propose {
		t.Errorf("%+v", p)
	}
}

func TestManyRequests(t *testing.T) {
	w := newWorld()
	o := newSide(t, w, owen, func(c *Config) { c.MaxPending = 3 })
	for i := range 6 {
		who := fmt.Sprintf("s%d@x.example", i)
		newPython(t, w.Account(who), who, "0.1.117").addPeer(owen)
	}
	o.ok(o.feed())
	if all, _ := o.book.List(t.Context()); len(all) != 3 || len(o.announced) != 3 || len(o.book.Warnings()) != 1 {
		t.Errorf("%v, announced %v, warned %v", o.states(), o.announced, o.book.Warnings())
	}
	o.ok(o.book.Reject(t.Context(), "s0@x.example"))
	o.ok(o.book.Reject(t.Context(), "s1@x.example"))
	o.ok(o.sweep())
	o.expect("rejected s0@x.example, rejected s1@x.example, pending s2@x.example, pending s3@x.example, pending s4@x.example")
}

func TestSpelling(t *testing.T) {
	w := newWorld()
	const drive = "Rachel.Doe@DataScience.example"
	o, r := newSide(t, w, owen), newSide(t, w, drive)
	r.ok(r.book.Request(t.Context(), "OWEN@cancer-research.example", false))
	if a := r.book.Spell(owen); a != owen {
		t.Errorf("owen is spelled %s: Drive says %s", a, owen)
	}
	if a := r.book.Spell("rachel.doe@datascience.example"); a != drive {
		t.Errorf("rachel is spelled %s, Drive says %s", a, drive)
	}
	o.ok(o.feed())
	o.expect("pending rachel.doe@datascience.example")
	if a := o.book.Spell("rachel.doe@datascience.example"); a != drive {
		t.Errorf("rachel is spelled %s", a)
	}
	o.ok(o.book.Accept(t.Context(), "rachel.doe@datascience.example", false))
	if got := describe(tree(t, o.raw())); !strings.Contains(got, "#"+drive+"#inbox#"+owen) {
		t.Error(got)
	}
	if body := content(t, o.raw(), peersFile); !strings.Contains(body, `"`+drive+`"`) {
		t.Error(body)
	}
	r.ok(r.feed())
	r.expect("accepted " + owen)
	if a := o.book.Spell("nobody@x.example"); a != "nobody@x.example" {
		t.Error(a)
	}
}

func TestWrongAccount(t *testing.T) {
	w := newWorld()
	r := newSide(t, w, rachel, func(c *Config) { c.Remote = w.Account(nina) })
	if err := r.book.Request(t.Context(), owen, false); !errors.Is(err, iofs.ErrPermission) {
		t.Fatal(err)
	}
	if got := describe(tree(t, w.Account(nina))); got != "" {
		t.Errorf("written into somebody else's Drive: %s", got)
	}
}

func TestDamagedPeersFile(t *testing.T) {
	w := newWorld()
	r := newSide(t, w, rachel)
	top := make1(t, r.raw(), remote.Root, "SyftBox", nil)
	make1(t, r.raw(), top, peersFile, []byte(`{"owen`))
	if err := r.book.Request(t.Context(), owen, false); !errors.Is(err, wire.ErrFormat) || !errors.Is(err, ErrQueued) {
		t.Fatal(err)
	}
	if body := content(t, r.raw(), peersFile); body != `{"owen` {
		t.Errorf("written over: %s", body)
	}
	r.ok(r.sweep()) // it does not keep others waiting
	if len(r.book.Warnings()) == 0 {
		t.Error("nobody is told")
	}
}

func TestPeersFileKeepsWhatItDoesNotKnow(t *testing.T) {
	w := newWorld()
	r := newSide(t, w, rachel)
	top := make1(t, r.raw(), remote.Root, "SyftBox", nil)
	make1(t, r.raw(), top, peersFile, []byte(`{"_meta": {"version": 1}, "x@y.example": {"state": "odd", "public_encryption_bundle": {"k": 1}}}`))
	r.ok(r.book.Request(t.Context(), owen, false))
	want := "{\n  \"_meta\": {\n    \"version\": 1\n  },\n  \"x@y.example\": {\n    \"state\": \"odd\",\n    \"public_encryption_bundle\": {\n      \"k\": 1\n    }\n  },\n  \"" + owen + "\": {\n    \"state\": \"requested_by_me\"\n  }\n}"
	if got := content(t, r.raw(), peersFile); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestHomes(t *testing.T) {
	w := newWorld()
	o := newSide(t, w, owen)
	for _, kind := range []wire.FolderKind{wire.TopFolder, wire.LogFolder, wire.CheckpointsFolder, wire.RollingFolder, wire.ArchiveFolder} {
		u := perm.User("")
		if kind == wire.ArchiveFolder {
			u = rachel
		}
		if _, err := o.book.Find(t.Context(), kind, u); !errors.Is(err, remote.NotFound) {
			t.Errorf("%d: %v", kind, err)
		}
		a, err := o.book.Home(t.Context(), kind, u)
		o.ok(err)
		o.dir = t.TempDir() + "/other"
		o.start()
		if b, err := o.book.Home(t.Context(), kind, u); err != nil || b != a {
			t.Errorf("%d: %s, then on a new machine %s, %v", kind, a, b, err)
		}
		if b, err := o.book.Find(t.Context(), kind, u); err != nil || b != a {
			t.Errorf("%d: %s, then found %s, %v", kind, a, b, err)
		}
	}
	want := "/SyftBox []\n/SyftBox/0.1.117#" + owen + " []\n/SyftBox/" + owen + "-0.1.117-checkpoints []\n/SyftBox/" + owen + "-0.1.117-rolling-state []\n/SyftBox/syft_" + rachel + "_to_" + owen + "_archive []\n"
	if got := describe(tree(t, o.raw())); got != want {
		t.Errorf("%swant\n%s", got, want)
	}
	if _, err := o.book.Home(t.Context(), wire.CollectionFolder, ""); !errors.Is(err, iofs.ErrInvalid) {
		t.Error(err)
	}
}
