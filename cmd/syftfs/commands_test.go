package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openmined/syftfs/cmd/internal/config"
	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/openmined/syftfs/jobs/sandbox"
	"github.com/spf13/cobra"
)

func TestMain(m *testing.M) {
	// doctor tries the sandbox, whose processes are this binary.
	if handled, code := sandbox.Main(os.Args); handled {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// desk is a user's account with one datasite, and a server that answers for it.
type desk struct {
	t      *testing.T
	home   string
	refuse *service.Error // what every question is answered with
	asked  []string       // paths
	bodies []string
	answer map[string]string // data by path
}

// newDesk makes datasites of these names. The first is served if there are any.
func newDesk(t *testing.T, datasites ...string) *desk {
	t.Helper()
	d := &desk{t: t, home: t.TempDir(), answer: map[string]string{}}
	t.Setenv("HOME", d.home)
	t.Setenv("XDG_STATE_HOME", filepath.Join(d.home, ".state"))
	sockets, err := os.MkdirTemp("", "s") // an address of a socket is short
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(sockets)) })
	t.Setenv("XDG_RUNTIME_DIR", sockets)
	for i, name := range datasites {
		if r := d.run("init", "--name", name, "--email", name+"@lab.example", "--mount", filepath.Join(d.home, "mount", name)); r.code != 0 {
			t.Fatalf("%+v", r)
		}
		if i == 0 {
			d.serve(name)
		}
	}
	return d
}

func (d *desk) serve(name string) {
	dir, err := config.Find(name)
	must(d.t, err)
	sock := config.Socket(dir)
	must(d.t, os.MkdirAll(filepath.Dir(sock), 0o700))
	l, err := net.Listen("unix", sock)
	must(d.t, err)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			d.t.Error(err)
		}
		d.asked, d.bodies = append(d.asked, r.URL.Path), append(d.bodies, string(body))
		ans := map[string]any{"data": json.RawMessage("{}")}
		if data := d.answer[r.URL.Path]; data != "" {
			ans["data"] = json.RawMessage(data)
		} else if strings.HasSuffix(r.URL.Path, "/list") {
			ans["data"] = json.RawMessage("[]")
		}
		if d.refuse != nil {
			ans = map[string]any{"error": d.refuse}
			w.WriteHeader(d.refuse.Code.HTTP())
		}
		if err := json.NewEncoder(w).Encode(ans); err != nil {
			d.t.Error(err)
		}
	})}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	d.t.Cleanup(func() {
		must(d.t, srv.Close())
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			d.t.Error(err)
		}
	})
}

type said struct {
	code     int
	out, err string
}

func (d *desk) run(args ...string) said { return d.typing(context.Background(), "", args...) }

func (d *desk) typing(ctx context.Context, in string, args ...string) said {
	var out, errs bytes.Buffer
	a := &app{in: strings.NewReader(in), out: &out, err: &errs}
	root := a.root()
	root.SetArgs(args)
	code := a.finish(root.ExecuteContext(ctx))
	return said{code, out.String(), errs.String()}
}

// leaves are the commands that do something, by what is typed.
func leaves(c *cobra.Command) map[string]*cobra.Command {
	all := map[string]*cobra.Command{}
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if !c.HasSubCommands() || c.Name() == "view" || c.Name() == "sync" {
			all[strings.TrimPrefix(c.CommandPath(), "syftfs ")] = c
		}
		for _, s := range c.Commands() {
			walk(s)
		}
	}
	walk(c)
	return all
}

// leafArgs are arguments that every leaf command takes. nil: it runs for long, and integration's scripts run it.
var leafArgs = map[string][]string{
	"init":           {"--email", "new@lab.example", "--name", "new", "--mount", "MOUNT"},
	"auth":           nil, // its own tests
	"up":             nil,
	"demo":           nil,
	"down":           {},
	"status":         {},
	"view":           {"rachel@uni.example", "dir"},
	"view list":      {},
	"view umount":    {"dir"},
	"why":            {"rachel@uni.example", "read", "owen@lab.example/x"},
	"who":            {"owen@lab.example/x"},
	"share":          {"owen@lab.example/x", "--with", "rachel@uni.example", "--read"},
	"unshare":        {"owen@lab.example/x", "--with", "rachel@uni.example"},
	"perm lint":      {"owen@lab.example/x"},
	"perm diff":      {"-", "--as", "owen@lab.example/x/syft.pub.yaml"},
	"perm show":      {"owen@lab.example/x"},
	"perm set":       {"owen@lab.example/x", "**", "--read", "any"},
	"perm move":      {"owen@lab.example/x", "owen@lab.example/y"},
	"users create":   {"--email", "rachel@uni.example"},
	"users verify":   {"rachel@uni.example"},
	"users disable":  {"rachel@uni.example"},
	"users enable":   {"rachel@uni.example"},
	"users list":     {},
	"dataset create": {"prices", "--mock", "mock.csv", "--private", "real.csv"},
	"dataset list":   {},

	"dataset share":   {"prices", "rachel@uni.example"},
	"dataset unshare": {"prices", "rachel@uni.example"},
	"dataset delete":  {"prices", "--yes"},

	"job list":       {},
	"job submit":     nil, // its own tests
	"peers list":     {},
	"peers request":  {"rachel@uni.example"},
	"peers accept":   {"rachel@uni.example", "--yes"},
	"peers reject":   {"rachel@uni.example"},
	"peers block":    {"rachel@uni.example"},
	"peers unblock":  {"rachel@uni.example"},
	"peers remove":   {"rachel@uni.example"},
	"sync":           {},
	"sync release":   {},
	"sync conflicts": {},
	"wait":           {"owen@lab.example/x"},
	"job show":       {"sum"},
	"job approve":    {"sum", "123456789012"},
	"job reject":     {"sum"},
	"job cancel":     {"sum"},
	"job run":        {},
	"job release":    {"sum"},
	"job logs":       {"sum"},
	"doctor":         {},

	"drive serve":           nil,
	"drive stop":            nil, // it stops a process
	"drive status":          {},
	"drive accounts add":    {"new@lab.example", "--token", "MOUNT"},
	"drive accounts list":   {},
	"drive accounts limit":  {"ada@lab.example", "5000"},
	"drive accounts remove": {"ada@lab.example"},
	"drive token":           {"ada@lab.example", "--token", "MOUNT"},
	"drive client-secret":   {"MOUNT"},
	"drive proxy-env":       {},
	"drive stats":           {"--reset"},
	"drive fault add":       {"--kind", "delay"},
	"drive fault list":      {},
	"drive fault remove":    {"--all"},
	"drive switch":          {"--lag-names", "5s"},
	"drive check":           {},
}

// local are the leaf commands that ask nobody.
var local = []string{"init", "auth", "up", "demo", "doctor", "drive"}

func asksNobody(name string) bool { return slices.Contains(local, strings.Fields(name)[0]) }

// withDrive starts a local drive for a command that is about one.
func (d *desk) withDrive(name string) {
	if strings.HasPrefix(name, "drive ") {
		d.drive("ada@lab.example")
	}
}

func (d *desk) typed(name string) []string {
	args := append(strings.Fields(name), leafArgs[name]...)
	for i, a := range args {
		if a == "MOUNT" {
			args[i] = filepath.Join(d.home, "newmount")
		}
	}
	return args
}

// object reads exactly one JSON object.
func object(t *testing.T, text string) map[string]any {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	var o map[string]any
	if err := dec.Decode(&o); err != nil {
		t.Fatalf("%v: %q", err, text)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		t.Fatalf("more than one object: %q", text)
	}
	return o
}

// TestEveryCommandExplainsItself: also the groups, and every example names a command and flags that exist.
func TestEveryCommandExplainsItself(t *testing.T) {
	d := newDesk(t)
	root := (&app{out: io.Discard, err: io.Discard}).root()
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		name := c.CommandPath()
		if c.Short == "" || c.Example == "" || strings.HasSuffix(c.Short, ".") || strings.Contains(c.Short, "\n") {
			t.Errorf("%s: short %q, example %q", name, c.Short, c.Example)
		}
		r := d.run(append(strings.Fields(name)[1:], "--help")...)
		for _, want := range []string{strings.SplitN(c.Example, "\n", 2)[0], "Usage:", "--json"} {
			if !strings.Contains(r.out, want) {
				t.Errorf("%s --help does not tell %q:\n%s", name, want, r.out)
			}
		}
		if r.code != 0 || r.err != "" {
			t.Errorf("%s --help: %+v", name, r)
		}
		for line := range strings.Lines(c.Example) {
			if !strings.HasPrefix(line, "  syftfs ") {
				t.Errorf("%s: example %q", name, line)
			}
			line, _, _ = strings.Cut(line, "#")
			for part := range strings.SplitSeq(line, " && ") {
				checkExample(t, root, name, part)
			}
		}
		for _, s := range c.Commands() {
			walk(s)
		}
	}
	walk(root)
}

var flagWord = regexp.MustCompile(`(?:^|\s)--([a-z-]+)`)

func checkExample(t *testing.T, root *cobra.Command, of, line string) {
	t.Helper()
	words := strings.Fields(line)
	if len(words) == 0 || words[0] != "syftfs" {
		t.Errorf("%s: example %q", of, line)
		return
	}
	c, _, err := root.Find(words[1:])
	if err != nil || c == root {
		t.Errorf("%s: example %q names no command: %v", of, line, err)
		return
	}
	for _, m := range flagWord.FindAllStringSubmatch(line, -1) {
		if c.Flag(m[1]) == nil {
			t.Errorf("%s: example %q: there is no --%s", of, line, m[1])
		}
	}
}

func TestEveryCommandIsKnownHere(t *testing.T) {
	all := leaves((&app{out: io.Discard, err: io.Discard}).root())
	for name := range all {
		if _, ok := leafArgs[name]; !ok {
			t.Errorf("%s is not in leafArgs", name)
		}
	}
	for name := range leafArgs {
		if all[name] == nil {
			t.Errorf("there is no command %s", name)
		}
	}
}

// TestEveryCommandHonoursJSON: one object with ok, data and warnings, nothing else.
func TestEveryCommandHonoursJSON(t *testing.T) {
	for name, args := range leafArgs {
		if args == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, "owen")
			d.withDrive(name)
			r := d.run(append(d.typed(name), "--json")...)
			o := object(t, r.out)
			data, has := o["data"]
			warnings, list := o["warnings"].([]any)
			if o["ok"] != true || !has || data == nil || !list || len(warnings) != 0 || len(o) != 3 || r.err != "" {
				t.Errorf("%+v", r)
			}
			want := []int{0}
			switch name {
			case "doctor":
				want = []int{0, 10} // what this machine is like
			case "why":
				want = []int{1} // the answer is no
			}
			if !slices.Contains(want, r.code) {
				t.Errorf("exit status %d", r.code)
			}
			if asksNobody(name) != (len(d.asked) == 0) {
				t.Errorf("asked %v", d.asked)
			}
			if strings.HasSuffix(name, "list") {
				if _, ok := data.([]any); !ok {
					t.Errorf("a list is %T", data)
				}
			}
			// And the same for people is not JSON.
			d = newDesk(t, "owen")
			d.withDrive(name)
			if r := d.run(d.typed(name)...); strings.HasPrefix(r.out, "{") || !slices.Contains(want, r.code) || r.err != "" {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestEveryRefusal: whatever the server refuses is told in the way that was asked for, with the exit status of its code.
func TestEveryRefusal(t *testing.T) {
	d := newDesk(t, "owen")
	for name, args := range leafArgs {
		if args == nil || asksNobody(name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			d.refuse = &service.Error{Code: service.Conflict, Message: "no: \x1b[31mdo that first", Field: "dir"}
			r := d.run(append(d.typed(name), "--json")...)
			o := object(t, r.out)
			e, _ := o["error"].(map[string]any)
			if o["ok"] != false || len(o) != 2 || e["code"] != "conflict" || e["message"] != "no: \x1b[31mdo that first" || e["field"] != "dir" || r.err != "" || r.code != 6 {
				t.Errorf("%+v", r)
			}
			if r := d.run(d.typed(name)...); r.out != "" || r.err != "syftfs: no: ␛[31mdo that first\n" || r.code != 6 {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestNotRunning(t *testing.T) {
	none, stopped := newDesk(t), ""
	for name, args := range leafArgs {
		if args == nil || asksNobody(name) {
			continue
		}
		if r := none.run(none.typed(name)...); r.code != 8 || r.out != "" || !strings.Contains(r.err, "syftfs init --email") {
			t.Errorf("%s without a datasite: %+v", name, r)
		}
	}
	d := newDesk(t, "owen", "stopped")
	stopped = "stopped"
	for name, args := range leafArgs {
		if args == nil || asksNobody(name) {
			continue
		}
		if r := d.run(append(d.typed(name), "--datasite", stopped)...); r.code != 8 || r.out != "" || !strings.Contains(r.err, "syftfs up --detach") {
			t.Errorf("%s of a datasite that is stopped: %+v", name, r)
		}
	}
}

// TestBadUsage: exit status 2 and how it is typed, before anything is asked.
func TestBadUsage(t *testing.T) {
	d := newDesk(t, "owen")
	for name := range leafArgs {
		for _, args := range [][]string{append(strings.Fields(name), "a", "b", "c", "d"), append(strings.Fields(name), "--no-such-flag")} {
			if (name == "job release" || name == "dataset share" || name == "dataset unshare") && args[len(args)-1] == "d" {
				args = strings.Fields(name) // it takes any number but none
			}
			r := d.run(args...)
			if r.code != 2 || r.out != "" || !strings.Contains(r.err, "syftfs "+strings.Fields(name)[0]) {
				t.Errorf("%q: %+v", args, r)
			}
		}
	}
	for _, c := range []struct {
		args []string
		text string
	}{
		{[]string{"nonsense"}, `there is no command "nonsense"`},
		{[]string{"job", "nonsense"}, `there is no command "syftfs job nonsense"`},
		{[]string{"users", "nonsense", "--json"}, `there is no command \"syftfs users nonsense\"`},
		{[]string{"init"}, "--email"},
		{[]string{"users", "create", "--name", "x"}, "--email"},
		{[]string{"users", "create", "--email", "x@y.org", "--password-stdin"}, "no line"},
		{[]string{"dataset", "create", "x", "--mock", "m"}, "--private is missing"},
		{[]string{"dataset", "create", "x", "--private", "m"}, "--mock is missing"},
		{[]string{"view", "--guest", "x@y.org", "dir"}, "--guest in the place of EMAIL"},
		{[]string{"view", "dir"}, "view EMAIL DIR"},
		{[]string{"view", "x@y.org", "--"}, "view EMAIL DIR"},
		{[]string{"share", "x", "--with", "a@x.org"}, "--read"},
		{[]string{"share", "x", "--read"}, "--with"},
		{[]string{"share", "x", "--read", "--write", "--with", "a@x.org"}, "--read, --write"},
		{[]string{"unshare", "x"}, "--with"},
		{[]string{"perm", "diff", "/dev/null"}, "--as"},
		{[]string{"perm", "diff", "--remove", "x", "--as", "y"}, "--as"},
		{[]string{"init", "--email", "n@x.org", "--name", "n", "--drive", "nonsense", "--token", "x"}, "google, local:"},
		{[]string{"init", "--email", "n@x.org", "--name", "n", "--drive", "google"}, "--client-secret FILE"},
		{[]string{"init", "--email", "n@x.org", "--name", "n", "--drive", "google", "--token", "/does/not/exist"}, "no such file"},
		{[]string{"auth"}, "usage: syftfs auth"},
		{[]string{"auth", "dropbox", "--token", "x"}, "google, local:"},
		{[]string{"auth", "google"}, "--client-secret FILE"},
		{[]string{"auth", "google", "--token", "/does/not/exist"}, "no such file"},
		{[]string{"perm", "set"}, "usage: syftfs perm set DIR [PATTERN]"},
		{[]string{"view", "x@y.org", "dir", "--ttl", "soon"}, "--ttl"},
		{[]string{"status", "--datasite", "../x"}, "../x"},
		{[]string{"init", "--email", "*@x.org"}, "*@x.org"},
		{[]string{"init", "--email", "x@y.org", "--name", "../x"}, "../x"},
	} {
		if r := d.run(c.args...); r.code != 2 || !strings.Contains(r.err+r.out, c.text) {
			t.Errorf("%q: %+v", c.args, r)
		}
	}
	if len(d.asked) > 0 {
		t.Errorf("asked %v", d.asked)
	}
	if r := d.run("status", "--datasite", "n"); r.code != 5 {
		t.Errorf("a datasite was made in spite of a wrong Drive: %+v", r)
	}
	if r := d.run("status", "--datasite", "none"); r.code != 5 || !strings.Contains(r.err, "owen") {
		t.Errorf("%+v", r)
	}
	two := newDesk(t, "owen", "rachel")
	if r := two.run("status"); r.code != 2 || !strings.Contains(r.err, "--datasite") || !strings.Contains(r.err, "owen, rachel") {
		t.Errorf("%+v", r)
	}
	if r := two.run("status", "--datasite", "owen"); r.code != 0 {
		t.Errorf("%+v", r)
	}
}

// TestGroupsTellWhatTheyHold: a group alone is a question for help.
func TestGroupsTellWhatTheyHold(t *testing.T) {
	d := newDesk(t)
	for _, g := range []string{"", "job", "users", "dataset", "perm", "peers", "drive", "drive accounts", "drive fault"} {
		if r := d.run(strings.Fields(g)...); r.code != 0 || !strings.Contains(r.out, "Available Commands") {
			t.Errorf("%q: %+v", g, r)
		}
	}
}

// TestQuestions: what is typed arrives.
func TestQuestions(t *testing.T) {
	d := newDesk(t, "owen")
	here, err := os.Getwd()
	must(t, err)
	for _, c := range []struct {
		args []string
		in   string
		want string
	}{
		{[]string{"view", "rachel@uni.example", "dir", "--ttl", "90m"}, "", fmt.Sprintf(`{"email":"rachel@uni.example","guest":false,"dir":%q,"write":false,"ttl":%d,"run":false}`, here+"/dir", 90*time.Minute)},
		{[]string{"view", "--guest", "/srv/x/.."}, "", `{"email":"","guest":true,"dir":"/srv","write":false,"ttl":0,"run":false}`},
		{[]string{"view", "umount", "dir/"}, "", fmt.Sprintf(`{"dir":%q}`, here+"/dir")},
		{[]string{"users", "create", "--email", "r@uni.example", "--name", "R", "--password-stdin"}, "a pass word \r\nmore",
			`{"email":"r@uni.example","name":"R","role":"data_scientist","institution":"","website":"","password":"a pass word "}`},
		{[]string{"dataset", "create", "p", "--mock", "m", "--private", "/r", "--readers", "a@x.org,b@x.org"}, "",
			fmt.Sprintf(`{"name":"p","summary":"","mock":%q,"private":"/r","readme":"","readers":["a@x.org","b@x.org"]}`, here+"/m")},
		{[]string{"job", "approve", "sum", "12ab", "--dataset", "p", "--reason", "means"}, "", `{"job":"sum","digest":"12ab","datasets":["p"],"reason":"means"}`},
		{[]string{"job", "reject", "sum", "--reason", "rows"}, "", `{"job":"sum","reason":"rows"}`},
		{[]string{"job", "release", "sum", "a", "b", "--logs"}, "", `{"job":"sum","names":["a","b"],"logs":true}`},
		{[]string{"who", "x"}, "", `{"path":"x"}`},
		{[]string{"share", "x", "--with", "any", "--create"}, "", `{"path":"x","with":"any","level":"create","allow_lockout":false}`},
		{[]string{"unshare", "x", "--with", "*@y.org"}, "", `{"path":"x","with":"*@y.org","level":"","allow_lockout":false}`},
		{[]string{"perm", "set", "x", "a/*", "--read", "any,USER", "--max-file-size", "5", "--terminal"}, "",
			`{"dir":"x","pattern":"a/*","grants":{"read":["any","USER"]},"limits":{"max_file_size":5,"allow_dirs":true,"allow_symlinks":false},"drop":false,"terminal":true,"allow_lockout":false}`},
		{[]string{"perm", "move", "x", "y", "--allow-lockout"}, "", fmt.Sprintf(`{"from":"x","to":%q,"allow_lockout":true}`, here+"/y")},
		{[]string{"perm", "diff", "-", "--as", "x/syft.pub.yaml"}, "rules: []\n", `{"path":"x/syft.pub.yaml","text":"rules: []\n","remove":false}`},
		{[]string{"perm", "lint", "x"}, "", `{"path":"x"}`},
		{[]string{"perm", "show", "x"}, "", `{"path":"x"}`},
		{[]string{"why", "guest", "read", "x"}, "", `{"user":"guest","level":"read","path":"x"}`},
	} {
		d.bodies = nil
		if r := d.typing(t.Context(), c.in, c.args...); r.err != "" {
			t.Errorf("%q: %+v", c.args, r)
		}
		if len(d.bodies) != 1 || d.bodies[0] != c.want {
			t.Errorf("%q asks %q, want %s", c.args, d.bodies, c.want)
		}
	}
}

// TestAnswersForPeople: also of what a stranger wrote.
func TestAnswersForPeople(t *testing.T) {
	d := newDesk(t, "owen")
	d.answer["/v1/why"] = `{"allowed":true,"text":"rachel may\u001b[31m read.\n","account":"a note"}`
	if r := d.run("why", "rachel@uni.example", "read", "x"); r.code != 0 || !strings.Contains(r.out, "rachel may␛[31m read.\n") || !strings.Contains(r.out, "Account: a note") {
		t.Errorf("%+v", r)
	}
	d.answer["/v1/jobs/list"] = `[{"name":"sum","submitter":"rachel@uni.example","status":"pending","message":"read\u001b]0;x\u0007 it\nnow","datasets_offered":["p"]}]`
	r := d.run("job", "list")
	if strings.ContainsAny(r.out, "\x1b\a") || strings.Count(r.out, "\n") != 2 || !strings.Contains(r.out, "read␛]0;x␇ it␊now") {
		t.Errorf("%+v", r)
	}
	d.answer["/v1/jobs/logs"] = `{"stdout":"one\n\u001b[2J","stderr":"two\n"}`
	if r := d.run("job", "logs", "sum"); r.out != "one\n␛[2J" || r.err != "two\n" {
		t.Errorf("%+v", r)
	}
	d.answer["/v1/jobs/show"] = `{"name":"sum","submitter":"rachel@uni.example","status":"done","return_code":0,"size":2048,"digest":"sha256:12",
		"files":[{"path":"code/\u202emain.py","size":2048,"sha256":"0123456789abcdef"}],"held":[{"path":"r.json","size":3,"sha256":"fedcba9876543210"}]}`
	r = d.run("job", "show", "sum")
	for _, want := range []string{"2.0 KiB in 1 files, revision 0", "0123456789ab", "code/�main.py", "held       fedcba987654", "with code 0"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%q is not in\n%s", want, r.out)
		}
	}
	d.answer["/v1/views/list"] = `[{"dir":"/srv/a","email":"","write":false,"expires":"2026-07-01T12:00:00Z"},{"dir":"/srv/b","email":"rachel@uni.example","write":true}]`
	if r := d.run("view", "list"); !strings.Contains(r.out, "a guest") || !strings.Contains(r.out, "unmounted") {
		t.Errorf("%+v", r)
	}
	d.answer["/v1/users/list"] = `[{"name":"Owen\tO","email":"owen@lab.example","role":"admin","root":true,"state":"active","verified":"owner"}]`
	if r := d.run("users", "list"); !strings.Contains(r.out, "Owen␉O") || !strings.Contains(r.out, "admin (root)") {
		t.Errorf("%+v", r)
	}
}

func TestInterrupted(t *testing.T) {
	d := newDesk(t, "owen")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := d.typing(ctx, "", "status"); r.code != 130 || !strings.Contains(r.err, "interrupted") {
		t.Errorf("%+v", r)
	}
}

func TestInit(t *testing.T) {
	d := newDesk(t)
	r := d.run("init", "--email", "Owen@Lab.example")
	if r.code != 0 || !strings.Contains(r.out, "owen@lab.example") || !strings.Contains(r.out, "syftfs up --detach") {
		t.Fatalf("%+v", r)
	}
	info, err := os.Stat(filepath.Join(d.home, "SyftBox_owen@lab.example"))
	must(t, err)
	if info.Mode() != iofs.ModeDir|0o700 {
		t.Errorf("%v", info.Mode())
	}
	if r := d.run("init", "--email", "owen@lab.example", "--json"); r.code != 6 || object(t, r.out)["ok"] != false {
		t.Errorf("%+v", r)
	}
}
