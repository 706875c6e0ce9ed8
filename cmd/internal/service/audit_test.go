package service

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func openLog(t *testing.T, path string) *Audit {
	t.Helper()
	a, err := OpenAudit(path, newClock().now)
	must(t, err)
	return a
}

func entries(t *testing.T, path string) []Entry {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	var all []Entry
	for line := range strings.Lines(string(b)) {
		var e Entry
		must(t, json.Unmarshal([]byte(line), &e))
		all = append(all, e)
	}
	return all
}

func write(t *testing.T, a *Audit, action string) {
	t.Helper()
	_, err := a.write(root, Entry{Action: action, Result: "ok"})
	must(t, err)
}

func TestAuditChain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	a := openLog(t, path)
	write(t, a, "one")
	write(t, a, "two")
	must(t, a.Close())
	must(t, a.Close())
	a = openLog(t, path) // it goes on where it was
	write(t, a, "three")
	must(t, a.Close())

	body, err := os.ReadFile(path)
	must(t, err)
	lines := strings.Split(strings.TrimSuffix(string(body), "\n"), "\n")
	all := entries(t, path)
	if len(all) != 3 {
		t.Fatalf("%d lines", len(all))
	}
	prev := ""
	for i, e := range all {
		if e.Seq != uint64(i+1) || e.Prev != prev || e.Actor != "owner" || e.Via != "socket" || e.At.IsZero() || e.At.Location() != time.UTC {
			t.Errorf("line %d: %+v", i+1, e)
		}
		prev = lineHash([]byte(lines[i]))
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

func TestAuditAfterACrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	a := openLog(t, path)
	write(t, a, "one")
	must(t, a.Close())
	whole, err := os.ReadFile(path)
	must(t, err)
	for _, cut := range []string{`{"seq":2,"ts"`, strings.TrimSuffix(string(whole), "\n")} {
		must(t, os.WriteFile(path, append(append([]byte{}, whole...), cut...), 0o600))
		a := openLog(t, path)
		if b, err := os.ReadFile(path); err != nil || string(b) != string(whole) {
			t.Errorf("%q: the log is %q, %v", cut, b, err)
		}
		if b, err := os.ReadFile(path + ".cut"); err != nil || string(b) != cut {
			t.Errorf("set aside: %q, %v", b, err)
		}
		write(t, a, "two")
		must(t, a.Close())
		if all := entries(t, path); len(all) != 2 || all[1].Seq != 2 {
			t.Errorf("%+v", all)
		}
	}
}

func TestAuditThatWasChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	a := openLog(t, path)
	for i := range 5 {
		write(t, a, fmt.Sprint("action-", i+1))
	}
	must(t, a.Close())
	body, err := os.ReadFile(path)
	must(t, err)
	lines := strings.SplitAfter(string(body), "\n")
	for _, c := range []struct{ name, body, line string }{
		{"one word", strings.Replace(string(body), "action-2", "action-9", 1), "line 3 "},
		{"a line taken out", strings.Join(append(append([]string{}, lines[:2]...), lines[3:]...), ""), "line 3 "},
		{"the first taken out", strings.Join(lines[1:], ""), "line 1 "},
		{"two exchanged", lines[0] + lines[2] + lines[1] + lines[3], "line 2 "},
		{"a line put in", lines[0] + "{}\n" + strings.Join(lines[1:], ""), "line 2 "},
		{"no JSON", string(body) + "garbage\n", "line 6 "},
		{"an empty line", lines[0] + "\n" + lines[1], "line 2 "},
	} {
		t.Run(c.name, func(t *testing.T) {
			must(t, os.WriteFile(path, []byte(c.body), 0o600))
			_, err := OpenAudit(path, time.Now)
			if err == nil || !strings.Contains(err.Error(), path+" "+c.line) || !strings.Contains(err.Error(), "move it away") {
				t.Errorf("%v", err)
			}
			if b, err := os.ReadFile(path); err != nil || string(b) != c.body {
				t.Errorf("it was touched: %q, %v", b, err)
			}
		})
	}
	if _, err := OpenAudit(filepath.Join(path, "x"), time.Now); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("%v", err)
	}
}

func TestDeniedOnceAMinute(t *testing.T) {
	w := newWorld(t)
	other := Caller{Via: "socket", Reason: "uid"}
	job := Caller{Via: "socket", Account: "acc_1", Reason: "namespace"}
	deny := func(c Caller) {
		t.Helper()
		_, err := w.UserList(ctx, c, struct{}{})
		wantCode(t, err, Forbidden, "", "ask "+string(owen))
	}
	for range 3 {
		deny(other)
	}
	w.clock.move(59 * time.Second)
	deny(other)
	deny(job)
	if got := len(w.lines()); got != 2 {
		t.Errorf("%d lines: %q", got, w.lines())
	}
	_, err := w.JobList(ctx, other, struct{}{}) // another operation
	wantCode(t, err, Forbidden, "")
	w.clock.move(time.Second)
	deny(other)
	deny(other)
	all := entries(t, filepath.Join(w.dir, "audit.jsonl"))
	var got []string
	for _, e := range all {
		got = append(got, strings.Join([]string{e.Actor, e.Action, e.Result, e.Reason}, "|"))
	}
	want := []string{"|listing users|denied|uid", "acc_1|listing users|denied|namespace", "|listing jobs|denied|uid", "|listing users|denied|uid"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestNothingSecretIsWrittenDown(t *testing.T) {
	w := newWorld(t)
	const secret = "correct horse battery staple"
	_, err := w.UserCreate(ctx, root, NewUser{Email: string(rachel), Name: "Rachel", Password: secret, Institution: "Institute"})
	must(t, err)
	_, err = w.UserCreate(ctx, root, NewUser{Email: string(nina), Password: "horse"})
	wantCode(t, err, WeakPassword, "password")
	_, err = w.UserCreate(ctx, root, NewUser{Email: string(rachel), Password: secret})
	wantCode(t, err, EmailTaken, "email")
	text := strings.Join(w.lines(), "\n") + w.log.String()
	for _, no := range []string{"horse", "Institute", "argon2"} {
		if strings.Contains(text, no) {
			t.Errorf("%q is in %s", no, text)
		}
	}
	all := entries(t, filepath.Join(w.dir, "audit.jsonl"))
	var got []string
	for _, e := range all {
		got = append(got, fmt.Sprintf("%s %s %s %s of %d", e.Action, e.Target, e.Result, e.Reason, e.Of))
	}
	want := []string{
		"users.create rachel@uni.example begun  of 0", "users.create rachel@uni.example ok  of 1",
		"users.create nina@uni.example begun  of 0", "users.create nina@uni.example failed password_weak of 3",
		"users.create rachel@uni.example begun  of 0", "users.create rachel@uni.example failed email_taken of 5",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestAuditBoundsWhatIsTyped(t *testing.T) {
	w := newWorld(t)
	_, err := w.UserVerify(ctx, root, Who{Who: strings.Repeat("é", 5000) + "\n\x1b[31m"})
	wantCode(t, err, NotFound, "")
	for _, line := range w.lines() {
		if len(line) > 800 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
	entries(t, filepath.Join(w.dir, "audit.jsonl"))
}

// fullDisk is a log whose writes fail after half of the bytes.
type fullDisk struct {
	auditFile
	left     int // writes that still succeed
	sync     bool
	truncate error
}

func (f *fullDisk) Write(p []byte) (int, error) {
	if f.left > 0 {
		f.left--
		return f.auditFile.Write(p)
	}
	if f.sync {
		return f.auditFile.Write(p)
	}
	n, err := f.auditFile.Write(p[:len(p)/2])
	return n, errors.Join(syscall.ENOSPC, err)
}

func (f *fullDisk) Sync() error {
	if f.left == 0 && f.sync {
		return syscall.EIO
	}
	return f.auditFile.Sync()
}

func (f *fullDisk) Truncate(size int64) error {
	if f.truncate != nil {
		return f.truncate
	}
	return f.auditFile.Truncate(size)
}

// TestNothingIsDoneUnlogged: an operation that cannot be written down is refused before anything is done.
func TestNothingIsDoneUnlogged(t *testing.T) {
	for _, failing := range []struct {
		name string
		disk fullDisk
	}{{"write", fullDisk{}}, {"sync", fullDisk{sync: true}}} {
		t.Run(failing.name, func(t *testing.T) {
			w := newWorld(t)
			w.put(map[string]string{"files/mock.csv": "a\n1\n", "files/real.csv": "a\n2\n"})
			w.user(rachel, "")
			before := w.Accounts.List()
			disk := failing.disk
			disk.auditFile = w.Audit.f
			w.Audit.f = &disk
			for _, do := range []func() error{
				func() error { _, err := w.UserCreate(ctx, root, NewUser{Email: string(nina)}); return err },
				func() error { _, err := w.UserVerify(ctx, root, Who{string(rachel)}); return err },
				func() error { _, err := w.UserDisable(ctx, root, Who{string(rachel)}); return err },
				func() error { _, err := w.UserEnable(ctx, root, Who{string(rachel)}); return err },
				func() error {
					_, err := w.ViewOpen(ctx, root, OpenView{Email: string(rachel), Dir: filepath.Join(w.dir, "v")})
					return err
				},
				func() error {
					_, err := w.DatasetCreate(ctx, root, NewDataset{Name: "d", Mock: filepath.Join(w.dir, "files/mock.csv"), Private: filepath.Join(w.dir, "files/real.csv")})
					return err
				},
			} {
				wantCode(t, do(), NoAudit, "", "nothing was done")
			}
			if d := cmp.Diff(before, w.Accounts.List()); d != "" {
				t.Errorf("accounts: %s", d)
			}
			sets, err := w.DatasetList(ctx, root, struct{}{})
			must(t, err)
			if len(sets) > 0 || w.views.opened > 0 || len(w.host.admitted) > 0 {
				t.Errorf("it was done all the same: %v, %d views, admitted %v", sets, w.views.opened, w.host.admitted)
			}
			// To stop, and to take a view away, is possible without a log.
			w.views.open = []View{{Dir: "/v"}}
			_, err = w.ViewClose(ctx, root, CloseView{Dir: "/v"})
			must(t, err)
			_, err = w.Shutdown(ctx, root, struct{}{})
			must(t, err)
			if w.host.down != 1 || len(w.views.open) != 0 {
				t.Error("not stopped")
			}
			// A refusal stays one.
			_, err = w.Status(ctx, Caller{}, struct{}{})
			wantCode(t, err, Forbidden, "")
			if got := strings.Count(w.log.String(), "not written to the audit log"); got != 3 {
				t.Errorf("%d complaints in %s", got, w.log.String())
			}
			// When there is room again it goes on, and the chain is whole.
			w.Audit.f = disk.auditFile
			_, err = w.UserDisable(ctx, root, Who{string(rachel)})
			must(t, err)
			must(t, w.Audit.Close())
			w.Audit = openLog(t, filepath.Join(w.dir, "audit.jsonl"))
			if got := len(w.lines()); got != 2 {
				t.Errorf("%q", w.lines())
			}
		})
	}
}

// TestDoneAndTheEndNotLogged: what was done is told as done; that its second line is missing is logged.
func TestDoneAndTheEndNotLogged(t *testing.T) {
	w := newWorld(t)
	w.Audit.f = &fullDisk{auditFile: w.Audit.f, left: 1}
	u, err := w.UserCreate(ctx, root, NewUser{Email: string(rachel)})
	must(t, err)
	if u.Email != string(rachel) || !strings.Contains(w.log.String(), "users.create") || len(w.lines()) != 1 {
		t.Errorf("%+v %s %q", u, w.log.String(), w.lines())
	}
}

// TestTornLogTakesNothingMore: a half line that cannot be taken back must not get a line after it.
func TestTornLogTakesNothingMore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	a := openLog(t, path)
	write(t, a, "one")
	real := a.f
	a.f = &fullDisk{auditFile: real, truncate: syscall.EIO}
	if _, err := a.write(root, Entry{Action: "two"}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v", err)
	}
	a.f = real
	if _, err := a.write(root, Entry{Action: "three"}); !errors.Is(err, syscall.EIO) {
		t.Errorf("%v", err)
	}
	must(t, a.Close())
	a = openLog(t, path)
	write(t, a, "two")
	must(t, a.Close())
	if all := entries(t, path); len(all) != 2 {
		t.Errorf("%+v", all)
	}
}

func TestAuditConcurrently(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	a := openLog(t, path)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 10 {
				if _, err := a.write(root, Entry{Action: "x", Result: "ok"}); err != nil {
					t.Error(err)
				}
				if err := a.denied(Caller{Account: fmt.Sprint(i)}, "x"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	must(t, a.Close())
	must(t, openLog(t, path).Close())
	if got := len(entries(t, path)); got != 44 {
		t.Errorf("%d lines", got)
	}
}
