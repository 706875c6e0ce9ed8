package driveserver_test

import (
	"bufio"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/openmined/syftfs/sync/driveserver"
	gdrive "google.golang.org/api/drive/v3"
)

const childEnv = "SYFTFS_TEST_DRIVESERVER_CHILD"

// TestMain is also the child that TestKill kills: a server whose clients write and say what was acknowledged.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func child(dir string) error {
	s, err := driveserver.Open(driveserver.Config{Dir: dir})
	if err != nil {
		return err
	}
	tok, err := s.IssueToken("ada@example.org")
	if err != nil {
		return err
	}
	var say sync.Mutex
	var wg sync.WaitGroup
	for worker := range 3 {
		wg.Go(func() {
			for n := 0; ; n++ {
				name := fmt.Sprintf("w%d-%d-%d", os.Getpid(), worker, n)
				body := "--b\r\n\r\n{\"name\":\"" + name + "\"}\r\n--b\r\nContent-Type: text/plain\r\n\r\n" + name + "\r\n--b--\r\n"
				r := httptest.NewRequest("POST", "/upload/drive/v3/files?uploadType=multipart", strings.NewReader(body))
				r.Header.Set("Authorization", "Bearer "+tok.Access)
				r.Header.Set("Content-Type", "multipart/related; boundary=b")
				w := httptest.NewRecorder()
				s.Handler().ServeHTTP(w, r)
				if w.Code != 200 {
					return
				}
				say.Lock()
				_, err := fmt.Println(name)
				say.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return nil
}

// TestKill kills a server under load again and again: what was acknowledged is there, whole, and in the feed; nothing is half there.
func TestKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := driveserver.Open(driveserver.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddAccount("ada@example.org"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	acknowledged := map[string]bool{}
	for round := range 6 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+dir)
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
			acknowledged[lines.Text()] = true
			if n == 5+7*round {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the child ended by itself")
		}
	}
	d := &drive{t: t, dir: dir, clock: &clock{}}
	d.clock.t = newClock().t
	d.open()
	defer d.close()
	p := d.signIn("ada@example.org")
	ids := map[string]string{}
	err = p.Files.List().PageSize(1000).Pages(t.Context(), func(l *gdrive.FileList) error {
		for _, f := range l.Files {
			if ids[f.Name] != "" {
				t.Errorf("%s is there twice", f.Name)
			}
			ids[f.Name] = f.Id
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range acknowledged {
		if ids[name] == "" {
			t.Errorf("%s was acknowledged and is gone", name)
		}
	}
	for name, id := range ids {
		if got, err := p.content(id); err != nil || got != name {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
	changed := map[string]bool{}
	l, err := p.Changes.List("1").PageSize(1000).Do()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range l.Changes {
		changed[c.FileId] = true
	}
	for name, id := range ids {
		if !changed[id] {
			t.Errorf("%s is not in the feed", name)
		}
	}
	if problems, err := d.Check(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}
