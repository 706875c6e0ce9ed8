package rulefile_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/perm/rulefile"
	"pgregory.net/rapid"
)

// drawPermPage makes up a syftperm.yaml. Every line is about one rule, or none.
func drawPermPage(rt *rapid.T) *page {
	p := &page{rt: rt, eol: rapid.SampledFrom([]string{"\n", "\n", "\r\n"}).Draw(rt, "eol")}
	p.gap(-1, "")
	n := p.draw(5, "rules")
	if n == 0 {
		p.add(-2, 0, "", "[]"+p.note())
	}
	for i := range n {
		p.gap(-1, "")
		p.add(-1, 0, "", "")
		for range p.draw(2, "above") {
			p.comments++
			p.add(i, 0, "", fmt.Sprintf("# c%d!", p.comments))
		}
		p.writePermRule(i)
	}
	if n > 0 {
		p.add(-1, 0, "", "") // cuts what follows off from the last rule
	}
	p.gap(-1, "")
	return p
}

func (p *page) writePermRule(i int) {
	r := perm.Rule{Pattern: []string{"a/**", "b.txt", "**"}[p.draw(3, "path")], Deny: p.rarely(), Grants: map[perm.Level][]string{}}
	user := []string{"bob@x.org", "eve@x.org", "*"}[p.draw(3, "user")]
	levels := []perm.Level{perm.Level(1 + p.draw(4, "level"))}
	if l := perm.Level(1 + p.draw(4, "level")); !slices.Contains(levels, l) {
		levels = append(levels, l)
	}
	var words []string
	for _, l := range levels {
		r.Grants[l] = []string{user}
		words = append(words, l.String())
	}
	p.rules = append(p.rules, r)
	kind := "type: allow"
	if r.Deny {
		kind = "type: disallow"
	}
	if p.rarely() {
		p.add(i, all, "", fmt.Sprintf("- {path: %s, permissions: %s, user: %s, %s}", p.quote(r.Pattern), p.flow(words), p.quote(user), kind)+p.note())
		return
	}
	head := "- "
	key := func() string { k := head; head = "  "; return k }
	for _, k := range rapid.Permutation([]string{"path", "permissions", "user", "type"}).Draw(p.rt, "keys") {
		if head == "  " {
			p.gap(i, "  ")
		}
		switch k {
		case "path":
			p.add(i, 0, "", key()+"path: "+p.quote(r.Pattern)+p.note())
		case "user":
			p.add(i, 0, "", key()+"user:   "+p.quote(user)+p.note())
		case "type":
			if r.Deny || p.rarely() {
				p.add(i, 0, "", key()+kind+p.note())
			}
		case "permissions":
			if p.often() {
				p.add(i, all, "", key()+"permissions: "+p.flow(words)+p.note())
				continue
			}
			p.add(i, 0, "", key()+"permissions:"+p.note())
			for _, w := range words {
				p.gap(i, "  ")
				p.add(i, all, w, "  - "+p.quote(w)+p.note())
			}
		}
	}
}

// TestEditPermLeavesTheRest is as TestEditLeavesTheRest, for the older language.
func TestEditPermLeavesTheRest(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := drawPermPage(rt)
		src := p.text()
		name := "/alice@x.org/" + perm.FilePerm
		if before, _, err := rulefile.Parse(name, []byte(src)); err != nil || len(before.Rules) != len(p.rules) {
			rt.Fatalf("%v\n%s", err, src)
		}
		user := []string{"bob@x.org", "eve@x.org", "*"}[p.draw(3, "who")]
		c := rulefile.Change{Kind: perm.KindPerm, Pattern: []string{"a/**", "b.txt", "**"}[p.draw(3, "pattern")], Level: perm.Level(p.draw(5, "level"))}
		gone := map[int]bool{}    // rules that go
		touched := map[int]bool{} // rules that lose a right
		want := slices.Clone(p.rules)
		switch p.draw(4, "change") {
		case 0:
			c.Drop = true
			for i, r := range want {
				gone[i] = r.Pattern == c.Pattern
			}
		case 1:
			c.Level = max(c.Level, perm.Read)
			c.Add = users(perm.User(user))
		case 2:
			c = rulefile.Change{Kind: perm.KindPerm, Append: []perm.Rule{{Pattern: "new", Deny: true, Grants: map[perm.Level][]string{perm.Read: {user}}}}}
		default:
			c.Remove = users(perm.User(user))
			for i, r := range want {
				if _, named := r.Grants[c.Level]; r.Pattern == c.Pattern && !r.Deny && (named || c.Level == perm.None) {
					for _, u := range r.Grants {
						touched[i] = touched[i] || u[0] == user
						gone[i] = u[0] == user && (len(r.Grants) == 1 || c.Level == perm.None)
					}
				}
				if touched[i] && !gone[i] {
					want[i].Grants = maps.Clone(r.Grants)
					delete(want[i].Grants, c.Level)
				}
			}
		}
		out, err := rulefile.Edit([]byte(src), c)
		if err != nil {
			rt.Fatalf("%+v: %v\n%s", c, err, src)
		}
		after, _, err := rulefile.Parse(name, out)
		if err != nil {
			rt.Fatalf("%v\n%s", err, out)
		}
		var kept []perm.Rule
		for i, r := range want {
			if !gone[i] {
				kept = append(kept, r)
			}
		}
		got := after.Rules
		if len(c.Append) > 0 {
			kept = append(kept, c.Append...)
		} else if len(c.Add) > 0 && len(got) > len(kept) {
			last := got[len(got)-1]
			if len(got) != len(kept)+1 || last.Deny || last.Pattern != c.Pattern || !slices.Equal(last.Grants[c.Level], []string{user}) {
				rt.Fatalf("%+v: the last rule is %+v", c, last)
			}
			got = got[:len(got)-1]
		}
		if diff := cmp.Diff(sorted(kept), sorted(got)); diff != "" {
			rt.Fatalf("%+v\n%s\n%s\n%s", c, diff, src, out)
		}
		p.comparePerm(gone, touched, string(out))
	})
}

func (p *page) comparePerm(gone, touched map[int]bool, out string) {
	left := out
	for _, l := range p.lines {
		if l.rule == -2 || gone[l.rule] || touched[l.rule] && l.level == all {
			_, comment, found := strings.Cut(l.text, "# c")
			if found && !gone[l.rule] && l.entry == "" && !strings.Contains(out, "# c"+strings.TrimRight(comment, "\r\n")) {
				p.rt.Fatalf("the comment of %q is lost:\n%s\n->\n%s", l.text, p.text(), out)
			}
			continue
		}
		at := strings.Index("\n"+left, "\n"+l.text)
		if at < 0 {
			p.rt.Fatalf("the line %q is not there, or not in its place:\n%s\n->\n%s", l.text, p.text(), out)
		}
		left = left[at+len(l.text):]
	}
}
