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
	q, err := x.consider(s, s.epoch.Load(), &r)
	if err != nil {
		return nil, err
	}
	g := q.reign.last()
	if g == nil || g.broken != nil {
		return nil, nil
	}
	l := list{q: q, asked: map[User]bool{r.Owner: true}}
	l.all()
	slices.SortFunc(l.holders, func(a, b Holder) int {
		return cmp.Or(cmp.Compare(b.Level, a.Level), strings.Compare(a.Entry, b.Entry))
	})
	return l.holders, nil
}

// list collects the holders of one path.
type list struct {
	q       question
	asked   map[User]bool // and the owner
	anybody Level         // what whoever is signed in holds
	holders []Holder
}

func (l *list) all() {
	out := l.q.judge()
	l.anybody = out.level()
	if l.q.reign.kind() == KindPub && out.rule != nil {
		l.groups(&out)
	}
	l.everyone()
	for _, f := range l.q.reign.files {
		for u := range f.names {
			l.address(u)
		}
	}
	for name := range strings.SplitSeq(l.q.path, "/") { // a template or {useremail} may stand for a name in the path
		l.address(User(name))
	}
}

// groups adds the entries of the rule that decides for whoever is signed in and named nowhere that stand for many of these.
func (l *list) groups(out *verdict) {
	r := out.rule
	everybody := r.public | r.anyUser
	levels := map[string]bits{}
	for _, g := range r.grants {
		switch e := r.in.entries[g.entry]; e.kind {
		case entryUser, entryGlob:
			levels[e.text] |= everybody | bit(g.level)
		}
	}
	for text, held := range levels {
		of := verdict{reign: out.reign, rule: r, held: held, ruleFile: out.ruleFile}
		l.add(text, of.level(), r)
	}
}

// everyone adds "*".
func (l *list) everyone() {
	q := l.q
	q.vars.user = Anonymous
	out := q.judge()
	if r := out.holding(); r != nil && r.public != 0 {
		l.add("*", out.level(), r)
	}
}

// address adds u, if a rule that counts for this path is about u in particular.
func (l *list) address(u User) {
	if l.asked[u] {
		return
	}
	l.asked[u] = true
	if p, err := ParseUser(string(u)); err != nil || p != u {
		return // nobody signs in by that
	}
	q := l.q
	q.vars = vars{user: u, now: q.vars.now}
	out := q.judge()
	if r := out.holding(); r != nil && q.singles(&out) && (out.level() != None || l.anybody != None) {
		l.holders = append(l.holders, Holder{string(u), out.level(), r.from, r.pattern})
	}
}

func (l *list) add(entry string, level Level, r *rule) {
	if level != None {
		l.holders = append(l.holders, Holder{entry, level, r.from, r.pattern})
	}
}

// singles reports whether a rule that counts in out is about the user of q in particular.
func (q *question) singles(out *verdict) bool {
	about := func(r *rule) bool { return r.matcher.usesUser() || r.named(r.in.who(q.vars.user)) }
	if q.reign.kind() == KindPub {
		return about(out.rule)
	}
	for _, f := range q.reign.files {
		for _, r := range f.rules {
			if about(r) && r.granted(f.who(q.vars.user), &q.vars) != 0 && r.matcher.match(inside(f.dir, q.path), &q.vars) {
				return true
			}
		}
	}
	return false
}
