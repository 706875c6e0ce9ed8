package journal

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openmined/syftfs/fs/datasite"
)

const owner = "owen@centre.example"

func at(rel string) datasite.Path { return datasite.Path{Owner: owner, Rel: rel} }

func stamp(n int64) datasite.Known {
	return datasite.Known{Stamp: datasite.Stamp{Dev: 1, Ino: 7, Size: n, MTime: time.Unix(1000, n).UTC(), CTime: time.Unix(1000, n).UTC()}}
}

func write(rel string, n int64) datasite.Change {
	return datasite.Change{Op: datasite.OpWrite, Path: at(rel), After: stamp(n), Origin: datasite.OriginLocal}
}

func open(t testing.TB, path string, o Options) *Journal {
	t.Helper()
	if o.Reserve == 0 {
		o.Reserve = 1 << 16
	}
	j, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func newPath(t testing.TB) string { return filepath.Join(t.TempDir(), "journal.db") }

// all reads every change that is committed.
func all(t testing.TB, j *Journal) []datasite.Change {
	t.Helper()
	r, err := j.Reader("test all")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	last, err := j.Last()
	if err != nil {
		t.Fatal(err)
	}
	var out []datasite.Change
	for uint64(len(out)) < last {
		c, err := r.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if c.Seq != uint64(len(out)+1) {
			t.Fatalf("change %d has sequence number %d", len(out)+1, c.Seq)
		}
		out = append(out, c)
	}
	return out
}

func TestCommitIsDurableAndInOrder(t *testing.T) {
	ctx, path := context.Background(), newPath(t)
	j := open(t, path, Options{})
	for i := range int64(10) {
		if err := j.Append(write(fmt.Sprintf("f%d", i), i)); err != nil {
			t.Fatal(err)
		}
	}
	seq, err := j.Commit(ctx, write("last", 10))
	if err != nil || seq != 11 {
		t.Fatalf("Commit = %d, %v", seq, err)
	}
	copied := copyFile(t, path) // what a killed program leaves
	again := open(t, copied, Options{})
	got := all(t, again)
	if len(got) != 11 || got[0].Path != at("f0") || got[10].Path != at("last") {
		t.Fatalf("got %v", got)
	}
	if k, ok := again.Known(at("f3")); !ok || k != stamp(3) {
		t.Fatalf("Known = %v, %v", k, ok)
	}
}

func copyFile(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	to := newPath(t)
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestKnownSeesTheQueue(t *testing.T) {
	j := open(t, newPath(t), Options{})
	steps := []datasite.Change{
		write("a/x", 1), write("a/y", 2),
		{Op: datasite.OpRename, From: at("a"), Path: at("b")},
		write("b/x", 3),
		{Op: datasite.OpRemove, Path: at("b/y")},
	}
	for _, c := range steps {
		if err := j.Append(c); err != nil {
			t.Fatal(err)
		}
	}
	check := func() {
		t.Helper()
		for rel, want := range map[string]datasite.Known{"a/x": {}, "a/y": {}, "b/x": stamp(3), "b/y": {}, "b": {}} {
			if k, ok := j.Known(at(rel)); k != want || ok != (want != datasite.Known{}) {
				t.Errorf("%s: Known = %v, %v, want %v", rel, k, ok, want)
			}
		}
	}
	check()
	if err := j.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	check()
}

func TestGroupIsCommittedWithinASecond(t *testing.T) {
	path := newPath(t)
	synctest.Test(t, func(t *testing.T) {
		j, err := Open(path, Options{Reserve: 1 << 16})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		if err := j.Append(write("a", 1)); err != nil {
			t.Fatal(err)
		}
		<-time.After(groupDelay - time.Millisecond)
		synctest.Wait()
		if last, _ := j.Last(); last != 0 {
			t.Fatalf("committed early: %d", last)
		}
		<-time.After(time.Millisecond)
		synctest.Wait()
		if last, _ := j.Last(); last != 1 {
			t.Fatalf("not committed after a second: %d", last)
		}
	})
}

func TestManyAppendsAreCommittedEarly(t *testing.T) {
	path := newPath(t)
	synctest.Test(t, func(t *testing.T) {
		j, err := Open(path, Options{Reserve: 1 << 16})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		for i := range int64(groupSize) {
			if err := j.Append(write("a", i)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait() // no time passes
		if last, _ := j.Last(); last != groupSize {
			t.Fatalf("Last = %d", last)
		}
	})
}

// gate holds the first commit until it is opened.
type gate struct {
	reached, open chan struct{}
	once          sync.Once
}

func (g *gate) Before(op string) error {
	if op == "journal:commit" {
		g.once.Do(func() {
			close(g.reached)
			<-g.open
		})
	}
	return nil
}

func TestAppendBlocksWhileTheQueueIsFull(t *testing.T) {
	path := newPath(t)
	synctest.Test(t, func(t *testing.T) {
		g := &gate{reached: make(chan struct{}), open: make(chan struct{})}
		j, err := Open(path, Options{Reserve: 1 << 16, Fault: g})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		if err := j.Append(write("first", 1)); err != nil {
			t.Fatal(err)
		}
		flushed := make(chan error, 1)
		go func() { flushed <- j.Flush(context.Background()) }()
		<-g.reached
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range int64(queueSize) {
				if err := j.Append(write("a", i)); err != nil {
					t.Error(err)
				}
			}
		}()
		synctest.Wait()
		select {
		case <-done:
			t.Error("Append did not block")
		default:
		}
		if k, ok := j.Known(at("first")); !ok || k != stamp(1) {
			t.Errorf("Known of what is being committed = %v, %v", k, ok)
		}
		close(g.open)
		<-done
		if err := <-flushed; err != nil {
			t.Error(err)
		}
		if err := j.Flush(context.Background()); err != nil {
			t.Error(err)
		}
		if last, _ := j.Last(); last != queueSize+1 {
			t.Errorf("Last = %d", last)
		}
	})
}

func TestConcurrentCommitsShareATransaction(t *testing.T) {
	path := newPath(t)
	synctest.Test(t, func(t *testing.T) {
		g := &gate{reached: make(chan struct{}), open: make(chan struct{})}
		n := &counter{next: g}
		j, err := Open(path, Options{Reserve: 1 << 16, Fault: n})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		var wg sync.WaitGroup
		seqs := make([]uint64, 21)
		commit := func(i int) {
			seq, err := j.Commit(context.Background(), write(fmt.Sprint(i), int64(i)))
			if err != nil {
				t.Error(err)
			}
			seqs[i] = seq
		}
		wg.Go(func() { commit(0) })
		<-g.reached
		for i := 1; i <= 20; i++ {
			wg.Go(func() { commit(i) })
		}
		synctest.Wait()
		close(g.open)
		wg.Wait()
		if n.commits != 2 {
			t.Errorf("%d transactions for 21 commits", n.commits)
		}
		seen := map[uint64]bool{}
		for _, s := range seqs {
			seen[s] = true
		}
		if len(seen) != 21 || seen[0] {
			t.Errorf("sequence numbers %v", seqs)
		}
	})
}

type counter struct {
	next    *gate
	commits int
}

func (c *counter) Before(op string) error {
	if op == "journal:commit" {
		c.commits++
	}
	return c.next.Before(op)
}

// script fails the named steps, in turn, with the errors given.
type script struct {
	mu     sync.Mutex
	errors map[string][]error
}

func (s *script) Before(op string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.errors[op]; len(l) > 0 {
		s.errors[op] = l[1:]
		return l[0]
	}
	return nil
}

func (s *script) set(op string, errs ...error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errors[op] = errs
}

func TestFailedCommitIsToldAndTheQueueIsKept(t *testing.T) {
	boom := errors.New("boom")
	path := newPath(t)
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		s := &script{errors: map[string][]error{"journal:commit": {boom}}}
		j, err := Open(path, Options{Reserve: 1 << 16, Fault: s})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		if err := j.Append(write("kept", 1)); err != nil {
			t.Fatal(err)
		}
		if _, err := j.Commit(ctx, write("told", 2)); !errors.Is(err, boom) {
			t.Fatalf("Commit: %v", err)
		}
		if k, ok := j.Known(at("kept")); !ok || k != stamp(1) {
			t.Errorf("kept: %v, %v", k, ok)
		}
		if k, ok := j.Known(at("told")); ok {
			t.Errorf("told: %v", k)
		}
		<-time.After(groupDelay) // tried again by itself
		synctest.Wait()
		if got := all(t, j); len(got) != 1 || got[0].Path != at("kept") {
			t.Errorf("got %v", got)
		}
	})
}

func TestFullDisk(t *testing.T) {
	enospc := &iofs.PathError{Op: "write", Path: "journal.db", Err: syscall.ENOSPC}
	path := newPath(t)
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		s := &script{errors: map[string][]error{}}
		j, err := Open(path, Options{Reserve: 1 << 20, Fault: s})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		if err := j.Full(); err != nil {
			t.Fatal(err)
		}
		if n := allocated(t, path+".reserve"); n < 1<<20 {
			t.Fatalf("the reserve holds %d bytes", n)
		}
		s.set("journal:commit", enospc)
		s.set("journal:reserve", enospc)
		if seq, err := j.Commit(ctx, write("a", 1)); err != nil || seq != 1 {
			t.Fatalf("Commit from the reserve = %d, %v", seq, err)
		}
		if err := j.Full(); !errors.Is(err, ErrFull) || !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("Full = %v", err)
		}
		if n := allocated(t, path+".reserve"); n != 0 {
			t.Errorf("the reserve still holds %d bytes", n)
		}
		<-time.After(groupDelay)
		synctest.Wait()
		if j.Full() == nil {
			t.Error("not full, but the reserve cannot be back")
		}
		<-time.After(groupDelay)
		synctest.Wait()
		if err := j.Full(); err != nil {
			t.Errorf("there is space again: %v", err)
		}

		// Not even the reserve is enough: the caller is told, what was queued waits.
		s.set("journal:commit", enospc, enospc)
		if err := j.Append(write("b", 2)); err != nil {
			t.Fatal(err)
		}
		if _, err := j.Commit(ctx, write("c", 3)); !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, ErrFull) {
			t.Fatalf("Commit = %v", err)
		}
		if err := j.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		if got := all(t, j); len(got) != 2 || got[1].Path != at("b") {
			t.Errorf("got %v", got)
		}
	})
}

func TestAppendFailsWhenTheQueueIsFullAndCannotBeWritten(t *testing.T) {
	boom := errors.New("boom")
	path := newPath(t)
	s := &script{errors: map[string][]error{"journal:commit": make([]error, 1000)}}
	for i := range s.errors["journal:commit"] {
		s.errors["journal:commit"][i] = boom
	}
	j, err := Open(path, Options{Reserve: 1 << 16, Fault: s})
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(2 * queueSize) {
		if err = j.Append(write("a", i)); err != nil {
			break
		}
	}
	if !errors.Is(err, boom) {
		t.Errorf("Append = %v", err)
	}
	s.set("journal:commit")
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, path, Options{})
	if last, _ := again.Last(); last != queueSize {
		t.Errorf("after Close: Last = %d", last)
	}
}

func allocated(t testing.TB, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Blocks * 512
}

func TestOpenRefuses(t *testing.T) {
	t.Run("a journal that is open", func(t *testing.T) {
		path := newPath(t)
		open(t, path, Options{})
		if _, err := Open(path, Options{}); !errors.Is(err, ErrLocked) {
			t.Fatal(err)
		}
	})
	t.Run("another file", func(t *testing.T) {
		path := newPath(t)
		if err := os.WriteFile(path, make([]byte, 1<<16), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, Options{}); !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
	})
	t.Run("a journal cut short", func(t *testing.T) {
		path := newPath(t)
		j := open(t, path, Options{})
		if _, err := j.Commit(context.Background(), write("a", 1)); err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, 2*int64(os.Getpagesize())); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, Options{}); !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
	})
	t.Run("a folder that is missing", func(t *testing.T) {
		if _, err := Open(filepath.Join(t.TempDir(), "no", "journal.db"), Options{}); !errors.Is(err, iofs.ErrNotExist) {
			t.Fatal(err)
		}
	})
}

func TestRefusedChanges(t *testing.T) {
	j := open(t, newPath(t), Options{})
	for name, c := range map[string]datasite.Change{
		"no path":      {Op: datasite.OpWrite},
		"no op":        {Path: at("a")},
		"climbs":       {Op: datasite.OpWrite, Path: at("../a")},
		"not cleaned":  {Op: datasite.OpWrite, Path: at("a//b")},
		"rename to":    {Op: datasite.OpRename, Path: at("a")},
		"from without": {Op: datasite.OpWrite, Path: at("a"), From: at("b")},
	} {
		if err := j.Append(c); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := j.Commit(context.Background(), c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestClosed(t *testing.T) {
	j := open(t, newPath(t), Options{})
	r, err := j.Reader("r")
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		_, err := r.Next(context.Background())
		got <- err
	}()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; !errors.Is(err, iofs.ErrClosed) {
		t.Errorf("Next: %v", err)
	}
	if err := j.Append(write("a", 1)); !errors.Is(err, iofs.ErrClosed) {
		t.Errorf("Append: %v", err)
	}
	if _, err := j.Commit(context.Background(), write("a", 1)); !errors.Is(err, iofs.ErrClosed) {
		t.Errorf("Commit: %v", err)
	}
	if _, ok := j.Known(at("a")); ok {
		t.Error("Known after Close")
	}
	if err := j.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestReader(t *testing.T) {
	ctx, path := context.Background(), newPath(t)
	j := open(t, path, Options{})
	r, err := j.Reader("jobs")
	if err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := r.Next(cancelled); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	got := make(chan datasite.Change, 1)
	go func() {
		c, err := r.Next(ctx)
		if err != nil {
			t.Error(err)
		}
		got <- c
	}()
	for i := range int64(300) {
		if _, err := j.Commit(ctx, write(fmt.Sprint(i), i)); err != nil {
			t.Fatal(err)
		}
	}
	if c := <-got; c.Seq != 1 || c.Path != at("0") {
		t.Fatalf("Next = %+v", c)
	}
	for want := uint64(2); want <= 300; want++ {
		if c, err := r.Next(ctx); err != nil || c.Seq != want {
			t.Fatalf("Next = %d, %v, want %d", c.Seq, err, want)
		}
	}
	for _, seq := range []uint64{200, 100} { // never back
		if err := r.Done(seq); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Done(301); err == nil {
		t.Error("Done beyond the end")
	}
	again := open(t, copyFile(t, path), Options{})
	r, err = again.Reader("jobs")
	if err != nil {
		t.Fatal(err)
	}
	if c, err := r.Next(ctx); err != nil || c.Seq != 201 {
		t.Fatalf("Next after a restart = %d, %v", c.Seq, err)
	}
}

func TestEachKnown(t *testing.T) {
	j := open(t, newPath(t), Options{})
	for i := range int64(1200) {
		if err := j.Append(write(fmt.Sprintf("d/%04d", i), i+1)); err != nil {
			t.Fatal(err)
		}
	}
	for _, rel := range []string{"d-other", "d", "e/x"} {
		if err := j.Append(write(rel, 1)); err != nil {
			t.Fatal(err)
		}
	}
	count := func(under datasite.Path) (n int, first datasite.Path) {
		err := j.EachKnown(under, func(p datasite.Path, k datasite.Known) error {
			if n == 0 {
				first = p
			}
			if !p.Under(under) {
				t.Errorf("%v is not under %v", p, under)
			}
			n++
			// A change while it runs: neither a deadlock nor shown when it is gone.
			return j.Append(datasite.Change{Op: datasite.OpRemove, Path: at("e")})
		})
		if err != nil {
			t.Fatal(err)
		}
		return n, first
	}
	if n, first := count(at("d")); n != 1201 || first != at("d") {
		t.Errorf("under d: %d, first %v", n, first)
	}
	if n, _ := count(datasite.Path{}); n != 1202 {
		t.Errorf("under the root: %d", n)
	}
	if n, _ := count(datasite.Path{Owner: "other@centre.example"}); n != 0 {
		t.Errorf("under another datasite: %d", n)
	}
	stop := errors.New("stop")
	if err := j.EachKnown(datasite.Path{}, func(datasite.Path, datasite.Known) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
}

// TestReaderGivesWhatCanBeAcknowledged: between the end of a transaction and its announcement a reader sees nothing of it; else it would
// acknowledge a change that the journal does not count yet.
func TestReaderGivesWhatCanBeAcknowledged(t *testing.T) {
	j := open(t, newPath(t), Options{})
	for n := range 2 {
		if _, err := j.Commit(t.Context(), write("f", int64(n))); err != nil {
			t.Fatal(err)
		}
	}
	r, err := j.Reader("jobs")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	count := func(last uint64) {
		j.mu.Lock()
		j.last = last
		j.mu.Unlock()
	}
	count(1) // as it is while the second is just stored
	if err := r.fetch(); err != nil || len(r.ahead) != 1 {
		t.Errorf("%d changes, %v, want the first alone", len(r.ahead), err)
	}
	count(2)
	for want := uint64(1); want <= 2; want++ {
		c, err := r.Next(t.Context())
		if err != nil || c.Seq != want {
			t.Fatalf("change %d, %v, want %d", c.Seq, err, want)
		}
		if err := r.Done(c.Seq); err != nil {
			t.Error(err)
		}
	}
}
