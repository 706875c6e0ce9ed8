//go:build long

package soak

import (
	"strconv"
	"strings"
	"testing"
)

// drive is the Drive that they share, and what went wrong at it.
type drive struct {
	*machine
	url   string
	kinds map[string]int // how often each kind of fault fired
	kills int
	on    bool // rules or switches are set
}

func newDrive(t testing.TB) *drive {
	t.Helper()
	d := &drive{machine: newMachine(t), kinds: map[string]int{}}
	d.start("Serving", "drive", "serve", "--listen", "127.0.0.1:0")
	d.url = ask[struct{ Address string }](d.machine, "drive", "status").Address
	for _, who := range people {
		d.ok("drive", "accounts", "add", who, "--token", d.path(who+".json"))
	}
	return d
}

// wrong are the kinds of trouble, each with the arguments of `drive fault add`.
var wrong = []struct {
	kind string
	args string
}{
	{"lost reply (cut)", "--kind drop-after"},
	{"lost reply (503)", "--kind error-after --code 503"},
	{"cut in the answer", "--kind drop-inside"},
	{"cut before", "--kind drop"},
	{"429", "--kind error --code 429 --retry-after 1"},
	{"403", "--kind error --code 403"},
	{"500", "--kind error --code 500"},
	{"503 as a page", "--kind error --code 503 --html"},
	{"truncated body", "--kind truncate --bytes 40 --method files.download"},
	{"short body", "--kind short --bytes 40 --method files.download"},
	{"corrupt body", "--kind corrupt --bytes 30 --method files.download"},
	{"doubled messages", "--kind twice --method changes.list"},
	{"feed in reverse", "--kind reverse --method changes.list"},
	{"doubled creates", "--kind twin --method files.create"},
	{"empty list", "--kind empty-list --method files.list"},
	{"incomplete list", "--kind incomplete --method files.list"},
	{"late answer", "--kind delay --delay 200ms"},
}

// breakSome sets some rules, and perhaps makes lists late.
func (d *drive) breakSome(c dice) {
	d.calm()
	d.on = true
	r := c.faults
	for range 2 + r.IntN(3) {
		k := wrong[r.IntN(len(wrong))]
		args := append([]string{"drive", "fault", "add"}, strings.Fields(k.args)...)
		d.ok(append(args, "--probability", strconv.FormatFloat(0.05+0.15*r.Float64(), 'f', 2, 64), "--seed", strconv.Itoa(r.IntN(1<<30)), "--count", "20")...)
	}
	lag := func() string { return []string{"0s", "300ms", "1500ms"}[r.IntN(3)] }
	names, parents, shared, changes := lag(), lag(), lag(), lag()
	if names+parents+shared+changes != "0s0s0s0s" {
		d.kinds["late lists (times set)"]++
	}
	d.ok("drive", "switch", "--lag-names", names, "--lag-parents", parents, "--lag-shared", shared, "--lag-changes", changes)
}

// clock sets how far the Drive's clock is from everybody's.
func (d *drive) clock(offset string) { d.ok("drive", "switch", "--clock-offset", offset) }

// count adds what the rules did; they are forgotten with the server.
func (d *drive) count() {
	type rule struct {
		Fired  int
		Action struct {
			Kind string
			Code int
			HTML bool
		}
	}
	for _, r := range ask[[]rule](d.machine, "drive", "fault", "list") {
		name := r.Action.Kind
		if r.Action.Code != 0 {
			name += " " + strconv.Itoa(r.Action.Code)
		}
		if r.Fired > 0 {
			d.kinds[name] += r.Fired
		}
	}
}

// calm takes everything that was set away again.
func (d *drive) calm() {
	if !d.on {
		return
	}
	d.count()
	d.ok("drive", "fault", "remove", "--all")
	d.ok("drive", "switch", "--lag-names", "0s", "--lag-parents", "0s", "--lag-shared", "0s", "--lag-changes", "0s")
	d.on = false
}

// crash kills the server and serves the same again; the switches stay.
func (d *drive) crash() {
	d.count()
	d.kill()
	d.kills++
	d.start("Serving", "drive", "serve", "--listen", strings.TrimPrefix(d.url, "http://"))
}
