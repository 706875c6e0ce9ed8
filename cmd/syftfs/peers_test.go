package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/openmined/syftfs/cmd/internal/service"
)

// answered runs a command for somebody who types in.
func (d *desk) answered(in string, args ...string) said {
	var out, errs bytes.Buffer
	a := &app{in: strings.NewReader(in), out: &out, err: &errs, person: true}
	root := a.root()
	root.SetArgs(args)
	code := a.finish(root.ExecuteContext(d.t.Context()))
	return said{code, out.String(), errs.String()}
}

// TestAcceptAsks: nobody is accepted before what that gives was shown and somebody said yes.
func TestAcceptAsks(t *testing.T) {
	for _, c := range []struct {
		name string
		in   string
		args []string
		ask  bool // somebody can be asked
		code int
		did  []string
	}{
		{"yes", "y\n", nil, true, 0, []string{"/v1/peers/gives", "/v1/peers/accept"}},
		{"yes, in full", " YES \n", nil, true, 0, []string{"/v1/peers/gives", "/v1/peers/accept"}},
		{"no", "n\n", nil, true, 9, []string{"/v1/peers/gives"}},
		{"return", "\n", nil, true, 9, []string{"/v1/peers/gives"}},
		{"the end", "", nil, true, 9, []string{"/v1/peers/gives"}},
		{"nobody there", "y\n", nil, false, 9, []string{"/v1/peers/gives"}},
		{"for a program", "y\n", []string{"--json"}, true, 9, []string{"/v1/peers/gives"}},
		{"said before", "", []string{"--yes"}, false, 0, []string{"/v1/peers/accept"}},
		{"only shown", "", []string{"--show"}, false, 0, []string{"/v1/peers/gives"}},
		{"both", "", []string{"--show", "--yes"}, false, 2, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(t, "owen")
			d.answer["/v1/peers/gives"] = `{"text":"Accepting gives:\u001b[2J\n"}`
			d.answer["/v1/peers/accept"] = `{"peer":{"address":"rachel@uni.example","state":"accepted"}}`
			args := append([]string{"peers", "accept", "rachel@uni.example"}, c.args...)
			r := d.typing(t.Context(), c.in, args...)
			if c.ask {
				d.refuse, d.asked, d.bodies = nil, nil, nil
				r = d.answered(c.in, args...)
			}
			if r.code != c.code || !slices.Equal(d.asked, c.did) {
				t.Errorf("%+v asked %q", r, d.asked)
			}
			shown := strings.Contains(r.out, "Accepting gives:␛[2J\n")
			if json := slices.Contains(c.args, "--json"); shown == (json || slices.Contains(c.args, "--yes")) {
				t.Errorf("%+v", r)
			}
		})
	}
	d := newDesk(t, "owen")
	if r := d.typing(t.Context(), "y\n", "dataset", "delete", "x", "--private"); r.code != 9 || len(d.asked) > 0 {
		t.Errorf("%+v", r)
	}
	if r := d.answered("y\n", "dataset", "delete", "x", "--private"); r.code != 0 || !strings.Contains(r.err, "may be the only copy? [y/N]") || d.bodies[0] != `{"name":"x","private":true}` {
		t.Errorf("%+v %q", r, d.bodies)
	}
}

func TestPeersAnswers(t *testing.T) {
	d := newDesk(t, "owen")
	d.answer["/v1/peers/list"] = `[{"address":"p@x.org","state":"pending","next":"answer it"},{"address":"a@x.org","state":"accepted","queued":true,"version":"0.1.117","syftfs":true,"account":"guest","note":"no\u001bte"}]`
	r := d.run("peers", "list")
	for _, want := range []string{"p@x.org  pending            not known", "a@x.org  accepted (queued)  0.1.117, syftfs  guest", "no␛te"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%q is not in\n%s", want, r.out)
		}
	}
	d.answer["/v1/peers/request"] = `{"peer":{"address":"o@x.org","state":"requested"},"queued":true,"why":"no route"}`
	if r := d.run("peers", "request", "o@x.org", "--force"); r.code != 0 || !strings.Contains(r.out, "Noted for o@x.org") || !strings.Contains(r.out, "Not yet: no route") {
		t.Errorf("%+v", r)
	}
	if body := d.bodies[len(d.bodies)-1]; body != `{"address":"o@x.org","force":true,"no_wait":false}` {
		t.Errorf("%s", body)
	}
	for answer, want := range map[string]string{`{"peer":{"state":"requested"}}`: "Asked o@x.org;", `{"peer":{"state":"accepted","note":"other version"}}`: "o@x.org is an accepted peer.\n  Note: other version"} {
		d.answer["/v1/peers/request"] = answer
		if r := d.run("peers", "request", "o@x.org"); !strings.Contains(r.out, want) {
			t.Errorf("%+v", r)
		}
	}
	d.answer["/v1/why"] = `{"allowed":true,"text":"may read.\n","elsewhere":{"peer":"accepted","text":"delivered\u001b"}}`
	if r := d.run("why", "a@x.org", "read", "x"); !strings.Contains(r.out, "  Delivery: delivered␛\n") {
		t.Errorf("%+v", r)
	}
	d.answer["/v1/sync/now"] = `{"drive":"google","account":"owen@lab.example"}`
	for args, want := range map[string]string{"sync": "A round has begun.\ndrive      google", "sync --wait": "Exchanged.\n"} {
		if r := d.run(strings.Fields(args)...); !strings.Contains(r.out, want) {
			t.Errorf("%+v", r)
		}
	}
	if body := d.bodies[len(d.bodies)-1]; !strings.HasPrefix(body, `{"wait":`) {
		t.Errorf("%s", body)
	}
	d.answer["/v1/conflicts/list"] = `[{"path":"owen@lab.example/a","copy":"owen@lab.example/b","by":"p@x.org"}]`
	if r := d.run("sync", "conflicts"); !strings.Contains(r.out, "/owen@lab.example/a\n") {
		t.Errorf("%+v", r)
	}
}

func TestWaitCommand(t *testing.T) {
	d := newDesk(t, "owen")
	d.answer["/v1/sync/wait"] = `{"path":"owen@lab.example/x","state":"synced"}`
	r := d.run("wait", "owen@lab.example/x", "--timeout", "90s")
	if r.code != 0 || r.out != "/owen@lab.example/x is synced\n" || d.bodies[0] != `{"path":"owen@lab.example/x","exists":false,"timeout":90000000000}` {
		t.Errorf("%+v %q", r, d.bodies)
	}
	if r := d.run("wait", "owen@lab.example/x", "--exists"); r.out != "/owen@lab.example/x is there\n" {
		t.Errorf("%+v", r)
	}
	// What is not there yet is named from here, if its first step is there.
	t.Chdir(d.home)
	must(t, os.MkdirAll("tree", 0o755))
	for typed, want := range map[string]string{"tree/owen@lab.example/later": d.home + "/tree/owen@lab.example/later", "owen@lab.example/later": "owen@lab.example/later"} {
		d.bodies = nil
		if d.run("wait", typed); !strings.Contains(d.bodies[0], fmt.Sprintf("%q", want)) {
			t.Errorf("%s: %q", typed, d.bodies[0])
		}
	}
	d.refuse = &service.Error{Code: service.NotYet, Message: "not yet"}
	if r := d.run("wait", "owen@lab.example/x"); r.code != 75 || r.err != "syftfs: not yet\n" {
		t.Errorf("%+v", r)
	}
	for _, args := range []string{"wait x --timeout -1s", "wait x --timeout soon", "wait", "sync now", "sync release x", "peers accept", "dataset share x", "job submit", "job submit x", "job submit x --to me",
		"job submit x --to a@x.org --name a/b", "job submit x --to a@x.org --name .a"} {
		if r := d.run(strings.Fields(args)...); r.code != 2 {
			t.Errorf("%s: %+v", args, r)
		}
	}
}
