package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/openmined/syftfs/sync/driveserver"
)

// firstWrite is a writer that tells when something was written to it.
type firstWrite struct {
	buf  bytes.Buffer
	once chan struct{}
}

func (f *firstWrite) Write(p []byte) (int, error) {
	n, err := f.buf.Write(p)
	select {
	case <-f.once:
	default:
		close(f.once)
	}
	return n, err
}

// drive serves the local drive of this desk until the test ends, or stop is called; more are arguments of serve.
func (d *desk) drive(accounts ...string) (now served, stop func() said) {
	return d.driveAt(nil, accounts...)
}

func (d *desk) driveAt(more []string, accounts ...string) (now served, stop func() said) {
	d.t.Helper()
	out, errs := &firstWrite{once: make(chan struct{})}, &bytes.Buffer{}
	a := &app{out: out, err: errs}
	root := a.root()
	root.SetArgs(append([]string{"drive", "serve", "--json", "--listen", "127.0.0.1:0"}, more...))
	ctx, cancel := context.WithCancel(d.t.Context())
	ended := make(chan int, 1)
	go func() { ended <- a.finish(root.ExecuteContext(ctx)) }()
	stop = func() said {
		cancel()
		code := <-ended
		ended <- code
		return said{code, out.buf.String(), errs.String()}
	}
	select {
	case <-out.once:
	case code := <-ended:
		d.t.Fatalf("drive serve ended with %d: %s", code, errs)
	}
	d.t.Cleanup(func() {
		if r := stop(); r.code != 0 || r.err != "" {
			d.t.Errorf("drive serve: %+v", r)
		}
	})
	var answer struct{ Data served }
	must(d.t, json.Unmarshal(out.buf.Bytes(), &answer))
	for _, email := range accounts {
		if r := d.run(append([]string{"drive", "accounts", "add", email}, dirOf(more)...)...); r.code != 0 {
			d.t.Fatalf("%+v", r)
		}
	}
	return answer.Data, stop
}

// dirOf are the words of args that say which drive.
func dirOf(args []string) []string {
	for i, a := range args {
		if a == "--dir" {
			return args[i : i+2]
		}
	}
	return nil
}

// ok runs a command that must succeed and gives its data.
func ok[T any](d *desk, args ...string) T {
	d.t.Helper()
	r := d.run(append(args, "--json")...)
	var answer struct {
		OK   bool
		Data T
	}
	if err := json.Unmarshal([]byte(r.out), &answer); err != nil || r.code != 0 || !answer.OK {
		d.t.Fatalf("%q: %+v %v", args, r, err)
	}
	return answer.Data
}

// request asks the API itself.
func request(t *testing.T, now served, token, verb, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), verb, now.Address+path, strings.NewReader(body))
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	raw, err := io.ReadAll(res.Body)
	must(t, err)
	must(t, res.Body.Close())
	return res.StatusCode, string(raw)
}

// signIn gives the access token of a token.json.
func signIn(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	must(t, err)
	var token struct{ Token string }
	must(t, json.Unmarshal(raw, &token))
	return token.Token
}

func TestDriveAccounts(t *testing.T) {
	d := newDesk(t)
	now, _ := d.drive()
	file := filepath.Join(d.home, "ada.json")
	if got := ok[[]driveserver.Account](d, "drive", "accounts", "list"); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	r := d.run("drive", "accounts", "add", "Ada@lab.example", "--token", file)
	if r.code != 0 || !strings.Contains(r.out, "Ada@lab.example, sign-in code ") || !strings.Contains(r.out, file) {
		t.Fatalf("%+v", r)
	}
	raw, err := os.ReadFile(file)
	must(t, err)
	var token map[string]any
	must(t, json.Unmarshal(raw, &token))
	if token["token_uri"] != now.Address+"/token" || token["refresh_token"] == "" || token["client_id"] == "" {
		t.Errorf("%s", raw)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	access := signIn(t, file)
	if code, body := request(t, now, access, "GET", "/drive/v3/about?fields=user", ""); code != 200 || !strings.Contains(body, "Ada@lab.example") {
		t.Fatalf("%d %s", code, body)
	}
	if code, body := request(t, now, access, "POST", "/drive/v3/files", `{"name":"x"}`); code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	ok[any](d, "drive", "accounts", "limit", "ada@lab.example", "2048")
	r = d.run("drive", "accounts", "list")
	if lines := strings.Split(r.out, "\n"); len(lines) != 3 || !strings.Contains(lines[1], "2.0 KiB") {
		t.Errorf("%+v", r)
	}

	taken := filepath.Join(d.home, "taken.json")
	must(t, os.WriteFile(taken, []byte("mine"), 0o600))
	fresh := filepath.Join(d.home, "fresh.json")
	for _, c := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"add", "ada@lab.example"}, 6, "syftfs drive token ada@lab.example --token FILE"},
		{[]string{"add", "ada@lab.example", "--token", fresh}, 6, "already"},
		{[]string{"add", "ben@lab.example", "--token", taken}, 6, "not overwritten"},
		{[]string{"add", "ben@lab.example", "--token", filepath.Join(d.home, "none", "x")}, 5, "none/x"},
		{[]string{"add", "nobody"}, 2, "nobody"},
		{[]string{"limit", "ada@lab.example", "much"}, 2, "much"},
		{[]string{"limit", "ada@lab.example", "-1"}, 2, ""},
		{[]string{"limit", "ben@lab.example", "1"}, 5, "ben@lab.example"},
		{[]string{"remove", "ada@lab.example"}, 9, "1 files and folders"},
		{[]string{"remove", "ben@lab.example", "--yes"}, 5, "ben@lab.example"},
	} {
		if r := d.run(append([]string{"drive", "accounts"}, c.args...)...); r.code != c.code || r.out != "" || !strings.Contains(r.err, c.text) {
			t.Errorf("%q: %+v", c.args, r)
		}
	}
	if body, err := os.ReadFile(taken); err != nil || string(body) != "mine" {
		t.Errorf("%q %v", body, err)
	}
	if there(fresh) {
		t.Error("a token file without a token")
	}
	if got := ok[[]driveserver.Account](d, "drive", "accounts", "list"); len(got) != 1 {
		t.Errorf("an account was made by a command that failed: %+v", got)
	}
	ok[any](d, "drive", "accounts", "remove", "ada@lab.example", "--yes")
	if code, _ := request(t, now, access, "GET", "/drive/v3/about?fields=user", ""); code != 401 {
		t.Errorf("%d", code)
	}
}

func TestDriveTokens(t *testing.T) {
	d := newDesk(t)
	now, _ := d.drive("ada@lab.example")
	for format, parts := range map[string][]string{
		"syft":   {`"token_uri":"` + now.Address + `/token"`, `"refresh_token"`},
		"rclone": {"[drive-ada-lab-example]\ntype = drive\n", "auth_url = " + now.Address + "/o/oauth2/v2/auth\n", "token_url = " + now.Address + "/token\n", `token = {"access_token":`},
		"key":    {"BEGIN PRIVATE KEY", now.Address + "/token"},
	} {
		r := d.run("drive", "token", "ada@lab.example", "--format", format)
		for _, p := range parts {
			if r.code != 0 || !strings.Contains(strings.ReplaceAll(r.out, `": "`, `":"`), p) {
				t.Errorf("%s: %+v", format, r)
			}
		}
		if got := ok[written](d, "drive", "token", "ada@lab.example", "--format", format); got.Text == "" || got.File != "" {
			t.Errorf("%+v", got)
		}
	}
	if r := d.run("drive", "token", "ada@lab.example", "--format", "x"); r.code != 2 || !strings.Contains(r.err, "rclone") {
		t.Errorf("%+v", r)
	}
	none := filepath.Join(d.home, "none.json")
	if r := d.run("drive", "token", "ben@lab.example", "--token", none); r.code != 5 || there(none) {
		t.Errorf("%+v", r)
	}
	secret := filepath.Join(d.home, "client_secret.json")
	if r := d.run("drive", "client-secret", secret); r.code != 0 || !strings.Contains(r.out, secret) {
		t.Errorf("%+v", r)
	}
	if body, err := os.ReadFile(secret); err != nil || !strings.Contains(string(body), `"installed"`) || !strings.HasSuffix(string(body), "}\n") {
		t.Errorf("%s %v", body, err)
	}
	if r := d.run("drive", "client-secret", secret); r.code != 6 {
		t.Errorf("%+v", r)
	}
}

func TestDriveProxyEnv(t *testing.T) {
	d := newDesk(t)
	dir := filepath.Join(d.home, "it's here")
	now, _ := d.driveAt([]string{"--dir", dir})
	r := d.run("drive", "proxy-env", "--dir", dir)
	out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", r.out+`printf '%s|' "$HTTPS_PROXY" "$https_proxy" "$HTTPLIB2_CA_CERTS" "$REQUESTS_CA_BUNDLE" "$RCLONE_CA_CERT" "$SSL_CERT_FILE"`).Output()
	must(t, err)
	ca := filepath.Join(dir, "ca.pem")
	if want := strings.Join([]string{now.Address, now.Address, ca, ca, ca, ca, ""}, "|"); string(out) != want || now.CA != ca || !there(ca) {
		t.Errorf("%q, want %q", out, want)
	}
	if env := ok[map[string]string](d, "drive", "proxy-env", "--dir", dir); env["HTTPS_PROXY"] != now.Address || len(env) != 6 {
		t.Errorf("%v", env)
	}
}

func TestDriveFaults(t *testing.T) {
	d := newDesk(t)
	now, _ := d.drive()
	token := filepath.Join(d.home, "ada.json")
	ok[any](d, "drive", "accounts", "add", "ada@lab.example", "--token", token)
	for _, k := range faultKinds {
		if r := d.run("drive", "fault", "add", "--kind", k[0]); r.code != 0 || !strings.Contains(r.out, k[0]) {
			t.Errorf("%s: %+v", k[0], r)
		}
	}
	if r := d.run("drive", "fault", "remove", "--all"); r.code != 0 {
		t.Errorf("%+v", r)
	}
	start := time.Now()
	rule := ok[driveserver.Rule](d, "drive", "fault", "add", "--kind", "error", "--user", "ada@lab.example", "--method", "about.*", "--path", "/about", "--query", "fields",
		"--from", "-1s", "--until", "1h", "--after", "1", "--count", "1", "--probability", "1", "--seed", "7", "--code", "429", "--reason", "r", "--message", "m", "--retry-after", "3", "--delay", "1500ms", "--bytes", "9")
	if rule.From.After(time.Now()) || rule.Until.Before(start.Add(time.Hour)) {
		t.Errorf("%+v", rule)
	}
	rule.From, rule.Until = time.Time{}, time.Time{}
	want := driveserver.Rule{ID: rule.ID, User: "ada@lab.example", Method: "about.*", Path: "/about", Query: "fields", Skip: 1, Count: 1, Probability: 1, Seed: 7,
		Action: driveserver.Action{Kind: "error", Code: 429, Reason: "r", Message: "m", RetryAfter: 3, Delay: 1500, Bytes: 9}}
	if rule != want {
		t.Errorf("%+v\nwant %+v", rule, want)
	}
	var codes []int
	for range 3 {
		code, _ := request(t, now, signIn(t, token), "GET", "/drive/v3/about?fields=user", "")
		codes = append(codes, code)
	}
	if fmt.Sprint(codes) != "[200 429 200]" {
		t.Errorf("%v", codes)
	}
	r := d.run("drive", "fault", "list")
	if !strings.Contains(r.out, "error 429 r retry after 3 s by 1.5s at 9 in about.* of ada@lab.example where the path holds /about where the query holds fields from ") ||
		!strings.Contains(r.out, "after 1 1 times at most with probability 1") {
		t.Errorf("%+v", r)
	}
	if all := ok[[]driveserver.RuleState](d, "drive", "fault", "list"); len(all) != 1 || all[0].Seen != 3 || all[0].Fired != 1 {
		t.Errorf("%+v", all)
	}
	for _, c := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"add"}, 2, "--kind"},
		{[]string{"add", "--kind", "nonsense"}, 2, "lose-upload"},
		{[]string{"add", "--kind", "error", "--code", "200"}, 2, "out of range"},
		{[]string{"add", "--kind", "error", "--probability", "2"}, 2, "out of range"},
		{[]string{"add", "--kind", "error", "--count", "-1"}, 2, "--count"},
		{[]string{"add", "--kind", "error", "--method", "["}, 2, "method"},
		{[]string{"add", "--kind", "error", "--from", "soon"}, 2, "--from"},
		{[]string{"add", "--kind", "error", "--until", "2026-01-01"}, 2, "--until"},
		{[]string{"remove"}, 2, "ID | --all"},
		{[]string{"remove", "1", "--all"}, 2, "ID | --all"},
		{[]string{"remove", "999"}, 5, "999"},
	} {
		if r := d.run(append([]string{"drive", "fault"}, c.args...)...); r.code != c.code || r.out != "" || !strings.Contains(r.err, c.text) {
			t.Errorf("%q: %+v", c.args, r)
		}
	}
	ok[any](d, "drive", "fault", "remove", rule.ID)
	if all := ok[[]driveserver.RuleState](d, "drive", "fault", "list"); len(all) != 0 {
		t.Errorf("%+v", all)
	}
}

func TestDriveSwitches(t *testing.T) {
	d := newDesk(t)
	_, stop := d.drive()
	if got := ok[driveserver.Switches](d, "drive", "switch"); got != (driveserver.Switches{}) {
		t.Errorf("%+v", got)
	}
	var all driveserver.Switches
	args := []string{"drive", "switch"}
	for i, s := range settings(&all) { // a value of its own for each, so that none is another's
		v := fmt.Sprint(i + 1)
		switch s.value.Type() {
		case "duration":
			v += "s"
		case "bool":
			v = "true"
		}
		must(t, s.value.Set(v))
		args = append(args, "--"+s.name+"="+v)
	}
	if raw, err := json.Marshal(all); err != nil || strings.Count(string(raw), ":")-1 != len(settings(&all)) {
		t.Errorf("a switch is missing: %s %v", raw, err)
	}
	if got := ok[driveserver.Switches](d, args...); got != all {
		t.Errorf("%+v\nwant %+v", got, all)
	}
	all.ClockOffset, all.ExactNames = -48*3600*1000, false
	if got := ok[driveserver.Switches](d, "drive", "switch", "--clock-offset", "-48h", "--exact-names=false"); got != all {
		t.Errorf("%+v\nwant %+v", got, all)
	}
	stop()
	d.drive()
	if got := ok[driveserver.Switches](d, "drive", "switch"); got != all {
		t.Errorf("after a restart: %+v", got)
	}
	if got := ok[driveserver.Switches](d, "drive", "switch", "--reset", "--auto-consent"); got != (driveserver.Switches{AutoConsent: true}) {
		t.Errorf("%+v", got)
	}
	if r := d.run("drive", "switch"); !strings.Contains(r.out, "lag-names                 0s ") || !strings.Contains(r.out, "auto-consent              true") {
		t.Errorf("%+v", r)
	}
	for _, bad := range []string{"--lag-names=soon", "--lag-names=-1s", "--units-per-minute=x", "--units-per-minute=-1", "--exact-names=perhaps", "--clock-offset=2000000h"} {
		if r := d.run("drive", "switch", bad); r.code != 2 || r.out != "" {
			t.Errorf("%s: %+v", bad, r)
		}
	}
}

func TestDriveStats(t *testing.T) {
	d := newDesk(t)
	now, _ := d.drive()
	if r := d.run("drive", "stats"); r.out != "Nobody has asked anything.\n" {
		t.Errorf("%+v", r)
	}
	token := filepath.Join(d.home, "ada.json")
	ok[any](d, "drive", "accounts", "add", "ada@lab.example", "--token", token)
	request(t, now, signIn(t, token), "GET", "/drive/v3/files", "")
	request(t, now, signIn(t, token), "GET", "/drive/v3/files/none", "")
	request(t, now, "wrong", "GET", "/drive/v3/files", "")
	r := d.run("drive", "stats", "--reset")
	for _, want := range []string{"ada@lab.example  2         105", "200: 1, 404: 1", "ada@lab.example  files.list  1 ", "\n-  "} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%q is not in\n%s", want, r.out)
		}
	}
	if got := ok[map[string]driveserver.Count](d, "drive", "stats"); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestDriveCheck(t *testing.T) {
	d := newDesk(t)
	if r := d.run("drive", "check"); r.code != 5 || !strings.Contains(r.err, "there is no drive in") || there(filepath.Join(d.home, ".state", "syftfs-drive")) {
		t.Errorf("%+v", r)
	}
	now, stop := d.drive()
	if got := ok[checked](d, "drive", "check"); !got.Running || got.Dir != now.Dir || len(got.Problems) != 0 {
		t.Errorf("%+v", got)
	}
	stray := filepath.Join(now.Dir, "blobs", "ab", strings.Repeat("c", 62))
	must(t, os.MkdirAll(filepath.Dir(stray), 0o700))
	must(t, os.WriteFile(stray, []byte("x"), 0o600))
	r := d.run("drive", "check", "--json")
	if r.code != 1 || !strings.Contains(r.out, "named by nothing") {
		t.Errorf("%+v", r)
	}
	stop()
	if got := ok[checked](d, "drive", "check"); got.Running || len(got.Problems) != 0 {
		t.Errorf("%+v", got)
	}
	raw, err := os.ReadFile(filepath.Join(now.Dir, databaseFile))
	must(t, err)
	const page = 4096
	for i, text := range []string{
		strings.Repeat("no database\n", 1000),
		string(raw[:2*page]) + strings.Repeat("x", len(raw)-2*page), // the database panics
	} {
		dir := filepath.Join(d.home, fmt.Sprint("damaged", i))
		must(t, os.Mkdir(dir, 0o700))
		must(t, os.WriteFile(filepath.Join(dir, databaseFile), []byte(text), 0o600))
		if r := d.run("drive", "check", "--dir", dir); r.code != 1 || !strings.Contains(r.out, "Problems of the drive in") || !strings.Contains(r.out, "damaged"+fmt.Sprint(i)) || r.err != "" {
			t.Errorf("%+v", r)
		}
	}
	if r := d.run("drive", "serve", "--listen", "127.0.0.1:0", "--dir", filepath.Join(d.home, "damaged0")); r.code != 1 || !strings.Contains(r.err, "invalid database") {
		t.Errorf("%+v", r)
	}
}

// TestDriveServe: who may serve what, and where.
func TestDriveServe(t *testing.T) {
	d := newDesk(t, "owen")
	now, stop := d.drive()
	_, port, err := net.SplitHostPort(strings.TrimPrefix(now.Address, "http://"))
	must(t, err)
	open := filepath.Join(d.home, "open")
	must(t, os.Mkdir(open, 0o700))
	must(t, os.Chmod(open, 0o755))
	full := filepath.Join(d.home, "full")
	must(t, os.Mkdir(full, 0o700))
	must(t, os.WriteFile(filepath.Join(full, "letter.txt"), nil, 0o600))
	other := filepath.Join(d.home, "other")
	state := filepath.Join(d.home, ".state")
	for _, c := range []struct {
		name string
		args []string
		code int
		text string
	}{
		{"twice", nil, 6, "served already, at " + now.Address + " by process"},
		{"twice, detached", []string{"--detach"}, 6, "syftfs drive stop"},
		{"port", []string{"--dir", other, "--listen", "127.0.0.1:" + port}, 6, "taken"},
		{"everybody", []string{"--dir", other, "--listen", "0.0.0.0:0"}, 2, "127.0.0.1:8753"},
		{"every address", []string{"--dir", other, "--listen", ":0"}, 2, "127.0.0.1:8753"},
		{"a name", []string{"--dir", other, "--listen", "example.org:1"}, 2, "127.0.0.1:8753"},
		{"no port", []string{"--dir", other, "--listen", "127.0.0.1"}, 2, "127.0.0.1:8753"},
		{"no such port", []string{"--dir", other, "--listen", "127.0.0.1:99999"}, 2, "99999"},
		{"among datasites", []string{"--dir", filepath.Join(state, "syftfs", "drive")}, 2, "datasites"},
		{"around datasites", []string{"--dir", state}, 2, "datasites"},
		{"others may look", []string{"--dir", open, "--listen", "127.0.0.1:0"}, 4, "chmod 700"},
		{"something else is there", []string{"--dir", full, "--listen", "127.0.0.1:0"}, 6, "letter.txt"},
		{"a file", []string{"--dir", filepath.Join(full, "letter.txt"), "--listen", "127.0.0.1:0"}, 2, "letter.txt"},
	} {
		if r := d.run(append([]string{"drive", "serve"}, c.args...)...); r.code != c.code || r.out != "" || !strings.Contains(r.err, c.text) {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
	if there(other) {
		t.Error("a folder was made in vain")
	}
	if again := ok[served](d, "drive", "status"); again != now {
		t.Errorf("%+v, want %+v", again, now)
	}
	if r := stop(); r.code != 0 || r.err != "" {
		t.Errorf("%+v", r)
	}
	if r := d.run("drive", "stats"); r.code != 8 || !strings.Contains(r.err, "`syftfs drive serve --detach`") {
		t.Errorf("%+v", r)
	}
	if r := d.run("drive", "stats", "--dir", filepath.Join(d.home, "a b")); r.code != 8 || !strings.Contains(r.err, "--detach --dir '") {
		t.Errorf("%+v", r)
	}
	again, _ := d.drive()
	if again.Dir != now.Dir {
		t.Errorf("%+v", again)
	}
}

// TestDriveRecord: nobody is asked because of what a dead server left, or a stranger wrote.
func TestDriveRecord(t *testing.T) {
	d := newDesk(t)
	dir := filepath.Join(d.home, "drive")
	must(t, os.Mkdir(dir, 0o700))
	drive := &localDrive{app: &app{}, typed: dir}
	write := func(text string) {
		t.Helper()
		must(t, os.WriteFile(filepath.Join(dir, recordFile), []byte(text), 0o600))
	}
	wants := func(code service.Code) {
		t.Helper()
		if now, err := drive.running(dir); service.Wrap(err) == nil || service.Wrap(err).Code != code {
			t.Errorf("%+v %v", now, err)
		}
	}
	write(`{"address":"http://127.0.0.1:1","pid":1}`)
	wants(service.NotRunning)
	rec, err := drive.lockRecord(dir)
	must(t, err)
	wants(service.Busy)
	if _, err := drive.lockRecord(dir); service.Wrap(err).Code != service.Conflict {
		t.Errorf("%v", err)
	}
	for _, bad := range []string{`{"address":"http://203.0.113.1:80"}`, `{"address":"x"}`, `{`, `{"address":"http://127.0.0.1@203.0.113.1:80"}`} {
		write(bad)
		wants(service.Unexpected)
	}
	must(t, rec.file.Truncate(0))
	must(t, rec.write(served{Address: "http://127.0.0.1:1", PID: 1}))
	if now, err := drive.running(dir); err != nil || now.Address != "http://127.0.0.1:1" {
		t.Errorf("%+v %v", now, err)
	}
	// A server that hangs or is about to end.
	must(t, os.WriteFile(filepath.Join(dir, secretFile), []byte("secret"), 0o600))
	if r := d.run("drive", "stats", "--dir", dir); r.code != 8 || !strings.Contains(r.err, "does not answer") {
		t.Errorf("%+v", r)
	}
	must(t, rec.Close())
	wants(service.NotRunning)
}

// TestDriveRefusals: what the server says is told with the exit status of its kind.
func TestDriveRefusals(t *testing.T) {
	for status, want := range map[int]service.Code{400: service.BadInput, 401: service.Forbidden, 404: service.NotFound, 409: service.Conflict, 500: service.Unexpected, 503: service.Unexpected} {
		text, none := "drive: why", fmt.Sprint(status)
		if status == 401 {
			text, none = "serve it again", "serve it again"
		}
		if err := service.Wrap(refusal(status, []byte(`{"error":{"message":"why"}}`))); err.Code != want || !strings.HasSuffix(err.Message, text) {
			t.Errorf("%d: %+v", status, err)
		}
		if err := service.Wrap(refusal(status, []byte(`<html>`))); err.Code != want || !strings.Contains(err.Message, none) {
			t.Errorf("%d: %+v", status, err)
		}
	}
}

// TestDriveReady: every command that serve proposes exists.
func TestDriveReady(t *testing.T) {
	for _, typed := range []string{"", "/srv/drive"} {
		var out bytes.Buffer
		d := &localDrive{app: &app{out: &out}, typed: typed}
		must(t, d.ready(served{Address: "http://127.0.0.1:8753", Dir: "/srv/drive", CA: "/srv/drive/ca.pem"}, "Ctrl-C stops it."))
		if !strings.Contains(out.String(), "proxy-env") || strings.Contains(out.String(), "--dir /srv/drive") != (typed != "") {
			t.Errorf("%s", out.String())
		}
		root := (&app{out: io.Discard, err: io.Discard}).root()
		for _, part := range strings.FieldsFunc(out.String(), func(r rune) bool { return strings.ContainsRune("\n;$()\"&", r) }) {
			if _, command, found := strings.Cut(part, "syftfs "); found && !strings.Contains(part, "kept") {
				checkExample(t, root, "ready", "syftfs "+command)
			}
		}
	}
}

func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{"": "''", "/a/b-c_d.e": "/a/b-c_d.e", "a b": "'a b'", "it's": `'it'\''s'`, "~/x": "'~/x'", "$(x)": "'$(x)'", "é": "'é'"} {
		if got := shellWord(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
