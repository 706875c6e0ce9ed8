package peer

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/remote/remotetest"
	"github.com/openmined/syftfs/sync/wire"
)

// drawn is an object of a tree that the real client left on Drive: three people, no messages.
type drawn struct {
	Path        string   `json:"path"`
	Owner       string   `json:"owner"`
	Type        string   `json:"mimeType"`
	Permissions []string `json:"permissions"`
}

func file(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func drawnTree(t testing.TB) []drawn {
	t.Helper()
	var all []drawn
	if err := json.Unmarshal([]byte(file(t, "drive-tree-messages.json")), &all); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b drawn) int { return strings.Compare(a.Path, b.Path) })
	return all
}

// where splits "My Drive of owner: /path".
func (d drawn) where() string { return d.Path[strings.Index(d.Path, ": ")+2:] }

// drawnWorld makes that tree in memory.
func drawnWorld(t testing.TB) *remotetest.World {
	w := newWorld()
	contents := map[string]string{
		owen + peersFile: file(t, "4-reject-SYFT_peers.json"), rachel + peersFile: file(t, "3-seen-SYFT_peers.json"), nina + peersFile: file(t, "1-request-SYFT_peers.json"),
		owen + versionFile: file(t, "2-approve-SYFT_version.json"), rachel + versionFile: file(t, "1-request-SYFT_version.json"), nina + versionFile: file(t, "1-request-SYFT_version.json"),
	}
	ids := map[string]remote.ID{}
	for _, d := range drawnTree(t) {
		at := d.where()
		slash := strings.LastIndex(at, "/")
		parent, name := remote.Root, at[slash+1:]
		if slash > 0 {
			parent = ids[d.Owner+at[:slash]]
		}
		var body []byte
		if d.Type != wire.FolderMIME {
			body = []byte(contents[d.Owner+name])
		}
		r := w.Account(d.Owner)
		id := make1(t, r, parent, name, body)
		ids[d.Owner+at] = id
		for _, p := range d.Permissions {
			if role, who, _ := strings.Cut(p, " "); role != "owner" {
				grant(t, r, id, who, remote.Role(role))
			}
		}
	}
	return w
}

// TestGoldenTakeOver starts in the place of each of the real clients, and makes nothing anew.
func TestGoldenTakeOver(t *testing.T) {
	w := drawnWorld(t)
	for _, c := range []struct {
		me, states, announced string
		serves                string
	}{
		{owen, "rejected " + nina + ", accepted " + rachel, "", rachel},
		{rachel, "accepted " + owen, "", owen},
		{nina, "requested " + owen, "", ""},
	} {
		s := newSide(t, w, c.me)
		before := describe(tree(t, s.raw()))
		s.ok(s.sweep())
		s.expect(c.states)
		for _, kind := range []wire.FolderKind{wire.TopFolder, wire.LogFolder} {
			_, err := s.book.Home(t.Context(), kind, "")
			s.ok(err)
		}
		if c.me == owen {
			for _, kind := range []wire.FolderKind{wire.RollingFolder, wire.ArchiveFolder} {
				_, err := s.book.Home(t.Context(), kind, rachel)
				s.ok(err)
			}
		}
		if after := describe(tree(t, s.raw())); after != before {
			t.Errorf("%s made\n%sof\n%s", c.me, after, before)
		}
		if strings.Join(s.announced, ", ") != c.announced || len(s.book.Warnings()) != 0 {
			t.Errorf("%s: announced %v, warned %v", c.me, s.announced, s.book.Warnings())
		}
		if c.serves != "" {
			if p := s.peer(c.serves); !p.Serve || !p.Propose || p.Compat != Same || p.Inbox == "" || p.Outbox == "" || p.TheirInbox == "" || p.TheirOutbox == "" {
				t.Errorf("%s: %+v", c.me, p)
			}
		}
	}
}

// TestGoldenSame lets three of ours do what the three clients did, and compares each step of the peers files, and the end.
func TestGoldenSame(t *testing.T) {
	w := newWorld()
	o, r, n := newSide(t, w, owen), newSide(t, w, rachel), newSide(t, w, nina)
	ctx := t.Context()
	same := func(s *side, name string) {
		t.Helper()
		if got, want := content(t, s.raw(), peersFile), file(t, name); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
	r.ok(r.book.Request(ctx, owen, false))
	same(r, "1-request-SYFT_peers.json")
	o.ok(o.feed())
	o.ok(o.book.Accept(ctx, rachel, false))
	same(o, "2-approve-SYFT_peers.json")
	r.ok(r.feed())
	same(r, "3-seen-SYFT_peers.json")
	n.ok(n.book.Request(ctx, owen, false))
	o.ok(o.feed())
	o.ok(o.book.Reject(ctx, nina))
	same(o, "4-reject-SYFT_peers.json")
	for _, s := range []*side{o, r, n} {
		_, err := s.book.Home(ctx, wire.LogFolder, "")
		s.ok(err)
	}
	for _, kind := range []wire.FolderKind{wire.RollingFolder, wire.ArchiveFolder} {
		_, err := o.book.Home(ctx, kind, rachel)
		o.ok(err)
	}
	got := map[string][]string{}
	for _, s := range []*side{o, r, n} {
		for at, who := range tree(t, s.raw()) {
			got["My Drive of "+string(s.cfg.Me)+": "+at] = append([]string{"owner " + string(s.cfg.Me)}, who...)
		}
	}
	want := map[string][]string{}
	for _, d := range drawnTree(t) {
		want[d.Path] = d.Permissions
	}
	if !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("%s\nwant\n%s", describe(got), describe(want))
	}
}

// TestPythonScientist and TestPythonOwner have a syft-client on the other end.
func TestPythonScientist(t *testing.T) {
	w := newWorld()
	o := newSide(t, w, owen)
	py := newPython(t, w.Account(rachel), rachel, "0.1.117")
	py.addPeer(owen)
	o.ok(o.feed())
	o.expect("pending " + rachel)
	if p := o.peer(rachel); p.Syftfs || p.Compat != Same {
		t.Errorf("%+v", p)
	}
	if s := py.load(); s[owen] != "requested_by_me" {
		t.Errorf("before: %v", s)
	}
	o.ok(o.book.Accept(t.Context(), rachel, false))
	if s := py.load(); s[owen] != "accepted" {
		t.Errorf("after: %v", s)
	}
	if v, err := py.versionOf(owen); err != nil || v.Client != "0.1.117" || v.Syftfs != "0.5.0" {
		t.Errorf("%+v, %v", v, err)
	}
	if p := o.peer(rachel); !p.Serve || p.Note != "" {
		t.Errorf("%+v", p)
	}
}

func TestPythonOwner(t *testing.T) {
	w := newWorld()
	r := newSide(t, w, rachel)
	py := newPython(t, w.Account(owen), owen, "0.1.117")
	r.ok(r.book.Request(t.Context(), owen, false))
	if s := py.load(); s[rachel] != "requested_by_peer" {
		t.Errorf("before: %v", s)
	}
	if v, err := py.versionOf(rachel); err != nil || v.Client != "0.1.117" {
		t.Errorf("%+v, %v", v, err)
	}
	py.addPeer(rachel) // approve_peer_request
	r.ok(r.feed())
	r.expect("accepted " + owen)
	if p := r.peer(owen); !p.Propose || !p.Follow || p.Syftfs || p.Note != "" {
		t.Errorf("%+v", p)
	}
	if got := content(t, r.raw(), peersFile); got != file(t, "3-seen-SYFT_peers.json") {
		t.Error(got)
	}
}

// TestOtherClientOfTheSameAccount: the peers file may be written by a Python client on another machine.
func TestOtherClientOfTheSameAccount(t *testing.T) {
	o, _ := pairUp(t, newWorld())
	all, err := remote.Collect(t.Context(), o.raw(), remote.Query{Name: peersFile, Whose: remote.Mine})
	o.ok(err)
	body := remote.Bytes([]byte(`{"` + rachel + `": {"state": "rejected"}, "x@y.example": {"state": "requested_by_me"}}`))
	o.ok(o.raw().Update(t.Context(), all[0].ID, remote.Edit{Body: &body}))
	o.ok(o.feed())
	o.expect("rejected " + rachel + ", requested x@y.example")
	if p := o.peer(rachel); p.Serve {
		t.Errorf("%+v", p)
	}
	body = remote.Bytes([]byte(`{}`))
	o.ok(o.raw().Update(t.Context(), all[0].ID, remote.Edit{Body: &body}))
	o.ok(o.feed())
	o.expect("pending " + rachel)
}
