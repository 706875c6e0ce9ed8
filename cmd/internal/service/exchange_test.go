package service

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/jobs"
	"github.com/openmined/syftfs/perm"
)

// fakeExchange is an exchange whose state a test sets.
type fakeExchange struct {
	st       ExchangeStatus
	states   map[string]FileState // by path; "" of a path that is not there is local
	copies   []ConflictCopy
	err      error // of Status
	failed   error // of Sync, Wait and Release
	poked    int
	rounds   int
	released int
	settled  chan struct{} // Wait returns when it is closed
}

func (f *fakeExchange) Status(context.Context) (ExchangeStatus, error) { return f.st, f.err }
func (f *fakeExchange) State(_ context.Context, p datasite.Path, _ perm.User) (FileState, error) {
	if s, ok := f.states[p.String()]; ok {
		return s, nil
	}
	return FileState{State: "local"}, nil
}
func (f *fakeExchange) Conflicts(context.Context) ([]ConflictCopy, error) { return f.copies, nil }
func (f *fakeExchange) Poke()                                             { f.poked++ }
func (f *fakeExchange) Sync(context.Context) error                        { f.rounds++; return f.failed }
func (f *fakeExchange) Release(context.Context) error {
	f.released++
	f.st.Brake = nil
	return f.failed
}
func (f *fakeExchange) Wait(ctx context.Context, p datasite.Path) error {
	if f.failed != nil {
		return f.failed
	}
	select {
	case <-f.settled:
		f.states[p.String()] = FileState{State: "synced"}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (w *world) withExchange() *fakeExchange {
	f := &fakeExchange{st: ExchangeStatus{Drive: "local:http://127.0.0.1:8753", Account: string(owen)}, states: map[string]FileState{}, settled: make(chan struct{})}
	w.Exchange, w.Syncer = f, f
	return f
}

func TestSync(t *testing.T) {
	w := newWorld(t)
	for _, do := range []func() error{
		func() error { _, err := w.SyncNow(ctx, root, SyncQuestion{}); return err },
		func() error { _, err := w.SyncNow(ctx, root, SyncQuestion{Wait: true}); return err },
		func() error { _, err := w.SyncRelease(ctx, root, struct{}{}); return err },
		func() error {
			_, err := w.Wait(ctx, root, WaitQuestion{Path: string(owen) + "/x"})
			return err
		},
	} {
		wantCode(t, do(), NotRunning, "", "syftfs auth")
	}
	if list, err := w.Conflicts(ctx, root, struct{}{}); err != nil || list == nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}

	f := w.withExchange()
	st, err := w.SyncNow(ctx, root, SyncQuestion{})
	must(t, err)
	if f.poked != 1 || f.rounds != 0 || st.Peers == nil || st.Aside == nil {
		t.Errorf("%+v", st)
	}
	if _, err := w.SyncNow(ctx, root, SyncQuestion{Wait: true}); err != nil || f.rounds != 1 {
		t.Error(err)
	}
	f.failed = errors.New("no route to host")
	_, err = w.SyncNow(ctx, root, SyncQuestion{Wait: true})
	wantCode(t, err, Unexpected, "", "no route")
	f.st.Offline = w.clock.now()
	_, err = w.SyncNow(ctx, root, SyncQuestion{Wait: true})
	wantCode(t, err, NotRunning, "", "Drive does not answer", "is kept")
	f.failed, f.st.Offline = nil, time.Time{}

	_, err = w.SyncRelease(ctx, root, struct{}{})
	wantCode(t, err, Conflict, "", "not on")
	f.st.Brake = &Brake{Deletions: 40, Files: 50}
	if st, err := w.SyncRelease(ctx, root, struct{}{}); err != nil || st.Brake != nil || f.released != 1 {
		t.Errorf("%+v, %v", st, err)
	}
	all := entries(t, filepath.Join(w.dir, "audit.jsonl"))
	if last := all[len(all)-1]; last.Action != "sync.release" || last.Target != "40 deletions of 50 files" || last.Result != "ok" {
		t.Errorf("%+v", last)
	}
	f.st.Brake = &Brake{}
	w.Audit.f = &fullDisk{auditFile: w.Audit.f}
	_, err = w.SyncRelease(ctx, root, struct{}{})
	wantCode(t, err, NoAudit, "")
	if f.released != 1 {
		t.Error("it was released, and could not be written down")
	}
	f.err = errors.New("broken")
	if _, err := w.Status(ctx, root, struct{}{}); !errors.Is(err, f.err) {
		t.Errorf("%v", err)
	}
}

func TestExchangeInTheStatus(t *testing.T) {
	w := newWorld(t)
	f := w.withExchange()
	f.copies = []ConflictCopy{{Path: "owen@lab.example/a", Copy: "owen@lab.example/a (copy)", By: string(rachel)}}
	f.st.Offline, f.st.Problem = w.clock.now(), "no route to host"
	f.st.Peers = []PeerExchange{{Address: string(rachel), Last: w.clock.now(), Owed: 2, Incoming: 1, Proposed: 3, Problem: "incompatible version"}}
	f.st.Brake = &Brake{Deletions: 40, Files: 50, Since: w.clock.now()}
	for range maxAsideShown + 2 {
		f.st.Aside = append(f.st.Aside, SetAside{Peer: string(rachel), Name: "msg_1", Path: "../x", Reason: "the path climbs", At: w.clock.now()})
	}
	st, err := w.Status(ctx, root, struct{}{})
	must(t, err)
	if st.Exchange == nil || st.Exchange.Conflicts != 1 {
		t.Fatalf("%+v", st.Exchange)
	}
	for _, want := range []string{"drive      local:http://127.0.0.1:8753 as owen@lab.example", "Drive does not answer since", "problem    no route to host",
		"2 files to send, 1 messages to take, 3 changes without an answer; incompatible version", "40 of 50 files are gone here", "syftfs sync release", "conflicts  1 file:",
		"rachel@uni.example: msg_1, ../x,", "the path climbs", "set aside  and 2 more"} {
		if !strings.Contains(st.Text(), want) {
			t.Errorf("%q is not in\n%s", want, st.Text())
		}
	}
	list, err := w.Conflicts(ctx, root, struct{}{})
	must(t, err)
	if text := ConflictsText(list); !strings.Contains(text, "/owen@lab.example/a\n") || !strings.Contains(text, "of rachel@uni.example") || !strings.Contains(text, "a (copy)") {
		t.Errorf("%s", text)
	}
	if ConflictsText(nil) != "no conflicts\n" {
		t.Error(ConflictsText(nil))
	}
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		must(t, w.View.Write(ctx, datasite.Path{Owner: owen, Rel: "there"}, []byte("x")))
		path := string(owen) + "/there"
		ask := func(c context.Context, q WaitQuestion) (Waited, error) { return w.Wait(c, root, q) }

		// Being there needs no Drive.
		if a, err := ask(ctx, WaitQuestion{Path: path, Exists: true}); err != nil || a.Path != path {
			t.Errorf("%+v, %v", a, err)
		}
		_, err := ask(ctx, WaitQuestion{Path: string(owen) + "/none", Exists: true, Timeout: time.Minute})
		wantCode(t, err, NotYet, "", "/owen@lab.example/none: it is not there")
		_, err = ask(ctx, WaitQuestion{Path: path, Timeout: -1})
		wantCode(t, err, BadInput, "timeout")
		_, err = ask(ctx, WaitQuestion{Path: "none"})
		wantCode(t, err, BadInput, "path")

		f := w.withExchange()
		f.states[path] = FileState{State: "queued"}
		_, err = ask(ctx, WaitQuestion{Path: path, Timeout: time.Minute})
		wantCode(t, err, NotYet, "", "it is queued")
		limited, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		_, err = ask(limited, WaitQuestion{Path: path})
		wantCode(t, err, NotYet, "", "it is queued")
		gone, cancel := context.WithCancel(ctx)
		cancel()
		if _, err = ask(gone, WaitQuestion{Path: path}); !errors.Is(err, context.Canceled) || Wrap(err).Code == NotYet {
			t.Errorf("%v", err)
		}

		// It comes while it is waited for, and is sent later.
		done := make(chan error, 1)
		go func() {
			a, err := ask(ctx, WaitQuestion{Path: string(owen) + "/later"})
			if err == nil && a.State != "synced" {
				err = errors.New(a.State)
			}
			done <- err
		}()
		<-time.After(time.Hour) // of the test's own clock
		must(t, w.View.Write(ctx, datasite.Path{Owner: owen, Rel: "later"}, []byte("x")))
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("before it was sent: %v", err)
		default:
		}
		close(f.settled)
		must(t, <-done)

		f.failed, f.states[path] = errors.New("its owner did not take it"), FileState{State: "refused", Reason: "no"}
		_, err = ask(ctx, WaitQuestion{Path: path})
		wantCode(t, err, Conflict, "path", "did not take it")
		f.states[path] = FileState{State: "queued"}
		_, err = ask(ctx, WaitQuestion{Path: path})
		wantCode(t, err, Unexpected, "")
	})
}

// TestWaitForWhatJobsShow: where the names in jobs/ are kept.
func TestWaitForWhatJobsShow(t *testing.T) {
	w := newWorld(t)
	mine := jobs.ID{Owner: rachel, Submitter: owen, Name: "sum"}
	theirs := jobs.ID{Owner: owen, Submitter: rachel, Name: "sum"}
	for typed, want := range map[string]datasite.Path{
		"owen@lab.example/a/jobs/x":                                    {Owner: owen, Rel: "a/jobs/x"},
		"rachel@uni.example/jobs/sum":                                  mine.Inbox(),
		"rachel@uni.example/jobs/owen@lab.example/sum/code/a.py":       mine.Inbox().Join("code/a.py"),
		"rachel@uni.example/jobs/sum/outputs/r.json":                   mine.Review().Join("outputs/r.json"),
		"rachel@uni.example/jobs/sum/logs/stdout.txt":                  mine.Review().Join("stdout.txt"),
		"rachel@uni.example/jobs/sum/logs":                             mine.Review(),
		"owen@lab.example/jobs/rachel@uni.example/sum/run.sh":          theirs.Inbox().Join("run.sh"),
		"owen@lab.example/jobs/rachel@uni.example/sum/outputs":         theirs.Review().Join("outputs"),
		"owen@lab.example/jobs/rachel@uni.example/sum/state.yaml":      theirs.Review().Join("state.yaml"),
		"owen@lab.example/jobs/rachel@uni.example/sum/held/r":          {},
		"owen@lab.example/jobs/rachel@uni.example/sum/DECISION":        {},
		"owen@lab.example/jobs/rachel@uni.example":                     {},
		"owen@lab.example/jobs/sum/x":                                  {},
		"rachel@uni.example/jobs/sum/status":                           {},
		w.host.state.Mount + "/rachel@uni.example/jobs/sum/state.yaml": mine.Review().Join("state.yaml"),
	} {
		p, err := w.path(typed)
		must(t, err)
		got, err := w.stored(p)
		if want == (datasite.Path{}) {
			wantCode(t, err, BadInput, "path")
		} else if err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", typed, got, err, want)
		}
	}
}

func TestWhyElsewhere(t *testing.T) {
	w := newWorld(t)
	w.put(map[string]string{
		"backing/owen@lab.example/f":                        "x",
		"backing/owen@lab.example/private/f":                "x",
		"backing/owen@lab.example/closed/f":                 "x",
		"backing/owen@lab.example/closed/syft.pub.yaml":     "terminal: true\nrules: []\n",
		"backing/owen@lab.example/public/syft_datasets/x/f": "x",
		"backing/owen@lab.example/syft.pub.yaml":            "rules:\n- pattern: '**'\n  access: {read: ['*']}\n",
		"backing/nina@uni.example/f":                        "x",
	})
	w.user(rachel, "")
	ask := func(who, path string) WhyAnswer {
		t.Helper()
		a, err := w.Why(ctx, root, WhyQuestion{User: who, Level: "read", Path: path})
		must(t, err)
		return a
	}
	const f = "owen@lab.example/f"
	none := func(who string) {
		t.Helper()
		if a := ask(who, f); a.Elsewhere != nil {
			t.Errorf("%s: %+v", who, a.Elsewhere)
		}
	}
	none(string(rachel))
	none("guest")
	none(string(owen))
	if a := ask("x@far.example", f); a.Elsewhere == nil || !strings.Contains(a.Elsewhere.Text, "no Drive") {
		t.Errorf("%+v", a.Elsewhere)
	}
	book, x := w.withPeers(), w.withExchange()
	if a := ask("x@far.example", f); a.Elsewhere.Peer != "" || !strings.Contains(a.Elsewhere.Text, "syftfs peers request x@far.example") || !a.Allowed {
		t.Errorf("%+v", a.Elsewhere)
	}
	none(string(rachel))
	x.st.Peers = []PeerExchange{{Address: "x@far.example"}}
	for _, c := range []struct {
		name    string
		peer    Peer
		path    string
		state   FileState
		problem string
		file    bool
		texts   []string
	}{
		{"asks", Peer{State: PeerPending}, f, FileState{}, "", false, []string{"has no answer", "syftfs peers accept x@far.example"}},
		{"was asked", Peer{State: PeerRequested}, f, FileState{}, "", false, []string{"did not answer"}},
		{"rejected", Peer{State: PeerRejected}, f, FileState{}, "", false, []string{"is rejected", "nothing is delivered"}},
		{"another version", Peer{State: PeerAccepted, Note: "it runs 0.2.0"}, f, FileState{}, "", false, []string{"accepted peer, but nothing is delivered: it runs 0.2.0"}},
		{"delivered", Peer{State: PeerAccepted, Serving: true}, f, FileState{State: "synced"}, "", true, []string{"it has been delivered"}},
		{"queued", Peer{State: PeerAccepted, Serving: true}, f, FileState{State: "queued"}, "quota", true, []string{"not been delivered", "the last error: quota"}},
		{"cannot be sent", Peer{State: PeerAccepted, Serving: true}, f, FileState{State: "error", Reason: "too large"}, "", true, []string{"not been delivered: too large"}},
		{"of another version of this program", Peer{State: PeerAccepted, Serving: true}, f, FileState{State: "later"}, "", true, []string{"; later"}},
		{"private", Peer{State: PeerAccepted, Serving: true}, "owen@lab.example/private/f", FileState{}, "", false, []string{"never leaves"}},
		{"a dataset", Peer{State: PeerAccepted, Serving: true}, "owen@lab.example/public/syft_datasets/x/f", FileState{}, "", false, []string{"a dataset is delivered whole"}},
		{"not granted", Peer{State: PeerAccepted, Serving: true}, "owen@lab.example/closed/f", FileState{}, "", false, []string{"may not read is not sent"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.peer.Address = "x@far.example"
			book.list = []Peer{c.peer}
			x.states[c.path], x.st.Peers[0].Problem = c.state, c.problem
			e := ask("x@far.example", c.path).Elsewhere
			if e == nil || e.Peer != c.peer.State || (e.File != nil) != c.file {
				t.Fatalf("%+v", e)
			}
			for _, text := range c.texts {
				if !strings.Contains(e.Text, text) {
					t.Errorf("%q is not in %q", text, e.Text)
				}
			}
		})
	}
	// In a replica.
	const g = "nina@uni.example/f"
	book.list = []Peer{{Address: string(nina), State: PeerAccepted, Serving: true}}
	for state, text := range map[string]string{"remote": "delivered by nina@uni.example", "local": "has not delivered it", "proposed": "has not answered", "refused": "did not take",
		"queued": "has not been sent"} {
		x.states[g] = FileState{State: state}
		if e := ask(string(owen), g).Elsewhere; e == nil || e.Peer != PeerAccepted || !strings.Contains(e.Text, text) {
			t.Errorf("%s: %+v", state, e)
		}
	}
	// The files below .syft/why say it, too.
	text, err := NewExplainer(w.Service, w.View, "").Explain(ctx, "x@far.example", datasite.Path{Owner: owen, Rel: "f"})
	if err != nil || strings.Count(text, "is no peer") != 1 {
		t.Errorf("%v: %s", err, text)
	}
}
