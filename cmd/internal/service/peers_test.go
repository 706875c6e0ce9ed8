package service

import (
	"context"
	"encoding/json"
	"fmt"
	iofs "io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/openmined/syftfs/jobs"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/account"
)

// fakePeers is an address book in memory.
type fakePeers struct {
	list    []Peer
	refuse  error // of every wish
	away    bool  // Drive is: what is settled is only noted
	wishes  []PeerWish
	settled int
}

func (f *fakePeers) List(context.Context) ([]Peer, error) { return slices.Clone(f.list), nil }

func (f *fakePeers) Note(_ context.Context, w PeerWish) error {
	if f.refuse != nil {
		return f.refuse
	}
	f.wishes = append(f.wishes, w)
	f.set(w, true)
	return nil
}

func (f *fakePeers) Settle(ctx context.Context, w PeerWish) error {
	if err := f.Note(ctx, w); err != nil {
		return err
	}
	if f.away {
		return fmt.Errorf("%w: no route to host", ErrQueued)
	}
	f.settled++
	f.set(w, false)
	return nil
}

func (f *fakePeers) set(w PeerWish, queued bool) {
	u, _ := perm.ParseUser(w.Address)
	f.list = slices.DeleteFunc(f.list, func(p Peer) bool { return p.Address == string(u) })
	state := map[PeerOp]PeerState{PeerOpRequest: PeerRequested, PeerOpAccept: PeerAccepted, PeerOpReject: PeerRejected, PeerOpBlock: PeerBlocked}[w.Op]
	if state != "" {
		f.list = append(f.list, Peer{Address: string(u), State: state, Queued: queued, Serving: state == PeerAccepted && !queued})
	}
}

func (w *world) withPeers(list ...Peer) *fakePeers {
	f := &fakePeers{list: list}
	w.Peers = f
	return f
}

func TestPeerWishes(t *testing.T) {
	for _, c := range []struct {
		op    PeerOp
		do    func(*Service) func(context.Context, Caller, PeerQuestion) (PeerDone, error)
		state PeerState
	}{
		{PeerOpRequest, func(s *Service) func(context.Context, Caller, PeerQuestion) (PeerDone, error) { return s.PeerRequest }, PeerRequested},
		{PeerOpAccept, func(s *Service) func(context.Context, Caller, PeerQuestion) (PeerDone, error) { return s.PeerAccept }, PeerAccepted},
		{PeerOpReject, func(s *Service) func(context.Context, Caller, PeerQuestion) (PeerDone, error) { return s.PeerReject }, PeerRejected},
		{PeerOpBlock, func(s *Service) func(context.Context, Caller, PeerQuestion) (PeerDone, error) { return s.PeerBlock }, PeerBlocked},
		{PeerOpUnblock, func(s *Service) func(context.Context, Caller, PeerQuestion) (PeerDone, error) { return s.PeerUnblock }, ""},
		{PeerOpRemove, func(s *Service) func(context.Context, Caller, PeerQuestion) (PeerDone, error) { return s.PeerRemove }, ""},
	} {
		t.Run(string(c.op), func(t *testing.T) {
			w := newWorld(t)
			_, err := c.do(w.Service)(ctx, root, PeerQuestion{Address: string(rachel)})
			wantCode(t, err, NotRunning, "", "syftfs auth")

			f := w.withPeers(Peer{Address: string(rachel), State: PeerPending})
			for _, bad := range []struct {
				typed string
				code  Code
			}{{"rachel", BadEmail}, {"", BadEmail}, {"*@uni.example", BadEmail}, {string(owen), BadInput}, {"OWEN@lab.example", BadInput}} {
				_, err := c.do(w.Service)(ctx, root, PeerQuestion{Address: bad.typed})
				wantCode(t, err, bad.code, "address")
			}
			forced := PeerQuestion{Address: string(rachel), Force: true}
			if c.op != PeerOpRequest && c.op != PeerOpAccept {
				_, err := c.do(w.Service)(ctx, root, forced)
				wantCode(t, err, BadInput, "force")
			}
			if len(f.wishes) > 0 {
				t.Fatalf("%+v", f.wishes)
			}

			done, err := c.do(w.Service)(ctx, root, PeerQuestion{Address: " Rachel@uni.example"})
			must(t, err)
			if done.Peer.Address != string(rachel) || done.Peer.State != c.state || done.Queued || (done.Gives != nil) != (c.op == PeerOpAccept) {
				t.Errorf("%+v", done)
			}
			if f.settled != 1 || f.wishes[0] != (PeerWish{Op: c.op, Address: "Rachel@uni.example"}) {
				t.Errorf("%+v", f.wishes)
			}
			done, err = c.do(w.Service)(ctx, root, PeerQuestion{Address: string(rachel), NoWait: true})
			must(t, err)
			if f.settled != 1 || done.Queued != (c.state != "") {
				t.Errorf("only noted: %+v", done)
			}
			f.away = true
			done, err = c.do(w.Service)(ctx, root, PeerQuestion{Address: string(rachel)})
			must(t, err)
			if !done.Queued || !strings.Contains(done.Why, "no route to host") {
				t.Errorf("Drive is away: %+v", done)
			}
			for _, r := range []struct {
				err  error
				code Code
			}{{fmt.Errorf("x: %w", iofs.ErrNotExist), NotFound}, {fmt.Errorf("blocked: %w", ErrPeer), Conflict}, {iofs.ErrInvalid, BadInput}} {
				f.refuse = r.err
				_, err = c.do(w.Service)(ctx, root, PeerQuestion{Address: string(rachel)})
				wantCode(t, err, r.code, "address")
			}
			var log []string
			for _, e := range entries(t, filepath.Join(w.dir, "audit.jsonl")) {
				if e.Action != "peers."+string(c.op) || e.Target != string(rachel) {
					t.Errorf("%+v", e)
				}
				if e.Result != "begun" {
					log = append(log, e.Result+" "+e.Reason)
				}
			}
			if want := []string{"ok ", "ok ", "ok ", "failed not_found", "failed conflict", "failed bad_input"}; !slices.Equal(log, want) {
				t.Errorf("%q", log)
			}
			f.refuse = nil
			before := len(f.wishes)
			w.Audit.f = &fullDisk{auditFile: w.Audit.f}
			_, err = c.do(w.Service)(ctx, root, PeerQuestion{Address: string(rachel)})
			wantCode(t, err, NoAudit, "")
			if len(f.wishes) != before {
				t.Error("it was done, and could not be written down")
			}
		})
	}
}

// TestWishThatIsGivenUp: what the book tried and gave up is a failure, not a thing that waits.
func TestWishThatIsGivenUp(t *testing.T) {
	w := newWorld(t)
	f := w.withPeers(Peer{Address: string(rachel), State: PeerPending})
	w.Peers = givesUp{f}
	_, err := w.PeerAccept(ctx, root, PeerQuestion{Address: string(rachel)})
	if err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("%v", err)
	}
	// And what was done although something else failed is done.
	f.list[0].State = PeerAccepted
	done, err := w.PeerAccept(ctx, root, PeerQuestion{Address: string(rachel)})
	if err != nil || done.Queued {
		t.Errorf("%+v, %v", done, err)
	}
}

type givesUp struct{ *fakePeers }

func (givesUp) Settle(context.Context, PeerWish) error {
	return fmt.Errorf("%w: the disk is full", ErrQueued)
}

func TestPeerList(t *testing.T) {
	w := newWorld(t)
	_, err := w.PeerList(ctx, root, struct{}{})
	wantCode(t, err, NotRunning, "", "syftfs auth")
	w.withPeers()
	if list, err := w.PeerList(ctx, root, struct{}{}); err != nil || list == nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	w.user(rachel, "")
	w.user(nina, account.Guest)
	_, err = w.Accounts.Disable(ctx, owen, string(nina))
	must(t, err)
	w.withPeers(Peer{Address: "b@x.org", State: PeerBlocked}, Peer{Address: string(nina), State: PeerAccepted, Serving: true}, Peer{Address: string(rachel), State: PeerPending},
		Peer{Address: "a@x.org", State: PeerAccepted, Serving: true}, Peer{Address: "q@x.org", State: PeerRequested, Queued: true}, Peer{Address: "p@x.org", State: PeerRequested})
	list, err := w.PeerList(ctx, root, struct{}{})
	must(t, err)
	var got []string
	for _, p := range list {
		got = append(got, fmt.Sprintf("%s %s [%s] %s", p.Address, p.State, p.Account, p.Next))
	}
	want := []string{
		"rachel@uni.example pending [data_scientist] answer it: syftfs peers accept rachel@uni.example, or syftfs peers reject rachel@uni.example",
		"p@x.org requested [] waits for its answer",
		"q@x.org requested [] waits for Drive",
		"a@x.org accepted [] ",
		"nina@uni.example accepted [disabled] end the exchange: syftfs peers remove nina@uni.example",
		"b@x.org blocked [] let it ask again: syftfs peers unblock b@x.org",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	b, err := json.Marshal(list[3])
	must(t, err)
	if string(b) != `{"address":"a@x.org","state":"accepted","queued":false,"serving":true,"syftfs":false}` {
		t.Errorf("%s", b)
	}
	text := Peer{Address: "a@x.org", Spelling: "A@x.org", State: PeerAccepted, Version: "0.1.117", Note: "skipped"}.Text(&PeerExchange{Owed: 3, Problem: "no room"})
	for _, line := range []string{"peer       a@x.org", "on Drive   A@x.org", "client     syft-client 0.1.117", "exchange   nothing exchanged yet, 3 files to send", "note       skipped", "problem    no room"} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("%q is not in\n%s", line, text)
		}
	}
}

func TestPeerGives(t *testing.T) {
	w := newWorld(t)
	ask := func(u perm.User) PeerGives {
		t.Helper()
		g, err := w.PeerGives(ctx, root, PeerQuestion{Address: string(u)})
		must(t, err)
		return g
	}
	_, err := w.PeerGives(ctx, root, PeerQuestion{Address: string(rachel)})
	wantCode(t, err, NotRunning, "")
	w.withPeers(Peer{Address: string(rachel), State: PeerPending})
	if g := ask(rachel); len(g.Places)+len(g.Datasets) != 0 || len(g.Jobs) != 2 || g.Jobs[0].Exists || !strings.Contains(g.Text, "nothing else") {
		t.Errorf("%+v", g)
	}
	w.put(map[string]string{
		"backing/owen@lab.example/open/a":                             "x",
		"backing/owen@lab.example/open/deep/b":                        "x",
		"backing/owen@lab.example/open/deep/c":                        "x",
		"backing/owen@lab.example/open/drop/d":                        "x",
		"backing/owen@lab.example/open/secret":                        "x",
		"backing/owen@lab.example/open/.venv/lib":                     "x",
		"backing/owen@lab.example/open/syft.pub.yaml":                 "rules:\n- pattern: 'secret'\n  access: {}\n- pattern: 'drop/**'\n  access: {write: ['rachel@uni.example']}\n- pattern: '**'\n  access: {read: ['*']}\n",
		"backing/owen@lab.example/one/f":                              "x",
		"backing/owen@lab.example/one/g":                              "x",
		"backing/owen@lab.example/one/syft.pub.yaml":                  "rules:\n- pattern: 'f'\n  access: {read: ['rachel@uni.example']}\n",
		"backing/owen@lab.example/private/p":                          "x",
		"backing/owen@lab.example/private/syft.pub.yaml":              "rules:\n- pattern: '**'\n  access: {read: ['*']}\n",
		"backing/owen@lab.example/public/syft_datasets/x/data.csv":    "x",
		"backing/owen@lab.example/public/syft_datasets/syft.pub.yaml": "rules:\n- pattern: '**'\n  access: {read: ['*']}\n",
	})
	w.put(map[string]string{"files/mock": "1\n", "files/real": "2\n"})
	for name, readers := range map[string][]string{"shown": {string(rachel)}, "hidden": nil} {
		_, err := w.DatasetCreate(ctx, root, NewDataset{Name: name, Mock: filepath.Join(w.dir, "files/mock"), Private: filepath.Join(w.dir, "files/real"), Readers: readers})
		must(t, err)
	}
	g := ask(rachel)
	var got []string
	for _, p := range g.Places {
		got = append(got, fmt.Sprintf("%s %s %v %d", strings.TrimPrefix(p.Path, "owen@lab.example/"), p.Level, p.Dir, p.Files))
	}
	if want := []string{"one/f read false 1", "open read true 3", "open/drop write true 1"}; !slices.Equal(got, want) {
		t.Errorf("%q\n%s", got, g.Text)
	}
	names := []string{}
	for _, d := range g.Datasets {
		names = append(names, d.Name)
	}
	if !slices.Contains(names, "shown") || g.State != PeerPending || g.Truncated || g.More != 0 {
		t.Errorf("%+v", g)
	}
	for _, want := range []string{"Accepting rachel@uni.example gives:", "write   /owen@lab.example/app_data/job/inbox/rachel@uni.example: is made", "the mock part of dataset shown, 1 file",
		"/owen@lab.example/open/ and what is below it, 3 files now"} {
		if !strings.Contains(g.Text, want) {
			t.Errorf("%q is not in\n%s", want, g.Text)
		}
	}
	if strings.Contains(g.Text, "secret") || strings.Contains(g.Text, "private/p") || strings.Contains(g.Text, ".venv") {
		t.Errorf("%s", g.Text)
	}

	must(t, jobs.Admit(ctx, jobTree{w.View}, owen, rachel))
	w.withPeers(Peer{Address: string(rachel), State: PeerAccepted, Serving: true})
	if g := ask(rachel); !g.Jobs[0].Exists || g.Jobs[0].Level != "write" || g.Jobs[1].Level != "read" || len(g.Places) != 3 || !strings.Contains(g.Text, "is an accepted peer, and has:") {
		t.Errorf("%+v", g)
	}
	// Of many files that are named one by one only so many are told.
	many := map[string]string{}
	for i := range maxGivenShown + 5 {
		many[fmt.Sprintf("backing/owen@lab.example/many/f%03d", i)] = "x"
	}
	many["backing/owen@lab.example/many/syft.pub.yaml"] = "rules:\n- pattern: 'f*'\n  access: {read: ['nina@uni.example']}\n"
	w.put(many)
	if g := ask(nina); len(g.Datasets)+len(g.Places) != maxGivenShown || g.More == 0 || !strings.Contains(g.Text, "more") || g.State != "" {
		t.Errorf("%d places, %d more", len(g.Places), g.More)
	}
	_, err = w.PeerGives(ctx, root, PeerQuestion{Address: string(owen)})
	wantCode(t, err, BadInput, "address")
}

func TestStatusTellsWhoAsks(t *testing.T) {
	w := newWorld(t)
	st, err := w.Status(ctx, root, struct{}{})
	must(t, err)
	if st.Exchange != nil || !strings.Contains(st.Text(), "drive      none") {
		t.Errorf("%s", st.Text())
	}
	w.withPeers(Peer{Address: string(rachel), State: PeerPending}, Peer{Address: string(nina), State: PeerAccepted})
	if st, err = w.Status(ctx, root, struct{}{}); err != nil || !slices.Equal(st.Asking, []string{string(rachel)}) || !strings.Contains(st.Text(), "syftfs peers accept rachel@uni.example --show") {
		t.Errorf("%v, %v\n%s", st.Asking, err, st.Text())
	}
}
