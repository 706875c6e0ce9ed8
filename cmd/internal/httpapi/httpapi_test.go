package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/integration/mountns"
	"github.com/openmined/syftfs/perm"
)

// askEnv makes the test binary a client of the socket that it names: another process, with another uid or in another namespace.
const askEnv = "SYFTFS_TEST_ASK"

func TestMain(m *testing.M) {
	if path := os.Getenv(askEnv); path != "" {
		views, err := Ask(context.Background(), NewClient("lab", path), ViewList, struct{}{})
		if err != nil {
			fmt.Print(service.Wrap(err).Code)
		} else {
			fmt.Print(len(views), " views")
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

type host struct{ service.Host }

func (host) State() service.State { return service.State{Name: "lab"} }

// views answers for a service; Open waits until it is let go.
type views struct {
	entered chan struct{} // one for each Open
	release chan struct{}
	left    atomic.Int32
}

func (v *views) Gone(string) (<-chan struct{}, error) { return nil, nil }

func (v *views) List() []service.View {
	return []service.View{{Dir: "/srv/a", Email: "rachel@uni.example"}}
}
func (v *views) Close(context.Context, string) error { return nil }
func (v *views) Open(ctx context.Context, _ datasite.Identity, o service.ViewOptions) (service.View, error) {
	defer v.left.Add(1)
	v.entered <- struct{}{}
	select {
	case <-v.release:
		return service.View{Dir: o.Dir}, nil
	case <-ctx.Done():
		return service.View{}, ctx.Err()
	}
}

type site struct {
	t     *testing.T
	sock  string
	audit string
	views *views
	srv   *Server
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// serve serves at a socket in a folder of its own; dir is put between.
func serve(t *testing.T, dir string) *site {
	t.Helper()
	top := t.TempDir()
	s := &site{t: t, sock: filepath.Join(top, dir, "lab", "ctl.sock"), audit: filepath.Join(top, "audit.jsonl"),
		views: &views{entered: make(chan struct{}, 10), release: make(chan struct{})}}
	audit, err := service.OpenAudit(s.audit, time.Now)
	must(t, err)
	t.Cleanup(func() { must(t, audit.Close()) })
	s.srv, err = Serve(s.sock, service.New(service.Parts{Owner: perm.User("owen@lab.example"), Views: s.views, Host: host{}, Audit: audit, Log: slog.New(slog.DiscardHandler)}))
	must(t, err)
	t.Cleanup(func() {
		if s.srv != nil {
			must(t, s.srv.Close(context.Background()))
		}
	})
	return s
}

func (s *site) client() *Client {
	c := NewClient("lab", s.sock)
	s.t.Cleanup(c.Close)
	return c
}

func wantCode(t *testing.T, err error, code service.Code, texts ...string) {
	t.Helper()
	e, ok := errors.AsType[*service.Error](err)
	if !ok || e.Code != code {
		t.Fatalf("got %v, want code %s", err, code)
	}
	for _, text := range texts {
		if !strings.Contains(e.Message, text) {
			t.Errorf("%q does not tell %q", e.Message, text)
		}
	}
}

func TestAsk(t *testing.T) {
	for name, dir := range map[string]string{"a short path": "", "longer than a socket address": strings.Repeat("0123456789", 20)} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, dir)
			c := s.client()
			for range 2 { // the second on the same connection
				list, err := Ask(t.Context(), c, ViewList, struct{}{})
				must(t, err)
				if len(list) != 1 || list[0].Email != "rachel@uni.example" {
					t.Errorf("%+v", list)
				}
			}
			_, err := Ask(t.Context(), c, ViewOpen, service.OpenView{Guest: true, Dir: "v"})
			wantCode(t, err, service.BadInput, "absolute")
			if e := service.Wrap(err); e.Field != "dir" {
				t.Errorf("the field is lost: %+v", e)
			}
			info, err := os.Stat(s.sock)
			must(t, err)
			if info.Mode() != iofs.ModeSocket|0o600 {
				t.Errorf("mode %v", info.Mode())
			}
			if info, err = os.Stat(filepath.Dir(s.sock)); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("its folder: %v %v", info.Mode(), err)
			}
			must(t, s.srv.Close(t.Context()))
			s.srv = nil
			if _, err := os.Lstat(s.sock); !errors.Is(err, iofs.ErrNotExist) {
				t.Errorf("left behind: %v", err)
			}
			_, err = Ask(t.Context(), c, ViewList, struct{}{})
			wantCode(t, err, service.NotRunning, "lab is not running", "syftfs up --detach")
		})
	}
}

// ask runs a client in a process of its own and gives what it was told.
func (s *site) ask(change func(*exec.Cmd)) string {
	s.t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Dir, cmd.Env = "/", []string{askEnv + "=" + s.sock}
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if change != nil {
		change(cmd)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func (s *site) logged() string {
	b, err := os.ReadFile(s.audit)
	must(s.t, err)
	return string(b)
}

func TestOwnUIDIsTheOwner(t *testing.T) {
	s := serve(t, "")
	if got := s.ask(nil); got != "1 views" {
		t.Errorf("%q", got)
	}
	if s.logged() != "" {
		t.Errorf("%q", s.logged())
	}
}

// TestOtherNamespaceIsNobody: a process of the owner's uid in a user namespace of its own, as a job is.
func TestOtherNamespaceIsNobody(t *testing.T) {
	s := serve(t, "")
	own := func(id int) []syscall.SysProcIDMap {
		return []syscall.SysProcIDMap{{ContainerID: id, HostID: id, Size: 1}}
	}
	got := s.ask(func(cmd *exec.Cmd) {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings, cmd.SysProcAttr.GidMappings = own(os.Getuid()), own(os.Getgid())
	})
	if got != string(service.Forbidden) || !strings.Contains(s.logged(), `"result":"denied","reason":"namespace"`) {
		t.Errorf("%q, audit log %q", got, s.logged())
	}
}

// TestOtherUIDIsNobody: the mode keeps another uid out, and so does the proof when the mode does not. Only root can be another uid; an
// ordinary user sees that the mode is as it must be.
func TestOtherUIDIsNobody(t *testing.T) {
	s := serve(t, "")
	info, err := os.Stat(s.sock)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the socket has the mode %04o", info.Mode().Perm())
	}
	if os.Getuid() != 0 {
		return
	}
	u, err := mountns.Unprivileged()
	must(t, err)
	for dir := filepath.Dir(s.sock); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		must(t, os.Chmod(dir, 0o755))
	}
	if got := s.ask(u.Drop); got != string(service.Forbidden) || s.logged() != "" {
		t.Errorf("past the mode: %q, audit log %q", got, s.logged())
	}
	must(t, os.Chmod(s.sock, 0o666))
	if got := s.ask(u.Drop); got != string(service.Forbidden) || !strings.Contains(s.logged(), `"result":"denied","reason":"uid"`) {
		t.Errorf("%q, audit log %q", got, s.logged())
	}
}

// TestNobodyWithoutProof: a request that came by no connection of ours may do nothing.
func TestNobodyWithoutProof(t *testing.T) {
	s := serve(t, "")
	srv := httpServer(s)
	for _, ctx := range []context.Context{t.Context(), context.WithValue(t.Context(), callerKey{}, "root")} {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, ViewList.Path, strings.NewReader("{}"))
		must(t, err)
		w := &recorder{head: http.Header{}}
		srv.ServeHTTP(w, req)
		if w.code != http.StatusForbidden || !strings.Contains(w.String(), `"code":"forbidden"`) {
			t.Errorf("%d %s", w.code, w)
		}
	}
}

func httpServer(s *site) http.Handler { return s.srv.http.Handler }

type recorder struct {
	bytes.Buffer
	head http.Header
	code int
}

func (r *recorder) Header() http.Header  { return r.head }
func (r *recorder) WriteHeader(code int) { r.code = code }

func TestQuestionsThatCannotBeRead(t *testing.T) {
	s := serve(t, "")
	c := s.client()
	post := func(body string) (int, string, service.Error) {
		t.Helper()
		resp, err := c.http.Post("http://syftfs"+ViewClose.Path, "application/json", strings.NewReader(body))
		must(t, err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		must(t, err)
		var ans struct {
			Error service.Error `json:"error"`
		}
		must(t, json.Unmarshal(b, &ans))
		return resp.StatusCode, string(b), ans.Error
	}
	for _, q := range []struct{ name, body, text string }{
		{"garbage", "garbage", "invalid character 'g'"},
		{"an unknown field", `{"dir":"/v","role":"admin"}`, `unknown field "role"`},
		{"another kind of value", `{"dir":7}`, "dir"},
		{"no object", `[1]`, "array"},
		{"two", `{"dir":"/v"}{"dir":"/w"}`, "after it"},
		{"garbage after it", `{"dir":"/v"} x`, "invalid character 'x'"},
		{"half", `{"dir":"/v`, "in the middle"},
		{"too long", `{"dir":"` + strings.Repeat("x", maxBody) + `"}`, "longer than 1 MiB"},
		{"too long after it", `{"dir":"/v"}` + strings.Repeat(" ", maxBody), "longer than 1 MiB"},
	} {
		t.Run(q.name, func(t *testing.T) {
			status, _, e := post(q.body)
			if status != http.StatusUnprocessableEntity || e.Code != service.BadInput || !strings.HasPrefix(e.Message, "the question cannot be read: ") || !strings.Contains(e.Message, q.text) {
				t.Errorf("%d %+v", status, e)
			}
		})
	}
	for _, body := range []string{"", "{}", " {} \n", "null"} {
		if status, text, _ := post(body); status != http.StatusOK || strings.TrimSpace(text) != `{"data":{}}` {
			t.Errorf("%q: %d %s", body, status, text)
		}
	}
	resp, err := c.http.Get("http://syftfs" + ViewList.Path)
	must(t, err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %s", resp.Status)
	}
	_, err = Ask(t.Context(), c, Op[struct{}, struct{}]{"/v9/later"}, struct{}{})
	wantCode(t, err, service.Unexpected, "another version", "404")
}

func TestNotRunning(t *testing.T) {
	top := t.TempDir()
	file := filepath.Join(top, "file.sock")
	must(t, os.WriteFile(file, nil, 0o600))
	stale := filepath.Join(top, "stale.sock")
	l, err := net.Listen("unix", stale)
	must(t, err)
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	must(t, l.Close())
	for name, path := range map[string]string{"no socket": filepath.Join(top, "none.sock"), "no folder": filepath.Join(top, "none", "ctl.sock"),
		"no folder, a long path": filepath.Join(top, strings.Repeat("x", 120), "ctl.sock"), "left by a crash": stale, "no socket but a file": file} {
		t.Run(name, func(t *testing.T) {
			c := NewClient("lab", path)
			defer c.Close()
			_, err := Ask(t.Context(), c, Status, struct{}{})
			wantCode(t, err, service.NotRunning, "datasite lab is not running", "`syftfs up --detach`")
			if service.Wrap(err).Code.Exit() != 8 {
				t.Errorf("exit status %d", service.Wrap(err).Code.Exit())
			}
		})
	}
}

func TestServeAfterACrash(t *testing.T) {
	top := t.TempDir()
	path := filepath.Join(top, "ctl.sock")
	l, err := net.Listen("unix", path)
	must(t, err)
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	must(t, l.Close())
	srv, err := Serve(path, service.New(service.Parts{Views: &views{}}))
	must(t, err)
	c := NewClient("lab", path)
	_, err = Ask(t.Context(), c, ViewList, struct{}{})
	must(t, err)
	c.Close()
	must(t, srv.Close(t.Context()))

	must(t, os.MkdirAll(filepath.Join(path, "keep"), 0o700))
	if _, err := Serve(path, service.New(service.Parts{})); err == nil {
		t.Error("a folder was replaced by a socket")
	}
	if _, err := os.Stat(filepath.Join(path, "keep")); err != nil {
		t.Error(err)
	}
}

func TestServerThatEndsInTheMiddle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ctl.sock")
	l, err := net.Listen("unix", path)
	must(t, err)
	answers := []string{"", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"data\":"}
	done := make(chan error, 1)
	go func() {
		for _, a := range answers {
			c, err := l.Accept()
			if err != nil {
				done <- err
				return
			}
			_, err = c.Read(make([]byte, 4096))
			_, werr := io.WriteString(c, a)
			if err := errors.Join(err, werr, c.Close()); err != nil {
				done <- err
				return
			}
		}
		done <- l.Close()
	}()
	for range answers {
		c := NewClient("lab", path)
		_, err := Ask(t.Context(), c, Status, struct{}{})
		wantCode(t, err, service.NotRunning, "ended in the middle")
		c.Close()
	}
	must(t, <-done)
}

func TestAskIsInterrupted(t *testing.T) {
	s := serve(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan error, 1)
	go func() {
		_, err := Ask(ctx, s.client(), ViewOpen, service.OpenView{Guest: true, Dir: "/v"})
		asked <- err
	}()
	<-s.views.entered
	cancel()
	err := <-asked
	wantCode(t, err, service.Unexpected, "interrupted")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	// The operation is told too: the server ends without anybody letting it go.
	must(t, s.srv.Close(t.Context()))
	s.srv = nil
	if s.views.left.Load() != 1 {
		t.Error("the operation goes on")
	}
}

func TestCloseWaitsForTheAnswer(t *testing.T) {
	s := serve(t, "")
	answered := make(chan error, 1)
	go func() {
		v, err := Ask(t.Context(), s.client(), ViewOpen, service.OpenView{Guest: true, Dir: "/v"})
		if err == nil && v.Dir != "/v" {
			err = fmt.Errorf("%+v", v)
		}
		answered <- err
	}()
	<-s.views.entered
	closed := make(chan error, 1)
	go func() { closed <- s.srv.Close(t.Context()) }()
	for { // until nobody listens any more
		c, err := net.Dial("unix", s.sock)
		if err != nil {
			break
		}
		c.Close()
		runtime.Gosched()
	}
	select {
	case err := <-closed:
		t.Fatalf("closed before the answer: %v", err)
	default:
	}
	close(s.views.release)
	must(t, <-closed)
	s.srv = nil
	must(t, <-answered)
	if s.views.left.Load() != 1 {
		t.Error("not waited for")
	}
}

func TestCloseWaitsOnlySoLong(t *testing.T) {
	s := serve(t, "")
	answered := make(chan error, 1)
	go func() {
		_, err := Ask(context.WithoutCancel(t.Context()), s.client(), ViewOpen, service.OpenView{Guest: true, Dir: "/v"})
		answered <- err
	}()
	<-s.views.entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.srv.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	s.srv = nil
	wantCode(t, <-answered, service.NotRunning, "ended in the middle")
	if _, err := os.Lstat(s.sock); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
}

// TestEveryOperationHasItsOwnPath: and every one is served.
func TestEveryOperationHasItsOwnPath(t *testing.T) {
	s := serve(t, "")
	h := httpServer(s).(*http.ServeMux)
	for _, path := range []string{Status.Path, Shutdown.Path, Why.Path, ViewOpen.Path, ViewList.Path, ViewClose.Path, ViewHold.Path, Who.Path, Share.Path, Unshare.Path,
		PermShow.Path, PermSet.Path, PermMove.Path, PermLint.Path, PermDiff.Path, ExplainPermissions.Path, GrantAccess("read").Path, RevokeAccess("admin").Path, HasAccess("create").Path, UserCreate.Path, UserVerify.Path, UserDisable.Path,
		UserEnable.Path, UserList.Path, PeerList.Path, PeerGives.Path, PeerRequest.Path, PeerAccept.Path, PeerReject.Path, PeerBlock.Path, PeerUnblock.Path, PeerRemove.Path,
		SyncNow.Path, SyncRelease.Path, Conflicts.Path, Wait.Path, JobSubmit.Path, DatasetCreate.Path, DatasetList.Path, DatasetShare.Path, DatasetUnshare.Path, DatasetDelete.Path, JobList.Path, JobShow.Path, JobApprove.Path, JobReject.Path, JobCancel.Path,
		JobRun.Path, JobRelease.Path, JobLogs.Path} {
		req, err := http.NewRequest(http.MethodPost, path, http.NoBody)
		must(t, err)
		if _, pattern := h.Handler(req); pattern != "POST "+path {
			t.Errorf("%s is answered by %q", path, pattern)
		}
		// Nobody is refused before anything is looked at.
		w := &recorder{head: http.Header{}}
		h.ServeHTTP(w, req)
		if w.code != http.StatusForbidden {
			t.Errorf("%s: %d %s", path, w.code, w)
		}
	}
}
