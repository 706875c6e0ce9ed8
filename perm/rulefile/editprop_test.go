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

// page is a made-up rule file of which every line is known: what it is about, and what it holds.
type page struct {
	rt       *rapid.T
	lines    []pageLine
	rules    []perm.Rule
	comments int
	eol      string
}

// pageLine is about a rule (-1: none), and in it about a list, one entry of it, or the rule as a whole.
type pageLine struct {
	text  string
	rule  int
	level perm.Level // 0: not about a list; all: about every list
	entry string
}

const all = perm.Admin + 1

var pageUsers = []string{"ann@x.org", "bob@x.org", "*", "USER", "*@y.org", "eve@x.org"}

func (p *page) draw(n int, what string) int { return rapid.IntRange(0, n-1).Draw(p.rt, what) }
func (p *page) often() bool                 { return p.draw(3, "often") > 0 }
func (p *page) rarely() bool                { return p.draw(4, "rarely") == 0 }

func (p *page) add(rule int, level perm.Level, entry, text string) {
	p.lines = append(p.lines, pageLine{text + p.eol, rule, level, entry})
}

// note gives a comment to put behind something, or nothing.
func (p *page) note() string {
	if !p.rarely() {
		return ""
	}
	p.comments++
	return fmt.Sprintf("  # c%d!", p.comments)
}

// gap adds blank and comment lines.
func (p *page) gap(rule int, indent string) {
	for range p.draw(3, "gap") {
		if p.often() {
			p.comments++
			p.add(rule, 0, "", fmt.Sprintf("%s# c%d!", indent, p.comments))
		} else {
			p.add(rule, 0, "", "")
		}
	}
}

func (p *page) quote(s string) string {
	switch p.draw(3, "quotes") {
	case 0:
		return "'" + s + "'"
	case 1:
		return `"` + s + `"`
	}
	if strings.ContainsAny(s, "*{") {
		return "'" + s + "'"
	}
	return s
}

func (p *page) flow(users []string) string {
	var words []string
	for _, u := range users {
		words = append(words, p.quote(u))
	}
	forms := [][3]string{{"[", ", ", "]"}, {"[ ", " , ", " ]"}, {"[", ",", "]"}, {"[", ", ", ",]"}}
	f := forms[p.draw(len(forms), "form")]
	if len(words) == 0 {
		return "[]"
	}
	return f[0] + strings.Join(words, f[1]) + f[2]
}

// users draws entries, each once.
func (p *page) users(most int) (users []string) {
	for range p.draw(most+1, "users") {
		if u := pageUsers[p.draw(len(pageUsers), "user")]; !slices.Contains(users, u) {
			users = append(users, u)
		}
	}
	return users
}

func (p *page) writeRule(i int, indent string) {
	r := perm.Rule{Pattern: []string{"a/**", "b.txt", "**", "{{.UserEmail}}/*", "*.csv"}[i], Grants: map[perm.Level][]string{}}
	lists := map[perm.Level][]string{}
	for l := perm.Read; l <= perm.Admin; l++ {
		if p.often() {
			lists[l] = p.users(3)
			if len(lists[l]) > 0 {
				r.Grants[l] = lists[l]
			}
		}
	}
	pad := strings.Repeat(" ", p.draw(3, "pad"))
	head, rest := indent+"- "+pad, indent+"  "+pad
	key := func() string { k := head; head = rest; return k }
	keys := rapid.Permutation([]string{"pattern", "access", "limits"}).Draw(p.rt, "keys")
	for _, k := range keys {
		if head == rest {
			p.gap(i, rest)
		}
		switch k {
		case "pattern":
			p.add(i, 0, "", key()+"pattern: "+p.quote(r.Pattern)+p.note())
		case "limits":
			if !p.rarely() {
				continue
			}
			r.Limits.MaxFileSize = int64(p.draw(100, "size"))
			p.add(i, 0, "", key()+fmt.Sprintf("limits:  {maxFileSize: %d}", r.Limits.MaxFileSize)+p.note())
		case "access":
			p.writeAccess(i, key(), rest, lists)
		}
	}
	p.rules = append(p.rules, r)
}

func (p *page) writeAccess(i int, head, indent string, lists map[perm.Level][]string) {
	levels := rapid.Permutation(slices.Sorted(maps.Keys(lists))).Draw(p.rt, "levels")
	if len(levels) == 0 || p.rarely() {
		var parts []string
		for _, l := range levels {
			parts = append(parts, l.String()+": "+p.flow(lists[l]))
		}
		p.add(i, all, "", head+"access: {"+strings.Join(parts, ", ")+"}"+p.note())
		return
	}
	p.add(i, 0, "", head+"access:"+p.note())
	indent += strings.Repeat(" ", 1+p.draw(3, "deeper"))
	for _, l := range levels {
		p.gap(i, indent)
		switch {
		case len(lists[l]) == 0 && p.often():
			p.add(i, l, "", indent+l.String()+":"+p.note())
		case len(lists[l]) == 0 || p.often():
			p.add(i, l, "", indent+l.String()+": "+p.flow(lists[l])+p.note())
		default:
			p.add(i, l, "", indent+l.String()+":"+p.note())
			in := indent + strings.Repeat(" ", p.draw(3, "list"))
			for _, u := range lists[l] {
				p.gap(i, in)
				p.add(i, l, u, in+"- "+p.quote(u)+p.note())
			}
		}
	}
}

func drawPage(rt *rapid.T) *page {
	p := &page{rt: rt, eol: rapid.SampledFrom([]string{"\n", "\n", "\r\n"}).Draw(rt, "eol")}
	p.gap(-1, "")
	if p.rarely() {
		p.add(-1, 0, "", "terminal:   yes"+p.note())
		p.gap(-1, "")
	}
	n := p.draw(5, "rules")
	switch indent := strings.Repeat(" ", p.draw(3, "indent")); {
	case n > 0:
		p.add(-1, 0, "", "rules:"+p.note())
		for i := range n {
			// A blank line cuts a comment off from the rule below.
			p.gap(-1, indent)
			p.add(-1, 0, "", "")
			for range p.draw(2, "above") {
				p.comments++
				p.add(i, 0, "", fmt.Sprintf("%s# c%d!", indent, p.comments))
			}
			p.writeRule(i, indent)
		}
	case p.often():
		p.add(-2, 0, "", "rules: []"+p.note()) // changes with the first rule
	}
	p.gap(-1, "")
	return p
}

func (p *page) text() string {
	var b strings.Builder
	for _, l := range p.lines {
		b.WriteString(l.text)
	}
	return b.String()
}

func drawUsers(p *page) (users []perm.User) {
	for _, u := range p.users(3) {
		users = append(users, perm.User(u))
	}
	return users
}

// TestEditLeavesTheRest edits made-up files: the rules are then as wanted, every comment is there but those of what was
// removed, and lines that the change does not concern are the same byte for byte.
func TestEditLeavesTheRest(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := drawPage(rt)
		src := p.text()
		name := "/alice@x.org/" + perm.FilePub
		before, _, err := rulefile.Parse(name, []byte(src))
		if err != nil || len(before.Rules) != len(p.rules) {
			rt.Fatalf("%v\n%s", err, src)
		}
		c := rulefile.Change{Pattern: []string{"a/**", "b.txt", "**", "new"}[p.draw(4, "pattern")], Level: perm.Level(p.draw(5, "level"))}
		target := slices.IndexFunc(p.rules, func(r perm.Rule) bool { return r.Pattern == c.Pattern })
		want := slices.Clone(p.rules)
		switch kind := p.draw(5, "change"); {
		case kind == 0:
			c.Drop = true
			if target >= 0 {
				want = slices.Delete(want, target, target+1)
			}
		case kind == 1:
			c.Limits = &perm.Limits{MaxFileSize: int64(p.draw(3, "limit")), NoDirs: p.often()}
		case kind == 2:
			c.Remove = drawUsers(p)
		default:
			c.Level = max(c.Level, perm.Read)
			c.Add, c.Remove = drawUsers(p), drawUsers(p)
			if p.often() {
				set := drawUsers(p)
				c.Set = &set
			}
		}
		if p.rarely() {
			yes := true
			c.Terminal = &yes
		}
		if !c.Drop {
			want = model(want, target, c)
		}
		out, err := rulefile.Edit([]byte(src), c)
		if err != nil {
			rt.Fatalf("%+v: %v\n%s", c, err, src)
		}
		after, _, err := rulefile.Parse(name, out)
		if err != nil {
			rt.Fatalf("%v\n%s", err, out)
		}
		if diff := cmp.Diff(sorted(want), sorted(after.Rules)); diff != "" || after.Terminal != (before.Terminal || c.Terminal != nil) {
			rt.Fatalf("%+v\n%s\n%s\n%s", c, diff, src, out)
		}
		p.compare(c, target, string(out))
	})
}

// model says by itself what a change of one rule leads to.
func model(rules []perm.Rule, target int, c rulefile.Change) []perm.Rule {
	if target < 0 {
		if len(c.Add) == 0 && c.Set == nil && c.Limits == nil {
			return rules
		}
		target = len(rules)
		rules = append(rules, perm.Rule{Pattern: c.Pattern})
	}
	r := &rules[target]
	grants := map[perm.Level][]string{}
	for l := perm.Read; l <= perm.Admin; l++ {
		has := map[string]bool{}
		for _, u := range r.Grants[l] {
			has[u] = true
		}
		if l == c.Level && c.Set != nil {
			clear(has)
			for _, u := range *c.Set {
				has[string(u)] = true
			}
		}
		if l == c.Level || c.Level == perm.None {
			for _, u := range c.Remove {
				delete(has, string(u))
			}
		}
		if l == c.Level {
			for _, u := range c.Add {
				has[string(u)] = true
			}
		}
		if len(has) > 0 {
			grants[l] = slices.Collect(maps.Keys(has))
		}
	}
	r.Grants = grants
	if c.Limits != nil {
		r.Limits = *c.Limits
	}
	return rules
}

// sorted makes rules comparable.
func sorted(rules []perm.Rule) []perm.Rule {
	out := []perm.Rule{}
	for _, r := range rules {
		r.From = perm.Source{}
		grants := map[perm.Level][]string{}
		for l, users := range r.Grants {
			grants[l] = slices.Sorted(slices.Values(users))
		}
		r.Grants = grants
		out = append(out, r)
	}
	return out
}

// compare checks the lines and comments of the text that an edit led to.
func (p *page) compare(c rulefile.Change, target int, out string) {
	left := out
	for _, l := range p.lines {
		concerned := l.rule == -2 || l.rule >= 0 && l.rule == target && (c.Drop || l.level == all ||
			l.level != 0 && (l.level == c.Level || c.Level == perm.None) ||
			c.Limits != nil && strings.Contains(l.text, "limits:"))
		if strings.HasPrefix(l.text, "rules:") && c.Drop && len(p.rules) == 1 || strings.HasPrefix(l.text, "terminal:") && c.Terminal != nil {
			concerned = true
		}
		if concerned {
			_, comment, found := strings.Cut(l.text, "# c")
			gone := c.Drop && l.rule == target || l.entry != ""
			if found && !gone && !strings.Contains(out, "# c"+strings.TrimRight(comment, "\r\n")) {
				p.rt.Fatalf("%+v: the comment of %q is lost:\n%s\n->\n%s", c, l.text, p.text(), out)
			}
			continue
		}
		at := strings.Index("\n"+left, "\n"+l.text)
		if at < 0 {
			p.rt.Fatalf("%+v: the line %q is not there, or not in its place:\n%s\n->\n%s", c, l.text, p.text(), out)
		}
		left = left[at+len(l.text):]
	}
	if len(p.lines) > 0 && strings.Count(out, "\n") > strings.Count(out, p.eol) {
		p.rt.Fatalf("line breaks are mixed: %q", out)
	}
}
