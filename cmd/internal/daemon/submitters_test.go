package daemon

import (
	"context"
	"crypto/sha256"
	"errors"
	iofs "io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/openmined/syftfs/cmd/internal/config"
	"github.com/openmined/syftfs/fs/backing"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/fs/guard"
	"github.com/openmined/syftfs/fs/statedir"
	"github.com/openmined/syftfs/fs/virtual"
	"github.com/openmined/syftfs/jobs"
	"github.com/openmined/syftfs/jobs/desk"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/account"
	"github.com/openmined/syftfs/perm/rulefile"
	"github.com/openmined/syftfs/sync/journal"
)

const (
	rachel = perm.User("rachel@science.example")
	owen   = perm.User("owen@centre.example")
)

// wired is rachel's datasite as far as submitting to a peer needs it, over real folders.
func wired(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	s := &site{owner: rachel, log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	var err error
	s.state, err = statedir.Open(filepath.Join(dir, "state"), nil)
	check(err)
	s.accounts, err = account.Open(s.state, rachel)
	check(err)
	check(os.Mkdir(filepath.Join(dir, "box"), 0o700))
	s.tree, err = backing.Open(filepath.Join(dir, "box"))
	check(err)
	t.Cleanup(func() { check(s.tree.Close()) })
	j, err := journal.Open(s.state.Path("journal.db"), journal.Options{})
	check(err)
	t.Cleanup(func() { check(j.Close()) })
	s.journal = &watchedJournal{Journal: j, load: rulefile.Loader(s.tree.FS()), broken: map[datasite.Path]error{},
		moved: func(c datasite.Change) { s.drafts.delivered(c) }, told: func(datasite.Path, error) {}}
	s.gate = guard.New(guard.Config{Owner: rachel, Tree: s.tree, Rules: perm.NewIndex(s.journal.load), Recorder: s.journal, Memory: s.journal, Subjects: s.accounts, Log: s.log})
	s.view = s.gate.View(datasite.Identity{Subject: rachel}, nil)
	home, err := s.state.Sub("drafts")
	check(err)
	s.drafts = &drafts{site: s, dir: home}
	s.cfg.Jobs.Settle, s.cfg.Jobs.BareSettle = config.Duration(time.Hour), config.Duration(time.Hour) // only what is submitted is sealed
	t.Cleanup(func() { check(s.drafts.close()) })
	return s
}

// plainCarrier says the same of everything.
type plainCarrier struct {
	mu   sync.Mutex
	sent desk.Transit
}

func (c *plainCarrier) Sent(datasite.Path) desk.Transit {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent
}
func (c *plainCarrier) Deletions(perm.User) bool { return false }
func (c *plainCarrier) Install(perm.User) string { return "syft-client==9.9.9" }

func (c *plainCarrier) set(state string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = desk.Transit{State: state}
}

// copyTo copies a file into jobs/, as cp does.
func copyTo(t *testing.T, d *desk.Submitter, rel, body string) error {
	t.Helper()
	dir := filepath.Dir(rel)
	if err := d.Mkdir(t.Context(), dir, 0o755); err != nil && !errors.Is(err, iofs.ErrExist) {
		return err
	}
	h, err := d.Open(t.Context(), rel, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = h.WriteAt([]byte(body), 0)
	return errors.Join(err, h.Close())
}

func text(t *testing.T, d *desk.Submitter, rel string) string {
	t.Helper()
	h, err := d.Open(t.Context(), rel, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1<<14)
	n, _ := h.ReadAt(b, 0)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// The desk in a replica: a draft is sealed into the replica as one change of the owner's, and what the peer delivers shows in it.
func TestSubmittingToAPeer(t *testing.T) {
	s := wired(t)
	c := &plainCarrier{}
	c.set("queued")
	s.drafts.carrier = c
	sub, err := s.drafts.ofPeer(owen)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := s.drafts.ofPeer(owen); err != nil || again != sub || s.drafts.toPeer(owen) != sub || s.drafts.toPeer(rachel) != nil {
		t.Fatalf("opened twice: %v", err)
	}
	told := make(chan string, 1000)
	sub.watch("mount", func(rel string) { told <- rel })
	d := sub.desk
	for rel, body := range map[string]string{"fit/main.py": "print(1)\n", "fit/util.py": ""} {
		if err := copyTo(t, d, rel, body); err != nil {
			t.Fatal(err)
		}
	}
	before, err := s.journal.Last()
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.store.Submit(t.Context(), "fit"); err != nil {
		t.Fatal(err)
	}
	id := jobs.ID{Owner: owen, Submitter: rachel, Name: "fit"}
	run, err := s.view.ReadFile(t.Context(), id.Inbox().Join("run.sh"))
	if err != nil || !strings.Contains(string(run), `"syft-client==9.9.9"`) {
		t.Fatalf("%s, %v", run, err)
	}
	if got := changes(t, s, before); got[len(got)-1].Op != datasite.OpSubmit || got[len(got)-1].Path != id.Inbox() || got[len(got)-1].By != (datasite.Identity{Subject: rachel}) {
		t.Fatalf("journaled %+v", got)
	}
	if dr, err := sub.store.Draft("fit"); err != nil {
		t.Error(err)
	} else if j, ok := sub.delivered.Status(id); !ok || j.Status != jobs.Received || j.Digest != dr.Digest || len(j.Files) != dr.Files {
		t.Errorf("in the replica: %+v", j) // what a receipt that a crash lost is found by
	}
	if st := text(t, d, "fit/status"); !strings.Contains(st, "submitted: it waits to be sent") {
		t.Errorf("status\n%s", st)
	}

	// A revision that drops a file waits, as this peer takes no deletions.
	if err := d.Remove(t.Context(), "fit/util.py"); err != nil {
		t.Fatal(err)
	}
	if err := sub.store.Submit(t.Context(), "fit"); !errors.Is(err, syscall.EPERM) {
		t.Errorf("a dropped file: %v", err)
	}
	if err := copyTo(t, d, "fit/util.py", ""); err != nil {
		t.Fatal(err)
	}
	if err := sub.store.Submit(t.Context(), "fit"); err != nil {
		t.Errorf("put back: %v", err)
	}

	// The peer answers.
	c.set("remote")
	deliver(t, s, id.Review().Join("state.yaml"), "received_at: '2026-01-01T00:03:31.250000Z'\nstatus: pending\n", told)
	if st := text(t, d, "fit/status"); !strings.Contains(st, "pending: it waits for the owner") {
		t.Errorf("status\n%s", st)
	}
	deliver(t, s, id.Review().Join("state.yaml"), "approved_at: '2026-01-01T00:03:40Z'\napproved_by: owen@centre.example\nreturn_code: 0\nstatus: done\n", told)
	deliver(t, s, id.Review().Join("outputs/r.csv"), "1\n", told)
	deliver(t, s, id.Review().Join("stdout.txt"), "fine\n", told)
	entries, err := d.List(t.Context(), "fit")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name)
	}
	if want := []string{"config.yaml", "logs", "main.py", "outputs", "run.sh", "state.yaml", "status", "util.py"}; !slices.Equal(names, want) {
		t.Errorf("shown %v", names)
	}
	if e, err := d.Lookup(t.Context(), "fit/logs/stdout.txt"); err != nil || e.Kind != virtual.Stored || e.Path != id.Review().Join("stdout.txt") {
		t.Errorf("%+v, %v", e, err)
	}
	if err := copyTo(t, d, "fit/main.py", "print(2)\n"); !errors.Is(err, syscall.EROFS) {
		t.Errorf("writing to a decided job: %v", err)
	}

	// What came from her other client shows as well, and its name is taken.
	deliver(t, s, jobs.ID{Owner: owen, Submitter: rachel, Name: "api"}.Inbox().Join("run.sh"), "true\n", told)
	if st := text(t, d, "api/status"); !strings.Contains(st, "received: it is with the owner") {
		t.Errorf("status\n%s", st)
	}
	if err := d.Mkdir(t.Context(), "api", 0o755); !errors.Is(err, iofs.ErrExist) {
		t.Errorf("mkdir: %v", err)
	}
}

// Everything is there after a restart.
func TestDraftsForAPeerAreKept(t *testing.T) {
	s := wired(t)
	sub, err := s.drafts.ofPeer(owen)
	if err != nil {
		t.Fatal(err)
	}
	if err := copyTo(t, sub.desk, "fit/main.py", "print(1)\n"); err != nil {
		t.Fatal(err)
	}
	if err := s.drafts.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.drafts.ofPeer("other@centre.example"); err == nil {
		t.Error("opened while stopping")
	}
	s.drafts = &drafts{site: s, dir: s.drafts.dir}
	if sub, err = s.drafts.ofPeer(owen); err != nil {
		t.Fatal(err)
	}
	if got := text(t, sub.desk, "fit/main.py"); got != "print(1)\n" {
		t.Errorf("%q", got)
	}
	other, err := s.drafts.ofPeer("other@centre.example")
	if err != nil || len(other.store.Drafts()) != 0 {
		t.Errorf("another peer has %v, %v", other.store.Drafts(), err)
	}
}

// deliver puts a file into the replica, as the replicator does, and waits until that is told.
func deliver(t *testing.T, s *site, p datasite.Path, body string, told chan string) {
	t.Helper()
	for len(told) > 0 {
		<-told
	}
	c := datasite.Change{Op: datasite.OpWrite, Path: p, After: datasite.Known{Hash: sha256.Sum256([]byte(body))}}
	if old, err := s.view.ReadFile(t.Context(), p); err == nil {
		c.Before.Hash = sha256.Sum256(old)
	}
	if err := s.gate.Apply(t.Context(), p.Owner, c, strings.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	<-told
}

// changes are those of the journal after seq.
func changes(t *testing.T, s *site, seq uint64) (list []datasite.Change) {
	t.Helper()
	r, err := s.journal.Reader("test")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	last, err := s.journal.Last()
	if err != nil {
		t.Fatal(err)
	}
	for {
		c, err := r.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if c.Seq > seq {
			list = append(list, c)
		}
		if c.Seq >= last {
			return list
		}
	}
}
