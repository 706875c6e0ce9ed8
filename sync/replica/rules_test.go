package replica

import (
	"context"
	"strings"
	"testing"

	"github.com/openmined/syftfs/fs/datasite"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
	"github.com/openmined/syftfs/sync/wire"
)

// ruled makes the rules of x's tree those of the rule files in it.
func (x *person) ruled() {
	x.tree.level = func(u perm.User, p datasite.Path) perm.Level {
		load := func(_ perm.User, dir string) ([]perm.Ruleset, error) {
			file := datasite.Path{Owner: x.me, Rel: dir}.Join(datasite.PubFile)
			s, ok := x.tree.files[file]
			if !ok {
				return nil, nil
			}
			rules, _, _ := rulefile.Parse("/"+file.String(), []byte(s)) // a broken one is in the rules
			return []perm.Ruleset{rules}, nil
		}
		d, err := perm.NewIndex(load).Decide(perm.Request{User: u, Owner: x.me, Path: p.Rel, IsDir: p.Rel == "", Want: perm.Read})
		if err != nil {
			return perm.None
		}
		return d.Level
	}
}

func TestGrantResends(t *testing.T) {
	w := newWorld(t, owen, rachel, sam)
	o, r, s := w.people[owen], w.people[rachel], w.people[sam]
	o.ruled()
	rules := at(owen, "app_data/job/review/rachel@science.example/syft.pub.yaml")
	result := at(owen, "app_data/job/review/rachel@science.example/a/outputs/result.csv")
	log := at(owen, "app_data/job/review/rachel@science.example/a/logs/stdout.txt")
	const before = "rules:\n- pattern: '**'\n  access:\n    read: [rachel@science.example]\n- pattern: 'a/outputs/**'\n  access:\n    read: [owen@centre.example]\n"
	o.tree.write(t, rules, before)
	o.tree.write(t, result, "42")
	o.tree.write(t, log, "done")
	o.light(t)
	r.light(t)
	s.light(t)
	r.has(t, log, "done")
	r.has(t, result, "")
	r.has(t, rules, "")
	o.is(t, result, StateSynced)
	o.tree.write(t, rules, strings.Replace(before, "[owen@centre.example]", "[owen@centre.example, rachel@science.example]", 1))
	o.light(t)
	r.light(t)
	s.light(t)
	r.has(t, result, "42")
	if len(s.tree.of(owen)) != 0 {
		t.Errorf("sam, who may read nothing, has %v", s.tree.of(owen))
	}
	out := messages(t, o.store, w.folder(t, owen, rachel, wire.OutboxFolder))
	if len(out) != 2 {
		t.Errorf("%d messages to rachel, want 2", len(out))
	}
	// Taken away: what was delivered stays, changes stop.
	o.tree.write(t, rules, before)
	o.tree.write(t, result, "43")
	o.light(t)
	r.light(t)
	r.has(t, result, "42")
}

func TestRuleFilesTravelInPart(t *testing.T) {
	const text = `# for the friends of the house
rules:
- pattern: 'drop/**'
  access:
    read: [rachel@science.example, sam@science.example]
    write: [rachel@science.example, someone@else.example]
- pattern: '**'
  access:
    read: ['*']
`
	rules := at(owen, "public/syft.pub.yaml")
	for _, tt := range []struct {
		name   string
		rules  string
		syftfs bool
		want   func(string) bool
	}{
		{"who may write gets a projection", text, true, func(s string) bool {
			return strings.Contains(s, "rachel@science.example") && !strings.Contains(s, "sam@") && !strings.Contains(s, "else") && strings.Contains(s, "'*'") && !strings.Contains(s, "#")
		}},
		{"but not a syft-client", text, false, func(s string) bool { return s == "" }},
		{"who may only read gets none", strings.Replace(text, "write: [rachel@science.example, someone@else.example]", "write: []", 1), true, func(s string) bool { return s == "" }},
		{"admin gets it whole", strings.Replace(text, "write: ['*']", "x", 1) + "    admin: [rachel@science.example]\n", false, func(s string) bool { return strings.Contains(s, "# for the friends") }},
		{"a broken one goes to nobody", text + "  nonsense: [\n", true, func(s string) bool { return s == "" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, owen, rachel)
			o, r := w.people[owen], w.people[rachel]
			o.ruled()
			o.peers.edit(rachel, func(p *Peer) { p.Syftfs = tt.syftfs })
			o.tree.write(t, rules, tt.rules)
			o.light(t)
			r.light(t)
			got := r.tree.read(rules)
			if !tt.want(got) {
				t.Errorf("rachel has %q", got)
			}
			if got == "" {
				return
			}
			parsed, _, err := rulefile.Parse("/"+rules.String(), []byte(got))
			if err != nil || len(parsed.Rules) != 2 {
				t.Errorf("%v, %d rules", err, len(parsed.Rules))
			}
			clear(o.count)
			o.light(t)
			if o.count["put"] != 0 {
				t.Error("it is sent again although nothing changed")
			}
		})
	}
}

func TestNewPeerGetsWhatItMayRead(t *testing.T) {
	w := newWorld(t, owen, rachel)
	o, r := w.people[owen], w.people[rachel]
	o.peers.edit(rachel, func(p *Peer) { p.Serve = false })
	o.tree.write(t, at(owen, "a"), "x")
	o.light(t)
	r.light(t)
	r.has(t, at(owen, "a"), "")
	o.is(t, at(owen, "a"), StateSynced)
	// What it proposed before it was accepted is taken too.
	o.allow(perm.Write)
	r.tree.write(t, at(owen, "b"), "y")
	r.light(t)
	o.light(t)
	o.has(t, at(owen, "b"), "")
	o.peers.edit(rachel, func(p *Peer) { p.Serve = true })
	o.light(t)
	r.light(t)
	r.has(t, at(owen, "a"), "x")
	o.has(t, at(owen, "b"), "y")
	if err := o.Wait(context.Background(), at(owen, "b")); err != nil {
		t.Error(err)
	}
}
