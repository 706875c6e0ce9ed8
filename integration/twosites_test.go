//go:build long

package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/openmined/syftfs/integration/mountns"
	"golang.org/x/sys/unix"
)

// rowan is a third account at the Drive, of somebody who does not use this program.
const rowan = "rowan@elsewhere.example"

// localDrive is a Drive served by the built program, and its accounts' sign-ins.
type localDrive struct {
	*host
	url string
}

// end is one end of an exchange: somebody's machine with a datasite that is connected to the Drive.
type end struct {
	*host
	acts *actor
}

// pair is Owen and Rachel, who share nothing but a Drive.
type pair struct {
	t            *testing.T
	drive        *localDrive
	owen, rachel *end
}

// Where root runs the tests, one end is root's and the other an ordinary user's.
const (
	owenIsRoot = iota
	rachelIsRoot
)

// newPair makes a Drive and both datasites, and starts nothing but the Drive.
func newPair(t *testing.T, root int) *pair {
	t.Helper()
	users := [2]*mountns.User{}
	if os.Geteuid() == 0 {
		u, err := mountns.Unprivileged()
		if err != nil {
			t.Fatal(err)
		}
		users[1-root] = &u
	}
	p := &pair{t: t, drive: newDrive(t)}
	p.owen, p.rachel = p.drive.newEnd(t, users[0], owen), p.drive.newEnd(t, users[1], rachel)
	return p
}

// newPeers makes a pair whose datasites are up, and who are peers.
func newPeers(t *testing.T, root int) *pair {
	t.Helper()
	p := newPair(t, root)
	p.owen.start()
	p.rachel.start()
	p.befriend()
	return p
}

// befriend makes them peers, by what they do in their mounts.
func (p *pair) befriend() {
	p.t.Helper()
	p.rachel.acts.mkdir(p.rachel.peers("requested", owen))
	p.owen.untilText(p.owen.peers("pending", rachel, "gives"), "app_data/job/inbox/"+rachel)
	p.owen.acts.ok(call{Op: "rename", Path: p.owen.peers("pending", rachel), To: p.owen.peers("accepted", rachel)})
	p.rachel.untilText(p.rachel.peers("accepted", owen, "status"), "accepted")
	p.rachel.until("the place for jobs", func() error { return p.rachel.there(p.rachel.in(owen, "jobs")) })
}

// newDrive serves a Drive with accounts for Owen, Rachel and Rowan.
func newDrive(t testing.TB) *localDrive {
	t.Helper()
	d := &localDrive{host: newHost(t, nil), url: "127.0.0.1:0"}
	if err := os.Mkdir(d.path(".run"), 0o700); err != nil {
		t.Fatal(err)
	}
	d.open()
	d.url = "http://" + d.url
	for _, email := range []string{owen, rachel, rowan} {
		d.add(email)
	}
	t.Cleanup(func() {
		if d.up != nil && !t.Failed() {
			if out := d.ok("drive", "check"); !strings.Contains(out, "is whole") {
				t.Errorf("syftfs drive check: %s", out)
			}
		}
	})
	return d
}

// open serves the Drive; the second time, where it was before.
func (d *localDrive) open() {
	d.t.Helper()
	at := strings.TrimPrefix(d.url, "http://")
	said, err := d.serve("Serving", "drive", "serve", "--listen", at)
	if err != nil {
		d.t.Fatalf("syftfs drive serve: %v: %s", err, said)
	}
	if at == "127.0.0.1:0" {
		d.url = ask[struct{ Address string }](d.host, "drive", "status").Address[len("http://"):]
	}
}

// add makes an account, with a sign-in.
func (d *localDrive) add(email string) {
	d.t.Helper()
	d.ok("drive", "accounts", "add", email, "--token", d.token(email))
}

// token is the file with the sign-in of an account.
func (d *localDrive) token(email string) string { return d.path(email + ".json") }

// count is what the Drive counted for one account.
type count struct {
	Requests map[string]int
	Units    int
}

func (c count) total() (n int) {
	for _, k := range c.Requests {
		n += k
	}
	return n
}

func (d *localDrive) counts() map[string]count {
	return ask[map[string]count](d.host, "drive", "stats")
}

// newEnd makes a datasite that asks the Drive often.
func (d *localDrive) newEnd(t *testing.T, user *mountns.User, email string) *end {
	t.Helper()
	return d.newEndOn(t, user, email, 0)
}

// newEndOn makes a datasite on a disk of so many bytes; 0: on the one of the tests.
func (d *localDrive) newEndOn(t *testing.T, user *mountns.User, email string, disk int) *end {
	t.Helper()
	e := &end{}
	if disk > 0 {
		t.Cleanup(func() { // runs when the datasite is gone
			if err := unix.Unmount(e.home, unix.MNT_DETACH); err != nil {
				t.Errorf("unmount the disk: %v", err)
			}
			os.Remove(e.home)
		})
	}
	t.Cleanup(func() { // runs when the datasite is gone
		if t.Failed() {
			for line := range strings.Lines(e.trace()) {
				if !strings.Contains(line, "level=DEBUG") { // what was looked for and is not there yet
					t.Logf("%s: %s", email, strings.TrimSpace(line))
				}
			}
		}
	})
	e.host = newHost(t, user)
	e.email = email
	if disk > 0 {
		options := fmt.Sprintf("size=%d,mode=0700", disk)
		if user != nil {
			options += fmt.Sprintf(",uid=%d,gid=%d", user.UID, user.GID)
		}
		if err := unix.Mount("disk", e.home, "tmpfs", 0, options); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(d.token(email))
	if err == nil {
		err = os.WriteFile(e.path("token.json"), b, 0o600)
	}
	if err == nil && user != nil {
		err = os.Chown(e.path("token.json"), int(user.UID), int(user.GID))
	}
	if err != nil {
		t.Fatal(err)
	}
	e.init("--drive", "local:"+d.url, "--token", "token.json")
	e.configure("    at: ", "    poll: 200ms\n    at: ", "settle: 2s", "settle: 300ms", "bare_settle: 5s", "bare_settle: 600ms")
	e.acts = e.newActor(t)
	return e
}

// peers is a path in .syft/peers.
func (e *end) peers(parts ...string) string { return e.syft(append([]string{"peers"}, parts...)...) }

// syft is a path in .syft.
func (e *end) syft(parts ...string) string {
	return e.path(append([]string{"SyftBox", ".syft"}, parts...)...)
}

// text is what a file holds; an error names the errno.
func (e *end) text(file string) (string, error) {
	r := e.acts.do(call{Op: "readfile", Path: file})
	if r.Errno != "" {
		return "", fmt.Errorf("%s: %s", file, r.Errno)
	}
	return string(r.Data), nil
}

// there is nil when there is such a file or folder.
func (e *end) there(file string) error {
	if r := e.acts.do(call{Op: "stat", Path: file}); r.Errno != "" {
		return fmt.Errorf("%s: %s", file, r.Errno)
	}
	return nil
}

// gone is nil when there is no such file or folder.
func (e *end) gone(file string) error {
	if r := e.acts.do(call{Op: "stat", Path: file}); r.Errno != "ENOENT" {
		return fmt.Errorf("%s: it is there (%q)", file, r.Errno)
	}
	return nil
}

// untilText waits until a file holds a text somewhere.
func (e *end) untilText(file, text string) {
	e.t.Helper()
	e.until(file, func() error {
		got, err := e.text(file)
		if err == nil && !strings.Contains(got, text) {
			err = fmt.Errorf("it holds %.400q, not %q", got, text)
		}
		return err
	})
}

// write writes a file, and makes its folders.
func (e *end) write(file, text string) {
	e.t.Helper()
	e.folder(filepath.Dir(file))
	e.acts.write(file, text)
}

// folder makes a folder and those that it lies in.
func (e *end) folder(dir string) {
	e.t.Helper()
	if e.acts.do(call{Op: "stat", Path: dir}).Errno == "" {
		return
	}
	e.folder(filepath.Dir(dir))
	e.acts.mkdir(dir)
}

// refused is a call that must fail so; it gives what .syft/last-error says.
func (e *end) refused(errno string, c call) string {
	e.t.Helper()
	e.acts.want(errno, c)
	return e.acts.read(e.syft("last-error"))
}

// exchanged is what `status` tells about the exchange.
type exchanged struct {
	Offline, Problem, Synced string
	Waiting, Log, Conflicts  int
	Peers                    []struct {
		Address, Problem                  string
		Owed, Sending, Incoming, Proposed int
	}
	Aside []struct{ Peer, Name, Path, Reason string }
}

// status asks the datasite how it is.
func (e *end) status() (st struct {
	Reconciled bool
	Problems   []string
	Exchange   exchanged
}, err error) {
	out, err := e.command(e.program, "status", "--json").Output()
	if err != nil {
		return st, fmt.Errorf("syftfs status: %w: %s", err, out)
	}
	var a struct{ Data json.RawMessage }
	if err := json.Unmarshal(out, &a); err != nil {
		return st, err
	}
	return st, json.Unmarshal(a.Data, &st)
}

// untilSettled waits until nothing is left to be sent, taken or answered.
func (e *end) untilSettled() {
	e.t.Helper()
	e.until("all is exchanged", func() error {
		st, err := e.status()
		if err != nil {
			return err
		}
		x := st.Exchange
		idle := st.Reconciled && x.Offline == "" && x.Problem == "" && x.Waiting == 0 && x.Log == 0
		for _, p := range x.Peers {
			idle = idle && p.Owed == 0 && p.Sending == 0 && p.Incoming == 0 && p.Proposed == 0
		}
		if !idle {
			return fmt.Errorf("the exchange: %+v %q", x, st.Problems)
		}
		return nil
	})
}

// settled waits until everything of both has arrived.
func (p *pair) settled() {
	p.t.Helper()
	for range 2 { // what one sends is the other's to take
		p.owen.ok("sync", "--wait")
		p.owen.untilSettled()
		p.rachel.ok("sync", "--wait")
		p.rachel.untilSettled()
	}
}

// untilState waits until a file is in a state.
func (e *end) untilState(file, state string) {
	e.t.Helper()
	e.until(file+" "+state, func() error {
		r := e.acts.do(call{Op: "getxattr", Path: file, To: "user.syft.state"})
		if r.Errno != "" || string(r.Data) != state {
			return fmt.Errorf("it is %q %s", r.Data, r.Errno)
		}
		return nil
	})
}

// sh does what a person does in a shell, with $1, $2 ...
func (e *end) sh(line string, args ...string) string {
	e.t.Helper()
	out, err := e.command("sh", append([]string{"-c", line, "sh"}, args...)...).CombinedOutput()
	if err != nil {
		e.t.Fatalf("%s %q: %v: %s%s", line, args, err, out, e.acts.do(call{Op: "readfile", Path: e.syft("last-error")}).Data)
	}
	return string(out)
}

// dataset makes a dataset of Owen's, whose private part holds the canary.
func (e *end) dataset(name string, readers ...string) {
	e.t.Helper()
	e.acts.write(e.path("mock.csv"), "word\n"+mockWord+"\n")
	e.acts.write(e.path("real.csv"), "word\n"+canary+"\n")
	e.ok("dataset", "create", name, "--mock", "mock.csv", "--private", "real.csv", "--readers", strings.Join(readers, ","))
}

// project makes a folder in Rachel's home that reads the dataset "words".
func (e *end) project(name string) string {
	e.t.Helper()
	dir := e.path("projects", name)
	e.write(filepath.Join(dir, "main.py"), readWord)
	return dir
}

// submit copies a folder into jobs/ of Owen's datasite, as a person does.
func (e *end) submit(dir string) { e.sh(`cp -r "$1" "$2"`, dir, e.in(owen, "jobs")+"/") }

// isJob is nil when its owner sees a job in a status.
func (e *end) isJob(name, status string) error {
	list := ask[[]job](e.host, "job", "list")
	i := slices.IndexFunc(list, func(j job) bool { return j.Name == name })
	if i < 0 {
		return errors.New("there is no such job")
	}
	if list[i].Status != status {
		return fmt.Errorf("it is %s: %s", list[i].Status, list[i].Message)
	}
	return nil
}

// approve approves what the owner has of a job, granting the dataset "words".
func (e *end) approve(name string) {
	e.t.Helper()
	e.ok("job", "approve", name, e.job(name).Digest, "--dataset", "words")
}

// watch watches a folder with inotify, as a file manager does, until the actor ends.
func (e *end) watch(dir string) int {
	e.t.Helper()
	return e.acts.ok(call{Op: "watch", Path: dir, Flags: unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_CLOSE_WRITE | unix.IN_DELETE}).File
}

// untilSeen waits until a watcher was told of a name.
func (e *end) untilSeen(watcher int, name string) {
	e.t.Helper()
	var all []string
	e.until("a watcher sees "+name, func() error {
		all = append(all, e.acts.ok(call{Op: "events", File: watcher}).Names...)
		if !slices.Contains(all, name) {
			return fmt.Errorf("it saw %q", all)
		}
		return nil
	})
}
