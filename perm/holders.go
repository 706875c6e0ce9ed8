package perm

import (
	"cmp"
	"slices"
	"strings"
)

// Holder is somebody whom the rules name for a path.
type Holder struct {
	Entry   string // as written: an address, "*", "USER", "*@x.org"
	Level   Level  // held in effect on the path; None for whom a rule takes away what everyone else has
	By      Source // the rule
	Pattern string
}

// somebody is signed in and named by no rule. The value holds a byte that ParseUser refuses.
const somebody User = "\x00somebody"

// Holders tells whom the rules name for the path of r, highest level first, then by entry. User and Want of r are not looked at,
// and the owner, who has every right, is not listed. Of a syft.pub.yaml these are the entries of the rule that decides; where
// a template makes another rule decide for an address, that address stands with that rule. Of syftperm.yaml these are the
// addresses that some rule that matches names, and "*".
func (x *Index) Holders(r Request) ([]Holder, error) {
	r.User, r.Want = somebody, None
	s := x.site(r.Owner)
	q, err := x.consider(s, s.state.Load(), &r)
	if err != nil {
		return nil, err
	}
	g := q.reign.last()
	if g == nil || g.broken != nil {
		return nil, nil
	}
	l := list{q: q, users: map[User]bool{r.Owner: true}, seen: map[string]bool{}}
	l.all()
	slices.SortFunc(l.holders, func(a, b Holder) int {
		return cmp.Or(cmp.Compare(b.Level, a.Level), strings.Compare(a.Entry, b.Entry))
	})
	return l.holders, nil
}

// list collects the holders of one path.
type list struct {
	q       question
	users   map[User]bool // asked about already, and the owner
	seen    map[string]bool
	holders []Holder
	anybody Level // what whoever is signed in has
}

func (l *list) all() {
	out := l.q.judge()
	l.anybody = out.level()
	if l.q.reign.kind() == KindPub {
		l.groups(out.rule)
	} else {
		l.everyone()
	}
	for _, f := range l.q.reign.files {
		for _, r := range f.rules {
			for u := range r.names {
				l.address(u)
			}
		}
	}
	for name := range strings.SplitSeq(l.q.path, "/") { // a template or {useremail} may stand for a name of the path
		l.address(User(name))
	}
}

// groups adds the entries that stand for many, of the rule that decides for whoever is signed in and named nowhere.
func (l *list) groups(r *rule) {
	if r == nil {
		return
	}
	add := func(entry string, b bits) {
		out := verdict{reign: l.q.reign, held: b, ruleFile: l.q.ruleFile}
		if level := out.level(); level != None {
			l.holders = append(l.holders, Holder{Entry: entry, Level: level, By: r.from, Pattern: r.pattern})
		}
	}
	if r.anyUser != 0 {
		add("USER", r.anyUser|r.public)
	}
	for _, g := range r.globs {
		add(g.entry, g.bits|r.anyUser|r.public)
	}
	l.everyone()
}

// everyone adds "*".
func (l *list) everyone() {
	q := l.q
	q.vars.user = Anonymous
	out := q.judge()
	if by := out.holding(); by != nil && out.level() != None && by.public != 0 {
		l.holders = append(l.holders, Holder{Entry: "*", Level: out.level(), By: by.from, Pattern: by.pattern})
	}
}

// address adds u, if a rule that counts for this path names it.
func (l *list) address(u User) {
	if l.users[u] {
		return
	}
	l.users[u] = true
	if p, err := ParseUser(string(u)); err != nil || p != u {
		return // nobody signs in so
	}
	q := l.q
	q.vars.user = u
	out := q.judge()
	by := out.holding()
	if by == nil || !q.singles(&out) || out.level() == None && l.anybody == None {
		return
	}
	l.holders = append(l.holders, Holder{Entry: string(u), Level: out.level(), By: by.from, Pattern: by.pattern})
}

// singles reports whether a rule that counts in out is about the user of q in particular.
func (q *question) singles(out *verdict) bool {
	about := func(r *rule) bool { return r.names[q.vars.user] != 0 || r.matcher.usesUser() }
	if q.reign.kind() == KindPub {
		return about(out.rule)
	}
	for _, f := range q.reign.files {
		for _, r := range f.rules {
			if about(r) && r.granted(&q.vars) != 0 && r.matcher.match(inside(f.dir, q.path), &q.vars) {
				return true
			}
		}
	}
	return false
}
