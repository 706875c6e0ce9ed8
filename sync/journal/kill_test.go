package journal

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/openmined/syftfs/fs/datasite"
)

const childEnv = "SYFTFS_TEST_JOURNAL_CHILD"

// TestMain is also the child that TestKill kills: it appends and commits and says which commits returned.
func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		if err := child(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func child(path string) error {
	j, err := Open(path, Options{Reserve: 1 << 16})
	if err != nil {
		return err
	}
	r, err := j.Reader("child")
	if err != nil {
		return err
	}
	last, err := j.Last()
	if err != nil {
		return err
	}
	for n := last + 1; ; n += 4 { // the number in each change is its sequence number
		for i := range uint64(3) {
			if err := j.Append(write(fmt.Sprintf("d%d/f%d", (n+i)%7, n+i), int64(n+i))); err != nil {
				return err
			}
		}
		seq, err := j.Commit(context.Background(), write(fmt.Sprintf("c%d", n+3), int64(n+3)))
		if err != nil {
			return err
		}
		if _, err := fmt.Println("commit", seq); err != nil {
			return err
		}
		c, err := r.Next(context.Background())
		if err != nil {
			return err
		}
		if err := r.Done(c.Seq); err != nil {
			return err
		}
		if _, err := fmt.Println("done", c.Seq); err != nil {
			return err
		}
	}
}

// TestKill kills a writing process again and again: the numbers have no gap, and what returned is there.
func TestKill(t *testing.T) {
	path := newPath(t)
	var committed, done uint64
	for round := range 12 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+path)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if n == 3+7*round { // what it says after that is in the pipe and counts as well
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			word, number, _ := strings.Cut(lines.Text(), " ")
			seq, err := strconv.ParseUint(number, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			if word == "commit" {
				committed = seq
			} else {
				done = seq
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the child ended by itself")
		}
		checkKilled(t, path, committed, done)
	}
}

func checkKilled(t *testing.T, path string, committed, done uint64) {
	t.Helper()
	j, err := Open(path, Options{Reserve: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if err := errorsOf(j); err != nil {
		t.Fatal(err)
	}
	changes := all(t, j) // checks that there is no gap
	if uint64(len(changes)) < committed {
		t.Fatalf("%d changes, but commit %d returned", len(changes), committed)
	}
	for i, c := range changes {
		if c.After != stamp(int64(i+1)) {
			t.Fatalf("change %d is %+v", i+1, c)
		}
		if k, ok := j.Known(c.Path); !ok || k != c.After {
			t.Fatalf("change %d: known %v", i+1, k)
		}
	}
	r, err := j.Reader("child")
	if err != nil {
		t.Fatal(err)
	}
	if r.taken < done {
		t.Fatalf("cursor %d, but Done(%d) returned", r.taken, done)
	}
}

// errorsOf asks bbolt whether the file is whole.
func errorsOf(j *Journal) error {
	tx, err := j.db.Begin(false)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var first error
	for err := range tx.Check() {
		if first == nil {
			first = err
		}
	}
	return first
}

func BenchmarkAppend(b *testing.B) {
	j := open(b, newPath(b), Options{})
	c := write("public/data/file.csv", 1)
	c.By = datasite.Identity{Subject: owner}
	b.ReportAllocs()
	for b.Loop() {
		if err := j.Append(c); err != nil {
			b.Fatal(err)
		}
	}
	if err := j.Flush(context.Background()); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkCommit(b *testing.B) {
	j := open(b, newPath(b), Options{})
	c := write("public/data/file.csv", 1)
	b.Run("alone", func(b *testing.B) {
		for b.Loop() {
			if _, err := j.Commit(context.Background(), c); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("32 at a time", func(b *testing.B) {
		b.SetParallelism(16)
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				if _, err := j.Commit(context.Background(), c); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

func BenchmarkKnown(b *testing.B) {
	for _, state := range []string{"queued", "stored"} {
		b.Run(state, func(b *testing.B) {
			j := open(b, newPath(b), Options{})
			if err := j.Append(write("public/data/file.csv", 1)); err != nil {
				b.Fatal(err)
			}
			if state == "stored" {
				if err := j.Flush(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := j.Known(at("public/data/file.csv")); !ok {
					b.Fatal("not known")
				}
			}
		})
	}
}
